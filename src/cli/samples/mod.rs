//! Built-in webhook bodies, to look at messages without an Alertmanager.

mod crowd;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::model::{BodyError, Lang, Notification};
use crate::render::Form;

/// How long after the newest time in a body people look at it.
const SOON: SignedDuration = SignedDuration::from_mins(2);
/// Alertmanager's usual `repeat_interval`.
const REPEAT: SignedDuration = SignedDuration::from_hours(4);

/// A body in both languages; some senders know only one.
#[derive(Clone, Copy)]
enum Body {
    Files { zh: &'static [u8], en: &'static [u8] },
    Made(fn(Lang) -> serde_json::Value),
}

macro_rules! files {
    ($zh:literal, $en:literal) => {
        Body::Files {
            zh: include_bytes!(concat!("../../../examples/payloads/", $zh)),
            en: include_bytes!(concat!("../../../examples/payloads/", $en)),
        }
    };
    ($both:literal) => {
        files!($both, $both)
    };
}

const FIRING: Body = files!("firing.zh.json", "firing.en.json");

/// One sample.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// What people type.
    pub(super) name: &'static str,
    /// What happens in it.
    pub(super) title: &'static str,
    body: Body,
    /// What the chat was told before; nothing unless it matters.
    told: Option<Body>,
    /// How long after its newest time it comes.
    after: SignedDuration,
    /// It is a storm's.
    pub(super) digest: bool,
    /// How much a robot takes of it.
    pub(super) form: Form,
}

impl Sample {
    const fn new(name: &'static str, title: &'static str, body: Body) -> Self {
        Self { name, title, body, told: None, after: SOON, digest: false, form: Form::Full }
    }
}

/// All of them, in the order of a menu.
pub(super) const ALL: [Sample; 13] = [
    Sample::new("one", "one critical alert, with value, runbook and dashboard", files!("one.zh.json", "one.en.json")),
    Sample::new("firing", "two alerts of a group fire", FIRING),
    Sample {
        told: Some(FIRING),
        ..Sample::new(
            "mixed",
            "after `firing`: one resolves, a third joins, one is unchanged",
            files!("mixed.zh.json", "mixed.en.json"),
        )
    },
    Sample::new("resolved", "the rest of the group resolves", files!("resolved.zh.json", "resolved.en.json")),
    Sample {
        told: Some(FIRING),
        after: REPEAT,
        ..Sample::new("reminder", "after `firing`: the same four hours later", FIRING)
    },
    Sample::new("kubernetes", "kube-prometheus: a pod restarts, with many noisy labels", files!("kubernetes.json")),
    Sample::new("grafana", "Grafana's own alerting: one fires, one resolves", files!("grafana.json")),
    Sample::new("many", "50 alerts in one group", Body::Made(crowd::many)),
    Sample {
        digest: true,
        ..Sample::new("storm", "300 alerts, eight of them critical, in one digest", Body::Made(crowd::storm))
    },
    Sample::new(
        "truncated",
        "Alertmanager left 9 alerts out (max_alerts)",
        files!("truncated.zh.json", "truncated.en.json"),
    ),
    Sample { form: Form::Plain, ..Sample::new("plain", "`firing` for a robot that refused the full form", FIRING) },
    Sample::new(
        "report",
        "what the report_bot is told of a robot that fails",
        files!("report.zh.json", "report.en.json"),
    ),
    Sample::new("hostile", "values that would call people, forge links and break markup", files!("hostile.json")),
];

/// The sample that is shown when nobody chose one.
pub(super) const DEFAULT: &str = "firing";

/// The sample of that name.
///
/// # Errors
/// That there is none, with the nearest name or all.
pub(super) fn find(name: &str) -> Result<&'static Sample, String> {
    if let Some(found) = ALL.iter().find(|sample| sample.name == name) {
        return Ok(found);
    }
    let near = |sample: &&Sample| strsim::damerau_levenshtein(sample.name, name);
    let hint = match ALL.iter().min_by_key(near).filter(|sample| near(sample) <= 2) {
        Some(nearest) => format!("did you mean `{}`?", nearest.name),
        None => format!("there are {}", ALL.map(|sample| sample.name).join(", ")),
    };
    Err(format!("there is no sample `{name}`; {hint}"))
}

impl Body {
    fn bytes(self, lang: Lang) -> Cow<'static, [u8]> {
        match (self, lang) {
            (Self::Files { zh, .. }, Lang::Zh) => Cow::Borrowed(zh),
            (Self::Files { en, .. }, Lang::En) => Cow::Borrowed(en),
            (Self::Made(make), lang) => Cow::Owned(format!("{:#}\n", make(lang)).into_bytes()),
        }
    }

    fn read(self, lang: Lang) -> Result<Notification, BodyError> {
        Notification::parse(&self.bytes(lang))
    }
}

impl Sample {
    /// The webhook body as Alertmanager would send it.
    pub(super) fn bytes(&self, lang: Lang) -> Cow<'static, [u8]> {
        self.body.bytes(lang)
    }

    /// The body.
    ///
    /// # Errors
    /// None; a test reads them all.
    pub(super) fn read(&self, lang: Lang) -> Result<Notification, BodyError> {
        self.body.read(lang)
    }

    /// What the chat was told before, oldest first; `None` for nothing but what the body resolves.
    ///
    /// # Errors
    /// None; a test reads them all.
    pub(super) fn told(&self, lang: Lang) -> Result<Option<Vec<Notification>>, BodyError> {
        self.told.map(|told| Ok(vec![told.read(lang)?])).transpose()
    }

    /// When it comes: its times stand in the file, so that every look at it is the same.
    pub(super) fn now(&self, body: &Notification) -> Timestamp {
        let times = body.alerts.iter().flat_map(|alert| [alert.starts_at, alert.ends_at]).flatten();
        times.max().unwrap_or(Timestamp::UNIX_EPOCH).saturating_add(self.after).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Fingerprint, Status};

    #[test]
    fn every_sample_can_be_read_and_is_identified_as_alertmanager_would() {
        let names: BTreeSet<&str> = ALL.iter().map(|sample| sample.name).collect();
        assert_eq!(names.len(), ALL.len());
        for sample in &ALL {
            for lang in [Lang::Zh, Lang::En] {
                let body = sample.read(lang).unwrap();
                let ids: BTreeSet<Fingerprint> = body.alerts.iter().map(|alert| alert.fingerprint).collect();
                assert_eq!(ids.len(), body.alerts.len(), "{}", sample.name);
                for alert in &body.alerts {
                    assert_eq!(alert.fingerprint, Fingerprint::of(&alert.labels), "{}", sample.name);
                    assert_eq!(alert.ends_at.is_some(), alert.status == Status::Resolved, "{}", sample.name);
                }
                assert!(sample.now(&body) > body.alerts[0].starts_at.unwrap(), "{}", sample.name);
                assert!(sample.told(lang).is_ok());
            }
        }
    }

    /// Every file of the folder is a sample, so that nobody adds one that is in no menu.
    #[test]
    fn every_example_payload_is_a_sample() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/payloads");
        let readme = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
        let known: Vec<Cow<'_, [u8]>> =
            ALL.iter().flat_map(|sample| [Lang::Zh, Lang::En].map(|lang| sample.bytes(lang))).collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                assert!(known.contains(&Cow::Owned(std::fs::read(&path).unwrap())), "{}", path.display());
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
            }
        }
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest() {
        assert_eq!(find("strom").err().unwrap(), "there is no sample `strom`; did you mean `storm`?");
        assert!(find("nonsense").err().unwrap().contains("there are one, firing, "));
        assert_eq!(find(DEFAULT).unwrap().name, "firing");
    }
}
