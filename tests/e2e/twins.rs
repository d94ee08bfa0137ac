//! Two real Alertmanagers, each with its own alarmbell; both alarmbells share a PostgreSQL. Whatever the Alertmanagers know of
//! each other, a chat hears of each notification once.

use alarmbell::model::BotKind;
use alarmbell::sandbox::Rules;
use jiff::{SignedDuration, Timestamp};

use crate::monitoring::{Alertmanager, free_address};
use crate::postgres::{self, Database};
use crate::support::{Bot, Place, Robots, Server, config, wait_for, wait_within};
use crate::{PATIENCE, program};

/// Robots, and two replicas.
struct Rig {
    robots: Robots,
    bots: Vec<Bot>,
    replicas: [Server; 2],
    began: Timestamp,
    _places: [Place; 2],
    _database: Database,
}

impl Rig {
    async fn new() -> Self {
        let server = postgres::Server::start(&postgres::Settings::default()).unwrap();
        let database = server.database().await;
        let robots = Robots::start().await;
        let kinds = [BotKind::DingTalk, BotKind::WeCom, BotKind::Feishu];
        let bots = kinds.map(|kind| robots.bot_with(kind, kind.as_str(), Rules::default()).vendor_limits()).to_vec();
        // The product's own dedup window.
        let config = config(&bots, "global: {language: en, timezone: UTC}");
        let places = [Place::new(&config), Place::new(&config)];
        let serve = async |place: &Place| {
            let url = place.write("url", &database.url());
            place.serve_with(&["--log.level=info", &format!("--storage.url-file={}", url.display())]).await
        };
        let replicas = [serve(&places[0]).await, serve(&places[1]).await];
        Self { robots, bots, replicas, began: Timestamp::now(), _places: places, _database: database }
    }

    /// An Alertmanager that posts to this replica, with these flags for its cluster.
    async fn alertmanager(&self, replica: usize, cluster: &[String]) -> Alertmanager {
        let webhook = self.replicas[replica].url("/api/v1/webhook");
        Alertmanager::start_with(&program("ALERTMANAGER_BIN"), &webhook, cluster).await
    }

    /// Tells these Alertmanagers of an alert, as every Prometheus tells all of them.
    async fn tell(&self, whom: &[&Alertmanager], host: &str, fires: bool) {
        let ends = (!fires).then(|| Timestamp::now() - SignedDuration::from_millis(10));
        for alertmanager in whom {
            alertmanager.tell(host, self.began, ends).await;
        }
    }

    /// Webhooks that this replica has taken.
    async fn taken(&self, replica: usize) -> f64 {
        self.replicas[replica].metrics().await.sum("webhooks_total", &[("code", "200")])
    }

    /// Waits until this replica has taken more webhooks than so many.
    async fn wait_taken(&self, replica: usize, more_than: f64) {
        let what = format!("replica {replica} has taken more than {more_than} webhooks");
        wait_within(PATIENCE, &what, || async { (self.taken(replica).await > more_than).then_some(()) }).await;
    }

    /// Waits until each chat shows so many messages and nothing waits; the last one has these parts.
    async fn says(&self, messages: usize, parts: &[&str]) {
        for bot in &self.bots {
            let what = format!("{} shows {messages} messages", bot.name);
            let shown = || async { Some(self.robots.texts(bot)).filter(|texts| texts.len() >= messages) };
            let texts = wait_within(PATIENCE, &what, shown).await;
            assert_eq!(texts.len(), messages, "{}: {texts:#?}", bot.name);
            let last = texts.last().unwrap();
            assert!(parts.iter().all(|part| last.contains(part)), "{}: not all of {parts:?} in {last}", bot.name);
        }
        // What the other one posts of the same is no message: nothing waits, and nothing more has come.
        for replica in &self.replicas {
            replica.wait_empty().await;
        }
        for bot in &self.bots {
            assert_eq!(self.robots.texts(bot).len(), messages, "{}: {:#?}", bot.name, self.robots.texts(bot));
            assert_eq!(self.robots.stats(bot).refusals(), 0, "{}", bot.name);
        }
    }

    /// Both replicas say the same of what was told.
    async fn agrees(&self) {
        let what = "both replicas show the same messages";
        wait_for(what, || async {
            let [one, other] = [0, 1].map(|n| self.replicas[n].get("/api/v1/messages"));
            let (one, other) = (one.await.data(), other.await.data());
            (one == other && !one["messages"].as_array().is_none_or(Vec::is_empty)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_alertmanagers_is_told_once() {
    let rig = Rig::new().await;
    let gossip = [free_address().await, free_address().await];
    let flags = |own: usize| {
        let listen = format!("--cluster.listen-address={}", gossip[own]);
        let peer = format!("--cluster.peer={}", gossip[1 - own]);
        let settle = ["--cluster.settle-timeout=2s", "--cluster.gossip-interval=50ms", "--cluster.peer-timeout=2s"];
        [vec![listen, peer], settle.map(str::to_owned).to_vec()].concat()
    };
    let first = rig.alertmanager(0, &flags(0)).await;
    let second = rig.alertmanager(1, &flags(1)).await;
    let together = || async { (first.peers().await == 2 && second.peers().await == 2).then_some(()) };
    wait_within(PATIENCE, "the Alertmanagers have met", together).await;

    rig.tell(&[&first, &second], "db-01", true).await;
    rig.says(1, &["DiskFull", "db-01"]).await;
    rig.tell(&[&first, &second], "db-01", false).await;
    rig.says(2, &["Resolved", "db-01"]).await;
    rig.agrees().await;

    // One dies with a notification due: the other one sends it, and what follows.
    rig.tell(&[&first, &second], "db-02", true).await;
    first.kill().await;
    rig.says(3, &["DiskFull", "db-02"]).await;
    rig.tell(&[&second], "db-02", false).await;
    rig.says(4, &["Resolved", "db-02"]).await;
    rig.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanagers_that_can_not_see_each_other_are_told_once() {
    let rig = Rig::new().await;
    let alone = ["--cluster.listen-address=".to_owned()];
    let first = rig.alertmanager(0, &alone).await;
    let second = rig.alertmanager(1, &alone).await;

    rig.tell(&[&first, &second], "db-01", true).await;
    rig.wait_taken(0, 0.0).await;
    rig.wait_taken(1, 0.0).await;
    rig.says(1, &["DiskFull", "db-01"]).await;
    rig.tell(&[&first, &second], "db-01", false).await;
    rig.wait_taken(0, 1.0).await;
    rig.wait_taken(1, 1.0).await;
    rig.says(2, &["Resolved", "db-01"]).await;

    // One dies and comes back without its memory, so that it repeats what both had said.
    rig.tell(&[&first, &second], "db-02", true).await;
    rig.wait_taken(0, 2.0).await;
    rig.wait_taken(1, 2.0).await;
    rig.says(3, &["DiskFull", "db-02"]).await;
    first.kill().await;
    let taken = rig.taken(0).await;
    let first = rig.alertmanager(0, &alone).await;
    rig.tell(&[&first, &second], "db-02", true).await;
    rig.wait_taken(0, taken).await;
    rig.says(3, &["DiskFull", "db-02"]).await;

    rig.tell(&[&first, &second], "db-02", false).await;
    rig.wait_taken(0, taken + 1.0).await;
    rig.wait_taken(1, 3.0).await;
    rig.says(4, &["Resolved", "db-02"]).await;
    rig.agrees().await;
}
