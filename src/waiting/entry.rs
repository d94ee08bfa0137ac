//! What the index knows of one alert.

use super::Told;
use crate::model::{Change, GroupId, Head, HeadFlags, Millis, Status};

/// A state that waits, with what it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) head: Head,
    /// Changes of status absorbed while waiting.
    pub(super) flaps: u16,
    /// Acceptance of the oldest state it stands for.
    pub(super) since_ms: Millis,
}

impl Waiting {
    pub(super) const fn of(head: Head) -> Self {
        Self { head, flaps: 0, since_ms: head.accepted_ms }
    }

    /// The newer state, standing also for this one.
    pub(super) fn replaced_by(self, head: Head) -> Self {
        let turned = u16::from(head.status != self.head.status);
        Self { head, flaps: self.flaps.saturating_add(turned), since_ms: self.since_ms }
    }
}

/// One alert. The rare parts are boxed: a million of these wait on the worst day.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) group: GroupId,
    pub(super) told: Option<Box<Told>>,
    pub(super) waiting: Option<Waiting>,
    /// The version in a message that is being sent.
    pub(super) flight: Option<Box<Waiting>>,
    /// A firing that may be a late copy of one that has ended; with the time until which it is held.
    pub(super) held: Option<Box<(Head, Millis)>>,
    /// Whether the newest state came in a body that said "repeat interval elapsed".
    pub(super) newest_repeats: bool,
}

/// The newest state that an arriving one is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) status: Status,
    pub(super) starts_ms: Millis,
    pub(super) ends_ms: Millis,
    pub(super) accepted_ms: Millis,
}

/// What an arriving state is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// Something to tell (perhaps only as unchanged).
    News,
    /// The same again.
    Repeat,
    /// Perhaps a late copy: hold it until then.
    Hold(Millis),
    /// A resolve for a chat that does not want to hear of resolves.
    Silent,
}

impl Entry {
    pub(super) fn newest(&self) -> Option<Newest> {
        let head = self.waiting.as_ref().map(|w| w.head).or_else(|| self.flight.as_ref().map(|w| w.head));
        match (head, &self.told) {
            (Some(head), _) => Some(Newest {
                status: head.status,
                starts_ms: head.starts_ms,
                ends_ms: head.ends_ms,
                accepted_ms: head.accepted_ms,
            }),
            (None, Some(told)) => Some(Newest {
                status: told.status,
                starts_ms: told.starts_ms,
                ends_ms: told.ends_ms,
                accepted_ms: told.accepted_ms,
            }),
            (None, None) => None,
        }
    }

    /// Compares an arriving state with the newest one only (design section 3, "Duplicates").
    pub(super) fn classify(&self, head: &Head, window_ms: Millis) -> Arrival {
        let Some(newest) = self.newest() else {
            return if head.flags.has(HeadFlags::SILENT) { Arrival::Silent } else { Arrival::News };
        };
        if head.flags.has(HeadFlags::REPLAY) {
            return Arrival::News;
        }
        // A wall clock that stepped back makes later bodies look earlier: they count as within the window.
        let within = head.accepted_ms - newest.accepted_ms <= window_ms;
        match (newest.status, head.status) {
            (Status::Firing, Status::Firing) => {
                let first_reminder = head.flags.has(HeadFlags::REPEAT) && !self.newest_repeats;
                if within && !first_reminder { Arrival::Repeat } else { Arrival::News }
            }
            (Status::Resolved, Status::Resolved) => {
                let later_episode = newest.ends_ms > 0 && head.starts_ms > newest.ends_ms;
                match (later_episode, head.flags.has(HeadFlags::SILENT)) {
                    (_, true) => Arrival::Silent,
                    (true, false) => Arrival::News,
                    (false, false) => Arrival::Repeat,
                }
            }
            (Status::Firing, Status::Resolved) if head.flags.has(HeadFlags::SILENT) => Arrival::Silent,
            (Status::Firing, Status::Resolved) => Arrival::News,
            (Status::Resolved, Status::Firing) => {
                let same_episode = head.starts_ms != 0 && newest.starts_ms != 0 && head.starts_ms <= newest.starts_ms;
                if within && same_episode { Arrival::Hold(newest.accepted_ms + window_ms) } else { Arrival::News }
            }
        }
    }

    /// What a waiting state means to a chat that was told `self.told`.
    pub(super) fn change(&self, waiting: &Waiting) -> Change {
        let Some(told) = &self.told else {
            return match waiting.head.status {
                Status::Firing => Change::New,
                Status::Resolved => Change::FiredResolved,
            };
        };
        match (told.status, waiting.head.status) {
            (Status::Firing, Status::Resolved) => Change::Resolved,
            (Status::Resolved, Status::Resolved) => Change::FiredResolved,
            (Status::Resolved, Status::Firing) => Change::Refired,
            (Status::Firing, Status::Firing) => {
                let later = told.starts_ms != 0 && waiting.head.starts_ms > told.starts_ms;
                let replayed = waiting.head.flags.has(HeadFlags::REPLAY);
                if later || waiting.flaps > 0 || replayed { Change::Refired } else { Change::Unchanged }
            }
        }
    }

    /// Whether the chat knows, or will know, that it fires.
    pub(super) fn fires(&self) -> bool {
        self.held.is_some() || self.newest().is_some_and(|newest| newest.status == Status::Firing)
    }

    pub(super) fn told_firing(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.status == Status::Firing)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.flight.is_none() && self.held.is_none()
    }
}
