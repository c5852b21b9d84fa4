//! How wires and registers are written: in a form that reads well and says the same.

use crate::circuit::many;
use crate::cosim::Lockstep;
use crate::verilog::export;
use rust_hdl::prelude::*;

/// Wires that read others, choices of all lengths, and registers that are told what to take in several places.
#[derive(LogicBlock)]
pub struct Wires {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<8>>,
    pub choose: Signal<In, Bits<3>>,
    pub bits: Vec<Signal<In, Bit>>,
    pub early: Signal<Out, Bits<8>>,
    pub two: Signal<Out, Bits<8>>,
    pub three: Signal<Out, Bits<8>>,
    pub four: Signal<Out, Bits<8>>,
    pub all: Signal<Out, Bit>,
    pub swapped: Vec<Signal<Out, Bits<8>>>,
    pub count: Signal<Out, Bits<8>>,
    sum: Signal<Local, Bits<8>>,
    inner: Signal<Local, Bits<8>>,
    held: DFF<Bits<8>>,
    counter: DFF<Bits<8>>,
}

impl Default for Wires {
    fn default() -> Self {
        Wires {
            clock: Default::default(),
            reset: Default::default(),
            a: Default::default(),
            b: Default::default(),
            choose: Default::default(),
            bits: many(4),
            early: Default::default(),
            two: Default::default(),
            three: Default::default(),
            four: Default::default(),
            all: Default::default(),
            swapped: many(2),
            count: Default::default(),
            sum: Default::default(),
            inner: Default::default(),
            held: Default::default(),
            counter: Default::default(),
        }
    }
}

impl Logic for Wires {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, counter);
        // A register's next value may be read before the kernel says what it is.
        self.inner.next = self.held.d.val() + 1;
        self.early.next = self.inner.val() ^ self.held.q.val();
        self.sum.next = self.a.val() + self.b.val();
        self.held.d.next = self.sum.val() & self.a.val();
        self.two.next = self.a.val();
        if self.choose.val().get_bit(0) {
            self.two.next = self.b.val();
        }
        self.three.next = self.a.val();
        if self.choose.val().get_bit(0) {
            self.three.next = self.b.val();
        } else if self.choose.val() == 2 {
            self.three.next = self.sum.val();
        }
        self.four.next = self.a.val();
        if self.choose.val().get_bit(2) {
            self.four.next = 1.into();
        } else if self.choose.val().get_bit(1) {
            self.four.next = 2.into();
        } else if self.choose.val().get_bit(0) {
            self.four.next = 3.into();
        }
        self.all.next = true;
        for i in 0..4 {
            self.all.next = self.all.val() & self.bits[i].val();
        }
        self.swapped[0].next = self.a.val();
        self.swapped[1].next = self.b.val();
        if self.choose.val() == 5 {
            self.swapped[0].next = self.b.val();
            self.swapped[1].next = self.a.val();
        }
        if self.choose.val() == 7 {
            self.counter.d.next = self.counter.q.val() + 1;
        }
        if self.reset.val() {
            self.counter.d.next = 0.into();
        }
        self.count.next = self.counter.q.val();
    }
}

#[test]
fn wires_are_declared_with_their_values_and_short_choices_are_expressions() {
    let report = Lockstep::new("Wires", Wires::default, |u, level| u.clock.next = level.into())
        .run(0..3, 5_000, |u, rng, _| {
            u.reset.next = rng.chance(5);
            u.a.next = rng.bits(8).into();
            u.b.next = rng.bits(8).into();
            u.choose.next = rng.bits(3).into();
            u.bits.iter_mut().for_each(|bit| bit.next = rng.chance(80));
        })
        .unwrap();
    assert_eq!(report.comparisons, 3 * 5_000 * 2 * 8);
    let mut uut = Wires::default();
    uut.connect_all();
    let text = export("Wires", &uut).unwrap().to_verilog();
    for part in [
        "    wire [7:0] sum = a + b;\n    wire [7:0] held_next = sum & a;\n    wire [7:0] inner = held_next + 8'd1;\n",
        "    assign two = choose[0] ? b : a;\n",
        "    assign three = choose[0] ? b : (choose == 3'd2) ? sum : a;\n",
        "        if (choose[2]) four = 8'd1;\n        else if (choose[1]) four = 8'd2;\n",
        "    assign all = bits[0] & bits[1] & bits[2] & bits[3];\n",
        "    assign swapped[7:0] = (choose == 3'd5) ? b : a;\n",
        "    initial begin held = 8'd0; count = 8'd0; end\n\n    always @(posedge clock) begin\n        held <= held_next;\n",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

/// Two wires that read each other.
#[derive(LogicBlock, Default)]
struct Ring {
    pub clock: Signal<In, Clock>,
    pub out: Signal<Out, Bits<4>>,
    a: DFF<Bits<4>>,
    b: DFF<Bits<4>>,
}

impl Logic for Ring {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, a, b);
        self.a.d.next = self.b.d.val() + 1;
        self.b.d.next = self.a.d.val() + 1;
        self.out.next = self.a.q.val() ^ self.b.q.val();
    }
}

#[test]
fn a_wire_that_depends_on_itself_is_refused() {
    let mut uut = Ring::default();
    uut.connect_all();
    let message = export("Ring", &uut).unwrap_err().to_string();
    for part in ["Ring", "`a_next`", "depends on itself"] {
        assert!(message.contains(part), "no `{part}` in `{message}`");
    }
}
