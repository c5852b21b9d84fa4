//! Store: sends each token's C results to the memory that the command names.
//!
//! | `dst` | memory | written cycles after `z` |
//! |---|---|---|
//! | 0 | activation, one of the groups of a word | [`WRITE_CYCLES`] |
//! | 1 | key/value, lanes to be rotated by token modulo C; with `sums` also into the value sums | [`WRITE_CYCLES`] |
//! | 2 | residual, replaced or added to `residual_data`, which must be there with `z` | [`RESIDUAL_WRITE_CYCLES`] |
//! | 3 | score | [`WRITE_CYCLES`] |
//! | 4 | router, logits of the token that the address names | [`WRITE_CYCLES`] |
//!
//! All outputs are registers. One token a cycle, never stalls; other values of `dst` write nothing.
//!
//! ```text
//! z, residual_data --> [C store lanes] --> *_data
//! dst, address, .. --> [enables, address] --> *_write, *_address (residual one register later)
//! ```

use super::store_lane::{self, StoreLane};
use super::value_sums::ValueSums;
use crate::config::AccelConfig;
use crate::prelude::*;

/// Cycles from `z` to a write, but for the residual memory.
pub const WRITE_CYCLES: usize = store_lane::LATENCY_CYCLES;
/// Cycles from `z` to a write of the residual memory.
pub const RESIDUAL_WRITE_CYCLES: usize = store_lane::RESIDUAL_LATENCY_CYCLES;

/// The store; see the module.
#[derive(LogicBlock, Default)]
pub struct Store {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub z: Vec<Signal<In, Bits<24>>>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub add: Signal<In, Bit>,
    pub sums: Signal<In, Bit>,
    pub dst: Signal<In, Bits<3>>,
    pub address: Signal<In, Bits<16>>,
    pub token: Signal<In, Bits<11>>,
    pub group: Signal<In, Bits<16>>,
    pub tile: Signal<In, Bits<4>>,
    pub sums_address: Signal<In, Bits<8>>,
    pub residual_data: Vec<Signal<In, Bits<16>>>,
    pub value_sums_address: Signal<In, Bits<8>>,
    pub value_sums: Vec<Signal<Out, Bits<20>>>,
    pub activation_write: Vec<Signal<Out, Bit>>,
    pub activation_address: Signal<Out, Bits<16>>,
    pub activation_data: Vec<Signal<Out, Bits<8>>>,
    pub kv_write: Signal<Out, Bit>,
    pub kv_address: Signal<Out, Bits<16>>,
    pub kv_rotate: Signal<Out, Bits<6>>,
    pub kv_data: Vec<Signal<Out, Bits<8>>>,
    pub residual_write: Signal<Out, Bit>,
    pub residual_address: Signal<Out, Bits<16>>,
    pub residual_write_data: Vec<Signal<Out, Bits<16>>>,
    pub score_write: Signal<Out, Bit>,
    pub score_address: Signal<Out, Bits<16>>,
    pub score_data: Vec<Signal<Out, Bits<16>>>,
    pub logit_write: Signal<Out, Bit>,
    pub logit_token: Signal<Out, Bits<11>>,
    pub logit_tile: Signal<Out, Bits<4>>,
    pub logit_data: Vec<Signal<Out, Bits<24>>>,
    lanes: Vec<StoreLane>,
    summing: ValueSums,
    to_activation: Signal<Local, Bit>,
    activation_q: Vec<DFF<Bit>>,
    kv_q: DFF<Bit>,
    residual_1: DFF<Bit>,
    residual_q: DFF<Bit>,
    score_q: DFF<Bit>,
    logit_q: DFF<Bit>,
    sum_q: DFF<Bit>,
    first_q: DFF<Bit>,
    last_q: DFF<Bit>,
    address_q: DFF<Bits<16>>,
    residual_address_q: DFF<Bits<16>>,
    token_q: DFF<Bits<11>>,
    tile_q: DFF<Bits<4>>,
    sums_address_q: DFF<Bits<8>>,
    rotate_mask: Constant<Bits<6>>,
    _columns: usize,
    _groups: usize,
}

impl Store {
    /// The store of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (c, groups) = (config.columns, config.groups());
        Self {
            z: many(c),
            residual_data: many(c),
            value_sums: many(c),
            activation_write: many(groups),
            activation_data: many(c),
            kv_data: many(c),
            residual_write_data: many(c),
            score_data: many(c),
            logit_data: many(c),
            lanes: (0..c).map(|_| StoreLane::default()).collect(),
            summing: ValueSums::new(config),
            activation_q: many(groups),
            rotate_mask: Constant::new((c as u64 - 1).into()),
            _columns: c,
            _groups: groups,
            ..Self::default()
        }
    }
}

impl Logic for Store {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, kv_q, residual_1, residual_q, score_q, logit_q, sum_q, first_q, last_q);
        dff_setup!(
            self,
            clock,
            address_q,
            residual_address_q,
            token_q,
            tile_q,
            sums_address_q
        );
        // Enables and addresses.
        self.to_activation.next = self.valid.val() & (self.dst.val() == 0);
        self.kv_q.d.next = self.valid.val() & (self.dst.val() == 1);
        self.residual_1.d.next = self.valid.val() & (self.dst.val() == 2);
        self.residual_q.d.next = self.residual_1.q.val();
        self.score_q.d.next = self.valid.val() & (self.dst.val() == 3);
        self.logit_q.d.next = self.valid.val() & (self.dst.val() == 4);
        self.sum_q.d.next = self.valid.val() & self.sums.val() & (self.dst.val() == 1);
        self.first_q.d.next = self.first.val();
        self.last_q.d.next = self.last.val();
        self.address_q.d.next = self.address.val();
        self.residual_address_q.d.next = self.address_q.q.val();
        self.token_q.d.next = self.token.val();
        self.tile_q.d.next = self.tile.val();
        self.sums_address_q.d.next = self.sums_address.val();
        for i in 0..self._groups {
            self.activation_q[i].clock.next = self.clock.val();
            self.activation_q[i].d.next =
                self.to_activation.val() & self.group.val().get_bit(i) & !self.reset.val();
            self.activation_write[i].next = self.activation_q[i].q.val();
        }
        self.activation_address.next = self.address_q.q.val();
        self.kv_write.next = self.kv_q.q.val();
        self.kv_address.next = self.address_q.q.val();
        self.kv_rotate.next = self.token_q.q.val().get_bits::<6>(0) & self.rotate_mask.val();
        self.residual_write.next = self.residual_q.q.val();
        self.residual_address.next = self.residual_address_q.q.val();
        self.score_write.next = self.score_q.q.val();
        self.score_address.next = self.address_q.q.val();
        self.logit_write.next = self.logit_q.q.val();
        self.logit_token.next = self.address_q.q.val().get_bits::<11>(0);
        self.logit_tile.next = self.tile_q.q.val();
        // Value sums, behind the bytes.
        self.summing.clock.next = self.clock.val();
        self.summing.reset.next = self.reset.val();
        self.summing.accumulate.next = self.sum_q.q.val();
        self.summing.first.next = self.first_q.q.val();
        self.summing.last.next = self.last_q.q.val();
        self.summing.write_address.next = self.sums_address_q.q.val();
        self.summing.read_address.next = self.value_sums_address.val();
        for i in 0..self._columns {
            self.lanes[i].clock.next = self.clock.val();
            self.lanes[i].z.next = self.z[i].val();
            self.lanes[i].residual.next = self.residual_data[i].val();
            self.lanes[i].add.next = self.add.val();
            self.activation_data[i].next = self.lanes[i].activation.val();
            self.kv_data[i].next = self.lanes[i].stationary.val();
            self.score_data[i].next = self.lanes[i].score.val();
            self.logit_data[i].next = self.lanes[i].logit.val();
            self.residual_write_data[i].next = self.lanes[i].updated.val();
            self.summing.data[i].next = self.lanes[i].stationary.val();
            self.value_sums[i].next = self.summing.sums[i].val();
        }
        if self.reset.val() {
            self.kv_q.d.next = false;
            self.residual_1.d.next = false;
            self.residual_q.d.next = false;
            self.score_q.d.next = false;
            self.logit_q.d.next = false;
            self.sum_q.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::cycle;

    /// Which memories are written: activation groups, key/value, score, router, residual.
    fn enables(u: &Store) -> (u64, [bool; 4]) {
        let groups = u.activation_write.iter().enumerate();
        let activation = groups.fold(0, |all, (i, group)| all | u64::from(group.val()) << i);
        let others = [&u.kv_write, &u.score_write, &u.logit_write, &u.residual_write];
        (activation, others.map(|port| port.val()))
    }

    #[test]
    fn a_result_goes_to_its_memory_alone() {
        let config = AccelConfig::named("nano").unwrap();
        let mut u = Store::new(&config);
        u.connect_all();
        let mut rng = Rng::new(15);
        let mut writes = 0;
        for _ in 0..20_000 {
            let (valid, dst, group) = (
                rng.chance(80),
                rng.bits(3),
                1 << rng.below(config.groups() as u64),
            );
            let (address, token) = (rng.bits(16), rng.bits(11));
            u.valid.next = valid;
            u.dst.next = dst.into();
            u.group.next = group.into();
            u.address.next = address.into();
            u.token.next = token.into();
            cycle(&mut u, |u| &mut u.clock);
            let (activation, [kv, score, logit, _]) = enables(&u);
            assert_eq!(activation, if valid && dst == 0 { group } else { 0 });
            assert_eq!([kv, score, logit], [1, 3, 4].map(|to| valid && dst == to));
            assert_eq!(u.kv_rotate.val().index() as u64, token % config.columns as u64);
            let addresses = [&u.activation_address, &u.kv_address, &u.score_address];
            assert!(addresses.iter().all(|port| port.val().index() as u64 == address));
            assert_eq!(u.logit_token.val().index() as u64, address & 0x7ff);
            u.valid.next = false;
            cycle(&mut u, |u| &mut u.clock);
            assert_eq!(enables(&u), (0, [false, false, false, valid && dst == 2]));
            assert_eq!(u.residual_address.val().index() as u64, address);
            writes += usize::from(valid && dst < 5);
        }
        assert!(writes > 9_000);
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new(
            "Store",
            || Store::new(&AccelConfig::named("nano").unwrap()),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 5_000 == 4_999;
            u.valid.next = rng.chance(80);
            u.first.next = rng.chance(20);
            u.last.next = rng.chance(20);
            u.add.next = rng.chance(50);
            u.sums.next = rng.chance(50);
            u.dst.next = rng.bits(3).into();
            u.address.next = rng.bits(16).into();
            u.token.next = rng.bits(11).into();
            u.group.next = rng.bits(16).into();
            u.tile.next = rng.bits(4).into();
            u.sums_address.next = rng.bits(8).into();
            u.value_sums_address.next = rng.bits(8).into();
            u.residual_data
                .iter_mut()
                .for_each(|port| port.next = rng.corner_bits(16).into());
            u.z.iter_mut().for_each(|port| {
                port.next = ((rng.corner_bits(24) as i64) << 40 >> (40 + rng.below(17)) & 0xff_ffff)
                    .unsigned_abs()
                    .into()
            });
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
