//! What the exporter refuses, and how it says so.

use thiserror::Error;

/// Why a circuit cannot be exported. Every variant names the block by its path from the top.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    /// An expression or statement that Verilog cannot express exactly.
    #[error("{block}: cannot export `{expression}`: {reason}")]
    Expression {
        block: String,
        expression: String,
        reason: String,
    },
    /// A block whose ports or structure cannot be exported.
    #[error("{block}: {reason}")]
    Block { block: String, reason: String },
}

/// A refusal inside a kernel, before the block's path is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub expression: String,
    pub reason: String,
}

impl Refusal {
    pub fn new(expression: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            reason: reason.into(),
        }
    }

    pub fn at(self, block: &str) -> ExportError {
        if self.expression.is_empty() {
            return ExportError::Block {
                block: block.to_owned(),
                reason: self.reason,
            };
        }
        ExportError::Expression {
            block: block.to_owned(),
            expression: self.expression,
            reason: self.reason,
        }
    }
}

pub(crate) fn block_error(block: &str, reason: impl Into<String>) -> ExportError {
    ExportError::Block {
        block: block.to_owned(),
        reason: reason.into(),
    }
}
