//! A first look at a body that was refused: its type and a headline, if it has them.

use serde_json::Value;

/// Type and headline; empty when the body can not be read.
pub(super) fn headline(raw: &str) -> (String, String) {
    let Ok(body) = serde_json::from_str::<Value>(raw) else { return Default::default() };
    let field = |path: &str| body.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let msgtype = field("/msgtype").or_else(|| field("/msg_type")).unwrap_or("");
    let paths = [
        "/markdown/title",
        "/text/content",
        "/link/title",
        "/actionCard/title",
        "/feedCard/links/0/title",
        "/markdown/content",
        "/markdown_v2/content",
        "/news/articles/0/title",
        "/template_card/main_title/title",
        "/card/header/title/content",
        "/content/text",
        "/content/post/zh_cn/title",
    ];
    let title = paths.iter().find_map(|path| field(path)).and_then(|text| text.lines().next()).unwrap_or("");
    (msgtype.chars().take(40).collect(), title.chars().take(200).collect())
}
