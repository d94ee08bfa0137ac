//! The same on PostgreSQL: what a replica holds of a million alerts that it speaks for, and how fast it takes them over.

use std::time::{Duration, Instant};

use super::support::engine::{Engine, Place};
use super::support::robot::Robot;
use super::{Shape, config, memory, post};

/// As for the embedded store; the replica that starts has the folder of the one that was killed.
pub(super) async fn run(engine: &Engine, shape: &Shape, alerts: u64) {
    println!("{alerts} alerts, {}, PostgreSQL", shape.what);
    let (server, place) = engine.start(&config("127.0.0.1:9".parse().unwrap(), shape)).await;
    server.until_owns(1).await;
    let begin = Instant::now();
    post(server.address, shape, alerts).await;
    let took = begin.elapsed().as_secs_f64();
    // What replicas say of the whole is a second behind.
    let mut waits = 0.0;
    for _ in 0..100 {
        waits = server.metric("alarmbell_queue_alerts").await;
        if waits == alerts as f64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(waits, alerts as f64);
    memory(&format!("taken in {took:.0} s"), &server.memory());
    server.kill().await;
    start(&place, shape).await;
}

async fn start(place: &Place, shape: &Shape) {
    let mut robot = Robot::start().await;
    let begin = Instant::now();
    let server = place.start(&config(robot.address, shape)).await;
    server.until_owns(1).await;
    let claimed = begin.elapsed().as_secs_f64();
    let first = robot.hears.recv().await.unwrap().saturating_duration_since(begin).as_secs_f64();
    println!(
        "  start after a kill: listens after {:.2} s, speaks for its bot after {claimed:.2} s, first message after \
         {first:.2} s",
        server.cold.as_secs_f64()
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    memory("after that start", &server.memory());
    server.kill().await;
}
