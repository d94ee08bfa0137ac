//! States of one alert, and what they stand for.

use crate::model::{Fingerprint, GroupId, Head, HeadFlags, Millis, Status};

/// Superseded states that an untold one keeps in the store for a replay, about.
const KEPT: usize = 4;

/// A head without what its entry says already.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) pos: i64,
    pub(super) starts_ms: Millis,
    /// Of a firing state: 0, or when it ended in a chat that is told of firings only.
    pub(super) ends_ms: Millis,
    pub(super) accepted_ms: Millis,
    body: i64,
    idx: u32,
    via: u32,
    status: Status,
    pub(super) severity: u8,
    pub(super) flags: HeadFlags,
}

impl State {
    pub(super) const fn of(head: &Head) -> Self {
        Self {
            pos: head.pos,
            starts_ms: head.starts_ms,
            ends_ms: head.ends_ms,
            accepted_ms: head.accepted_ms,
            body: head.body,
            idx: head.idx,
            via: head.via,
            status: head.status,
            severity: head.severity,
            flags: head.flags,
        }
    }

    pub(super) const fn head(&self, fingerprint: Fingerprint, group: GroupId) -> Head {
        Head {
            pos: self.pos,
            body: self.body,
            idx: self.idx,
            fingerprint,
            group,
            status: self.status,
            severity: self.severity,
            flags: self.flags,
            starts_ms: self.starts_ms,
            ends_ms: self.ends_ms,
            accepted_ms: self.accepted_ms,
            via: self.via,
        }
    }

    /// Whether it fired and has ended in a chat that is told of firings only.
    pub(super) fn has_ended(&self) -> bool {
        self.status == Status::Firing && self.ends_ms != 0
    }

    pub(super) fn status(&self) -> Status {
        if self.has_ended() { Status::Resolved } else { self.status }
    }

    /// Notes the end that will not be told by itself.
    pub(super) fn end(&mut self, head: &Head) {
        self.ends_ms = if head.ends_ms == 0 { head.accepted_ms.max(1) } else { head.ends_ms };
        self.accepted_ms = head.accepted_ms;
    }
}

/// A state in as few bytes as it has: a million of them wait on the worst day. Positions keep 40 bits (the store gives out
/// no more), bodies 48, and times 48 with their sign: years beyond 6400 become that year.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    pos: [u8; 5],
    body: [u8; 6],
    idx: [u8; 4],
    via: [u8; 4],
    starts_ms: [u8; 6],
    ends_ms: [u8; 6],
    accepted_ms: [u8; 6],
    status: Status,
    pub(super) severity: u8,
    flags: HeadFlags,
}

impl Packed {
    /// As [`State::status`].
    pub(super) fn status(&self) -> Status {
        if self.ends_ms == [0; 6] { self.status } else { Status::Resolved }
    }

    pub(super) fn accepted_ms(&self) -> Millis {
        signed(self.accepted_ms)
    }

    pub(super) fn pos(&self) -> i64 {
        unsigned(self.pos)
    }

    pub(super) fn state(&self) -> State {
        State {
            pos: self.pos(),
            starts_ms: signed(self.starts_ms),
            ends_ms: signed(self.ends_ms),
            accepted_ms: signed(self.accepted_ms),
            body: unsigned(self.body),
            idx: u32::from_le_bytes(self.idx),
            via: u32::from_le_bytes(self.via),
            status: self.status,
            severity: self.severity,
            flags: self.flags,
        }
    }
}

impl From<State> for Packed {
    fn from(state: State) -> Self {
        Self {
            pos: pack(state.pos, 0, 1 << 40),
            body: pack(state.body, 0, 1 << 48),
            idx: state.idx.to_le_bytes(),
            via: state.via.to_le_bytes(),
            starts_ms: pack(state.starts_ms, -1 << 47, 1 << 47),
            ends_ms: pack(state.ends_ms, -1 << 47, 1 << 47),
            accepted_ms: pack(state.accepted_ms, -1 << 47, 1 << 47),
            status: state.status,
            severity: state.severity,
            flags: state.flags,
        }
    }
}

/// The lower bytes of a value within these bounds; the upper one is not included.
fn pack<const N: usize>(value: i64, least: i64, most: i64) -> [u8; N] {
    let bytes = value.clamp(least, most - 1).to_le_bytes();
    std::array::from_fn(|at| bytes[at])
}

fn signed<const N: usize>(bytes: [u8; N]) -> i64 {
    let mut all = [0; 8];
    all[8 - N..].copy_from_slice(&bytes);
    i64::from_le_bytes(all) >> (64 - 8 * N)
}

fn unsigned<const N: usize>(bytes: [u8; N]) -> i64 {
    let mut all = [0; 8];
    all[..N].copy_from_slice(&bytes);
    i64::from_le_bytes(all)
}

/// The older states that an untold one stands for.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Chain {
    /// Acceptance of the first of them, when there are any.
    since_ms: Option<Millis>,
    /// Changes of status among them.
    pub(super) flaps: u16,
    /// Whether the position of the first is among `needed`.
    rooted: bool,
    /// Superseded positions without which a replay would not come to the same (or not as well): they stay in the store
    /// until the newest is told. Sorted.
    pub(super) needed: Vec<i64>,
}

impl Chain {
    pub(super) fn since(&self, state: &State) -> Millis {
        self.since_ms.unwrap_or(state.accepted_ms)
    }

    /// A newer state replaces `old`. Positions that need not stay go to `spare`.
    pub(super) fn replace(&mut self, old: &State, turned: bool, spare: &mut Vec<i64>) {
        self.since_ms.get_or_insert(old.accepted_ms);
        self.flaps = self.flaps.saturating_add(u16::from(turned));
        // Of ends that follow each other the last may be one of an earlier firing than the one before: alone it would be
        // taken for a late copy.
        if self.rooted && !turned && !old.has_ended() && old.status == Status::Firing {
            insert(spare, old.pos);
            return;
        }
        self.rooted = true;
        self.need(old.pos, spare);
    }

    /// Notes that `state` is about to end.
    fn ends(&mut self, state: &State) {
        self.since_ms.get_or_insert(state.accepted_ms);
        self.flaps = self.flaps.saturating_add(1);
    }

    /// As [`Chain::ends`], and keeps the position of the end.
    pub(super) fn end(&mut self, state: &State, pos: i64, spare: &mut Vec<i64>) {
        self.ends(state);
        self.need(pos, spare);
    }

    /// Nothing waits any more; what a replay needs stays.
    pub(super) fn forget_first(&mut self) {
        *self = Self { needed: std::mem::take(&mut self.needed), ..Self::default() };
    }

    /// Keeps a position. What is too many leaves in pairs from the middle, so that the status still alternates: after a
    /// restart fewer flaps are counted, and nothing else has changed.
    pub(super) fn need(&mut self, pos: i64, spare: &mut Vec<i64>) {
        insert(&mut self.needed, pos);
        if self.needed.len() > KEPT {
            for pos in self.needed.drain(KEPT / 2..KEPT / 2 + 2) {
                insert(spare, pos);
            }
        }
    }

    /// The chain of the newer of two states, when it now stands for the older one and its chain, too.
    pub(super) fn join(older: Self, old: &State, turned: bool, newer: Self, spare: &mut Vec<i64>) -> Self {
        let mut joined = older;
        joined.replace(old, turned, spare);
        joined.flaps = joined.flaps.saturating_add(newer.flaps);
        for pos in newer.needed {
            joined.need(pos, spare);
        }
        joined
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since_ms.is_none() && self.needed.is_empty()
    }
}

/// Sorted insertion; nearly always at the end.
pub(super) fn insert(sorted: &mut Vec<i64>, pos: i64) {
    let at = sorted.partition_point(|other| *other < pos);
    sorted.insert(at, pos);
}

/// A state in a message that is being sent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Flight {
    pub(super) state: State,
    pub(super) group: GroupId,
    pub(super) chain: Chain,
    /// Whether the first state that came meanwhile had another status.
    pub(super) turned: bool,
    /// Whether it ended while it was being told.
    pub(super) ended: bool,
}

impl Flight {
    /// It ends while it is being told; the chat is told of firings only.
    pub(super) fn ends(&mut self, head: &Head) {
        self.chain.ends(&self.state);
        self.state.end(head);
        self.ended = true;
    }
}

/// A firing that may be a late copy of one that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) state: State,
    pub(super) group: GroupId,
    /// When it waits like others unless a resolve has come.
    pub(super) until_ms: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let state = |n: i64| State {
            pos: n,
            starts_ms: -n,
            ends_ms: n,
            accepted_ms: n,
            body: n,
            idx: u32::MAX,
            via: 7,
            status: Status::Resolved,
            severity: 255,
            flags: HeadFlags(9),
        };
        let year_one = -62_135_596_800_000;
        for state in [state(0), state(1), state((1 << 40) - 1), State { starts_ms: year_one, ..state(5) }] {
            let packed = Packed::from(state);
            assert_eq!(format!("{:?}", packed.state()), format!("{state:?}"));
            assert_eq!((packed.status(), packed.accepted_ms()), (state.status(), state.accepted_ms));
            let firing = Packed::from(State { status: Status::Firing, ..state });
            assert_eq!(firing.status(), firing.state().status());
        }
        let odd = Packed::from(State { pos: -1, ends_ms: Millis::MAX, starts_ms: Millis::MIN, ..state(3) }).state();
        assert_eq!((odd.pos, odd.ends_ms, odd.starts_ms), (0, (1 << 47) - 1, -1 << 47));
        assert_eq!(size_of::<Option<Packed>>(), 40);
    }
}
