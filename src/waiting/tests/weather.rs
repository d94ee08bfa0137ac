//! Whole storms, against a robot that takes a message at regular times and tells at once.
use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::Millis;
use crate::waiting::{Demand, Plan, Storm, StormOptions};

const OPTIONS: StormOptions = StormOptions { interval: Duration::from_secs(30), threshold: 8 };
const INTERVAL_MS: Millis = 30_000;
const LITTLE: Millis = 2;

#[derive(Default)]
struct Seen {
    /// When each digest left, and whether with critical alerts.
    digests: Vec<(Millis, bool)>,
    singles: usize,
    /// How long the one that waited longest waited.
    longest_ms: Millis,
    longest_critical_ms: Millis,
}

impl Seen {
    fn tells(&mut self, waited: impl IntoIterator<Item = Millis>) {
        self.longest_ms = waited.into_iter().fold(self.longest_ms, Millis::max);
    }

    fn tells_critical(&mut self, waited: impl IntoIterator<Item = Millis>) {
        self.longest_critical_ms = waited.into_iter().fold(self.longest_critical_ms, Millis::max);
    }

    /// The most digests that left within one minute.
    fn in_a_minute(&self) -> usize {
        let within = |from: Millis| self.digests.iter().filter(|(at, _)| (from..from + 60_000).contains(at)).count();
        self.digests.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }
}

/// Lets groups of one alert come at these times, and time pass until all is told and the storm is over.
fn storm(arrivals: &[(Millis, bool)], spacing_ms: Millis) -> Seen {
    let (mut storm, mut seen) = (Storm::default(), Seen::default());
    let mut coming: VecDeque<_> = arrivals.iter().copied().collect();
    let (mut critical, mut others): (VecDeque<Millis>, VecDeque<Millis>) = Default::default();
    let (mut now, mut free_at) = (0, 0);
    loop {
        while let Some((at, is_critical)) = coming.front().copied().filter(|(at, _)| *at <= now) {
            coming.pop_front();
            if is_critical { critical.push_back(at) } else { others.push_back(at) }
        }
        let next = coming.front().map(|(at, _)| *at);
        if now < free_at {
            now = free_at;
            continue;
        }
        let oldest: Vec<Millis> = critical.iter().copied().take(2).collect();
        let demand = Demand {
            groups: critical.len() + others.len(),
            critical: &oldest,
            tokens: 1,
            spacing: Duration::from_millis(u64::try_from(spacing_ms).unwrap()),
            now: Duration::from_millis(u64::try_from(now).unwrap()),
            now_ms: now,
        };
        match storm.plan(&demand, &OPTIONS) {
            Plan::Wait(until) => {
                let until = until.map(|until| Millis::try_from(until.as_millis()).unwrap());
                assert!(until.is_none_or(|until| until > now), "waiting for the past");
                match [until, next].into_iter().flatten().min() {
                    Some(time) => now = time,
                    None => break,
                }
                continue;
            }
            Plan::Digest => {
                storm.leaves();
                seen.digests.push((now, !critical.is_empty()));
                seen.tells(others.drain(..).map(|at| now - at));
                seen.tells_critical(critical.drain(..).map(|at| now - at));
                let after = storm.after(true, 0, 0, now);
                storm.delivered(true, after, demand.now);
            }
            plan => {
                seen.singles += 1;
                match critical.pop_front() {
                    Some(at) => seen.tells_critical([now - at]),
                    None if plan == Plan::Group => seen.tells(others.pop_front().map(|at| now - at)),
                    None => panic!("no critical alert waits"),
                }
            }
        }
        free_at = now + spacing_ms;
    }
    assert!(critical.is_empty() && others.is_empty() && !storm.is_on());
    seen
}

/// Many groups in a minute, some at any time and some in gusts; besides them critical ones after such gaps. Enough that
/// a slow robot has a storm all the time: outside one, the threshold's groups may take it longer than what is held here.
fn arrivals(gap_ms: impl Strategy<Value = Millis>, criticals: usize) -> impl Strategy<Value = Vec<(Millis, bool)>> {
    let steady = prop::collection::vec(0_i64..60_000, 200..2_000);
    let gusts = prop::collection::vec((0_i64..60_000, 0_usize..1_500), 0..6);
    let gaps = prop::collection::vec(gap_ms, 0..criticals);
    (steady, gusts, gaps).prop_map(|(steady, gusts, gaps)| {
        let gusts = gusts.into_iter().flat_map(|(at, many)| std::iter::repeat_n(at, many));
        let critical = gaps.iter().scan(0, |at, gap| {
            *at += gap;
            Some((*at, true))
        });
        let critical = critical.take_while(|(at, _)| *at < 60_000);
        let mut all: Vec<_> = steady.into_iter().chain(gusts).map(|at| (at, false)).chain(critical).collect();
        all.sort_unstable();
        all
    })
}

fn check(arrivals: &[(Millis, bool)], spacing_ms: Millis) -> Result<Seen, TestCaseError> {
    let seen = storm(arrivals, spacing_ms);
    prop_assert!(seen.longest_critical_ms <= 10_000 + spacing_ms, "critical after {} ms", seen.longest_critical_ms);
    let bound = INTERVAL_MS + (LITTLE + 1) * spacing_ms;
    prop_assert!(seen.longest_ms <= bound, "told after {} ms", seen.longest_ms);
    for pair in seen.digests.windows(2) {
        let [(before, _), (at, hurried)] = pair else { continue };
        prop_assert!(*hurried || at - before >= INTERVAL_MS, "one at {before} and one at {at}");
    }
    Ok(seen)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn a_storm_is_told_in_time_and_readably(arrivals in arrivals(3_300_i64..20_000, 18), spacing_ms in 200_i64..3_300) {
        let seen = check(&arrivals, spacing_ms)?;
        prop_assert!(seen.in_a_minute() <= 4, "{:?}", seen.digests);
        // At most 61 leave one by one within the minute, and 200 come.
        prop_assert!(spacing_ms < 1_000 || !seen.digests.is_empty());
    }

    #[test]
    fn critical_alerts_are_told_in_time_however_many_come(
        arrivals in arrivals(prop_oneof![3 => 0_i64..50, 1 => 0_i64..20_000], 1_000),
        spacing_ms in 200_i64..5_000,
    ) {
        check(&arrivals, spacing_ms)?;
    }
}

#[test]
fn ten_thousand_groups_in_a_minute() {
    let arrivals: Vec<(Millis, bool)> = (0..10_000).map(|n| (n * 6, n % 1_000 == 500)).collect();
    let seen = storm(&arrivals, 3_030);
    let at: Vec<Millis> = seen.digests.iter().map(|(at, _)| *at).collect();
    // Some groups leave alone before it is a storm.
    assert_eq!(at.len(), 3, "{at:?}");
    assert!(seen.longest_ms <= INTERVAL_MS + 3_030 && seen.longest_critical_ms <= 3_030);
    assert!((9..=14).contains(&seen.singles), "{}", seen.singles);
}
