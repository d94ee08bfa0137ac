//! For any alerts, names and numbers: a digest fits, its figures add up, its robot takes it, and nobody is called whom
//! nothing but a value names.

use std::collections::BTreeMap;

use axum::body::Body;
use proptest::prelude::*;
use tower::ServiceExt as _;

use super::digest::{LIST, digest, told};
use super::props;
use super::*;
use crate::clock::ManualClock;
use crate::model::StormState;
use crate::render::tally::State;
use crate::sandbox::{self, Rules, Sandbox};

prop_compose! {
    /// Of hostile alerts, some of them many times.
    fn hostile()(
        alerts in prop::collection::vec((props::told(), 1..40_usize), 1..40), zh in any::<bool>(), form in 0..4_usize,
        people in prop::collection::vec("[a-z]{1,8}", 0..3), all in any::<bool>(), list in any::<bool>(),
        keywords in prop::collection::vec(prop_oneof!["[a-zA-Z告警]{1,12}", Just("Alarm".to_owned())], 0..4),
        any_keyword in any::<bool>(), since in -10_i64..100_000, storm in prop::option::of((0..9_u32, any::<u32>())),
        policies in prop::collection::vec(prop_oneof![Just("fallback:".to_owned()), props::text()], 0..3),
    ) -> DigestScene {
        let all_alerts = alerts.into_iter().flat_map(|(alert, times)| vec![alert; times]).collect();
        let mut scene = digest(all_alerts, if zh { Lang::Zh } else { Lang::En });
        scene.mentions = Mentions { all, people: people.iter().map(|name| person(name)).collect() };
        (scene.keywords, scene.policies) = (keywords, policies);
        scene.keyword_mode = if any_keyword { KeywordMode::Any } else { KeywordMode::All };
        scene.since_ms = if since < 0 { since } else { at(NOW).as_millisecond() - since };
        scene.storm = storm.map(|(digests, firing)| StormState {
            since_ms: i64::from(firing) * 1_000_000_000, digests, firing: firing.into(), ..StormState::default()
        });
        if !list {
            scene.list_url.clear();
        }
        scene.form = *[Form::Plain, Form::Counts].get(form).unwrap_or(&Form::Full);
        scene.template = "x".to_owned();
        scene
    }
}

fn holds(scene: &DigestScene, dialect: &dyn Dialect, rendered: &Rendered) -> Result<(), TestCaseError> {
    let draft = &rendered.draft;
    prop_assert!(dialect.size(draft) <= dialect.limit(draft), "{} > {}", dialect.size(draft), dialect.limit(draft));
    prop_assert!(!draft.title.trim().is_empty() && !draft.title.contains('\n'));
    prop_assert_eq!(rendered.how.len(), scene.leading.len());
    let there = |word: &String| dialect.keyword_texts(draft).iter().any(|text| text.contains(word.as_str()));
    let kept = match scene.keyword_mode {
        KeywordMode::All => scene.keywords.iter().all(there),
        KeywordMode::Any => scene.keywords.is_empty() || scene.keywords.iter().any(there),
    };
    prop_assert!(kept, "{:?} in {draft:?}", scene.keywords);
    prop_assert!(draft.body.contains(&dialect.mention_text(&scene.mentions, scene.lang)), "{draft:?}");
    let marks = |text: &str| text.chars().any(|c| ('\u{fdd0}'..='\u{fdd3}').contains(&c));
    let panel = draft.folded.iter().map(|(_, lines)| lines);
    prop_assert!(![&draft.title, &draft.body].into_iter().chain(panel).any(|text| marks(text)), "{draft:?}");
    let linked = draft.body.contains(LIST) || draft.links.iter().any(|(_, url)| url == LIST);
    prop_assert_eq!(linked, !scene.list_url.is_empty(), "{:?}", draft);
    if scene.form == Form::Counts {
        prop_assert!(rendered.how.iter().all(|how| *how == How::Counted));
    }
    Ok(())
}

/// What a strict robot makes of it: the people called, or why it was refused.
fn sent(dialect: &dyn Dialect, draft: &Draft) -> Result<sandbox::Mentioned, String> {
    let clock = ManualClock::new(at(NOW));
    let robots = Sandbox::new(clock, false);
    let kind = dialect.kind();
    let keywords = if kind == BotKind::WeCom { Vec::new() } else { vec!["Alarm".to_owned(), "Dispatch".to_owned()] };
    let rules =
        Rules { keywords, keyword_mode: sandbox::KeywordMode::All, rate_limits: Some(Vec::new()), ..Rules::default() };
    robots.put_robot(kind, "T", rules)?;
    let path = match kind {
        BotKind::DingTalk => "/robot/send?access_token=T",
        BotKind::WeCom => "/cgi-bin/webhook/send?key=T",
        BotKind::Feishu => "/open-apis/bot/v2/hook/T",
    };
    let body = dialect.encode(draft, "0123456789abcdef0123456789abcdef");
    let request = http::Request::post(path).header("content-type", "application/json").body(Body::from(body)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(robots.router().oneshot(request)).unwrap();
    let record = robots.messages(kind, "T", 0, 9).unwrap().pop().ok_or("not received")?;
    if record.accepted { Ok(record.mentions) } else { Err(format!("{} {}", record.errmsg, record.reason)) }
}

/// Alerts told by state, severity and name.
type Figures = BTreeMap<(String, String), u64>;

/// Reads the numbers back from a digest with harmless names: total by class, number by class and name, numbers folded
/// away by severity.
fn read(text: &str, lang: Lang) -> (BTreeMap<String, u64>, Figures, BTreeMap<String, u64>) {
    let (colon, comma, separator) = if lang == Lang::Zh { ("：", "，", "、") } else { (": ", ", ", ", ") };
    let (mut totals, mut names, mut folded) = (BTreeMap::new(), Figures::new(), BTreeMap::new());
    let levels = [
        "严重",
        "错误",
        "警告",
        "提示",
        "Critical",
        "Error",
        "Warning",
        "Info",
        "恢复 ",
        "Resolved ",
        "仍在告警 ",
        "Still firing ",
    ];
    for line in text.lines() {
        let line = line.replace("</font>", "").replace("**", "");
        let line = line.rsplit_once("\">").map_or(line.as_str(), |(_, line)| line);
        let (head, pairs) = line.split_once(colon).unwrap_or((line, ""));
        let others = head.starts_with("另有 ") || head.contains(" other name");
        if others {
            let state = [
                ("恢复", "恢复 "),
                ("resolved", "Resolved "),
                ("仍在告警", "仍在告警 "),
                ("still firing", "Still firing "),
            ];
            let state = state.iter().find(|(word, _)| head.ends_with(word)).map_or("", |(_, state)| state);
            for part in pairs.split(comma) {
                let (a, b) = part.split_once(' ').unwrap();
                let (count, level) = if lang == Lang::Zh { (b, a.to_owned()) } else { (a, b.to_owned()) };
                let level =
                    if state.is_empty() && lang == Lang::En { level[..1].to_uppercase() + &level[1..] } else { level };
                let class = format!("{state}{level}");
                assert!(folded.insert(class, count.parse().unwrap()).is_none(), "{text}");
            }
        } else if let (true, Some((class, total))) = (levels.iter().any(|l| head.starts_with(l)), head.rsplit_once(' '))
        {
            let total = total.parse().unwrap();
            assert_eq!(*totals.entry(class.to_owned()).or_insert(total), total, "{text}");
            for pair in pairs.split(separator).filter(|pair| !pair.is_empty()) {
                let (name, count) = pair.rsplit_once(' ').unwrap();
                let key = (class.to_owned(), name.to_owned());
                assert!(names.insert(key, count.parse().unwrap()).is_none(), "{text}");
            }
        }
    }
    (totals, names, folded)
}

fn class_of(state: State, severity: &str, lang: Lang) -> String {
    let level = words::severity(lang, severity);
    match (state.word(lang), lang) {
        ("", _) => level,
        (word, Lang::Zh) => format!("{word} {level}"),
        (word, Lang::En) => format!("{word} {}", level.to_lowercase()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn built_in_digests_hold(scene in hostile(), kind in 0..3_usize, limit in 1_000..20_000_usize) {
        let dialect = Fake { kind: BotKind::ALL[kind], limit: limit * 2 };
        let rendered = render_digest(&Templates::default(), &dialect, &scene);
        prop_assert!(rendered.failure.is_none(), "{:?}", rendered.failure);
        holds(&scene, &dialect, &rendered)?;
    }

    #[test]
    fn any_digest_template_holds(
        scene in hostile(), kind in 0..3_usize, limit in 1_000..6_000_usize, source in props::source(),
    ) {
        let dialect = Fake { kind: BotKind::ALL[kind], limit: limit * 2 };
        let (templates, _) = Templates::new(&[(format!("{}.x.digest.hbs", dialect.kind.as_str()), source)]);
        let rendered = render_digest(&templates, &dialect, &scene);
        holds(&scene, &dialect, &rendered)?;
    }

    #[test]
    fn the_smallest_limits_never_panic(scene in hostile(), kind in 0..3_usize, limit in 0..1_000_usize) {
        let rendered = render_digest(&Templates::default(), &Fake { kind: BotKind::ALL[kind], limit }, &scene);
        prop_assert_eq!(rendered.how.len(), scene.leading.len());
    }

    #[test]
    fn strict_robots_take_it_and_call_only_the_called(mut scene in hostile(), kind in 0..3_usize) {
        scene.keywords = vec!["Alarm".to_owned(), "Dispatch".to_owned()];
        scene.keyword_mode = KeywordMode::All;
        let id = "u-007".to_owned();
        let called = Contact {
            dingtalk_user_id: id.clone(), wecom_user_id: id.clone(), feishu_open_id: id.clone(), ..person("bo")
        };
        scene.mentions.people = vec![called];
        let dialect = crate::channel::dialect(BotKind::ALL[kind], Layout::of(BotKind::ALL[kind])[0], true);
        let rendered = render_digest(&Templates::default(), &*dialect, &scene);
        holds(&scene, &*dialect, &rendered)?;
        let mentioned = sent(&*dialect, &rendered.draft).map_err(TestCaseError::fail)?;
        prop_assert_eq!((mentioned.all, mentioned.ids), (scene.mentions.all, vec![id]), "{:?}", rendered.draft);
        prop_assert!(mentioned.ignored.is_empty(), "{:?}", mentioned.ignored);
    }

    #[test]
    fn figures_add_up(
        classes in prop::collection::btree_map((0..3_usize, 0..4_usize), prop::collection::btree_map(
            "[a-zA-Z0-9/.]{1,9}( [0-9a-z./]{1,20}){0,3}", 1..2_000_u64, 1..70), 1..8),
        kind in 0..3_usize, limit in 1_200..20_000_usize, zh in any::<bool>(), plain in any::<bool>(),
    ) {
        let lang = if zh { Lang::Zh } else { Lang::En };
        let levels = Severities::default();
        let mut scene = digest(Vec::new(), lang);
        let mut expected = Figures::new();
        let mut totals = BTreeMap::new();
        for ((state, rank), names) in &classes {
            let state = [State::Firing, State::Resolved, State::Still][*state];
            let rank = u8::try_from(*rank).unwrap();
            let class = class_of(state, levels.name(rank), lang);
            for (name, count) in names {
                expected.insert((class.clone(), name.clone()), *count);
            }
            let total: u64 = names.values().sum();
            let counted = tally::Class { total, names: names.clone().into_iter().collect() };
            scene.tally.classes.insert((state, rank, levels.name(rank).to_owned()), counted);
            totals.insert(class, total);
            let change = match state {
                State::Firing => Change::New,
                State::Resolved => Change::Resolved,
                State::Still => Change::Unchanged,
            };
            scene.leading.extend(names.keys().take(5).map(|name| told(name, levels.name(rank), "h", 5, change)));
        }
        scene.form = if plain { Form::Plain } else { Form::Full };
        let dialect = Fake { kind: BotKind::ALL[kind], limit: limit * 2 };
        let rendered = render_digest(&Templates::default(), &dialect, &scene);
        holds(&scene, &dialect, &rendered)?;
        let panel = rendered.draft.folded.as_ref().map_or("", |(_, lines)| lines.as_str());
        let (found, names, folded) = read(&format!("{}\n{panel}", rendered.draft.body), lang);
        prop_assert_eq!(&found, &totals);
        for (key, count) in &names {
            prop_assert_eq!(expected.get(key), Some(count), "{:?}", key);
        }
        for (class, total) in &totals {
            let shown: u64 = names.iter().filter(|((of, _), _)| of == class).map(|(_, count)| count).sum();
            prop_assert_eq!(shown + folded.get(class).copied().unwrap_or(0), *total, "{}: {:?}", class, rendered.draft);
        }
        let named = rendered.how.iter().filter(|how| **how == How::Named).count();
        let all: u64 = totals.values().sum();
        let counted = all - u64::try_from(named).unwrap();
        let line = if zh { format!("点名 {named}，计数 {counted}") } else { format!("{named} named, {counted} counted") };
        prop_assert!(rendered.draft.body.contains(&line), "{line} in {:?}", rendered.draft);
    }
}

#[test]
fn strict_robots_take_what_is_drawn() {
    for kind in BotKind::ALL {
        for lang in [Lang::Zh, Lang::En] {
            for n in [1, 40, 10_000] {
                let name = |at: usize| format!("{at} 磁盘 <@all>、{}", "x".repeat(60));
                let alerts: Vec<SceneAlert> =
                    (0..n).map(|at| told(&name(at), "warning", &format!("n{at}"), 5, Change::New)).collect();
                for form in [Form::Full, Form::Plain, Form::Counts] {
                    let mut scene = digest(alerts.clone(), lang);
                    scene.form = form;
                    let dialect = crate::channel::dialect(kind, Layout::of(kind)[0], true);
                    let rendered = render_digest(&Templates::default(), &*dialect, &scene);
                    let mentioned = sent(&*dialect, &rendered.draft).unwrap();
                    assert!(!mentioned.all && mentioned.ids.is_empty(), "{mentioned:?}");
                    assert!(dialect.size(&rendered.draft) <= dialect.limit(&rendered.draft));
                }
            }
        }
    }
}
