//! The order of groups, and of a large group's alerts.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::waiting::slab::Id;
use crate::waiting::tree::Nodes as _;

/// The order in which they would leave, after checking that the tree is one.
fn order(queue: &Queue, group: GroupId) -> Vec<(u8, Millis, i64)> {
    let ids: Vec<Id> = queue.members(group).collect();
    let keys: Vec<_> = ids.iter().map(|id| queue.all.entries[*id].urgency()).collect();
    assert!(keys.is_sorted());
    ids.iter()
        .map(|id| queue.all.entries[*id].item().unwrap())
        .map(|i| (i.head.severity, i.since_ms, i.head.pos))
        .collect()
}

/// What the alerts say of their groups is what the groups say of themselves.
pub(super) fn groups_hold(queue: &Queue) {
    #[derive(Default)]
    struct Plain {
        members: Vec<Id>,
        told_firing: u32,
        told_changed: u32,
    }
    let mut groups: BTreeMap<GroupId, Plain> = BTreeMap::new();
    for id in queue.all.entries.ids() {
        let entry = &queue.all.entries[id];
        let (listed, counts) = (entry.is_listed(), entry.counts_in().is_some());
        if listed || counts {
            let group = groups.entry(entry.group).or_default();
            group.members.extend(Some(id).filter(|_| listed));
            group.told_firing += u32::from(counts);
            group.told_changed += u32::from(listed && entry.changes_told_firing());
        }
    }
    assert_eq!(queue.groups.ids().count(), groups.len());
    let mut order = Vec::new();
    for (id, Plain { mut members, told_firing, told_changed }) in groups {
        assert_eq!(queue.still_firing(id), told_firing - told_changed);
        members.sort_unstable_by_key(|id| queue.all.entries.key(*id));
        assert_eq!(queue.members(id).collect::<Vec<_>>(), members);
        order.extend(members.first().map(|first| (queue.all.entries[*first].urgency(), id)));
    }
    order.sort_unstable();
    assert_eq!(queue.in_order().collect::<Vec<_>>(), order);
    assert_eq!(queue.most_urgent(), order.first().copied());
    assert_eq!(queue.groups_waiting(), order.len());
}

fn depth(queue: &Queue, root: Id) -> usize {
    if root.is_none() {
        return 0;
    }
    let entry = &queue.all.entries[root];
    1 + depth(queue, entry.links.left).max(depth(queue, entry.links.right))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    #[test]
    fn a_large_group_stays_in_order(changes in prop::collection::vec((0_u64..150, 0_u8..4, 0_i64..20, any::<bool>()), 1..400)) {
        let mut chat = chat();
        let mut waits = std::collections::BTreeMap::new();
        for (alert, severity, at, takes_off) in changes {
            let fingerprint = Fingerprint(alert);
            if takes_off {
                let gone: Option<(u8, Millis, i64)> = waits.remove(&alert);
                let version = [(gone.map_or(0, |(_, _, pos)| pos), fingerprint)];
                prop_assert_eq!(chat.queue.lock(&version).len(), usize::from(gone.is_some()));
                chat.queue.dead(&version);
            } else {
                let head = Head { fingerprint, ..firing("").severity(severity).starts(1).at(100 * at).0 };
                let repeats = chat.queue.repeats();
                chat.hears(State(head));
                // The newest state counts, unless it was a repeat, with the age of the first.
                if chat.queue.repeats() == repeats {
                    let since = waits.get(&alert).map_or(ms(100 * at), |(_, since, _)| *since);
                    waits.insert(alert, (severity, since, chat.accepted));
                }
            }
            let mut right: Vec<_> = waits.values().copied().collect();
            right.sort_unstable();
            prop_assert_eq!(order(&chat.queue, group_id("g")), right);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    #[test]
    fn groups_of_one_and_of_more_stay_in_order(
        changes in prop::collection::vec((0_u64..60, 0_u64..40, 0_u8..3, 0_i64..20, 0_u8..6), 1..300)
    ) {
        let mut chat = chat();
        for (alert, group, severity, at, what) in changes {
            let state = if what == 0 { resolved("") } else { firing("") };
            let head = Head { fingerprint: Fingerprint(alert), group, ..state.severity(severity).at(100 * at).0 };
            match what {
                5 => drop(chat.queue.pick(|_| usize::MAX).map(|picked| chat.told(&picked))),
                _ => drop(chat.hears(State(head))),
            }
            groups_hold(&chat.queue);
        }
        chat.tell_all();
        groups_hold(&chat.queue);
    }
}

#[test]
fn the_order_of_groups_is_never_a_long_chain() {
    let mut chat = chat();
    for n in 0..20_000_u64 {
        let at = i64::try_from(n).unwrap();
        chat.hears(State(Head { fingerprint: Fingerprint(n), group: n, ..firing("").at(at).0 }));
    }
    let depth = depth(&chat.queue, chat.queue.order);
    assert!((15..70).contains(&depth), "{depth} deep");
}

#[test]
fn a_group_is_never_a_long_chain() {
    let mut chat = chat();
    for n in 0..20_000_u64 {
        let at = i64::try_from(n).unwrap();
        chat.hears(State(Head { fingerprint: Fingerprint(n), ..firing("").at(at).0 }));
    }
    let group = chat.queue.find_group(group_id("g")).unwrap().unmarked().unwrap();
    let root = chat.queue.all.groups[group].root;
    let depth = depth(&chat.queue, root);
    // About 30 are to be expected.
    assert!((15..70).contains(&depth), "{depth} deep");
}
