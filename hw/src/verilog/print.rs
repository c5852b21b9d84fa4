//! Expressions as Verilog text.
//!
//! Every operand already has the operator's width, so text can follow the tree. What Verilog-2005
//! has no operator for (a part of an expression, the sign extension of one) becomes a call of a
//! small function that the module defines.

use super::elaborate::Ty;
use super::ir::{mask, Expr, Kind, SignalId};
use super::symbols::Symbols;
use super::text::{dimension, number};
use super::vector::{Piece, Place};
use num_bigint::BigUint;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub struct Printer<'a> {
    pub symbols: &'a Symbols,
    /// Child inputs that are just another name of a signal or constant.
    pub aliases: HashMap<SignalId, Expr>,
    /// Registers that are assigned where they are clocked: their `d`, and the `q` that it becomes.
    pub clocked: HashMap<SignalId, SignalId>,
    /// The outputs of registers.
    pub registers: HashSet<SignalId>,
    /// Where each signal is.
    pub places: Vec<Place>,
    uses: RefCell<Uses>,
}

/// What the printed text refers to.
#[derive(Default)]
pub struct Uses {
    /// The bits of each signal that are read.
    pub bits: HashMap<SignalId, Vec<bool>>,
    /// Helper functions by name.
    pub functions: BTreeMap<String, String>,
    /// Named constants: name, width and value.
    pub constants: BTreeSet<(String, usize, BigUint)>,
}

/// A piece of text and how tightly it binds.
struct Text {
    text: String,
    binding: Binding,
}

#[derive(Clone, Copy, PartialEq)]
enum Binding {
    /// A name, number, call or concatenation.
    Atom,
    /// A unary operator.
    Prefix,
    /// The chain of one associative operator, or a lone binary one.
    Operator(&'static str),
}

fn atom(text: String) -> Text {
    Text {
        text,
        binding: Binding::Atom,
    }
}

impl<'a> Printer<'a> {
    pub fn new(symbols: &'a Symbols) -> Self {
        Printer {
            symbols,
            aliases: HashMap::new(),
            clocked: HashMap::new(),
            registers: HashSet::new(),
            places: vec![],
            uses: RefCell::default(),
        }
    }

    pub fn into_uses(self) -> Uses {
        self.uses.into_inner()
    }

    pub fn is_read(&self, id: SignalId) -> bool {
        self.uses.borrow().bits.contains_key(&id)
    }

    /// The parts of a signal that no text reads: offset and width of each.
    pub fn unread(&self, id: SignalId) -> Vec<(usize, usize)> {
        let width = self.symbols.get(id).ty.width;
        let uses = self.uses.borrow();
        let Some(bits) = uses.bits.get(&id) else {
            return vec![(0, width)];
        };
        let mut runs: Vec<(usize, usize)> = vec![];
        for at in (0..width).filter(|at| !bits[*at]) {
            match runs.last_mut() {
                Some((start, length)) if *start + *length == at => *length += 1,
                _ => runs.push((at, 1)),
            }
        }
        runs
    }

    /// The name of a signal, or its part of a vector.
    pub fn name(&self, id: SignalId) -> String {
        self.places[id].part(0, self.symbols.get(id).ty.width)
    }

    /// The text of an expression that stands alone.
    pub fn expr(&self, e: &Expr) -> String {
        self.text(e).text
    }

    /// What a signal is called, following aliases, and that all of it is read.
    pub fn signal(&self, id: SignalId) -> String {
        self.expr(&Expr::new(Kind::Signal(id), self.symbols.get(id).ty))
    }

    /// An expression as a piece of a connection or assignment.
    pub fn piece(&self, e: &Expr) -> Piece {
        let width = e.ty.width;
        match &e.kind {
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.piece(alias),
                None => {
                    self.mark(*id, 0, width);
                    self.target(*id, 0, width)
                }
            },
            Kind::Slice(a, offset) => match self.plain(a) {
                Some(id) => {
                    self.mark(id, *offset, width);
                    self.target(id, *offset, width)
                }
                None => Piece::Text {
                    text: self.expr(e),
                    width,
                },
            },
            Kind::Const(value) => Piece::Number {
                value: value.clone(),
                width,
            },
            Kind::Mux(test, a, b) => Piece::Choice {
                test: self.operand(test, &[]),
                then: Box::new(self.operand_piece(a, &[])),
                otherwise: Box::new(self.operand_piece(b, &["?"])),
            },
            _ => Piece::Text {
                text: self.expr(e),
                width,
            },
        }
    }

    /// A piece that may stand bare next to the operators in `chain`.
    fn operand_piece(&self, e: &Expr, chain: &[&str]) -> Piece {
        match self.piece(e) {
            Piece::Text { width, .. } => Piece::Text {
                text: self.operand(e, chain),
                width,
            },
            other => other,
        }
    }

    /// Bits of a signal where they are.
    pub fn target(&self, id: SignalId, at: usize, width: usize) -> Piece {
        let place = &self.places[id];
        Piece::Bits {
            place: Place {
                offset: place.offset + at,
                ..place.clone()
            },
            width,
        }
    }

    fn text(&self, e: &Expr) -> Text {
        match &e.kind {
            Kind::Const(value) => atom(number(value, e.ty.width)),
            Kind::Named(name, value) => {
                self.uses
                    .borrow_mut()
                    .constants
                    .insert((name.clone(), e.ty.width, value.clone()));
                atom(name.clone())
            }
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.text(alias),
                None => {
                    self.mark(*id, 0, e.ty.width);
                    atom(self.name(*id))
                }
            },
            Kind::Not(a) if e.ty == Ty::BOOL => self.prefix("!", a),
            Kind::Not(a) => self.prefix("~", a),
            Kind::Neg(a) => self.prefix("-", a),
            Kind::Reduce(op, a) => self.prefix(op, a),
            Kind::Binary(op, a, b) | Kind::Logic(op, a, b) => self.operator(op, a, b),
            Kind::Shift(op, a, b) => self.operator(op, a, b),
            Kind::Compare(op, a, b) => self.compare(op, a, b),
            Kind::Slice(a, offset) => self.slice(a, *offset, e.ty.width),
            Kind::ZeroExtend(a) => {
                let zeros = number(&BigUint::default(), e.ty.width - a.ty.width);
                atom(format!("{{{zeros}, {}}}", self.expr(a)))
            }
            Kind::SignExtend(a) => self.sign_extend(a, e.ty.width),
            Kind::Retype(a) if !e.ty.signed => atom(format!("$unsigned({})", self.expr(a))),
            Kind::Retype(a) => self.text(a),
            Kind::Concat(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.expr(p)).collect();
                atom(format!("{{{}}}", parts.join(", ")))
            }
            Kind::Mux(..) => Text {
                text: self.piece(e).text(),
                binding: Binding::Operator("?"),
            },
        }
    }

    fn mark(&self, id: SignalId, from: usize, width: usize) {
        let total = self.symbols.get(id).ty.width;
        let mut uses = self.uses.borrow_mut();
        let bits = uses.bits.entry(id).or_insert_with(|| vec![false; total]);
        bits[from..from + width].fill(true);
    }

    fn prefix(&self, op: &str, a: &Expr) -> Text {
        Text {
            text: format!("{op}{}", self.bare_or_parens(a)),
            binding: Binding::Prefix,
        }
    }

    fn operator(&self, op: &'static str, a: &Expr, b: &Expr) -> Text {
        // Sums and chains of one operator need no parentheses; nothing else goes without them.
        let chain: &[&str] = match op {
            "+" | "-" => &["+", "-"],
            "&" | "|" | "^" | "&&" | "||" => &[op],
            _ => &[],
        };
        let text = format!("{} {op} {}", self.operand(a, chain), self.operand(b, &[]));
        Text {
            text,
            binding: Binding::Operator(op),
        }
    }

    /// The operand of a prefix: two operators side by side could read as one (`^~`).
    fn bare_or_parens(&self, e: &Expr) -> String {
        match self.text(e) {
            Text {
                text,
                binding: Binding::Atom,
            } => text,
            Text { text, .. } => format!("({text})"),
        }
    }

    /// An operand of an operator that may stand bare next to those in `chain`.
    fn operand(&self, e: &Expr, chain: &[&str]) -> String {
        let text = self.text(e);
        match text.binding {
            Binding::Atom => text.text,
            Binding::Operator(op) if chain.contains(&op) => text.text,
            Binding::Prefix if text.text.starts_with(['!', '~']) => text.text,
            _ => format!("({})", text.text),
        }
    }

    fn compare(&self, op: &'static str, a: &Expr, b: &Expr) -> Text {
        let signed = a.ty.signed && !matches!(op, "==" | "!=");
        let side = |e| {
            if signed {
                self.signed_operand(e)
            } else {
                self.operand(e, &[])
            }
        };
        let text = format!("{} {op} {}", side(a), side(b));
        Text {
            text,
            binding: Binding::Operator(op),
        }
    }

    /// Text that Verilog takes for signed: a signed signal by its name, all else by `$signed`.
    fn signed_operand(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Signal(id) if self.is_signed_name(*id) => self.expr(e),
            Kind::Const(value) if value.bit(e.ty.width as u64 - 1) => {
                let magnitude = (mask(e.ty.width) + 1u8) - value;
                format!("-{}", number(&magnitude, e.ty.width).replace('\'', "'s"))
            }
            Kind::Const(value) => number(value, e.ty.width).replace('\'', "'s"),
            _ => format!("$signed({})", self.expr(e)),
        }
    }

    /// Whether a signal's text is a name that was declared signed; vectors and their parts are unsigned.
    fn is_signed_name(&self, id: SignalId) -> bool {
        let ty = self.symbols.get(id).ty;
        !self.aliases.contains_key(&id) && ty.signed && self.places[id].total == ty.width
    }

    /// A signal that can be indexed by its name; a one-bit signal can not.
    fn plain<'e>(&'e self, e: &'e Expr) -> Option<SignalId> {
        match &e.kind {
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.plain(alias),
                None => Some(*id).filter(|_| e.ty.width > 1),
            },
            Kind::Retype(inner) => self.plain(inner),
            _ => None,
        }
    }

    fn slice(&self, a: &Expr, offset: usize, width: usize) -> Text {
        if width == a.ty.width {
            return self.text(a);
        }
        if let Some(value) = a.value() {
            return atom(number(&((value >> offset) & mask(width)), width));
        }
        match self.plain(a) {
            Some(id) => {
                self.mark(id, offset, width);
                atom(self.places[id].part(offset, width))
            }
            None => {
                let is_lowest = (offset, width) == (0, 1);
                if let Some(text) = is_lowest.then(|| self.indexed(a)).flatten() {
                    return atom(text);
                }
                let name = format!("bits_{}_{offset}_of_{}", offset + width - 1, a.ty.width);
                let body = slice_function(&name, offset, width, a.ty.width);
                self.call(name, body, a)
            }
        }
    }

    /// `x[n]` for the lowest bit of `x >> n`, where every `n` is inside of `x`.
    fn indexed(&self, e: &Expr) -> Option<String> {
        let Kind::Shift(">>", x, n) = &e.kind else {
            return None;
        };
        let id = self.plain(x)?;
        let fits = n.ty.width < 16 && 1 << n.ty.width <= x.ty.width;
        if !fits || self.places[id].total != x.ty.width {
            return None;
        }
        self.mark(id, 0, x.ty.width);
        Some(format!("{}[{}]", self.name(id), self.expr(n)))
    }

    fn sign_extend(&self, a: &Expr, width: usize) -> Text {
        let (from, extra) = (a.ty.width, width - a.ty.width);
        if let Some(value) = Expr::new(Kind::SignExtend(Box::new(a.clone())), Ty::signed(width)).value() {
            return atom(number(&value, width));
        }
        if let Some(id) = self.plain(a) {
            self.mark(id, 0, from);
            let (name, sign) = (self.name(id), self.places[id].part(from - 1, 1));
            return atom(format!("{{{{{extra}{{{sign}}}}}, {name}}}"));
        }
        let name = format!("sign_extend_{from}_{width}");
        let body = format!(
            "    function [{}:0] {name}(input {}value);\n        {name} = {{{{{extra}{{value{}}}}}, value}};\n    endfunction\n",
            width - 1,
            dimension(from),
            if from == 1 { String::new() } else { format!("[{}]", from - 1) },
        );
        self.call(name, body, a)
    }

    fn call(&self, name: String, body: String, argument: &Expr) -> Text {
        let text = format!("{name}({})", self.expr(argument));
        self.uses.borrow_mut().functions.insert(name, body);
        atom(text)
    }

    /// The names of functions and constants that the text uses.
    pub fn globals(&self) -> Vec<String> {
        let uses = self.uses.borrow();
        uses.constants
            .iter()
            .map(|(name, ..)| name)
            .chain(uses.functions.keys())
            .cloned()
            .collect()
    }
}

/// A function that cuts a part out of an expression. The rest gets a name that tells lint tools
/// that it is unused on purpose.
fn slice_function(name: &str, offset: usize, width: usize, from: usize) -> String {
    let above = from - offset - width;
    let mut parts = vec![name];
    let mut regs = String::new();
    if above > 0 {
        parts.insert(0, "unused_high");
        regs += &format!("        reg {}unused_high;\n", dimension(above));
    }
    if offset > 0 {
        parts.push("unused_low");
        regs += &format!("        reg {}unused_low;\n", dimension(offset));
    }
    format!(
        "    function {}{name}(input {}value);\n{regs}        {{{}}} = value;\n    endfunction\n",
        dimension(width),
        dimension(from),
        parts.join(", ")
    )
}
