//! Puts together what stands under one condition, so that assignments of a vector's parts meet and can be written as one.
//!
//! ```text
//! if (c) a[0] = x[0];  if (c) a[1] = x[1];      becomes    if (c) begin a[0] = x[0]; a[1] = x[1]; end
//! a[0] = x[0]; if (c) a[0] = y[0];     and
//! a[1] = x[1]; if (c) a[1] = y[1];              become     a[0] = x[0]; a[1] = x[1]; if (c) begin .. end
//! ```

use super::flow::Group;
use super::ir::{reads_of, writes_of, Expr, Stmt};

/// Fuses neighbouring statements of one condition, unless the first changes the condition.
pub fn statements(stmts: Vec<Stmt>) -> Vec<Stmt> {
    let mut fused: Vec<Stmt> = vec![];
    for stmt in stmts {
        match (fused.pop(), stmt) {
            (Some(Stmt::If(test, mut then, mut otherwise)), Stmt::If(again, more, others))
                if test == again && keep(&test, &then) && keep(&test, &otherwise) =>
            {
                then.extend(more);
                otherwise.extend(others);
                fused.push(Stmt::If(test, then, otherwise));
            }
            (last, stmt) => fused.extend(last.into_iter().chain([stmt])),
        }
    }
    let inner = |stmt| match stmt {
        Stmt::If(test, then, otherwise) => Stmt::If(test, statements(then), statements(otherwise)),
        Stmt::Case(test, mut arms) => {
            arms.iter_mut()
                .for_each(|arm| arm.body = statements(std::mem::take(&mut arm.body)));
            Stmt::Case(test, arms)
        }
        other => other,
    };
    fused.into_iter().map(inner).collect()
}

/// Whether the statements leave a condition as it is.
fn keep(test: &Expr, stmts: &[Stmt]) -> bool {
    let writes = writes_of(stmts);
    let mut kept = true;
    test.reads(&mut |id| kept &= !writes.contains(&id));
    kept
}

/// Fuses neighbouring groups of one shape that have nothing to do with each other.
pub fn groups(groups: Vec<Group>) -> Vec<Group> {
    let mut fused: Vec<(Group, Group)> = vec![];
    for group in groups {
        match fused.last_mut() {
            // The second is the last group that went into the first: its shape is the one to compare.
            Some((all, last)) if is_parallel(last, &group) && is_apart(all, &group) => {
                *all = zipped(std::mem::take(all), group.clone());
                *last = group;
            }
            _ => fused.push((group.clone(), group)),
        }
    }
    fused.into_iter().map(|(all, _)| statements(all)).collect()
}

/// Whether both are assignments and conditions in the same order, with the same conditions.
fn is_parallel(a: &[Stmt], b: &[Stmt]) -> bool {
    let same = |(a, b): (&Stmt, &Stmt)| match (a, b) {
        (Stmt::Assign(..), Stmt::Assign(..)) => true,
        (Stmt::If(test, then, otherwise), Stmt::If(again, more, others)) => {
            test == again && is_parallel(then, more) && is_parallel(otherwise, others)
        }
        _ => false,
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

fn is_apart(a: &[Stmt], b: &[Stmt]) -> bool {
    writes_of(a).is_disjoint(&reads_of(b)) && writes_of(b).is_disjoint(&reads_of(a))
}

/// The statements of `group` behind those of the same place in `all`, which may hold several for each of them.
fn zipped(all: Vec<Stmt>, group: Vec<Stmt>) -> Vec<Stmt> {
    let (mut out, mut left) = (vec![], all.into_iter().peekable());
    let count = left.len() / group.len();
    for stmt in group {
        out.extend(left.by_ref().take(count));
        out.push(stmt);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::elaborate::Ty;
    use super::super::ir::{Kind, SignalId};
    use super::*;

    fn signal(id: SignalId) -> Expr {
        Expr::new(Kind::Signal(id), Ty::BOOL)
    }

    fn set(to: SignalId, from: SignalId) -> Stmt {
        Stmt::Assign(to, signal(from))
    }

    fn when(test: SignalId, then: Vec<Stmt>) -> Stmt {
        Stmt::If(signal(test), then, vec![])
    }

    #[test]
    fn one_condition_is_asked_once_unless_it_changes() {
        let apart = vec![when(0, vec![set(1, 2)]), when(0, vec![set(3, 4)])];
        assert_eq!(statements(apart), [when(0, vec![set(1, 2), set(3, 4)])]);
        let changed = vec![when(0, vec![set(0, 2)]), when(0, vec![set(3, 4)])];
        assert_eq!(statements(changed.clone()), changed);
    }

    #[test]
    fn groups_of_one_shape_become_one() {
        let group = |to, from| vec![set(to, from), when(0, vec![set(to, from + 1)])];
        let all = groups(vec![group(10, 1), group(11, 3), group(12, 5)]);
        let sets = vec![set(10, 2), set(11, 4), set(12, 6)];
        assert_eq!(all, [vec![set(10, 1), set(11, 3), set(12, 5), when(0, sets)]]);
        let dependent = vec![group(10, 1), group(11, 10)];
        assert_eq!(groups(dependent.clone()), dependent);
        let other = vec![group(10, 1), vec![set(11, 2), when(1, vec![set(11, 3)])]];
        assert_eq!(groups(other.clone()), other);
    }
}
