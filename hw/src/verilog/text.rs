//! Pieces of Verilog text: numbers, ranges, and lists that fill lines.

use num_bigint::BigUint;

/// The longest line of a list.
pub const LINE_COLUMNS: usize = 120;

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

/// The text with short blocks on one line, and lines that are too long broken behind operators.
pub fn laid_out(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < lines.len() {
        let block = short_block(&lines[at..]);
        at += if block.is_some() { 3 } else { 1 };
        out += &block.unwrap_or_else(|| wrapped(lines[at - 1]));
        out.push('\n');
    }
    out
}

/// The first three lines as one, if they are a block of a few simple assignments.
fn short_block(lines: &[&str]) -> Option<String> {
    let [head, body, end, ..] = lines else { return None };
    let is_block = head.ends_with(" begin") && !head.trim_start().starts_with("end") && end.trim() == "end";
    let line = format!("{head} {} end", body.trim());
    let short = is_block && line.len() <= LINE_COLUMNS && statements(body).all(is_simple_assignment);
    short.then_some(line)
}

/// The statements of a line.
pub fn statements(line: &str) -> impl Iterator<Item = &str> {
    line.trim().split_inclusive(';').map(str::trim)
}

fn wrapped(line: &str) -> String {
    let indent = line.len() - line.trim_start().len() + 4;
    let (mut lines, mut rest) = (vec![], line.to_owned());
    while rest.len() > LINE_COLUMNS && !rest.trim_start().starts_with("//") {
        let Some(at) = best_break(&rest) else { break };
        lines.push(rest[..at].trim_end().to_owned());
        rest = format!("{}{}", " ".repeat(indent), &rest[at..]);
    }
    lines.push(rest);
    lines.join("\n")
}

/// Where a line that is too long is best broken: in its second half, behind an operator in as few brackets as possible.
fn best_break(line: &str) -> Option<usize> {
    let mut depth = 0;
    let mut best = None;
    let mut word = 0;
    for (at, c) in line[..LINE_COLUMNS].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ' ' => {
                let ends = ["&", "|", "^", "+", "-", "?", ":"].contains(&&line[word..at])
                    || line[..at].ends_with(',');
                if ends && at > LINE_COLUMNS / 2 && best.is_none_or(|(least, _)| depth <= least) {
                    best = Some((depth, at + 1));
                }
                word = at + 1;
            }
            _ => {}
        }
    }
    best.map(|(_, at)| at)
}

/// Whether a statement only sets something to a number, or a register to the next value that is called after it.
pub fn is_simple_assignment(text: &str) -> bool {
    let Some(statement) = text.strip_suffix(';') else {
        return false;
    };
    let words: Vec<_> = statement.split(' ').collect();
    let [target, "=" | "<=", value] = words[..] else {
        return false;
    };
    let is_number = value.starts_with(|c: char| c.is_ascii_digit() || c == '{') && !value.contains('(');
    is_number || value.strip_suffix("_next") == Some(target)
}

/// A sentence as a comment, broken between words.
pub fn comment(text: &str) -> String {
    let mut lines = vec![String::from("//")];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it starts with one");
        match line.len() + 1 + word.len() <= LINE_COLUMNS {
            true => *line += &format!(" {word}"),
            false => lines.push(format!("// {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The names in an expression's text.
pub fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_$'".contains(c);
    let words = text.split(move |c| !inside(c));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_names() {
        let names: Vec<_> = identifiers("{2'd0, d0[3:1]} + bits_1(x_1 & 8'hff)").collect();
        assert_eq!(names, ["d0", "bits_1", "x_1"]);
    }

    #[test]
    fn long_lines_break_outside_of_brackets() {
        let term = |n: usize| format!("(request_{n} & ready_{n} & enabled_{n})");
        let line = format!(
            "    assign any = {};",
            (1..=6).map(term).collect::<Vec<_>>().join(" | ")
        );
        let text = laid_out(&line);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines.len() > 1 && lines.iter().all(|line| line.len() <= LINE_COLUMNS),
            "{text}"
        );
        assert!(
            lines[0].ends_with(") |") && lines[1].starts_with("        (request_"),
            "{text}"
        );
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            line.split_whitespace().collect::<Vec<_>>()
        );
    }

    #[test]
    fn short_blocks_take_one_line() {
        let block = |body: &str| format!("    if (c) begin\n        {body}\n    end\n");
        assert_eq!(
            laid_out(&block("a <= 1'b0; b <= b_next;")),
            "    if (c) begin a <= 1'b0; b <= b_next; end\n"
        );
        for body in ["a <= b + c;", "a <= b;", "if (d) a <= 1'b0;", "// a = b"] {
            assert_eq!(laid_out(&block(body)), block(body));
        }
        let chain = "    if (c) begin\n        a <= b;\n    end else begin\n        a <= d;\n    end\n";
        assert_eq!(laid_out(chain), chain);
    }
}
