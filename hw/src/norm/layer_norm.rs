//! The norm unit: LayerNorm of residual rows into activation memory (command `Norm`).
//!
//! Row `t` is `numerics::layer_norm` over its `row_words` words of C channels, read once from `src_base + t * row_words`. Chunk `i`
//! goes to word `dst_base + t * dst_stride + i / groups`, group `i % groups`; with `wide` that is the high plane, and the low one
//! follows `row_words / groups` words further. Channels beyond `width` in the last word must be zero in the residual memory: they
//! are summed like the others.
//!
//! * Throughput: a written word a cycle. While row `t` is normalised, row `t + 1` is read and summed; rows follow each other without
//!   a gap from 3 words on; of shorter ones 16 are inside at once.
//! * Latency of a command: `tokens * row_words * planes` + [`overhead_cycles`].
//! * Reads wait for `read_ready`, writes for `write_ready`; both keep their payload. `done` pulses when the last write was taken.
//! * One command at a time: `command_ready` is low until `done`. No rows or no words: `done` without a write.
//!
//! ```text
//! read_* <--- row buffer ---arrival---> row statistics --> row scale --> [scales]
//!                 |                                                         |
//!                 +---word (again)----> [2 cycles] element lanes <----------+
//!                                              |
//!                                              +--> write stream --> write_*
//! ```

use super::element_lanes::ElementLanes;
use super::row_scale::RowScale;
use super::row_statistics::RowStatistics;
use super::{element_lanes, row_scale, row_statistics};
use crate::config::AccelConfig;
use crate::control::command::COMMAND_WORDS;
use crate::memory::queue::Queue;
use crate::memory::row_buffer::{RowBuffer, ISSUE_CYCLES, OPEN_ROWS, READ_CYCLES};
use crate::memory::write_stream::WriteStream;
use crate::prelude::*;

/// Cycles of a command beside one for each written word, with nothing stalled and rows of equal length: fill and drain.
pub fn overhead_cycles(columns: usize, row_words: usize) -> usize {
    let reduction = row_statistics::latency_cycles(columns) + row_scale::LATENCY_CYCLES;
    let handshakes = 10;
    row_words + READ_CYCLES + reduction + ISSUE_CYCLES + element_lanes::LATENCY_CYCLES + handshakes
}

/// The norm unit; see the module.
#[derive(LogicBlock, Default)]
pub struct NormUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub done: Signal<Out, Bit>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    pub read_address: Signal<Out, Bits<16>>,
    pub read_data: Vec<Signal<In, Bits<16>>>,
    pub write_valid: Vec<Signal<Out, Bit>>,
    pub write_ready: Signal<In, Bit>,
    pub write_address: Signal<Out, Bits<16>>,
    pub write_data: Vec<Signal<Out, Bits<8>>>,
    busy: DFF<Bit>,
    start: DFF<Bit>,
    settings: Vec<DFF<Bits<32>>>,
    row_words: Signal<Local, Bits<8>>,
    rows: Signal<Local, Bits<11>>,
    wide: Signal<Local, Bit>,
    buffer: RowBuffer,
    statistics: RowStatistics,
    scale: RowScale,
    scales: Queue<32>,
    issue: Signal<Local, Bit>,
    again: Signal<Local, Bit>,
    low: DFF<Bit>,
    low_1: DFF<Bit>,
    low_2: DFF<Bit>,
    mean_1: DFF<Bits<27>>,
    mean_2: DFF<Bits<27>>,
    factor_1: DFF<Bits<17>>,
    factor_2: DFF<Bits<17>>,
    shift_1: DFF<Bits<6>>,
    shift_2: DFF<Bits<6>>,
    elements: ElementLanes,
    stream: WriteStream,
    group_bits: Constant<Bits<8>>,
    _command_words: usize,
    _columns: usize,
    _groups: usize,
}

impl NormUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (columns, groups) = (config.columns, config.groups());
        Self {
            command: many(COMMAND_WORDS),
            read_data: many(columns),
            write_valid: many(groups),
            write_data: many(columns),
            settings: many(COMMAND_WORDS),
            buffer: RowBuffer::new(columns),
            statistics: RowStatistics::new(columns),
            scale: RowScale::new(),
            scales: Queue::new(2, OPEN_ROWS),
            elements: ElementLanes::new(columns),
            stream: WriteStream::new(config),
            group_bits: Constant::new(u64::from(groups.ilog2()).into()),
            _command_words: COMMAND_WORDS,
            _columns: columns,
            _groups: groups,
            ..Self::default()
        }
    }
}

impl Logic for NormUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, busy, start, low, low_1, low_2, mean_1, mean_2);
        dff_setup!(self, clock, factor_1, factor_2, shift_1, shift_2);
        clock!(self, clock, buffer, statistics, scale, scales, elements, stream);
        self.buffer.reset.next = self.reset.val();
        self.statistics.reset.next = self.reset.val();
        self.scale.reset.next = self.reset.val();
        self.scales.reset.next = self.reset.val();
        self.elements.reset.next = self.reset.val();
        self.stream.reset.next = self.reset.val();
        // Command.
        self.command_ready.next = !self.busy.q.val();
        self.start.d.next = self.command_valid.val() & !self.busy.q.val();
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
        if self.stream.done.val() {
            self.busy.d.next = false;
        }
        self.done.next = self.stream.done.val();
        self.row_words.next = self.settings[3].q.val().get_bits::<8>(11);
        self.rows.next = self.settings[3].q.val().get_bits::<11>(0);
        if !self.row_words.val().any() {
            self.rows.next = 0.into();
        }
        self.wide.next = self.settings[3].q.val().get_bit(19);
        // Rows in.
        self.buffer.start.next = self.start.q.val();
        self.buffer.src_base.next = self.settings[2].q.val().get_bits::<16>(0);
        self.buffer.stride.next = bit_cast::<16, 8>(self.row_words.val());
        self.buffer.rows.next = self.rows.val();
        self.buffer.words.next = bit_cast::<10, 8>(self.row_words.val());
        self.read_valid.next = self.buffer.read_valid.val();
        self.buffer.read_ready.next = self.read_ready.val();
        self.read_address.next = self.buffer.read_address.val();
        // Row statistics and scale.
        self.statistics.valid.next = self.buffer.arrival_valid.val();
        self.statistics.first.next = self.buffer.arrival_first.val();
        self.statistics.last.next = self.buffer.arrival_last.val();
        self.scale.valid.next = self.statistics.done.val();
        self.scale.sum.next = self.statistics.sum.val();
        self.scale.squares_low.next = self.statistics.squares_low.val();
        self.scale.squares_high.next = self.statistics.squares_high.val();
        self.scale.width.next = self.settings[4].q.val().get_bits::<12>(0);
        self.scale.norm_shift.next = self.settings[4].q.val().get_bits::<6>(12);
        self.scale.inverse_width.next = self.settings[5].q.val();
        self.scale.epsilon.next = self.settings[6].q.val();
        self.scale.mantissa.next = self.settings[7].q.val().get_bits::<16>(0);
        self.scales.write_valid.next = self.scale.done.val();
        self.scales.write_data[0].next = bit_cast::<32, 27>(self.scale.mean.val());
        self.scales.write_data[1].next =
            (bit_cast::<32, 17>(self.scale.factor.val()) << 6) | bit_cast::<32, 6>(self.scale.shift.val());
        // Elements: the first row with a known scale, while the write stream has a place. Wide words pass twice.
        self.issue.next = self.scales.read_valid.val() & self.stream.room.val();
        self.again.next = self.wide.val() & !self.low.q.val();
        self.buffer.issue.next = self.issue.val();
        self.buffer.hold.next = self.again.val();
        self.scales.read_ready.next = self.issue.val() & !self.again.val() & self.buffer.issue_last.val();
        if self.issue.val() {
            self.low.d.next = self.again.val();
        }
        self.low_1.d.next = self.low.q.val();
        self.low_2.d.next = self.low_1.q.val();
        self.mean_1.d.next = self.scales.read_data[0].val().get_bits::<27>(0);
        self.mean_2.d.next = self.mean_1.q.val();
        self.factor_1.d.next = self.scales.read_data[1].val().get_bits::<17>(6);
        self.factor_2.d.next = self.factor_1.q.val();
        self.shift_1.d.next = self.scales.read_data[1].val().get_bits::<6>(0);
        self.shift_2.d.next = self.shift_1.q.val();
        self.elements.valid.next = self.buffer.word_valid.val();
        self.elements.mean.next = self.mean_2.q.val();
        self.elements.factor.next = self.factor_2.q.val();
        self.elements.shift.next = self.shift_2.q.val();
        self.elements.wide.next = self.wide.val();
        self.elements.low.next = self.low_2.q.val();
        // Bytes out.
        self.stream.start.next = self.start.q.val();
        self.stream.dst_base.next = self.settings[2].q.val().get_bits::<16>(16);
        self.stream.dst_stride.next = bit_cast::<16, 8>(self.settings[3].q.val().get_bits::<8>(20));
        self.stream.plane_offset.next = bit_cast::<16, 8>(self.row_words.val() >> self.group_bits.val());
        self.stream.planes.next = self.wide.val();
        self.stream.rows.next = self.rows.val();
        self.stream.chunks.next = bit_cast::<10, 8>(self.row_words.val());
        self.stream.reserve.next = self.issue.val();
        self.stream.push.next = self.elements.done.val();
        self.stream.write_ready.next = self.write_ready.val();
        self.write_address.next = self.stream.write_address.val();
        for g in 0..self._groups {
            self.write_valid[g].next = self.stream.write_valid[g].val();
        }
        for c in 0..self._columns {
            self.buffer.read_data[c].next = self.read_data[c].val();
            self.statistics.lanes[c].next = self.read_data[c].val();
            self.elements.lanes[c].next = self.buffer.word_data[c].val();
            self.stream.push_data[c].next = self.elements.bytes[c].val();
            self.write_data[c].next = self.stream.write_data[c].val();
        }
        if self.reset.val() {
            self.busy.d.next = false;
            self.start.d.next = false;
            self.low.d.next = false;
        }
    }
}
