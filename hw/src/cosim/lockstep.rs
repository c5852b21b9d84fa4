//! A circuit in Rust and its exported Verilog, side by side.
//!
//! ```text
//!  stimulus --> circuit (Rust) -- settle --> outputs --.
//!                  | inputs                            == every output, twice a cycle
//!                  `--> Verilated model -- eval --> outputs
//! ```
//! Both are compared when the inputs have settled before the rising edge, and again after it.
//! Registers and memories without an initial value start at random in the model, so that reading
//! one is found.

use super::drive::settle;
use super::error::CosimError;
use super::model::{Options, VerilatedModel};
use super::ports::{hex, read_ports, words, PortValues};
use super::random::{RandomInputs, Rule};
use super::rng::Rng;
use crate::circuit::Inputs;
use crate::verilog::lint::Setup;
use crate::verilog::{export, Port};
use rust_hdl::prelude::Block;
use std::collections::BTreeMap;

/// How much a run compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub cycles: u64,
    /// Values of outputs that were compared.
    pub comparisons: u64,
    /// How often each output changed.
    pub changes: BTreeMap<String, u64>,
}

impl Report {
    /// Outputs that changed less than `least` times: a run in which nothing happens compares nothing.
    pub fn idle(&self, least: u64) -> Vec<&str> {
        let idle = self.changes.iter().filter(|(_, &changes)| changes < least);
        idle.map(|(name, _)| name.as_str()).collect()
    }
}

/// A lock-step run in preparation.
///
/// ```no_run
/// # use moevit_hw::cosim::{Lockstep, CosimError};
/// # use rust_hdl::prelude::*;
/// # fn run() -> Result<(), CosimError> {
/// let report = Lockstep::new("Delay", DFF::<Bits<8>>::default, |u, level| u.clock.next = level.into())
///     .run(0..4, 25_000, |u, rng, _cycle| u.d.next = rng.bits(8).into())?;
/// assert!(report.comparisons >= 200_000);
/// # Ok(())
/// # }
/// ```
pub struct Lockstep<U, B, C> {
    name: String,
    build: B,
    set_clock: C,
    options: Options,
    /// Verilog of cells from elsewhere, by module name.
    cells: BTreeMap<String, String>,
    circuit: std::marker::PhantomData<U>,
}

impl<U: Block + Inputs, B: Fn() -> U> Lockstep<U, B, fn(&mut U, bool)> {
    /// As [`new`](Self::new), for a circuit of this crate's own derive.
    pub fn of(name: &str, build: B) -> Self {
        Self::new(name, build, U::set_clock)
    }

    /// Runs every seed with random inputs; see [`RandomInputs`]. `then` may set some of them anew.
    pub fn run_random(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        cycles: u64,
        rules: &[Rule],
        mut then: impl FnMut(&mut U, &mut Rng, u64),
    ) -> Result<Report, CosimError> {
        let mut inputs = RandomInputs::new(rules);
        self.run(seeds, cycles, |uut, rng, cycle| {
            inputs.drive(uut, rng, cycle);
            then(uut, rng, cycle);
        })
    }
}

impl<U: Block, B: Fn() -> U, C: Fn(&mut U, bool)> Lockstep<U, B, C> {
    /// `build` makes the circuit (its signals are connected here), `set_clock` sets its clock input;
    /// a circuit without a clock gives `|_, _| {}`.
    pub fn new(name: &str, build: B, set_clock: C) -> Self {
        let options = Options::default();
        Lockstep {
            name: name.to_owned(),
            build,
            set_clock,
            options,
            cells: BTreeMap::new(),
            circuit: std::marker::PhantomData,
        }
    }

    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Reads the Verilog with macros and cells from elsewhere.
    pub fn setup(mut self, setup: &Setup) -> Self {
        let defines = setup.defines.iter().map(|name| format!("-D{name}"));
        self.options.flags.extend(defines);
        let cells = setup.cells.iter();
        self.cells
            .extend(cells.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        self
    }

    fn circuit(&self) -> U {
        let mut uut = (self.build)();
        uut.connect_all();
        uut
    }

    /// Runs every seed for a number of cycles. The stimulus sets the inputs' `.next`, and may look
    /// at the outputs as they are before the inputs change.
    pub fn run(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        cycles: u64,
        mut stimulus: impl FnMut(&mut U, &mut Rng, u64),
    ) -> Result<Report, CosimError> {
        let mut design = export(&self.name, &self.circuit())?;
        design.externals.extend(self.cells.clone());
        let model = VerilatedModel::of_design(&design, &self.options)?;
        let mut report = Report::default();
        let mut changes = vec![0; model.ports().iter().filter(|p| !p.is_input).count()];
        for seed in seeds {
            let mut pair = Pair {
                before: vec![],
                changes: &mut changes,
                block: &self.name,
                seed,
                cycle: 0,
                uut: self.circuit(),
                outputs: vec![0; model.output_words()],
                model: model.fresh(),
                values: PortValues::default(),
            };
            let mut rng = Rng::new(seed);
            for cycle in 0..cycles {
                pair.cycle = cycle;
                (self.set_clock)(&mut pair.uut, false);
                stimulus(&mut pair.uut, &mut rng, cycle);
                report.comparisons += pair.compare("before the rising edge")?;
                (self.set_clock)(&mut pair.uut, true);
                report.comparisons += pair.compare("after the rising edge")?;
                report.cycles += 1;
            }
        }
        let outputs = model.ports().iter().filter(|p| !p.is_input);
        report.changes = outputs.map(|port| port.name.clone()).zip(changes).collect();
        Ok(report)
    }
}

struct Pair<'a, U> {
    block: &'a str,
    seed: u64,
    cycle: u64,
    uut: U,
    model: VerilatedModel,
    values: PortValues,
    outputs: Vec<u32>,
    /// Outputs at the comparison before.
    before: Vec<u32>,
    /// Of each output.
    changes: &'a mut [u64],
}

impl<U: Block> Pair<'_, U> {
    /// Brings both to the same inputs and compares all outputs; returns how many.
    fn compare(&mut self, phase: &'static str) -> Result<u64, CosimError> {
        settle(&mut self.uut)?;
        read_ports(&self.uut, &mut self.values);
        self.model.step(&self.values.inputs, &mut self.outputs);
        let ports = self.model.ports().iter().filter(|p| !p.is_input);
        if self.values.outputs == self.outputs {
            let count = ports.count() as u64;
            self.count_changes();
            return Ok(count);
        }
        let mut at = 0;
        for port in ports {
            let range = at..at + words(port.width);
            if self.values.outputs[range.clone()] != self.outputs[range.clone()] {
                return Err(self.mismatch(phase, port, range));
            }
            at = range.end;
        }
        unreachable!("some output differed")
    }

    fn count_changes(&mut self) {
        if self.before != self.outputs && !self.before.is_empty() {
            let ports = self.model.ports().iter().filter(|p| !p.is_input);
            let mut at = 0;
            for (port, changes) in ports.zip(self.changes.iter_mut()) {
                let range = at..at + words(port.width);
                *changes += u64::from(self.before[range.clone()] != self.outputs[range.clone()]);
                at = range.end;
            }
        }
        self.before.clone_from(&self.outputs);
    }

    fn mismatch(&self, phase: &'static str, port: &Port, range: std::ops::Range<usize>) -> CosimError {
        CosimError::Mismatch {
            block: self.block.to_owned(),
            seed: self.seed,
            cycle: self.cycle,
            phase,
            port: port.name.clone(),
            rust: hex(&self.values.outputs[range.clone()]),
            verilog: hex(&self.outputs[range]),
        }
    }
}
