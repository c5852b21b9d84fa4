//! Statements as Verilog text.

use super::ir::{reads_of, writes_of, Arm, Expr, SignalId, Stmt};
use super::print::Printer;
use super::text::{fill_statements, is_simple_assignment, LINE_COLUMNS};
use super::vector::Piece;

/// A line that assigns.
pub struct Assignment {
    pub target: Piece,
    operator: &'static str,
    pub value: Piece,
}

impl Assignment {
    pub fn text(&self) -> String {
        format!("{} {} {};", self.target.text(), self.operator, self.value.text())
    }
}

impl Printer<'_> {
    /// Statements inside an `always` block.
    pub fn stmts(&self, stmts: &[Stmt], indent: usize, out: &mut String) {
        for run in stmts.chunk_by(|a, b| is_assignment(a) && is_assignment(b)) {
            match run {
                [one] if !is_assignment(one) => self.stmt(one, indent, out),
                _ => *out += &lines_of(&self.assigned(run), indent),
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

    /// The texts of a run of assignments.
    fn assigned(&self, run: &[Stmt]) -> Vec<String> {
        self.assignments(run).iter().map(Assignment::text).collect()
    }

    /// A run of assignments; those that copy following parts of one vector to following parts of another become one.
    /// A register takes its new value at the clock's edge, anything else at once.
    pub fn assignments(&self, run: &[Stmt]) -> Vec<Assignment> {
        let mut lines: Vec<Assignment> = vec![];
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
            in_order |= lines.iter().any(|line| line.target.overlaps(&target));
            let joint = lines.iter_mut().filter(|_| !in_order).find_map(|line| {
                let both = (line.target.with(&target)?, line.value.with(&value)?);
                Some((line, both))
            });
            match joint {
                Some((line, both)) => (line.target, line.value) = both,
                None => lines.push(Assignment {
                    target,
                    operator,
                    value,
                }),
            }
        }
        lines
    }

    /// Writes `head` and the statements that it governs: a lone assignment or nothing on the same line, else a block.
    /// Leaves the line open behind a block's `end`, so that an `else` can follow; says whether it did.
    fn governed(&self, head: &str, note: &str, stmts: &[Stmt], indent: usize, out: &mut String) -> bool {
        let pad = "    ".repeat(indent);
        let lines = match stmts.iter().all(is_assignment) {
            true => self.assigned(stmts),
            false => vec![],
        };
        let room = LINE_COLUMNS.saturating_sub(pad.len() + head.len() + 1 + note.len());
        let short = match &lines[..] {
            [] if stmts.is_empty() => Some(";"),
            [one] if one.len() <= room => Some(one.as_str()),
            _ => None,
        };
        if let Some(short) = short {
            *out += &format!("{head} {short}{note}\n");
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
            match (&arm.body[..], &arm.note) {
                ([Stmt::If(test, then, otherwise)], None) if otherwise.is_empty() => {
                    *out += &format!("{label}: ");
                    self.conditional(test, then, otherwise, indent + 1, out);
                }
                (body, _) => {
                    if self.governed(&format!("{label}:"), &note, body, indent + 1, out) {
                        *out += "\n";
                    }
                }
            }
        }
        *out += &format!("{pad}endcase\n");
    }
}

/// Statements as lines; those that only set something to a number or copy it, as many on a line as fit.
fn lines_of(statements: &[String], indent: usize) -> String {
    let runs = statements.chunk_by(|a, b| is_simple_assignment(a) && is_simple_assignment(b));
    runs.map(|run| fill_statements(run, 4 * indent)).collect()
}

pub fn is_assignment(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Assign(..) | Stmt::Slice(..))
}
