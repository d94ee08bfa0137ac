//! The narrow row that says: this bot must be told this state of this alert.

use super::{Fingerprint, Status};

/// Milliseconds since the Unix epoch; 0 means "not known".
pub type Millis = i64;

/// Hash of what makes a group for one bot: endpoint, source and groupKey, or a policy's own `group_by`.
pub type GroupId = u64;

/// Facts about the body a head came from that matter for merging.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeadFlags(pub u8);

impl HeadFlags {
    /// The body's `notification_reason` was `repeat interval elapsed`: it repeats only another one of those.
    pub const REPEAT: u8 = 1;
    /// The bot has `send_resolved: false`: the resolve is noted and never told.
    pub const SILENT: u8 = 2;
    /// The body had `truncatedAlerts` > 0: an absent alert says nothing, and the group may not be clear.
    pub const TRUNCATED: u8 = 4;
    /// A dead letter that an admin replays: never taken for a repeat.
    pub const REPLAY: u8 = 8;

    /// Whether the flag is set.
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// One accepted alert state for one bot. `pos` counts up by one per bot, in acceptance order, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Position in this bot's sequence, from 1.
    pub pos: i64,
    /// The stored body it came from.
    pub body: i64,
    /// Index of the alert inside the body's `alerts`.
    pub idx: u32,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// Which group, for this bot.
    pub group: GroupId,
    /// Firing or resolved.
    pub status: Status,
    /// Index into the configured severity levels, 0 the most urgent.
    pub severity: u8,
    /// See [`HeadFlags`].
    pub flags: HeadFlags,
    /// The alert's `startsAt`.
    pub starts_ms: Millis,
    /// The alert's `endsAt`; 0 while it fires.
    pub ends_ms: Millis,
    /// When the body was accepted (wall clock).
    pub accepted_ms: Millis,
    /// Interned text that says by which policies it came here; see [`via_text`].
    pub via: u32,
}

/// How an alert was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// By name.
    Named,
    /// In a number.
    Counted,
}

impl How {
    /// The word used in metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Counted => "counted",
        }
    }
}

/// Among the names of a `via`: the webhook named a bot or contact group that does not exist. Without that name, since
/// anybody can make up names.
pub const UNKNOWN_RECEIVER: &str = "unknown-receiver";

/// Before a bot's name among the names of a `via`: that bot's robots fail, and another one speaks for it.
pub const FALLBACK: &str = "fallback:";

/// Joins the names of the routes that led an alert to a bot (`policy:NAME`, `group:NAME`, `bot:NAME`, `default`).
pub fn via_text<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join("\n")
}

/// Splits what [`via_text`] joined.
pub fn via_names(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').filter(|name| !name.is_empty())
}
