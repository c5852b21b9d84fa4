//! A frame as JSON and as text: prediction, distance from the golden model, cycles.

use crate::output::thousands;
use anyhow::Result;
use moevit_sim::engine::judge::{Closeness, Judgement};
use moevit_sim::engine::prediction::Prediction;
use moevit_sim::engine::{frames_per_second, Compiled, Frame};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What `moevit run --json` prints.
#[derive(Debug, Serialize)]
pub struct FrameReport {
    pub engine: &'static str,
    pub config: String,
    pub task: String,
    pub task_number: usize,
    /// Cycles of the frame; none for engines without a clock.
    pub cycles: Option<u64>,
    /// Simulated cycles a second on this computer.
    pub simulated_cycles_per_second: Option<f64>,
    pub clock_mhz_target: u32,
    /// What the cycles would be at the target clock: a target, not a measurement.
    pub frames_per_second_at_target: Option<f64>,
    /// Multiply-accumulates of the network.
    pub macs: u64,
    /// Their share of what the array could do in the cycles.
    pub mac_utilisation: Option<f64>,
    /// Share of the cycles in which the array took a step.
    pub streaming_utilisation: Option<f64>,
    pub cycles_by_unit: Option<BTreeMap<String, u64>>,
    pub stall_cycles: Option<BTreeMap<String, u64>>,
    pub bytes_read: Option<Vec<u64>>,
    pub bytes_written: Option<u64>,
    pub skipped_experts: Option<u64>,
    /// SHA-256 of the integer tokens, i16 little-endian, rows of channels.
    pub tokens_sha256: Option<String>,
    /// Share of the integers of all layers that were cut to their range; calibration images unlike this one raise it.
    pub saturated_share: Option<f64>,
    /// Whether every integer equals the reference's.
    pub equals_reference: Option<bool>,
    pub prediction: Option<Prediction>,
    pub golden: Option<GoldenReport>,
}

/// The frame beside the golden model.
#[derive(Debug, Serialize)]
pub struct GoldenReport {
    pub prediction: Prediction,
    /// Golden replayed with the engine's choices of experts: quantisation only.
    pub same_routes: Closeness,
    /// Golden on its own choices.
    pub free: Closeness,
    /// Share of tokens and blocks at which both chose the same experts.
    pub equal_routes: f64,
}

impl FrameReport {
    pub fn new(
        engine: &'static str,
        compiled: &Compiled,
        task: usize,
        frame: &Frame,
        judgement: Option<&Judgement>,
    ) -> Result<Self> {
        let (config, architecture) = (&compiled.program.config, &compiled.architecture);
        let (macs, cycles) = (compiled.macs(task)?, frame.cycles.as_ref());
        let predict = |logits| Prediction::new(architecture, task, logits);
        let golden = judgement.map(|judgement| {
            Ok::<_, anyhow::Error>(GoldenReport {
                prediction: predict(&judgement.golden.logits)?,
                same_routes: judgement.same_routes,
                free: judgement.free,
                equal_routes: judgement.routes.share(),
            })
        });
        Ok(Self {
            engine,
            config: config.name.clone(),
            task: architecture.tasks[task].name.clone(),
            task_number: task,
            cycles: cycles.map(|c| c.total),
            simulated_cycles_per_second: frame.simulation_speed(),
            clock_mhz_target: config.clock_mhz_target,
            frames_per_second_at_target: cycles.map(|c| frames_per_second(config, c.total as f64)),
            macs,
            mac_utilisation: cycles.map(|c| share(macs, c.total * config.macs_per_cycle() as u64)),
            streaming_utilisation: cycles.map(|c| share(c.streaming, c.total)),
            cycles_by_unit: cycles.map(|c| c.by_unit.clone()),
            stall_cycles: cycles.map(|c| c.stalls.clone()),
            bytes_read: cycles.map(|c| c.bytes_read.clone()),
            bytes_written: cycles.map(|c| c.bytes_written),
            skipped_experts: cycles.map(|c| c.skipped_experts),
            tokens_sha256: frame.integers.as_deref().map(sha256),
            saturated_share: frame.saturated_share,
            equals_reference: frame.equals_reference,
            prediction: frame.logits.as_ref().map(predict).transpose()?,
            golden: golden.transpose()?,
        })
    }

    /// The report in lines of text.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "task {} ({}), {} on {}",
            self.task_number, self.task, self.engine, self.config
        )];
        lines.extend(self.prediction_line());
        lines.extend(self.golden.iter().flat_map(golden_lines));
        if self.equals_reference == Some(true) {
            lines.push("  bits          equal to the integer reference".into());
        }
        lines.extend(self.cycle_lines());
        lines.extend(self.simulation_line());
        lines.push(format!(
            "  work          {} multiply-accumulates",
            thousands(self.macs)
        ));
        lines.extend(
            self.saturated_share
                .map(|share| format!("  saturated     {:.3} % of all layers' integers", 100.0 * share)),
        );
        lines.extend(
            self.tokens_sha256
                .iter()
                .map(|hash| format!("  tokens        sha256 {hash}")),
        );
        lines.join("\n") + "\n"
    }

    fn prediction_line(&self) -> Option<String> {
        let golden = self
            .golden
            .as_ref()
            .map(|g| format!("   golden {}", describe(&g.prediction)));
        let ours = self.prediction.as_ref()?;
        Some(format!(
            "  prediction    {} {}{}",
            self.engine,
            describe(ours),
            golden.unwrap_or_default()
        ))
    }

    fn simulation_line(&self) -> Option<String> {
        let (cycles, speed) = (self.cycles?, self.simulated_cycles_per_second?);
        Some(format!(
            "  simulation    {} cycles/s, {:.1} s",
            thousands(speed as u64),
            cycles as f64 / speed
        ))
    }

    fn cycle_lines(&self) -> Vec<String> {
        let (Some(cycles), Some(fps), Some(utilisation)) = (
            self.cycles,
            self.frames_per_second_at_target,
            self.mac_utilisation,
        ) else {
            return Vec::new();
        };
        let counts = |title: &str, counters: &Option<BTreeMap<String, u64>>| {
            let counters = counters.iter().flatten();
            let counters = counters
                .map(|(name, &n)| format!("{name} {} ({:.0} %)", thousands(n), 100.0 * share(n, cycles)));
            format!("  {title:12}  {}", counters.collect::<Vec<_>>().join(", "))
        };
        let read: u64 = self.bytes_read.iter().flatten().sum();
        let streaming = 100.0 * self.streaming_utilisation.unwrap_or(0.0);
        vec![
            format!(
                "  cycles        {}: {fps:.1} frames/s at the target clock of {} MHz (a target, not a measurement)",
                thousands(cycles),
                self.clock_mhz_target
            ),
            format!("  array         streams {streaming:.1} % of the cycles, does {:.1} % of its multiply-accumulates", 100.0 * utilisation),
            counts("busy", &self.cycles_by_unit),
            counts("waiting", &self.stall_cycles),
            format!(
                "  memory        {} bytes read, {} written, {} expert fetches skipped",
                thousands(read),
                thousands(self.bytes_written.unwrap_or(0)),
                self.skipped_experts.unwrap_or(0)
            ),
        ]
    }
}

fn golden_lines(golden: &GoldenReport) -> Vec<String> {
    let line = |title: &str, closeness: &Closeness| {
        let tokens = closeness.tokens;
        let outputs = closeness
            .logits
            .map(|d| format!("; outputs' largest error {:.4}", d.max_abs_error));
        format!(
            "  {title:12}  tokens' cosine with golden {:.5}, largest error {:.4}{}",
            tokens.cosine,
            tokens.max_abs_error,
            outputs.unwrap_or_default()
        )
    };
    vec![
        line("same routes", &golden.same_routes),
        line("free", &golden.free),
        format!(
            "  routes        {:.2} % equal golden's",
            100.0 * golden.equal_routes
        ),
    ]
}

/// A prediction in a few words.
pub fn describe(prediction: &Prediction) -> String {
    match prediction {
        Prediction::Class { class, confidence } => format!("{class} ({:.1} %)", 100.0 * confidence),
        Prediction::Cells { labels, confidence } => {
            let cells = labels.iter().flatten();
            let marked = cells.filter(|&&label| label != 0).count();
            let (rows, columns) = (labels.len(), labels.first().map_or(0, Vec::len));
            format!(
                "{rows} x {columns} cells, {marked} not 0 ({:.1} %)",
                100.0 * confidence
            )
        }
        Prediction::Features { tokens, width } => format!("{tokens} x {width} features"),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

pub fn sha256(values: &[i16]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
