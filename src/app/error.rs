//! Why a server did not start, or ended.

use std::fmt;

use crate::config;
use crate::model::Mistake;
use crate::store::StoreError;

/// Why a server did not start, or ended. No text holds a secret.
#[derive(Debug)]
pub enum AppError {
    /// Mistakes in the config or the web config.
    Config(Vec<Mistake>),
    /// The command line asks for something impossible.
    Usage(String),
    /// Everything else.
    Runtime(String),
}

impl AppError {
    /// What the process exits with: 2 for usage and config, 1 for everything else.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Runtime(_) => 1,
        }
    }

    pub(super) fn runtime(error: impl fmt::Display) -> Self {
        Self::Runtime(error.to_string())
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(mistakes) => f.write_str(config::report(mistakes).trim_end()),
            Self::Usage(text) | Self::Runtime(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for AppError {}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::runtime(error)
    }
}

impl From<prometheus::Error> for AppError {
    fn from(error: prometheus::Error) -> Self {
        Self::runtime(error)
    }
}
