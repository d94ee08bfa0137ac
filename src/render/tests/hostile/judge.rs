//! What a strict robot makes of a message, and what its chat shows.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use proptest::test_runner::TestCaseError;
use regex::Regex;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::super::*;
use crate::clock::ManualClock;
use crate::model::{BotKind, Tone};
use crate::sandbox::{self, Mentioned, Rules, Sandbox, Switches};

/// One strict robot of each vendor.
pub(super) struct Chats {
    sandbox: Sandbox,
    router: Router,
    runtime: Runtime,
}

/// A message that was taken.
pub(super) struct Shown {
    pub(super) kind: BotKind,
    pub(super) msgtype: String,
    pub(super) mentions: Mentioned,
    body: Value,
    /// The message as the chat draws it.
    html: String,
}

/// A link in the chat.
#[derive(PartialEq, Eq, Debug)]
struct Link {
    target: String,
    text: String,
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r#"<(/?)([a-z0-9]+)((?: [a-z-]+(?:="[^"]*")?)*)>"#));
static CLASS: LazyLock<Regex> = LazyLock::new(|| pattern(r#" class="([^"]*)""#));
static LINK: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?s)<a [^>]*?href="([^"]*)">(.*?)</a>"#));
/// An address that no client opens.
static DEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(link not opened: ([^<]*)\)</small>"));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r#"<span class="at">[^<]*</span>"#));
/// A link in the texts of WeCom's applications.
static ANCHOR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)<\s*a\s"));
/// What a parser less careful than CommonMark might take for a tag, or for the target of a link.
static RAW_TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"</?[@a-zA-Z!?][^<>\n]{0,80}>"));
static RAW_TARGET: LazyLock<Regex> = LazyLock::new(|| pattern(r"\]\(([^)\n]*)"));

fn unescape(html: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn text_of(html: &str) -> String {
    unescape(&TAG.replace_all(html, ""))
}

/// Nothing of a link that reads as what it leads to; all of any other.
fn without_address(link: &regex::Captures<'_>) -> String {
    if link[1] == link[2] { String::new() } else { link[0].to_owned() }
}

impl Chats {
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new(ManualClock::new(at(NOW)), false);
        for kind in BotKind::ALL {
            let keywords = ["Alarm".to_owned(), "Dispatch".to_owned()];
            let rules = Rules {
                keywords: if kind == BotKind::WeCom { Vec::new() } else { keywords.to_vec() },
                keyword_mode: sandbox::KeywordMode::All,
                rate_limits: Some(Vec::new()),
                switches: Switches {
                    keywords_in_title_and_text_only: true,
                    refuse_mentions_in_markdown: true,
                    ..Switches::default()
                },
                ..Rules::default()
            };
            sandbox.put_robot(kind, "T", rules).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { router: sandbox.router(), sandbox, runtime }
    }

    /// Sends it.
    ///
    /// # Errors
    /// Why it was refused.
    pub(super) fn send(&self, dialect: &dyn Dialect, draft: &Draft) -> Result<Shown, String> {
        let kind = dialect.kind();
        let path = match kind {
            BotKind::DingTalk => "/robot/send?access_token=T",
            BotKind::WeCom => "/cgi-bin/webhook/send?key=T",
            BotKind::Feishu => "/open-apis/bot/v2/hook/T",
        };
        let body = dialect.encode(draft, "0123456789abcdef0123456789abcdef");
        let json = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        self.sandbox.clear_messages(kind, "T");
        let post = http::Request::post(path).header("content-type", "application/json").body(Body::from(body)).unwrap();
        self.ask(post);
        let record = self.sandbox.messages(kind, "T", 0, 9).unwrap().pop().ok_or("not received")?;
        if !record.accepted {
            return Err(format!("{} {}", record.errmsg, record.reason));
        }
        let page = self.ask(http::Request::get(format!("/chat/{}/T", kind.as_str())).body(Body::empty()).unwrap());
        let html = page.split_once("<article").and_then(|(_, page)| page.split_once("<details class=\"meta\">"));
        // What follows the sender's name and the time.
        let html = html.and_then(|(article, _)| article.split_once("</time></div>")).ok_or("not drawn")?.1.to_owned();
        Ok(Shown { kind, msgtype: record.msgtype, mentions: record.mentions, body: json, html })
    }

    fn ask(&self, request: http::Request<Body>) -> String {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let bytes = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        })
    }
}

impl Shown {
    /// All strings of the body, with the keys on the way to them.
    fn strings(&self) -> Vec<(Vec<&str>, &str)> {
        fn walk<'a>(value: &'a Value, path: &[&'a str], out: &mut Vec<(Vec<&'a str>, &'a str)>) {
            match value {
                Value::String(text) => out.push((path.to_vec(), text)),
                Value::Array(items) => items.iter().for_each(|item| walk(item, path, out)),
                Value::Object(fields) => {
                    let tag = fields.get("tag").and_then(Value::as_str);
                    for (key, value) in fields {
                        let path: Vec<&str> = path.iter().copied().chain(tag).chain([key.as_str()]).collect();
                        walk(value, &path, out);
                    }
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(&self.body, &[], &mut out);
        out
    }

    /// Those that the vendor reads as markdown.
    fn markdown(&self) -> Vec<&str> {
        let read = |path: &[&str]| match self.kind {
            BotKind::Feishu => matches!(path, [.., "markdown" | "lark_md" | "md", "content" | "text"]),
            _ => matches!(path, ["markdown" | "actionCard", "text"] | ["markdown" | "markdown_v2", "content"]),
        };
        self.strings().into_iter().filter(|(path, _)| read(path)).map(|(_, text)| text).collect()
    }

    fn drawn_links(&self) -> Vec<Link> {
        let found = LINK.captures_iter(&self.html);
        found.map(|link| Link { target: unescape(&link[1]), text: text_of(&link[2]) }).collect()
    }

    /// What the links say that do not read as what they lead to.
    pub(super) fn links(&self) -> Vec<String> {
        self.drawn_links().into_iter().filter(|link| link.text != link.target).map(|link| link.text).collect()
    }

    /// Tags with their classes, but for links that read as what they lead to, and for names of people: who is called is
    /// another question, and DingTalk lights the name of one who is called wherever it stands.
    pub(super) fn structure(&self) -> Vec<String> {
        let html = NAME.replace_all(&self.html, "");
        let html = LINK.replace_all(&html, without_address);
        let class = |attributes: &str| CLASS.captures(attributes).map_or(String::new(), |found| found[1].to_owned());
        let mut out: Vec<String> = Vec::new();
        let mut columns = Vec::new();
        for tag in TAG.captures_iter(&html) {
            let class = class(&tag[3]);
            // Whether two facts stand side by side depends on how long they are.
            let is_column = match (&tag[1], &tag[2]) {
                ("", "div") => {
                    columns.push(class.starts_with("column"));
                    columns.last().copied()
                }
                ("/", "div") => columns.pop(),
                _ => None,
            };
            if is_column != Some(true) {
                out.push(format!("{}{} {class}", &tag[1], &tag[2]).trim_end().to_owned());
            }
            // The page draws one colour in as many pieces as its parser finds.
            if let [.., open, close, again, end] = out.as_slice()
                && (open, close) == (again, end)
                && (close == "/span" || close == "/font")
            {
                out.truncate(out.len() - 2);
            }
        }
        out
    }

    /// Tags as a careless parser would find them.
    pub(super) fn raw_tags(&self) -> Vec<&str> {
        self.markdown().into_iter().flat_map(|text| RAW_TAG.find_iter(text)).map(|tag| tag.as_str()).collect()
    }

    /// What people read.
    pub(super) fn text(&self) -> String {
        text_of(&self.html)
    }

    /// The same without addresses.
    pub(super) fn words(&self) -> String {
        text_of(&LINK.replace_all(&self.html, without_address))
    }

    /// What must hold of every message. `own` knows the addresses that its alerts and its group have.
    pub(super) fn holds(&self, mentions: &Mentions, own: &dyn Fn(&str) -> bool) -> Result<(), TestCaseError> {
        let fail = |what: String| {
            let body: String = self.body.to_string().chars().take(3_000).collect();
            Err(TestCaseError::fail(format!("{what}: {body}")))
        };
        if self.mentions != called(self.kind, mentions) {
            return fail(format!("calls {:?}", self.mentions));
        }
        if self.html.contains("at-nobody") {
            return fail("draws a call that calls nobody".to_owned());
        }
        for link in self.drawn_links() {
            // An address in a text is a link in every chat, and leads where it says.
            if !own(&link.target) && link.target != link.text {
                return fail(format!("has the forged {link:?}"));
            }
        }
        if let Some(dead) = DEAD.captures_iter(&self.html).map(|found| unescape(&found[1])).find(|dead| !own(dead)) {
            return fail(format!("has a link to {dead}"));
        }
        if let Some(word) = ["class=\"picture\"", "<img"].iter().find(|word| self.html.contains(*word)) {
            return fail(format!("draws {word}"));
        }
        for (path, text) in self.strings() {
            if let Some(odd) = text.chars().find(|c| turns_or_controls(*c)) {
                return fail(format!("holds {odd:?} at {path:?}"));
            }
            if self.kind == BotKind::WeCom && ANCHOR.is_match(text) {
                return fail(format!("may have a link at {path:?}"));
            }
            let key = path.last().copied().unwrap_or_default().to_ascii_lowercase();
            if (key.ends_with("url") || key == "href") && !own(text) {
                return fail(format!("leads to {text} at {path:?}"));
            }
        }
        for text in self.markdown() {
            if let Some(target) = RAW_TARGET.captures_iter(text).find(|found| !own(&found[1])) {
                return fail(format!("has {:?} in its markdown", &target[0]));
            }
        }
        Ok(())
    }
}

fn turns_or_controls(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whom the chat says that a message calls.
fn called(kind: BotKind, mentions: &Mentions) -> Mentioned {
    let id = |person: &Contact| match kind {
        BotKind::DingTalk => [&person.dingtalk_user_id, &person.mobile].into_iter().find(|id| !id.is_empty()).cloned(),
        BotKind::WeCom => [&person.wecom_user_id, &person.mobile].into_iter().find(|id| !id.is_empty()).cloned(),
        BotKind::Feishu => Some(person.feishu_open_id.clone()).filter(|id| !id.is_empty()),
    };
    let ids: Vec<String> = mentions.people.iter().filter_map(id).collect();
    Mentioned { all: mentions.all, names: ids.clone(), ids, ignored: Vec::new() }
}

#[test]
fn the_judge_finds_what_it_looks_for() {
    let chats = Chats::new();
    let own = |address: &str| address == "https://own.example/";
    for (kind, body, good) in [
        (BotKind::WeCom, "[x](https://own.example/) **x** http://evil.example/", true),
        (BotKind::WeCom, "[x](https://evil.example/)", false),
        (BotKind::WeCom, "<@all>", false),
        (BotKind::WeCom, "<@zhangsan>", false),
        (BotKind::WeCom, "x\u{202e}y", false),
        (BotKind::DingTalk, "[x](https://own.example/)", true),
        (BotKind::DingTalk, "[x](javascript:alert(1))", false),
        (BotKind::DingTalk, "![x](https://own.example/)", false),
        (BotKind::Feishu, "<font color='grey'>x</font> [x](https://own.example/)", true),
        (BotKind::Feishu, "<at id=all></at>", false),
        (BotKind::Feishu, "<at id=u-009></at>", false),
        (BotKind::Feishu, "![x](https://own.example/)", false),
    ] {
        let dialect = crate::channel::dialect(kind, Layout::of(kind)[0], true);
        let mut draft = Draft::plain("x".to_owned(), format!("{body} Alarm Dispatch"), Tone::Red, Mentions::default());
        (draft.plain, draft.layout) = (false, Layout::of(kind)[0]);
        let shown = chats.send(&*dialect, &draft).unwrap();
        assert_eq!(shown.holds(&Mentions::default(), &own).is_ok(), good, "{kind:?} {body}");
    }
    let structure = |body: &str| {
        let dialect = crate::channel::dialect(BotKind::WeCom, Layout::Markdown, true);
        let mut draft = Draft::plain("x".to_owned(), body.to_owned(), Tone::Red, Mentions::default());
        draft.plain = false;
        let shown = chats.send(&*dialect, &draft).unwrap();
        let tags: Vec<String> = shown.raw_tags().into_iter().map(str::to_owned).collect();
        (shown.structure(), tags)
    };
    assert_eq!(structure("x y"), structure("http < 5"));
    for body in ["**x**", "`x`", "[x](https://own.example/)", "<font color=\"info\">x</font>", "# x", "> x"] {
        assert_ne!(structure(body).0, structure("x").0, "{body}");
    }
    assert_ne!(structure("<a href=\"x\">").1, structure("x").1);
}
