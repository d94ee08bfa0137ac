//! The book of pictures: every built-in message as the strict sandbox draws it on a phone, for people to look through.
//! `target/tests-run/book/index.html` shows it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::program;
use super::support::program::Program;
use super::support::server::ALARMBELL;
use super::support::web::{Answer, CLIENT};
use super::tab::Tab;

/// A phone's width in its own pixels, and how many of the picture's make one.
const WIDTH: u32 = 390;
const SCALE: f64 = 1.5;
/// The highest page that is taken in one picture: the browser draws 16,384 of the picture's pixels.
const HIGHEST: u32 = 10_900;
/// Told again with somebody to call.
const CALLING: [&str; 2] = ["one", "mixed"];
/// Values full of markup: what looks like markup there is theirs.
const HOSTILE: &str = "hostile";
/// What nobody should ever read in a chat: markup that was not drawn, and templates that were not run.
const RAW: [&str; 10] = ["<font", "**", "&#", "](", "<@", "<at", "{{", "</", "\\_", "\\*"];

/// The real program, alone with its robots.
pub struct Sandbox {
    _program: Program,
    pub url: String,
}

impl Sandbox {
    pub async fn start() -> Self {
        let mut program = Program::start(ALARMBELL, |command| {
            command.args(["sandbox", "--web.listen-address=127.0.0.1:0"]);
        });
        let line = program.wait_line("open http://").await;
        let url = line.split_whitespace().nth(1).unwrap().trim_end_matches('/').to_owned();
        Self { _program: program, url }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = Answer::of(request).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["data"].clone()
    }

    async fn get(&self, path: &str) -> Value {
        self.answer(CLIENT.get(format!("{}{path}", self.url))).await
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let request = CLIENT.request(method, format!("{}{path}", self.url));
        self.answer(request.header("content-type", "application/json").body(body.to_string())).await
    }
}

/// One page of the book: all samples of a vendor, in one kind and language.
#[derive(Clone)]
struct Page {
    vendor: String,
    kind: String,
    lang: &'static str,
    hostile: bool,
}

impl Page {
    fn name(&self) -> String {
        let hostile = if self.hostile { "-hostile" } else { "" };
        format!("{}-{}-{}{hostile}", self.vendor, self.kind, self.lang)
    }

    /// What it shows: a sample, and whether somebody is called.
    fn scenes(&self, samples: &[String]) -> Vec<(String, bool)> {
        let mine = samples.iter().filter(|sample| (*sample == HOSTILE) == self.hostile);
        let calling = CALLING.iter().filter(|_| !self.hostile).map(|sample| ((*sample).to_owned(), true));
        mine.map(|sample| (sample.clone(), self.hostile)).chain(calling).collect()
    }

    /// Tells each scene to a robot of its own, as the playground would have it sent. Every one must be taken.
    async fn fill(&self, sandbox: &Sandbox, samples: &[String]) {
        let robot = format!("/api/sandbox/robots/{}/{}", self.vendor, self.name());
        let people = ["zhangsan", "ZhangSan"].map(|id| {
            json!({"name": "张三", "mobile": "13800000000", "user_id": id, "open_id": "ou_00000000000000000000000000000001"})
        });
        let title = format!("{} · {} · {}", self.vendor, self.kind, self.lang);
        let rules = json!({"name": title, "rate_limits": [], "members": people});
        let path = sandbox.send(reqwest::Method::PUT, &robot, &rules).await["path"].as_str().unwrap().to_owned();
        let mut told = 0;
        for (sample, mention) in self.scenes(samples) {
            let wish = json!({"vendor": self.vendor, "kind": self.kind, "lang": self.lang, "sample": sample, "mention": mention});
            let drawn = sandbox.send(reqwest::Method::POST, "/api/sandbox/playground", &wish).await;
            assert_eq!(drawn["mistakes"], json!([]), "{wish}");
            let messages = drawn["messages"].as_array().unwrap();
            assert!(!messages.is_empty(), "{wish} makes no message");
            for message in messages {
                assert_eq!(message["failure"], "", "{wish}");
                told += 1;
                let mut body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
                // All of them are drawn under one id, and DingTalk shows each id once.
                if let Some(id) = body.get_mut("msgUuid") {
                    *id = format!("{told:032}").into();
                }
                let request = CLIENT.post(format!("{}{path}", sandbox.url)).header("content-type", "application/json");
                Answer::of(request.body(body.to_string())).await.unwrap();
            }
        }
        let records = sandbox.get(&format!("{robot}/messages")).await;
        assert_eq!(records.as_array().unwrap().len(), told, "{}", self.name());
        for record in records.as_array().unwrap() {
            let what = format!("{}: {record}", self.name());
            assert_eq!(record["accepted"], true, "{what}");
            assert_eq!(record["warnings"], json!([]), "{what}");
            assert_eq!(record["mentions"]["ignored"], json!([]), "{what}");
        }
    }

    /// Takes the picture, and reads what is on it.
    async fn take(&self, sandbox: &Sandbox, tab: &mut Tab, folder: &Path, scheme: &str) {
        tab.size(WIDTH, 844, SCALE).await;
        tab.open(&format!("{}/chat/{}/{}?bare&scheme={scheme}", sandbox.url, self.vendor, self.name())).await;
        let height = tab.run("2 * Math.ceil(document.querySelector('main').getBoundingClientRect().bottom / 2)").await;
        let height = u32::try_from(height.as_u64().unwrap()).unwrap();
        assert!((200..=HIGHEST).contains(&height), "{} is {height} high", self.name());
        // Folded or not.
        let text = tab.run("document.body.textContent").await.as_str().unwrap().to_owned();
        if let Some(raw) = RAW.iter().find(|raw| !self.hostile && text.contains(**raw)) {
            let near = text.split_once(raw).map_or("", |(before, _)| before);
            let near: String = near.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{}: {raw:?} can be read after {near:?}", self.name());
        }
        tab.size(WIDTH, height, SCALE).await;
        let picture = tab.picture().await;
        assert!(picture.len() > 20_000, "{} is nearly empty", self.name());
        std::fs::write(folder.join(format!("{}-{scheme}.png", self.name())), picture).unwrap();
    }
}

/// Where `tests/run` keeps what it leaves for people.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tests-run/book");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn index(pages: &[(Page, &str)], samples: &[String]) -> String {
    let mut html = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>alarmbell: the book of pictures</title><style>body{font:15px/1.5 \
         system-ui,sans-serif;margin:24px;background:#f4f5f7;color:#1f2329}main{display:flex;flex-wrap:wrap;gap:24px}\
         figure{margin:0}figcaption{padding:8px 0}img{width:390px;border-radius:12px;box-shadow:0 0 0 1px #d5d9e0}\
         ol{columns:3;max-width:1100px}</style><h1>The book of pictures</h1>\
         <p>Every built-in message as the strict sandbox draws it on a phone. The messages of each page, in this order:</p>",
    );
    for hostile in [false, true] {
        let page = pages.iter().find(|(page, _)| page.hostile == hostile).map(|(page, _)| page);
        let scenes = page.map(|page| page.scenes(samples)).unwrap_or_default();
        html.push_str(if hostile { "<p>Pages with hostile values:</p><ol>" } else { "<ol>" });
        for (sample, calls) in scenes {
            write!(html, "<li>{sample}{}</li>", if calls { ", calling somebody" } else { "" }).unwrap();
        }
        html.push_str("</ol>");
    }
    html.push_str("<main>");
    for (page, scheme) in pages {
        let (name, kind) = (page.name(), &page.kind);
        let src = format!("{name}-{scheme}.png");
        let caption =
            format!("{} · {kind} · {}{}", page.vendor, page.lang, if page.hostile { " · hostile" } else { "" });
        write!(html, "<figure><figcaption>{caption}</figcaption><a href=\"{src}\"><img loading=\"lazy\" src=\"{src}\" alt=\"{caption}\"></a></figure>").unwrap();
    }
    html.push_str("</main>\n");
    html
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_of_pictures() {
    let chromium = program("CHROMIUM_BIN");
    let sandbox = Sandbox::start().await;
    let offer = sandbox.get("/api/sandbox/playground").await;
    let list = |value: &Value, field: &str| -> Vec<String> {
        value.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    let samples = list(&offer["samples"], "name");
    let mut pages = Vec::new();
    for vendor in offer["vendors"].as_array().unwrap() {
        let name = vendor["vendor"].as_str().unwrap();
        for (at, kind) in vendor["kinds"].as_array().unwrap().iter().enumerate() {
            let page = |lang, hostile| Page {
                vendor: name.to_owned(),
                kind: kind.as_str().unwrap().to_owned(),
                lang,
                hostile,
            };
            pages.extend([(page("zh", false), "light"), (page("en", false), "light")]);
            if at == 0 {
                pages.extend([(page("zh", false), "dark"), (page("zh", true), "light")]);
            }
        }
    }
    for (page, _) in pages.iter().filter(|(_, scheme)| *scheme == "light") {
        page.fill(&sandbox, &samples).await;
    }
    let folder = folder();
    std::fs::write(folder.join("index.html"), index(&pages, &samples)).unwrap();
    let mut tab = Tab::start(&chromium).await;
    for (page, scheme) in &pages {
        page.take(&sandbox, &mut tab, &folder, scheme).await;
    }
}
