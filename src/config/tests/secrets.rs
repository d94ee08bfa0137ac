//! No mistake shows a secret.

use std::path::Path;

use proptest::prelude::*;

use super::super::*;

/// Every secret is made of this; twelve characters of it in a row are a leak.
const MARK: &str = "Zq7jZq7jZq7jZq7jZq7jZq7jZq7jZq7j";
const LEAK: &str = "q7jZq7jZq7jZ";

/// A config with a secret in every place and notation that may hold one.
fn config() -> String {
    format!(
        r#"global:
  http_config: {{proxy_url: "http://user:{MARK}@proxy:3128", no_proxy: localhost}}
bots:
  - name: a   # the old one: {MARK}
    type: dingtalk
    url: https://oapi.dingtalk.com/robot/send?access_token={MARK}
    secret: {MARK}
  - {{name: b, type: feishu, url: 'https://open.feishu.cn/open-apis/bot/v2/hook/{MARK}', secret: {MARK}}}
  - name: c
    type: wecom
    robots:
      - url: >-
          https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={MARK}
      - url: "https://qyapi.weixin.qq.com/cgi-bin/webhook/\
          send?key={MARK}1"
    # {MARK}
    http_config:
      proxy_url: |
        socks5://user:{MARK}@proxy:1080
  - name: d
    type: feishu
    url:
      https://open.feishu.cn/open-apis/bot/v2/hook/{MARK}2
    secret: &shared
      {MARK}
    keywords: [Alarm]
  - {{name: e, type: feishu, url: "https://open.feishu.cn/open-apis/bot/v2/hook/{MARK}3", secret: *shared}}
default_policy: {{notify: {{bots: [a]}}}}
"#
    )
}

fn assert_hidden(text: &str, what: &str) {
    let outcome = parse_str("x", text, Path::new("/nonexistent"));
    let mistakes = match outcome {
        Ok(loaded) => {
            assert!(!format!("{:?}", loaded.config.bots).contains(LEAK));
            loaded.warnings
        }
        Err(mistakes) => mistakes,
    };
    let shown = format!("{}{mistakes:?}", report(&mistakes));
    assert!(!shown.contains(LEAK), "{what}\n{shown}");
}

#[test]
fn the_marked_config_is_a_good_one() {
    let loaded = parse_str("x", &config(), Path::new("/nonexistent"));
    assert!(loaded.is_ok(), "{}", report(&loaded.unwrap_err()));
}

#[test]
fn renaming_any_key_shows_no_secret() {
    for key in ["url", "secret", "proxy_url", "robots", "type", "name", "bots", "global", "http_config", "keywords"] {
        for other in
            ["urk", "secrett", "url_file", "secret_file", "name", "type", "proxy_url", "fallback", "template", "x"]
        {
            assert_hidden(&config().replace(&format!("{key}: "), &format!("{other}: ")), &format!("{key} -> {other}"));
            assert_hidden(
                &config().replace(&format!("{key}:"), &format!("{other}:\n   ")),
                &format!("{key} -> {other}, wrapped"),
            );
        }
        assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}:")), key);
        assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}: [")), key);
        assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}: \"")), key);
        assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}: {key}: ")), key);
        assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}: !x ")), key);
        for special in ["&", "!", "*", "%", "@", "`", "|", ">", "- ", "? ", "# "] {
            assert_hidden(&config().replace(&format!("{key}: "), &format!("{key}: {special}")), special);
        }
    }
}

#[test]
fn bad_urls_and_secrets_are_not_shown() {
    for (from, to) in [
        ("https://", "http://"),
        ("https://", "ftp://"),
        ("https://", ""),
        ("https://", "https:// "),
        ("access_token", "token"),
        ("key=", "keys="),
        ("/hook/", "/hok/"),
        ("type: feishu", "type: wecom"),
        ("type: wecom", "type: dingtalk"),
        ("http://user", "ftp://user"),
    ] {
        assert_hidden(&config().replace(from, to), &format!("{from} -> {to}"));
    }
}

#[test]
fn secrets_from_files_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = "bots: [{name: a, type: feishu, url_file: u, secret_file: s}, {name: a, type: wecom, url_file: u, secret_file: s}]";
    std::fs::write(folder.path().join("u"), format!("ftp://{MARK}/hook/{MARK}")).unwrap();
    std::fs::write(folder.path().join("s"), format!("{MARK}\n{MARK}")).unwrap();
    let mistakes = parse_str("x", text, folder.path()).unwrap_err();
    assert!(mistakes.len() >= 3);
    assert!(!format!("{mistakes:?}").contains(LEAK));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_shows_no_secret(at in 0usize..1_800, cut in 0usize..5, put in "[-:,\\[\\]{}'\"#&*!%|> \\n\\ta]{0,2}") {
        let text = config();
        let damaged: String = text.chars().take(at).chain(put.chars()).chain(text.chars().skip(at + cut)).collect();
        assert_hidden(&damaged, &damaged);
    }

    #[test]
    fn lost_and_swapped_lines_show_no_secret(one in 0usize..38, two in 0usize..38, drop in any::<bool>()) {
        let text = config();
        let mut lines: Vec<&str> = text.lines().collect();
        let (one, two) = (one % lines.len(), two % lines.len());
        if drop {
            lines.remove(one);
        } else {
            lines.swap(one, two);
        }
        let damaged = lines.join("\n");
        assert_hidden(&damaged, &damaged);
    }
}
