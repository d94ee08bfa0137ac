//! The one place where text becomes HTML.

use crate::model::BotKind;

/// HTML under construction. Markup can only come from the program's own constants; all else is escaped.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of the program itself.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Any text, for content and for double-quoted attribute values. Controls are dropped: HTML has no form for them.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Directional overrides could make a link read as another one.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() => {}
                c => self.0.push(c),
            }
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: impl Into<u128>) -> &mut Self {
        let digits = number.into().to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                self.0.push('\u{202f}');
            }
            self.0.push(digit);
        }
        self
    }

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

    pub(super) fn into_string(self) -> String {
        self.0
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
