//! The vendors: request bodies, signatures, sizes, escaping, and what a reply means. One file per vendor; no I/O.
//!
//! **Values and plain text.** [`Dialect::escape`] makes a label's or annotation's value safe inside markdown. Plain
//! bodies need no escaping by whoever writes them: [`Dialect::encode`] neutralises every tag in a plain body that
//! would call somebody, except the exact [`Dialect::mention_text`] of people in `draft.mentions`. Values that were
//! escaped all the same read as typed there too.
//!
//! **Layouts.** A body follows `draft.layout`, never what the config asked for. A draft that can not leave in its layout
//! after all (a card that leads nowhere, somebody to call where nobody can be called) leaves in the vendor's markdown,
//! with its facts and links as lines.

mod address;
mod beside;
mod dingtalk;
mod escape;
mod feishu;
mod reply;
mod text;
mod wecom;

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub use address::{check_url, default_lang, robot_id};

use crate::model::{BotKind, Dialect, Layout, Millis, Secret, Verdict};

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The URL with the signature in it where the vendor wants it there.
    pub url: Secret,
    /// The body with the signature in it where the vendor wants it there.
    pub body: Vec<u8>,
}

/// The vendor's dialect, for messages of the `layout` that the bot's config asks for; another vendor's stands for the
/// default. `signed` says whether room for a signature must be kept.
pub fn dialect(kind: BotKind, layout: Layout, signed: bool) -> Box<dyn Dialect> {
    match kind {
        BotKind::DingTalk => Box::new(dingtalk::DingTalk { layout }),
        BotKind::WeCom => Box::new(wecom::WeCom { layout }),
        BotKind::Feishu => Box::new(feishu::Feishu { layout, signed }),
    }
}

/// Signs a request now. Vendor recipes: DingTalk query, Feishu body, WeCom none. Must be done anew for each attempt:
/// both vendors refuse a signature older than an hour.
pub fn sign(kind: BotKind, url: &Secret, secret: Option<&Secret>, body: &[u8], now_ms: Millis) -> Signed {
    match (kind, secret) {
        (BotKind::DingTalk, Some(secret)) => Signed { url: dingtalk::sign(url, secret, now_ms), body: body.to_vec() },
        (BotKind::Feishu, Some(secret)) => Signed { url: url.clone(), body: feishu::sign(body, secret, now_ms) },
        _ => Signed { url: url.clone(), body: body.to_vec() },
    }
}

/// What a complete reply means. `failures` is how many came in a row before, for penalties that grow. `body` may be
/// any bytes; the caller bounds it (64 KiB is plenty). Nothing but a 2xx with the vendor's code 0 is a success.
pub fn verdict(kind: BotKind, status: u16, body: &[u8], failures: u32) -> Verdict {
    reply::verdict(kind, status, body, failures)
}

/// Whether the robot refused a message because of a person in it: send it again without mentions.
/// Feishu refuses a whole card for one bad user id (error 11246 with sub-code 100290); texts and posts show the name.
pub fn refuses_mention(kind: BotKind, verdict: &Verdict) -> bool {
    kind == BotKind::Feishu
        && matches!(verdict, Verdict::Rejected { reason } if reason.contains("11246") && reason.contains("100290"))
}

/// The vendor's documented limits as (messages, in any window of this length); each holds at the same time.
pub const fn default_limits(kind: BotKind) -> &'static [(u32, Duration)] {
    const SLOW: &[(u32, Duration)] = &[(20, Duration::from_secs(60))];
    const FAST: &[(u32, Duration)] = &[(5, Duration::from_secs(1)), (100, Duration::from_secs(60))];
    match kind {
        BotKind::DingTalk | BotKind::WeCom => SLOW,
        BotKind::Feishu => FAST,
    }
}

/// HMAC-SHA256 in padded standard base64 (44 characters).
fn hmac_base64(key: &[u8], message: &[u8]) -> String {
    // HMAC hashes keys that are too long; no length is refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(message);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}
