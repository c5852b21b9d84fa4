//! Takes what registers get out of a group that also drives wires, so that it can be written where the registers are clocked.
//!
//! ```text
//! if (a) begin count_next = count + 1; full = 1; end    becomes    if (a) count <= count + 1;   and   if (a) full = 1;
//! ```
//!
//! Both parts keep the conditions around what they assign. That is exact as long as no part reads what the group itself changes:
//! everything else has one value while the kernel runs.

use super::elaborate::Ty;
use super::flow::Group;
use super::ir::{reads_of, writes_of, Arm, Expr, Kind, SignalId, Stmt};
use std::collections::HashSet;

/// Cuts a group in what `candidates` get and the rest, if that reads at least as well.
pub fn split(group: Group, is_candidate: impl Fn(SignalId) -> bool) -> (Group, Group) {
    let writes = writes_of(&group);
    let own = |id: SignalId| project(&group, &|other| other == id);
    let taken: HashSet<SignalId> = writes
        .iter()
        .copied()
        .filter(|id| is_candidate(*id) && reads_of(&own(*id)).is_disjoint(&writes))
        .collect();
    if taken.is_empty() || taken.len() == writes.len() {
        return (vec![], group);
    }
    let clocked = project(&group, &|id| taken.contains(&id));
    let rest = project(&group, &|id| !taken.contains(&id));
    // A register beside the group costs its name, its default and its clocked assignment.
    let gain = 2 * taken.len();
    match size(&clocked) + size(&rest) <= size(&group) + gain {
        true => (clocked, rest),
        false => (vec![], group),
    }
}

/// The statements as far as they assign signals that `keep` names.
pub fn project(stmts: &[Stmt], keep: &impl Fn(SignalId) -> bool) -> Vec<Stmt> {
    let mut kept = vec![];
    let mut comments = vec![];
    for stmt in stmts {
        if let Stmt::Comment(_) = stmt {
            comments.push(stmt.clone());
            continue;
        }
        if let Some(stmt) = project_one(stmt, keep) {
            kept.append(&mut comments);
            kept.push(stmt);
        }
        comments.clear();
    }
    kept
}

fn project_one(stmt: &Stmt, keep: &impl Fn(SignalId) -> bool) -> Option<Stmt> {
    match stmt {
        Stmt::Assign(id, _) | Stmt::Slice(id, ..) => keep(*id).then(|| stmt.clone()),
        Stmt::If(test, then, otherwise) => {
            let (then, otherwise) = (project(then, keep), project(otherwise, keep));
            match (then.is_empty(), otherwise.is_empty()) {
                (true, true) => None,
                (true, false) => Some(Stmt::If(inverse(test.clone()), otherwise, vec![])),
                _ => Some(Stmt::If(test.clone(), then, otherwise)),
            }
        }
        Stmt::Case(test, arms) => {
            let project_arm = |arm: &Arm| Arm {
                body: project(&arm.body, keep),
                ..arm.clone()
            };
            let mut arms: Vec<_> = arms.iter().map(project_arm).collect();
            if arms.iter().all(|arm| arm.body.is_empty()) {
                return None;
            }
            // The last arm takes every value without an arm of its own.
            if arms
                .last()
                .is_some_and(|arm| arm.label.is_none() && arm.body.is_empty())
            {
                arms.retain(|arm| arm.label.is_none() || !arm.body.is_empty());
            }
            Some(Stmt::Case(test.clone(), arms))
        }
        Stmt::Comment(_) => None,
    }
}

/// The opposite of a condition.
pub fn inverse(test: Expr) -> Expr {
    match test.kind {
        Kind::Not(inner) if inner.ty == Ty::BOOL => *inner,
        Kind::Compare("==", a, b) => Expr::new(Kind::Compare("!=", a, b), Ty::BOOL),
        Kind::Compare("!=", a, b) => Expr::new(Kind::Compare("==", a, b), Ty::BOOL),
        kind => Expr::new(Kind::Not(Box::new(Expr::new(kind, test.ty))), Ty::BOOL),
    }
}

/// About how many lines the statements take.
fn size(stmts: &[Stmt]) -> usize {
    let lines = |stmt: &Stmt| match stmt {
        Stmt::Assign(..) | Stmt::Slice(..) | Stmt::Comment(_) => 1,
        Stmt::If(_, then, otherwise) => match (&then[..], &otherwise[..]) {
            ([Stmt::Assign(..) | Stmt::Slice(..)], []) => 1,
            _ => 2 + size(then) + size(otherwise),
        },
        Stmt::Case(_, arms) => 2 + arms.iter().map(|arm| 1 + size(&arm.body)).sum::<usize>(),
    };
    stmts.iter().map(lines).sum()
}
