//! What all pages have: head, style, headers.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::html::Html;
use crate::model::Lang;
use crate::render::words::pick;

const CSS: &str = include_str!("page.css");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// The style is the only thing that a page may use, known by its hash; `data:` is for the empty icon, so that browsers
/// ask for none.
static CSP: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(CSS.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// A page up to and with its body's start.
pub(super) fn open(lang: Lang, title: &str) -> Html {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"").raw(pick(lang, "zh-CN", "en"));
    html.raw(
        "\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    );
    html.raw("<meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"data:,\">\n<title>").text(title);
    html.raw("</title>\n<style>").raw(CSS).raw("</style>\n");
    html
}

/// A page as an answer.
pub(super) fn answer(status: StatusCode, html: Html) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, CSP.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (ROBOTS, "noindex"),
        // A message in flight gets its verdict later.
        (CACHE_CONTROL, "private, no-cache"),
    ];
    (status, headers, html.into_string()).into_response()
}
