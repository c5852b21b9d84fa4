//! Random expressions: one tree that is both rust-hdl's syntax and a computation with its types.

use crate::cosim::Rng;
use rust_hdl::core::ast::{VerilogExpression as Ast, VerilogOp, VerilogOpUnary};
use rust_hdl::prelude::*;

/// The types that take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum T {
    Bit,
    B8,
    B16,
    B32,
    S8,
    S16,
    S32,
}

pub const TYPES: [T; 7] = [T::Bit, T::B8, T::B16, T::B32, T::S8, T::S16, T::S32];
const UNSIGNED: [T; 3] = [T::B8, T::B16, T::B32];
const SIGNED: [T; 3] = [T::S8, T::S16, T::S32];

impl T {
    pub fn width(self) -> usize {
        match self {
            T::Bit => 1,
            T::B8 | T::S8 => 8,
            T::B16 | T::S16 => 16,
            T::B32 | T::S32 => 32,
        }
    }

    pub fn is_signed(self) -> bool {
        SIGNED.contains(&self)
    }

    fn other_sign(self) -> T {
        let at = UNSIGNED
            .iter()
            .chain(&SIGNED)
            .position(|t| *t == self)
            .unwrap_or(0);
        [SIGNED, UNSIGNED][at / 3][at % 3]
    }
}

/// A value of one of the types, held in rust-hdl's own representation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum V {
    Bit(bool),
    B8(Bits<8>),
    B16(Bits<16>),
    B32(Bits<32>),
    S8(Signed<8>),
    S16(Signed<16>),
    S32(Signed<32>),
}

impl V {
    pub fn of(t: T, raw: u64) -> V {
        match t {
            T::Bit => V::Bit(raw & 1 == 1),
            T::B8 => V::B8((raw & 0xFF).into()),
            T::B16 => V::B16((raw & 0xFFFF).into()),
            T::B32 => V::B32((raw & 0xFFFF_FFFF).into()),
            T::S8 => V::S8(signed_cast((raw & 0xFF).to_bits::<8>())),
            T::S16 => V::S16(signed_cast((raw & 0xFFFF).to_bits::<16>())),
            T::S32 => V::S32(signed_cast((raw & 0xFFFF_FFFF).to_bits::<32>())),
        }
    }

    pub fn raw(self) -> u64 {
        match self {
            V::Bit(b) => b as u64,
            V::B8(b) => b.to_u64(),
            V::B16(b) => b.to_u64(),
            V::B32(b) => b.to_u64(),
            V::S8(s) => s.inner().to_u64(),
            V::S16(s) => s.inner().to_u64(),
            V::S32(s) => s.inner().to_u64(),
        }
    }
}

/// Applies an expression to a value of any width of `Bits`, keeping the type.
macro_rules! on_bits {
    ($v:expr, $x:ident => $e:expr) => {
        match $v {
            V::B8($x) => V::B8($e),
            V::B16($x) => V::B16($e),
            V::B32($x) => V::B32($e),
            other => unreachable!("{other:?} is not Bits"),
        }
    };
}

/// Applies an expression to two values of the same type, keeping the type.
macro_rules! on_pair {
    ($l:expr, $r:expr, $x:ident, $y:ident => $e:expr; $($signed:tt)*) => {
        match ($l, $r) {
            (V::B8($x), V::B8($y)) => V::B8($e),
            (V::B16($x), V::B16($y)) => V::B16($e),
            (V::B32($x), V::B32($y)) => V::B32($e),
            $($signed)*
            (l, r) => unreachable!("{l:?} and {r:?}"),
        }
    };
}

/// Applies a predicate to two values of the same type.
macro_rules! compare {
    ($l:expr, $r:expr, $op:tt) => {
        match ($l, $r) {
            (V::Bit(x), V::Bit(y)) => x $op y,
            (V::B8(x), V::B8(y)) => x $op y,
            (V::B16(x), V::B16(y)) => x $op y,
            (V::B32(x), V::B32(y)) => x $op y,
            (V::S8(x), V::S8(y)) => x $op y,
            (V::S16(x), V::S16(y)) => x $op y,
            (V::S32(x), V::S32(y)) => x $op y,
            (l, r) => unreachable!("{l:?} and {r:?}"),
        }
    };
}

#[derive(Clone, Debug)]
pub enum Node {
    /// An input, or a local of the kernel behind the inputs.
    Signal(usize),
    Literal(i64),
    Binary(VerilogOp, Box<Typed>, Box<Typed>),
    Not(Box<Typed>),
    Neg(Box<Typed>),
    Reduce(VerilogOpUnary, Box<Typed>),
    GetBit(Box<Typed>, Box<Index>),
    GetBits(Box<Typed>, Box<Index>),
    ReplaceBit(Box<Typed>, Box<Index>, Box<Typed>),
    BitCast(Box<Typed>),
    SignedBitCast(Box<Typed>),
    SignedCast(Box<Typed>),
    UnsignedCast(Box<Typed>),
}

#[derive(Clone, Debug)]
pub struct Typed {
    pub node: Node,
    pub t: T,
}

/// A bit index: a constant, or three bits of a signal.
#[derive(Clone, Debug)]
pub enum Index {
    Constant(usize),
    Dynamic(Typed),
}

/// Rust gives no value: `signed_bit_cast` of the most negative number does not return.
#[derive(Debug)]
pub struct NoValue;

type Value = Result<V, NoValue>;

impl Index {
    fn eval(&self, env: &[V]) -> Result<usize, NoValue> {
        match self {
            Index::Constant(at) => Ok(*at),
            Index::Dynamic(e) => match e.eval(env)? {
                V::B8(b) => Ok(bit_cast::<3, 8>(b).index()),
                other => unreachable!("{other:?}"),
            },
        }
    }

    fn ast(&self, names: &[String]) -> Ast {
        match self {
            Index::Constant(at) => Ast::Literal((*at).into()),
            Index::Dynamic(e) => Ast::Cast(Box::new(e.ast(names)), 3),
        }
    }
}

impl Typed {
    pub fn eval(&self, env: &[V]) -> Value {
        Ok(match &self.node {
            Node::Signal(at) => env[*at],
            Node::Literal(value) => match self.t {
                T::S8 => V::S8((*value).into()),
                T::S16 => V::S16((*value).into()),
                T::S32 => V::S32((*value).into()),
                t => V::of(t, *value as u64),
            },
            Node::Binary(op, l, r) => binary(op, l.eval(env)?, r.eval(env)?, r),
            Node::Not(e) => match e.eval(env)? {
                V::Bit(b) => V::Bit(!b),
                v => on_bits!(v, x => !x),
            },
            Node::Neg(e) => match e.eval(env)? {
                V::S8(x) => V::S8(-x),
                V::S16(x) => V::S16(-x),
                V::S32(x) => V::S32(-x),
                other => unreachable!("{other:?}"),
            },
            Node::Reduce(op, e) => reduce(op, e.eval(env)?),
            Node::GetBit(e, at) => get_bit(e.eval(env)?, at.eval(env)?),
            Node::GetBits(e, at) => get_bits(self.t, e.eval(env)?, at.eval(env)?),
            Node::ReplaceBit(e, at, bit) => {
                let (word, at, V::Bit(bit)) = (e.eval(env)?, at.eval(env)?, bit.eval(env)?) else {
                    unreachable!("the new bit is a Bit")
                };
                on_bits!(word, x => x.replace_bit(at, bit))
            }
            Node::BitCast(e) => convert(self.t, e.eval(env)?),
            Node::SignedBitCast(e) => signed_convert(self.t, e.eval(env)?)?,
            Node::SignedCast(e) => match e.eval(env)? {
                V::B8(x) => V::S8(signed_cast(x)),
                V::B16(x) => V::S16(signed_cast(x)),
                V::B32(x) => V::S32(signed_cast(x)),
                other => unreachable!("{other:?}"),
            },
            Node::UnsignedCast(e) => match e.eval(env)? {
                V::S8(x) => V::B8(unsigned_cast(x)),
                V::S16(x) => V::B16(unsigned_cast(x)),
                V::S32(x) => V::B32(unsigned_cast(x)),
                other => unreachable!("{other:?}"),
            },
        })
    }

    /// The tree that `#[hdl_gen]` makes of the same expression.
    pub fn ast(&self, names: &[String]) -> Ast {
        let sub = |e: &Typed| Box::new(Ast::Paren(Box::new(e.ast(names))));
        match &self.node {
            Node::Signal(at) => Ast::Signal(names[*at].clone()),
            Node::Literal(value) if *value < 0 => Ast::Unary(
                VerilogOpUnary::Neg,
                Box::new(Ast::Literal(value.unsigned_abs().into())),
            ),
            Node::Literal(value) if self.t == T::Bit => Ast::Literal((*value == 1).into()),
            Node::Literal(value) => Ast::Literal((*value as u64).into()),
            Node::Binary(op, l, r) => Ast::Binary(sub(l), op.clone(), sub(r)),
            Node::Not(e) => Ast::Unary(VerilogOpUnary::Not, sub(e)),
            Node::Neg(e) => Ast::Unary(VerilogOpUnary::Neg, sub(e)),
            Node::Reduce(op, e) => Ast::Unary(op.clone(), sub(e)),
            Node::GetBit(e, at) => Ast::Index(sub(e), Box::new(at.ast(names))),
            Node::GetBits(e, at) => Ast::Slice(sub(e), self.t.width(), Box::new(at.ast(names))),
            Node::ReplaceBit(e, at, bit) => Ast::IndexReplace(sub(e), Box::new(at.ast(names)), sub(bit)),
            Node::BitCast(e) => Ast::Cast(sub(e), self.t.width()),
            Node::SignedBitCast(e) | Node::SignedCast(e) => Ast::Signed(sub(e)),
            Node::UnsignedCast(e) => Ast::Unsigned(sub(e)),
        }
    }
}

fn binary(op: &VerilogOp, l: V, r: V, right: &Typed) -> V {
    use VerilogOp::*;
    match op {
        Add => match (l, r) {
            (l, V::Bit(b)) => on_bits!(l, x => x + b),
            (l, r) => on_pair!(l, r, x, y => x + y;
                (V::S8(x), V::S8(y)) => V::S8(x + y),
                (V::S16(x), V::S16(y)) => V::S16(x + y),
                (V::S32(x), V::S32(y)) => V::S32(x + y),),
        },
        Sub => on_pair!(l, r, x, y => x - y;
            (V::S8(x), V::S8(y)) => V::S8(x - y),
            (V::S16(x), V::S16(y)) => V::S16(x - y),
            (V::S32(x), V::S32(y)) => V::S32(x - y),),
        BitAnd => on_pair!(l, r, x, y => x & y; (V::Bit(x), V::Bit(y)) => V::Bit(x & y),),
        BitOr => on_pair!(l, r, x, y => x | y; (V::Bit(x), V::Bit(y)) => V::Bit(x | y),),
        BitXor => on_pair!(l, r, x, y => x ^ y; (V::Bit(x), V::Bit(y)) => V::Bit(x ^ y),),
        Mul => match (l, r) {
            (V::B16(x), V::B16(y)) => V::B32(x * y),
            (V::S16(x), V::S16(y)) => V::S32(x * y),
            other => unreachable!("{other:?}"),
        },
        Shl | Shr => shift(op, l, r, right),
        LogicalAnd => V::Bit(l == V::Bit(true) && r == V::Bit(true)),
        LogicalOr => V::Bit(l == V::Bit(true) || r == V::Bit(true)),
        Eq => V::Bit(compare!(l, r, ==)),
        Ne => V::Bit(compare!(l, r, !=)),
        Lt => V::Bit(compare!(l, r, <)),
        Le => V::Bit(compare!(l, r, <=)),
        Gt => V::Bit(compare!(l, r, >)),
        Ge => V::Bit(compare!(l, r, >=)),
    }
}

fn shift(op: &VerilogOp, l: V, r: V, right: &Typed) -> V {
    if let Node::Literal(n) = right.node {
        let n = n as u64;
        return match op {
            VerilogOp::Shl => on_bits!(l, x => x << n),
            _ => on_bits!(l, x => x >> n),
        };
    }
    let V::B8(n) = r else {
        unreachable!("amounts are B8")
    };
    match op {
        VerilogOp::Shl => on_bits!(l, x => x << n),
        _ => on_bits!(l, x => x >> n),
    }
}

fn reduce(op: &VerilogOpUnary, v: V) -> V {
    macro_rules! reduced {
        ($x:ident) => {
            match op {
                VerilogOpUnary::All => $x.all(),
                VerilogOpUnary::Any => $x.any(),
                _ => $x.xor(),
            }
        };
    }
    V::Bit(match v {
        V::B8(x) => reduced!(x),
        V::B16(x) => reduced!(x),
        V::B32(x) => reduced!(x),
        other => unreachable!("{other:?}"),
    })
}

fn get_bit(v: V, at: usize) -> V {
    V::Bit(match v {
        V::B8(x) => x.get_bit(at),
        V::B16(x) => x.get_bit(at),
        V::B32(x) => x.get_bit(at),
        V::S8(x) => x.get_bit(at),
        V::S16(x) => x.get_bit(at),
        V::S32(x) => x.get_bit(at),
        V::Bit(_) => unreachable!("bool has no get_bit"),
    })
}

fn get_bits(t: T, v: V, at: usize) -> V {
    macro_rules! part {
        ($x:ident, $a:ident, $b:ident, $c:ident) => {
            match t.width() {
                8 => V::$a($x.get_bits::<8>(at)),
                16 => V::$b($x.get_bits::<16>(at)),
                _ => V::$c($x.get_bits::<32>(at)),
            }
        };
    }
    match v {
        V::B8(x) => part!(x, B8, B16, B32),
        V::B16(x) => part!(x, B8, B16, B32),
        V::B32(x) => part!(x, B8, B16, B32),
        V::S8(x) => part!(x, S8, S16, S32),
        V::S16(x) => part!(x, S8, S16, S32),
        V::S32(x) => part!(x, S8, S16, S32),
        V::Bit(_) => unreachable!("bool has no get_bits"),
    }
}

fn convert(t: T, v: V) -> V {
    macro_rules! cast {
        ($x:ident) => {
            match t {
                T::B8 => V::B8(bit_cast($x)),
                T::B16 => V::B16(bit_cast($x)),
                _ => V::B32(bit_cast($x)),
            }
        };
    }
    match v {
        V::B8(x) => cast!(x),
        V::B16(x) => cast!(x),
        V::B32(x) => cast!(x),
        other => unreachable!("{other:?}"),
    }
}

fn signed_convert(t: T, v: V) -> Value {
    macro_rules! cast {
        ($x:ident, $n:literal) => {
            match t {
                _ if $x.bigint() == Signed::<$n>::min() => return Err(NoValue),
                T::S8 => V::S8(signed_bit_cast($x)),
                T::S16 => V::S16(signed_bit_cast($x)),
                _ => V::S32(signed_bit_cast($x)),
            }
        };
    }
    Ok(match v {
        V::S8(x) => cast!(x, 8),
        V::S16(x) => cast!(x, 16),
        V::S32(x) => cast!(x, 32),
        other => unreachable!("{other:?}"),
    })
}

/// Makes random expressions over signals of known types.
pub struct Generator<'a> {
    pub rng: &'a mut Rng,
    /// What may be read: places in the environment and their types.
    pub signals: &'a [(usize, T)],
}

impl Generator<'_> {
    fn pick<C: Copy>(&mut self, choices: &[C]) -> C {
        choices[self.rng.below(choices.len() as u64) as usize]
    }

    pub fn expr(&mut self, t: T, depth: usize) -> Typed {
        if depth == 0 {
            return self.signal(t);
        }
        let node = match t {
            T::Bit => self.bit(depth - 1),
            t if t.is_signed() => self.signed(t, depth - 1),
            t => self.unsigned(t, depth - 1),
        };
        Typed { node, t }
    }

    fn boxed(&mut self, t: T, depth: usize) -> Box<Typed> {
        Box::new(self.expr(t, depth))
    }

    fn signal(&mut self, t: T) -> Typed {
        let all: Vec<_> = self
            .signals
            .iter()
            .filter(|(_, other)| *other == t)
            .map(|(at, _)| *at)
            .collect();
        Typed {
            node: Node::Signal(self.pick(&all)),
            t,
        }
    }

    fn literal(&mut self, t: T) -> Box<Typed> {
        let raw = self.rng.corner_bits(t.width()) as i64;
        let half = 1i64 << (t.width() - 1);
        let value = if t.is_signed() {
            (raw & (half - 1)) - if raw & half != 0 { half } else { 0 }
        } else {
            raw
        };
        Box::new(Typed {
            node: Node::Literal(value),
            t,
        })
    }

    /// Two operands of one type, one of which may be a literal.
    fn operands(&mut self, t: T, depth: usize) -> (Box<Typed>, Box<Typed>) {
        match self.rng.below(6) {
            0 => (self.literal(t), self.boxed(t, depth)),
            1 | 2 => (self.boxed(t, depth), self.literal(t)),
            _ => (self.boxed(t, depth), self.boxed(t, depth)),
        }
    }

    fn index(&mut self, limit: usize, depth: usize) -> Box<Index> {
        Box::new(match self.rng.chance(40) {
            true => Index::Dynamic(self.expr(T::B8, depth.min(1))),
            false => Index::Constant(self.rng.below(limit as u64) as usize),
        })
    }

    fn bit(&mut self, depth: usize) -> Node {
        use VerilogOp::*;
        match self.rng.below(7) {
            0 => Node::Not(self.boxed(T::Bit, depth)),
            1 => {
                let op = [LogicalAnd, LogicalOr, BitAnd, BitOr, BitXor][self.rng.below(5) as usize].clone();
                Node::Binary(op, self.boxed(T::Bit, depth), self.boxed(T::Bit, depth))
            }
            2 => {
                let ops = [VerilogOpUnary::All, VerilogOpUnary::Any, VerilogOpUnary::Xor];
                let t = self.pick(&UNSIGNED);
                Node::Reduce(ops[self.rng.below(3) as usize].clone(), self.boxed(t, depth))
            }
            3 => {
                let t = self.pick(&TYPES[1..]);
                Node::GetBit(self.boxed(t, depth), self.index(t.width(), depth))
            }
            _ => {
                let t = self.pick(&TYPES);
                let op = [Eq, Ne, Lt, Le, Gt, Ge][self.rng.below(6) as usize].clone();
                let (l, r) = self.operands(t, depth);
                Node::Binary(op, l, r)
            }
        }
    }

    fn unsigned(&mut self, t: T, depth: usize) -> Node {
        use VerilogOp::*;
        match self.rng.below(10) {
            0 => Node::Not(self.boxed(t, depth)),
            1 => Node::Binary(Add, self.boxed(t, depth), self.boxed(T::Bit, depth)),
            2 => {
                let amount = match self.rng.chance(50) {
                    true => Box::new(Typed {
                        node: Node::Literal(self.rng.below(40) as i64),
                        t: T::B8,
                    }),
                    false => self.boxed(T::B8, depth),
                };
                let op = if self.rng.chance(50) { Shl } else { Shr };
                Node::Binary(op, self.boxed(t, depth), amount)
            }
            3 => {
                let from = self.pick(&UNSIGNED);
                Node::BitCast(self.boxed(from, depth))
            }
            4 => {
                let from = self.pick(&UNSIGNED);
                Node::GetBits(self.boxed(from, depth), self.index(from.width(), depth))
            }
            5 => Node::UnsignedCast(self.boxed(t.other_sign(), depth)),
            6 => Node::ReplaceBit(
                self.boxed(t, depth),
                self.index(t.width(), depth),
                self.boxed(T::Bit, depth),
            ),
            7 if t == T::B32 => Node::Binary(Mul, self.boxed(T::B16, depth), self.boxed(T::B16, depth)),
            _ => {
                let op = [Add, Sub, BitAnd, BitOr, BitXor][self.rng.below(5) as usize].clone();
                let (l, r) = self.operands(t, depth);
                Node::Binary(op, l, r)
            }
        }
    }

    fn signed(&mut self, t: T, depth: usize) -> Node {
        use VerilogOp::*;
        match self.rng.below(6) {
            0 => Node::Neg(self.boxed(t, depth)),
            1 => Node::SignedCast(self.boxed(t.other_sign(), depth)),
            2 => {
                // The cast's width shows in the other operand only.
                let cast = Typed {
                    node: self.signed_bit_cast(depth),
                    t,
                };
                let (l, r) = (Box::new(cast), self.boxed(t, depth));
                let op = if self.rng.chance(50) { Add } else { Sub };
                let swap = self.rng.chance(50);
                if swap {
                    Node::Binary(op, r, l)
                } else {
                    Node::Binary(op, l, r)
                }
            }
            3 => {
                let from = self.pick(&SIGNED);
                Node::GetBits(self.boxed(from, depth), self.index(from.width(), depth))
            }
            4 if t == T::S32 => Node::Binary(Mul, self.boxed(T::S16, depth), self.boxed(T::S16, depth)),
            _ => {
                let op = if self.rng.chance(50) { Add } else { Sub };
                let (l, r) = self.operands(t, depth);
                Node::Binary(op, l, r)
            }
        }
    }

    /// A cast to whatever width its surroundings have.
    pub fn signed_bit_cast(&mut self, depth: usize) -> Node {
        let from = self.pick(&SIGNED);
        Node::SignedBitCast(self.boxed(from, depth))
    }
}
