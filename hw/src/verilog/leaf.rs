//! Leaf cells: blocks whose Verilog was written by hand.
//!
//! The text of a `Verilog::Custom` cell becomes the body of a module with the cell's ports. In it
//! - a vector port `lanes$0` is called `lanes_0`,
//! - an output that the text assigns in an `always` or `initial` block is declared `output reg`, one
//!   that it drives by `assign` or connects to an instance is a wire,
//! - a port that would be a keyword gets an underscore: `release` is called `release_`,
//! - a first line `// module: NAME` names the module,
//! - words that are keywords of SystemVerilog are refused, as many tools read every file as that.
//!
//! rust-hdl's `DFF` is recognised and becomes a register of the module that uses it.

use super::elaborate::{AtomInfo, Scope};
use super::names::{is_system_verilog, verilog_name};
use num_bigint::BigUint;
use rust_hdl::prelude::*;

/// The module name that a cell's text asks for, and the text without that line.
pub fn split_hint(code: &str) -> (Option<String>, &str) {
    let trimmed = code.trim_start();
    match trimmed.strip_prefix("// module:") {
        Some(rest) => {
            let (name, body) = rest.split_once('\n').unwrap_or((rest, ""));
            (Some(name.trim().to_owned()), body)
        }
        None => (None, code),
    }
}

/// The text without blank lines at its ends and never two in a row, tabs as four blanks.
pub fn tidy(code: &str) -> String {
    let mut out = String::new();
    for line in code.trim().lines().map(|l| l.trim_end().replace('\t', "    ")) {
        if !(line.is_empty() && out.ends_with("\n\n")) {
            out += &format!("{line}\n");
        }
    }
    out
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
pub fn is_procedural(code: &str, output: &AtomInfo) -> Result<bool, String> {
    let name = verilog_name(&output.path);
    let tokens = tokens(code);
    if in_assigned_concatenation(&tokens, &name) {
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

    fn output(name: &str) -> AtomInfo {
        let scope = elaborate("x", &DFF::<Bits<8>>::default()).unwrap();
        AtomInfo {
            path: name.into(),
            ..scope.atoms[1].clone()
        }
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
        assert_eq!(is_procedural(code, &output("q")), Ok(true));
        assert_eq!(is_procedural(code, &output("m")), Ok(true));
        assert_eq!(is_procedural(code, &output("y")), Ok(false));
        assert_eq!(is_procedural(code, &output("z")), Ok(false));
        assert!(is_procedural(code, &output("w")).is_err());
        assert_eq!(is_procedural("assign {b, a} = x;", &output("a")), Ok(false));
    }

    #[test]
    fn words_of_system_verilog_are_found() {
        assert_eq!(system_verilog_word("reg inside; // a bit"), Some("inside"));
        assert_eq!(system_verilog_word("(* keep = \"soft\" *) reg x;"), None);
    }

    #[test]
    fn the_first_line_may_name_the_module() {
        assert_eq!(
            split_hint("\n// module: Rom_n4\nassign x = 1;"),
            (Some("Rom_n4".into()), "assign x = 1;")
        );
        assert_eq!(split_hint("assign x = 1;").0, None);
    }
}
