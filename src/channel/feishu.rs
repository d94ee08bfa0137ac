//! Feishu and Lark custom bot: <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>.

mod card;
mod post;

use serde_json::json;

use super::beside::links;
use super::escape::{Style, escape, one_line, wide};
use super::hmac_base64;
use super::reply::{Answer, misconfigured};
use super::text::{is_id, join, keyword_parts, plain, with_title};
use crate::model::{BotKind, Contact, Dialect, Draft, Lang, Layout, Mentions, Millis, Secret, Shape, Verdict};

/// Cards of schema 2.0 and posts; text when the draft is plain.
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
/// Nobody reads this many links.
const MAX_LINKS: usize = 20;

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
        let body = match form(draft) {
            Form::Text => json!({"msg_type": "text", "content": {"text": text(draft)}}),
            Form::Post => json!({"msg_type": "post", "content": {"post": {"zh_cn": post::post(draft)}}}),
            Form::Card => json!({"msg_type": "interactive", "card": card::card(draft)}),
        };
        body.to_string().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        let form = form(draft);
        if let Form::Post = form {
            return post::keyword_texts(draft);
        }
        let mut texts = vec![draft.title.as_str()];
        texts.extend(keyword_parts(&draft.body, !draft.plain));
        if let Form::Card = form {
            texts.extend(card::keyword_texts(draft));
        }
        texts
    }
}

/// In which of the vendor's message types a draft leaves.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Post,
    Card,
}

const fn form(draft: &Draft) -> Form {
    match draft.layout {
        _ if draft.plain => Form::Text,
        Layout::Post => Form::Post,
        _ => Form::Card,
    }
}

fn open_id(person: &Contact) -> Option<&str> {
    is_id(&person.feishu_open_id).then_some(person.feishu_open_id.as_str())
}

fn text(draft: &Draft) -> String {
    let mut content = decode(&with_title(&one_line(&draft.title), &draft.body));
    for (name, url) in links(draft, MAX_LINKS) {
        if !content.contains(url) {
            content.push_str(&format!("\n{name}: {url}"));
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
    plain(&content, &calls, opens)
}

/// Whether what stands behind a `<` begins or ends a call.
fn opens(behind: &str) -> bool {
    let name = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    name.get(..2).is_some_and(|name| name.eq_ignore_ascii_case("at"))
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
