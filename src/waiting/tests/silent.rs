//! A bot that is told of firings only.
use super::*;

#[test]
fn a_silent_resolve_is_noted_and_not_told() {
    let mut chat = told(&[firing("a"), firing("b")]);
    chat.hears(resolved("a").silent().at(300));
    assert!(!chat.queue.fires(id("a")));
    chat.says_nothing();
    chat.hears(firing("c").at(310));
    assert_eq!(chat.pick().still_firing, 1);
    chat.hears(firing("a").starts(320).at(320));
    assert_eq!(chat.pick().items[0].change, Change::Refired);
}

#[test]
fn a_silent_resolve_of_nothing_is_nothing() {
    let mut chat = chat();
    chat.hears(resolved("a").silent()).hears(resolved("a").silent().at(20));
    assert_eq!(chat.queue.terms().superseded, 2);
    chat.says_nothing();
    chat.hears(firing("a").at(21));
    assert_eq!(chat.says(), says("a", Change::New));
}

#[test]
fn what_ended_silently_while_it_waited_says_so() {
    for ends in [20, 0] {
        let mut chat = chat();
        chat.hears(firing("a")).hears(resolved("a").ends(ends).silent().at(30));
        let item = chat.only();
        assert_eq!((item.change, item.head.status), (Change::FiredResolved, Status::Firing));
        assert!(item.head.ends_ms > 0);
        assert!(!chat.queue.fires(id("a")));
        chat.hears(firing("a").starts(31).at(32));
        assert_eq!(chat.says(), says("a", Change::Refired));
    }
}

#[test]
fn what_ends_silently_in_flight_is_not_taken_for_firing_afterwards() {
    let mut chat = chat();
    chat.hears(firing("a"));
    let picked = chat.pick();
    chat.hears(resolved("a").silent().at(30));
    chat.told(&picked);
    assert!(!chat.queue.fires(id("a")));
    chat.hears(firing("a").starts(35).at(36));
    assert_eq!(chat.says(), says("a", Change::Refired));
}

#[test]
fn a_reminder_that_ends_silently_is_not_told() {
    let mut chat = told(&[firing("a")]);
    chat.hears(firing("a").at(300)).hears(resolved("a").silent().at(310));
    assert_eq!(chat.queue.groups_waiting(), 0);
    chat.says_nothing();
    assert!(!chat.queue.fires(id("a")));
}
