//! Hierarchy, registers, vectors, state machines, interfaces, hand-written cells.

use crate::cosim::Lockstep;
use crate::verilog::{export, ModuleName};
use rust_hdl::prelude::*;

/// A register in a row of a grid.
#[derive(LogicBlock)]
struct Cell {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<8>>,
    pub out: Signal<Out, Bits<8>>,
    sum: DFF<Bits<8>>,
    step: Constant<Bits<8>>,
    name: ModuleName,
}

impl Cell {
    fn new(step: u64) -> Self {
        Cell {
            clock: Default::default(),
            a: Default::default(),
            out: Default::default(),
            sum: Default::default(),
            step: Constant::new(step.into()),
            name: ModuleName::new(format!("Cell_s{step}")),
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
struct Row {
    pub clock: Signal<In, Clock>,
    pub a: Vec<Signal<In, Bits<8>>>,
    pub out: Vec<Signal<Out, Bits<8>>>,
    cells: Vec<Cell>,
    _n: usize,
}

impl Row {
    fn new(n: usize) -> Self {
        Row {
            clock: Default::default(),
            a: (0..n).map(|_| Default::default()).collect(),
            out: (0..=n).map(|_| Default::default()).collect(),
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
struct Grid {
    pub clock: Signal<In, Clock>,
    pub a: Vec<Signal<In, Bits<8>>>,
    pub out: Signal<Out, Bits<8>>,
    rows: Vec<Row>,
    _n: usize,
    _last: usize,
}

impl Grid {
    fn new(n: usize) -> Self {
        Grid {
            clock: Default::default(),
            a: (0..n).map(|_| Default::default()).collect(),
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
    assert_eq!(names, ["Cell_s0", "Cell_s1", "Rows", "Grid"]);
    println!("{}", design.to_verilog());
}
