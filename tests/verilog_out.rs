//! The committed Verilog of `nano`: that it is what the circuits give today, that every tool takes it, and that it wakes up without X.

use moevit_hw::array::mac_pair::{DSP48E2_MODEL, PRIMITIVE_MACRO};
use moevit_hw::bus::register_table::{Reset, REGISTERS};
use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::lint::{lint_with, Setup};
use moevit_hw::verilog::{export_files, shelled};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const REGENERATE: &str = "cargo run --release -- export --config nano --out verilog-out/nano";
/// The Verilog is there to be read.
const MOST_LINES: usize = 7_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("verilog-out/nano")
}

fn nano() -> AccelConfig {
    AccelConfig::named("nano").unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_verilog_is_what_the_circuits_give() {
    let mut want: BTreeMap<String, String> = export_files(&nano()).unwrap().into_iter().collect();
    let (mut compared, mut lines) = (0, 0);
    for entry in
        std::fs::read_dir(folder()).unwrap_or_else(|_| panic!("no verilog-out/nano; run: {REGENERATE}"))
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let wanted = want.remove(&name).unwrap_or_else(|| {
            panic!(
                "verilog-out/nano/{name} is no file of the export; delete the folder and run: {REGENERATE}"
            )
        });
        let text = read(&path);
        let line = text.lines().zip(wanted.lines()).position(|(a, b)| a != b);
        assert!(
            text == wanted,
            "verilog-out/nano/{name} differs from line {} on; run: {REGENERATE}",
            line.map_or(text.lines().count().min(wanted.lines().count()), |n| n) + 1
        );
        if name.ends_with(".v") {
            lines += text.lines().count();
        }
        compared += 1;
    }
    assert!(
        want.is_empty(),
        "missing in verilog-out/nano: {:?}; run: {REGENERATE}",
        want.keys()
    );
    assert!(compared > 50, "only {compared} files");
    assert!(
        (1_000..=MOST_LINES).contains(&lines),
        "{lines} lines of Verilog, but they should stay below {MOST_LINES}"
    );
}

#[test]
fn every_tool_takes_the_whole_accelerator_without_a_message() {
    let design = shelled(&nano()).unwrap();
    let primitive = Setup {
        defines: &[PRIMITIVE_MACRO],
        cells: &[("DSP48E2", DSP48E2_MODEL)],
    };
    for setup in [Setup::default(), primitive] {
        let report = lint_with(&design, &setup).unwrap();
        let tools: Vec<_> = report.messages.keys().copied().collect();
        assert_eq!(tools, ["iverilog", "verilator", "yosys"], "{report}");
        assert!(report.is_clean(), "{:?}:\n{report}", setup.defines);
    }
}

/// Offset and value after reset of every register.
fn registers_after_reset(config: &AccelConfig) -> Vec<(u32, u32)> {
    let version = env!("CARGO_PKG_VERSION")
        .split('.')
        .fold(0, |word, part| word << 8 | part.parse::<u32>().unwrap());
    let value = |name: &str| match name {
        "VERSION" => version,
        "CONFIG_HASH" => config.hash(),
        "CAPS" => (config.rows | config.columns << 8 | config.read_ports << 16) as u32,
        other => panic!("the value of {other} follows from the configuration; say here how"),
    };
    REGISTERS
        .iter()
        .map(|register| match register.reset {
            Reset::Value(word) => (register.offset, word),
            Reset::Configuration => (register.offset, value(register.name)),
        })
        .collect()
}

/// Runs the smoke test on the committed files; returns the numbers of its last line by name.
fn smoke(defines: &[&str], cells: &[(&str, &str)]) -> BTreeMap<String, u64> {
    let scratch = tempfile::tempdir().unwrap();
    let registers = registers_after_reset(&nano());
    let expected: String = registers
        .iter()
        .map(|(offset, value)| format!("{offset:x} {value:x}\n"))
        .collect();
    std::fs::write(scratch.path().join("expected.hex"), expected).unwrap();
    let mut command = Command::new("iverilog");
    command
        .current_dir(folder())
        .args(["-g2012", "-Wall", "-s", "smoke_tb", "-f", "filelist.f"]);
    command.args(defines.iter().map(|define| format!("-D{define}")));
    for (name, text) in cells {
        let path = scratch.path().join(format!("{name}.v"));
        std::fs::write(&path, text).unwrap();
        command.arg(path);
    }
    let quoted = |path: PathBuf| format!("-DEXPECTED=\"{}\"", path.display());
    command
        .arg(format!("-DREGISTERS={}", registers.len()))
        .arg(quoted(scratch.path().join("expected.hex")))
        .arg("-o")
        .arg(scratch.path().join("smoke"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verilog/smoke_tb.v"));
    let built = command.output().expect("iverilog is installed");
    let messages = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && messages.is_empty(), "{messages}");
    let run = Command::new("vvp")
        .arg(scratch.path().join("smoke"))
        .output()
        .expect("vvp comes with iverilog");
    let text = String::from_utf8_lossy(&run.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("SMOKE "));
    let words: Vec<_> = line.unwrap_or_else(|| panic!("{text}")).split(' ').collect();
    println!("{text}");
    words
        .chunks(2)
        .map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap()))
        .collect()
}

#[test]
fn four_state_simulation_finds_no_x_and_the_right_registers() {
    for (defines, cells) in [
        (&[][..], &[][..]),
        (&[PRIMITIVE_MACRO][..], &[("DSP48E2", DSP48E2_MODEL)][..]),
    ] {
        let count = smoke(defines, cells);
        assert_eq!((count["unknown"], count["wrong"]), (0, 0));
        assert_eq!(count["reads"], REGISTERS.len() as u64 + 1);
        assert!(count["bursts"] >= 1 && count["beats"] >= 4, "{count:?}");
        assert!(count["checks"] > 1_000, "{count:?}");
    }
}
