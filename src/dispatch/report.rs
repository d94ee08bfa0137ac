//! Alarmbell's own troubles, told to the report bot: as alerts, so that they are kept, merged and resolved like others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{BotConfig, Dispatcher, Settings};
use crate::model::{Fingerprint, HeadFlags, Labels, Lang, Millis, Status, fnv1a};
use crate::store::{Append, NewHead, StoreError};
use crate::telemetry::redact;

/// How long a robot fails before somebody is told.
const FAILING: Duration = Duration::from_secs(60);
/// Characters of a reason that a report quotes.
const REASON_CHARS: usize = 400;
/// The severity level of reports, counted from the most urgent; of a single level that one.
const LEVEL: usize = 1;

const ROBOT_FAILING: &str = "AlarmbellRobotFailing";
const DEAD_LETTERS: &str = "AlarmbellDeadLetters";
const RELOAD_FAILED: &str = "AlarmbellReloadFailed";

/// What was reported.
#[derive(Default)]
pub(super) struct Reports {
    /// Rung when there may be something to report before the next round.
    pub(super) changed: Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What was refused at the last reload, and when; `None` after a good one.
    reload: Option<(String, Millis)>,
    /// Troubles that were reported and have not ended. One that died on its way to the chat is not repeated.
    raised: BTreeMap<Fingerprint, Subject>,
    /// Subjects that are fine and of which no chat says otherwise, with their bots: the store need not be asked again. Only
    /// with a store that replicas share.
    settled: HashMap<Fingerprint, Arc<str>>,
    /// Bots that heard reports, besides those that would now.
    heard: BTreeSet<Arc<str>>,
}

/// What a report is about: the same from the trouble's begin to its end, over restarts.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Subject {
    name: &'static str,
    /// The bot; empty for alarmbell as a whole.
    bot: Arc<str>,
    /// Which of the bot's robots, from 1; 0 for the bot as a whole.
    robot: usize,
    /// The replica, for what is not of the whole; empty for a store of one process.
    replica: Arc<str>,
}

/// How things stand with a subject.
enum Standing {
    Fine,
    /// Neither its end nor its begin can be told.
    Unknown,
    /// Since then, because of that.
    Wrong {
        since_ms: Millis,
        reason: String,
        remedy: String,
    },
}

impl Subject {
    fn labels(&self) -> Labels {
        let mut labels = Labels::from([("alertname".to_owned(), self.name.to_owned())]);
        if !self.bot.is_empty() {
            labels.insert("bot".to_owned(), self.bot.to_string());
        }
        if self.robot > 0 {
            labels.insert("robot".to_owned(), self.robot.to_string());
        }
        if !self.replica.is_empty() {
            labels.insert("replica".to_owned(), self.replica.to_string());
        }
        labels
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels())
    }

    fn group(&self) -> u64 {
        let mut parts = vec![b"alarmbell".as_slice(), self.name.as_bytes(), self.bot.as_bytes()];
        if !self.replica.is_empty() {
            parts.push(self.replica.as_bytes());
        }
        fnv1a(parts)
    }

    fn summary(&self, lang: Lang, standing: &Standing) -> String {
        let Self { name, bot, robot, replica } = self;
        let at = match (replica.is_empty(), lang) {
            (true, _) => String::new(),
            (false, Lang::Zh) => format!("{replica}："),
            (false, Lang::En) => format!("{replica}: "),
        };
        match (standing, lang) {
            (Standing::Wrong { reason, .. }, Lang::Zh) => match *name {
                ROBOT_FAILING => format!("{bot} 的第 {robot} 个机器人收不到消息：{reason}"),
                DEAD_LETTERS => {
                    format!("{bot} 有 {reason} 条告警以任何形式都被机器人拒收，见 /api/v1/dead-letters")
                }
                _ => format!("{at}新配置被拒绝，仍在使用旧配置：{reason}"),
            },
            (Standing::Wrong { reason, .. }, Lang::En) => match *name {
                ROBOT_FAILING => format!("Robot {robot} of {bot} takes no messages: {reason}"),
                DEAD_LETTERS => {
                    format!("{bot}: the robot refused alerts in every form ({reason}); see /api/v1/dead-letters")
                }
                _ => format!("{at}The new config was refused, the old one stays in force: {reason}"),
            },
            (_, Lang::Zh) => match *name {
                ROBOT_FAILING => format!("{bot} 的第 {robot} 个机器人恢复正常"),
                DEAD_LETTERS => format!("{bot} 已没有被拒收的告警"),
                _ => format!("{at}新配置已生效"),
            },
            (_, Lang::En) => match *name {
                ROBOT_FAILING => format!("Robot {robot} of {bot} takes messages again"),
                DEAD_LETTERS => format!("{bot} has no dead letters any more"),
                _ => format!("{at}The config is in force"),
            },
        }
    }
}

/// What to do, in a sentence of its own.
fn remedy(lang: Lang, standing: &Standing) -> String {
    match (standing, lang) {
        (Standing::Wrong { remedy, .. }, _) if remedy.is_empty() => String::new(),
        (Standing::Wrong { remedy, .. }, Lang::Zh) => format!("处理办法：{remedy}"),
        (Standing::Wrong { remedy, .. }, Lang::En) => format!("Remedy: {remedy}"),
        (Standing::Fine | Standing::Unknown, _) => String::new(),
    }
}

fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    redact(&line).chars().take(REASON_CHARS).collect()
}

fn time(ms: Millis) -> Option<String> {
    Some(ms).filter(|ms| *ms > 0).and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|time| time.to_string())
}

impl Dispatcher {
    /// A reload has ended: with this mistake, or well. The report bot hears of it.
    pub fn reloaded(&self, mistake: Option<&str>) {
        let mut inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = inner.reload.as_ref().map_or_else(|| self.shared.clock.now_ms(), |(_, since)| *since);
        inner.reload = mistake.map(|mistake| (quoted(mistake), since_ms));
        drop(inner);
        self.reports.changed.notify_one();
    }

    /// Appends what is news about alarmbell itself. Each trouble is told once and of its end: who knows of it is what the
    /// queues know, so that a restart repeats nothing.
    ///
    /// # Errors
    /// When the store does not answer; what is left is reported the next time.
    pub(super) async fn report(&self) -> Result<(), StoreError> {
        let settings = self.shared.settings.load_full();
        let Some(chief) = settings.report_bot.as_ref().and_then(|name| settings.bots.get(name)) else { return Ok(()) };
        let audience = self.audience(&settings, chief);
        let standings = self.standings(&settings);
        let mut seen = HashSet::new();
        self.forget_others(&settings);
        let asked = standings.iter().filter(|(subject, standing)| self.must_ask(subject, standing));
        let knows = self.who_knows(&audience, asked.map(|(subject, _)| subject).collect()).await?;
        let nobody = Vec::new;
        for (subject, standing) in standings {
            let fingerprint = subject.fingerprint();
            seen.insert(fingerprint);
            let fires = knows.get(&fingerprint).cloned().unwrap_or_else(nobody);
            let raised = self.is_raised(fingerprint);
            match standing {
                Standing::Unknown => {}
                Standing::Wrong { .. } if raised || !fires.is_empty() => self.raise(fingerprint, subject),
                Standing::Wrong { .. } => {
                    // Who can not be reached need not be told so: whoever speaks for it may.
                    let own = subject.name == ROBOT_FAILING && subject.bot == chief.name;
                    let to = if own {
                        chief.fallback.as_ref().and_then(|name| settings.bots.get(name))
                    } else {
                        Some(chief)
                    };
                    let Some(to) = to else { continue };
                    self.append_report(&settings, &subject, &standing, &[Arc::clone(to)]).await?;
                    self.raise(fingerprint, subject);
                }
                Standing::Fine => self.end(&settings, &subject, fires).await?,
            }
        }
        // Robots and bots that are gone trouble nobody.
        let gone: Vec<Subject> = {
            let inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.raised.iter().filter(|(known, _)| !seen.contains(known)).map(|(_, subject)| subject.clone()).collect()
        };
        if !gone.is_empty() && !self.all_agree(&settings) {
            // Another replica may still have them.
            return Ok(());
        }
        let knows = self.who_knows(&audience, gone.iter().collect()).await?;
        for subject in gone {
            let fires = knows.get(&subject.fingerprint()).cloned().unwrap_or_else(nobody);
            self.end(&settings, &subject, fires).await?;
        }
        Ok(())
    }

    async fn end(&self, settings: &Settings, subject: &Subject, fires: Vec<Arc<BotConfig>>) -> Result<(), StoreError> {
        if !fires.is_empty() {
            self.append_report(settings, subject, &Standing::Fine, &fires).await?;
        }
        let mut inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.raised.remove(&subject.fingerprint());
        if self.is_shared() {
            inner.settled.insert(subject.fingerprint(), Arc::clone(&subject.bot));
        }
        Ok(())
    }

    /// Whether the chats that know of it matter.
    fn must_ask(&self, subject: &Subject, standing: &Standing) -> bool {
        if !self.is_shared() {
            return true;
        }
        let inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = subject.fingerprint();
        match standing {
            Standing::Unknown => false,
            Standing::Wrong { .. } => !inner.raised.contains_key(&fingerprint),
            Standing::Fine => !inner.settled.contains_key(&fingerprint),
        }
    }

    fn is_raised(&self, fingerprint: Fingerprint) -> bool {
        self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner).raised.contains_key(&fingerprint)
    }

    fn raise(&self, fingerprint: Fingerprint, subject: Subject) {
        let mut inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.settled.remove(&fingerprint);
        inner.raised.insert(fingerprint, subject);
    }

    /// The report bot, whoever may speak for it, and whoever heard reports before a reload.
    fn audience(&self, settings: &Settings, chief: &Arc<BotConfig>) -> Vec<Arc<BotConfig>> {
        let mut inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Some(chief);
        let mut seen = HashSet::new();
        while let Some(config) = next.filter(|config| seen.insert(Arc::clone(&config.name))) {
            inner.heard.insert(Arc::clone(&config.name));
            next = config.fallback.as_ref().and_then(|name| settings.bots.get(name));
        }
        inner.heard.retain(|name| settings.bots.contains_key(name));
        inner.heard.iter().filter_map(|name| settings.bots.get(name).map(Arc::clone)).collect()
    }

    /// Of the audience those whose chats know, or will be told, of each subject's trouble.
    async fn who_knows(
        &self,
        audience: &[Arc<BotConfig>],
        subjects: Vec<&Subject>,
    ) -> Result<HashMap<Fingerprint, Vec<Arc<BotConfig>>>, StoreError> {
        let fingerprints: Vec<Fingerprint> = subjects.into_iter().map(Subject::fingerprint).collect();
        let mut knows: HashMap<Fingerprint, Vec<Arc<BotConfig>>> = HashMap::new();
        if fingerprints.is_empty() {
            return Ok(knows);
        }
        if self.is_shared() {
            for (fingerprint, bot) in self.firing_bots(&fingerprints).await? {
                if let Some(config) = audience.iter().find(|config| config.name == bot) {
                    knows.entry(fingerprint).or_default().push(Arc::clone(config));
                }
            }
            return Ok(knows);
        }
        for config in audience {
            let bot = self.shared.bot(&config.name);
            let queue = bot.queue();
            for fingerprint in fingerprints.iter().filter(|fingerprint| queue.fires(**fingerprint)) {
                knows.entry(*fingerprint).or_default().push(Arc::clone(config));
            }
        }
        Ok(knows)
    }

    /// What was raised about bots that another replica speaks for by now is that one's to end.
    fn forget_others(&self, settings: &Settings) {
        let others = |bot: &Arc<str>| settings.bots.contains_key(bot) && self.shared.ours(bot).is_none();
        let mut inner = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.raised.retain(|_, subject| subject.bot.is_empty() || !others(&subject.bot));
        inner.settled.retain(|_, bot| bot.is_empty() || self.shared.ours(bot).is_some());
    }

    /// Whether every replica has this config.
    pub(super) fn all_agree(&self, settings: &Settings) -> bool {
        let membership = self.shared.membership.as_ref();
        membership.is_none_or(|membership| membership.heard().all_have(&settings.config_hash))
    }

    /// Everything that could be in trouble, and whether it is.
    fn standings(&self, settings: &Settings) -> Vec<(Subject, Standing)> {
        let mut all = Vec::new();
        for config in settings.bots.values() {
            // Whoever speaks for a bot reports of it.
            let Some(bot) = self.shared.ours(&config.name) else { continue };
            for (at, robot) in self.shared.robots_of(config).iter().enumerate() {
                let subject = Subject {
                    name: ROBOT_FAILING,
                    bot: Arc::clone(&config.name),
                    robot: at + 1,
                    replica: Arc::default(),
                };
                let time = robot.failing_for(self.shared.clock.mono());
                let standing = match robot.state() {
                    // Nothing was sent since the start.
                    None => Standing::Unknown,
                    Some(state) if state.failing_since_ms == 0 => Standing::Fine,
                    Some(_) if time.is_none_or(|time| time < FAILING) => Standing::Unknown,
                    Some(state) => Standing::Wrong {
                        since_ms: state.failing_since_ms,
                        reason: quoted(&state.reason),
                        remedy: quoted(&state.remedy),
                    },
                };
                all.push((subject, standing));
            }
            let subject =
                Subject { name: DEAD_LETTERS, bot: Arc::clone(&config.name), robot: 0, replica: Arc::default() };
            let dead = bot.queue().terms().dead;
            let standing = match self.shared.letters(&config.name, dead) {
                None => Standing::Unknown,
                Some(0) => Standing::Fine,
                Some(kept) => Standing::Wrong {
                    since_ms: self.shared.clock.now_ms(),
                    reason: kept.to_string(),
                    remedy: String::new(),
                },
            };
            all.push((subject, standing));
        }
        let replica: Arc<str> = match &self.shared.membership {
            None => Arc::default(),
            Some(membership) => match membership.heard().name() {
                Some(name) => name.into(),
                // Two of a name would end each other's reports.
                None => membership.heard().pulse.me.into(),
            },
        };
        if replica.is_empty() && self.is_shared() {
            return all;
        }
        let subject = Subject { name: RELOAD_FAILED, bot: "".into(), robot: 0, replica };
        let reload = self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner).reload.clone();
        let standing = reload.map_or(Standing::Fine, |(reason, since_ms)| Standing::Wrong {
            since_ms,
            reason,
            remedy: String::new(),
        });
        all.push((subject, standing));
        all
    }

    async fn append_report(
        &self,
        settings: &Settings,
        subject: &Subject,
        standing: &Standing,
        to: &[Arc<BotConfig>],
    ) -> Result<(), StoreError> {
        let now_ms = self.shared.clock.now_ms();
        let (status, starts_ms, ends_ms) = match standing {
            Standing::Wrong { since_ms, .. } => (Status::Firing, *since_ms, 0),
            Standing::Fine | Standing::Unknown => (Status::Resolved, 0, now_ms),
        };
        let lang = to.first().map_or(Lang::En, |config| config.lang);
        let severities = &settings.severities;
        let level = LEVEL.min(severities.levels.len().saturating_sub(1));
        let severity = u8::try_from(level).unwrap_or(0);
        let mut labels = Labels::from([(severities.label.clone(), severities.name(severity).to_owned())]);
        labels.extend(subject.labels());
        let body = serde_json::json!({
            "receiver": "alarmbell",
            "status": status,
            "alerts": [{
                "status": status,
                "labels": labels,
                "annotations": {"summary": subject.summary(lang, standing), "description": remedy(lang, standing)},
                "startsAt": time(starts_ms),
                "endsAt": time(ends_ms),
                "fingerprint": subject.fingerprint(),
            }],
            "groupLabels": subject.labels(),
            "commonLabels": labels,
            "version": "4",
            "groupKey": format!("alarmbell/{}/{}{}", subject.name, subject.bot, subject.replica),
        });
        let heads = to.iter().map(|config| {
            let silent = status == Status::Resolved && !config.send_resolved;
            NewHead {
                bot: Arc::clone(&config.name),
                via: format!("bot:{}", config.name).into(),
                idx: 0,
                fingerprint: subject.fingerprint(),
                group: subject.group(),
                status,
                severity,
                flags: HeadFlags(if silent { HeadFlags::SILENT } else { 0 }),
                starts_ms,
                ends_ms,
            }
        });
        let heads = heads.collect();
        self.shared.store.append(Append { received_ms: now_ms, body: Bytes::from(body.to_string()), heads }).await
    }
}
