//! The built-in messages as people see them; every vendor, both languages.

use super::*;

fn cases(lang: Lang) -> Vec<(&'static str, Scene)> {
    let make = |body| scene(body, lang);
    let mut cases = Vec::new();

    let mut one = make(group(vec![lag("db-03:3306", false)]));
    one.mentions.people = vec![person("zhang.san")];
    cases.push(("one fires", one.clone()));
    cases.push(("one resolved", make(group(vec![lag("db-03:3306", true)]))));

    let mut both = make(group(vec![lag("db-03:3306", true)]));
    both.alerts[0].change = Change::FiredResolved;
    both.alerts[0].flaps = 7;
    cases.push(("fired and resolved while waiting, flapped", both));

    let mut partly = make(group(vec![lag("db-03:3306", false), lag("db-04:3306", true), lag("db-05:3306", false)]));
    partly.alerts[2].change = Change::Unchanged;
    partly.list_url = "https://bell.example/m/0123456789abcdef0123456789abcdef".to_owned();
    cases.push(("partly resolved", partly));

    let mut rest = make(group(vec![lag("db-04:3306", true)]));
    rest.still_firing = 2;
    cases.push(("one resolved, two still fire", rest));

    let mut reminder = one;
    reminder.alerts[0].change = Change::Unchanged;
    reminder.now = at("2026-11-21T05:04:02Z");
    reminder.waiting_since_ms = at("2026-11-21T05:00:00Z").as_millisecond();
    cases.push(("reminder, sent late", reminder));

    let mut cut = make(recorded("max_alerts_1_resolved_hides_firing"));
    cut.mentions.all = true;
    cases.push(("truncated", cut));
    cases.push(("no annotations", make(recorded("no_annotations"))));
    cases.push(("recorded one", make(recorded("one_firing"))));
    cases.push(("recorded group, some resolved", make(recorded("am0331_some_alerts_resolved"))));
    cases.push(("grafana", make(recorded("handmade_grafana_v1"))));
    let mut many = make(recorded("fifty_firing"));
    many.alerts.truncate(12);
    many.list_url = "https://bell.example/m/0123456789abcdef0123456789abcdef".to_owned();
    cases.push(("twelve", many));

    let mut plain = make(recorded("am0331_some_alerts_resolved"));
    plain.form = Form::Plain;
    cases.push(("plain", plain.clone()));
    plain.form = Form::Counts;
    cases.push(("counts", plain));
    cases
}

fn all(kind: BotKind, lang: Lang) -> String {
    let templates = Templates::default();
    let mut out = String::new();
    for (name, scene) in cases(lang) {
        let rendered = render(&templates, &Fake::new(kind), &scene);
        assert!(rendered.failure.is_none(), "{name}: {:?}", rendered.failure);
        out.push_str(&format!("===== {name}\n{}\n", show(&rendered)));
    }
    out
}

#[test]
fn dingtalk_zh() {
    insta::assert_snapshot!(all(BotKind::DingTalk, Lang::Zh));
}

#[test]
fn dingtalk_en() {
    insta::assert_snapshot!(all(BotKind::DingTalk, Lang::En));
}

#[test]
fn wecom_zh() {
    insta::assert_snapshot!(all(BotKind::WeCom, Lang::Zh));
}

#[test]
fn wecom_en() {
    insta::assert_snapshot!(all(BotKind::WeCom, Lang::En));
}

#[test]
fn feishu_zh() {
    insta::assert_snapshot!(all(BotKind::Feishu, Lang::Zh));
}

#[test]
fn feishu_en() {
    insta::assert_snapshot!(all(BotKind::Feishu, Lang::En));
}
