//! WeCom group robot: <https://developer.work.weixin.qq.com/document/path/91770>.

use serde_json::json;

use super::escape::{Style, escape, one_line};
use super::reply::{Answer, misconfigured};
use super::text::{everybody, from_markdown, is_id, is_mobile, join, keyword_parts, plain, with_title};
use crate::model::{BotKind, Contact, Dialect, Draft, Lang, Layout, Mentions, Millis, Shape, Tone, Verdict};

/// Markdown messages; text when the draft is plain or calls somebody whom markdown can not call.
pub(super) struct WeCom {
    /// Asked for by the config.
    pub(super) layout: Layout,
}

/// Bytes of `markdown.content` (documented and enforced).
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

    fn size(&self, draft: &Draft) -> usize {
        content(draft).len()
    }

    fn limit(&self, draft: &Draft) -> usize {
        if is_text(draft) { TEXT_LIMIT } else { MARKDOWN_LIMIT }
    }

    fn encode(&self, draft: &Draft, _: &str) -> Vec<u8> {
        let content = content(draft);
        let body = if is_text(draft) {
            let (ids, mobiles) = lists(&draft.mentions, &content);
            json!({"msgtype": "text", "text": {
                "content": content, "mentioned_list": ids, "mentioned_mobile_list": mobiles}})
        } else {
            json!({"msgtype": "markdown", "markdown": {"content": content}})
        };
        body.to_string().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        let mut texts = vec![draft.title.as_str()];
        texts.extend(keyword_parts(&draft.body, !draft.plain));
        texts
    }
}

fn is_text(draft: &Draft) -> bool {
    draft.plain || needs_text(&draft.mentions)
}

/// Markdown calls people by user id only; everybody and mobile numbers need the lists of a text message.
fn needs_text(mentions: &Mentions) -> bool {
    mentions.all || mentions.people.iter().any(|person| mobile_only(person).is_some())
}

fn mobile_only(person: &Contact) -> Option<&str> {
    (!is_id(&person.wecom_user_id) && is_mobile(&person.mobile)).then_some(person.mobile.as_str())
}

fn content(draft: &Draft) -> String {
    let title = one_line(&draft.title);
    if !is_text(draft) {
        return match heading(&title, draft.tone) {
            Some(heading) if draft.body.is_empty() => heading,
            Some(heading) => format!("{heading}\n{}", draft.body),
            None => draft.body.clone(),
        };
    }
    let calls: Vec<_> = (draft.mentions.people.iter())
        .filter(|person| is_id(&person.wecom_user_id))
        .map(|person| format!("<@{}>", person.wecom_user_id))
        .map(|call| (call.clone(), call))
        .collect();
    let body = if draft.plain { draft.body.clone() } else { from_markdown(&draft.body) };
    plain(&with_title(&title, &body), &calls, |behind| behind.trim_start().starts_with('@'))
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
