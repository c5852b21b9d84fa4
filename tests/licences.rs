//! Every dependency must be usable under a permissive licence, whichever of ours a user chooses.

use cargo_metadata::MetadataCommand;
use spdx::{Expression, LicenseItem};

const ALLOWED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "Unicode-3.0",
];

fn is_permissive(licence: &str) -> bool {
    let Ok(expression) = Expression::parse_mode(licence, spdx::ParseMode::LAX) else {
        return false;
    };
    expression.evaluate(|requirement| match &requirement.license {
        LicenseItem::Spdx { id, .. } => ALLOWED.contains(&id.name),
        _ => false,
    })
}

#[test]
fn every_dependency_is_permissive() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata runs");
    let mut checked = 0;
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none");
        assert!(
            is_permissive(licence),
            "{} {} has the licence '{licence}'",
            package.name,
            package.version
        );
        checked += 1;
    }
    assert!(checked > 50, "only {checked} packages were looked at");
}

#[test]
fn copyleft_would_be_noticed() {
    assert!(!is_permissive("GPL-3.0-only"));
    assert!(!is_permissive("none"));
    assert!(is_permissive("GPL-3.0-only OR MIT"));
}
