//! The weight stream: when each word reaches the weight buffer, and when it leaves.
//!
//! A burst is issued at most every three cycles, when its words have room in the buffer and fewer than `outstanding` bursts a port
//! are on their way. It arrives `first_beat_cycles` later at the earliest, and no faster than the shared bandwidth allows.

use super::Queues;
use crate::memory::MemoryConfig;
use crate::report::timeline::{Span, Timeline, BIN_CYCLES};
use moevit_hw::bus::fetch::LATENCY_CYCLES;
use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use moevit_hw::control::command::{Fetch, Unit, COMMAND_BYTES};
use std::collections::VecDeque;

/// A burst is issued every so many cycles at most.
const ISSUE_CYCLES: u64 = 3;
/// From a Fetch's dispatch to its first burst.
const FETCH_CYCLES: u64 = 6;
/// From an address to the memory and from the first beat to the port.
const BUS_CYCLES: u64 = 3;
/// From a word's departure to the room for another one.
const CREDIT_CYCLES: u64 = 3;

/// Contiguous words of one Fetch, for one expert if it is for experts.
struct Piece {
    dispatched: u64,
    words: usize,
    command: Option<usize>,
    /// Layer and number.
    expert: Option<(usize, usize)>,
    is_last: bool,
}

/// The stream of a frame, unrolled as far as somebody asked.
pub struct WeightStream<'a> {
    config: &'a AccelConfig,
    memory: &'a MemoryConfig,
    task: usize,
    queues: &'a [Queues],
    pieces: VecDeque<Piece>,
    fetch_layers: usize,
    /// When each word can be taken.
    arrivals: Vec<u64>,
    /// When each word was taken.
    departures: Vec<u64>,
    /// When each burst was complete.
    bursts: Vec<u64>,
    last_issue: u64,
    /// When the bus has delivered everything that was issued.
    bus_free: f64,
    /// When each layer's experts were known.
    routed: Vec<u64>,
    /// Of each expert of every layer: when it was known, and whether its words are in the stream.
    tickets: VecDeque<(u64, bool)>,
    dispatched: usize,
    finishes: Vec<u64>,
    spans: Vec<Span>,
}

impl<'a> WeightStream<'a> {
    pub fn new(config: &'a AccelConfig, memory: &'a MemoryConfig, task: usize, queues: &'a [Queues]) -> Self {
        Self {
            config,
            memory,
            task,
            queues,
            pieces: VecDeque::new(),
            fetch_layers: 0,
            arrivals: Vec::new(),
            departures: Vec::new(),
            bursts: Vec::new(),
            last_issue: 0,
            bus_free: 0.0,
            routed: Vec::new(),
            tickets: VecDeque::new(),
            dispatched: 0,
            finishes: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The program's own fetch; its words.
    pub fn load_program(&mut self, now: u64, commands: usize) -> usize {
        let words =
            (commands * COMMAND_BYTES).next_multiple_of(BURST_BYTES) / self.config.weight_word_bytes();
        self.push(now, words, None, None, true);
        words
    }

    /// A Fetch was dispatched.
    pub fn fetch(&mut self, now: u64, op: &Fetch, command: usize) {
        let words = op.beats as usize * BEAT_BYTES / self.config.weight_word_bytes();
        // The address of the task is found by adding.
        let now = now + u64::from(op.task_stride.min(1)) * self.task as u64;
        if op.experts == 0 {
            return self.push(now, words, Some(command), None, true);
        }
        let (layer, experts) = (self.fetch_layers, op.expert_count as usize);
        self.fetch_layers += 1;
        for expert in 0..experts {
            let is_last = expert + 1 == experts;
            self.push(now, words, Some(command), Some((layer, expert)), is_last);
        }
    }

    fn push(
        &mut self,
        dispatched: u64,
        words: usize,
        command: Option<usize>,
        expert: Option<(usize, usize)>,
        is_last: bool,
    ) {
        self.dispatched += usize::from(is_last);
        self.pieces.push_back(Piece {
            dispatched,
            words,
            command,
            expert,
            is_last,
        });
    }

    /// A layer's experts are known from this cycle on.
    pub fn routed(&mut self, cycle: u64) {
        self.routed.push(cycle);
    }

    /// When the next word could be taken, `ahead` words further on.
    pub fn arrival(&mut self, ahead: usize) -> u64 {
        let word = self.departures.len() + ahead;
        while self.arrivals.len() <= word && self.unroll() {}
        self.arrivals
            .get(word)
            .or(self.arrivals.last())
            .copied()
            .unwrap_or(0)
    }

    /// Takes the next word, not before `cycle`; when that happened.
    pub fn take(&mut self, cycle: u64) -> u64 {
        let at = cycle.max(self.arrival(0));
        self.departures.push(at);
        at
    }

    /// The ticket of the loop's next expert.
    pub fn ticket(&mut self) -> (u64, bool) {
        while self.tickets.is_empty() && self.unroll() {}
        self.tickets.pop_front().unwrap_or((0, false))
    }

    /// When the Fetch with `after` later ones finished.
    pub fn finish(&mut self, after: usize) -> u64 {
        let Some(index) = self.dispatched.checked_sub(after + 1) else {
            return 0;
        };
        while self.finishes.len() <= index && self.unroll() {}
        self.finishes.get(index).copied().unwrap_or(0)
    }

    /// Brings the next piece; false when there is none.
    fn unroll(&mut self) -> bool {
        let Some(piece) = self.pieces.pop_front() else {
            return false;
        };
        let begun = self.last_issue.max(piece.dispatched + FETCH_CYCLES);
        let first = self.finishes.last().copied().unwrap_or(0);
        let wanted = piece.expert.is_none_or(|(layer, expert)| {
            let known = self.routed.get(layer).is_some_and(|&cycle| cycle <= begun);
            let is_wanted = !known || self.queues[layer][expert] > 0;
            self.tickets.push_back((begun, is_wanted));
            is_wanted
        });
        if wanted {
            self.bring(&piece, begun);
        }
        if piece.is_last {
            let end = self.arrivals.last().copied().unwrap_or(0).max(begun);
            self.finishes.push(end);
            self.spans.push(Span {
                unit: Unit::Fetch,
                command: piece.command,
                start: piece.dispatched.max(first),
                end,
            });
        }
        true
    }

    /// The bursts of a piece.
    fn bring(&mut self, piece: &Piece, begun: u64) {
        let word_bytes = self.config.weight_word_bytes();
        let in_flight = self.config.read_ports * self.config.outstanding_bursts.min(self.memory.outstanding);
        let mut issue = begun;
        let mut left = piece.words;
        while left > 0 {
            let words = left.min(BURST_BYTES / word_bytes);
            left -= words;
            let last_word = self.arrivals.len() + words;
            let room = last_word
                .checked_sub(self.config.weight_words + 1)
                .and_then(|word| self.departures.get(word));
            let slot = self
                .bursts
                .len()
                .checked_sub(in_flight)
                .map(|burst| self.bursts[burst]);
            issue = issue
                .max(room.map_or(0, |cycle| cycle + CREDIT_CYCLES))
                .max(slot.unwrap_or(0));
            let bytes = (words * word_bytes) as f64;
            let rate =
                f64::from(self.memory.bytes_per_cycle).min((BEAT_BYTES * self.config.read_ports) as f64);
            let first_beat = issue + BUS_CYCLES + u64::from(self.memory.first_beat_cycles);
            let alone = first_beat as f64 + bytes / BEAT_BYTES as f64;
            self.bus_free = (self.bus_free.max(first_beat as f64) + bytes / rate).max(alone);
            // A port needs as many cycles as a burst has beats; the others deliver meanwhile.
            let complete = self.bus_free as u64;
            self.bus_free -= (alone - first_beat as f64 - bytes / rate).max(0.0);
            self.bursts.push(complete);
            let arrival = complete + LATENCY_CYCLES as u64;
            self.arrivals.extend(std::iter::repeat_n(arrival, words));
            issue += ISSUE_CYCLES;
        }
        self.last_issue = issue;
    }

    /// Adds spans and curves.
    pub fn add_to(self, timeline: &mut Timeline) {
        timeline.spans.extend(self.spans);
        let beats = (self.config.weight_word_bytes() / BEAT_BYTES) as u64;
        let (mut arrivals, mut departures) =
            (self.arrivals.iter().peekable(), self.departures.iter().peekable());
        let mut level = 0u64;
        for cycle in (0..timeline.cycles).step_by(BIN_CYCLES as usize) {
            let end = cycle + BIN_CYCLES;
            let mut peak = level;
            while let Some(&arrival) = arrivals.next_if(|&&arrival| arrival < end) {
                while departures.next_if(|&&departure| departure <= arrival).is_some() {
                    level = level.saturating_sub(1);
                }
                level += 1;
                peak = peak.max(level);
                timeline.bin(cycle).beats += beats;
            }
            while departures.next_if(|&&departure| departure < end).is_some() {
                level = level.saturating_sub(1);
            }
            timeline.bin(cycle).buffered = peak;
        }
    }
}
