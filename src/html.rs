//! The one place where text becomes HTML, for every page: it stands below the rooms, since the sandbox must not know
//! of `http`, and two copies would differ one day in what they escape.

/// HTML under construction. Markup can only come from the program's own constants; all else is escaped.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Markup of the program itself.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Any text, for content and for double-quoted attribute values. Dropped are controls, which HTML has no form for,
    /// and directional overrides, which make a text read as another one.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() => {}
                c => self.0.push(c),
            }
        }
        self
    }

    /// A number with commas: `9,960`.
    pub(crate) fn number(&mut self, number: impl TryInto<u128>) -> &mut Self {
        self.text(&number_text(number))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// `9,960`
pub(crate) fn number_text(number: impl TryInto<u128>) -> String {
    let digits = number.try_into().unwrap_or(u128::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_drops() {
        let mut html = Html::default();
        html.raw("<p>")
            .text("<b a=\"1\" c='2'>&amp;\u{0}\u{1b}[31m\u{202e}x\n\u{2067}")
            .number(1_234_567_u64)
            .number(12_usize);
        assert_eq!(html.into_string(), "<p>&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;[31mx\n1,234,56712");
    }
}
