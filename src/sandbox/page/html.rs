//! What the chats' pages add to text: code in sentences, and links that may or may not be opened.

use crate::html::Html;
use crate::model::BotKind;

impl Html {
    /// A sentence in which words between backticks are code.
    pub(super) fn sentence(&mut self, sentence: &str) -> &mut Self {
        for (at, part) in sentence.split('`').enumerate() {
            match at % 2 {
                0 => self.text(part),
                _ => self.raw("<code>").text(part).raw("</code>"),
            };
        }
        self
    }

    /// A vendor's word, for classes and addresses.
    pub(super) fn vendor(&mut self, kind: BotKind) -> &mut Self {
        self.raw(kind.as_str())
    }
}

/// Whether a message's link may be opened: web addresses and DingTalk's own scheme.
pub(super) fn safe_link(address: &str) -> bool {
    let lower: String = address.chars().take(12).collect::<String>().to_ascii_lowercase();
    let known = ["http://", "https://", "dingtalk://"].iter().any(|scheme| lower.starts_with(scheme));
    known && !address.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// A link that leaks nothing and can not reach back; where it may not be opened, its text with the address.
pub(super) fn link(html: &mut Html, address: &str, class: &'static str, inside: impl FnOnce(&mut Html)) {
    if safe_link(address) {
        open_link(html, address, class);
        inside(html);
        html.raw("</a>");
    } else {
        html.raw("<span class=\"dead-link\">");
        inside(html);
        html.raw(" <small>(link not opened: ").text(address).raw(")</small></span>");
    }
}

/// The opening tag of a link to an address that is known to be safe.
pub(super) fn open_link(html: &mut Html, address: &str, class: &'static str) {
    html.raw("<a rel=\"noopener noreferrer\" target=\"_blank\" class=\"").raw(class).raw("\" title=\"").text(address);
    html.raw("\" href=\"").text(address).raw("\">");
}
