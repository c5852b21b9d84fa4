//! Makes one expression of the statements that find a signal's value, where it stays short.
//!
//! ```text
//! x = a; if (c) x = b;         becomes    x = c ? b : a
//! x = a & b; x = x & c;        becomes    x = a & b & c
//! ```

use super::elaborate::Ty;
use super::flow::Group;
use super::ir::{mask, reads_of, writes_of, Expr, Kind, SignalId, Stmt};
use super::split::{inverse, project};
use super::symbols::Symbols;
use num_bigint::BigUint;

/// More choices than these read better as `if` and `else`.
const CHOICES: usize = 2;
/// More signals than these under the same conditions read better together.
const SIGNALS: usize = 3;

/// A group as one assignment for each of its signals, or as it was.
pub fn collapse(group: Group) -> Vec<Group> {
    let mut writes: Vec<_> = writes_of(&group).into_iter().collect();
    writes.sort();
    let value = |id: &SignalId| {
        let own = project(&group, &|other| other == *id);
        let apart = reads_of(&own)
            .iter()
            .all(|read| read == id || !writes.contains(read));
        let value = run(&own, *id, None).filter(|_| apart)??;
        (choices(&value) <= CHOICES).then(|| vec![Stmt::Assign(*id, value)])
    };
    let has_comments = group.iter().any(|stmt| matches!(stmt, Stmt::Comment(_)));
    match writes.len() <= SIGNALS && !has_comments {
        true => writes
            .iter()
            .map(value)
            .collect::<Option<_>>()
            .unwrap_or(vec![group]),
        false => vec![group],
    }
}

/// A group that reads no signal: the final constant of every target.
pub fn constants_only(group: Group, symbols: &Symbols) -> Group {
    let mut values: Vec<(SignalId, Expr)> = vec![];
    let mut kept = vec![];
    for stmt in group {
        let (id, value) = match stmt {
            Stmt::Assign(id, value) => (id, value),
            Stmt::Slice(id, at, value) => {
                let old = values
                    .iter()
                    .find(|(known, _)| *known == id)
                    .and_then(|(_, e)| e.value());
                let hole = mask(value.ty.width) << at;
                let old = (old.unwrap_or_default() | &hole) - hole;
                let put = value.value().unwrap_or_default() << at;
                (id, Expr::constant(old | put, symbols.get(id).ty))
            }
            other => {
                kept.push(other);
                continue;
            }
        };
        values.retain(|(known, _)| *known != id);
        values.push((id, value));
    }
    kept.extend(values.into_iter().map(|(id, value)| Stmt::Assign(id, value)));
    kept
}

/// What `id` is behind the statements, if it was `now` before them; nothing if an expression cannot say it simply.
fn run(stmts: &[Stmt], id: SignalId, now: Option<Expr>) -> Option<Option<Expr>> {
    stmts.iter().try_fold(now, |now, stmt| match stmt {
        Stmt::Assign(_, value) => match (reads(value, id), now) {
            (0, _) => Some(Some(value.clone())),
            (1, Some(now)) if choices(&now) == 0 => Some(Some(put(value.clone(), id, &now))),
            _ => None,
        },
        Stmt::If(test, then, otherwise) if reads(test, id) == 0 => {
            let then = run(then, id, now.clone())??;
            let otherwise = run(otherwise, id, now)??;
            Some(Some(choice(test.clone(), then, otherwise)))
        }
        _ => None,
    })
}

/// One of two values; the condition itself, or its inverse, where they are 1 and 0.
fn choice(test: Expr, then: Expr, otherwise: Expr) -> Expr {
    let ty = then.ty;
    let bit = |e: &Expr| e.value().filter(|_| ty == Ty::BOOL && test.ty == ty);
    match (bit(&then).map(|v| v.bit(0)), bit(&otherwise).map(|v| v.bit(0))) {
        (Some(true), Some(false)) => test,
        (Some(false), Some(true)) => inverse(test),
        _ => Expr::new(Kind::Mux(Box::new(test), Box::new(then), Box::new(otherwise)), ty),
    }
}

fn reads(e: &Expr, id: SignalId) -> usize {
    let mut count = 0;
    e.reads(&mut |other| count += usize::from(other == id));
    count
}

fn choices(e: &Expr) -> usize {
    let mut count = usize::from(matches!(e.kind, Kind::Mux(..)));
    e.clone().operands_mut(&mut |operand| count += choices(operand));
    count
}

/// The expression with `now` in place of the signal.
fn put(mut e: Expr, id: SignalId, now: &Expr) -> Expr {
    if e.kind == Kind::Signal(id) {
        return now.clone();
    }
    e.operands_mut(&mut |operand| *operand = put(operand.clone(), id, now));
    without_neutral(e)
}

/// `0 | b` and `1 & b` are `b`.
fn without_neutral(e: Expr) -> Expr {
    let neutral = |op: &str, a: &Expr| match op {
        "|" => a.value() == Some(BigUint::default()),
        "&" => a.value() == Some(mask(a.ty.width)),
        _ => false,
    };
    match e.kind {
        Kind::Binary(op, a, b) if neutral(op, &a) && b.ty == e.ty => *b,
        kind => Expr::new(kind, e.ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: SignalId = 9;

    fn signal(id: SignalId) -> Expr {
        Expr::new(Kind::Signal(id), Ty::BOOL)
    }

    fn or(a: Expr, b: Expr) -> Expr {
        Expr::new(Kind::Binary("|", Box::new(a), Box::new(b)), Ty::BOOL)
    }

    fn set(value: Expr) -> Stmt {
        Stmt::Assign(X, value)
    }

    fn mux(test: SignalId, a: Expr, b: Expr) -> Expr {
        let operands = [signal(test), a, b].map(Box::new);
        let [test, a, b] = operands;
        Expr::new(Kind::Mux(test, a, b), Ty::BOOL)
    }

    #[test]
    fn the_last_condition_wins() {
        let when = |test, value| Stmt::If(signal(test), vec![set(signal(value))], vec![]);
        let group = vec![set(signal(1)), when(2, 3), when(4, 5)];
        let value = mux(4, signal(5), mux(2, signal(3), signal(1)));
        assert_eq!(collapse(group.clone()), [[set(value)]]);
        let long = [group, vec![when(6, 7)]].concat();
        assert_eq!(collapse(long.clone()), [long]);
    }

    #[test]
    fn what_is_gathered_step_by_step_is_one_chain() {
        let group = vec![
            set(Expr::constant(0u8, Ty::BOOL)),
            set(or(signal(X), signal(1))),
            set(or(signal(X), signal(2))),
        ];
        assert_eq!(collapse(group), [[set(or(signal(1), signal(2)))]]);
    }

    #[test]
    fn a_choice_of_one_and_zero_is_the_condition() {
        let bit = |value: u8| Expr::constant(value, Ty::BOOL);
        let when = |value| Stmt::If(signal(2), vec![set(bit(value))], vec![]);
        assert_eq!(collapse(vec![set(bit(0)), when(1)]), [[set(signal(2))]]);
        assert_eq!(collapse(vec![set(bit(1)), when(0)]), [[set(inverse(signal(2)))]]);
    }

    #[test]
    fn a_condition_on_the_signal_itself_stays() {
        let group = vec![set(signal(1)), Stmt::If(signal(X), vec![set(signal(2))], vec![])];
        assert_eq!(collapse(group.clone()), [group]);
        let twice = vec![set(signal(1)), set(or(signal(X), signal(X)))];
        assert_eq!(collapse(twice.clone()), [twice]);
        let crossed = vec![set(signal(1)), Stmt::Assign(X + 1, signal(X)), set(signal(2))];
        assert_eq!(collapse(crossed.clone()), [crossed]);
    }
}
