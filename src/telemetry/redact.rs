//! Takes secrets out of texts that somebody else wrote: HTTP client errors, robots' replies, lines of a config.
//!
//! Our own types never print a secret; this is for the rest. It would rather take out too much than too little, but
//! leaves prose alone ("invalid token: see ...").

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands for a secret. It is no value that any rule would take out again.
const MASK: &str = "<redacted>";

struct Rules {
    /// `scheme://user:password@host`
    user_info: Regex,
    /// `access_token=...`, `key=...`, `sign=...`, also percent-encoded, with or without quotes.
    assigned: Regex,
    /// `"secret": "..."`, `secret: ...`
    described: Regex,
    /// Feishu's webhook path `/open-apis/bot/v2/hook/...`
    hook: Regex,
    /// DingTalk's signing secrets.
    sec: Regex,
    /// `Authorization: Basic ...`, and the credentials without the header's name.
    authorization: Regex,
    credentials: Regex,
    bcrypt: Regex,
    /// Page links work for whoever knows them.
    page: Regex,
}

#[allow(clippy::expect_used, reason = "the patterns are constants, and every test compiles them")]
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a constant pattern compiles");
    // A value ends where a URL's does, or at its quote.
    let value = r#"(?:"[^"]*"?|'[^']*'?|[^\s&#"'<>,;)\]}]+)"#;
    Rules {
        user_info: regex(r#"(?i)([a-z][a-z0-9+.-]*://)[^\s/?#"'<>]*@"#),
        assigned: regex(&format!(
            r"(?i)((?-u:\b)(?:[a-z0-9_-]*(?:token|secret|password|passwd|api_?key)|key|sign|signature)(?:=|%3d)){value}"
        )),
        described: regex(&format!(r#"(?i)([a-z0-9_-]*(?:token|secret|password|passwd)(["']?)\s*:\s*)({value})"#)),
        hook: regex(r#"(?i)(/hooks?/)[^\s/?#"'<>&,;)\]}]+"#),
        sec: regex(r"SEC[0-9A-Za-z]{16,}"),
        authorization: regex(r#"(?i)(authorization["']?\s*[:=]\s*["']?(?:[a-z]+\s+)?)(?:<redacted>|[^\s"'<>,]{4,})"#),
        credentials: regex(r"(?i)((?-u:\b)(?:basic|bearer)\s+)([a-z0-9+/=._~-]{8,})"),
        bcrypt: regex(r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{22,}"),
        page: regex(r"(/m/)[0-9a-f]{32}"),
    }
});

/// The text with every secret masked: webhook tokens and keys, signatures, signing secrets, passwords in URLs,
/// credentials, password hashes, page ids. Masking twice changes nothing.
pub fn redact(text: &str) -> String {
    let rules = &*RULES;
    let after_name = |found: &Captures<'_>| Some(format!("{}{MASK}", &found[1]));
    let mut text = mask(text, &rules.user_info, |found| Some(format!("{}{MASK}@", &found[1])));
    for rule in [&rules.hook, &rules.page, &rules.authorization, &rules.assigned] {
        text = mask(&text, rule, after_name);
    }
    text = mask(&text, &rules.described, |found| {
        let (quoted, value) = (!found[2].is_empty(), &found[3]);
        // Behind a bare word and a colon there may be prose.
        let like_secret = quoted || value.starts_with(['"', '\'']) || (value.len() >= 12 && has_digit(value));
        like_secret.then(|| after_name(found)).flatten()
    });
    text = mask(&text, &rules.sec, |found| has_digit(&found[0]).then(|| MASK.to_owned()));
    text = mask(&text, &rules.credentials, |found| {
        let like_secret = has_digit(&found[2]) || found[2].ends_with('=');
        like_secret.then(|| after_name(found)).flatten()
    });
    mask(&text, &rules.bcrypt, |_| Some(MASK.to_owned()))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// Puts `by`'s text in the place of each match. Where it gives none, the search goes on behind the match's name, because
/// what looked like a harmless value may be the name of the next.
fn mask(text: &str, rule: &Regex, by: impl Fn(&Captures<'_>) -> Option<String>) -> String {
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = rule.captures_at(text, at) {
        let all = found.get_match();
        if let Some(new) = by(&found) {
            out.push_str(&text[copied..all.start()]);
            out.push_str(&new);
            (copied, at) = (all.end(), all.end());
        } else {
            let first = text[all.start()..].chars().next().map_or(1, char::len_utf8);
            at = found.get(1).map_or(all.start() + first, |name| name.end());
        }
    }
    out.push_str(&text[copied..]);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_what_robots_and_clients_say() {
        let sec = format!("SEC{}", "0a".repeat(32));
        let id = "0f".repeat(16);
        let table = [
            (
                "error sending request for url (https://oapi.dingtalk.com/robot/send?access_token=a1b2c3&timestamp=1&sign=x%3D)",
                "error sending request for url (https://oapi.dingtalk.com/robot/send?access_token=<redacted>&timestamp=1&sign=<redacted>)",
            ),
            (
                "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx: timed out",
                "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=<redacted> timed out",
            ),
            ("POST /open-apis/bot/v2/hook/b6f2-11ec failed", "POST /open-apis/bot/v2/hook/<redacted> failed"),
            ("via http://joe:p@ss@proxy:3128/x", "via http://<redacted>@proxy:3128/x"),
            ("url=a%3Faccess_token%3Dabc%26x", "url=a%3Faccess_token%3D<redacted>"),
            (&sec, "<redacted>"),
            (r#"{"sign":"q","secret":"hunter2"}"#, r#"{"sign":"q","secret":<redacted>}"#),
            ("    secret: abcDEF123456ghi", "    secret: <redacted>"),
            ("password: 'a b'", "password: <redacted>"),
            ("Authorization: Bearer abcd.efgh", "Authorization: Bearer <redacted>"),
            ("sent Basic dXNlcjpwYXNzd29yZA==", "sent Basic <redacted>"),
            ("bob: $2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "bob: <redacted>"),
            (&format!("GET /m/{id}?x"), "GET /m/<redacted>?x"),
            ("bad token: secret: abcDEF123456ghi", "bad token: secret: <redacted>"),
            ("密钥key=abc", "密钥key=<redacted>"),
        ];
        for (text, want) in table {
            assert_eq!(redact(text), want);
        }
    }

    #[test]
    fn leaves_prose_and_names_alone() {
        for text in [
            "invalid token: expected a value at line 3",
            "wrong secret: copy it from the robot's settings",
            "Basic authentication failed",
            "unknown key: colour (did you mean color?)",
            "https://oapi.dingtalk.com/robot/send: connection refused",
            "SECONDARYDATABASEREPLICADOWN",
            "alertname=HighLatency monkey=1",
            "ops@example.com wrote",
            "/m/short",
            "",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    fn token() -> impl Strategy<Value = String> {
        "[A-Za-z0-9_-]{15,63}[0-9]"
    }

    proptest! {
        #[test]
        fn no_token_survives(token in token(), before in "\\PC{0,12}", after in "[ &)\"',\n]|", form in 0..9_usize) {
            let text = match form {
                0 => format!("https://oapi.dingtalk.com/robot/send?access_token={token}"),
                1 => format!("https://h/x?key={token}&a=1"),
                2 => format!("https://open.feishu.cn/open-apis/bot/v2/hook/{token}"),
                3 => format!("sign={token}"),
                4 => format!("SEC{}", token.replace(['_', '-'], "")),
                5 => format!("https://user:{token}@proxy/"),
                6 => format!("\"secret\" : \"{token}\""),
                7 => format!("Authorization: Basic {token}"),
                _ => format!("client_secret={token}"),
            };
            let shown = redact(&format!("{before} {text}{after}"));
            let secret = if form == 4 { token.replace(['_', '-'], "") } else { token };
            prop_assume!(!before.contains(&secret) && secret.len() >= 16);
            prop_assert!(!shown.contains(&secret), "{shown}");
        }

        #[test]
        fn masking_twice_changes_nothing(text in "(\\PC{0,8}|(key|secret|sign|token|password)[=: \"']{0,3}|://|@|/hook/|SEC[0-9a-f]{20}|Basic |Authorization[:=] ?){0,8}") {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }
    }
}
