//! What cannot be expressed exactly is refused, with the block and the expression.

use super::structure::Sink;
use crate::verilog::export;
use rust_hdl::core::ast::{
    VerilogBlock, VerilogBlockOrConditional, VerilogCase, VerilogConditional, VerilogExpression as E,
    VerilogLoop, VerilogMatch, VerilogOp, VerilogOpUnary, VerilogStatement as S,
};
use rust_hdl::prelude::*;

/// A block whose kernel is written as a syntax tree.
#[derive(LogicBlock, Default)]
struct Tree {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<16>>,
    pub s: Signal<In, Signed<8>>,
    pub t: Signal<In, Signed<16>>,
    pub f: Signal<In, Bit>,
    pub y: Signal<Out, Bits<8>>,
    pub l: Signal<Local, Bits<8>>,
    _code: VerilogBlock,
}

impl Logic for Tree {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        Verilog::Combinatorial(self._code.clone())
    }
}

fn message_of(code: VerilogBlock) -> String {
    let uut = Tree {
        _code: code,
        ..Tree::default()
    };
    match export("Tree", &uut) {
        Ok(design) => panic!("was exported:\n{}", design.to_verilog()),
        Err(error) => error.to_string(),
    }
}

fn sig(name: &str) -> E {
    E::Signal(name.into())
}

fn lit(value: u64) -> E {
    E::Literal(value.into())
}

fn bin(l: E, op: VerilogOp, r: E) -> E {
    E::Binary(Box::new(l), op, Box::new(r))
}

fn set(name: &str, value: E) -> S {
    S::Assignment(sig(&format!("{name}$next")), value)
}

fn refused(code: VerilogBlock, parts: &[&str]) {
    let message = message_of(code);
    assert!(message.starts_with("Tree: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn values_without_a_width() {
    let cast = |e| E::Signed(Box::new(e));
    let compare = bin(cast(sig("s")), VerilogOp::Lt, cast(sig("t")));
    refused(
        vec![set("y", E::Cast(Box::new(compare), 8))],
        &["width of the comparison cannot be told"],
    );
    let nested = E::Unsigned(Box::new(cast(cast(sig("s")))));
    refused(vec![set("y", nested)], &["assign it to a Local signal first"]);
    let inverted = bin(
        sig("a"),
        VerilogOp::BitAnd,
        E::Unary(VerilogOpUnary::Not, Box::new(lit(1))),
    );
    refused(
        vec![set("y", inverted)],
        &["width at which the number is inverted"],
    );
}

#[test]
fn values_of_the_wrong_type() {
    refused(vec![set("y", sig("b"))], &["`b`", "Bits<16> where Bits<8>"]);
    refused(vec![set("y", sig("s"))], &["Signed<8> where Bits<8>"]);
    refused(
        vec![set("y", bin(sig("a"), VerilogOp::Add, sig("b")))],
        &["a + b", "different types"],
    );
    refused(vec![set("y", lit(256))], &["256 does not fit Bits<8>"]);
    refused(
        vec![set("y", E::Unary(VerilogOpUnary::Neg, Box::new(lit(1))))],
        &["negative number"],
    );
    refused(
        vec![set("y", E::Unary(VerilogOpUnary::Neg, Box::new(sig("a"))))],
        &["only Signed values can be negated"],
    );
    let shifted = bin(sig("s"), VerilogOp::Shr, lit(1));
    refused(
        vec![set("y", E::Unsigned(Box::new(shifted)))],
        &["Signed values cannot be shifted"],
    );
    refused(
        vec![set("y", E::Cast(Box::new(sig("s")), 8))],
        &["needs unsigned_cast"],
    );
    refused(
        vec![set("y", bin(sig("a"), VerilogOp::Mul, sig("a")))],
        &["where Bits<16> is needed"],
    );
    let slice = E::Slice(Box::new(sig("a")), 8, Box::new(lit(8)));
    refused(vec![set("y", slice)], &["bit 8 is beyond the top"]);
    let index = bin(sig("a"), VerilogOp::Add, lit(1));
    refused(
        vec![set("y", E::Slice(Box::new(sig("b")), 8, Box::new(index)))],
        &["arithmetic in an index"],
    );
}

#[test]
fn names_and_indices_that_do_not_resolve() {
    refused(vec![set("y", sig("z"))], &["`z`", "no such signal"]);
    refused(
        vec![set("a", lit(1))],
        &["`a.next`", "may assign only its outputs"],
    );
    refused(
        vec![set("y", sig("v[_n-1]"))],
        &["`_n` is neither a number nor a loop variable"],
    );
    refused(vec![set("y", sig("v[a$val()]"))], &["`a$val` is neither"]);
    refused(vec![set("y", sig("Phase$Idle"))], &["`Phase.Idle`"]);
    let body = VerilogLoop {
        index: "i".into(),
        from: 0_u64.into(),
        to: (1_u64 << 40).into(),
        block: vec![],
    };
    refused(vec![S::Loop(body)], &["too long to unroll"]);
}

#[test]
fn latches_and_old_values() {
    let when = |then: VerilogBlock| {
        S::If(VerilogConditional {
            test: sig("f"),
            then,
            otherwise: VerilogBlockOrConditional::None,
        })
    };
    refused(vec![when(vec![set("y", lit(1))])], &["`y`", "latch"]);
    refused(vec![], &["`y`", "nothing drives it"]);
    refused(
        vec![set("y", sig("l")), set("l", sig("a"))],
        &["`l`", "read before it is assigned"],
    );
    refused(
        vec![set("y", sig("a")), when(vec![set("l", lit(1))])],
        &["`l`", "latch"],
    );
    let part = S::SliceAssignment {
        base: sig("y$next"),
        width: 4,
        offset: lit(0),
        replacement: E::Cast(Box::new(lit(1)), 4),
    };
    refused(vec![part.clone()], &["`y`", "latch"]);
    let outside = S::SliceAssignment {
        base: sig("y"),
        width: 4,
        offset: lit(6),
        replacement: lit(1),
    };
    refused(vec![outside], &["outside of the signal"]);
}

#[test]
fn matches_that_do_not_cover_or_resolve() {
    let cases = |labels: &[&str]| {
        let case = |l: &&str| VerilogCase {
            condition: (*l).into(),
            block: vec![set("y", lit(1))],
        };
        vec![S::Match(VerilogMatch {
            test: sig("a"),
            cases: labels.iter().map(case).collect(),
        })]
    };
    refused(cases(&["0", "1"]), &["no default"]);
    refused(
        cases(&["Idle", "default"]),
        &["Idle => ..", "neither a number nor"],
    );
    refused(cases(&["300", "default"]), &["300 does not fit Bits<8>"]);
    refused(cases(&[]), &["no default"]);
}

#[derive(LogicBlock, Default)]
struct Bad<T: Synth> {
    pub x: Signal<In, T>,
    pub wire_: Signal<Out, Bit>,
}

impl<T: Synth> Logic for Bad<T> {
    #[hdl_gen]
    fn update(&mut self) {
        self.wire_.next = true;
    }
}

#[derive(LogicBlock, Default)]
struct Colliding {
    pub sink_data: Signal<In, Bits<8>>,
    pub sink: Sink,
    pub y: Signal<Out, Bits<8>>,
}

impl Logic for Colliding {
    #[hdl_gen]
    fn update(&mut self) {
        self.sink.ready.next = self.sink.valid.val();
        self.y.next = self.sink_data.val() & self.sink.data.val();
    }
}

#[derive(LogicBlock, Default)]
struct Mute {
    pub y: Signal<Out, Bit>,
}

impl Logic for Mute {
    fn update(&mut self) {}
}

/// A constant, in a module of its own name.
#[derive(LogicBlock)]
struct Named {
    pub y: Signal<Out, Bits<8>>,
    _value: u64,
    _name: &'static str,
}

impl Logic for Named {
    fn update(&mut self) {
        self.y.next = self._value.into();
    }

    fn connect(&mut self) {
        self.y.connect();
    }

    fn hdl(&self) -> Verilog {
        let head = match self._name {
            "" => String::new(),
            name => format!("// module: {name}\n"),
        };
        Verilog::Custom(format!("{head}assign y = 8'd{};", self._value))
    }
}

#[derive(LogicBlock)]
struct Pair {
    pub y: Signal<Out, Bits<8>>,
    parts: Vec<Named>,
}

impl Logic for Pair {
    #[hdl_gen]
    fn update(&mut self) {
        self.y.next = self.parts[0].y.val() ^ self.parts[1].y.val();
    }
}

fn pair(names: [&'static str; 2], values: [u64; 2]) -> Pair {
    let part = |i: usize| Named {
        y: Default::default(),
        _value: values[i],
        _name: names[i],
    };
    Pair {
        y: Default::default(),
        parts: vec![part(0), part(1)],
    }
}

#[test]
fn structure_that_has_no_verilog() {
    let message = |result: Result<crate::verilog::Design, crate::verilog::ExportError>| {
        result.map(|d| d.to_verilog()).unwrap_err().to_string()
    };
    assert!(message(export("top", &Bad::<Bits<0>>::default())).contains("`x` has no bits"));
    let colliding = message(export("top", &Colliding::default()));
    assert!(
        colliding.contains("`sink_data` and `sink$data` would both be named `sink_data`"),
        "{colliding}"
    );
    assert!(message(export("top", &Mute::default())).contains("it has no Verilog"));
    assert!(message(export("always", &Mute::default())).contains("cannot be the name"));
    let other = message(export("top", &pair(["Same", "Same"], [1, 2])));
    assert!(
        other.contains("module name `Same`") && other.contains("top.parts$0"),
        "{other}"
    );
    assert!(message(export("top", &pair(["a-b", "Same"], [1, 2]))).contains("`a-b` cannot be the name"));
    assert_eq!(
        export("top", &pair(["Same", "Same"], [1, 1]))
            .unwrap()
            .modules
            .len(),
        2
    );
    assert_eq!(
        export("top", &pair(["", ""], [1, 2])).unwrap().modules[1].name,
        "Parts_1"
    );
}
