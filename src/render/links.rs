//! Links that may stand in a message: http(s) only, rewritten, without credentials, safe inside `[text](url)`.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::LinkRewrite;
use crate::model::{Alert, Labels};

/// Longer links are left out: they crowd out the message.
const MAX_BYTES: usize = 1_500;

/// Everything that `encodeURIComponent` encodes; Alertmanager's page reads the filter with its counterpart.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes a text for use inside a URL's query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// The link as it may be written, or `None` when it is not an http(s) URL or is over 1,500 bytes.
pub(super) fn usable(link: &str, rewrites: &[LinkRewrite]) -> Option<String> {
    let link = link.trim();
    if link.len() > MAX_BYTES {
        return None;
    }
    let rewritten;
    let link = match rewrites.iter().find_map(|r| Some((r, link.strip_prefix(r.prefix.as_str())?))) {
        Some((rewrite, rest)) => {
            rewritten = format!("{}{rest}", rewrite.replace);
            &rewritten
        }
        None => link,
    };
    let mut url = Url::parse(link).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    // A password in a link is a secret; a user name in front of a host is how links are forged.
    let _ = (url.set_username(""), url.set_password(None));
    let mut out = String::with_capacity(link.len() + 16);
    write_safe(&mut out, url.as_str());
    (out.len() <= MAX_BYTES).then_some(out)
}

/// Annotations that link to what to do, and to a picture of how things are.
const RUNBOOK: &[&str] = &["runbook_url", "runbook", "runbookURL", "runbookUrl", "playbook_url", "playbook"];
const DASHBOARD: &[&str] =
    &["dashboard_url", "dashboard", "dashboardURL", "dashboardUrl", "dashboard_link", "grafana_url", "panel_url"];
/// Grafana's own annotations, which it keeps when it hands an alert to another Alertmanager.
const GRAFANA: [&str; 2] = ["__dashboardUid__", "__panelId__"];
/// Keys of links that all alerts of a rule tend to share.
const SHARED: [&str; 3] = ["graph", "runbook", "dashboard"];

/// Links of one alert that exist, in the order in which they are shown: key of [`super::words::WORDS`], URL.
pub(super) fn of_alert(alert: &Alert, external_url: &str, rewrites: &[LinkRewrite]) -> Vec<(&'static str, String)> {
    let annotation = |names: &[&str]| {
        names.iter().filter_map(|name| alert.annotations.get(*name)).find_map(|link| usable(link, rewrites))
    };
    let silence = || match alert.silence_url.as_str() {
        "" => silence_url(external_url, &alert.labels).and_then(|link| usable(&link, rewrites)),
        link => usable(link, rewrites),
    };
    let dashboard = || {
        usable(&alert.panel_url, rewrites)
            .or_else(|| usable(&alert.dashboard_url, rewrites))
            .or_else(|| annotation(DASHBOARD))
            .or_else(|| usable(&grafana(alert)?, rewrites))
    };
    let links = [
        ("graph", usable(&alert.generator_url, rewrites)),
        ("runbook", annotation(RUNBOOK)),
        ("dashboard", dashboard()),
        ("silence", silence()),
    ];
    links.into_iter().filter_map(|(key, link)| Some((key, link?))).collect()
}

/// Keys of the links that all these alerts have in common: one such link says it for all. None for fewer than two.
pub(super) fn shared<'a>(alerts: impl Iterator<Item = &'a Alert> + Clone) -> Vec<&'static str> {
    let mut others = alerts.clone();
    let Some(first) = others.next() else { return Vec::new() };
    if others.clone().next().is_none() {
        return Vec::new();
    }
    let same = |key: &&'static str| {
        let wanted = sources(first, key);
        others.clone().all(|alert| sources(alert, key).eq(wanted.clone()))
    };
    SHARED.into_iter().filter(same).collect()
}

/// What a link is made of, as it was sent.
fn sources<'a>(alert: &'a Alert, key: &str) -> impl Iterator<Item = Option<&'a str>> + Clone {
    let (fields, names, grafana): ([&str; 2], &[&str], &[&str]) = match key {
        "graph" => ([&alert.generator_url, ""], &[], &[]),
        "runbook" => (["", ""], RUNBOOK, &[]),
        _ => ([&alert.panel_url, &alert.dashboard_url], DASHBOARD, &GRAFANA),
    };
    let annotations = names.iter().chain(grafana).map(|name| alert.annotations.get(*name).map(String::as_str));
    fields.into_iter().map(Some).chain(annotations)
}

/// The dashboard that Grafana's annotations name, at the address of the Grafana that the alert links to.
fn grafana(alert: &Alert) -> Option<String> {
    let plain = |text: &&String| {
        (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let [uid, panel] = GRAFANA.map(|name| alert.annotations.get(name).filter(plain));
    let (base, _) = alert.generator_url.split_once("/alerting/")?;
    let panel = panel.map(|panel| format!("?viewPanel={panel}")).unwrap_or_default();
    Some(format!("{base}/d/{}{panel}", uid?))
}

/// Alertmanager's page for a new silence with these labels as matchers; `None` without an address or labels.
pub(super) fn silence_url(external_url: &str, labels: &Labels) -> Option<String> {
    if external_url.is_empty() || labels.is_empty() {
        return None;
    }
    if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= MAX_BYTES {
        let full = silence_filter(external_url, labels.iter());
        if full.len() <= MAX_BYTES {
            return Some(full);
        }
    }
    // Too many labels for a link: the ones that say most.
    let few = ["alertname", "cluster", "namespace", "instance", "pod", "node", "severity"];
    let kept = labels.iter().filter(|(name, _)| few.contains(&name.as_str()));
    kept.clone().next().is_some().then(|| silence_filter(external_url, kept))
}

fn silence_filter<'a>(external_url: &str, labels: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut filter = String::from("{");
    for (at, (name, value)) in labels.enumerate() {
        let classic = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let name = if classic { name.clone() } else { quoted(name) };
        let _ = write!(filter, "{}{name}={}", if at > 0 { "," } else { "" }, quoted(value));
    }
    filter.push('}');
    format!("{}/#/silences/new?filter={}", external_url.trim_end_matches('/'), encode(&filter))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Adds text to an address, percent-encoding what Markdown would read as more than a part of it.
fn write_safe(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            // An `@` could be read as a call of somebody.
            '(' | ')' | '<' | '>' | '[' | ']' | '"' | '\'' | '`' | '\\' | '|' | '*' | '@' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            ';' if ends_with_entity(out) => out.push_str("%3B"),
            c if c.is_ascii_graphic() => out.push(c),
            c => out.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC)),
        }
    }
}

/// Whether a semicolon would end an HTML entity here.
fn ends_with_entity(text: &str) -> bool {
    let name = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '#');
    name.len() < text.len() && name.ends_with('&')
}

/// A value in an address that a template writes itself, `[x]({{value}}/y?{{value}})`. `before` is what stands there
/// already. A value can not make it another kind of address, or one of another host than it has so far.
pub(super) fn inside(value: &str, before: &str) -> String {
    let value = super::marks::front(value.trim(), MAX_BYTES);
    if before.is_empty() {
        let bare = |url: String| if value.ends_with('/') { url } else { url.trim_end_matches('/').to_owned() };
        return usable(value, &[]).map_or_else(|| encode(value), bare);
    }
    if !before.contains(':') || (ends_in_host(before) && !value.starts_with(['/', '?', '#'])) {
        return encode(value).replace("%3A", if before.contains(':') { ":" } else { "%3A" });
    }
    let mut out = before.to_owned();
    write_safe(&mut out, value);
    out.split_off(before.len())
}

/// Whether what follows this part of an address would make its host longer.
pub(super) fn ends_in_host(address: &str) -> bool {
    let host = address.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && !host.contains(['/', '?', '#', '\\'])
}
