//! What is remembered, for how long, and over a restart.
use super::super::Told;
use super::*;

#[test]
fn a_chat_must_hear_of_the_end_of_what_it_knows_or_will_know() {
    let mut chat = chat();
    assert!(!chat.queue.fires(id("a")));
    chat.hears(firing("a"));
    assert!(chat.queue.fires(id("a")), "waiting");
    let picked = chat.pick();
    assert!(chat.queue.fires(id("a")), "in flight");
    chat.told(&picked);
    assert!(chat.queue.fires(id("a")), "told");
    chat.hears(resolved("a").at(30));
    assert!(!chat.queue.fires(id("a")), "its end will be told");
    chat.tell_all();
    assert!(!chat.queue.fires(id("a")));
}

#[test]
fn told_states_are_forgotten_in_time() {
    let hour = 3_600;
    let mut chat = told(&[firing("a"), firing("b"), resolved("b").at(30)]);
    chat.hears(firing("c").of("h").at(40));
    chat.queue.forget(ms(30 + hour));
    chat.hears(resolved("b").at(31 + hour));
    assert_eq!(chat.queue.repeats(), 1, "still known");
    chat.queue.forget(ms(31 + hour));
    chat.hears(resolved("b").at(32 + hour));
    assert_eq!(chat.queue.repeats(), 1, "forgotten");
    let month = 30 * 86_400;
    chat.queue.forget(ms(10 + month));
    assert!(chat.queue.fires(id("a")));
    chat.queue.forget(ms(11 + month));
    assert!(!chat.queue.fires(id("a")));
    assert_eq!(chat.queue.len(), 2, "what waits is not forgotten");
    assert!(chat.tell_all().iter().all(|picked| picked.still_firing == 0));
}

#[test]
fn a_remembered_state_is_as_good_as_a_told_one() {
    let accepted = ms(10);
    let state = Told { status: Status::Firing, starts_ms: ms(10), ends_ms: 0, accepted_ms: accepted, told_ms: ms(12) };
    let mut chat = chat();
    for name in ["a", "a", "b"] {
        chat.queue.remember(id(name), group_id("g"), state);
    }
    chat.hears(firing("a").at(11));
    assert_eq!(chat.queue.repeats(), 1);
    chat.hears(resolved("a").at(30));
    let picked = chat.pick();
    assert_eq!((picked.items[0].change, picked.still_firing), (Change::Resolved, 1));
}

#[test]
fn counters_go_on_from_the_stored_ones() {
    let terms = Terms { accepted: 10, told_named: 5, told_counted: 1, superseded: 2, dead: 0 };
    let mut queue = Queue::new(Options::default(), terms);
    queue.apply(Head { pos: 4, ..firing("a").0 });
    queue.apply(Head { pos: 9, ..firing("b").0 });
    assert_eq!((queue.terms(), queue.len()), (terms, 2));
    queue.apply(Head { pos: 11, ..firing("b").0 });
    assert_eq!(queue.terms(), Terms { accepted: 11, superseded: 3, ..terms });
}
