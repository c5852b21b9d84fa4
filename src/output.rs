//! Text, JSON and error messages for the user.

use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Prints text; a reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}

/// Prints one JSON object.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a file, making its folder.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// An error and its causes in one sentence; a cause that the sentence already names is not repeated.
pub fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |sentence, cause| {
        let cause = cause.to_string();
        match sentence.as_str() {
            "" => cause,
            known if known.contains(&cause) => sentence,
            known => format!("{known}: {cause}"),
        }
    })
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups.map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// Rows of cells in columns: the first to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell_width =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Builds a table's row.
#[macro_export]
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let inner = std::io::Error::other("disk is on fire");
        let named = anyhow::Error::new(inner).context("cannot read a.png: disk is on fire");
        assert_eq!(sentence(&named), "cannot read a.png: disk is on fire");
        let unnamed = anyhow::anyhow!("no such file").context("cannot open b.png");
        assert_eq!(sentence(&unnamed), "cannot open b.png: no such file");
    }

    #[test]
    fn thousands_are_grouped() {
        let found = [0, 999, 1_000, 17_970_000].map(thousands);
        assert_eq!(found, ["0", "999", "1,000", "17,970,000"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [row!["name", "n"], row!["a", 12_345]];
        assert_eq!(table(&rows), "name      n\na     12345\n");
    }
}
