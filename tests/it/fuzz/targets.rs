//! What must hold for any input. The fuzzers of `fuzz/` run these functions, and the tests beside this file run them on
//! every input that is kept: one place, so that both mean the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use alarmbell::app::build::dispatch_settings;
use alarmbell::config::{self, Config};
use alarmbell::dispatch::{Settings, preview};
use alarmbell::migrate;
use alarmbell::model::{Labels, MatchOp, Matcher, MessageId, Notification};
use alarmbell::render::Templates;
use alarmbell::routing::{Endpoint, Routed, group_id};

/// The time of every run.
const NOW: &str = "2026-11-20T10:05:00+08:00";
/// Where no file is: the inputs refer to some.
const NOWHERE: &str = "/nonexistent/alarmbell";
const HOSTILE: &[u8] = include_bytes!("hostile.json");
/// One bot of each vendor, splits, calls and a policy that drops.
const CHATS: &str = r#"
global: {timezone: UTC, language: en, link_rewrites: [{prefix: "http://", replace: "https://"}]}
bots:
  - {name: d, type: dingtalk, url: "http://127.0.0.1:1/robot/send?access_token=t", secret: SECx, keywords: [Alarm, Dispatch]}
  - {name: w, type: wecom, url: "http://127.0.0.1:1/cgi-bin/webhook/send?key=k", send_resolved: false}
  - {name: f, type: feishu, url: "http://127.0.0.1:1/open-apis/bot/v2/hook/h", keywords: [Alarm, 告警], keyword_mode: any}
contacts: [{name: zhang.san, mobile: "13800000000", dingtalk_user_id: z, wecom_user_id: z, feishu_open_id: ou_0123456789}]
contact_groups: [{name: dba, contacts: [zhang.san], bots: [f]}]
policies:
  - {name: drop, matchers: ['team="nobody"'], notify: none}
  - {name: each, matchers: ['severity=~"critical|page"'], notify: {bots: [d], contact_groups: [dba]}, group_by: ['...'], continue: true}
  - {name: split, matchers: ['team!=""'], notify: {bots: [w]}, group_by: [alertname, 集群]}
default_policy: {notify: {bots: [d, w, f]}, mention: {all: true, contacts_from_label: owner}}
"#;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| config::parse_str("chats", CHATS, Path::new(NOWHERE)).expect("a config without mistakes").config);
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| dispatch_settings(&CONFIG, "https://bell.example"));

/// Says the bots' messages for a body: each fits, accounts for its alerts, has its keywords and is JSON.
fn tell(settings: &Settings, body: &Notification, only: Option<&str>) {
    for bot in settings.bots.values().filter(|bot| only.is_none_or(|kind| bot.kind.as_str() == kind)) {
        let mut number = 0_u8;
        let new_id = || {
            number = number.wrapping_add(1);
            MessageId::from_bytes([number; 16])
        };
        let told = preview(settings, bot, body.clone(), NOW.parse().unwrap(), new_id);
        let alerts: usize = told.messages.iter().map(|message| message.named + message.counted).sum();
        assert_eq!(alerts + told.elsewhere + told.silent, body.alerts.len(), "{}: alerts are missing", bot.name);
        for message in told.messages {
            assert!(message.size <= message.limit, "{}: {} of {} bytes", bot.name, message.size, message.limit);
            let json: serde_json::Value = serde_json::from_slice(&message.body).expect("a body that is JSON");
            assert!(json.is_object());
            let missing = |word: &&String| !message.draft.title.contains(*word) && !message.draft.body.contains(*word);
            let (missing, all) = (bot.keywords.iter().filter(missing).count(), bot.keywords.len());
            let enough = if bot.name.as_ref() == "f" { all == 0 || missing < all } else { missing == 0 };
            assert!(enough, "{}: keywords are missing in {:?}", bot.name, message.draft);
            assert!(!message.draft.title.trim().is_empty(), "{}: no title", bot.name);
        }
    }
}

/// A webhook body: read, routed and grouped as the way in does, and told to every bot. What is stored is the body, so
/// reading it again must give the same alerts.
pub fn webhook(data: &[u8]) {
    let body = match Notification::parse(data) {
        Ok(body) => body,
        Err(error) => {
            assert!(!error.message.is_empty() && error.message.len() < 2_000, "{error:?}");
            return;
        }
    };
    assert!(!body.alerts.is_empty());
    assert_eq!(Notification::parse(data).as_ref(), Ok(&body));
    let now = NOW.parse().unwrap();
    for endpoint in [Endpoint::Policies, Endpoint::Named("dba".to_owned()), Endpoint::Named(body.receiver.clone())] {
        for alert in &body.alerts {
            let rank = SETTINGS.severities.rank(alert.label("severity"));
            assert!(!SETTINGS.severities.name(rank).is_empty());
            let Routed::To(targets) = SETTINGS.router.route(&endpoint, alert, now) else { continue };
            let bots: BTreeSet<&str> = targets.iter().map(|target| &*target.bot).collect();
            assert!(!bots.is_empty() && bots.len() == targets.len(), "a bot is told twice: {targets:?}");
            for target in &targets {
                let group =
                    || group_id(&endpoint, "eu", &body.group_key, target.group_by.as_deref(), &target.via, alert);
                assert_eq!(group(), group());
            }
        }
    }
    tell(&SETTINGS, &body, None);
}

/// Matchers: what can be read is shown in a form that reads back as the same, and an operator and its opposite disagree.
pub fn matchers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let all = match Matcher::parse_all(text) {
        Ok(all) => all,
        Err(error) => {
            assert!(!error.message.is_empty() && error.offset <= text.chars().count(), "{error:?}");
            assert!(Matcher::parse(text).is_err());
            return;
        }
    };
    assert_eq!(Matcher::parse(text).is_ok(), all.len() == 1);
    let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
    let list = shown.join(",");
    assert_eq!(Matcher::parse_all(&list).as_ref(), Ok(&all), "shown as {list}");
    assert_eq!(Matcher::parse_all(&format!("{{{list}}}")).as_ref(), Ok(&all), "shown as {{{list}}}");
    for (matcher, text) in all.iter().zip(&shown) {
        assert_eq!(Matcher::parse(text).as_ref(), Ok(matcher), "shown as {text}");
        assert_eq!(Matcher::parse(text).unwrap().to_string(), *text);
        let opposite = match matcher.op {
            MatchOp::Equal => MatchOp::NotEqual,
            MatchOp::NotEqual => MatchOp::Equal,
            MatchOp::Match => MatchOp::NoMatch,
            MatchOp::NoMatch => MatchOp::Match,
        };
        let opposite = Matcher::new(matcher.name.clone(), opposite, matcher.value.clone()).unwrap();
        for value in ["", "critical", "a\nb", &matcher.value] {
            let labels = Labels::from([(matcher.name.clone(), value.to_owned())]);
            assert_ne!(matcher.matches(&labels), opposite.matches(&labels), "{matcher} of {value:?}");
            assert_eq!(matcher.matches(&labels), matcher.matches_value(value));
        }
        assert_eq!(matcher.matches(&Labels::new()), matcher.matches_value(""));
    }
}

/// A config: every mistake is shown within bounds, and one without mistakes works.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if leaves_its_folder(text) {
        return;
    }
    match config::parse_str("alarmbell.yml", text, Path::new(NOWHERE)) {
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|warning| warning.warning));
            assert!(config::report(&loaded.warnings).len() < 400_000);
            let settings = dispatch_settings(&loaded.config, "");
            let body = Notification::parse(HOSTILE).expect("a body that is read");
            for alert in &body.alerts {
                settings.router.route(&Endpoint::Policies, alert, NOW.parse().unwrap());
            }
        }
        Err(mistakes) => {
            assert!((1..=201).contains(&mistakes.len()), "{} mistakes", mistakes.len());
            assert!(mistakes.iter().any(|mistake| !mistake.warning), "refused without a mistake: {mistakes:?}");
            assert!(config::report(&mistakes).len() < 400_000);
            // As YAML counts them.
            let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count();
            assert!(mistakes.iter().all(|mistake| mistake.place.line <= lines), "beyond {lines}: {mistakes:?}");
        }
    }
    let _ = config::parse_web_str("web.yml", text);
}

/// Whether a text may name files by their full path, or a pattern that goes through all folders: this machine's files
/// are no part of the input.
fn leaves_its_folder(text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, ':' | '/' | '.' | '_' | '-');
    let begins = |(at, _): (usize, &str)| !text[..at].ends_with(inside);
    text.contains("**") || text.contains("..") || text.match_indices('/').any(begins)
}

/// The parts that a person may write themselves, by the input's first byte.
const PARTS: [&str; 9] = [
    "dingtalk.default.title.hbs",
    "dingtalk.default.alert.hbs",
    "dingtalk.default.body.hbs",
    "wecom.default.title.hbs",
    "wecom.default.alert.hbs",
    "wecom.default.body.hbs",
    "feishu.default.title.hbs",
    "feishu.default.alert.hbs",
    "feishu.default.body.hbs",
];

/// A template, after one digit that says which part it is: refused with its place, or it makes messages of hostile
/// alerts that robots take.
pub fn templates(data: &[u8]) {
    let Some((part, source)) = data.split_first() else { return };
    let (part, Ok(source)) = (PARTS[usize::from(part.wrapping_sub(b'0')) % PARTS.len()], std::str::from_utf8(source))
    else {
        return;
    };
    let (_, mistakes) = Templates::new(&[(part, source)]);
    for mistake in &mistakes {
        assert!(mistake.place.line <= source.split('\n').count() + 1, "{mistake:?}");
        assert!(!mistake.what.is_empty() && mistake.to_string().len() < 4_000, "{mistake:?}");
    }
    if mistakes.is_empty() {
        let config = Config { template_files: vec![(part.to_owned(), source.to_owned())], ..CONFIG.clone() };
        let settings = dispatch_settings(&config, "https://bell.example");
        tell(&settings, &Notification::parse(HOSTILE).unwrap(), part.split('.').next());
    }
}

/// A Go template: refused with its place, or turned over into one that can be loaded and makes messages that robots take;
/// what is left out is said, and marked in the result.
pub fn gotmpl(data: &[u8]) {
    const PART: &str = "dingtalk.default.body.hbs";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split('\n').count();
    let source = migrate::Source { file: "t.tmpl".to_owned(), text: text.to_owned(), lines: Vec::new() };
    let templates = migrate::Templates::new(Vec::new(), true).expect("the built-in ones");
    let read = migrate::Templates::new(vec![source.clone()], false);
    let done = match templates.translate(&source) {
        Ok(done) => done,
        Err(mistake) => {
            assert!(mistake.place.line <= lines && !mistake.what.is_empty(), "{mistake:?}");
            assert_eq!(read.expect_err("refused as a file, too"), [mistake]);
            return;
        }
    };
    assert!(read.is_ok());
    assert!(done.text.len() <= 64 * 1024, "{} bytes", done.text.len());
    for found in &done.findings {
        assert!(found.place.file != "t.tmpl" || found.place.line <= lines, "{found:?}");
        assert!(!found.what.is_empty() && found.to_string().len() < 4_000, "{found:?}");
    }
    let left = done.findings.iter().any(|found| !found.warning);
    assert!(
        !left || done.text.is_empty() || done.text.contains("{{!-- migrate: "),
        "{:?}\n{}",
        done.findings,
        done.text
    );
    let (_, mistakes) = Templates::new(&[(PART, &done.text)]);
    // Loops in loops in loops are too many rounds for some messages, which is only a warning.
    assert!(mistakes.iter().all(|mistake| mistake.warning), "{mistakes:?}\n{}", done.text);
    let config = Config { template_files: vec![(PART.to_owned(), done.text)], ..CONFIG.clone() };
    tell(&dispatch_settings(&config, "https://bell.example"), &Notification::parse(HOSTILE).unwrap(), Some("dingtalk"));
}
