//! Simple dual-port memory: one write port, one read port, lanes of `W` bits.
//!
//! * Latency [`LATENCY_CYCLES`]: the address presented in a cycle gives data two cycles later (array read, output register).
//! * Reads see the memory before a write of the same edge (read first).
//! * Lanes come in groups with a write enable each; every group is one memory in Verilog.
//! * Contents start as zero. A read beyond the depth gives zero, a write there does nothing.
//!
//! ```text
//! read_address --> [array] --> [stage] --> [read_data]
//! write_enable, write_address, write_data --^
//! ```

use crate::prelude::*;

/// Cycles from `read_address` to `read_data`.
pub const LATENCY_CYCLES: usize = 2;

/// What the memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RamStyle {
    #[default]
    Block,
    Ultra,
    Distributed,
}

/// Words of an URAM288; a memory that fills one costs fewer of them than of block RAMs.
const ULTRA_WORDS: usize = 4096;

impl RamStyle {
    /// For a large memory: UltraRAM where its depth is used, block RAM otherwise.
    pub fn of_depth(words: usize) -> Self {
        match words >= ULTRA_WORDS {
            true => RamStyle::Ultra,
            false => RamStyle::Block,
        }
    }

    /// The Verilog module, and the value of its attribute.
    fn module(self) -> [&'static str; 2] {
        match self {
            RamStyle::Block => ["BlockRam", "block"],
            RamStyle::Ultra => ["UltraRam", "ultra"],
            RamStyle::Distributed => ["DistributedRam", "distributed"],
        }
    }
}

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct Ram<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub write_enable: Vec<Signal<In, Bit>>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Vec<Signal<In, Bits<W>>>,
    pub read_address: Signal<In, Bits<16>>,
    pub read_data: Vec<Signal<Out, Bits<W>>>,
    _style: RamStyle,
    _depth: usize,
    _words: Vec<Bits<W>>,
    _stage: Vec<Bits<W>>,
}

impl<const W: usize> Ram<W> {
    /// A memory of `depth` words of `lanes` lanes; `groups` divides `lanes`.
    pub fn new(lanes: usize, groups: usize, depth: usize, style: RamStyle) -> Self {
        assert!(
            groups > 0 && lanes % groups == 0,
            "{groups} groups of a memory must divide {lanes} lanes"
        );
        assert!(
            (2..=65_536).contains(&depth),
            "a memory's depth {depth} must be 2 to 65536"
        );
        Self {
            write_enable: many(groups),
            write_data: many(lanes),
            read_data: many(lanes),
            _style: style,
            _depth: depth,
            _words: vec![Bits::default(); depth * lanes],
            _stage: vec![Bits::default(); lanes],
            ..Self::default()
        }
    }

    fn read(&mut self) {
        let lanes = self.read_data.len();
        let address = self.read_address.val().index();
        if address < self._depth {
            self._stage
                .copy_from_slice(&self._words[address * lanes..(address + 1) * lanes]);
        } else {
            self._stage.fill(Bits::default());
        }
    }

    fn write(&mut self) {
        let (lanes, address) = (self.write_data.len(), self.write_address.val().index());
        if address >= self._depth {
            return;
        }
        let lanes_per_group = lanes / self.write_enable.len();
        for (group, enable) in self.write_enable.iter().enumerate() {
            if enable.val() {
                for lane in group * lanes_per_group..(group + 1) * lanes_per_group {
                    self._words[address * lanes + lane] = self.write_data[lane].val();
                }
            }
        }
    }
}

const TEXT: &str = "\
// port: [GROUPS-1:0] write_enable
// port: [GROUPS*WIDTH-1:0] write_data, read_data
localparam BITS = $clog2(DEPTH);
wire write_inside = {1'b0, write_address} < DEPTH[16:0];
reg read_inside;
always @(posedge clock) read_inside <= {1'b0, read_address} < DEPTH[16:0];
// For simulation: the device's registers and memories power up as zero.
`ifndef SYNTHESIS
initial read_inside = 1'b0;
`endif
genvar g;
generate
  for (g = 0; g < GROUPS; g = g + 1) begin : group
    (* ram_style = \"STYLE\" *) reg [WIDTH-1:0] memory [0:DEPTH-1];
    reg [WIDTH-1:0] stage, data;
    assign read_data[WIDTH*g +: WIDTH] = data;
    always @(posedge clock) begin
      if (write_enable[g] && write_inside) memory[write_address[BITS-1:0]] <= write_data[WIDTH*g +: WIDTH];
      stage <= memory[read_address[BITS-1:0]];
      data <= read_inside ? stage : {WIDTH{1'b0}};
    end
    `ifndef SYNTHESIS
    integer i;
    initial begin
      stage = 0;
      data = 0;
      for (i = 0; i < DEPTH; i = i + 1) memory[i] = 0;
    end
    `endif
  end
endgenerate
";

impl<const W: usize> Logic for Ram<W> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            for (out, stage) in self.read_data.iter_mut().zip(&self._stage) {
                out.next = *stage;
            }
            self.read();
            self.write();
        }
    }

    fn connect(&mut self) {
        self.read_data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let [module, style] = self._style.module();
        let groups = self.write_enable.len();
        Verilog::Custom(format!(
            "// module: {module} #(GROUPS = {groups}, WIDTH = {}, DEPTH = {})\n{}",
            self.write_data.len() / groups * W,
            self._depth,
            TEXT.replace("STYLE", style)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(ram: &mut Ram<8>) {
        for level in [true, false] {
            ram.clock.next = level.into();
            while {
                ram.update_all();
                ram.has_changed()
            } {}
        }
    }

    #[test]
    fn groups_write_alone_and_reads_take_two_cycles() {
        let mut ram = Ram::<8>::new(4, 2, 10, RamStyle::Block);
        ram.write_address.next = 3u64.into();
        for lane in 0..4 {
            ram.write_data[lane].next = (lane as u64 + 1).into();
        }
        ram.write_enable[1].next = true;
        ram.read_address.next = 3u64.into();
        tick(&mut ram);
        ram.write_enable[1].next = false;
        tick(&mut ram);
        assert_eq!(ram.read_data[2].val().index(), 0, "read first");
        tick(&mut ram);
        let row: Vec<usize> = ram.read_data.iter().map(|d| d.val().index()).collect();
        assert_eq!(row, [0, 0, 3, 4]);
    }

    #[test]
    fn addresses_beyond_the_depth_are_harmless() {
        let mut ram = Ram::<8>::new(1, 1, 10, RamStyle::Block);
        ram.write_address.next = 12u64.into();
        ram.read_address.next = 12u64.into();
        ram.write_data[0].next = 7u64.into();
        ram.write_enable[0].next = true;
        (0..4).for_each(|_| tick(&mut ram));
        assert_eq!(ram.read_data[0].val().index(), 0);
    }
}
