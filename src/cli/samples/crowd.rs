//! Samples of many alerts, made instead of written.

use serde_json::{Map, Value, json};

use crate::model::{Fingerprint, Labels, Lang};

/// When the first of them began.
const BEGIN: &str = "2026-11-20T02:01:32.418Z";
/// Names of the storm's alerts: so many, and so many times each.
const NAMES: usize = 60;
const TIMES: usize = 5;

/// One alert; of a number, so that each is another one.
fn alert(name: &str, severity: &str, instance: &str, summary: &str, number: usize, resolved: bool) -> Value {
    let labels = Labels::from(
        [
            ("alertname", name),
            ("cluster", "prod-sh"),
            ("instance", instance),
            ("job", "node"),
            ("owner", "zhang.san"),
            ("severity", severity),
            ("team", "infra"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let time = |seconds: usize| {
        let begin = BEGIN.parse::<jiff::Timestamp>().unwrap_or_default();
        let seconds = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0));
        begin.saturating_add(seconds).unwrap_or(begin).to_string()
    };
    json!({
        "status": if resolved { "resolved" } else { "firing" },
        "fingerprint": Fingerprint::of(&labels),
        "labels": labels,
        "annotations": {"summary": summary, "runbook_url": "https://runbooks.example.com/node"},
        "startsAt": time(number % 60),
        "endsAt": if resolved { time(120 + number % 60) } else { "0001-01-01T00:00:00Z".to_owned() },
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=up&g0.tab=1",
    })
}

/// What Alertmanager says around the alerts of a group that was made by these labels.
fn body(alerts: Vec<Value>, group: &[(&str, &str)], common: &[(&str, &str)]) -> Value {
    let map = |pairs: &[(&str, &str)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    };
    let key: Vec<String> = group.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    json!({
        "receiver": "alarmbell",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": map(group),
        "commonLabels": map(common),
        "commonAnnotations": {"runbook_url": "https://runbooks.example.com/node"},
        "externalURL": "http://alertmanager.example.com:9093",
        "version": "4",
        "groupKey": format!("{{}}:{{{}}}", key.join(", ")),
        "truncatedAlerts": 0,
    })
}

const SHARED: [(&str, &str); 4] = [("cluster", "prod-sh"), ("job", "node"), ("owner", "zhang.san"), ("team", "infra")];

/// 50 alerts in one group, three of them critical and five resolved.
pub(super) fn many(lang: Lang) -> Value {
    let name = match lang {
        Lang::Zh => "磁盘使用率过高",
        Lang::En => "DiskUsageHigh",
    };
    let alerts = (0..50).map(|at| {
        let (severity, usage) = if at < 3 { ("critical", 97 + at) } else { ("warning", 85 + at % 10) };
        let host = format!("db-{:02}", at + 1);
        let summary = match lang {
            Lang::Zh => format!("{host} 的 /data 使用率 {usage}%，阈值 85%"),
            Lang::En => format!("/data on {host} is {usage}% full, above 85%"),
        };
        alert(name, severity, &format!("{host}:9100"), &summary, at, at >= 45)
    });
    let group = [("alertname", name), ("cluster", "prod-sh")];
    let common: Vec<(&str, &str)> = std::iter::once(("alertname", name)).chain(SHARED).collect();
    body(alerts.collect(), &group, &common)
}

/// 300 alerts of 60 names: a core switch is gone. Eight are critical and 40 resolved.
pub(super) fn storm(lang: Lang) -> Value {
    let kinds = ["Unreachable", "LatencyHigh", "ErrorsHigh", "QueueFull", "ReplicaLost", "ProbeFailed"];
    let parts = ["Web", "Api", "Cart", "Search", "Login", "Mail", "Cache", "Ledger", "Stock", "Image"];
    let mut alerts = Vec::with_capacity(NAMES * TIMES);
    for at in 0..NAMES * TIMES {
        let (of_name, time) = (at % NAMES, at / NAMES);
        let (part, kind) = (parts[of_name % parts.len()], kinds[of_name / parts.len()]);
        let (name, severity) = match (of_name, time, lang) {
            (0, 0..4, Lang::Zh) => ("核心交换机失联".to_owned(), "critical"),
            (0, 0..4, Lang::En) => ("CoreSwitchDown".to_owned(), "critical"),
            (10, 0..4, Lang::Zh) => ("MySQL主从延迟".to_owned(), "critical"),
            (10, 0..4, Lang::En) => ("MySQLReplicationLag".to_owned(), "critical"),
            (of_name, ..) => (format!("{part}{kind}"), if of_name % 7 == 0 { "error" } else { "warning" }),
        };
        let host = format!("{}-{:02}", part.to_lowercase(), time + 1);
        let summary = match lang {
            Lang::Zh => format!("{host} 自交换机失联后异常"),
            Lang::En => format!("{host} is in trouble since the switch went away"),
        };
        let resolved = severity == "warning" && time == TIMES - 1 && of_name % 3 != 0;
        alerts.push(alert(&name, severity, &format!("{host}:9100"), &summary, at, resolved));
    }
    body(alerts, &[("cluster", "prod-sh")], &SHARED)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Notification, Status};

    #[test]
    fn as_large_as_they_say() {
        for lang in [Lang::Zh, Lang::En] {
            let read = |body: Value| Notification::parse(body.to_string().as_bytes()).unwrap();
            let count = |body: &Notification, severity: &str, status: Status| {
                let of = |alert: &&crate::model::Alert| alert.label("severity") == severity && alert.status == status;
                body.alerts.iter().filter(of).count()
            };
            let many = read(many(lang));
            assert_eq!(many.alerts.len(), 50);
            assert_eq!(count(&many, "critical", Status::Firing), 3);
            assert_eq!(count(&many, "warning", Status::Resolved), 5);
            let storm = read(storm(lang));
            let names: BTreeSet<&str> = storm.alerts.iter().map(|alert| alert.name()).collect();
            assert_eq!((storm.alerts.len(), names.len()), (300, 62));
            assert_eq!(count(&storm, "critical", Status::Firing), 8);
            assert!(count(&storm, "warning", Status::Resolved) >= 25);
        }
    }
}
