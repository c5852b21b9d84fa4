//! No block without a lock-step run, and no run that compares too little.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Blocks whose run is not a test of this crate, and where it is.
const ELSEWHERE: [(&str, &str); 1] = [("Accelerator", "tests/lockstep_top.rs")];
/// Private cells, compared as a part of the block that they belong to.
const INSIDE: [(&str, &str); 2] = [("LaneMux", "ActivationMemory"), ("ByteAccumulators", "ValueSums")];
/// There are at least this many.
const LEAST_BLOCKS: usize = 70;

fn sources(folder: &Path, out: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|end| end == "rs") {
            out.insert(path.clone(), std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The name that begins a text.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The structs that derive `LogicBlock`, without those of unit tests.
fn blocks(source: &str) -> BTreeSet<&str> {
    let design = source.split("#[cfg(test)]").next().unwrap_or_default();
    let derives = design.split("#[derive(LogicBlock").skip(1);
    derives
        .map(|rest| name(rest.split_once("struct ").unwrap().1))
        .collect()
}

/// The circuits that are built in a lock-step call: `Block::new(..)`, or `Block::default` as a value.
fn runs(source: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for call in ["Lockstep::new(", "Lockstep::of(", "lock_step("] {
        for (at, _) in source.match_indices(call) {
            let text = &source[at + call.len()..];
            // The second argument; a closure in a variable is looked up where it is made.
            let Some((_, second)) = text.split_once(',') else {
                continue;
            };
            let mut second = second.trim_start();
            if let Some(closure) = second.strip_prefix("||") {
                second = closure.trim_start();
            }
            if second.starts_with("build,") {
                let made = source[..at]
                    .rfind("let build = ||")
                    .expect("the closure is made before");
                second = source[made + "let build = ||".len()..].trim_start();
            }
            found.insert(name(second));
        }
    }
    found
}

#[test]
fn every_block_has_a_run() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut design, mut tests) = (BTreeMap::new(), BTreeMap::new());
    sources(&crate_folder.join("src"), &mut design);
    sources(&crate_folder.join("tests"), &mut tests);
    design.retain(|path, _| !path.starts_with(crate_folder.join("src/verilog")));
    let run: BTreeSet<&str> = design
        .values()
        .chain(tests.values())
        .flat_map(|text| runs(text))
        .collect();
    let (mut count, mut missing) = (0, vec![]);
    for (path, text) in &design {
        for block in blocks(text) {
            count += 1;
            let whole = INSIDE.iter().find(|(part, _)| *part == block);
            let block = whole.map_or(block, |(_, whole)| whole);
            match ELSEWHERE.iter().find(|(name, _)| *name == block) {
                Some((_, test)) => assert!(crate_folder.join("..").join(test).is_file(), "{test}"),
                None if run.contains(block) => {}
                None => missing.push(format!("{block} ({})", path.display())),
            }
        }
    }
    println!("{count} blocks");
    assert!(missing.is_empty(), "no lock-step run: {missing:#?}");
    assert!(count >= LEAST_BLOCKS, "{count} blocks");
}

#[test]
fn a_block_without_a_run_is_found() {
    let source = "#[derive(LogicBlock, Default)]\npub struct A {}\n#[derive(LogicBlock)]\npub struct B<const W: usize> {}";
    assert_eq!(blocks(source), ["A", "B"].into());
    let tests = "lock_step(\"A\", || A::new(3), &[]); lock_step(\"C\", C::new, &[]);
        let build = || D::<8>::new(); lock_step(\"D\", build, &[]); // B::new";
    assert_eq!(runs(tests), ["A", "C", "D"].into());
}
