//! Wiring: starts the rooms in order, stops them in reverse, and puts a new config in force.

/// What the command line says about a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--config.file`.
    pub config_file: std::path::PathBuf,
}
