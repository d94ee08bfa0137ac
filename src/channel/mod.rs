//! The vendors: request bodies, signatures, sizes, escaping, and what a reply means. One file per vendor; no I/O.

use crate::model::{BotKind, Dialect, Millis, Secret, Verdict};

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The URL with the signature in it where the vendor wants it there.
    pub url: Secret,
    /// The body with the signature in it where the vendor wants it there.
    pub body: Vec<u8>,
}

/// The vendor's dialect. `signed` says whether room for a signature must be kept.
pub fn dialect(kind: BotKind, signed: bool) -> Box<dyn Dialect> {
    let _ = (kind, signed);
    unreachable!()
}

/// Signs a request now. Vendor recipes: DingTalk query, Feishu body, WeCom none.
pub fn sign(kind: BotKind, url: &Secret, secret: Option<&Secret>, body: &[u8], now_ms: Millis) -> Signed {
    let _ = (kind, url, secret, body, now_ms);
    unreachable!()
}

/// What a complete reply means. `failures` is how many came in a row before, for penalties that grow.
pub fn verdict(kind: BotKind, status: u16, body: &[u8], failures: u32) -> Verdict {
    let _ = (kind, status, body, failures);
    unreachable!()
}
