//! Leaf cells: blocks whose Verilog was written by hand.
//!
//! The text of a `Verilog::Custom` cell becomes the body of a module with the cell's ports. In it
//! - the ports `lanes$0`, `lanes$1`, .. are one vector `lanes`, the first in its lowest bits,
//! - an output that the text assigns in an `always` or `initial` block is declared `output reg`, one
//!   that it drives by `assign` or connects to an instance is a wire,
//! - a port that would be a keyword gets an underscore: `release` is called `release_`,
//! - a first line `// module: NAME` names the module; `// module: NAME #(WIDTH = 8)` gives it parameters, so that cells that differ
//!   only in them share one module. A line `// port: [WIDTH-1:0] d, q` behind it says which ports' widths follow a parameter,
//! - words that are keywords of SystemVerilog are refused, as many tools read every file as that.
//!
//! rust-hdl's `DFF` is recognised and becomes a register of the module that uses it.

use super::elaborate::Scope;
use super::module::PortLine;
use super::names::is_system_verilog;
use super::text::{fill_statements, is_simple_assignment, laid_out, statements};
use num_bigint::BigUint;
use rust_hdl::prelude::*;

/// A hand-written text, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell<'t> {
    pub name: Option<String>,
    /// Parameters with the values of this cell.
    pub parameters: Vec<(&'t str, &'t str)>,
    /// Ports whose width a parameter or a product of parameters gives, with that.
    widths: Vec<(&'t str, &'t str)>,
    pub body: &'t str,
}

impl<'t> Cell<'t> {
    /// A text without a head.
    pub fn plain(body: &'t str) -> Self {
        Cell {
            body,
            ..Cell::default()
        }
    }

    /// Reads the lines `// module:` and `// port:` at the head of a text.
    pub fn of(code: &'t str) -> Self {
        let Some((head, mut body)) = code.trim_start().strip_prefix("// module:").map(first_line) else {
            return Cell {
                body: code,
                ..Cell::default()
            };
        };
        let (name, list) = head.split_once("#(").unwrap_or((head, ""));
        let mut cell = Cell {
            name: Some(name.trim().to_owned()),
            parameters: list
                .trim_end()
                .trim_end_matches(')')
                .split(',')
                .filter_map(assigned)
                .collect(),
            ..Cell::default()
        };
        while let Some((line, rest)) = body.strip_prefix("// port: [").map(first_line) {
            let (width, names) = line.split_once("-1:0]").unwrap_or((line, ""));
            cell.widths
                .extend(names.split(',').map(|name| (name.trim(), width)));
            body = rest;
        }
        cell.body = body;
        cell
    }

    /// The dimension of a port whose width is a parameter, where the text says so.
    pub fn shape(&self, port: &PortLine) -> Result<Option<String>, String> {
        let name = &port.place.name;
        let Some((_, width)) = self.widths.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let unsigned = !port.atom.ty.signed || port.place.total > port.atom.ty.width;
        match self.product(width) {
            Some(value) if value == port.place.total && unsigned => Ok(Some(format!("[{width}-1:0] "))),
            _ => Err(format!(
                "its port `{name}` is not as wide as the parameter `{width}`"
            )),
        }
    }

    /// The value of a product of parameters, such as `GROUPS*WIDTH`.
    fn product(&self, text: &str) -> Option<usize> {
        let value = |factor: &str| {
            let (_, value) = self.parameters.iter().find(|(name, _)| *name == factor)?;
            value.parse::<usize>().ok()
        };
        text.split('*').map(value).product()
    }

    /// ` #(parameter WIDTH = 8)`, or nothing.
    pub fn declaration(&self) -> String {
        self.list(|name, value| format!("parameter {name} = {value}"))
    }

    /// ` #(.WIDTH(8))`, or nothing.
    pub fn values(&self) -> String {
        self.list(|name, value| format!(".{name}({value})"))
    }

    fn list(&self, item: impl Fn(&str, &str) -> String) -> String {
        let items: Vec<_> = self
            .parameters
            .iter()
            .map(|(name, value)| item(name, value))
            .collect();
        match items.is_empty() {
            true => String::new(),
            false => format!(" #({})", items.join(", ")),
        }
    }
}

fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

fn assigned(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim(), value.trim()))
}

/// The text inside of a module: indented by four blanks a level instead of two, without blank lines at its ends and never two in a row,
/// tabs as two levels, simple assignments as many on a line as fit.
pub fn tidy(code: &str) -> String {
    let mut out = String::new();
    let mut assignments: Vec<String> = vec![];
    let mut indent = 0;
    for line in code.trim().lines().map(|l| l.trim_end().replace('\t', "    ")) {
        let text = line.trim_start();
        let depth = 4 + 2 * (line.len() - text.len());
        let simple = statements(text).all(is_simple_assignment) && !text.is_empty();
        if depth != indent || !simple {
            out += &fill_statements(&std::mem::take(&mut assignments), indent);
            indent = depth;
        }
        if simple {
            assignments.extend(statements(text).map(str::to_owned));
        } else if text.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        } else if !text.is_empty() {
            out += &format!("{}{text}\n", " ".repeat(depth));
        }
    }
    laid_out(&(out + &fill_statements(&assignments, indent)))
}

/// The initial value of a block that is rust-hdl's D flip-flop: `q <= d` at the rising edge.
pub fn flip_flop(scope: &Scope) -> Option<BigUint> {
    let Verilog::Custom(code) = &scope.code else {
        return None;
    };
    let mut ports: Vec<_> = scope.atoms.iter().map(|a| a.path.as_str()).collect();
    ports.sort_unstable();
    let words: Vec<_> = code.split_whitespace().collect();
    let text = words.join(" ");
    let initial = text.strip_prefix("initial begin q = ")?;
    let initial = initial.strip_suffix("; end always @(posedge clock) begin q <= d; end")?;
    let matches = ports == ["clock", "d", "q"] && scope.children.is_empty();
    let digits = initial.split_once("'h").map(|(_, digits)| digits)?;
    BigUint::parse_bytes(digits.as_bytes(), 16).filter(|_| matches)
}

/// Whether the text drives this output from a procedural block.
pub fn is_procedural(code: &str, name: &str) -> Result<bool, String> {
    let tokens = tokens(code);
    if in_assigned_concatenation(&tokens, name) {
        return Ok(false);
    }
    let mut procedural = false;
    for (at, token) in tokens.iter().enumerate() {
        if *token != name {
            continue;
        }
        let before = at.checked_sub(1).map_or("", |i| tokens[i]);
        if before == "assign" || (before == "(" && at >= 3 && tokens[at - 3] == ".") {
            return Ok(false);
        }
        let after = after_index(&tokens, at + 1);
        let starts_statement = matches!(
            before,
            "begin" | ";" | ")" | "else" | ":" | "" | "end" | "initial"
        );
        procedural |= starts_statement && matches!(after, "=" | "<=");
    }
    match procedural {
        true => Ok(true),
        false => Err(format!("its text never drives the output `{name}`")),
    }
}

/// A word of the text that SystemVerilog takes for a keyword.
pub fn system_verilog_word(code: &str) -> Option<&str> {
    let tokens = tokens(code);
    let quoted = |at: usize| at > 0 && tokens[at - 1] == "\"";
    let found = (0..tokens.len()).find(|at| is_system_verilog(tokens[*at]) && !quoted(*at));
    found.map(|at| tokens[at])
}

/// Whether the text has `assign {.., name, ..} = ..`.
fn in_assigned_concatenation(tokens: &[&str], name: &str) -> bool {
    let starts = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == ["assign", "{"]);
    starts
        .map(|(at, _)| tokens[at + 2..].iter().take_while(|token| **token != "}"))
        .any(|mut list| list.any(|token| *token == name))
}

/// The token behind any `[...]` that starts at `at`.
fn after_index<'t>(tokens: &[&'t str], mut at: usize) -> &'t str {
    while tokens.get(at) == Some(&"[") {
        at += tokens[at..].iter().position(|t| *t == "]").unwrap_or(0) + 1;
    }
    tokens.get(at).copied().unwrap_or("")
}

/// Splits Verilog into words, `<=`, `==` and single characters; comments are dropped.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = vec![];
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or("");
        let mut rest = line.trim_start();
        while let Some(head) = rest.chars().next() {
            let length = match head {
                c if c.is_ascii_alphanumeric() || c == '_' || c == '$' => word_length(rest),
                _ if ["<=", "==", ">=", "!="].iter().any(|op| rest.starts_with(op)) => 2,
                c => c.len_utf8(),
            };
            tokens.push(&rest[..length]);
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verilog::elaborate::elaborate;
    use crate::verilog::module::ports;

    /// The shape of a byte-wide port `name`.
    fn shape(cell: &Cell, name: &str) -> Result<Option<String>, String> {
        let scope = elaborate("x", &DFF::<Bits<8>>::default()).unwrap();
        let mut port = ports(scope.atoms.iter()).remove(1);
        port.place.name = name.into();
        cell.shape(&port)
    }

    #[test]
    fn the_flip_flop_of_the_widgets_is_recognised() {
        let zero = Some(BigUint::default());
        assert_eq!(
            flip_flop(&elaborate("x", &DFF::<Bits<8>>::default()).unwrap()),
            zero
        );
        assert_eq!(
            flip_flop(&elaborate("x", &DFF::<Signed<48>>::default()).unwrap()),
            zero
        );
        assert_eq!(
            flip_flop(&elaborate("x", &RAM::<Bits<8>, 4>::default()).unwrap()),
            None
        );
    }

    #[test]
    fn outputs_are_registers_when_a_block_assigns_them() {
        let code = "always @(posedge clock) if (a <= y) begin q <= d; m[3] = 1; end\nassign y = ~a;\nsub i (.o(z)); // w <= 1;";
        assert_eq!(is_procedural(code, "q"), Ok(true));
        assert_eq!(is_procedural(code, "m"), Ok(true));
        assert_eq!(is_procedural(code, "y"), Ok(false));
        assert_eq!(is_procedural(code, "z"), Ok(false));
        assert!(is_procedural(code, "w").is_err());
        assert_eq!(is_procedural("assign {b, a} = x;", "a"), Ok(false));
    }

    #[test]
    fn words_of_system_verilog_are_found() {
        assert_eq!(system_verilog_word("reg inside; // a bit"), Some("inside"));
        assert_eq!(system_verilog_word("(* keep = \"soft\" *) reg x;"), None);
    }

    #[test]
    fn the_first_line_may_name_the_module() {
        let cell = Cell::of("\n// module: Rom_n4\nassign x = 1;");
        assert_eq!(
            (cell.name.as_deref(), cell.body),
            (Some("Rom_n4"), "assign x = 1;")
        );
        assert_eq!(Cell::of("assign x = 1;").name, None);
    }

    #[test]
    fn the_head_may_give_parameters_that_fit_the_ports() {
        let cell =
            Cell::of("// module: Line #(WIDTH = 8, CYCLES = 3)\n// port: [WIDTH-1:0] d, q\nassign q = d;");
        assert_eq!(cell.name.as_deref(), Some("Line"));
        assert_eq!(
            cell.declaration(),
            " #(parameter WIDTH = 8, parameter CYCLES = 3)"
        );
        assert_eq!(cell.values(), " #(.WIDTH(8), .CYCLES(3))");
        assert_eq!(
            (shape(&cell, "q"), cell.body),
            (Ok(Some("[WIDTH-1:0] ".into())), "assign q = d;")
        );
        assert_eq!(shape(&cell, "y"), Ok(None));
        let wrong = Cell::of("// module: Line #(WIDTH = 9)\n// port: [WIDTH-1:0] q\n");
        assert!(shape(&wrong, "q").unwrap_err().contains("`WIDTH`"));
    }

    #[test]
    fn text_takes_the_exporters_form() {
        let code = "initial begin\n  a = 8'd1;\n  t[0] = 4'd2;\n  x = y + z;\nend\n\n\nwire w = a;";
        assert_eq!(
            tidy(code),
            "    initial begin\n        a = 8'd1; t[0] = 4'd2;\n        x = y + z;\n    end\n\n    wire w = a;\n"
        );
    }
}
