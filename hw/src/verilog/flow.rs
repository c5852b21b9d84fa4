//! Order: what a kernel assigns before it reads it, and which statements belong together.
//!
//! A kernel runs top to bottom and the last assignment wins, like a blocking `always @*` block.
//! Two checks make that exact: every signal that the kernel drives is assigned on every path
//! (otherwise it would be a latch) and is assigned before it is read (otherwise the read would see
//! the value of the previous evaluation). A child's input is the exception: rust-hdl reads it as
//! its settled value, whatever the order, and so does a wire. Then the kernel is cut into the
//! smallest groups that still have to stay in one block, so that most of it reads as plain `assign`
//! statements.

use super::error::Refusal;
use super::ir::{reads_of, writes_of, Expr, SignalId, Stmt};
use super::symbols::{Role, Symbols};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which bits of a signal are assigned on every path so far.
#[derive(Clone, PartialEq)]
enum Coverage {
    Full,
    Some(Vec<bool>),
}

#[derive(Clone, Default)]
struct State(HashMap<SignalId, Coverage>);

struct Check<'a> {
    symbols: &'a Symbols,
}

/// Refuses latches and reads of values from the previous evaluation.
pub fn check(symbols: &Symbols, stmts: &[Stmt]) -> Result<(), Refusal> {
    let check = Check { symbols };
    let mut state = State::default();
    check.block(stmts, &mut state)?;
    let written = writes_of(stmts);
    for (id, symbol) in symbols.signals.iter().enumerate() {
        let required = match symbol.role {
            Role::Local => written.contains(&id),
            role => role.is_driven_by_kernel(),
        };
        if required && !state.covers(id) {
            let reason = match written.contains(&id) {
                true => "it is not assigned on every path, so it would be a latch",
                false => "nothing drives it",
            };
            return Err(refusal(symbols, id, reason));
        }
    }
    Ok(())
}

impl State {
    fn covers(&self, id: SignalId) -> bool {
        self.0.get(&id) == Some(&Coverage::Full)
    }

    fn add_bits(&mut self, id: SignalId, at: usize, width: usize, total: usize) {
        let entry = self
            .0
            .entry(id)
            .or_insert_with(|| Coverage::Some(vec![false; total]));
        if let Coverage::Some(bits) = entry {
            bits[at..at + width].fill(true);
            if bits.iter().all(|b| *b) {
                *entry = Coverage::Full;
            }
        }
    }

    /// Keeps what both paths assign.
    fn meet(mut self, other: &State) -> State {
        self.0.retain(|id, _| other.0.contains_key(id));
        for (id, mine) in &mut self.0 {
            match (&mut *mine, &other.0[id]) {
                (_, Coverage::Full) => {}
                (Coverage::Some(a), Coverage::Some(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a &= *b),
                (mine, theirs) => *mine = theirs.clone(),
            }
        }
        self
    }
}

impl Check<'_> {
    fn block(&self, stmts: &[Stmt], state: &mut State) -> Result<(), Refusal> {
        stmts.iter().try_for_each(|s| self.stmt(s, state))
    }

    fn stmt(&self, stmt: &Stmt, state: &mut State) -> Result<(), Refusal> {
        match stmt {
            Stmt::Assign(id, value) => {
                self.read(value, state)?;
                state.0.insert(*id, Coverage::Full);
            }
            Stmt::Slice(id, at, value) => {
                self.read(value, state)?;
                state.add_bits(*id, *at, value.ty.width, self.symbols.get(*id).ty.width);
            }
            Stmt::If(test, then, otherwise) => {
                self.read(test, state)?;
                let mut other = state.clone();
                self.block(then, state)?;
                self.block(otherwise, &mut other)?;
                *state = std::mem::take(state).meet(&other);
            }
            Stmt::Case(test, arms) => {
                self.read(test, state)?;
                let mut joined: Option<State> = None;
                for arm in arms {
                    let mut path = state.clone();
                    self.block(&arm.body, &mut path)?;
                    joined = Some(match joined {
                        Some(joined) => joined.meet(&path),
                        None => path,
                    });
                }
                *state = joined.unwrap_or_default();
            }
            Stmt::Comment(_) => {}
        }
        Ok(())
    }

    fn read(&self, e: &Expr, state: &State) -> Result<(), Refusal> {
        let mut old = None;
        e.reads(&mut |id| {
            if runs_in_order(self.symbols.get(id).role) && !state.covers(id) {
                old = Some(id);
            }
        });
        match old {
            Some(id) => Err(refusal(
                self.symbols,
                id,
                "it is read before it is assigned, so it would hold an old value",
            )),
            None => Ok(()),
        }
    }
}

/// Whether a read sees the value that was assigned last, rather than the settled one.
fn runs_in_order(role: Role) -> bool {
    matches!(role, Role::Local | Role::Output)
}

fn refusal(symbols: &Symbols, id: SignalId, reason: &str) -> Refusal {
    Refusal::new(symbols.get(id).path.replace('$', "."), reason)
}

/// Statements that must stay together, in their order.
pub type Group = Vec<Stmt>;

/// Cuts a checked kernel into independent groups, in the order of their first statements.
pub fn group(symbols: &Symbols, stmts: Vec<Stmt>) -> Result<Vec<Group>, Refusal> {
    let stmts = without_overwritten(symbols, stmts);
    let mut union = Union((0..stmts.len()).collect());
    let mut writers: HashMap<SignalId, Vec<usize>> = HashMap::new();
    for (at, stmt) in stmts.iter().enumerate() {
        stmt.writes(&mut |id| writers.entry(id).or_default().push(at));
    }
    for at in writers.values() {
        at.windows(2).for_each(|w| union.join(w[0], w[1]));
    }
    for (at, stmt) in stmts.iter().enumerate() {
        // A value that changes later must be read where it still is the old one.
        stmt.reads(&mut |id| match writers.get(&id) {
            Some(all) if runs_in_order(symbols.get(id).role) && all.last().is_some_and(|last| *last > at) => {
                union.join(at, all[0])
            }
            _ => {}
        });
        if matches!(stmt, Stmt::Comment(_)) && at + 1 < stmts.len() {
            union.join(at, at + 1);
        }
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (at, stmt) in stmts.into_iter().enumerate() {
        groups.entry(union.root(at)).or_default().push(stmt);
    }
    groups
        .values()
        .try_for_each(|group| check_settled(symbols, group))?;
    Ok(groups.into_values().collect())
}

/// Inside one block, a child's input that is read must already have its settled value.
fn check_settled(symbols: &Symbols, group: &[Stmt]) -> Result<(), Refusal> {
    for (at, stmt) in group.iter().enumerate() {
        let reads = reads_of(std::slice::from_ref(stmt));
        let later = writes_of(&group[at..]);
        if let Some(id) = reads
            .iter()
            .filter(|id| later.contains(id))
            .find(|id| !runs_in_order(symbols.get(**id).role))
        {
            let reason =
                "it is read where it is not settled yet; use a Local signal for the intermediate value";
            return Err(refusal(symbols, *id, reason));
        }
    }
    Ok(())
}

/// Drops assignments that a later one overwrites unread, such as a register's default.
fn without_overwritten(symbols: &Symbols, stmts: Vec<Stmt>) -> Vec<Stmt> {
    let mut overwritten: HashSet<SignalId> = HashSet::new();
    let mut kept = vec![];
    for stmt in stmts.into_iter().rev() {
        if let Stmt::Assign(id, _) = stmt {
            if !overwritten.insert(id) {
                continue;
            }
        }
        stmt.reads(&mut |id| {
            if runs_in_order(symbols.get(id).role) {
                overwritten.remove(&id);
            }
        });
        kept.push(stmt);
    }
    kept.reverse();
    kept
}

/// Union-find whose roots are the smallest members.
struct Union(Vec<usize>);

impl Union {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
