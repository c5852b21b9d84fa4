//! What a kernel can name: its own signals and constants, its children's ports, enum states.

use super::elaborate::{AtomInfo, Scope, Ty};
use super::flow::Group;
use super::ir::{Expr, Kind, SignalId, Stmt};
use super::names::verilog_name;
use num_bigint::BigUint;
use rust_hdl::core::type_descriptor::TypeKind;
use rust_hdl::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a signal is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Input,
    Output,
    Local,
    Constant,
    /// A port of the child with this number.
    ChildInput(usize),
    ChildOutput(usize),
}

impl Role {
    /// Whether a kernel may assign such a signal.
    pub fn is_driven_by_kernel(self) -> bool {
        matches!(self, Role::Output | Role::Local | Role::ChildInput(_))
    }
}

#[derive(Clone, Debug)]
pub struct Symbol {
    /// rust-hdl's path inside the block: `lanes$0`, `fifo$data`.
    pub path: String,
    /// The path after which it is named: that of its register without the port.
    pub named: String,
    /// A child's port by its name inside the child.
    pub port: String,
    pub ty: Ty,
    pub role: Role,
    pub value: BigUint,
}

impl Symbol {
    /// Its name in Verilog, if it is in no vector.
    pub fn ident(&self) -> String {
        verilog_name(&self.named)
    }
}

/// A state of an enum: its Verilog name, value and width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumState {
    pub ident: String,
    pub value: usize,
    pub width: usize,
}

#[derive(Default)]
pub struct Symbols {
    pub signals: Vec<Symbol>,
    by_path: HashMap<String, SignalId>,
    states: BTreeMap<String, EnumState>,
    ambiguous: Vec<String>,
    /// Outputs of children that are outputs of the block under the same name.
    pub joined: HashMap<SignalId, SignalId>,
}

impl Symbols {
    pub fn of(scope: &Scope) -> Self {
        let mut symbols = Symbols::default();
        for atom in &scope.atoms {
            symbols.add(atom, own_role(atom.kind), "");
        }
        for (number, child) in scope.children.iter().enumerate() {
            for atom in &child.atoms {
                match atom.kind {
                    AtomKind::InputParameter => symbols.add(atom, Role::ChildInput(number), &child.instance),
                    AtomKind::OutputParameter => {
                        symbols.add(atom, Role::ChildOutput(number), &child.instance)
                    }
                    _ => {}
                }
            }
        }
        symbols
    }

    fn add(&mut self, atom: &AtomInfo, role: Role, instance: &str) {
        let path = match instance {
            "" => atom.path.clone(),
            instance => format!("{instance}${}", atom.path),
        };
        self.add_states(&atom.descriptor);
        self.by_path.insert(path.clone(), self.signals.len());
        self.signals.push(Symbol {
            named: path.clone(),
            path,
            port: atom.path.clone(),
            ty: atom.ty,
            role,
            value: atom.value.clone(),
        });
    }

    fn add_states(&mut self, descriptor: &TypeDescriptor) {
        match &descriptor.kind {
            TypeKind::Enum(labels) => {
                for (value, label) in labels.iter().enumerate() {
                    self.add_state(label, value, clog2(labels.len()));
                }
            }
            TypeKind::Composite(fields) => fields.iter().for_each(|f| self.add_states(&f.kind)),
            TypeKind::Bits(_) | TypeKind::Signed(_) => {}
        }
    }

    fn add_state(&mut self, label: &str, value: usize, width: usize) {
        let path = label.replace("::", "$");
        let state = EnumState {
            ident: verilog_name(&path),
            value,
            width,
        };
        match self.states.get(&path) {
            Some(known) if *known != state => self.ambiguous.push(path),
            Some(_) => {}
            None => drop(self.states.insert(path, state)),
        }
    }

    pub fn find(&self, path: &str) -> Option<SignalId> {
        self.by_path.get(path).copied()
    }

    /// The enum state that a path such as `State$Idle` or `module$State$Idle` names.
    pub fn state(&self, path: &str) -> Result<Option<&EnumState>, String> {
        let tail = path.rsplitn(3, '$').take(2).collect::<Vec<_>>();
        let [label, name] = tail[..] else { return Ok(None) };
        let key = format!("{name}${label}");
        if self.ambiguous.contains(&key) {
            return Err(format!(
                "two enums of this block define a different state `{}`",
                key.replace('$', "::")
            ));
        }
        Ok(self.states.get(&key))
    }

    fn state_path(&self, ident: &str) -> Option<&str> {
        self.states
            .iter()
            .find(|(_, s)| s.ident == ident)
            .map(|(path, _)| path.as_str())
    }

    /// How many states the enum has to which the state of this Verilog name belongs.
    pub fn state_count(&self, ident: &str) -> Option<usize> {
        let prefix = format!("{}$", self.state_path(ident)?.split('$').next()?);
        Some(self.states.keys().filter(|p| p.starts_with(&prefix)).count())
    }

    /// A key that sorts the states of an enum by value and puts other constants behind them.
    pub fn state_order(&self, ident: &str, value: &BigUint) -> (bool, String, BigUint) {
        match self.state_path(ident) {
            Some(path) => (
                false,
                path.split('$').next().unwrap_or("").to_owned(),
                value.clone(),
            ),
            None => (true, ident.to_owned(), value.clone()),
        }
    }

    /// Lets a child drive an output of the block directly where the kernel only passes its value on.
    pub fn join_outputs(&mut self, groups: &[Group]) {
        for group in groups {
            let [Stmt::Assign(
                output,
                Expr {
                    kind: Kind::Signal(source),
                    ..
                },
            )] = &group[..]
            else {
                continue;
            };
            let (to, from) = (&self.signals[*output], &self.signals[*source]);
            let passes =
                to.role == Role::Output && matches!(from.role, Role::ChildOutput(_)) && to.ty == from.ty;
            if passes && !self.joined.contains_key(source) {
                self.joined.insert(*source, *output);
            }
        }
    }

    /// Calls a register `x` instead of `x_q`, and its next value `x_next` instead of `x_d`, where nothing else is called so.
    pub fn name_registers(&mut self, is_register: impl Fn(usize) -> bool) {
        let mut taken: HashSet<String> = self.signals.iter().map(Symbol::ident).collect();
        taken.extend(self.states.values().map(|s| s.ident.clone()));
        taken.insert("unused".to_owned());
        for symbol in &mut self.signals {
            let (Role::ChildInput(child) | Role::ChildOutput(child)) = symbol.role else {
                continue;
            };
            let (Some(instance), true) = (symbol.path.rsplit_once('$'), is_register(child)) else {
                continue;
            };
            let named = match symbol.port.as_str() {
                "q" => instance.0.to_owned(),
                "d" => format!("{}$next", instance.0),
                _ => continue,
            };
            if taken.insert(verilog_name(&named)) {
                symbol.named = named;
            }
        }
    }

    pub fn get(&self, id: SignalId) -> &Symbol {
        &self.signals[id]
    }
}

fn own_role(kind: AtomKind) -> Role {
    match kind {
        AtomKind::InputParameter => Role::Input,
        AtomKind::OutputParameter => Role::Output,
        AtomKind::Constant => Role::Constant,
        _ => Role::Local,
    }
}
