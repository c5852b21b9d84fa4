//! Sums over tokens of the bytes that go to key/value memory, kept for the context product.
//!
//! Probabilities travel as `p - 128`, so a context result lacks `128 * sum of v`; the sum of every value channel is taken here
//! while the values are written and given to the bias of the context pass.
//!
//! * Writing: `accumulate` with C bytes a cycle, `first` and `last` mark the tokens of a group; the sums (20 bits, wrapping) of the
//!   group are readable at `write_address` from [`WRITE_CYCLES`] cycles after its last bytes.
//! * Reading: `read_address` to `sums` in [`READ_CYCLES`] cycles, every cycle.
//!
//! ```text
//! data --> [accumulators] --> [256 words of C sums] --> sums
//! accumulate, first, last, write_address --^   ^-- read_address
//! ```

use super::post_lane::VALUE_SUM_BITS;
use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::leaf::loop_text;
use crate::primitives::ram::{self, Ram, RamStyle};

/// Words of sums; the commands' fields have 8 bits.
const WORDS: usize = 256;
/// Cycles from a read address to its sums.
pub const READ_CYCLES: usize = ram::LATENCY_CYCLES;
/// Cycles from a group's last bytes to the first read address that sees its sums.
pub const WRITE_CYCLES: usize = 2;

/// The block; see the module.
#[derive(LogicBlock, Default)]
pub struct ValueSums {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub accumulate: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<8>>,
    pub data: Vec<Signal<In, Bits<8>>>,
    pub read_address: Signal<In, Bits<8>>,
    pub sums: Vec<Signal<Out, Bits<20>>>,
    write: DFF<Bit>,
    address: DFF<Bits<8>>,
    accumulators: ByteAccumulators,
    memory: Ram<20>,
    _columns: usize,
}

impl ValueSums {
    /// The sums of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let c = config.columns;
        Self {
            data: many(c),
            sums: many(c),
            accumulators: ByteAccumulators::new(c),
            memory: Ram::new(c, 1, WORDS, RamStyle::Block),
            _columns: c,
            ..Self::default()
        }
    }
}

impl Logic for ValueSums {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, write, address);
        self.accumulators.clock.next = self.clock.val();
        self.accumulators.accumulate.next = self.accumulate.val();
        self.accumulators.first.next = self.first.val();
        self.memory.clock.next = self.clock.val();
        self.write.d.next = self.accumulate.val() & self.last.val();
        self.address.d.next = self.write_address.val();
        self.memory.write_enable[0].next = self.write.q.val();
        self.memory.write_address.next = bit_cast::<16, 8>(self.address.q.val());
        self.memory.read_address.next = bit_cast::<16, 8>(self.read_address.val());
        for i in 0..self._columns {
            self.accumulators.data[i].next = self.data[i].val();
            self.memory.write_data[i].next = self.accumulators.sums[i].val();
            self.sums[i].next = self.memory.read_data[i].val();
        }
        if self.reset.val() {
            self.write.d.next = false;
        }
    }
}

/// C accumulators of signed bytes; a sum shows one cycle after its byte.
#[derive(LogicBlock, Default)]
struct ByteAccumulators {
    clock: Signal<In, Clock>,
    accumulate: Signal<In, Bit>,
    first: Signal<In, Bit>,
    data: Vec<Signal<In, Bits<8>>>,
    sums: Vec<Signal<Out, Bits<20>>>,
    _sums: Vec<i32>,
}

impl ByteAccumulators {
    fn new(columns: usize) -> Self {
        Self {
            data: many(columns),
            sums: many(columns),
            _sums: vec![0; columns],
            ..Self::default()
        }
    }
}

const LANE_TEXT: &str = "\
reg [19:0] sum;
initial sum = 20'd0;
always @(posedge clock)
  if (accumulate) sum <= (sum & {20{~first}}) + {{12{data[8 * i + 7]}}, data[8 * i +: 8]};
assign sums[20 * i +: 20] = sum;
";

impl Logic for ByteAccumulators {
    fn update(&mut self) {
        if !self.clock.pos_edge() || !self.accumulate.val() {
            return;
        }
        for (i, sum) in self._sums.iter_mut().enumerate() {
            let base = if self.first.val() { 0 } else { *sum };
            *sum = base.wrapping_add(i32::from(self.data[i].val().index() as i8));
            self.sums[i].next = (*sum as u64 & ((1 << VALUE_SUM_BITS) - 1)).into();
        }
    }

    fn connect(&mut self) {
        self.sums.iter_mut().for_each(|sum| sum.connect());
    }

    fn hdl(&self) -> Verilog {
        let columns = self.data.len();
        Verilog::Custom(format!(
            "// module: ByteAccumulators_c{columns}\ngenvar i;\n{}",
            loop_text("lane", columns, LANE_TEXT),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};

    fn tick(block: &mut ValueSums) {
        cycle(block, |u| &mut u.clock);
    }

    /// Sends one group with gaps and gives its sums.
    fn send(block: &mut ValueSums, address: usize, tokens: usize, rng: &mut Rng) -> Vec<i64> {
        let mut sums = vec![0i64; block.data.len()];
        let mut token = 0;
        while token < tokens {
            let valid = rng.below(5) != 0;
            block.accumulate.next = valid;
            block.first.next = token == 0;
            block.last.next = token + 1 == tokens;
            block.write_address.next = (address as u64).into();
            for (port, sum) in block.data.iter_mut().zip(&mut sums) {
                let byte = rng.bits(8) as u8;
                port.next = u64::from(byte).into();
                *sum += if valid { i64::from(byte as i8) } else { 0 };
            }
            token += usize::from(valid);
            settle(block);
            tick(block);
        }
        block.accumulate.next = false;
        sums
    }

    #[test]
    fn groups_are_summed_and_read_back() {
        let config = AccelConfig::named("nano").unwrap();
        let mut block = ValueSums::new(&config);
        block.connect_all();
        let mut rng = Rng::new(9);
        let mut want = vec![vec![0i64; config.columns]; WORDS];
        for group in 0..2_000 {
            let address = rng.below(WORDS as u64) as usize;
            let tokens = 1 + rng.below(if group == 0 { 2_000 } else { 20 }) as usize;
            want[address] = send(&mut block, address, tokens, &mut rng);
        }
        (0..WRITE_CYCLES).for_each(|_| tick(&mut block));
        let mut compared = 0;
        for (address, row) in want.iter().enumerate() {
            block.read_address.next = (address as u64).into();
            settle(&mut block);
            (0..READ_CYCLES).for_each(|_| tick(&mut block));
            for (out, &sum) in block.sums.iter().zip(row) {
                assert_eq!((out.val().index() as i64) << 44 >> 44, sum, "word {address}");
                compared += 1;
            }
        }
        assert_eq!(compared, WORDS * config.columns);
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new(
            "ValueSums",
            || ValueSums::new(&AccelConfig::named("nano").unwrap()),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 5_000 == 4_999;
            u.accumulate.next = rng.chance(80);
            u.first.next = rng.chance(10);
            u.last.next = rng.chance(30);
            u.write_address.next = rng.bits(8).into();
            u.read_address.next = rng.bits(8).into();
            u.data
                .iter_mut()
                .for_each(|port| port.next = rng.corner_bits(8).into());
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
