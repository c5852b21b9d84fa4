//! Statements: unrolls loops, expands links and macros, folds what is constant.

use super::describe::describe;
use super::elaborate::{literal_value, Ty};
use super::error::Refusal;
use super::ir::{Arm, Expr, Kind, SignalId, Stmt};
use super::lower::Lower;
use super::path::{integer, resolve};
use super::symbols::Symbols;
use num_traits::ToPrimitive;
use rust_hdl::core::ast::*;

type Lowered<T> = Result<T, Refusal>;

/// A loop longer than this is a mistake, not hardware.
const MAX_ITERATIONS: i128 = 1 << 20;

/// Lowers a whole kernel.
pub fn lower_kernel(symbols: &Symbols, code: &VerilogBlock) -> Lowered<Vec<Stmt>> {
    let mut kernel = Kernel {
        lower: Lower {
            symbols,
            loops: vec![],
        },
    };
    let mut out = vec![];
    kernel.block(code, &mut out)?;
    Ok(out)
}

struct Kernel<'a> {
    lower: Lower<'a>,
}

impl Kernel<'_> {
    fn block(&mut self, block: &[VerilogStatement], out: &mut Vec<Stmt>) -> Lowered<()> {
        block.iter().try_for_each(|s| self.statement(s, out))
    }

    fn nested(&mut self, block: &[VerilogStatement]) -> Lowered<Vec<Stmt>> {
        let mut out = vec![];
        self.block(block, &mut out)?;
        Ok(out)
    }

    fn statement(&mut self, statement: &VerilogStatement, out: &mut Vec<Stmt>) -> Lowered<()> {
        match statement {
            VerilogStatement::Assignment(target, value) => out.push(self.assignment(target, value)?),
            VerilogStatement::SliceAssignment {
                base,
                width,
                offset,
                replacement,
            } => out.push(self.slice_assignment(base, *width, offset, replacement)?),
            VerilogStatement::If(c) => self.conditional(c, out)?,
            VerilogStatement::Match(m) => self.case(m, out)?,
            VerilogStatement::Loop(l) => self.unroll(l, out)?,
            VerilogStatement::Comment(text) => out.extend(comment(text)),
            VerilogStatement::Link(links) => {
                for link in links {
                    out.push(self.link(link)?);
                }
            }
            VerilogStatement::Macro(block) => self.block(block, out)?,
        }
        Ok(())
    }

    /// The signal that a statement assigns.
    fn target(&self, target: &VerilogExpression) -> Lowered<SignalId> {
        let VerilogExpression::Signal(text) = target else {
            return Err(Refusal::new(describe(target), "only signals can be assigned"));
        };
        self.driven(text)
    }

    fn driven(&self, text: &str) -> Lowered<SignalId> {
        let refusal = |reason: &str| Refusal::new(text.replace('$', "."), reason);
        let path = resolve(text, &self.lower.loops).map_err(|reason| refusal(&reason))?;
        let id = self
            .lower
            .symbols
            .find(&path)
            .ok_or_else(|| refusal("the block has no such signal to assign"))?;
        match self.lower.symbols.get(id).role.is_driven_by_kernel() {
            true => Ok(id),
            false => Err(refusal(
                "a kernel may assign only its outputs, its locals and its children's inputs",
            )),
        }
    }

    fn type_of(&self, id: SignalId) -> Ty {
        self.lower.symbols.get(id).ty
    }

    fn assignment(&self, target: &VerilogExpression, value: &VerilogExpression) -> Lowered<Stmt> {
        let id = self.target(target)?;
        Ok(Stmt::Assign(id, self.lower.lower(value, Some(self.type_of(id)))?))
    }

    fn slice_assignment(
        &self,
        base: &VerilogExpression,
        width: usize,
        offset: &VerilogExpression,
        value: &VerilogExpression,
    ) -> Lowered<Stmt> {
        let id = self.target(base)?;
        let at = self.lower.integer(offset).and_then(|at| usize::try_from(at).ok());
        let Some(at) = at.filter(|at| width > 0 && at + width <= self.type_of(id).width) else {
            return Err(Refusal::new(
                describe(base),
                "the field to assign lies outside of the signal",
            ));
        };
        let signed = self.lower.natural(value)?.is_some_and(|ty| ty.signed);
        let value = self.lower.lower(value, Some(Ty { width, signed }))?;
        Ok(Stmt::Slice(id, at, value))
    }

    fn conditional(&mut self, c: &VerilogConditional, out: &mut Vec<Stmt>) -> Lowered<()> {
        let test = self.lower.lower(&c.test, Some(Ty::BOOL))?;
        let then = self.nested(&c.then)?;
        let otherwise = match &c.otherwise {
            VerilogBlockOrConditional::Block(block) => self.nested(block)?,
            VerilogBlockOrConditional::Conditional(statement) => {
                let mut out = vec![];
                self.statement(statement, &mut out)?;
                out
            }
            VerilogBlockOrConditional::None => vec![],
        };
        match test.value().map(|v| v.bit(0)) {
            Some(true) => out.extend(then),
            Some(false) => out.extend(otherwise),
            None => out.push(Stmt::If(test, then, otherwise)),
        }
        Ok(())
    }

    fn unroll(&mut self, l: &VerilogLoop, out: &mut Vec<Stmt>) -> Lowered<()> {
        let bound = |literal: &VerilogLiteral| {
            literal_value(literal)
                .0
                .to_i128()
                .filter(|n| *n <= MAX_ITERATIONS)
        };
        let (Some(from), Some(to)) = (bound(&l.from), bound(&l.to)) else {
            return Err(Refusal::new(
                format!("for {}", l.index),
                "the loop is too long to unroll",
            ));
        };
        for value in from..to {
            self.lower.loops.push((l.index.clone(), value));
            let unrolled = self.block(&l.block, out);
            self.lower.loops.pop();
            unrolled?;
        }
        Ok(())
    }

    fn link(&self, link: &VerilogLink) -> Lowered<Stmt> {
        let (details, forward) = match link {
            VerilogLink::Forward(details) => (details, true),
            VerilogLink::Backward(details) => (details, false),
            VerilogLink::Bidirectional(d) => {
                let name = format!("{}{}", d.owner_name, d.my_name);
                return Err(Refusal::new(name, "bidirectional signals are not supported"));
            }
        };
        let field = details.my_name.replace('.', "$");
        let (owner, other) = (
            format!("{}{field}", details.owner_name),
            format!("{}{field}", details.other_name),
        );
        let (target, source) = if forward { (other, owner) } else { (owner, other) };
        self.assignment(
            &VerilogExpression::Signal(target),
            &VerilogExpression::Signal(source),
        )
    }

    fn case(&mut self, m: &VerilogMatch, out: &mut Vec<Stmt>) -> Lowered<()> {
        let Some(ty) = self.lower.natural(&m.test)? else {
            return Err(Refusal::new(
                describe(&m.test),
                "the width of the matched value cannot be told",
            ));
        };
        let test = self.lower.lower(&m.test, Some(ty))?;
        let mut arms: Vec<Arm> = vec![];
        for case in &m.cases {
            let label = self.label(m, &case.condition, ty)?;
            if arms
                .iter()
                .any(|a| a.label.is_none() || same_value(&a.label, &label))
            {
                continue; // Rust takes the first arm that matches.
            }
            arms.push(Arm {
                label,
                note: None,
                body: self.nested(&case.block)?,
            });
        }
        close_arms(m, &test, self.lower.symbols, &mut arms)?;
        match test.value() {
            Some(value) => out.extend(chosen(arms, &value)),
            None => out.push(Stmt::Case(test, arms)),
        }
        Ok(())
    }

    /// The value of a pattern, or `None` for `_`.
    fn label(&self, m: &VerilogMatch, pattern: &str, ty: Ty) -> Lowered<Option<Expr>> {
        let refusal = |reason: String| {
            Refusal::new(
                format!("match {} {{ {pattern} => .. }}", describe(&m.test)),
                reason,
            )
        };
        match pattern {
            "default" => return Ok(None),
            "true" | "false" if ty == Ty::BOOL => {
                return Ok(Some(Expr::constant((pattern == "true") as u8, ty)))
            }
            _ => {}
        }
        if let Some(value) = integer(pattern) {
            let literal = VerilogExpression::Literal((value.max(0) as u128).into());
            return self.lower.lower(&literal, Some(ty)).map(Some);
        }
        match self.lower.symbols.state(pattern).map_err(refusal)? {
            Some(state) if state.width == ty.width => Ok(Some(Expr::new(
                Kind::Named(state.ident.clone(), state.value.into()),
                ty,
            ))),
            _ => Err(refusal(
                "the pattern is neither a number nor `Enum::State` nor `_`".into(),
            )),
        }
    }
}

fn same_value(a: &Option<Expr>, b: &Option<Expr>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.value() == b.value(),
        _ => false,
    }
}

/// Makes the last arm the default when Rust proved that the arms are all there are.
fn close_arms(m: &VerilogMatch, test: &Expr, symbols: &Symbols, arms: &mut [Arm]) -> Lowered<()> {
    let count = arms.len();
    let refusal = || {
        Refusal::new(
            format!("match {}", describe(&m.test)),
            "it has no default and its arms do not cover every value",
        )
    };
    let Some(last) = arms.last_mut() else {
        return Err(refusal());
    };
    let Some(label) = &last.label else { return Ok(()) };
    let all = match &label.kind {
        Kind::Named(ident, _) => symbols.state_count(ident) == Some(count),
        _ => test.ty.width < 20 && count == 1 << test.ty.width,
    };
    if !all {
        return Err(refusal());
    }
    last.note = match &label.kind {
        Kind::Named(ident, _) => Some(ident.clone()),
        _ => None,
    };
    last.label = None;
    Ok(())
}

fn chosen(arms: Vec<Arm>, value: &num_bigint::BigUint) -> Vec<Stmt> {
    let hit = |arm: &Arm| {
        arm.label
            .as_ref()
            .is_none_or(|l| l.value().as_ref() == Some(value))
    };
    arms.into_iter().find(hit).map(|arm| arm.body).unwrap_or_default()
}

/// A kernel's `comment!` or `println!`; assertions come the same way and are dropped.
fn comment(text: &str) -> Option<Stmt> {
    let text = text.trim();
    let plain = !text.is_empty() && !text.contains(['\n', '\\']) && !text.contains(" ! (");
    plain.then(|| Stmt::Comment(text.to_owned()))
}
