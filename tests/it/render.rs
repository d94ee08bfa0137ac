//! Looking at messages before anybody gets them: `render`, and the page where templates are tried.

use std::process::Stdio;

use alarmbell::model::BotKind;
use serde_json::{Value, json};

use crate::support::program::{Program, Ran, run};
use crate::support::server::ALARMBELL;
use crate::support::web::{Answer, CLIENT};
use crate::support::{Place, Robots, config};

/// A folder without a config.
fn empty() -> Place {
    let place = Place::new("");
    std::fs::remove_file(place.config()).unwrap();
    place
}

async fn fine(place: &Place, arguments: &[&str]) -> Ran {
    let ran = place.run(arguments).await;
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    ran
}

/// The names that `--list-samples` gives.
async fn samples(place: &Place) -> Vec<String> {
    let listed = fine(place, &["render", "--list-samples"]).await.stdout;
    listed.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_shown_out_of_the_box_and_taken_by_a_server() {
    let robots = Robots::start().await;
    let bots =
        [robots.bot(BotKind::DingTalk, "dt"), robots.bot(BotKind::WeCom, "wc"), robots.bot(BotKind::Feishu, "fs")];
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    let bare = empty();
    let samples = samples(&bare).await;
    assert!(samples.len() >= 13, "{samples:?}");
    for sample in samples {
        let sample = format!("--sample={sample}");
        let ran = fine(&bare, &["render", &sample]).await;
        for vendor in ["bot       dingtalk (", "bot       wecom (", "bot       feishu ("] {
            assert!(ran.stdout.contains(vendor), "no {vendor:?} in:\n{}", ran.stdout);
        }
        let body = fine(&bare, &["render", &sample, "--lang=en", "--output=payload"]).await.stdout;
        server.take_at("/api/v1/webhook", body.into_bytes()).await;
    }
    server.wait_empty().await;
    assert!(bots.iter().all(|bot| robots.stats(bot).refusals() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_from_standard_input_and_the_answer_is_for_programs() {
    let place = empty();
    let body = fine(&place, &["render", "--sample=mixed", "--output=payload"]).await.stdout;
    let file = place.write("mixed.json", &body);
    let told = fine(&place, &["render", "--sample=firing", "--output=payload"]).await.stdout;
    place.write("firing.json", &told);
    let ran = run(ALARMBELL, |command| {
        command.args(["render", "--payload=-", "--told=firing.json", "--type=wecom", "--output=json"]);
        command.current_dir(place.path()).stdin(Stdio::from(std::fs::File::open(file).unwrap()));
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["bots"].as_array().map(Vec::len), Some(1), "{shown}");
    let message = &shown["bots"][0]["messages"][0];
    assert_eq!((&message["named"], &message["counted"]), (&json!(2), &json!(1)), "one is unchanged: {message}");
    assert_eq!(message["body"]["msgtype"], "markdown", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_what_is_wrong() {
    let place = empty();
    place.write("t/wecom.late.body.hbs", "{{#if (eq name \"Breaks\")}}\n {{time name}}{{/if}}{{name}}");
    place.write("breaks.json", r#"{"alerts":[{"labels":{"alertname":"Breaks"},"startsAt":"2026-11-20T02:00:00Z"}]}"#);
    let tried = ["render", "--templates=t/*.hbs"];
    fine(&place, &tried).await;
    // Only this alert shows it.
    let ran = place.run(&[tried[0], tried[1], "--payload=breaks.json"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("kind      plain, text") && ran.stdout.contains("Breaks"), "{}", ran.stdout);
    assert!(ran.stderr.contains("t/wecom.late.body.hbs:2:"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("error: 1 template failed\n"), "{}", ran.stderr);

    place.write("t/wecom.late.body.hbs", "fine\n{{nonsense name}}");
    let ran = place.run(&tried).await;
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.starts_with("t/wecom.late.body.hbs:2:3: ") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    place.write("broken.json", "{\"alerts\": [\n  {\"startsAt\": \"soon\"}]}");
    let ran = place.run(&["render", "--payload=broken.json"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("broken.json:2:16: alerts[0].startsAt: "), "{}", ran.stderr);
    for wrong in ["--sample=nonsense", "--kind=card --type=wecom", "--mention --bot=x", "--lang=fr"] {
        let arguments: Vec<&str> = std::iter::once("render").chain(wrong.split(' ')).collect();
        assert_eq!(place.run(&arguments).await.code, 2, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_shown_again_after_every_save_until_ctrl_c() {
    let place = empty();
    let template = |text: &str| place.write("t/wecom.try.title.hbs", text);
    template("{{name}} AS IT WAS");
    let mut watching = Program::start(ALARMBELL, |command| {
        command.args(["render", "--watch", "--output=brief", "--templates=t/*.hbs"]).current_dir(place.path());
    });
    watching.wait_line("AS IT WAS").await;
    watching.wait_line("watching for changes").await;
    template("{{name}} AS IT IS");
    watching.wait_line("AS IT IS").await;
    template("{{#if name}}");
    watching.wait_line("t/wecom.try.title.hbs:1:").await;
    template("{{name}} AS IT SHALL BE");
    watching.wait_line("AS IT SHALL BE").await;
    // A config that was not there before.
    place.write("alarmbell.yml", "bots: 5\n");
    watching.wait_line("alarmbell.yml:1:").await;
    assert!(!watching.output().contains('\x1b'), "only a terminal is cleared");
    watching.signal(rustix::process::Signal::INT);
    assert_eq!(watching.wait().await.code(), Some(0), "{}", watching.output());
}

/// The page's own judge is as strict as the robots: whatever a sample holds, in every type of message.
#[tokio::test(flavor = "multi_thread")]
async fn the_playground_draws_every_sample_and_no_robot_would_refuse_it() {
    let mut sandbox = Program::start(ALARMBELL, |command| {
        command.args(["sandbox", "--web.listen-address=127.0.0.1:0"]);
    });
    let line = sandbox.wait_line("/playground").await;
    let page = line.split_whitespace().next().unwrap().to_owned();
    assert_eq!(Answer::of(CLIENT.get(&page)).await.unwrap().status, 200, "{line}");
    let api = page.replace("/playground", "/api/sandbox/playground");
    let offer = Answer::of(CLIENT.get(&api)).await.unwrap().data();
    let strings = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for sample in strings(&offer["samples"]) {
        for vendor in strings(&offer["vendors"]) {
            for kind in strings(&vendor["kinds"]) {
                for (lang, mention) in [("zh", true), ("en", false)] {
                    let wish = json!({"vendor": vendor["vendor"], "kind": kind, "lang": lang, "sample": sample["name"],
                        "mention": mention});
                    let drawing = Answer::of(CLIENT.post(&api).body(wish.to_string())).await.unwrap().data();
                    let message = &drawing["messages"][0];
                    let verdict = &message["verdict"];
                    assert_eq!(verdict["accepted"], true, "{wish}: {drawing}");
                    assert_eq!((&message["failure"], &drawing["mistakes"]), (&json!(""), &json!([])), "{wish}");
                    // Whoever is called is the sample contact, however a value tries to call others.
                    let called = strings(&verdict["mentions"]["ids"]);
                    assert!(verdict["mentions"]["all"] == false && (mention || called.is_empty()), "{wish}: {verdict}");
                    assert!(called.len() <= 1, "{wish}: {verdict}");
                }
            }
        }
    }
}
