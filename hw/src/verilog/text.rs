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
