//! The signature vectors of the vendors' recipes, and what a URL says.

use std::time::Duration;

use crate::channel::{check_url, default_lang, default_limits, robot_id, sign};
use crate::model::{BotKind, Lang, Secret};

const DT2: &str = "SEC000000000000000000000000000000000000000000000000000000000000000a";
const DINGTALK: &str = "https://oapi.dingtalk.com/robot/send?access_token=T";

fn dingtalk(url: &str, secret: &str, now_ms: i64) -> String {
    sign(BotKind::DingTalk, &Secret::new(url), Some(&Secret::new(secret)), b"{}", now_ms).url.expose().to_owned()
}

fn feishu(secret: &str, now_ms: i64) -> serde_json::Value {
    let url = Secret::new("https://open.feishu.cn/open-apis/bot/v2/hook/T");
    let signed = sign(BotKind::Feishu, &url, Some(&Secret::new(secret)), br#"{"msg_type":"text"}"#, now_ms);
    assert_eq!(signed.url, url);
    serde_json::from_slice(&signed.body).unwrap()
}

#[test]
fn dingtalk_signs_the_query_and_encodes_it_once() {
    for (secret, at, sign) in [
        ("this is secret", 1_700_000_000_000, "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%3D"),
        (DT2, 1_700_000_000_000, "PX3eX9%2BAe6bSAkx4m%2FHWjY0h%2FNcu4ywN5LX%2Bu7LfWgc%3D"),
        ("SECtest", 1_609_459_200_000, "p5mXVLdX%2FBTrc2KtuhTs6ZcGOXtsKU5g1oE3WtfH4hY%3D"),
        ("SECtest", 1_700_000_000_001, "r4CWp%2FDz%2BNg0sbTjH1vB0Fr%2BuQ2fn831mssaN6%2FC05I%3D"),
    ] {
        assert_eq!(dingtalk(DINGTALK, secret, at), format!("{DINGTALK}&timestamp={at}&sign={sign}"));
    }
}

#[test]
fn feishu_signs_the_body() {
    for (secret, seconds, sign) in [
        ("demo", 1_599_360_473_i64, "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
        ("test_secret", 1_700_000_000, "gg67k4NhGu87ukJvWeSIgT+qsHbI+eWjbPP+KE/Nq6M="),
        ("密钥abc", 1_700_000_000, "JxhMI3blO/Tk/xNIoFuKUdvGlPzfdGN/1gqhReGwmGA="),
    ] {
        let body = feishu(secret, seconds * 1_000 + 999);
        assert_eq!(body["timestamp"], seconds.to_string());
        assert_eq!(body["sign"], sign);
        assert_eq!(body["msg_type"], "text", "what was in the body stays");
    }
}

#[test]
fn the_wrong_recipes_are_not_used() {
    // N1: DingTalk's recipe in a Feishu body. N2: Feishu's recipe in a DingTalk query.
    assert_ne!(feishu("demo", 1_599_360_473_000)["sign"], "DkEDUyVoOOJ539qBvUgMyzkzIdRWlf4e/V3Rq+ONJnQ=");
    let url = dingtalk(DINGTALK, "this is secret", 1_700_000_000_000);
    let value = |url: &str| {
        let url = url::Url::parse(url).unwrap();
        url.query_pairs().find(|(name, _)| name == "sign").unwrap().1.into_owned()
    };
    assert_ne!(value(&url), "J85Yk9GFYQfBxRSGeVjqb6vzpr2HAroZsCi0DUtIhuM=");
    // N3, N4: a server that decodes once sees plain base64, neither blanks nor per cent signs.
    let url = dingtalk(DINGTALK, DT2, 1_700_000_000_000);
    assert_eq!(value(&url), "PX3eX9+Ae6bSAkx4m/HWjY0h/Ncu4ywN5LX+u7LfWgc=");
}

#[test]
fn a_new_signature_takes_the_place_of_an_old_one() {
    let host = "https://oapi.dingtalk.com/robot/send";
    let fresh = "timestamp=1700000000000&sign=sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%3D";
    for (query, kept) in [
        ("?timestamp=1&access_token=T&sign=x%3D", "access_token=T&"),
        ("?access_token=T&x=a%20b&%73ign=old#frag", "access_token=T&x=a%20b&"),
        ("?access_token=T&", "access_token=T&"),
        ("", ""),
    ] {
        let signed = dingtalk(&format!("{host}{query}"), "this is secret", 1_700_000_000_000);
        assert_eq!(signed, format!("{host}?{kept}{fresh}"), "{query}");
        assert_eq!(dingtalk(&signed, "this is secret", 1_700_000_000_000), signed, "signing again changes nothing");
    }
}

#[test]
fn without_a_secret_nothing_is_signed() {
    for kind in BotKind::ALL {
        let signed = sign(kind, &Secret::new(DINGTALK), None, b"{\"a\":1}", 0);
        assert_eq!((signed.url.expose(), signed.body.as_slice()), (DINGTALK, b"{\"a\":1}".as_slice()));
    }
    // WeCom knows no signature.
    let signed = sign(BotKind::WeCom, &Secret::new(DINGTALK), Some(&Secret::new("s")), b"{\"a\":1}", 0);
    assert_eq!((signed.url.expose(), signed.body.as_slice()), (DINGTALK, b"{\"a\":1}".as_slice()));
}

#[test]
fn feishu_bodies_of_any_shape_are_signed_or_left() {
    let signed = |body: &[u8]| sign(BotKind::Feishu, &Secret::new("u"), Some(&Secret::new("s")), body, 5_000).body;
    let empty: serde_json::Value = serde_json::from_slice(&signed(b"{ }")).unwrap();
    assert_eq!(empty["timestamp"], "5");
    assert_eq!(signed(b"[1]"), b"[1]");
    assert_eq!(signed(b""), b"");
}

#[test]
fn a_robot_is_its_token() {
    let id = |url: &str| robot_id(BotKind::DingTalk, url);
    let one = id("https://oapi.dingtalk.com/robot/send?access_token=abc");
    assert_eq!(one.len(), 32);
    assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(one, id("https://oapi.dingtalk.com/robot/send?timestamp=5&sign=x&access_token=abc"));
    assert_eq!(one, id("https://oapi.dingtalk.com/robot/send?access_token=a%62c"));
    assert_ne!(one, id("https://oapi.dingtalk.com/robot/send?access_token=abd"));
    assert_ne!(one, robot_id(BotKind::WeCom, "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc"));
    let feishu = |url: &str| robot_id(BotKind::Feishu, url);
    assert_eq!(
        feishu("https://open.feishu.cn/open-apis/bot/v2/hook/abc"),
        feishu("https://open.feishu.cn/open-apis/bot/v2/hook/abc/?x=1")
    );
    assert_ne!(feishu("nonsense"), feishu("other nonsense"));
}

#[test]
fn urls_are_checked_by_shape() {
    use BotKind::{DingTalk, Feishu, WeCom};
    for (kind, url) in [
        (DingTalk, "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef"),
        (DingTalk, "http://127.0.0.1:8061/robot/send?access_token=demo-1"),
        (DingTalk, "https://ding.corp/gateway/robot/send?access_token=x&source=y"),
        (WeCom, "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7abc-4bc4-97a0-0ec2sifa5aaa"),
        (Feishu, "https://open.feishu.cn/open-apis/bot/v2/hook/abc-def"),
        (Feishu, "https://open.larksuite.com/open-apis/bot/v2/hook/abc-def/"),
    ] {
        assert_eq!(check_url(kind, url), Ok(()), "{url}");
    }
    for (kind, url, says) in [
        (DingTalk, "SECRETTOKEN", "not a URL"),
        (DingTalk, "ftp://oapi.dingtalk.com/robot/send?access_token=SECRETTOKEN", "https://"),
        (DingTalk, "https://oapi.dingtalk.com/robot/send", "token is missing"),
        (DingTalk, "https://oapi.dingtalk.com/robot/send?access_token=&x=SECRETTOKEN", "token is missing"),
        (DingTalk, "https://oapi.dingtalk.com/robot/send?access_token=SECRETTOKEN%20SECRET", "characters"),
        (DingTalk, "https://oapi.dingtalk.com/robot/SECRETTOKEN", "path"),
        (WeCom, "https://oapi.dingtalk.com/robot/send?access_token=SECRETTOKEN", "type: dingtalk"),
        (WeCom, "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?token=SECRETTOKEN", "token is missing"),
        (Feishu, "https://open.feishu.cn/open-apis/bot/hook/SECRETTOKEN", "first version"),
        (Feishu, "https://www.feishu.cn/flow/api/trigger-webhook/SECRETTOKEN", "flow"),
        (Feishu, "https://open.feishu.cn/open-apis/bot/v2/hook/", "token is missing"),
        (Feishu, "https://open.feishu.cn/open-apis/bot/v2/hook/SECRETTOKEN/x", "characters"),
    ] {
        let error = check_url(kind, url).unwrap_err();
        assert!(error.contains(says), "{url}: {error}");
        assert!(!error.contains("SECRETTOKEN"), "{error}");
    }
}

#[test]
fn languages_and_limits_by_vendor() {
    for (kind, url, lang) in [
        (BotKind::DingTalk, "https://oapi.dingtalk.com/robot/send?access_token=T", Lang::Zh),
        (BotKind::DingTalk, "https://oapi.dingtalk.io/robot/send?access_token=T", Lang::En),
        (BotKind::WeCom, "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=T", Lang::Zh),
        (BotKind::Feishu, "https://open.feishu.cn/open-apis/bot/v2/hook/T", Lang::Zh),
        (BotKind::Feishu, "https://open.larksuite.com/open-apis/bot/v2/hook/T", Lang::En),
        (BotKind::Feishu, "https://notlarksuite.com/open-apis/bot/v2/hook/T", Lang::Zh),
    ] {
        assert_eq!(default_lang(kind, url), lang, "{url}");
    }
    let minute = Duration::from_secs(60);
    assert_eq!(default_limits(BotKind::DingTalk), [(20, minute)]);
    assert_eq!(default_limits(BotKind::WeCom), [(20, minute)]);
    assert_eq!(default_limits(BotKind::Feishu), [(5, Duration::from_secs(1)), (100, minute)]);
}
