//! First stage of the router: reads a token's logits, one expert a cycle, and ranks them.
//!
//! Tokens start every `slot_last + 1` cycles, from 0 on, in order. The logits also go to one half of a buffer (even and odd tokens
//! alternate), where the weighing stage reads them during the next slot.
//!
//! ```text
//! start --> [token, step] --> logit store --3--> top k --1--> ranked, maximum, chosen
//!                                  +--> [2 x 32 logits] --2--> buffer_logit
//! ```
//!
//! `ranked` comes `experts + 4` cycles after the slot's first cycle; `maximum` and `chosen` stay for a slot. The stage never waits.

use super::logit_store::{self, LogitStore};
use super::top_k::TopK;
use crate::config::{AccelConfig, MAX_TOP_K};
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::leaf::ports;
use crate::primitives::ram::{Ram, RamStyle};

/// The stage; see the module.
#[derive(LogicBlock)]
pub struct Choose {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub first: Signal<In, Bits<11>>,
    pub tokens: Signal<In, Bits<11>>,
    pub experts: Signal<In, Bits<6>>,
    pub slot_last: Signal<In, Bits<6>>,
    pub logit_write: Signal<In, Bit>,
    pub logit_token: Signal<In, Bits<11>>,
    pub logit_tile: Signal<In, Bits<4>>,
    pub logit_data: Vec<Signal<In, Bits<24>>>,
    pub ranked: Signal<Out, Bit>,
    pub maximum: Signal<Out, Bits<24>>,
    pub chosen: Vec<Signal<Out, Bits<5>>>,
    pub buffer_half: Signal<In, Bit>,
    pub buffer_expert: Signal<In, Bits<5>>,
    pub buffer_logit: Signal<Out, Bits<24>>,
    scanning: DFF<Bit>,
    token: DFF<Bits<11>>,
    step: DFF<Bits<6>>,
    expert: Signal<Local, Bits<5>>,
    flags: Signal<Local, Bits<4>>,
    flags_line: Delay<4>,
    expert_line: Delay<5>,
    store: LogitStore,
    top_k: TopK,
    buffer: Ram<24>,
    _columns: usize,
    _ranks: usize,
}

impl Choose {
    /// The stage of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            first: Signal::default(),
            tokens: Signal::default(),
            experts: Signal::default(),
            slot_last: Signal::default(),
            logit_write: Signal::default(),
            logit_token: Signal::default(),
            logit_tile: Signal::default(),
            logit_data: ports(config.columns),
            ranked: Signal::default(),
            maximum: Signal::default(),
            chosen: ports(MAX_TOP_K),
            buffer_half: Signal::default(),
            buffer_expert: Signal::default(),
            buffer_logit: Signal::default(),
            scanning: DFF::default(),
            token: DFF::default(),
            step: DFF::default(),
            expert: Signal::default(),
            flags: Signal::default(),
            flags_line: Delay::new(logit_store::READ_CYCLES),
            expert_line: Delay::new(logit_store::READ_CYCLES),
            store: LogitStore::new(config),
            top_k: TopK::default(),
            buffer: Ram::new("LogitBuffer", 1, 1, 64, RamStyle::Distributed),
            _columns: config.columns,
            _ranks: MAX_TOP_K,
        }
    }
}

impl Logic for Choose {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, scanning, token, step);
        clock!(self, clock, flags_line, expert_line, store, top_k, buffer);
        self.flags_line.reset.next = self.reset.val();
        self.expert_line.reset.next = self.reset.val();
        self.top_k.reset.next = self.reset.val();
        // A slot: one step an expert, then idle steps.
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
        self.expert.next = self.step.q.val().get_bits::<5>(0);
        self.store.read_token.next = self.token.q.val();
        self.store.read_expert.next = self.expert.val();
        // Flags of a logit: 0 valid, 1 first, 2 last, 3 half of the buffer.
        self.flags.next = 0.into();
        if self.scanning.q.val() & (self.step.q.val() < self.experts.val()) {
            self.flags.next = self.flags.val() | 1;
        }
        if !self.step.q.val().any() {
            self.flags.next = self.flags.val() | 2;
        }
        if self.step.q.val() + 1 == self.experts.val() {
            self.flags.next = self.flags.val() | 4;
        }
        if self.token.q.val().get_bit(0) {
            self.flags.next = self.flags.val() | 8;
        }
        self.flags_line.d.next = self.flags.val();
        self.expert_line.d.next = self.expert.val();
        self.top_k.valid.next = self.flags_line.q.val().get_bit(0);
        self.top_k.first.next = self.flags_line.q.val().get_bit(1);
        self.top_k.last.next = self.flags_line.q.val().get_bit(2);
        self.top_k.expert.next = self.expert_line.q.val();
        self.top_k.logit.next = self.store.logit.val();
        self.ranked.next = self.top_k.done.val();
        self.maximum.next = self.top_k.maximum.val();
        for i in 0..self._ranks {
            self.chosen[i].next = self.top_k.chosen[i].val();
        }
        self.buffer.write_enable[0].next = self.flags_line.q.val().get_bit(0);
        self.buffer.write_data[0].next = self.store.logit.val();
        self.buffer.write_address.next = bit_cast::<16, 5>(self.expert_line.q.val());
        if self.flags_line.q.val().get_bit(3) {
            self.buffer.write_address.next = bit_cast::<16, 5>(self.expert_line.q.val()) | 32;
        }
        self.buffer.read_address.next = bit_cast::<16, 5>(self.buffer_expert.val());
        if self.buffer_half.val() {
            self.buffer.read_address.next = bit_cast::<16, 5>(self.buffer_expert.val()) | 32;
        }
        self.buffer_logit.next = self.buffer.read_data[0].val();
        if self.reset.val() {
            self.scanning.d.next = false;
        }
    }
}
