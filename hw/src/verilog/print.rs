//! Expressions and statements as Verilog text.
//!
//! Every operand already has the operator's width, so text can follow the tree. What Verilog-2005
//! has no operator for (a part of an expression, the sign extension of one) becomes a call of a
//! small function that the module defines.

use super::elaborate::Ty;
use super::ir::{reads_of, writes_of, Arm, Expr, Kind, SignalId, Stmt};
use super::symbols::Symbols;
use super::vector::{Piece, Place};
use num_bigint::BigUint;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub struct Printer<'a> {
    pub symbols: &'a Symbols,
    /// Child inputs that are just another name of a signal or constant.
    pub aliases: HashMap<SignalId, Expr>,
    /// Registers that are assigned where they are clocked: their `d`, and the `q` that it becomes.
    pub clocked: HashMap<SignalId, SignalId>,
    /// The outputs of registers.
    pub registers: HashSet<SignalId>,
    /// Where each signal is.
    pub places: Vec<Place>,
    uses: RefCell<Uses>,
}

/// What the printed text refers to.
#[derive(Default)]
pub struct Uses {
    /// The bits of each signal that are read.
    pub bits: HashMap<SignalId, Vec<bool>>,
    /// Helper functions by name.
    pub functions: BTreeMap<String, String>,
    /// Named constants: name, width and value.
    pub constants: BTreeSet<(String, usize, BigUint)>,
}

/// A piece of text and how tightly it binds.
struct Text {
    text: String,
    binding: Binding,
}

#[derive(Clone, Copy, PartialEq)]
enum Binding {
    /// A name, number, call or concatenation.
    Atom,
    /// A unary operator.
    Prefix,
    /// The chain of one associative operator, or a lone binary one.
    Operator(&'static str),
}

fn atom(text: String) -> Text {
    Text {
        text,
        binding: Binding::Atom,
    }
}

impl<'a> Printer<'a> {
    pub fn new(symbols: &'a Symbols) -> Self {
        Printer {
            symbols,
            aliases: HashMap::new(),
            clocked: HashMap::new(),
            registers: HashSet::new(),
            places: vec![],
            uses: RefCell::default(),
        }
    }

    pub fn into_uses(self) -> Uses {
        self.uses.into_inner()
    }

    pub fn is_read(&self, id: SignalId) -> bool {
        self.uses.borrow().bits.contains_key(&id)
    }

    /// The parts of a signal that no text reads: offset and width of each.
    pub fn unread(&self, id: SignalId) -> Vec<(usize, usize)> {
        let width = self.symbols.get(id).ty.width;
        let uses = self.uses.borrow();
        let Some(bits) = uses.bits.get(&id) else {
            return vec![(0, width)];
        };
        let mut runs: Vec<(usize, usize)> = vec![];
        for at in (0..width).filter(|at| !bits[*at]) {
            match runs.last_mut() {
                Some((start, length)) if *start + *length == at => *length += 1,
                _ => runs.push((at, 1)),
            }
        }
        runs
    }

    /// The name of a signal, or its part of a vector.
    pub fn name(&self, id: SignalId) -> String {
        self.places[id].part(0, self.symbols.get(id).ty.width)
    }

    /// The text of an expression that stands alone.
    pub fn expr(&self, e: &Expr) -> String {
        self.text(e).text
    }

    /// What a signal is called, following aliases, and that all of it is read.
    pub fn signal(&self, id: SignalId) -> String {
        self.expr(&Expr::new(Kind::Signal(id), self.symbols.get(id).ty))
    }

    /// An expression as a piece of a connection or assignment.
    pub fn piece(&self, e: &Expr) -> Piece {
        let width = e.ty.width;
        match &e.kind {
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.piece(alias),
                None => {
                    self.mark(*id, 0, width);
                    self.target(*id, 0, width)
                }
            },
            Kind::Slice(a, offset) => match self.plain(a) {
                Some(id) => {
                    self.mark(id, *offset, width);
                    self.target(id, *offset, width)
                }
                None => Piece::Text {
                    text: self.expr(e),
                    width,
                },
            },
            Kind::Const(value) => Piece::Number {
                value: value.clone(),
                width,
            },
            _ => Piece::Text {
                text: self.expr(e),
                width,
            },
        }
    }

    /// Bits of a signal where they are.
    pub fn target(&self, id: SignalId, at: usize, width: usize) -> Piece {
        let place = &self.places[id];
        Piece::Bits {
            place: Place {
                offset: place.offset + at,
                ..place.clone()
            },
            width,
        }
    }

    fn text(&self, e: &Expr) -> Text {
        match &e.kind {
            Kind::Const(value) => atom(number(value, e.ty.width)),
            Kind::Named(name, value) => {
                self.uses
                    .borrow_mut()
                    .constants
                    .insert((name.clone(), e.ty.width, value.clone()));
                atom(name.clone())
            }
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.text(alias),
                None => {
                    self.mark(*id, 0, e.ty.width);
                    atom(self.name(*id))
                }
            },
            Kind::Not(a) if e.ty == Ty::BOOL => self.prefix("!", a),
            Kind::Not(a) => self.prefix("~", a),
            Kind::Neg(a) => self.prefix("-", a),
            Kind::Reduce(op, a) => self.prefix(op, a),
            Kind::Binary(op, a, b) | Kind::Logic(op, a, b) => self.operator(op, a, b),
            Kind::Shift(op, a, b) => self.operator(op, a, b),
            Kind::Compare(op, a, b) => self.compare(op, a, b),
            Kind::Slice(a, offset) => self.slice(a, *offset, e.ty.width),
            Kind::ZeroExtend(a) => {
                let zeros = number(&BigUint::default(), e.ty.width - a.ty.width);
                atom(format!("{{{zeros}, {}}}", self.expr(a)))
            }
            Kind::SignExtend(a) => self.sign_extend(a, e.ty.width),
            Kind::Retype(a) if !e.ty.signed => atom(format!("$unsigned({})", self.expr(a))),
            Kind::Retype(a) => self.text(a),
            Kind::Concat(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.expr(p)).collect();
                atom(format!("{{{}}}", parts.join(", ")))
            }
        }
    }

    fn mark(&self, id: SignalId, from: usize, width: usize) {
        let total = self.symbols.get(id).ty.width;
        let mut uses = self.uses.borrow_mut();
        let bits = uses.bits.entry(id).or_insert_with(|| vec![false; total]);
        bits[from..from + width].fill(true);
    }

    fn prefix(&self, op: &str, a: &Expr) -> Text {
        Text {
            text: format!("{op}{}", self.bare_or_parens(a)),
            binding: Binding::Prefix,
        }
    }

    fn operator(&self, op: &'static str, a: &Expr, b: &Expr) -> Text {
        // Sums and chains of one operator need no parentheses; nothing else goes without them.
        let chain: &[&str] = match op {
            "+" | "-" => &["+", "-"],
            "&" | "|" | "^" | "&&" | "||" => &[op],
            _ => &[],
        };
        let text = format!("{} {op} {}", self.operand(a, chain), self.operand(b, &[]));
        Text {
            text,
            binding: Binding::Operator(op),
        }
    }

    /// The operand of a prefix: two operators side by side could read as one (`^~`).
    fn bare_or_parens(&self, e: &Expr) -> String {
        match self.text(e) {
            Text {
                text,
                binding: Binding::Atom,
            } => text,
            Text { text, .. } => format!("({text})"),
        }
    }

    /// An operand of an operator that may stand bare next to those in `chain`.
    fn operand(&self, e: &Expr, chain: &[&str]) -> String {
        let text = self.text(e);
        match text.binding {
            Binding::Atom => text.text,
            Binding::Operator(op) if chain.contains(&op) => text.text,
            Binding::Prefix if text.text.starts_with(['!', '~']) => text.text,
            _ => format!("({})", text.text),
        }
    }

    fn compare(&self, op: &'static str, a: &Expr, b: &Expr) -> Text {
        let signed = a.ty.signed && !matches!(op, "==" | "!=");
        let side = |e| {
            if signed {
                self.signed_operand(e)
            } else {
                self.operand(e, &[])
            }
        };
        let text = format!("{} {op} {}", side(a), side(b));
        Text {
            text,
            binding: Binding::Operator(op),
        }
    }

    /// Text that Verilog takes for signed: a signed signal by its name, all else by `$signed`.
    fn signed_operand(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Signal(id) if self.is_signed_name(*id) => self.expr(e),
            Kind::Const(value) if value.bit(e.ty.width as u64 - 1) => {
                let magnitude = (super::ir::mask(e.ty.width) + 1u8) - value;
                format!("-{}", number(&magnitude, e.ty.width).replace('\'', "'s"))
            }
            Kind::Const(value) => number(value, e.ty.width).replace('\'', "'s"),
            _ => format!("$signed({})", self.expr(e)),
        }
    }

    /// Whether a signal's text is a name that was declared signed; vectors and their parts are unsigned.
    fn is_signed_name(&self, id: SignalId) -> bool {
        let ty = self.symbols.get(id).ty;
        !self.aliases.contains_key(&id) && ty.signed && self.places[id].total == ty.width
    }

    /// A signal that can be indexed by its name; a one-bit signal can not.
    fn plain<'e>(&'e self, e: &'e Expr) -> Option<SignalId> {
        match &e.kind {
            Kind::Signal(id) => match self.aliases.get(id) {
                Some(alias) => self.plain(alias),
                None => Some(*id).filter(|_| e.ty.width > 1),
            },
            Kind::Retype(inner) => self.plain(inner),
            _ => None,
        }
    }

    fn slice(&self, a: &Expr, offset: usize, width: usize) -> Text {
        if width == a.ty.width {
            return self.text(a);
        }
        if let Some(value) = a.value() {
            return atom(number(&((value >> offset) & super::ir::mask(width)), width));
        }
        match self.plain(a) {
            Some(id) => {
                self.mark(id, offset, width);
                atom(self.places[id].part(offset, width))
            }
            None => {
                let name = format!("bits_{}_{offset}_of_{}", offset + width - 1, a.ty.width);
                let body = slice_function(&name, offset, width, a.ty.width);
                self.call(name, body, a)
            }
        }
    }

    fn sign_extend(&self, a: &Expr, width: usize) -> Text {
        let (from, extra) = (a.ty.width, width - a.ty.width);
        if let Some(value) = Expr::new(Kind::SignExtend(Box::new(a.clone())), Ty::signed(width)).value() {
            return atom(number(&value, width));
        }
        if let Some(id) = self.plain(a) {
            self.mark(id, 0, from);
            let (name, sign) = (self.name(id), self.places[id].part(from - 1, 1));
            return atom(format!("{{{{{extra}{{{sign}}}}}, {name}}}"));
        }
        let name = format!("sign_extend_{from}_{width}");
        let body = format!(
            "    function [{}:0] {name}(input {}value);\n        {name} = {{{{{extra}{{value{}}}}}, value}};\n    endfunction\n",
            width - 1,
            dimension(from),
            if from == 1 { String::new() } else { format!("[{}]", from - 1) },
        );
        self.call(name, body, a)
    }

    fn call(&self, name: String, body: String, argument: &Expr) -> Text {
        let text = format!("{name}({})", self.expr(argument));
        self.uses.borrow_mut().functions.insert(name, body);
        atom(text)
    }

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

    /// The names of functions and constants that the text uses.
    pub fn globals(&self) -> Vec<String> {
        let uses = self.uses.borrow();
        uses.constants
            .iter()
            .map(|(name, ..)| name)
            .chain(uses.functions.keys())
            .cloned()
            .collect()
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
        if !stmts.is_empty() && stmts.iter().all(is_assignment) {
            let lines = self.assignments(stmts);
            let fits = |text: &str| pad.len() + head.len() + 1 + text.len() + note.len() <= LINE_COLUMNS;
            if let [text] = &lines[..] {
                if fits(text) {
                    *out += &format!("{head} {text}{note}\n");
                    return false;
                }
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

/// A sized number: decimal while that is easy to read.
pub fn number(value: &BigUint, width: usize) -> String {
    match (width, value.bits() <= 10) {
        (1, _) => format!("1'b{value}"),
        (_, true) => format!("{width}'d{value}"),
        (_, false) => format!("{width}'h{value:x}"),
    }
}

pub fn range(offset: usize, width: usize) -> String {
    match width {
        1 => format!("[{offset}]"),
        _ => format!("[{}:{offset}]", offset + width - 1),
    }
}

/// The dimension of a declaration with a blank behind it; none for a single bit.
pub fn dimension(width: usize) -> String {
    match width {
        1 => String::new(),
        _ => format!("[{}:0] ", width - 1),
    }
}

/// The longest line of a list.
pub const LINE_COLUMNS: usize = 120;

/// Lists items with commas, as many on a line as fit, each line behind `indent` blanks.
pub fn fill(items: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut lines: Vec<String> = vec![];
    for item in items {
        match lines.last_mut() {
            // A comma or the closing bracket still has to fit.
            Some(line) if line.len() + 3 + item.len() <= LINE_COLUMNS => *line += &format!(", {item}"),
            _ => lines.extend(broken(&format!("{pad}{item}"), indent + 4)),
        }
    }
    lines.join(",\n")
}

/// A line, in several if it is too long: broken behind commas, which are left away, the later ones behind `indent` blanks.
fn broken(line: &str, indent: usize) -> Vec<String> {
    let mut lines = vec![];
    let mut rest = line.to_owned();
    while rest.len() + 1 > LINE_COLUMNS {
        let Some(at) = rest[..LINE_COLUMNS]
            .rfind(", ")
            .filter(|at| !rest[..*at].trim().is_empty())
        else {
            break;
        };
        lines.push(rest[..at].to_owned());
        rest = format!("{}{}", " ".repeat(indent), &rest[at + 2..]);
    }
    lines.push(rest);
    lines
}

/// Short statements, as many on a line as fit.
pub fn fill_statements(items: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut lines: Vec<String> = vec![];
    for item in items {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + item.len() <= LINE_COLUMNS => *line += &format!(" {item}"),
            _ => lines.push(format!("{pad}{item}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Reads what nothing else reads, so that lint tools report only what is new.
pub fn unused_wire(parts: &[String]) -> String {
    let line = format!("    wire unused = &{{1'b0, {}}};\n", parts.join(", "));
    match line.len() <= LINE_COLUMNS {
        true => line,
        false => format!("    wire unused = &{{1'b0,\n{}}};\n", fill(parts, 8)),
    }
}

/// Neighbours of one kind as one declaration each: `input  wire [7:0] a, b`.
pub fn declare(items: &[(String, String)]) -> Vec<String> {
    let groups = items.chunk_by(|(a, _), (b, _)| a == b);
    groups
        .flat_map(|group| {
            let names: Vec<_> = group.iter().map(|(_, name)| name.clone()).collect();
            let kind = &group[0].0;
            let lines = fill(&names, 4 + kind.len());
            let lines: Vec<_> = lines
                .split(",\n")
                .map(str::trim_start)
                .map(str::to_owned)
                .collect();
            lines.into_iter().map(move |names| format!("    {kind}{names}"))
        })
        .collect()
}

/// A function that cuts a part out of an expression. The rest gets a name that tells lint tools
/// that it is unused on purpose.
fn slice_function(name: &str, offset: usize, width: usize, from: usize) -> String {
    let above = from - offset - width;
    let mut parts = vec![name];
    let mut regs = String::new();
    if above > 0 {
        parts.insert(0, "unused_high");
        regs += &format!("        reg {}unused_high;\n", dimension(above));
    }
    if offset > 0 {
        parts.push("unused_low");
        regs += &format!("        reg {}unused_low;\n", dimension(offset));
    }
    format!(
        "    function {}{name}(input {}value);\n{regs}        {{{}}} = value;\n    endfunction\n",
        dimension(width),
        dimension(from),
        parts.join(", ")
    )
}
