//! The sample alerts: what happens when, and the webhook bodies that Alertmanager would send of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::model::{Fingerprint, Labels};

/// Services that a broken link reaches, one group each.
const SERVICES: [&str; 24] = [
    "order", "pay", "cart", "search", "user", "coupon", "stock", "price", "review", "message", "report", "gateway",
    "invoice", "refund", "address", "login", "captcha", "banner", "ranking", "wallet", "points", "survey", "export",
    "audit",
];

/// An alert of the story.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    name: &'static str,
    severity: &'static str,
    team: &'static str,
    owner: &'static str,
    /// The label that tells it from others of its group, and its value.
    place: (&'static str, &'static str),
    summary: &'static str,
    description: &'static str,
    /// Seconds before it was first sent.
    began: i64,
    /// When it has: seconds before it was first sent as resolved.
    ended: Option<i64>,
}

/// When each alert began and ended: the same in every webhook, as Alertmanager has it.
#[derive(Default)]
pub(super) struct Times(BTreeMap<Fingerprint, (Timestamp, Option<Timestamp>)>);

/// One webhook of the story.
pub(super) struct Webhook {
    /// Pause before it.
    pub(super) after: Duration,
    /// What happens, for the person who watches; empty: nothing worth saying.
    pub(super) what: String,
    /// The alerts of the group as they stand.
    pub(super) alerts: Vec<Sample>,
}

const REPLICATION: Sample = Sample {
    name: "MySQL主从延迟",
    severity: "critical",
    team: "db",
    owner: "zhang.san",
    place: ("instance", "db-03:3306"),
    summary: "从库延迟 312s，阈值 60s",
    description: "db-03 的复制延迟已超过阈值，读流量可能读到旧数据。",
    began: 40,
    ended: None,
};
const REPLICATION_TOO: Sample = Sample {
    place: ("instance", "db-04:3306"),
    summary: "从库延迟 95s，阈值 60s",
    description: "db-04 的复制延迟已超过阈值，读流量可能读到旧数据。",
    began: 15,
    ..REPLICATION
};
const DISK: Sample = Sample {
    name: "磁盘空间不足",
    severity: "warning",
    team: "infra",
    owner: "li.si",
    place: ("instance", "node-07:9100"),
    summary: "/data 剩余 8%，预计 4 小时后写满",
    description: "按最近 6 小时的增长速度估算。",
    began: 300,
    ended: None,
};
const ERRORS: Sample = Sample {
    name: "支付接口错误率过高",
    severity: "error",
    team: "pay",
    owner: "li.si",
    place: ("instance", "pay-api-02:8080"),
    summary: "5xx 比例 7.2%，阈值 1%",
    description: "近 5 分钟 POST /v1/pay 的 5xx 比例。",
    began: 60,
    ended: None,
};
const SLOW: Sample = Sample {
    name: "接口延迟过高",
    severity: "warning",
    team: "net",
    owner: "",
    place: ("deployment", ""),
    summary: "P99 延迟 2.4s，阈值 500ms",
    description: "机房互联链路丢包，依赖它的接口变慢。",
    began: 30,
    ended: None,
};

/// The story, in order.
pub(super) fn story() -> Vec<Webhook> {
    let webhook = |seconds: u64, what: &str, alerts: &[Sample]| Webhook {
        after: Duration::from_secs(seconds),
        what: what.to_owned(),
        alerts: alerts.to_vec(),
    };
    let over = |sample: Sample| Sample { ended: Some(3), ..sample };
    let mut story = vec![
        webhook(
            0,
            "fires: replication lags on db-03, critical. All three chats are told, people are called",
            &[REPLICATION],
        ),
        webhook(
            8,
            "joins: db-04 too. The chats are told what is new, and that db-03 still fires",
            &[REPLICATION, REPLICATION_TOO],
        ),
        webhook(6, "fires: a disk fills up, a warning. Only the developers' Feishu chat is told", &[DISK]),
        webhook(6, "fires: payments fail, an error. Feishu again, and its owner is called", &[ERRORS]),
        webhook(6, "partly resolved: db-03 has recovered, db-04 has not", &[over(REPLICATION), REPLICATION_TOO]),
        webhook(6, "resolved: payments work again", &[over(ERRORS)]),
        webhook(6, "resolved: db-04 has recovered as well, all clear", &[over(REPLICATION), over(REPLICATION_TOO)]),
    ];
    story.extend(storm());
    story.push(webhook(2, "resolved: the disk has room again", &[over(DISK)]));
    story
}

/// Two dozen groups within a moment at a robot that takes 20 messages a minute; half of them end soon.
fn storm() -> Vec<Webhook> {
    let slow = |service: &'static str, critical: bool| Sample {
        place: ("deployment", service),
        severity: if critical { "critical" } else { SLOW.severity },
        owner: if critical { "zhang.san" } else { "" },
        ..SLOW
    };
    let mut storm = Vec::new();
    for (at, service) in SERVICES.into_iter().enumerate() {
        let what = if at == 0 {
            "a small storm: 24 groups at a robot that takes 20 messages a minute. One digest tells what can not leave alone"
        } else {
            ""
        };
        let after = if at == 0 { Duration::from_secs(8) } else { Duration::from_millis(100) };
        // The most urgent one comes late, and leaves alone.
        storm.push(Webhook { after, what: what.to_owned(), alerts: vec![slow(service, at == 20)] });
    }
    for (at, service) in SERVICES.into_iter().skip(12).enumerate() {
        let what =
            if at == 0 { "half of them have resolved: the next digest leaves 15 seconds after the first" } else { "" };
        let sample = Sample { ended: Some(1), ..slow(service, at == 8) };
        let after = if at == 0 { Duration::from_secs(8) } else { Duration::from_millis(100) };
        storm.push(Webhook { after, what: what.to_owned(), alerts: vec![sample] });
    }
    storm
}

impl Webhook {
    /// The body as Alertmanager would send it now. `alertmanager` is its address.
    pub(super) fn body(&self, times: &mut Times, now: Timestamp, alertmanager: &str) -> Value {
        let alerts: Vec<Value> = self.alerts.iter().map(|sample| sample.json(times, now)).collect();
        let all: Vec<Labels> = self.alerts.iter().map(|sample| sample.labels()).collect();
        let group = self.alerts.first().map(Sample::group).unwrap_or_default();
        let pairs: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let firing = self.alerts.iter().any(|sample| sample.ended.is_none());
        json!({
            "receiver": "alarmbell",
            "status": if firing { "firing" } else { "resolved" },
            "alerts": alerts,
            "groupLabels": group,
            "commonLabels": common(&all),
            "commonAnnotations": common(&self.alerts.iter().map(Sample::annotations).collect::<Vec<_>>()),
            "externalURL": alertmanager,
            "version": "4",
            "groupKey": format!("{{}}:{{{}}}", pairs.join(", ")),
            "truncatedAlerts": 0,
        })
    }
}

impl Sample {
    /// Alertmanager's `group_by: [alertname, cluster, deployment]`.
    fn group(&self) -> Labels {
        let names = ["alertname", "cluster", "deployment"];
        self.labels().into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
    }

    fn labels(&self) -> Labels {
        let pairs = [
            ("alertname", self.name),
            ("cluster", "prod-sh"),
            ("severity", self.severity),
            ("team", self.team),
            ("owner", self.owner),
            self.place,
        ];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn annotations(&self) -> Labels {
        let pairs = [("summary", self.summary), ("description", self.description)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn json(&self, times: &mut Times, now: Timestamp) -> Value {
        // The fallback is for a year that jiff does not know.
        let ago = |seconds: i64| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(now);
        let labels = self.labels();
        let (began, end) = times.0.entry(Fingerprint::of(&labels)).or_insert_with(|| (ago(self.began), None));
        let ended = self.ended.map(|seconds| *end.get_or_insert_with(|| ago(seconds)));
        json!({
            "status": if self.ended.is_none() { "firing" } else { "resolved" },
            "fingerprint": Fingerprint::of(&labels),
            "labels": labels,
            "annotations": self.annotations(),
            "startsAt": began.to_string(),
            "endsAt": ended.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |end| end.to_string()),
            "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=up&g0.tab=1",
        })
    }
}

/// What all label sets share.
fn common(all: &[Labels]) -> Labels {
    let Some((first, rest)) = all.split_first() else { return Labels::new() };
    let shared = first.iter().filter(|(name, value)| rest.iter().all(|labels| labels.get(*name) == Some(value)));
    shared.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Notification, Status};

    #[test]
    fn bodies_are_alertmanagers_and_times_fit_together() {
        let mut now: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        let mut times = Times::default();
        let mut began: BTreeMap<Fingerprint, Timestamp> = BTreeMap::new();
        let mut firing = std::collections::BTreeSet::new();
        for webhook in story() {
            now += SignedDuration::try_from(webhook.after).unwrap();
            let body = webhook.body(&mut times, now, "http://127.0.0.1:9093").to_string();
            let body = Notification::parse(body.as_bytes()).unwrap();
            assert!(body.group_key.starts_with("{}:{alertname=\""), "{}", body.group_key);
            for alert in &body.alerts {
                assert_eq!(alert.fingerprint, Fingerprint::of(&alert.labels));
                let start = alert.starts_at.unwrap();
                assert_eq!(*began.entry(alert.fingerprint).or_insert(start), start);
                assert!(alert.ends_at.is_none_or(|end| start < end && end <= now));
                match alert.status {
                    Status::Firing => firing.insert(alert.fingerprint),
                    Status::Resolved => firing.remove(&alert.fingerprint),
                };
            }
        }
        // Half of the storm fires on.
        assert_eq!(firing.len(), 12);
    }
}
