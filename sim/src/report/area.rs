//! Area estimates: a block of the exported Verilog through Yosys for UltraScale+, cached by content.
//!
//! LUT, FF and the longest path are **estimates** (no place and route; path: 7-series cell delays without routing, DSP and RAM
//! arcs cut). DSP and memory counts are read from the mapped netlist.

use anyhow::{bail, Context, Result};
use moevit_hw::verilog::{Design, Module};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = include_str!("ultrascale.ys");

/// Resources of one block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Area {
    pub lut: u64,
    pub ff: u64,
    pub dsp: u64,
    /// Block RAM in halves (RAMB18), so that sums stay whole numbers.
    pub bram18: u64,
    pub uram: u64,
    /// Longest path of logic in picoseconds, an estimate for regressions only.
    pub worst_path_ps: u64,
}

/// Synthesises `module` of `verilog` with the Yosys at `yosys`; results are kept in `cache`.
pub fn estimate(yosys: &Path, cache: &Path, verilog: &str, module: &str) -> Result<Area> {
    let folder = cache.join(key(verilog, module));
    let result = folder.join("result.json");
    if let Ok(text) = std::fs::read_to_string(&result) {
        return serde_json::from_str(&text)
            .with_context(|| format!("{} is not an area result", result.display()));
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    run_yosys(yosys, &folder, verilog, module)?;
    let area = read_reports(&folder, module)?;
    std::fs::write(&result, serde_json::to_string(&area)?)?;
    Ok(area)
}

impl Area {
    /// Both blocks together; the longest path is the longer one.
    pub fn beside(&self, other: &Area) -> Area {
        Area {
            lut: self.lut + other.lut,
            ff: self.ff + other.ff,
            dsp: self.dsp + other.dsp,
            bram18: self.bram18 + other.bram18,
            uram: self.uram + other.uram,
            worst_path_ps: self.worst_path_ps.max(other.worst_path_ps),
        }
    }
}

/// Instances that the top module holds: their names and their modules.
pub fn blocks(design: &Design) -> Vec<(String, String)> {
    let names: HashSet<&str> = design.modules.iter().map(|m| m.name.as_str()).collect();
    let top = design.modules.iter().find(|m| m.name == design.top);
    let lines = top.map_or("", |m| m.text.as_str()).lines();
    lines.filter_map(|line| instance(line, &names)).collect()
}

/// `Module instance (` at the start of an instantiation.
fn instance(line: &str, modules: &HashSet<&str>) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (module, name) = (words.next()?, words.next()?);
    let name = name.trim_end_matches('(');
    (modules.contains(module) && !name.is_empty()).then(|| (name.into(), module.into()))
}

/// The text of a module and of every module below it, so that changes elsewhere leave its estimate in the cache.
pub fn closure(design: &Design, module: &str) -> String {
    let by_name: HashMap<&str, &Module> = design.modules.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut wanted = HashSet::from([module]);
    let mut open = vec![module];
    while let Some(text) = open
        .pop()
        .and_then(|name| by_name.get(name))
        .map(|m| m.text.as_str())
    {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let below = words.filter(|word| by_name.contains_key(word));
        open.extend(below.filter(|word| wanted.insert(word)));
    }
    let externals = design.externals.values().map(String::as_str);
    let modules = design.modules.iter().filter(|m| wanted.contains(m.name.as_str()));
    externals
        .chain(modules.map(|m| m.text.as_str()))
        .collect::<Vec<_>>()
        .join("\n")
}

fn key(verilog: &str, module: &str) -> String {
    let mut hash = Sha256::new();
    [SCRIPT, module, verilog]
        .iter()
        .for_each(|part| hash.update(part.as_bytes()));
    hash.finalize()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn run_yosys(yosys: &Path, folder: &Path, verilog: &str, module: &str) -> Result<()> {
    std::fs::write(folder.join("design.v"), verilog)?;
    let body = SCRIPT
        .replace("MODULE", module)
        .replace("AREA", "area.json")
        .replace("TIMING", "timing.txt");
    std::fs::write(
        folder.join("script.ys"),
        format!("read_verilog -DSYNTHESIS design.v\n{body}"),
    )?;
    let output = Command::new(yosys)
        .args(["-q", "-s", "script.ys"])
        .current_dir(folder)
        .output()
        .with_context(|| format!("cannot start {}", yosys.display()))?;
    if !output.status.success() {
        bail!(
            "yosys on {module}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn read_reports(folder: &Path, module: &str) -> Result<Area> {
    let text = std::fs::read_to_string(folder.join("area.json"))?;
    let report: serde_json::Value = serde_json::from_str(&text).context("yosys stat wrote no JSON")?;
    let cells = report["design"]["num_cells_by_type"]
        .as_object()
        .with_context(|| format!("yosys stat has no cells for {module}"))?;
    let mut area = Area::default();
    for (cell, count) in cells {
        add_cell(&mut area, cell, count.as_u64().unwrap_or(0));
    }
    area.worst_path_ps = worst_path(&std::fs::read_to_string(folder.join("timing.txt"))?);
    Ok(area)
}

fn add_cell(area: &mut Area, cell: &str, count: u64) {
    match cell {
        _ if cell.starts_with("LUT") || cell.starts_with("SRL") || cell == "INV" => area.lut += count,
        "RAM32X1D" | "RAM64X1D" => area.lut += 2 * count,
        _ if cell.starts_with("RAM32M") || cell.starts_with("RAM64M") => {
            area.lut += count
                * if cell.ends_with("16") || cell.ends_with('8') {
                    8
                } else {
                    4
                }
        }
        _ if cell.starts_with("FD") => area.ff += count,
        _ if cell.starts_with("DSP48") => area.dsp += count,
        _ if cell.starts_with("RAMB18") => area.bram18 += count,
        _ if cell.starts_with("RAMB36") => area.bram18 += 2 * count,
        "URAM288" => area.uram += count,
        _ => {}
    }
}

fn worst_path(timing: &str) -> u64 {
    timing
        .lines()
        .filter(|line| line.starts_with("Latest arrival time"))
        .filter_map(|line| line.rsplit(' ').next()?.trim_end_matches(':').parse().ok())
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_resources() {
        let mut area = Area::default();
        let cells = [
            ("LUT6", 3),
            ("FDRE", 5),
            ("DSP48E1", 2),
            ("RAMB36E2", 1),
            ("RAMB18E2", 1),
            ("URAM288", 4),
            ("RAM32M16", 1),
        ];
        cells
            .iter()
            .for_each(|(cell, count)| add_cell(&mut area, cell, *count));
        assert_eq!(
            area,
            Area {
                lut: 11,
                ff: 5,
                dsp: 2,
                bram18: 3,
                uram: 4,
                worst_path_ps: 0
            }
        );
    }

    fn module(name: &str, text: &str) -> Module {
        Module {
            name: name.into(),
            text: text.into(),
            origin: name.into(),
        }
    }

    #[test]
    fn a_block_comes_with_what_is_below_it_only() {
        let design = Design {
            top: "Top".into(),
            ports: vec![],
            modules: vec![
                module("Cell", "module Cell (a);\nendmodule\n"),
                module("Left", "module Left (a);\n    Cell cell_0 (\n);\nendmodule\n"),
                module("Right", "module Right (a);\nendmodule\n"),
                module(
                    "Top",
                    "module Top (a);\n    Left l (\n);\n    Right r (\n);\nendmodule\n",
                ),
            ],
            externals: Default::default(),
        };
        let pairs = [("l", "Left"), ("r", "Right")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(blocks(&design), pairs);
        let left = closure(&design, "Left");
        assert!(
            left.contains("module Left") && left.contains("module Cell"),
            "{left}"
        );
        assert!(!left.contains("module Right"), "{left}");
    }

    #[test]
    fn the_longest_arrival_is_read() {
        assert_eq!(
            worst_path("x\nLatest arrival time in 'T' is 1671:\nLatest arrival time in 'U' is 20:\n"),
            1_671
        );
    }
}
