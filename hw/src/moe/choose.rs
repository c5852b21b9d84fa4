//! First stage of the router: reads a token's logits, a pair of experts a cycle, and ranks them.
//!
//! Tokens start every `slot_last + 1` cycles, from 0 on, in order. The logits also go to one half of a buffer (even and odd tokens
//! alternate), where the weighing stage reads them during the next slot.
//!
//! ```text
//! start --> [token, step] --> logit store --3--> top k --2--> ranked, maximum, chosen
//!                                  +--> [2 x 16 pairs] --2--> buffer_logits
//! ```
//!
//! Of an odd number of experts the last pair holds one: it has `pairs` pairs, `full_pairs` of them with two experts.
//! `ranked` comes `pairs + 5` cycles after the slot's first cycle; `maximum` and `chosen` stay for a slot. The stage never waits.

use super::logit_store::{self, LogitStore};
use super::top_k::TopK;
use crate::config::{AccelConfig, MAX_TOP_K};
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::ram::{Ram, RamStyle};

/// The stage; see the module.
#[derive(LogicBlock, Default)]
pub struct Choose {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub first: Signal<In, Bits<11>>,
    pub tokens: Signal<In, Bits<11>>,
    pub pairs: Signal<In, Bits<6>>,
    pub full_pairs: Signal<In, Bits<6>>,
    pub slot_last: Signal<In, Bits<6>>,
    pub logit_write: Signal<In, Bit>,
    pub logit_token: Signal<In, Bits<11>>,
    pub logit_tile: Signal<In, Bits<4>>,
    pub logit_data: Vec<Signal<In, Bits<24>>>,
    pub ranked: Signal<Out, Bit>,
    pub maximum: Signal<Out, Bits<24>>,
    pub chosen: Vec<Signal<Out, Bits<5>>>,
    pub buffer_half: Signal<In, Bit>,
    pub buffer_pair: Signal<In, Bits<4>>,
    pub buffer_logits: Vec<Signal<Out, Bits<24>>>,
    scanning: DFF<Bit>,
    token: DFF<Bits<11>>,
    step: DFF<Bits<6>>,
    pair: Signal<Local, Bits<4>>,
    flags: Signal<Local, Bits<5>>,
    flags_line: Delay<5>,
    pair_line: Delay<4>,
    store: LogitStore,
    top_k: TopK,
    buffer: Ram<24>,
    _columns: usize,
    _ranks: usize,
    _pair: usize,
}

impl Choose {
    /// The stage of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            logit_data: many(config.columns),
            chosen: many(MAX_TOP_K),
            buffer_logits: many(2),
            flags_line: Delay::new(logit_store::READ_CYCLES),
            pair_line: Delay::new(logit_store::READ_CYCLES),
            store: LogitStore::new(config),
            top_k: TopK::new(),
            buffer: Ram::new(2, 1, 32, RamStyle::Distributed),
            _columns: config.columns,
            _ranks: MAX_TOP_K,
            _pair: 2,
            ..Self::default()
        }
    }
}

impl Logic for Choose {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, scanning, token, step);
        clock!(self, clock, flags_line, pair_line, store, top_k, buffer);
        self.flags_line.reset.next = self.reset.val();
        self.pair_line.reset.next = self.reset.val();
        self.top_k.reset.next = self.reset.val();
        // A slot: one step a pair, then idle steps.
        if self.scanning.q.val() {
            self.step.d.next = self.step.q.val() + 1;
            if self.step.q.val() == self.slot_last.val() {
                self.step.d.next = 0.into();
                self.token.d.next = self.token.q.val() + 1;
                if self.token.q.val() + 1 == self.tokens.val() {
                    self.scanning.d.next = false;
                }
            }
        }
        if self.start.val() {
            self.scanning.d.next = true;
            self.token.d.next = self.first.val();
            self.step.d.next = 0.into();
        }
        self.store.write_enable.next = self.logit_write.val();
        self.store.write_token.next = self.logit_token.val();
        self.store.write_tile.next = self.logit_tile.val();
        for c in 0..self._columns {
            self.store.write_data[c].next = self.logit_data[c].val();
        }
        self.pair.next = self.step.q.val().get_bits::<4>(0);
        self.store.read_token.next = self.token.q.val();
        self.store.read_pair.next = self.pair.val();
        // Flags of a pair: 0 valid, 1 first, 2 last, 3 half of the buffer, 4 both experts.
        self.flags.next = 0.into();
        if self.scanning.q.val() & (self.step.q.val() < self.pairs.val()) {
            self.flags.next = self.flags.val() | 1;
        }
        if !self.step.q.val().any() {
            self.flags.next = self.flags.val() | 2;
        }
        if self.step.q.val() + 1 == self.pairs.val() {
            self.flags.next = self.flags.val() | 4;
        }
        if self.token.q.val().get_bit(0) {
            self.flags.next = self.flags.val() | 8;
        }
        if self.step.q.val() < self.full_pairs.val() {
            self.flags.next = self.flags.val() | 16;
        }
        self.flags_line.d.next = self.flags.val();
        self.pair_line.d.next = self.pair.val();
        self.top_k.valid.next = self.flags_line.q.val().get_bit(0);
        self.top_k.first.next = self.flags_line.q.val().get_bit(1);
        self.top_k.last.next = self.flags_line.q.val().get_bit(2);
        self.top_k.second.next = self.flags_line.q.val().get_bit(4);
        self.top_k.pair.next = self.pair_line.q.val();
        for i in 0..self._pair {
            self.top_k.logits[i].next = self.store.logits[i].val();
            self.buffer.write_data[i].next = self.store.logits[i].val();
            self.buffer_logits[i].next = self.buffer.read_data[i].val();
        }
        self.ranked.next = self.top_k.done.val();
        self.maximum.next = self.top_k.maximum.val();
        for i in 0..self._ranks {
            self.chosen[i].next = self.top_k.chosen[i].val();
        }
        self.buffer.write_enable[0].next = self.flags_line.q.val().get_bit(0);
        self.buffer.write_address.next = bit_cast::<16, 4>(self.pair_line.q.val());
        if self.flags_line.q.val().get_bit(3) {
            self.buffer.write_address.next = bit_cast::<16, 4>(self.pair_line.q.val()) | 16;
        }
        self.buffer.read_address.next = bit_cast::<16, 4>(self.buffer_pair.val());
        if self.buffer_half.val() {
            self.buffer.read_address.next = bit_cast::<16, 4>(self.buffer_pair.val()) | 16;
        }
        if self.reset.val() {
            self.scanning.d.next = false;
        }
    }
}
