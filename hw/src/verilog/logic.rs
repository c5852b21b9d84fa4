//! The inside of a module that a kernel describes: its statements.

use super::body::{Body, Written};
use super::flow;
use super::fuse;
use super::ir::{Kind, SignalId, Stmt};
use super::statements::is_assignment;
use super::vector::Piece;
use std::collections::HashSet;

impl Body<'_> {
    /// Prints the groups, neighbours of one kind together.
    pub fn print_parts(&mut self, parts: impl Iterator<Item = (flow::Group, Written)>) {
        let mut parts = parts.peekable();
        while let Some((first, kind)) = parts.next() {
            let mut run = vec![first];
            while let Some((group, _)) = parts.next_if(|next| next.1 == kind) {
                run.push(group);
            }
            match kind {
                Written::At(clock) => self.print_clocked(clock, run.concat()),
                Written::Continuously => self.print_continuous(&run.concat()),
                Written::Always => fuse::groups(run).iter().for_each(|group| self.print_block(group)),
            }
        }
    }

    /// Assigns outputs that are apart from their vector.
    pub fn print_detached(&mut self) {
        for (id, place) in &self.detached {
            let part = place.part(0, self.symbols.get(*id).ty.width);
            self.logic += &format!("    assign {part} = {};\n", self.printer.name(*id));
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

    /// Statements in a block of their own.
    fn print_block(&mut self, group: &[Stmt]) {
        if !self.logic.is_empty() {
            self.logic.push('\n');
        }
        self.logic += "    always @* begin\n";
        self.printer.stmts(group, 2, &mut self.logic);
        self.logic += "    end\n";
    }
}
