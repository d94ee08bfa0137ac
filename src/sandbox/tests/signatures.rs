//! The facts page's vectors, the negative ones too.

use super::super::Rules;
use super::super::rules::Switches;
use super::super::vendor::sign;
use super::{JSON, NOW_MS, Rig, text, unlimited};
use crate::model::BotKind::{DingTalk, Feishu};

const DT2_SECRET: &str = "SEC000000000000000000000000000000000000000000000000000000000000000a";

#[test]
fn recipes_give_the_vectors() {
    let vectors = [
        ("this is secret", "1700000000000", "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0="),
        (DT2_SECRET, "1700000000000", "PX3eX9+Ae6bSAkx4m/HWjY0h/Ncu4ywN5LX+u7LfWgc="),
        ("SECtest", "1609459200000", "p5mXVLdX/BTrc2KtuhTs6ZcGOXtsKU5g1oE3WtfH4hY="),
        ("SECtest", "1700000000001", "r4CWp/Dz+Ng0sbTjH1vB0Fr+uQ2fn831mssaN6/C05I="),
        // N1: the wrong recipe for Feishu's own sample.
        ("demo", "1599360473", "DkEDUyVoOOJ539qBvUgMyzkzIdRWlf4e/V3Rq+ONJnQ="),
    ];
    for (secret, timestamp, expected) in vectors {
        assert_eq!(sign::dingtalk(secret, timestamp), expected);
    }
    let vectors = [
        ("demo", "1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
        ("test_secret", "1700000000", "gg67k4NhGu87ukJvWeSIgT+qsHbI+eWjbPP+KE/Nq6M="),
        ("密钥abc", "1700000000", "JxhMI3blO/Tk/xNIoFuKUdvGlPzfdGN/1gqhReGwmGA="),
        // N2: the wrong recipe for DT1.
        ("this is secret", "1700000000000", "J85Yk9GFYQfBxRSGeVjqb6vzpr2HAroZsCi0DUtIhuM="),
    ];
    for (secret, timestamp, expected) in vectors {
        assert_eq!(sign::feishu(secret, timestamp), expected);
    }
}

#[tokio::test]
async fn dingtalk_takes_only_its_own_signature_encoded_once() {
    let cases = [
        ("this is secret", "1700000000000", "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%3D", 0, ""),
        (DT2_SECRET, "1700000000000", "PX3eX9%2BAe6bSAkx4m%2FHWjY0h%2FNcu4ywN5LX%2Bu7LfWgc%3D", 0, ""),
        ("SECtest", "1700000000001", "r4CWp%2FDz%2BNg0sbTjH1vB0Fr%2BuQ2fn831mssaN6%2FC05I%3D", 0, ""),
        (
            "this is secret",
            "1700000000000",
            "J85Yk9GFYQfBxRSGeVjqb6vzpr2HAroZsCi0DUtIhuM%3D",
            310_000,
            "another recipe",
        ),
        (DT2_SECRET, "1700000000000", "PX3eX9+Ae6bSAkx4m/HWjY0h/Ncu4ywN5LX+u7LfWgc=", 310_000, "a + became a space"),
        (
            "this is secret",
            "1700000000000",
            "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%253D",
            310_000,
            "encoded twice",
        ),
        // A valid signature of long ago.
        ("SECtest", "1609459200000", "p5mXVLdX%2FBTrc2KtuhTs6ZcGOXtsKU5g1oE3WtfH4hY%3D", 310_000, "more than one hour"),
    ];
    for (secret, timestamp, sign, code, reason) in cases {
        let rig = Rig::new();
        rig.set(DingTalk, Rules { secret: secret.to_owned(), ..unlimited() });
        let path = format!("/robot/send?access_token=T&timestamp={timestamp}&sign={sign}");
        let reply = rig.call("POST", &path, JSON, text(DingTalk, "x")).await;
        assert_eq!(reply.code(), code, "{sign}: {}", reply.body);
        assert!(rig.last(DingTalk).reason.contains(reason), "{sign}: {}", rig.last(DingTalk).reason);
    }
}

#[tokio::test]
async fn dingtalk_can_be_told_to_decode_twice() {
    let rig = Rig::new();
    let switches = Switches { decode_sign_twice: true, ..Switches::default() };
    rig.set(DingTalk, Rules { secret: "this is secret".to_owned(), switches, ..unlimited() });
    let sign = "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0%253D";
    let path = format!("/robot/send?access_token=T&timestamp=1700000000000&sign={sign}");
    assert_eq!(rig.call("POST", &path, JSON, text(DingTalk, "x")).await.code(), 0);
}

#[tokio::test]
async fn one_hour_of_skew_is_the_most() {
    for (skew_ms, accepted) in
        [(0, true), (3_600_000, true), (-3_600_000, true), (3_601_000, false), (-3_601_000, false)]
    {
        let rig = Rig::new();
        rig.set(DingTalk, Rules { secret: "SECtest".to_owned(), ..unlimited() });
        rig.set(Feishu, Rules { secret: "demo".to_owned(), ..unlimited() });
        let millis = (NOW_MS + skew_ms).to_string();
        let given = sign::dingtalk("SECtest", &millis);
        let query: String = url::form_urlencoded::byte_serialize(given.as_bytes()).collect();
        let path = format!("/robot/send?access_token=T&timestamp={millis}&sign={query}");
        let reply = rig.call("POST", &path, JSON, text(DingTalk, "x")).await;
        assert_eq!(reply.code() == 0, accepted, "{skew_ms}: {}", reply.body);
        assert!(accepted || reply.body.contains("签名过期"), "{}", reply.body);

        let seconds = ((NOW_MS + skew_ms) / 1_000).to_string();
        let given = sign::feishu("demo", &seconds);
        for timestamp in [format!("\"{seconds}\""), seconds.clone()] {
            let body =
                format!(r#"{{"timestamp":{timestamp},"sign":"{given}","msg_type":"text","content":{{"text":"x"}}}}"#);
            let code = rig.send(Feishu, &body).await.code();
            assert_eq!(code, if accepted { 0 } else { 19_021 }, "{skew_ms}");
        }
    }
}

#[tokio::test]
async fn feishu_refuses_foreign_signatures_and_milliseconds() {
    let rig = Rig::new();
    rig.set(Feishu, Rules { secret: "demo".to_owned(), ..unlimited() });
    rig.clock.step_wall(jiff::Timestamp::from_second(1_599_360_473).unwrap());
    let body = |timestamp: &str, sign: &str| {
        format!(r#"{{"timestamp":"{timestamp}","sign":"{sign}","msg_type":"text","content":{{"text":"x"}}}}"#)
    };
    let own = sign::feishu("demo", "1599360473000");
    let cases = [
        (body("1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="), 0, ""),
        (body("1599360473", "DkEDUyVoOOJ539qBvUgMyzkzIdRWlf4e/V3Rq+ONJnQ="), 19_021, "DingTalk's recipe"),
        (body("1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8%3D"), 19_021, "does not match"),
        (body("1599360473000", &own), 19_021, "not in seconds"),
        (body("99999999999999999999", &sign::feishu("demo", "99999999999999999999")), 19_021, "one hour"),
    ];
    for (body, code, reason) in cases {
        assert_eq!(rig.send(Feishu, &body).await.code(), code, "{body}");
        assert!(rig.last(Feishu).reason.contains(reason), "{body}: {}", rig.last(Feishu).reason);
    }
    let switches = Switches { timestamp_string_only: true, ..Switches::default() };
    rig.set(Feishu, Rules { secret: "demo".to_owned(), switches, ..unlimited() });
    let number = r#"{"timestamp":1599360473,"sign":"l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=","msg_type":"text","content":{"text":"x"}}"#;
    assert_eq!(rig.send(Feishu, number).await.code(), 19_021);
}
