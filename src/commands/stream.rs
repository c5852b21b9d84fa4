//! `moevit stream`: frames back to back through the accelerator's frame queue.

use super::compile::load_images;
use super::engine::computer;
use super::frame::{describe, sha256};
use super::load_program;
use crate::arguments::StreamArguments;
use crate::{output, progress};
use anyhow::Result;
use moevit_sim::engine::prediction::Prediction;
use moevit_sim::engine::{frames_per_second, Runner};
use serde::Serialize;

/// What `moevit stream --json` prints.
#[derive(Debug, Serialize)]
struct StreamReport {
    engine: &'static str,
    config: String,
    clock_mhz_target: u32,
    frames: Vec<StreamedFrame>,
    /// Cycles of the first frame, which starts on an idle chip: the latency of a single frame.
    first_frame_cycles: u64,
    /// Mean cycles from the end of a frame to the end of the next; none for a single frame.
    steady_cycles: Option<f64>,
    /// What the steady cycles would be at the target clock: a target, not a measurement.
    frames_per_second_at_target: Option<f64>,
}

#[derive(Debug, Serialize)]
struct StreamedFrame {
    task: String,
    /// Cycles from the end of the frame before (the first: from its start) to its end.
    cycles: u64,
    bytes_read: u64,
    tokens_sha256: Option<String>,
    equals_reference: Option<bool>,
    prediction: Option<Prediction>,
}

pub fn stream(arguments: &StreamArguments) -> Result<()> {
    let compiled = load_program(&arguments.program)?;
    let tasks = arguments.tasks.iter().map(|task| compiled.task(task));
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let images = load_images(&arguments.images, &compiled.architecture)?;
    let turns = images.into_iter().cycle().zip(tasks.into_iter().cycle());
    let frames: Vec<_> = turns.take(arguments.frames as usize).collect();
    let computer = computer(arguments.engine, &compiled, arguments.memory.config(), None)?;
    let mut runner = Runner::new(compiled.clone(), computer);
    let bar = progress::cycles(arguments.engine.name().into(), arguments.json);
    let results = runner.stream(&frames, &mut |cycle| bar.set_position(cycle));
    bar.finish_and_clear();
    let results = results?;
    runner.finish()?;

    let architecture = &compiled.architecture;
    let mut streamed = Vec::new();
    for ((_, task), (frame, found)) in frames.iter().zip(&results) {
        let predict = |logits| Prediction::new(architecture, *task, logits);
        streamed.push(StreamedFrame {
            task: architecture.tasks[*task].name.clone(),
            cycles: found.cycles,
            bytes_read: found.bytes_read.iter().sum(),
            tokens_sha256: frame.integers.as_deref().map(sha256),
            equals_reference: frame.equals_reference,
            prediction: frame.logits.as_ref().map(predict).transpose()?,
        });
    }
    let config = &compiled.program.config;
    let later = &results[1..];
    let steady_cycles = (!later.is_empty())
        .then(|| later.iter().map(|(_, found)| found.cycles).sum::<u64>() as f64 / later.len() as f64);
    let report = StreamReport {
        engine: arguments.engine.name(),
        config: config.name.clone(),
        clock_mhz_target: config.clock_mhz_target,
        first_frame_cycles: results[0].1.cycles,
        steady_cycles,
        frames_per_second_at_target: steady_cycles.map(|cycles| frames_per_second(config, cycles)),
        frames: streamed,
    };
    match arguments.json {
        true => output::print_json(&report),
        false => output::print(&report.text()),
    }
}

impl StreamReport {
    fn text(&self) -> String {
        let number = |n: u64| output::thousands(n);
        let titles = ["frame", "task", "cycles", "bytes read", "prediction"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        rows.extend(self.frames.iter().enumerate().map(|(i, frame)| {
            vec![
                i.to_string(),
                frame.task.clone(),
                number(frame.cycles),
                number(frame.bytes_read),
                frame.prediction.as_ref().map(describe).unwrap_or_default(),
            ]
        }));
        let mut text = format!(
            "{} on {}, bits equal to the integer reference\n\n",
            self.engine, self.config
        );
        text += &output::table(&rows);
        text += &format!(
            "\nfirst frame   {} cycles from its start to its end\n",
            number(self.first_frame_cycles)
        );
        if let (Some(cycles), Some(rate)) = (self.steady_cycles, self.frames_per_second_at_target) {
            text += &format!(
                "then          {} cycles a frame: {rate:.1} frames/s at the target clock of {} MHz (a target, not a measurement)\n",
                number(cycles.round() as u64),
                self.clock_mhz_target
            );
        }
        text
    }
}
