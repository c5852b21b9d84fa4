//! The inside of a module that a kernel describes: its registers and instances.

use super::body::Body;
use super::ir::SignalId;
use super::module::Child;
use super::names::verilog_name;
use super::print::{fill, fill_statements, number, LINE_COLUMNS};
use super::symbols::Role;
use std::collections::BTreeMap;

/// The name of an instance. The prefix keeps it apart from signals, also from those inside of it.
pub fn prefixed(instance: &str) -> String {
    format!("u_{}", verilog_name(instance))
}

impl Body<'_> {
    /// The registers: their initial values, then one block for each clock with those that no block above assigns.
    pub fn registers(&self) -> String {
        let mut initial = vec![];
        let mut clocked: BTreeMap<String, String> = BTreeMap::new();
        for (n, child) in self.children.iter().enumerate() {
            let Child::Register(start) = child else { continue };
            let [clock, d, q] = ["clock", "d", "q"].map(|port| self.port(n, port));
            let register = self.symbols.get(q);
            initial.push(format!(
                "{} = {};",
                register.ident,
                number(start, register.ty.width)
            ));
            if self.printer.clocked.contains_key(&d) {
                continue;
            }
            let next = match self.inlined.get(&d) {
                Some(value) => self.printer.expr(value),
                None => self.printer.signal(d),
            };
            let block = clocked.entry(self.printer.signal(clock)).or_default();
            *block += &format!("        {} <= {next};\n", register.ident);
        }
        if initial.is_empty() {
            return String::new();
        }
        let mut blocks = vec![format!(
            "    initial begin\n{}    end\n",
            fill_statements(&initial, 8)
        )];
        let always = |(clock, body)| format!("    always @(posedge {clock}) begin\n{body}    end\n");
        blocks.extend(clocked.into_iter().map(always));
        blocks.join("\n")
    }

    /// The child's port of this name.
    pub fn port(&self, child: usize, port: &str) -> SignalId {
        let path = format!("{}${port}", self.scope.children[child].instance);
        self.symbols
            .find(&path)
            .expect("a register has been checked to have clock, d and q")
    }

    pub fn instances(&self) -> String {
        let mut ports: Vec<Vec<SignalId>> = self.children.iter().map(|_| vec![]).collect();
        for (id, symbol) in self.symbols.signals.iter().enumerate() {
            if let Role::ChildInput(n) | Role::ChildOutput(n) = symbol.role {
                ports[n].push(id);
            }
        }
        let instances = || {
            self.children
                .iter()
                .enumerate()
                .filter(|(_, c)| matches!(c, Child::Instance(_)))
        };
        // Inputs first: they may be what reads another instance's output.
        let inputs: BTreeMap<SignalId, String> = instances()
            .flat_map(|(n, _)| &ports[n])
            .filter(|id| matches!(self.symbols.get(**id).role, Role::ChildInput(_)))
            .map(|id| (*id, self.printer.signal(*id)))
            .collect();
        let mut out = vec![];
        for (n, child) in instances() {
            let Child::Instance(module) = child else { continue };
            let connect = |id: &SignalId| {
                let net = inputs.get(id).cloned().unwrap_or_else(|| self.net(*id));
                format!(".{}({net})", verilog_name(&self.symbols.get(*id).port))
            };
            let nets: Vec<_> = ports[n].iter().map(connect).collect();
            let name = prefixed(&self.scope.children[n].instance);
            let line = format!("    {module} {name} ({});\n", nets.join(", "));
            out.push(match line.len() <= LINE_COLUMNS + 1 {
                true => line,
                false => format!("    {module} {name} (\n{}\n    );\n", fill(&nets, 8)),
            });
        }
        paragraphs(&out)
    }
}

/// Blank lines around what takes several lines, none between single lines.
fn paragraphs(items: &[String]) -> String {
    let long = |item: &String| item.lines().count() > 1;
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 && (long(item) || long(&items[at - 1])) {
            text.push('\n');
        }
        text += item;
    }
    text
}
