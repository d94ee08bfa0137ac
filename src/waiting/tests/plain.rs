//! The rules once more, as plainly as they can be said: lists, and everything is counted anew each time.

use std::collections::BTreeMap;

use crate::model::{Change, Fingerprint, GroupId, Head, HeadFlags, How, Millis, Status};
use crate::waiting::{Item, Options, Picked, Told};

/// What became of a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Untold,
    Told,
    Superseded,
    Dead,
}

/// A state as it compares with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) status: Status,
    starts_ms: Millis,
    ends_ms: Millis,
    accepted_ms: Millis,
    group: GroupId,
    repeats: bool,
}

/// Untold states of one alert in the order they came; silent resolves are among them when they ended one.
type Story = Vec<Head>;

#[derive(Clone, Debug, Default)]
pub(super) struct Alert {
    pub(super) told: Option<Known>,
    pub(super) waiting: Story,
    pub(super) flight: Story,
    /// How long the story was when its message was made.
    picked: usize,
    pub(super) held: Option<(Head, Millis)>,
}

#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) window_ms: Millis,
    pub(super) alerts: BTreeMap<Fingerprint, Alert>,
    pub(super) fates: BTreeMap<i64, Fate>,
}

fn silent(head: &Head) -> bool {
    head.status == Status::Resolved && head.flags.has(HeadFlags::SILENT)
}

/// The newest state of a story: the last that is not silent, with the end that came after it.
fn newest(story: &[Head]) -> Option<Head> {
    let at = story.iter().rposition(|head| !silent(head))?;
    let mut head = story[at];
    if let Some(end) = story.get(at + 1) {
        head.ends_ms = if end.ends_ms == 0 { end.accepted_ms } else { end.ends_ms };
        head.accepted_ms = end.accepted_ms;
    }
    Some(head)
}

fn ended(head: &Head) -> bool {
    head.status == Status::Firing && head.ends_ms != 0
}

fn status(head: &Head) -> Status {
    if ended(head) { Status::Resolved } else { head.status }
}

fn known(head: &Head) -> Known {
    Known {
        status: status(head),
        starts_ms: head.starts_ms,
        ends_ms: head.ends_ms,
        accepted_ms: head.accepted_ms,
        group: head.group,
        repeats: head.flags.has(HeadFlags::REPEAT),
    }
}

pub(super) fn flaps(story: &[Head]) -> u16 {
    u16::try_from(story.windows(2).filter(|pair| pair[0].status != pair[1].status).count()).unwrap()
}

fn starts_anew(told: &Known, head: &Head) -> bool {
    head.flags.has(HeadFlags::REPLAY) || (told.starts_ms != 0 && head.starts_ms > told.starts_ms + 1_000)
}

impl Alert {
    fn newest(&self) -> Option<Known> {
        newest(&self.waiting).or_else(|| newest(&self.flight)).as_ref().map(known).or(self.told)
    }

    pub(super) fn fires(&self) -> bool {
        self.held.is_some() || self.newest().is_some_and(|newest| newest.status == Status::Firing)
    }

    /// Whether this is the end of an earlier firing than the newest.
    pub(super) fn has_begun_after(&self, head: &Head) -> bool {
        self.newest().is_some_and(|newest| {
            (newest.status, head.status) == (Status::Firing, Status::Resolved)
                && head.starts_ms != 0
                && head.starts_ms + 1_000 < newest.starts_ms
                && (head.starts_ms + 1..=newest.starts_ms).contains(&head.ends_ms)
        })
    }

    pub(super) fn goes_on_after_a_silent_end(&self) -> bool {
        let story = [self.flight.as_slice(), self.waiting.as_slice()].concat();
        story.iter().rev().skip(1).any(silent)
    }

    pub(super) fn told_fires(&self) -> bool {
        self.told.is_some_and(|told| told.status == Status::Firing)
    }

    fn group(&self) -> Option<GroupId> {
        let untold = newest(&self.waiting).or_else(|| newest(&self.flight));
        untold.map(|head| head.group).or(self.told.map(|told| told.group))
    }

    fn change(&self) -> Change {
        let head = newest(&self.waiting).unwrap();
        match (self.told, status(&head)) {
            (None, Status::Firing) => Change::New,
            (None, Status::Resolved) => Change::FiredResolved,
            (Some(told), Status::Firing) if told.status == Status::Resolved => Change::Refired,
            (Some(told), Status::Resolved) if told.status == Status::Resolved => Change::FiredResolved,
            (Some(_), Status::Resolved) if ended(&head) => Change::FiredResolved,
            (Some(_), Status::Resolved) => Change::Resolved,
            (Some(told), Status::Firing) if flaps(&self.waiting) > 0 || starts_anew(&told, &head) => Change::Refired,
            (Some(_), Status::Firing) => Change::Unchanged,
        }
    }

    fn item(&self) -> Item {
        Item {
            head: newest(&self.waiting).unwrap(),
            change: self.change(),
            flaps: flaps(&self.waiting),
            since_ms: self.waiting.iter().find(|head| !silent(head)).unwrap().accepted_ms,
        }
    }

    fn can_be_told(&self) -> bool {
        newest(&self.waiting).is_some() && self.flight.is_empty()
    }

    /// An ended reminder says nothing.
    fn drop_ended_reminder(&mut self, fates: &mut BTreeMap<i64, Fate>) {
        let (Some(told), Some(head)) = (self.told, newest(&self.waiting)) else { return };
        if self.can_be_told()
            && told.status == Status::Firing
            && ended(&head)
            && flaps(&self.waiting) == 1
            && !starts_anew(&told, &head)
        {
            fates.insert(head.pos, Fate::Superseded);
            self.waiting.clear();
            let (ends_ms, accepted_ms) = (head.ends_ms, head.accepted_ms);
            self.told = Some(Known { status: Status::Resolved, ends_ms, accepted_ms, ..told });
        }
    }
}

fn is_critical(item: &Item) -> bool {
    matches!(item.change, Change::New | Change::Refired) && item.head.severity == 0
}

fn urgency(item: &Item) -> (bool, u8, Status, Millis) {
    (item.change == Change::Unchanged, item.head.severity, status(&item.head), item.since_ms)
}

fn in_message(item: &Item) -> (bool, Status, u8, Millis, i64) {
    let unchanged = item.change == Change::Unchanged;
    (unchanged, status(&item.head), item.head.severity, item.since_ms, item.head.pos)
}

impl Plain {
    pub(super) fn new(options: &Options) -> Self {
        let window_ms = i64::try_from(options.dedup_window.as_millis()).unwrap();
        Self { window_ms, alerts: BTreeMap::new(), fates: BTreeMap::new() }
    }

    pub(super) fn remember(&mut self, fingerprint: Fingerprint, group: GroupId, told: &Told) {
        let Told { status, starts_ms, ends_ms, accepted_ms, .. } = *told;
        let told = Known { status, starts_ms, ends_ms, accepted_ms, group, repeats: false };
        self.alerts.entry(fingerprint).or_default().told = Some(told);
    }

    pub(super) fn count(&self, fate: Fate) -> u64 {
        u64::try_from(self.fates.values().filter(|other| **other == fate).count()).unwrap()
    }

    pub(super) fn untold(&self) -> Vec<i64> {
        self.fates.iter().filter(|(_, fate)| **fate == Fate::Untold).map(|(pos, _)| *pos).collect()
    }

    fn ends(&mut self, pos: i64, fate: Fate) {
        let before = self.fates.insert(pos, fate);
        assert_eq!(before, Some(Fate::Untold), "position {pos} can not become {fate:?}");
    }

    pub(super) fn apply(&mut self, mut head: Head) {
        if head.status == Status::Firing {
            head.ends_ms = 0;
        }
        assert_eq!(self.fates.insert(head.pos, Fate::Untold), None);
        let due = self.alerts.get(&head.fingerprint).and_then(|alert| alert.held);
        if due.is_some_and(|(_, until)| until <= head.accepted_ms) {
            self.wake_one(head.fingerprint);
        }
        self.judge(head);
    }

    fn judge(&mut self, head: Head) {
        let window = self.window_ms;
        let alert = self.alerts.entry(head.fingerprint).or_default();
        let Some(newest) = alert.newest() else {
            return if silent(&head) { self.ends(head.pos, Fate::Superseded) } else { self.news(head) };
        };
        if head.flags.has(HeadFlags::REPLAY) {
            let told = alert.waiting.is_empty() && alert.flight.is_empty() && alert.held.is_none();
            return if told { self.news(head) } else { self.ends(head.pos, Fate::Superseded) };
        }
        if alert.has_begun_after(&head) {
            return self.ends(head.pos, Fate::Superseded);
        }
        if silent(&head) {
            return self.silence(head);
        }
        let within = head.accepted_ms - newest.accepted_ms <= window;
        match (newest.status, head.status) {
            (Status::Firing, Status::Resolved) => self.news(head),
            (Status::Firing, Status::Firing) => {
                let first_reminder = head.flags.has(HeadFlags::REPEAT) && !newest.repeats;
                if within && !first_reminder { self.ends(head.pos, Fate::Superseded) } else { self.news(head) }
            }
            (Status::Resolved, Status::Resolved) => {
                let unseen_firing =
                    newest.ends_ms > 0 && head.starts_ms > newest.ends_ms && head.ends_ms > head.starts_ms;
                if unseen_firing {
                    return self.news(head);
                }
                self.drop_held(head.fingerprint);
                self.ends(head.pos, Fate::Superseded);
            }
            (Status::Resolved, Status::Firing) => {
                let perhaps_copy = head.starts_ms != 0
                    && newest.starts_ms != 0
                    && (head.starts_ms <= newest.starts_ms + 1_000 || head.starts_ms < newest.ends_ms);
                if within && perhaps_copy {
                    self.drop_held(head.fingerprint);
                    let until = newest.accepted_ms.min(head.accepted_ms) + window;
                    self.alerts.get_mut(&head.fingerprint).unwrap().held = Some((head, until));
                } else {
                    self.news(head);
                }
            }
        }
    }

    fn drop_held(&mut self, fingerprint: Fingerprint) {
        if let Some((held, _)) = self.alerts.get_mut(&fingerprint).and_then(|alert| alert.held.take()) {
            self.ends(held.pos, Fate::Superseded);
        }
    }

    fn news(&mut self, head: Head) {
        self.drop_held(head.fingerprint);
        let alert = self.alerts.get_mut(&head.fingerprint).unwrap();
        let replaced = newest(&alert.waiting);
        alert.waiting.push(head);
        if let Some(replaced) = replaced {
            self.ends(replaced.pos, Fate::Superseded);
        }
    }

    fn silence(&mut self, head: Head) {
        self.drop_held(head.fingerprint);
        self.ends(head.pos, Fate::Superseded);
        let alert = self.alerts.get_mut(&head.fingerprint).unwrap();
        if alert.newest().unwrap().status == Status::Resolved {
            return;
        }
        if !alert.waiting.is_empty() {
            alert.waiting.push(head);
        } else if !alert.flight.is_empty() {
            alert.flight.push(head);
        } else if let Some(told) = &mut alert.told {
            told.status = Status::Resolved;
            told.ends_ms = if head.ends_ms == 0 { head.accepted_ms } else { head.ends_ms };
            told.accepted_ms = head.accepted_ms;
        }
        alert.drop_ended_reminder(&mut self.fates);
    }

    fn wake_one(&mut self, fingerprint: Fingerprint) {
        if let Some((head, _)) = self.alerts.get_mut(&fingerprint).and_then(|alert| alert.held.take()) {
            self.news(head);
        }
    }

    pub(super) fn next_wake_ms(&self) -> Option<Millis> {
        self.alerts.values().filter_map(|alert| alert.held.map(|held| held.1)).min()
    }

    pub(super) fn wake(&mut self, now_ms: Millis) {
        for fingerprint in self.alerts.keys().copied().collect::<Vec<_>>() {
            if let Some((_, until)) = self.alerts[&fingerprint].held
                && (until <= now_ms || until > now_ms + self.window_ms)
            {
                self.wake_one(fingerprint);
            }
        }
    }

    pub(super) fn oldest_ms(&self) -> Option<Millis> {
        let first = |story: &Story| story.iter().find(|head| !silent(head)).map(|head| head.accepted_ms);
        let of =
            |alert: &Alert| [first(&alert.waiting), first(&alert.flight), alert.held.map(|held| held.0.accepted_ms)];
        self.alerts.values().flat_map(of).flatten().min()
    }

    pub(super) fn groups(&self) -> BTreeMap<GroupId, Vec<Item>> {
        let mut groups: BTreeMap<GroupId, Vec<Item>> = BTreeMap::new();
        for alert in self.alerts.values().filter(|alert| alert.can_be_told()) {
            groups.entry(alert.group().unwrap()).or_default().push(alert.item());
        }
        groups
    }

    /// The most urgent first: a group is as urgent as its most urgent alert.
    fn by_urgency(&self) -> Vec<(GroupId, Vec<Item>)> {
        let mut groups: Vec<_> = self.groups().into_iter().collect();
        groups.iter_mut().for_each(|(_, items)| items.sort_by_key(|item| (urgency(item), item.head.pos)));
        groups.sort_by_key(|(id, items)| (urgency(&items[0]), *id));
        groups
    }

    pub(super) fn critical(&self) -> Vec<Millis> {
        let mut oldest: Vec<Millis> = self
            .groups()
            .values()
            .filter_map(|items| items.iter().filter(|item| is_critical(item)).map(|item| item.since_ms).min())
            .collect();
        oldest.sort_unstable();
        oldest
    }

    pub(super) fn pick(&mut self, most: usize) -> Option<Picked> {
        let (group, mut items) = self.by_urgency().into_iter().next()?;
        items.sort_by_key(in_message);
        items.truncate(most.max(1));
        Some(self.take(group, items))
    }

    pub(super) fn pick_critical(&mut self) -> Option<Picked> {
        let with_critical = |(_, items): &(GroupId, Vec<Item>)| items.iter().any(is_critical);
        let (group, mut items) = self.by_urgency().into_iter().find(with_critical)?;
        items.retain(is_critical);
        items.sort_by_key(in_message);
        Some(self.take(group, items))
    }

    pub(super) fn pick_some(&mut self, most: usize) -> Vec<Item> {
        let items: Vec<Item> = self.by_urgency().into_iter().flat_map(|(_, items)| items).take(most.max(1)).collect();
        items.iter().for_each(|item| self.take_off(item.head.fingerprint));
        items
    }

    fn take(&mut self, group: GroupId, items: Vec<Item>) -> Picked {
        let still_firing = self.alerts.iter().filter(|(fingerprint, alert)| {
            let among = items.iter().any(|item| item.head.fingerprint == **fingerprint);
            let changed = alert.can_be_told() && alert.change() != Change::Unchanged;
            let flies = !alert.flight.is_empty();
            alert.told_fires() && alert.group() == Some(group) && !among && !changed && !flies
        });
        let still_firing = u32::try_from(still_firing.count()).unwrap();
        for item in &items {
            self.take_off(item.head.fingerprint);
        }
        let reminder = items.iter().all(|item| item.change == Change::Unchanged);
        Picked { group, items, still_firing, reminder }
    }

    fn take_off(&mut self, fingerprint: Fingerprint) {
        let alert = self.alerts.get_mut(&fingerprint).unwrap();
        assert!(alert.flight.is_empty(), "two messages at once about one alert");
        alert.flight = std::mem::take(&mut alert.waiting);
        alert.picked = alert.flight.len();
    }

    pub(super) fn lock(&mut self, versions: &[(i64, Fingerprint)]) -> Vec<Item> {
        let mut items = Vec::new();
        for (pos, fingerprint) in versions {
            let Some(alert) = self.alerts.get(fingerprint) else { continue };
            if alert.held.is_some_and(|(head, _)| head.pos == *pos) {
                self.wake_one(*fingerprint);
            }
            let alert = &self.alerts[fingerprint];
            if alert.can_be_told() && newest(&alert.waiting).unwrap().pos == *pos {
                items.push(alert.item());
                self.take_off(*fingerprint);
            }
        }
        items
    }

    pub(super) fn told(&mut self, told: &[(i64, Fingerprint, How)]) {
        for (pos, fingerprint, _) in told {
            self.ends(*pos, Fate::Told);
            let alert = self.alerts.get_mut(fingerprint).unwrap();
            let head = newest(&std::mem::take(&mut alert.flight)).unwrap();
            assert_eq!(head.pos, *pos);
            alert.told = Some(known(&head));
            alert.drop_ended_reminder(&mut self.fates);
        }
    }

    pub(super) fn released(&mut self, versions: &[(i64, Fingerprint)]) {
        for (pos, fingerprint) in versions {
            let alert = self.alerts.get_mut(fingerprint).unwrap();
            let newer = std::mem::take(&mut alert.waiting);
            alert.waiting = std::mem::take(&mut alert.flight);
            alert.drop_ended_reminder(&mut self.fates);
            let replaced = !alert.waiting.is_empty() && !newer.is_empty();
            alert.waiting.extend(newer);
            alert.drop_ended_reminder(&mut self.fates);
            if replaced {
                self.ends(*pos, Fate::Superseded);
            }
        }
    }

    /// They died, or went to another bot.
    pub(super) fn leave(&mut self, versions: &[(i64, Fingerprint)], fate: Fate) {
        for (pos, fingerprint) in versions {
            self.ends(*pos, fate);
            let alert = self.alerts.get_mut(fingerprint).unwrap();
            let story = std::mem::take(&mut alert.flight);
            let head = newest(&story).unwrap();
            if alert.picked < story.len()
                && let Some(told) = alert.told.as_mut().filter(|told| told.status == Status::Firing)
            {
                told.status = Status::Resolved;
                told.ends_ms = head.ends_ms;
                told.accepted_ms = head.accepted_ms;
            }
            alert.drop_ended_reminder(&mut self.fates);
            if let Some((held, _)) = alert.held.take() {
                self.judge(held);
            }
        }
    }
}
