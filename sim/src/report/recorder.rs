//! Turns what a simulated circuit does, cycle by cycle, into a timeline.

use super::timeline::{Span, Timeline};
use moevit_hw::activity::{Activity, Array};
use moevit_hw::control::command::Unit;
use std::collections::VecDeque;

/// The unit behind each of the sequencer's queues; the drain unit takes the array's commands beside it.
const QUEUE_UNITS: [Option<Unit>; 7] = [
    Some(Unit::Fetch),
    Some(Unit::Array),
    None,
    Some(Unit::Norm),
    Some(Unit::Softmax),
    Some(Unit::Router),
    Some(Unit::Write),
];

/// Records the first frame after its creation.
#[derive(Default)]
pub struct Recorder {
    timeline: Timeline,
    /// Dispatched and unfinished commands of each unit, with their cycles.
    pending: [VecDeque<(Option<usize>, u64)>; 6],
    /// When each unit finished its last command.
    free_from: [u64; 6],
    /// Array commands in the order of their dispatch.
    array_commands: Vec<usize>,
    /// Place of the streamed command in `array_commands`.
    streamed: usize,
    /// End of the cycles that wait for the next command to be known.
    waiting_until: Option<u64>,
    program_fetched: bool,
    finished: bool,
}

impl Recorder {
    /// Takes the next cycle; cycles outside the frame are ignored.
    pub fn record(&mut self, activity: &Activity) {
        if !activity.running {
            self.finished |= self.timeline.cycles > 0;
            return;
        }
        if self.finished {
            return;
        }
        let cycle = self.timeline.cycles;
        self.dispatch(activity, cycle);
        self.array(activity, cycle);
        self.finish(activity, cycle);
        let bin = self.timeline.bin(cycle);
        bin.buffered = bin.buffered.max(u64::from(activity.buffered));
        bin.beats += u64::from(activity.beats);
        self.timeline.cycles += 1;
    }

    /// The frame, once it is over.
    pub fn into_timeline(mut self) -> Timeline {
        if let Some(end) = self.waiting_until {
            self.timeline.push_run(Array::NoCommand, None, end);
        }
        self.timeline
    }

    fn dispatch(&mut self, activity: &Activity, cycle: u64) {
        for (queue, unit) in QUEUE_UNITS.iter().enumerate() {
            let Some(unit) = unit.filter(|_| activity.dispatched >> queue & 1 == 1) else {
                continue;
            };
            let is_program = unit == Unit::Fetch && !self.program_fetched;
            self.program_fetched |= is_program;
            let command = (!is_program).then_some(usize::from(activity.command));
            self.pending[unit as usize].push_back((command, cycle));
            if unit == Unit::Array {
                self.array_commands.push(usize::from(activity.command));
            }
        }
    }

    fn array(&mut self, activity: &Activity, cycle: u64) {
        if activity.array == Array::NoCommand {
            self.waiting_until = Some(cycle + 1);
            return;
        }
        let behind = activity.array_command.wrapping_sub(self.streamed as u8);
        self.streamed += usize::from(behind);
        let command = self.array_commands.get(self.streamed).copied();
        if let Some(end) = self.waiting_until.take() {
            self.timeline.push_run(Array::NoCommand, command, end);
        }
        self.timeline.push_run(activity.array, command, cycle + 1);
    }

    fn finish(&mut self, activity: &Activity, cycle: u64) {
        for unit in Unit::ALL {
            if activity.finished >> unit as usize & 1 == 0 {
                continue;
            }
            if let Some((command, dispatched)) = self.pending[unit as usize].pop_front() {
                let free_from = &mut self.free_from[unit as usize];
                self.timeline.spans.push(Span {
                    unit,
                    command,
                    start: dispatched.max(*free_from),
                    end: cycle + 1,
                });
                *free_from = cycle + 1;
            }
        }
    }
}
