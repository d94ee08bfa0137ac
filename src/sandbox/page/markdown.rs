//! Each vendor's markdown subset, drawn as its client draws it.
//!
//! Vendor tags (`<font>`, `<at>`, `<@id>`) are taken out first and stand as characters that nobody writes while the markdown
//! is read; every run of text is wrapped on its own, so a tag that is never closed can not leak out of a bubble.

use std::sync::LazyLock;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use regex::Regex;

use super::super::rules::Member;
use super::super::vendor::Mentioned;
use super::html::{open_link, safe_link};
use super::tags::{Colour, GUARD, Piece, Pieces, split};
use crate::html::Html;

/// Which subset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flavour {
    /// DingTalk: single newlines fold.
    DingTalk,
    /// WeCom's first markdown: no lists, italics, images; one level of quote.
    WeCom,
    /// WeCom's second: everything but colours and mentions.
    WeComV2,
    /// Feishu's card markdown.
    Card,
}

/// Who is in the chat, and whom the message calls.
#[derive(Clone, Copy)]
pub(super) struct People<'a> {
    pub(super) mentions: &'a Mentioned,
    pub(super) members: &'a [Member],
}

impl People<'_> {
    fn name<'b>(&'b self, id: &'b str) -> &'b str {
        let member = self.members.iter().find(|member| member.is(id) && !member.name.is_empty());
        member.map_or(id, |member| &member.name)
    }

    /// A mention as the chat shows it: lit when it calls somebody.
    pub(super) fn draw(&self, html: &mut Html, id: &str) {
        let called = match id {
            "all" | "@all" => self.mentions.all,
            id => self.mentions.ids.iter().any(|known| known == id),
        };
        html.raw(if called { "<span class=\"at\">@" } else { "<span class=\"at-nobody\" title=\"calls nobody\">@" });
        html.text(match id {
            "all" | "@all" => "所有人",
            id => self.name(id),
        });
        html.raw("</span>");
    }
}

#[allow(clippy::expect_used)]
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"https?://[^\s<>"'`，。；：！？、（）【】《》“”｜]+"#).expect("a constant pattern"));

struct Drawer<'a> {
    flavour: Flavour,
    people: People<'a>,
    pieces: Pieces,
    fonts: Vec<Colour>,
    labels: Vec<Colour>,
    links: Vec<Option<String>>,
    image: Option<(String, String)>,
    html: &'a mut Html,
}

/// Draws a markdown text.
pub(super) fn draw(html: &mut Html, flavour: Flavour, people: People<'_>, text: &str) {
    let (pieces, source) = Pieces::take(flavour, text);
    let mut drawer =
        Drawer { flavour, people, pieces, fonts: Vec::new(), labels: Vec::new(), links: Vec::new(), image: None, html };
    if flavour == Flavour::WeCom { drawer.lines(&source) } else { drawer.blocks(&source) }
}

/// Draws a plain text: lines as they are, addresses as links, mentions lit by `mention`.
pub(super) fn plain(html: &mut Html, people: People<'_>, text: &str) {
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            html.raw("<br>");
        }
        let mut end = 0;
        for found in ADDRESS.find_iter(line) {
            words(html, people, line.get(end..found.start()).unwrap_or(""));
            end = found.end();
            open_link(html, found.as_str(), "");
            html.text(found.as_str()).raw("</a>");
        }
        words(html, people, line.get(end..).unwrap_or(""));
    }
}

/// Text in which `@id`, and WeCom's `<@id>`, of a called person is a mention.
fn words(html: &mut Html, people: People<'_>, text: &str) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        let called = people.mentions.ids.iter().filter(|id| after.starts_with(id.as_str())).max_by_key(|id| id.len());
        let Some(id) = called else {
            html.text(before).text("@");
            rest = after;
            continue;
        };
        let after = after.get(id.len()..).unwrap_or("");
        let (before, after) = match (before.strip_suffix('<'), after.strip_prefix('>')) {
            (Some(before), Some(after)) => (before, after),
            _ => (before, after),
        };
        html.text(before);
        people.draw(html, id);
        rest = after;
    }
    html.text(rest);
}

impl Drawer<'_> {
    /// WeCom's markdown is read line by line.
    fn lines(&mut self, source: &str) {
        let mut quoted = false;
        for line in source.lines() {
            let (quote, line) = match line.strip_prefix('>') {
                Some(inside) => (true, inside.trim_start()),
                None => (false, line),
            };
            if quote != quoted {
                self.html.raw(if quote { "<blockquote>" } else { "</blockquote>" });
                quoted = quote;
            }
            let level = line.bytes().take_while(|b| *b == b'#').count();
            let heading = (1..=6).contains(&level) && line.as_bytes().get(level) == Some(&b' ');
            match (heading, line.trim().is_empty()) {
                (true, _) => self.html.raw(HEADINGS[level - 1]),
                (false, true) => self.html.raw("<div class=\"blank\">"),
                (false, false) => self.html.raw("<div>"),
            };
            let inside = if heading { line.get(level..).unwrap_or("").trim() } else { line };
            self.inline(&format!("{GUARD}{inside}"));
            self.html.raw("</div>");
        }
        if quoted {
            self.html.raw("</blockquote>");
        }
    }

    fn inline(&mut self, source: &str) {
        let mut in_image = false;
        for (event, range) in Parser::new_ext(source, Options::empty()).into_offset_iter() {
            match event {
                Event::Start(Tag::Image { .. }) => {
                    in_image = true;
                    self.text(source.get(range).unwrap_or(""));
                }
                Event::End(TagEnd::Image) => in_image = false,
                _ if in_image => {}
                Event::Start(Tag::Emphasis) => self.text(source.get(range.start..range.start + 1).unwrap_or("*")),
                Event::End(TagEnd::Emphasis) => self.text(source.get(range.end - 1..range.end).unwrap_or("*")),
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
                event => self.event(event),
            }
        }
    }

    fn blocks(&mut self, source: &str) {
        let mut options = Options::empty();
        if self.flavour != Flavour::DingTalk {
            options.insert(Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
        }
        for event in Parser::new_ext(source, options) {
            self.event(event);
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if self.image.is_some() && !matches!(event, Event::End(TagEnd::Image)) {
            if let (Some((_, alt)), Event::Text(text)) = (&mut self.image, &event) {
                alt.push_str(text);
            }
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(code) => {
                self.html.raw("<code>").text(&self.pieces.restore(&code)).raw("</code>");
            }
            Event::SoftBreak if self.flavour == Flavour::DingTalk => {
                self.html.raw(" ");
            }
            Event::SoftBreak | Event::HardBreak => {
                self.html.raw("<br>");
            }
            Event::Rule => {
                self.html.raw("<hr>");
            }
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.html.raw(HEADINGS[level_index(level)]);
            }
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.html.raw("<pre><code>");
            }
            Tag::List(Some(first)) => {
                self.html.raw("<ol start=\"").text(&first.to_string()).raw("\">");
            }
            Tag::Link { dest_url, .. } => {
                let address = self.pieces.restore(&dest_url);
                if safe_link(&address) {
                    open_link(self.html, &address, "");
                    self.links.push(None);
                } else {
                    self.html.raw("<span class=\"dead-link\">");
                    self.links.push(Some(address));
                }
            }
            Tag::Image { dest_url, .. } => self.image = Some((self.pieces.restore(&dest_url), String::new())),
            tag => {
                if let Some((open, _)) = wrap(&tag.to_end()) {
                    self.html.raw(open);
                }
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.html.raw("</div>");
            }
            TagEnd::CodeBlock => {
                self.html.raw("</code></pre>");
            }
            TagEnd::List(true) => {
                self.html.raw("</ol>");
            }
            TagEnd::Link => match self.links.pop() {
                Some(Some(address)) => {
                    self.html.raw(" <small>(link not opened: ").text(&address).raw(")</small></span>");
                }
                _ => {
                    self.html.raw("</a>");
                }
            },
            TagEnd::Image => {
                if let Some((address, alt)) = self.image.take() {
                    image(self.html, &address, &self.pieces.restore(&alt));
                }
            }
            tag => {
                if let Some((_, close)) = wrap(&tag) {
                    self.html.raw(close);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let owned = text.to_owned();
        for (run, index) in split(&owned) {
            self.run(&run.replace(GUARD, ""));
            match index.and_then(|index| self.pieces.get(index)).map(|(piece, _)| piece.clone()) {
                Some(Piece::FontOpen(colour)) => self.fonts.push(colour),
                Some(Piece::FontClose) => {
                    self.fonts.pop();
                }
                Some(Piece::LabelOpen(colour)) => self.labels.push(colour),
                Some(Piece::LabelClose) => {
                    self.labels.pop();
                }
                Some(Piece::At(ids)) => {
                    for id in ids {
                        self.people.draw(self.html, &id);
                    }
                }
                Some(Piece::Break) => {
                    self.html.raw("<br>");
                }
                None => {}
            }
        }
    }

    /// A run of text in the colour that holds here.
    fn run(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let close = match (self.labels.last(), self.fonts.last()) {
            (Some(Colour::Class(class)), _) => {
                self.html.raw("<span class=\"label ").raw(class).raw("\">");
                "</span>"
            }
            (_, Some(Colour::Class(class))) => {
                self.html.raw("<span class=\"").raw(class).raw("\">");
                "</span>"
            }
            (_, Some(Colour::Hex(hex))) => {
                self.html.raw("<font color=\"").text(hex).raw("\">");
                "</font>"
            }
            _ => "",
        };
        // The others write mentions as tags, which are pieces by now.
        match self.flavour {
            Flavour::DingTalk => words(self.html, self.people, text),
            _ => {
                self.html.text(text);
            }
        }
        self.html.raw(close);
    }
}

/// A picture that is not loaded: only its address is shown.
pub(super) fn image(html: &mut Html, address: &str, alt: &str) {
    html.raw("<span class=\"picture\"><b>Picture, not loaded</b>");
    if !alt.is_empty() {
        html.raw(" ").text(alt);
    }
    html.raw(" <small>").text(address).raw("</small></span>");
}

const HEADINGS: [&str; 6] = [
    "<div class=\"h h1\">",
    "<div class=\"h h2\">",
    "<div class=\"h h3\">",
    "<div class=\"h h4\">",
    "<div class=\"h h5\">",
    "<div class=\"h h6\">",
];

const fn level_index(level: HeadingLevel) -> usize {
    match level {
        HeadingLevel::H1 => 0,
        HeadingLevel::H2 => 1,
        HeadingLevel::H3 => 2,
        HeadingLevel::H4 => 3,
        HeadingLevel::H5 => 4,
        HeadingLevel::H6 => 5,
    }
}

/// Opening and closing markup of what needs no more than that.
const fn wrap(tag: &TagEnd) -> Option<(&'static str, &'static str)> {
    Some(match tag {
        TagEnd::Paragraph | TagEnd::HtmlBlock => ("<p>", "</p>"),
        TagEnd::BlockQuote(_) => ("<blockquote>", "</blockquote>"),
        TagEnd::List(_) => ("<ul>", "</ul>"),
        TagEnd::Item => ("<li>", "</li>"),
        TagEnd::Table => ("<div class=\"table\"><table>", "</table></div>"),
        TagEnd::TableHead | TagEnd::TableRow => ("<tr>", "</tr>"),
        TagEnd::TableCell => ("<td>", "</td>"),
        TagEnd::Emphasis => ("<em>", "</em>"),
        TagEnd::Strong => ("<strong>", "</strong>"),
        TagEnd::Strikethrough => ("<s>", "</s>"),
        _ => return None,
    })
}
