//! The inside of a module that a kernel describes: what it declares.

use super::body::Body;
use super::connect::prefixed;
use super::error::Refusal;
use super::ir::SignalId;
use super::module::{ports, shape, Child};
use super::names::NameTable;
use super::place::Driver;
use super::print::Uses;
use super::symbols::{Role, Symbols};
use super::text::{declare, dimension, identifiers, number, unused_wire};
use super::vector::{merged, pattern, Piece};
use num_bigint::BigUint;
use std::collections::HashMap;

impl Body<'_> {
    /// Puts the wires in an order in which each stands behind what it reads.
    pub fn order_nets(&mut self) -> Result<(), Refusal> {
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

    /// The declarations: of one owner and one shape together, then the wires with their values.
    pub fn declarations(&self) -> String {
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
    pub fn unused(&self) -> String {
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
    pub fn check_names(&self) -> Result<(), Refusal> {
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

/// The named constants in use: the states of enums in their order, then the others.
pub fn constants(uses: &Uses, symbols: &Symbols) -> String {
    let mut all: Vec<_> = uses.constants.iter().collect();
    all.sort_by_key(|(name, _, value)| symbols.state_order(name, value));
    let item = |(name, width, value): &(String, usize, BigUint)| {
        let kind = format!("localparam {}", dimension(*width));
        (kind, format!("{name} = {}", number(value, *width)))
    };
    let items: Vec<_> = all.into_iter().map(item).collect();
    declare(&items).iter().map(|line| format!("{line};\n")).collect()
}
