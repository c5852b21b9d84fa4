//! The inside of a module that a kernel describes: where its signals are and what drives them.
//!
//! A vector is a wire or a register as a whole. Where a kernel drives some outputs of a vector from an `always` block and others
//! not, those of the block get a name of their own and are assigned to the vector.

use super::body::Body;
use super::ir::SignalId;
use super::module::{Child, PortLine};
use super::symbols::{Role, Symbol};
use super::vector::{places, port_places, Place};
use std::collections::{HashMap, HashSet};

/// What drives a declared signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Driver {
    Wire,
    Procedure,
    Register,
}

impl Body<'_> {
    /// What drives a signal; an output that a child drives directly has the child's driver.
    pub fn driver(&self, id: SignalId) -> Driver {
        let source = self.symbols.joined.iter().find(|(_, output)| **output == id);
        match source {
            Some((source, _)) => self.driver(*source),
            None if self.printer.registers.contains(&id) => Driver::Register,
            None if self.procedural.contains(&id) => Driver::Procedure,
            None => Driver::Wire,
        }
    }

    /// Finds every signal its place. Ports come first, so that they do not depend on what is inside.
    pub fn place(&mut self) {
        let table = self.symbols;
        let symbols = &table.signals;
        let alone = |s: &Symbol| Place::alone(s.ident.clone(), s.ty.width);
        let mut all: Vec<_> = symbols.iter().map(alone).collect();
        let own: Vec<_> = self
            .scope
            .atoms
            .iter()
            .filter(|a| a.kind.is_parameter())
            .collect();
        let mut taken = HashSet::new();
        let mut drivers: HashMap<String, HashSet<Driver>> = HashMap::new();
        for (atom, place) in own.iter().zip(port_places(own.iter().copied())) {
            let id = self.symbols.find(&atom.path).expect("a port is a symbol");
            drivers
                .entry(place.name.clone())
                .or_default()
                .insert(self.driver(id));
            taken.insert(place.name.clone());
            all[id] = place;
        }
        for (id, place) in all.iter_mut().enumerate() {
            let mixed = drivers.get(&place.name).is_some_and(|drivers| drivers.len() > 1);
            if symbols[id].role == Role::Output && mixed && self.driver(id) != Driver::Wire {
                let detached = std::mem::replace(place, alone(&symbols[id]));
                self.detached.push((id, detached));
            }
        }
        let declared: Vec<_> = (0..symbols.len()).filter(|id| self.is_declared(*id)).collect();
        let class = |id: &SignalId| {
            let role = match symbols[*id].role {
                Role::ChildInput(_) => 0,
                Role::ChildOutput(_) => 1,
                _ => 2,
            };
            (
                symbols[*id].named.as_str(),
                symbols[*id].ty.width,
                (role, self.driver(*id)),
            )
        };
        let classes: Vec<_> = declared.iter().map(class).collect();
        for (id, place) in declared.iter().zip(places(&classes, &taken)) {
            all[*id] = place;
        }
        for (source, output) in &self.symbols.joined {
            all[*source] = all[*output].clone();
        }
        for id in declared {
            self.members.entry(all[id].name.clone()).or_default().push(id);
        }
        self.printer.places = all;
    }

    /// Says of a port whether it is a register.
    pub fn drive(&self, port: &mut PortLine) {
        let id = self.symbols.find(&port.atom.path).expect("a port is a symbol");
        let detached = self
            .detached
            .iter()
            .any(|(_, place)| place.name == port.place.name);
        port.is_register = !detached && self.driver(id) != Driver::Wire;
    }

    /// Whether a signal is declared inside of the module.
    pub fn is_declared(&self, id: SignalId) -> bool {
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
}
