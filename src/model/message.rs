//! A message on its way to a chat, and what it told.

use std::fmt;

use super::{Fingerprint, How, Labels, Layout, Mentions, Millis, Status};

/// 128 random bits in 32 lower-case hexadecimal digits: names a message, its page `/m/{id}`, and DingTalk's `msgUuid`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MessageId(String);

impl MessageId {
    /// From 16 random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            // Writing to a String can not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Reads the 32 digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == 32 && hex).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of message it was, as metrics and the API name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One group's news.
    Single,
    /// Everything untold at once.
    Digest,
    /// Plain text without markup, after the robot refused the full form; also notices about refused alerts.
    Plain,
}

impl Kind {
    /// The word used in metrics, the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Digest => "digest",
            Self::Plain => "plain",
        }
    }

    /// All kinds, for metrics that start at 0.
    pub const ALL: [Self; 3] = [Self::Single, Self::Digest, Self::Plain];

    /// Reads [`Kind::as_str`]'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a message looks at a glance: the colour of a card's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Somebody must get up.
    Red,
    /// It can wait a little.
    Orange,
    /// Good to know.
    Blue,
    /// It is over.
    Green,
    /// About alarmbell itself, or a reminder.
    Grey,
}

/// A message before it has its vendor's JSON form.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// One line of plain text: push preview (DingTalk), card head (Feishu), first line (WeCom).
    pub title: String,
    /// The body in the vendor's own markdown, or plain text when `plain`. Mention text and keywords are in it.
    pub body: String,
    /// Plain text message instead of markdown or a card.
    pub plain: bool,
    /// In which of the vendor's message types it leaves; means nothing when `plain`.
    pub layout: Layout,
    /// Colour of the head where the vendor has one.
    pub tone: Tone,
    /// Short facts as name and value, both plain text of one line, for layouts that show them beside the body
    /// ([`Layout::has_facts`]); else empty.
    pub facts: Vec<(String, String)>,
    /// Named links for layouts that have buttons ([`Layout::has_buttons`]); others have them in the body.
    pub links: Vec<(String, String)>,
    /// Lines folded away where the vendor can fold (Feishu); else empty. Vendor markdown.
    pub folded: Option<(String, String)>,
    /// Whom it calls.
    pub mentions: Mentions,
}

impl Draft {
    /// A plain text message.
    pub fn plain(title: String, body: String, tone: Tone, mentions: Mentions) -> Self {
        let (facts, links) = (Vec::new(), Vec::new());
        Self { title, body, plain: true, layout: Layout::Markdown, tone, facts, links, folded: None, mentions }
    }
}

/// One alert that a message told: what `/m/{id}` and the API show of it later.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct ToldAlert {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// Its state as told.
    pub status: Status,
    /// By name or in a number.
    pub how: How,
    /// Severity level's name.
    pub severity: String,
    /// Its labels.
    pub labels: Labels,
    /// Its `summary`, `description` or `message` annotation, cut to 1,000 characters.
    pub summary: String,
    /// When it began; 0 when not known.
    pub starts_ms: Millis,
    /// When it ended; 0 while it fires.
    pub ends_ms: Millis,
}
