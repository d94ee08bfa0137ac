#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::rules::Member;
use super::super::tests::{Rig, text, unlimited};
use super::super::vendor::Mentioned;
use super::markdown::{Flavour, People, draw};
use crate::html::Html;
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

fn drawn(flavour: Flavour, text: &str) -> String {
    let members = [Member { name: "张三".to_owned(), user_id: "zs".to_owned(), ..Member::default() }];
    let mentions = Mentioned { all: true, ids: vec!["zs".to_owned()], ..Mentioned::default() };
    let mut html = Html::default();
    draw(&mut html, flavour, People { mentions: &mentions, members: &members }, text);
    html.into_string()
}

#[test]
fn each_vendor_draws_its_own_subset() {
    let at = "<span class=\"at\">@张三</span>";
    let all = "<span class=\"at\">@所有人</span>";
    let cases = [
        // A single newline folds, unless two spaces stand before it.
        (Flavour::DingTalk, "a\nb", "<p>a b</p>".to_owned()),
        (Flavour::DingTalk, "a  \nb", "<p>a<br>b</p>".to_owned()),
        (Flavour::DingTalk, "a\n\nb", "<p>a</p><p>b</p>".to_owned()),
        (Flavour::DingTalk, "- x", "<ul><li>x</li></ul>".to_owned()),
        (Flavour::DingTalk, "hi @zs", format!("<p>hi {at}</p>")),
        (Flavour::DingTalk, "<font color=\"#D00\">x</font>y", "<p><font color=\"#d00\">x</font>y</p>".to_owned()),
        (Flavour::WeCom, "a\nb", "<div>a</div><div>b</div>".to_owned()),
        (Flavour::WeCom, "- *x*", "<div>- *x*</div>".to_owned()),
        (Flavour::WeCom, "1. x **b** `c`", "<div>1. x <strong>b</strong> <code>c</code></div>".to_owned()),
        (
            Flavour::WeCom,
            "## t\n>q\nx",
            "<div class=\"h h2\">t</div><blockquote><div>q</div></blockquote><div>x</div>".to_owned(),
        ),
        // Tags are punctuation to Markdown, and so is the beginning of a line.
        (
            Flavour::WeCom,
            "<font color=\"info\">**(x)…**</font>\n**[x]**y",
            "<div><strong><span class=\"c-info\">(x)…</span></strong></div><div>**[x]**y</div>".to_owned(),
        ),
        (Flavour::WeCom, "<font color=\"info\">ok</font>", "<div><span class=\"c-info\">ok</span></div>".to_owned()),
        (Flavour::WeCom, "<font color=\"red\">x</font>", "<div>&lt;font color=&quot;red&quot;&gt;x</div>".to_owned()),
        (Flavour::WeCom, "<@zs> <@all>", format!("<div>{at} {all}</div>")),
        (Flavour::WeCom, "![a](https://e.com/x)", "<div>![a](https://e.com/x)</div>".to_owned()),
        (Flavour::WeComV2, "<@zs>\n*i*", "<p>&lt;@zs&gt;<br><em>i</em></p>".to_owned()),
        (Flavour::Card, "a\nb<br>c", "<p>a<br>b<br>c</p>".to_owned()),
        (Flavour::Card, "<at id=zs></at><at id=all></at>", format!("<p>{at}{all}</p>")),
        (Flavour::Card, "&#60;b&#62; &#42;", "<p>&lt;b&gt; *</p>".to_owned()),
        (
            Flavour::Card,
            "<font color='red'>**x**</font>",
            "<p><strong><span class=\"c-red\">x</span></strong></p>".to_owned(),
        ),
        (
            Flavour::Card,
            "<text_tag color='green'>ok</text_tag>",
            "<p><span class=\"label c-green\">ok</span></p>".to_owned(),
        ),
        (Flavour::Card, "`<font color='red'>`", "<p><code>&lt;font color=&#39;red&#39;&gt;</code></p>".to_owned()),
    ];
    for (flavour, text, expected) in cases {
        assert_eq!(drawn(flavour, text), expected, "{flavour:?} {text:?}");
    }
}

/// Every tag that may ever appear in a drawn text, with its attributes' names.
fn check_markup(html: &str) {
    let tag = regex::Regex::new(r"<(/?)([a-z0-9]+)([^<>]*)>").unwrap();
    let plain = tag.replace_all(html, "");
    assert!(!plain.contains('<') && !plain.contains('>'), "loose markup in {html}");
    let known = [
        "p",
        "div",
        "span",
        "br",
        "hr",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
        "s",
        "a",
        "b",
        "small",
        "font",
        "table",
        "tr",
        "td",
    ];
    let attributes = regex::Regex::new(r#"^( (class|title|href|rel|target|color|start)="[^"]*")*$"#).unwrap();
    for found in tag.captures_iter(html) {
        assert!(known.contains(&&found[2]), "<{}> in {html}", &found[2]);
        assert!(attributes.is_match(&found[3]), "{:?} in {html}", &found[3]);
        assert!(!found[3].contains("href=\"javascript"), "{html}");
    }
    let opened = |name: &str| html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
    for name in ["span", "font", "a", "div", "p", "strong", "blockquote", "code"] {
        assert_eq!(opened(name), html.matches(&format!("</{name}>")).count(), "<{name}> is not balanced in {html}");
    }
}

const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<font color=\"red\" onmouseover=\"alert(1)\">x",
    "<font color=\"#d00\">never closed",
    "</font></p></div></article>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x) <javascript:alert(1)>",
    "[x](https://e.com/\"onclick=\"alert(1)) ![\"](https://e.com/\"onerror=x)",
    "![a](https://evil.example/x.png) <at id=\"x\" onclick=y></at>",
    "\u{12470}0\u{12471}\u{12472} **<@zs>** <at id=all",
    "&lt;script&gt; &#60;script&#62;alert(1)&#60;/script&#62;",
    "```\n</code></pre><script>\n```",
    "| a |\n| - |\n| <script> |",
    "> > > > - 1. # <b onclick=x>\n\n    <i>",
    "[<font color='red'>](https://e.com/<font color='red'>)</font> \u{202e}moc.live",
];

#[test]
fn hostile_texts_stay_text() {
    for flavour in [Flavour::DingTalk, Flavour::WeCom, Flavour::WeComV2, Flavour::Card] {
        for text in HOSTILE {
            check_markup(&drawn(flavour, text));
        }
        check_markup(&drawn(flavour, &HOSTILE.join("\n")));
        check_markup(&drawn(flavour, &HOSTILE.concat()));
    }
}

proptest::proptest! {
    #[test]
    fn any_text_stays_text(parts in proptest::collection::vec(
        proptest::sample::select(vec!["<", ">", "\"", "'", "&", "font", "at", " color=red", " id=zs", "/", "@", "*", "**",
            "[", "]", "(", ")", "!", "`", "```", "\n", "\n\n", "- ", "1. ", "# ", "|", "---", "\\", "~~", "https://e.com",
            "javascript:", "\u{12470}", "\u{12471}", "\u{12472}", "0", "长", " ", "  \n", "x"]), 0..60)) {
        let text = parts.concat();
        for flavour in [Flavour::DingTalk, Flavour::WeCom, Flavour::WeComV2, Flavour::Card] {
            check_markup(&drawn(flavour, &text));
        }
    }
}

#[tokio::test]
async fn pages_have_a_strict_policy_and_load_nothing_remote() {
    let rig = Rig::quick();
    rig.send(DingTalk, r#"{"msgtype":"markdown","markdown":{"title":"t","text":"![a](https://evil.example/x.png)"}}"#)
        .await;
    let remote = regex::Regex::new(r#"(src|srcset|href|action|poster)="(https?:)?//"#).unwrap();
    for path in ["/", "/chat/dingtalk/T", "/chat/dingtalk/none", "/assets/sandbox.css", "/assets/sandbox.js"] {
        let reply = rig.get(path).await;
        let policy = reply.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'; base-uri 'none'; form-action 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers["referrer-policy"], "no-referrer");
        let mut loads = remote.find_iter(&reply.body).map(|found| found.as_str());
        assert_eq!(loads.next(), None, "{path}");
        assert!(!reply.body.contains("style=\""), "{path}: the policy forbids inline styles");
        assert!(!reply.body.contains("url("), "{path}");
    }
    assert!(rig.get("/").await.body.contains("Picture, not loaded"));
    assert_eq!(rig.get("/chat/dingtalk/none").await.status, 404);
}

/// A body in the vendor's richest type, with `text` in every place that takes one.
fn rich(kind: BotKind, text: &serde_json::Value) -> serde_json::Value {
    use serde_json::json;
    let button = json!({"title": text, "actionURL": text});
    let link = json!({"type": 1, "title": text, "url": text});
    let plain = json!({"tag": "plain_text", "content": text});
    let column =
        json!({"tag": "column", "width": "weighted", "weight": 1, "elements": [{"tag": "markdown", "content": text}]});
    let head = json!({"title": plain, "subtitle": plain, "text_tag_list": [{"tag": "text_tag", "text": plain, "color": text}]});
    match kind {
        DingTalk => {
            json!({"msgtype": "actionCard", "actionCard": {"title": text, "text": text, "btns": [button, button]}})
        }
        WeCom => json!({"msgtype": "template_card", "template_card": {
            "card_type": "text_notice",
            "source": {"desc": text},
            "main_title": {"title": text, "desc": text},
            "emphasis_content": {"title": text, "desc": text},
            "quote_area": {"title": text, "quote_text": text},
            "sub_title_text": text,
            "horizontal_content_list": [{"keyname": text, "value": text}, {"type": 1, "keyname": text, "value": text, "url": text}],
            "jump_list": [link],
            "card_action": {"type": 1, "url": text},
        }}),
        Feishu => json!({"msg_type": "interactive", "card": {"schema": "2.0", "header": head, "body": {"elements": [
            {"tag": "column_set", "flex_mode": "bisect", "columns": [column, column]},
            {"tag": "collapsible_panel", "header": {"title": plain}, "elements": [{"tag": "div", "text": plain}]},
            {"tag": "button", "text": plain, "behaviors": [{"type": "open_url", "default_url": text}]},
        ]}}}),
    }
}

#[tokio::test]
async fn hostile_messages_names_and_hosts_stay_text() {
    let rig = Rig::new();
    for kind in BotKind::ALL {
        rig.set(kind, super::Rules { name: "<script>alert('name')</script>".to_owned(), ..unlimited() });
        for hostile in HOSTILE {
            rig.send(kind, &text(kind, hostile)).await;
            let json = serde_json::Value::from(hostile);
            let body = match kind {
                DingTalk => format!(
                    r#"{{"msgtype":"actionCard","actionCard":{{"title":{json},"text":{json},"singleTitle":{json},"singleURL":{json}}}}}"#
                ),
                WeCom => format!(r#"{{"msgtype":"news","news":{{"articles":[{{"title":{json},"url":{json}}}]}}}}"#),
                Feishu => format!(
                    r#"{{"msg_type":"interactive","card":{{"header":{{"title":{{"tag":"plain_text","content":{json}}},"template":{json}}},"elements":[{{"tag":"img","img_key":{json}}},{{"tag":"button","url":{json},"text":{{"tag":"lark_md","content":{json}}}}},{{"tag":"hr"}}]}}}}"#
                ),
            };
            rig.send(kind, &body).await;
            rig.send(kind, &rich(kind, &json).to_string()).await;
            rig.send(kind, &format!(r#"{{"msgtype":{json},"msg_type":{json}}}"#)).await;
        }
    }
    let page = rig.get("/").await.body;
    assert!(page.contains("&lt;script&gt;alert(&#39;name&#39;)"), "names are escaped");
    for wrong in ["<script>", "<script ", "<img", "onerror=alert(1)>", " onclick=\"", "href=\"javascript", "<b onclick"]
    {
        let scripts = page.matches("<script src=\"/assets/sandbox.js\" defer></script>").count();
        let found = page.matches(wrong).count() - if wrong == "<script " { scripts } else { 0 };
        assert_eq!(found, 0, "{wrong}");
    }
    assert!(
        rig.records(Feishu).iter().any(|record| record.accepted)
            && rig.records(WeCom).iter().any(|record| !record.accepted)
    );
}

#[tokio::test]
async fn a_newcomer_is_told_where_to_post() {
    let rig = Rig::new();
    let page = rig.get("/").await.body;
    for part in
        ["/robot/send?access_token=demo", "/cgi-bin/webhook/send?key=demo", "/open-apis/bot/v2/hook/demo", "curl -H"]
    {
        assert!(page.contains(part), "{part}");
    }
    use tower::ServiceExt as _;
    let request = http::Request::get("/").header("host", "x\"><script>").body(axum::body::Body::empty()).unwrap();
    let response = rig.sandbox.router().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert!(
        String::from_utf8_lossy(&body).contains("http://127.0.0.1:8061/robot/send"),
        "a strange Host is not repeated"
    );
}

#[tokio::test]
async fn the_chat_shows_mentions_refusals_and_folds() {
    let rig = Rig::quick();
    rig.send(WeCom, r#"{"msgtype":"text","text":{"content":"disk","mentioned_list":["zs","@all"]}}"#).await;
    rig.send(WeCom, r#"{"msgtype":"markdown","markdown":{"content":""}}"#).await;
    rig.send(Feishu, r#"{"msg_type":"interactive","card":{"schema":"2.0","header":{"title":{"tag":"plain_text","content":"Head"},"template":"red"},"body":{"elements":[{"tag":"collapsible_panel","header":{"title":{"tag":"plain_text","content":"Labels"}},"elements":[{"tag":"markdown","content":"a"}]},{"tag":"button","text":{"tag":"plain_text","content":"Go"},"behaviors":[{"type":"open_url","default_url":"https://e.com/"}]}]}}}"#).await;
    let page = rig.get("/").await.body;
    for part in [
        "notifies everyone, zs",
        "<span class=\"at\">@zs</span>",
        "1 refused",
        "<code>markdown.content</code> is empty",
        "44004",
        "card-head head-red",
        "<details class=\"panel\"><summary>Labels</summary>",
        "rel=\"noopener noreferrer\" target=\"_blank\" class=\"button\" title=\"https://e.com/\"",
        "datetime=\"2023-11-14T22:13:20.000Z\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert_eq!(rig.get("/chat/feishu/T").await.body.matches("<section").count(), 1);
}

#[tokio::test]
async fn rich_types_are_drawn_as_the_clients_do() {
    let rig = Rig::quick();
    for kind in BotKind::ALL {
        rig.send(kind, &rich(kind, &"https://e.com/<b>*x*".into()).to_string()).await;
        assert!(rig.last(kind).accepted, "{:?}", rig.last(kind));
    }
    let page = rig.get("/").await.body;
    let (text, open) = ("https://e.com/&lt;b&gt;*x*", "href=\"https://e.com/&lt;b&gt;*x*\">");
    let parts = [
        // DingTalk: markdown above buttons.
        "<div class=\"bubble md action-card\"><p>".to_owned(),
        format!(
            "<div class=\"actions\"><a rel=\"noopener noreferrer\" target=\"_blank\" class=\"action\" title=\"{text}\" {open}{text}</a>"
        ),
        // WeCom: plain words in places of their own, rows, jumps.
        format!("<p class=\"tc-source\">{text}</p><div class=\"tc-title\"><a"),
        format!("<p class=\"tc-big\"><b>{text}</b><span>{text}</span></p><p class=\"tc-quote\"><b>{text}</b>"),
        format!(
            "<p class=\"tc-sub\">{text}</p><dl class=\"tc-rows\"><dt title=\"{text}\">{text}</dt><dd title=\"{text}\"><span class=\"\">"
        ),
        format!(
            "<div class=\"tc-jumps\"><a rel=\"noopener noreferrer\" target=\"_blank\" class=\"tc-jump\" title=\"{text}\" {open}"
        ),
        // Feishu: two columns of equal weight, folded details, a button on a line of its own.
        "<div class=\"columns bisect\"><div class=\"column w1\"><div class=\"md\"><p>".to_owned(),
        "<details class=\"panel\"><summary>".to_owned(),
        "<div class=\"buttons stacked\"><a rel=\"noopener noreferrer\" target=\"_blank\" class=\"button\"".to_owned(),
    ];
    for part in parts {
        assert!(page.contains(&part), "{part} is not in {page}");
    }
    // Markdown is read where the client reads it, and nowhere else.
    assert_eq!(page.matches("<em>x</em>").count(), 3, "the action card's text and the two columns: {page}");
}

#[tokio::test]
async fn a_cards_plain_texts_are_no_links_and_call_nobody() {
    let rig = Rig::quick();
    let card = r#"{"schema":"2.0","header":{"title":{"tag":"plain_text","content":"https://e.com/ @ou_x"}},"body":{"elements":[{"tag":"markdown","content":"<at id=ou_x></at>"}]}}"#;
    rig.send(Feishu, &format!(r#"{{"msg_type":"interactive","card":{card}}}"#)).await;
    let page = rig.get("/chat/feishu/T?bare").await.body;
    assert!(page.contains("<div class=\"card-title\">https://e.com/ @ou_x</div>"), "{page}");
    assert!(page.contains("<span class=\"at\">@ou_x</span>"), "{page}");
}

#[tokio::test]
async fn a_post_calls_by_its_tags_only() {
    let rig = Rig::quick();
    let post = r#"[[{"tag":"text","text":"@ou_x"},{"tag":"at","user_id":"ou_x"}],[]]"#;
    rig.send(Feishu, &format!(r#"{{"msg_type":"post","content":{{"post":{{"zh_cn":{{"content":{post}}}}}}}}}"#)).await;
    let page = rig.get("/chat/feishu/T").await.body;
    assert!(page.contains("<div>@ou_x<span class=\"at\">@ou_x</span></div><div class=\"blank\"></div>"), "{page}");
}

#[tokio::test]
async fn a_chat_can_be_drawn_for_a_picture() {
    let rig = Rig::quick();
    rig.send(WeCom, &text(WeCom, "disk full")).await;
    let page = rig.get("/chat/wecom/T").await.body;
    assert!(page.contains("<html lang=\"en\"><head>") && page.contains("All chats"), "{page}");
    let page = rig.get("/chat/wecom/T?bare&scheme=dark").await.body;
    assert!(page.contains("<html lang=\"en\" class=\"bare\" data-scheme=\"dark\">"), "{page}");
    for more in ["All chats", "<footer", "<details", "<noscript"] {
        assert!(!page.contains(more), "{more}: {page}");
    }
    let page = rig.get("/chat/wecom/T?scheme=%22%3E%3Cscript%3E").await.body;
    assert!(page.contains("<html lang=\"en\"><head>"), "{page}");
}
