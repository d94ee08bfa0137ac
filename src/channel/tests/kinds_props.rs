//! For any title, values, facts and links, in every layout: a strict robot takes the body, calls those who are to be
//! called and nobody else, and no value becomes a link or a call.

use axum::body::Body;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt as _;

use super::escaping::hostile;
use super::{draft, person};
use crate::channel::dialect;
use crate::clock::ManualClock;
use crate::model::{BotKind, Dialect, Draft, Lang, Layout, Mentions, Tone};
use crate::sandbox::{Record, Rules, Sandbox, Switches};

const LAYOUTS: [(BotKind, Layout); 7] = [
    (BotKind::DingTalk, Layout::Markdown),
    (BotKind::DingTalk, Layout::ActionCard),
    (BotKind::WeCom, Layout::Markdown),
    (BotKind::WeCom, Layout::MarkdownV2),
    (BotKind::WeCom, Layout::TemplateCard),
    (BotKind::Feishu, Layout::Card),
    (BotKind::Feishu, Layout::Post),
];

/// Takes only what the vendors are sure to take.
fn strict() -> Rules {
    let switches = Switches { refuse_useless_at: true, refuse_mentions_in_markdown: true, ..Switches::default() };
    Rules { switches, rate_limits: Some(Vec::new()), ..Rules::default() }
}

/// What a strict robot makes of it.
fn sent(dialect: &dyn Dialect, draft: &Draft) -> Record {
    let kind = dialect.kind();
    let robots = Sandbox::new(ManualClock::new(Timestamp::from_second(1_700_000_000).unwrap()), false);
    robots.put_robot(kind, "T", strict()).unwrap();
    let path = match kind {
        BotKind::DingTalk => "/robot/send?access_token=T",
        BotKind::WeCom => "/cgi-bin/webhook/send?key=T",
        BotKind::Feishu => "/open-apis/bot/v2/hook/T",
    };
    let body = dialect.encode(draft, "0123456789abcdef0123456789abcdef");
    let request = http::Request::post(path).header("content-type", "application/json").body(Body::from(body)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(robots.router().oneshot(request)).unwrap();
    robots.messages(kind, "T", 0, 9).unwrap().pop().unwrap()
}

/// A draft as templates make it, but for its mention text: values in markup, everything escaped.
fn written(dialect: &dyn Dialect, values: &[String], linked: bool) -> String {
    let escaped = |at: usize| values.get(at % values.len().max(1)).map_or_else(String::new, |v| dialect.escape(v));
    let mut body =
        format!("**Alarm** {}\n{}\n>{} <font color='grey'>{}</font>\n", escaped(0), escaped(1), escaped(2), escaped(3));
    for at in 4..values.len() {
        body.push_str(&format!("- {}\n", escaped(at)));
    }
    if linked {
        body.push_str(&format!("[{}](https://real/x)\n", escaped(1)));
    }
    body + "Dispatch"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => hostile(), 1 => any::<String>(), 1 => "[长短]{0,90}"]
}

fn link() -> impl Strategy<Value = (String, String)> {
    let url = prop_oneof![
        4 => "https://[a-z]{1,9}/[-a-z0-9_?=&%#()]{0,40}",
        1 => Just("https://bell.corp/m/00112233445566778899aabbccddeeff".to_owned()),
        1 => prop::sample::select(vec!["javascript:alert(1)", "", "https://a b", "dingtalk://x", "HTTP://x\n"]).prop_map(str::to_owned),
    ];
    (text(), url)
}

prop_compose! {
    /// Title, values of the body, whether it has a link, facts, links, and whom it calls.
    fn parts()(
        title in text(), values in prop::collection::vec(text(), 1..8), linked in any::<bool>(),
        facts in prop::collection::vec((text(), text()), 0..14), links in prop::collection::vec(link(), 0..9),
        tone in prop::sample::select(vec![Tone::Red, Tone::Orange, Tone::Blue, Tone::Green, Tone::Grey]),
        people in 0..3_usize, all in any::<bool>(), folded in prop::option::of((text(), text())),
    ) -> (Draft, Vec<String>, bool) {
        let who = ["one", "two", "three"].iter().take(people);
        // The second has nothing but a number, which only DingTalk and WeCom's text can call.
        let who = who.map(|id| match *id {
            "two" => person("two", "13800000002", "", "", ""),
            id => person(id, "", id, id, &format!("ou_{id}")),
        });
        let mentions = Mentions { all: all && people > 0, people: who.collect() };
        (Draft { facts, links, tone, folded, mentions, ..draft(&title, "") }, values, linked)
    }
}

/// The draft in this layout, with the mention text that templates put into it.
fn drafted(dialect: &dyn Dialect, layout: Layout, (draft, values, linked): &(Draft, Vec<String>, bool)) -> Draft {
    let escape = |text: &String| dialect.escape(text);
    let mut body = written(dialect, values, *linked);
    body.push_str(&dialect.mention_text(&draft.mentions, Lang::Zh));
    let folded = draft.folded.as_ref().map(|(head, lines)| (escape(head), escape(lines)));
    Draft { layout, body, folded, ..draft.clone() }
}

/// Every object of a JSON value.
fn objects<'v>(value: &'v Value, out: &mut Vec<&'v serde_json::Map<String, Value>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, out)),
        Value::Object(fields) => {
            out.push(fields);
            fields.values().for_each(|value| objects(value, out));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn strict_robots_take_every_layout_and_call_only_the_called(parts in parts(), at in 0..LAYOUTS.len()) {
        let (kind, layout) = LAYOUTS[at];
        let dialect = dialect(kind, layout, false);
        let draft = drafted(&*dialect, layout, &parts);
        if dialect.size(&draft) > dialect.limit(&draft) {
            return Ok(());
        }
        let record = sent(&*dialect, &draft);
        prop_assert!(record.accepted, "{} {} {draft:?}", record.errmsg, record.reason);
        prop_assert!(record.warnings.is_empty(), "{:?} {draft:?}", record.warnings);
        prop_assert_eq!(record.mentions.all, draft.mentions.all);
        let wanted = draft.mentions.people.iter().filter_map(|person| match (kind, person.name.as_str()) {
            (BotKind::Feishu, "two") => None,
            (BotKind::Feishu, _) => Some(person.feishu_open_id.clone()),
            (_, "two") => Some(person.mobile.clone()),
            _ => Some(person.name.clone()),
        });
        let (mut wanted, mut called): (Vec<String>, _) = (wanted.collect(), record.mentions.ids.clone());
        wanted.sort();
        called.sort();
        prop_assert_eq!(called, wanted, "{:?}", record.raw);
    }

    #[test]
    fn no_value_becomes_a_link_or_a_call(parts in parts(), at in 0..LAYOUTS.len()) {
        let (kind, layout) = LAYOUTS[at];
        let dialect = dialect(kind, layout, false);
        let draft = drafted(&*dialect, layout, &parts);
        let sent: Value = serde_json::from_slice(&dialect.encode(&draft, "")).unwrap();
        let mut found = Vec::new();
        objects(&sent, &mut found);
        let real = |url: &str| url == "https://real/x" || draft.links.iter().any(|(_, link)| link == url);
        for fields in found {
            for key in ["url", "href", "default_url", "actionURL", "singleURL"] {
                let url = fields.get(key).and_then(Value::as_str);
                prop_assert!(url.is_none_or(real), "{url:?}");
            }
            if fields.get("tag").and_then(Value::as_str) == Some("at") {
                let id = fields.get("user_id").and_then(Value::as_str).unwrap();
                let known = draft.mentions.people.iter().any(|person| person.feishu_open_id == id);
                prop_assert!(known || (id == "all" && draft.mentions.all), "{id}");
            }
        }
    }

    #[test]
    fn keywords_found_in_cards_and_posts_are_there(parts in parts(), card in any::<bool>()) {
        let (kind, layout) = if card { (BotKind::WeCom, Layout::TemplateCard) } else { (BotKind::Feishu, Layout::Post) };
        let dialect = dialect(kind, layout, false);
        let mut draft = drafted(&*dialect, layout, &parts);
        draft.mentions = Mentions::default();
        draft.links.push(("a".to_owned(), "https://b".to_owned()));
        let sent: Value = serde_json::from_slice(&dialect.encode(&draft, "")).unwrap();
        let mut found = Vec::new();
        objects(&sent, &mut found);
        let texts: Vec<&str> = found.iter().flat_map(|fields| fields.iter())
            .filter(|(key, _)| ["text", "title", "desc", "sub_title_text", "keyname", "value"].contains(&key.as_str()))
            .filter_map(|(_, value)| value.as_str())
            .collect();
        for part in dialect.keyword_texts(&draft) {
            prop_assert!(texts.iter().any(|text| text.contains(part)), "{part:?} in {texts:?}");
        }
    }

    #[test]
    fn any_draft_at_all_is_json(
        (mut draft, ..) in parts(), body in any::<String>(), plain in any::<bool>(), at in 0..LAYOUTS.len(),
    ) {
        let (kind, layout) = LAYOUTS[at];
        (draft.body, draft.plain, draft.layout) = (body, plain, layout);
        let dialect = dialect(kind, layout, true);
        let bytes = dialect.encode(&draft, "");
        prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
        prop_assert!(dialect.limit(&draft) >= 336 && dialect.size(&draft) <= bytes.len() + 200);
        let _ = dialect.keyword_texts(&draft);
    }
}

#[test]
fn hostile_bodies_take_linear_time() {
    // Work that grows with the square, or worse, would take minutes.
    for piece in ["[", "<", "**", "`", "<font ", "[a](", "<at id=", "&#6", "|", "\n>", "!["] {
        for (kind, layout) in LAYOUTS {
            let dialect = dialect(kind, layout, false);
            let links = vec![("a".to_owned(), "https://b".to_owned())];
            let draft = Draft { layout, links, ..draft("t", &piece.repeat(8_000)) };
            assert!(dialect.size(&draft) < 1_000_000);
            let _ = dialect.keyword_texts(&draft);
        }
    }
}
