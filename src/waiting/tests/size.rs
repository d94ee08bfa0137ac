//! What a large backlog costs. Run one at a time: `cargo test --release --lib waiting::tests::size -- --ignored --nocapture
//! --test-threads=1`, and add the name of one for an exact figure, since freed memory is not always given back.
#![allow(clippy::print_stdout)]
use std::time::{Duration, Instant};

use super::*;

const MANY: i64 = 1_000_000;

/// Bytes of this process in memory.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4_096
}

fn fill(groups: u64) -> Chat {
    let mut chat = chat();
    for n in 0..MANY {
        let number = n.cast_unsigned();
        chat.accepted += 1;
        chat.queue.apply(Head {
            pos: chat.accepted,
            fingerprint: Fingerprint(fnv1a([&number.to_le_bytes()[..]])),
            group: fnv1a([&(number % groups).to_le_bytes()[..]]),
            severity: u8::try_from(n % 5).unwrap(),
            accepted_ms: n,
            ..firing("").0
        });
    }
    chat
}

/// Time of this thread on a processor, which others on the machine do not lengthen. It moves in steps of milliseconds.
struct Spent(Duration);

impl Spent {
    fn now() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    fn start() -> Self {
        Self(Self::now())
    }

    fn took(&self) -> Duration {
        Self::now() - self.0
    }
}

fn measure(groups: u64) {
    let (before, start) = (resident(), Spent::start());
    let mut chat = fill(groups);
    let (filled, took) = (resident() - before, start.took());
    println!("{groups} groups: {} bytes each waiting, applied in {took:?}", filled / MANY);
    let start = Spent::start();
    for _ in 0..100 {
        let picked = chat.queue.pick(|_| 50).unwrap();
        chat.told(&picked);
    }
    println!("100 messages of at most 50: {:?}", start.took());
    let start = Spent::start();
    let mut told = 0;
    while let Some(picked) = chat.queue.pick(|_| usize::MAX) {
        told += picked.items.len();
        chat.told(&picked);
    }
    println!("told the other {told} in {:?}", start.took());
    println!("{} bytes each told", (resident() - before) / MANY);
    let start = Spent::start();
    chat.queue.forget(Millis::MAX / 2);
    println!("forgotten in {:?}; {} MB left", start.took(), (resident() - before) >> 20);
    assert!(filled / MANY < 220);
}

fn measure_digest(groups: u64) {
    let mut chat = fill(groups);
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(!chat.queue.critical(21).is_empty());
    }
    println!("{groups} groups: the oldest critical alerts in {:?}", start.elapsed() / 1_000);
    let mut taken = Vec::new();
    let (start, mut longest) = (Spent::start(), Duration::ZERO);
    loop {
        let chunk = Instant::now();
        let items = chat.queue.pick_some(1_000);
        longest = longest.max(chunk.elapsed());
        if items.is_empty() {
            break;
        }
        taken.extend(items.iter().map(|item| (item.head.pos, item.fingerprint())));
    }
    println!("{} taken, a thousand each time: {:?}, at most {longest:?}", taken.len(), start.took());
    let start = Spent::start();
    chat.queue.released(&taken);
    println!("released in {:?}", start.took());
}

#[test]
fn what_waits_is_small() {
    use crate::waiting::{entry::Entry, group::Group};
    assert_eq!((size_of::<Entry>(), size_of::<Group>()), (72, 40));
}

#[test]
#[ignore = "a measurement"]
fn a_million_alerts_in_a_hundred_groups() {
    measure(100);
}

#[test]
#[ignore = "a measurement"]
fn a_million_alerts_in_a_million_groups() {
    measure(MANY.cast_unsigned());
}

#[test]
#[ignore = "a measurement"]
fn a_digest_of_a_million_alerts() {
    [1, 100, MANY.cast_unsigned()].into_iter().for_each(measure_digest);
}
