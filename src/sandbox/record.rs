//! What a robot remembers of its calls: messages for people, one narrow line per request for drills.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::vendor::Mentioned;
use super::window::WindowStat;

/// One message, shown or refused.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Record {
    /// Number of the request, counted over the whole sandbox from 1.
    pub seq: u64,
    /// When it arrived: RFC 3339 with milliseconds, UTC.
    pub at: String,
    /// The same in milliseconds since the epoch.
    pub at_ms: i64,
    /// Whether the chat shows it.
    pub accepted: bool,
    /// Number of the check that refused it (facts page, section 8); 0 when none did, or a fault answered.
    pub step: u8,
    /// The vendor's code in the answer; 0 is success. For a fault without a vendor's code, the HTTP status or 0.
    pub code: i64,
    /// The vendor's text in the answer.
    pub errmsg: String,
    /// The same in plain words; empty when accepted.
    pub reason: String,
    /// The fault that was applied, or empty.
    pub fault: &'static str,
    /// The message's type as sent; empty when it could not be read.
    pub msgtype: String,
    /// The line that a chat list or push shows.
    pub title: String,
    /// The text in the vendor's markup.
    pub text: String,
    /// Whom it calls.
    pub mentions: Mentioned,
    /// Bytes used of the limited field (WeCom: the content; else the whole body).
    pub bytes: usize,
    /// The most bytes it may have; 0 when not judged.
    pub limit: usize,
    /// What the vendor ignores but a client should know.
    pub warnings: Vec<String>,
    /// DingTalk's `msgUuid`, or empty.
    pub msg_uuid: String,
    /// The body as it came; refused ones are cut to 32 KiB.
    #[serde(serialize_with = "as_json")]
    pub raw: String,
}

impl Record {
    /// About how much memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        512 + self.raw.len() + self.text.len() + self.title.len() + self.errmsg.len() + self.reason.len()
    }
}

/// A JSON body as JSON, anything else as a string.
fn as_json<S: serde::Serializer>(raw: &str, to: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<Value>(raw) {
        Ok(value) => value.serialize(to),
        Err(_) => raw.serialize(to),
    }
}

/// One request in a narrow form: every request has one, up to the last 200,000 per robot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RequestLine {
    /// Number of the request, counted over the whole sandbox from 1.
    pub seq: u64,
    /// When it arrived, milliseconds since the epoch (wall clock).
    pub at_ms: i64,
    /// When it arrived, microseconds of the sandbox's monotonic clock: for rates.
    pub mono_us: u64,
    /// Whether it was accepted (a duplicate is).
    pub accepted: bool,
    /// Whether it repeated a `msgUuid`, so that nothing new was shown.
    pub duplicate: bool,
    /// Number of the check that refused it.
    pub step: u8,
    /// The vendor's code.
    pub code: i64,
    /// The fault that was applied, or empty.
    pub fault: &'static str,
    /// Bytes of the body.
    pub bytes: usize,
    /// FNV-1a 64 of the message's title and text (of the body when refused), in hexadecimal: same words, same hash.
    pub hash: String,
}

/// Counts of one robot since it was made or cleared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stats {
    /// Requests that named this robot.
    pub requests: u64,
    /// Messages that were shown.
    pub accepted: u64,
    /// Accepted repeats of a `msgUuid`, not shown again.
    pub duplicates: u64,
    /// Refused messages by the vendor's code.
    pub refused: BTreeMap<String, u64>,
    /// Faults applied, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How full each limit's fullest window was.
    pub windows: Vec<WindowStat>,
}

impl Stats {
    /// All refused messages.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}
