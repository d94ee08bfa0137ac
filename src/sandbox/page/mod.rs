//! The page that shows each robot's chat as a person would see it. Loads nothing from elsewhere, and works by reload
//! where scripts are off.

mod card;
mod chat;
mod html;
mod markdown;
mod message;
mod playground;
mod post;
mod tags;
mod template_card;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

#[cfg(test)]
use super::Rules;
use super::robot::Robot;
use super::{Member, Record, Sandbox};
use crate::html::Html;
use crate::model::BotKind;
pub(super) use chat::vendor_name;
use chat::{Chat, Frame};

const CSS: &str = include_str!("../assets/sandbox.css");
const JS: &str = include_str!("../assets/sandbox.js");
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Chats on the overview; more are links.
const CHATS: usize = 12;
const MESSAGES: usize = 60;
const MESSAGES_ALONE: usize = 300;
const REFUSED: usize = 30;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/", get(overview))
        .route("/chat/{vendor}/{token}", get(alone))
        .route("/playground", get(playground::page))
        .route("/assets/playground.css", get(async || asset("text/css; charset=utf-8", playground::CSS)))
        .route("/assets/playground.js", get(async || asset("text/javascript; charset=utf-8", playground::JS)))
        .route("/assets/sandbox.css", get(async || asset("text/css; charset=utf-8", CSS)))
        .route("/assets/sandbox.js", get(async || asset("text/javascript; charset=utf-8", JS)))
        .layer(from_fn(guard))
}

/// One message as its chat shows it, to `members`.
pub(super) fn picture(kind: BotKind, record: &Record, members: &[Member]) -> String {
    let mut html = Html::default();
    html.raw("<div class=\"row\">");
    chat::said(&mut html, kind, record, members);
    html.raw("</div></div>");
    html.into_string()
}

/// Headers that keep what robots were sent from doing anything but being looked at.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn respond(status: StatusCode, html: Html) -> Response {
    let mut response = Response::new(Body::from(html.into_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn chat(token: &str, robot: &Robot, messages: usize) -> Chat {
    Chat {
        kind: robot.kind,
        token: token.to_owned(),
        rules: Arc::clone(&robot.rules),
        stats: robot.stats(),
        shown: robot.shown.iter().skip(robot.shown.len().saturating_sub(messages)).cloned().collect(),
        refused: robot.refused.iter().rev().take(REFUSED).cloned().collect(),
        faults: robot.faults.len(),
    }
}

fn latest(robot: &Robot) -> u64 {
    robot.lines.back().map_or(0, |line| line.seq)
}

/// The address that the browser used, if it is made of an address' characters.
fn host(headers: &HeaderMap) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| !host.is_empty() && host.len() < 256 && host.bytes().all(plain));
    host.unwrap_or("127.0.0.1:8061").to_owned()
}

async fn overview(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let (chats, others, version) = {
        let state = sandbox.state();
        let mut all: Vec<(&String, &Robot)> = state.robots.iter().flatten().collect();
        let busiest = {
            let mut latest: Vec<u64> = all.iter().map(|(_, robot)| latest(robot)).collect();
            latest.sort_unstable_by(|a, b| b.cmp(a));
            latest.get(CHATS - 1).copied().unwrap_or(0)
        };
        let mut others = Vec::new();
        let mut room = CHATS;
        all.retain(|(token, robot)| {
            let shown = latest(robot) >= busiest && room > 0;
            room -= usize::from(shown);
            if !shown {
                others.push((robot.kind, (*token).clone()));
            }
            shown
        });
        let chats: Vec<Chat> = all.into_iter().map(|(token, robot)| chat(token, robot, MESSAGES)).collect();
        (chats, others, state.version)
    };
    let host = host(&headers);
    let mut html = Html::default();
    open(&mut html, "alarmbell sandbox", Some(version), &Look::default());
    bar(&mut html, &Here::of(&sandbox, &host), &chats);
    html.raw("<main class=\"chats\">");
    for chat in &chats {
        chat.draw(&mut html, Frame::Many);
    }
    html.raw("</main>");
    if !others.is_empty() {
        html.raw("<nav class=\"others\"><b>Quieter chats:</b>");
        for (kind, token) in others.iter().take(500) {
            html.raw(" <a href=\"/chat/").vendor(*kind).raw("/").text(token).raw("\">").vendor(*kind).raw(" ");
            html.text(token).raw("</a>");
        }
        html.raw("</nav>");
    }
    reload_note(&mut html);
    close(&mut html);
    respond(StatusCode::OK, html)
}

/// How a page is drawn.
#[derive(Default)]
struct Look {
    /// The messages alone, as high as they are: for pictures.
    bare: bool,
    /// `light` or `dark` instead of what the reader's system says.
    scheme: Option<&'static str>,
    /// With the playground's script and style instead of the chats' script.
    playground: bool,
}

impl Look {
    fn read(query: Option<&str>) -> Self {
        let mut look = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            match (&*name, &*value) {
                ("bare", _) => look.bare = true,
                ("scheme", "dark") => look.scheme = Some("dark"),
                ("scheme", "light") => look.scheme = Some("light"),
                _ => {}
            }
        }
        look
    }
}

async fn alone(
    State(sandbox): State<Sandbox>,
    Path((vendor, token)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let look = Look::read(query.as_deref());
    let kind = super::control::vendor(&vendor);
    let chat = kind.and_then(|kind| sandbox.with_robot(kind, &token, |robot| chat(&token, robot, MESSAGES_ALONE)));
    let mut html = Html::default();
    open(&mut html, "alarmbell sandbox: one chat", Some(sandbox.version()), &look);
    let status = match chat {
        Some(chat) => {
            if !look.bare {
                html.raw("<div class=\"bar\"><h1><a href=\"/\">← All chats</a></h1></div>");
            }
            html.raw("<main class=\"chats one\">");
            chat.draw(&mut html, if look.bare { Frame::Bare } else { Frame::Alone });
            html.raw("</main>");
            StatusCode::OK
        }
        None => {
            bar(&mut html, &Here::of(&sandbox, &host(&headers)), &[]);
            html.raw("<main class=\"lost\"><p>There is no such chat yet: <a href=\"/\">all chats</a>.</p></main>");
            StatusCode::NOT_FOUND
        }
    };
    if !look.bare {
        reload_note(&mut html);
    }
    close(&mut html);
    respond(status, html)
}

/// A page for an address that leads nowhere.
fn lost(why: &'static str) -> Response {
    let mut html = Html::default();
    open(&mut html, "alarmbell sandbox", None, &Look::default());
    html.raw("<main class=\"lost\"><p>").raw(why).raw(": <a href=\"/\">all chats</a>.</p></main>");
    close(&mut html);
    respond(StatusCode::NOT_FOUND, html)
}

/// `version`: what the page shows, where it looks for news by itself.
fn open(html: &mut Html, title: &'static str, version: Option<u64>, look: &Look) {
    html.raw("<!doctype html><html lang=\"en\"");
    html.raw(if look.bare { " class=\"bare\"" } else { "" });
    if let Some(scheme) = look.scheme {
        html.raw(" data-scheme=\"").raw(scheme).raw("\"");
    }
    html.raw("><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><title>");
    html.raw(title).raw("</title><link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23d9480f'/%3E%3C/svg%3E\">");
    html.raw("<link rel=\"stylesheet\" href=\"/assets/sandbox.css\">");
    if look.playground {
        html.raw("<link rel=\"stylesheet\" href=\"/assets/playground.css\"><script src=\"/assets/playground.js\" defer></script>");
    }
    match version {
        Some(version) => html
            .raw("<script src=\"/assets/sandbox.js\" defer></script></head><body data-version=\"")
            .text(&version.to_string())
            .raw("\">"),
        None => html.raw("</head><body>"),
    };
}

fn reload_note(html: &mut Html) {
    html.raw("<noscript><p class=\"noscript\">Reload for new messages; times are UTC.</p></noscript>");
}

fn close(html: &mut Html) {
    html.raw("</body></html>\n");
}

/// What the bar must know of the sandbox.
struct Here<'a> {
    /// The page's own address.
    host: &'a str,
    /// Whether any token makes a robot.
    auto_create: bool,
    playground: bool,
}

impl<'a> Here<'a> {
    fn of(sandbox: &Sandbox, host: &'a str) -> Self {
        Self { host, auto_create: sandbox.0.auto_create, playground: sandbox.painter().is_some() }
    }
}

fn bar(html: &mut Html, here: &Here<'_>, chats: &[Chat]) {
    html.raw("<div class=\"bar\"><h1><span class=\"dot\" aria-hidden=\"true\"></span>alarmbell sandbox</h1><nav class=\"tabs\" aria-label=\"Chats\">");
    for chat in chats {
        chat.draw_tab(html);
    }
    html.raw("</nav>");
    if here.playground {
        html.raw("<a class=\"quiet-button\" href=\"/playground\">Template playground</a>");
    }
    if chats.is_empty() {
        html.raw("</div>");
        welcome(html, here);
    } else {
        html.raw("<details class=\"how\"><summary>How to post</summary>");
        welcome(html, here);
        html.raw("</details></div>");
    }
}

fn welcome(html: &mut Html, here: &Here<'_>) {
    let host = here.host;
    html.raw("<div class=\"welcome\"><h2>Three robots that behave like the real ones</h2><p>Point alarmbell, or anything that speaks to DingTalk, WeCom or Feishu robots, at these addresses. ");
    html.raw(if here.auto_create {
        "Any token makes a new chat. "
    } else {
        "Make a robot first: <code>PUT /api/sandbox/robots/dingtalk/demo</code>. "
    });
    html.raw("What the real robot would refuse is refused here, and the chat says why. Nothing leaves this machine.</p><dl class=\"addresses\">");
    for kind in BotKind::ALL {
        html.raw("<dt class=\"v-").vendor(kind).raw("\">").raw(chat::vendor_name(kind)).raw("</dt><dd><code>http://");
        html.text(host).text(&super::address(kind, "demo")).raw("</code></dd>");
    }
    html.raw("</dl><p>Try it:</p><pre class=\"curl\">curl -H 'Content-Type: application/json' \\\n  'http://");
    html.text(host).text(&super::address(BotKind::DingTalk, "demo"));
    html.raw("' \\\n  -d '{\"msgtype\":\"markdown\",\"markdown\":{\"title\":\"Disk full on db-03\",\n       \"text\":\"#### 🔴 Disk full\\n\\n**db-03** has 2% left\"}}'</pre><p class=\"quiet\">Rules, faults and what arrived: <code>/api/sandbox/robots</code>.</p></div>");
}
