//! The softmax unit: base-2 softmax of score rows into activation memory (command `Softmax`).
//!
//! Row `q` holds `keys` scores (Q7.8) in `ceil(keys / C)` words from `src_base + q * src_stride`. With `m` the largest of them,
//! `p_i = numerics::exp2::probability(m - s_i)`, and the byte `p_i - 128` is written; lanes beyond `keys` give `p = 0`. Chunk `i` goes
//! to word `dst_base + q * dst_stride + i / groups`, group `i % groups`. The division by the row's sum happens after the value
//! product: `numerics::reciprocal` of the sum of `p` is kept for it in `sum_bank`, row `q`.
//!
//! * Throughput: a written word a cycle; the maximum of row `q + 1` is found while row `q` is written. Rows follow each other
//!   without a gap from 2 words on; of shorter ones 16 are inside at once.
//! * Latency of a command: one cycle for each word + [`overhead_cycles`].
//! * The score memory is read without a grant, data [`READ_CYCLES`] cycles after the address. Writes wait for `write_ready` and keep
//!   their payload. `done` pulses when the last write was taken and the last reciprocal is readable.
//! * Lookup: `factor_bank`, `factor_row` to `factor_mantissa`, `factor_exponent` takes 2 cycles. Two banks of `max_tokens` rows.
//! * One command at a time: `command_ready` is low until `done`. No rows or no keys: `done` without a write.
//!
//! ```text
//! read_address <-- row buffer --arrival--> row maximum --> [maxima]
//!                      |                                     |
//!                      +--word (again)--> [2] exp lanes <----+
//!                                            |--> write stream --> write_*
//!                                            +--> row sum --> reciprocal --> [2 banks] --> factor_*
//! ```

use super::exp_lanes::{self, ExpLanes};
use super::reciprocal::Reciprocal;
use super::row_maximum::{self, RowMaximum};
use super::row_sum::RowSum;
use crate::config::AccelConfig;
use crate::control::command::COMMAND_WORDS;
use crate::memory::queue::Queue;
use crate::memory::row_buffer::{RowBuffer, ISSUE_CYCLES, OPEN_ROWS, READ_CYCLES};
use crate::memory::write_stream::WriteStream;
use crate::prelude::*;
use crate::primitives::ram::{Ram, RamStyle};

/// Cycles of a command beside one for each written word, with nothing stalled: fill and drain.
pub fn overhead_cycles(columns: usize, row_words: usize) -> usize {
    let handshakes = 24;
    row_words
        + READ_CYCLES
        + row_maximum::latency_cycles(columns)
        + ISSUE_CYCLES
        + exp_lanes::LATENCY_CYCLES
        + handshakes
}

/// The softmax unit; see the module.
#[derive(LogicBlock, Default)]
pub struct SoftmaxUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub done: Signal<Out, Bit>,
    pub read_address: Signal<Out, Bits<16>>,
    pub read_data: Vec<Signal<In, Bits<16>>>,
    pub write_valid: Vec<Signal<Out, Bit>>,
    pub write_ready: Signal<In, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_data: Vec<Signal<Out, Bits<8>>>,
    pub factor_bank: Signal<In, Bit>,
    pub factor_row: Signal<In, Bits<11>>,
    pub factor_mantissa: Signal<Out, Bits<16>>,
    pub factor_exponent: Signal<Out, Bits<5>>,
    busy: DFF<Bit>,
    accepted: DFF<Bit>,
    start: DFF<Bit>,
    settings: Vec<DFF<Bits<32>>>,
    keys: Signal<Local, Bits<11>>,
    rounded: Signal<Local, Bits<11>>,
    spare: Signal<Local, Bits<7>>,
    rows: DFF<Bits<11>>,
    words: DFF<Bits<10>>,
    last_lanes: DFF<Bits<7>>,
    buffer: RowBuffer,
    maximum: RowMaximum,
    maxima: Queue<16>,
    issue: Signal<Local, Bit>,
    maximum_1: DFF<Bits<16>>,
    maximum_2: DFF<Bits<16>>,
    last_1: DFF<Bit>,
    last_2: DFF<Bit>,
    exp: ExpLanes,
    stream: WriteStream,
    sum_last: Signal<Local, Bit>,
    sum_word: DFF<Bits<10>>,
    sum: RowSum,
    reciprocal: Reciprocal,
    sums_left: DFF<Bits<11>>,
    sum_row: DFF<Bits<16>>,
    written: DFF<Bit>,
    finished: DFF<Bit>,
    reciprocals: Ram<21>,
    bank_rows: Constant<Bits<16>>,
    word_bits: Constant<Bits<11>>,
    columns: Constant<Bits<7>>,
    column_mask: Constant<Bits<11>>,
    _command_words: usize,
    _columns: usize,
    _groups: usize,
}

impl SoftmaxUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (columns, groups, tokens) = (config.columns, config.groups(), config.max_tokens);
        Self {
            command: many(COMMAND_WORDS),
            read_data: many(columns),
            write_valid: many(groups),
            write_data: many(columns),
            settings: many(COMMAND_WORDS),
            buffer: RowBuffer::new(columns),
            maximum: RowMaximum::new(columns),
            maxima: Queue::new(1, OPEN_ROWS),
            exp: ExpLanes::new(columns),
            stream: WriteStream::new(config),
            sum: RowSum::new(columns),
            reciprocal: Reciprocal::new(),
            reciprocals: Ram::new(1, 1, 2 * tokens, RamStyle::Block),
            bank_rows: Constant::new((tokens as u64).into()),
            word_bits: Constant::new(u64::from(columns.ilog2()).into()),
            columns: Constant::new((columns as u64).into()),
            column_mask: Constant::new((columns as u64 - 1).into()),
            _command_words: COMMAND_WORDS,
            _columns: columns,
            _groups: groups,
            ..Self::default()
        }
    }
}

impl Logic for SoftmaxUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, busy, accepted, start, rows, words, last_lanes, maximum_1, maximum_2);
        dff_setup!(self, clock, last_1, last_2, sum_word, sums_left, sum_row, written, finished);
        clock!(
            self,
            clock,
            buffer,
            maximum,
            maxima,
            exp,
            stream,
            sum,
            reciprocal,
            reciprocals
        );
        self.buffer.reset.next = self.reset.val();
        self.maximum.reset.next = self.reset.val();
        self.maxima.reset.next = self.reset.val();
        self.exp.reset.next = self.reset.val();
        self.stream.reset.next = self.reset.val();
        self.sum.reset.next = self.reset.val();
        self.reciprocal.reset.next = self.reset.val();
        // Command: accepted, then its row length, then start.
        self.command_ready.next = !self.busy.q.val();
        self.accepted.d.next = self.command_valid.val() & !self.busy.q.val();
        self.start.d.next = self.accepted.q.val();
        for i in 0..self._command_words {
            self.settings[i].clock.next = self.clock.val();
            self.settings[i].d.next = self.settings[i].q.val();
            if !self.busy.q.val() {
                self.settings[i].d.next = self.command[i].val();
            }
        }
        if self.command_valid.val() {
            self.busy.d.next = true;
        }
        // A row has ceil(keys / C) words; the last one has C - (-keys mod C) lanes.
        self.keys.next = self.settings[3].q.val().get_bits::<11>(11);
        self.rounded.next = self.keys.val() - 1;
        self.spare.next = bit_cast::<7, 11>(self.rounded.val() & self.column_mask.val());
        self.rows.d.next = self.settings[3].q.val().get_bits::<11>(0);
        self.words.d.next = bit_cast::<10, 11>((self.rounded.val() >> self.word_bits.val()) + 1);
        self.last_lanes.d.next = self.spare.val() + 1;
        if !self.keys.val().any() {
            self.rows.d.next = 0.into();
        }
        // Rows in: the score memory grants every request.
        self.buffer.start.next = self.start.q.val();
        self.buffer.src_base.next = self.settings[2].q.val().get_bits::<16>(0);
        self.buffer.stride.next = bit_cast::<16, 10>(self.settings[4].q.val().get_bits::<10>(0));
        self.buffer.rows.next = self.rows.q.val();
        self.buffer.words.next = self.words.q.val();
        self.buffer.read_ready.next = true;
        self.read_address.next = self.buffer.read_address.val();
        self.maximum.valid.next = self.buffer.arrival_valid.val();
        self.maximum.first.next = self.buffer.arrival_first.val();
        self.maximum.last.next = self.buffer.arrival_last.val();
        self.maximum.last_lanes.next = self.last_lanes.q.val();
        self.maxima.write_valid.next = self.maximum.done.val();
        self.maxima.write_data[0].next = self.maximum.maximum.val();
        // Exponentials: the first row with a known maximum, while the write stream has a place.
        self.issue.next = self.maxima.read_valid.val() & self.stream.room.val();
        self.buffer.issue.next = self.issue.val();
        self.buffer.hold.next = false;
        self.maxima.read_ready.next = self.issue.val() & self.buffer.issue_last.val();
        self.maximum_1.d.next = self.maxima.read_data[0].val();
        self.maximum_2.d.next = self.maximum_1.q.val();
        self.last_1.d.next = self.buffer.issue_last.val();
        self.last_2.d.next = self.last_1.q.val();
        self.exp.valid.next = self.buffer.word_valid.val();
        self.exp.maximum.next = self.maximum_2.q.val();
        self.exp.lane_count.next = self.columns.val();
        if self.last_2.q.val() {
            self.exp.lane_count.next = self.last_lanes.q.val();
        }
        // Bytes out.
        self.stream.start.next = self.start.q.val();
        self.stream.dst_base.next = self.settings[2].q.val().get_bits::<16>(16);
        self.stream.dst_stride.next = bit_cast::<16, 8>(self.settings[4].q.val().get_bits::<8>(10));
        self.stream.plane_offset.next = 0.into();
        self.stream.planes.next = false;
        self.stream.rows.next = self.rows.q.val();
        self.stream.chunks.next = self.words.q.val();
        self.stream.reserve.next = self.issue.val();
        self.stream.push.next = self.exp.done.val();
        self.stream.write_ready.next = self.write_ready.val();
        self.write_address.next = self.stream.write_address.val();
        for g in 0..self._groups {
            self.write_valid[g].next = self.stream.write_valid[g].val();
        }
        for c in 0..self._columns {
            self.buffer.read_data[c].next = self.read_data[c].val();
            self.maximum.lanes[c].next = self.read_data[c].val();
            self.exp.lanes[c].next = self.buffer.word_data[c].val();
            self.stream.push_data[c].next = self.exp.bytes[c].val();
            self.sum.lanes[c].next = self.exp.bytes[c].val();
            self.write_data[c].next = self.stream.write_data[c].val();
        }
        // Sums and their reciprocals.
        self.sum.valid.next = self.exp.done.val();
        self.sum.first.next = !self.sum_word.q.val().any();
        self.sum_last.next = self.sum_word.q.val() + 1 == self.words.q.val();
        self.sum.last.next = self.sum_last.val();
        if self.exp.done.val() {
            self.sum_word.d.next = self.sum_word.q.val() + 1;
            if self.sum_last.val() {
                self.sum_word.d.next = 0.into();
            }
        }
        self.reciprocal.valid.next = self.sum.done.val();
        self.reciprocal.x.next = self.sum.sum.val();
        self.reciprocals.write_enable[0].next = self.reciprocal.done.val();
        self.reciprocals.write_address.next = self.sum_row.q.val();
        self.reciprocals.write_data[0].next = (bit_cast::<21, 16>(self.reciprocal.mantissa.val()) << 5)
            | bit_cast::<21, 5>(self.reciprocal.exponent.val());
        if self.reciprocal.done.val() {
            self.sum_row.d.next = self.sum_row.q.val() + 1;
            self.sums_left.d.next = self.sums_left.q.val() - 1;
        }
        self.reciprocals.read_address.next = bit_cast::<16, 11>(self.factor_row.val());
        if self.factor_bank.val() {
            self.reciprocals.read_address.next =
                bit_cast::<16, 11>(self.factor_row.val()) + self.bank_rows.val();
        }
        self.factor_mantissa.next = self.reciprocals.read_data[0].val().get_bits::<16>(5);
        self.factor_exponent.next = self.reciprocals.read_data[0].val().get_bits::<5>(0);
        if self.start.q.val() {
            self.sums_left.d.next = self.rows.q.val();
            self.sum_row.d.next = 0.into();
            if self.settings[4].q.val().get_bit(18) {
                self.sum_row.d.next = self.bank_rows.val();
            }
        }
        // The end: everything written, every reciprocal in memory.
        self.finished.d.next = false;
        if self.stream.done.val() {
            self.written.d.next = true;
        }
        if self.written.q.val() & !self.sums_left.q.val().any() {
            self.written.d.next = false;
            self.finished.d.next = true;
            self.busy.d.next = false;
        }
        self.done.next = self.finished.q.val();
        if self.reset.val() {
            self.busy.d.next = false;
            self.accepted.d.next = false;
            self.start.d.next = false;
            self.sum_word.d.next = 0.into();
            self.written.d.next = false;
            self.finished.d.next = false;
        }
    }
}
