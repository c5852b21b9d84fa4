//! Reads the ports of a circuit without knowing its type.

use num_bigint::BigUint;
use rust_hdl::prelude::*;

/// The settled values of a circuit's top-level inputs and outputs, as 32-bit words, least
/// significant first, port after port in the order of the circuit's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortValues {
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
}

/// How many words a port of this width takes.
pub fn words(width: usize) -> usize {
    width.div_ceil(32)
}

/// Reads all ports into `values`.
pub fn read_ports<U: Block>(uut: &U, values: &mut PortValues) {
    values.inputs.clear();
    values.outputs.clear();
    uut.accept("top", &mut Reader { depth: 0, values });
}

struct Reader<'a> {
    depth: usize,
    values: &'a mut PortValues,
}

impl Probe for Reader<'_> {
    fn visit_start_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth += 1;
    }

    fn visit_atom(&mut self, _name: &str, signal: &dyn Atom) {
        if self.depth != 1 {
            return;
        }
        match signal.kind() {
            AtomKind::InputParameter => push(signal, &mut self.values.inputs),
            AtomKind::OutputParameter => push(signal, &mut self.values.outputs),
            _ => {}
        }
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth -= 1;
    }
}

fn push(signal: &dyn Atom, out: &mut Vec<u32>) {
    let literal = signal.verilog();
    if signal.bits() <= 32 {
        out.push(literal.as_usize() as u32);
        return;
    }
    // rust-hdl keeps the digits of wide values private, but prints them.
    let text = format!("{literal:x}");
    let digits = text.split_once("'h").map_or("0", |(_, digits)| digits);
    let value = BigUint::parse_bytes(digits.as_bytes(), 16).unwrap_or_default();
    let mut all = value.to_u32_digits();
    all.resize(words(signal.bits()), 0);
    out.extend(all);
}

/// The words of one port as a hexadecimal number.
pub fn hex(words: &[u32]) -> String {
    let value = BigUint::from_slice(words);
    format!("0x{value:x}")
}
