//! Pure data that every room may use; it imports no other room.
//!
//! Words are the field's: an [`Alert`] has a [`Fingerprint`] over its [`Labels`]; Alertmanager sends it in a
//! [`Notification`] of a group; a *bot* is one chat's configured destination and a *robot* is one webhook URL of it.

mod alert;
mod change;
mod dialect;
mod head;
mod labels;
mod matcher;
mod message;
mod mistake;
mod secret;
mod severity;
mod storm;
mod verdict;
mod webhook;

pub use alert::{Alert, Status};
pub use change::Change;
pub use dialect::{BotKind, Contact, Dialect, Lang, Layout, Mentions, Shape};
pub use head::{FALLBACK, GroupId, Head, HeadFlags, How, Millis, UNKNOWN_RECEIVER, via_names, via_text};
pub use labels::{Fingerprint, Labels, fnv1a};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use message::{Draft, Kind, MessageId, ToldAlert, Tone};
pub use mistake::{Mistake, Place};
pub use secret::Secret;
pub use severity::Severities;
pub use storm::StormState;
pub use verdict::Verdict;
pub use webhook::{BodyError, Notification, unescape_receiver};
