//! WeCom group robot: <https://developer.work.weixin.qq.com/document/path/91770>.

mod card;

use serde_json::json;

use super::beside::{links, whole_body};
use super::escape::{Style, escape, one_line};
use super::reply::{Answer, misconfigured};
use super::text::{
    break_lines, everybody, from_markdown, is_id, is_mobile, join, keyword_parts, plain, with_title, without_colours,
};
use crate::model::{BotKind, Contact, Dialect, Draft, Lang, Layout, Mentions, Millis, Shape, Tone, Verdict};

/// Markdown messages of both generations and template cards; text when the draft is plain or calls somebody whom markdown
/// can not call.
pub(super) struct WeCom {
    /// Asked for by the config.
    pub(super) layout: Layout,
}

/// Bytes of `markdown.content` and `markdown_v2.content` (documented; enforced for the former).
const MARKDOWN_LIMIT: usize = 4_096;
/// Alerts that a template card tells: it has six rows, and the last says who acts.
const CARD_ALERTS: usize = 5;
/// Bytes of `text.content` (documented; 5,120 were seen to pass).
const TEXT_LIMIT: usize = 2_048;

impl Dialect for WeCom {
    fn kind(&self) -> BotKind {
        BotKind::WeCom
    }

    fn layout(&self, shape: Shape) -> Layout {
        match self.layout {
            Layout::MarkdownV2 if !shape.calls => self.layout,
            // The card must lead somewhere, and has six short rows.
            Layout::TemplateCard if !shape.calls && !shape.digest && shape.links && shape.alerts <= CARD_ALERTS => {
                self.layout
            }
            _ => Layout::Markdown,
        }
    }

    fn escape(&self, value: &str) -> String {
        escape(value, Style::Wide)
    }

    fn mention_text(&self, mentions: &Mentions, lang: Lang) -> String {
        let by_list = needs_text(mentions);
        join(mentions, everybody(lang), |person| {
            let name = self.escape(&person.name);
            match (by_list, is_id(&person.wecom_user_id), is_mobile(&person.mobile)) {
                (false, true, _) => format!("<@{}>", person.wecom_user_id),
                (true, true, _) | (true, _, true) => format!("@{name}"),
                _ => name,
            }
        })
    }

    /// Of a card, the bytes of its text below the title: the rest is bounded here, and shown beside it.
    fn size(&self, draft: &Draft) -> usize {
        match form(draft) {
            Form::Card(_) => card::text(draft).len(),
            form => content(draft, form).len(),
        }
    }

    fn limit(&self, draft: &Draft) -> usize {
        match form(draft) {
            Form::Text => TEXT_LIMIT,
            Form::Markdown | Form::MarkdownV2 => MARKDOWN_LIMIT,
            Form::Card(_) => card::LIMIT,
        }
    }

    fn encode(&self, draft: &Draft, _: &str) -> Vec<u8> {
        let body = match form(draft) {
            Form::Text => {
                let content = content(draft, Form::Text);
                let (ids, mobiles) = lists(&draft.mentions, &content);
                json!({"msgtype": "text", "text": {
                    "content": content, "mentioned_list": ids, "mentioned_mobile_list": mobiles}})
            }
            Form::Markdown => {
                json!({"msgtype": "markdown", "markdown": {"content": content(draft, Form::Markdown)}})
            }
            Form::MarkdownV2 => {
                json!({"msgtype": "markdown_v2", "markdown_v2": {"content": content(draft, Form::MarkdownV2)}})
            }
            Form::Card(links) => json!({"msgtype": "template_card", "template_card": card::card(draft, &links)}),
        };
        body.to_string().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        if let Form::Card(_) = form(draft) {
            return card::keyword_texts(draft);
        }
        let mut texts = vec![draft.title.as_str()];
        texts.extend(keyword_parts(&draft.body, !draft.plain));
        texts
    }
}

/// In which of the vendor's message types a draft leaves.
enum Form<'a> {
    Text,
    Markdown,
    MarkdownV2,
    /// With its links, at least one.
    Card(Vec<(String, &'a str)>),
}

/// The draft's layout, but where it can not hold what the draft says: only text and the older markdown call people, and a
/// card must lead somewhere.
fn form(draft: &Draft) -> Form<'_> {
    match draft.layout {
        _ if draft.plain || needs_text(&draft.mentions) => Form::Text,
        _ if !draft.mentions.is_empty() => Form::Markdown,
        Layout::MarkdownV2 => Form::MarkdownV2,
        Layout::TemplateCard => {
            let links = links(draft, card::LINKS + 1);
            if links.is_empty() { Form::Markdown } else { Form::Card(links) }
        }
        _ => Form::Markdown,
    }
}

/// Markdown calls people by user id only; everybody and mobile numbers need the lists of a text message.
fn needs_text(mentions: &Mentions) -> bool {
    mentions.all || mentions.people.iter().any(|person| mobile_only(person).is_some())
}

fn mobile_only(person: &Contact) -> Option<&str> {
    (!is_id(&person.wecom_user_id) && is_mobile(&person.mobile)).then_some(person.mobile.as_str())
}

fn content(draft: &Draft, form: Form<'_>) -> String {
    let title = one_line(&draft.title);
    let under = |heading: Option<String>, body: String| match heading {
        Some(heading) if body.is_empty() => heading,
        Some(heading) => format!("{heading}\n{body}"),
        None => body,
    };
    match form {
        Form::Markdown => return under(heading(&title, draft.tone), whole_body(draft)),
        Form::MarkdownV2 => {
            let body = without_colours(&whole_body(draft));
            return break_lines(&under(plain_heading(&title, draft.tone), body), "\n");
        }
        Form::Text | Form::Card(_) => {}
    }
    let calls: Vec<_> = (draft.mentions.people.iter())
        .filter(|person| is_id(&person.wecom_user_id))
        .map(|person| format!("<@{}>", person.wecom_user_id))
        .map(|call| (call.clone(), call))
        .collect();
    let body = if draft.plain { draft.body.clone() } else { from_markdown(&whole_body(draft)) };
    plain(&with_title(&title, &body), &calls, opens)
}

/// Whether what stands behind a `<` calls somebody, or would be a link: texts of WeCom's applications draw `<a href=...>` as
/// one, and nothing documented says that robots' do not.
fn opens(behind: &str) -> bool {
    let behind = behind.trim_start();
    let named = behind.strip_prefix(['a', 'A']).is_some_and(|rest| rest.starts_with(char::is_whitespace));
    named || behind.starts_with('@')
}

/// The title in bold and in the nearest of WeCom's three colours.
fn heading(title: &str, tone: Tone) -> Option<String> {
    let colour = match tone {
        Tone::Red | Tone::Orange => "warning",
        Tone::Green => "info",
        Tone::Blue | Tone::Grey => "comment",
    };
    let title = escape(title, Style::Wide);
    (!title.is_empty()).then(|| format!("<font color=\"{colour}\">**{title}**</font>"))
}

/// The title in bold with a sign for its tone, where there are no colours. A real heading would fill three lines of a phone.
fn plain_heading(title: &str, tone: Tone) -> Option<String> {
    let sign = match tone {
        Tone::Red => "🔴 ",
        Tone::Orange => "🟠 ",
        Tone::Blue => "🔵 ",
        Tone::Green => "🟢 ",
        Tone::Grey => "⚪ ",
    };
    // A template may have put one there.
    let has_one = title.starts_with(|c: char| matches!(c, '\u{2600}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}'));
    let sign = if has_one { "" } else { sign };
    let title = escape(title, Style::Wide);
    (!title.is_empty()).then(|| format!("**{sign}{title}**"))
}

/// `mentioned_list` and `mentioned_mobile_list`, without people whom the content calls itself.
fn lists<'a>(mentions: &'a Mentions, content: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let in_content = |id: &str| content.contains(&format!("<@{id}>"));
    let all = mentions.all.then_some("@all");
    let ids = mentions.people.iter().map(|person| person.wecom_user_id.as_str());
    let ids = all.into_iter().chain(ids.filter(|id| is_id(id) && !in_content(id)));
    (ids.collect(), mentions.people.iter().filter_map(mobile_only).collect())
}

/// The vendor's general page: a block lasts as long as the window; with the pacer's one per cent.
pub(super) const PENALTY_MS: Millis = 60_600;

/// What an error code means. The vendor asks not to read `errmsg`, and it changes with the caller's address.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    let reason = answer.reason.clone();
    match answer.code {
        -1 | 45_033 => Verdict::Retry { reason },
        45_009 => Verdict::RateLimited { wait_ms: PENALTY_MS, reason },
        // Before 2020 this code also said that the content was too long.
        93_000 if answer.message.contains("exceed max length") => Verdict::Rejected { reason },
        93_000 => misconfigured(
            reason,
            "WeCom does not know this key. Open the group, its group robots (message push), this robot, and copy its \
             webhook again into the bot's `url`; if it is gone, add a new one.",
        ),
        93_004 => {
            misconfigured(reason, "The robot was switched off. Switch it on in the group's settings, or add a new one.")
        }
        93_008 => misconfigured(
            reason,
            "The robot is no longer in the group. Add it again, or add a new one and put its webhook into the bot's `url`.",
        ),
        _ => Verdict::Rejected { reason },
    }
}
