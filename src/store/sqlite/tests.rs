//! What only the inside can do to the writer: panics.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;

use super::*;
use crate::model::{Fingerprint, Head, HeadFlags, Status};
use crate::store::StoreMetrics;
use crate::store::{BotImage, Counters, NewHead};

#[derive(Default)]
struct Ear {
    heads: Mutex<Vec<(Arc<str>, Head)>>,
    deaf: AtomicBool,
}

impl Feed for Ear {
    fn remember(&self, _: &Arc<str>, _: BotImage) {}

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        assert!(!self.deaf.load(Ordering::Relaxed), "asked for by a test");
        self.heads.lock().unwrap().extend_from_slice(heads);
    }
}

impl Ear {
    fn positions(&self, bot: &str) -> Vec<i64> {
        self.heads.lock().unwrap().iter().filter(|(name, _)| &**name == bot).map(|(_, head)| head.pos).collect()
    }
}

struct Bench {
    store: SqliteStore,
    ear: Arc<Ear>,
    folder: tempfile::TempDir,
}

fn metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&Options::new(folder.path()), metrics()).unwrap();
        let ear = Arc::new(Ear::default());
        store.replay(ear.clone()).await.unwrap();
        Self { store, ear, folder }
    }

    async fn waiting(&self) -> u64 {
        self.store.size().await.unwrap().waiting
    }

    fn panic_at_the_next_commit(&self) {
        self.store.shared.panics.store(1, Ordering::Relaxed);
    }

    /// What a start finds.
    async fn reopened(self) -> (Vec<i64>, Vec<i64>) {
        self.store.close().await;
        let store = SqliteStore::open(&Options::new(self.folder.path()), metrics()).unwrap();
        let ear = Arc::new(Ear::default());
        store.replay(ear.clone()).await.unwrap();
        (ear.positions("a"), ear.positions("b"))
    }
}

fn webhook(bots: &[&str]) -> Append {
    let head = |bot: &&str| NewHead {
        bot: (*bot).into(),
        via: "default".into(),
        idx: 0,
        fingerprint: Fingerprint(7),
        group: 1,
        status: Status::Firing,
        severity: 0,
        flags: HeadFlags::default(),
        starts_ms: 1,
        ends_ms: 0,
    };
    Append { received_ms: 1, body: "{}".into(), heads: bots.iter().map(head).collect() }
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_panic_in_a_transaction_rolls_it_back_and_the_writer_goes_on() {
    let bench = Bench::new().await;
    let store = &bench.store;
    store.append(webhook(&["a", "b"])).await.unwrap();
    let half_done = store.once(0, |tx: &mut Tx<'_>| -> Result<(), Fault> {
        let slot = tx.bot("a")?;
        tx.drop_head(slot, 1, |counts| counts.proof.superseded += 1)?;
        tx.append(&webhook(&["a", "new"]))?;
        panic!("asked for by a test");
    });
    let (half_done, append) = tokio::join!(half_done, store.append(webhook(&["a"])));
    assert!(is_unavailable(&half_done), "{half_done:?}");
    // It may have been in the same transaction or in the next.
    let late = match append {
        Ok(()) => 1,
        refused => {
            assert!(is_unavailable(&refused), "{refused:?}");
            0
        }
    };
    store.ready().await.unwrap();
    assert_eq!(bench.waiting().await, 2 + late);
    store.append(webhook(&["b", "a", "new"])).await.unwrap();
    let last = 2 + late.cast_signed();
    assert_eq!(bench.ear.positions("a"), (1..=last).collect::<Vec<_>>());
    assert_eq!((bench.ear.positions("b"), bench.ear.positions("new")), (vec![1, 2], vec![1]));
    store.superseded("a".into(), vec![1]).await.unwrap();
    assert_eq!(bench.reopened().await, ((2..=last).collect(), vec![1, 2]));
}

#[tokio::test]
async fn what_was_committed_before_a_panic_still_reaches_the_feed_once() {
    let bench = Bench::new().await;
    let store = &bench.store;
    store.append(webhook(&["a"])).await.unwrap();
    for round in 0..3_i64 {
        bench.panic_at_the_next_commit();
        let cut_off = store.append(webhook(&["a", "b"])).await;
        assert!(is_unavailable(&cut_off), "{cut_off:?}");
        // What the next one is told comes behind it.
        store.append(webhook(&["a"])).await.unwrap();
        assert_eq!(bench.ear.positions("a"), (1..=3 + round * 2).collect::<Vec<_>>());
        assert_eq!(bench.ear.positions("b"), (1..=1 + round).collect::<Vec<_>>());
    }
    assert_eq!(bench.waiting().await, 10);
    assert_eq!(bench.reopened().await, ((1..=7).collect(), (1..=3).collect()));
}

#[tokio::test]
async fn an_outcome_that_a_panic_cut_off_can_be_written_again() {
    let bench = Bench::new().await;
    let store = &bench.store;
    store.append(webhook(&["a", "b"])).await.unwrap();
    bench.panic_at_the_next_commit();
    let gone = store.superseded("a".into(), vec![1]).await;
    assert!(is_unavailable(&gone), "{gone:?}");
    store.superseded("a".into(), vec![1]).await.unwrap();
    let counters = store.once(0, |tx| tx.bot("a").map(|slot| tx.mem.bot(slot).counts.proof)).await.unwrap();
    assert_eq!(counters, Counters { accepted: 1, superseded: 1, ..Counters::default() });
    // A panic forgets which bodies nobody needs; clean-up finds them.
    bench.panic_at_the_next_commit();
    store.superseded("b".into(), vec![1]).await.unwrap_err();
    let nothing = Retention { history_before_ms: 0, resolved_before_ms: 0, attempts_before_ms: 0 };
    while store.clean(nothing).await.unwrap() {}
    assert!(store.bodies(vec![1]).await.unwrap().is_empty());
    assert_eq!(bench.waiting().await, 0);
}

#[tokio::test]
async fn a_panic_of_the_feed_does_not_undo_what_is_committed() {
    let bench = Bench::new().await;
    bench.ear.deaf.store(true, Ordering::Relaxed);
    bench.store.append(webhook(&["a"])).await.unwrap();
    bench.ear.deaf.store(false, Ordering::Relaxed);
    bench.store.append(webhook(&["a"])).await.unwrap();
    assert_eq!(bench.ear.positions("a"), [2]);
    assert_eq!(bench.waiting().await, 2);
    assert_eq!(bench.reopened().await.0, [1, 2]);
}

#[tokio::test]
async fn readers_make_way_until_the_log_has_started_over() {
    let bench = Bench::new().await;
    let store = &bench.store;
    store.append(webhook(&["a"])).await.unwrap();
    let gate = readers::Gate::new();
    let crowd = readers::Readers::new(bench.folder.path().to_owned(), gate.clone(), 1);
    let begun = Arc::new(AtomicBool::new(false));
    let note = begun.clone();
    gate.hold(true);
    let read = crowd.read(move |_| {
        note.store(true, Ordering::Relaxed);
        Ok(7)
    });
    let mut read = Box::pin(read);
    // The other reader is not held, and is done before this one begins.
    tokio::select! {
        biased;
        answer = &mut read => panic!("it did not wait: {answer:?}"),
        bodies = store.bodies(vec![1]) => assert_eq!(bodies.unwrap().len(), 1),
    }
    assert!(!begun.load(Ordering::Relaxed));
    gate.hold(false);
    assert_eq!(read.await.unwrap(), 7);

    // A commit that finds the log short opens the store's own.
    store.gate.hold(true);
    store.ready().await.unwrap();
    assert_eq!(store.bodies(vec![1]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_panic_at_the_end_does_not_hold_it_up() {
    let bench = Bench::new().await;
    bench.panic_at_the_next_commit();
    let (cut_off, ()) = tokio::join!(bench.store.append(webhook(&["a"])), bench.store.close());
    assert!(is_unavailable(&cut_off), "{cut_off:?}");
    assert_eq!(bench.reopened().await.0, [1]);
}
