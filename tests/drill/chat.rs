//! What the sandbox recorded of one robot, and what can be asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use alarmbell::sandbox::{Record, RequestLine, Sandbox, Stats};
use regex::Regex;
use tokio::task::JoinHandle;

use super::ledger::{Ledger, Step};
use super::parse::{self, Said};
use super::support::{Bot, Robots, Server};

/// A message that the chat shows.
#[derive(Clone, Debug)]
pub struct Message {
    /// When the robot took it, by the drill's clock.
    pub at: Duration,
    pub title: String,
    pub text: String,
    pub said: Said,
    /// Everything it tells and the state of each, where its text or the list behind its link says so.
    pub tells: Vec<(usize, Step)>,
    /// How many it tells: by its list, else by its text.
    pub listed: usize,
    /// Bytes of the limited field, and how many there may be.
    pub bytes: (usize, usize),
}

static PAGE: LazyLock<Regex> = LazyLock::new(|| Regex::new("/m/[0-9a-f]{32}").unwrap());

/// Keeps all records of some robots: the sandbox itself keeps the last ones only.
pub struct Watch {
    sandbox: Sandbox,
    bots: Vec<Bot>,
    records: Arc<Mutex<BTreeMap<String, Vec<Record>>>>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn collect(sandbox: &Sandbox, bots: &[Bot], records: &Mutex<BTreeMap<String, Vec<Record>>>) {
    let mut records = records.lock().unwrap();
    for bot in bots {
        let known = records.entry(bot.name.clone()).or_default();
        let after = known.last().map_or(0, |record| record.seq);
        known.extend(sandbox.messages(bot.kind, &bot.token, after, usize::MAX).unwrap_or_default());
    }
}

impl Watch {
    pub fn start(robots: &Robots, bots: &[Bot]) -> Self {
        let (sandbox, bots, records) = (robots.sandbox.clone(), bots.to_vec(), Arc::default());
        let (inner, watched, kept) = (sandbox.clone(), bots.clone(), Arc::clone(&records));
        let task = tokio::spawn(async move {
            loop {
                collect(&inner, &watched, &kept);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        Self { sandbox, bots, records, task }
    }

    /// Every message that came for this bot, oldest first.
    pub fn records(&self, bot: &Bot) -> Vec<Record> {
        collect(&self.sandbox, &self.bots, &self.records);
        self.records.lock().unwrap().get(&bot.name).cloned().unwrap_or_default()
    }
}

/// One robot's whole record.
#[derive(Clone, Debug)]
pub struct Chat {
    pub messages: Vec<Message>,
    pub refused: Vec<Record>,
    /// The body of each request that was kept, by its number.
    pub raws: Vec<(u64, String)>,
    /// Messages that were made anew under the same list, so that only what they name is known of them.
    pub older: usize,
    pub lines: Vec<RequestLine>,
    pub stats: Stats,
}

/// Reads the record of a bot. With a server, the lists that its messages link to are read too.
pub async fn chat(robots: &Robots, watch: &Watch, bot: &Bot, ledger: &Ledger, server: Option<&Server>) -> Chat {
    let lines = robots.requests(bot);
    let times: BTreeMap<u64, u64> = lines.iter().map(|line| (line.seq, line.mono_us)).collect();
    let records = watch.records(bot);
    let raws = records.iter().map(|record| (record.seq, record.raw.clone())).collect();
    let (shown, refused): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|record| record.accepted);
    let mut messages = Vec::with_capacity(shown.len());
    // After an outcome that is not known, a message is made anew and keeps its list: the list is that of the last one.
    let pages: Vec<Option<String>> =
        shown.iter().map(|record| PAGE.find(&record.raw).map(|found| found.as_str().to_owned())).collect();
    let mut older = 0;
    for (n, record) in shown.into_iter().enumerate() {
        let newest = !pages[n + 1..].contains(&pages[n]);
        older += usize::from(!newest && pages[n].is_some());
        let at = Duration::from_micros(times.get(&record.seq).copied().unwrap_or_default());
        let said = parse::read(ledger, &record.title, &record.text);
        let tells = said.named.clone();
        let listed = usize::try_from(said.figures.total()).unwrap();
        let bytes = (record.bytes, record.limit);
        let mut message = Message { at, title: record.title, text: record.text, said, tells, listed, bytes };
        if let (Some(server), Some(path), true) = (server, pages[n].as_deref(), newest) {
            let page = server.get(path).await;
            let listed = parse::page(ledger, &page.text);
            // What a reminder repeats is listed too, and is no news.
            let news: BTreeSet<(usize, Step)> = listed.iter().copied().collect();
            if page.status != 200 {
                message.said.wrong.push(format!("its list {path} answers {}", page.status));
            } else if !message.said.holds(listed.len()) {
                let (total, beside) = (message.said.figures.total(), message.said.beside);
                let listed = listed.len();
                message.said.wrong.push(format!("tells {total} beside {beside}, its list {path} has {listed}"));
            }
            message.listed = listed.len();
            message.tells = news.into_iter().collect();
        }
        messages.push(message);
    }
    Chat { messages, refused, raws, older, lines, stats: robots.stats(bot) }
}

impl Chat {
    /// The most requests in any window of this length, by arrival. A call at exactly its length ago has left it.
    pub fn fullest(&self, window: Duration) -> usize {
        let times: Vec<Duration> = self.lines.iter().map(|line| Duration::from_micros(line.mono_us)).collect();
        fullest(&times, window)
    }

    /// The most digests in any window of this length.
    pub fn digests(&self, window: Duration) -> usize {
        let times: Vec<Duration> =
            self.messages.iter().filter(|message| message.said.digest).map(|message| message.at).collect();
        fullest(&times, window)
    }

    /// When the last news were told.
    pub fn last_news(&self) -> Duration {
        let news = self.messages.iter().filter(|message| message.said.figures.news() > 0);
        news.map(|message| message.at).max().unwrap_or_default()
    }

    /// The newest state of each alert that was told, where texts or lists say which.
    pub fn told(&self) -> BTreeMap<usize, Step> {
        let mut told = BTreeMap::new();
        for (alert, step) in self.messages.iter().flat_map(|message| &message.tells) {
            let newest = told.entry(*alert).or_insert(*step);
            *newest = (*newest).max(*step);
        }
        told
    }

    /// Alerts whose older state was told after a newer one.
    pub fn disorder(&self) -> Vec<String> {
        let mut newest: BTreeMap<usize, Step> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (at, message) in self.messages.iter().enumerate() {
            for (alert, step) in &message.tells {
                let known = newest.entry(*alert).or_insert(*step);
                if step < known {
                    wrong.push(format!("message {at} tells state {step} of alert {alert} after {known}"));
                }
                *known = (*known).max(*step);
            }
        }
        wrong
    }

    /// Messages that tell states that were told before: their place, and of each such state when it was told last.
    pub fn repeats(&self) -> Vec<(usize, Vec<Duration>)> {
        let mut told: BTreeMap<(usize, Step), Duration> = BTreeMap::new();
        let mut repeats = Vec::new();
        for (at, message) in self.messages.iter().enumerate() {
            let before: Vec<Duration> = message.tells.iter().filter_map(|state| told.get(state)).copied().collect();
            if !before.is_empty() {
                repeats.push((at, before));
            }
            told.extend(message.tells.iter().map(|state| (*state, message.at)));
        }
        repeats
    }

    /// What does not add up within messages.
    pub fn wrong(&self) -> Vec<String> {
        let of = |(at, message): (usize, &Message)| {
            message.said.wrong.iter().map(move |wrong| format!("message {at}: {wrong}")).collect::<Vec<_>>()
        };
        self.messages.iter().enumerate().flat_map(of).collect()
    }

    /// Messages that say nothing that can be read.
    pub fn mute(&self) -> Vec<String> {
        let mute = self.messages.iter().filter(|message| message.said.figures.total() == 0);
        mute.map(|message| format!("{:?}: {:?}", message.title, message.text)).collect()
    }

    /// All of it for a person.
    pub fn draw(&self) -> String {
        let mut out = String::new();
        for message in &self.messages {
            let at = message.at.as_secs_f64();
            out.push_str(&format!(
                "---- {at:.3} s, {} of {} bytes: {}\n",
                message.bytes.0, message.bytes.1, message.title
            ));
            out.push_str(&format!("{}\n", message.text));
        }
        for record in &self.refused {
            out.push_str(&format!("---- refused: {} {} {}\n", record.code, record.fault, record.reason));
        }
        out
    }
}

/// The most times within any window.
fn fullest(times: &[Duration], window: Duration) -> usize {
    let within = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < window).count();
    (0..times.len()).map(within).max().unwrap_or(0)
}
