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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RamStyle {
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

    fn attribute(self) -> &'static str {
        match self {
            RamStyle::Block => "block",
            RamStyle::Ultra => "ultra",
            RamStyle::Distributed => "distributed",
        }
    }
}

/// The memory; see the module.
#[derive(LogicBlock)]
pub struct Ram<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub write_enable: Vec<Signal<In, Bit>>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_data: Vec<Signal<In, Bits<W>>>,
    pub read_address: Signal<In, Bits<16>>,
    pub read_data: Vec<Signal<Out, Bits<W>>>,
    _name: String,
    _style: RamStyle,
    _depth: usize,
    _words: Vec<Bits<W>>,
    _stage: Vec<Bits<W>>,
}

impl<const W: usize> Ram<W> {
    /// A memory of `depth` words of `lanes` lanes; `groups` divides `lanes`.
    pub fn new(module: &str, lanes: usize, groups: usize, depth: usize, style: RamStyle) -> Self {
        assert!(
            groups > 0 && lanes % groups == 0,
            "{module}: {groups} groups must divide {lanes} lanes"
        );
        assert!(
            (2..=65_536).contains(&depth),
            "{module}: depth {depth} must be 2 to 65536"
        );
        Self {
            clock: Signal::default(),
            write_enable: (0..groups).map(|_| Signal::default()).collect(),
            write_address: Signal::default(),
            write_data: (0..lanes).map(|_| Signal::default()).collect(),
            read_address: Signal::default(),
            read_data: (0..lanes).map(|_| Signal::default()).collect(),
            _name: module.into(),
            _style: style,
            _depth: depth,
            _words: vec![Bits::default(); depth * lanes],
            _stage: vec![Bits::default(); lanes],
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

    fn address_bits(&self) -> usize {
        (usize::BITS - (self._depth - 1).leading_zeros()) as usize
    }

    /// An expression that holds while `address` is inside the memory; empty where every address is.
    fn bound(&self, address: &str) -> String {
        if self._depth == 65_536 {
            "1'b1".into()
        } else {
            format!("{address} < 16'd{}", self._depth)
        }
    }

    fn group_text(&self, group: usize) -> String {
        let per_group = self.write_data.len() / self.write_enable.len();
        let lanes = group * per_group..(group + 1) * per_group;
        let (high, top) = (per_group * W - 1, self.address_bits() - 1);
        let list = |name: &str| {
            lanes
                .clone()
                .rev()
                .map(|l| format!("{name}_{l}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "(* ram_style = \"{style}\" *) reg [{high}:0] memory_{group} [0:{last}];\n\
             reg [{high}:0] stage_{group};\n\
             reg [{high}:0] data_{group};\n\
             assign {{{out}}} = data_{group};\n\
             always @(posedge clock) begin\n\
             \x20 if (write_enable_{group} && write_inside) memory_{group}[write_address[{top}:0]] <= {{{data}}};\n\
             \x20 stage_{group} <= memory_{group}[read_address[{top}:0]];\n\
             \x20 data_{group} <= read_inside ? stage_{group} : {width}'d0;\n\
             end\n",
            style = self._style.attribute(),
            last = self._depth - 1,
            out = list("read_data"),
            data = list("write_data"),
            width = high + 1,
        )
    }

    /// Zero contents for simulation; block and ultra memories of the device power up that way.
    fn initial_text(&self) -> String {
        let groups = 0..self.write_enable.len();
        let clear: String = groups
            .clone()
            .map(|g| format!("    memory_{g}[i] = 0;\n"))
            .collect();
        let registers: String = groups
            .map(|g| format!("  stage_{g} = 0;\n  data_{g} = 0;\n"))
            .collect();
        format!(
            "`ifndef SYNTHESIS\ninteger i;\ninitial begin\n  read_inside = 1'b0;\n{registers}  for (i = 0; i < {}; i = i + 1) begin\n{clear}  end\nend\n`endif\n",
            self._depth
        )
    }
}

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
        let groups: String = (0..self.write_enable.len())
            .map(|group| self.group_text(group))
            .collect();
        Verilog::Custom(format!(
            "// module: {name}\nwire write_inside = {write};\nreg read_inside;\nalways @(posedge clock) read_inside <= {read};\n{groups}{initial}",
            name = self._name,
            write = self.bound("write_address"),
            read = self.bound("read_address"),
            initial = self.initial_text(),
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
        let mut ram = Ram::<8>::new("TestRam", 4, 2, 10, RamStyle::Block);
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
        let mut ram = Ram::<8>::new("TestRam", 1, 1, 10, RamStyle::Block);
        ram.write_address.next = 12u64.into();
        ram.read_address.next = 12u64.into();
        ram.write_data[0].next = 7u64.into();
        ram.write_enable[0].next = true;
        (0..4).for_each(|_| tick(&mut ram));
        assert_eq!(ram.read_data[0].val().index(), 0);
    }
}
