//! Everything around the feed unit, behaviourally: stream, activation memory, queues, key/value memory, drain.

use super::bench::{settle, Random};
use super::feed::FeedUnit;
use super::{from_bits, to_bits};
use crate::attention::stationary_memory::KV_READ_CYCLES;
use crate::config::AccelConfig;
use crate::primitives::ram;
use std::collections::VecDeque;

/// How readily the environment does its part, in percent of the cycles.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub stream: usize,
    pub commands: usize,
    pub parameters: usize,
    pub copies: usize,
    pub drain: usize,
}

impl Pace {
    pub const FULL: Pace = Pace {
        stream: 100,
        commands: 100,
        parameters: 100,
        copies: 100,
        drain: 100,
    };
}

/// A command with what the sequencer sends beside it.
#[derive(Clone, Default)]
pub(crate) struct Offer {
    pub words: [u32; 8],
    pub expert: usize,
    pub queue_length: usize,
    pub in_loop: bool,
    /// Groups that the drain expects, and pairs of each; none for a Copy.
    pub groups: usize,
    pub pairs: usize,
}

/// A write of a Copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CopyWrite {
    pub residual: bool,
    pub address: usize,
    pub bytes: Vec<u8>,
}

/// Sums of both rows of a pair, by column.
pub(crate) type PairSums = Vec<[i32; 2]>;

/// Cycles from `busy_streaming` to the pair's addresses.
const ADDRESS_AFTER_ISSUE_CYCLES: usize = 4;

pub(crate) struct Bench {
    pub feed: FeedUnit,
    pub config: AccelConfig,
    pub random: Random,
    pub pace: Pace,
    pub stream: VecDeque<Vec<u8>>,
    pub activation: Vec<Vec<i8>>,
    /// By expert.
    pub queues: Vec<Vec<usize>>,
    /// By bank.
    pub kv: Vec<Vec<i8>>,
    pub offers: VecDeque<Offer>,
    pub program: Vec<Vec<u8>>,
    pub parameters: Vec<Vec<u8>>,
    pub copies: Vec<CopyWrite>,
    pub groups: Vec<Vec<PairSums>>,
    pub cycles: usize,
    /// Cycles in which a pair was issued, and the first and last of them.
    pub busy: usize,
    pub first_busy: usize,
    pub last_busy: usize,
    pub stalls: [usize; 3],
    pub programs_loaded: usize,
    pub commands_done: usize,
    /// Groups that were stored when a pair was issued, and the address of its first row.
    pub reads_at: Vec<(usize, usize)>,
    /// Stored groups at the latest issues whose addresses are still to come.
    issued: VecDeque<Option<usize>>,
    stored: usize,
    arrived: usize,
    expected: VecDeque<Offer>,
    reads: VecDeque<[usize; 2]>,
    lookups: VecDeque<[usize; 2]>,
    kv_reads: VecDeque<(usize, usize, usize, bool)>,
    drain: Drain,
}

/// The behavioural drain unit.
#[derive(Default)]
struct Drain {
    filled: usize,
    copies_done: usize,
    bank: bool,
    next_pair: usize,
    /// Groups of the oldest command that were asked for, and that have come.
    asked_groups: usize,
    got_groups: usize,
    /// Pairs whose sums arrive in the coming cycles.
    asked: VecDeque<Option<bool>>,
    sums: Vec<PairSums>,
    release: bool,
    store: bool,
    command_drained: bool,
}

impl Bench {
    pub fn new(config: &AccelConfig, pace: Pace, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut bytes = |rows: usize, width: usize, least: i64| -> Vec<Vec<i8>> {
            let byte = |random: &mut Random| {
                if random.chance(10) {
                    least as i8
                } else {
                    random.signed(8).max(least) as i8
                }
            };
            (0..rows)
                .map(|_| (0..width).map(|_| byte(&mut random)).collect())
                .collect()
        };
        let activation = bytes(config.activation_words, config.rows, -128);
        let kv = bytes(config.columns, config.stationary_words, -127);
        Self {
            feed: FeedUnit::new(config),
            config: config.clone(),
            activation,
            kv,
            queues: vec![vec![]; config.max_experts],
            random,
            pace,
            stream: VecDeque::new(),
            offers: VecDeque::new(),
            program: vec![],
            parameters: vec![],
            copies: vec![],
            groups: vec![],
            cycles: 0,
            busy: 0,
            first_busy: 0,
            last_busy: 0,
            stalls: [0; 3],
            programs_loaded: 0,
            commands_done: 0,
            reads_at: vec![],
            issued: vec![None; ADDRESS_AFTER_ISSUE_CYCLES].into(),
            stored: 0,
            arrived: 0,
            expected: VecDeque::new(),
            reads: vec![[0; 2]; ram::LATENCY_CYCLES].into(),
            lookups: vec![[0; 2]; ram::LATENCY_CYCLES].into(),
            kv_reads: vec![(0, 0, 0, false); KV_READ_CYCLES].into(),
            drain: Drain {
                asked: vec![None; ram::LATENCY_CYCLES].into(),
                ..Drain::default()
            },
        }
    }

    /// An element of key/value memory, as it was written by token and channel.
    pub fn kv_element(&self, base: usize, stride: usize, token: usize, channel: usize) -> i64 {
        let c = self.config.columns;
        self.kv[(channel + token) % c]
            .get(base + token * stride + channel / c)
            .copied()
            .unwrap_or(0)
            .into()
    }

    /// Runs until every command is done; panics when nothing finishes for long.
    pub fn run(&mut self) {
        let limit = self.cycles + 400_000;
        while !(self.offers.is_empty() && self.expected.is_empty() && self.stream.is_empty()) {
            self.cycle();
            assert!(
                self.cycles < limit,
                "{} commands done, {} words left",
                self.commands_done,
                self.stream.len()
            );
        }
        (0..64).for_each(|_| self.cycle());
    }

    pub fn cycle(&mut self) {
        self.present();
        self.feed.clock.next = false.into();
        settle(&mut self.feed);
        self.sample();
        self.feed.clock.next = true.into();
        settle(&mut self.feed);
        self.feed.start.next = false;
        self.cycles += 1;
    }

    fn present(&mut self) {
        self.present_stream();
        self.present_reads();
        self.present_drain();
        let feed = &mut self.feed;
        feed.parameter_ready.next = self.random.chance(self.pace.parameters);
        feed.copy_ready.next = self.random.chance(self.pace.copies);
        let offer = self
            .offers
            .front()
            .filter(|_| self.random.chance(self.pace.commands));
        feed.command_valid.next = offer.is_some();
        let offer = offer.cloned().unwrap_or_default();
        for (port, word) in feed.command.iter_mut().zip(offer.words) {
            port.next = u64::from(word).into();
        }
        feed.expert.next = (offer.expert as u64).into();
        feed.queue_length.next = (offer.queue_length as u64).into();
        feed.in_loop.next = offer.in_loop;
    }

    fn present_stream(&mut self) {
        if self.arrived < self.stream.len() && self.random.chance(self.pace.stream) {
            self.arrived += 1 + usize::from(self.arrived + 1 < self.stream.len() && self.pace.stream == 100);
        }
        let feed = &mut self.feed;
        feed.stream_valid.next = self.arrived > 0;
        feed.stream_level.next = (self.arrived as u64).into();
        for (i, port) in feed.stream_data.iter_mut().enumerate() {
            let byte = if self.arrived > 0 { self.stream[0][i] } else { 0xa5 };
            port.next = u64::from(byte).into();
        }
    }

    fn present_reads(&mut self) {
        let [address_0, address_1] = self.reads.pop_front().unwrap();
        let feed = &mut self.feed;
        for lane in 0..self.config.rows {
            let byte = |address: usize| self.activation.get(address).map_or(0, |word| word[lane]);
            feed.read_data_0[lane].next = to_bits(byte(address_0).into());
            feed.read_data_1[lane].next = to_bits(byte(address_1).into());
        }
        let [expert, pair] = self.lookups.pop_front().unwrap();
        let token = |row: usize| self.queues[expert].get(row).copied().unwrap_or(0x7ff) as u64;
        feed.lookup_token_0.next = token(2 * pair).into();
        feed.lookup_token_1.next = token(2 * pair + 1).into();
        let (base, stride, rotate, by_keys) = self.kv_reads.pop_front().unwrap();
        for (column, port) in feed.kv_data.iter_mut().enumerate() {
            let address = if by_keys {
                base + column * stride & 0xffff
            } else {
                base
            };
            let bank = &self.kv[(column + rotate) % self.config.columns];
            port.next = to_bits(bank.get(address).copied().unwrap_or(0).into());
        }
    }

    fn present_drain(&mut self) {
        let drain = &mut self.drain;
        self.feed.group_drained.next = std::mem::take(&mut drain.release);
        let store = std::mem::take(&mut drain.store);
        self.stored += usize::from(store);
        self.feed.group_stored.next = store;
        self.feed.command_drained.next = std::mem::take(&mut drain.command_drained);
        let Some(offer) = self.expected.front() else {
            drain.asked.push_back(None);
            return;
        };
        let mut asked = None;
        if drain.asked_groups < offer.groups && drain.filled > 0 && self.random.chance(self.pace.drain) {
            let last = drain.next_pair + 1 >= offer.pairs;
            self.feed.drain_pair.next = (drain.next_pair as u64).into();
            self.feed.drain_bank.next = drain.bank;
            drain.next_pair += 1;
            asked = Some(last);
            if last {
                drain.next_pair = 0;
                drain.filled -= 1;
                drain.asked_groups += 1;
                drain.bank = !drain.bank;
                drain.release = true;
            }
        }
        drain.asked.push_back(asked);
    }

    fn sample(&mut self) {
        self.sample_stream();
        let feed = &self.feed;
        self.reads.push_back([
            feed.read_address_0.val().index(),
            feed.read_address_1.val().index(),
        ]);
        self.issued
            .push_back(feed.busy_streaming.val().then_some(self.stored));
        if let Some(stored) = self.issued.pop_front().flatten() {
            self.reads_at.push((stored, feed.read_address_0.val().index()));
        }
        self.lookups
            .push_back([feed.lookup_expert.val().index(), feed.lookup_pair.val().index()]);
        self.kv_reads.push_back((
            feed.kv_base.val().index(),
            feed.kv_stride.val().index(),
            feed.kv_rotate.val().index(),
            feed.kv_by_keys.val(),
        ));
        if feed.command_valid.val() && feed.command_ready.val() {
            let offer = self.offers.pop_front().expect("offered");
            self.expected.push_back(offer);
        }
        if feed.busy_streaming.val() {
            self.busy += 1;
            self.last_busy = self.cycles;
            if self.busy == 1 {
                self.first_busy = self.cycles;
            }
        }
        let stalls = [
            feed.stall_stream.val(),
            feed.stall_bank.val(),
            feed.stall_sync.val(),
        ];
        for (count, stall) in self.stalls.iter_mut().zip(stalls) {
            *count += usize::from(stall);
        }
        self.drain.filled += usize::from(feed.group_filled.val());
        self.drain.copies_done += usize::from(feed.copy_done.val());
        self.programs_loaded += usize::from(feed.program_loaded.val());
        self.sample_drain();
    }

    fn sample_stream(&mut self) {
        let feed = &self.feed;
        let bytes = |ports: &[rust_hdl::prelude::Signal<
            rust_hdl::prelude::Out,
            rust_hdl::prelude::Bits<8>,
        >]| { ports.iter().map(|p| p.val().index() as u8).collect::<Vec<u8>>() };
        if feed.program_write.val() {
            self.program.push(bytes(&feed.program_data));
        }
        if feed.parameter_valid.val() && feed.parameter_ready.val() {
            self.parameters.push(bytes(&feed.parameter_data));
        }
        if feed.copy_valid.val() && feed.copy_ready.val() {
            let residual = feed.copy_residual.val();
            let used = if residual {
                self.config.residual_word_bytes()
            } else {
                self.config.rows
            };
            self.copies.push(CopyWrite {
                residual,
                address: feed.copy_address.val().index(),
                bytes: bytes(&feed.copy_data[..used]),
            });
        }
        if feed.stream_ready.val() && feed.stream_valid.val() {
            self.stream.pop_front();
            self.arrived -= 1;
        }
    }

    fn sample_drain(&mut self) {
        let drain = &mut self.drain;
        if let Some(last) = drain.asked.pop_front().unwrap() {
            let sums = self.feed.sum_0.iter().zip(&self.feed.sum_1);
            drain.sums.push(
                sums.map(|(a, b)| [from_bits(a.val()) as i32, from_bits(b.val()) as i32])
                    .collect(),
            );
            if last {
                self.groups.push(std::mem::take(&mut drain.sums));
                drain.got_groups += 1;
                drain.store = true;
            }
        }
        let Some(offer) = self.expected.front() else {
            return;
        };
        let finished = match offer.groups {
            0 => drain.copies_done > 0,
            groups => drain.got_groups == groups,
        };
        if finished && self.random.chance(self.pace.drain) {
            drain.copies_done -= usize::from(offer.groups == 0);
            (drain.asked_groups, drain.got_groups) = (0, 0);
            drain.command_drained = true;
            self.commands_done += 1;
            self.expected.pop_front();
        }
    }
}
