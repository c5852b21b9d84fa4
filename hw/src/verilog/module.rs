//! The body of one Verilog module: everything behind its name.

use super::elaborate::{AtomInfo, Scope, Ty};
use super::error::{block_error, ExportError, Refusal};
use super::flow;
use super::ir::{mask, reads_of, writes_of, Expr, Kind, SignalId, Stmt};
use super::kernel::lower_kernel;
use super::leaf;
use super::names::{verilog_name, NameTable};
use super::print::{dimension, number, range, Printer, Uses};
use super::symbols::{Role, Symbol, Symbols};
use num_bigint::BigUint;
use rust_hdl::core::ast::VerilogBlock;
use rust_hdl::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a child block becomes in its parent.
pub enum Child {
    /// A register of the parent, with its initial value.
    Register(BigUint),
    /// An instance of this module.
    Instance(String),
    /// Nothing: it has neither Verilog nor outputs.
    Absent,
}

/// The body of a block that is described by a kernel.
pub fn kernel_body(scope: &Scope, code: &VerilogBlock, children: &[Child]) -> Result<String, ExportError> {
    let symbols = Symbols::of(scope);
    let body = Body::new(&symbols, scope, children);
    let stmts = lower_kernel(&symbols, code).map_err(|r| r.at(&scope.path))?;
    flow::check(&symbols, &stmts).map_err(|r| r.at(&scope.path))?;
    body.build(stmts).map_err(|r| r.at(&scope.path))
}

/// The body of a cell whose Verilog was written by hand. Its outputs may be wires throughout.
pub fn leaf_body(scope: &Scope, code: &str, wires_only: bool) -> Result<String, ExportError> {
    if !scope.children.is_empty() {
        return Err(block_error(
            &scope.path,
            "a block with hand-written Verilog cannot have child blocks",
        ));
    }
    let mut names = NameTable::default();
    let mut registers = HashSet::new();
    let ports = || scope.atoms.iter().filter(|a| a.kind.is_parameter());
    for atom in ports() {
        names
            .take(&verilog_name(&atom.path), &atom.path)
            .map_err(|reason| block_error(&scope.path, reason))?;
        let written = atom.kind == AtomKind::OutputParameter && !wires_only;
        if written && leaf::is_procedural(code, atom).map_err(|reason| block_error(&scope.path, reason))? {
            registers.insert(atom.path.clone());
        }
    }
    let lines: Vec<_> = code
        .trim_matches('\n')
        .lines()
        .map(|l| format!("    {l}").trim_end().to_owned())
        .collect();
    let header = header(ports(), |atom| registers.contains(&atom.path));
    Ok(format!("{header}{}\nendmodule\n", lines.join("\n")))
}

/// The ANSI port list.
fn header<'a>(ports: impl Iterator<Item = &'a AtomInfo>, is_register: impl Fn(&AtomInfo) -> bool) -> String {
    let lines: Vec<_> = ports
        .map(|atom| {
            let (direction, kind) = match (atom.kind, is_register(atom)) {
                (AtomKind::InputParameter, _) => ("input ", "wire"),
                (_, true) => ("output", "reg "),
                (_, false) => ("output", "wire"),
            };
            format!(
                "    {direction} {kind} {}{}",
                shape(atom.ty),
                verilog_name(&atom.path)
            )
        })
        .collect();
    match lines.is_empty() {
        true => " ();\n".to_owned(),
        false => format!(" (\n{}\n);\n", lines.join(",\n")),
    }
}

/// Sign and dimension of a declaration.
fn shape(ty: Ty) -> String {
    format!(
        "{}{}",
        if ty.signed { "signed " } else { "" },
        dimension(ty.width)
    )
}

struct Body<'a> {
    symbols: &'a Symbols,
    scope: &'a Scope,
    children: &'a [Child],
    printer: Printer<'a>,
    /// Signals that an `always` block assigns.
    procedural: HashSet<SignalId>,
    /// A register's next value, written where the register is clocked.
    inlined: HashMap<SignalId, Expr>,
    logic: String,
}

impl<'a> Body<'a> {
    fn new(symbols: &'a Symbols, scope: &'a Scope, children: &'a [Child]) -> Self {
        Body {
            symbols,
            scope,
            children,
            printer: Printer::new(symbols),
            procedural: HashSet::new(),
            inlined: HashMap::new(),
            logic: String::new(),
        }
    }

    fn build(mut self, stmts: Vec<Stmt>) -> Result<String, Refusal> {
        let (read, written) = (reads_of(&stmts), writes_of(&stmts));
        let groups = flow::group(self.symbols, stmts)?;
        let groups: Vec<_> = groups.into_iter().filter_map(|g| self.absorb(g, &read)).collect();
        let mut blank = false;
        for group in &groups {
            self.logic_of(group, &mut blank);
        }
        let clocked = self.clocked();
        let instances = self.instances();
        let declarations = self.declarations(&written);
        let unused = self.unused(&written);
        let ports = self.scope.atoms.iter().filter(|a| a.kind.is_parameter());
        let procedural = &self.procedural;
        let is_register = |atom: &AtomInfo| {
            self.symbols
                .find(&atom.path)
                .is_some_and(|id| procedural.contains(&id))
        };
        let header = header(ports, is_register);
        let uses = self.printer.into_uses();
        check_names(self.symbols, self.scope, self.children, &written, &uses)?;
        let sections = [
            constants(&uses),
            functions(&uses),
            declarations,
            self.logic,
            instances,
            clocked,
            unused,
        ];
        let sections: Vec<_> = sections.into_iter().filter(|s| !s.is_empty()).collect();
        Ok(format!("{header}{}endmodule\n", sections.join("\n")))
    }

    fn child(&self, id: SignalId) -> Option<&Child> {
        match self.symbols.get(id).role {
            Role::ChildInput(n) | Role::ChildOutput(n) => Some(&self.children[n]),
            _ => None,
        }
    }

    /// Takes up connections that need no statement; returns what needs one.
    fn absorb(&mut self, group: flow::Group, read: &HashSet<SignalId>) -> Option<flow::Group> {
        let group = if reads_anything(&group) {
            group
        } else {
            constants_only(group, self.symbols)
        };
        let [Stmt::Assign(id, value)] = &group[..] else {
            return Some(group);
        };
        let (id, symbol) = (*id, self.symbols.get(*id));
        if !matches!(symbol.role, Role::ChildInput(_)) {
            return Some(group);
        }
        let register = matches!(self.child(id), Some(Child::Register(_)));
        if matches!(value.kind, Kind::Signal(_) | Kind::Const(_) | Kind::Named(..)) {
            self.printer.aliases.insert(id, value.clone());
            return None;
        }
        if register && symbol.port == "d" && !read.contains(&id) {
            self.inlined.insert(id, value.clone());
            return None;
        }
        Some(group)
    }

    fn logic_of(&mut self, group: &flow::Group, blank: &mut bool) {
        let plain = group
            .iter()
            .all(|s| matches!(s, Stmt::Assign(..) | Stmt::Comment(_)));
        let targets: HashSet<_> = group
            .iter()
            .filter_map(|s| {
                if let Stmt::Assign(id, _) = s {
                    Some(id)
                } else {
                    None
                }
            })
            .collect();
        let count = group.iter().filter(|s| matches!(s, Stmt::Assign(..))).count();
        // A group of one assignment, or of constants, which would never start an `always @*`.
        let continuous = plain && targets.len() == count && (count == 1 || !reads_anything(group));
        if continuous {
            for stmt in group {
                match stmt {
                    Stmt::Assign(id, value) => {
                        let name = &self.symbols.get(*id).ident;
                        self.logic += &format!("    assign {name} = {};\n", self.printer.expr(value));
                    }
                    other => self.printer.stmt(other, 1, &mut self.logic),
                }
            }
            *blank = true;
            return;
        }
        self.procedural.extend(writes_of(group));
        let gap = if *blank { "\n" } else { "" };
        self.logic += &format!("{gap}    always @* begin\n");
        for stmt in group {
            self.printer.stmt(stmt, 2, &mut self.logic);
        }
        self.logic += "    end\n";
        *blank = true;
    }

    /// The child's port of this name.
    fn port(&self, child: usize, port: &str) -> SignalId {
        let path = format!("{}${port}", self.scope.children[child].instance);
        self.symbols
            .find(&path)
            .expect("a register has been checked to have clock, d and q")
    }

    /// The registers, one block for each clock.
    fn clocked(&self) -> String {
        let mut blocks: BTreeMap<String, String> = BTreeMap::new();
        for (number, child) in self.children.iter().enumerate() {
            if !matches!(child, Child::Register(_)) {
                continue;
            }
            let [clock, d, q] = ["clock", "d", "q"].map(|port| self.port(number, port));
            let next = match self.inlined.get(&d) {
                Some(value) => self.printer.expr(value),
                None => self.printer.signal(d),
            };
            let block = blocks.entry(self.printer.signal(clock)).or_default();
            *block += &format!("        {} <= {next};\n", self.symbols.get(q).ident);
        }
        let blocks = blocks
            .iter()
            .map(|(clock, body)| format!("    always @(posedge {clock}) begin\n{body}    end\n"));
        blocks.collect::<Vec<_>>().join("\n")
    }

    fn instances(&self) -> String {
        // Inputs first: they may be what reads another child's output.
        let inputs: HashMap<SignalId, String> = (0..self.symbols.signals.len())
            .filter(|id| matches!(self.symbols.get(*id).role, Role::ChildInput(_)))
            .filter(|id| matches!(self.child(*id), Some(Child::Instance(_))))
            .map(|id| (id, self.printer.signal(id)))
            .collect();
        let mut out = vec![];
        for (number, child) in self.children.iter().enumerate() {
            let Child::Instance(module) = child else { continue };
            let name = verilog_name(&self.scope.children[number].instance);
            let mut ports = vec![];
            for (id, symbol) in self.symbols.signals.iter().enumerate() {
                let net = match symbol.role {
                    Role::ChildInput(n) if n == number => inputs[&id].clone(),
                    Role::ChildOutput(n) if n == number && self.printer.is_read(id) => symbol.ident.clone(),
                    Role::ChildOutput(n) if n == number => String::new(),
                    _ => continue,
                };
                ports.push(format!("        .{}({net})", verilog_name(&symbol.port)));
            }
            out.push(match ports.is_empty() {
                true => format!("    {module} {name} ();\n"),
                false => format!("    {module} {name} (\n{}\n    );\n", ports.join(",\n")),
            });
        }
        out.join("\n")
    }

    /// Whether a signal is declared inside of the module.
    fn is_declared(&self, id: SignalId, written: &HashSet<SignalId>) -> bool {
        match self.symbols.get(id).role {
            Role::Local => written.contains(&id),
            Role::ChildInput(_) => !self.printer.aliases.contains_key(&id) && !self.inlined.contains_key(&id),
            Role::ChildOutput(_) => {
                matches!(self.child(id), Some(Child::Register(_))) || self.printer.is_read(id)
            }
            Role::Input | Role::Output | Role::Constant => false,
        }
    }

    fn declarations(&self, written: &HashSet<SignalId>) -> String {
        let mut out = String::new();
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            if !self.is_declared(id, written) {
                continue;
            }
            let (shape, name) = (shape(symbol.ty), &symbol.ident);
            out += &match (self.child(id), symbol.role) {
                (Some(Child::Register(initial)), Role::ChildOutput(_)) => {
                    format!("    reg  {shape}{name} = {};\n", number(initial, symbol.ty.width))
                }
                _ if self.procedural.contains(&id) => format!("    reg  {shape}{name};\n"),
                _ => format!("    wire {shape}{name};\n"),
            };
        }
        out
    }

    /// Reads what nothing else reads, so that lint tools report only what is new.
    fn unused(&self, written: &HashSet<SignalId>) -> String {
        let mut parts = vec![];
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            let is_register = matches!(self.child(id), Some(Child::Register(_)));
            let relevant = match symbol.role {
                Role::Input => true,
                Role::ChildInput(_) => false,
                Role::ChildOutput(_) => is_register || self.printer.is_read(id),
                _ => self.is_declared(id, written),
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
            false => format!("    wire unused = &{{1'b0, {}}};\n", parts.join(", ")),
        }
    }
}

fn part(symbol: &Symbol, at: usize, width: usize) -> String {
    match width == symbol.ty.width {
        true => symbol.ident.clone(),
        false => format!("{}{}", symbol.ident, range(at, width)),
    }
}

fn reads_anything(group: &[Stmt]) -> bool {
    !reads_of(group).is_empty()
}

/// A group that reads no signal: the final constant of every target.
fn constants_only(group: flow::Group, symbols: &Symbols) -> flow::Group {
    let mut order = vec![];
    let mut values: HashMap<SignalId, Expr> = HashMap::new();
    let mut kept = vec![];
    for stmt in group {
        match stmt {
            Stmt::Assign(id, value) => {
                order.push(id);
                values.insert(id, value);
            }
            Stmt::Slice(id, at, value) => {
                let ty = symbols.get(id).ty;
                let hole = mask(value.ty.width) << at;
                let old = values.get(&id).and_then(Expr::value).unwrap_or_default();
                let put = value.value().unwrap_or_default() << at;
                let kept = (&old | &hole) - hole;
                order.push(id);
                values.insert(id, Expr::constant(kept | put, ty));
            }
            other => kept.push(other),
        }
    }
    let mut seen = HashSet::new();
    order.retain(|id| seen.insert(*id));
    kept.extend(order.into_iter().map(|id| Stmt::Assign(id, values[&id].clone())));
    kept
}

fn constants(uses: &Uses) -> String {
    let line = |(name, width, value): &(String, usize, BigUint)| {
        format!(
            "    localparam {}{name} = {};\n",
            dimension(*width),
            number(value, *width)
        )
    };
    uses.constants.iter().map(line).collect()
}

fn functions(uses: &Uses) -> String {
    uses.functions.values().cloned().collect::<Vec<_>>().join("\n")
}

/// Refuses names that Verilog cannot tell apart or does not allow.
fn check_names(
    symbols: &Symbols,
    scope: &Scope,
    children: &[Child],
    written: &HashSet<SignalId>,
    uses: &Uses,
) -> Result<(), Refusal> {
    let mut names = NameTable::default();
    let mut take =
        |name: &str, owner: &str| names.take(name, owner).map_err(|reason| Refusal::new("", reason));
    take("unused", "the list of unread bits")?;
    for (id, symbol) in symbols.signals.iter().enumerate() {
        let emitted = match symbol.role {
            Role::Constant => false,
            Role::Local => written.contains(&id),
            _ => true,
        };
        if emitted {
            take(&symbol.ident, &symbol.path)?;
        }
    }
    for (child, scope) in children.iter().zip(&scope.children) {
        if let Child::Instance(_) = child {
            take(&verilog_name(&scope.instance), &scope.instance)?;
        }
    }
    uses.constants
        .iter()
        .try_for_each(|(name, _, _)| take(name, name))?;
    uses.functions.keys().try_for_each(|name| take(name, name))
}
