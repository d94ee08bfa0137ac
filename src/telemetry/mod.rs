//! Logs without secrets, and metrics of the process itself.

mod logs;
mod metrics;
mod redact;

pub use logs::{Format, FormatError, LevelError, init, level};
pub use metrics::{ProcessMetrics, build_info};
pub use redact::redact;
