//! The richer message types: what each vendor takes, refuses, and ignores.

use serde_json::{Value, json};

use super::Rig;
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

/// A body, and the place that the refusal names; `""` when it is taken.
async fn check(kind: BotKind, code: i64, cases: impl IntoIterator<Item = (Value, &str)>) {
    let rig = Rig::quick();
    for (body, place) in cases {
        let reply = rig.send(kind, &body.to_string()).await;
        let last = rig.last(kind);
        assert_eq!(reply.code(), if place.is_empty() { 0 } else { code }, "{body}: {}", reply.body);
        assert!(reply.body.contains(place), "{body}: {} does not name {place}", reply.body);
        assert_eq!(last.accepted, place.is_empty(), "{body}");
        assert_eq!(last.reason.is_empty(), place.is_empty(), "{body}: {}", last.reason);
    }
}

/// The only warning of a body that is taken; none for `""`.
async fn warned(kind: BotKind, cases: impl IntoIterator<Item = (Value, &str)>) {
    let rig = Rig::quick();
    for (body, warning) in cases {
        let reply = rig.send(kind, &body.to_string()).await;
        assert_eq!(reply.code(), 0, "{body}: {}", reply.body);
        let last = rig.last(kind);
        assert_eq!(last.warnings.len(), usize::from(!warning.is_empty()), "{body}: {:?}", last.warnings);
        assert!(last.warnings.iter().all(|said| said.contains(warning)), "{body}: {:?}", last.warnings);
        assert!(!last.mentions.all && last.mentions.ids.is_empty(), "{body} calls {:?}", last.mentions);
    }
}

/// `base` with these fields set; a null takes a field away.
fn with(base: &Value, fields: Value) -> Value {
    let mut out = base.clone();
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => out.as_object_mut().unwrap().remove(name),
            value => out.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    out
}

fn template_card(fields: Value) -> Value {
    let base = json!({
        "card_type": "text_notice",
        "main_title": {"title": "t"},
        "card_action": {"type": 1, "url": "https://e.com/"},
    });
    json!({"msgtype": "template_card", "template_card": with(&base, fields)})
}

fn news(fields: Value) -> Value {
    let mut body = template_card(json!({"card_type": "news_notice", "card_image": {"url": "https://e.com/p.png"}}));
    body["template_card"] = with(&body["template_card"], fields);
    body
}

fn many(item: Value, count: usize) -> Value {
    Value::Array(vec![item; count])
}

#[tokio::test]
async fn wecom_judges_template_cards() {
    let row = || json!({"keyname": "k", "value": "v"});
    let jump = || json!({"type": 1, "title": "t", "url": "https://e.com/"});
    let cases = [
        (template_card(json!({})), ""),
        (template_card(json!({"source": {"desc": "s", "desc_color": 3}, "emphasis_content": {"title": "9"}})), ""),
        (template_card(json!({"main_title": null, "sub_title_text": "s"})), ""),
        (template_card(json!({"main_title": null})), "template_card.main_title.title"),
        (template_card(json!({"main_title": {"title": " "}})), "template_card.main_title.title"),
        (template_card(json!({"sub_title_text": 3})), "template_card.sub_title_text"),
        (template_card(json!({"card_type": "button_interaction"})), "template_card.card_type"),
        (template_card(json!({"card_action": null})), "template_card.card_action"),
        (template_card(json!({"card_action": {"type": 0, "url": "https://e.com/"}})), "template_card.card_action.type"),
        (template_card(json!({"card_action": {"url": "https://e.com/"}})), "template_card.card_action.type"),
        (template_card(json!({"card_action": {"type": 1}})), "template_card.card_action.url"),
        (
            template_card(json!({"card_action": {"type": 2, "url": "https://e.com/"}})),
            "template_card.card_action.appid",
        ),
        (
            template_card(json!({"card_action": {"type": "1", "url": "https://e.com/"}})),
            "template_card.card_action.type",
        ),
        (template_card(json!({"horizontal_content_list": many(row(), 6)})), ""),
        (template_card(json!({"horizontal_content_list": many(row(), 7)})), "template_card.horizontal_content_list"),
        (template_card(json!({"horizontal_content_list": {}})), "template_card.horizontal_content_list"),
        (template_card(json!({"horizontal_content_list": [{"value": "v"}]})), "horizontal_content_list.keyname"),
        (
            template_card(json!({"horizontal_content_list": [{"keyname": "k", "value": 3}]})),
            "horizontal_content_list.value",
        ),
        (
            template_card(json!({"horizontal_content_list": [{"keyname": "k", "type": 1}]})),
            "horizontal_content_list.url",
        ),
        (
            template_card(json!({"horizontal_content_list": [{"keyname": "k", "type": 3}]})),
            "horizontal_content_list.userid",
        ),
        (
            template_card(json!({"horizontal_content_list": [{"keyname": "k", "type": 4}]})),
            "horizontal_content_list.type",
        ),
        (template_card(json!({"jump_list": many(jump(), 3)})), ""),
        (template_card(json!({"jump_list": many(jump(), 4)})), "template_card.jump_list"),
        (template_card(json!({"jump_list": [{"type": 1, "title": "t"}]})), "template_card.jump_list.url"),
        (template_card(json!({"jump_list": [{"type": 2, "title": "t"}]})), "template_card.jump_list.appid"),
        (template_card(json!({"jump_list": [{"type": 1, "url": "https://e.com/"}]})), "template_card.jump_list.title"),
        (template_card(json!({"quote_area": {"type": 1, "quote_text": "q"}})), "template_card.quote_area.url"),
        (template_card(json!({"source": {"desc_color": 4}})), "template_card.source.desc_color"),
        (template_card(json!({"source": "s"})), "template_card.source"),
        (news(json!({"vertical_content_list": many(json!({"title": "t"}), 4)})), ""),
        (news(json!({"vertical_content_list": many(json!({"title": "t"}), 5)})), "template_card.vertical_content_list"),
        (news(json!({"vertical_content_list": [{"desc": "d"}]})), "template_card.vertical_content_list.title"),
        (news(json!({"main_title": null, "sub_title_text": "s"})), "template_card.main_title.title"),
        (news(json!({"card_image": null})), "template_card.card_image"),
        (news(json!({"card_image": {"url": "u", "aspect_ratio": 1.3}})), ""),
        (news(json!({"card_image": {"url": "u", "aspect_ratio": 2.25}})), "template_card.card_image.aspect_ratio"),
        (news(json!({"image_text_area": {"title": "t"}})), "template_card.image_text_area.image_url"),
    ];
    check(WeCom, 40_058, cases).await;
    let file = template_card(json!({"horizontal_content_list": [{"keyname": "k", "type": 2, "media_id": "M"}]}));
    check(WeCom, 40_007, [(file, "invalid media_id")]).await;
}

#[tokio::test]
async fn wecom_says_what_it_ignores() {
    let v2 = |content: &str| json!({"msgtype": "markdown_v2", "markdown_v2": {"content": content}});
    let listed = json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "x", "mentioned_list": ["zs"]}});
    let at = |body: Value| with(&body, json!({"at": {"isAtAll": true}}));
    let cases = [
        (v2("x"), ""),
        (v2("x <@zs>"), "<@userid> is ignored: markdown_v2 mentions nobody"),
        (listed, "`mentioned_list` is ignored"),
        (template_card(json!({})), ""),
        (template_card(json!({"sub_title_text": "<@zs>"})), "<@userid> is ignored: a template_card mentions nobody"),
        (template_card(json!({"mentioned_list": ["zs"]})), "`mentioned_list` of the card is ignored"),
        (at(template_card(json!({}))), "`at` is ignored"),
        (template_card(json!({"task_id": "1"})), "`task_id` of the card is ignored"),
        (template_card(json!({"source": {"name": "s"}})), "unknown field `source.name` is ignored"),
        (template_card(json!({"vertical_content_list": []})), "`vertical_content_list` is ignored: a text_notice"),
        (news(json!({"emphasis_content": {"title": "9"}})), "`emphasis_content` is ignored: a news_notice"),
        (news(json!({"sub_title_text": "s"})), "`sub_title_text` is ignored: a news_notice"),
    ];
    warned(WeCom, cases).await;
}

#[tokio::test]
async fn a_template_card_is_read_from_top_to_bottom() {
    let rig = Rig::quick();
    let card = template_card(json!({
        "jump_list": [{"type": 1, "title": "Graph", "url": "https://e.com/"}],
        "horizontal_content_list": [{"keyname": "Cluster", "value": "prod"}],
        "sub_title_text": "since 10:01",
        "main_title": {"title": "Disk full", "desc": "2 % left"},
        "source": {"desc": "alarmbell"},
    }));
    rig.send(WeCom, &card.to_string()).await;
    let last = rig.last(WeCom);
    assert_eq!(last.title, "Disk full");
    assert_eq!(last.text, "alarmbell\nDisk full\n2 % left\nsince 10:01\nCluster prod\nGraph");
}

#[tokio::test]
async fn dingtalk_judges_action_cards() {
    let card = |fields: Value| {
        let base = json!({"title": "t", "text": "b", "singleTitle": "Open", "singleURL": "https://e.com/"});
        json!({"msgtype": "actionCard", "actionCard": with(&base, fields)})
    };
    let several = |btns: Value| card(json!({"singleTitle": null, "singleURL": null, "btns": btns}));
    let btn = json!({"title": "Ack", "actionURL": "https://e.com/"});
    let cases = [
        (card(json!({})), ""),
        (card(json!({"btnOrientation": "0", "hideAvatar": "1"})), ""),
        (card(json!({"btnOrientation": 1})), "actionCard.btnOrientation"),
        (card(json!({"hideAvatar": false})), "actionCard.hideAvatar"),
        (card(json!({"title": null})), "actionCard.title"),
        (card(json!({"text": 3})), "actionCard.text"),
        (card(json!({"singleURL": null})), "actionCard.singleURL"),
        (several(json!([btn])), ""),
        (several(json!([])), "actionCard.btns"),
        (several(json!([btn, {"title": "x"}])), "actionCard.actionURL"),
        (several(json!([{"title": 3, "actionURL": "https://e.com/"}])), "actionCard.title"),
    ];
    check(DingTalk, 40_035, cases).await;
    let at = |at: Value| with(&card(json!({})), json!({"at": at}));
    let cases = [
        (card(json!({"btns": [btn]})), "`btns` is ignored"),
        (card(json!({"btnOrientation": "2"})), "neither"),
        (at(json!({"atMobiles": [], "isAtAll": false})), ""),
        (at(json!({"atMobiles": ["13800000000"]})), "`at` is ignored: actionCard messages mention nobody"),
        (at(json!({"isAtAll": true})), "`at` is ignored"),
    ];
    warned(DingTalk, cases).await;
}

#[tokio::test]
async fn feishu_judges_posts() {
    let post = |post: Value| json!({"msg_type": "post", "content": {"post": post}});
    let tags = |tags: Value| post(json!({"zh_cn": {"title": "t", "content": [tags]}}));
    let cases = [
        (tags(json!([])), ""),
        (tags(json!([{"tag": "text", "text": " ", "un_escape": true}])), ""),
        (tags(json!([{"tag": "a", "text": "x", "href": "https://e.com/"}])), ""),
        (tags(json!([{"tag": "img", "image_key": "img_x"}])), ""),
        (tags(json!([{"tag": "text"}])), "Bad Request"),
        (tags(json!([{"tag": "text", "text": 3}])), "Bad Request"),
        (tags(json!([{"tag": "text", "text": "x", "un_escape": 1}])), "Bad Request"),
        (tags(json!([{"tag": "a", "text": "x"}])), "Bad Request"),
        (tags(json!([{"tag": "a", "href": "https://e.com/"}])), "Bad Request"),
        (tags(json!([{"tag": "at"}])), "Bad Request"),
        (tags(json!([{"tag": "img"}])), "Bad Request"),
        (tags(json!([{"tag": "button"}])), "Bad Request"),
        (tags(json!(["x"])), "Bad Request"),
        (tags(json!({})), "Bad Request"),
        (post(json!({"fr_fr": {"content": []}})), "Bad Request"),
        (post(json!({"zh_cn": {"title": 3, "content": []}})), "Bad Request"),
        (post(json!({"zh_cn": {"title": "t"}})), "Bad Request"),
    ];
    check(Feishu, 9_499, cases).await;
    let cases = [
        (tags(json!([{"tag": "text", "text": "@ou_x <at id=all></at>"}])), ""),
        (tags(json!([{"tag": "md", "text": "**x**"}, {"tag": "md", "text": "y"}])), "`md` of a post is not confirmed"),
        (tags(json!([{"tag": "text", "text": "x", "style": ["bold"]}])), "`style` of a post's tag `text`"),
    ];
    warned(Feishu, cases).await;
}

#[tokio::test]
async fn feishu_judges_columns() {
    let card =
        |element: Value| json!({"msg_type": "interactive", "card": {"schema": "2.0", "body": {"elements": [element]}}});
    let set =
        |fields: Value| with(&json!({"tag": "column_set", "columns": [{"tag": "column", "elements": []}]}), fields);
    let column = |fields: Value| set(json!({"columns": [with(&json!({"tag": "column"}), fields)]}));
    let holding = |element: Value| column(json!({"elements": [element]}));
    let button = |fields: Value| with(&json!({"tag": "button", "text": {"tag": "plain_text", "content": "x"}}), fields);
    let panel =
        json!({"tag": "collapsible_panel", "header": {"title": {"tag": "plain_text", "content": "t"}}, "elements": []});
    let cases = [
        (
            set(
                json!({"flex_mode": "bisect", "horizontal_spacing": "8px", "background_style": "grey", "margin": "0px"}),
            ),
            "",
        ),
        (
            set(json!({"flex_mode": "wrap"})),
            "invalid flex_mode: \\\"wrap\\\", path: ROOT -> body -> elements -> [0](tag: column_set)",
        ),
        (set(json!({"horizontal_spacing": 8})), "invalid horizontal_spacing: 8"),
        (set(json!({"horizontal_spacing": "wide"})), "invalid horizontal_spacing"),
        (set(json!({"corner_radius": "4px"})), "property: corner_radius"),
        (set(json!({"columns": {}})), "columns"),
        (column(json!({"width": "weighted", "weight": 1, "vertical_align": "top", "padding": "4px"})), ""),
        (column(json!({"width": "120px"})), ""),
        (column(json!({"width": "50%"})), "invalid width"),
        (column(json!({"weight": 6})), "invalid weight: 6"),
        (column(json!({"weight": "1"})), "invalid weight"),
        (column(json!({"flex_mode": "none"})), "property: flex_mode"),
        (holding(button(json!({"width": "fill", "type": "primary", "size": "small"}))), ""),
        (holding(button(json!({"type": "blue"}))), "invalid type"),
        (holding(panel), ""),
        (holding(holding(json!({"tag": "hr"}))), ""),
        (holding(holding(holding(json!({"tag": "hr"})))), "ErrCode: 11310"),
        (holding(json!({"tag": "table", "columns": [], "rows": []})), "ErrCode: 200410"),
        (holding(json!({"tag": "form", "elements": []})), "ErrCode: 200410"),
        (json!({"tag": "column", "elements": []}), "ErrCode: 200410"),
    ];
    check(Feishu, 11_246, cases.map(|(element, place)| (card(element), place))).await;
    warned(Feishu, [(card(set(json!({"columns": []}))), "without `columns` shows nothing")]).await;
}
