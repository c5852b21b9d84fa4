//! Where a slot's result goes: destination word and everything else that the store needs, brought to the store's cycle.
//!
//! `address = word + token * stride` (16 bits, wrapping); `token` is the slot's row, or with `scatter` the token of its queue entry,
//! which arrives [`LOOKUP_CYCLES`] after the slot. The product has input, M and P registers.
//!
//! ```text
//! slot cycle   0      2        3    4    5    6                      24          26 = STORE_CYCLES
//! row       --[2]--(token)--[in]--[M]--[P]--[+ word]---------------[residual]--[address]
//! flags     ------------------------------------------------------------------[flags]
//! ```
//!
//! The read of the residual word is asked for [`ram::LATENCY_CYCLES`] before the store needs it.

use super::lane_settings::LOOKUP_CYCLES;
use super::post_lane;
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::ram;

/// Cycles from a slot to the store.
pub const STORE_CYCLES: usize = LOOKUP_CYCLES + post_lane::LATENCY_CYCLES;
/// Cycles from a slot to the residual read.
pub const READ_CYCLES: usize = STORE_CYCLES - ram::LATENCY_CYCLES;
/// Cycles from a slot to its address.
const ADDRESS_CYCLES: usize = LOOKUP_CYCLES + 4;
/// `dst` of the residual memory.
const RESIDUAL: u64 = 2;

/// The delay lines and the multiplier; see the module.
#[derive(LogicBlock, Default)]
pub struct Destination {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // With the slot.
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub row: Signal<In, Bits<11>>,
    pub scatter: Signal<In, Bit>,
    pub word: Signal<In, Bits<16>>,
    pub stride: Signal<In, Bits<10>>,
    pub group: Signal<In, Bits<16>>,
    pub tile: Signal<In, Bits<4>>,
    pub dst: Signal<In, Bits<3>>,
    pub add: Signal<In, Bit>,
    pub write_sums: Signal<In, Bit>,
    pub sums_address: Signal<In, Bits<8>>,
    // With the sums.
    pub queue_token: Signal<In, Bits<11>>,
    // To the residual memory.
    pub residual_read: Signal<Out, Bit>,
    pub residual_read_address: Signal<Out, Bits<16>>,
    // To the store.
    pub store_valid: Signal<Out, Bit>,
    pub store_first: Signal<Out, Bit>,
    pub store_last: Signal<Out, Bit>,
    pub store_add: Signal<Out, Bit>,
    pub store_sums: Signal<Out, Bit>,
    pub store_dst: Signal<Out, Bits<3>>,
    pub store_address: Signal<Out, Bits<16>>,
    pub store_token: Signal<Out, Bits<11>>,
    pub store_group: Signal<Out, Bits<16>>,
    pub store_tile: Signal<Out, Bits<4>>,
    pub store_sums_address: Signal<Out, Bits<8>>,
    flags: Signal<Local, Bits<5>>,
    rows: Delay<11>,
    scatters: Delay<1>,
    strides: Delay<10>,
    words: Delay<16>,
    token: DFF<Bits<16>>,
    step: DFF<Bits<16>>,
    product: DFF<Bits<32>>,
    offset: DFF<Bits<16>>,
    address: DFF<Bits<16>>,
    read_addresses: Delay<16>,
    addresses: Delay<16>,
    tokens: Delay<11>,
    reads: Delay<1>,
    all_flags: Delay<5>,
    dsts: Delay<3>,
    groups: Delay<16>,
    tiles: Delay<4>,
    sums: Delay<8>,
    residual: Constant<Bits<3>>,
}

impl Destination {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            rows: Delay::new(LOOKUP_CYCLES),
            scatters: Delay::new(LOOKUP_CYCLES),
            strides: Delay::new(LOOKUP_CYCLES),
            words: Delay::new(ADDRESS_CYCLES - 1),
            read_addresses: Delay::new(READ_CYCLES - ADDRESS_CYCLES),
            addresses: Delay::new(STORE_CYCLES - READ_CYCLES),
            tokens: Delay::new(STORE_CYCLES - LOOKUP_CYCLES - 1),
            reads: Delay::new(READ_CYCLES),
            all_flags: Delay::new(STORE_CYCLES),
            dsts: Delay::new(STORE_CYCLES),
            groups: Delay::new(STORE_CYCLES),
            tiles: Delay::new(STORE_CYCLES),
            sums: Delay::new(STORE_CYCLES),
            residual: Constant::new(RESIDUAL.into()),
            ..Self::default()
        }
    }
}

impl Logic for Destination {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, token, step, product, offset, address);
        clock!(
            self,
            clock,
            rows,
            scatters,
            strides,
            words,
            read_addresses,
            addresses,
            tokens
        );
        clock!(self, clock, reads, all_flags, dsts, groups, tiles, sums);
        self.rows.reset.next = false;
        self.scatters.reset.next = false;
        self.strides.reset.next = false;
        self.words.reset.next = false;
        self.read_addresses.reset.next = false;
        self.addresses.reset.next = false;
        self.tokens.reset.next = false;
        self.dsts.reset.next = false;
        self.groups.reset.next = false;
        self.tiles.reset.next = false;
        self.sums.reset.next = false;
        self.reads.reset.next = self.reset.val();
        self.all_flags.reset.next = self.reset.val();
        // Token and address.
        self.rows.d.next = self.row.val();
        self.scatters.d.next = 0.into();
        if self.scatter.val() {
            self.scatters.d.next = 1.into();
        }
        self.strides.d.next = self.stride.val();
        self.words.d.next = self.word.val();
        self.token.d.next = bit_cast::<16, 11>(self.rows.q.val());
        if self.scatters.q.val().get_bit(0) {
            self.token.d.next = bit_cast::<16, 11>(self.queue_token.val());
        }
        self.step.d.next = bit_cast::<16, 10>(self.strides.q.val());
        self.product.d.next = self.token.q.val() * self.step.q.val();
        self.offset.d.next = self.product.q.val().get_bits::<16>(0);
        self.address.d.next = self.words.q.val() + self.offset.q.val();
        self.tokens.d.next = self.token.q.val().get_bits::<11>(0);
        self.read_addresses.d.next = self.address.q.val();
        self.addresses.d.next = self.read_addresses.q.val();
        // What travels beside.
        self.reads.d.next = 0.into();
        if self.valid.val() & self.add.val() & (self.dst.val() == self.residual.val()) {
            self.reads.d.next = 1.into();
        }
        self.flags.next = 0.into();
        self.flags.next = self.flags.val().replace_bit(0, self.valid.val());
        self.flags.next = self.flags.val().replace_bit(1, self.first.val());
        self.flags.next = self.flags.val().replace_bit(2, self.last.val());
        self.flags.next = self.flags.val().replace_bit(3, self.add.val());
        self.flags.next = self.flags.val().replace_bit(4, self.write_sums.val());
        self.all_flags.d.next = self.flags.val();
        self.dsts.d.next = self.dst.val();
        self.groups.d.next = self.group.val();
        self.tiles.d.next = self.tile.val();
        self.sums.d.next = self.sums_address.val();
        self.residual_read.next = self.reads.q.val().get_bit(0);
        self.residual_read_address.next = self.read_addresses.q.val();
        self.store_valid.next = self.all_flags.q.val().get_bit(0);
        self.store_first.next = self.all_flags.q.val().get_bit(1);
        self.store_last.next = self.all_flags.q.val().get_bit(2);
        self.store_add.next = self.all_flags.q.val().get_bit(3);
        self.store_sums.next = self.all_flags.q.val().get_bit(4);
        self.store_dst.next = self.dsts.q.val();
        self.store_address.next = self.addresses.q.val();
        self.store_token.next = self.tokens.q.val();
        self.store_group.next = self.groups.q.val();
        self.store_tile.next = self.tiles.q.val();
        self.store_sums_address.next = self.sums.q.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};
    use std::collections::VecDeque;

    #[derive(Clone, Copy, Default)]
    struct Slot {
        flags: u32,
        row: u32,
        token: u32,
        stride: u32,
        word: u32,
        group: u32,
    }

    impl Slot {
        fn random(rng: &mut Rng) -> Self {
            Self {
                flags: rng.bits(32) as u32,
                row: rng.bits(11) as u32,
                token: rng.bits(11) as u32,
                stride: rng.bits(10) as u32,
                word: rng.bits(16) as u32,
                group: rng.bits(16) as u32,
            }
        }

        fn flag(&self, bit: u32) -> bool {
            self.flags >> bit & 1 != 0
        }

        fn reads(&self) -> bool {
            self.flag(0) && self.flag(3) && self.flags >> 8 & 7 == 2
        }

        fn dst_token(&self) -> u32 {
            if self.flag(5) {
                self.token
            } else {
                self.row
            }
        }

        fn address(&self) -> u32 {
            (self.word + self.dst_token() * self.stride) & 0xffff
        }
    }

    fn drive(uut: &mut Destination, slot: &Slot, looked_up: &Slot) {
        uut.valid.next = slot.flag(0);
        uut.first.next = slot.flag(1);
        uut.last.next = slot.flag(2);
        uut.add.next = slot.flag(3);
        uut.write_sums.next = slot.flag(4);
        uut.scatter.next = slot.flag(5);
        uut.dst.next = u64::from(slot.flags >> 8 & 7).into();
        uut.tile.next = u64::from(slot.flags >> 12 & 15).into();
        uut.sums_address.next = u64::from(slot.flags >> 16 & 255).into();
        uut.row.next = u64::from(slot.row).into();
        uut.stride.next = u64::from(slot.stride).into();
        uut.word.next = u64::from(slot.word).into();
        uut.group.next = u64::from(slot.group).into();
        uut.queue_token.next = u64::from(looked_up.token).into();
    }

    fn check(uut: &Destination, read: &Slot, store: &Slot) {
        assert_eq!(uut.residual_read.val(), read.reads());
        assert_eq!(uut.residual_read_address.val().index() as u32, read.address());
        let flags = [
            &uut.store_valid,
            &uut.store_first,
            &uut.store_last,
            &uut.store_add,
            &uut.store_sums,
        ];
        for (bit, flag) in flags.iter().enumerate() {
            assert_eq!(flag.val(), store.flag(bit as u32), "flag {bit}");
        }
        assert_eq!(uut.store_dst.val().index() as u32, store.flags >> 8 & 7);
        assert_eq!(uut.store_tile.val().index() as u32, store.flags >> 12 & 15);
        assert_eq!(
            uut.store_sums_address.val().index() as u32,
            store.flags >> 16 & 255
        );
        assert_eq!(uut.store_address.val().index() as u32, store.address());
        assert_eq!(uut.store_token.val().index() as u32, store.dst_token());
        assert_eq!(uut.store_group.val().index() as u32, store.group);
    }

    #[test]
    fn addresses_and_flags_arrive_in_their_cycle() {
        let mut uut = Destination::new();
        uut.connect_all();
        let mut rng = Rng::new(13);
        let mut history = VecDeque::from(vec![Slot::default(); STORE_CYCLES + 1]);
        for step in 0..20_000 {
            history.push_front(Slot::random(&mut rng));
            history.pop_back();
            let looked_up = history[LOOKUP_CYCLES];
            drive(&mut uut, &history[0], &looked_up);
            settle(&mut uut);
            if step >= history.len() {
                check(&uut, &history[READ_CYCLES], &history[STORE_CYCLES]);
            }
            cycle(&mut uut, |u| &mut u.clock);
        }
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("Destination", Destination::new, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 500 == 499;
            u.valid.next = rng.chance(80);
            u.first.next = rng.chance(50);
            u.last.next = rng.chance(50);
            u.row.next = rng.corner_bits(11).into();
            u.scatter.next = rng.chance(50);
            u.word.next = rng.corner_bits(16).into();
            u.stride.next = rng.corner_bits(10).into();
            u.group.next = rng.bits(16).into();
            u.tile.next = rng.bits(4).into();
            u.dst.next = rng.below(4).into();
            u.add.next = rng.chance(50);
            u.write_sums.next = rng.chance(50);
            u.sums_address.next = rng.bits(8).into();
            u.queue_token.next = rng.bits(11).into();
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
