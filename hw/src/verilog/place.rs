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

fn alone(symbol: &Symbol) -> Place {
    Place::alone(symbol.ident(), symbol.ty.width)
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
        let mut places: Vec<_> = self.symbols.signals.iter().map(alone).collect();
        let taken = self.place_ports(&mut places);
        self.detach_mixed(&mut places);
        self.place_inside(&mut places, &taken);
        for (source, output) in &self.symbols.joined {
            places[*source] = places[*output].clone();
        }
        self.printer.places = places;
    }

    /// Returns the ports' names.
    fn place_ports(&self, all: &mut [Place]) -> HashSet<String> {
        let ports = self.scope.atoms.iter().filter(|a| a.kind.is_parameter());
        let places = port_places(ports.clone());
        let taken = places.iter().map(|place| place.name.clone()).collect();
        for (port, place) in ports.zip(places) {
            all[self.symbols.find(&port.path).expect("a port is a symbol")] = place;
        }
        taken
    }

    /// Gives outputs names of their own where their vector is a wire and they are not.
    fn detach_mixed(&mut self, all: &mut [Place]) {
        let outputs = |id: &SignalId| self.symbols.get(*id).role == Role::Output;
        let outputs: Vec<_> = (0..all.len()).filter(outputs).collect();
        let mut drivers: HashMap<String, HashSet<Driver>> = HashMap::new();
        for id in &outputs {
            let known = drivers.entry(all[*id].name.clone()).or_default();
            known.insert(self.driver(*id));
        }
        for id in outputs {
            if drivers[&all[id].name].len() > 1 && self.driver(id) != Driver::Wire {
                let place = std::mem::replace(&mut all[id], alone(self.symbols.get(id)));
                self.detached.push((id, place));
            }
        }
    }

    /// Only signals of one role and driver share a vector.
    fn place_inside(&mut self, all: &mut [Place], taken: &HashSet<String>) {
        let declared: Vec<_> = (0..all.len()).filter(|id| self.is_declared(*id)).collect();
        let class = |id: &SignalId| {
            let symbol = self.symbols.get(*id);
            let role = match symbol.role {
                Role::ChildInput(_) => 0,
                Role::ChildOutput(_) => 1,
                _ => 2,
            };
            (symbol.named.as_str(), symbol.ty.width, (role, self.driver(*id)))
        };
        let classes: Vec<_> = declared.iter().map(class).collect();
        let places = places(&classes, taken);
        for (id, place) in declared.into_iter().zip(places) {
            self.members.entry(place.name.clone()).or_default().push(id);
            all[id] = place;
        }
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
