//! Feishu and Lark custom bot: <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>.

use serde_json::{Value, json};

use super::escape::{Style, escape, one_line, wide};
use super::hmac_base64;
use super::reply::{Answer, misconfigured};
use super::text::{is_id, join, keyword_parts, plain, with_title};
use crate::model::{BotKind, Contact, Dialect, Draft, Lang, Layout, Mentions, Millis, Secret, Shape, Tone, Verdict};

/// Cards of schema 2.0, or text when the draft is plain.
pub(super) struct Feishu {
    /// Asked for by the config.
    pub(super) layout: Layout,
    /// Keep room for `timestamp` and `sign`.
    pub(super) signed: bool,
}

/// Bytes of the whole request body. Documented as "20 KB"; the smaller reading.
const LIMIT: usize = 20_000;
/// `"timestamp":"1700000000","sign":"<44 characters>",`
const SIGNATURE_ROOM: usize = 79;
/// Characters of a button (measured).
const MAX_BUTTON: usize = 100;
/// A card takes fewer than 200 elements; nobody reads this many buttons.
const MAX_BUTTONS: usize = 20;

impl Dialect for Feishu {
    fn kind(&self) -> BotKind {
        BotKind::Feishu
    }

    fn layout(&self, _: Shape) -> Layout {
        if self.layout == Layout::Post { Layout::Post } else { Layout::Card }
    }

    fn escape(&self, value: &str) -> String {
        escape(value, Style::Entity)
    }

    fn mention_text(&self, mentions: &Mentions, _: Lang) -> String {
        join(mentions, "<at id=all></at>", |person| match open_id(person) {
            Some(id) => format!("<at id={id}></at>"),
            None => self.escape(&person.name),
        })
    }

    fn size(&self, draft: &Draft) -> usize {
        self.encode(draft, "").len() + if self.signed { SIGNATURE_ROOM } else { 0 }
    }

    fn limit(&self, _: &Draft) -> usize {
        LIMIT
    }

    fn encode(&self, draft: &Draft, _: &str) -> Vec<u8> {
        let body = if draft.plain {
            json!({"msg_type": "text", "content": {"text": text(draft)}})
        } else {
            json!({"msg_type": "interactive", "card": card(draft)})
        };
        body.to_string().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        let mut texts = vec![draft.title.as_str()];
        texts.extend(keyword_parts(&draft.body, !draft.plain));
        if let (false, Some((head, lines))) = (draft.plain, &draft.folded) {
            texts.push(head);
            texts.extend(keyword_parts(lines, true));
        }
        texts
    }
}

fn open_id(person: &Contact) -> Option<&str> {
    is_id(&person.feishu_open_id).then_some(person.feishu_open_id.as_str())
}

fn card(draft: &Draft) -> Value {
    let mut elements = Vec::new();
    if !draft.body.trim().is_empty() {
        elements.push(json!({"tag": "markdown", "content": draft.body}));
    }
    if let Some((head, lines)) = &draft.folded {
        elements.push(json!({
            "tag": "collapsible_panel",
            "expanded": false,
            "header": {"title": {"tag": "markdown", "content": head}},
            "elements": [{"tag": "markdown", "content": lines}],
        }));
    }
    elements.extend(links(draft).take(MAX_BUTTONS).map(|(name, url)| {
        let name: String = one_line(name).chars().take(MAX_BUTTON).collect();
        json!({
            "tag": "button",
            "text": {"tag": "plain_text", "content": name},
            "behaviors": [{"type": "open_url", "default_url": url}],
        })
    }));
    let title = one_line(&draft.title);
    if elements.is_empty() {
        elements.push(json!({"tag": "markdown", "content": escape(&title, Style::Entity)}));
    }
    let colour = match draft.tone {
        Tone::Red => "red",
        Tone::Orange => "orange",
        Tone::Blue => "blue",
        Tone::Green => "green",
        Tone::Grey => "grey",
    };
    json!({
        "schema": "2.0",
        "config": {"update_multi": true},
        "header": {"title": {"tag": "plain_text", "content": title}, "template": colour},
        "body": {"elements": elements},
    })
}

/// Links that a button may open.
fn links(draft: &Draft) -> impl Iterator<Item = (&str, &str)> {
    let web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    draft
        .links
        .iter()
        .map(|(name, url)| (name.as_str(), url.as_str()))
        .filter(move |(name, url)| !name.trim().is_empty() && web(url))
}

fn text(draft: &Draft) -> String {
    let mut content = decode(&with_title(&one_line(&draft.title), &draft.body));
    for (name, url) in links(draft).take(MAX_BUTTONS) {
        if !content.contains(url) {
            content.push_str(&format!("\n{}: {url}", one_line(name)));
        }
    }
    // Cards and texts call people by different attributes; the body has the card's form.
    let everybody = ("<at id=all></at>".to_owned(), "<at user_id=\"all\">all</at>".to_owned());
    let people = draft.mentions.people.iter().filter_map(|person| {
        let id = open_id(person)?;
        let name: String = one_line(&person.name).chars().map(|c| if "<>".contains(c) { wide(c) } else { c }).collect();
        Some((format!("<at id={id}></at>"), format!("<at user_id=\"{id}\">{name}</at>")))
    });
    let calls: Vec<_> = draft.mentions.all.then_some(everybody).into_iter().chain(people).collect();
    plain(&content, &calls, |behind| {
        let name = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        name.get(..2).is_some_and(|name| name.eq_ignore_ascii_case("at"))
    })
}

/// Takes back the entities that [`Dialect::escape`] writes: a text message shows them as they are.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("&#") {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        let digits = entity.bytes().skip(2).take(3).take_while(u8::is_ascii_digit).count();
        let code = entity.get(2..2 + digits).and_then(|digits| digits.parse::<u8>().ok());
        match (code, entity.as_bytes().get(2 + digits)) {
            (Some(code), Some(b';')) if code.is_ascii_punctuation() => {
                out.push(char::from(code));
                rest = entity.get(3 + digits..).unwrap_or_default();
            }
            _ => {
                out.push_str("&#");
                rest = entity.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// Puts `timestamp` (seconds, a string) and `sign` into the body. The key holds the secret, and nothing is signed.
pub(super) fn sign(body: &[u8], secret: &Secret, now_ms: Millis) -> Vec<u8> {
    let Some(rest) = body.strip_prefix(b"{") else { return body.to_vec() };
    let seconds = now_ms.div_euclid(1_000);
    let sign = hmac_base64(format!("{seconds}\n{}", secret.expose()).as_bytes(), b"");
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let mut signed = format!("{{\"timestamp\":\"{seconds}\",\"sign\":\"{sign}\"{comma}").into_bytes();
    signed.extend_from_slice(rest);
    signed
}

/// No penalty is documented: one second, doubling up to the length of the longer window.
pub(super) fn penalty_ms(failures: u32) -> Millis {
    (1_000 << failures.min(6)).min(60_000)
}

/// What an error code means.
pub(super) fn verdict(answer: &Answer, failures: u32) -> Verdict {
    let reason = answer.reason.clone();
    let remedy = match answer.code {
        // One code, two meanings.
        9_499 if answer.message.to_lowercase().contains("too many") => {
            return Verdict::RateLimited { wait_ms: penalty_ms(failures), reason };
        }
        11_232 | 99_991_400 => return Verdict::RateLimited { wait_ms: penalty_ms(failures), reason },
        19_001 => {
            "Feishu does not know this webhook. Open the group's settings, Bots, the custom bot, and copy its webhook \
             again into the bot's `url`; if it is gone, add a new one."
        }
        19_007 => "The bot was switched off. Switch it on in the group's settings under Bots, or add a new one.",
        19_021 => {
            "The signature is wrong or too old. Copy the bot's signing secret again from its security settings into \
             this bot's `secret`, and check this machine's clock (NTP)."
        }
        19_022 => {
            "The bot accepts messages only from certain addresses. Add this machine's public IP address to the bot's \
             security settings, or remove the rule."
        }
        19_024 => {
            "The bot accepts only messages with its keyword. Open the group's settings, Bots, this bot, and add the \
             robot's keyword to this bot's `keywords`."
        }
        _ => return Verdict::Rejected { reason },
    };
    misconfigured(reason, remedy)
}
