//! The built-in messages as each vendor gets them: every type of message, both languages, recorded and other bodies.

use super::*;

const LIST: &str = "https://bell.example/m/0123456789abcdef0123456789abcdef";

pub(super) fn called() -> Contact {
    Contact {
        dingtalk_user_id: "zhangsan".to_owned(),
        wecom_user_id: "zhangsan".to_owned(),
        feishu_open_id: "ou_zhangsan".to_owned(),
        ..person("zhang.san")
    }
}

fn cases(lang: Lang) -> Vec<(&'static str, Scene)> {
    let make = |body| scene(body, lang);
    let mut cases = Vec::new();

    let mut one = make(group(vec![lag("db-03:3306", false)]));
    cases.push(("one fires", one.clone()));
    one.mentions.people = vec![called()];
    cases.push(("one fires and calls", one.clone()));
    cases.push(("one resolved", make(group(vec![lag("db-03:3306", true)]))));

    let mut both = make(group(vec![lag("db-03:3306", true)]));
    both.alerts[0].change = Change::FiredResolved;
    both.alerts[0].flaps = 7;
    cases.push(("fired and resolved while waiting, flapped", both));

    let mut partly = make(group(vec![lag("db-03:3306", false), lag("db-04:3306", true), lag("db-05:3306", false)]));
    partly.alerts[2].change = Change::Unchanged;
    partly.list_url = LIST.to_owned();
    cases.push(("partly resolved", partly));

    let mut rest = make(group(vec![lag("db-04:3306", true)]));
    rest.still_firing = 2;
    cases.push(("one resolved, two still fire", rest));

    let mut reminder = one;
    reminder.alerts[0].change = Change::Unchanged;
    reminder.mentions = Mentions::default();
    reminder.now = at("2026-11-21T05:04:02Z");
    reminder.waiting_since_ms = at("2026-11-21T05:00:00Z").as_millisecond();
    cases.push(("reminder, sent late", reminder));

    let mut cut = make(recorded("max_alerts_1_resolved_hides_firing"));
    cut.mentions.all = true;
    cases.push(("truncated, calls everybody", cut));
    let mut many = make(recorded("fifty_firing"));
    many.alerts.truncate(12);
    many.list_url = LIST.to_owned();
    cases.push(("twelve", many));

    let mut plain = make(recorded("am0331_some_alerts_resolved"));
    plain.form = Form::Plain;
    cases.push(("plain", plain.clone()));
    plain.form = Form::Counts;
    cases.push(("counts", plain));
    cases
}

fn told(kind: BotKind, layout: Layout, cases: impl IntoIterator<Item = (impl AsRef<str>, Scene)>) -> String {
    let (templates, dialect) = (Templates::default(), crate::channel::dialect(kind, layout, true));
    let mut out = String::new();
    for (name, scene) in cases {
        let rendered = render(&templates, &*dialect, &scene);
        assert!(rendered.failure.is_none(), "{}: {:?}", name.as_ref(), rendered.failure);
        let draft = &rendered.draft;
        // What is named can be read, whatever the layout does with it.
        for (told, _) in scene.alerts.iter().zip(&rendered.how).filter(|(_, how)| **how == How::Named) {
            let identity = Facts::of(&scene).identity(&told.alert);
            assert!(finish::names(&*dialect, draft, &told.alert, &identity), "{}: {draft:?}", name.as_ref());
        }
        assert!(draft.layout.has_facts() || draft.facts.is_empty(), "{draft:?}");
        assert!(draft.layout.has_buttons() || draft.links.is_empty(), "{draft:?}");
        let other = if draft.layout == layout || draft.plain { "" } else { draft.layout.as_str() };
        out.push_str(&format!("===== {} {other}\n{}\n", name.as_ref(), show(&rendered)));
    }
    out
}

/// Silences are long and everywhere the same; what stands in them is tested elsewhere.
fn short(text: &str) -> String {
    let filter = regex::Regex::new(r"\?filter=[^)\s]*").unwrap();
    filter.replace_all(text, "?filter=…").into_owned()
}

fn bodies(lang: Lang) -> Vec<(String, Scene)> {
    let folder = format!("{}/tests/fixtures/payloads", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".body")?.to_owned()))
        .collect();
    names.sort();
    let path = |name: &str| format!("{}/tests/fixtures/payloads/{name}.body", env!("CARGO_MANIFEST_DIR"));
    let body = |name: &str| Notification::parse(&std::fs::read(path(name)).unwrap()).ok();
    names.into_iter().filter_map(|name| Some((name.clone(), scene(body(&name)?, lang)))).collect()
}

/// Every built-in message of every type, one file for each.
#[test]
fn every_vendor_type_and_language() {
    for kind in BotKind::ALL {
        for layout in Layout::of(kind) {
            for lang in [Lang::Zh, Lang::En] {
                let name = |part: &str| format!("{part}_{}_{}_{}", kind.as_str(), layout.as_str(), lang.as_str());
                insta::assert_snapshot!(name("messages"), short(&told(kind, *layout, cases(lang))));
                insta::assert_snapshot!(name("recorded"), short(&told(kind, *layout, bodies(lang))));
                let singles = kube::singles().into_iter().map(|(name, alert)| (name, scene(group(vec![alert]), lang)));
                let kube = singles.chain(kube::groups(lang));
                insta::assert_snapshot!(name("kube"), short(&told(kind, *layout, kube)));
            }
        }
    }
}
