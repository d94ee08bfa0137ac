//! Which of its labels tell a person which alert this is.

use std::collections::BTreeSet;

use super::marks::one_line;
use crate::model::{Alert, Labels};

/// Most identifying first.
const STRONG: &[&str] = &[
    "instance",
    "pod",
    "node",
    "nodename",
    "host",
    "hostname",
    "target",
    "device",
    "mountpoint",
    "persistentvolumeclaim",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "cronjob",
    "horizontalpodautoscaler",
    "topic",
    "queue",
    "database",
];
/// Identify only when nothing else does.
const WEAK: &[&str] = &["service", "job", "namespace", "app", "owner", "team", "region", "zone"];
/// Shown elsewhere in a message.
const SHOWN: &[&str] = &["alertname", "severity", "cluster", "cluster_name", "k8s_cluster"];
/// Say how the alert was made, not what it is about.
const NOISE: &[&str] = &[
    "prometheus",
    "prometheus_replica",
    "endpoint",
    "container",
    "container_id",
    "image",
    "uid",
    "id",
    "metrics_path",
    "pod_template_hash",
    "replica",
    "monitor",
    "receiver",
    "alertgroup",
    "datasource_uid",
    "ref_id",
    "rule_uid",
    "grafana_folder",
    "level",
    "priority",
];
/// Labels that name the cluster, the first that is there.
pub(super) const CLUSTER: [&str; 3] = ["cluster", "cluster_name", "k8s_cluster"];
/// Longest value shown of a label that identifies, in characters.
const VALUE_CHARS: usize = 80;

/// The cluster that an alert comes from, or `""`.
pub(super) fn cluster(alert: &Alert) -> String {
    CLUSTER.iter().map(|name| alert.label(name)).find(|value| !value.is_empty()).map(short).unwrap_or_default()
}

/// The alert's name for people: its name label, else its fingerprint.
pub(super) fn name(alert: &Alert) -> String {
    match short(alert.name()) {
        name if name.is_empty() => alert.fingerprint.to_string(),
        name => name,
    }
}

/// Values of the labels that identify this alert, most identifying first, two at most. `common` are labels that
/// all alerts of the message share: they tell none of them apart. `group` are the labels that the group was made by: of
/// labels that we do not know, the others identify better.
pub(super) fn identity(alert: &Alert, common: &BTreeSet<&str>, group: &Labels) -> Vec<String> {
    // kube-state-metrics reports about others; its own address says nothing about them.
    let exporter = ["job", "service"].iter().any(|name| alert.label(name).contains("kube-state-metrics"));
    let about_exporter = |name: &str| exporter && matches!(name, "instance" | "job" | "service");
    let usable = |name: &str| {
        !SHOWN.contains(&name) && !NOISE.contains(&name) && !name.starts_with("__") && !about_exporter(name)
    };
    let strong = STRONG.iter().copied();
    let unknown = |name: &&str| !STRONG.contains(name) && !WEAK.contains(name);
    let names = || alert.labels.keys().map(String::as_str).filter(unknown);
    let own = names().filter(|name| !group.contains_key(*name));
    let other = own.chain(names().filter(|name| group.contains_key(*name)));
    let pick = |skip_common: bool| -> Vec<String> {
        let wanted = |name: &&str| usable(name) && !(skip_common && common.contains(name));
        let found = values(alert, strong.clone().chain(other.clone()).filter(wanted));
        if found.is_empty() { values(alert, WEAK.iter().copied().filter(wanted)) } else { found }
    };
    if common.is_empty() {
        return pick(false);
    }
    // Nothing tells them apart but noise: better than nothing.
    let noise = || values(alert, NOISE.iter().copied().filter(|name| !common.contains(name)));
    Some(pick(true)).filter(|found| !found.is_empty()).unwrap_or_else(noise)
}

fn values<'a>(alert: &Alert, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name(alert);
    let mut found: Vec<String> = Vec::new();
    for value in names.map(|name| short(alert.label(name))).filter(|value| !value.is_empty()) {
        if value != name && !found.contains(&value) {
            found.push(value);
        }
        if found.len() == 2 {
            break;
        }
    }
    found
}

fn short(value: &str) -> String {
    one_line(value, VALUE_CHARS)
}

/// `db-03` of `db-03:3306`: a port tells a person in bed nothing.
pub(super) fn without_port(value: &str) -> &str {
    match value.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty()
                && !port.is_empty()
                && (!host.contains(':') || host.ends_with(']'))
                && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            host
        }
        _ => value,
    }
}

/// Label names that all these alerts have with the same value; empty for fewer than two alerts.
pub(super) fn common<'a>(mut alerts: impl Iterator<Item = &'a Alert>) -> BTreeSet<&'a str> {
    let Some(first) = alerts.next() else { return BTreeSet::new() };
    let mut shared: Vec<(&String, &String)> = first.labels.iter().collect();
    let mut several = false;
    for alert in alerts {
        several = true;
        if shared.is_empty() {
            break;
        }
        shared.retain(|(name, value)| alert.labels.get(*name) == Some(*value));
    }
    if several { shared.into_iter().map(|(name, _)| name.as_str()).collect() } else { BTreeSet::new() }
}

/// A label set with the alert's name first, the rest by name, as Alertmanager's `SortedPairs`.
pub(super) fn sorted(labels: &Labels) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.sort_by_key(|(name, _)| *name != "alertname");
    pairs
}
