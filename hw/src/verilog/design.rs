//! The whole design: one module for each distinct block, children before parents.

use super::elaborate::{elaborate, AtomInfo, Scope};
use super::error::{block_error, ExportError};
use super::leaf::{self, Cell};
use super::module::{kernel_text, leaf_text, Child};
use super::names::{camel_case, is_identifier, verilog_name};
use super::vector::{port_places, Place};
use rust_hdl::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One Verilog module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    pub text: String,
    /// The first block that became this module, by its path from the top.
    pub origin: String,
    /// The Rust module that describes it.
    pub source: Option<String>,
}

/// A port of the design's top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its own name: `data_3`, also where it is a part of the vector `data`.
    pub name: String,
    /// Its path in the circuit, with `$` between the parts.
    pub path: String,
    /// The module's port with its bits.
    pub place: Place,
    pub is_input: bool,
    pub width: usize,
    pub signed: bool,
}

/// An exported circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    pub top: String,
    pub ports: Vec<Port>,
    /// Every module before the first one that instantiates it.
    pub modules: Vec<Module>,
    /// Declarations of cells from elsewhere, by name: black boxes.
    pub externals: BTreeMap<String, String>,
}

impl Design {
    /// All modules as one text.
    pub fn to_verilog(&self) -> String {
        let externals = self.externals.values().map(String::as_str);
        let modules = self.modules.iter().map(|m| m.text.as_str());
        externals.chain(modules).collect::<Vec<_>>().join("\n")
    }
}

/// Exports a circuit. Its top module is called `top_name`.
pub fn export<U: Block>(top_name: &str, uut: &U) -> Result<Design, ExportError> {
    if !is_identifier(top_name) {
        return Err(block_error(
            top_name,
            "this cannot be the name of a Verilog module",
        ));
    }
    let scope = elaborate(top_name, uut)?;
    let mut builder = Builder {
        top: (scope.path.clone(), top_name.to_owned()),
        ..Builder::default()
    };
    builder.reserve(&scope);
    builder.module(&scope)?;
    Ok(Design {
        top: top_name.to_owned(),
        ports: ports(&scope),
        modules: builder.modules,
        externals: builder.externals,
    })
}

fn ports(scope: &Scope) -> Vec<Port> {
    let atoms = scope.atoms.iter().filter(|a| a.kind.is_parameter());
    let port = |(atom, place): (&AtomInfo, Place)| Port {
        name: verilog_name(&atom.path),
        path: atom.path.clone(),
        place,
        is_input: atom.kind == AtomKind::InputParameter,
        width: atom.ty.width,
        signed: atom.ty.signed,
    };
    atoms.clone().zip(port_places(atoms)).map(port).collect()
}

#[derive(Default)]
struct Builder {
    /// The top block's path and name.
    top: (String, String),
    modules: Vec<Module>,
    externals: BTreeMap<String, String>,
    /// Modules by what they were called for and their text behind the name.
    by_body: HashMap<(Option<String>, String), String>,
    /// Names that circuits ask for; the others keep clear of them.
    reserved: BTreeSet<String>,
}

impl Builder {
    /// The name that a block must have: that of the top, or the one that its text asks for.
    fn hint(&self, scope: &Scope) -> Option<String> {
        match &scope.code {
            _ if scope.path == self.top.0 => Some(self.top.1.clone()),
            Verilog::Custom(code) => Cell::of(code).name,
            _ => None,
        }
    }

    fn reserve(&mut self, scope: &Scope) {
        self.reserved.extend(self.hint(scope));
        scope.children.iter().for_each(|c| self.reserve(c));
    }

    /// Emits a block and all below it; returns its module, with the values of the parameters.
    fn module(&mut self, scope: &Scope) -> Result<String, ExportError> {
        let children = scope
            .children
            .iter()
            .map(|c| self.child(c))
            .collect::<Result<Vec<_>, _>>()?;
        let mut cell = Cell::default();
        let body = match &scope.code {
            Verilog::Combinatorial(code) => kernel_text(scope, code, &children)?,
            Verilog::Custom(code) => {
                cell = Cell::of(code);
                leaf_text(scope, &cell, false)?
            }
            Verilog::Wrapper(wrapper) => {
                self.external(scope, &scope.path, &wrapper.cores)?;
                leaf_text(scope, &Cell::plain(&wrapper.code), true)?
            }
            Verilog::Blackbox(cell) => {
                self.external(scope, &cell.name, &cell.code)?;
                return Ok(cell.name.clone());
            }
            Verilog::Empty => {
                return Err(block_error(
                    &scope.path,
                    "it has no Verilog: neither a kernel nor hand-written text",
                ))
            }
        };
        let name = self.place(scope, &cell.declaration(), body)?;
        Ok(name + &cell.values())
    }

    fn child(&mut self, scope: &Scope) -> Result<Child, ExportError> {
        let empty = matches!(scope.code, Verilog::Empty) && scope.children.is_empty();
        if empty && !scope.atoms.iter().any(|a| a.kind == AtomKind::OutputParameter) {
            return Ok(Child::Absent);
        }
        match leaf::flip_flop(scope) {
            Some(initial) => Ok(Child::Register(initial)),
            None => self.module(scope).map(Child::Instance),
        }
    }

    /// Keeps a foreign cell's declaration once.
    fn external(&mut self, scope: &Scope, name: &str, code: &str) -> Result<(), ExportError> {
        let code = format!("{}\n", code.trim());
        if code.trim().is_empty() || self.externals.values().any(|known| *known == code) {
            return Ok(());
        }
        match self.externals.insert(name.to_owned(), code) {
            None => Ok(()),
            Some(_) => Err(block_error(
                &scope.path,
                format!("the black box `{name}` has two declarations"),
            )),
        }
    }

    /// Finds the module with this body or adds it, with `parameters` of its first user.
    fn place(&mut self, scope: &Scope, parameters: &str, body: String) -> Result<String, ExportError> {
        let key = (self.hint(scope), body);
        if let Some(name) = self.by_body.get(&key) {
            return Ok(name.clone());
        }
        let name = self.name(scope, &key.0)?;
        let text = format!("module {name}{parameters}{}", key.1);
        self.modules.push(Module {
            name: name.clone(),
            text,
            origin: scope.path.clone(),
            source: scope.rust_module().map(str::to_owned),
        });
        self.by_body.insert(key, name.clone());
        Ok(name)
    }

    fn name(&self, scope: &Scope, hint: &Option<String>) -> Result<String, ExportError> {
        let taken = |name: &str| self.modules.iter().find(|m| m.name == name);
        if let Some(name) = hint {
            if !is_identifier(name) {
                return Err(block_error(
                    &scope.path,
                    format!("`{name}` cannot be the name of a Verilog module"),
                ));
            }
            return match taken(name) {
                None => Ok(name.clone()),
                Some(other) => Err(block_error(
                    &scope.path,
                    format!(
                        "it asks for the module name `{name}`, but differs from `{}` which has it; \
                         put what distinguishes them into the name",
                        other.origin
                    ),
                )),
            };
        }
        let base = match scope.type_name() {
            Some(name) => name.to_owned(),
            None => camel_case(&scope.instance),
        };
        let free =
            |name: &String| is_identifier(name) && taken(name).is_none() && !self.reserved.contains(name);
        let numbered = (1..).map(|n| format!("{base}_{n}"));
        Ok(std::iter::once(base.clone())
            .chain(numbered)
            .find(free)
            .expect("numbers do not run out"))
    }
}
