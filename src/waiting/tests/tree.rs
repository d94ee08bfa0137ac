//! The order of a large group.
use proptest::prelude::*;

use super::*;
use crate::waiting::slab::Id;

/// The order in which they would leave, after checking that the tree is one.
fn order(queue: &Queue, group: GroupId) -> Vec<(u8, Millis, i64)> {
    let ids: Vec<Id> = queue.members(group).collect();
    let keys: Vec<_> = ids.iter().map(|id| queue.entries[*id].urgency()).collect();
    assert!(keys.is_sorted());
    ids.iter().map(|id| queue.entries[*id].item().unwrap()).map(|i| (i.head.severity, i.since_ms, i.head.pos)).collect()
}

fn depth(queue: &Queue, root: Id) -> usize {
    if root.is_none() {
        return 0;
    }
    let entry = &queue.entries[root];
    1 + depth(queue, entry.left).max(depth(queue, entry.right))
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

#[test]
fn a_group_is_never_a_long_chain() {
    let mut chat = chat();
    for n in 0..20_000_u64 {
        let at = i64::try_from(n).unwrap();
        chat.hears(State(Head { fingerprint: Fingerprint(n), ..firing("").at(at).0 }));
    }
    let root = chat.queue.groups[chat.queue.groups.find(group_id("g")).unwrap()].root;
    let depth = depth(&chat.queue, root);
    // About 30 are to be expected.
    assert!((15..70).contains(&depth), "{depth} deep");
}
