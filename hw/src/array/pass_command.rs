//! Decodes a MatMul for the streamer and keeps it until the one before it is finished.
//!
//! | output | value |
//! |---|---|
//! | `source`, `low_source` | first word of row 0: of the (high) plane, and `k_tiles` behind it of the low one |
//! | `stride` | words from one row to the next |
//! | `k_last`, `n_last`, `plane_last` | highest loop counters; 1, 2 or 4 planes |
//! | `pairs`, `last_step` | pairs of a pass, and its last step: at least the eighth |
//! | `gather` | rows come from the expert's queue |
//! | `allowance` | with `by_tile`: groups that may be on their way at the first pass, `(k_tiles - 1) * R / C` |
//!
//! A Copy or a Discard passes by. The command is there (`full`) in the cycle after `accept`, until `take`. Both may happen at once.
//!
//! ```text
//! command, accept --> [fields] --> outputs       take empties
//! ```

use crate::control::command::COMMAND_WORDS;
use crate::prelude::*;

/// The decoder; see the module.
#[derive(LogicBlock, Default)]
pub struct PassCommand {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub accept: Signal<In, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub command_expert: Signal<In, Bits<5>>,
    pub queue_length: Signal<In, Bits<11>>,
    pub in_loop: Signal<In, Bit>,
    pub command_tag: Signal<In, Bits<8>>,
    pub take: Signal<In, Bit>,
    pub full: Signal<Out, Bit>,
    pub source: Signal<Out, Bits<16>>,
    pub low_source: Signal<Out, Bits<16>>,
    pub stride: Signal<Out, Bits<8>>,
    pub k_last: Signal<Out, Bits<8>>,
    pub n_last: Signal<Out, Bits<10>>,
    pub plane_last: Signal<Out, Bits<2>>,
    pub pairs: Signal<Out, Bits<10>>,
    pub last_step: Signal<Out, Bits<10>>,
    pub gather: Signal<Out, Bit>,
    pub sync: Signal<Out, Bit>,
    pub by_tile: Signal<Out, Bit>,
    pub allowance: Signal<Out, Bits<12>>,
    pub tag: Signal<Out, Bits<8>>,
    pub expert: Signal<Out, Bits<5>>,
    tokens: Signal<Local, Bits<11>>,
    pending: DFF<Bit>,
    sources: DFF<Bits<16>>,
    low_sources: DFF<Bits<16>>,
    strides: DFF<Bits<8>>,
    k_lasts: DFF<Bits<8>>,
    n_lasts: DFF<Bits<10>>,
    plane_lasts: DFF<Bits<2>>,
    pair_count: DFF<Bits<10>>,
    gathers: DFF<Bit>,
    syncs: DFF<Bit>,
    by_tiles: DFF<Bit>,
    tags: DFF<Bits<8>>,
    experts: DFF<Bits<5>>,
    allowed: Signal<Local, Bits<12>>,
    _group_bits: usize,
}

impl PassCommand {
    /// The decoder for R / C groups in an activation word, a power of two.
    pub fn new(groups: usize) -> Self {
        Self {
            command: many(COMMAND_WORDS),
            _group_bits: groups.ilog2() as usize,
            ..Self::default()
        }
    }
}

impl Logic for PassCommand {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            pending,
            sources,
            low_sources,
            strides,
            k_lasts,
            n_lasts,
            plane_lasts,
            pair_count,
            gathers,
            syncs,
            by_tiles,
            tags,
            experts
        );
        if self.take.val() {
            self.pending.d.next = false;
        }
        self.tokens.next = self.queue_length.val();
        if self.accept.val() & ((self.command[0].val() & 15) == 3) {
            if !self.in_loop.val() {
                self.tokens.next = self.command[3].val().get_bits::<11>(10);
            }
            self.pending.d.next = true;
            self.sources.d.next = bit_cast::<16, 32>(self.command[2].val());
            self.low_sources.d.next = bit_cast::<16, 32>(self.command[2].val())
                + bit_cast::<16, 8>(self.command[2].val().get_bits::<8>(24));
            self.strides.d.next = self.command[2].val().get_bits::<8>(16);
            self.k_lasts.d.next = self.command[2].val().get_bits::<8>(24) - 1;
            self.n_lasts.d.next = bit_cast::<10, 32>(self.command[3].val()) - 1;
            self.plane_lasts.d.next = 0.into();
            if self.command[3].val().get_bits::<2>(21) == 1 {
                self.plane_lasts.d.next = 1.into();
            }
            if self.command[3].val().get_bits::<2>(21) == 2 {
                self.plane_lasts.d.next = 3.into();
            }
            self.pair_count.d.next = (bit_cast::<12, 11>(self.tokens.val()) + 1).get_bits::<10>(1);
            self.gathers.d.next = self.command[3].val().get_bits::<2>(23) == 1;
            self.syncs.d.next = self.command[3].val().get_bit(27);
            self.by_tiles.d.next = self.command[7].val().get_bit(11);
            self.tags.d.next = self.command_tag.val();
            self.experts.d.next = self.command_expert.val();
        }
        self.full.next = self.pending.q.val();
        self.source.next = self.sources.q.val();
        self.low_source.next = self.low_sources.q.val();
        self.stride.next = self.strides.q.val();
        self.k_last.next = self.k_lasts.q.val();
        self.n_last.next = self.n_lasts.q.val();
        self.plane_last.next = self.plane_lasts.q.val();
        self.pairs.next = self.pair_count.q.val();
        self.last_step.next = 7.into();
        if self.pair_count.q.val() > 8 {
            self.last_step.next = self.pair_count.q.val() - 1;
        }
        self.gather.next = self.gathers.q.val();
        self.sync.next = self.syncs.q.val();
        self.by_tile.next = self.by_tiles.q.val();
        self.allowed.next = bit_cast::<12, 8>(self.k_lasts.q.val());
        for _i in 0..self._group_bits {
            self.allowed.next = self.allowed.val() << 1;
        }
        self.allowance.next = self.allowed.val();
        self.tag.next = self.tags.q.val();
        self.expert.next = self.experts.q.val();
        if self.reset.val() {
            self.pending.d.next = false;
        }
    }
}
