//! Why a model is not compiled: one sentence that names what does not fit or what is not understood.

use moevit_hw::control::command::CommandError;
use thiserror::Error;

/// Why a model is not compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    #[error("{what} needs {needed} {unit} of {buffer}, but configuration '{config}' has {available}")]
    Capacity {
        what: String,
        buffer: &'static str,
        unit: &'static str,
        needed: usize,
        available: usize,
        config: String,
    },
    #[error("{what} is {value}, but {rule}")]
    Unsupported {
        what: String,
        value: String,
        rule: String,
    },
    #[error("command {index} ({label}): {source}")]
    Command {
        index: usize,
        label: String,
        source: CommandError,
    },
    #[error("calibration: {0}")]
    Calibration(String),
    #[error("{layer}: {sentence}")]
    Numbers { layer: String, sentence: String },
    #[error("the model does not belong to the architecture: {0}")]
    Model(String),
    #[error(transparent)]
    Program(#[from] crate::program::ProgramError),
    #[error(transparent)]
    Config(#[from] moevit_hw::config::ConfigError),
}

impl CompileError {
    /// `what` is `value`, but `rule`.
    pub(super) fn unsupported(
        what: impl Into<String>,
        value: impl ToString,
        rule: impl Into<String>,
    ) -> Self {
        CompileError::Unsupported {
            what: what.into(),
            value: value.to_string(),
            rule: rule.into(),
        }
    }

    /// `layer`: `sentence`.
    pub(super) fn numbers(layer: impl Into<String>, sentence: impl Into<String>) -> Self {
        CompileError::Numbers {
            layer: layer.into(),
            sentence: sentence.into(),
        }
    }
}
