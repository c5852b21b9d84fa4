//! The report's tables, and the text for a terminal.

use super::Report;
use crate::commands::area;
use crate::output::{table, thousands};
use crate::row;
use moevit_hw::activity::Array;
use moevit_hw::control::command::Unit;
use moevit_sim::report::area::ZU7EV;
use moevit_sim::report::document::{FrameCosts, Source};
use moevit_sim::report::layers::Layer;

/// Rows of cells; the first one is the head.
pub type Rows = Vec<Vec<String>>;

impl Report {
    pub fn text(&self) -> String {
        let mut text = self.heading() + "\n" + &table(&self.figures());
        text += &format!(
            "\nCycles by kind of layer, {}\n{}",
            self.source(),
            table(&layers(&self.frame.best().kinds))
        );
        text += &format!("\nOn-chip memories, words\n{}", table(&self.memories()));
        if let Some(blocks) = &self.area {
            text += &format!("\nArea\n{}{}", table(&blocks.rows()), area::NOTE);
        }
        let files: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        text + &format!("\nwritten: {}\n", files.join(", "))
    }

    pub fn heading(&self) -> String {
        let frame = &self.frame;
        format!(
            "{}, task {}, on {}; weights {}; memory of {} bytes a cycle, first beat after {} cycles\n",
            frame.model,
            frame.task,
            frame.config,
            self.weights,
            frame.memory_bytes_per_cycle,
            frame.memory_first_beat_cycles
        )
    }

    pub fn source(&self) -> &'static str {
        match self.frame.best().source {
            Source::Simulated => "simulated",
            Source::Modelled => "modelled",
        }
    }

    /// The frame's figures, simulated and modelled side by side.
    pub fn figures(&self) -> Rows {
        let frame = &self.frame;
        let columns: Vec<&FrameCosts> = frame.simulated.iter().chain([&frame.modelled]).collect();
        let line = |name: String, value: &dyn Fn(&FrameCosts) -> String| {
            let mut row = vec![name];
            row.extend(columns.iter().map(|costs| value(costs)));
            row
        };
        let mut rows = vec![line("figure".into(), &|costs| match costs.source {
            Source::Simulated => "simulated".into(),
            Source::Modelled => "modelled".into(),
        })];
        rows.push(line("cycles".into(), &|costs| thousands(costs.cycles)));
        let clock = frame.clock_mhz_target;
        rows.push(line(format!("frames/s at {clock} MHz (a target)"), &|costs| {
            format!("{:.1}", costs.frames_per_second_at_target)
        }));
        rows.push(line(format!("GOP/s at {clock} MHz (a target)"), &|costs| {
            format!("{:.1}", costs.gops_at_target)
        }));
        rows.push(line("array utilisation".into(), &|costs| {
            percent(costs.mac_utilisation)
        }));
        for array in Array::ALL {
            let name = format!("array {}", array.name());
            rows.push(line(name, &|costs| {
                of_cycles(costs.array[array.name()], costs.cycles)
            }));
        }
        for unit in Unit::ALL {
            let name = format!("{} has a command", unit.name());
            rows.push(line(name, &|costs| {
                of_cycles(costs.units[unit.name()], costs.cycles)
            }));
        }
        rows.push(line("bytes read".into(), &|costs| thousands(costs.bytes_read)));
        let mut counted = |name: String, value: String| rows.push(vec![name, value]);
        for (cause, &cycles) in frame.stall_cycles.iter().flatten() {
            counted(
                format!("counter STALL_{}", cause.to_uppercase()),
                of_cycles(cycles, frame.best().cycles),
            );
        }
        for (port, &bytes) in frame.bytes_by_port.iter().flatten().enumerate() {
            counted(format!("bytes read over port {port}"), thousands(bytes));
        }
        if let Some(bytes) = frame.bytes_written {
            counted("bytes written".into(), thousands(bytes));
        }
        if let Some(rate) = frame.gops_per_dsp_at_target {
            counted("GOP/s a DSP of the whole design".into(), format!("{rate:.3}"));
        }
        if let Some(error) = frame.model_error {
            counted(
                "error of the model's cycles".into(),
                format!("{:+.2} %", 100.0 * error),
            );
        }
        rows
    }

    /// How full each memory gets.
    pub fn memories(&self) -> Rows {
        let mut rows = vec![row!["memory", "used", "there are", ""]];
        let mut push = |name: &str, used: u64, words: u64| {
            let share = percent(used as f64 / words.max(1) as f64);
            rows.push(row![name, thousands(used), thousands(words), share]);
        };
        let best = self.frame.best();
        push(
            "weight buffer, peak",
            best.weight_buffer_peak,
            self.frame.weight_buffer_words,
        );
        push(
            "weight buffer, mean",
            best.weight_buffer_mean as u64,
            self.frame.weight_buffer_words,
        );
        for memory in &self.frame.occupancy {
            push(memory.memory, memory.used_words, memory.words);
        }
        rows
    }

    /// One line on the device.
    pub fn device(&self) -> Option<String> {
        let sum = self.area.as_ref()?.sum();
        let share = |used: u64, all: u64| percent(used as f64 / all as f64);
        Some(format!(
            "Of a ZU7EV: {} LUT ({}, estimated), {} FF ({}, estimated), {} DSP ({}, counted), {:.1} BRAM36 ({}, counted), {} URAM ({}, counted).",
            thousands(sum.lut),
            share(sum.lut, ZU7EV.lut),
            thousands(sum.ff),
            share(sum.ff, ZU7EV.ff),
            thousands(sum.dsp),
            share(sum.dsp, ZU7EV.dsp),
            sum.bram18 as f64 / 2.0,
            share(sum.bram18, ZU7EV.bram18),
            sum.uram,
            share(sum.uram, ZU7EV.uram)
        ))
    }
}

/// A row for each layer: cycles of the array, then what other units do for it beside.
pub fn layers(layers: &[Layer]) -> Rows {
    let others: Vec<Unit> = Unit::ALL
        .into_iter()
        .filter(|&unit| unit != Unit::Array)
        .collect();
    let mut head = row!["layer", "MACs", "stream bytes", "cycles"];
    head.extend(Array::ALL.iter().map(|array| array.name().to_owned()));
    head.extend(others.iter().map(|unit| unit.name().to_owned()));
    let mut rows = vec![head];
    let number = |value: Option<&u64>| value.map_or(String::new(), |&value| thousands(value));
    for layer in layers {
        let mut row = row![
            layer.name,
            thousands(layer.macs),
            thousands(layer.bytes),
            thousands(layer.cycles)
        ];
        row.extend(
            Array::ALL
                .iter()
                .map(|array| number(layer.array.get(array.name()))),
        );
        row.extend(others.iter().map(|unit| number(layer.units.get(unit.name()))));
        rows.push(row);
    }
    let sum = |value: &dyn Fn(&Layer) -> u64| thousands(layers.iter().map(value).sum());
    let mut all = row![
        "all",
        sum(&|layer| layer.macs),
        sum(&|layer| layer.bytes),
        sum(&|layer| layer.cycles)
    ];
    for array in Array::ALL {
        all.push(sum(&|layer| layer.array.get(array.name()).copied().unwrap_or(0)));
    }
    rows.push(all);
    rows
}

fn of_cycles(part: u64, cycles: u64) -> String {
    format!(
        "{} ({})",
        thousands(part),
        percent(part as f64 / cycles.max(1) as f64)
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
