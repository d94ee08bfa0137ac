//! What a large backlog costs. Run one at a time: `cargo test --release --lib waiting::tests::size -- --ignored --nocapture
//! --test-threads=1`, and add the name of one for an exact figure, since freed memory is not always given back.
#![allow(clippy::print_stdout)]
use std::time::Instant;

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

fn measure(groups: u64) {
    let (before, start) = (resident(), Instant::now());
    let mut chat = fill(groups);
    let (filled, took) = (resident() - before, start.elapsed());
    println!("{groups} groups: {} bytes each waiting, applied in {took:?}", filled / MANY);
    let start = Instant::now();
    for _ in 0..100 {
        let picked = chat.queue.pick(|_| 50).unwrap();
        chat.told(&picked);
    }
    println!("100 messages of at most 50: {:?}", start.elapsed());
    let start = Instant::now();
    let mut taken = Vec::new();
    let mut longest = std::time::Duration::ZERO;
    loop {
        let chunk = Instant::now();
        let items = chat.queue.pick_some(1_000);
        longest = longest.max(chunk.elapsed());
        if items.is_empty() {
            break;
        }
        taken.extend(items.iter().map(|item| (item.head.pos, item.fingerprint())));
    }
    println!("{} for a digest, by the thousand: {:?}, at most {longest:?}", taken.len(), start.elapsed());
    let start = Instant::now();
    chat.queue.released(&taken);
    println!("released in {:?}", start.elapsed());
    drop(taken);
    let start = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(chat.queue.critical(21).len(), 21);
    }
    println!("the oldest critical ones of 21 groups: {:?}", start.elapsed() / 1_000);
    let start = Instant::now();
    let mut told = 0;
    while let Some(picked) = chat.queue.pick(|_| usize::MAX) {
        told += picked.items.len();
        chat.told(&picked);
    }
    println!("told the other {told} in {:?}", start.elapsed());
    println!("{} bytes each told", (resident() - before) / MANY);
    let start = Instant::now();
    chat.queue.forget(Millis::MAX / 2);
    println!("forgotten in {:?}; {} MB left", start.elapsed(), (resident() - before) >> 20);
    assert!(filled / MANY < 220);
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
