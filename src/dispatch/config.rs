//! What dispatch needs to know of the config.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::{BotKind, Lang, Layout, Secret};
use crate::render::KeywordMode;
use crate::routing::MentionRule;

/// One webhook URL of a bot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RobotConfig {
    /// The webhook URL.
    pub url: Secret,
    /// Signing secret (DingTalk, Feishu).
    pub secret: Option<Secret>,
    /// What holds for it, over all bots that have it: of each window the strictest. At least one, each of another window.
    pub rate_limits: Vec<RateLimit>,
}

/// So many messages in any window of that length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// At least 1.
    pub messages: u32,
    /// At least 1 ms.
    pub per: Duration,
}

/// How to reach the robots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HttpClientConfig {
    /// Proxy for all requests; may hold credentials.
    pub proxy_url: Option<Secret>,
    /// Hosts reached without the proxy, comma separated as in the environment variable.
    pub no_proxy: Option<String>,
    /// Whether `HTTPS_PROXY` and its kin are honoured.
    pub proxy_from_environment: bool,
    /// PEM certificates trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Do not verify certificates.
    pub insecure_skip_verify: bool,
}

/// One bot: a chat, reached through one robot or a pool of them.
#[derive(Clone, PartialEq, Debug)]
pub struct BotConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Vendor.
    pub kind: BotKind,
    /// In which of the vendor's message types its messages leave.
    pub layout: Layout,
    /// Language of built-in texts.
    pub lang: Lang,
    /// Zone of shown times.
    pub timezone: TimeZone,
    /// At least one; several are a pool.
    pub robots: Vec<RobotConfig>,
    /// Words every message holds.
    pub keywords: Vec<String>,
    /// All of them or any.
    pub keyword_mode: KeywordMode,
    /// Template set.
    pub template: String,
    /// Each holds at the same time, for each of its robots. At least one.
    pub rate_limits: Vec<RateLimit>,
    /// Whom to call.
    pub mention: MentionRule,
    /// Whether resolves are told.
    pub send_resolved: bool,
    /// The bot that takes over when this one is removed or fails.
    pub fallback: Option<Arc<str>>,
    /// After how long of failing it takes over.
    pub fallback_after: Duration,
    /// How to reach it.
    pub http: HttpClientConfig,
}
