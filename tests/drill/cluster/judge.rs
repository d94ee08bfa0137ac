//! What the rooms' records are held to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::incident::{Incident, Kind};
use super::team::Room;
use crate::chat::Chat;
use crate::judge;
use crate::ledger::{Ledger, Step};
use crate::report::Section;

/// How much earlier than an incident a message may have come that it caught in flight, and how much later one may come
/// that it delayed.
const SLACK: Duration = Duration::from_millis(1_500);

/// What the robots of one room recorded, as people read it: in the order in which it came.
pub fn merge(chats: &[Chat]) -> Chat {
    let mut all = chats[0].clone();
    for chat in &chats[1..] {
        all.messages.extend(chat.messages.iter().cloned());
        all.refused.extend(chat.refused.iter().cloned());
        all.raws.extend(chat.raws.iter().cloned());
        all.lines.extend(chat.lines.iter().cloned());
        all.older += chat.older;
    }
    all.messages.sort_by_key(|message| message.at);
    all
}

/// Duplicates by kind of incident, and late messages.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub duplicates: BTreeMap<Kind, usize>,
    pub late: usize,
}

/// One room's whole record.
pub fn room(section: &mut Section, room: &Room, chats: &[Chat], ledger: &Ledger, all: &[Incident], tally: &mut Tally) {
    for (robot, chat) in room.robots.iter().zip(chats) {
        judge::limits(section, &robot.name, chat);
    }
    let chat = merge(chats);
    let who = room.name;
    section
        .figure(format!("{who}: messages shown, requests"), format!("{}, {}", chat.messages.len(), chat.lines.len()));
    section.none(format!("{who}: messages that say nothing"), &chat.mute());
    section.none(format!("{who}: messages that do not add up in themselves"), &chat.wrong());
    judge::losses(section, who, &chat, ledger);
    disorder(section, who, &chat, all, tally);
    duplicates(section, who, room.robots.len(), &chat, all, tally);
}

fn around(incident: &Incident, at: Duration) -> bool {
    at + SLACK >= incident.from && at <= incident.to + SLACK
}

/// Older states after newer ones: only in a message that a stopped replica sends late, one for each stop.
pub fn disorder(section: &mut Section, who: &str, chat: &Chat, all: &[Incident], tally: &mut Tally) {
    let mut newest: BTreeMap<usize, Step> = BTreeMap::new();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (number, message) in chat.messages.iter().enumerate() {
        let older: Vec<String> = message
            .tells
            .iter()
            .filter_map(|(alert, step)| {
                let known = newest.get(alert).filter(|known| step < known)?;
                Some(format!("state {step} of alert {alert} after {known}"))
            })
            .collect();
        for (alert, step) in &message.tells {
            let known = newest.entry(*alert).or_insert(*step);
            *known = (*known).max(*step);
        }
        if older.is_empty() {
            continue;
        }
        let stop = all.iter().enumerate().find(|(n, one)| {
            one.kind == Kind::Stop && !used.contains(n) && message.at >= one.from && message.at <= one.to + SLACK
        });
        match stop {
            Some((n, _)) => {
                used.insert(n);
                tally.late += 1;
            }
            None => {
                let at = message.at.as_secs_f64();
                wrong.push(format!("message {number} at {at:.1} s tells {}", older.join(", ")));
            }
        }
    }
    section.none(format!("{who}: older states after newer ones"), &wrong);
}

/// Each message that is told twice has an incident that explains it, and no incident explains more of them than there are
/// robots: each had one message in flight.
pub fn duplicates(section: &mut Section, who: &str, robots: usize, chat: &Chat, all: &[Incident], tally: &mut Tally) {
    let repeats = chat.repeats();
    let explains: Vec<Vec<usize>> = repeats
        .iter()
        .map(|(message, before)| {
            let again = chat.messages[*message].at;
            let fits = |one: &Incident| before.iter().chain([&again]).any(|at| around(one, *at));
            (0..all.len() * robots).filter(|seat| fits(&all[seat / robots])).collect()
        })
        .collect();
    let mut seats: Vec<Option<usize>> = vec![None; all.len() * robots];
    let mut wrong = Vec::new();
    for (number, (message, before)) in repeats.iter().enumerate() {
        if !seat(number, &explains, &mut seats, &mut BTreeSet::new()) {
            let times: Vec<String> = before.iter().map(|at| format!("{:.1}", at.as_secs_f64())).collect();
            let at = chat.messages[*message].at.as_secs_f64();
            wrong.push(format!("message {message} at {at:.1} s repeats what was told at {} s", times.join(", ")));
        }
    }
    for (number, _) in seats.iter().enumerate().filter(|(_, taken)| taken.is_some()) {
        *tally.duplicates.entry(all[number / robots].kind).or_default() += 1;
    }
    section.figure(format!("{who}: messages told twice"), repeats.len());
    section.none(format!("{who}: told twice without, or too often for, an incident"), &wrong);
}

/// Finds a seat for a repeat, and moves others for it where need be.
fn seat(repeat: usize, explains: &[Vec<usize>], seats: &mut [Option<usize>], seen: &mut BTreeSet<usize>) -> bool {
    for at in &explains[repeat] {
        if !seen.insert(*at) {
            continue;
        }
        if seats[*at].is_none_or(|other| seat(other, explains, seats, seen)) {
            seats[*at] = Some(repeat);
            return true;
        }
    }
    false
}
