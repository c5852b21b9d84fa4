//! The constraint file names only what the exported top has. tclsh runs it, with stand-ins for Vivado's commands that print what they name.

use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::{export_files, shelled};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a constraint file names: pairs of kind and name; or what tclsh says against it.
fn named(constraints: &Path) -> Result<Vec<(String, String)>, String> {
    let output = Command::new("tclsh")
        .arg(file("tests/constraints.tcl"))
        .arg(constraints)
        .output()
        .expect("tclsh is installed");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("tclsh prints UTF-8");
    let pair = |line: &str| {
        line.split_once(' ')
            .map(|(kind, name)| (kind.into(), name.into()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// Names of the shell: its ports, and its registers and instances as Vivado calls its cells.
struct Top {
    ports: HashSet<String>,
    cells: HashSet<String>,
    period_ns: f64,
}

impl Top {
    fn new(name: &str) -> Self {
        Self::of(&AccelConfig::named(name).unwrap())
    }

    fn of(config: &AccelConfig) -> Self {
        let design = shelled(config).unwrap();
        let text = &design.modules.last().expect("the shell is the last module").text;
        let cells = text.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["reg", name] => Some(format!("{}_reg", name.trim_end_matches(';'))),
                [module, instance, "("] if module != "module" => Some(instance.to_owned()),
                _ => None,
            }
        });
        Self {
            ports: design.ports.iter().map(|port| port.name.clone()).collect(),
            cells: cells.collect(),
            period_ns: 1e3 / f64::from(config.clock_mhz_target),
        }
    }

    /// How many names it has; else the first that it lacks.
    fn check(&self, names: &[(String, String)]) -> Result<usize, String> {
        for (kind, name) in names {
            let is_right = match kind.as_str() {
                "ports" => self.ports.contains(name),
                "cells" => self.cells.contains(name),
                "period" => (name.parse::<f64>().unwrap() - self.period_ns).abs() < 1e-3,
                _ => false,
            };
            if !is_right {
                return Err(format!("{kind} {name}"));
            }
        }
        Ok(names.len())
    }
}

#[test]
fn the_exported_top_has_all_that_the_constraints_name() {
    let names = named(&file("constraints/zcu104.xdc")).unwrap();
    for config in ["nano", "zcu104"] {
        let top = Top::new(config);
        assert!(top.cells.contains("u_core") && top.cells.contains("reset_reg"));
        assert!(top.check(&names).unwrap() >= 3, "{names:?}");
    }
}

#[test]
fn the_exported_constraints_are_of_the_configurations_clock() {
    let slow = AccelConfig {
        clock_mhz_target: 200,
        ..AccelConfig::named("nano").unwrap()
    };
    let files = export_files(&slow).unwrap();
    let (_, text) = files.iter().find(|(name, _)| name == "zcu104.xdc").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zcu104.xdc");
    std::fs::write(&path, text).unwrap();
    let names = named(&path).unwrap();
    assert!(names.contains(&("period".into(), "5.000".into())), "{names:?}");
    assert!(Top::of(&slow).check(&names).unwrap() >= 3);
}

#[test]
fn wrong_names_and_unknown_commands_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let path = folder.path().join("try.xdc");
        std::fs::write(&path, text).unwrap();
        named(&path)
    };
    let top = Top::new("nano");
    let cases = [
        ("set_false_path -to [get_ports interupt]", "ports interupt"),
        (
            "set_false_path -from [get_cells u_core/reset]",
            "cells u_core/reset",
        ),
        ("set_false_path -from [get_cells {reset_reg lost}]", "cells lost"),
        ("create_clock -period 10.000 [get_ports ap_clk]", "period 10.000"),
    ];
    for (text, wrong) in cases {
        assert_eq!(top.check(&run(text).unwrap()), Err(wrong.to_owned()));
    }
    for text in [
        "set_max_delay 2 [get_ports ap_clk]",
        "set_false_path -to [get_ports -regexp a]",
    ] {
        assert!(run(text).is_err(), "{text}");
    }
}
