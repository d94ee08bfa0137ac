//! What a robot's answer means for the alerts in the message.

use super::Millis;

/// The six meanings of a reply. Which reply means which is decided by the vendor's file in `channel`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The robot took the message.
    Delivered,
    /// Too fast: nothing may be sent to this robot before the given number of milliseconds has passed.
    RateLimited {
        /// The vendor's penalty, from the end of the attempt.
        wait_ms: Millis,
        /// What the robot said, without secrets.
        reason: String,
    },
    /// A passing failure that certainly did not deliver.
    Retry {
        /// What happened, without secrets.
        reason: String,
    },
    /// The robot refuses whatever we send until a person changes something; alerts are kept.
    Misconfigured {
        /// What the robot said, without secrets.
        reason: String,
        /// What to do, in plain words.
        remedy: String,
    },
    /// This content is refused.
    Rejected {
        /// What the robot said, without secrets.
        reason: String,
    },
    /// Nobody knows whether it was delivered: the reply timed out or was cut.
    UnknownOutcome {
        /// What happened, without secrets.
        reason: String,
    },
}

impl Verdict {
    /// The word used in metrics, the API and the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::RateLimited { .. } => "rate_limited",
            Self::Retry { .. } => "retry",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Rejected { .. } => "rejected",
            Self::UnknownOutcome { .. } => "unknown_outcome",
        }
    }

    /// All words of [`Verdict::as_str`], for metrics that start at 0.
    pub const WORDS: [&'static str; 6] =
        ["delivered", "rate_limited", "retry", "misconfigured", "rejected", "unknown_outcome"];

    /// What the robot said or what happened; empty for a delivered message.
    pub fn reason(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::RateLimited { reason, .. }
            | Self::Retry { reason }
            | Self::Misconfigured { reason, .. }
            | Self::Rejected { reason }
            | Self::UnknownOutcome { reason } => reason,
        }
    }

    /// What a person must do, when one must.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Misconfigured { remedy, .. } => remedy,
            _ => "",
        }
    }
}
