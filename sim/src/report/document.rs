//! The report of a frame, as data: what was simulated, modelled, counted or estimated, and by how much the model is off.

use super::layers::{kind, layers, without_heads, Layer};
use super::timeline::Timeline;
use crate::engine::{frames_per_second, Compiled, Cycles};
use crate::memory::{MemoryConfig, BEAT_BYTES};
use crate::reference::occupancy;
use anyhow::Result;
use moevit_hw::activity::Array;
use moevit_hw::control::command::Unit;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the figures of a frame come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Cycle by cycle on the circuits.
    Simulated,
    /// By the analytical model.
    Modelled,
}

/// A frame's cycles.
#[derive(Clone, Debug, Serialize)]
pub struct FrameCosts {
    pub source: Source,
    pub cycles: u64,
    /// At the target clock, which is no result.
    pub frames_per_second_at_target: f64,
    /// Multiply-accumulates of the network in the cycles, of what the array could do.
    pub mac_utilisation: f64,
    /// Two operations a multiply-accumulate, at the target clock.
    pub gops_at_target: f64,
    /// Cycles by what the array does; together the frame.
    pub array: BTreeMap<&'static str, u64>,
    /// Cycles in which each unit had a command.
    pub units: BTreeMap<&'static str, u64>,
    pub bytes_read: u64,
    /// Most words in the weight buffer, and their mean.
    pub weight_buffer_peak: u64,
    pub weight_buffer_mean: f64,
    /// What blocks have in common, added up.
    pub kinds: Vec<Layer>,
    pub layers: Vec<Layer>,
}

/// A memory on the chip.
#[derive(Clone, Debug, Serialize)]
pub struct Occupancy {
    pub memory: &'static str,
    pub used_words: u64,
    pub words: u64,
}

/// The report of a frame.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    pub config: String,
    pub model: String,
    pub task: String,
    pub macs: u64,
    pub clock_mhz_target: u32,
    pub macs_per_cycle: u64,
    pub weight_buffer_words: u64,
    pub memory_bytes_per_cycle: u32,
    pub memory_first_beat_cycles: u32,
    pub simulated: Option<FrameCosts>,
    pub modelled: FrameCosts,
    /// The model's cycles over the simulated ones, minus 1.
    pub model_error: Option<f64>,
    /// The accelerator's own counters of the simulated frame.
    pub stall_cycles: Option<BTreeMap<String, u64>>,
    pub bytes_by_port: Option<Vec<u64>>,
    pub bytes_written: Option<u64>,
    /// Memories that commands address, as far as the program uses them.
    pub occupancy: Vec<Occupancy>,
    pub gops_per_dsp_at_target: Option<f64>,
}

/// What a report is made of.
pub struct Sources<'a> {
    pub compiled: &'a Compiled,
    pub task: usize,
    pub memory: &'a MemoryConfig,
    pub modelled: &'a Timeline,
    /// Timeline and counters of the simulated frame.
    pub simulated: Option<(&'a Timeline, &'a Cycles)>,
    /// DSP cells of the exported netlist.
    pub dsp: Option<u64>,
}

impl Document {
    pub fn new(sources: &Sources) -> Result<Self> {
        let Sources {
            compiled,
            task,
            memory,
            ..
        } = *sources;
        let program = &compiled.program;
        let modelled = FrameCosts::new(Source::Modelled, compiled, task, sources.modelled)?;
        let simulated = sources
            .simulated
            .map(|(timeline, _)| FrameCosts::new(Source::Simulated, compiled, task, timeline))
            .transpose()?;
        let counters = sources.simulated.map(|(_, counters)| counters);
        let best = simulated.as_ref().unwrap_or(&modelled);
        let per_dsp = sources.dsp.map(|dsp| best.gops_at_target / dsp.max(1) as f64);
        let occupancy = occupancy(program)?
            .into_iter()
            .map(|(memory, used, words)| Occupancy {
                memory,
                used_words: used as u64,
                words: words as u64,
            });
        Ok(Self {
            config: program.config.name.clone(),
            model: compiled.architecture.name.clone(),
            task: compiled.architecture.tasks[task].name.clone(),
            macs: compiled.macs(task)?,
            clock_mhz_target: program.config.clock_mhz_target,
            macs_per_cycle: program.config.macs_per_cycle() as u64,
            weight_buffer_words: program.config.weight_words as u64,
            memory_bytes_per_cycle: memory.bytes_per_cycle,
            memory_first_beat_cycles: memory.first_beat_cycles,
            model_error: simulated
                .as_ref()
                .map(|simulated| modelled.cycles as f64 / simulated.cycles as f64 - 1.0),
            stall_cycles: counters.map(|counters| counters.stalls.clone()),
            bytes_by_port: counters.map(|counters| counters.bytes_read.clone()),
            bytes_written: counters.map(|counters| counters.bytes_written),
            occupancy: occupancy.collect(),
            gops_per_dsp_at_target: per_dsp,
            simulated,
            modelled,
        })
    }

    /// The simulated frame if there is one, else the modelled.
    pub fn best(&self) -> &FrameCosts {
        self.simulated.as_ref().unwrap_or(&self.modelled)
    }
}

impl FrameCosts {
    fn new(source: Source, compiled: &Compiled, task: usize, timeline: &Timeline) -> Result<Self> {
        let config = &compiled.program.config;
        let (macs, cycles) = (compiled.macs(task)?, timeline.cycles.max(1));
        let frames = frames_per_second(config, cycles as f64);
        let beats: u64 = timeline.bins.iter().map(|bin| bin.beats).sum();
        let levels: Vec<u64> = timeline.bins.iter().map(|bin| bin.buffered).collect();
        Ok(Self {
            source,
            cycles,
            frames_per_second_at_target: frames,
            mac_utilisation: macs as f64 / (cycles as f64 * config.macs_per_cycle() as f64),
            gops_at_target: 2.0 * macs as f64 * frames / 1e9,
            array: Array::ALL
                .into_iter()
                .map(|array| (array.name(), timeline.array_cycles(array)))
                .collect(),
            units: Unit::ALL
                .into_iter()
                .map(|unit| (unit.name(), timeline.busy(unit)))
                .collect(),
            bytes_read: beats * BEAT_BYTES,
            weight_buffer_peak: levels.iter().copied().max().unwrap_or(0),
            weight_buffer_mean: levels.iter().sum::<u64>() as f64 / levels.len().max(1) as f64,
            kinds: layers(compiled, task, timeline, kind)?,
            layers: layers(compiled, task, timeline, without_heads)?,
        })
    }
}
