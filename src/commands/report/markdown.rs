//! `report.md`.

use super::text::{layers, Rows};
use super::Report;
use crate::commands::area;

impl Report {
    pub fn markdown(&self) -> String {
        let source = self.source();
        let best = self.frame.best();
        let mut text = format!("# Cost of a frame\n\n{}\n", self.heading());
        text += &format!("## Figures\n\n{}\n", table(&self.figures()));
        text += &format!(
            "## Timeline ({source})\n\n![Units over the cycles of the frame](timeline.svg)\n\nThe bar of a command reaches from the \
             cycle in which its unit could start it to the one in which it finished.\n\n"
        );
        text += &format!(
            "## Roofline ({source})\n\n![Multiply-accumulates a cycle over multiply-accumulates a byte](roofline.svg)\n\n\
             Kinds of layers that read the weight stream; products of operands that are both on the chip have no bytes. A point above the slope \
             computes with weights that were fetched ahead of it.\n\n"
        );
        text += &format!(
            "## Cycles by kind of layer ({source})\n\n{LAYERS}\n\n{}\n",
            table(&layers(&best.kinds))
        );
        text += &format!("## On-chip memories, words\n\n{}\n", table(&self.memories()));
        if let (Some(blocks), Some(device)) = (&self.area, self.device()) {
            text += &format!(
                "## Area\n\n{device}\n\n{}\n{}\n",
                table(&blocks.rows()),
                area::NOTE
            );
        }
        text + &format!(
            "## Cycles by layer ({source})\n\n{}",
            table(&layers(&best.layers))
        )
    }
}

const LAYERS: &str = "`cycles` are those of the array for the layer and its waiting before; together they are the frame, and the \
                      columns to `syncs` say what it did. The columns behind are cycles of other units, beside the array.";

fn table(rows: &Rows) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = (0..columns).map(|column| row.get(column).map_or("", String::as_str));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let Some((head, body)) = rows.split_first() else {
        return String::new();
    };
    let rule = format!("|{}\n", "---:|".repeat(columns).replacen("---:|", "---|", 1));
    line(head) + &rule + &body.iter().map(line).collect::<String>()
}
