//! A frame in time: who worked on which command, and when. The recorder fills it from a simulated circuit, the model by formulas.

use moevit_hw::activity::Array;
use moevit_hw::control::command::Unit;

/// Cycles of a bin of the curves.
pub const BIN_CYCLES: u64 = 256;

/// A command in a unit, from the cycle in which the unit could start to the cycle in which it finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub unit: Unit,
    /// Index in the program; the fetch of the program itself has none.
    pub command: Option<usize>,
    pub start: u64,
    pub end: u64,
}

/// Consecutive cycles in which the array did the same for the same command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub array: Array,
    /// The command that streams, or the next one that will; after the last one none.
    pub command: Option<usize>,
    pub start: u64,
    pub end: u64,
}

impl Run {
    pub fn cycles(&self) -> u64 {
        self.end - self.start
    }
}

/// The weight stream in [`BIN_CYCLES`] cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Most words in the weight buffer.
    pub buffered: u64,
    /// Beats that the read ports took.
    pub beats: u64,
}

/// A frame; cycle 0 is its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    pub cycles: u64,
    pub spans: Vec<Span>,
    /// Without gaps, from 0 to `cycles`.
    pub runs: Vec<Run>,
    pub bins: Vec<Bin>,
}

impl Timeline {
    /// Cycles of one kind.
    pub fn array_cycles(&self, array: Array) -> u64 {
        let runs = self.runs.iter().filter(|run| run.array == array);
        runs.map(Run::cycles).sum()
    }

    /// Cycles in which a unit had a command; overlapping commands count once.
    pub fn busy(&self, unit: Unit) -> u64 {
        let mut until = 0;
        let mut busy = 0;
        for span in self.spans.iter().filter(|span| span.unit == unit) {
            busy += span.end.saturating_sub(span.start.max(until));
            until = until.max(span.end);
        }
        busy
    }

    /// The bin of a cycle.
    pub(super) fn bin(&mut self, cycle: u64) -> &mut Bin {
        let index = (cycle / BIN_CYCLES) as usize;
        if self.bins.len() <= index {
            self.bins.resize(index + 1, Bin::default());
        }
        &mut self.bins[index]
    }

    /// Appends cycles of the array.
    pub(super) fn push_run(&mut self, array: Array, command: Option<usize>, end: u64) {
        let start = self.runs.last().map_or(0, |run| run.end);
        match self.runs.last_mut() {
            Some(run) if run.array == array && run.command == command => run.end = end,
            _ if end > start => self.runs.push(Run {
                array,
                command,
                start,
                end,
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_commands_count_once() {
        let span = |start, end| Span {
            unit: Unit::Norm,
            command: None,
            start,
            end,
        };
        let timeline = Timeline {
            spans: vec![span(0, 10), span(5, 20), span(30, 31)],
            ..Timeline::default()
        };
        assert_eq!(timeline.busy(Unit::Norm), 21);
        assert_eq!(timeline.busy(Unit::Write), 0);
    }

    #[test]
    fn equal_neighbours_are_one_run() {
        let mut timeline = Timeline::default();
        timeline.push_run(Array::NoCommand, Some(1), 4);
        timeline.push_run(Array::Streams, Some(1), 6);
        timeline.push_run(Array::Streams, Some(1), 9);
        timeline.push_run(Array::Streams, Some(2), 9);
        let cycles: Vec<u64> = timeline.runs.iter().map(Run::cycles).collect();
        assert_eq!(cycles, [4, 5]);
        assert_eq!(timeline.array_cycles(Array::Streams), 5);
    }
}
