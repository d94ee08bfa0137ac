//! Messages in flight, and those that are refused.
use super::*;

#[test]
fn a_replayed_dead_letter_is_never_a_repeat() {
    let mut chat = told(&[firing("a")]);
    chat.hears(firing("a").replayed().at(11));
    assert_eq!(chat.says(), says("a", Change::Refired));
    chat.hears(resolved("a").at(30));
    chat.tell_all();
    chat.hears(resolved("a").replayed().at(31));
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
}

#[test]
fn a_replayed_dead_letter_does_not_take_the_place_of_something_newer() {
    let mut waiting = chat();
    waiting.hears(resolved("a").at(30)).hears(firing("a").replayed().at(60));
    assert_eq!(waiting.says(), says("a", Change::FiredResolved));
    waiting.says_nothing();

    let mut held = told(&[firing("a"), resolved("a").at(30)]);
    held.hears(firing("a").at(31)).hears(resolved("a").replayed().at(32));
    held.queue.wake(ms(30 + WINDOW));
    assert_eq!(held.says(), says("a", Change::Refired));
}

#[test]
fn a_dead_letter_is_counted_and_leaves_the_chat_as_it_was() {
    let mut chat = told(&[firing("a")]);
    chat.hears(resolved("a").of("h").at(30));
    let picked = chat.pick();
    chat.dead(&picked);
    assert_eq!((chat.queue.terms().dead, chat.queue.len()), (1, 0));
    assert!(chat.queue.fires(id("a")), "the chat still takes it for firing");
    chat.hears(firing("b").at(31));
    assert_eq!(chat.pick().still_firing, 1);
}

#[test]
fn what_came_after_a_dead_letter_is_told() {
    let mut chat = chat();
    chat.hears(firing("a"));
    let picked = chat.pick();
    chat.hears(resolved("a").at(30)).hears(firing("a").at(31));
    chat.dead(&picked);
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
    chat.queue.wake(ms(1_000));
    assert_eq!(chat.says(), says("a", Change::Refired));
}

#[test]
fn a_held_firing_is_news_when_the_resolve_before_it_has_died() {
    let mut chat = chat();
    chat.hears(resolved("a").at(30));
    let picked = chat.pick();
    chat.hears(firing("a").at(31));
    assert!(!chat.queue.has_ready());
    chat.dead(&picked);
    assert_eq!(chat.says(), says("a", Change::New));
}

#[test]
fn no_alert_is_in_two_messages() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("b").of("h"));
    let first = chat.pick();
    chat.hears(resolved("a").at(30)).hears(firing("c").at(31));
    let second = chat.pick();
    let third = chat.pick();
    assert!(chat.queue.pick(|_| usize::MAX).is_none());
    assert_eq!(chat.queue.len(), 4);
    for (message, name) in [(&first, "a"), (&second, "b"), (&third, "c")] {
        assert_eq!(message.items.iter().map(Item::fingerprint).collect::<Vec<_>>(), [id(name)]);
    }
    chat.told(&third);
    chat.told(&second);
    assert!(!chat.queue.has_ready());
    chat.told(&first);
    assert_eq!(chat.says(), says("a", Change::Resolved));
}

#[test]
fn a_newer_state_waits_for_the_message_about_the_older_one() {
    let in_flight = || {
        let mut chat = chat();
        chat.hears(firing("a"));
        let picked = chat.pick();
        chat.hears(resolved("a").at(30));
        assert!(!chat.queue.has_ready());
        assert_eq!(chat.queue.len(), 2);
        (chat, picked)
    };
    let (mut chat, picked) = in_flight();
    chat.told(&picked);
    assert_eq!(chat.says(), says("a", Change::Resolved));

    let (mut chat, picked) = in_flight();
    chat.released(&picked);
    assert_eq!((chat.queue.len(), chat.queue.terms().superseded), (1, 1));
    let item = chat.only();
    assert_eq!((item.change, item.flaps, item.since_ms), (Change::FiredResolved, 1, ms(10)));

    let (mut chat, picked) = in_flight();
    chat.dead(&picked);
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
}

#[test]
fn flaps_around_a_message_in_flight_are_counted_once() {
    let mut chat = chat();
    chat.hears(firing("a"));
    let picked = chat.pick();
    chat.hears(resolved("a").at(30)).hears(firing("a").starts(40).at(40));
    chat.released(&picked);
    assert_eq!(chat.pick().items[0].flaps, 2);

    let mut told = super::chat();
    told.hears(firing("a"));
    let picked = told.pick();
    told.hears(resolved("a").at(30)).hears(firing("a").starts(40).at(40));
    told.told(&picked);
    let item = told.only();
    assert_eq!((item.change, item.flaps, item.since_ms), (Change::Refired, 1, ms(30)));
}

#[test]
fn only_the_versions_in_flight_can_be_told_released_or_die() {
    let mut chat = chat();
    chat.hears(firing("a"));
    let nobody = [(1, id("a")), (9, id("a")), (1, id("z"))];
    chat.queue.dead(&nobody);
    chat.queue.released(&nobody);
    chat.queue.told(&nobody.map(|(pos, fingerprint)| (pos, fingerprint, How::Named)), 0);
    assert_eq!(chat.queue.len(), 1);
    let picked = chat.pick();
    chat.queue.dead(&[(2, id("a"))]);
    chat.told(&picked);
    chat.told(&picked);
    chat.dead(&picked);
    assert_eq!(chat.queue.terms(), Terms { accepted: 1, told_named: 1, ..Terms::default() });
}

#[test]
fn named_and_counted_are_told_apart() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("b"));
    chat.pick();
    chat.queue.told(&[(1, id("a"), How::Counted), (2, id("b"), How::Named)], 0);
    assert_eq!(chat.queue.terms(), Terms { accepted: 2, told_named: 1, told_counted: 1, ..Terms::default() });
    chat.hears(resolved("a").at(30));
    assert_eq!(chat.says(), says("a", Change::Resolved), "a counted firing counts as said");
}

#[test]
fn a_group_can_be_told_in_halves() {
    let mut chat = chat();
    for (n, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        chat.hears(firing(name).at(10 + i64::try_from(n).unwrap()));
    }
    chat.hears(firing("f").severity(CRITICAL).at(40)).hears(resolved("g").severity(CRITICAL).at(5));
    let names = |picked: &Picked| picked.items.iter().map(Item::fingerprint).collect::<Vec<_>>();
    let first = chat.queue.pick(|group| if group == group_id("g") { 3 } else { 0 }).unwrap();
    assert_eq!(names(&first), ["f", "a", "b"].map(id));
    let second = chat.queue.pick(|_| 0).unwrap();
    assert_eq!(names(&second), ["c"].map(id), "at least one");
    let third = chat.pick();
    assert_eq!(names(&third), ["d", "e", "g"].map(id));
    chat.released(&first);
    assert_eq!(names(&chat.pick()), ["f", "a", "b"].map(id));
}

#[test]
fn after_a_restart_the_versions_of_an_open_message_are_locked_again() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("b")).hears(firing("c")).hears(resolved("b").at(30));
    let open = [(1, id("a")), (2, id("b")), (7, id("c")), (5, id("z"))];
    let items = chat.queue.lock(&open);
    assert_eq!(items.iter().map(|item| (item.head.pos, item.change)).collect::<Vec<_>>(), [(1, Change::New)]);
    assert_eq!(chat.queue.lock(&open), [], "once");
    let rest = chat.pick();
    assert_eq!(versions(&rest), [(3, id("c")), (4, id("b"))]);
    chat.queue.told(&[(1, id("a"), How::Named)], 0);
    assert_eq!(chat.queue.terms().told_named, 1);
}

#[test]
fn a_held_version_of_an_open_message_had_been_woken_before() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    chat.hears(firing("a").at(31));
    assert_eq!(chat.queue.lock(&[(3, id("a"))]).len(), 1);
    assert_eq!((chat.queue.next_wake_ms(), chat.queue.has_ready()), (None, false));
}
