//! What the units do in a cycle, read from the simulated circuit; the chip itself has no such port.

use crate::control::sequencer::QUEUES;
use crate::top::Accelerator;

/// What the array's streamer does in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Array {
    /// A token pair is issued.
    Streams,
    /// A short pass waits for its minimum length.
    Pads,
    /// It has no command.
    NoCommand,
    /// The next tile is being loaded.
    LoadsTile,
    /// The loader waits for the weight stream.
    Starved,
    /// Both accumulator banks wait for the drain unit.
    NoBank,
    /// Earlier results have to be stored first.
    Syncs,
}

impl Array {
    /// All kinds.
    pub const ALL: [Array; 7] = [
        Array::Streams,
        Array::Pads,
        Array::NoCommand,
        Array::LoadsTile,
        Array::Starved,
        Array::NoBank,
        Array::Syncs,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        [
            "streams",
            "pads",
            "no command",
            "loads tile",
            "no weights",
            "no bank",
            "syncs",
        ][self as usize]
    }
}

/// What the units do in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// A frame is running.
    pub running: bool,
    /// One bit for each queue that takes the command with this index, in the order of the sequencer's queues.
    pub dispatched: u8,
    pub command: u16,
    /// One bit for each unit that finishes a command.
    pub finished: u8,
    pub array: Array,
    /// Number of the array's command, modulo 256.
    pub array_command: u8,
    /// Words in the weight buffer.
    pub buffered: u16,
    /// Beats that the read ports take.
    pub beats: u8,
}

impl Accelerator {
    /// What the units do in this cycle.
    pub fn activity(&self) -> Activity {
        let sequencer = &self.sequencer;
        let ports = self.gmem_rvalid.iter().zip(&self.gmem_rready);
        Activity {
            running: !sequencer.idle.val(),
            dispatched: mask((0..QUEUES).map(|q| sequencer.push[q].val())),
            command: sequencer.command_index().index() as u16,
            finished: mask(sequencer.unit_done.iter().map(|done| done.val())),
            array: self.feed.array_activity(),
            array_command: self.feed.array_command().index() as u8,
            buffered: self.fetch.stream_level.val().index() as u16,
            beats: ports.filter(|(valid, ready)| valid.val() & ready.val()).count() as u8,
        }
    }
}

fn mask(bits: impl Iterator<Item = bool>) -> u8 {
    bits.enumerate()
        .fold(0, |mask, (i, bit)| mask | u8::from(bit) << i)
}
