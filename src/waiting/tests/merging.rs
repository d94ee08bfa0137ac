//! What a message says of several states, alerts and groups.
use super::*;

#[test]
fn an_unchanged_snapshot_after_the_window_is_a_reminder() {
    let mut chat = told(&[firing("a")]);
    chat.hears(firing("a").at(300));
    let picked = chat.pick();
    assert!(picked.reminder);
    assert_eq!((picked.items[0].change, picked.still_firing), (Change::Unchanged, 0));
}

#[test]
fn a_reminder_joins_its_groups_news() {
    let mut chat = told(&[firing("a"), firing("b")]);
    chat.hears(firing("a").at(300)).hears(firing("b").at(300)).hears(firing("c").starts(290).at(300));
    let picked = chat.pick();
    assert!(!picked.reminder);
    let changes: Vec<_> = picked.items.iter().map(|item| item.change).collect();
    assert_eq!(changes, [Change::New, Change::Unchanged, Change::Unchanged]);
    assert!(!chat.queue.has_ready());
}

#[test]
fn another_start_without_an_end_between_is_a_new_firing() {
    for (starts, change) in
        [(10, Change::Unchanged), (9, Change::Unchanged), (0, Change::Unchanged), (12, Change::Refired)]
    {
        let mut chat = told(&[firing("a")]);
        chat.hears(firing("a").starts(starts).at(300));
        assert_eq!(chat.says(), says("a", change), "starts at {starts}");
    }
}

#[test]
fn a_twin_that_dates_on_arrival_sends_reminders_too() {
    let mut chat = told(&[firing("a")]);
    let mut twin = firing("a").at(300);
    twin.0.starts_ms += 1;
    chat.hears(twin);
    assert_eq!(chat.says(), says("a", Change::Unchanged));
}

#[test]
fn never_resolved_before_firing() {
    let mut first_seen_resolved = chat();
    first_seen_resolved.hears(resolved("a"));
    assert_eq!(first_seen_resolved.says(), says("a", Change::FiredResolved));

    let mut resolved_while_waiting = chat();
    resolved_while_waiting.hears(firing("a")).hears(resolved("a").at(30));
    let item = resolved_while_waiting.only();
    assert_eq!((item.change, item.flaps, item.since_ms), (Change::FiredResolved, 1, ms(10)));
    assert_eq!(item.head.pos, 2);
    resolved_while_waiting.says_nothing();
}

#[test]
fn what_happened_while_waiting_is_counted() {
    let flap = |chat: &mut Chat, times| {
        for n in 0..times {
            let at = 1_000 + n * 100;
            chat.hears(resolved("a").starts(at - 50).ends(at).at(at));
            chat.hears(firing("a").starts(at + 50).at(at + 50));
        }
    };
    let mut untold = chat();
    untold.hears(firing("a"));
    flap(&mut untold, 3);
    let item = untold.only();
    assert_eq!((item.change, item.flaps, item.since_ms), (Change::New, 6, ms(10)));

    let mut known = told(&[firing("a")]);
    flap(&mut known, 2);
    let item = known.only();
    assert_eq!((item.change, item.flaps, item.since_ms), (Change::Refired, 3, ms(1_000)));

    let mut ended = told(&[firing("a")]);
    flap(&mut ended, 1);
    ended.hears(resolved("a").starts(1_050).ends(1_060).at(1_060));
    assert_eq!(ended.says(), says("a", Change::Resolved));
}

#[test]
fn an_alert_absent_from_a_later_body_is_unchanged() {
    let mut chat = told(&[firing("a"), firing("b")]);
    // A later snapshot of the group names only b.
    chat.hears(resolved("b").at(300));
    let picked = chat.pick();
    assert_eq!((picked.items.len(), picked.still_firing), (1, 1));
    chat.told(&picked);
    assert!(chat.queue.fires(id("a")));
    chat.hears(resolved("a").at(600));
    let picked = chat.pick();
    assert_eq!((picked.items[0].change, picked.still_firing), (Change::Resolved, 0));
}

#[test]
fn still_firing_counts_what_the_chat_knows_and_nobody_is_telling() {
    let mut chat =
        told(&[firing("a"), firing("b"), firing("c"), firing("x").of("h"), firing("d"), resolved("d").at(30)]);
    chat.hears(firing("e").starts(290).at(300));
    assert_eq!(chat.pick().still_firing, 3);
    // b has changed and waits, a is in another message.
    chat.hears(resolved("a").at(301)).hears(resolved("b").at(301)).hears(firing("f").starts(301).at(302));
    let first = chat.queue.pick(|_| 1).unwrap();
    assert_eq!((first.items[0].fingerprint(), first.still_firing), (id("f"), 1));
    let second = chat.queue.pick(|_| 1).unwrap();
    assert_eq!((second.items[0].fingerprint(), second.still_firing), (id("a"), 1));
    chat.told(&first);
    let third = chat.pick();
    assert_eq!((third.items[0].fingerprint(), third.still_firing), (id("b"), 2));
    chat.released(&second);
    assert_eq!(chat.pick().still_firing, 2);
}

#[test]
fn an_alert_can_move_to_another_group() {
    let mut chat = told(&[firing("a"), firing("b")]);
    chat.hears(firing("a").of("h").at(300));
    let reminder = chat.pick();
    assert_eq!((reminder.group, reminder.still_firing), (group_id("h"), 0));
    chat.told(&reminder);
    chat.hears(resolved("b").at(310)).hears(firing("c").of("h").at(311));
    for (group, still_firing) in [("h", 1), ("g", 0)] {
        let picked = chat.pick();
        assert_eq!((picked.group, picked.still_firing), (group_id(group), still_firing));
        chat.told(&picked);
    }
    // While it waits.
    chat.hears(firing("d").severity(CRITICAL).at(400)).hears(firing("e").at(401));
    chat.hears(resolved("d").of("i").severity(CRITICAL).at(402));
    assert_eq!(chat.queue.groups_waiting(), 2);
    assert_eq!(chat.pick().group, group_id("i"));
    assert_eq!(chat.pick().items[0].fingerprint(), id("e"));
}

#[test]
fn a_group_without_its_critical_alert_is_no_longer_urgent() {
    let mut chat = chat();
    chat.hears(firing("a").severity(CRITICAL)).hears(firing("b").at(20)).hears(firing("c").of("h").at(15));
    chat.hears(resolved("a").of("i").severity(3).at(30));
    let order: Vec<GroupId> = chat.tell_all().iter().map(|picked| picked.group).collect();
    assert_eq!(order, ["h", "g", "i"].map(group_id));
}
