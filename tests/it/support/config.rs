//! Config files of tests.

use std::net::SocketAddr;

use alarmbell::model::BotKind;

/// One bot, as its entry in the config.
#[derive(Clone, Debug)]
pub struct Bot {
    pub kind: BotKind,
    pub name: String,
    pub token: String,
    pub url: String,
    limits: String,
    extra: Vec<String>,
}

impl Bot {
    pub fn new(kind: BotKind, name: &str, token: String, robots: SocketAddr) -> Self {
        let url = match kind {
            BotKind::DingTalk => format!("http://{robots}/robot/send?access_token={token}"),
            BotKind::WeCom => format!("http://{robots}/cgi-bin/webhook/send?key={token}"),
            BotKind::Feishu => format!("http://{robots}/open-apis/bot/v2/hook/{token}"),
        };
        let limits = "[{messages: 10000, per: 1s}]".to_owned();
        Self { kind, name: name.to_owned(), token, url, limits, extra: Vec::new() }
    }

    /// Adds a key, like `send_resolved: false`.
    pub fn with(mut self, entry: impl Into<String>) -> Self {
        self.extra.push(entry.into());
        self
    }

    /// Sets the rate limits, like `{messages: 20, per: 1m}`. Without it a bot is as good as unlimited.
    pub fn limits(mut self, limits: &str) -> Self {
        self.limits = format!("[{limits}]");
        self
    }

    /// The vendor's own limits.
    pub fn vendor_limits(mut self) -> Self {
        self.limits.clear();
        self
    }

    /// The same bot at a wrong address.
    pub fn with_token(mut self, token: &str) -> Self {
        self.url = self.url.replace(&self.token, token);
        self.token = token.to_owned();
        self
    }

    fn yaml(&self) -> String {
        let kind = self.kind.as_str();
        let mut lines = vec![format!("name: {}", self.name), format!("type: {kind}"), format!("url: \"{}\"", self.url)];
        if !self.limits.is_empty() {
            lines.push(format!("rate_limits: {}", self.limits));
        }
        lines.extend(self.extra.iter().cloned());
        format!("  - {}", lines.join("\n    "))
    }
}

/// A config in English and UTC with a dedup window of 2 s and a second between digests. `rest` is appended; unless it says otherwise, everything goes
/// to all bots.
pub fn config(bots: &[Bot], rest: &str) -> String {
    let mut out = String::new();
    if !rest.contains("global:") {
        out.push_str("global: {dedup_window: 2s, language: en, timezone: UTC, digest: {interval: 1s}}\n");
    }
    out.push_str("bots:\n");
    for bot in bots {
        out.push_str(&bot.yaml());
        out.push('\n');
    }
    if !rest.contains("default_policy:") {
        let names: Vec<&str> = bots.iter().map(|bot| bot.name.as_str()).collect();
        out.push_str(&format!("default_policy: {{notify: {{bots: [{}]}}}}\n", names.join(", ")));
    }
    out + rest + "\n"
}
