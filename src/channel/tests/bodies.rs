//! Request bodies: each form of each vendor, mentions, sizes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{dialect, draft, people, person, plain, zhang};
use crate::channel::sign;
use crate::model::{BotKind, Draft, Lang, Mentions, Secret, Tone};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn body(kind: BotKind, draft: &Draft) -> Value {
    let bytes = dialect(kind, false).encode(draft, ID);
    serde_json::from_slice(&bytes).unwrap()
}

fn all() -> Mentions {
    Mentions { all: true, people: Vec::new() }
}

/// The mention text in the body, as every template has it.
fn calling(kind: BotKind, base: Draft, mentions: Mentions) -> Draft {
    let text = dialect(kind, false).mention_text(&mentions, Lang::Zh);
    Draft { body: format!("{}\n{text}", base.body), mentions, ..base }
}

#[test]
fn dingtalk_markdown_and_text() {
    let kind = BotKind::DingTalk;
    assert_eq!(
        body(kind, &draft("🔴严重 磁盘\n满", "第一行\n第二行")),
        json!({
            "msgtype": "markdown",
            "markdown": {"title": "🔴严重 磁盘 满", "text": "第一行  \n第二行"},
            "at": {"atMobiles": [], "atUserIds": [], "isAtAll": false},
            "msgUuid": ID,
        })
    );
    let ding = person("li.si", "13900000000", "manager42", "", "");
    let mentions = people(&[zhang(), ding, person("nobody", "", "", "", "")]);
    let got = body(kind, &calling(kind, draft("t", "b"), mentions.clone()));
    assert_eq!(got["markdown"]["text"], "b  \n@13800000000 @manager42 nobody");
    assert_eq!(got["at"], json!({"atMobiles": ["13800000000"], "atUserIds": ["manager42"], "isAtAll": false}));
    let got = body(kind, &calling(kind, plain("t", "b\nc"), mentions));
    assert_eq!(got["msgtype"], "text");
    assert_eq!(got["text"]["content"], "t\nb\nc\n@13800000000 @manager42 nobody");
    assert_eq!(got["at"]["atMobiles"], json!(["13800000000"]));
    let got = body(kind, &calling(kind, draft("t", "b"), all()));
    assert_eq!((&got["at"]["isAtAll"], &got["markdown"]["text"]), (&json!(true), &json!("b  \n@所有人")));
    assert_eq!(body(kind, &draft("", "b"))["markdown"]["title"], "alarmbell", "a title is required");
}

#[test]
fn every_line_is_a_line_in_dingtalk() {
    for (written, sent) in [
        ("a\nb", "a  \nb"),
        ("a\n\nb", "a\n\nb"),
        ("a  \nb\r\nc ", "a  \nb  \nc"),
        ("> q\n> r\ntext", "> q  \n> r\n\ntext"),
        ("- a\n- b\n  more\ntext", "- a  \n- b  \n  more  \ntext"),
        ("head\n- a", "head  \n- a"),
        ("1. a\n2. b\nend", "1. a  \n2. b\n\nend"),
        ("10.0.0.1 x\ny", "10.0.0.1 x  \ny"),
        ("text\n---\nmore", "text\n\n---  \nmore"),
        ("```\na\nb\n```\nc", "```\na\nb\n```  \nc"),
        ("head\n| a |\n|---|\n| b |\ntext", "head  \n| a |  \n|---|  \n| b |\n\ntext"),
        ("", "t"),
    ] {
        let got = body(BotKind::DingTalk, &draft("t", written));
        assert_eq!(got["markdown"]["text"], sent, "{written:?}");
        assert_eq!(body(BotKind::DingTalk, &draft("t", sent)), got, "doing it twice changes nothing");
    }
}

#[test]
fn wecom_markdown_has_the_title_in_its_colour() {
    let kind = BotKind::WeCom;
    for (tone, colour) in [
        (Tone::Red, "warning"),
        (Tone::Orange, "warning"),
        (Tone::Blue, "comment"),
        (Tone::Green, "info"),
        (Tone::Grey, "comment"),
    ] {
        let got = body(kind, &Draft { tone, ..draft("严重 </font><@all>", ">集群 x\n第二行") });
        let content = format!("<font color=\"{colour}\">**严重 ＜/font>＜＠all>**</font>\n>集群 x\n第二行");
        assert_eq!(got, json!({"msgtype": "markdown", "markdown": {"content": content}}));
    }
    let got = body(kind, &calling(kind, draft("", "b"), people(&[zhang()])));
    assert_eq!(got["markdown"]["content"], "b\n<@zhangsan>", "markdown calls user ids");
}

#[test]
fn wecom_uses_text_when_markdown_can_not_call() {
    let kind = BotKind::WeCom;
    let mobile = person("li.si", "13900000000", "", "", "");
    let written =
        "> 集群 **prod**\n## `a`\n[图表](http://g/x) · [http://g](http://g)\n<font color=\"info\">ok</font> 5 > 3 #1";
    let shown = "集群 prod\na\n图表 http://g/x · http://g\nok 5 > 3 #1";
    let got = body(kind, &calling(kind, draft("t", written), people(&[zhang(), mobile])));
    assert_eq!(got["msgtype"], "text");
    assert_eq!(got["text"]["content"], format!("t\n{shown}\n@zhang.san @li.si"));
    assert_eq!(got["text"]["mentioned_list"], json!(["zhangsan"]));
    assert_eq!(got["text"]["mentioned_mobile_list"], json!(["13900000000"]));
    let got = body(kind, &calling(kind, draft("t", "b"), all()));
    assert_eq!(
        got["text"],
        json!({"content": "t\nb\n@所有人", "mentioned_list": ["@all"], "mentioned_mobile_list": []})
    );
    // A plain draft with user ids only calls in the content, once.
    let got = body(kind, &calling(kind, plain("t", "b **x**"), people(&[zhang()])));
    assert_eq!(got["text"]["content"], "t\nb **x**\n<@zhangsan>");
    assert_eq!(got["text"]["mentioned_list"], json!([]));
    // Without the mention text in the body the list calls.
    let got = body(kind, &Draft { mentions: people(&[zhang()]), ..plain("t", "b") });
    assert_eq!(got["text"]["mentioned_list"], json!(["zhangsan"]));
}

#[test]
fn feishu_card_and_text() {
    let kind = BotKind::Feishu;
    let mut full = calling(kind, draft("严重 <x>", "**b**"), people(&[zhang(), person("n_x_", "", "", "", "")]));
    full.folded = Some(("标签".to_owned(), "a: b".to_owned()));
    full.links = vec![
        ("图表".to_owned(), "https://g/x".to_owned()),
        ("bad".to_owned(), "javascript:alert(1)".to_owned()),
        ("长".repeat(200), "http://g".to_owned()),
    ];
    let button = |name: &str, url: &str, style: &str| {
        json!({"tag": "column", "width": "auto", "elements": [{
            "tag": "button", "type": style, "text": {"tag": "plain_text", "content": name},
            "behaviors": [{"type": "open_url", "default_url": url}]}]})
    };
    assert_eq!(
        body(kind, &full),
        json!({"msg_type": "interactive", "card": {
            "schema": "2.0",
            "config": {"update_multi": true},
            "header": {"title": {"tag": "plain_text", "content": "严重 <x>"}, "template": "red"},
            "body": {"elements": [
                {"tag": "markdown", "content": "**b**\n<at id=ou_zhang></at> n_x&#95;"},
                {"tag": "collapsible_panel", "expanded": false,
                    "header": {"title": {"tag": "markdown", "content": "标签"}},
                    "elements": [{"tag": "markdown", "content": "a: b"}]},
                {"tag": "column_set", "flex_mode": "flow", "horizontal_spacing": "8px", "columns": [
                    button("图表", "https://g/x", "primary"),
                    button(&"长".repeat(100), "http://g", "default"),
                ]},
            ]},
        }})
    );
    for (tone, colour) in [(Tone::Orange, "orange"), (Tone::Blue, "blue"), (Tone::Green, "green"), (Tone::Grey, "grey")]
    {
        assert_eq!(body(kind, &Draft { tone, ..draft("t", "b") })["card"]["header"]["template"], colour);
    }
    let got = body(kind, &Draft { plain: true, ..full });
    assert_eq!(
        got,
        json!({"msg_type": "text", "content": {"text": format!(
            "严重 <x>\n**b**\n<at user_id=\"ou_zhang\">zhang.san</at> n_x_\n图表: https://g/x\n{}: http://g", "长".repeat(200)
        )}})
    );
    let got = body(kind, &calling(kind, plain("t", "b"), all()));
    assert_eq!(got["content"]["text"], "t\nb\n<at user_id=\"all\">all</at>");
    let got = body(kind, &calling(kind, draft("t", "b"), all()));
    assert_eq!(got["card"]["body"]["elements"][0]["content"], "b\n<at id=all></at>");
    let empty = body(kind, &draft("t", " "));
    assert_eq!(empty["card"]["body"]["elements"], json!([{"tag": "markdown", "content": "t"}]), "a card needs a body");
}

#[test]
fn plain_bodies_call_only_who_is_mentioned() {
    let hostile =
        "<@boss> < @boss> <@zhangsan> <at id=ou_boss></at> <AT user_id=\"all\">x</at> <at id=ou_zhang></at> a<b";
    let wecom = Draft { mentions: people(&[zhang()]), ..plain("<@boss>", hostile) };
    assert_eq!(
        body(BotKind::WeCom, &wecom)["text"]["content"],
        "＜@boss>\n＜@boss> ＜ @boss> <@zhangsan> <at id=ou_boss></at> <AT user_id=\"all\">x</at> <at id=ou_zhang></at> a<b"
    );
    let feishu = Draft { mentions: people(&[zhang()]), ..plain("<at id=all></at>", hostile) };
    assert_eq!(
        body(BotKind::Feishu, &feishu)["content"]["text"],
        "＜at id=all>＜/at>\n<@boss> < @boss> <@zhangsan> ＜at id=ou_boss>＜/at> ＜AT user_id=\"all\">x＜/at> \
         <at user_id=\"ou_zhang\">zhang.san</at> a<b"
    );
    let dingtalk = body(BotKind::DingTalk, &plain("t", "@all @13800000000"));
    assert_eq!(dingtalk["at"], json!({"atMobiles": [], "atUserIds": [], "isAtAll": false}));
    // An id that is none can not break out of its tag.
    let bad = people(&[person("x", "1 2", "a b", "a>b", "ou_x></at><at id=all")]);
    for kind in BotKind::ALL {
        assert_eq!(dialect(kind, false).mention_text(&bad, Lang::En), "x");
    }
}

#[test]
fn escaped_values_read_as_typed_in_feishu_text() {
    let dialect = dialect(BotKind::Feishu, false);
    for value in ["_a_ *b* [c](d) `e` #f", "<at id=all></at>", "1. x", "&lt;", "a&#60;b"] {
        let got = body(BotKind::Feishu, &plain("", &dialect.escape(value)));
        let text = got["content"]["text"].as_str().unwrap();
        assert_eq!(text.replace('＜', "<"), value);
        assert!(!text.contains("<at") && !text.contains("</at"));
    }
}

#[test]
fn sizes_are_bytes_of_the_final_form() {
    // (kind, draft, limit, what is counted)
    let texts = "长\"<>\n";
    let wecom = dialect(BotKind::WeCom, false);
    for (draft, limit, field) in [
        (draft("t", texts), 4_096, "/markdown/content"),
        (plain("t", texts), 2_048, "/text/content"),
        (Draft { mentions: all(), ..draft("t", texts) }, 2_048, "/text/content"),
        (Draft { mentions: people(&[zhang()]), ..draft("t", texts) }, 4_096, "/markdown/content"),
    ] {
        let sent = body(BotKind::WeCom, &draft);
        let content = sent.pointer(field).unwrap().as_str().unwrap();
        assert_eq!((wecom.size(&draft), wecom.limit(&draft)), (content.len(), limit));
    }
    for draft in [draft("t", texts), plain("t", texts)] {
        let ding = dialect(BotKind::DingTalk, true);
        assert_eq!((ding.size(&draft), ding.limit(&draft)), (ding.encode(&draft, ID).len(), 20_000));
        for signed in [false, true] {
            let feishu = dialect(BotKind::Feishu, signed);
            let secret = signed.then(|| Secret::new("demo"));
            let sent = sign(
                BotKind::Feishu,
                &Secret::new("u"),
                secret.as_ref(),
                &feishu.encode(&draft, ID),
                1_700_000_000_000,
            );
            assert_eq!((feishu.size(&draft), feishu.limit(&draft)), (sent.body.len(), 20_000));
        }
    }
}

#[test]
fn keywords_are_looked_for_where_the_vendor_looks() {
    let written = "before [name](http://Alarm/x) <font color=\"Alarm\">in</font> https://Alarm.example/y 5 < 6";
    for kind in BotKind::ALL {
        let mut draft = draft("the title", written);
        draft.folded = Some(("head".to_owned(), "folded".to_owned()));
        let texts = dialect(kind, false).keyword_texts(&draft).join("|");
        for part in ["the title", "before", "name", "in"] {
            assert!(texts.contains(part), "{texts}");
        }
        assert_eq!(texts.contains("folded"), kind == BotKind::Feishu);
        assert!(!texts.contains("Alarm"), "{texts}");
        draft.body = "text Alarm ](".to_owned();
        assert!(dialect(kind, false).keyword_texts(&draft).iter().any(|part| part.contains("Alarm")));
    }
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let text = || prop_oneof![any::<String>(), "[-<>@/at#*`\\[\\]()h:. \n&;0-9]{0,60}"];
    (text(), text(), any::<bool>(), any::<bool>(), text(), 0usize..3).prop_map(
        |(title, body, plain, all, id, folds)| {
            let someone = person(&title, "13800000000", &id, &id, &id);
            Draft {
                plain,
                folded: (folds > 0).then(|| (title.clone(), body.clone())),
                links: vec![(title.clone(), format!("https://x/{body}")); folds],
                mentions: Mentions { all, people: vec![someone, zhang()] },
                ..draft(&title, &body)
            }
        },
    )
}

proptest! {
    #[test]
    fn any_draft_is_json_of_its_size(draft in any_draft()) {
        for kind in BotKind::ALL {
            let dialect = dialect(kind, false);
            let bytes = dialect.encode(&draft, ID);
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            prop_assert!(dialect.size(&draft) <= bytes.len());
            let signed = sign(kind, &Secret::new("https://h/p?a=b"), Some(&Secret::new("s")), &bytes, 1_700_000_000_000);
            prop_assert!(serde_json::from_slice::<Value>(&signed.body).is_ok());
            let _ = dialect.keyword_texts(&draft);
        }
    }
}
