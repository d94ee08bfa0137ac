//! A simulated robot counts what reaches it in every window.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;

use super::{Bucket, backoff};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What is under test, and the wrong ones that the simulated robot must catch.
trait Pace {
    fn start(&mut self, now: Duration);
    fn end(&mut self, now: Duration);
    fn earliest(&self, now: Duration) -> Duration;
}

impl Pace for Bucket {
    fn start(&mut self, now: Duration) {
        self.start(now);
    }
    fn end(&mut self, now: Duration) {
        self.end(now);
    }
    fn earliest(&self, now: Duration) -> Duration {
        self.earliest(now)
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A message is sent as soon as it may be: how long the attempt lasts, and at which part of it the robot counts it.
    Send { latency_ms: u64, arrives: f64 },
    /// Nothing to send.
    Idle { ms: u64 },
    /// The process ends, in the middle of an attempt or not, and starts again later.
    Restart { down_ms: u64, in_attempt: bool },
    /// Somebody sets the wall clock.
    Step { ms: i64 },
}

/// Real time, both clocks, the store and the robot.
struct World {
    limits: Vec<(u32, Duration)>,
    bucket: Bucket,
    /// Nanoseconds of real time.
    real: u64,
    booted: u64,
    wall_off_ms: i64,
    /// The wall clock can not be trusted to show the age of attempts before this.
    forward_until: u64,
    stored: Vec<(i64, Option<i64>)>,
    arrivals: Vec<u64>,
}

impl World {
    fn new(limits: &[(u32, Duration)]) -> Self {
        Self {
            limits: limits.to_vec(),
            bucket: Bucket::new(limits),
            real: 0,
            booted: 0,
            wall_off_ms: 1_700_000_000_000,
            forward_until: 0,
            stored: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    fn mono(&self) -> Duration {
        Duration::from_nanos(self.real - self.booted)
    }

    fn wall(&self) -> i64 {
        self.wall_off_ms + i64::try_from(self.real / MS).unwrap()
    }

    fn longest(&self) -> u64 {
        self.limits.iter().map(|(_, per)| u64::try_from(per.as_nanos()).unwrap()).max().unwrap()
    }

    fn begin(&mut self) {
        let mut now = self.mono();
        let earliest = self.bucket.earliest(now);
        assert!(earliest >= now);
        self.real += u64::try_from((earliest - now).as_nanos()).unwrap();
        now = self.mono();
        assert!(self.bucket.earliest(now) <= now, "what was promised holds when it is due");
        self.bucket.start(now);
        self.stored.push((self.wall(), None));
    }

    fn arrive(&mut self, latency_ms: u64, arrives: f64) {
        let latency = latency_ms * MS;
        self.arrivals.push(self.real + ((latency as f64 * arrives) as u64).min(latency));
        self.real += latency;
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Send { latency_ms, arrives } => {
                self.begin();
                self.arrive(latency_ms, arrives);
                self.bucket.end(self.mono());
                self.stored.last_mut().unwrap().1 = Some(self.wall());
            }
            Event::Idle { ms } => self.real += ms * MS,
            // A clock set forward while nothing runs hides how young the last attempts are: nobody can know.
            Event::Restart { .. } if self.real < self.forward_until => {}
            Event::Restart { down_ms, in_attempt } => {
                if in_attempt {
                    self.begin();
                    self.arrive(20, 0.99);
                }
                self.real += down_ms * MS;
                // Any time passes in a new process before it reads the store.
                self.booted = self.real.saturating_sub(down_ms % 7 * MS);
                self.bucket = Bucket::new(&self.limits);
                let (wall, mono) = (self.wall(), self.mono());
                self.bucket.restore(self.stored.iter().copied(), wall, mono);
                for attempt in self.stored.iter_mut().filter(|attempt| attempt.1.is_none()) {
                    attempt.1 = Some(wall);
                }
            }
            Event::Step { ms } => {
                self.wall_off_ms += ms;
                if ms > 0 {
                    self.forward_until = self.real + self.longest() * 2;
                }
            }
        }
    }

    /// The first window with too many, if there is one.
    fn too_many(&self) -> Option<(u32, Duration, u64)> {
        excess(&self.arrivals, &self.limits)
    }
}

/// A limit, and the time of the arrival that broke it. Windows are half open and as long as the vendor says.
fn excess(arrivals: &[u64], limits: &[(u32, Duration)]) -> Option<(u32, Duration, u64)> {
    limits.iter().find_map(|(messages, per)| {
        let over = usize::try_from(*messages).unwrap();
        let per_nanos = u64::try_from(per.as_nanos()).unwrap();
        let mut pairs = arrivals.iter().zip(arrivals.iter().skip(over));
        pairs.find(|(first, last)| *last - *first < per_nanos).map(|(_, last)| (*messages, *per, *last))
    })
}

/// Sends `count` messages as fast as the pacer lets, each attempt `latency` long; the arrivals.
fn constant_demand(pace: &mut dyn Pace, count: usize, latency: u64) -> Vec<u64> {
    let mut now = 0_u64;
    (0..count)
        .map(|_| {
            now = now.max(u64::try_from(pace.earliest(Duration::from_nanos(now)).as_nanos()).unwrap());
            pace.start(Duration::from_nanos(now));
            let arrival = now;
            now += latency;
            pace.end(Duration::from_nanos(now));
            arrival
        })
        .collect()
}

fn vendor_limits() -> Vec<Vec<(u32, Duration)>> {
    let minute = Duration::from_secs(60);
    vec![vec![(20, minute)], vec![(5, Duration::from_secs(1)), (100, minute)]]
}

fn any_limits() -> impl Strategy<Value = Vec<(u32, Duration)>> {
    let limit = (1u32..30, 200u64..60_000).prop_map(|(messages, per)| (messages, ms(per)));
    prop_oneof![
        2 => prop::sample::select(vendor_limits()),
        3 => proptest::collection::vec(limit, 1..4),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0u64..2_000, 0.0..=1.0f64).prop_map(|(latency_ms, arrives)| Event::Send { latency_ms, arrives }),
        20 => (0u64..20, 0.0..=1.0f64).prop_map(|(latency_ms, arrives)| Event::Send { latency_ms, arrives }),
        // A timeout.
        1 => (0.0..=1.0f64).prop_map(|arrives| Event::Send { latency_ms: 10_000, arrives }),
        3 => prop_oneof![0u64..500, 0u64..70_000].prop_map(|ms| Event::Idle { ms }),
        2 => (prop_oneof![0u64..50, 0u64..30_000], any::<bool>())
            .prop_map(|(down_ms, in_attempt)| Event::Restart { down_ms, in_attempt }),
        1 => prop_oneof![-3_600_000i64..0, -2_000i64..2_000, 0i64..3_600_000].prop_map(|ms| Event::Step { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_too_many_in_any_window(limits in any_limits(), events in proptest::collection::vec(any_event(), 1..300)) {
        let mut world = World::new(&limits);
        for event in &events {
            world.happen(event);
        }
        prop_assert_eq!(world.too_many(), None);
    }

    #[test]
    fn constant_demand_uses_the_limit(messages in 1u32..60, per_ms in 1_000u64..60_000, share in 0.0..1.0f64) {
        // Attempts last up to 2 % of the window, and are short enough for one at a time.
        let per = per_ms * MS;
        let latency = (share * (per as f64 * 0.02).min(per as f64 * 0.9 / f64::from(messages))) as u64;
        let limits = [(messages, Duration::from_nanos(per))];
        let count = usize::try_from(messages).unwrap() * 40;
        let arrivals = constant_demand(&mut Bucket::new(&limits), count, latency);
        prop_assert_eq!(excess(&arrivals, &limits), None);
        // In the long run: without the first window.
        let skip = usize::try_from(messages).unwrap();
        let time = (arrivals[count - 1] - arrivals[skip - 1]) as f64;
        let used = (count - skip) as f64 / f64::from(messages) * per as f64 / time;
        prop_assert!(used >= 0.95, "{}", used);
    }
}

#[test]
fn the_vendors_limits_are_used() {
    for (limits, rate_per_min) in vendor_limits().into_iter().zip([20.0, 100.0]) {
        for latency in [0, 50 * MS, 400 * MS] {
            let count = (rate_per_min * 60.0) as usize;
            let arrivals = constant_demand(&mut Bucket::new(&limits), count, latency);
            assert_eq!(excess(&arrivals, &limits), None);
            let minutes = *arrivals.last().unwrap() as f64 / (60 * S) as f64;
            let used = count as f64 / minutes / rate_per_min;
            assert!(used >= 0.97, "{limits:?} {latency}: {used}");
        }
    }
}

/// Capacity L, refilled evenly: what most limiters are.
struct Refilled {
    limit: f64,
    per: f64,
    tokens: f64,
    at: f64,
}

impl Pace for Refilled {
    fn start(&mut self, now: Duration) {
        let now = now.as_secs_f64();
        self.tokens = (self.tokens + (now - self.at) * self.limit / self.per).min(self.limit) - 1.0;
        self.at = now;
    }
    fn end(&mut self, _: Duration) {}
    fn earliest(&self, now: Duration) -> Duration {
        let tokens = self.tokens + (now.as_secs_f64() - self.at) * self.limit / self.per;
        now + Duration::from_secs_f64(((1.0 - tokens).max(0.0)) * self.per / self.limit)
    }
}

/// Keeps to windows from start to start and forgets that an attempt takes time to arrive.
struct FromStart(Bucket);

impl Pace for FromStart {
    fn start(&mut self, now: Duration) {
        self.0.start(now);
        self.0.end(now);
    }
    fn end(&mut self, _: Duration) {}
    fn earliest(&self, now: Duration) -> Duration {
        self.0.earliest(now)
    }
}

#[test]
fn the_simulated_robot_catches_wrong_pacers() {
    let limits = [(20, Duration::from_secs(60))];
    let mut wrong = Refilled { limit: 20.0, per: 60.0, tokens: 20.0, at: 0.0 };
    let arrivals = constant_demand(&mut wrong, 60, 50 * MS);
    assert!(excess(&arrivals, &limits).is_some());
    let worst = arrivals.iter().map(|t| arrivals.iter().filter(|u| (*t..t + 60 * S).contains(u)).count()).max();
    assert_eq!(worst, Some(39), "the design's example");
    // The 1st arrives late in a long attempt, the 21st early in a short one.
    let mut pace = FromStart(Bucket::new(&limits));
    let (mut now, mut arrivals) = (0, Vec::new());
    for n in 0..40 {
        now = now.max(u64::try_from(pace.earliest(Duration::from_nanos(now)).as_nanos()).unwrap());
        pace.start(Duration::from_nanos(now));
        now += if n == 0 { 2 * S } else { 10 * MS };
        arrivals.push(now);
    }
    assert!(excess(&arrivals, &limits).is_some());
    // A restart that forgets.
    let mut world = World::new(&limits);
    for _ in 0..2 {
        for _ in 0..11 {
            world.happen(&Event::Send { latency_ms: 5, arrives: 0.5 });
        }
        world.stored.clear();
        world.happen(&Event::Restart { down_ms: 5, in_attempt: false });
    }
    assert!(world.too_many().is_some());
}

#[test]
fn a_few_go_at_once_and_the_rest_is_spread() {
    let latency = 400 * MS;
    let arrivals = constant_demand(&mut Bucket::new(&[(20, Duration::from_secs(60))]), 200, latency);
    assert_eq!(arrivals[..3], [0, latency, 2 * latency]);
    let gaps: Vec<u64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[2..].iter().all(|gap| (2_900 * MS..4_700 * MS).contains(gap)), "{gaps:?}");
    // Quiet for a window: at once again.
    let mut bucket = Bucket::new(&[(20, Duration::from_secs(60))]);
    for at in [0, 1, 2] {
        bucket.start(ms(at));
        bucket.end(ms(at));
    }
    assert!(bucket.earliest(ms(10)) > ms(3_000));
    assert_eq!(bucket.earliest(ms(60_603)), ms(60_603));
}

proptest! {
    #[test]
    fn nobody_waits_long_while_tokens_are_left(idles in proptest::collection::vec(0u64..30_000, 10..200)) {
        // Bursts and pauses of any pattern against 20 a minute, attempts of 0.4 s.
        let limits = [(20, Duration::from_secs(60))];
        let mut bucket = Bucket::new(&limits);
        let mut now = Duration::ZERO;
        for idle in idles {
            // Half of the patterns' pauses are none.
            now += ms(idle.saturating_sub(15_000));
            let earliest = bucket.earliest(now);
            prop_assert!(earliest - now <= ms(4_600), "{:?}", earliest - now);
            now = earliest;
            bucket.start(now);
            now += ms(400);
            bucket.end(now);
        }
    }

    #[test]
    fn backoff_grows_with_jitter_and_is_bounded(failures in any::<u32>(), rand in any::<f64>(), secs in any::<u64>()) {
        let cap = Duration::from_secs(secs);
        prop_assert!(backoff(failures, ms(500), cap, rand) <= cap);
    }
}

#[test]
fn an_open_attempt_ends_now() {
    let mut bucket = Bucket::new(&[(1, Duration::from_secs(10))]);
    bucket.start(ms(0));
    assert_eq!(bucket.earliest(ms(5_000)), ms(15_100));
    assert_eq!(bucket.earliest(ms(7_000)), ms(17_100));
    bucket.end(ms(8_000));
    assert_eq!(bucket.earliest(ms(9_000)), ms(18_100));
    assert_eq!((bucket.tokens(ms(18_099)), bucket.tokens(ms(18_100))), (0, 1));
}

#[test]
fn the_past_comes_from_the_store() {
    let limits = [(2, Duration::from_secs(10))];
    let restored = |attempts: &[(i64, Option<i64>)]| {
        let mut bucket = Bucket::new(&limits);
        bucket.restore(attempts.iter().copied(), 100_000, ms(50));
        bucket.earliest(ms(50))
    };
    // The nearest attempts but one ended 4 s ago; stored times may be a millisecond too early.
    assert_eq!(restored(&[(80_000, Some(81_000)), (95_000, Some(96_000)), (97_000, Some(97_000))]), ms(50 + 6_101));
    assert_eq!(restored(&[(80_000, Some(81_000)), (85_000, Some(86_000))]), ms(50), "long ago");
    assert_eq!(restored(&[(95_000, None), (97_000, None)]), ms(50 + 10_100), "open ones end now");
    assert_eq!(restored(&[(300_000, Some(300_001)), (300_002, Some(300_003))]), ms(50 + 10_100), "from the future");
    assert_eq!(restored(&[(99_000, Some(1)), (98_000, Some(2))]), ms(50 + 8_101), "ended before they began");
    assert_eq!(restored(&[(i64::MIN, Some(i64::MAX)), (i64::MAX, Some(i64::MIN))]), ms(50 + 10_100));

    let mut bucket = Bucket::new(&limits);
    bucket.start(ms(0));
    bucket.restore([(99_000, Some(99_000))], 100_000, ms(1));
    assert_eq!(bucket.tokens(ms(1)), 0, "the one in flight stays");
    bucket.restore([], 100_000, ms(1));
    assert_eq!(bucket.tokens(ms(1)), 1, "what the store no longer has is gone");
    bucket.add([(99_000, Some(99_000))], 100_000, ms(1));
    assert_eq!(bucket.tokens(ms(1)), 0, "another process' is added");
}

#[test]
fn limits_change_and_the_past_stays() {
    let mut bucket = Bucket::new(&[(5, Duration::from_secs(10))]);
    for _ in 0..4 {
        bucket.start(ms(0));
        bucket.end(ms(0));
    }
    assert_eq!(bucket.tokens(ms(1)), 1);
    bucket.set_limits(&[(2, Duration::from_secs(20)), (9, Duration::from_secs(1))]);
    assert_eq!((bucket.tokens(ms(1)), bucket.earliest(ms(1))), (0, ms(20_200)));
    bucket.set_limits(&[]);
    assert_eq!((bucket.tokens(ms(1)), bucket.earliest(ms(1))), (u32::MAX, ms(1)));
    bucket.set_limits(&[(0, Duration::from_secs(1))]);
    assert_eq!(bucket.earliest(ms(1)), ms(1_010), "never is no limit");
}

#[test]
fn memory_is_bounded() {
    let mut bucket = Bucket::new(&[(u32::MAX, Duration::from_secs(60)), (3, Duration::MAX)]);
    for at in 0..250_000 {
        bucket.start(ms(at));
        bucket.end(ms(at));
    }
    assert!(format!("{bucket:?}").len() < 100_000 * 90);
    let mut bucket = Bucket::new(&[(50_000, Duration::from_secs(1))]);
    for at in 0..50_000 {
        bucket.start(ms(at * 10));
        bucket.end(ms(at * 10));
    }
    assert!(format!("{bucket:?}").len() < 400 * 90, "what no window holds is forgotten");
}

#[test]
fn backoff_by_numbers() {
    let at = |failures, rand| backoff(failures, ms(500), ms(60_000), rand);
    assert_eq!([at(0, 0.9), at(1, 0.5), at(2, 0.5), at(3, 0.5)], [ms(0), ms(250), ms(500), ms(1_000)]);
    assert_eq!([at(8, 0.5), at(u32::MAX, 0.5), at(3, 0.0)], [ms(30_000), ms(30_000), ms(0)]);
    assert_eq!([at(1, f64::NAN), at(1, 7.0), at(1, -1.0)], [ms(0), ms(500), ms(0)]);
}
