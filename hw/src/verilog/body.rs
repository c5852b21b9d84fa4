//! The inside of a module that a kernel describes: which form each of its groups of statements takes.

use super::collapse::{collapse, constants_only};
use super::declarations::constants;
use super::elaborate::Scope;
use super::error::Refusal;
use super::flow;
use super::ir::{reads_of, writes_of, Expr, Kind, SignalId, Stmt};
use super::module::{port_list, ports, Child};
use super::print::Printer;
use super::split::split;
use super::symbols::{Role, Symbols};
use super::text::laid_out;
use super::vector::Place;
use std::collections::{BTreeMap, HashMap, HashSet};

pub struct Body<'a> {
    pub symbols: &'a Symbols,
    pub scope: &'a Scope,
    pub children: &'a [Child],
    pub printer: Printer<'a>,
    /// A register's next value, written where the register is clocked.
    pub inlined: HashMap<SignalId, Expr>,
    /// Signals that the kernel assigns.
    pub written: HashSet<SignalId>,
    /// Signals that an `always` block assigns.
    pub procedural: HashSet<SignalId>,
    /// Outputs in a vector of wires that an `always` block drives: they are declared and then assigned to the vector.
    pub detached: Vec<(SignalId, Place)>,
    /// The signals of each vector or name.
    pub members: HashMap<String, Vec<SignalId>>,
    /// Wires that are declared with their value: the names and the values.
    pub nets: Vec<(String, String)>,
    /// What registers take at the edges of each clock.
    pub edges: BTreeMap<String, Vec<Stmt>>,
    pub logic: String,
}

/// How a group is written.
#[derive(Clone, Copy, PartialEq)]
pub enum Written {
    /// At this clock's edge.
    At(SignalId),
    Continuously,
    /// In an `always @*` block.
    Always,
}

impl<'a> Body<'a> {
    pub fn new(symbols: &'a Symbols, scope: &'a Scope, children: &'a [Child]) -> Self {
        Body {
            symbols,
            scope,
            children,
            printer: Printer::new(symbols),
            inlined: HashMap::new(),
            written: HashSet::new(),
            procedural: HashSet::new(),
            detached: vec![],
            members: HashMap::new(),
            nets: vec![],
            edges: BTreeMap::new(),
            logic: String::new(),
        }
    }

    /// The text of the module from its port list on.
    pub fn build(mut self, groups: Vec<flow::Group>) -> Result<String, Refusal> {
        let read: HashSet<SignalId> = groups.iter().flat_map(|group| reads_of(group)).collect();
        self.written = groups.iter().flat_map(|group| writes_of(group)).collect();
        let mut parts = vec![];
        for group in groups {
            let (clocked, rest) = split(group, |id| self.is_next(id, &read));
            parts.extend(Some(clocked).filter(|group| !group.is_empty()));
            let rest = flow::group(self.symbols, rest)?;
            parts.extend(rest.into_iter().flat_map(|group| self.shortened(group, &read)));
        }
        let parts: Vec<_> = parts.into_iter().filter_map(|g| self.absorb(g, &read)).collect();
        let kinds: Vec<_> = parts.iter().map(|group| self.kind(group, &read)).collect();
        self.note_drivers(&parts, &kinds);
        self.place();
        self.print_parts(parts.into_iter().zip(kinds));
        self.print_detached();
        self.order_nets()?;
        // What the registers and instances read counts as read below.
        let (registers, instances) = (self.registers(), self.instances());
        let (declarations, unused) = (self.declarations(), self.unused());
        self.check_names()?;
        let mut ports = ports(self.scope.atoms.iter());
        ports.iter_mut().for_each(|port| self.drive(port));
        let uses = self.printer.into_uses();
        let sections = [
            constants(&uses, self.symbols),
            uses.functions.into_values().collect::<Vec<_>>().join("\n"),
            declarations,
            self.logic,
            instances,
            registers,
            unused,
        ];
        let sections: Vec<_> = sections.into_iter().filter(|s| !s.is_empty()).collect();
        Ok(laid_out(&format!(
            "{}{}endmodule\n",
            port_list(&ports),
            sections.join("\n")
        )))
    }

    /// The group as an expression for each signal if it drives wires.
    fn shortened(&self, group: flow::Group, read: &HashSet<SignalId>) -> Vec<flow::Group> {
        match writes_of(&group).iter().all(|id| self.is_next(*id, read)) {
            true => vec![group],
            false => collapse(group),
        }
    }

    fn kind(&self, group: &flow::Group, read: &HashSet<SignalId>) -> Written {
        match self.clock_of(group, read) {
            Some(clock) => Written::At(clock),
            None if is_continuous(group) => Written::Continuously,
            None => Written::Always,
        }
    }

    /// Notes what drives the signals, before any of them is named.
    fn note_drivers(&mut self, parts: &[flow::Group], kinds: &[Written]) {
        for (group, kind) in parts.iter().zip(kinds) {
            match kind {
                Written::At(_) => {
                    for id in writes_of(group) {
                        self.printer.clocked.insert(id, self.sibling(id, "q"));
                    }
                }
                Written::Continuously => {}
                Written::Always => self.procedural.extend(writes_of(group)),
            }
        }
        for n in 0..self.children.len() {
            if let Child::Register(_) = self.children[n] {
                self.printer.registers.insert(self.port(n, "q"));
            }
        }
    }

    pub fn child(&self, id: SignalId) -> Option<&Child> {
        match self.symbols.get(id).role {
            Role::ChildInput(n) | Role::ChildOutput(n) => Some(&self.children[n]),
            _ => None,
        }
    }

    pub fn is_register(&self, id: SignalId) -> bool {
        matches!(self.child(id), Some(Child::Register(_)))
    }

    /// Takes up connections that need no statement; returns what needs one.
    fn absorb(&mut self, group: flow::Group, read: &HashSet<SignalId>) -> Option<flow::Group> {
        let group = if reads_of(&group).is_empty() {
            constants_only(group, self.symbols)
        } else {
            group
        };
        let [Stmt::Assign(id, value)] = &group[..] else {
            return Some(group);
        };
        let (id, symbol) = (*id, self.symbols.get(*id));
        if matches!(value.kind, Kind::Signal(source) if self.symbols.joined.get(&source) == Some(&id)) {
            return None;
        }
        if !matches!(symbol.role, Role::ChildInput(_)) {
            return Some(group);
        }
        if matches!(value.kind, Kind::Signal(_) | Kind::Const(_) | Kind::Named(..)) {
            self.printer.aliases.insert(id, value.clone());
            return None;
        }
        if self.is_register(id) && symbol.port == "d" && !read.contains(&id) {
            self.inlined.insert(id, value.clone());
            return None;
        }
        Some(group)
    }

    /// Whether a signal is what a register takes next, and nothing else.
    fn is_next(&self, id: SignalId, read: &HashSet<SignalId>) -> bool {
        self.is_register(id) && self.symbols.get(id).port == "d" && !read.contains(&id)
    }

    /// The clock of a group that only says what registers take next, and whose values nothing else needs.
    fn clock_of(&self, group: &flow::Group, read: &HashSet<SignalId>) -> Option<SignalId> {
        let mut clocks = HashSet::new();
        for id in writes_of(group) {
            if !self.is_next(id, read) {
                return None;
            }
            match self.printer.aliases.get(&self.sibling(id, "clock"))?.kind {
                Kind::Signal(clock) => clocks.extend([clock]),
                _ => return None,
            }
        }
        match clocks.len() {
            1 => clocks.into_iter().next(),
            _ => None,
        }
    }

    /// Another port of the child that has this one.
    pub fn sibling(&self, id: SignalId, port: &str) -> SignalId {
        match self.symbols.get(id).role {
            Role::ChildInput(n) | Role::ChildOutput(n) => self.port(n, port),
            _ => unreachable!("only a child's port has siblings"),
        }
    }
}

/// Whether a group can be written outside of any block. A group of constants would never start an `always @*`.
fn is_continuous(group: &flow::Group) -> bool {
    let assigns = group.iter().filter(|s| matches!(s, Stmt::Assign(..))).count();
    let comments = group.iter().filter(|s| matches!(s, Stmt::Comment(_))).count();
    let one_each = assigns == writes_of(group).len() && assigns + comments == group.len();
    one_each && (assigns <= 1 || reads_of(group).is_empty())
}
