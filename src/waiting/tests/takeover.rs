//! Alerts that another bot takes over.
use super::*;

#[test]
fn a_chat_was_told_of_what_it_heard_and_not_of_what_waits() {
    let mut chat = chat();
    let was_told = |chat: &Chat| chat.queue.was_told_firing(id("a"));
    assert!(!was_told(&chat));
    chat.hears(firing("a"));
    assert!(!was_told(&chat), "it waits");
    let picked = chat.pick();
    assert!(!was_told(&chat), "it is in flight");
    chat.told(&picked);
    assert!(was_told(&chat));
    chat.hears(resolved("a").at(30));
    assert!(was_told(&chat), "its end waits");
    chat.tell_all();
    assert!(!was_told(&chat));
    let mut silent = told(&[firing("a")]);
    silent.hears(resolved("a").silent().at(30));
    assert!(!was_told(&silent));
}

#[test]
fn what_is_handed_over_is_superseded_here_and_the_chat_knows_what_it_knew() {
    let mut chat = told(&[firing("a"), firing("b")]);
    chat.hears(resolved("a").at(30)).hears(firing("c").at(31)).hears(resolved("c").at(32));
    let picked = chat.pick();
    assert_eq!(chat.queue.take_garbage_for(&versions(&picked), 0), [4], "a restart must not tell that c fired");
    chat.queue.handed_over(&versions(&picked));
    let terms = chat.queue.terms();
    assert_eq!((terms.accepted, terms.told_named, terms.superseded, terms.dead), (5, 2, 3, 0));
    assert_eq!((chat.queue.len(), chat.queue.oldest_ms(), chat.queue.garbage_len()), (0, None, 0));
    assert!(chat.queue.was_told_firing(id("a")));
    assert!(!chat.queue.fires(id("c")), "nobody was told");
    chat.hears(firing("d").at(40));
    assert_eq!(chat.pick().still_firing, 2);
}

#[test]
fn only_what_is_in_flight_can_be_handed_over() {
    let mut chat = chat();
    chat.hears(firing("a")).hears(firing("b"));
    let both = [(1, id("a")), (2, id("b")), (3, id("z"))];
    chat.queue.handed_over(&both);
    assert_eq!(chat.queue.len(), 2);
    assert_eq!(chat.queue.lock(&both[1..]).len(), 1);
    chat.queue.handed_over(&both);
    chat.queue.handed_over(&both);
    assert_eq!((chat.queue.len(), chat.queue.terms().superseded), (1, 1));
    assert_eq!(chat.says(), says("a", Change::New));
}

#[test]
fn what_came_after_what_is_handed_over_waits_here() {
    let mut chat = chat();
    chat.hears(resolved("a").at(30)).hears(firing("b"));
    let picked = chat.queue.pick_some(9);
    chat.hears(firing("a").at(31)).hears(resolved("b").at(32));
    assert!(!chat.queue.has_ready(), "one is held, of the other one a message is on its way");
    let versions: Vec<_> = picked.iter().map(|item| (item.head.pos, item.fingerprint())).collect();
    chat.queue.handed_over(&versions);
    assert_eq!(chat.says(), [says("a", Change::New), says("b", Change::FiredResolved)].concat());
}
