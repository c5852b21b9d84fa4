//! Expressions: from rust-hdl's syntax tree to exact widths and signs.
//!
//! rust-hdl's tree has lost the Rust types: literals are 32 bits wide, `signed_bit_cast` has no
//! target width. They are inferred from both sides. [`Lower::natural`] finds the type that an
//! expression has by itself, if it has one; [`Lower::lower`] then builds it with the type that its
//! surroundings ask for. Rust has checked that operand types agree, so a disagreement here means
//! that the inference failed, and is refused.
//!
//! | kernel | meaning here |
//! |---|---|
//! | literal, loop variable | as wide as the other operand or the target; must fit |
//! | `bit_cast::<M, N>`, `bits`, `Bits::from` | zero-extended or cut to M bits |
//! | `signed_bit_cast::<M, N>` | sign-extended or cut; M comes from the surroundings |
//! | `signed_cast`, `unsigned_cast` | the same bits with the other sign |
//! | `get_bits::<M>(i)` | `M` bits from `i`, zeros above the top; signed if the operand is |
//! | `a * b` | 16 x 16 bits to 32, signed or unsigned |
//! | `bits + bool` | the bool is zero-extended |
//!
//! One thing the tree cannot show: arithmetic on `usize` (`x.val().index() + 1 == n`) looks like
//! arithmetic on `Bits` there. It is refused in indices; elsewhere do not write it.

use super::describe::{describe, operator};
use super::elaborate::{literal_is_bool, literal_value, Ty};
use super::error::Refusal;
use super::ir::{mask, Expr, Kind};
use super::path::{loop_value, resolve, Loops};
use super::symbols::{Role, Symbols};
use num_bigint::BigUint;
use num_traits::ToPrimitive;
use rust_hdl::core::ast::{VerilogExpression as Ast, VerilogOp, VerilogOpUnary};

pub struct Lower<'a> {
    pub symbols: &'a Symbols,
    pub loops: Loops,
}

type Lowered<T> = Result<T, Refusal>;

const PRODUCT_WIDTH: usize = 32;
const FACTOR_WIDTH: usize = 16;
const LITERAL_WIDTH: usize = 64;

fn refuse<T>(e: &Ast, reason: impl Into<String>) -> Lowered<T> {
    Err(Refusal::new(describe(e), reason))
}

impl Lower<'_> {
    /// The type that an expression has whatever surrounds it, or `None` for what has no own width.
    pub fn natural(&self, e: &Ast) -> Lowered<Option<Ty>> {
        if self.integer(e).is_some() {
            return Ok(None);
        }
        match e {
            Ast::Signal(text) => self.named(e, text).map(|named| Some(named.ty)),
            Ast::Literal(_) => Ok(Some(Ty::BOOL)),
            Ast::Paren(e) => self.natural(e),
            Ast::Cast(_, width) => Ok(Some(Ty::bits(*width))),
            Ast::Signed(inner) => Ok(self
                .natural(inner)?
                .filter(|ty| !ty.signed)
                .map(|ty| Ty::signed(ty.width))),
            Ast::Unsigned(inner) => Ok(self.natural(inner)?.map(|ty| Ty::bits(ty.width))),
            Ast::Binary(l, op, r) => self.natural_binary(e, l, op, r),
            Ast::Unary(VerilogOpUnary::Not | VerilogOpUnary::Neg, inner) => self.natural(inner),
            Ast::Unary(..) | Ast::Index(..) => Ok(Some(Ty::BOOL)),
            Ast::Slice(base, width, _) => Ok(Some(Ty {
                width: *width,
                signed: self.is_signed(base)?,
            })),
            Ast::IndexReplace(base, ..) => self.natural(base),
        }
    }

    fn natural_binary(&self, e: &Ast, l: &Ast, op: &VerilogOp, r: &Ast) -> Lowered<Option<Ty>> {
        use VerilogOp::*;
        match op {
            LogicalAnd | LogicalOr | Eq | Ne | Lt | Le | Gt | Ge => Ok(Some(Ty::BOOL)),
            Shl | Shr if self.integer(l).is_some() => Ok(Some(Ty::bits(LITERAL_WIDTH))),
            Shl | Shr => self.natural(l),
            Mul => {
                let factor = self.natural(l)?.or(self.natural(r)?);
                Ok(Some(Ty {
                    width: PRODUCT_WIDTH,
                    signed: factor.is_some_and(|ty| ty.signed),
                }))
            }
            Add | Sub | BitAnd | BitOr | BitXor => match (self.natural(l)?, self.natural(r)?) {
                (Some(l), Some(r)) if l == r => Ok(Some(l)),
                (Some(l), Some(r)) if matches!(op, Add) && r == Ty::BOOL => Ok(Some(l)),
                (Some(l), Some(r)) => refuse(e, format!("its operands have different types, {l} and {r}")),
                (l, r) => Ok(l.or(r)),
            },
        }
    }

    fn is_signed(&self, e: &Ast) -> Lowered<bool> {
        Ok(self.natural(e)?.is_some_and(|ty| ty.signed))
    }

    /// The exact value of an expression made of integers and loop variables only.
    pub fn integer(&self, e: &Ast) -> Option<i128> {
        match e {
            Ast::Literal(l) if literal_is_bool(l) => None,
            Ast::Literal(l) => {
                let (magnitude, negative) = literal_value(l);
                let value = magnitude.to_i128()?;
                Some(if negative { -value } else { value })
            }
            Ast::Signal(text) => loop_value(&self.loops, text),
            Ast::Paren(e) => self.integer(e),
            Ast::Unary(VerilogOpUnary::Neg, e) => self.integer(e)?.checked_neg(),
            Ast::Binary(l, op, r) => {
                let (l, r) = (self.integer(l)?, self.integer(r)?);
                match op {
                    VerilogOp::Add => l.checked_add(r),
                    VerilogOp::Sub => l.checked_sub(r),
                    VerilogOp::Mul => l.checked_mul(r),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Builds an expression of exactly the type `want`, or of its natural type without one.
    pub fn lower(&self, e: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        let lowered = match self.integer(e) {
            Some(value) => self.literal(e, value, want)?,
            None => self.lower_typed(e, want)?,
        };
        match want {
            Some(want) if want.width != lowered.ty.width || want.signed != lowered.ty.signed => {
                refuse(e, format!("it has type {} where {want} is needed", lowered.ty))
            }
            _ => Ok(lowered),
        }
    }

    /// Builds an expression whose type must be known without its surroundings.
    fn lower_alone(&self, e: &Ast) -> Lowered<Expr> {
        match self.natural(e)? {
            Some(ty) => self.lower(e, Some(ty)),
            None => refuse(
                e,
                "its width cannot be told here; assign it to a Local signal first",
            ),
        }
    }

    fn lower_typed(&self, e: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        match e {
            Ast::Signal(text) => self.named(e, text),
            Ast::Literal(l) => Ok(Expr::constant(literal_value(l).0, Ty::BOOL)),
            Ast::Paren(e) => self.lower(e, want),
            Ast::Cast(inner, width) => self.cast(e, inner, *width),
            Ast::Signed(inner) => self.signed(e, inner, want),
            Ast::Unsigned(inner) => self.unsigned(e, inner, want),
            Ast::Binary(l, op, r) => self.binary(e, l, op, r, want),
            Ast::Unary(op, inner) => self.unary(e, op, inner, want),
            Ast::Index(base, index) => self.bits(e, base, 1, index, false),
            Ast::Slice(base, width, offset) => self.bits(e, base, *width, offset, self.is_signed(base)?),
            Ast::IndexReplace(base, index, value) => self.replace_bit(base, index, value),
        }
    }

    /// A signal, a constant or a state of an enum.
    fn named(&self, e: &Ast, text: &str) -> Lowered<Expr> {
        let path = resolve(text, &self.loops).map_err(|reason| Refusal::new(describe(e), reason))?;
        if let Some(id) = self.symbols.find(&path) {
            let symbol = self.symbols.get(id);
            return Ok(match symbol.role {
                Role::Constant => Expr::new(Kind::Named(symbol.ident(), symbol.value.clone()), symbol.ty),
                _ => Expr::new(Kind::Signal(id), symbol.ty),
            });
        }
        match self
            .symbols
            .state(&path)
            .map_err(|reason| Refusal::new(describe(e), reason))?
        {
            Some(state) => Ok(Expr::new(
                Kind::Named(state.ident.clone(), state.value.into()),
                Ty::bits(state.width),
            )),
            None => refuse(e, "the block has no such signal, constant or state"),
        }
    }

    fn literal(&self, e: &Ast, value: i128, want: Option<Ty>) -> Lowered<Expr> {
        let Some(ty) = want else {
            return refuse(e, "the width of this number cannot be told");
        };
        let magnitude = BigUint::from(value.unsigned_abs());
        let largest = match (value < 0, ty.signed) {
            (false, _) => mask(ty.width),
            (true, true) => BigUint::from(1u8) << (ty.width - 1),
            (true, false) => return refuse(e, format!("a negative number cannot be {ty}")),
        };
        if magnitude > largest {
            return refuse(e, format!("the number {value} does not fit {ty}"));
        }
        Ok(match value < 0 {
            true => Expr::constant((mask(ty.width) + 1u8) - magnitude, ty),
            false => Expr::constant(magnitude, ty),
        })
    }

    fn cast(&self, e: &Ast, inner: &Ast, width: usize) -> Lowered<Expr> {
        let to = Ty::bits(width);
        if self.integer(inner).is_some() {
            return self.lower(inner, Some(to));
        }
        let inner = self.lower_alone(inner)?;
        if inner.ty.signed {
            return refuse(e, "a signed value needs unsigned_cast before bit_cast");
        }
        Ok(if inner.ty.width >= width {
            inner.slice(0, to)
        } else {
            inner.zero_extend(width)
        })
    }

    fn signed(&self, e: &Ast, inner: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        if self.integer(inner).is_some() {
            return self.lower(inner, want);
        }
        let inner = self.lower_alone(inner)?;
        if !inner.ty.signed {
            return Ok(inner.retype(true));
        }
        let Some(want) = want else {
            return refuse(e, "the width of signed_bit_cast cannot be told here");
        };
        Ok(if inner.ty.width >= want.width {
            inner.slice(0, Ty::signed(want.width))
        } else {
            inner.sign_extend(want.width)
        })
    }

    fn unsigned(&self, e: &Ast, inner: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        let inner = self.lower(
            inner,
            want.map(|ty| Ty::signed(ty.width)).or(self.natural(inner)?),
        )?;
        match inner.ty.signed {
            true => Ok(inner.retype(false)),
            false => refuse(e, "unsigned_cast of a value that is not signed"),
        }
    }

    fn unary(&self, e: &Ast, op: &VerilogOpUnary, inner: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        let reduce = |op| {
            let inner = self.lower_alone(inner)?;
            Ok(match inner.ty.width {
                1 => inner.retype(false),
                _ => Expr::new(Kind::Reduce(op, Box::new(inner)), Ty::BOOL),
            })
        };
        match op {
            VerilogOpUnary::All => return reduce("&"),
            VerilogOpUnary::Any => return reduce("|"),
            VerilogOpUnary::Xor => return reduce("^"),
            VerilogOpUnary::Not | VerilogOpUnary::Neg => {}
        }
        if self.integer(inner).is_some() {
            return refuse(e, "the width at which the number is inverted cannot be told");
        }
        let inner = Box::new(self.lower(inner, self.natural(inner)?.or(want))?);
        let ty = inner.ty;
        match op {
            VerilogOpUnary::Neg if ty.signed => Ok(Expr::new(Kind::Neg(inner), ty)),
            VerilogOpUnary::Neg => refuse(e, "only Signed values can be negated"),
            _ => Ok(Expr::new(Kind::Not(inner), ty)),
        }
    }

    fn binary(&self, e: &Ast, l: &Ast, op: &VerilogOp, r: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        use VerilogOp::*;
        let text = operator(op);
        match op {
            LogicalAnd | LogicalOr => {
                let (l, r) = (self.lower(l, Some(Ty::BOOL))?, self.lower(r, Some(Ty::BOOL))?);
                Ok(Expr::new(Kind::Logic(text, Box::new(l), Box::new(r)), Ty::BOOL))
            }
            Eq | Ne | Lt | Le | Gt | Ge => self.compare(e, l, text, r),
            Shl | Shr => self.shift(e, l, text, r, want),
            Mul => self.product(e, l, r),
            Add | Sub | BitAnd | BitOr | BitXor => self.same_width(e, l, text, r, want),
        }
    }

    fn same_width(&self, e: &Ast, l: &Ast, op: &'static str, r: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        let Some(ty) = self.natural(e)?.or(want) else {
            return refuse(e, "its width cannot be told here");
        };
        let left = self.lower(l, Some(ty))?;
        let right = match self.natural(r)? {
            Some(Ty::BOOL) if op == "+" && ty != Ty::BOOL => {
                self.lower(r, Some(Ty::BOOL))?.zero_extend(ty.width)
            }
            _ => self.lower(r, Some(ty))?,
        };
        Ok(Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), ty))
    }

    fn compare(&self, e: &Ast, l: &Ast, op: &'static str, r: &Ast) -> Lowered<Expr> {
        if let (Some(l), Some(r)) = (self.integer(l), self.integer(r)) {
            let holds = match op {
                "==" => l == r,
                "!=" => l != r,
                "<" => l < r,
                "<=" => l <= r,
                ">" => l > r,
                _ => l >= r,
            };
            return Ok(Expr::constant(holds as u8, Ty::BOOL));
        }
        let Some(ty) = self.natural(l)?.or(self.natural(r)?) else {
            return refuse(
                e,
                "the width of the comparison cannot be told; assign one side to a Local signal first",
            );
        };
        let (l, r) = (self.lower(l, Some(ty))?, self.lower(r, Some(ty))?);
        Ok(Expr::new(Kind::Compare(op, Box::new(l), Box::new(r)), Ty::BOOL))
    }

    fn shift(&self, e: &Ast, l: &Ast, op: &'static str, r: &Ast, want: Option<Ty>) -> Lowered<Expr> {
        let Some(ty) = self.natural(e)?.or(want) else {
            return refuse(e, "its width cannot be told here");
        };
        let value = self.lower(l, Some(ty))?;
        if ty.signed {
            return refuse(e, "Signed values cannot be shifted");
        }
        let amount = match self.integer(r) {
            Some(n) if (0..=u32::MAX as i128).contains(&n) => {
                Expr::constant(n as u64, Ty::bits(bits_for(n as u64)))
            }
            Some(n) => return refuse(e, format!("the shift amount {n} is out of range")),
            None => self.lower_alone(r)?,
        };
        Ok(Expr::new(Kind::Shift(op, Box::new(value), Box::new(amount)), ty))
    }

    fn product(&self, e: &Ast, l: &Ast, r: &Ast) -> Lowered<Expr> {
        let Some(factor) = self.natural(l)?.or(self.natural(r)?) else {
            return refuse(
                e,
                "the type of the product cannot be told; assign a factor to a Local signal first",
            );
        };
        let factor = Ty {
            width: FACTOR_WIDTH,
            signed: factor.signed,
        };
        let widen = |e: Expr| {
            if factor.signed {
                e.sign_extend(PRODUCT_WIDTH)
            } else {
                e.zero_extend(PRODUCT_WIDTH)
            }
        };
        let (l, r) = (
            widen(self.lower(l, Some(factor))?),
            widen(self.lower(r, Some(factor))?),
        );
        Ok(Expr::new(
            Kind::Binary("*", Box::new(l), Box::new(r)),
            Ty {
                width: PRODUCT_WIDTH,
                signed: factor.signed,
            },
        ))
    }

    /// `width` bits of `base` from `offset`; zeros above the top.
    fn bits(&self, e: &Ast, base: &Ast, width: usize, offset: &Ast, signed: bool) -> Lowered<Expr> {
        let base = self.lower_alone(base)?.retype(false);
        let have = base.ty.width;
        if width == 0 {
            return refuse(e, "it has no bits");
        }
        let Some(offset) = self.index(offset)? else {
            let amount = self.lower_alone(offset)?;
            let shifted = Expr::new(
                Kind::Shift(">>", Box::new(base), Box::new(amount)),
                Ty::bits(have),
            );
            let low = shifted.slice(0, Ty::bits(width.min(have)));
            return Ok(low.zero_extend(width).retype(signed));
        };
        if offset >= have {
            return refuse(e, format!("bit {offset} is beyond the top of {have} bits"));
        }
        let low = base.slice(offset, Ty::bits(width.min(have - offset)));
        Ok(low.zero_extend(width).retype(signed))
    }

    /// A constant index, or `None` for one that a signal gives.
    fn index(&self, e: &Ast) -> Lowered<Option<usize>> {
        if let Some(value) = self.integer(e) {
            return match usize::try_from(value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => refuse(e, "the index is negative"),
            };
        }
        match strip_parens(e) {
            Ast::Signal(_) | Ast::Slice(..) | Ast::Cast(..) | Ast::Unsigned(_) | Ast::Index(..) => Ok(None),
            _ => refuse(
                e,
                "arithmetic in an index may not wrap in Rust; assign it to a Local signal first",
            ),
        }
    }

    fn replace_bit(&self, base: &Ast, index: &Ast, value: &Ast) -> Lowered<Expr> {
        let word = self.lower_alone(base)?;
        let bit = self.lower(value, Some(Ty::BOOL))?;
        let ty = word.ty;
        match self.index(index)? {
            Some(at) if at >= ty.width => {
                refuse(index, format!("bit {at} is beyond the top of {} bits", ty.width))
            }
            Some(at) => Ok(with_bit(word, at, bit)),
            None => Ok(with_bit_at(word, self.lower_alone(index)?, bit)),
        }
    }
}

fn strip_parens(e: &Ast) -> &Ast {
    match e {
        Ast::Paren(inner) => strip_parens(inner),
        e => e,
    }
}

fn bits_for(value: u64) -> usize {
    (64 - value.leading_zeros()).max(1) as usize
}

/// `word` with the bit at a constant place replaced.
fn with_bit(word: Expr, at: usize, bit: Expr) -> Expr {
    let (ty, top) = (word.ty, word.ty.width - 1);
    let mut parts = vec![];
    if at < top {
        parts.push(word.clone().slice(at + 1, Ty::bits(top - at)));
    }
    parts.push(bit);
    if at > 0 {
        parts.push(word.slice(0, Ty::bits(at)));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Expr::new(Kind::Concat(parts), ty),
    }
}

/// `word` with the bit that a signal points at replaced.
fn with_bit_at(word: Expr, index: Expr, bit: Expr) -> Expr {
    let ty = word.ty;
    let shifted = |e: Expr| Expr::new(Kind::Shift("<<", Box::new(e), Box::new(index.clone())), ty);
    let hole = Expr::new(Kind::Not(Box::new(shifted(Expr::constant(1u8, ty)))), ty);
    let kept = Expr::new(Kind::Binary("&", Box::new(word), Box::new(hole)), ty);
    let put = shifted(bit.zero_extend(ty.width));
    Expr::new(Kind::Binary("|", Box::new(kept), Box::new(put)), ty)
}
