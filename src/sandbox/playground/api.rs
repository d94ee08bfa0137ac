//! The playground's calls: what there is to choose from, and a drawing of a wish.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::control::{Answer, BODY_MOST, Mistake, read, success};
use super::super::vendor::Mentioned;
use super::super::{Member, Record, Sandbox, page};
use super::{Blot, PaintedMessage, Painter, Sample, Wish};
use crate::model::{BotKind, Layout};

/// Paintings at a time: each keeps a core busy.
const PAINTINGS: usize = 2;
/// Wishes that may wait for one of them.
const WAITING: usize = 16;

/// Who is called in the documentation's examples, and so by the painter: a chat shows names, not ids. The robot that
/// judges does not know them, and takes everybody for a member.
static PEOPLE: LazyLock<[Member; 2]> = LazyLock::new(|| {
    let ids = [("zhangsan", "13800000000"), ("ZhangSan", "")];
    ids.map(|(user_id, mobile)| Member {
        name: "zhang.san".to_owned(),
        mobile: mobile.to_owned(),
        user_id: user_id.to_owned(),
        open_id: "ou_00000000000000000000000000000001".to_owned(),
    })
});

/// Bounds what is painted at a time.
pub(in super::super) struct Easels {
    painting: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Easels {
    fn default() -> Self {
        Self { painting: Arc::new(Semaphore::new(PAINTINGS)), waiting: Semaphore::new(WAITING) }
    }
}

impl Easels {
    /// A place to paint. It is held by the painting itself: one that nobody waits for any more still keeps a core busy.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Mistake> {
        let busy = |text: &str| Mistake::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text);
        let _waiting = self.waiting.try_acquire().map_err(|_| busy("too many drawings wait; try again"))?;
        // Nobody closes it.
        Arc::clone(&self.painting).acquire_owned().await.map_err(|_| busy("the sandbox stops"))
    }
}

pub(in super::super) fn routes() -> Router<Sandbox> {
    Router::new().route("/api/sandbox/playground", get(offer).post(paint))
}

/// What the page can choose from.
#[derive(Serialize)]
struct Offer {
    samples: Vec<Sample>,
    vendors: Vec<Vendor>,
}

#[derive(Serialize)]
struct Vendor {
    vendor: BotKind,
    name: &'static str,
    /// Its message types, its default first.
    kinds: &'static [Layout],
    /// Its built-in templates, by part.
    sources: BTreeMap<String, String>,
}

/// What came of a wish.
#[derive(Serialize)]
struct Drawing {
    messages: Vec<Drawn>,
    mistakes: Vec<Blot>,
}

#[derive(Serialize)]
struct Drawn {
    #[serde(flatten)]
    message: PaintedMessage,
    /// As the chat's page draws it; empty when a robot would refuse it.
    html: String,
    verdict: Verdict,
}

/// What a strict robot without security settings says.
#[derive(Serialize)]
struct Verdict {
    accepted: bool,
    /// The vendor's code.
    code: i64,
    /// The vendor's text.
    errmsg: String,
    /// The same in plain words; empty when accepted.
    reason: String,
    msgtype: String,
    /// The line that a chat list or a push shows.
    title: String,
    mentions: Mentioned,
    /// What the vendor ignores.
    warnings: Vec<String>,
}

impl From<Record> for Verdict {
    fn from(record: Record) -> Self {
        let Record { accepted, code, errmsg, reason, msgtype, title, mentions, warnings, .. } = record;
        Self { accepted, code, errmsg, reason, msgtype, title, mentions, warnings }
    }
}

fn painter(sandbox: &Sandbox) -> Result<Arc<dyn Painter>, Mistake> {
    let none = || Mistake::new(StatusCode::NOT_FOUND, "not_found", "this sandbox has no template playground");
    sandbox.painter().ok_or_else(none)
}

/// Runs what may take its time, a few at a time, away from the threads that serve.
async fn paint_aside<T: Send + 'static>(
    sandbox: &Sandbox,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Mistake> {
    let place = sandbox.0.easels.place().await?;
    let aside = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    let failed = |_| Mistake::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the renderer broke down on this");
    aside.await.map_err(failed)
}

async fn offer(State(sandbox): State<Sandbox>) -> Answer {
    let painter = painter(&sandbox)?;
    let offer = paint_aside(&sandbox, move || Offer {
        samples: painter.samples(),
        vendors: BotKind::ALL
            .into_iter()
            .map(|vendor| Vendor {
                vendor,
                name: page::vendor_name(vendor),
                kinds: Layout::of(vendor),
                sources: painter.sources(vendor),
            })
            .collect(),
    });
    success(offer.await?)
}

async fn paint(State(sandbox): State<Sandbox>, body: Result<Bytes, BytesRejection>) -> Answer {
    let painter = painter(&sandbox)?;
    let body = body.map_err(|_| {
        let text = format!("templates and payload may have {BODY_MOST} bytes together");
        Mistake::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_data", text)
    })?;
    let wish: Wish = read(&body)?;
    let vendor = wish.vendor;
    if let Some(kind) = wish.kind.filter(|kind| !Layout::of(vendor).contains(kind)) {
        let known: Vec<&str> = Layout::of(vendor).iter().map(|kind| kind.as_str()).collect();
        let text = format!("kind: {} has no {}, only {}", vendor.as_str(), kind.as_str(), known.join(", "));
        return Err(Mistake::bad(text));
    }
    let judge = sandbox.clone();
    let drawing = paint_aside(&sandbox, move || {
        let painted = painter.paint(&wish);
        let messages = painted.messages.into_iter().map(|message| drawn(&judge, vendor, message)).collect();
        Drawing { messages, mistakes: painted.mistakes }
    });
    success(drawing.await?)
}

fn drawn(sandbox: &Sandbox, vendor: BotKind, message: PaintedMessage) -> Drawn {
    let mut record = sandbox.trial(vendor, &message.body);
    let mentions = &mut record.mentions;
    for (id, name) in mentions.ids.iter().zip(&mut mentions.names) {
        if let Some(known) = PEOPLE.iter().find(|member| member.is(id)) {
            known.name.clone_into(name);
        }
    }
    let html = if record.accepted { page::picture(vendor, &record, &*PEOPLE) } else { String::new() };
    Drawn { message, html, verdict: record.into() }
}
