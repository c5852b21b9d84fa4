//! Do the waits order every access? A check that needs no timing.
//!
//! Units run their commands in order but beside each other, so a command may touch a word only if the earlier command of
//! another unit that wrote or read it is known to be finished. Known are:
//!
//! * commands that some wait of this or an earlier command has waited for;
//! * earlier array commands, if this one or one between has `sync` or is a Copy;
//! * with `sync_by_tile`, the earlier array commands' groups of sums that a tile waits for; all of them before its own results.
//!
//! Within a unit, reads come before later commands' writes, and writes come in order. A command that overwrites what it also
//! reads is refused, as is a word that was never written in the frame. Waiting for a fetch whose bytes the weight buffer cannot
//! hold before their consumer is dispatched would never end, and is refused too.

use moevit_hw::config::{AccelConfig, BURST_BYTES};
use moevit_hw::control::command::{MatMul, Operation, Unit, Wait, NO_WAIT};

use super::error::Fault;
use super::footprint::{Footprint, Place, Span};

const UNITS: usize = Unit::ALL.len();

/// Unit and number of a command; number 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stamp {
    unit: usize,
    number: usize,
}

/// Who has touched a word in this frame.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    writer: Stamp,
    /// Number of the group of sums that wrote it last.
    group: usize,
    /// Last reader of each unit.
    readers: [usize; UNITS],
}

/// The check of one frame.
#[derive(Debug)]
pub struct Hazards {
    words: Vec<Vec<Word>>,
    /// Commands dispatched to each unit.
    dispatched: [usize; UNITS],
    /// Commands of each unit known to be finished.
    finished: [usize; UNITS],
    /// Array commands that have drained before the array's last `sync`.
    drained: usize,
    /// Groups of sums that the array has been told to compute.
    groups: usize,
    /// Groups in an activation word.
    word_groups: usize,
    /// Bytes fetched up to and including each Fetch.
    fetched: Vec<u64>,
    capacity: u64,
    queue_commands: usize,
}

impl Hazards {
    /// A frame without commands.
    pub fn new(config: &AccelConfig) -> Self {
        let words = |place: &Place| vec![Word::default(); place.words(config)];
        Self {
            words: Place::ALL.iter().map(words).collect(),
            dispatched: [0; UNITS],
            finished: [0; UNITS],
            drained: 0,
            groups: 0,
            word_groups: config.groups(),
            fetched: vec![0],
            capacity: (config.weight_words * config.weight_word_bytes() - BURST_BYTES) as u64,
            queue_commands: config.queue_commands,
        }
    }

    /// Takes note of what a wait has waited for; `consumed` bytes of the stream have a consumer by now.
    pub fn wait(&mut self, wait: &Wait, consumed: u64) -> Result<(), Fault> {
        for (unit, &outstanding) in wait.0.iter().enumerate().filter(|(_, &n)| n != NO_WAIT) {
            let known = self.dispatched[unit].saturating_sub(outstanding as usize);
            self.finished[unit] = self.finished[unit].max(known);
        }
        if wait.0[Unit::Fetch as usize] == NO_WAIT {
            return Ok(());
        }
        self.check_fetched(self.finished[Unit::Fetch as usize], consumed)
    }

    /// Bytes that the last dispatched Fetch reads; its queue must not be full for ever.
    pub fn fetch(&mut self, bytes: u64, consumed: u64) -> Result<(), Fault> {
        let last = self.fetched.last().copied().unwrap_or(0);
        self.fetched.push(last + bytes);
        let started = (self.fetched.len() - 1).saturating_sub(self.queue_commands);
        self.check_fetched(started, consumed)
    }

    fn check_fetched(&self, fetch: usize, consumed: u64) -> Result<(), Fault> {
        let held = self.fetched[fetch.min(self.fetched.len() - 1)].saturating_sub(consumed);
        if held > self.capacity {
            let capacity = self.capacity;
            return Err(Fault::Deadlock { held, capacity });
        }
        Ok(())
    }

    /// Checks a command's accesses and takes note of them; `unit` is none for the sequencer.
    pub fn dispatch(
        &mut self,
        operation: &Operation,
        unit: Option<Unit>,
        footprint: &Footprint,
    ) -> Result<(), Fault> {
        let stamp = unit.map_or(
            Stamp {
                unit: UNITS,
                number: 0,
            },
            |unit| {
                self.dispatched[unit as usize] += 1;
                Stamp {
                    unit: unit as usize,
                    number: self.dispatched[unit as usize],
                }
            },
        );
        let sync = match operation {
            Operation::MatMul(op) => op.sync == 1,
            Operation::Copy(_) => true,
            _ => false,
        };
        let mut reads = footprint.reads.as_slice();
        if let (Operation::MatMul(op), [operand, others @ ..]) = (operation, reads) {
            if op.sync_by_tile == 1 {
                self.check_by_tile(operand, op)?;
                reads = others;
            }
        }
        if sync {
            self.drained = stamp.number - 1;
        }
        for span in reads.iter().chain(&footprint.updates) {
            self.check_read(span, stamp)?;
        }
        footprint
            .reads
            .iter()
            .for_each(|span| self.note_read(span, stamp));
        let mut written = footprint.writes.iter().chain(&footprint.updates);
        written.try_for_each(|span| self.write(span, stamp, operation))?;
        if let Operation::MatMul(op) = operation {
            self.groups += op.n_tiles as usize;
        }
        Ok(())
    }

    /// The operand of a MatMul whose passes wait by tile: at tile `k` all groups are stored but the last `(k_tiles - 1 - k) *
    /// word_groups`. The low plane comes after the whole high one.
    fn check_by_tile(&self, operand: &Span, op: &MatMul) -> Result<(), Fault> {
        let tiles = op.k_tiles as usize;
        for (i, word) in operand.addresses().enumerate() {
            let Word { writer, group, .. } = self.words[operand.place as usize][word];
            let tile = i % operand.words;
            let unstored = tiles.saturating_sub(1 + tile) * self.word_groups;
            let stored = writer.unit == Unit::Array as usize
                && (writer.number <= self.drained || group + unstored <= self.groups);
            if writer == Stamp::default() {
                let memory = operand.place.name();
                return Err(Fault::NeverWritten { memory, word });
            }
            if !self.is_finished(writer) && !stored {
                return Err(race("reads", operand, word, writer, "writes"));
            }
        }
        Ok(())
    }

    /// Number of the group that completes word `word` of a row; a Copy has none, and no tile waits for it.
    fn group_of(&self, operation: &Operation, place: Place, word: usize) -> usize {
        match operation {
            Operation::MatMul(op) if place == Place::Activation => {
                self.groups + (self.word_groups * (word + 1)).min(op.n_tiles as usize)
            }
            Operation::MatMul(op) => self.groups + op.n_tiles as usize,
            _ => usize::MAX / 2,
        }
    }

    fn check_read(&self, span: &Span, stamp: Stamp) -> Result<(), Fault> {
        for word in span.addresses() {
            let writer = self.words[span.place as usize][word].writer;
            if writer == Stamp::default() {
                let memory = span.place.name();
                return Err(Fault::NeverWritten { memory, word });
            }
            let in_array = writer.unit == Unit::Array as usize && stamp.unit == writer.unit;
            let drained = in_array && writer.number <= self.drained;
            if !self.is_finished(writer) && !drained {
                return Err(race("reads", span, word, writer, "writes"));
            }
        }
        Ok(())
    }

    fn note_read(&mut self, span: &Span, stamp: Stamp) {
        for word in span.addresses() {
            // The sequencer reads at dispatch and is finished at once.
            if let Some(reader) = self.words[span.place as usize][word].readers.get_mut(stamp.unit) {
                *reader = stamp.number;
            }
        }
    }

    fn write(&mut self, span: &Span, stamp: Stamp, operation: &Operation) -> Result<(), Fault> {
        for (i, word) in span.addresses().enumerate() {
            let state = self.words[span.place as usize][word];
            if state.writer.unit != stamp.unit && !self.is_finished(state.writer) {
                return Err(race("writes", span, word, state.writer, "writes"));
            }
            for (unit, &number) in state.readers.iter().enumerate() {
                let reader = Stamp { unit, number };
                let in_order = unit == stamp.unit && number < stamp.number;
                if !in_order && !self.is_finished(reader) {
                    return Err(race("writes", span, word, reader, "reads"));
                }
            }
            let group = self.group_of(operation, span.place, i % span.words);
            let state = &mut self.words[span.place as usize][word];
            (state.writer, state.group) = (stamp, group);
        }
        Ok(())
    }

    fn is_finished(&self, stamp: Stamp) -> bool {
        stamp.number == 0
            || self
                .finished
                .get(stamp.unit)
                .is_some_and(|&known| stamp.number <= known)
    }
}

fn race(access: &'static str, span: &Span, word: usize, other: Stamp, earlier: &'static str) -> Fault {
    Fault::Race {
        access,
        memory: span.place.name(),
        word,
        unit: Unit::ALL[other.unit].name(),
        other: other.number,
        earlier,
    }
}
