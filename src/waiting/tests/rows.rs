//! Rows of superseded states, and many alerts.
use super::*;

#[test]
fn repeats_can_be_deleted_at_once_and_what_an_untold_state_stands_for_later() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("a").at(11)).hears(resolved("a").at(30)).hears(resolved("a").at(31));
    assert_eq!(chat.queue.garbage_len(), 2);
    assert_eq!(chat.queue.take_garbage(10), [2, 4]);
    assert_eq!(chat.queue.garbage_len(), 0);
    let picked = chat.pick();
    assert!(chat.queue.take_garbage_for(&[], 10).is_empty(), "it may have to wait on");
    assert_eq!(chat.queue.garbage_len(), 1);
    assert_eq!(chat.queue.take_garbage(0), [1], "in the commit that tells it, whatever the limit");
    chat.told(&picked);
    assert_eq!(chat.queue.garbage_len(), 0);
}

#[test]
fn an_outcome_takes_the_rows_of_its_own_alerts() {
    let mut chat = chat();
    chat.hears(firing("a").of("g")).hears(resolved("a").of("g").at(30));
    chat.hears(firing("b").of("h")).hears(resolved("b").of("h").at(30));
    chat.hears(firing("c").of("i").severity(3).at(40)).hears(firing("c").of("i").severity(3).at(41));
    let (first, second) = (chat.pick(), chat.pick());
    assert_ne!(first.group, second.group);
    let own: Vec<i64> = first.items.iter().map(|item| item.head.pos - 1).collect();
    assert_eq!(chat.queue.take_garbage_for(&versions(&first), 0), own);
    assert_eq!(chat.queue.take_garbage_for(&versions(&first), 10), [6]);
    assert_eq!(chat.queue.garbage_len(), 1);
    chat.released(&second);
    assert_eq!(chat.queue.garbage_len(), 0, "it waits on");
}

#[test]
fn rows_whose_deletion_failed_come_first() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("a").at(11)).hears(firing("b")).hears(firing("b").at(11));
    let garbage = chat.queue.take_garbage(1);
    assert_eq!(garbage, [2]);
    chat.queue.return_garbage(garbage);
    assert_eq!(chat.queue.garbage_len(), 2);
    assert_eq!(chat.queue.take_garbage(2), [2, 4]);
}

#[test]
fn of_a_long_story_only_its_ends_stay_in_the_store() {
    let mut chat = chat();
    for n in 0..50 {
        chat.hears(firing("a").starts(n * 100).at(n * 100));
        chat.hears(resolved("a").starts(n * 100).ends(n * 100 + 50).at(n * 100 + 50));
    }
    let garbage = chat.queue.take_garbage(1_000);
    assert!(garbage.len() >= 95, "{}", garbage.len());
    assert!(!garbage.contains(&1), "the first says since when");
    assert_eq!(chat.pick().items[0].flaps, 99);
}

#[test]
fn rows_of_a_bot_that_is_gone_are_moved() {
    for dead in [false, true] {
        let mut chat = told(&[firing("k"), firing("a"), resolved("a").at(30)]);
        chat.hears(firing("a").at(31)).hears(firing("b")).hears(firing("b").at(11)).hears(resolved("b").at(20));
        chat.hears(firing("c").of("h").at(12));
        let before = chat.queue.terms();
        chat.queue.moved(7, dead);
        assert_eq!((chat.queue.len(), chat.queue.groups_waiting(), chat.queue.next_wake_ms()), (1, 1, None));
        let terms = chat.queue.terms();
        assert_eq!(terms.dead + terms.superseded, before.superseded + 2);
        assert_eq!(terms.dead, if dead { 2 } else { 0 });
        assert_eq!(chat.queue.garbage_len(), 0);
        assert_eq!(chat.queue.oldest_ms(), Some(ms(12)));
        assert_eq!(chat.says(), says("c", Change::New));
        assert!(chat.queue.fires(id("k")), "what was told stays known");
    }
}

#[test]
fn ten_thousand_alerts_of_one_group_can_move_one_by_one() {
    // Quadratic work would take minutes here.
    const MANY: i64 = 10_000;
    let mut chat = chat();
    let name = |n: i64| format!("alert {n}");
    for n in 0..MANY {
        chat.hears(firing(&name(n)));
    }
    for n in 0..MANY {
        chat.hears(resolved(&name(n)).of("h").at(30));
    }
    let open: Vec<_> = (0..MANY).map(|n| (MANY + n + 1, id(&name(n)))).collect();
    assert_eq!(chat.queue.lock(&open).len(), 10_000);
    chat.queue.released(&open);
    let mut messages = 0;
    while let Some(picked) = chat.queue.pick(|_| 500) {
        chat.told(&picked);
        messages += 1;
    }
    assert_eq!((messages, chat.queue.len()), (20, 0));
}

#[test]
fn a_firing_that_ended_silently_stays_in_the_store_with_its_end() {
    let mut chat = chat();
    chat.hears(resolved("a").at(30));
    chat.hears(firing("a").starts(100).at(100)).hears(resolved("a").starts(100).ends(110).silent().at(110));
    chat.hears(resolved("a").starts(120).ends(130).at(130));
    assert!(chat.queue.take_garbage(10).is_empty(), "without the firing, a restart would take the last for a repeat");
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
}
