//! Statements as Verilog text.

use super::ir::{reads_of, writes_of, Arm, Expr, SignalId, Stmt};
use super::print::Printer;
use super::text::{fill_statements, LINE_COLUMNS};
use super::vector::Piece;

impl Printer<'_> {
    /// Assignments outside of any block, with comments.
    pub fn continuous(&self, stmts: &[Stmt], out: &mut String) {
        for run in stmts.chunk_by(|a, b| is_assignment(a) && is_assignment(b)) {
            match run {
                [Stmt::Comment(text)] => *out += &format!("    // {text}\n"),
                _ => self
                    .assignments(run)
                    .iter()
                    .for_each(|line| *out += &format!("    assign {line}\n")),
            }
        }
    }

    /// Statements inside an `always` block.
    pub fn stmts(&self, stmts: &[Stmt], indent: usize, out: &mut String) {
        for run in stmts.chunk_by(|a, b| is_assignment(a) && is_assignment(b)) {
            match run {
                [one] if !is_assignment(one) => self.stmt(one, indent, out),
                _ => *out += &lines_of(&self.assignments(run), indent),
            }
        }
    }

    fn stmt(&self, stmt: &Stmt, indent: usize, out: &mut String) {
        let pad = "    ".repeat(indent);
        match stmt {
            Stmt::Assign(..) | Stmt::Slice(..) => {
                unreachable!("assignments are written in runs")
            }
            Stmt::If(test, then, otherwise) => {
                *out += &pad;
                self.conditional(test, then, otherwise, indent, out);
            }
            Stmt::Case(test, arms) => self.case(test, arms, indent, out),
            Stmt::Comment(text) => *out += &format!("{pad}// {text}\n"),
        }
    }

    /// A run of assignments; those that copy following parts of one vector to following parts of another become one.
    /// A register takes its new value at the clock's edge, anything else at once.
    fn assignments(&self, run: &[Stmt]) -> Vec<String> {
        let mut lines: Vec<(Piece, &str, Piece)> = vec![];
        let is_clocked = |id: &SignalId| self.registers.contains(id) || self.clocked.contains_key(id);
        let writes = writes_of(run);
        let mut in_order = !writes.iter().all(is_clocked) && !reads_of(run).is_disjoint(&writes);
        for stmt in run {
            let (id, at, value) = match stmt {
                Stmt::Assign(id, value) => (*id, 0, value),
                Stmt::Slice(id, at, value) => (*id, *at, value),
                _ => unreachable!("the run has only assignments"),
            };
            let operator = if is_clocked(&id) { "<=" } else { "=" };
            let target = self.clocked.get(&id).copied().unwrap_or(id);
            let (target, value) = (self.target(target, at, value.ty.width), self.piece(value));
            in_order |= lines.iter().any(|line| line.0.overlaps(&target));
            let joint = lines.iter_mut().filter(|_| !in_order).find_map(|line| {
                let both = (line.0.with(&target)?, line.2.with(&value)?);
                Some((line, both))
            });
            match joint {
                Some((line, (target, value))) => (line.0, line.2) = (target, value),
                None => lines.push((target, operator, value)),
            }
        }
        lines
            .iter()
            .map(|(target, operator, value)| format!("{} {operator} {};", target.text(), value.text()))
            .collect()
    }

    /// Writes `head` and the statements that it governs: a lone assignment or nothing on the same line, else a block.
    /// Leaves the line open behind a block's `end`, so that an `else` can follow; says whether it did.
    fn governed(&self, head: &str, note: &str, stmts: &[Stmt], indent: usize, out: &mut String) -> bool {
        let pad = "    ".repeat(indent);
        let lines = match stmts.iter().all(is_assignment) {
            true => self.assignments(stmts),
            false => vec![],
        };
        let room = LINE_COLUMNS.saturating_sub(pad.len() + head.len() + 1 + note.len());
        if let [text] = &lines[..] {
            if text.len() <= room {
                *out += &format!("{head} {text}{note}\n");
                return false;
            }
        }
        if stmts.is_empty() {
            *out += &format!("{head} ;{note}\n");
            return false;
        }
        *out += &format!("{head} begin{note}\n");
        self.stmts(stmts, indent + 1, out);
        *out += &format!("{pad}end");
        true
    }

    fn conditional(&self, test: &Expr, then: &[Stmt], otherwise: &[Stmt], indent: usize, out: &mut String) {
        let pad = "    ".repeat(indent);
        let open = self.governed(&format!("if ({})", self.expr(test)), "", then, indent, out);
        if otherwise.is_empty() {
            *out += if open { "\n" } else { "" };
            return;
        }
        *out += if open { " " } else { &pad };
        match otherwise {
            [Stmt::If(test, then, otherwise)] => {
                *out += "else ";
                self.conditional(test, then, otherwise, indent, out);
            }
            _ => {
                if self.governed("else", "", otherwise, indent, out) {
                    *out += "\n";
                }
            }
        }
    }

    fn case(&self, test: &Expr, arms: &[Arm], indent: usize, out: &mut String) {
        let pad = "    ".repeat(indent);
        *out += &format!("{pad}case ({})\n", self.expr(test));
        for arm in arms {
            let label = arm.label.as_ref().map_or("default".to_owned(), |l| self.expr(l));
            let note = arm.note.as_ref().map_or(String::new(), |n| format!(" // {n}"));
            *out += &format!("{pad}    ");
            if self.governed(&format!("{label}:"), &note, &arm.body, indent + 1, out) {
                *out += "\n";
            }
        }
        *out += &format!("{pad}endcase\n");
    }
}

/// Statements as lines; those that only clear or set something, as many on a line as fit.
fn lines_of(statements: &[String], indent: usize) -> String {
    let is_constant = |text: &String| match text.split(' ').collect::<Vec<_>>()[..] {
        [_, _, value] => value.starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    };
    let runs = statements.chunk_by(|a, b| is_constant(a) && is_constant(b));
    runs.map(|run| fill_statements(run, 4 * indent)).collect()
}

fn is_assignment(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Assign(..) | Stmt::Slice(..))
}
