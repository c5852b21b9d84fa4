//! Area estimates: a block of the exported Verilog through Yosys for UltraScale+, cached by content.
//!
//! LUT, FF and the longest path are **estimates** (no place and route). The path has 7-series cell delays and no routing; shift
//! registers are timed as their last flip-flop; block memories end a path, and one that starts there or at an input of the block
//! starts at time zero; a path ends at a DSP and none is seen that starts at one. DSP and memory counts are read from the mapped netlist; DSP48E2 instances as such,
//! inferred multipliers as DSP48E1 with the DSP48E2's 27 x 18 bits.
//!
//! Modules with many instances ([`parts`]) are synthesised once and are black boxes in their parents. Paths across such a
//! boundary are not seen; these cells have registers there.

use anyhow::{bail, Context, Result};
use moevit_hw::array::mac_pair::PRIMITIVE_MACRO;
use moevit_hw::verilog::{Design, Module};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = include_str!("ultrascale.ys");
/// Stand-ins of the timing step, beside the script as `timing.v`.
const STAND_INS: &str = include_str!("timing.v");
/// How a product becomes a DSP, beside the script as `multiplier.v`.
const MULTIPLIER: &str = include_str!("multiplier.v");
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
    /// Where it starts: a register, an input or a cell's output.
    pub path_start: String,
    /// Where it ends; empty at a DSP or at an unused output of a carry chain.
    pub path_end: String,
}

/// What a Zynq UltraScale+ ZU7EV, the ZCU104's device, has (AMD DS891).
pub const ZU7EV: Area = Area {
    lut: 230_400,
    ff: 460_800,
    dsp: 1_728,
    bram18: 624,
    uram: 96,
    worst_path_ps: 0,
    path_start: String::new(),
    path_end: String::new(),
};

/// A module to synthesise by itself, and how many of it the design has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub module: String,
    /// Values of its parameters: `WIDTH = 8, DEPTH = 4`; empty for a module without any.
    pub parameters: String,
    pub count: u64,
    /// Modules below it that are parts of their own.
    pub boxes: Vec<String>,
}

impl Part {
    /// What a table calls it.
    pub fn name(&self) -> String {
        match self.parameters.is_empty() {
            true => self.module.clone(),
            false => format!("{} ({})", self.module, self.parameters),
        }
    }
}

/// Synthesises a part of `verilog` with the Yosys at `yosys`; results are kept in `cache`.
pub fn estimate(yosys: &Path, cache: &Path, verilog: &str, part: &Part) -> Result<Area> {
    let script = script(part);
    let folder = cache.join(key(verilog, &script));
    let result = folder.join("result.json");
    if let Ok(text) = std::fs::read_to_string(&result) {
        return serde_json::from_str(&text)
            .with_context(|| format!("{} is not an area result", result.display()));
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    run_yosys(yosys, &folder, verilog, &script, &part.module)?;
    let area = read_reports(&folder, &part.module)?;
    std::fs::write(&result, serde_json::to_string(&area)?)?;
    Ok(area)
}

impl Area {
    /// `count` blocks like this one.
    pub fn times(&self, count: u64) -> Area {
        Area {
            lut: self.lut * count,
            ff: self.ff * count,
            dsp: self.dsp * count,
            bram18: self.bram18 * count,
            uram: self.uram * count,
            ..self.clone()
        }
    }

    /// Both blocks together; the longest path is the longer one.
    pub fn beside(&self, other: &Area) -> Area {
        let longer = if other.worst_path_ps > self.worst_path_ps {
            other
        } else {
            self
        };
        Area {
            lut: self.lut + other.lut,
            ff: self.ff + other.ff,
            dsp: self.dsp + other.dsp,
            bram18: self.bram18 + other.bram18,
            uram: self.uram + other.uram,
            ..longer.clone()
        }
    }
}

/// From this number of instances on, a module is synthesised once and multiplied.
const MANY_INSTANCES: u64 = 8;

/// An instantiation or an array of them, as a line of Verilog says it.
#[derive(PartialEq, Eq, Hash, Clone, Debug)]
struct Instances {
    module: String,
    parameters: String,
    count: u64,
}

/// What is synthesised: the children of the top module, and below them the modules with many instances. Those with parameters
/// (queues, memories, delay lines) are small and stay in their parents, where shift registers merge.
pub fn parts(design: &Design) -> Vec<Part> {
    let names: HashSet<&str> = design.modules.iter().map(|m| m.name.as_str()).collect();
    let children: HashMap<&str, Vec<Instances>> = design
        .modules
        .iter()
        .map(|m| {
            (
                m.name.as_str(),
                m.text
                    .lines()
                    .filter_map(|line| instances(line, &names))
                    .collect(),
            )
        })
        .collect();
    let mut counts: HashMap<&str, u64> = HashMap::from([(design.top.as_str(), 1)]);
    // Parents stand after their children.
    for module in design.modules.iter().rev() {
        let own = counts.get(module.name.as_str()).copied().unwrap_or(0);
        for child in &children[module.name.as_str()] {
            *counts.entry(&child.module).or_default() += own * child.count;
        }
    }
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    let is_many = |m: &Module| count(&m.name) >= MANY_INSTANCES && !m.text.contains("#(parameter ");
    let boxes: HashSet<&str> = design
        .modules
        .iter()
        .filter(|m| is_many(m))
        .map(|m| m.name.as_str())
        .collect();
    let part = |module: &str, parameters: &str, count| Part {
        module: module.to_owned(),
        parameters: parameters.to_owned(),
        count,
        boxes: below(design, module)
            .filter(|name| *name != module && boxes.contains(name))
            .map(str::to_owned)
            .collect(),
    };
    let parts_of = |m: &Module| -> Vec<Part> {
        if boxes.contains(m.name.as_str()) {
            return vec![part(&m.name, "", count(&m.name))];
        }
        let mut parts: Vec<Part> = vec![];
        for child in children[design.top.as_str()]
            .iter()
            .filter(|child| child.module == m.name)
        {
            match parts.iter_mut().find(|part| part.parameters == child.parameters) {
                Some(part) => part.count += child.count,
                None => parts.push(part(&m.name, &child.parameters, child.count)),
            }
        }
        parts
    };
    design.modules.iter().flat_map(parts_of).collect()
}

/// `Module instance (`, `Module #(.WIDTH(8)) instance (` or `Module instance [7:0] (` at the start of an instantiation.
fn instances(line: &str, modules: &HashSet<&str>) -> Option<Instances> {
    let (module, rest) = line.trim_start().split_once(' ')?;
    let (parameters, rest) = match rest.strip_prefix("#(") {
        Some(rest) => rest.split_once(")) ")?,
        None => ("", rest),
    };
    let assign = |one: &str| {
        one.trim_start_matches('.')
            .trim_end_matches(')')
            .replace('(', " = ")
    };
    let parameters: Vec<_> = parameters
        .split(", ")
        .filter(|one| !one.is_empty())
        .map(assign)
        .collect();
    let mut words = rest.split_whitespace();
    let (name, next) = (words.next()?, words.next().unwrap_or(""));
    let last = next.strip_prefix('[').and_then(|range| range.split_once(':'));
    let count = match last {
        Some((last, _)) => last.parse::<u64>().ok()? + 1,
        None => 1,
    };
    (modules.contains(module) && !name.starts_with('(')).then(|| Instances {
        module: module.to_owned(),
        parameters: parameters.join(", "),
        count,
    })
}

/// A module and every module below it, in the design's order.
fn below<'a>(design: &'a Design, module: &'a str) -> impl Iterator<Item = &'a str> {
    let by_name: HashMap<&str, &Module> = design.modules.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut wanted = HashSet::from([module]);
    let mut open = vec![module];
    while let Some(found) = open.pop().and_then(|name| by_name.get(name)) {
        let words = found.text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let modules = words
            .filter_map(|word| by_name.get(word))
            .map(|m| m.name.as_str());
        open.extend(modules.filter(|name| wanted.insert(name)));
    }
    design
        .modules
        .iter()
        .map(|m| m.name.as_str())
        .filter(move |name| wanted.contains(name))
}

/// The text of a part's module and of every module below it, so that changes elsewhere leave its estimate in the cache. The
/// module's parameters have the part's values as defaults.
pub fn closure(design: &Design, part: &Part) -> String {
    let wanted: HashSet<&str> = below(design, &part.module).collect();
    let externals = design.externals.values().cloned();
    let modules = design.modules.iter().filter(|m| wanted.contains(m.name.as_str()));
    let text = |m: &Module| match m.name == part.module {
        true => with_values(&m.text, &part.parameters),
        false => m.text.clone(),
    };
    externals.chain(modules.map(text)).collect::<Vec<_>>().join("\n")
}

/// A module's text with other defaults of its parameters.
fn with_values(text: &str, parameters: &str) -> String {
    let mut text = text.to_owned();
    for (name, value) in parameters.split(", ").filter_map(|one| one.split_once(" = ")) {
        let head = format!("parameter {name} = ");
        if let Some(at) = text.find(&head).map(|at| at + head.len()) {
            let digits = text[at..].chars().take_while(char::is_ascii_digit).count();
            text.replace_range(at..at + digits, value);
        }
    }
    text
}

fn key(verilog: &str, script: &str) -> String {
    let mut hash = Sha256::new();
    [script, STAND_INS, MULTIPLIER, verilog]
        .iter()
        .for_each(|text| hash.update(text.as_bytes()));
    hash.finalize()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn script(part: &Part) -> String {
    let body = SCRIPT
        .replace("MODULE", &part.module)
        .replace("AREA", "area.json")
        .replace("TIMING", "timing.txt");
    let boxes: String = part
        .boxes
        .iter()
        .map(|name| format!("blackbox {name}\n"))
        .collect();
    // The multipliers are instances of the primitive, so that their number is counted and not guessed.
    let read = format!("read_verilog -DSYNTHESIS -D{PRIMITIVE_MACRO} design.v");
    format!("{read}\nhierarchy -top {}\n{boxes}{body}", part.module)
}

fn run_yosys(yosys: &Path, folder: &Path, verilog: &str, script: &str, module: &str) -> Result<()> {
    std::fs::write(folder.join("design.v"), verilog)?;
    std::fs::write(folder.join("timing.v"), STAND_INS)?;
    std::fs::write(folder.join("multiplier.v"), MULTIPLIER)?;
    std::fs::write(folder.join("script.ys"), script)?;
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
    add_path(&mut area, &std::fs::read_to_string(folder.join("timing.txt"))?);
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

/// Reads the first, longest path of `sta`'s report: delay, start and end.
fn add_path(area: &mut Area, timing: &str) {
    let mut lines = timing
        .lines()
        .skip_while(|line| !line.starts_with("Latest arrival time"));
    let head = lines.next().unwrap_or_default();
    let delay = head.rsplit(' ').next().unwrap_or_default().trim_end_matches(':');
    area.worst_path_ps = delay.parse().unwrap_or(0);
    // "delay cell (type.ports)", wires in between without a delay.
    let points: Vec<(&str, &str)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter(|(delay, _)| delay.parse::<u64>().is_ok())
        .map(|(_, point)| point.trim().rsplit_once(" (").unwrap_or(("", point)))
        .collect();
    let name = |point: &(&str, &str)| {
        let register = point.0.split("\\FD").next().unwrap_or_default();
        register.trim_start_matches('\\').replace(' ', "")
    };
    let is_clock = |point: &(&str, &str)| point.0.trim_start_matches('\\') == "clock";
    area.path_end = points.first().map(name).unwrap_or_default();
    area.path_start = points
        .iter()
        .rev()
        .find(|point| !is_clock(point))
        .map(name)
        .unwrap_or_default();
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
                ..Area::default()
            }
        );
    }

    fn module(name: &str, text: &str) -> Module {
        Module {
            name: name.into(),
            text: text.into(),
            origin: name.into(),
            source: None,
        }
    }

    #[test]
    fn a_block_comes_with_what_is_below_it_only() {
        let design = Design {
            top: "Top".into(),
            ports: vec![],
            modules: vec![
                module("Cell", "module Cell (a);\nendmodule\n"),
                module(
                    "Left",
                    &format!(
                        "module Left (a);\n{}endmodule\n",
                        "    Cell cells [3:0] (\n);\n".repeat(2)
                    ),
                ),
                module("Line", "module Line #(parameter WIDTH = 1, parameter CYCLES = 2) (a);\nendmodule\n"),
                module("Right", "module Right (a);\nendmodule\n"),
                module(
                    "Top",
                    "module Top (a);\n    Left l (\n);\n    Left m (\n);\n    Right r (\n);\n    \
                     Line #(.WIDTH(8), .CYCLES(3)) x (\n);\n    Line #(.WIDTH(8), .CYCLES(3)) y (\n);\nendmodule\n",
                ),
            ],
            externals: Default::default(),
        };
        let part = |module: &str, count, boxes: &[&str]| Part {
            module: module.into(),
            parameters: String::new(),
            count,
            boxes: boxes.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = [
            part("Cell", 16, &[]),
            part("Left", 2, &["Cell"]),
            Part {
                parameters: "WIDTH = 8, CYCLES = 3".into(),
                ..part("Line", 2, &[])
            },
            part("Right", 1, &[]),
        ];
        assert_eq!(parts(&design), expected);
        let line = closure(&design, &parts(&design)[2]);
        assert!(
            line.contains("#(parameter WIDTH = 8, parameter CYCLES = 3)"),
            "{line}"
        );
        let left = closure(&design, &part("Left", 2, &[]));
        assert!(
            left.contains("module Left") && left.contains("module Cell"),
            "{left}"
        );
        assert!(!left.contains("module Right"), "{left}");
    }

    const TIMING: &str = r"
Latest arrival time in 'Write' is 3089:
    3089 error_hi[29]\FDRE (FDRE.D)
           $abc$45985$aiger$o3412
    3089 $abc$45985$lut$aiger$o3412 (LUT3.I2->O)
           \offset_q [29]
     303 offset_q[29]\FDRE (FDRE.C->Q)
       0   \clock (<primary input>)

Arrival histogram:
(  3100,   2945] |*+
";

    #[test]
    fn the_longest_path_is_read_with_its_ends() {
        let mut area = Area::default();
        add_path(&mut area, TIMING);
        assert_eq!(area.worst_path_ps, 3_089);
        assert_eq!(
            (area.path_start.as_str(), area.path_end.as_str()),
            ("offset_q[29]", "error_hi[29]")
        );
        let from_input = TIMING
            .replace("     303 offset_q[29]\\FDRE (FDRE.C->Q)\n", "")
            .replace("\\clock", "\\z [1]")
            .replace("error_hi[29]\\FDRE (FDRE.D)", "(<unknown>)");
        add_path(&mut area, &from_input);
        assert_eq!((area.path_start.as_str(), area.path_end.as_str()), ("z[1]", ""));
    }

    #[test]
    fn blocks_beside_each_other_keep_the_longer_path() {
        let block = |ps, start: &str| Area {
            lut: 1,
            worst_path_ps: ps,
            path_start: start.into(),
            ..Area::default()
        };
        let both = block(5, "a").times(3).beside(&block(7, "b"));
        assert_eq!(
            both,
            Area {
                lut: 4,
                ..block(7, "b")
            }
        );
    }
}
