//! `moevit demo`, also without a command: the embedded model through the circuits, for every task.

use super::engine::computer;
use super::export::{self, Exported};
use super::frame::FrameReport;
use crate::arguments::DemoArguments;
use crate::embedded::{demonstration, sample, Demonstration, Sample};
use crate::output::{self, thousands};
use crate::{picture, progress};
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_sim::compiler::{self, Options};
use moevit_sim::engine::judge::judge;
use moevit_sim::engine::prediction::Prediction;
use moevit_sim::engine::{Compiled, Runner};
use moevit_sim::memory::MemoryConfig;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The configuration that a laptop simulates in seconds.
const CONFIG: &str = "nano";

/// What `moevit demo --json` prints.
#[derive(Serialize)]
struct Report {
    image: usize,
    digit: usize,
    frames: Vec<FrameReport>,
    task_switch: TaskSwitch,
    verilog: Exported,
}

/// What changes between frames of different tasks.
#[derive(Serialize)]
struct TaskSwitch {
    /// Bytes of the program in the board's memory, written before the first frame and not touched again.
    program_bytes: usize,
    /// Registers that differ between the frames.
    registers: [&'static str; 1],
    /// Of each frame.
    bytes_read: Vec<Option<u64>>,
    cycles: Vec<Option<u64>>,
}

pub fn demo(arguments: &DemoArguments) -> Result<()> {
    let say = |text: &str| {
        if arguments.json {
            Ok(())
        } else {
            output::print(text)
        }
    };
    let config = AccelConfig::named(CONFIG)?;
    let demo = demonstration()?;
    let sample = sample(arguments.image, &demo.architecture)?;
    let started = Instant::now();
    let compiled = Arc::new(compile(&config, demo)?);
    say(&introduction(&compiled, &sample, arguments.image, started))?;
    let frames = frames(arguments, &compiled, &sample, &say)?;
    let task_switch = TaskSwitch::new(&compiled, &frames);
    say(&task_switch.text(&frames))?;
    let verilog = export::write(&config, &arguments.out)?;
    say(&format!("Verilog\n  {}", verilog.text()))?;
    if !arguments.json {
        return Ok(());
    }
    output::print_json(&Report {
        image: arguments.image,
        digit: sample.digit,
        frames,
        task_switch,
        verilog,
    })
}

fn compile(config: &AccelConfig, demo: Demonstration) -> Result<Compiled> {
    let options = Options {
        checkpoint: Some(demo.checkpoint),
    };
    let program = compiler::compile(
        config,
        &demo.architecture,
        &demo.model,
        &demo.calibration,
        &options,
    )?;
    Compiled::new(program)
}

fn introduction(compiled: &Compiled, sample: &Sample, index: usize, started: Instant) -> String {
    let (config, program) = (&compiled.program.config, &compiled.program);
    format!(
        "moevit: a Mixture-of-Experts Vision Transformer with {} tasks on configuration {} ({} x {} array)\n\
         compiled in {:.1} s: {} commands, {} bytes\n\n{}\n",
        compiled.architecture.tasks.len(),
        config.name,
        config.rows,
        config.columns,
        started.elapsed().as_secs_f64(),
        program.meta.command_count,
        thousands(program.payload.len() as u64),
        picture::side_by_side(&[(
            &format!("image {index}, a noisy {}", sample.digit),
            picture::shades(&sample.image)
        )])
    )
}

/// The same image for every task, on one computer.
fn frames(
    arguments: &DemoArguments,
    compiled: &Arc<Compiled>,
    sample: &Sample,
    say: &dyn Fn(&str) -> Result<()>,
) -> Result<Vec<FrameReport>> {
    let computer = computer(arguments.engine, compiled, MemoryConfig::default(), None)?;
    let mut runner = Runner::new(compiled.clone(), computer);
    let quiet = arguments.json || !arguments.engine.is_device();
    let mut reports = Vec::new();
    for (task, spec) in compiled.architecture.tasks.iter().enumerate() {
        let bar = progress::cycles(format!("{} {}", arguments.engine.name(), spec.name), quiet);
        let frame = runner.frame(&sample.image, task, &mut |cycle| bar.set_position(cycle));
        bar.finish_and_clear();
        let frame = frame?;
        let judgement = judge(compiled.require_golden()?, &sample.image, task, &frame)?;
        let report = FrameReport::new(arguments.engine.name(), compiled, task, &frame, Some(&judgement))?;
        say(&(report.text() + &cells_beside_golden(&report) + "\n"))?;
        reports.push(report);
    }
    runner.finish()?;
    Ok(reports)
}

/// The pictures of a dense task.
fn cells_beside_golden(report: &FrameReport) -> String {
    let golden = report.golden.as_ref().map(|golden| &golden.prediction);
    match (&report.prediction, golden) {
        (Some(Prediction::Cells { labels: ours, .. }), Some(Prediction::Cells { labels: golden, .. })) => {
            let pictures = [
                (report.engine, picture::marks(ours)),
                ("golden", picture::marks(golden)),
            ];
            format!("\n{}", picture::side_by_side(&pictures))
        }
        _ => String::new(),
    }
}

impl TaskSwitch {
    fn new(compiled: &Compiled, frames: &[FrameReport]) -> Self {
        let read = |frame: &FrameReport| frame.bytes_read.as_ref().map(|ports| ports.iter().sum());
        Self {
            program_bytes: compiled.program.payload.len(),
            registers: ["TASK"],
            bytes_read: frames.iter().map(read).collect(),
            cycles: frames.iter().map(|frame| frame.cycles).collect(),
        }
    }

    fn text(&self, frames: &[FrameReport]) -> String {
        let mut text = format!(
            "task switch\n  {} bytes of program went to the board's memory once; between the frames only register {} changed\n",
            thousands(self.program_bytes as u64),
            self.registers[0]
        );
        for ((frame, bytes), cycles) in frames.iter().zip(&self.bytes_read).zip(&self.cycles) {
            if let (Some(bytes), Some(cycles)) = (bytes, cycles) {
                let (bytes, cycles) = (thousands(*bytes), thousands(*cycles));
                text += &format!("  {:12}  {bytes} bytes read, {cycles} cycles\n", frame.task);
            }
        }
        text + "\n"
    }
}
