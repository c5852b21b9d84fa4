//! Why the accelerator stopped: the codes in the status register.

/// A reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    IllegalCommand = 1,
    ReadError = 2,
    WriteError = 3,
    Watchdog = 4,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 4] = [
        ErrorCode::IllegalCommand,
        ErrorCode::ReadError,
        ErrorCode::WriteError,
        ErrorCode::Watchdog,
    ];

    /// What the user reads.
    pub fn sentence(self) -> &'static str {
        match self {
            ErrorCode::IllegalCommand => "illegal command",
            ErrorCode::ReadError => "the bus answered a read with an error",
            ErrorCode::WriteError => "the bus answered a write with an error",
            ErrorCode::Watchdog => "no progress for the watchdog's limit",
        }
    }

    /// The code with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u32 == number)
    }
}
