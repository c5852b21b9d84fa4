//! Hierarchy, registers, vectors, state machines, interfaces, hand-written cells.

use crate::circuit::many;
use crate::cosim::Lockstep;
use crate::verilog::export;
use rust_hdl::prelude::*;

/// A register in a row of a grid.
#[derive(LogicBlock)]
pub struct Cell {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<8>>,
    pub out: Signal<Out, Bits<8>>,
    sum: DFF<Bits<8>>,
    step: Constant<Bits<8>>,
}

impl Cell {
    pub fn new(step: u64) -> Self {
        Cell {
            clock: Default::default(),
            a: Default::default(),
            out: Default::default(),
            sum: Default::default(),
            step: Constant::new(step.into()),
        }
    }
}

impl Logic for Cell {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sum);
        self.sum.d.next = self.a.val() + self.step.val();
        self.out.next = self.sum.q.val();
    }
}

#[derive(LogicBlock)]
pub struct Row {
    pub clock: Signal<In, Clock>,
    pub a: Vec<Signal<In, Bits<8>>>,
    pub out: Vec<Signal<Out, Bits<8>>>,
    cells: Vec<Cell>,
    _n: usize,
}

impl Row {
    pub fn new(n: usize) -> Self {
        Row {
            clock: Default::default(),
            a: many(n),
            out: many(n + 1),
            cells: (0..n).map(|i| Cell::new(i as u64 % 2)).collect(),
            _n: n,
        }
    }
}

impl Logic for Row {
    #[hdl_gen]
    fn update(&mut self) {
        self.out[0].next = 0.into();
        for i in 0..self._n {
            self.cells[i].clock.next = self.clock.val();
            self.cells[i].a.next = self.a[i].val() + self.out[i].val();
            self.out[i + 1].next = self.cells[i].out.val();
        }
    }
}

#[derive(LogicBlock)]
pub struct Grid {
    pub clock: Signal<In, Clock>,
    pub a: Vec<Signal<In, Bits<8>>>,
    pub out: Signal<Out, Bits<8>>,
    rows: Vec<Row>,
    _n: usize,
    _last: usize,
}

impl Grid {
    pub fn new(n: usize) -> Self {
        Grid {
            clock: Default::default(),
            a: many(n),
            out: Default::default(),
            rows: (0..n).map(|_| Row::new(n)).collect(),
            _n: n,
            _last: n - 1,
        }
    }
}

impl Logic for Grid {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._n {
            self.rows[i].clock.next = self.clock.val();
            self.rows[0].a[i].next = self.a[i].val();
        }
        for i in 0..self._last {
            for j in 0..self._n {
                self.rows[i + 1].a[j].next = self.rows[i].out[j + 1].val();
            }
        }
        for i in self._last..self._n {
            self.out.next = self.rows[i].out[2 * 2].val();
        }
    }
}

#[test]
fn t7_every_index_is_resolved_and_equal_blocks_share_a_module() {
    let report = Lockstep::new("Grid", || Grid::new(4), |u, level| u.clock.next = level.into())
        .run(0..2, 5_000, |u, rng, _| {
            for a in &mut u.a {
                a.next = rng.bits(8).into();
            }
        })
        .unwrap();
    assert_eq!(report.comparisons, 20_000);
    let mut uut = Grid::new(4);
    uut.connect_all();
    let design = export("Grid", &uut).unwrap();
    let names: Vec<_> = design.modules.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["Cells", "Cells_1", "Rows", "Grid"]);
    println!("{}", design.to_verilog());
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Phase {
    Idle,
    Load,
    Run,
    Flush,
    Done,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
pub struct Pixel {
    red: Bits<5>,
    level: Bits<6>,
    valid: Bit,
}

#[derive(LogicInterface, Default)]
#[join = "Sink"]
pub struct Source {
    pub data: Signal<Out, Bits<8>>,
    pub valid: Signal<Out, Bit>,
    pub ready: Signal<In, Bit>,
}

#[derive(LogicInterface, Default)]
#[join = "Source"]
pub struct Sink {
    pub data: Signal<In, Bits<8>>,
    pub valid: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
}

/// Counts what it accepts, in a state machine without a default arm.
#[derive(LogicBlock, Default)]
pub struct Counter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub sink: Sink,
    pub source: Source,
    phase: DFF<Phase>,
    count: DFF<Bits<8>>,
    limit: Signal<Local, Bits<8>>,
}

impl Logic for Counter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase, count);
        self.limit.next = self.sink.data.val() & 0x1F;
        self.sink.ready.next = false;
        self.source.valid.next = false;
        self.source.data.next = self.count.q.val();
        match self.phase.q.val() {
            Phase::Idle => {
                self.sink.ready.next = true;
                if self.sink.valid.val() && self.limit.val().any() {
                    self.count.d.next = self.limit.val();
                    self.phase.d.next = Phase::Load;
                }
            }
            Phase::Load => {
                self.phase.d.next = Phase::Run;
            }
            Phase::Run => {
                self.count.d.next = self.count.q.val() - 1;
                if self.count.q.val() == 0 {
                    self.phase.d.next = Phase::Flush;
                } else if self.count.q.val().all() {
                    self.phase.d.next = Phase::Done;
                }
            }
            Phase::Flush => {
                self.source.valid.next = true;
                if self.source.ready.val() {
                    self.phase.d.next = Phase::Done;
                }
            }
            Phase::Done => {
                self.phase.d.next = Phase::Idle;
            }
        }
        if self.reset.val() {
            self.phase.d.next = Phase::Idle;
            self.count.d.next = 0.into();
        }
    }
}

/// Two counters in a row, joined and linked.
#[derive(LogicBlock, Default)]
pub struct Chain {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub sink: Sink,
    pub source: Source,
    first: Counter,
    second: Counter,
}

impl Logic for Chain {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, first, second);
        self.first.reset.next = self.reset.val();
        self.second.reset.next = self.reset.val();
        Sink::link(&mut self.sink, &mut self.first.sink);
        Source::join(&mut self.first.source, &mut self.second.sink);
        Source::link(&mut self.source, &mut self.second.source);
    }
}

#[test]
fn state_machines_interfaces_and_links() {
    let report = Lockstep::new("Chain", Chain::default, |u, level| u.clock.next = level.into())
        .run(0..3, 5_000, |u, rng, _| {
            u.reset.next = rng.chance(1);
            u.sink.valid.next = rng.chance(70);
            u.sink.data.next = rng.corner_bits(8).into();
            u.source.ready.next = rng.chance(50);
        })
        .unwrap();
    assert_eq!(report.comparisons, 3 * 5_000 * 2 * 3);
    let mut uut = Chain::default();
    uut.connect_all();
    let design = export("Chain", &uut).unwrap();
    assert_eq!(design.modules.len(), 2, "both counters are one module");
    assert!(design.to_verilog().contains("Phase_Done"));
}

#[derive(LogicBlock, Default)]
pub struct Parts {
    pub pixel: Signal<In, Pixel>,
    pub place: Signal<In, Bits<3>>,
    pub one: Signal<In, Bit>,
    pub word: Signal<In, Bits<8>>,
    pub out: Signal<Out, Pixel>,
    pub brighter: Signal<Out, Bit>,
    pub replaced: Signal<Out, Bits<8>>,
    pub picked: Signal<Out, Bit>,
    pub nibble: Signal<Out, Bits<4>>,
    pub beyond: Signal<Out, Bits<8>>,
    pub parity: Signal<Out, Bit>,
    pub third: Signal<Out, Bits<8>>,
}

impl Logic for Parts {
    #[hdl_gen]
    fn update(&mut self) {
        self.out.next = self.pixel.val();
        self.out.next.red = self.pixel.val().red + 1;
        if self.pixel.val().valid {
            self.out.next.level = !self.pixel.val().level;
        }
        self.brighter.next = self.pixel.val().level > self.word.val().get_bits::<6>(1);
        self.replaced.next = self
            .word
            .val()
            .replace_bit(self.place.val().index(), self.one.val());
        self.picked.next = self.word.val().get_bit(self.place.val().index());
        self.nibble.next = self.word.val().get_bits::<4>(self.place.val().index());
        self.beyond.next = self.word.val().get_bits::<8>(5);
        self.parity.next = (self.word.val() ^ 0x55).xor() && !self.one.val() || self.word.val().any();
        self.third.next = self.word.val().replace_bit(3, self.one.val());
    }
}

#[test]
fn structs_and_parts_of_words() {
    let report = Lockstep::new("Parts", Parts::default, |_, _| {})
        .run(0..2, 5_000, |u, rng, _| {
            u.pixel.next = Pixel {
                red: rng.bits(5).into(),
                level: rng.corner_bits(6).into(),
                valid: rng.chance(50),
            };
            u.place.next = rng.bits(3).into();
            u.one.next = rng.chance(50);
            u.word.next = rng.corner_bits(8).into();
        })
        .unwrap();
    assert_eq!(report.comparisons, 2 * 5_000 * 2 * 8);
}

/// A memory that was never written reads as zero in Rust; its text says so.
#[derive(LogicBlock)]
pub struct Lanes {
    pub clock: Signal<In, Clock>,
    pub address: Signal<In, Bits<4>>,
    pub write: Signal<In, Bit>,
    pub data: Vec<Signal<In, Bits<8>>>,
    pub q: Vec<Signal<Out, Bits<8>>>,
    pub any: Signal<Out, Bit>,
    _memory: Vec<[u64; 16]>,
    _initialised: bool,
}

impl Lanes {
    pub fn new(lanes: usize, initialised: bool) -> Self {
        Lanes {
            clock: Default::default(),
            address: Default::default(),
            write: Default::default(),
            data: many(lanes),
            q: many(lanes),
            any: Default::default(),
            _memory: vec![[0; 16]; lanes],
            _initialised: initialised,
        }
    }
}

impl Logic for Lanes {
    fn update(&mut self) {
        self.any.next = self.q.iter().any(|q| q.val().any());
        if !self.clock.pos_edge() {
            return;
        }
        let address = self.address.val().index();
        for lane in 0..self.q.len() {
            self.q[lane].next = self._memory[lane][address].into();
            if self.write.val() {
                self._memory[lane][address] = self.data[lane].val().to_u64();
            }
        }
    }

    fn connect(&mut self) {
        self.q.iter_mut().for_each(|q| q.connect());
        self.any.connect();
    }

    fn hdl(&self) -> Verilog {
        let lanes = self.q.len();
        let width = 8 * lanes;
        let mut text = format!(
            "// module: Lanes_n{lanes}\nreg [{}:0] memory [0:15];\nassign any = |q;\n",
            width - 1
        );
        if self._initialised {
            text += "integer i;\ninitial begin\n    for (i = 0; i < 16; i = i + 1)\n        memory[i] = 0;\n";
            text += "    q = 0;\nend\n";
        }
        text += "always @(posedge clock) begin\n    if (write) memory[address] <= data;\n    q <= memory[address];\nend\n";
        Verilog::Custom(text)
    }
}

fn run_lanes(initialised: bool) -> Result<crate::cosim::Report, crate::cosim::CosimError> {
    Lockstep::new(
        "Lanes",
        || Lanes::new(3, initialised),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, 2_000, |u, rng, _| {
        u.address.next = rng.bits(4).into();
        u.write.next = rng.chance(5);
        for data in &mut u.data {
            data.next = rng.bits(8).into();
        }
    })
}

#[test]
fn t8_memories_need_an_initial_value() {
    assert_eq!(run_lanes(true).unwrap().comparisons, 2 * 2_000 * 2 * 4);
    let message = run_lanes(false).unwrap_err().to_string();
    assert!(
        message.contains("Lanes: seed 0, cycle 0") && message.contains("output `q_0`"),
        "{message}"
    );
}
