//! Every row of the facts page's check order that can be produced.

use super::super::rules::{KeywordMode, RobotState, Switches};
use super::super::{Member, Rules};
use super::{JSON, Rig, text, unlimited};
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

struct Case {
    kind: BotKind,
    rules: Rules,
    method: &'static str,
    content_type: &'static str,
    path: Option<&'static str>,
    body: String,
    step: u8,
    code: i64,
    text: &'static str,
}

fn case(kind: BotKind, body: impl Into<String>, step: u8, code: i64, text: &'static str) -> Case {
    Case {
        kind,
        rules: unlimited(),
        method: "POST",
        content_type: JSON,
        path: None,
        body: body.into(),
        step,
        code,
        text,
    }
}

impl Case {
    fn rules(mut self, rules: Rules) -> Self {
        self.rules = Rules { rate_limits: Some(Vec::new()), ..rules };
        self
    }

    fn switches(self, switches: Switches) -> Self {
        self.rules(Rules { switches, ..Rules::default() })
    }

    fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    fn get(mut self) -> Self {
        self.method = "GET";
        self
    }

    async fn check(self) {
        let rig = Rig::new();
        rig.set(self.kind, self.rules);
        let path = self.path.map_or_else(|| super::super::address(self.kind, "T"), str::to_owned);
        let reply = rig.call(self.method, &path, self.content_type, self.body.clone()).await;
        let shown: String = self.body.chars().take(200).collect();
        assert_eq!(reply.code(), self.code, "{} {shown}: {}", self.kind.as_str(), reply.body);
        assert!(reply.body.contains(self.text), "{shown}: {} lacks {}", reply.body, self.text);
        if self.path.is_none() && self.step > 0 {
            let last = rig.last(self.kind);
            assert_eq!((last.accepted, last.step), (false, self.step), "{shown}");
            assert!(!last.reason.is_empty(), "{shown}: no reason in plain words");
            assert_eq!(rig.stats(self.kind).accepted, 0);
        } else if self.step == 0 {
            assert!(rig.last(self.kind).accepted, "{shown}");
        }
    }
}

fn dingtalk_body(size: usize) -> String {
    let empty = text(DingTalk, "");
    text(DingTalk, &"x".repeat(size - empty.len()))
}

fn wecom(kind: &str, bytes: usize) -> String {
    format!(r#"{{"msgtype":"{kind}","{kind}":{{"content":"{}"}}}}"#, "x".repeat(bytes))
}

fn keywords(words: &[&str]) -> Rules {
    Rules { keywords: words.iter().map(|word| (*word).to_owned()).collect(), ..Rules::default() }
}

fn card2(elements: &str) -> String {
    format!(r#"{{"msg_type":"interactive","card":{{"schema":"2.0","body":{{"elements":[{elements}]}}}}}}"#)
}

#[tokio::test]
async fn dingtalk_refuses_in_its_order() {
    let ok = || text(DingTalk, "disk full");
    let old = || Switches { old_texts: true, ..Switches::default() };
    let all = KeywordMode::All;
    let mut cases = vec![
        case(DingTalk, ok(), 0, 0, "ok"),
        case(DingTalk, ok(), 0, 0, "ok").content_type("application/json; charset=utf-8"),
        case(DingTalk, "", 1, 43_002, "需要POST请求").get(),
        case(DingTalk, ok(), 4, 300_005, "token is not exist")
            .rules(Rules { state: RobotState::Gone, ..Rules::default() }),
        case(DingTalk, ok(), 4, 400_102, "stopped").rules(Rules { state: RobotState::Stopped, ..Rules::default() }),
        case(DingTalk, ok(), 5, 43_004, "Content-Type").content_type("text/plain"),
        case(DingTalk, ok(), 5, 43_004, "Content-Type").content_type(""),
        case(DingTalk, dingtalk_body(20_000), 0, 0, "ok"),
        case(DingTalk, dingtalk_body(20_001), 6, 460_101, "20000bytes"),
        case(DingTalk, dingtalk_body(20_001), 6, 460_101, "message too long, exceed 20000 bytes").switches(old()),
        // 6,667 characters of three bytes: bytes count, not characters.
        case(DingTalk, text(DingTalk, &"长".repeat(6_667)), 6, 460_101, "20000bytes"),
        case(DingTalk, "", 7, 40_035, "缺少参数 json"),
        case(DingTalk, "{\"msgtype\":", 7, 40_035, "缺少参数 json"),
        case(DingTalk, "[]", 7, 40_035, "缺少参数 json"),
        case(DingTalk, ok(), 8, 310_000, "ip").rules(Rules { ips: vec!["10.0.0.0/8".to_owned()], ..Rules::default() }),
        case(DingTalk, ok(), 0, 0, "ok").rules(Rules { ips: vec!["127.0.0.*".to_owned()], ..Rules::default() }),
        case(DingTalk, ok(), 8, 310_000, "签名不匹配")
            .rules(Rules { secret: "SECtest".to_owned(), ..Rules::default() }),
        case(DingTalk, r#"{"msgtype":"actioncard","actioncard":{}}"#, 9, 400_105, ""),
        case(DingTalk, r#"{"msgtype":"image","image":{}}"#, 9, 400_105, ""),
        case(DingTalk, "{}", 9, 400_105, ""),
        case(DingTalk, ok(), 11, 310_000, "关键词不匹配").rules(keywords(&["Alarm"])),
        case(DingTalk, ok(), 11, 310_000, "keywords not in content")
            .rules(Rules { switches: old(), ..keywords(&["Alarm"]) }),
        // Case counts; one of several is enough; a link's target does not count.
        case(DingTalk, text(DingTalk, "alarm"), 11, 310_000, "关键词不匹配").rules(keywords(&["Alarm"])),
        case(DingTalk, ok(), 0, 0, "ok").rules(keywords(&["Alarm", "disk"])),
        case(DingTalk, ok(), 11, 310_000, "").rules(Rules { keyword_mode: all, ..keywords(&["Alarm", "disk"]) }),
        case(
            DingTalk,
            r#"{"msgtype":"markdown","markdown":{"title":"t","text":"[x](https://e.com/Alarm)"}}"#,
            11,
            310_000,
            "",
        )
        .rules(keywords(&["Alarm"])),
        case(DingTalk, r#"{"msgtype":"markdown","markdown":{"title":"Alarm","text":"x"}}"#, 0, 0, "ok")
            .rules(keywords(&["Alarm"])),
        case(DingTalk, ok(), 0, 0, r#""errcode":"0""#)
            .switches(Switches { errcode_as_string: true, ..Switches::default() }),
    ];
    for body in [
        r#"{"msgtype":"text","text":{"content":""}}"#,
        r#"{"msgtype":"text"}"#,
        r#"{"msgtype":"text","text":{"content":5}}"#,
        r#"{"msgtype":"markdown","markdown":{"text":"x"}}"#,
        r#"{"msgtype":"markdown","markdown":{"title":"x"}}"#,
        r#"{"msgtype":"link","link":{"title":"t","text":"b","messageURL":"https://example.com/"}}"#,
        r#"{"msgtype":"actionCard","actionCard":{"title":"t","text":"b"}}"#,
        r#"{"msgtype":"actionCard","actionCard":{"title":"t","text":"b","singleTitle":"x"}}"#,
        r#"{"msgtype":"actionCard","actionCard":{"title":"t","text":"b","btns":[{"title":"x"}]}}"#,
        r#"{"msgtype":"feedCard","feedCard":{"links":[]}}"#,
        r#"{"msgtype":"feedCard","feedCard":{"links":[{"title":"t","messageURL":"https://e.com"}]}}"#,
    ] {
        cases.push(case(DingTalk, body, 10, 40_035, "缺少参数"));
    }
    for (path, code) in
        [("/robot/send", 40_035), ("/robot/send?access_token=", 40_035), ("/robot/send?access_token=unknown", 300_005)]
    {
        cases.push(Case { path: Some(path), ..case(DingTalk, ok(), 2, code, "") });
    }
    for case in cases {
        case.check().await;
    }
}

#[tokio::test]
async fn wecom_refuses_in_its_order() {
    let ok = || text(WeCom, "disk full");
    let png = r#"{"msgtype":"image","image":{"base64":"iVBORw==","md5":"MD5"}}"#;
    let mut cases = vec![
        case(WeCom, ok(), 0, 0, "ok"),
        case(WeCom, "", 1, 43_002, "POST").get(),
        case(WeCom, ok(), 2, 93_000, "invalid webhook url")
            .rules(Rules { state: RobotState::Gone, ..Rules::default() }),
        case(WeCom, ok(), 4, 47_001, "data format error").content_type("text/plain"),
        case(WeCom, "nonsense", 4, 47_001, "wrong json format"),
        case(WeCom, "{}", 5, 40_008, "invalid message type"),
        case(WeCom, r#"{"msgtype":"actionCard"}"#, 5, 40_008, "invalid message type"),
        case(WeCom, r#"{"msgtype":"text"}"#, 6, 40_058, "invalid Request Parameter"),
        case(WeCom, r#"{"msgtype":"text","text":{}}"#, 6, 40_058, "text.content"),
        case(WeCom, r#"{"msgtype":"markdown","markdown":{"content":" "}}"#, 7, 44_004, "content is empty"),
        case(WeCom, wecom("text", 2_048), 0, 0, "ok"),
        case(WeCom, wecom("text", 2_049), 8, 40_058, "text.content exceed max length 2048"),
        case(WeCom, wecom("text", 2_049), 0, 0, "ok").rules(Rules { text_max_bytes: Some(5_120), ..Rules::default() }),
        case(WeCom, wecom("markdown", 4_096), 0, 0, "ok"),
        case(WeCom, wecom("markdown", 4_097), 8, 40_058, "markdown.content exceed max length 4096"),
        case(WeCom, wecom("markdown_v2", 4_097), 8, 40_058, "markdown_v2.content exceed max length 4096"),
        case(WeCom, png, 9, 301_019, "md5"),
        // MD5 of the four bytes 89 50 4e 47.
        case(WeCom, png.replace("MD5", "3bdaf5969285188ac756c339f69f5c79"), 0, 0, "ok"),
        case(WeCom, png.replace("iVBORw==", "data:image/png;base64,iVBORw=="), 9, 40_009, ""),
        case(WeCom, png.replace("iVBORw==", "AAAA"), 9, 40_009, ""),
        case(WeCom, r#"{"msgtype":"file","file":{}}"#, 6, 40_058, "media_id"),
        case(WeCom, r#"{"msgtype":"file","file":{"media_id":"M"}}"#, 10, 40_007, "invalid media_id"),
        case(WeCom, r#"{"msgtype":"news","news":{"articles":[]}}"#, 6, 40_058, "news.articles"),
        case(WeCom, r#"{"msgtype":"news","news":{"articles":[{"title":"t"}]}}"#, 6, 40_058, "news.articles.url"),
        case(
            WeCom,
            format!(
                r#"{{"msgtype":"news","news":{{"articles":[{}]}}}}"#,
                [r#"{"title":"t","url":"https://e.com"}"#; 9].join(",")
            ),
            8,
            45_008,
            "too many",
        ),
        case(
            WeCom,
            r#"{"msgtype":"template_card","template_card":{"card_type":"text_notice"}}"#,
            6,
            40_058,
            "main_title",
        ),
        case(
            WeCom,
            r#"{"msgtype":"template_card","template_card":{"card_type":"text_notice","main_title":{"title":"t"}}}"#,
            6,
            40_058,
            "card_action",
        ),
        case(WeCom, r#"{"msgtype":"markdown","markdown":{"content":"x","mentioned_list":["a"]}}"#, 0, 0, "ok"),
        case(WeCom, r#"{"msgtype":"markdown","markdown":{"content":"x","mentioned_list":["a"]}}"#, 8, 40_058, "")
            .switches(Switches { refuse_mentions_in_markdown: true, ..Switches::default() }),
    ];
    for path in ["/cgi-bin/webhook/send", "/cgi-bin/webhook/send?key=unknown"] {
        cases.push(Case { path: Some(path), ..case(WeCom, ok(), 2, 93_000, "invalid webhook url") });
    }
    for case in cases {
        case.check().await;
    }
}

#[tokio::test]
async fn feishu_refuses_in_its_order() {
    let ok = || text(Feishu, "disk full");
    let sized = |size: usize| text(Feishu, &"x".repeat(size - text(Feishu, "").len()));
    let signed = || Rules { secret: "demo".to_owned(), ..Rules::default() };
    let mut cases = vec![
        case(Feishu, ok(), 0, 0, "success"),
        case(Feishu, ok(), 0, 0, r#""Extra":null"#).switches(Switches { legacy_success: true, ..Switches::default() }),
        case(Feishu, ok(), 2, 19_001, "access token invalid")
            .rules(Rules { state: RobotState::Gone, ..Rules::default() }),
        case(Feishu, ok(), 2, 19_007, "Bot Not Enabled")
            .rules(Rules { state: RobotState::Stopped, ..Rules::default() }),
        case(Feishu, sized(20_480), 0, 0, "success"),
        case(Feishu, sized(20_481), 4, 19_036, "size limit of 30KB"),
        case(Feishu, sized(20_481), 4, 9_499, "Bad Request")
            .switches(Switches { oversize_is_bad_request: true, ..Switches::default() }),
        case(Feishu, sized(150_000), 0, 0, "success").rules(Rules { max_bytes: Some(153_600), ..Rules::default() }),
        case(Feishu, "{", 5, 9_499, "Bad Request"),
        case(Feishu, ok(), 5, 9_499, "Bad Request").content_type("text/plain"),
        case(Feishu, ok(), 6, 19_022, "Ip Not Allowed")
            .rules(Rules { ips: vec!["1.1.1.1".to_owned()], ..Rules::default() }),
        case(Feishu, ok(), 6, 19_021, "sign match fail").rules(signed()),
        case(Feishu, r#"{"msgtype":"text","text":{"content":"x"}}"#, 7, 19_002, "params error, msg_type need"),
        case(Feishu, r#"{"msg_type":"markdown","content":{}}"#, 8, 9_499, "Bad Request"),
        case(Feishu, r#"{"msg_type":"text","content":"{\"text\":\"x\"}"}"#, 8, 9_499, "Bad Request"),
        case(Feishu, r#"{"msg_type":"text","content":{}}"#, 8, 9_499, "Bad Request"),
        case(Feishu, r#"{"msg_type":"post","content":{"post":{"zh_ch":{"content":[]}}}}"#, 8, 9_499, "Bad Request"),
        case(Feishu, r#"{"msg_type":"post","content":{"post":{"zh_cn":{"content":[[{"tag":"x"}]]}}}}"#, 8, 9_499, ""),
        case(Feishu, r#"{"msg_type":"interactive","card":"{}"}"#, 8, 9_499, "Bad Request"),
        case(Feishu, r#"{"msg_type":"interactive","content":{}}"#, 8, 9_499, "Bad Request"),
        case(Feishu, ok(), 10, 19_024, "Key Words Not Found").rules(keywords(&["Alarm"])),
        case(Feishu, card2(r#"{"tag":"markdown","content":"[x](https://e.com/Alarm)"}"#), 10, 19_024, "")
            .rules(keywords(&["Alarm"])),
        case(Feishu, card2(r#"{"tag":"markdown","content":"Alarm"}"#), 0, 0, "success").rules(keywords(&["Alarm"])),
    ];
    let path = Some("/open-apis/bot/v2/hook/unknown");
    cases.push(Case { path, ..case(Feishu, ok(), 2, 19_001, "access token invalid") });
    let path = Some("/open-apis/bot/v2/hook/T/");
    cases.push(Case { path, ..case(Feishu, ok(), 0, 0, "success") });
    for case in cases {
        case.check().await;
    }
}

#[tokio::test]
async fn feishu_refuses_wrong_cards() {
    let md = r#"{"tag":"markdown","content":"x"}"#;
    let table = r#"{"tag":"table","columns":[],"rows":[]}"#;
    let nested = |levels: usize| {
        let mut inner = md.to_owned();
        for _ in 0..levels {
            inner = format!(r#"{{"tag":"interactive_container","behaviors":[],"elements":[{inner}]}}"#);
        }
        inner
    };
    let button = |text: &str, rest: &str| {
        format!(r#"{{"tag":"button","text":{{"tag":"plain_text","content":"{text}"}}{rest}}}"#)
    };
    let whole = |card: &str| format!(r#"{{"msg_type":"interactive","card":{card}}}"#);
    let head = |rest: &str| {
        whole(&format!(
            r#"{{"schema":"2.0","header":{{"title":{{"tag":"plain_text","content":"t"}}{rest}}},"body":{{"elements":[]}}}}"#
        ))
    };
    let cases = [
        (card2(md), ""),
        (card2(&[md; 200].join(",")), ""),
        (card2(&[md; 201].join(",")), "ErrCode: 11310"),
        (card2(&[table; 5].join(",")), ""),
        (card2(&[table; 6].join(",")), "card table number over limit"),
        (card2(&nested(4)), ""),
        (card2(&nested(5)), "ErrCode: 11310"),
        (card2(r#"{"tag":"note","elements":[]}"#), "ErrCode: 200861; ErrMsg: cards of schema V2 no longer support"),
        (card2(r#"{"tag":"action","actions":[]}"#), "unsupported tag action"),
        (card2(r#"{"tag":"blink"}"#), "ErrCode: 200861"),
        (
            card2(r#"{"tag":"markdown","content":"x","colour":"red"}"#),
            "unknown property, property: colour, path: ROOT -> body -> elements -> [0](tag: markdown)",
        ),
        (card2(r#"{"tag":"div","text":{"tag":"plain_text","content":"x","text_weight":1}}"#), "text_weight"),
        (card2(r#"{"tag":"column_set","columns":[{"tag":"markdown","content":"x"}]}"#), "ErrCode: 200410"),
        (
            card2(r#"{"tag":"img","img_key":"https://e.com/x.png","alt":{"tag":"plain_text","content":""}}"#),
            "ErrCode: 200570",
        ),
        (
            card2(
                r#"{"tag":"collapsible_panel","header":{"title":{"tag":"plain_text","content":"t"}},"border":{"type":"x"},"elements":[]}"#,
            ),
            "property: type",
        ),
        (card2(&button("x", r#","behaviors":[{"type":"open_url","default_url":"https://e.com"}]"#)), ""),
        (card2(&button("x", r#","behaviors":[{"type":"open_url"}]"#)), "ErrCode: 200621"),
        (card2(&button("x", r#","url":"https://e.com""#)), "property: url"),
        (card2(&button(&"长".repeat(101), "")), "ErrCode: 200621"),
        (card2(r#"{"tag":"markdown","content":"<at id=all></at><at id=ou_x></at>"}"#), ""),
        (card2(r#"{"tag":"markdown","content":"<at id=13800000000></at>"}"#), "ErrCode: 100290"),
        (card2(r#"{"tag":"markdown","content":"<at id='a@b.com'></at>"}"#), "ErrCode: 100290"),
        (whole(r#"{"schema":"2.0"}"#), "ErrCode: 200621"),
        (whole(r#"{"schema":"2.0","elements":[],"body":{"elements":[]}}"#), "property: elements, path: ROOT"),
        (whole(r#"{"schema":"2.0","config":{"wide_screen_mode":true},"body":{"elements":[]}}"#), "wide_screen_mode"),
        (whole(r#"{"schema":"3.0"}"#), "ErrCode: 200621"),
        (head(r#","template":"red""#), ""),
        (head(r#","template":"pink""#), "ErrCode: 200621"),
        (head(r#","tag":"x""#), "property: tag, path: ROOT -> header"),
        (whole(r#"{"elements":[{"tag":"note","elements":[{"tag":"plain_text","content":"x"}]},{"tag":"hr"}]}"#), ""),
        (whole(r#"{"elements":[{"tag":"blink"}]}"#), "ErrCode: 11310"),
        (whole(r#"{"type":"template","data":{}}"#), "ErrCode: 200380"),
    ];
    for (body, text) in cases {
        match text {
            "" => case(Feishu, body, 0, 0, "success").check().await,
            text => case(Feishu, body, 9, 11_246, text).check().await,
        }
    }
}

#[tokio::test]
async fn minimal_bodies_of_the_facts_page_are_accepted() {
    let rig = Rig::quick();
    let bodies = include_str!("minimal_bodies.txt");
    let mut count = 0;
    for line in bodies.lines().filter(|line| !line.trim().is_empty()) {
        let (vendor, body) = line.split_once(' ').unwrap();
        let kind = BotKind::ALL.into_iter().find(|kind| kind.as_str() == vendor).unwrap();
        let reply = rig.send(kind, body).await;
        assert_eq!(reply.code(), 0, "{body}: {}", reply.body);
        let page = rig.get("/").await;
        assert_eq!(page.status, 200);
        count += 1;
    }
    assert_eq!(count, 19);
}

#[tokio::test]
async fn mentions_resolve_by_each_vendors_rule() {
    let members = vec![Member {
        name: "张三".to_owned(),
        mobile: "13800000000".to_owned(),
        user_id: "zhangsan".to_owned(),
        open_id: "ou_z".to_owned(),
    }];
    let rig = Rig::new();
    for kind in BotKind::ALL {
        rig.set(kind, Rules { members: members.clone(), ..unlimited() });
    }
    let cases = [
        (
            DingTalk,
            r#"{"msgtype":"markdown","markdown":{"title":"t","text":"x @13800000000"},"at":{"atMobiles":["13800000000"]}}"#,
            1,
            0,
            false,
        ),
        // Listed, but not in the text: not drawn.
        (
            DingTalk,
            r#"{"msgtype":"markdown","markdown":{"title":"t","text":"x"},"at":{"atMobiles":["13800000000"]}}"#,
            0,
            1,
            false,
        ),
        (
            DingTalk,
            r#"{"msgtype":"text","text":{"content":"x"},"at":{"atUserIds":["zhangsan","stranger"],"isAtAll":true}}"#,
            1,
            1,
            true,
        ),
        (
            DingTalk,
            r#"{"msgtype":"link","link":{"title":"t","text":"b","messageUrl":"https://e.com"},"at":{"isAtAll":true}}"#,
            0,
            0,
            false,
        ),
        (WeCom, r#"{"msgtype":"markdown","markdown":{"content":"x <@zhangsan> <@stranger>"}}"#, 1, 1, false),
        (WeCom, r#"{"msgtype":"markdown_v2","markdown_v2":{"content":"x <@zhangsan>"}}"#, 0, 0, false),
        (
            WeCom,
            r#"{"msgtype":"text","text":{"content":"x","mentioned_mobile_list":["13800000000","@all"]}}"#,
            1,
            0,
            true,
        ),
        (
            Feishu,
            r#"{"msg_type":"text","content":{"text":"<at user_id=\"ou_z\">z</at><at user_id=\"all\">a</at>"}}"#,
            1,
            0,
            true,
        ),
        (Feishu, r#"{"msg_type":"text","content":{"text":"<at id=ou_z></at>"}}"#, 0, 0, false),
        (
            Feishu,
            r#"{"msg_type":"post","content":{"post":{"zh_cn":{"content":[[{"tag":"at","user_id":"ou_z"}]]}}}}"#,
            1,
            0,
            false,
        ),
    ];
    for (kind, body, called, ignored, all) in cases {
        assert_eq!(rig.send(kind, body).await.code(), 0, "{body}");
        let mentions = rig.last(kind).mentions;
        assert_eq!((mentions.ids.len(), mentions.ignored.len(), mentions.all), (called, ignored, all), "{body}");
        if called == 1 {
            assert_eq!(mentions.names, ["张三"], "{body}");
        }
    }
    let card = card2(r#"{"tag":"markdown","content":"<at id=ou_stranger></at>"}"#);
    assert!(rig.send(Feishu, &card).await.body.contains("100290"), "a card that mentions a stranger is refused");
}
