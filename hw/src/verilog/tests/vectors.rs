//! Signals that differ only in their indices: vectors of ports and wires, arrays of instances.

use super::structure::Cell;
use crate::circuit::many;
use crate::cosim::Lockstep;
use crate::verilog::export;
use rust_hdl::prelude::*;

/// A vector of outputs with every kind of driver, and vectors whose parts move together.
#[derive(LogicBlock)]
pub struct Mixed {
    pub clock: Signal<In, Clock>,
    pub choose: Signal<In, Bit>,
    pub data: Vec<Signal<In, Bits<4>>>,
    pub out: Vec<Signal<Out, Bits<4>>>,
    pub line: Vec<Signal<Out, Bits<4>>>,
    held: Vec<DFF<Bits<4>>>,
    delays: Vec<DFF<Bits<4>>>,
}

impl Default for Mixed {
    fn default() -> Self {
        Mixed {
            clock: Default::default(),
            choose: Default::default(),
            data: many(3),
            out: many(4),
            line: many(3),
            held: many(2),
            delays: many(3),
        }
    }
}

impl Logic for Mixed {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..2 {
            self.held[i].clock.next = self.clock.val();
        }
        for i in 0..3 {
            self.delays[i].clock.next = self.clock.val();
        }
        self.held[0].d.next = self.data[0].val();
        self.held[1].d.next = self.held[1].q.val() + self.data[1].val();
        self.delays[0].d.next = self.delays[0].q.val();
        self.delays[1].d.next = self.delays[1].q.val();
        self.delays[2].d.next = self.delays[2].q.val();
        if self.choose.val() {
            self.delays[0].d.next = self.data[2].val();
            self.delays[1].d.next = self.delays[0].q.val();
            self.delays[2].d.next = self.delays[1].q.val();
        }
        self.out[0].next = self.data[0].val() & self.data[1].val();
        self.out[1].next = self.held[0].q.val();
        self.out[2].next = self.held[1].q.val();
        if self.choose.val() {
            self.out[2].next = self.data[2].val();
            if self.data[0].val().any() {
                self.out[2].next = self.data[1].val();
                if self.data[1].val().any() {
                    self.out[2].next = self.data[0].val();
                }
            }
        }
        self.out[3].next = 5.into();
        for i in 0..3 {
            self.line[i].next = self.delays[i].q.val();
        }
    }
}

#[test]
fn vectors_with_many_drivers_and_parts_that_move_together() {
    let report = Lockstep::new("Mixed", Mixed::default, |u, level| u.clock.next = level.into())
        .run(0..3, 5_000, |u, rng, _| {
            u.choose.next = rng.chance(50);
            for data in &mut u.data {
                data.next = rng.bits(4).into();
            }
        })
        .unwrap();
    assert_eq!(report.comparisons, 3 * 5_000 * 2 * 7);
    let mut uut = Mixed::default();
    uut.connect_all();
    let text = export("Mixed", &uut).unwrap().to_verilog();
    for line in [
        "output wire [15:0] out,",
        "output reg  [11:0] line",
        "assign out[3:0] = data[3:0] & data[7:4];",
        "assign out[11:8] = out_2;",
        "line[11:4] <= line[7:0];",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

/// Equal blocks in a row, the first fed by the ports and each other one by the block before it.
#[derive(LogicBlock)]
pub struct Pipe {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<8>>,
    pub out: Vec<Signal<Out, Bits<8>>>,
    cells: Vec<Cell>,
}

impl Default for Pipe {
    fn default() -> Self {
        Pipe {
            clock: Default::default(),
            a: Default::default(),
            out: many(4),
            cells: (0..4).map(|_| Cell::new(3)).collect(),
        }
    }
}

impl Logic for Pipe {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..4 {
            self.cells[i].clock.next = self.clock.val();
            self.out[i].next = self.cells[i].out.val();
        }
        self.cells[0].a.next = self.a.val();
        for i in 1..4 {
            self.cells[i].a.next = self.cells[i - 1].out.val();
        }
    }
}

#[test]
fn equal_blocks_in_a_row_are_an_array() {
    let report = Lockstep::new("Pipe", Pipe::default, |u, level| u.clock.next = level.into())
        .run(0..2, 2_000, |u, rng, _| u.a.next = rng.bits(8).into())
        .unwrap();
    assert_eq!(report.comparisons, 2 * 2_000 * 2 * 4);
    let mut uut = Pipe::default();
    uut.connect_all();
    let text = export("Pipe", &uut).unwrap().to_verilog();
    for line in [
        "Cells u_cells_0 (.clock(clock), .a(a), .out(out[7:0]));",
        "Cells u_cells_1_to_3 [2:0] (.clock(clock), .a(out[23:0]), .out(out[31:8]));",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}
