//! What a robot is set to: its security settings, limits, and the switches where documents and observations differ.

use serde::{Deserialize, Serialize};

use crate::model::BotKind;

/// At most this many messages in `per_ms`, in any window of that length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Messages in the window; 1 to 100,000.
    pub messages: u32,
    /// Length of the window in milliseconds; 1 ms to one day.
    pub per_ms: u64,
}

/// Whether one keyword is enough (the vendors' rule) or all must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeywordMode {
    /// One is enough.
    #[default]
    Any,
    /// All are needed.
    All,
}

/// Whether the robot is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RobotState {
    /// It answers.
    #[default]
    Active,
    /// An administrator stopped it.
    Stopped,
    /// It was removed: its token is unknown.
    Gone,
}

/// A person in the chat, for the names that mentions show and for "not a member".
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Member {
    /// The name the chat shows.
    pub name: String,
    /// Mobile number; empty when none.
    pub mobile: String,
    /// User id (DingTalk, WeCom, Feishu); empty when none.
    pub user_id: String,
    /// Feishu open id; empty when none.
    pub open_id: String,
}

impl Member {
    /// Whether `id` is one of this person's ids.
    pub fn is(&self, id: &str) -> bool {
        !id.is_empty() && (self.mobile == id || self.user_id == id || self.open_id == id)
    }
}

/// The switches of the facts page, section 7; each default is the stricter or the more recent observation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// DingTalk: the code of an unknown token, 300005 (observed) or 400101 (documented).
    pub bad_token_code: i64,
    /// DingTalk: the code of a rate refusal, 660026 (2026), 130101 (to 2022) or 410100 (documented).
    pub rate_code: i64,
    /// DingTalk: error texts of 2019 to 2021 instead of the newer ones.
    pub old_texts: bool,
    /// DingTalk: keywords are looked for in text and title only, not in every string of the payload.
    pub keywords_in_title_and_text_only: bool,
    /// DingTalk: `errcode` is a string.
    pub errcode_as_string: bool,
    /// DingTalk: `at` beside a type that has no mentions is refused instead of ignored.
    pub refuse_useless_at: bool,
    /// DingTalk: a sign that was percent-encoded twice is decoded a second time instead of refused.
    pub decode_sign_twice: bool,
    /// DingTalk: the code of a missing required field; not known for the webhook.
    pub missing_field_code: i64,
    /// WeCom: windows are fixed minutes instead of sliding.
    pub fixed_windows: bool,
    /// Refused calls count for the rate limit.
    pub count_refused: bool,
    /// WeCom: `mentioned_list` in a markdown message is refused instead of ignored.
    pub refuse_mentions_in_markdown: bool,
    /// Feishu: too large is 9499 instead of 19036.
    pub oversize_is_bad_request: bool,
    /// Feishu: too fast is HTTP 400 with 9499 instead of HTTP 200 with 11232.
    pub rate_is_9499: bool,
    /// Feishu: HTTP status of 9499, 400 or 200.
    pub bad_request_status: u16,
    /// Feishu: a number as `timestamp` is refused.
    pub timestamp_string_only: bool,
    /// Feishu: unknown properties of a 1.0 card are refused instead of ignored.
    pub refuse_unknown_v1_properties: bool,
    /// Feishu: success in the older form that has no `code`.
    pub legacy_success: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            bad_token_code: 300_005,
            rate_code: 660_026,
            old_texts: false,
            keywords_in_title_and_text_only: false,
            errcode_as_string: false,
            refuse_useless_at: false,
            decode_sign_twice: false,
            missing_field_code: 40_035,
            fixed_windows: false,
            count_refused: true,
            refuse_mentions_in_markdown: false,
            oversize_is_bad_request: false,
            rate_is_9499: false,
            bad_request_status: 400,
            timestamp_string_only: false,
            refuse_unknown_v1_properties: false,
            legacy_success: false,
        }
    }
}

/// What a robot is set to. Every field has the vendor's default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The group's name on the page; empty for a made-up one.
    pub name: String,
    /// Signing secret; empty when signing is off. WeCom has none.
    pub secret: String,
    /// Keywords; at most 10. WeCom has none.
    pub keywords: Vec<String>,
    /// Whether one keyword is enough.
    pub keyword_mode: KeywordMode,
    /// Addresses that may call: `1.2.3.4`, `1.2.3.0/24`, `1.2.3.*`; empty allows all. WeCom has none.
    pub ips: Vec<String>,
    /// Rate limits; absent means the vendor's own, an empty list none.
    pub rate_limits: Option<Vec<RateLimit>>,
    /// How long a robot that was called too fast stays closed; absent means the vendor's own (DingTalk 10 minutes).
    pub penalty_ms: Option<u64>,
    /// Bytes of a whole body (DingTalk 20,000, Feishu 20,480); absent means that default.
    pub max_bytes: Option<usize>,
    /// WeCom: bytes of `text.content`; absent means 2,048.
    pub text_max_bytes: Option<usize>,
    /// WeCom: bytes of a markdown content; absent means 4,096.
    pub markdown_max_bytes: Option<usize>,
    /// The people in the chat; when empty, every id counts as a member.
    pub members: Vec<Member>,
    /// Whether the robot is there.
    pub state: RobotState,
    /// Where documents and observations differ.
    pub switches: Switches,
}

/// The largest body limit that can be set: the page keeps bodies in memory.
const MAX_BODY_RULE: usize = 200 * 1024;

impl Rules {
    /// The rate limits in force for this vendor.
    pub fn limits(&self, kind: BotKind) -> Vec<RateLimit> {
        self.rate_limits.clone().unwrap_or_else(|| match kind {
            BotKind::DingTalk | BotKind::WeCom => vec![RateLimit { messages: 20, per_ms: 60_000 }],
            BotKind::Feishu => {
                vec![RateLimit { messages: 5, per_ms: 1_000 }, RateLimit { messages: 100, per_ms: 60_000 }]
            }
        })
    }

    /// The penalty in force for this vendor, in milliseconds.
    pub fn penalty(&self, kind: BotKind) -> u64 {
        self.penalty_ms.unwrap_or(if kind == BotKind::DingTalk { 600_000 } else { 0 })
    }

    /// The most bytes of a whole body.
    pub fn body_limit(&self, kind: BotKind) -> usize {
        self.max_bytes.unwrap_or(if kind == BotKind::DingTalk { 20_000 } else { 20_480 })
    }

    /// WeCom: the most bytes of `text.content`.
    pub fn text_limit(&self) -> usize {
        self.text_max_bytes.unwrap_or(2_048)
    }

    /// WeCom: the most bytes of a markdown content.
    pub fn markdown_limit(&self) -> usize {
        self.markdown_max_bytes.unwrap_or(4_096)
    }

    /// Checks what a person or a test set.
    ///
    /// # Errors
    /// A sentence that names the field and what it may be.
    pub fn check(&self, kind: BotKind) -> Result<(), String> {
        if kind == BotKind::WeCom && !(self.secret.is_empty() && self.keywords.is_empty() && self.ips.is_empty()) {
            return Err("WeCom robots have no `secret`, `keywords` or `ips`; remove them".to_owned());
        }
        if self.keywords.len() > 10 || self.keywords.iter().any(|word| word.is_empty() || word.len() > 200) {
            return Err("`keywords` may hold 10 words of 1 to 200 bytes".to_owned());
        }
        if self.name.len() > 200 || self.secret.len() > 200 {
            return Err("`name` and `secret` may have 200 bytes".to_owned());
        }
        if self.members.len() > 5_000 {
            return Err("`members` may hold 5,000 people".to_owned());
        }
        if self.ips.len() > 10 {
            return Err("`ips` may hold 10 entries".to_owned());
        }
        for ip in &self.ips {
            if !super::ip::is_rule(ip) {
                return Err(format!("`ips`: {ip:?} is none of 1.2.3.4, 1.2.3.0/24, 1.2.3.*"));
            }
        }
        let limits = self.limits(kind);
        let bad = |l: &RateLimit| !(1..=100_000).contains(&l.messages) || !(1..=86_400_000).contains(&l.per_ms);
        if limits.len() > 4 || limits.iter().any(bad) {
            return Err("`rate_limits` may hold 4 limits with messages 1 to 100000 and per_ms 1 to 86400000".to_owned());
        }
        if self.penalty(kind) > 86_400_000 {
            return Err("`penalty_ms` may be one day (86400000)".to_owned());
        }
        let sizes = [self.max_bytes, self.text_max_bytes, self.markdown_max_bytes];
        if sizes.into_iter().flatten().any(|size| size > MAX_BODY_RULE) {
            return Err(format!("size limits may be {MAX_BODY_RULE} bytes"));
        }
        self.switches.check()
    }
}

impl Switches {
    fn check(&self) -> Result<(), String> {
        let one_of = |name: &str, value: i64, allowed: &[i64]| {
            if allowed.contains(&value) {
                return Ok(());
            }
            Err(format!("`switches.{name}`: {value} is none of {allowed:?}"))
        };
        one_of("bad_token_code", self.bad_token_code, &[300_005, 400_101])?;
        one_of("rate_code", self.rate_code, &[660_026, 130_101, 410_100])?;
        one_of("bad_request_status", i64::from(self.bad_request_status), &[400, 200])
    }
}
