//! Which group leaves first, and since when the oldest waits.
use super::*;

#[test]
fn groups_leave_by_severity_then_age_and_reminders_last() {
    let mut chat = told(&[firing("old").of("reminder").severity(CRITICAL)]);
    chat.hears(firing("old").of("reminder").severity(CRITICAL).at(100));
    chat.hears(firing("a").of("late").at(202)).hears(firing("b").of("early").at(201));
    chat.hears(firing("c").of("critical").severity(CRITICAL).at(203));
    chat.hears(resolved("d").of("resolve").severity(CRITICAL).at(204));
    chat.hears(firing("e").of("info").severity(3).at(50));
    let order: Vec<GroupId> = chat.tell_all().iter().map(|picked| picked.group).collect();
    assert_eq!(order, ["critical", "resolve", "early", "late", "info", "reminder"].map(group_id));
}

#[test]
fn a_reminder_lends_its_group_neither_severity_nor_age() {
    let mut chat = told(&[firing("a").severity(CRITICAL)]);
    chat.hears(firing("a").severity(CRITICAL).at(100)).hears(firing("b").at(203)).hears(firing("c").of("h").at(202));
    let order: Vec<GroupId> = chat.tell_all().iter().map(|picked| picked.group).collect();
    assert_eq!(order, ["h", "g"].map(group_id));
}

#[test]
fn a_group_has_the_age_of_its_most_urgent_kind() {
    let mut chat = chat();
    chat.hears(firing("a").at(100)).hears(firing("b").of("h").at(110)).hears(firing("c").at(130));
    let order = |chat: &Chat| {
        let mut queue = chat.queue.clone();
        std::iter::from_fn(|| queue.pick(|_| usize::MAX)).map(|picked| picked.group).collect::<Vec<_>>()
    };
    assert_eq!(order(&chat), ["g", "h"].map(group_id));
    chat.hears(resolved("a").at(140));
    assert_eq!(order(&chat), ["h", "g"].map(group_id), "what fires in g waits since 130");
    chat.hears(firing("d").severity(CRITICAL).at(150));
    assert_eq!(order(&chat), ["g", "h"].map(group_id));
}

#[test]
fn firing_leaves_before_resolved_of_one_severity() {
    let mut chat = chat();
    chat.hears(resolved("a").at(100))
        .hears(firing("b").of("h").at(200))
        .hears(resolved("c").of("i").severity(CRITICAL).at(300));
    let order: Vec<GroupId> = chat.tell_all().iter().map(|picked| picked.group).collect();
    assert_eq!(order, ["i", "h", "g"].map(group_id));
}

#[test]
fn the_oldest_counts_wherever_it_is() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    assert_eq!(chat.queue.oldest_ms(), None);
    chat.hears(firing("a").at(31)).hears(firing("b").at(40)).hears(firing("c").of("h").at(50));
    assert_eq!(chat.queue.oldest_ms(), Some(ms(31)), "held");
    chat.hears(resolved("a").at(51));
    let picked = chat.pick();
    assert_eq!(chat.queue.oldest_ms(), Some(ms(40)), "in flight");
    chat.hears(resolved("b").at(60));
    chat.released(&picked);
    assert_eq!(chat.queue.oldest_ms(), Some(ms(40)), "replaced");
    chat.tell_all();
    assert_eq!(chat.queue.oldest_ms(), None);
}
