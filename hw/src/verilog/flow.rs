//! Order: what a kernel assigns before it reads it, and which statements belong together.
//!
//! A kernel runs top to bottom and the last assignment wins, like a blocking `always @*` block.
//! Two checks make that exact: every signal that the kernel drives is assigned on every path
//! (otherwise it would be a latch) and is assigned before it is read (otherwise the read would see
//! the value of the previous evaluation). Then the kernel is cut into the smallest groups that
//! still have to stay in one block, so that most of it reads as plain `assign` statements.

use super::error::Refusal;
use super::ir::{writes_of, Expr, SignalId, Stmt};
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
    /// A child's input reads as its settled value, so it may not change after it was read.
    read_inputs: HashSet<SignalId>,
}

/// Refuses latches and reads of values from the previous evaluation.
pub fn check(symbols: &Symbols, stmts: &[Stmt]) -> Result<(), Refusal> {
    let mut check = Check {
        symbols,
        read_inputs: HashSet::new(),
    };
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
            return Err(Refusal::new(symbol.path.replace('$', "."), reason));
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
    fn block(&mut self, stmts: &[Stmt], state: &mut State) -> Result<(), Refusal> {
        stmts.iter().try_for_each(|s| self.stmt(s, state))
    }

    fn stmt(&mut self, stmt: &Stmt, state: &mut State) -> Result<(), Refusal> {
        match stmt {
            Stmt::Assign(id, value) => {
                self.read(value, state)?;
                self.write(*id)?;
                state.0.insert(*id, Coverage::Full);
            }
            Stmt::Slice(id, at, value) => {
                self.read(value, state)?;
                self.write(*id)?;
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

    fn write(&self, id: SignalId) -> Result<(), Refusal> {
        match self.read_inputs.contains(&id) {
            true => self.refuse(
                id,
                "it is read before its last assignment; use a Local signal for the intermediate value",
            ),
            false => Ok(()),
        }
    }

    fn read(&mut self, e: &Expr, state: &State) -> Result<(), Refusal> {
        let mut ids = vec![];
        e.reads(&mut |id| ids.push(id));
        for id in ids {
            let role = self.symbols.get(id).role;
            if role.is_driven_by_kernel() && !state.covers(id) {
                return self.refuse(
                    id,
                    "it is read before it is assigned, so it would hold an old value",
                );
            }
            if matches!(role, Role::ChildInput(_)) {
                self.read_inputs.insert(id);
            }
        }
        Ok(())
    }

    fn refuse(&self, id: SignalId, reason: &str) -> Result<(), Refusal> {
        Err(Refusal::new(self.symbols.get(id).path.replace('$', "."), reason))
    }
}

/// Statements that must stay together, in their order.
pub type Group = Vec<Stmt>;

/// Cuts a checked kernel into independent groups, in the order of their first statements.
pub fn group(stmts: Vec<Stmt>) -> Vec<Group> {
    let stmts = without_overwritten(stmts);
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
            Some(all) if all.last().is_some_and(|last| *last > at) => union.join(at, all[0]),
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
    groups.into_values().collect()
}

/// Drops assignments that a later one overwrites unread, such as a register's default.
fn without_overwritten(stmts: Vec<Stmt>) -> Vec<Stmt> {
    let mut overwritten: HashSet<SignalId> = HashSet::new();
    let mut kept = vec![];
    for stmt in stmts.into_iter().rev() {
        if let Stmt::Assign(id, _) = stmt {
            if !overwritten.insert(id) {
                continue;
            }
        }
        stmt.reads(&mut |id| {
            overwritten.remove(&id);
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
