//! What `render` shows, and how it answers mistakes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::cli::testing::{Folder, SECRETS};
use crate::clock::ManualClock;
use crate::model::{BotKind, Lang, Layout};
use crate::render::Form;

const NOW: &str = "2026-11-20T10:05:00+08:00";

fn example(payload: &str) -> Option<PathBuf> {
    Some(Path::new("examples/payloads").join(payload))
}

fn look(args: &Render) -> Result<Look, Failure> {
    Ask::new(args, ManualClock::new(NOW.parse().unwrap()))?.look().1
}

fn shown(args: &Render) -> String {
    let text = written(&look(args).unwrap_or_else(|failure| panic!("{}", failure.text)), args.output);
    assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    text
}

fn refused(args: &Render) -> String {
    let failure = look(args).err().unwrap();
    assert_eq!(failure.code, 2, "{}", failure.text);
    failure.text
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

/// One bot of the config of the tests.
fn of_bot(folder: &Folder, name: &str, payload: &str) -> Render {
    Render {
        config_file: Some(folder.config_file()),
        bot: Some(name.to_owned()),
        payload: example(payload),
        ..Render::default()
    }
}

/// Without a config.
fn bare(sample: &str) -> Render {
    Render { no_config: true, sample: Some(sample.to_owned()), ..Render::default() }
}

#[test]
fn as_the_policies_would_have_it() {
    let text = shown(&of_bot(&Folder::new(), "first", "firing.zh.json"));
    has(
        &text,
        &[
            "bot       first (dingtalk markdown, zh)\npayload   examples/payloads/firing.zh.json: 2 alerts\n\n=== message 1 of 1\n",
            "kind      single, markdown\nby        policy:dba\n",
            " of 20000 bytes (",
            " %)\nalerts    2 named, 0 counted\ncut       nothing\nmentions  zhang.san\n",
            "--- as people see it\n",
            "MySQL主从延迟",
            "\"msgtype\": \"markdown\"",
            "\"atMobiles\": [\n      \"13800000000\"",
            "Alarm",
            "Nothing was sent.",
        ],
    );
}

#[test]
fn a_split_by_the_policy_makes_several_messages() {
    // `audit` makes every alert its own message and calls nobody; resolves are not told there.
    let text = shown(&of_bot(&Folder::new(), "second", "mixed.zh.json"));
    has(&text, &["note      1 resolved alert would not be told (send_resolved: false)\n", "=== message 2 of 2\n"]);
    has(&text, &[" of 4096 bytes (", "alerts    1 named"]);
}

#[test]
fn straight_to_a_bot_that_no_policy_names() {
    let text = shown(&of_bot(&Folder::new(), "third", "firing.zh.json"));
    has(&text, &["note      no policy leads these alerts to this bot", "by        bot:third\n"]);
    has(&text, &["\"msg_type\": \"interactive\""]);
}

#[test]
fn everything_in_one_digest() {
    // The policy makes every alert a message of its own; a digest is one all the same.
    let folder = Folder::new();
    let text = shown(&Render { digest: true, ..of_bot(&folder, "second", "mixed.zh.json") });
    has(&text, &["note      1 resolved alert would not be told (send_resolved: false)\n", "=== message 1 of 1\n"]);
    has(&text, &["kind      digest, markdown\n", "alerts    2 named, 0 counted\n", "Alarm 汇总｜2 条｜"]);
    let direct = shown(&Render { digest: true, ..of_bot(&folder, "third", "firing.zh.json") });
    has(&direct, &["by        bot:third\n", "kind      digest, card\n"]);
    // A digest calls for new critical alerts only, as it will.
    let calm = folder.config().replace("min_severity: critical, interval: 10m", "interval: 10m");
    folder.write("alarmbell.yml", &calm);
    let body = std::fs::read_to_string(example("firing.zh.json").unwrap()).unwrap().replace("critical", "warning");
    let payload = Some(folder.write("warning.json", &body));
    let args = Render { payload, ..of_bot(&folder, "first", "") };
    has(&shown(&args), &["mentions  zhang.san\n"]);
    has(&shown(&Render { digest: true, ..args }), &["mentions  nobody\n"]);
}

#[test]
fn what_the_chat_was_told_before_is_no_news() {
    let folder = Folder::new();
    let after = |payload: &str, told: &[&str]| {
        let told = told.iter().filter_map(|told| example(told)).collect();
        shown(&Render { told, ..of_bot(&folder, "first", payload) })
    };
    let mixed = after("mixed.zh.json", &["firing.zh.json"]);
    has(&mixed, &["alerts    2 named, 1 counted\n", "恢复 1，仍有 2（新增 1）"]);
    // Who is absent from a body still fires.
    let back = after("firing.zh.json", &["firing.zh.json", "mixed.zh.json"]);
    has(&back, &["再次告警"]);
    has(&after("firing.zh.json", &["firing.zh.json"]), &["仍在告警"]);
    let again = after("resolved.zh.json", &["resolved.zh.json"]);
    has(&again, &["note      2 alerts would not be told again\n", "No message: there is nothing to tell.\n"]);
    // Without a word of what was told before, resolved ones were firing.
    assert!(!after("resolved.zh.json", &[]).contains("note "));
}

#[test]
fn all_bots_of_the_config() {
    let folder = Folder::new();
    let all = Render { bot: None, ..of_bot(&folder, "", "firing.zh.json") };
    let text = shown(&all);
    has(&text, &["bot       first (dingtalk", "\nbot       second (wecom", "\nbot       third (feishu"]);
    let only = shown(&Render { vendor: Some(BotKind::WeCom), ..all.clone() });
    assert!(only.starts_with("bot       second") && !only.contains("third"), "{only}");
    // Those of which the vendor has the kind, in that kind.
    let post = shown(&Render { kind: Some(Layout::Post), ..all.clone() });
    assert!(post.starts_with("bot       third (feishu post, zh)") && !post.contains("first"), "{post}");
    // In another language, and another sample of it.
    let english = shown(&Render { lang: Some(Lang::En), payload: None, ..all });
    has(&english, &["bot       first (dingtalk markdown, en)", "Critical", "InstanceDown"]);
}

#[test]
fn without_a_config_each_vendor_shows_a_sample() {
    let text = shown(&bare("one"));
    has(
        &text,
        &["bot       dingtalk (", "bot       wecom (", "bot       feishu (", "磁盘即将写满", "mentions  nobody"],
    );
    has(&text, &["payload   sample `one` (one critical alert, with value, runbook and dashboard): 1 alert\n"]);
    assert_eq!(text, shown(&bare("one")), "its time is the sample's");
    let called = Render { mention: true, vendor: Some(BotKind::WeCom), ..bare("one") };
    has(&shown(&called), &["mentions  zhang.san", "<@ZhangSan>"]);
    has(&shown(&bare("storm")), &["kind      digest, markdown"]);
    has(&shown(&bare("plain")), &["kind      plain, text", "cut       plain text, no markup"]);
    has(
        &shown(&Render { form: Some(Form::Counts), ..bare("one") }),
        &["cut       1 of 1 alert in numbers; plain text"],
    );
    has(&shown(&bare("many")), &[" of 50 alerts in full, "]);
    // Each once: 9 groups are more than leave alone.
    let later = Render { at: Some("2026-11-20T12:00:00Z".parse().unwrap()), ..bare("one") };
    assert_ne!(shown(&later), text);
}

#[test]
fn brief_and_json_and_the_body_itself() {
    let brief = shown(&Render { output: Output::Brief, ..bare("mixed") });
    assert!(brief.starts_with("--- dingtalk, markdown: ") && brief.contains("--- feishu, card: "), "{brief}");
    has(&brief, &["MySQL主从延迟", "[图表] · [手册]", "\n[图表] [手册]"]);
    assert!(!brief.contains("msgtype") && !brief.contains("font") && !brief.contains("://"), "{brief}");
    let json: Value = serde_json::from_str(&shown(&Render { output: Output::Json, ..bare("mixed") })).unwrap();
    let message = &json["bots"][2]["messages"][0];
    assert_eq!((&message["kind"], &message["named"], &message["counted"]), (&"card".into(), &2.into(), &1.into()));
    assert_eq!(message["body"]["msg_type"], "interactive");
    assert!(message["failure"].is_null() && message["size"].as_u64() < message["limit"].as_u64(), "{message}");
    let args = Render { lang: Some(Lang::En), ..bare("firing") };
    let body = Ask::new(&args, ManualClock::new(NOW.parse().unwrap())).unwrap().payload().unwrap();
    assert_eq!(body, std::fs::read(example("firing.en.json").unwrap()).unwrap());
    assert!(list().contains("\nstorm       300 alerts"), "{}", list());
}

#[test]
fn many_groups_at_once_would_be_a_digest() {
    let folder = Folder::new();
    let alert = |n: usize| format!(r#"{{"labels":{{"alertname":"A{n}","severity":"page"}},"startsAt":"{NOW}"}}"#);
    let alerts: Vec<String> = (0..9).map(alert).collect();
    let payload = folder.write("nine.json", &format!(r#"{{"alerts":[{}]}}"#, alerts.join(",")));
    let args = Render { payload: Some(payload), ..of_bot(&folder, "second", "") };
    has(&shown(&args), &["note      9 groups at once are a storm", "=== message 9 of 9"]);
    let digest = shown(&Render { digest: true, ..args });
    assert!(!digest.contains("storm:") && digest.contains("=== message 1 of 1"), "{digest}");
}

#[test]
fn templates_can_be_tried() {
    let folder = Folder::new();
    let file = folder.write("wecom.night.title.hbs", "NIGHT {{name}}").display().to_string();
    folder.write("dingtalk.day.title.hbs", "DAY {{name}}");
    let pattern = file.replace("wecom.night.title", "*");
    // One set: it is meant, for the vendors that have it.
    let tried = Render { templates: vec![file.clone()], ..bare("one") };
    let text = shown(&tried);
    has(&text, &["bot       wecom", "template  night\n", "NIGHT 磁盘即将写满"]);
    assert!(!text.contains("bot       dingtalk"), "{text}");
    // Also on a config's bots, whatever their policies say, and instead of the config's own file of that name.
    let own = folder.config().replace("bots:\n", "templates: [own/*.hbs]\nbots:\n") + "\n";
    let own = own.replace("group_by: ['...']", "group_by: ['...'], template: night");
    std::fs::create_dir(folder.config_file().with_file_name("own")).unwrap();
    folder.write("own/wecom.night.title.hbs", "OWN {{name}}");
    folder.write("alarmbell.yml", &own);
    let usual = of_bot(&folder, "second", "firing.zh.json");
    has(&shown(&usual), &["OWN MySQL主从延迟"]);
    has(&shown(&Render { templates: vec![file.clone()], ..usual.clone() }), &["NIGHT MySQL主从延迟"]);
    has(&shown(&Render { template: Some("default".to_owned()), ..usual.clone() }), &["template  default\n"]);
    let none = refused(&Render { template: Some("nacht".to_owned()), ..usual });
    has(&none, &["no such bot has a template set `nacht`; there is night (wecom)"]);
    let several = Render { templates: vec![pattern.clone()], ..bare("one") };
    has(&refused(&several), &["choose one: --template=day|night"]);
    has(&shown(&Render { template: Some("day".to_owned()), ..several }), &["bot       dingtalk", "DAY 磁盘"]);
    has(
        &refused(&Render { templates: vec!["no/such/*.hbs".to_owned()], ..bare("one") }),
        &["no/such/*.hbs: there is no"],
    );
    folder.write("wecom.night.title.hbs", "fine\n{{nonsense x}}");
    has(&refused(&tried), &[&format!("{file}:2:3: "), "nonsense", "hint: "]);
}

#[test]
fn a_template_that_would_fail_elsewhere_is_shown_with_a_warning() {
    let folder = Folder::new();
    let source = "{{#if (eq kind \"post\")}}{{time name}}{{/if}}{{name}}";
    let file = folder.write("feishu.odd.body.hbs", source).display().to_string();
    let look = look(&Render { templates: vec![file.clone()], ..bare("one") }).unwrap();
    has(&written(&look, Output::Text), &["kind      single, card", "template  odd"]);
    let text = failed(&look);
    has(&text, &[&format!("{file}:1:"), "warning: ", "post"]);
    assert!(look.failed.is_empty() && !text.contains("error"), "{text}");
}

#[test]
fn a_template_that_fails_is_shown_and_named_with_its_place() {
    let folder = Folder::new();
    let file = folder
        .write("wecom.odd.body.hbs", "{{#if (eq name \"磁盘即将写满\")}}\n  {{time name}}{{/if}}")
        .display()
        .to_string();
    let args = Render { templates: vec![file.clone()], ..bare("one") };
    let look = look(&args).unwrap();
    has(&written(&look, Output::Text), &["FAILED    template wecom.odd.body: line 2", "kind      plain, text", "磁盘"]);
    let text = failed(&look);
    has(
        &text,
        &[&format!("{file}:2:3: the template failed: "), "{{time name}}", "hint: ", "\nerror: 1 template failed\n"],
    );
    let failure = run(&args).unwrap_err();
    assert_eq!((failure.code, failure.text), (1, text));
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    let args = |bot: &str, payload: Option<&str>| Render {
        payload: payload.map(|text| folder.write("body.json", text)),
        ..Render { payload: None, ..of_bot(&folder, bot, "") }
    };
    has(&refused(&args("frist", None)), &["there is no bot `frist`; did you mean `first`?"]);
    let wrong = refused(&args("first", Some(r#"{"alerts":[{"labels":{},"startsAt":"soon"}]}"#)));
    has(&wrong, &["body.json:1:36: alerts[0].startsAt: \"soon\" is not"]);
    has(&refused(&Render { payload: Some("no/such".into()), ..args("first", None) }), &["no/such: "]);
    has(&refused(&Render { told: vec!["no/such".into()], ..args("first", None) }), &["no/such: "]);
    let unlike = Render { vendor: Some(BotKind::Feishu), ..args("first", None) };
    has(&refused(&unlike), &["this bot is not of type feishu"]);
    let unkind = Render { kind: Some(Layout::TemplateCard), ..args("first", None) };
    has(&refused(&unkind), &["`template_card` is no message type of dingtalk; dingtalk has markdown, actionCard"]);
    has(&refused(&bare("strom")), &["there is no sample `strom`; did you mean `storm`?"]);
    // A bot that was named is looked for in a config.
    let lost = Render { bot: Some("first".to_owned()), ..Render::default() };
    has(&refused(&lost), &["alarmbell.yml: the file can not be read: there is no such file"]);
    assert!(run(&args("first", None)).is_ok());
}

/// What `render --watch` writes while `edits` happen one after the other, to each stream.
fn watched(args: &Render, clear: bool, edits: &[&dyn Fn()]) -> (String, String) {
    let ask = Ask::new(args, ManualClock::new(NOW.parse().unwrap())).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut edits = edits.iter();
    watch::watch(&ask, &mut out, &mut err, clear, |watched, seen| {
        assert_eq!(config::fingerprint(watched), seen);
        let Some(edit) = edits.next() else { return false };
        edit();
        assert_ne!(config::fingerprint(watched), seen, "this change is not noticed");
        true
    });
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn every_change_is_rendered_and_mistakes_are_waited_for() {
    let folder = Folder::new();
    let file = folder.write("wecom.odd.title.hbs", "ONE").display().to_string();
    let body = std::fs::read_to_string(example("firing.en.json").unwrap()).unwrap();
    let args = Render {
        payload: Some(folder.write("body.json", &body)),
        templates: vec![file.replace("odd.title", "*")],
        output: Output::Brief,
        ..Render { bot: None, ..of_bot(&folder, "", "") }
    };
    let (out, err) = watched(
        &args,
        false,
        &[
            &|| drop(folder.write("wecom.odd.title.hbs", "TWO")),
            &|| drop(folder.write("wecom.odd.title.hbs", "{{#if")),
            &|| drop(folder.write("body.json", &body.replace("InstanceDown", "RenamedLag"))),
            &|| drop(folder.write("wecom.odd.title.hbs", "THREE")),
            &|| {
                drop(
                    folder
                        .write("wecom.odd.body.hbs", "{{#if (eq name \"RenamedLag\")}}\n{{time name}}{{/if}}{{name}}"),
                )
            },
            &|| drop(folder.write("alarmbell.yml", "bots: []")),
        ],
    );
    let at = |part: &str| out.find(part).unwrap_or_else(|| panic!("{part} is missing in\n{out}"));
    assert!(at("ONE") < at("TWO") && at("TWO") < at("THREE"), "{out}");
    assert!(at("RenamedLag") > at("TWO"));
    has(&err, &["wecom.odd.title.hbs:1:", "wecom.odd.body.hbs:2:1: the template failed: ", "alarmbell.yml:1:"]);
    assert_eq!(err.matches("watching for changes; Ctrl-C ends\n").count(), 7, "{err}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "only a terminal is cleared");
    let (out, _) = watched(&args, true, &[&|| drop(folder.write("body.json", &body))]);
    assert_eq!(out.matches("\x1b[H\x1b[2J").count(), 2);
}

#[cfg(unix)]
#[test]
fn a_swapped_link_is_a_change() {
    let folder = Folder::new();
    let home = folder.config_file().with_file_name("mount");
    for (version, title) in [("v1", "FIRST"), ("v2", "SECOND")] {
        std::fs::create_dir_all(home.join(version)).unwrap();
        std::fs::write(home.join(version).join("wecom.odd.title.hbs"), title).unwrap();
    }
    std::os::unix::fs::symlink("v1", home.join("..data")).unwrap();
    let pattern = format!("{}/..data/*.hbs", home.display());
    let args = Render { templates: vec![pattern], output: Output::Brief, ..bare("one") };
    let (out, _) = watched(
        &args,
        false,
        &[&|| {
            std::os::unix::fs::symlink("v2", home.join("..tmp")).unwrap();
            std::fs::rename(home.join("..tmp"), home.join("..data")).unwrap();
        }],
    );
    assert!(out.find("FIRST") < out.find("SECOND") && out.contains("SECOND"), "{out}");
}

#[test]
fn a_reader_that_has_gone_ends_it() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let args = bare("one");
    let ask = Ask::new(&args, ManualClock::new(NOW.parse().unwrap())).unwrap();
    watch::watch(&ask, &mut Gone, &mut Vec::new(), false, |_, _| panic!("nobody reads"));
}
