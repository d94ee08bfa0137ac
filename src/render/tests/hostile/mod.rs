//! Hostile labels and annotations in every built-in message: a strict robot takes each, calls only whom the scene calls,
//! and its chat shows no link, picture or markup that came out of a value.
//!
//! A web address in a value stays an address that people, and the chats, read as one: it leads where it says. A forged
//! link is one that says something else than where it leads.

mod attacks;
mod custom;
mod judge;
mod scenes;

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use attacks::ATTACKS;
use judge::{Chats, Shown};
use scenes::{Any, Plan, Told};

/// Stands in each value; alone in its harmless twin.
fn anchor(at: usize) -> String {
    format!("q{at}z")
}

fn hostile(at: usize, attack: &str) -> String {
    if at.is_multiple_of(2) { format!("{attack}{}", anchor(at)) } else { format!("{}{attack}", anchor(at)) }
}

fn harmless(at: usize, _: &str) -> String {
    anchor(at)
}

/// With an attack in its query, or no address at all.
fn hostile_address(at: usize, attack: &str) -> String {
    if at.is_multiple_of(5) { format!("javascript:{attack}") } else { format!("https://own.example/{at}?{attack}") }
}

fn harmless_address(at: usize, _: &str) -> String {
    if at.is_multiple_of(5) { "javascript:x".to_owned() } else { format!("https://own.example/{at}?x") }
}

/// What a person reads: full-width forms as the usual ones, no white space and no characters that nobody sees.
fn read(text: &str) -> String {
    let seen = |c: &char| {
        !matches!(*c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}' | '\u{12470}'..='\u{12472}' | '\u{fdd0}'..='\u{fdd3}' | '\u{fffd}')
            && !c.is_control()
    };
    let usual = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap(),
        c => c,
    };
    text.chars().filter(seen).map(usual).filter(|c| !c.is_whitespace()).collect()
}

/// What its chat shows of a message, when all holds that must hold of any message.
fn shown(
    chats: &Chats,
    templates: &Templates,
    dialect: &dyn Dialect,
    (plan, scene): (&Plan, &Any),
    own: &dyn Fn(&str) -> bool,
) -> Result<Shown, TestCaseError> {
    let rendered = scene.render(templates, dialect);
    prop_assert!(rendered.failure.is_none(), "{:?}", rendered.failure);
    prop_assert!(dialect.size(&rendered.draft) <= dialect.limit(&rendered.draft));
    let message = chats.send(dialect, &rendered.draft);
    let message = message.map_err(|why| TestCaseError::fail(format!("{why}: {:?}", rendered.draft)))?;
    message.holds(&plan.mentions, own)?;
    Ok(message)
}

/// A value changes nothing of a message but the words that stand in its place.
fn only_words_differ(one: &Shown, twin: &Shown) -> Result<(), TestCaseError> {
    if [one, twin].iter().any(|shown| shown.msgtype == "template_card") {
        // It has no markup at all, and its places for words are so small that what stands in them depends on every word.
        return Ok(());
    }
    prop_assert_eq!(&one.msgtype, &twin.msgtype);
    let (found, expected) = (one.structure(), twin.structure());
    let differ = found.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let (found, expected) = (&found[differ..], &expected[differ..]);
    prop_assert!(found == expected, "{:?}, not {:?}: {}", found.first(), expected.first(), one.text());
    prop_assert_eq!(one.raw_tags(), twin.raw_tags(), "{}", one.text());
    prop_assert_eq!(one.links().len(), twin.links().len(), "{}", one.text());
    Ok(())
}

fn plan(told: Told, lang: Lang, attack: &str) -> Plan {
    let (values, addresses) = (vec![attack.to_owned()], vec![attack.to_owned()]);
    Plan { told, lang, mentions: Mentions::default(), list: true, values, addresses, more: 1 }
}

#[test]
fn every_attack_in_every_message() {
    let chats = Chats::new();
    let none = Templates::default();
    let mut twins = HashMap::new();
    let mut wrong = Vec::new();
    for (at, attack) in ATTACKS.iter().enumerate() {
        for (nth, (layout, dialect)) in scenes::dialects().into_iter().enumerate() {
            // All forms with all attacks would take a minute; each attack meets three forms of each message type.
            for told in Told::ALL.into_iter().cycle().skip(at + nth).step_by(2).take(3) {
                let lang = if (at + nth).is_multiple_of(2) { Lang::Zh } else { Lang::En };
                let plan = plan(told, lang, attack);
                let twin = twins.entry((nth, told, lang)).or_insert_with(|| {
                    let scene = plan.scene(&harmless, &harmless_address);
                    shown(&chats, &none, &*dialect, (&plan, &scene), &|address| scene.owns(address)).unwrap()
                });
                let scene = plan.scene(&hostile, &hostile_address);
                let held = shown(&chats, &none, &*dialect, (&plan, &scene), &|address| scene.owns(address))
                    .and_then(|one| only_words_differ(&one, twin));
                wrong.extend(held.err().map(|why| format!("{attack:?} in {told:?} as {layout:?}: {why}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_change_nothing_but_words(plan in scenes::short()) {
        let chats = Chats::new();
        let scenes = [plan.scene(&hostile, &hostile_address), plan.scene(&harmless, &harmless_address)];
        for (_, dialect) in scenes::dialects() {
            let [one, twin] = &scenes;
            let one = shown(&chats, &Templates::default(), &*dialect, (&plan, one), &|address| one.owns(address))?;
            let twin = shown(&chats, &Templates::default(), &*dialect, (&plan, twin), &|address| twin.owns(address))?;
            only_words_differ(&one, &twin)?;
            // Every value of which the twin shows the anchor reads as it was typed. Labels' names decide which are shown, and
            // plain texts and template cards cut them.
            let whole = plan.more == 0 && !["text", "template_card"].contains(&twin.msgtype.as_str());
            let (text, words) = (read(&one.text()), twin.words());
            for (at, typed) in plan.typed(&hostile) {
                if whole && words.contains(&anchor(at)) {
                    prop_assert!(text.contains(&read(&typed)), "{typed:?} is not in {text}");
                }
            }
        }
    }

    #[test]
    fn strict_robots_take_anything(plan in scenes::wild()) {
        let chats = Chats::new();
        let scene = plan.scene(&|_, text| text.to_owned(), &|_, text| text.to_owned());
        for (_, dialect) in scenes::dialects() {
            shown(&chats, &Templates::default(), &*dialect, (&plan, &scene), &|address| scene.owns(address))?;
        }
    }
}

#[test]
fn every_message_type_is_tried() {
    let short = custom::templates("{{name}} Alarm Dispatch");
    for (layout, dialect) in scenes::dialects() {
        let scene = plan(Told::Firing, Lang::En, "x").scene(&hostile, &hostile_address);
        assert_eq!(scene.render(&short, &*dialect).draft.layout, layout);
    }
}
