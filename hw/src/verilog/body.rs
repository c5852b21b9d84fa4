//! The inside of a module that a kernel describes: declarations and logic.

use super::collapse::collapse;
use super::connect::prefixed;
use super::elaborate::Scope;
use super::error::Refusal;
use super::flow;
use super::fuse;
use super::ir::{mask, reads_of, writes_of, Expr, Kind, SignalId, Stmt};
use super::module::{port_list, ports, shape, Child};
use super::names::NameTable;
use super::place::Driver;
use super::print::{Printer, Uses};
use super::split::split;
use super::statements::is_assignment;
use super::symbols::{Role, Symbols};
use super::text::{declare, dimension, identifiers, number, unused_wire, wrapped};
use super::vector::{merged, pattern, Piece, Place};
use num_bigint::BigUint;
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
    nets: Vec<(String, String)>,
    /// What registers take at the edges of each clock.
    pub edges: BTreeMap<String, Vec<Stmt>>,
    logic: String,
}

/// How a group is written.
#[derive(Clone, Copy, PartialEq)]
enum Written {
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
        Ok(wrapped(&format!(
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

    /// Prints the groups, neighbours of one kind together.
    fn print_parts(&mut self, parts: impl Iterator<Item = (flow::Group, Written)>) {
        let mut parts = parts.peekable();
        while let Some((first, kind)) = parts.next() {
            let mut run = vec![first];
            while let Some((group, _)) = parts.next_if(|next| next.1 == kind) {
                run.push(group);
            }
            match kind {
                Written::At(clock) => self.print_clocked(clock, run.concat()),
                Written::Continuously => self.print_continuous(&run.concat()),
                Written::Always => fuse::groups(run).iter().for_each(|group| self.print(group)),
            }
        }
    }

    /// Assigns outputs that are apart from their vector.
    fn print_detached(&mut self) {
        for (id, place) in &self.detached {
            let part = place.part(0, self.symbols.get(*id).ty.width);
            self.logic += &format!("    assign {part} = {};\n", self.printer.name(*id));
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
    fn sibling(&self, id: SignalId, port: &str) -> SignalId {
        match self.symbols.get(id).role {
            Role::ChildInput(n) | Role::ChildOutput(n) => self.port(n, port),
            _ => unreachable!("only a child's port has siblings"),
        }
    }

    /// Writes the group where its registers are clocked. A register that is told to keep its value needs no word.
    fn print_clocked(&mut self, clock: SignalId, group: flow::Group) {
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
        let clock = self.printer.signal(clock);
        self.edges.entry(clock).or_default().extend(kept);
    }

    /// Assignments outside of any block. A wire of its own is declared with its value.
    fn print_continuous(&mut self, group: &[Stmt]) {
        let mut text = String::new();
        for run in group.chunk_by(|a, b| is_assignment(a) && is_assignment(b)) {
            if let [Stmt::Comment(comment)] = run {
                text += &format!("    // {comment}\n");
                continue;
            }
            for line in self.printer.assignments(run) {
                match self.net_of(&line.target) {
                    Some(name) => self.nets.push((name, line.value.text())),
                    None => text += &format!("    assign {}\n", line.text()),
                }
            }
        }
        if self.logic.ends_with(" end\n") && !text.is_empty() {
            self.logic.push('\n');
        }
        self.logic += &text;
    }

    /// The wire that a target is, if it is one from its first bit to its last and no port.
    fn net_of(&self, target: &Piece) -> Option<String> {
        let Piece::Bits { place, width } = target else {
            return None;
        };
        (place.total == *width && self.members.contains_key(&place.name)).then(|| place.name.clone())
    }

    /// Puts the wires in an order in which each stands behind what it reads.
    fn order_nets(&mut self) -> Result<(), Refusal> {
        let mut waiting = std::mem::take(&mut self.nets);
        while !waiting.is_empty() {
            let reads_none = |(_, value): &(String, String)| {
                identifiers(value).all(|read| waiting.iter().all(|(name, _)| name != read))
            };
            let Some(at) = waiting.iter().position(reads_none) else {
                let name = &waiting[0].0;
                return Err(Refusal::new(
                    name,
                    "it depends on itself without a register between",
                ));
            };
            self.nets.push(waiting.remove(at));
        }
        Ok(())
    }

    fn print(&mut self, group: &[Stmt]) {
        if !self.logic.is_empty() {
            self.logic.push('\n');
        }
        self.logic += "    always @* begin\n";
        self.printer.stmts(group, 2, &mut self.logic);
        self.logic += "    end\n";
    }

    /// The declarations: of one owner and one shape together, then the wires with their values.
    fn declarations(&self) -> String {
        let mut items: Vec<(String, String, String)> = vec![];
        let mut shapes = HashMap::new();
        let detached = |id: &SignalId| self.detached.iter().any(|(other, _)| other == id);
        let signals = (0..self.symbols.signals.len()).filter(|id| self.is_declared(*id) || detached(id));
        for id in signals.filter(|id| self.printer.places[*id].offset == 0) {
            let (place, ty) = (&self.printer.places[id], self.symbols.get(id).ty);
            let kind = match self.driver(id) {
                Driver::Wire => "wire",
                Driver::Procedure | Driver::Register => "reg ",
            };
            let shape = match place.total == ty.width {
                true => shape(ty),
                false => dimension(place.total),
            };
            let item = (self.owner(id), format!("{kind} {shape}"), self.net(id));
            shapes.insert(item.2.clone(), item.1.clone());
            items.push(item);
        }
        items.retain(|(.., name)| self.nets.iter().all(|(net, _)| net != name));
        let first = |(owner, kind, _): &(String, String, String)| {
            items.iter().position(|(o, k, _)| (o, k) == (owner, kind))
        };
        let owners = |(owner, ..): &(String, String, String)| items.iter().position(|(o, ..)| o == owner);
        let mut sorted = items.clone();
        sorted.sort_by_key(|item| (owners(item), first(item)));
        let sorted: Vec<_> = sorted.into_iter().map(|(_, kind, name)| (kind, name)).collect();
        let plain = declare(&sorted).into_iter().map(|line| format!("{line};\n"));
        let net = |(name, value): &(String, String)| format!("    {}{name} = {value};\n", shapes[name]);
        plain.chain(self.nets.iter().map(net)).collect()
    }

    /// The instances that drive a signal or read it; nothing for the module's own signals and registers.
    fn owner(&self, id: SignalId) -> String {
        match (self.symbols.get(id).role, self.child(id)) {
            (Role::ChildInput(n) | Role::ChildOutput(n), Some(Child::Instance(_))) => {
                pattern(&self.scope.children[n].instance).0
            }
            _ => String::new(),
        }
    }

    /// The name under which a signal is declared. Instances' outputs that nobody reads say so.
    pub fn net(&self, id: SignalId) -> String {
        let name = &self.printer.places[id].name;
        match self.is_idle(id) {
            true => format!("unused_{name}"),
            false => name.clone(),
        }
    }

    /// Whether nothing reads an instance's output or another one of its vector.
    fn is_idle(&self, id: SignalId) -> bool {
        let instance = matches!(self.child(id), Some(Child::Instance(_)));
        let output = matches!(self.symbols.get(id).role, Role::ChildOutput(_));
        let members = self.members.get(&self.printer.places[id].name);
        instance
            && output
            && !self.symbols.joined.contains_key(&id)
            && members.is_some_and(|all| all.iter().all(|id| !self.printer.is_read(*id)))
    }

    /// The line that reads what nothing else reads.
    fn unused(&self) -> String {
        let mut parts = vec![];
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            let relevant = match symbol.role {
                Role::Input => true,
                Role::ChildOutput(_) if self.symbols.joined.contains_key(&id) => false,
                Role::ChildOutput(_) => !self.is_idle(id),
                Role::Local => self.is_declared(id),
                Role::Output | Role::Constant | Role::ChildInput(_) => false,
            };
            if relevant {
                let unread = self.printer.unread(id).into_iter();
                parts.extend(unread.map(|(at, width)| self.printer.target(id, at, width)));
            }
        }
        let parts: Vec<_> = merged(&parts).iter().map(Piece::text).collect();
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
        for port in ports(self.scope.atoms.iter()) {
            take(&port.place.name, &port.atom.path)?;
        }
        let detached = self.detached.iter().map(|(id, _)| *id);
        let declared = (0..self.symbols.signals.len()).filter(|id| self.is_declared(*id));
        for id in declared
            .chain(detached)
            .filter(|id| self.printer.places[*id].offset == 0)
        {
            take(&self.net(id), &self.symbols.get(id).path)?;
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

/// Whether a group can be written outside of any block. A group of constants would never start an `always @*`.
fn is_continuous(group: &flow::Group) -> bool {
    let assigns = group.iter().filter(|s| matches!(s, Stmt::Assign(..))).count();
    let comments = group.iter().filter(|s| matches!(s, Stmt::Comment(_))).count();
    let one_each = assigns == writes_of(group).len() && assigns + comments == group.len();
    one_each && (assigns <= 1 || reads_of(group).is_empty())
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
    let item = |(name, width, value): &(String, usize, BigUint)| {
        let kind = format!("localparam {}", dimension(*width));
        (kind, format!("{name} = {}", number(value, *width)))
    };
    let items: Vec<_> = all.into_iter().map(item).collect();
    declare(&items).iter().map(|line| format!("{line};\n")).collect()
}
