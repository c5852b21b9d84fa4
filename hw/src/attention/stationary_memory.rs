//! Key/value memory: C banks of bytes, written by token, read by token (values) or by channel (keys).
//!
//! Channel `ch` of token `t` lies in bank `(ch + t) mod C`, at the address of its word. So both a word of one token (C channels)
//! and a column (one channel of C tokens in a row) take one byte from every bank.
//!
//! ```text
//! write:   bank b = lane (b - rotate),  address                          rotate = t mod C
//! values:  address_b = base,            lane l = bank (l + rotate)       rotate = t mod C, base: the word's address
//! keys:    address_b = base + ((b - rotate) mod C) * stride              rotate = ch mod C, base: word of token n * C
//!          lane l (token n * C + l) = bank (l + rotate)
//!
//! write_* --> [rotate] --> banks
//! read_*  --> [products] --> [C addresses] --> [banks: 2] --> [rotate] --> read_data
//! ```
//!
//! A key's address is computed as `base - rotate * stride + b * stride + (b < rotate ? C * stride : 0)`: one product, and multiples by
//! constants.
//!
//! * Read latency [`KV_READ_CYCLES`], one word a cycle; writes one word a cycle. A read sees the writes of earlier cycles.
//! * Reads beyond the depth give zero, writes there do nothing. Addresses wrap at 16 bits.

use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::leaf::{loop_text, unused_text};

/// Cycles from a read to its data: products, address, memory, output register, rotation.
pub const KV_READ_CYCLES: usize = 5;

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct StationaryMemory {
    pub clock: Signal<In, Clock>,
    pub write_enable: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_rotate: Signal<In, Bits<6>>,
    pub write_data: Vec<Signal<In, Bits<8>>>,
    pub read_base: Signal<In, Bits<16>>,
    pub read_stride: Signal<In, Bits<8>>,
    pub read_rotate: Signal<In, Bits<6>>,
    pub read_by_keys: Signal<In, Bit>,
    pub read_data: Vec<Signal<Out, Bits<8>>>,
    _depth: usize,
    /// Word `a` of bank `b` at `a * C + b`.
    _bytes: Vec<u8>,
    _write: Option<(usize, Vec<u8>)>,
    /// Addresses of the next read and of the one before it.
    _asked: Vec<usize>,
    _addresses: Vec<usize>,
    _stage: Vec<u8>,
    _output: Vec<u8>,
    /// Rotations of the words in the four stages before `read_data`.
    _rotations: [usize; 4],
}

impl StationaryMemory {
    /// The memory of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (columns, depth) = (config.columns, config.stationary_words);
        Self {
            write_data: many(columns),
            read_data: many(columns),
            _depth: depth,
            _bytes: vec![0; depth * columns],
            _write: None,
            _asked: vec![0; columns],
            _addresses: vec![0; columns],
            _stage: vec![0; columns],
            _output: vec![0; columns],
            _rotations: [0; 4],
            ..Self::default()
        }
    }

    fn show_output(&mut self) {
        let columns = self.read_data.len();
        for (lane, out) in self.read_data.iter_mut().enumerate() {
            out.next = u64::from(self._output[(lane + self._rotations[3]) % columns]).into();
        }
    }

    fn read_banks(&mut self) {
        let columns = self.read_data.len();
        self._output.copy_from_slice(&self._stage);
        for (bank, &address) in self._addresses.iter().enumerate() {
            self._stage[bank] = match address < self._depth {
                true => self._bytes[address * columns + bank],
                false => 0,
            };
        }
    }

    fn write_banks(&mut self) {
        let columns = self.read_data.len();
        if let Some((address, word)) = self._write.take().filter(|w| w.0 < self._depth) {
            self._bytes[address * columns..(address + 1) * columns].copy_from_slice(&word);
        }
    }

    fn take_write(&mut self) {
        if !self.write_enable.val() {
            return;
        }
        let (columns, rotate) = (self.write_data.len(), self.write_rotate.val().index());
        let mut word = vec![0; columns];
        for (lane, data) in self.write_data.iter().enumerate() {
            word[(lane + rotate) % columns] = data.val().index() as u8;
        }
        self._write = Some((self.write_address.val().index(), word));
    }

    fn take_read(&mut self) {
        let (columns, rotate) = (self.read_data.len(), self.read_rotate.val().index());
        let (base, stride) = (self.read_base.val().index(), self.read_stride.val().index());
        let by_keys = usize::from(self.read_by_keys.val());
        self._addresses.copy_from_slice(&self._asked);
        for (bank, address) in self._asked.iter_mut().enumerate() {
            let token = (bank + columns - rotate % columns) % columns;
            *address = (base + by_keys * token * stride) & 0xffff;
        }
        self._rotations.rotate_right(1);
        self._rotations[0] = rotate;
    }

    /// Every bank's multiple of the stride, then the banks.
    fn banks_text(&self) -> String {
        let columns = self.read_data.len();
        let bits = columns.ilog2();
        let step = bits as usize + 8;
        let multiples: String = (0..columns)
            .map(|bank| {
                let (top, bottom) = (step * (bank + 1) - 1, step * bank);
                format!("  steps[{top}:{bottom}] <= {};\n", multiple_text(bank, bits))
            })
            .collect();
        let settings = [
            ("STEP", step.to_string()),
            ("PAD", (8 - bits).to_string()),
            ("DEPTH", self._depth.to_string()),
            ("LAST", (self._depth - 1).to_string()),
            ("TOP", (self._depth.next_power_of_two().ilog2() - 1).to_string()),
        ];
        let bank = settings
            .iter()
            .fold(BANK_TEXT.into(), |text: String, (name, value)| {
                text.replace(name, value)
            });
        format!(
            "// Banks before the rotation belong to the next row.\n\
             wire [{last}:0] wrapping = ~({{{columns}{{1'b1}}}} << read_rotate[{sel}:0]);\n\
             reg [{last}:0] wraps;\nreg [{steps}:0] steps;\ninitial begin\n  wraps = 0;\n  steps = 0;\nend\n\
             always @(posedge clock) begin\n  wraps <= wrapping;\n{multiples}end\ngenvar i;\n{}",
            loop_text("banks", columns, &bank),
            last = columns - 1,
            sel = bits - 1,
            steps = step * columns - 1,
        )
    }

    /// What the addresses of all banks share: base, stride and the way back to the row of lane 0.
    fn origin_text(&self) -> String {
        let bits = self.read_data.len().ilog2();
        ORIGIN_TEXT
            .replace("TOP", &(bits + 7).to_string())
            .replace("ROTATE", &format!("read_rotate[{}:0]", bits - 1))
            .replace("PAD", &(8 - bits).to_string())
            .replace("BITS", &bits.to_string())
    }

    fn unused_ports_text(&self) -> String {
        let rotate_bits = self.read_data.len().ilog2() as usize;
        let address_bits = self._depth.next_power_of_two().ilog2() as usize;
        [
            unused_text("write_rotate", rotate_bits, 6),
            unused_text("read_rotate", rotate_bits, 6),
            unused_text("write_at", address_bits, 16),
        ]
        .concat()
    }

    fn rotation_text(&self) -> String {
        let columns = self.read_data.len();
        let (width, bits) = (8 * columns, columns.ilog2());
        format!(
            "reg write_go, write_inside;\nreg [15:0] write_at;\nreg [{top}:0] write_word;\n\
             wire [{double}:0] write_turned = {{write_data, write_data}} << {{write_rotate[{sel}:0], 3'd0}};\n\
             initial write_go = 1'b0;\n\
             always @(posedge clock) begin\n  write_go <= write_enable;\n  write_at <= write_address;\n  \
             write_inside <= {{1'b0, write_address}} < 17'd{depth};\n  write_word <= write_turned[{double}:{width}];\nend\n\
             reg [{sel}:0] rotate_1, rotate_2, rotate_3, rotate_4;\nreg [{top}:0] read_word;\n\
             wire [{top}:0] read_banks;\n\
             wire [{double}:0] read_turned = {{read_banks, read_banks}} >> {{rotate_4, 3'd0}};\nassign read_data = read_word;\n\
             initial begin\n  rotate_1 = {bits}'d0;\n  rotate_2 = {bits}'d0;\n  rotate_3 = {bits}'d0;\n  rotate_4 = {bits}'d0;\n  read_word = {width}'d0;\nend\n\
             always @(posedge clock) begin\n  rotate_1 <= read_rotate[{sel}:0];\n  rotate_2 <= rotate_1;\n  rotate_3 <= rotate_2;\n  rotate_4 <= rotate_3;\n  \
             read_word <= read_turned[{top}:0];\nend\n\
             wire _unused_turned = &{{1'b0, write_turned[{top}:0], read_turned[{double}:{width}]}};\n{unused}",
            top = width - 1,
            double = 2 * width - 1,
            sel = bits - 1,
            depth = self._depth,
            unused = self.unused_ports_text(),
        )
    }
}

/// `stride * factor` in as few terms as possible (signed digits, at most every second bit), `8 + bits` wide.
fn multiple_text(factor: usize, bits: u32) -> String {
    let (mut rest, mut bit, mut terms) = (factor as i64, 0, vec![]);
    while rest != 0 {
        if rest & 1 == 1 {
            let digit = 2 - (rest & 3);
            rest -= digit;
            let zeros = |count: u32| (count > 0).then(|| format!("{count}'d0"));
            let parts = [zeros(bits - bit), Some("stride".into()), zeros(bit)];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            terms.push((digit, format!("{{{}}}", parts.join(", "))));
        }
        (rest, bit) = (rest >> 1, bit + 1);
    }
    let mut text = String::new();
    for (place, (digit, term)) in terms.iter().rev().enumerate() {
        text += match (place, digit) {
            (0, _) => "",
            (_, 1) => " + ",
            _ => " - ",
        };
        text += term;
    }
    match text.is_empty() {
        true => format!("{}'d0", 8 + bits),
        false => text,
    }
}

const ORIGIN_TEXT: &str = "\
// An address is not worth a DSP.
wire [7:0] stride = read_stride & {8{read_by_keys}};
(* use_dsp = \"no\" *) wire [TOP:0] back_product;
assign back_product = {8'd0, ROTATE} * {BITS'd0, stride};
reg [15:0] base, base_wrapped;
reg [TOP:0] back;
always @(posedge clock) begin
  base <= read_base;
  base_wrapped <= read_base + {PAD'd0, stride, BITS'd0};
  back <= back_product;
end
initial begin
  base = 16'd0;
  base_wrapped = 16'd0;
  back = 0;
end
";

const BANK_TEXT: &str = "\
(* ram_style = \"block\" *) reg [7:0] bank [0:LAST];
reg [7:0] stage, taken;
reg [15:0] address;
reg present;
assign read_banks[8 * i +: 8] = taken;
always @(posedge clock) begin
  address <= (wraps[i] ? base_wrapped : base) - {PAD'd0, back} + {PAD'd0, steps[STEP * i +: STEP]};
  present <= {1'b0, address} < 17'dDEPTH;
  stage <= bank[address[TOP:0]];
  taken <= present ? stage : 8'd0;
  if (write_go && write_inside) bank[write_at[TOP:0]] <= write_word[8 * i +: 8];
end
initial begin
  stage = 8'd0;
  taken = 8'd0;
  address = 16'd0;
  present = 1'b0;
end
`ifndef SYNTHESIS
integer n;
initial for (n = 0; n < DEPTH; n = n + 1) bank[n] = 8'd0;
`endif
";

impl Logic for StationaryMemory {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        self.show_output();
        self.read_banks();
        self.write_banks();
        self.take_write();
        self.take_read();
    }

    fn connect(&mut self) {
        self.read_data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let columns = self.read_data.len();
        Verilog::Custom(format!(
            "// module: StationaryMemory_c{columns}_n{}\n{}{}{}",
            self._depth,
            self.origin_text(),
            self.rotation_text(),
            self.banks_text()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};

    const HEADS: usize = 2;
    const TOKENS: usize = 19;

    fn memory() -> (StationaryMemory, usize) {
        let config = AccelConfig::named("nano").unwrap();
        let mut memory = StationaryMemory::new(&config);
        memory.connect_all();
        (memory, config.columns)
    }

    fn clock(memory: &mut StationaryMemory) {
        tick(memory, |m, level| m.clock.next = level.into()).unwrap();
    }

    /// Writes `TOKENS` rows of `HEADS` words from address 3; returns `[token][channel]`.
    fn fill(memory: &mut StationaryMemory, columns: usize) -> Vec<Vec<u8>> {
        let mut rng = Rng::new(9);
        let rows: Vec<Vec<u8>> = (0..TOKENS)
            .map(|_| (0..HEADS * columns).map(|_| rng.bits(8) as u8).collect())
            .collect();
        for (t, row) in rows.iter().enumerate() {
            for (word, bytes) in row.chunks(columns).enumerate() {
                memory.write_enable.next = true;
                memory.write_address.next = ((3 + t * HEADS + word) as u64).into();
                memory.write_rotate.next = ((t % columns) as u64).into();
                for (port, byte) in memory.write_data.iter_mut().zip(bytes) {
                    port.next = u64::from(*byte).into();
                }
                clock(memory);
            }
        }
        memory.write_enable.next = false;
        rows
    }

    /// Presents a read, then nothing of interest; returns the word after the stated latency.
    fn read(memory: &mut StationaryMemory, base: usize, rotate: usize, keys: bool) -> Vec<u8> {
        memory.read_base.next = (base as u64).into();
        memory.read_stride.next = (HEADS as u64).into();
        memory.read_rotate.next = (rotate as u64).into();
        memory.read_by_keys.next = keys;
        for _ in 0..KV_READ_CYCLES {
            clock(memory);
            memory.read_base.next = 77u64.into();
            memory.read_rotate.next = 5u64.into();
        }
        memory.read_data.iter().map(|d| d.val().index() as u8).collect()
    }

    #[test]
    fn rows_and_columns_come_back() {
        let (mut memory, columns) = memory();
        let rows = fill(&mut memory, columns);
        for (t, row) in rows.iter().enumerate() {
            let got = read(&mut memory, 3 + t * HEADS + 1, t % columns, false);
            assert_eq!(got, row[columns..2 * columns]);
        }
        for channel in 0..HEADS * columns {
            for n in 0..TOKENS / columns {
                let base = 3 + n * columns * HEADS + channel / columns;
                let got = read(&mut memory, base, channel % columns, true);
                let tokens = &rows[n * columns..(n + 1) * columns];
                let want: Vec<u8> = tokens.iter().map(|row| row[channel]).collect();
                assert_eq!(got, want, "channel {channel}, tokens from {}", n * columns);
            }
        }
    }

    #[test]
    fn addresses_beyond_the_depth_are_harmless() {
        let (mut memory, columns) = memory();
        memory.write_enable.next = true;
        memory.write_address.next = 60_000u64.into();
        memory.write_data[0].next = 1u64.into();
        clock(&mut memory);
        memory.write_enable.next = false;
        assert_eq!(read(&mut memory, 60_000, 0, false), vec![0; columns]);
        let folded = 60_000 % memory._depth;
        assert_eq!(read(&mut memory, folded, 0, false), vec![0; columns]);
    }
}
