//! Which of its labels tell a person which alert this is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::marks::one_line;
use crate::model::{Alert, Labels};

/// Things that a metric can be about, whoever reports it. Most identifying first.
const OBJECTS: &[&str] = &[
    "persistentvolumeclaim",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "cronjob",
    "horizontalpodautoscaler",
    "replicaset",
    "poddisruptionbudget",
    "resourcequota",
    "ingress",
    "persistentvolume",
    "workload",
    "target",
    "url",
    "domain",
    "topic",
    "consumergroup",
    "consumer_group",
    "queue",
    "queue_name",
    "bucket",
];
/// Where something runs; one of them is enough.
const UNITS: &[&str] = &[
    "pod",
    "pod_name",
    "instance",
    "nodename",
    "node",
    "node_name",
    "host",
    "hostname",
    "host_name",
    "ident",
    "server",
    "vm",
    "vm_name",
    "instance_name",
    "instance_id",
    "instanceId",
    "ip",
    "address",
];
/// A part of it.
const PARTS: &[&str] = &[
    "mountpoint",
    "device",
    "interface",
    "ifName",
    "ifDescr",
    "disk",
    "volume",
    "container",
    "name",
    "database",
    "datname",
    "keyspace",
    "schema",
    "table",
    "index",
    "vhost",
    "partition",
    "sensor",
];
/// What runs there: says enough when nothing above is known.
const SERVICES: &[&str] = &["service", "service_name", "app", "application", "component", "job"];
/// Identify only when nothing else does.
const WEAK: &[&str] = &["namespace", "owner", "team", "zone", "az"];
/// Shown elsewhere in a message.
const SHOWN: &[&str] = &["alertname", "rulename", "severity"];
/// Say how the alert was made, or are the same for every alert of the name.
const NOISE: &[&str] = &[
    "prometheus",
    "prometheus_replica",
    "prometheus_group",
    "monitor",
    "replica",
    "receiver",
    "endpoint",
    "metrics_path",
    "scheme",
    "container_id",
    "image",
    "image_id",
    "uid",
    "id",
    "pod_ip",
    "host_ip",
    "pod_template_hash",
    "controller_revision_hash",
    "version",
    "revision",
    "release",
    "heritage",
    "chart",
    "fstype",
    "condition",
    "status",
    "state",
    "phase",
    "le",
    "quantile",
    "alertgroup",
    "alert_id",
    "rule_group",
    "rule_id",
    "rule_uid",
    "datasource",
    "datasource_uid",
    "ref_id",
    "grafana_folder",
    "level",
    "priority",
];
/// Labels that name the cluster, or what stands for it; the first that is there.
pub(super) const CLUSTER: [&str; 9] = [
    "cluster",
    "cluster_name",
    "k8s_cluster",
    "kubernetes_cluster",
    "env",
    "environment",
    "idc",
    "datacenter",
    "region",
];
/// Longest value shown of a label that identifies, in characters.
const VALUE_CHARS: usize = 80;
/// Values that identify an alert at most: a title has room for no more.
const MOST: usize = 2;

/// A label that identifies, and its value for people.
pub(super) type Mark<'a> = (&'a str, String);

/// The cluster that an alert comes from, or `""`.
pub(super) fn cluster(alert: &Alert) -> String {
    CLUSTER.iter().map(|name| alert.label(name)).find(|value| !value.is_empty()).map(short).unwrap_or_default()
}

/// The namespace of what an alert is about, or `""`. That of an exporter says nothing about the host that it watches.
pub(super) fn namespace(alert: &Alert) -> String {
    let (label, value) = lookup(alert, "namespace");
    let own = label == "namespace" && Reporter::of(alert).is_own(alert, label);
    if own { String::new() } else { short(value) }
}

/// The alert's name for people: its name label, else its fingerprint.
pub(super) fn name(alert: &Alert) -> String {
    match short(alert.name()) {
        name if name.is_empty() => alert.fingerprint.to_string(),
        name => name,
    }
}

/// Whether a label of this alert says how it was made rather than what it is about.
pub(super) fn is_noise_of(alert: &Alert, name: &str) -> bool {
    let reported = matches!(name, "job" | "service") && ["instance", "pod"].iter().any(|n| !alert.label(n).is_empty());
    reported || is_noise(name) || Reporter::of(alert).is_own(alert, name)
}

fn is_noise(name: &str) -> bool {
    NOISE.contains(&name)
        || name.starts_with("__")
        || name.starts_with("label_")
        || name.starts_with("annotation_")
        || name.starts_with("helm_sh_")
        || name.contains("kubernetes_io_")
        || name.ends_with("_hash")
}

/// Who reports an alert, as far as its labels tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reporter {
    /// Something about itself, or nobody knows.
    Own,
    /// About objects of a cluster: its own address says nothing.
    Cluster,
    /// About web addresses and the like.
    Probe,
    /// About the host that it runs on: its pod says nothing.
    Host,
}

impl Reporter {
    fn of(alert: &Alert) -> Self {
        let says = |names: &[&str], word: &str| names.iter().any(|name| alert.label(name).contains(word));
        let by = |word: &str| says(&["job", "service"], word);
        if ["instance", "pod", "node", "target"].iter().all(|name| alert.label(name).is_empty()) {
            // Summed up: what is left was left on purpose.
            return Self::Own;
        }
        if by("kube-state-metrics") || alert.label("job") == "kubelet" || by("cadvisor") {
            Self::Cluster
        } else if by("blackbox") || says(&["instance"], "blackbox") {
            Self::Probe
        } else if says(&["pod", "container"], "exporter") || by("exporter") {
            Self::Host
        } else {
            Self::Own
        }
    }

    /// Whether a label of such an alert is about whoever reports it.
    fn is_own(self, alert: &Alert, name: &str) -> bool {
        let own_pod = || alert.label("pod").contains("kube-state-metrics") && !alert.label("deployment").is_empty();
        match (self, name) {
            (Self::Own, _) => false,
            (Self::Cluster, "instance") => {
                // The address of the kubelet is that of its node, when nothing else says which.
                let others = ["pod", "node", "persistentvolumeclaim"];
                alert.label("job") != "kubelet" || others.iter().any(|other| !alert.label(other).is_empty())
            }
            (Self::Cluster, "pod") => own_pod(),
            (Self::Cluster, "container") => alert.label("pod").is_empty() || own_pod(),
            (Self::Cluster, "name") => true,
            (Self::Host | Self::Probe, "pod" | "namespace" | "container") => true,
            (Self::Probe, "instance") => alert.label("instance").contains("blackbox"),
            (_, "job" | "service") => true,
            _ => false,
        }
    }
}

/// A label; what Prometheus renamed because its target has one of the same name is the one that is meant.
fn lookup<'a>(alert: &'a Alert, name: &str) -> (&'a str, &'a str) {
    let renamed = alert.labels.get_key_value(&format!("exported_{name}")).filter(|(_, value)| !value.is_empty());
    let found = renamed.or_else(|| alert.labels.get_key_value(name));
    found.map_or(("", ""), |(name, value)| (name.as_str(), value.as_str()))
}

/// The labels that identify this alert, most identifying first, two at most. `common` are labels that all alerts of the
/// message share: they tell none of them apart. `group` are the labels that the group was made by: of labels that we do
/// not know, the others identify better.
pub(super) fn marks<'a>(alert: &'a Alert, common: &BTreeSet<&str>, group: &Labels) -> Vec<Mark<'a>> {
    if common.is_empty() {
        return pick(alert, |_| true, Some(group));
    }
    let found = pick(alert, |name| !common.contains(name), Some(group));
    if !found.is_empty() {
        return found;
    }
    // Nothing tells them apart but noise: better than nothing.
    let mut picked = Picked::of(alert);
    let rest = alert.labels.keys().map(String::as_str).filter(|name| !common.contains(name) && !SHOWN.contains(name));
    picked.add(rest, MOST);
    picked.found
}

/// What all alerts of a message share of what identifies them.
pub(super) fn shared<'a>(alert: &'a Alert, common: &BTreeSet<&str>) -> Vec<Mark<'a>> {
    pick(alert, |name| common.contains(name), None)
}

/// The values of [`marks`].
pub(super) fn identity(alert: &Alert, common: &BTreeSet<&str>, group: &Labels) -> Vec<String> {
    marks(alert, common, group).into_iter().map(|(_, value)| value).collect()
}

struct Picked<'a> {
    alert: &'a Alert,
    name: String,
    found: Vec<Mark<'a>>,
}

impl<'a> Picked<'a> {
    fn of(alert: &'a Alert) -> Self {
        Self { alert, name: name(alert), found: Vec::new() }
    }

    /// Takes up to `most` of these labels that say something new.
    fn add(&mut self, names: impl Iterator<Item = &'a str>, most: usize) {
        let mut taken = 0;
        for label in names {
            if taken == most || self.found.len() == MOST {
                return;
            }
            let (label, value) = lookup(self.alert, label);
            let value = short(value);
            let known = |(_, other): &Mark<'_>| without_port(other) == without_port(&value);
            if !value.is_empty() && value != self.name && !self.found.iter().any(known) {
                self.found.push((label, value));
                taken += 1;
            }
        }
    }
}

/// From labels that `wanted` lets through. Without a `group`, of those only that we know to identify.
fn pick<'a>(alert: &'a Alert, wanted: impl Fn(&str) -> bool, group: Option<&Labels>) -> Vec<Mark<'a>> {
    let reporter = Reporter::of(alert);
    let usable = |name: &&'a str| {
        let (label, _) = lookup(alert, name);
        wanted(label) && (label != *name || !reporter.is_own(alert, name))
    };
    let mut picked = Picked::of(alert);
    picked.add(of(OBJECTS).filter(usable), MOST);
    let mut units: Vec<&str> = of(UNITS).filter(usable).collect();
    units.sort_by_key(|name| is_vague(lookup(alert, name).1));
    picked.add(units.into_iter(), 1);
    let value = |name| lookup(alert, name).1;
    let told = |name: &&'a str| match *name {
        // The container `cart` of `cart-7c9d8-x2x4z` is the one that everybody thinks of.
        "container" => !value("pod").is_empty() && !value("pod").starts_with(value(name)),
        "device" => value("mountpoint").is_empty(),
        _ => true,
    };
    picked.add(of(PARTS).filter(usable).filter(told), MOST);
    let Some(group) = group else { return picked.found };
    if picked.found.is_empty() {
        picked.add(of(SERVICES).filter(usable), 1);
    }
    let unknown = |name: &&'a str| wanted(name) && is_unknown(name);
    let names = || alert.labels.keys().map(String::as_str).filter(unknown);
    picked.add(names().filter(|name| !group.contains_key(*name)), MOST);
    picked.add(names().filter(|name| group.contains_key(*name)), MOST);
    if picked.found.is_empty() {
        picked.add(of(PARTS).chain(of(WEAK)).filter(usable), MOST);
    }
    picked.found
}

fn of<'a>(names: &'static [&'static str]) -> impl Iterator<Item = &'a str> {
    let names: &'a [&'a str] = names;
    names.iter().copied()
}

/// Whether a label is none of those that this file knows.
fn is_unknown(name: &str) -> bool {
    let known = [OBJECTS, UNITS, PARTS, SERVICES, WEAK, SHOWN, &CLUSTER];
    !is_noise(name) && !name.starts_with("exported_") && !known.iter().any(|names| names.contains(&name))
}

/// Labels that are worth a line when an alert says nothing else about itself: neither noise nor shown elsewhere.
pub(super) fn others<'a>(alert: &'a Alert, marks: &[Mark<'_>]) -> Vec<(&'a str, &'a str)> {
    let shown = |name: &str| {
        SHOWN.contains(&name) || CLUSTER.contains(&name) || name == "namespace" || marks.iter().any(|m| m.0 == name)
    };
    let wanted = |(name, value): &(&str, &str)| !value.trim().is_empty() && !shown(name) && !is_noise_of(alert, name);
    sorted(&alert.labels).into_iter().filter(wanted).collect()
}

/// A bare address, or that of an exporter: any name says more.
fn is_vague(value: &str) -> bool {
    let host = without_port(value);
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || host.contains("exporter")
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
