//! What the index knows of one alert, and the rules that compare its states.

use super::group::Urgency;
use super::slab::Keyed;
use super::state::{Chain, Flight, Held, Packed, State};
use super::tree::Links;
use super::{Item, Told};
use crate::model::{Change, Fingerprint, GroupId, Head, HeadFlags, Millis, Status};

/// Copies of one alert that two Alertmanagers dated on arrival differ by less than this; measured: under 1 ms.
const SAME_START_MS: Millis = 1_000;

/// The state that the chat was last told.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) starts_ms: Millis,
    pub(super) ends_ms: Millis,
    pub(super) accepted_ms: Millis,
    /// When it was last seen, for forgetting.
    pub(super) seen_ms: Millis,
    pub(super) group: GroupId,
    pub(super) status: Status,
    /// Whether it came in a body that said "repeat interval elapsed". Not stored: after a restart such a body counts as
    /// the first one, and may be told once more.
    repeats: bool,
}

impl Known {
    pub(super) fn new(told: &Told, group: GroupId) -> Self {
        Self {
            starts_ms: told.starts_ms,
            ends_ms: told.ends_ms,
            accepted_ms: told.accepted_ms,
            seen_ms: told.told_ms.max(told.accepted_ms),
            group,
            status: told.status,
            repeats: false,
        }
    }

    pub(super) fn of(flight: &Flight, now_ms: Millis) -> Self {
        let state = &flight.state;
        Self {
            starts_ms: state.starts_ms,
            ends_ms: state.ends_ms,
            accepted_ms: state.accepted_ms,
            seen_ms: now_ms.max(state.accepted_ms),
            group: flight.group,
            status: state.status(),
            repeats: state.flags.has(HeadFlags::REPEAT),
        }
    }

    /// It has ended, in a chat that is told of firings only.
    pub(super) fn end(&mut self, ends_ms: Millis, accepted_ms: Millis) {
        self.status = Status::Resolved;
        self.ends_ms = ends_ms;
        self.accepted_ms = accepted_ms;
        self.seen_ms = self.seen_ms.max(accepted_ms);
    }

    pub(super) fn fires(&self) -> bool {
        self.status == Status::Firing
    }
}

/// What few alerts have.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Rare {
    /// What the waiting state stands for.
    pub(super) chain: Chain,
    /// Superseded positions whose rows nobody needs. Sorted.
    pub(super) spare: Vec<i64>,
    /// Whether the queue knows that there are some.
    pub(super) spare_listed: bool,
    pub(super) flight: Option<Box<Flight>>,
    pub(super) held: Option<Box<Held>>,
}

/// What an alert has that was told, or of which more than one state is here.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct More {
    known: Option<Known>,
    rare: Option<Box<Rare>>,
}

/// One alert. What not all have is boxed: a million of these wait on the worst day.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    /// Where it was last seen.
    pub(super) group: GroupId,
    pub(super) waiting: Option<Packed>,
    /// What else there is of it.
    more: Option<Box<More>>,
    /// What hangs below it among its group's alerts that could be told now; below its group, when it stands for that.
    pub(super) links: Links,
}

impl Default for Entry {
    fn default() -> Self {
        Self { fingerprint: Fingerprint(0), group: 0, waiting: None, more: None, links: Links::default() }
    }
}

impl Keyed for Entry {
    fn key(&self) -> u64 {
        self.fingerprint.0
    }
}

/// The newest state, that an arriving one is compared with.
struct Newest {
    status: Status,
    starts_ms: Millis,
    ends_ms: Millis,
    accepted_ms: Millis,
    repeats: bool,
}

impl Newest {
    fn of(state: &State) -> Self {
        Self {
            status: state.status(),
            starts_ms: state.starts_ms,
            ends_ms: state.ends_ms,
            accepted_ms: state.accepted_ms,
            repeats: state.flags.has(HeadFlags::REPEAT),
        }
    }

    /// Whether a firing state may be a copy of the one that has ended: a new one starts after the end of the old.
    fn may_have_been(&self, head: &Head) -> bool {
        head.starts_ms != 0
            && self.starts_ms != 0
            && (head.starts_ms <= self.starts_ms + SAME_START_MS || head.starts_ms < self.ends_ms)
    }

    /// Whether a resolve is a late copy of an end before this firing began: an Alertmanager that had to wait sends what its
    /// twin has sent meanwhile. An end without a start may be that of this firing by another clock.
    fn began_after(&self, head: &Head) -> bool {
        head.starts_ms != 0
            && head.starts_ms + SAME_START_MS < self.starts_ms
            && head.starts_ms < head.ends_ms
            && head.ends_ms <= self.starts_ms
    }

    /// Whether a resolve tells of a later end than the one that is known, of a firing that nobody sent. A client that
    /// sends an end without a start makes Alertmanager set both to the same time: that tells nothing new.
    fn is_before(&self, head: &Head) -> bool {
        self.ends_ms > 0 && head.starts_ms > self.ends_ms && head.ends_ms > head.starts_ms
    }
}

/// What an arriving state is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// Something to tell (perhaps only as unchanged).
    News,
    /// The same again.
    Repeat,
    /// Older than what is still to be told.
    Outdated,
    /// Perhaps a late copy: hold it until then.
    Hold(Millis),
    /// A resolve for a chat that does not want to hear of resolves.
    Silent,
}

fn is_silent(head: &Head) -> bool {
    head.status == Status::Resolved && head.flags.has(HeadFlags::SILENT)
}

/// Order in a message: what changed first, firing before resolved, then by severity and age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    pub(super) unchanged: bool,
    pub(super) status: Status,
    pub(super) severity: u8,
    pub(super) since_ms: Millis,
    pos: i64,
}

impl Entry {
    pub(super) fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..Self::default() }
    }

    pub(super) fn waiting(&self) -> Option<State> {
        self.waiting.as_ref().map(Packed::state)
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.more.as_ref()?.known.as_ref()
    }

    pub(super) fn known_mut(&mut self) -> Option<&mut Known> {
        self.more.as_mut()?.known.as_mut()
    }

    pub(super) fn set_known(&mut self, known: Known) {
        self.more.get_or_insert_default().known = Some(known);
    }

    pub(super) fn forget_known(&mut self) {
        if let Some(more) = &mut self.more {
            more.known = None;
        }
    }

    pub(super) fn rare(&self) -> Option<&Rare> {
        self.more.as_ref()?.rare.as_deref()
    }

    pub(super) fn rare_mut(&mut self) -> Option<&mut Rare> {
        self.more.as_mut()?.rare.as_deref_mut()
    }

    pub(super) fn make_rare(&mut self) -> &mut Rare {
        self.more.get_or_insert_default().rare.get_or_insert_default()
    }

    pub(super) fn flight(&self) -> Option<&Flight> {
        self.rare()?.flight.as_deref()
    }

    pub(super) fn held(&self) -> Option<&Held> {
        self.rare()?.held.as_deref()
    }

    /// Gives the room back of what is empty.
    pub(super) fn trim(&mut self) {
        let Some(more) = &mut self.more else { return };
        let empty = |rare: &Rare| {
            rare.flight.is_none() && rare.held.is_none() && rare.spare.is_empty() && rare.chain.is_empty()
        };
        if more.rare.as_deref().is_some_and(empty) {
            more.rare = None;
        }
        if more.known.is_none() && more.rare.is_none() {
            self.more = None;
        }
    }

    /// Whether nothing is left of it that must be remembered; after [`Entry::trim`].
    pub(super) const fn is_over(&self) -> bool {
        self.waiting.is_none() && self.more.is_none()
    }

    fn newest(&self) -> Option<Newest> {
        let untold = self.waiting().or_else(|| self.flight().map(|flight| flight.state));
        untold.as_ref().map(Newest::of).or_else(|| {
            self.known().map(|known| Newest {
                status: known.status,
                starts_ms: known.starts_ms,
                ends_ms: known.ends_ms,
                accepted_ms: known.accepted_ms,
                repeats: known.repeats,
            })
        })
    }

    /// Compares an arriving state with the newest one only.
    pub(super) fn classify(&self, head: &Head, window_ms: Millis) -> Arrival {
        let Some(newest) = self.newest() else {
            return if is_silent(head) { Arrival::Silent } else { Arrival::News };
        };
        if head.flags.has(HeadFlags::REPLAY) {
            // Whatever is untold came after the refusal of the one that comes back.
            let told = self.waiting.is_none() && self.flight().is_none() && self.held().is_none();
            return if told { Arrival::News } else { Arrival::Outdated };
        }
        // A wall clock that stepped back makes later bodies look earlier: they count as within the window.
        let within = head.accepted_ms - newest.accepted_ms <= window_ms;
        match (newest.status, head.status) {
            (Status::Firing, Status::Firing) => {
                let first_reminder = head.flags.has(HeadFlags::REPEAT) && !newest.repeats;
                if within && !first_reminder { Arrival::Repeat } else { Arrival::News }
            }
            (Status::Firing, Status::Resolved) if newest.began_after(head) => Arrival::Repeat,
            (_, Status::Resolved) if is_silent(head) => Arrival::Silent,
            (Status::Firing, Status::Resolved) => Arrival::News,
            (Status::Resolved, Status::Resolved) if newest.is_before(head) => Arrival::News,
            (Status::Resolved, Status::Resolved) => Arrival::Repeat,
            (Status::Resolved, Status::Firing) if within && newest.may_have_been(head) => {
                Arrival::Hold(newest.accepted_ms.min(head.accepted_ms) + window_ms)
            }
            (Status::Resolved, Status::Firing) => Arrival::News,
        }
    }

    fn chain_flaps(&self) -> u16 {
        self.rare().map_or(0, |rare| rare.chain.flaps)
    }

    /// What the waiting state means to a chat that was told what is known.
    pub(super) fn change(&self, waiting: &State) -> Change {
        let told_fires = self.known().map(|known| known.fires());
        match (told_fires, waiting.status()) {
            (None, Status::Firing) => Change::New,
            (None | Some(false), Status::Resolved) => Change::FiredResolved,
            (Some(false), Status::Firing) => Change::Refired,
            (Some(true), Status::Resolved) if waiting.has_ended() => Change::FiredResolved,
            (Some(true), Status::Resolved) => Change::Resolved,
            (Some(true), Status::Firing) => {
                if self.chain_flaps() > 0 || self.starts_anew(waiting) {
                    Change::Refired
                } else {
                    Change::Unchanged
                }
            }
        }
    }

    fn starts_anew(&self, waiting: &State) -> bool {
        let told_start = self.known().map_or(0, |known| known.starts_ms);
        waiting.flags.has(HeadFlags::REPLAY) || (told_start != 0 && waiting.starts_ms > told_start + SAME_START_MS)
    }

    /// Whether a state with so many flaps is a reminder that ended silently: then the chat knows all that it wants to.
    pub(super) fn is_ended_reminder(&self, state: &State, flaps: u16) -> bool {
        self.was_told_firing() && state.has_ended() && flaps <= 1 && !self.starts_anew(state)
    }

    /// The same of what waits.
    pub(super) fn waits_in_vain(&self) -> bool {
        self.waiting().is_some_and(|waiting| self.is_ended_reminder(&waiting, self.chain_flaps()))
    }

    /// When the oldest state was accepted that the waiting one stands for.
    pub(super) fn since(&self, waiting: &State) -> Millis {
        self.rare().map_or(waiting.accepted_ms, |rare| rare.chain.since(waiting))
    }

    pub(super) fn item(&self) -> Option<Item> {
        let waiting = &self.waiting()?;
        Some(Item {
            head: waiting.head(self.fingerprint, self.group),
            change: self.change(waiting),
            flaps: self.chain_flaps(),
            since_ms: self.since(waiting),
        })
    }

    pub(super) fn rank(&self) -> Option<Rank> {
        let waiting = &self.waiting()?;
        Some(Rank {
            unchanged: self.change(waiting) == Change::Unchanged,
            status: waiting.status(),
            severity: waiting.severity,
            since_ms: self.since(waiting),
            pos: waiting.pos,
        })
    }

    /// Its place among what waits; without meaning when nothing does.
    pub(super) fn urgency(&self) -> Urgency {
        match (&self.waiting, &self.more) {
            // On the worst day a million of these are compared with each other: nothing is known of them but what waits.
            (Some(waiting), None) => Urgency::of_news(waiting.status(), waiting.severity, waiting.accepted_ms()),
            _ => self.rank().map(Urgency::from).unwrap_or_default(),
        }
    }

    /// Whether it could be told now: no message about it is on its way.
    pub(super) fn is_listed(&self) -> bool {
        self.waiting.is_some() && self.flight().is_none()
    }

    /// Whether the chat was told that it fires, and not yet of its end.
    pub(super) fn was_told_firing(&self) -> bool {
        self.known().is_some_and(|known| known.fires())
    }

    /// Whether it is told as firing, and what waits of it says something else.
    pub(super) fn changes_told_firing(&self) -> bool {
        self.counts_in().is_some() && self.rank().is_some_and(|rank| !rank.unchanged)
    }

    /// Whether the chat knows, or will know, that it fires.
    pub(super) fn fires(&self) -> bool {
        self.held().is_some() || self.newest().is_some_and(|newest| newest.status == Status::Firing)
    }

    /// The group in which it counts as told and still firing: none while a message about it is on its way.
    pub(super) fn counts_in(&self) -> Option<GroupId> {
        (self.was_told_firing() && self.flight().is_none()).then_some(self.group)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.flight().is_none() && self.held().is_none()
    }
}
