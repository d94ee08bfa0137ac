//! When a digest leaves, and when groups leave one by one.
use std::time::Duration;

use crate::model::{Millis, StormState};
use crate::waiting::{Demand, Plan, Storm, StormOptions};

const OPTIONS: StormOptions = StormOptions { interval: Duration::from_secs(30), threshold: 8 };
const SPACING: Duration = Duration::from_millis(3_030);
/// The wall clock at the monotonic time 0.
const WALL: Millis = 1_700_000_000_000;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wall(seconds: i64) -> Millis {
    WALL + seconds * 1_000
}

/// What waits after so many seconds: groups, and since when there is news of critical alerts.
fn plan(storm: &mut Storm, seconds: u64, groups: usize, critical: &[i64]) -> Plan {
    planned(storm, seconds, groups, critical, 1)
}

fn planned(storm: &mut Storm, seconds: u64, groups: usize, critical: &[i64], tokens: u32) -> Plan {
    let critical: Vec<Millis> = critical.iter().map(|since| wall(*since)).collect();
    let now_ms = wall(i64::try_from(seconds).unwrap());
    let now = at(seconds);
    let demand = Demand { groups, critical: &critical, tokens, spacing: SPACING, now, now_ms };
    storm.plan(&demand, &OPTIONS)
}

fn digest(storm: &mut Storm, seconds: u64) {
    storm.leaves();
    let after = storm.after(true, 10, 5, wall(i64::try_from(seconds).unwrap()));
    storm.delivered(true, after, at(seconds));
}

/// A storm whose digests were delivered then.
fn raging(digests: &[u64]) -> Storm {
    let mut storm = Storm::default();
    assert_eq!(plan(&mut storm, digests[0], 100, &[]), Plan::Digest);
    digests.iter().for_each(|seconds| digest(&mut storm, *seconds));
    assert!(storm.is_on());
    storm
}

const fn until(seconds: u64) -> Plan {
    Plan::Wait(Some(Duration::from_secs(seconds)))
}

#[test]
fn what_the_robot_can_say_in_half_a_minute_leaves_one_by_one() {
    let mut storm = Storm::default();
    for (groups, right) in [(0, Plan::Wait(None)), (1, Plan::Group), (8, Plan::Group)] {
        assert_eq!(plan(&mut storm, 0, groups, &[0, 0]), right);
        assert!(!storm.is_on());
        assert_eq!(storm.after(false, 1, 1, wall(0)), None);
    }
}

#[test]
fn more_begins_a_storm_with_a_digest_at_once() {
    let mut storm = Storm::default();
    assert_eq!(plan(&mut storm, 5, 9, &[5]), Plan::Digest);
    assert!(storm.is_on());
    let after = storm.after(false, 0, 0, wall(99)).unwrap();
    assert_eq!((after.since_ms, after.digests), (wall(5), 0));
    assert_eq!(plan(&mut storm, 6, 9, &[]), Plan::Digest, "it has not left yet");
}

#[test]
fn while_a_digest_is_on_its_way_only_critical_alerts_leave() {
    let mut storm = raging(&[0]);
    storm.leaves();
    for seconds in [1, 30, 1_000] {
        assert_eq!(plan(&mut storm, seconds, 100, &[]), Plan::Wait(None));
        assert_eq!(plan(&mut storm, seconds, 100, &[0, 0, 0]), Plan::Critical);
        assert_eq!(plan(&mut storm, seconds, 0, &[]), Plan::Wait(None));
    }
    assert!(storm.is_on());
}

#[test]
fn the_next_digest_is_due_an_interval_later() {
    let mut storm = raging(&[10]);
    for groups in [0, 1, 3, 100] {
        assert_eq!(plan(&mut storm, 39, groups, &[]), until(40));
    }
    assert_eq!(plan(&mut storm, 40, 3, &[]), Plan::Digest);
    assert_eq!(plan(&mut storm, 45, 100, &[40]), Plan::Digest);
}

#[test]
fn a_storm_ends_when_little_waits_at_a_digests_time() {
    for (groups, right) in [(0, Plan::Wait(None)), (1, Plan::Group), (2, Plan::Group)] {
        let mut storm = raging(&[10]);
        assert_eq!(plan(&mut storm, 40, groups, &[]), right);
        assert!(!storm.is_on());
        assert_eq!(plan(&mut storm, 41, 8, &[]), Plan::Group);
    }
    let one = StormOptions { threshold: 1, ..OPTIONS };
    let mut storm = Storm::default();
    let demand = Demand { groups: 1, critical: &[], tokens: 1, spacing: SPACING, now: at(0), now_ms: WALL };
    assert_eq!(storm.plan(&demand, &one), Plan::Group);
    assert_eq!(storm.plan(&Demand { groups: 2, ..demand }, &one), Plan::Digest);
    digest(&mut storm, 0);
    assert_eq!(storm.plan(&Demand { now: at(30), ..demand }, &one), Plan::Group);
    assert!(!storm.is_on());
}

#[test]
fn a_storm_that_begins_anew_waits_for_the_interval_since_the_last_digest() {
    let mut storm = raging(&[0]);
    assert_eq!(plan(&mut storm, 30, 0, &[]), Plan::Wait(None));
    let mut long_after = raging(&[0]);
    assert_eq!(plan(&mut long_after, 30, 0, &[]), Plan::Wait(None));
    assert_eq!(plan(&mut long_after, 31, 9, &[]), Plan::Digest);
    // With a longer interval, from a reload.
    let longer = StormOptions { interval: at(60), ..OPTIONS };
    let demand = Demand { groups: 9, critical: &[], tokens: 1, spacing: SPACING, now: at(31), now_ms: wall(31) };
    assert_eq!(storm.plan(&demand, &longer), until(60));
    assert!(storm.is_on());
    let late = [wall(31)];
    assert_eq!(storm.plan(&Demand { critical: &late, ..demand }, &longer), Plan::Critical);
}

#[test]
fn a_digest_that_was_not_told_does_not_count() {
    let mut storm = raging(&[0]);
    assert_eq!(plan(&mut storm, 30, 9, &[]), Plan::Digest);
    storm.leaves();
    storm.stays();
    assert_eq!(plan(&mut storm, 31, 9, &[]), Plan::Digest);
    assert_eq!(storm.after(false, 0, 0, wall(31)).unwrap().digests, 1);
}

#[test]
fn after_a_digest_that_could_not_hold_all_the_next_leaves_at_once() {
    let mut storm = raging(&[0]);
    storm.fell_short();
    assert_eq!(plan(&mut storm, 1, 100, &[]), Plan::Digest);
    digest(&mut storm, 1);
    assert_eq!(plan(&mut storm, 2, 100, &[]), until(31), "that one held all");
    storm.fell_short();
    assert_eq!(plan(&mut storm, 3, 2, &[]), Plan::Group, "little is left");
    assert_eq!(plan(&mut storm, 4, 100, &[]), until(31), "and that storm is over");
}

#[test]
fn critical_alerts_leave_alone_while_there_are_tokens_and_a_burst_gathers() {
    let mut storm = raging(&[0]);
    for (critical, tokens, right) in [
        (&[18][..], 1, Plan::Critical),
        (&[18, 18], 2, Plan::Critical),
        (&[18, 18], 1, Plan::Digest),
        (&[18, 18, 20], 2, Plan::Digest),
        (&[18], 0, Plan::Digest),
        (&[19, 20], 1, until(21)),
        (&[20, 20], 1, until(22)),
        (&[20, 20], 2, Plan::Critical),
    ] {
        assert_eq!(planned(&mut storm, 20, 100, critical, tokens), right, "{critical:?} {tokens}");
    }
}

#[test]
fn digests_for_critical_alerts_leave_room_for_those_that_will_be_due() {
    let more = [93, 93];
    // Three within half a minute, and the next one is due at 100: a fourth now would make five within the minute from 73.
    for (digests, now, right) in [
        (&[70][..], 95, Plan::Digest),
        (&[70, 73], 95, Plan::Digest),
        (&[70, 73, 76], 95, Plan::Critical),
        (&[30, 70, 73], 95, Plan::Digest),
        (&[36, 37, 70, 73], 95, Plan::Critical),
        (&[36, 40, 50, 89], 95, Plan::Critical),
        (&[36, 40, 50, 89], 97, Plan::Digest),
    ] {
        assert_eq!(plan(&mut raging(digests), now, 100, &more), right, "{digests:?} {now}");
    }
    // Where digests are due more often than that anyway.
    let often = StormOptions { interval: at(5), ..OPTIONS };
    let mut storm = raging(&[80, 85, 90]);
    let now_ms = wall(93);
    let critical = [wall(91); 2];
    let demand = Demand { groups: 9, critical: &critical, tokens: 1, spacing: SPACING, now: at(93), now_ms };
    assert_eq!(storm.plan(&demand, &often), Plan::Critical);
    assert_eq!(storm.plan(&Demand { now: at(95), ..demand }, &often), Plan::Digest);
}

#[test]
fn no_critical_alert_waits_for_ten_seconds_behind_others() {
    let digests = [70, 73, 76, 80];
    for (critical, right) in [
        (&[80, 94][..], Plan::Critical),
        (&[80, 91], Plan::Critical),
        (&[80, 90], Plan::Digest),
        (&[80, 80, 80], Plan::Digest),
        (&[10], Plan::Critical),
    ] {
        assert_eq!(planned(&mut raging(&digests), 95, 100, critical, 5), right, "{critical:?}");
    }
}

#[test]
fn what_is_said_of_a_storm() {
    let mut storm = raging(&[100, 130]);
    let after = storm.after(false, 1, 2, wall(131)).unwrap();
    let recent_ms = [0, 0, wall(100), wall(130)];
    assert_eq!(after, StormState { since_ms: wall(100), recent_ms, digests: 2, firing: 21, resolved: 12 });
    assert_eq!(after.last_digest_ms(), wall(130));
    storm.delivered(false, Some(after), at(131));
    [160, 190, 220].iter().for_each(|seconds| digest(&mut storm, *seconds));
    let after = storm.after(false, 0, 0, wall(231)).unwrap();
    assert_eq!(after.recent_ms, [130, 160, 190, 220].map(wall));
    assert_eq!((after.digests, after.firing, after.resolved), (5, 51, 27));
    assert_eq!(plan(&mut storm, 249, 100, &[]), until(250), "single messages do not move it");
}

#[test]
fn two_robots_that_tell_at_once_neither_take_back_nor_bring_back() {
    let mut storm = raging(&[0]);
    let alone = storm.after(false, 7, 0, wall(30));
    storm.leaves();
    let digest = storm.after(true, 100, 50, wall(31));
    storm.delivered(true, digest, at(31));
    storm.delivered(false, alone, at(32));
    let after = storm.after(false, 0, 0, wall(33)).unwrap();
    assert_eq!((after.digests, after.last_digest_ms(), after.firing), (2, wall(31), 110));
    // One that left before the storm.
    storm.delivered(false, None, at(34));
    assert!(storm.is_on());
    // One that left before its end.
    assert_eq!(plan(&mut storm, 61, 0, &[]), Plan::Wait(None));
    storm.delivered(false, alone, at(62));
    assert!(!storm.is_on());
    // One that left in an earlier storm.
    assert_eq!(plan(&mut storm, 63, 9, &[]), Plan::Digest);
    storm.delivered(false, alone, at(64));
    assert_eq!(storm.after(false, 0, 0, wall(65)).map(|after| (after.since_ms, after.firing)), Some((wall(63), 0)));
}

#[test]
fn a_digest_outside_a_storm_begins_one() {
    let mut storm = Storm::default();
    let after = storm.after(true, 3, 0, wall(10));
    assert_eq!(after.map(|after| (after.since_ms, after.digests, after.firing)), Some((wall(10), 1, 3)));
    storm.leaves();
    storm.delivered(true, after, at(10));
    assert_eq!(plan(&mut storm, 11, 3, &[]), until(40));
}

#[test]
fn a_storm_goes_on_after_a_restart() {
    let stored = raging(&[100, 130]).after(false, 0, 0, wall(140)).unwrap();
    // Ten seconds after the last digest, by the wall clock; the monotonic one begins anew.
    let mut storm = Storm::restore(Some(stored), &OPTIONS, wall(140), at(0));
    let demand = |now| Demand { groups: 9, critical: &[], tokens: 1, spacing: SPACING, now: at(now), now_ms: wall(0) };
    assert_eq!(storm.plan(&demand(1), &OPTIONS), until(20));
    assert_eq!(storm.plan(&demand(20), &OPTIONS), Plan::Digest);
    assert_eq!(storm.after(false, 0, 0, 0), Some(stored));
    // Times in the future count as now.
    let mut future = Storm::restore(Some(stored), &OPTIONS, wall(0), at(7));
    assert_eq!(future.plan(&demand(8), &OPTIONS), until(37));
    // Two digests in this minute, and room for one more.
    let critical = [wall(-2); 2];
    let hurried = Demand { critical: &critical, ..demand(8) };
    assert_eq!(future.plan(&hurried, &OPTIONS), Plan::Digest);
    assert_eq!(Storm::restore(None, &OPTIONS, wall(0), at(7)).plan(&demand(8), &OPTIONS), Plan::Digest);
}

#[test]
fn a_storm_that_ended_before_a_restart_stays_ended() {
    let stored = raging(&[100, 130]).after(false, 0, 0, wall(140)).unwrap();
    for (seconds, on) in [(190, true), (191, false), (1_000_000, false)] {
        assert_eq!(Storm::restore(Some(stored), &OPTIONS, wall(seconds), at(0)).is_on(), on, "{seconds}");
    }
    // One that has told only critical alerts yet.
    let first = StormState { since_ms: wall(130), recent_ms: [0; StormState::RECENT], ..stored };
    assert!(Storm::restore(Some(first), &OPTIONS, wall(140), at(0)).is_on());
}

#[test]
fn odd_values_do_no_harm() {
    let times = [Millis::MIN, -1, 0, 1, WALL, Millis::MAX];
    let durations = [Duration::ZERO, Duration::from_nanos(1), at(60), Duration::MAX];
    for state in [
        StormState::default(),
        StormState {
            recent_ms: [Millis::MAX, Millis::MIN, 0, -1],
            ..raging(&[0]).after(true, u64::MAX, 1, 3).unwrap()
        },
    ] {
        for (now_ms, now) in times.iter().flat_map(|time| durations.map(|duration| (*time, duration))) {
            let mut storm = Storm::restore(Some(state), &OPTIONS, now_ms, now);
            let after = storm.after(true, u64::MAX, u64::MAX, Millis::MIN);
            storm.delivered(true, after, now);
            for (interval, threshold) in durations.iter().zip([0, 1, 8, usize::MAX]) {
                for (since, groups) in times.iter().zip([0, 1, 2, 3, 100, usize::MAX]) {
                    let critical = [*since; 3];
                    for (spacing, tokens) in durations.iter().zip([0, 1, 2, u32::MAX]) {
                        let demand = Demand { groups, critical: &critical, tokens, spacing: *spacing, now, now_ms };
                        let options = StormOptions { interval: *interval, threshold };
                        storm.plan(&demand, &options);
                        storm.plan(&Demand { critical: &[], ..demand }, &options);
                    }
                }
            }
        }
    }
}
