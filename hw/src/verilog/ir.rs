//! The exporter's own form of a kernel: every value has its exact width, nothing is implied.
//!
//! Operands of an operator are equally wide unless its comment says otherwise, so that Verilog's
//! widening rules never apply. A sign matters only to `Compare` and `SignExtend`.

use super::elaborate::Ty;
use num_bigint::BigUint;
use std::collections::HashSet;

pub type SignalId = usize;

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: Kind,
    pub ty: Ty,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Const(BigUint),
    /// A named constant: a `Constant` field or a state of an enum.
    Named(String, BigUint),
    Signal(SignalId),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    /// All operand bits to one: `&`, `|` or `^`.
    Reduce(&'static str, Box<Expr>),
    /// Width-preserving, or `*` of operands that were widened to the product.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// Gives one bit. The operands' common type says whether it is a signed comparison.
    Compare(&'static str, Box<Expr>, Box<Expr>),
    /// `&&` or `||` of single bits.
    Logic(&'static str, Box<Expr>, Box<Expr>),
    /// `<<` or `>>`, both filling with zeros; the amount has a width of its own.
    Shift(&'static str, Box<Expr>, Box<Expr>),
    /// The bits from this offset up to the width of the slice, all inside the operand.
    Slice(Box<Expr>, usize),
    ZeroExtend(Box<Expr>),
    SignExtend(Box<Expr>),
    /// The same bits with the other sign.
    Retype(Box<Expr>),
    /// Most significant part first.
    Concat(Vec<Expr>),
    /// The second value where the first, of one bit, is set, else the third.
    Mux(Box<Expr>, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    Assign(SignalId, Expr),
    /// Assigns the bits from this offset.
    Slice(SignalId, usize, Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Case(Expr, Vec<Arm>),
    Comment(String),
}

/// One arm of a case; the last arm has no label and takes every other value.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub label: Option<Expr>,
    /// What the default arm stands for, if only one value can reach it.
    pub note: Option<String>,
    pub body: Vec<Stmt>,
}

impl Expr {
    pub fn new(kind: Kind, ty: Ty) -> Self {
        Expr { kind, ty }
    }

    pub fn constant(value: impl Into<BigUint>, ty: Ty) -> Self {
        Expr::new(Kind::Const(value.into() & mask(ty.width)), ty)
    }

    pub fn zero_extend(self, width: usize) -> Self {
        if width == self.ty.width {
            return self;
        }
        let ty = Ty {
            width,
            signed: self.ty.signed,
        };
        Expr::new(Kind::ZeroExtend(Box::new(self)), ty)
    }

    pub fn sign_extend(self, width: usize) -> Self {
        if width == self.ty.width {
            return self;
        }
        Expr::new(Kind::SignExtend(Box::new(self)), Ty::signed(width))
    }

    /// The low `width` bits from `offset`; slices of slices become one.
    pub fn slice(self, offset: usize, ty: Ty) -> Self {
        if offset == 0 && ty == self.ty {
            return self;
        }
        match self.kind {
            Kind::Slice(inner, below) => Expr::new(Kind::Slice(inner, below + offset), ty),
            Kind::Const(value) => Expr::constant(value >> offset, ty),
            _ => Expr::new(Kind::Slice(Box::new(self), offset), ty),
        }
    }

    pub fn retype(self, signed: bool) -> Self {
        if self.ty.signed == signed {
            return self;
        }
        let ty = Ty {
            width: self.ty.width,
            signed,
        };
        Expr::new(Kind::Retype(Box::new(self)), ty)
    }

    /// Calls `f` with every signal that the expression reads.
    pub fn reads(&self, f: &mut dyn FnMut(SignalId)) {
        match &self.kind {
            Kind::Const(_) | Kind::Named(..) => {}
            Kind::Signal(id) => f(*id),
            Kind::Not(a) | Kind::Neg(a) | Kind::Reduce(_, a) | Kind::Slice(a, _) => a.reads(f),
            Kind::ZeroExtend(a) | Kind::SignExtend(a) | Kind::Retype(a) => a.reads(f),
            Kind::Binary(_, a, b) | Kind::Compare(_, a, b) | Kind::Logic(_, a, b) | Kind::Shift(_, a, b) => {
                a.reads(f);
                b.reads(f);
            }
            Kind::Concat(parts) => parts.iter().for_each(|p| p.reads(f)),
            Kind::Mux(test, a, b) => [test, a, b].iter().for_each(|e| e.reads(f)),
        }
    }

    /// Calls `f` with every operand.
    pub fn operands_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        match &mut self.kind {
            Kind::Const(_) | Kind::Named(..) | Kind::Signal(_) => {}
            Kind::Not(a) | Kind::Neg(a) | Kind::Reduce(_, a) | Kind::Slice(a, _) => f(a),
            Kind::ZeroExtend(a) | Kind::SignExtend(a) | Kind::Retype(a) => f(a),
            Kind::Binary(_, a, b) | Kind::Compare(_, a, b) | Kind::Logic(_, a, b) | Kind::Shift(_, a, b) => {
                [a, b].into_iter().for_each(|e| f(e));
            }
            Kind::Concat(parts) => parts.iter_mut().for_each(f),
            Kind::Mux(test, a, b) => [test, a, b].into_iter().for_each(|e| f(e)),
        }
    }

    /// The value, if no signal takes part in it.
    pub fn value(&self) -> Option<BigUint> {
        let width = self.ty.width;
        let raw = match &self.kind {
            Kind::Const(v) | Kind::Named(_, v) => v.clone(),
            Kind::Signal(_) => return None,
            Kind::Not(a) => a.value()? ^ mask(width),
            Kind::Neg(a) => (mask(width) + 1u8) - a.value()?,
            Kind::Reduce(op, a) => bit(reduce(op, &a.value()?, a.ty.width)),
            Kind::Binary(op, a, b) => binary(op, a.value()?, b.value()?, width),
            Kind::Compare(op, a, b) => bit(compare(op, order_key(a)?, order_key(b)?)),
            Kind::Logic("&&", a, b) => a.value()? & b.value()?,
            Kind::Logic(_, a, b) => a.value()? | b.value()?,
            Kind::Shift(op, a, b) => shift(op, a.value()?, &b.value()?, width),
            Kind::Slice(a, offset) => a.value()? >> offset,
            Kind::ZeroExtend(a) | Kind::Retype(a) => a.value()?,
            Kind::SignExtend(a) => sign_extended(a.value()?, a.ty.width, width),
            Kind::Concat(parts) => concat(parts)?,
            Kind::Mux(test, a, b) => match test.value()? == BigUint::default() {
                true => b.value()?,
                false => a.value()?,
            },
        };
        Some(raw & mask(width))
    }
}

impl Stmt {
    /// Calls `f` with every signal read anywhere in the statement.
    pub fn reads(&self, f: &mut dyn FnMut(SignalId)) {
        match self {
            Stmt::Assign(_, e) | Stmt::Slice(_, _, e) => e.reads(f),
            Stmt::If(test, then, otherwise) => {
                test.reads(f);
                then.iter().chain(otherwise).for_each(|s| s.reads(f));
            }
            Stmt::Case(test, arms) => {
                test.reads(f);
                arms.iter().flat_map(|a| &a.body).for_each(|s| s.reads(f));
            }
            Stmt::Comment(_) => {}
        }
    }

    /// Calls `f` with every signal written anywhere in the statement.
    pub fn writes(&self, f: &mut dyn FnMut(SignalId)) {
        match self {
            Stmt::Assign(id, _) | Stmt::Slice(id, _, _) => f(*id),
            Stmt::If(_, then, otherwise) => then.iter().chain(otherwise).for_each(|s| s.writes(f)),
            Stmt::Case(_, arms) => arms.iter().flat_map(|a| &a.body).for_each(|s| s.writes(f)),
            Stmt::Comment(_) => {}
        }
    }
}

/// Every signal that the statements read.
pub fn reads_of(stmts: &[Stmt]) -> HashSet<SignalId> {
    let mut ids = HashSet::new();
    stmts.iter().for_each(|s| s.reads(&mut |id| ids.extend([id])));
    ids
}

/// Every signal that the statements write.
pub fn writes_of(stmts: &[Stmt]) -> HashSet<SignalId> {
    let mut ids = HashSet::new();
    stmts.iter().for_each(|s| s.writes(&mut |id| ids.extend([id])));
    ids
}

pub fn mask(width: usize) -> BigUint {
    (BigUint::from(1u8) << width) - 1u8
}

fn bit(value: bool) -> BigUint {
    BigUint::from(value as u8)
}

fn reduce(op: &str, value: &BigUint, width: usize) -> bool {
    match op {
        "&" => *value == mask(width),
        "|" => *value != BigUint::default(),
        _ => value.count_ones() % 2 == 1,
    }
}

fn binary(op: &str, a: BigUint, b: BigUint, width: usize) -> BigUint {
    match op {
        "+" => a + b,
        "-" => a + (mask(width) + 1u8) - b,
        "*" => a * b,
        "&" => a & b,
        "|" => a | b,
        _ => a ^ b,
    }
}

fn shift(op: &str, a: BigUint, amount: &BigUint, width: usize) -> BigUint {
    let Some(amount) = amount
        .to_u64_digits()
        .first()
        .copied()
        .or(Some(0))
        .filter(|_| amount.bits() <= 32)
    else {
        return BigUint::default();
    };
    match amount as usize {
        amount if amount >= width => BigUint::default(),
        amount if op == "<<" => a << amount,
        amount => a >> amount,
    }
}

/// The value moved so that unsigned order of keys is the order of the values.
fn order_key(e: &Expr) -> Option<BigUint> {
    let value = e.value()?;
    match e.ty.signed {
        true => Some(value ^ (BigUint::from(1u8) << (e.ty.width - 1))),
        false => Some(value),
    }
}

fn compare(op: &str, a: BigUint, b: BigUint) -> bool {
    match op {
        "==" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    }
}

fn sign_extended(value: BigUint, from: usize, to: usize) -> BigUint {
    match value.bit(from as u64 - 1) {
        true => value | (mask(to) ^ mask(from)),
        false => value,
    }
}

fn concat(parts: &[Expr]) -> Option<BigUint> {
    parts.iter().try_fold(BigUint::default(), |acc, p| {
        Some((acc << p.ty.width) | p.value()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(v: u8) -> Box<Expr> {
        Box::new(Expr::constant(v, Ty::bits(8)))
    }

    fn value(kind: Kind, ty: Ty) -> u64 {
        Expr::new(kind, ty)
            .value()
            .unwrap()
            .to_u64_digits()
            .first()
            .copied()
            .unwrap_or(0)
    }

    #[test]
    fn constants_wrap_like_bits() {
        let b8 = Ty::bits(8);
        assert_eq!(value(Kind::Binary("+", byte(255), byte(1)), b8), 0);
        assert_eq!(value(Kind::Binary("-", byte(0), byte(1)), b8), 255);
        assert_eq!(value(Kind::Neg(byte(1)), b8), 255);
        assert_eq!(value(Kind::Neg(byte(0)), b8), 0);
        assert_eq!(value(Kind::Shift("<<", byte(0x81), byte(1)), b8), 2);
        assert_eq!(value(Kind::Shift(">>", byte(0x81), byte(9)), b8), 0);
    }

    #[test]
    fn signed_order_and_extension_follow_the_sign_bit() {
        let s8 = |v| Box::new(Expr::constant(v, Ty::signed(8)));
        assert_eq!(value(Kind::Compare("<", s8(0x80u8), s8(0x7F)), Ty::BOOL), 1);
        assert_eq!(value(Kind::Compare("<", byte(0x80), byte(0x7F)), Ty::BOOL), 0);
        assert_eq!(value(Kind::SignExtend(s8(0x80)), Ty::signed(16)), 0xFF80);
        assert_eq!(value(Kind::ZeroExtend(byte(0x80)), Ty::bits(16)), 0x80);
    }
}
