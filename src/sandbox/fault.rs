//! Faults on demand: what goes wrong between a client and a robot.

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// HTTP 500 with HTML; nothing shown.
    Http500,
    /// HTTP 502 with HTML; nothing shown.
    Http502,
    /// HTTP 503 with HTML; nothing shown.
    Http503,
    /// HTTP 504 with HTML; nothing shown.
    Http504,
    /// HTTP 429 with HTML; nothing shown.
    Http429,
    /// Judged and shown as always, but no answer ever comes.
    Timeout,
    /// Nothing shown, and no answer ever comes.
    TimeoutBefore,
    /// The connection closes before the message was taken; nothing shown.
    CutBefore,
    /// Judged and shown as always, then the connection closes without an answer.
    CutAfter,
    /// HTTP 200 with an HTML page of a gateway; nothing shown.
    Html,
    /// HTTP 200 with DingTalk's gateway block, `{"status":1111,...}`; nothing shown.
    Status1111,
    /// The vendor's "system busy" code; nothing shown.
    Busy,
    /// The vendor's "no such token" code; nothing shown.
    Misconfigured,
    /// Judged and shown as always, answered with HTTP 200 and no body.
    Empty,
    /// Judged and shown as always, answered with half of the JSON.
    CutJson,
    /// The vendor's rate code although the quota is free; nothing shown.
    RateLimited,
    /// Only slow: judged, shown and answered as always, after `latency_ms`.
    Latency,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Http500,
        Self::Http502,
        Self::Http503,
        Self::Http504,
        Self::Http429,
        Self::Timeout,
        Self::TimeoutBefore,
        Self::CutBefore,
        Self::CutAfter,
        Self::Html,
        Self::Status1111,
        Self::Busy,
        Self::Misconfigured,
        Self::Empty,
        Self::CutJson,
        Self::RateLimited,
        Self::Latency,
    ];

    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http500 => "http500",
            Self::Http502 => "http502",
            Self::Http503 => "http503",
            Self::Http504 => "http504",
            Self::Http429 => "http429",
            Self::Timeout => "timeout",
            Self::TimeoutBefore => "timeout_before",
            Self::CutBefore => "cut_before",
            Self::CutAfter => "cut_after",
            Self::Html => "html",
            Self::Status1111 => "status1111",
            Self::Busy => "busy",
            Self::Misconfigured => "misconfigured",
            Self::Empty => "empty",
            Self::CutJson => "cut_json",
            Self::RateLimited => "rate_limited",
            Self::Latency => "latency",
        }
    }

    /// The same for a person who looks at the chat.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Http500 => "answered HTTP 500",
            Self::Http502 => "answered HTTP 502",
            Self::Http503 => "answered HTTP 503",
            Self::Http504 => "answered HTTP 504",
            Self::Http429 => "answered HTTP 429",
            Self::Timeout => "shown, but never answered",
            Self::TimeoutBefore => "not shown, and never answered",
            Self::CutBefore => "connection closed before the message was taken",
            Self::CutAfter => "shown, but the connection closed without an answer",
            Self::Html => "answered HTTP 200 with a web page",
            Self::Status1111 => "blocked by the vendor's gateway",
            Self::Busy => "the vendor says that it is busy",
            Self::Misconfigured => "the vendor says that there is no such robot",
            Self::Empty => "shown, but answered with nothing",
            Self::CutJson => "shown, but answered with half of the JSON",
            Self::RateLimited => "refused as too fast, although it was not",
            Self::Latency => "answered slowly",
        }
    }

    /// Whether the robot still judges and shows the message.
    pub(super) const fn reaches_robot(self) -> bool {
        matches!(self, Self::Timeout | Self::CutAfter | Self::Empty | Self::CutJson | Self::Latency)
    }
}

/// A fault that waits for requests of one robot. Faults apply one after the other, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many requests; absent means until cleared.
    #[serde(default)]
    pub count: Option<u64>,
    /// Milliseconds to wait before the answer, or before the cut; at most one hour.
    #[serde(default)]
    pub latency_ms: u64,
}

/// The page a proxy shows instead of an answer.
pub(super) fn html_page(status: u16) -> String {
    let title = match status {
        429 => "429 Too Many Requests",
        500 => "500 Internal Server Error",
        502 => "502 Bad Gateway",
        503 => "503 Service Temporarily Unavailable",
        504 => "504 Gateway Time-out",
        _ => "Security verification",
    };
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}
