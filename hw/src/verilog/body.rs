//! The inside of a module that a kernel describes: declarations and logic.

use super::connect::prefixed;
use super::elaborate::{AtomInfo, Scope};
use super::error::Refusal;
use super::flow;
use super::ir::{mask, reads_of, writes_of, Expr, Kind, SignalId, Stmt};
use super::module::{header, shape, Child};
use super::names::NameTable;
use super::print::{declare, dimension, number, range, unused_wire, Printer, Uses};
use super::split::split;
use super::symbols::{Role, Symbol, Symbols};
use num_bigint::BigUint;
use std::collections::{HashMap, HashSet};

pub struct Body<'a> {
    pub symbols: &'a Symbols,
    pub scope: &'a Scope,
    pub children: &'a [Child],
    pub printer: Printer<'a>,
    /// A register's next value, written where the register is clocked.
    pub inlined: HashMap<SignalId, Expr>,
    /// Signals that the kernel assigns.
    written: HashSet<SignalId>,
    /// Signals that an `always` block assigns.
    procedural: HashSet<SignalId>,
    logic: String,
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
            parts.extend(flow::group(self.symbols, rest)?);
        }
        let parts: Vec<_> = parts.into_iter().filter_map(|g| self.absorb(g, &read)).collect();
        for group in parts {
            match self.clock_of(&group, &read) {
                Some(clock) => self.print_clocked(clock, group),
                None => self.print(&group),
            }
        }
        // What the registers and instances read counts as read below.
        let (registers, instances) = (self.registers(), self.instances());
        let (declarations, unused) = (self.declarations(), self.unused());
        let is_register = |atom: &AtomInfo| {
            let joined = |id| {
                let mut sources = self.symbols.joined.iter().filter(|(_, output)| **output == id);
                sources.any(|(source, _)| self.is_register(*source))
            };
            self.symbols
                .find(&atom.path)
                .is_some_and(|id| self.procedural.contains(&id) || joined(id))
        };
        let header = header(
            self.scope.atoms.iter().filter(|a| a.kind.is_parameter()),
            is_register,
        );
        self.check_names()?;
        let uses = self.printer.into_uses();
        let constants = constants(&uses, self.symbols);
        let functions = uses.functions.into_values().collect::<Vec<_>>().join("\n");
        let sections = [
            constants,
            functions,
            declarations,
            self.logic,
            instances,
            registers,
            unused,
        ];
        let sections: Vec<_> = sections.into_iter().filter(|s| !s.is_empty()).collect();
        Ok(format!("{header}{}endmodule\n", sections.join("\n")))
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
    fn sibling(&self, id: SignalId, port: &str) -> SignalId {
        match self.symbols.get(id).role {
            Role::ChildInput(n) | Role::ChildOutput(n) => self.port(n, port),
            _ => unreachable!("only a child's port has siblings"),
        }
    }

    /// Writes the group where its registers are clocked. A register that is told to keep its value needs no word.
    fn print_clocked(&mut self, clock: SignalId, group: flow::Group) {
        for id in writes_of(&group) {
            self.printer.clocked.insert(id, self.sibling(id, "q"));
        }
        let mut seen = HashSet::new();
        let mut kept = vec![];
        for stmt in group {
            let holds = match &stmt {
                Stmt::Assign(id, value) => {
                    !seen.contains(id) && value.kind == Kind::Signal(self.sibling(*id, "q"))
                }
                _ => false,
            };
            stmt.writes(&mut |id| seen.extend([id]));
            if !holds {
                kept.push(stmt);
            }
        }
        if !self.logic.is_empty() {
            self.logic.push('\n');
        }
        self.logic += &format!("    always @(posedge {}) begin\n", self.printer.signal(clock));
        kept.iter()
            .for_each(|stmt| self.printer.stmt(stmt, 2, &mut self.logic));
        self.logic += "    end\n";
    }

    fn print(&mut self, group: &flow::Group) {
        let targets = writes_of(group);
        let assigns = group.iter().filter(|s| matches!(s, Stmt::Assign(..))).count();
        let comments = group.iter().filter(|s| matches!(s, Stmt::Comment(_))).count();
        // A group of constants would never start an `always @*`.
        let one_each = assigns == targets.len() && assigns + comments == group.len();
        if one_each && (assigns <= 1 || reads_of(group).is_empty()) {
            if self.logic.ends_with(" end\n") {
                self.logic.push('\n');
            }
            return group
                .iter()
                .for_each(|stmt| self.printer.continuous(stmt, &mut self.logic));
        }
        self.procedural.extend(targets);
        if !self.logic.is_empty() {
            self.logic.push('\n');
        }
        self.logic += "    always @* begin\n";
        group
            .iter()
            .for_each(|stmt| self.printer.stmt(stmt, 2, &mut self.logic));
        self.logic += "    end\n";
    }

    /// Whether a signal is declared inside of the module.
    fn is_declared(&self, id: SignalId) -> bool {
        match self.symbols.get(id).role {
            Role::Local => self.written.contains(&id),
            Role::ChildInput(n) => {
                let named = self.printer.aliases.contains_key(&id) || self.inlined.contains_key(&id);
                let clocked = self.printer.clocked.contains_key(&id);
                !named && !clocked && !matches!(self.children[n], Child::Absent)
            }
            Role::ChildOutput(_) => !self.symbols.joined.contains_key(&id),
            Role::Input | Role::Output | Role::Constant => false,
        }
    }

    fn declarations(&self) -> String {
        let mut items = vec![];
        for (id, symbol) in self
            .symbols
            .signals
            .iter()
            .enumerate()
            .filter(|(id, _)| self.is_declared(*id))
        {
            let register = self.is_register(id) && matches!(symbol.role, Role::ChildOutput(_));
            let kind = if register || self.procedural.contains(&id) {
                "reg "
            } else {
                "wire"
            };
            items.push((format!("{kind} {}", shape(symbol.ty)), self.net(id)));
        }
        declare(&items).iter().map(|line| format!("{line};\n")).collect()
    }

    /// The name of a declared signal. An instance's output that nobody reads says so.
    pub fn net(&self, id: SignalId) -> String {
        let symbol = self.symbols.get(id);
        let joined = self.symbols.joined.contains_key(&id);
        let idle = matches!(self.child(id), Some(Child::Instance(_))) && !self.printer.is_read(id) && !joined;
        match symbol.role {
            Role::ChildOutput(_) if idle => format!("unused_{}", symbol.ident),
            _ => symbol.ident.clone(),
        }
    }

    /// The line that reads what nothing else reads.
    fn unused(&self) -> String {
        let mut parts = vec![];
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            let relevant = match symbol.role {
                Role::Input => true,
                Role::ChildOutput(_) if self.symbols.joined.contains_key(&id) => false,
                Role::ChildOutput(_) => self.is_register(id) || self.printer.is_read(id),
                Role::Local => self.is_declared(id),
                Role::Output | Role::Constant | Role::ChildInput(_) => false,
            };
            if relevant {
                parts.extend(
                    self.printer
                        .unread(id)
                        .into_iter()
                        .map(|(at, width)| part(symbol, at, width)),
                );
            }
        }
        match parts.is_empty() {
            true => String::new(),
            false => unused_wire(&parts),
        }
    }

    /// Refuses names that Verilog cannot tell apart or does not allow.
    fn check_names(&self) -> Result<(), Refusal> {
        let mut names = NameTable::default();
        let mut take =
            |name: &str, owner: &str| names.take(name, owner).map_err(|reason| Refusal::new("", reason));
        take("unused", "the list of unread bits")?;
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            let port = matches!(symbol.role, Role::Input | Role::Output);
            if port || self.is_declared(id) {
                take(&self.net(id), &symbol.path)?;
            }
        }
        for (child, scope) in self.children.iter().zip(&self.scope.children) {
            if let Child::Instance(_) = child {
                take(&prefixed(&scope.instance), &scope.instance)?;
            }
        }
        self.printer
            .globals()
            .iter()
            .try_for_each(|name| take(name, name))
    }
}

fn part(symbol: &Symbol, at: usize, width: usize) -> String {
    match width == symbol.ty.width {
        true => symbol.ident.clone(),
        false => format!("{}{}", symbol.ident, range(at, width)),
    }
}

/// A group that reads no signal: the final constant of every target.
fn constants_only(group: flow::Group, symbols: &Symbols) -> flow::Group {
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

/// The named constants in use: the states of enums in their order, then the others.
fn constants(uses: &Uses, symbols: &Symbols) -> String {
    let mut all: Vec<_> = uses.constants.iter().collect();
    all.sort_by_key(|(name, _, value)| symbols.state_order(name, value));
    let line = |(name, width, value): &&(String, usize, BigUint)| {
        format!(
            "    localparam {}{name} = {};\n",
            dimension(*width),
            number(value, *width)
        )
    };
    all.iter().map(line).collect()
}
