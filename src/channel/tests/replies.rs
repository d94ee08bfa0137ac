//! What each reply means: HTTP status, code and text of three vendors and several generations of them.

use proptest::prelude::*;

use crate::channel::{refuses_mention, verdict};
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};
use crate::model::Verdict;

/// What is expected, and a part of the reason or remedy.
enum Means {
    Delivered,
    /// Milliseconds.
    Limited(i64),
    Retry,
    Config(&'static str),
    Rejected,
    Unknown,
}
use Means::{Config, Delivered, Limited, Rejected, Retry, Unknown};

#[track_caller]
fn check(kind: BotKind, status: u16, body: &str, means: &Means) {
    let got = verdict(kind, status, body.as_bytes(), 0);
    let right = match (means, &got) {
        (Delivered, Verdict::Delivered)
        | (Retry, Verdict::Retry { .. })
        | (Rejected, Verdict::Rejected { .. })
        | (Unknown, Verdict::UnknownOutcome { .. }) => true,
        (Limited(wait), Verdict::RateLimited { wait_ms, .. }) => wait == wait_ms,
        (Config(part), Verdict::Misconfigured { reason, remedy }) => remedy.contains(part) || reason.contains(part),
        _ => false,
    };
    assert!(right, "{kind:?} {status} {body}: {got:?}");
    assert_eq!(got.reason().is_empty(), got == Verdict::Delivered, "every failure has a reason");
}

#[test]
fn codes_of_dingtalk() {
    let day = r#"{"errcode":0,"errmsg":"ok"}"#;
    check(DingTalk, 200, day, &Delivered);
    check(DingTalk, 200, r#"{"errcode":"0","errmsg":"ok"}"#, &Delivered);
    for (code, message, means) in [
        ("-1", "系统繁忙", Retry),
        ("130101", "send too fast, exceed 20 times per minute", Limited(600_000)),
        ("\"130101\"", "send too fast, exceed 20 times per minute", Limited(600_000)),
        ("410100", "发送速度太快而限流", Limited(600_000)),
        ("660026", "sending too many messages per minute", Limited(600_000)),
        ("90030", "webhook over limit", Limited(3_600_000)),
        ("88", "access_token blank", Config("access_token")),
        ("40035", "缺少参数 access_token", Config("access_token")),
        ("40035", "缺少参数 json", Rejected),
        ("43002", "需要POST请求", Config("proxy")),
        ("43004", "无效的HTTP HEADER Content-Type", Config("proxy")),
        ("300001", "param error", Config("access_token")),
        ("300005", "token is not exist", Config("access_token")),
        ("400013", "群已被解散", Config("dissolved")),
        ("400101", "access_token不存在", Config("access_token")),
        ("400102", "bot is stopped", Config("Switch it on")),
        ("400105", "不支持的消息类型", Rejected),
        ("400106", "机器人不存在", Config("removed")),
        ("430101", "含有不安全的外链", Rejected),
        ("430102", "含有不合适的文本", Rejected),
        ("430103", "含有不合适的图片", Rejected),
        ("430104", "含有不合适的内容", Rejected),
        ("450101", "?", Rejected),
        ("460101", "message too long, exceed 20000 bytes", Rejected),
        ("123456", "never seen", Rejected),
    ] {
        check(DingTalk, 200, &format!(r#"{{"errcode":{code},"errmsg":"{message}"}}"#), &means);
    }
    check(DingTalk, 200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"a1"}"#, &Limited(300_000));
}

#[test]
fn one_dingtalk_code_has_four_causes_in_two_generations() {
    let more = ", more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]";
    for (message, means) in [
        ("keywords not in content", "`keywords`"),
        (
            "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
            "`keywords`",
        ),
        ("sign not match", "signing secret"),
        (
            "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中;link:x",
            "signing secret",
        ),
        ("invalid timestamp", "clock"),
        ("description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内;link:x", "clock"),
        ("ip 203.0.113.9 not in whitelist", "public IPv4 address"),
        ("description:ip 203.0.113.9 不在白名单;solution:x;link:x", "public IPv4 address"),
        ("description:something new;solution:x;link:https://e.example/keyword?ip=sign", "security settings refuse"),
    ] {
        for message in [message.to_owned(), format!("{message}{more}")] {
            check(DingTalk, 200, &format!(r#"{{"errcode":310000,"errmsg":"{message}"}}"#), &Config(means));
        }
    }
}

#[test]
fn codes_of_wecom() {
    let tail = ", hint: [1713152112123456789012345], from ip: 203.0.113.9, more info at \
                https://open.work.weixin.qq.com/devtool/query?e=1";
    for (code, message, means) in [
        ("0", "ok", Delivered),
        ("\"0\"", "ok", Delivered),
        ("-1", "system error", Retry),
        ("45033", "concurrency exceeded", Retry),
        ("45009", "api freq out of limit", Limited(60_600)),
        ("40004", "invalid media type", Rejected),
        ("40007", "invalid media_id", Rejected),
        ("40008", "invalid message type", Rejected),
        ("40058", "markdown.content exceed max length 4096. invalid Request Parameter", Rejected),
        ("40063", "parameter is empty", Rejected),
        ("44004", "content is empty", Rejected),
        ("45002", "content too long", Rejected),
        ("45008", "too many articles", Rejected),
        ("47001", "data format error", Rejected),
        ("93000", "invalid webhook url", Config("key")),
        ("93000", "Invalid input : content exceed max length. invalid Request Parameter", Rejected),
        ("93004", "robot disabled", Config("Switch it on")),
        ("93008", "not in group", Config("no longer in the group")),
        ("301019", "md5", Rejected),
        ("54321", "never seen", Rejected),
    ] {
        check(WeCom, 200, &format!(r#"{{"errcode":{code},"errmsg":"{message}"}}"#), &means);
        if message != "ok" {
            check(
                WeCom,
                200,
                &format!(r#"{{"errcode":{code},"errmsg":"Warning: wrong json format. {message}{tail}"}}"#),
                &means,
            );
        }
    }
}

#[test]
fn codes_of_feishu() {
    for (body, means) in [
        (r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#, Delivered),
        (r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#, Delivered),
        (r#"{"code":"0","msg":"success"}"#, Delivered),
        (r#"{"code":null,"StatusCode":0}"#, Delivered),
        (r#"{"code":19024,"StatusCode":0,"msg":"Key Words Not Found"}"#, Config("`keywords`")),
        (r#"{"StatusCode":9499,"StatusMessage":"Bad Request"}"#, Rejected),
        (r#"{"code":9499,"msg":"Bad Request","data":{}}"#, Rejected),
        (r#"{"code":9499,"msg":"too many request","data":{}}"#, Limited(1_000)),
        (
            r#"{"code":11232,"data":{},"msg":"frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}"#,
            Limited(1_000),
        ),
        (r#"{"code":99991400,"msg":"request trigger frequency limit"}"#, Limited(1_000)),
        (r#"{"code":11246,"msg":"ErrCode: 200621; ErrMsg: parse card json err; ErrorValue: x"}"#, Rejected),
        (r#"{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}"#, Config("webhook")),
        (r#"{"code":19002,"msg":"params error, msg_type need"}"#, Rejected),
        (r#"{"code":19007,"msg":"Bot Not Enabled"}"#, Config("Switch it on")),
        (
            r#"{"code":19021,"data":{},"msg":"sign match fail or timestamp is not within one hour from current time"}"#,
            Config("clock"),
        ),
        (r#"{"code":19022,"msg":"Ip Not Allowed"}"#, Config("IP address")),
        (r#"{"code":19024,"msg":"Key Words Not Found"}"#, Config("`keywords`")),
        (r#"{"code":19036,"msg":"The message exceeds the size limit of 30KB"}"#, Rejected),
        (r#"{"code":99991300,"msg":"invalid request body: not json, invalid character x"}"#, Rejected),
        (r#"{"code":77,"msg":"never seen"}"#, Rejected),
    ] {
        check(Feishu, 200, body, &means);
        // The gateway sends some of them with HTTP 400; that is no success whatever it says.
        if !matches!(means, Delivered) {
            check(Feishu, 400, body, &means);
        }
    }
    let waits = [0, 1, 2, 5, 6, 7, u32::MAX].map(|failures| {
        match verdict(Feishu, 200, br#"{"code":11232,"msg":"frequency limited"}"#, failures) {
            Verdict::RateLimited { wait_ms, .. } => wait_ms,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(waits, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]);
}

#[test]
fn a_refused_mention_is_told_apart() {
    let of = |body: &str| verdict(Feishu, 200, body.as_bytes(), 0);
    let refused = of(r#"{"code":11246,"msg":"ErrCode: 100290; ErrMsg: user id wrong; ErrorValue: ou_x"}"#);
    assert!(refuses_mention(Feishu, &refused));
    assert!(!refuses_mention(Feishu, &of(r#"{"code":11246,"msg":"ErrCode: 11310; ErrMsg: table"}"#)));
    assert!(!refuses_mention(DingTalk, &refused));
}

#[test]
fn http_says_more_than_nothing_and_200_nothing_at_all() {
    let html = "\n<!DOCTYPE html><html><body>502 Bad Gateway</body></html>";
    for kind in BotKind::ALL {
        let ok = if kind == Feishu { r#"{"code":0,"msg":"ok"}"# } else { r#"{"errcode":0,"errmsg":"ok"}"# };
        check(kind, 200, ok, &Delivered);
        check(kind, 200, &format!("\u{feff} {ok}\n"), &Delivered);
        for cut in 1..ok.len() {
            check(kind, 200, &ok[..cut], &Unknown);
        }
        for odd in ["", " \r\n", "ok", "[]", "{}", "null", "0", r#"{"status":"ok"}"#, r#"{"errcode":null,"code":{}}"#] {
            check(kind, 200, odd, &Unknown);
        }
        check(kind, 200, html, &Retry);
        for status in [500, 502, 503, 529] {
            check(kind, status, html, &Retry);
            check(kind, status, ok, &Retry);
            check(kind, status, "", &Retry);
        }
        check(kind, 408, "", &Retry);
        check(kind, 504, html, &Unknown);
        for status in [301, 302, 303, 307, 308] {
            check(kind, status, html, &Config("redirect"));
            check(kind, status, ok, &Config("redirect"));
        }
        for status in [400, 401, 403, 404, 405, 410, 451] {
            check(kind, status, html, &Config("not a robot's"));
            check(kind, status, "", &Config("not a robot's"));
            check(kind, status, ok, &Config("not a robot's"));
        }
        check(kind, 407, html, &Config("proxy_url"));
        check(kind, 413, html, &Rejected);
        let penalty = match kind {
            DingTalk => 600_000,
            WeCom => 60_600,
            Feishu => 1_000,
        };
        check(kind, 429, html, &Limited(penalty));
        check(kind, 429, ok, &Limited(penalty));
    }
    // One vendor's success is not another's.
    check(DingTalk, 200, r#"{"code":0,"StatusCode":0}"#, &Unknown);
    check(Feishu, 200, r#"{"errcode":0}"#, &Unknown);
    check(WeCom, 200, r#"{"status":1111}"#, &Unknown);
}

#[test]
fn reasons_are_short_and_hold_no_secret() {
    let uuid = "693a91f6-7abc-4bc4-97a0-0ec2f1fa5aaa";
    let hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for message in [
        format!("invalid url https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={uuid}&x=1 rid"),
        "bad key=TOPSECRET, access_token=TOPSECRET&sign=TOPSECRET".to_owned(),
        "to https%3A%2F%2Foapi.dingtalk.com%2Frobot%2Fsend%3Faccess_token%3DTOPSECRET".to_owned(),
        r#"body was {\"key\": \"TOPSECRET\", \"access_token\":\"TOPSECRET\"}"#.to_owned(),
        "POST /open-apis/bot/v2/hook/TOPSECRET failed".to_owned(),
        format!("no token {hex} in store"),
    ] {
        let got = verdict(WeCom, 200, format!(r#"{{"errcode":93000,"errmsg":"{message}"}}"#).as_bytes(), 0);
        let reason = got.reason();
        assert!(reason.starts_with("errcode 93000: "), "{reason}");
        for secret in ["TOPSECRET", uuid, hex] {
            assert!(!reason.contains(secret), "{reason}");
        }
        assert!(reason.contains("***"), "{reason}");
    }
    let long = "长".repeat(9_000);
    let got = verdict(Feishu, 200, format!(r#"{{"code":7,"msg":"{long}"}}"#).as_bytes(), 0);
    assert!(got.reason().chars().count() <= 320, "{}", got.reason().chars().count());
    let told = verdict(Feishu, 200, br#"{"code":11246,"msg":"ErrCode: 200861;\nErrMsg: unsupported tag: note"}"#, 0);
    assert_eq!(told.reason(), "code 11246: ErrCode: 200861; ErrMsg: unsupported tag: note");
}

proptest! {
    #[test]
    fn any_bytes_are_classified(
        status in 100u16..600,
        body in proptest::collection::vec(any::<u8>(), 0..200),
        failures in any::<u32>(),
    ) {
        for kind in BotKind::ALL {
            let got = verdict(kind, status, &body, failures);
            prop_assert!(got != Verdict::Delivered);
            prop_assert!(got.reason().chars().count() <= 340);
        }
    }

    #[test]
    fn only_2xx_with_code_0_is_a_success(status in 100u16..600, code in -5i64..5, message in "\\PC{0,40}") {
        let text = serde_json::json!({"errcode": code, "errmsg": message, "code": code, "msg": message}).to_string();
        for kind in BotKind::ALL {
            let delivered = verdict(kind, status, text.as_bytes(), 0) == Verdict::Delivered;
            prop_assert_eq!(delivered, code == 0 && (200..300).contains(&status));
        }
    }
}
