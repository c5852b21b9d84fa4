//! Activation memory: words of R bytes, two independent read addresses, one write a cycle.
//!
//! Two copies of a simple dual-port memory give the array both tokens of a pair from any two addresses. Four writers share the
//! write port: drain first (it never waits), then softmax, norm, copy; a writer without its turn sees `ready` low.
//!
//! * Read latency: [`crate::primitives::ram::LATENCY_CYCLES`]. A write is readable [`WRITE_CYCLES`] cycles after it was taken.
//! * Drain, softmax and norm write C bytes (one of the R/C groups of a word, chosen by a one-hot enable), copy writes a word.
//!
//! ```text
//! drain --+
//! softmax-+--> choose --> [enable, address, data] --+--> copy 0 --> read_data_0
//! norm ---+                                         +--> copy 1 --> read_data_1
//! copy ---+
//! ```

use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::ram::{Ram, RamStyle};

/// Cycles from a taken write to the first read address that sees it.
pub const WRITE_CYCLES: usize = 2;

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct ActivationMemory {
    pub clock: Signal<In, Clock>,
    pub drain_write: Vec<Signal<In, Bit>>,
    pub drain_address: Signal<In, Bits<16>>,
    pub drain_data: Vec<Signal<In, Bits<8>>>,
    pub softmax_write: Vec<Signal<In, Bit>>,
    pub softmax_ready: Signal<Out, Bit>,
    pub softmax_address: Signal<In, Bits<16>>,
    pub softmax_data: Vec<Signal<In, Bits<8>>>,
    pub norm_write: Vec<Signal<In, Bit>>,
    pub norm_ready: Signal<Out, Bit>,
    pub norm_address: Signal<In, Bits<16>>,
    pub norm_data: Vec<Signal<In, Bits<8>>>,
    pub copy_write: Signal<In, Bit>,
    pub copy_ready: Signal<Out, Bit>,
    pub copy_address: Signal<In, Bits<16>>,
    pub copy_data: Vec<Signal<In, Bits<8>>>,
    pub read_address_0: Signal<In, Bits<16>>,
    pub read_address_1: Signal<In, Bits<16>>,
    pub read_data_0: Vec<Signal<Out, Bits<8>>>,
    pub read_data_1: Vec<Signal<Out, Bits<8>>>,
    drain_any: Signal<Local, Bit>,
    softmax_any: Signal<Local, Bit>,
    norm_any: Signal<Local, Bit>,
    source: Signal<Local, Bits<2>>,
    enable: Vec<DFF<Bit>>,
    address: DFF<Bits<16>>,
    lane_mux: LaneMux,
    copy_0: Ram<8>,
    copy_1: Ram<8>,
    _groups: usize,
    _columns: usize,
    _rows: usize,
}

impl ActivationMemory {
    /// The memory of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (r, c, groups) = (config.rows, config.columns, config.groups());
        let ram = || {
            Ram::new(
                r,
                groups,
                config.activation_words,
                RamStyle::of_depth(config.activation_words),
            )
        };
        Self {
            drain_write: many(groups),
            drain_data: many(c),
            softmax_write: many(groups),
            softmax_data: many(c),
            norm_write: many(groups),
            norm_data: many(c),
            copy_data: many(r),
            read_data_0: many(r),
            read_data_1: many(r),
            enable: many(groups),
            lane_mux: LaneMux::new(r, c),
            copy_0: ram(),
            copy_1: ram(),
            _groups: groups,
            _columns: c,
            _rows: r,
            ..Self::default()
        }
    }
}

impl Logic for ActivationMemory {
    #[hdl_gen]
    fn update(&mut self) {
        self.address.clock.next = self.clock.val();
        self.lane_mux.clock.next = self.clock.val();
        self.copy_0.clock.next = self.clock.val();
        self.copy_1.clock.next = self.clock.val();
        // Whose turn it is: 0 drain, 1 softmax, 2 norm, 3 copy.
        self.drain_any.next = false;
        self.softmax_any.next = false;
        self.norm_any.next = false;
        for g in 0..self._groups {
            self.drain_any.next = self.drain_any.val() | self.drain_write[g].val();
            self.softmax_any.next = self.softmax_any.val() | self.softmax_write[g].val();
            self.norm_any.next = self.norm_any.val() | self.norm_write[g].val();
        }
        self.softmax_ready.next = !self.drain_any.val();
        self.norm_ready.next = !self.drain_any.val() & !self.softmax_any.val();
        self.copy_ready.next = !self.drain_any.val() & !self.softmax_any.val() & !self.norm_any.val();
        self.source.next = 3.into();
        self.address.d.next = self.copy_address.val();
        if self.drain_any.val() {
            self.source.next = 0.into();
            self.address.d.next = self.drain_address.val();
        } else if self.softmax_any.val() {
            self.source.next = 1.into();
            self.address.d.next = self.softmax_address.val();
        } else if self.norm_any.val() {
            self.source.next = 2.into();
            self.address.d.next = self.norm_address.val();
        }
        self.lane_mux.source.next = self.source.val();
        for g in 0..self._groups {
            self.enable[g].clock.next = self.clock.val();
            self.enable[g].d.next = self.copy_write.val() & (self.source.val() == 3);
            if self.source.val() == 0 {
                self.enable[g].d.next = self.drain_write[g].val();
            } else if self.source.val() == 1 {
                self.enable[g].d.next = self.softmax_write[g].val();
            } else if self.source.val() == 2 {
                self.enable[g].d.next = self.norm_write[g].val();
            }
            self.copy_0.write_enable[g].next = self.enable[g].q.val();
            self.copy_1.write_enable[g].next = self.enable[g].q.val();
        }
        for c in 0..self._columns {
            self.lane_mux.drain[c].next = self.drain_data[c].val();
            self.lane_mux.softmax[c].next = self.softmax_data[c].val();
            self.lane_mux.norm[c].next = self.norm_data[c].val();
        }
        self.copy_0.write_address.next = self.address.q.val();
        self.copy_1.write_address.next = self.address.q.val();
        self.copy_0.read_address.next = self.read_address_0.val();
        self.copy_1.read_address.next = self.read_address_1.val();
        for r in 0..self._rows {
            self.lane_mux.copy[r].next = self.copy_data[r].val();
            self.copy_0.write_data[r].next = self.lane_mux.data[r].val();
            self.copy_1.write_data[r].next = self.lane_mux.data[r].val();
            self.read_data_0[r].next = self.copy_0.read_data[r].val();
            self.read_data_1[r].next = self.copy_1.read_data[r].val();
        }
    }
}

/// Registered choice of the bytes to write: C bytes repeated in every group, or a whole word. One cycle.
#[derive(LogicBlock, Default)]
struct LaneMux {
    clock: Signal<In, Clock>,
    source: Signal<In, Bits<2>>,
    drain: Vec<Signal<In, Bits<8>>>,
    softmax: Vec<Signal<In, Bits<8>>>,
    norm: Vec<Signal<In, Bits<8>>>,
    copy: Vec<Signal<In, Bits<8>>>,
    data: Vec<Signal<Out, Bits<8>>>,
}

impl LaneMux {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            drain: many(columns),
            softmax: many(columns),
            norm: many(columns),
            copy: many(rows),
            data: many(rows),
            ..Self::default()
        }
    }
}

impl Logic for LaneMux {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let columns = self.drain.len();
        for (lane, out) in self.data.iter_mut().enumerate() {
            out.next = match self.source.val().index() {
                0 => self.drain[lane % columns].val(),
                1 => self.softmax[lane % columns].val(),
                2 => self.norm[lane % columns].val(),
                _ => self.copy[lane].val(),
            };
        }
    }

    fn connect(&mut self) {
        self.data.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let (rows, columns) = (self.copy.len(), self.drain.len());
        // A row's lanes take a unit's lanes in turn.
        let turns = |name: &str| match (rows / columns, rows % columns) {
            (1, 0) => name.to_owned(),
            (turns, 0) => format!("{{{turns}{{{name}}}}}"),
            (turns, rest) => format!("{{{name}[{}:0], {{{turns}{{{name}}}}}}}", 8 * rest - 1),
        };
        let top = 8 * rows - 1;
        Verilog::Custom(format!(
            "// module: LaneMux_r{rows}_c{columns}\nreg [{top}:0] chosen;\nassign data = chosen;\n\
             always @(posedge clock)\n  case (source)\n    2'd0: chosen <= {drain};\n    2'd1: chosen <= {softmax};\n    \
             2'd2: chosen <= {norm};\n    default: chosen <= copy;\n  endcase\ninitial chosen = {width}'d0;\n",
            drain = turns("drain"),
            softmax = turns("softmax"),
            norm = turns("norm"),
            width = top + 1,
        ))
    }
}
