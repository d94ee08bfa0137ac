//! The config's contract: one file per mistake under tests/fixtures/config/bad, its report beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::dispatch::RateLimit;
use crate::model::{BotKind, Layout, Severities};
use crate::routing::{GroupBy, Notify};

mod garbage;
mod secrets;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/fixtures/config").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    files.sort();
    assert!(files.len() > 5, "no fixtures in {kind}");
    files
}

/// Parses a file under its short name, so that reports do not depend on where the sources are.
fn check(path: &Path) -> Result<Loaded, Vec<Mistake>> {
    let name = path.file_name().unwrap().to_str().unwrap();
    parse_str(name, &fs::read_to_string(path).unwrap(), path.parent().unwrap())
}

/// Compares with the `.txt` beside a fixture, in which `<any>` stands for the rest of a line. With UPDATE_EXPECTED
/// set, writes it instead.
fn expect(path: &Path, got: &str) {
    let got = got.replace(&format!("{}/", path.parent().unwrap().display()), "");
    let expected = path.with_extension("txt");
    let matches = || {
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        let same = |(got, wanted): (&str, &str)| match wanted.split_once("<any>") {
            Some((start, _)) => got.starts_with(start),
            None => got == wanted,
        };
        wanted.lines().count() == got.lines().count() && got.lines().zip(wanted.lines()).all(same)
    };
    if std::env::var_os("UPDATE_EXPECTED").is_some() && !matches() {
        fs::write(&expected, &got).unwrap();
    }
    assert!(matches(), "{} expects another report than\n{got}", path.display());
}

#[test]
fn every_bad_file_is_refused_with_its_report() {
    for path in fixtures("bad") {
        match check(&path) {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(mistakes) => {
                assert!(mistakes.iter().any(|mistake| !mistake.warning));
                expect(&path, &report(&mistakes));
            }
        }
    }
}

#[test]
fn every_good_file_is_taken_with_its_warnings() {
    for path in fixtures("good") {
        match check(&path) {
            Ok(loaded) => {
                assert!(loaded.warnings.iter().all(|mistake| mistake.warning));
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert_eq!(name.starts_with("warn-"), !loaded.warnings.is_empty(), "{name}");
                if name.starts_with("warn-") {
                    expect(&path, &report(&loaded.warnings));
                }
            }
            Err(mistakes) => panic!("{}", report(&mistakes)),
        }
    }
}

#[test]
fn the_examples_are_taken() {
    let minimal = load(&root().join("examples/minimal.yml")).unwrap();
    assert!(minimal.warnings.is_empty(), "{}", report(&minimal.warnings));
    let full = load(&root().join("examples/full.yml")).unwrap();
    assert!(full.warnings.is_empty(), "{}", report(&full.warnings));
    // Its secret-free defaults are the defaults.
    assert_eq!(full.config.routing.severities, Severities::default());
    let defaults = Global { language: Some(Lang::Zh), ..minimal.config.global };
    let full = full.config.global;
    assert_eq!(
        full,
        Global { link_rewrites: full.link_rewrites.clone(), report_bot: full.report_bot.clone(), ..defaults }
    );
}

#[test]
fn bots_with_one_robot_keep_the_stricter_limit_of_each_window() {
    let robot = |key: &str| format!("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={key}");
    let text = format!(
        "bots:\n\
         - {{name: a, type: wecom, robots: [{{url: \"{one}\"}}, {{url: \"{two}\"}}], rate_limits: [{{messages: 20, per: 1m}}, {{messages: 2, per: 1s}}]}}\n\
         - {{name: b, type: wecom, url: \"{one}\", rate_limits: [{{messages: 10, per: 60s}}, {{messages: 500, per: 1h}}]}}\n\
         default_policy: {{notify: {{bots: [a]}}}}\n",
        one = robot("00000000-0000-0000-0000-000000000001"),
        two = robot("00000000-0000-0000-0000-000000000002"),
    );
    let bots = parse_str("test", &text, Path::new(".")).unwrap().config.bots;
    let limit = |messages, seconds| RateLimit { messages, per: Duration::from_secs(seconds) };
    let shared = [limit(2, 1), limit(10, 60), limit(500, 3_600)];
    assert_eq!(bots[0].robots[0].rate_limits, shared);
    assert_eq!(bots[1].robots[0].rate_limits, shared);
    assert_eq!(bots[0].robots[1].rate_limits, [limit(2, 1), limit(20, 60)], "the other one of the pool is its own");
}

#[test]
fn the_full_example_shows_every_key() {
    let text = fs::read_to_string(root().join("examples/full.yml")).unwrap();
    for keys in [
        KEYS,
        global::KEYS,
        http::KEYS,
        bots::KEYS,
        bots::ROBOT_KEYS,
        bots::MENTION_KEYS,
        people::CONTACT_KEYS,
        policies::KEYS,
        policies::DEFAULT_KEYS,
        intervals::KEYS,
        &["ca_file", "insecure_skip_verify", "label", "levels", "unknown", "interval", "threshold"],
        &["body", "bodies_in_flight", "connections", "alerts", "bytes", "prefix", "replace", "messages", "per"],
        &["contact_groups", "start_time", "end_time"],
    ] {
        for key in keys {
            let shown = text.contains(&format!("{key}:")) || text.contains(&format!("`{key}`"));
            assert!(shown, "{key}");
        }
    }
}

#[test]
fn full_example_means_what_it_says() {
    let config = load(&root().join("examples/full.yml")).unwrap().config;
    let [ding, wecom, feishu] = &config.bots[..] else { panic!("three bots") };
    assert_eq!((ding.kind, wecom.kind, feishu.kind), (BotKind::DingTalk, BotKind::WeCom, BotKind::Feishu));
    assert_eq!(ding.keywords, ["Alarm", "Dispatch"]);
    assert_eq!(ding.rate_limits, [RateLimit { messages: 20, per: Duration::from_secs(60) }]);
    assert_eq!(ding.mention.contacts, ["zhang.san"]);
    assert_eq!(ding.mention.contacts_from_label.as_deref(), Some("owner"));
    assert_eq!(ding.mention.min_severity, Some(0));
    assert_eq!(ding.fallback.as_deref(), Some("ops-wecom"));
    assert_eq!(ding.http.no_proxy.as_deref(), Some("localhost,127.0.0.1,.corp.example"));
    assert!(ding.http.proxy_url.is_some());
    assert_eq!(wecom.robots.len(), 2);
    assert!(wecom.mention.contacts.is_empty());
    assert!(feishu.http.proxy_url.is_none(), "a bot's own http_config replaces the global one");
    assert!(!feishu.http.proxy_from_environment);
    let routing = &config.routing;
    let policy = &routing.policies[0];
    let to = |bots: &[&str], groups: &[&str]| Notify::To {
        bots: bots.iter().map(|name| (*name).to_owned()).collect(),
        contact_groups: groups.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(policy.notify, to(&["ops-wecom"], &["dba"]));
    assert_eq!(policy.matchers.len(), 2);
    assert_eq!(policy.group_by, Some(GroupBy::Labels(vec!["alertname".into(), "cluster".into()])));
    assert_eq!(policy.active_time_intervals, ["working-hours"]);
    assert_eq!(routing.policies[1].notify, Notify::None);
    assert_eq!(routing.default_policy.as_ref().unwrap().name, "default");
    assert_eq!(routing.contacts["zhang.san"].mobile, "13800000000");
    assert_eq!(routing.contact_groups["dba"].contacts, ["zhang.san", "li.si"]);
    assert_eq!(routing.time_intervals["working-hours"].len(), 1);
    assert_eq!(routing.bots.len(), 3);
}

#[test]
fn small_things_have_their_meaning() {
    let good = |name: &str| check(&root().join("tests/fixtures/config/good").join(name)).unwrap().config;
    let lark = good("lark-and-english.yml");
    assert_eq!((lark.bots[0].lang, lark.bots[1].lang), (Lang::En, Lang::Zh));
    assert_eq!(lark.bots[0].timezone.iana_name(), Some("UTC"));
    assert_eq!(lark.bots[1].timezone.iana_name(), Some("Asia/Shanghai"));
    assert_eq!(lark.routing.timezone.iana_name(), Some("Asia/Shanghai"));
    let files = good("files.yml");
    assert!(files.bots[0].robots[0].url.expose().starts_with("https://open.feishu.cn/"));
    assert!(files.bots[0].robots[0].url.expose().ends_with("000000000000"), "trimmed");
    assert_eq!(files.template_files.len(), 1);
    assert_eq!(files.watched.files.len(), 4, "config, url, secret, template: {:?}", files.watched.files);
    let merged = good("anchors-and-merge-keys.yml");
    assert_eq!(merged.bots[1].rate_limits, merged.bots[0].rate_limits);
    assert_eq!(&*merged.bots[1].name, "b");
    let plain = good("unquoted-values.yml");
    assert_eq!(plain.routing.contacts["zhang.san"].mobile, "013800000000");
    assert_eq!(plain.routing.contacts["zhang.san"].dingtalk_user_id, "1e5");
    assert_eq!(&*plain.bots[0].name, "007");
    assert_eq!(plain.routing.policies[0].name, "1");
    let minimal = good("minimal.yml");
    assert_eq!(minimal.bots[0].rate_limits, [RateLimit { messages: 20, per: Duration::from_secs(60) }]);
    assert!(minimal.bots[0].send_resolved && minimal.bots[0].http.proxy_from_environment);
    assert_eq!(minimal.bots[0].template, "default");
    use Layout::{ActionCard, Card, Markdown, MarkdownV2, Post, TemplateCard};
    let layouts = |config: &Config| config.bots.iter().map(|bot| bot.layout).collect::<Vec<_>>();
    let kinds = [Markdown, ActionCard, Markdown, MarkdownV2, TemplateCard, Card, Post];
    assert_eq!(layouts(&good("kinds.yml")), kinds);
    assert_eq!((layouts(&minimal)[0], layouts(&merged)[0], layouts(&files)[0]), (Markdown, Markdown, Card));
}

#[test]
fn every_key_of_every_map_is_checked() {
    let mut maps = 0;
    for path in
        [root().join("examples/full.yml"), root().join("examples/minimal.yml")].into_iter().chain(fixtures("good"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.trim_start_matches('\u{feff}');
        let tree = load::tree(&mut Report::new("x", text)).unwrap();
        let mut places = Vec::new();
        bogus_places(&tree.root, text, &mut places);
        for (at, flow, pos) in places {
            let between = if flow { ", ".to_owned() } else { format!("\n{}", " ".repeat(pos.column - 1)) };
            let bad = format!("{}bogus_key: 1{between}{}", &text[..at], &text[at..]);
            let mistakes = parse_str("x", &bad, path.parent().unwrap()).err();
            let found = mistakes.unwrap_or_else(|| panic!("bogus key taken at {pos:?} of {}", path.display()));
            let place = Place { file: "x".to_owned(), line: pos.line, column: pos.column };
            assert!(
                found.iter().any(|mistake| mistake.place == place && mistake.what.contains("unknown key `bogus_key`")),
                "{pos:?} of {}: {}",
                path.display(),
                report(&found)
            );
            maps += 1;
        }
    }
    assert!(maps > 150, "{maps}");
}

/// Where a key can be put into each map: byte, whether the map is in braces, place.
fn bogus_places(node: &node::Node, text: &str, places: &mut Vec<(usize, bool, Pos)>) {
    match &node.data {
        node::Data::Scalar { .. } => {}
        node::Data::Seq(items) => items.iter().for_each(|item| bogus_places(item, text, places)),
        node::Data::Map(entries) => {
            if let Some(first) = entries.first() {
                let flow = text[..first.span.start].trim_end().ends_with('{');
                places.push((first.span.start, flow, first.pos));
            }
            for entry in entries {
                // Levels have the keys that people give them.
                match &entry.value.data {
                    node::Data::Map(_) if entry.key == "levels" => {}
                    _ => bogus_places(&entry.value, text, places),
                }
            }
        }
    }
}

#[test]
fn files_that_can_not_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let why = |path: &Path| report(&load(path).unwrap_err());
    let path = folder.path().join("alarmbell.yml");
    assert!(why(&path).ends_with("alarmbell.yml: the file can not be read: there is no such file\n"));
    assert!(why(folder.path()).contains("it is a directory"));
    fs::write(&path, [0xff, 0xfe, b'b', 0]).unwrap();
    assert!(why(&path).contains("it is not UTF-8 text"));
    fs::write(&path, vec![b'#'; 10 << 20]).unwrap();
    assert!(why(&path).contains("it is larger than 4 MiB"));
    assert!(why(Path::new("/dev/zero")).contains("it is not a regular file"));
}

#[test]
fn what_is_watched_notices_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let url = "https://open.feishu.cn/open-apis/bot/v2/hook/00000000-0000-0000-0000-000000000000";
    // As Kubernetes mounts a ConfigMap: the name is a link to a link that is swapped.
    for version in ["v1", "v2"] {
        fs::create_dir(folder.path().join(version)).unwrap();
        file(&format!("{version}/a.url"), &format!("{url}{version}"));
    }
    std::os::unix::fs::symlink("v1", folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink("data/a.url", folder.path().join("a.url")).unwrap();
    let bot = "bots: [{name: a, type: feishu, url_file: a.url, send_resolved: true}]\n";
    file("c.yml", &format!("{bot}templates: ['*.hbs']\ndefault_policy: {{notify: {{bots: [a]}}}}\n"));
    let config = load(&folder.path().join("c.yml")).unwrap().config;
    let mut seen = vec![config.hash.clone()];
    assert_eq!(fingerprint(&config.watched), config.hash);
    assert_eq!(config.hash.len(), 16);
    let mut changed = |what: &str| {
        let now = fingerprint(&config.watched);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    fs::remove_file(folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink("v2", folder.path().join("data")).unwrap();
    changed("a swapped link");
    file("feishu.new.body.hbs", "x");
    changed("a new template");
    file("feishu.new.body.hbs", "y");
    changed("a changed template");
    fs::remove_file(folder.path().join("a.url")).unwrap();
    changed("a removed file");
}

#[test]
fn equal_configs_have_equal_hashes_wherever_they_are() {
    let hashes: Vec<_> = (0..2)
        .map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let url = "https://open.feishu.cn/open-apis/bot/v2/hook/00000000-0000-0000-0000-000000000000";
            fs::write(folder.path().join("a.url"), url).unwrap();
            let bots = "bots: [{name: a, type: feishu, url_file: a.url}]\ndefault_policy: {notify: {bots: [a]}}\n";
            fs::write(folder.path().join("c.yml"), bots).unwrap();
            let config = load(&folder.path().join("c.yml")).unwrap().config;
            assert_eq!(fingerprint(&config.watched), config.hash);
            config.hash
        })
        .collect();
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn a_refused_config_is_watched_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    let bots = "bots: [{name: a, type: feishu, url_file: late.url}]\ndefault_policy: {notify: {bots: [a]}}\n";
    fs::write(&path, bots).unwrap();
    let (watched, outcome) = load_watched(&path);
    assert!(outcome.is_err());
    let before = fingerprint(&watched);
    assert_eq!(before, fingerprint(&watched));
    let url = "https://open.feishu.cn/open-apis/bot/v2/hook/00000000-0000-0000-0000-000000000000";
    fs::write(folder.path().join("late.url"), url).unwrap();
    assert_ne!(before, fingerprint(&watched));
    assert!(load(&path).is_ok());
}

#[test]
fn relative_paths_begin_at_the_config_also_when_its_own_path_is_relative() {
    // The tests run in the package's folder.
    let config = load(Path::new("tests/fixtures/config/good/files.yml")).unwrap().config;
    assert_eq!(config.template_files.len(), 1);
    assert_eq!(fingerprint(&config.watched), config.hash);
}

#[test]
fn a_folder_whose_name_is_a_pattern_works() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a[b]*");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("feishu.corp.body.hbs"), "x").unwrap();
    let url = "https://open.feishu.cn/open-apis/bot/v2/hook/00000000-0000-0000-0000-000000000000";
    let text = format!("templates: ['*.hbs']\nbots: [{{name: a, type: feishu, url: '{url}', template: corp}}]\n");
    let loaded = parse_str("c.yml", &text, &odd).unwrap();
    assert_eq!(loaded.config.template_files.len(), 1);
}

#[test]
fn ten_thousand_bots_and_ten_thousand_mistakes_are_bounded() {
    let mut good = String::from("bots:\n");
    let mut bad = String::from("bots:\n");
    for number in 0..10_000 {
        let url = format!("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=00000000-0000-0000-0000-{number:012}");
        good.push_str(&format!("  - {{name: bot-{number}, type: wecom, url: '{url}'}}\n"));
        bad.push_str(&format!("  - {{name: bot-{number}, type: wecom, url: '{url}', fallback: bot{number}x}}\n"));
    }
    let end = "default_policy: {notify: {bots: [bot-1]}}\n";
    assert_eq!(parse_str("x", &format!("{good}{end}"), Path::new(".")).unwrap().config.bots.len(), 10_000);
    let mistakes = parse_str("x", &format!("{bad}{end}"), Path::new(".")).unwrap_err();
    assert_eq!(mistakes.len(), 201);
    let text = report(&mistakes);
    assert!(text.ends_with("x: and 9800 more\n    hint: mend these first\n"), "{}", &text[text.len() - 200..]);
}

mod web {
    use super::*;

    const HASH: &str = "$2y$12$abcdefghijklmnopqrstuuZ0F0l8T5cPzPpJcYwqzHnOZ1j6hQ0m2";

    #[test]
    fn users_are_read() {
        let users =
            parse_web_str("web.yml", &format!("basic_auth_users:\n  admin: {HASH}\n  张三: '{HASH}'\n")).unwrap();
        assert_eq!(users.users["admin"].expose(), HASH);
        assert_eq!(users.users.len(), 2);
        assert!(users.warnings.is_empty());
        assert!(!format!("{users:?}").contains("$2y"));
        assert_eq!(parse_web_str("web.yml", "").unwrap(), WebConfig::default());
        assert_eq!(parse_web_str("web.yml", "# none\nbasic_auth_users:\n").unwrap(), WebConfig::default());
    }

    #[test]
    fn mistakes_are_all_named_and_show_no_hash() {
        let text = format!(
            "tls_server_config:\n  cert_file: a.crt\nhttp_server_config: {{http2: true}}\nrate_limit: {{burst: 1}}\n\
             basic_auth_user: {{}}\nbasic_auth_users:\n  a:b: {HASH}\n  clear: hunter2hunter2\n  slow: {}\n  list: []\n  cut: {}\n",
            HASH.replace("$12$", "$17$"),
            &HASH[..40],
        );
        let mistakes = parse_web_str("web.yml", &text).unwrap_err();
        let whats: Vec<String> =
            mistakes.iter().map(|m| format!("{}:{} {}", m.place.line, m.place.column, m.what)).collect();
        assert_eq!(
            whats,
            [
                "1:1 `tls_server_config`: TLS is not in this version",
                "3:1 `http_server_config`: headers and HTTP/2 are not in this version",
                "4:1 `rate_limit`: rate limits are not in this version",
                "5:1 unknown key `basic_auth_user` in the web config",
                "7:3 `a:b` can not be the name of a user",
                "8:10 what stands for `clear` is no bcrypt hash",
                "9:9 the hash of `slow` has cost 17: each login would take seconds",
                "10:9 the hash of `list` must be a single value, not a list",
                "11:8 what stands for `cut` is no bcrypt hash",
            ]
        );
        let shown = report(&mistakes);
        assert!(!shown.contains("hunter2") && !shown.contains("$2y"), "{shown}");
    }

    #[test]
    fn a_cheap_hash_is_a_warning() {
        let text = format!("basic_auth_users: {{a: '{}'}}", HASH.replace("$12$", "$04$"));
        let config = parse_web_str("web.yml", &text).unwrap();
        assert_eq!(config.warnings.len(), 1);
    }

    #[test]
    fn a_missing_file_says_so() {
        let mistakes = load_web(Path::new("/nonexistent/web.yml")).unwrap_err();
        assert_eq!(report(&mistakes), "/nonexistent/web.yml: the file can not be read: there is no such file\n");
    }
}

#[test]
fn a_lone_cr_ends_a_line_as_it_does_in_yaml() {
    let text = "bots:\r  - name: a\r\r\n    colour: red\r\n    type: wecom\n";
    let mistakes = parse_str("x", text, Path::new("/nonexistent")).unwrap_err();
    let colour = mistakes.iter().find(|mistake| mistake.what.contains("colour")).unwrap();
    assert_eq!((colour.place.line, colour.line.trim()), (4, "colour: ***"), "{colour}");
    let broken = parse_web_str("w", "users:\r  a: b: c\r").unwrap_err();
    assert_eq!(broken[0].place.line, 2, "{}", broken[0]);
    assert!(broken[0].line.contains("a:"), "{}", broken[0]);
}
