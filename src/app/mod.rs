//! Wiring: starts the rooms in order, stops them in reverse, and puts a new config in force.

pub mod build;
mod control;
mod error;
mod lifecycle;
mod metrics;
mod reload;
mod warnings;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Secret;

pub use error::AppError;
pub use lifecycle::App;

/// What the command line says about a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--config.file`.
    pub config_file: PathBuf,
    /// `--config.auto-reload-interval`; zero: off.
    pub reload_interval: Duration,
    /// `--storage.path`. With a database it is the replica's home: what makes it known again after a restart.
    pub storage_path: PathBuf,
    /// The database's URL, from `--storage.url` or `--storage.url-file`; `None`: the embedded store in `storage_path`.
    pub storage_url: Option<Secret>,
    /// `--storage.retention.time`.
    pub retention: Duration,
    /// `--web.listen-address`.
    pub listen: String,
    /// `--web.config.file`.
    pub web_config_file: Option<PathBuf>,
    /// `--web.external-url`.
    pub external_url: Option<url::Url>,
    /// `--web.route-prefix`; empty: the path of the external URL.
    pub route_prefix: String,
    /// `--web.enable-lifecycle`.
    pub lifecycle: bool,
    /// `--web.enable-admin-api`.
    pub admin: bool,
}
