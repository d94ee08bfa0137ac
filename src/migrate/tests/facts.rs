//! The other bridge's default and legacy looks, and a template of the same constructs in other words: the facts of every
//! recorded body are there.

use super::*;
use crate::model::Status;

/// Every recorded body that is a webhook's, but the one of which a message can not show all.
pub(super) fn webhooks() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/payloads");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".body")?.to_owned()));
    let mut names: Vec<String> =
        names.filter(|name| name != MANY && Notification::parse(&recorded(name)).is_ok()).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 17, "{names:?}");
    names
}

/// Fifty alerts, which are more than fit.
pub(super) const MANY: &str = "fifty_firing";

/// Every construct of the default and legacy templates: define and template with a list or the message, comments,
/// trims, pipes into functions, brackets, `index`, `and` of bracketed fields, `with` of a method, nested ranges, links
/// with a template in their address.
pub(super) const OTHER_WORDS: &str = r#"
{{ define "_head" }}<{{ .Status | toUpper }}{{ if eq .Status "firing" }} x{{ .Alerts.Firing | len }}{{ end }}> {{ .GroupLabels.SortedPairs.Values | join "/" }} {{ if gt (len .CommonLabels) (len .GroupLabels) }}+{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .Values | join "/" }}{{ end }}{{ end }}{{ end }}
{{ define "_home" }}{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver }}{{ end }}
{{ define "_rows" }}{{ range . }}
{{ .Labels.severity | upper }} * {{ .Annotations.summary }} * {{ .Annotations.description }}
{{ range .Labels.SortedPairs }}{{ if and (ne (.Name) "severity") (ne (.Name) "summary") }}- {{ .Name }} is {{ .Value | markdown | html }}
{{ end }}{{ end }}
{{ range .Annotations.SortedPairs }}- {{ .Name }} says {{ .Value | markdown | html }}
{{ end }}
since {{ .StartsAt.UTC.Format "2006-01-02T15:04:05" }}{{ if not (.EndsAt.IsZero) }} till {{ .EndsAt.UTC.Format "15:04:05" }}{{ end }}
[{{ .GeneratorURL }}]({{ .GeneratorURL }})
{{ end }}{{ end }}
{{/* The entrance */}}
{{ define "corp.title" }}{{ template "_head" . }}{{ end }}
{{ define "corp.content" }}## \[{{ .Status | toUpper }}\] **[{{ index .GroupLabels "alertname" }}]({{ template "_home" . }})**
{{ if gt (len .Alerts.Firing) 0 -}}
On:
{{ template "_rows" .Alerts.Firing }}
{{- end }}
{{ if gt (len .Alerts.Resolved) 0 -}}
Off:
{{ template "_rows" .Alerts.Resolved }}
{{- end }}
{{- end }}
"#;

/// Without what makes a value safe in the chat, blanks, and the two spaces at line ends.
fn bare(text: &str) -> String {
    let wide = |c: char| match u32::from(c) {
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap(),
        _ => c,
    };
    text.chars().filter(|c| !matches!(c, '\u{200b}') && !c.is_whitespace()).map(wide).collect()
}

pub(super) struct Facts {
    pub(super) body: Notification,
    pub(super) firing: usize,
    labels: Vec<String>,
    annotations: Vec<String>,
}

pub(super) fn facts(name: &str) -> Facts {
    let body = Notification::parse(&recorded(name)).unwrap();
    let (mut labels, mut annotations) = (Vec::new(), Vec::new());
    for alert in &body.alerts {
        labels.extend(alert.labels.iter().map(|(name, value)| format!("{name}|{value}")));
        annotations.extend(alert.annotations.iter().map(|(name, value)| format!("{name}|{value}")));
    }
    let firing = body.alerts.iter().filter(|alert| alert.status == Status::Firing).count();
    Facts { body, firing, labels, annotations }
}

pub(super) fn holds(text: &str, parts: impl IntoIterator<Item = String>, of: &str) {
    let text = bare(text);
    for part in parts {
        assert!(text.contains(&bare(&part)), "{of}: {part} is not in {text}");
    }
}

fn message(templates: &Templates, title: &str, content: &str, payload: &str) -> Preview {
    let of = |name: &str| {
        let done = templates.translate(&source(&format!("{{{{ template \"{name}\" . }}}}"))).unwrap();
        assert_eq!(done.findings, Vec::new(), "{name}");
        assert!(!done.text.contains("migrate:"), "{name}: {}", done.text);
        done.text
    };
    shown(&of(title), &of(content), payload)
}

/// Title: status, how many fire, group labels, the other common labels.
pub(super) fn check_title(title: &str, found: &Facts, name: &str) {
    let fires = found.firing > 0;
    let status = if fires { "FIRING" } else { "RESOLVED" };
    let count = fires.then(|| found.firing.to_string());
    let common = found.body.common_labels.values().chain(found.body.group_labels.values()).cloned();
    holds(title, [status.to_owned()].into_iter().chain(count).chain(common), name);
}

/// Grafana sends some that lead nowhere.
fn links(found: &Facts) -> impl Iterator<Item = &String> {
    found.body.alerts.iter().map(|alert| &alert.generator_url).filter(|url| url.starts_with("http"))
}

/// What the default look shows.
pub(super) fn check_default(body: &str, found: &Facts, name: &str) {
    holds(body, links(found).map(|url| format!("[📈]({url})")), name);
    let home =
        format!("]({}/#/alerts?receiver={})", found.body.external_url.trim_end_matches('/'), found.body.receiver);
    holds(body, [home, found.body.group_labels.get("alertname").cloned().unwrap_or_default()], name);
    let rows = found.labels.iter().filter(|pair| !pair.starts_with("severity|"));
    holds(body, rows.map(|pair| pair.replacen('|', ": ", 1)), name);
    for alert in &found.body.alerts {
        let annotation = |name: &str| alert.annotations.get(name).cloned().unwrap_or_default();
        holds(body, [alert.label("severity").to_uppercase(), annotation("summary"), annotation("description")], name);
    }
    assert_eq!(body.contains("Firing"), found.firing > 0, "{name}: {body}");
    assert_eq!(body.contains("Resolved"), found.firing < found.body.alerts.len(), "{name}: {body}");
}

/// What the legacy look shows: it never listed what is resolved.
pub(super) fn check_legacy(body: &str, found: &Facts, name: &str) {
    for alert in found.body.alerts.iter().filter(|alert| alert.status == Status::Firing) {
        let pairs = alert.labels.iter().chain(&alert.annotations);
        holds(body, pairs.map(|(name, value)| format!("- {name}: {value}")), name);
        holds(body, [alert.generator_url.clone()], name);
    }
}

#[test]
fn the_default_and_the_legacy_look_have_their_facts() {
    let templates = Templates::new(Vec::new(), true).unwrap();
    for name in webhooks() {
        let found = facts(&name);
        let made = message(&templates, "ding.link.title", "ding.link.content", &name);
        check_title(&made.draft.title, &found, &name);
        check_default(&made.draft.body, &found, &name);
        let made = message(&templates, "legacy.title", "legacy.content", &name);
        check_title(&made.draft.title, &found, &name);
        check_legacy(&made.draft.body, &found, &name);
    }
}

#[test]
fn the_same_constructs_in_other_words_have_their_facts() {
    let templates = Templates::new(vec![source(OTHER_WORDS)], true).unwrap();
    for name in &webhooks() {
        let found = facts(name);
        let made = message(&templates, "corp.title", "corp.content", name);
        check_title(&made.draft.title, &found, name);
        let body = &made.draft.body;
        let rows = found.labels.iter().filter(|pair| !pair.starts_with("severity|"));
        holds(body, rows.map(|pair| format!("- {}", pair.replacen('|', " is ", 1))), name);
        holds(body, found.annotations.iter().map(|pair| format!("- {}", pair.replacen('|', " says ", 1))), name);
        holds(body, links(&found).map(|url| format!("]({url})")), name);
        for alert in &found.body.alerts {
            let utc = |at: Option<jiff::Timestamp>, layout: &str| {
                at.map_or_else(String::new, |at| jiff::fmt::strtime::format(layout, at).unwrap())
            };
            holds(body, [format!("since {}", utc(alert.starts_at, "%Y-%m-%dT%H:%M:%S"))], name);
            if let Some(end) = alert.ends_at {
                holds(body, [format!("till {}", utc(Some(end), "%H:%M:%S"))], name);
            }
        }
        assert_eq!(body.contains("On:"), found.firing > 0, "{name}");
        assert_eq!(body.contains("Off:"), found.firing < found.body.alerts.len(), "{name}");
    }
}

/// A user's definition takes the place of the built-in one of its name, also where built-in ones call it.
#[test]
fn definitions_are_overridden() {
    let own = "{{ define \"__subject\" }}mine{{ end }}{{ define \"legacy.content\" }}{{ end }}";
    let templates = Templates::new(vec![source(own)], true).unwrap();
    let done = templates.translate(&source("{{ template \"default.title\" . }}")).unwrap();
    assert_eq!(done.text, "mine");
    // Go keeps what there is when an empty definition follows.
    let kept = templates.translate(&source("{{ template \"legacy.content\" . }}")).unwrap();
    assert!(kept.text.contains("**Labels**"), "{}", kept.text);
    let bare = Templates::new(vec![source(own)], false).unwrap();
    let missing = bare.translate(&source("{{ template \"default.title\" . }}")).unwrap();
    assert_eq!(findings(&missing), ["1:1: there is no template \"default.title\""]);
    assert!(templates.is_custom("ding.link.title") && !templates.is_custom("ding.link.content"));
}
