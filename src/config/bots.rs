//! `bots:`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::channel;
use crate::dispatch::{HttpClientConfig, RateLimit, RobotConfig};
use crate::model::{BotKind, Lang, Layout, Secret, Severities};
use crate::render::KeywordMode;
use crate::routing::MentionRule;

use super::fields::Fields;
use super::files::Files;
use super::global::{RawGlobal, unknown_level};
use super::http;
use super::node::{Data, Node};
use super::report::{At, Pos, Report, quoted};
use super::values::is_name;

pub(super) const KEYS: &[&str] = &[
    "name",
    "type",
    "kind",
    "url",
    "url_file",
    "secret",
    "secret_file",
    "robots",
    "allow_http",
    "keywords",
    "keyword_mode",
    "template",
    "rate_limits",
    "mention",
    "send_resolved",
    "fallback",
    "fallback_after",
    "http_config",
];
pub(super) const ROBOT_KEYS: &[&str] = &["url", "url_file", "secret", "secret_file"];
pub(super) const MENTION_KEYS: &[&str] = &["all", "contacts", "contacts_from_label", "min_severity", "interval"];
const KINDS: &[(&str, BotKind)] =
    &[("dingtalk", BotKind::DingTalk), ("wecom", BotKind::WeCom), ("feishu", BotKind::Feishu)];
/// DingTalk and Feishu take up to 10 keywords a robot.
const MAX_KEYWORDS: usize = 10;
const MAX_KEYWORD_CHARS: usize = 100;
const MAX_ROBOTS: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);
const MS: Duration = Duration::from_millis(1);

pub(super) struct RawBot {
    pub(super) name: Option<At<String>>,
    pub(super) kind: Option<BotKind>,
    /// The config's `kind`.
    pub(super) layout: Option<At<Layout>>,
    pub(super) lang: Lang,
    pub(super) robots: Vec<At<RobotConfig>>,
    pub(super) keywords: Vec<String>,
    pub(super) keyword_mode: KeywordMode,
    pub(super) template: Option<At<String>>,
    pub(super) rate_limits: Vec<RateLimit>,
    pub(super) mention: Option<RawMention>,
    pub(super) send_resolved: bool,
    pub(super) fallback: Option<At<String>>,
    pub(super) fallback_after: Duration,
    pub(super) http: Option<HttpClientConfig>,
}

/// A mention rule whose contacts remember their places.
pub(super) struct RawMention {
    pub(super) all: bool,
    pub(super) contacts: Vec<At<String>>,
    pub(super) contacts_from_label: Option<At<String>>,
    pub(super) min_severity: Option<u8>,
    pub(super) interval: Duration,
}

impl RawMention {
    pub(super) fn rule(self) -> MentionRule {
        MentionRule {
            all: self.all,
            contacts: self.contacts.into_iter().map(|contact| contact.value).collect(),
            contacts_from_label: self.contacts_from_label.map(|label| label.value),
            min_severity: self.min_severity,
            interval: self.interval,
        }
    }

    /// The rule of a bot that has none.
    pub(super) fn none() -> Self {
        let interval = Duration::from_secs(300);
        Self { all: false, contacts: Vec::new(), contacts_from_label: None, min_severity: None, interval }
    }
}

pub(super) fn read(top: &Fields<'_>, global: &RawGlobal, files: &mut Files, report: &mut Report) -> Vec<RawBot> {
    let nodes = top.list("bots", report);
    if nodes.is_empty() && top.has("bots") {
        report.mistake(top.key_pos("bots"), "there are no bots", "add at least one; see examples/minimal.yml");
    }
    nodes.iter().filter_map(|node| bot(node, global, files, report)).collect()
}

fn bot(node: &Node, global: &RawGlobal, files: &mut Files, report: &mut Report) -> Option<RawBot> {
    let fields = Fields::open(node, "a bot", KEYS, report)?;
    let name = name(&fields, "a bot", report);
    let kind = kind(&fields, report);
    let vendor =
        Vendor { kind, allow_http: fields.flag("allow_http", false, report), keywords: fields.has("keywords") };
    let robots = robots(&fields, vendor, files, report);
    let lang = global.language.or_else(|| {
        kind.zip(robots.first()).map(|(kind, robot)| channel::default_lang(kind, robot.value.url.expose()))
    });
    let keywords = keywords(&fields, report);
    if fields.has("fallback_after") && !fields.has("fallback") {
        let what = "`fallback_after` has no effect without `fallback`";
        report.warning(fields.key_pos("fallback_after"), what, "name the bot that takes over, or remove it");
    }
    let modes = [("all", KeywordMode::All), ("any", KeywordMode::Any)];
    Some(RawBot {
        name,
        kind,
        layout: layout(&fields, kind, report),
        lang: lang.unwrap_or(Lang::Zh),
        robots,
        keywords,
        keyword_mode: fields.word("keyword_mode", &modes, report).map(|mode| mode.value).unwrap_or_default(),
        template: fields.text("template", report),
        rate_limits: rate_limits(&fields, kind, report),
        mention: mention(&fields, &global.severities, report),
        send_resolved: fields.flag("send_resolved", true, report),
        fallback: fields.text("fallback", report),
        fallback_after: fields
            .duration("fallback_after", Duration::ZERO..=7 * DAY, report)
            .map_or(Duration::from_secs(300), |found| found.value),
        http: fields.node("http_config").map(|node| http::read(node, files, report)),
    })
}

/// The `name` of a bot or contact group.
pub(super) fn name(fields: &Fields<'_>, what: &str, report: &mut Report) -> Option<At<String>> {
    if !fields.has("name") {
        report.mistake(fields.pos, format!("{what} needs a `name`"), "");
        return None;
    }
    let name = fields.text("name", report)?;
    if !is_name(&name.value) {
        let hint =
            "letters, digits, `.`, `_` and `-`, a letter or digit first, at most 100: it is part of URLs and metrics";
        report.mistake(name.pos, format!("{} can not be the name of {what}", quoted(&name.value)), hint);
    }
    Some(name)
}

fn kind(fields: &Fields<'_>, report: &mut Report) -> Option<BotKind> {
    if !fields.has("type") {
        report.mistake(fields.pos, "a bot needs a `type`", "one of dingtalk, wecom, feishu");
        return None;
    }
    if let Some(node) =
        fields.node("type").filter(|node| matches!(&node.data, Data::Scalar { text, .. } if text == "lark"))
    {
        node.show();
        report.mistake(node.pos, "`type` can not be `lark`", "Lark is feishu on its own host: write `type: feishu`");
        return Some(BotKind::Feishu);
    }
    fields.word("type", KINDS, report).map(|kind| kind.value)
}

/// `kind`, one of its vendor's message types.
fn layout(fields: &Fields<'_>, kind: Option<BotKind>, report: &mut Report) -> Option<At<Layout>> {
    let words: Vec<(&str, Layout)> = Layout::of(kind?).iter().map(|layout| (layout.as_str(), *layout)).collect();
    let interactive = |node: &&Rc<Node>| matches!(&node.data, Data::Scalar { text, .. } if text == "interactive");
    if let Some(node) = fields.node("kind").filter(interactive).filter(|_| kind == Some(BotKind::Feishu)) {
        node.show();
        let hint = "Feishu's interactive messages are cards: write `kind: card`";
        report.mistake(node.pos, "`kind` can not be `interactive`", hint);
        return None;
    }
    fields.word("kind", &words, report)
}

/// What of a bot matters to its robots.
#[derive(Clone, Copy)]
struct Vendor {
    kind: Option<BotKind>,
    allow_http: bool,
    keywords: bool,
}

fn robots(fields: &Fields<'_>, vendor: Vendor, files: &mut Files, report: &mut Report) -> Vec<At<RobotConfig>> {
    if !fields.has("robots") {
        return robot(fields, vendor, files, report).into_iter().collect();
    }
    if let Some(key) = ROBOT_KEYS.iter().find(|key| fields.has(key)) {
        // What it holds must be hidden all the same.
        for key in ["url", "secret"] {
            secret_or_file(fields, key, files, report);
        }
        let what = format!("a bot has either `robots` or `{key}`, not both");
        report.mistake(fields.key_pos(key), what, "each item of `robots` has its own url and secret");
    }
    let nodes = fields.list("robots", report);
    if nodes.is_empty() || nodes.len() > MAX_ROBOTS {
        report.mistake(fields.key_pos("robots"), format!("`robots` must hold 1 to {MAX_ROBOTS} robots"), "");
    }
    let mut robots: Vec<At<RobotConfig>> = Vec::new();
    let mut seen: HashMap<String, Pos> = HashMap::new();
    for node in nodes.iter().take(MAX_ROBOTS) {
        let Some(fields) = Fields::open(node, "a robot", ROBOT_KEYS, report) else { continue };
        let Some(robot) = robot(&fields, vendor, files, report) else { continue };
        if let Some(before) = seen.insert(robot.value.url.expose().to_owned(), robot.pos) {
            let what = format!("the robot of line {} again: a pool needs different robots", before.line);
            report.mistake(robot.pos, what, "add another robot to the chat and use its URL");
        }
        robots.push(robot);
    }
    robots
}

/// The robot described by `url` or `url_file`, and `secret` or `secret_file`. Its place is the URL's.
fn robot(fields: &Fields<'_>, vendor: Vendor, files: &mut Files, report: &mut Report) -> Option<At<RobotConfig>> {
    let secret = signing_secret(fields, vendor, files, report);
    if !fields.has("url") && !fields.has("url_file") {
        report.mistake(
            fields.pos,
            "`url` or `url_file` is needed",
            "the webhook URL that the chat shows for its robot",
        );
        return None;
    }
    let url = secret_or_file(fields, "url", files, report)?;
    hide_parts(&url.value, report);
    if let Some(Err(what)) = vendor.kind.map(|kind| channel::check_url(kind, &url.value)) {
        report.mistake(url.pos, what, "copy it again from the robot's settings");
        return None;
    }
    if !vendor.allow_http && is_plain_http_abroad(&url.value) {
        let what = "the URL is http:// to another machine: its token could be read on the way";
        report.mistake(url.pos, what, "use https://, or say `allow_http: true` for this bot");
        return None;
    }
    Some(At { value: RobotConfig { url: Secret::new(url.value), secret, rate_limits: Vec::new() }, pos: url.pos })
}

fn signing_secret(fields: &Fields<'_>, vendor: Vendor, files: &mut Files, report: &mut Report) -> Option<Secret> {
    let secret = secret_or_file(fields, "secret", files, report);
    let key = ["secret", "secret_file"].into_iter().find(|key| fields.has(key));
    match (vendor.kind, key) {
        (Some(BotKind::WeCom), Some(key)) => {
            let what = format!("a WeCom robot has no signature: `{key}` means nothing there");
            report.mistake(fields.key_pos(key), what, "remove it; the key in the URL is its only secret");
        }
        (Some(BotKind::DingTalk), None) if !vendor.keywords => {
            let what = "this DingTalk robot has neither `secret` nor `keywords`";
            let hint = "DingTalk demands keywords, a signature or an IP list; unless it is a list, give what its settings show";
            report.warning(fields.pos, what, hint);
        }
        _ => {}
    }
    let secret = secret?;
    if secret.value.contains(char::is_control) {
        report.mistake(secret.pos, "the secret holds line breaks", "copy it again from the robot's settings");
    }
    Some(Secret::new(secret.value))
}

/// The parts of a webhook URL that are its secret must not be seen alone either.
fn hide_parts(url: &str, report: &mut Report) {
    let Ok(url) = url::Url::parse(url) else { return };
    let token = url.path_segments().and_then(|mut segments| segments.next_back()).filter(|last| last.len() >= 16);
    for part in url.query_pairs().map(|(_, value)| value.into_owned()).chain(token.map(str::to_owned)) {
        if part.len() >= 8 {
            report.hide(&part);
        }
    }
}

pub(super) fn is_plain_http_abroad(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !loopback
}

/// The value of `key`, or the trimmed content of the file that `<key>_file` names.
fn secret_or_file(fields: &Fields<'_>, key: &str, files: &mut Files, report: &mut Report) -> Option<At<String>> {
    let file_key = format!("{key}_file");
    let inline = fields.secret(key, report);
    let path = fields.text(&file_key, report);
    if fields.has(key) && fields.has(&file_key) {
        let what = format!("`{key}` and `{file_key}` are both given");
        report.mistake(fields.key_pos(&file_key), what, "keep one of them");
    }
    let Some(path) = path else { return inline };
    if path.value.contains("://") {
        report.hide(&path.value);
        report.mistake(
            path.pos,
            format!("`{file_key}` is the path of a file, not a URL"),
            format!("put it under `{key}`"),
        );
        return inline;
    }
    match files.read_text(&path.value) {
        Ok(content) if content.trim().is_empty() => {
            report.mistake(path.pos, format!("`{file_key}` {} is empty", quoted(&path.value)), "");
            inline
        }
        Ok(content) => {
            report.hide(content.trim());
            inline.or(Some(At { value: content.trim().to_owned(), pos: path.pos }))
        }
        Err(why) => {
            let what = format!("`{file_key}` {} can not be read: {why}", quoted(&path.value));
            report.mistake(path.pos, what, "relative paths begin at the config's folder");
            inline
        }
    }
}

fn keywords(fields: &Fields<'_>, report: &mut Report) -> Vec<String> {
    let found = fields.texts("keywords", report);
    if let Some(extra) = found.get(MAX_KEYWORDS) {
        report.mistake(extra.pos, format!("more than {MAX_KEYWORDS} keywords"), "robots take no more");
    }
    for keyword in &found {
        if keyword.value.chars().count() > MAX_KEYWORD_CHARS || keyword.value.contains(char::is_control) {
            let what = format!("a keyword is one line of at most {MAX_KEYWORD_CHARS} characters");
            report.mistake(keyword.pos, what, "");
        }
    }
    found.into_iter().map(|keyword| keyword.value).collect()
}

/// What the vendors allow one robot; documented by each of them.
fn vendor_limits(kind: BotKind) -> Vec<RateLimit> {
    let limit = |messages, seconds| RateLimit { messages, per: Duration::from_secs(seconds) };
    match kind {
        BotKind::DingTalk | BotKind::WeCom => vec![limit(20, 60)],
        BotKind::Feishu => vec![limit(5, 1), limit(100, 60)],
    }
}

fn rate_limits(fields: &Fields<'_>, kind: Option<BotKind>, report: &mut Report) -> Vec<RateLimit> {
    if fields.node("rate_limits").is_none() {
        return kind.map(vendor_limits).unwrap_or_default();
    }
    let nodes = fields.list("rate_limits", report);
    if nodes.is_empty() || nodes.len() > 4 {
        let hint = "leave the key out for the vendor's own limits";
        report.mistake(fields.key_pos("rate_limits"), "`rate_limits` must hold 1 to 4 limits", hint);
    }
    nodes.iter().filter_map(|node| rate_limit(node, report)).collect()
}

fn rate_limit(node: &Rc<Node>, report: &mut Report) -> Option<RateLimit> {
    let fields = Fields::open(node, "a rate limit", &["messages", "per"], report)?;
    for key in ["messages", "per"] {
        if !fields.has(key) {
            report.mistake(fields.pos, format!("a rate limit needs `{key}`"), "like {messages: 20, per: 1m}");
        }
    }
    let messages = fields.number("messages", 1..=10_000, report);
    let per = fields.duration("per", MS..=DAY, report);
    let (messages, per) = messages.zip(per)?;
    Some(RateLimit { messages: u32::try_from(messages.value).unwrap_or(u32::MAX), per: per.value })
}

/// The `mention` of a bot or policy.
pub(super) fn mention(fields: &Fields<'_>, severities: &Severities, report: &mut Report) -> Option<RawMention> {
    let fields = Fields::open(fields.node("mention")?, "`mention`", MENTION_KEYS, report)?;
    let none = RawMention::none();
    let min_severity = fields.text("min_severity", report);
    let rank = min_severity.and_then(|name| {
        let rank = severities.find(&name.value);
        if rank.is_none() {
            unknown_level(&name, severities, report);
        }
        rank
    });
    Some(RawMention {
        all: fields.flag("all", none.all, report),
        contacts: fields.texts("contacts", report),
        contacts_from_label: fields.text("contacts_from_label", report),
        min_severity: rank,
        interval: fields
            .duration("interval", Duration::ZERO..=30 * DAY, report)
            .map_or(none.interval, |found| found.value),
    })
}

impl RawBot {
    /// The name, when it is known.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().map_or("", |name| name.value.as_str())
    }

    /// The name for other rooms.
    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::from(self.label())
    }
}
