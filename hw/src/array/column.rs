//! One column of the array: R cells in cascades of 8, their weight loading, and the sum of the cascades.
//!
//! ```text
//! sum_t = sum over the lanes of token_t[lane] * weight[lane]
//! ```
//!
//! * Lanes must arrive skewed: lane `8b + i` of a step `i` cycles after lane `8b`; its swap [`mac_pair::SWAP_CYCLES`] later still.
//! * Latency from lane 0 to the sums: 7 cascade steps, 4 of the last cell, then [`ColumnSum`]. One pair a cycle, no stall.
//! * `load[s]` shifts `weight[s / 2]` into the four cells of segment `s`: the first byte ends in the segment's last lane.
//!
//! ```text
//! weight[b] --> cell 8b --> 8b+1 --> 8b+2 --> 8b+3        weight[b] --> cell 8b+4 --> ... --> 8b+7
//!   0 --------> cell 8b --P--> 8b+1 --P--> ...                                  --P--> 8b+7 --> ColumnSum --> sum_0, sum_1
//! ```

use super::column_sum::{ColumnSum, SUM_BITS};
use super::load_bus::SEGMENT_LANES;
use super::mac_pair::{MacPair, Place};
use crate::config::CASCADE_LANES;
use crate::prelude::*;

/// The column; see the module.
#[derive(LogicBlock, Default)]
pub struct Column {
    pub clock: Signal<In, Clock>,
    pub token_0: Vec<Signal<In, Bits<8>>>,
    pub token_1: Vec<Signal<In, Bits<8>>>,
    /// By lane of a cascade.
    pub swap: Vec<Signal<In, Bit>>,
    /// By segment.
    pub load: Vec<Signal<In, Bit>>,
    /// By bus.
    pub weight: Vec<Signal<In, Bits<8>>>,
    pub sum_0: Signal<Out, Bits<SUM_BITS>>,
    pub sum_1: Signal<Out, Bits<SUM_BITS>>,
    cells: Vec<MacPair>,
    total: ColumnSum,
    _cascades: usize,
}

impl Column {
    /// A column of `rows` lanes, a multiple of 8.
    pub fn new(rows: usize) -> Self {
        let place = |lane: usize| match lane % CASCADE_LANES {
            0 => Place::CascadeHead,
            i if i % SEGMENT_LANES == 0 => Place::SegmentHead,
            i if i == CASCADE_LANES - 1 => Place::Tail,
            _ => Place::Inner,
        };
        let cascades = rows / CASCADE_LANES;
        Self {
            token_0: many(rows),
            token_1: many(rows),
            swap: many(CASCADE_LANES),
            load: many(rows / SEGMENT_LANES),
            weight: many(cascades),
            cells: (0..rows).map(|lane| MacPair::new(place(lane))).collect(),
            total: ColumnSum::new(cascades),
            _cascades: cascades,
            ..Self::default()
        }
    }
}

impl Logic for Column {
    #[hdl_gen]
    fn update(&mut self) {
        self.total.clock.next = self.clock.val();
        for b in 0..self._cascades {
            for i in 0..8 {
                self.cells[8 * b + i].clock.next = self.clock.val();
                self.cells[8 * b + i].swap.next = self.swap[i].val();
                self.cells[8 * b + i].token_0.next = self.token_0[8 * b + i].val();
                self.cells[8 * b + i].token_1.next = self.token_1[8 * b + i].val();
            }
            for i in 0..4 {
                self.cells[8 * b + i].load.next = self.load[2 * b].val();
                self.cells[8 * b + i + 4].load.next = self.load[2 * b + 1].val();
            }
            for i in 0..8 {
                self.cells[8 * b + i].weight.next = self.weight[b].val();
            }
            self.cells[8 * b].weight_in.next = 0.into();
            self.cells[8 * b + 4].weight_in.next = 0.into();
            for i in 1..4 {
                self.cells[8 * b + i].weight_in.next = self.cells[8 * b + i - 1].weight_out.val();
                self.cells[8 * b + i + 4].weight_in.next = self.cells[8 * b + i + 3].weight_out.val();
            }
            self.cells[8 * b].cascade_in_low.next = 0.into();
            self.cells[8 * b].cascade_in_high.next = 0.into();
            for i in 1..8 {
                self.cells[8 * b + i].cascade_in_low.next = self.cells[8 * b + i - 1].cascade_out_low.val();
                self.cells[8 * b + i].cascade_in_high.next = self.cells[8 * b + i - 1].cascade_out_high.val();
            }
            self.total.low[b].next = self.cells[8 * b + 7].cascade_out_low.val();
            self.total.high[b].next = self.cells[8 * b + 7].cascade_out_high.val();
        }
        self.sum_0.next = self.total.sum_0.val();
        self.sum_1.next = self.total.sum_1.val();
    }
}
