//! New critical alerts, and taking from many groups at once.
use super::*;

fn names(items: &[Item]) -> Vec<Fingerprint> {
    items.iter().map(Item::fingerprint).collect()
}

#[test]
fn critical_is_what_is_new_and_fires_with_the_first_severity() {
    let again = |name: &str| firing(name).of(name).severity(CRITICAL);
    let over = |name: &str| resolved(name).of(name).severity(CRITICAL);
    let mut chat = told(&[again("reminder"), again("ended"), again("refired"), over("refired").at(20)]);
    chat.hears(again("reminder").at(100)).hears(over("ended").at(100)).hears(firing("warning").of("warning"));
    chat.hears(again("short").at(100)).hears(over("short").at(110));
    assert!(chat.queue.critical(9).is_empty());
    assert!(chat.queue.pick_critical(|_| usize::MAX).is_none());
    chat.hears(again("refired").starts(90).at(103));
    chat.hears(again("new").at(102)).hears(firing("more").of("new").severity(CRITICAL).at(101));
    assert_eq!(chat.queue.critical(9), [101, 103].map(ms), "of each group the oldest");
    assert_eq!(chat.queue.critical(1), [ms(101)]);
    assert!(chat.queue.critical(0).is_empty());
}

#[test]
fn of_the_most_urgent_group_the_new_critical_alerts_leave() {
    let mut chat = told(&[firing("known"), firing("critical").severity(CRITICAL)]);
    chat.hears(firing("b").severity(CRITICAL).at(101)).hears(firing("a").severity(CRITICAL).at(100));
    chat.hears(firing("w").at(50)).hears(firing("other").of("h").severity(CRITICAL).at(102));
    chat.hears(firing("critical").severity(CRITICAL).at(103)).hears(resolved("known").at(104));
    let one = chat.queue.pick_critical(|_| 1).unwrap();
    assert_eq!(names(&one.items), [id("a")], "no more than asked for: a robot may refuse one of them");
    chat.released(&one);
    let picked = chat.queue.pick_critical(|_| usize::MAX).unwrap();
    assert_eq!((picked.group, names(&picked.items)), (group_id("g"), ["a", "b"].map(id).to_vec()));
    assert_eq!((picked.still_firing, picked.reminder), (1, false), "the reminder fires, the other one has ended");
    assert_eq!(chat.queue.critical(9), [ms(102)]);
    let rest = chat.queue.pick_critical(|_| usize::MAX).unwrap();
    assert_eq!(names(&rest.items), [id("other")]);
    assert!(chat.queue.pick_critical(|_| usize::MAX).is_none());
    chat.released(&picked);
    assert_eq!(chat.queue.critical(9), [ms(100)], "they wait again");
    chat.told(&rest);
    assert_eq!(chat.pick().items.len(), 5);
}

#[test]
fn the_group_that_waits_longest_is_found_whatever_its_urgency() {
    let mut chat = told(&[]);
    chat.hears(firing("old").of("old").at(10)).hears(firing("new").of("new").severity(CRITICAL).at(40));
    assert!(chat.queue.pick_overdue(ms(10), |_| 9).is_none(), "it does not wait for that long");
    let picked = chat.queue.pick_overdue(ms(11), |_| 9).unwrap();
    assert_eq!(names(&picked.items), [id("old")]);
    assert_eq!(names(&chat.pick().items), [id("new")]);
    assert!(chat.queue.pick_overdue(ms(99), |_| 9).is_none(), "nothing waits");
}

#[test]
fn some_alerts_come_from_the_most_urgent_groups() {
    let mut chat = told(&[firing("reminder").of("r").severity(CRITICAL)]);
    chat.hears(firing("reminder").of("r").severity(CRITICAL).at(100));
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        chat.hears(firing(name).of("large").at(103 - i64::try_from(n).unwrap()));
    }
    chat.hears(firing("info").of("large").severity(3).at(1)).hears(firing("d").of("h").severity(CRITICAL).at(110));
    chat.hears(firing("old").of("i").at(90));
    let mut taken = Vec::new();
    for right in [&["d", "old", "c"][..], &["b"], &["a", "info"], &["reminder"], &[]] {
        let items = chat.queue.pick_some(right.len().max(1));
        assert_eq!(names(&items), right.iter().map(|name| id(name)).collect::<Vec<_>>());
        taken.extend(items);
    }
    assert!(!chat.queue.has_ready());
    assert_eq!(chat.queue.pick_some(usize::MAX), []);
    let versions: Vec<_> = taken.iter().map(|item| (item.head.pos, item.fingerprint())).collect();
    chat.queue.released(&versions);
    assert_eq!(chat.queue.pick_some(0).len(), 1, "at least one");
    assert_eq!(chat.queue.pick_some(usize::MAX).len(), 6);
}
