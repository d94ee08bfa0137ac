//! Two dispatchers on one store: who tells what, whoever comes, goes, hangs or is cut off.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jiff::Timestamp;
use prometheus::Encoder as _;
use tokio::task::JoinHandle;

use super::cluster_rig_tests::{Hall, Member};
use super::tests::{chats, firing, settings, until};
use super::*;
use crate::clock::ManualClock;
use crate::model::{BotKind, Head};
use crate::sandbox::{Fault, FaultKind, Sandbox};
use crate::store::MessageQuery;

pub(super) const BOTS: [&str; 4] = ["ops", "b1", "b2", "b3"];

/// Chats for four bots, and what replicas share.
pub(super) struct Rig {
    chats: Sandbox,
    at: SocketAddr,
    clock: Arc<ManualClock>,
    hall: Arc<Hall>,
    _folder: tempfile::TempDir,
}

/// A replica.
pub(super) struct Node {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) member: Arc<Member>,
    registry: Registry,
    pub(super) own: JoinHandle<()>,
}

fn config(bots: &[&str]) -> String {
    let line = |bot: &&str| {
        format!(
            "- {{name: {bot}, type: wecom, rate_limits: [{{messages: 100, per: 1s}}], \
             url: \"http://AT/cgi-bin/webhook/send?key={bot}\"}}\n"
        )
    };
    bots.iter().map(line).collect()
}

impl Rig {
    pub(super) async fn new() -> Self {
        let (chats, at) = chats(&[BotKind::WeCom], &BOTS).await;
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new("2026-11-21T01:00:00Z".parse::<Timestamp>().unwrap());
        let hall = Hall::new(folder.path().to_owned(), Arc::clone(&clock)).await;
        Self { chats, at, clock, hall, _folder: folder }
    }

    pub(super) fn settings(&self, bots: &[&str], hash: &str) -> Settings {
        Settings { config_hash: hash.to_owned(), ..settings(self.at, &config(bots)) }
    }

    pub(super) async fn node(&self, id: &str) -> Node {
        self.node_with(id, &BOTS, "same").await
    }

    pub(super) async fn node_with(&self, id: &str, bots: &[&str], hash: &str) -> Node {
        self.node_of(id, self.settings(bots, hash)).await
    }

    async fn node_of(&self, id: &str, settings: Settings) -> Node {
        let member = Member::new(&self.hall, id);
        let parts = Parts {
            store: Arc::clone(&member) as Arc<dyn Store>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            random: Arc::new(|bytes| bytes.fill_with(|| fastrand::u8(..))),
            fraction: Arc::new(|| 0.5),
            settings,
            retention: Duration::from_secs(86_400),
        };
        let registry = Registry::new();
        let dispatcher =
            Arc::new(Dispatcher::new(parts, DispatchMetrics::register(&registry).unwrap(), &registry).unwrap());
        member.replay(dispatcher.feed()).await.unwrap();
        dispatcher.start().await.unwrap();
        let own = tokio::spawn({
            let dispatcher = Arc::clone(&dispatcher);
            async move { dispatcher.own().await }
        });
        Node { dispatcher, member, registry, own }
    }

    /// Commits a firing alert.
    pub(super) async fn accept(&self, bot: &str, n: u64) {
        self.hall.store.append(firing(bot, n..n + 1, self.clock.now_ms())).await.unwrap();
    }

    fn head(&self, n: u64) -> Head {
        let now_ms = self.clock.now_ms();
        firing("ops", n..n + 1, now_ms).heads[0].stored(1, 1, 1, now_ms)
    }

    pub(super) fn fault(&self, bot: &str, latency_ms: u64) {
        let fault = Fault { kind: FaultKind::Latency, count: Some(1), latency_ms };
        assert!(self.chats.add_fault(BotKind::WeCom, bot, fault));
    }

    pub(super) fn requests(&self, bot: &str) -> usize {
        self.chats.requests(BotKind::WeCom, bot, 0, 1000).unwrap().len()
    }

    pub(super) fn shown(&self, bot: &str) -> usize {
        self.chats.messages(BotKind::WeCom, bot, 0, 1000).unwrap().iter().filter(|m| m.accepted).count()
    }

    /// Lets time pass in tenths of a second until something is true. Returns how much passed.
    pub(super) async fn pass_until(&self, what: &str, check: impl Fn() -> bool) -> Duration {
        let from = self.clock.mono();
        for _ in 0..600 {
            if check() {
                return self.clock.mono() - from;
            }
            self.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited too long: {what}")
    }

    /// Lets a longer time pass in steps, with moments in between for beats and messages.
    async fn pass_in_steps(&self, count: u64, step: Duration) {
        for _ in 0..count {
            self.clock.advance(step);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub(super) async fn pass(&self, time: Duration) {
        let until = self.clock.mono() + time;
        self.pass_until("time passes", || self.clock.mono() >= until).await;
    }

    pub(super) async fn verdicts(&self, bot: &str) -> Vec<(String, String, u32)> {
        let query = MessageQuery { bot: Some(bot.to_owned()), limit: 100, ..MessageQuery::default() };
        let rows = self.hall.store.messages(query).await.unwrap().rows;
        rows.into_iter().map(|row| (row.verdict, row.reason, row.attempts)).collect()
    }
}

impl Node {
    /// Bots that it speaks for, and will.
    pub(super) fn ours(&self) -> BTreeSet<String> {
        self.here(Bot::is_ours)
    }

    fn here(&self, is: impl Fn(&Bot) -> bool) -> BTreeSet<String> {
        self.dispatcher.shared.all_bots().iter().filter(|bot| is(bot)).map(|bot| bot.name.to_string()).collect()
    }

    pub(super) fn waiting(&self, bot: &str) -> Option<u64> {
        self.dispatcher.shared.here(bot).map(|bot| bot.queue().len())
    }

    async fn workers(&self) -> usize {
        self.dispatcher.running.lock().await.values().map(|run| run.tasks.len()).sum()
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let mut text = Vec::new();
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let value = text.lines().find_map(|sample| sample.strip_prefix(line)?.strip_prefix(' '))?;
        Some(value.parse().unwrap())
    }

    pub(super) async fn stop(self) {
        self.dispatcher.stop().await;
        self.own.await.unwrap();
    }
}

pub(super) fn names(bots: &[&str]) -> BTreeSet<String> {
    bots.iter().map(|bot| (*bot).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_share_the_bots_and_each_alert_is_told_once() {
    let rig = Rig::new().await;
    rig.accept("ops", 0).await;
    let a = rig.node("a").await;
    rig.pass_until("the first takes all", || a.ours() == names(&BOTS)).await;
    rig.pass_until("what waited is told", || rig.shown("ops") == 1).await;
    let b = rig.node("b").await;
    let even = || a.ours().len() == 2 && b.ours().len() == 2 && a.ours().is_disjoint(&b.ours());
    let took = rig.pass_until("they share", even).await;
    assert!(took < Duration::from_secs(6), "within a few beats, not {took:?}");
    assert_eq!((a.workers().await, b.workers().await), (2, 2));
    for (n, bot) in BOTS.iter().enumerate() {
        rig.accept(bot, 10 + n as u64).await;
        rig.accept(bot, 20 + n as u64).await;
    }
    let told = || BOTS.iter().all(|bot| a.waiting(bot).or(b.waiting(bot)) == Some(0));
    rig.pass_until("everything is told", told).await;
    rig.pass(Duration::from_secs(3)).await;
    for bot in BOTS {
        assert_eq!(rig.requests(bot), if bot == "ops" { 3 } else { 2 }, "{bot}");
    }
    // Both say the same of every bot, and in each line the equation holds.
    for node in [&a, &b] {
        node.dispatcher.refresh_views().await;
        let views = node.dispatcher.bots();
        assert_eq!(views.iter().map(|bot| bot.name.clone()).collect::<BTreeSet<_>>(), names(&BOTS));
        assert!(
            views.iter().all(|bot| bot.robots.len() == 1 && bot.robots[0].last_verdict == "delivered"),
            "{views:?}"
        );
        for bot in BOTS {
            let sample = |name: &str| node.metric(&format!("alarmbell_{name}{{bot=\"{bot}\"}}")).unwrap();
            let how = |how: &str| {
                node.metric(&format!("alarmbell_alert_states_told_total{{bot=\"{bot}\",how=\"{how}\"}}")).unwrap()
            };
            let accepted = sample("alert_states_accepted_total");
            assert_eq!(accepted, if bot == "ops" { 3.0 } else { 2.0 });
            let gone = how("named") + how("counted") + sample("alert_states_superseded_total");
            assert_eq!(accepted - gone - sample("alert_states_dead_total"), sample("queue_alerts"));
            assert_eq!(sample("bot_up"), 1.0);
        }
        assert_eq!((node.metric("alarmbell_replicas"), node.metric("alarmbell_bots_owned")), (Some(2.0), Some(2.0)));
        assert!(node.metric("alarmbell_lease_remaining_seconds").unwrap() > 6.0);
        let pulse = node.dispatcher.pulse();
        assert_eq!((pulse.me, pulse.replicas.len()), (node.member.id.clone(), 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_cut_off_falls_silent_and_the_other_speaks_once_its_lease_is_over() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    rig.pass_until("the first takes all", || a.ours().len() == 4).await;
    a.member.cut.store(true, Ordering::SeqCst);
    let b = rig.node("b").await;
    for (n, bot) in BOTS.iter().enumerate() {
        rig.accept(bot, n as u64).await;
    }
    rig.pass(Duration::from_secs(6)).await;
    assert_eq!(b.ours(), names(&[]), "the lease of the first has not run out");
    let took = rig.pass_until("the other speaks", || BOTS.iter().all(|bot| rig.shown(bot) == 1)).await;
    assert!(took < Duration::from_secs(6), "{took:?} after six seconds");
    rig.pass(Duration::from_secs(3)).await;
    assert!(BOTS.iter().all(|bot| rig.requests(bot) == 1), "and the first does not");
    assert_eq!(a.metric("alarmbell_lease_remaining_seconds"), Some(0.0));
    // Back again, it learns what it has lost, and is given its share.
    a.member.cut.store(false, Ordering::SeqCst);
    let even = || a.ours().len() == 2 && b.ours().len() == 2 && a.ours().is_disjoint(&b.ours());
    rig.pass_until("they share", even).await;
    rig.accept("ops", 50).await;
    rig.pass_until("it is told", || rig.shown("ops") == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_one_left_open_keeps_its_token() {
    let rig = Rig::new().await;
    let limited = || settings(rig.at, &config(&["ops"]).replace("messages: 100, per: 1s", "messages: 2, per: 60s"));
    let a = rig.node_of("a", limited()).await;
    rig.pass_until("it has the bot", || a.ours().len() == 1).await;
    // The message arrives, and what became of it is never written.
    *a.member.pass_after_begin.lock().unwrap() = Some(Duration::ZERO);
    rig.accept("ops", 1).await;
    rig.pass_until("it is sent", || rig.shown("ops") == 1).await;
    let b = rig.node_of("b", limited()).await;
    for n in 2..6 {
        rig.accept("ops", n).await;
    }
    let second = Duration::from_secs(1);
    // Of the two tokens one is held by the attempt that nobody ended: as long as it is, one message in each window.
    rig.pass_until("the other speaks", || rig.shown("ops") == 2).await;
    rig.pass_in_steps(55, second).await;
    assert_eq!(rig.shown("ops"), 2);
    rig.pass_in_steps(12, second).await;
    assert_eq!(rig.shown("ops"), 3);
    rig.pass_in_steps(45, second).await;
    assert_eq!(rig.shown("ops"), 3, "a window has passed since it began, and it may still arrive");
    // Ten minutes after it began it can not.
    rig.pass_in_steps(120, 4 * second).await;
    rig.pass_until("all are told", || b.waiting("ops") == Some(0)).await;
    drop((a, b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_ends_before_a_bot_is_given_back() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    rig.pass_until("the first takes all", || a.ours().len() == 4).await;
    for bot in BOTS {
        rig.fault(bot, 700);
        rig.accept(bot, 1).await;
    }
    let requests = || BOTS.iter().all(|bot| rig.requests(bot) == 1);
    rig.pass_until("all are on their way", requests).await;
    let b = rig.node("b").await;
    rig.pass_until("some are to be given back", || a.ours().len() < 4).await;
    let leaving = a.here(|bot| !bot.is_ours());
    let still = |bot: &String| rig.hall.rows().owner(bot).as_deref() == Some("a") || rig.shown(bot) == 1;
    assert!(leaving.iter().all(still), "none goes before its message has ended");
    rig.pass_until("they share", || b.ours().len() == 2 && a.here(|_| true).len() == 2).await;
    rig.pass(Duration::from_secs(2)).await;
    assert!(BOTS.iter().all(|bot| rig.shown(bot) == 1 && rig.requests(bot) == 1), "nothing is told twice");
    assert!(b.ours().iter().all(|bot| b.waiting(bot) == Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_one_leaves_at_once() {
    let rig = Rig::new().await;
    let (a, b) = (rig.node("a").await, rig.node("b").await);
    rig.pass_until("they share", || a.ours().len() == 2 && b.ours().len() == 2).await;
    a.stop().await;
    let took = rig.pass_until("the other has all", || b.ours() == names(&BOTS)).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_fenced_lets_go() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    rig.pass_until("it takes all", || a.ours().len() == 4).await;
    // Before the attempt: nothing is sent. Somebody whose lease never ends has the bot.
    let somebody = Member::new(&rig.hall, "z");
    crate::store::Cluster::beat(&*somebody, crate::store::Beat { config_hash: "other".to_owned() }).await.unwrap();
    rig.hall.rows().set_owner("ops", Some("z"));
    rig.accept("ops", 1).await;
    // No time passes, so that no beat says it.
    assert_eq!(a.waiting("ops"), Some(0), "the new owner hears of it");
    let bot = a.dispatcher.shared.here("ops").unwrap();
    let heads = vec![(Arc::clone(&bot.name), rig.head(1))];
    a.dispatcher.feed().committed(&heads);
    until("it lets go", || !a.ours().contains("ops")).await;
    assert_eq!(rig.requests("ops"), 0);
    // While a message is on its way: what becomes of it is not written, and the next owner tells it again.
    rig.fault("b1", 500);
    rig.accept("b1", 2).await;
    rig.pass_until("it is on its way", || rig.requests("b1") == 1).await;
    rig.hall.rows().set_owner("b1", Some("z"));
    until("it lets go", || !a.ours().contains("b1") && rig.shown("b1") == 1).await;
    rig.pass_until("its workers have ended", || a.dispatcher.shared.membership.as_ref().unwrap().leaving().is_empty())
        .await;
    let waits = rig.hall.store.size().await.unwrap().waiting;
    assert_eq!(waits, 2, "neither counts as told");
    // A bot that the store called another's by mistake is free for somebody again.
    a.dispatcher.shared.fence(&"b3".into());
    until("it lets go", || !a.ours().contains("b3")).await;
    rig.pass_until("b3 is back", || a.ours().contains("b3")).await;
    rig.hall.rows().set_owner("b1", None);
    rig.pass_until("it is told again", || rig.shown("b1") == 2).await;
    rig.pass_until("and is done", || a.waiting("b1") == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_a_robot_when_the_lease_has_become_too_short() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    rig.pass_until("it takes all", || a.ours().len() == 4).await;
    *a.member.pass_after_begin.lock().unwrap() = Some(Duration::from_millis(3_200));
    rig.accept("ops", 1).await;
    rig.pass_until("the attempt is committed", || a.member.cut.load(Ordering::SeqCst)).await;
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.requests("ops"), 0, "4.8 s are left, and a request may take five");
    a.member.cut.store(false, Ordering::SeqCst);
    rig.pass_until("the next attempt tells it", || rig.shown("ops") == 1 && a.waiting("ops") == Some(0)).await;
    assert_eq!(rig.requests("ops"), 1);
    let told = rig.verdicts("ops").await;
    assert_eq!(told, [("delivered".to_owned(), String::new(), 2)], "one message, its first attempt unsent");
    assert_eq!(a.metric("alarmbell_attempts_total{bot=\"ops\",verdict=\"retry\"}"), Some(1.0));
    let robots = a.dispatcher.bots().into_iter().flat_map(|bot| bot.robots);
    assert!(robots.into_iter().all(|robot| robot.up && robot.reason.is_empty()), "it is not the robot's fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_bot_that_is_gone_moves_once_all_have_the_config() {
    let rig = Rig::new().await;
    let (a, b) = (rig.node("a").await, rig.node("b").await);
    rig.pass_until("they share", || a.ours().len() == 2 && b.ours().len() == 2).await;
    let fault = Fault { kind: FaultKind::Misconfigured, count: None, latency_ms: 0 };
    assert!(rig.chats.add_fault(BotKind::WeCom, "b3", fault));
    rig.accept("b3", 7).await;
    rig.pass_until("it can not be told", || rig.requests("b3") == 1).await;
    let fewer = ["ops", "b1", "b2"];
    let (has, other) = if a.ours().contains("b3") { (&a, &b) } else { (&b, &a) };
    has.dispatcher.apply(rig.settings(&fewer, "new")).await.unwrap();
    rig.pass_until("whoever knows it has it", || other.ours().contains("b3")).await;
    rig.pass(Duration::from_secs(3)).await;
    assert_eq!(rig.shown("ops"), 0, "as long as somebody knows it, nothing moves");
    other.dispatcher.apply(rig.settings(&fewer, "new")).await.unwrap();
    rig.pass_until("the default policy's bot tells it", || rig.shown("ops") == 1).await;
    rig.pass_until("nobody keeps it", || !a.here(|_| true).contains("b3") && !b.here(|_| true).contains("b3")).await;
    rig.pass(Duration::from_secs(3)).await;
    assert_eq!(rig.shown("ops"), 1);
    other.dispatcher.refresh_views().await;
    assert!(other.dispatcher.bots().iter().all(|bot| bot.name != "b3"), "nothing waits for it any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_config_is_reported_by_each_replica_for_itself() {
    let rig = Rig::new().await;
    let (a, b) = (rig.node("a").await, rig.node("b").await);
    for node in [&a, &b] {
        let settings = Settings { report_bot: Some("ops".into()), ..rig.settings(&BOTS, "same") };
        node.dispatcher.apply(settings).await.unwrap();
    }
    rig.pass_until("they share", || a.ours().len() == 2 && b.ours().len() == 2).await;
    a.dispatcher.reloaded(Some("alarmbell.yml:3:5: unknown key"));
    b.dispatcher.reloaded(None);
    for _ in 0..3 {
        a.dispatcher.report().await.unwrap();
        b.dispatcher.report().await.unwrap();
    }
    rig.pass_until("it is told", || rig.shown("ops") == 1).await;
    rig.pass(Duration::from_secs(1)).await;
    let told = rig.chats.messages(BotKind::WeCom, "ops", 0, 10).unwrap();
    assert!(told.len() == 1 && told[0].text.contains("host-a"), "{told:?}");
    a.dispatcher.reloaded(None);
    a.dispatcher.report().await.unwrap();
    rig.pass_until("its end is told", || rig.shown("ops") == 2).await;
}
