//! The inside of a module that a kernel describes: its registers and instances.

use super::body::Body;
use super::elaborate::AtomInfo;
use super::fuse;
use super::ir::{Expr, Kind, SignalId, Stmt};
use super::module::Child;
use super::names::verilog_name;
use super::symbols::Role;
use super::text::{fill, fill_statements, number, LINE_COLUMNS};
use super::vector::{by_port, merged, net, pattern, port_places, Piece, Place};
use num_bigint::BigUint;
use std::collections::BTreeMap;

/// The name of an instance. The prefix keeps it apart from signals, also from those inside of it.
pub fn prefixed(instance: &str) -> String {
    format!("u_{}", verilog_name(instance))
}

/// Instances of one module that are written together.
struct Row {
    module: String,
    children: Vec<usize>,
}

impl Body<'_> {
    /// The registers: their initial values, then one block for each clock.
    pub fn registers(&mut self) -> String {
        let mut initial: Vec<(&str, BigUint, usize)> = vec![];
        let mut clocked: BTreeMap<String, Vec<Stmt>> = BTreeMap::new();
        for (n, child) in self.children.iter().enumerate() {
            let Child::Register(start) = child else { continue };
            let [clock, d, q] = ["clock", "d", "q"].map(|port| self.port(n, port));
            let place = &self.printer.places[q];
            match initial.iter_mut().find(|(name, ..)| *name == place.name) {
                Some((_, value, _)) => *value |= start << place.offset,
                None => initial.push((&place.name, start << place.offset, place.total)),
            }
            if self.printer.clocked.contains_key(&d) {
                continue;
            }
            let next = match self.inlined.get(&d) {
                Some(value) => value.clone(),
                None => Expr::new(Kind::Signal(d), self.symbols.get(d).ty),
            };
            let block = clocked.entry(self.printer.signal(clock)).or_default();
            block.push(Stmt::Assign(q, next));
        }
        for (clock, stmts) in std::mem::take(&mut self.edges) {
            clocked.entry(clock).or_default().extend(fuse::statements(stmts));
        }
        let always = |(clock, stmts): (String, Vec<Stmt>)| {
            let mut body = String::new();
            self.printer.stmts(&stmts, 2, &mut body);
            format!("    always @(posedge {clock}) begin\n{body}    end\n")
        };
        if initial.is_empty() {
            return String::new();
        }
        let initial: Vec<_> = initial
            .iter()
            .map(|(name, value, width)| format!("{name} = {};", number(value, *width)))
            .collect();
        let mut blocks = vec![format!(
            "    initial begin\n{}    end\n",
            fill_statements(&initial, 8)
        )];
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
        // Inputs first: they may be what reads another instance's output.
        let inputs =
            |id: &SignalId| matches!(self.symbols.get(*id).role, Role::ChildInput(n) if self.is_instance(n));
        let whole = |id| Expr::new(Kind::Signal(id), self.symbols.get(id).ty);
        let inputs: BTreeMap<SignalId, Piece> = (0..self.symbols.signals.len())
            .filter(inputs)
            .map(|id| (id, self.printer.piece(&whole(id))))
            .collect();
        let pieces = |id: &SignalId| match inputs.get(id) {
            Some(piece) => piece.clone(),
            None => Piece::Bits {
                place: Place {
                    name: self.net(*id),
                    ..self.printer.places[*id].clone()
                },
                width: self.symbols.get(*id).ty.width,
            },
        };
        let texts: Vec<_> = self
            .rows()
            .iter()
            .flat_map(|row| self.row_text(row, &pieces))
            .collect();
        paragraphs(&texts)
    }

    fn is_instance(&self, child: usize) -> bool {
        matches!(self.children[child], Child::Instance(_))
    }

    /// Instances of one module whose names differ only in an index that rises by one.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = vec![];
        for (n, child) in self.children.iter().enumerate() {
            let Child::Instance(module) = child else { continue };
            match rows
                .last_mut()
                .filter(|row| row.module == *module && self.follows(row, n))
            {
                Some(row) => row.children.push(n),
                None => rows.push(Row {
                    module: module.clone(),
                    children: vec![n],
                }),
            }
        }
        rows
    }

    fn instance_pattern(&self, child: usize) -> (String, Vec<usize>) {
        pattern(&self.scope.children[child].instance)
    }

    fn follows(&self, row: &Row, child: usize) -> bool {
        let (before, this) = (
            self.instance_pattern(row.children[row.children.len() - 1]),
            self.instance_pattern(child),
        );
        let next = before
            .1
            .split_last()
            .map(|(last, above)| [above, &[last + 1]].concat());
        before.0 == this.0 && next == Some(this.1)
    }

    /// A row's name as an array: without an index if it is all there is.
    fn array_name(&self, row: &Row) -> String {
        let (first, last) = (row.children[0], row.children[row.children.len() - 1]);
        let (name, indices) = self.instance_pattern(first);
        let all = (0..self.children.len())
            .filter(|n| self.instance_pattern(*n).0 == name)
            .count();
        match all == row.children.len() && indices == [0] {
            true => prefixed(name.trim_end_matches("$#")),
            false => {
                let end = self.instance_pattern(last).1.pop().unwrap_or(0);
                format!("{}_to_{end}", prefixed(&self.scope.children[first].instance))
            }
        }
    }

    /// The instances of a row: as arrays where each port is the same for all or one part of a vector, else one by one.
    fn row_text(&self, row: &Row, pieces: &impl Fn(&SignalId) -> Piece) -> Vec<String> {
        let all: Vec<_> = row
            .children
            .iter()
            .map(|n| self.connections(*n, pieces))
            .collect();
        let mut texts = vec![];
        let mut start = 0;
        while start < all.len() {
            let longest = (start + 2..=all.len())
                .take_while(|end| array(&all[start..*end]).is_some())
                .last();
            let end = longest.unwrap_or(start + 1);
            let part = Row {
                module: row.module.clone(),
                children: row.children[start..end].to_vec(),
            };
            texts.push(match array(&all[start..end]).filter(|_| end > start + 1) {
                Some(nets) => {
                    let name = format!("{} [{}:0]", self.array_name(&part), end - start - 1);
                    instance(&row.module, &name, &nets)
                }
                None => {
                    let nets: Vec<_> = all[start]
                        .iter()
                        .map(|(port, pieces)| net(port, pieces))
                        .collect();
                    instance(
                        &row.module,
                        &prefixed(&self.scope.children[part.children[0]].instance),
                        &nets,
                    )
                }
            });
            start = end;
        }
        texts
    }

    /// A child's ports with what they are connected to, the lowest bits first.
    fn connections(&self, child: usize, pieces: &impl Fn(&SignalId) -> Piece) -> Connections {
        let atoms: Vec<_> = self.scope.children[child]
            .atoms
            .iter()
            .filter(|a| a.kind.is_parameter())
            .collect();
        let places = port_places(atoms.iter().copied());
        let piece = |(atom, place): (&&AtomInfo, Place)| (place, pieces(&self.port(child, &atom.path)));
        by_port(atoms.iter().zip(places).map(piece))
    }
}

/// A child's ports and what each is connected to.
type Connections = Vec<(String, Vec<Piece>)>;

/// The connections of an array of instances, if each port has one piece that all share or that each has a part of.
fn array(all: &[Connections]) -> Option<Vec<String>> {
    let joint = |(number, (port, first)): (usize, &(String, Vec<Piece>))| {
        let mut rest = all.iter().map(|connections| &connections[number].1);
        let joint = match rest.all(|pieces| pieces == first) {
            true => first.clone(),
            false => merged(&all.iter().flat_map(|c| c[number].1.clone()).collect::<Vec<_>>()),
        };
        let plain = joint.len() == 1 || joint == *first;
        plain.then(|| net(port, &joint))
    };
    all[0].iter().enumerate().map(joint).collect()
}

fn instance(module: &str, name: &str, nets: &[String]) -> String {
    let line = format!("    {module} {name} ({});\n", nets.join(", "));
    match line.len() <= LINE_COLUMNS + 1 {
        true => line,
        false => format!("    {module} {name} (\n{}\n    );\n", fill(nets, 8)),
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
