//! The message types that a config may ask for: their bodies, bounds, and what becomes of a draft that they can not hold.

use serde_json::{Value, json};

use super::{draft, named, people, plain, zhang};
use crate::channel::dialect;
use crate::model::{BotKind, Dialect, Draft, Layout, Mentions, Shape, Tone};

const ID: &str = "0123456789abcdef0123456789abcdef";
const OWN: &str = "https://bell.corp/m/00112233445566778899aabbccddeeff";

/// The vendor whose layout it is; markdown is DingTalk's.
fn vendor(layout: Layout) -> Box<dyn Dialect> {
    let kind = BotKind::ALL.into_iter().find(|kind| Layout::of(*kind).contains(&layout)).unwrap();
    // What the config asks for must not matter once a draft has its layout.
    let other = Layout::of(kind).iter().copied().find(|other| *other != layout).unwrap();
    let bytes = |asked: Layout, draft: &Draft| dialect(kind, asked, false).encode(draft, ID);
    let sample = Draft { layout, links: named(&[("a", "https://b")]), ..draft("t", "b") };
    assert_eq!(bytes(layout, &sample), bytes(other, &sample));
    dialect(kind, other, false)
}

fn body(draft: &Draft) -> Value {
    serde_json::from_slice(&vendor(draft.layout).encode(draft, ID)).unwrap()
}

fn of(layout: Layout, title: &str, body: &str) -> Draft {
    Draft { layout, ..draft(title, body) }
}

#[test]
fn a_message_gets_the_layout_that_can_hold_it() {
    use Layout::{ActionCard, Card, Markdown, MarkdownV2, Post, TemplateCard};
    let full = Shape { calls: false, alerts: 5, digest: false, links: true };
    let calls = Shape { calls: true, ..full };
    let bare = Shape { links: false, ..full };
    let six = Shape { alerts: 6, ..full };
    let digest = Shape { digest: true, alerts: 2, ..full };
    // Asked for; given with everything, when it calls, without links, with six alerts, as a digest.
    for (kind, asked, given) in [
        (BotKind::DingTalk, Markdown, [Markdown; 5]),
        (BotKind::DingTalk, ActionCard, [ActionCard, Markdown, Markdown, ActionCard, ActionCard]),
        (BotKind::WeCom, Markdown, [Markdown; 5]),
        (BotKind::WeCom, MarkdownV2, [MarkdownV2, Markdown, MarkdownV2, MarkdownV2, MarkdownV2]),
        (BotKind::WeCom, TemplateCard, [TemplateCard, Markdown, Markdown, Markdown, Markdown]),
        (BotKind::Feishu, Card, [Card; 5]),
        (BotKind::Feishu, Post, [Post; 5]),
        // Another vendor's stands for the default.
        (BotKind::DingTalk, Post, [Markdown; 5]),
        (BotKind::WeCom, ActionCard, [Markdown; 5]),
        (BotKind::Feishu, TemplateCard, [Card; 5]),
    ] {
        let dialect = dialect(kind, asked, false);
        let got = [full, calls, bare, six, digest].map(|shape| dialect.layout(shape));
        assert_eq!(got, given, "{kind:?} {asked:?}");
        assert!(dialect.layout(calls).calls());
    }
}

#[test]
fn action_cards_have_the_links_as_buttons() {
    let links = named(&[
        ("图表", "https://g/x?a=b"),
        ("bad", "javascript:alert(1)"),
        ("手\n册", "http://w/r"),
        ("静默", "https://am/#/s"),
    ]);
    let card = Draft { links, ..of(Layout::ActionCard, "🔴严重 磁盘满", "第一行\n第二行") };
    assert_eq!(
        body(&card),
        json!({"msgtype": "actionCard", "msgUuid": ID, "actionCard": {
            "title": "🔴严重 磁盘满",
            "text": "第一行  \n第二行",
            "btnOrientation": "0",
            "btns": [
                {"title": "图表", "actionURL": "https://g/x?a=b"},
                {"title": "手 册", "actionURL": "http://w/r"},
                {"title": "静默", "actionURL": "https://am/#/s"},
            ],
        }})
    );
    let one = Draft { links: named(&[("详情", OWN)]), ..card.clone() };
    assert_eq!(
        body(&one)["actionCard"],
        json!({"title": "🔴严重 磁盘满", "text": "第一行  \n第二行", "singleTitle": "详情", "singleURL": OWN})
    );
    // Beside each other only where both fit into half a phone.
    for (one, two, orientation) in [
        ("图表", "手册", "1"),
        ("Dashboard", "Silence", "1"),
        ("Dashboard", "Silence it", "1"),
        ("图表", "六个字的名字", "0"),
    ] {
        let links = named(&[(one, "https://a"), (two, "https://b")]);
        assert_eq!(body(&Draft { links, ..card.clone() })["actionCard"]["btnOrientation"], orientation, "{two}");
    }
    // Of many, the last stays; long names are cut between characters.
    let names: Vec<String> = (0..30).map(|n| format!("第{n}个很长很长的按钮名字")).collect();
    let links = names.iter().map(|name| (name.clone(), format!("https://h/{name}"))).collect();
    let many = body(&Draft { links, ..card });
    let buttons = many["actionCard"]["btns"].as_array().unwrap();
    let titles: Vec<&str> = buttons.iter().map(|button| button["title"].as_str().unwrap()).collect();
    assert_eq!(
        titles,
        [
            "第0个很长很长的按钮…",
            "第1个很长很长的按钮…",
            "第2个很长很长的按钮…",
            "第3个很长很长的按钮…",
            "第29个很长很长的按…"
        ]
    );
}

#[test]
fn markdown_v2_has_a_sign_instead_of_colours() {
    for (tone, title, heading) in [
        (Tone::Red, "严重 a*b", "**🔴 严重 a＊b**"),
        (Tone::Orange, "t", "**🟠 t**"),
        (Tone::Blue, "t", "**🔵 t**"),
        (Tone::Green, "t", "**🟢 t**"),
        (Tone::Grey, "t", "**⚪ t**"),
        (Tone::Red, "🔥 t", "**🔥 t**"),
    ] {
        let written = "集群 x\n>现象 <font color=\"warning\">坏</font>\n图表\n- a\n- b < c <fontx\nend </FONT>";
        let shown = "集群 x\n>现象 坏\n\n图表\n- a\n- b < c <fontx\n\nend";
        let got = body(&Draft { tone, ..of(Layout::MarkdownV2, title, written) });
        assert_eq!(got, json!({"msgtype": "markdown_v2", "markdown_v2": {"content": format!("{heading}\n{shown}")}}));
    }
    assert_eq!(body(&of(Layout::MarkdownV2, "", "b"))["markdown_v2"]["content"], "b");
    assert_eq!(body(&of(Layout::MarkdownV2, "t", ""))["markdown_v2"]["content"], "**🔴 t**");
}

#[test]
fn template_cards_are_filled() {
    let card = Draft {
        facts: named(&[
            ("集群", "prod-sh"),
            ("开始", "10:01:32，已 2 分钟"),
            ("a name too long", " "),
            ("持续时间很长了", "x"),
        ]),
        links: named(&[("图表", "https://g/x"), ("手册", "https://w/r"), ("静默", "https://am/s"), ("详情", OWN)]),
        ..of(
            Layout::TemplateCard,
            "严重 Alarm｜MySQL主从延迟 db-03",
            "从库延迟 **312s**\n>阈值 [60s](https://g/x)，[日志](https://l/x)\n[图表](https://g/x) · [静默](https://am/s)\nDispatch",
        )
    };
    let jump = |title: &str, url: &str| json!({"type": 1, "title": title, "url": url});
    assert_eq!(
        body(&card),
        json!({"msgtype": "template_card", "template_card": {
            "card_type": "text_notice",
            "source": {"desc": "alarmbell", "desc_color": 2},
            "main_title": {"title": "严重 Alarm｜MySQL主从延迟 db-03"},
            "sub_title_text": "从库延迟 312s\n阈值 60s，日志 https://l/x\nDispatch",
            "horizontal_content_list": [
                {"keyname": "集群", "value": "prod-sh"},
                {"keyname": "开始", "value": "10:01:32，已 2 分钟"},
                {"keyname": "持续时间很…", "value": "x"},
            ],
            "jump_list": [
                jump("图表", "https://g/x"), jump("手册", "https://w/r"), jump("静默", "https://am/s"),
            ],
            "card_action": {"type": 1, "url": OWN},
        }})
    );
    for (tone, colour) in [(Tone::Orange, 1), (Tone::Blue, 0), (Tone::Green, 3), (Tone::Grey, 0)] {
        assert_eq!(body(&Draft { tone, ..card.clone() })["template_card"]["source"]["desc_color"], colour);
    }
    // Where it leads, and which links are shown: with room for all, the page too.
    for (links, goal, shown) in [
        (vec![("a", "https://a"), ("b", "https://b")], "https://a", "ab"),
        (vec![("a", "https://a"), ("p", OWN)], OWN, "ap"),
        (vec![("a", "https://a"), ("b", "https://b"), ("p", OWN)], OWN, "abp"),
        (vec![("a", "https://a"), ("b", "https://b"), ("c", "https://c"), ("d", "https://d")], "https://a", "bcd"),
        (vec![("a", "https://a"), ("b", "https://b"), ("c", "https://c"), ("d", "https://d"), ("p", OWN)], OWN, "abc"),
        (vec![("a", "https://a/m/xy"), ("x", "ftp://x")], "https://a/m/xy", "a"),
    ] {
        let sent = body(&Draft { links: named(&links), ..card.clone() });
        assert_eq!(sent["template_card"]["card_action"]["url"], goal, "{links:?}");
        let jumps = sent["template_card"]["jump_list"].as_array().unwrap();
        let names: String = jumps.iter().map(|jump| jump["title"].as_str().unwrap()).collect();
        assert_eq!(names, shown);
    }
}

#[test]
fn template_cards_are_bounded() {
    let long = "长".repeat(500);
    let facts: Vec<_> = (0..20).map(|n| (format!("{n}{long}"), format!("{n}👨\u{200d}👩 {long}"))).collect();
    let links = (0..9).map(|n| (format!("{n}{long}"), format!("https://h/{n}"))).collect();
    let card = Draft { facts, links, ..of(Layout::TemplateCard, &format!("严重 {long}"), "b") };
    let sent = &body(&card)["template_card"];
    let facts = sent["horizontal_content_list"].as_array().unwrap();
    assert_eq!(facts.len(), 6);
    assert_eq!(facts[0]["keyname"], "0长长长长长…");
    let value = facts[0]["value"].as_str().unwrap();
    assert!(value.starts_with("0👨\u{200d}👩 长") && value.ends_with("长…") && value.chars().count() < 60, "{value}");
    let jumps = sent["jump_list"].as_array().unwrap();
    assert_eq!((jumps.len(), jumps[0]["title"].as_str().unwrap()), (3, "1长长长长长长长长长长长长…"));
    assert!(vendor(Layout::TemplateCard).encode(&card, ID).len() < 4_000);
    // A long title goes on in the second line, where a word ends.
    let title = "严重 Alarm｜KubePersistentVolumeFillingUp｜monitoring/prometheus-k8s-0 prod-sh";
    let sent = body(&Draft { title: title.to_owned(), ..card.clone() });
    assert_eq!(
        sent["template_card"]["main_title"],
        json!({"title": "严重 Alarm｜KubePersistentVolumeFillingUp", "desc": "monitoring/prometheus-k8s-0 prod-sh"})
    );
    // What only repeats the title is left out; a card may be without any text.
    let sent = body(&Draft { title: "t".to_owned(), body: "**t**".to_owned(), facts: Vec::new(), ..card });
    assert_eq!(sent["template_card"]["sub_title_text"], Value::Null);
    assert_eq!(sent["template_card"]["horizontal_content_list"], Value::Null);
}

#[test]
fn a_card_that_can_be_none_loses_nothing() {
    let facts = named(&[("集群", "prod*sh"), ("在", "body")]);
    let links = named(&[("图*表", "https://g/x_(1)"), ("in", "https://body")]);
    let written = "the body https://body";
    let mail = Mentions { all: false, people: vec![zhang()] };
    let all = Mentions { all: true, people: Vec::new() };
    let line = "[图＊表](https://g/x_%281%29)";
    // DingTalk without links, with somebody to call.
    let card = Draft { facts: facts.clone(), ..of(Layout::ActionCard, "t", written) };
    let sent = body(&card);
    assert_eq!(
        (&sent["msgtype"], &sent["markdown"]["text"]),
        (&json!("markdown"), &json!(format!("{written}  \n集群 prod＊sh")))
    );
    let card = Draft { links: links.clone(), mentions: mail.clone(), ..card };
    let sent = body(&card);
    assert_eq!(sent["markdown"]["text"], format!("{written}  \n集群 prod＊sh  \n{line}"));
    assert_eq!(sent["at"]["atMobiles"], json!(["13800000000"]));
    for layout in [Layout::TemplateCard, Layout::MarkdownV2] {
        let card = Draft { layout, mentions: mail.clone(), ..card.clone() };
        let sent = body(&card);
        let content = sent["markdown"]["content"].as_str().unwrap();
        assert!(content.ends_with(&format!("{written}\n集群 prod＊sh\n{line}")), "{content}");
        let sent = body(&Draft { mentions: all.clone(), ..card });
        assert_eq!(sent["text"]["mentioned_list"], json!(["@all"]));
        assert_eq!(sent["text"]["content"], format!("t\n{written}\n集群 prod＊sh\n图＊表 https://g/x_%281%29"));
    }
    let sent = body(&Draft { links: Vec::new(), layout: Layout::TemplateCard, mentions: Mentions::default(), ..card });
    assert!(sent["markdown"]["content"].as_str().unwrap().ends_with("集群 prod＊sh"), "{sent}");
    // Plain messages are text whatever the layout.
    for layout in [Layout::ActionCard, Layout::MarkdownV2, Layout::TemplateCard, Layout::Card, Layout::Post] {
        let sent = body(&Draft { layout, links: links.clone(), facts: facts.clone(), ..plain("t", "b") });
        assert!(sent.get("text").or(sent.pointer("/content/text")).is_some(), "{sent}");
    }
}

#[test]
fn feishu_cards_show_facts_in_two_columns() {
    let long = "monitoring/prometheus-k8s-operator-0";
    let facts =
        named(&[("集群", "prod_sh_"), ("实例", "db-03"), ("单独", "x"), ("容器", long), ("", "y"), ("空", " ")]);
    let card = Draft {
        facts,
        folded: Some(("标签".to_owned(), "a".to_owned())),
        links: (0..5).map(|n| (format!("n{n}"), format!("https://h/{n}"))).collect(),
        ..of(Layout::Card, "t", "b")
    };
    let sent = body(&card);
    let elements = sent["card"]["body"]["elements"].as_array().unwrap();
    let tags: Vec<&str> = elements.iter().map(|element| element["tag"].as_str().unwrap()).collect();
    let set = "column_set";
    assert_eq!(tags, ["markdown", set, set, set, set, "collapsible_panel", set, set]);
    let column = |name: &str, value: &str| {
        json!({"tag": "column", "width": "weighted", "weight": 1, "vertical_spacing": "2px", "elements": [
            {"tag": "markdown", "text_size": "notation", "content": format!("<font color='grey'>{name}</font>")},
            {"tag": "markdown", "content": value},
        ]})
    };
    let row = |mode: &str, columns: Value| json!({"tag": set, "flex_mode": mode, "horizontal_spacing": "8px", "columns": columns});
    assert_eq!(elements[1], row("none", json!([column("集群", "prod_sh&#95;"), column("实例", "db-03")])));
    assert_eq!(elements[2], row("none", json!([column("单独", "x")])));
    assert_eq!(elements[3], row("none", json!([column("容器", long)])));
    assert_eq!(elements[4]["columns"][0]["elements"], json!([{"tag": "markdown", "content": "y"}]));
    let buttons = |at: usize| elements[at]["columns"].as_array().unwrap().len();
    assert_eq!((buttons(6), buttons(7)), (4, 1));
    assert_eq!(elements[7]["flex_mode"], "flow");
}

#[test]
fn feishu_posts_are_lines_of_tags() {
    let written = "**Alarm** <font color='grey'>严&#42;重</font> &#60;at id=all&#62;\n\n> [图**表**](https://g/x) · [x](ftp://y) ok\n\
                   Dispatch：<at id=ou_zhang></at> <at id=all></at> <at id=ou_boss></at>\n";
    let post = Draft {
        links: named(&[("在", "https://g/x"), ("手册 <at id=all>", "https://w/r"), ("详情", OWN)]),
        facts: named(&[("集群", "严*重"), ("新", "<at id=ou_x>")]),
        folded: Some(("标签".to_owned(), "a&#95; = [b](https://l)".to_owned())),
        mentions: people(&[zhang()]),
        ..of(Layout::Post, "严重 <x>", written)
    };
    let text = |text: &str| json!({"tag": "text", "text": text});
    let link = |text: &str, href: &str| json!({"tag": "a", "text": text, "href": href});
    assert_eq!(
        body(&post),
        json!({"msg_type": "post", "content": {"post": {"zh_cn": {"title": "严重 <x>", "content": [
            [text("Alarm 严*重 ＜at id=all>")],
            [text(" ")],
            [link("图表", "https://g/x"), text(" · x ftp://y ok")],
            [text("Dispatch："), {"tag": "at", "user_id": "ou_zhang", "user_name": "zhang.san"},
                text(" ＜at id=all>＜/at> ＜at id=ou_boss>＜/at>")],
            [text("新 ＜at id=ou_x>")],
            [text("标签")],
            [text("a_ = "), link("b", "https://l")],
            [link("手册 ＜at id=all>", "https://w/r"), text(" · "), link("详情", OWN)],
        ]}}}})
    );
    let all = Mentions { all: true, people: Vec::new() };
    let sent =
        body(&Draft { mentions: all, ..of(Layout::Post, "t", "a &#60;a**t id=all&#62;**<br>b <at id=all></at>") });
    assert_eq!(
        sent.pointer("/content/post/zh_cn/content").unwrap(),
        &json!([[text("a ＜at id=all>")], [text("b "), {"tag": "at", "user_id": "all"}]])
    );
    let sent = body(&of(Layout::Post, "t", "\n\n"));
    assert_eq!(sent.pointer("/content/post/zh_cn/content").unwrap(), &json!([[text("t")]]));
}

#[test]
fn sizes_and_limits_follow_the_layout() {
    let text = "长\"<>\n**b**";
    let links = || named(&[("a", "https://b")]);
    for (layout, limit, place) in [
        (Layout::MarkdownV2, 4_096, "/markdown_v2/content"),
        (Layout::TemplateCard, 336, "/template_card/sub_title_text"),
        (Layout::ActionCard, 20_000, ""),
        (Layout::Card, 20_000, ""),
        (Layout::Post, 20_000, ""),
    ] {
        let draft = Draft { links: links(), facts: named(&[("a", "b")]), ..of(layout, "t", text) };
        let dialect = vendor(layout);
        let bytes = dialect.encode(&draft, ID);
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        let size = if place.is_empty() { bytes.len() } else { sent.pointer(place).unwrap().as_str().unwrap().len() };
        assert_eq!((dialect.size(&draft), dialect.limit(&draft)), (size, limit), "{layout:?}");
    }
    // What is not made any more makes nothing fit.
    for many in ["\n", "a\n", "[a](https://b)"] {
        let post = of(Layout::Post, "t", &format!("{}end", many.repeat(100_000)));
        assert!((20_001..400_000).contains(&vendor(Layout::Post).size(&post)), "{many:?}");
    }
    let signed = dialect(BotKind::Feishu, Layout::Card, true);
    let post = of(Layout::Post, "t", "b");
    assert_eq!(signed.size(&post), signed.encode(&post, ID).len() + 79);
}

#[test]
fn keywords_are_found_only_where_they_are_sent() {
    let written = "**Al**arm [name](https://Linked) <font color='red'>in</font> https://Plain.x/y\n> Dis&#42;patch `code` <x> a & b";
    let facts = named(&[("where", "prod"), ("far", "a|b"), ("much too long a name for it", "v")]);
    let title = "the title of the message which is long enough for two lines";
    // Found; not found, because it is no text, is rewritten, cut or left out.
    for (layout, found, missing) in [
        (Layout::ActionCard, vec!["title of", "name", "in", "code"], vec!["Linked", "Plain"]),
        (Layout::MarkdownV2, vec!["title of", "name", "in", "code"], vec!["Linked", "Plain", "prod"]),
        (
            Layout::TemplateCard,
            vec!["the title", "two lines", "name", "in", "code", "prod", "where", "a|b"],
            vec![
                "Linked",
                "Plain",
                "Alarm",
                "much",
                "enough for two lines",
                "the title of the message which is long enough for two",
            ],
        ),
        (
            Layout::Card,
            vec!["title of", "name", "in", "code", "prod", "where", "head", "lines"],
            vec!["Linked", "Plain", "a|b", "much"],
        ),
        (
            Layout::Post,
            vec!["title of", "name", "in", "code", "arm", "Dis", "patch"],
            vec!["Linked", "Plain", "Alarm", "Dispatch", "42", "a &"],
        ),
    ] {
        let folded = Some(("head".to_owned(), "lines".to_owned()));
        let draft =
            Draft { facts: facts.clone(), folded, links: named(&[("a", "https://b")]), ..of(layout, title, written) };
        let texts = vendor(layout).keyword_texts(&draft);
        let holds = |word: &&str| texts.iter().any(|text| text.contains(*word));
        assert_eq!(found.iter().filter(|word| !holds(word)).collect::<Vec<_>>(), [&""; 0], "{layout:?} {texts:?}");
        assert_eq!(missing.iter().filter(|word| holds(word)).collect::<Vec<_>>(), [&""; 0], "{layout:?} {texts:?}");
    }
}
