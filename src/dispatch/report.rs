//! Alarmbell's own troubles, told to the report bot: as alerts, so that they are kept, merged and resolved like others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
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
        labels
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels())
    }

    fn group(&self) -> u64 {
        fnv1a([b"alarmbell".as_slice(), self.name.as_bytes(), self.bot.as_bytes()])
    }

    fn summary(&self, lang: Lang, standing: &Standing) -> String {
        let Self { name, bot, robot } = self;
        match (standing, lang) {
            (Standing::Wrong { reason, remedy, .. }, Lang::Zh) => {
                let remedy = if remedy.is_empty() { String::new() } else { format!("。处理办法：{remedy}") };
                match *name {
                    ROBOT_FAILING => format!("{bot} 的第 {robot} 个机器人收不到消息：{reason}{remedy}"),
                    DEAD_LETTERS => {
                        format!("{bot} 有 {reason} 条告警以任何形式都被机器人拒收，见 /api/v1/dead-letters")
                    }
                    _ => format!("新配置被拒绝，仍在使用旧配置：{reason}"),
                }
            }
            (Standing::Wrong { reason, remedy, .. }, Lang::En) => {
                let remedy = if remedy.is_empty() { String::new() } else { format!(". Remedy: {remedy}") };
                match *name {
                    ROBOT_FAILING => format!("Robot {robot} of {bot} takes no messages: {reason}{remedy}"),
                    DEAD_LETTERS => {
                        format!("{bot}: the robot refused alerts in every form ({reason}); see /api/v1/dead-letters")
                    }
                    _ => format!("The new config was refused, the old one stays in force: {reason}"),
                }
            }
            (_, Lang::Zh) => match *name {
                ROBOT_FAILING => format!("{bot} 的第 {robot} 个机器人恢复正常"),
                DEAD_LETTERS => format!("{bot} 已没有被拒收的告警"),
                _ => "新配置已生效".to_owned(),
            },
            (_, Lang::En) => match *name {
                ROBOT_FAILING => format!("Robot {robot} of {bot} takes messages again"),
                DEAD_LETTERS => format!("{bot} has no dead letters any more"),
                _ => "The config is in force".to_owned(),
            },
        }
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
        let mut seen = HashSet::new();
        for (subject, standing) in self.standings(&settings) {
            let fingerprint = subject.fingerprint();
            seen.insert(fingerprint);
            let fires = self.who_knows(&audience, fingerprint);
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
        for subject in gone {
            let fires = self.who_knows(&audience, subject.fingerprint());
            self.end(&settings, &subject, fires).await?;
        }
        Ok(())
    }

    async fn end(&self, settings: &Settings, subject: &Subject, fires: Vec<Arc<BotConfig>>) -> Result<(), StoreError> {
        if !fires.is_empty() {
            self.append_report(settings, subject, &Standing::Fine, &fires).await?;
        }
        self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner).raised.remove(&subject.fingerprint());
        Ok(())
    }

    fn is_raised(&self, fingerprint: Fingerprint) -> bool {
        self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner).raised.contains_key(&fingerprint)
    }

    fn raise(&self, fingerprint: Fingerprint, subject: Subject) {
        self.reports.inner.lock().unwrap_or_else(PoisonError::into_inner).raised.insert(fingerprint, subject);
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

    fn who_knows(&self, audience: &[Arc<BotConfig>], fingerprint: Fingerprint) -> Vec<Arc<BotConfig>> {
        let fires = |config: &&Arc<BotConfig>| self.shared.bot(&config.name).queue().fires(fingerprint);
        audience.iter().filter(fires).map(Arc::clone).collect()
    }

    /// Everything that could be in trouble, and whether it is.
    fn standings(&self, settings: &Settings) -> Vec<(Subject, Standing)> {
        let mut all = Vec::new();
        for config in settings.bots.values() {
            for (at, robot) in self.shared.robots_of(config).iter().enumerate() {
                let subject = Subject { name: ROBOT_FAILING, bot: Arc::clone(&config.name), robot: at + 1 };
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
            let subject = Subject { name: DEAD_LETTERS, bot: Arc::clone(&config.name), robot: 0 };
            let bot = self.shared.bot(&config.name);
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
        let subject = Subject { name: RELOAD_FAILED, bot: "".into(), robot: 0 };
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
                "annotations": {"summary": subject.summary(lang, standing)},
                "startsAt": time(starts_ms),
                "endsAt": time(ends_ms),
                "fingerprint": subject.fingerprint(),
            }],
            "groupLabels": subject.labels(),
            "commonLabels": labels,
            "version": "4",
            "groupKey": format!("alarmbell/{}/{}", subject.name, subject.bot),
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
