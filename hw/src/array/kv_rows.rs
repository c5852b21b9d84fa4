//! Reads a tile out of the key/value memory: R rows, one a cycle, in the order of the load segments (lanes 3, 2, 1, 0, 7, 6, ...).
//!
//! With `index = lane_base + lane` (a token for values, a channel for keys) and C columns:
//!
//! | | `kv_base` | `kv_rotate` |
//! |---|---|---|
//! | values | `base + column_tile + index * stride` | `index mod C` |
//! | keys | `base + index / C + column_base * stride` | `index mod C` |
//!
//! A row of values whose token is beyond `tokens` is announced as `zero`.
//!
//! * `start` in cycle `c`: row `i` is announced (`row`, `segment`, `zero`) in `c + 1 + i`, its request leaves
//!   [`row_address::LATENCY_CYCLES`] later. `finished` accompanies the last row, `loaded` is the cycle after which the tile counts as
//!   loaded ([`timing::pass_after_kv_cycles`]). The inputs hold still from `start` to `finished`.
//! * Never stalls.
//!
//! ```text
//! start --> [index, segment] --+--> row, segment, zero
//!                              +--> RowAddress --> kv_base
//!                              +--> [delay] -----> kv_rotate, kv_stride, kv_by_keys
//! ```

use super::row_address::{self, RowAddress};
use super::timing;
use crate::config::AccelConfig;
use crate::prelude::*;

/// The reader; see the module.
#[derive(LogicBlock, Default)]
pub struct KvRows {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub by_keys: Signal<In, Bit>,
    pub base: Signal<In, Bits<16>>,
    pub stride: Signal<In, Bits<8>>,
    pub tokens: Signal<In, Bits<11>>,
    pub column_tile: Signal<In, Bits<10>>,
    /// `column_tile * C`.
    pub column_base: Signal<In, Bits<11>>,
    pub lane_base: Signal<In, Bits<11>>,
    pub row: Signal<Out, Bit>,
    pub segment: Signal<Out, Bits<4>>,
    pub zero: Signal<Out, Bit>,
    pub loaded: Signal<Out, Bit>,
    pub finished: Signal<Out, Bit>,
    pub kv_base: Signal<Out, Bits<16>>,
    pub kv_stride: Signal<Out, Bits<8>>,
    pub kv_rotate: Signal<Out, Bits<6>>,
    pub kv_by_keys: Signal<Out, Bit>,
    active: DFF<Bit>,
    count: DFF<Bits<6>>,
    /// Place in the segment.
    place: DFF<Bits<2>>,
    segment_now: DFF<Bits<4>>,
    index: DFF<Bits<11>>,
    address: RowAddress,
    rotates: Vec<DFF<Bits<6>>>,
    strides: Vec<DFF<Bits<8>>>,
    keys: Vec<DFF<Bit>>,
    last_row: Constant<Bits<6>>,
    loaded_row: Constant<Bits<6>>,
    column_mask: Constant<Bits<11>>,
    column_bits: Constant<Bits<3>>,
    _stages: usize,
}

impl KvRows {
    pub fn new(config: &AccelConfig) -> Self {
        let stages = row_address::LATENCY_CYCLES;
        // Row `i` is there `i + 1` cycles after the start; what it sets can be seen one cycle later.
        let loaded_row = timing::pass_after_kv_cycles(config.rows) - 2;
        Self {
            address: RowAddress::default(),
            rotates: many(stages),
            strides: many(stages),
            keys: many(stages),
            last_row: Constant::new((config.rows as u64 - 1).into()),
            loaded_row: Constant::new((loaded_row as u64).into()),
            column_mask: Constant::new((config.columns as u64 - 1).into()),
            column_bits: Constant::new(u64::from(config.columns.ilog2()).into()),
            _stages: stages,
            ..Self::default()
        }
    }
}

impl Logic for KvRows {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, active, count, place, segment_now, index);
        clock!(self, clock, address);
        self.row.next = self.active.q.val();
        self.segment.next = self.segment_now.q.val();
        self.zero.next = !self.by_keys.val() & (self.index.q.val() >= self.tokens.val());
        self.loaded.next = self.active.q.val() & (self.count.q.val() == self.loaded_row.val());
        self.finished.next = self.active.q.val() & (self.count.q.val() == self.last_row.val());
        if self.active.q.val() {
            self.count.d.next = self.count.q.val() + 1;
            self.place.d.next = self.place.q.val() + 1;
            self.index.d.next = self.index.q.val() - 1;
            if self.place.q.val() == 3 {
                self.segment_now.d.next = self.segment_now.q.val() + 1;
                self.index.d.next = self.index.q.val() + 7;
            }
            if self.count.q.val() == self.last_row.val() {
                self.active.d.next = false;
            }
        }
        if self.start.val() {
            self.active.d.next = true;
            self.count.d.next = 0.into();
            self.place.d.next = 0.into();
            self.segment_now.d.next = 0.into();
            self.index.d.next = self.lane_base.val() + 3;
        }

        self.address.row.next = self.index.q.val();
        self.address.word.next = self.base.val() + bit_cast::<16, 10>(self.column_tile.val());
        if self.by_keys.val() & self.active.q.val() {
            self.address.row.next = self.column_base.val();
            self.address.word.next =
                self.base.val() + bit_cast::<16, 11>(self.index.q.val() >> self.column_bits.val());
        }
        self.address.stride.next = self.stride.val();
        self.kv_base.next = self.address.address.val();
        for i in 0..self._stages {
            self.rotates[i].clock.next = self.clock.val();
            self.strides[i].clock.next = self.clock.val();
            self.keys[i].clock.next = self.clock.val();
        }
        self.rotates[0].d.next = bit_cast::<6, 11>(self.index.q.val() & self.column_mask.val());
        self.strides[0].d.next = self.stride.val();
        self.keys[0].d.next = self.by_keys.val();
        for i in 1..self._stages {
            self.rotates[i].d.next = self.rotates[i - 1].q.val();
            self.strides[i].d.next = self.strides[i - 1].q.val();
            self.keys[i].d.next = self.keys[i - 1].q.val();
        }
        self.kv_rotate.next = self.rotates[2].q.val();
        self.kv_stride.next = self.strides[2].q.val();
        self.kv_by_keys.next = self.keys[2].q.val();
        if self.reset.val() {
            self.active.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    #[test]
    fn rows_come_in_segment_order_with_their_addresses() {
        let mut compared = 0;
        for name in AccelConfig::names() {
            let config = AccelConfig::named(name).unwrap();
            let (r, c) = (config.rows as u64, config.columns as u64);
            let mut random = Random::new(4);
            let mut rows = KvRows::new(&config);
            for _ in 0..40 {
                let keys = random.chance(50);
                let (base, stride, tokens) =
                    (random.next() & 0xfff, random.next() & 0xff, random.next() & 0x7f);
                let (tile, lane_base) = (random.below(4) as u64, r * random.below(4) as u64);
                rows.by_keys.next = keys;
                rows.base.next = base.into();
                rows.stride.next = stride.into();
                rows.tokens.next = tokens.into();
                rows.column_tile.next = tile.into();
                rows.column_base.next = (tile * c).into();
                rows.lane_base.next = lane_base.into();
                rows.start.next = true;
                tick!(rows);
                rows.start.next = false;
                for i in 0..r + row_address::LATENCY_CYCLES as u64 {
                    if i < r {
                        let index = lane_base + (i ^ 3);
                        assert!(rows.row.val());
                        assert_eq!(rows.segment.val(), i / 4);
                        assert_eq!(rows.zero.val(), !keys && index >= tokens);
                        assert_eq!(rows.finished.val(), i == r - 1);
                    }
                    if i >= row_address::LATENCY_CYCLES as u64 {
                        let index = lane_base + (i - row_address::LATENCY_CYCLES as u64 ^ 3);
                        let want = if keys {
                            base + index / c + tile * c * stride
                        } else {
                            base + tile + index * stride
                        };
                        assert_eq!(rows.kv_base.val(), want & 0xffff);
                        assert_eq!(rows.kv_rotate.val(), index % c);
                        assert_eq!(rows.kv_by_keys.val(), keys);
                        assert_eq!(rows.kv_stride.val(), stride);
                        compared += 1;
                    }
                    tick!(rows);
                }
                assert!(!rows.row.val());
            }
        }
        assert_eq!(compared, 40 * (16 + 32));
    }
}
