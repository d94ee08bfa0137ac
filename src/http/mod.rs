//! The HTTP side: our own loop around hyper with every bound that a public port needs, body limits, Basic auth,
//! the one map from errors to statuses, and the frame around the routes.
//!
//! Alertmanager paces nothing: 2,000 groups are 2,000 connections within a second, 1,000 of them stay open for five
//! minutes, and one group can be megabytes. So connections, heads, bodies and answers all have bounds in number,
//! size and time; see [`ListenerConfig`] and [`BodyLimits`].

pub mod api;
mod auth;
mod body;
mod conn;
mod error;
mod frame;
mod listener;
mod metrics;
mod socket;

pub use auth::{Auth, Users, UsersError};
pub use body::{BodyLimits, Permit, read_body};
pub use error::{ErrorKind, HttpError, Params, success};
pub use frame::{assemble, route_prefix};
pub use listener::{ListenerConfig, serve};
pub use metrics::HttpMetrics;
pub use socket::{bind, raise_nofile};

#[cfg(test)]
mod tests;
