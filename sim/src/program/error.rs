//! Why a program file is refused: one sentence that names the file, the field, what was expected and what was found.

use thiserror::Error;

/// A fault of a program file, and the file.
#[derive(Debug, Error)]
#[error("program '{file}': {fault}")]
pub struct ProgramError {
    /// Path, or `(memory)` for bytes that did not come from a file.
    pub file: String,
    #[source]
    pub fault: Fault,
}

/// What is wrong with a program.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("cannot be {verb}: {source}")]
    Io {
        verb: &'static str,
        source: std::io::Error,
    },
    #[error("{part} is cut off: needs {expected} bytes, but the file has {found}")]
    Truncated {
        part: &'static str,
        expected: u64,
        found: u64,
    },
    #[error("magic is {found:02x?}, expected {expected:02x?}: not a moevit program")]
    Magic { expected: [u8; 8], found: [u8; 8] },
    #[error("format version is {found}, but this program reads version {expected}")]
    Version { expected: u32, found: u32 },
    #[error("{part} has CRC-32 {found:08x}, expected {expected:08x}: the file is damaged")]
    Checksum {
        part: &'static str,
        expected: u32,
        found: u32,
    },
    #[error("{field} is {found}, but must be {expected}")]
    Value {
        field: String,
        expected: String,
        found: String,
    },
    #[error("section {index} has the unknown kind {kind}")]
    UnknownSection { index: usize, kind: u32 },
    #[error("section {name} is missing")]
    MissingSection { name: &'static str },
    #[error("section {name} occurs twice")]
    RepeatedSection { name: &'static str },
    #[error("section {section} is not the JSON that it should be: {source}")]
    Json {
        section: &'static str,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Config(#[from] moevit_hw::config::ConfigError),
    #[error("configuration cannot be written as TOML: {0}")]
    ConfigText(#[from] toml::ser::Error),
    #[error("command {index}: {source}")]
    Command {
        index: usize,
        source: moevit_hw::control::command::CommandError,
    },
}

impl Fault {
    /// `field` is `found`, but must be `expected`.
    pub(super) fn value(field: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Fault::Value {
            field: field.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub(super) fn of(self, file: &str) -> ProgramError {
        ProgramError {
            file: file.into(),
            fault: self,
        }
    }
}
