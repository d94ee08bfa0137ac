//! The two signature recipes, written from the facts page alone: this is what `channel` is checked against.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// One hour in milliseconds, the most that a timestamp may differ; the boundary itself passes.
pub(super) const SKEW_MS: i64 = 3_600_000;

fn mac(key: &[u8], message: &[u8]) -> String {
    // HMAC takes a key of any length; an empty answer would match no signature.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(message);
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

/// DingTalk: key is the secret, message is timestamp (ms), newline, secret.
pub(crate) fn dingtalk(secret: &str, timestamp: &str) -> String {
    mac(secret.as_bytes(), format!("{timestamp}\n{secret}").as_bytes())
}

/// Feishu: key is timestamp (s), newline, secret; the message is empty.
pub(crate) fn feishu(secret: &str, timestamp: &str) -> String {
    mac(format!("{timestamp}\n{secret}").as_bytes(), b"")
}
