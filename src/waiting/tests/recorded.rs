//! Recorded bodies of Alertmanager.
use crate::model::Notification;

use super::*;

/// The states of a recorded body as one bot would get them, accepted at a time in seconds.
fn recorded(file: &str, at: i64) -> Vec<State> {
    let path = format!("{}/tests/fixtures/payloads/{file}.body", env!("CARGO_MANIFEST_DIR"));
    let body = Notification::parse(&std::fs::read(path).unwrap()).unwrap();
    let time = |time: Option<jiff::Timestamp>| time.map_or(0, jiff::Timestamp::as_millisecond);
    let flags = if body.reason == "repeat interval elapsed" { HeadFlags::REPEAT } else { 0 };
    body.alerts
        .iter()
        .map(|alert| {
            State(Head {
                fingerprint: alert.fingerprint,
                group: group_id(&body.group_key),
                status: alert.status,
                flags: HeadFlags(flags),
                starts_ms: time(alert.starts_at),
                ends_ms: time(alert.ends_at),
                ..firing("").at(at).0
            })
        })
        .collect()
}

impl Chat {
    fn hears_body(&mut self, file: &str, at: i64) -> Vec<Change> {
        recorded(file, at).into_iter().for_each(|state| {
            self.hears(state);
        });
        let mut said: Vec<_> = self.says().into_iter().map(|(_, change)| change).collect();
        said.sort_by_key(|change| format!("{change:?}"));
        said
    }
}

#[test]
fn the_twins_copy_is_a_repeat() {
    let mut chat = chat();
    assert_eq!(chat.hears_body("ha_duplicate_from_position_0", 2), [Change::New]);
    assert_eq!(chat.hears_body("ha_duplicate_from_position_1", 17), []);
    assert_eq!(chat.queue.repeats(), 1);
}

#[test]
fn a_recorded_repeat_is_one_within_the_window_and_a_reminder_after() {
    let mut chat = chat();
    assert_eq!(chat.hears_body("one_firing", 2), [Change::New]);
    assert_eq!(chat.hears_body("one_firing_repeat", 30), []);
    assert_eq!(chat.hears_body("one_firing_repeat", 300), [Change::Unchanged]);
}

#[test]
fn the_recorded_life_of_a_group() {
    let mut chat = chat();
    assert_eq!(chat.hears_body("am0331_first_notification", 2), [Change::New, Change::New]);
    assert_eq!(chat.hears_body("am0331_new_alerts_added", 12), [Change::New]);
    assert_eq!(chat.hears_body("am0331_some_alerts_resolved", 22), [Change::Resolved]);
    assert_eq!(chat.hears_body("am0331_repeat_interval_elapsed", 32), [Change::Unchanged, Change::Unchanged]);
    assert_eq!(chat.hears_body("am0331_repeat_interval_elapsed", 33), [], "the twin's");
    // One of the three had been resolved before.
    assert_eq!(chat.hears_body("am0331_all_alerts_resolved", 42), [Change::Resolved, Change::Resolved]);
    assert_eq!(chat.hears_body("am0331_all_alerts_resolved", 900), []);
}

#[test]
fn a_resolve_that_a_client_posts_again_is_told_once() {
    let mut chat = chat();
    assert_eq!(chat.hears_body("group3_firing", 2).len(), 3);
    assert_eq!(chat.hears_body("group3_one_resolved", 7), [Change::Resolved]);
    assert_eq!(chat.hears_body("group3_all_resolved", 22), [Change::Resolved, Change::Resolved]);
}
