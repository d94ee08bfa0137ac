use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::*;

impl Rig {
    async fn page(&self, bot: &str, alerts: Vec<ToldAlert>) -> Answer {
        let id = self.sent(1, bot, alerts, "delivered").await;
        self.get(&format!("/m/{id}")).await
    }
}

/// The page without its head and markup, in lines.
fn shown(page: &str) -> String {
    let (_, body) = page.split_once("</style>").unwrap();
    let mut text = String::new();
    for part in body.split('<') {
        let (tag, rest) = part.split_once('>').unwrap_or(("", part));
        if !matches!(tag, "i" | "/i" | "b" | "/b" | "small" | "/small" | "em" | "/em") {
            text.push('\n');
        }
        if matches!(tag, "/i" | "small" | "em") {
            text.push(' ');
        }
        text.push_str(rest);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Tags that pages use, each with the attributes it may have.
#[track_caller]
fn only_known_tags(page: &str) {
    let known = regex::Regex::new(concat!(
        r#"^(/?(html|title|style|header|h1|h2|h3|p|main|div|nav|a|b|i|small|em|ol|ul|li|details|summary|pre|code|span)"#,
        r#"|!doctype html|meta( [a-z]+="[a-zA-Z0-9=,. -]+")+|link rel="icon" href="data:,"|html lang="[a-zA-Z-]+""#,
        r#"|(p|div|ol|details|h3|span) class="?[a-z ]+"?( id="s\d+-\d+")?( open)?|a class="[a-z]+" href="\#s\d+-\d+""#,
        r#"|a href="[a-z0-9/-]+"|a href="\?from=[0-9]+")$"#,
    ));
    let known = known.unwrap();
    for part in page.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
        assert!(known.is_match(tag), "<{tag}>");
        assert!(tag == "style" || !rest.contains('>'), "{part}");
    }
}

#[tokio::test]
async fn pages_load_and_run_nothing() {
    let rig = Rig::start().await;
    let message = rig.page("dba", vec![alert("X", State::Firing, "critical", &[])]).await;
    for (page, status) in [(message, 200), (rig.get("/").await, 200), (rig.get("/m/x").await, 404)] {
        assert_eq!(page.status.as_u16(), status);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let (_, style) = page.body.split_once("<style>").unwrap();
        let (style, _) = style.split_once("</style>").unwrap();
        let policy = page.header("content-security-policy");
        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{hash}';")), "{policy}");
        assert!(!policy.contains("unsafe") && !page.body.contains("style="), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-robots-tag"), "noindex");
        assert!(page.header("cache-control").starts_with("private"));
        only_known_tags(&page.body);
    }
}

#[tokio::test]
async fn a_page_shows_all_that_was_told() {
    let rig = Rig::start().await;
    let common = |instance| [("cluster", "prod"), ("instance", instance)];
    let mut alerts = vec![
        alert("TargetDown", State::Resolved, "critical", &common("r1")),
        alert("Load", State::Firing, "warning", &common("w2")),
        alert("Load", State::Firing, "warning", &common("w1")),
        alert("DiskFull", State::Firing, "critical", &common("db1")),
        alert("Load", State::Firing, "sev9", &[("cluster", "prod"), ("severity", "other")]),
    ];
    for at in [1, 2] {
        alerts[at].summary = "too much to do".to_owned();
    }
    alerts[3].summary = "2% left\non /var".to_owned();
    alerts[4].how = How::Counted;
    alerts[4].starts_ms = 0;
    let page = rig.page("ops", alerts).await;
    let expected = "告警中 4 条，已恢复 1 条
ops · 2026-05-01 16:00:01 Asia/Shanghai
群消息列出 4 条，其余 1 条只计入数量。以下为发送时的状态。
cluster prod
严重 1
警告 2
sev9 1
已恢复 1
告警中 4
严重 1
DiskFull
instance db1
2% left
on /var
15:50:00 起，已 10分1秒
警告 2
Load ×2
too much to do
instance w1
15:50:00 起，已 10分1秒
instance w2
15:50:00 起，已 10分1秒
sev9 1
Load
severity other
仅计数
已恢复 1
严重 1
TargetDown
instance r1
15:50:00–15:59:00，持续 9分";
    assert_eq!(shown(&page.body), expected);
    only_known_tags(&page.body);
}

#[tokio::test]
async fn a_page_speaks_english_and_says_what_it_does_not_know() {
    let rig = Rig::start().await;
    let mut nameless = alert("", State::Firing, "info", &[]);
    nameless.starts_ms = NOW - 86_400_000 * 365;
    let mut ended = alert("Gone", State::Resolved, "info", &[]);
    ended.starts_ms = 0;
    let id = rig.sent(1, "dba", vec![nameless.clone(), ended], "unknown_outcome").await;
    let expected = format!(
        "1 firing, 1 resolved
dba · 2026-05-01 08:00:01 UTC
The chat's robot did not confirm this message (unknown_outcome).
States are those of the time it was sent.
Info 1
Resolved 1
Firing 1
Info 1
{}
since 2025-05-01 08:00, for 365d
Resolved 1
Info 1
Gone
resolved 07:59:00",
        nameless.fingerprint
    );
    let page = rig.get(&format!("/m/{id}")).await;
    assert_eq!(shown(&page.body).replace("resolved 1\n", "Resolved 1\n"), expected);
}

#[tokio::test]
async fn a_notice_shows_its_text() {
    let rig = Rig::start().await;
    let page = rig.page("dba", Vec::new()).await;
    assert!(page.body.contains("<pre>**message** 1</pre>"), "{}", page.body);
    assert!(shown(&page.body).starts_with("Notice\n"), "{}", page.body);
}

#[tokio::test]
async fn no_value_becomes_markup() {
    let hostile = [
        "<script>alert(1)</script>",
        "</title></style><script src=//x></script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "<!--",
        "]]>",
        "&lt;b&gt;",
        "javascript:alert(1)",
        "\u{202e}gpj.exe\u{2066}\u{0}\u{1b}[31m\u{85}",
    ];
    let rig = Rig::start().await;
    let mut alerts = Vec::new();
    for value in hostile {
        for n in ["1", "2"] {
            let mut alert = alert(value, State::Firing, value, &[(value, value), ("n", n)]);
            alert.summary = format!("{value}{n}");
            alerts.push(alert);
        }
    }
    let page = rig.page("dba", alerts).await;
    assert_eq!(page.status, StatusCode::OK);
    only_known_tags(&page.body);
    assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;1"));
    assert!(page.body.contains("&amp;lt;b&amp;gt;"));
    for dropped in ['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}', '\u{85}'] {
        assert!(!page.body.contains(dropped), "{dropped:?}");
    }
}

#[tokio::test]
async fn unknown_and_malformed_ids_look_the_same() {
    let rig = Rig::start().await;
    rig.page("ops", Vec::new()).await;
    let page = rig.get("/m/00112233445566778899aabbccddeeff").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.body.contains("<h1>There is no such message</h1>"), "{}", page.body);
    let upper = "01".repeat(15) + "0A";
    for id in ["x", "%ff", "%00", &"0".repeat(33), &"0".repeat(10_000), &upper, "%3Cscript%3E"] {
        let other = rig.get(&format!("/m/{id}")).await;
        assert_eq!((other.status, &other.body), (page.status, &page.body), "{id}");
    }
    *rig.control.lang.lock().unwrap() = Some(Lang::Zh);
    assert!(rig.get("/m/x").await.body.contains("没有这条消息"));
    rig.store.close().await;
}

#[tokio::test]
async fn ten_thousand_alerts_stay_small() {
    const MANY: usize = 10_000;
    let rig = Rig::start().await;
    let alerts = (0..MANY).map(|n| {
        let name = format!("Alert{}", n % 3_000);
        let instance = format!("host-{n:05}:9100");
        let mut told =
            alert(&name, State::Firing, ["critical", "info"][n % 2], &[("instance", &instance), ("job", "node")]);
        told.summary = format!("{instance} is down");
        told.how = if n < 9 { How::Named } else { How::Counted };
        told
    });
    let page = rig.page("dba", alerts.collect()).await;
    assert!(page.body.len() < MANY * 250, "{}", page.body.len());
    let hosts: std::collections::BTreeSet<&str> =
        page.body.split("</i>host-").skip(1).filter_map(|rest| rest.get(..5)).collect();
    assert_eq!((hosts.len(), hosts.first(), hosts.last()), (MANY, Some(&"00000"), Some(&"09999")));
    assert_eq!(page.body.matches("<em>named</em>").count(), 9);
    assert!(page.body.contains("The message named 9 and counted 9,991."));
    assert!(page.body.contains("<details") && !page.body.contains("\" open>"));
    only_known_tags(&page.body);
}

/// Instances on a page, and what it says of the others.
fn turns(page: &str) -> (usize, String, Vec<&str>) {
    let hosts = page.matches("</i>host-").count();
    let (_, rest) = page.split_once("<p class=t>").unwrap();
    let links = page.split("<a href=\"").skip(1).map(|part| part.split_once('"').unwrap().0).collect();
    (hosts, rest.split_once('<').unwrap().0.to_owned(), links)
}

#[tokio::test]
async fn more_than_a_page_is_told_in_several() {
    let rig = Rig::start().await;
    let id = MessageId::from_bytes([1; 16]);
    let alerts = |range: std::ops::Range<u32>| -> Vec<ToldAlert> {
        let told = |n| {
            let mut told = alert("Down", State::Firing, "critical", &[("instance", &format!("host-{n:05}"))]);
            told.how = if n < 40 { How::Named } else { How::Counted };
            told
        };
        range.map(told).collect()
    };
    for part in 0..25 {
        rig.store.keep_alerts(&id, part, alerts(part * 1_000 + 7..(part + 1) * 1_000 + 7)).await.unwrap();
    }
    rig.sent_in_parts(1, "dba", alerts(0..7), 25).await;
    let all = ["?from=1", "?from=10001", "?from=20001"];
    let table = [
        ("", 10_000, "1 to 10,000 of 25,007.", vec![all[1]]),
        ("?from=x", 10_000, "1 to 10,000 of 25,007.", vec![all[1]]),
        ("?from=0&other=1", 10_000, "1 to 10,000 of 25,007.", vec![all[1]]),
        ("?from=10001", 10_000, "10,001 to 20,000 of 25,007.", vec![all[0], all[2]]),
        ("?from=20001", 5_007, "20,001 to 25,007 of 25,007.", vec![all[1]]),
        ("?from=25008", 0, "25,007 in all.", vec!["?from=15008"]),
        ("?from=18446744073709551615", 0, "25,007 in all.", vec!["?from=15008"]),
    ];
    for (query, rows, text, links) in table {
        let page = rig.get(&format!("/m/{id}{query}")).await;
        assert_eq!(page.status, StatusCode::OK);
        only_known_tags(&page.body);
        assert!(page.body.contains("<h1>25,007 alerts</h1>"), "{query}");
        assert!(page.body.contains("The message named 40 and counted 24,967."), "{query}");
        let (hosts, said, to) = turns(&page.body);
        let twice: Vec<&str> = links.iter().chain(&links).copied().collect();
        assert_eq!((hosts, said.as_str(), to), (rows, text, twice), "{query}");
    }
    assert!(rig.get(&format!("/m/{id}")).await.body.matches("<em>named</em>").count() == 40);
    let listed = rig.get("/api/v1/messages").await.data();
    let how =
        |how: &str| listed["messages"][0]["alerts"].as_array().unwrap().iter().filter(|a| a["how"] == how).count();
    assert_eq!((how("named"), how("counted")), (40, 24_967));
    assert_eq!(listed["messages"][0].get("alerts_left_out"), None);
}

#[tokio::test]
async fn one_name_starts_open() {
    let rig = Rig::start().await;
    let alerts = (0..101).map(|n| alert("Down", State::Firing, "critical", &[("instance", &n.to_string())]));
    let page = rig.page("dba", alerts.collect()).await;
    assert_eq!(page.body.matches("<details class=\"g critical\" open>").count(), 1);
    assert_eq!(page.body.matches("<li>").count(), 101);
}

#[tokio::test]
async fn the_first_page_leads_on() {
    // Behind a prefix, with and without the slash at its end.
    let rig = Rig::below("/bell", true, true).await;
    let page = rig.get("/bell").await;
    assert_eq!(page.body, rig.get("/bell/").await.body);
    assert!(page.body.contains("alarmbell 1.2.3") && page.body.contains("<code>/bell/api/v1/webhook</code>"));
    let id = rig.sent(1, "ops", Vec::new(), "delivered").await;
    let messages = rig.get("/bell/api/v1/messages").await.data();
    assert_eq!(messages["messages"][0]["url"], format!("/bell/m/{id}"));
    let links: Vec<&str> = page.body.split("<a href=\"").skip(1).map(|part| part.split_once('"').unwrap().0).collect();
    assert!(links.len() >= 5);
    for link in links {
        assert_eq!(rig.get(link).await.status, StatusCode::OK, "{link}");
    }
    assert!(page.body.contains("waiting 1,234"));
}
