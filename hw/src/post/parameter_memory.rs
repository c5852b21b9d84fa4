//! Memory of post-processing parameters: [`BANKS`] blocks of C channels, each bias, mantissa and factor.
//!
//! A block arrives as `64 / R` words; channel `c` of a block sits at its byte `8c`: bias (4 bytes), mantissa (2), factor (2), low
//! byte first. The three fields are read in different stages of the lanes, hence from a bank each, [`LATENCY_CYCLES`] after it.
//!
//! ```text
//! write, write_bank, write_word, data --> [bias]     <-- [bias_bank]     --> [bias]
//!                                         [mantissa] <-- [mantissa_bank] --> [mantissa]
//!                                         [factor]   <-- [factor_bank]   --> [factor]
//! ```
//!
//! A read sees the memory before a write of the same edge.

use crate::config::{AccelConfig, PARAMETER_BYTES};
use crate::prelude::*;
use crate::primitives::leaf::{loop_text, unused_text};

/// Blocks that are held at a time; four cost the same distributed memory as two.
pub const BANKS: usize = 4;
/// Cycles from a bank number to its data.
pub const LATENCY_CYCLES: usize = 2;

/// One channel's parameters.
#[derive(Clone, Copy, Default)]
struct Channel {
    bias: u32,
    mantissa: u16,
    factor: u16,
}

impl Channel {
    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            bias: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            mantissa: u16::from_le_bytes([bytes[4], bytes[5]]),
            factor: u16::from_le_bytes([bytes[6], bytes[7]]),
        }
    }
}

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct ParameterMemory {
    pub clock: Signal<In, Clock>,
    pub write: Signal<In, Bit>,
    pub write_bank: Signal<In, Bits<2>>,
    pub write_word: Signal<In, Bits<2>>,
    pub data: Vec<Signal<In, Bits<8>>>,
    pub bias_bank: Signal<In, Bits<2>>,
    pub mantissa_bank: Signal<In, Bits<2>>,
    pub factor_bank: Signal<In, Bits<2>>,
    pub bias: Vec<Signal<Out, Bits<32>>>,
    pub mantissa: Vec<Signal<Out, Bits<16>>>,
    pub factor: Vec<Signal<Out, Bits<16>>>,
    _banks: [Vec<Channel>; BANKS],
    /// Registered bank numbers: bias, mantissa, factor.
    _bank: [usize; 3],
}

impl ParameterMemory {
    /// The memory of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let c = config.columns;
        Self {
            data: many(config.weight_word_bytes()),
            bias: many(c),
            mantissa: many(c),
            factor: many(c),
            _banks: std::array::from_fn(|_| vec![Channel::default(); c]),
            _bank: [0; 3],
            ..Self::default()
        }
    }

    fn channels_per_word(&self) -> usize {
        self.data.len() / PARAMETER_BYTES
    }

    fn words(&self) -> usize {
        self.bias.len() / self.channels_per_word()
    }

    fn read(&mut self) {
        let [bias, mantissa, factor] = self._bank.map(|bank| &self._banks[bank]);
        for c in 0..bias.len() {
            self.bias[c].next = u64::from(bias[c].bias).into();
            self.mantissa[c].next = u64::from(mantissa[c].mantissa).into();
            self.factor[c].next = u64::from(factor[c].factor).into();
        }
        self._bank = [&self.bias_bank, &self.mantissa_bank, &self.factor_bank].map(|b| b.val().index());
    }

    fn store(&mut self) {
        let (word, bank) = (self.write_word.val().index(), self.write_bank.val().index());
        if !self.write.val() || word >= self.words() {
            return;
        }
        let bytes: Vec<u8> = self.data.iter().map(|b| b.val().index() as u8).collect();
        let first = word * self.channels_per_word();
        for (i, channel) in bytes.chunks_exact(PARAMETER_BYTES).enumerate() {
            self._banks[bank][first + i] = Channel::from_bytes(channel);
        }
    }

    /// A field of every channel: `width` bits from byte `byte` on, a memory for each word of the stream.
    fn field_text(&self, field: &str, byte: usize, width: usize) -> String {
        let count = self.channels_per_word();
        let inputs: Vec<String> = (0..count)
            .rev()
            .map(|i| {
                let low = 8 * (PARAMETER_BYTES * i + byte);
                format!("data[{}:{low}]", low + width - 1)
            })
            .collect();
        let memory = MEMORY_TEXT
            .replace("FIELD", field)
            .replace("BITS", &(count * width).to_string())
            .replace("TOP", &(count * width - 1).to_string())
            .replace("LAST", &(BANKS - 1).to_string());
        format!(
            "reg [1:0] {field}_bank_1;\nalways @(posedge clock) {field}_bank_1 <= {field}_bank;\ninitial {field}_bank_1 = 2'd0;\n\
             wire [{top}:0] {field}_data = {{{inputs}}};\n{loops}",
            top = count * width - 1,
            inputs = inputs.join(", "),
            loops = loop_text(&format!("{field}_words"), self.words(), &memory),
        )
    }
}

const MEMORY_TEXT: &str = "\
(* ram_style = \"distributed\" *) reg [TOP:0] memory [0:LAST];
reg [TOP:0] taken;
assign FIELD[BITS * i +: BITS] = taken;
always @(posedge clock) begin
  if (writes[i]) memory[write_bank] <= FIELD_data;
  taken <= memory[FIELD_bank_1];
end
`ifndef SYNTHESIS
integer n;
initial begin
  taken = 0;
  for (n = 0; n <= LAST; n = n + 1) memory[n] = 0;
end
`endif
";

impl Logic for ParameterMemory {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.read();
            self.store();
        }
    }

    fn connect(&mut self) {
        self.bias.iter_mut().for_each(|out| out.connect());
        self.mantissa.iter_mut().for_each(|out| out.connect());
        self.factor.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let fields = [("bias", 0, 32), ("mantissa", 4, 16), ("factor", 6, 16)];
        let fields = fields.map(|(field, byte, width)| self.field_text(field, byte, width));
        let (words, bits) = (self.words(), self.words().max(2));
        Verilog::Custom(format!(
            "// module: ParameterMemory_w{}_c{}\nwire [{top}:0] writes = {{{top}'d0, write}} << write_word;\ngenvar i;\n{unused}{}",
            self.data.len(),
            self.bias.len(),
            fields.concat(),
            top = bits - 1,
            unused = unused_text("writes", words, bits),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};

    fn tick(memory: &mut ParameterMemory) {
        cycle(memory, |u| &mut u.clock);
    }

    fn write_block(memory: &mut ParameterMemory, bank: usize, block: &[u8]) {
        let bytes = memory.data.len();
        for (word, data) in block.chunks(bytes).enumerate() {
            memory.write.next = true;
            memory.write_bank.next = (bank as u64).into();
            memory.write_word.next = (word as u64).into();
            for (port, &byte) in memory.data.iter_mut().zip(data) {
                port.next = u64::from(byte).into();
            }
            settle(memory);
            tick(memory);
        }
        memory.write.next = false;
    }

    #[test]
    fn every_field_comes_from_its_own_bank() {
        let mut compared = 0;
        for name in AccelConfig::names() {
            let config = AccelConfig::named(name).unwrap();
            let mut memory = ParameterMemory::new(&config);
            let mut rng = Rng::new(3);
            let blocks: Vec<Vec<u8>> = (0..BANKS)
                .map(|_| (0..8 * config.columns).map(|_| rng.bits(8) as u8).collect())
                .collect();
            for (bank, block) in blocks.iter().enumerate() {
                write_block(&mut memory, bank, block);
            }
            for banks in 0..BANKS.pow(3) {
                let [b, m, f] = [banks % 4, banks / 4 % 4, banks / 16];
                memory.bias_bank.next = (b as u64).into();
                memory.mantissa_bank.next = (m as u64).into();
                memory.factor_bank.next = (f as u64).into();
                settle(&mut memory);
                (0..LATENCY_CYCLES).for_each(|_| tick(&mut memory));
                for c in 0..config.columns {
                    let of = |bank: usize| Channel::from_bytes(&blocks[bank][8 * c..]);
                    assert_eq!(memory.bias[c].val().index(), of(b).bias as usize);
                    assert_eq!(memory.mantissa[c].val().index(), of(m).mantissa as usize);
                    assert_eq!(memory.factor[c].val().index(), of(f).factor as usize);
                    compared += 3;
                }
            }
        }
        assert_eq!(compared, 3 * 64 * (8 + 32));
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new(
            "ParameterMemory",
            || ParameterMemory::new(&AccelConfig::named("nano").unwrap()),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..4, 25_000, |u, rng, cycle| {
            u.write.next = cycle % 2 == 0;
            u.write_bank.next = rng.bits(2).into();
            u.write_word.next = rng.bits(2).into();
            u.data.iter_mut().for_each(|port| port.next = rng.bits(8).into());
            u.bias_bank.next = rng.bits(2).into();
            u.mantissa_bank.next = rng.bits(2).into();
            u.factor_bank.next = rng.bits(2).into();
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
