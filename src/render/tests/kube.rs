//! Alerts as clusters, hosts and probes really send them: many labels, long names, annotations of widespread rules.

use super::*;

fn alert(pairs: &str, annotations: &[(&str, &str)], minutes: i64, resolved: bool) -> Alert {
    let labels: Labels = pairs
        .split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    Alert {
        status: if resolved { Status::Resolved } else { Status::Firing },
        fingerprint: crate::model::Fingerprint::of(&labels),
        labels,
        annotations: self::labels(annotations),
        starts_at: Some(at(NOW) - jiff::SignedDuration::from_mins(minutes)),
        ends_at: resolved.then(|| at(NOW) - jiff::SignedDuration::from_secs(20)),
        generator_url: "http://prometheus-k8s-0:9090/graph?g0.expr=rule&g0.tab=1".to_owned(),
        silence_url: String::new(),
        dashboard_url: String::new(),
        panel_url: String::new(),
        value_string: String::new(),
    }
}

const STATE: &str = "container=kube-rbac-proxy-main endpoint=https-main instance=10.244.1.5:8443 \
                     job=kube-state-metrics namespace=shop prometheus=monitoring/k8s service=kube-state-metrics";

fn crash(pod: &str, container: &str, minutes: i64, resolved: bool) -> Alert {
    let labels = format!(
        "{STATE} alertname=KubePodCrashLooping severity=warning cluster=prod-sh pod={pod} container={container} \
         reason=CrashLoopBackOff uid=4f0cb5b2-6f1c-4dc1-b0c1-2a4f5f1c9c11"
    );
    let description = format!("Pod shop/{pod} ({container}) is in waiting state (reason: \"CrashLoopBackOff\").");
    let annotations = [
        ("summary", "Pod is crash looping."),
        ("description", description.as_str()),
        ("runbook_url", "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping"),
    ];
    alert(&labels, &annotations, minutes, resolved)
}

fn disk(mountpoint: &str, left: &str, minutes: i64, resolved: bool) -> Alert {
    let labels = format!(
        "alertname=NodeFilesystemSpaceFillingUp severity=critical cluster=prod-sh container=node-exporter \
         device=/dev/vda{} endpoint=https fstype=ext4 instance=10.0.0.7:9100 job=node-exporter \
         mountpoint={mountpoint} namespace=monitoring nodename=db-07.sh.example pod=node-exporter-x8xk2 \
         prometheus=monitoring/k8s service=node-exporter",
        mountpoint.len()
    );
    let description = format!("Filesystem on {mountpoint} has only {left}% available space left and is filling up.");
    let annotations = [("summary", "Filesystem will run out of space"), ("description", description.as_str())];
    alert(&labels, &annotations, minutes, resolved)
}

/// One of each, with what it is about.
pub(super) fn singles() -> Vec<(&'static str, Alert)> {
    let awesome =
        "Node memory is filling up (< 10% left)\n  VALUE = 5.273645210987\n  LABELS = map[instance:n1 job:node]";
    let mut grafana = alert(
        "alertname=CPU环比 env=prod host=web-01",
        &[("__dashboardUid__", "a-B_9"), ("__panelId__", "2")],
        3,
        false,
    );
    grafana.generator_url = "https://grafana.example/alerting/grafana/x/view".to_owned();
    grafana.value_string = "[ var='A' labels={host=web-01} value=93.2000001 ]".to_owned();
    let volume = "alertname=KubePersistentVolumeFillingUp severity=critical cluster=prod-sh endpoint=https-metrics \
                  instance=10.0.0.5:10250 job=kubelet metrics_path=/metrics namespace=shop node=node-5 \
                  persistentvolumeclaim=data-mysql-0 prometheus=monitoring/k8s service=kubelet";
    let deployment = format!("{STATE} alertname=KubeDeploymentReplicasMismatch severity=warning deployment=cart");
    let probe =
        "alertname=ProbeFailed severity=critical instance=https://shop.example/pay job=blackbox module=http_2xx";
    let target =
        "alertname=ProbeSlow severity=warning target=https://a.example instance=blackbox-exporter:9115 job=probe";
    let lag = "alertname=KafkaLag severity=warning consumergroup=billing topic=orders partition=3 \
               instance=kafka-exporter:9308 job=kafka";
    let queue = "alertname=QueueGrows severity=error queue=mail vhost=/ instance=rabbit-1:15692 job=rabbitmq";
    let sidecar = "alertname=CPUThrottlingHigh severity=info namespace=shop pod=cart-7c9d8f6b5d-x2x4z \
                   container=istio-proxy job=kubelet instance=10.0.0.5:10250 node=node-5";
    let own = "alertname=HighErrors severity=error namespace=shop service=checkout method=POST code=500 region=sh";
    let summed = "alertname=TargetDown severity=warning job=node-exporter namespace=monitoring service=node-exporter";
    let renamed = "alertname=JobSlow severity=warning instance=pushgateway:9091 job=pushgateway exported_job=backup \
                   exported_instance=db-03";
    let server = "alertname=节点宕机 severity=紧急 ident=gw-bj-02 business=支付 rule_id=77 instance=10.9.8.7:9100";
    let bare = [("summary", "Down")];
    vec![
        ("cart-7c9d8f6b5d-x2x4z CrashLoopBackOff", crash("cart-7c9d8f6b5d-x2x4z", "cart", 7, false)),
        ("db-07.sh.example /var/lib/mysql", disk("/var/lib/mysql", "2.3", 130, false)),
        (
            "data-mysql-0 node-5",
            alert(volume, &[("summary", "PVC is filling up"), ("value", "0.028765432")], 61, false),
        ),
        ("cart", alert(&deployment, &bare, 16, false)),
        ("https://shop.example/pay http_2xx", alert(probe, &bare, 1, false)),
        ("https://a.example", alert(target, &bare, 1, false)),
        ("orders billing", alert(lag, &[("summary", "lag grows"), ("current_value", "120345.5")], 9, false)),
        ("mail rabbit-1:15692", alert(queue, &[], 12, false)),
        ("cart-7c9d8f6b5d-x2x4z istio-proxy", alert(sidecar, &bare, 12, false)),
        ("checkout 500", alert(own, &[], 3, false)),
        ("node-exporter", alert(summed, &bare, 12, false)),
        ("db-03", alert(renamed, &bare, 12, true)),
        ("gw-bj-02 支付", alert(server, &[("summary", "节点失联"), ("description", awesome)], 3, false)),
        ("web-01", grafana),
    ]
}

/// Groups: pods of one namespace, file systems of one host, and one that mixes names.
pub(super) fn groups(lang: Lang) -> Vec<(&'static str, Scene)> {
    let pod = |suffix: &str| format!("cart-7c9d8f6b5d-{suffix}");
    let pods = vec![
        crash(&pod("x2x4z"), "cart", 7, false),
        crash(&pod("k8s2p"), "cart", 5, false),
        crash("istio-ingress-65d7f-9qq2w", "proxy", 1, true),
    ];
    let disks = vec![disk("/data", "2.3", 130, false), disk("/var", "1.1", 4, false)];
    let mut host = disks.clone();
    host.push(alert(
        "alertname=NodeClockSkew severity=warning cluster=prod-sh instance=10.0.0.7:9100 nodename=db-07.sh.example",
        &[("summary", "Clock skew detected.")],
        9,
        false,
    ));
    let make = |alerts: Vec<Alert>, by: &[&str]| {
        let mut body = group(alerts);
        body.group_labels = body.alerts[0].labels.clone();
        body.group_labels.retain(|name, _| by.contains(&name.as_str()));
        let mut scene = scene(body, lang);
        scene.list_url = "https://bell.example/m/0123456789abcdef0123456789abcdef".to_owned();
        scene
    };
    vec![
        ("pods of a namespace", make(pods, &["namespace"])),
        ("file systems of a host", make(disks, &["alertname"])),
        ("everything of a host", make(host, &["nodename"])),
    ]
}

#[test]
fn what_identifies_comes_first() {
    for (expected, alert) in singles() {
        let found = identity::identity(&alert, &Default::default(), &Labels::new()).join(" ");
        assert_eq!(found, expected, "{:?}", alert.labels);
    }
}

#[test]
fn a_group_says_what_its_alerts_share() {
    let made: Vec<(String, Vec<String>)> = groups(Lang::En)
        .into_iter()
        .map(|(_, scene)| {
            let rendered = render(&Templates::default(), &Fake::new(BotKind::DingTalk), &scene);
            let facts = Facts::of(&scene);
            (rendered.draft.title, scene.alerts.iter().map(|told| data::label(&told.alert, &facts)).collect())
        })
        .collect();
    let expected = [
        (
            "🟠Resolved 1, still 2 (2 new) Warning KubePodCrashLooping cart-7c9d8f6b5d-x2x4z and 2 more prod-sh",
            vec!["cart-7c9d8f6b5d-x2x4z", "cart-7c9d8f6b5d-k8s2p", "istio-ingress-65d7f-9qq2w proxy"],
        ),
        ("🔴Critical NodeFilesystemSpaceFillingUp db-07.sh.example and 1 more prod-sh", vec!["/data", "/var"]),
        (
            "🔴Critical NodeFilesystemSpaceFillingUp db-07.sh.example and 2 more prod-sh",
            vec!["NodeFilesystemSpaceFillingUp /data", "NodeFilesystemSpaceFillingUp /var", "NodeClockSkew"],
        ),
    ];
    for ((title, labels), (wanted, names)) in made.iter().zip(expected) {
        assert_eq!((title.as_str(), labels.iter().map(String::as_str).collect::<Vec<_>>()), (wanted, names));
    }
}

#[test]
fn grafana_s_annotations_lead_to_the_dashboard() {
    let (_, grafana) = singles().pop().unwrap();
    let found = links::of_alert(&grafana, "", &[]);
    assert!(found.contains(&("dashboard", "https://grafana.example/d/a-B_9?viewPanel=2".to_owned())), "{found:?}");
    for (uid, base) in [("a/b", "/alerting/"), ("", "/alerting/"), ("ok", "/graph")] {
        let mut other = grafana.clone();
        other.annotations.insert("__dashboardUid__".to_owned(), uid.to_owned());
        other.generator_url = format!("https://grafana.example{base}x");
        assert!(links::of_alert(&other, "", &[]).iter().all(|(key, _)| *key != "dashboard"), "{uid} {base}");
    }
}

/// Facts beside the body, by layout.
fn facts_of(scene: &Scene, layout: Layout) -> Vec<String> {
    let facts = Facts::of(scene);
    let rows = columns::columns(scene, &facts, layout, !scene.mentions.is_empty(), scene.alerts.len());
    rows.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn facts_beside_the_body() {
    let pod = || scene(group(vec![crash("cart-with-a-long-name-7c9d8f6b5d-x2x4z", "cart", 7, false)]), Lang::En);
    let whole = "Where: prod-sh / shop / cart-with-a-long-name-7c9d8f6b5d-x2x4z · CrashLoopBackOff";
    assert_eq!(facts_of(&pod(), Layout::Card), [whole, "When: since 01:57:02", "For: 7m", "Dispatch: on-call"]);
    let split = [
        "Where: prod-sh / shop",
        "pod: cart-with-a-long-name-7c9d8f6b5d-x2x4z",
        "reason: CrashLoopBackOff",
        "When: since 01:57:02, for 7m",
        "Dispatch: on-call",
    ];
    assert_eq!(facts_of(&pod(), Layout::TemplateCard), split);
    // Whoever is called stands in the body.
    let mut called = pod();
    called.mentions.all = true;
    assert!(facts_of(&called, Layout::Card).iter().all(|fact| !fact.starts_with("Dispatch")));
    for layout in [Layout::Markdown, Layout::ActionCard, Layout::MarkdownV2, Layout::Post] {
        assert!(facts_of(&pod(), layout).is_empty());
    }
    let (_, pods) = groups(Lang::Zh).swap_remove(0);
    let rows = [
        "警告: cart-7c9d8f6b5d-x2x4z 09:57 起",
        "警告: cart-7c9d8f6b5d-k8s2p 09:59 起",
        "恢复: istio-ingress-65d7f-9qq2w proxy 10:03:02–10:03:42",
        "Dispatch: 值班人员",
    ];
    assert_eq!(facts_of(&pods, Layout::TemplateCard), rows);
    assert!(facts_of(&pods, Layout::Card).is_empty());
}

#[test]
fn what_a_card_has_no_room_for_is_not_named() {
    let mut long = lag("x", false);
    long.labels.insert("instance".to_owned(), "很".repeat(80));
    let mut scene = scene(group(vec![long]), Lang::Zh);
    scene.keywords.clear();
    let how = |layout| {
        let dialect = crate::channel::dialect(BotKind::WeCom, layout, true);
        render(&Templates::default(), &*dialect, &scene).how
    };
    assert_eq!(how(Layout::Markdown), [How::Named]);
    assert_eq!(how(Layout::TemplateCard), [How::Counted]);
}

#[test]
fn a_link_that_all_share_is_said_once() {
    let (one, mut other) = (disk("/a", "1", 3, false), disk("/b", "1", 3, false));
    let shared = |other: &Alert| links::shared([&one, other].into_iter());
    assert_eq!(shared(&other), ["graph", "runbook", "dashboard"]);
    other.annotations.insert("grafana_url".to_owned(), "https://grafana.example".to_owned());
    assert_eq!(shared(&other), ["graph", "runbook"]);
    other.annotations.insert("runbook".to_owned(), "https://wiki.example".to_owned());
    other.generator_url.push('x');
    assert!(shared(&other).is_empty());
    assert!(links::shared([&one].into_iter()).is_empty());
}
