//! What is the same again, and what only looks like it.
use std::time::Duration;

use super::*;

#[test]
fn the_same_again_within_the_window_is_a_repeat() {
    for (what, copy) in [
        ("the very same", firing("a").at(10 + WINDOW)),
        ("another start", firing("a").starts(12).at(11)),
        ("another group", firing("a").of("h").at(11)),
        ("another severity", firing("a").severity(CRITICAL).at(11)),
        ("no start", firing("a").starts(0).at(11)),
        ("a clock that stepped back an hour", firing("a").at(-3_600)),
    ] {
        let mut chat = told(&[firing("a")]);
        chat.hears(copy);
        assert_eq!(chat.queue.repeats(), 1, "{what}");
        chat.says_nothing();
        let mut untold = super::chat();
        untold.hears(firing("a")).hears(copy);
        assert_eq!(untold.queue.repeats(), 1, "{what}, untold");
        assert_eq!(untold.says(), says("a", Change::New), "{what}, untold");
    }
}

#[test]
fn the_window_begins_with_the_newest_state_that_was_no_repeat() {
    let mut chat = told(&[firing("a").at(100)]);
    chat.hears(firing("a").at(140)).hears(firing("a").at(145));
    assert_eq!(chat.queue.repeats(), 2);
    chat.hears(firing("a").at(146));
    assert_eq!(chat.says(), says("a", Change::Unchanged));
}

#[test]
fn other_windows() {
    for (window, at, repeats) in [(0, 10, 1), (0, 11, 0), (300, 310, 1), (300, 311, 0)] {
        let options = Options { dedup_window: Duration::from_secs(window), ..Options::default() };
        let mut chat = told(&[firing("a")]);
        chat.queue.set_options(options);
        chat.hears(firing("a").at(at));
        assert_eq!(chat.queue.repeats(), repeats, "{window} s, {at}");
    }
}

#[test]
fn a_repeat_interval_body_repeats_only_another_one_of_those() {
    let mut chat = told(&[firing("a")]);
    chat.hears(firing("a").again().at(11));
    assert_eq!(chat.says(), says("a", Change::Unchanged));
    chat.hears(firing("a").again().at(12)).hears(firing("a").at(13));
    assert_eq!(chat.queue.repeats(), 2);
    chat.says_nothing();
    chat.hears(firing("a").again().at(12 + WINDOW));
    assert_eq!(chat.says(), says("a", Change::Unchanged));
}

#[test]
fn a_resolve_is_a_repeat_unless_a_firing_came_since() {
    // Prometheus sends a resolve again for 15 minutes, Alertmanager after a reload.
    for at in [31, 30 + WINDOW, 31 + WINDOW, 930] {
        let mut chat = told(&[firing("a"), resolved("a").at(30)]);
        chat.hears(resolved("a").at(at)).hears(resolved("a").ends(22).at(at));
        assert_eq!(chat.queue.repeats(), 2, "at {at}");
        chat.says_nothing();
        chat.hears(firing("a").starts(at + 1).at(at + 1)).hears(resolved("a").starts(at + 1).ends(at + 2).at(at + 2));
        assert_eq!(chat.says(), says("a", Change::FiredResolved), "at {at}");
    }
}

#[test]
fn a_resolve_of_a_firing_that_was_never_sent_is_told() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    chat.hears(resolved("a").starts(100).ends(130).at(140));
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
    // A client that sends an end without a start: Alertmanager sets both to the same time.
    chat.hears(resolved("a").starts(150).ends(150).at(150));
    chat.says_nothing();
}

#[test]
fn a_late_copy_of_an_end_does_not_end_the_next_firing() {
    let again = || told(&[firing("a"), resolved("a").at(30), firing("a").starts(40).at(45)]);
    for late in [resolved("a"), resolved("a").ends(40), resolved("a").silent()] {
        let mut chat = again();
        chat.hears(late.at(50));
        assert_eq!((chat.queue.repeats(), chat.queue.fires(id("a"))), (1, true));
        chat.says_nothing();
        // The same while the firing is untold.
        let mut chat = told(&[firing("a"), resolved("a").at(30)]);
        chat.hears(firing("a").starts(40).at(45)).hears(late.at(50));
        assert_eq!(chat.says(), says("a", Change::Refired));
    }
    for (what, its_own) in [
        ("it ended after the start", resolved("a").ends(41)),
        ("it started with this firing", resolved("a").starts(39).ends(40)),
        ("another clock's end without a start", resolved("a").starts(20).ends(20)),
        ("it does not say when it started", resolved("a").starts(0)),
    ] {
        let mut chat = again();
        chat.hears(its_own.at(50));
        assert_eq!(chat.says(), says("a", Change::Resolved), "{what}");
    }
}

#[test]
fn a_late_copy_of_a_firing_that_ended_waits_for_its_resolve() {
    let ended = || told(&[firing("a"), resolved("a").ends(20).at(30)]);
    for copy in [firing("a"), firing("a").starts(9), firing("a").starts(11), firing("a").starts(19)] {
        let mut chat = ended();
        chat.hears(copy.at(31));
        assert_eq!(chat.queue.len(), 1);
        assert!(chat.queue.fires(id("a")));
        assert!(!chat.queue.has_ready());
        assert_eq!(chat.queue.next_wake_ms(), Some(ms(30 + WINDOW)));
        chat.queue.wake(ms(30 + WINDOW) - 1);
        assert!(!chat.queue.has_ready());
        // Its own resolve.
        chat.hears(resolved("a").at(60));
        assert_eq!((chat.queue.repeats(), chat.queue.next_wake_ms()), (2, None));
        chat.queue.wake(ms(1_000));
        chat.says_nothing();
    }
}

#[test]
fn a_late_copy_without_a_resolve_is_told_at_the_windows_end() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    chat.hears(firing("a").at(31)).hears(firing("a").at(32));
    assert_eq!((chat.queue.len(), chat.queue.repeats()), (1, 1));
    chat.queue.wake(ms(30 + WINDOW));
    assert_eq!(chat.queue.next_wake_ms(), None);
    assert_eq!(chat.says(), says("a", Change::Refired));
    chat.hears(resolved("a").at(90));
    assert_eq!(chat.says(), says("a", Change::Resolved));
}

#[test]
fn what_is_no_copy_is_told_at_once() {
    for (what, state) in [
        ("it starts after the end", firing("a").starts(21).at(31)),
        ("it does not say when it starts", firing("a").starts(0).at(31)),
        ("after the window", firing("a").at(31 + WINDOW)),
    ] {
        let mut chat = told(&[firing("a"), resolved("a").at(30)]);
        chat.hears(state);
        assert_eq!(chat.says(), says("a", Change::Refired), "{what}");
    }
}

#[test]
fn a_real_firing_takes_the_place_of_a_held_one() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    chat.hears(firing("a").at(31)).hears(firing("a").starts(32).at(33));
    assert_eq!(chat.queue.next_wake_ms(), None);
    assert_eq!(chat.says(), says("a", Change::Refired));
    chat.says_nothing();
}

#[test]
fn a_held_one_is_compared_with_a_resolve_that_waits_too() {
    let mut chat = chat();
    chat.hears(resolved("a").at(30)).hears(firing("a").at(31));
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
    assert_eq!(chat.queue.len(), 1);
    chat.hears(resolved("a").at(40));
    chat.says_nothing();
}

#[test]
fn the_time_of_a_head_wakes_the_held_one_before_it() {
    let mut chat = told(&[firing("a"), resolved("a").at(30)]);
    chat.hears(firing("a").at(31)).hears(resolved("a").ends(70).at(30 + WINDOW));
    // Nobody had called wake in between.
    assert_eq!(chat.says(), says("a", Change::FiredResolved));
}

#[test]
fn a_clock_that_steps_back_holds_nobody_for_long() {
    let mut chat = told(&[firing("a"), resolved("a").at(7_200)]);
    chat.hears(firing("a").at(3_600));
    assert_eq!(chat.queue.next_wake_ms(), Some(ms(3_600 + WINDOW)));
    let mut chat = told(&[firing("a"), resolved("a").at(7_200)]);
    chat.hears(firing("a").at(7_201));
    chat.queue.wake(ms(3_600));
    assert_eq!(chat.says(), says("a", Change::Refired));
}
