//! Functions on lists, objects, numbers and times, and variables that count a loop's rounds; the message is the same as for
//! the other constructs.

use super::constructs::are_carried_over;
use super::*;

const CARRIED_OVER: &[(&str, &str, &str)] = &[
    // Lists and objects.
    (
        "{{ (last .Alerts).Labels.instance }} {{ (first .Alerts.Resolved).Status }} {{ (index (reverse .Alerts) 0).Status }}",
        "{{lookup (lookup (last alerts) \"labels\") \"instance\"}} {{lookup (first (where alerts \"status\" \"resolved\")) \"status\"}} {{lookup (lookup (reverse alerts) 0) \"status\"}}",
        "10.0.0.12:9100 resolved resolved",
    ),
    (
        "{{ range slice .Alerts 1 2 }}{{ .Labels.instance }}{{ end }} {{ rest (list \"a\" \"b\") | join \"\" }}",
        "{{#each (slice alerts 1 2) as |alert|}}{{alert.labels.instance}}{{/each}} {{join (slice (list \"a\" \"b\") 1) \"\"}}",
        "10.0.0.13:9100 b",
    ),
    (
        "{{ range $i := until 3 }}{{ $i }}{{ end }} {{ range untilStep 1 3 1 }}{{ . }}{{ end }} {{ range $i, $n := until (len .Alerts) }}{{ $n }}{{ end }}",
        "{{#each (range 3) as |i|}}{{i}}{{/each}} {{#each (range 1 3) as |number|}}{{number}}{{/each}} {{#each (range total) as |n i|}}{{n}}{{/each}}",
        "012 12 012",
    ),
    (
        "{{ append (list \"b\" \"a\" \"b\") \"c\" | uniq | sortAlpha | join \",\" }} {{ list 2 1 | join \"+\" }} {{ biggest 1 2 3 }}",
        "{{join (sort (uniq (append (list \"b\" \"a\" \"b\") \"c\"))) \",\"}} {{join (list 2 1) \"+\"}} {{max 1 2 3}}",
        "a,b,c 2+1 3",
    ),
    (
        "{{ $d := dict \"a\" .Status \"b\" $ }}{{ $d.a }} {{ get $d \"a\" }} {{ $d.b.Receiver }} {{ index $d \"none\" }}{{ if hasKey $d \"b\" }}has{{ end }}",
        "{{status}} {{status}} {{receiver}} {{#if true}}has{{/if}}",
        "firing firing rust-hook has",
    ),
    (
        "{{ define \"row\" }}{{ .alert.Status }}:{{ .root.Receiver }} {{ end }}{{ range .Alerts.Resolved }}{{ template \"row\" (dict \"alert\" . \"root\" $) }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |alert|}}{{alert.status}}:{{@root.receiver}} {{/each}}",
        "resolved:rust-hook",
    ),
    (
        "{{ range $k, $v := dict \"a\" .Status \"b\" 2 }}{{ $k }}{{ $v }} {{ end }}{{ get (dict \"firing\" \"on\") .Status }}",
        "{{#each (dict \"a\" status \"b\" 2) as |v k|}}{{k}}{{v}} {{/each}}{{lookup (dict \"firing\" \"on\") status}}",
        "afiring b2 on",
    ),
    (
        "{{ range (pick .CommonLabels \"cluster\" \"job\").Names }}{{ . }} {{ end }}{{ len (omit .CommonLabels \"cluster\") }}",
        "{{#each (pluck (sortedLabels (pick commonLabels \"cluster\" \"job\")) \"name\") as |item|}}{{item}} {{/each}}{{len (omit commonLabels \"cluster\")}}",
        "cluster 1",
    ),
    ("{{ (split \"-\" .GroupLabels.cluster)._1 }}", "{{lookup (split groupLabels.cluster \"-\") 1}}", "2"),
    (
        "{{ regexFind \"[0-9]+\" .GroupLabels.cluster }} {{ repeat 3 \"ha\" }} {{ plural \"alert\" \"alerts\" (len .Alerts) }} {{ nospace \"a b\" }}",
        "{{capture groupLabels.cluster \"[0-9]+\" 0}} {{repeat \"ha\" 3}} {{ternary (eq total 1) \"alert\" \"alerts\"}} {{replace \"a b\" \"\\\\s\" \"\" regex=true}}",
        "2 hahaha alerts ab",
    ),
    (
        "{{ div 7 2 }} {{ divf 7 2 }} {{ round 2.345 2 }} {{ floor 2.9 }} {{ base64encode \"a\" }} {{ mustFirst (list \"x\") }}",
        "{{floor (div 7 2)}} {{div 7 2}} {{round 2.345 2}} {{floor 2.9}} {{base64encode \"a\"}} {{first (list \"x\")}}",
        "3 3.5 2.35 2 YQ== x",
    ),
    (
        "{{ toDate \"2006-01-02\" \"2026-11-21\" | unixEpoch }} {{ (toDate \"2006-01-02\" \"2026-11-21\").Format \"Jan 2\" }} {{ humanizeDuration 93784 }}",
        "{{timestamp (parseTime \"2026-11-21\" \"%Y-%m-%d\" tz=\"UTC\")}} {{time (parseTime \"2026-11-21\" \"%Y-%m-%d\" tz=\"UTC\") \"%b %-d\" tz=\"UTC\"}} {{humanizeDuration 93784}}",
        "1795219200 Nov 21 1d 2h 3m 4s",
    ),
    (
        "{{ range .Alerts.Resolved }}{{ if .EndsAt.After .StartsAt }}a{{ end }}{{ (.StartsAt.Add 90e9).UTC.Format \"15:04:05\" }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |alert|}}{{#if (gt (timestamp alert.endsAt) (timestamp alert.startsAt))}}a{{/if}}{{time (addTime alert.startsAt 90) \"%H:%M:%S\" tz=\"UTC\"}}{{/each}}",
        "a23:33:39",
    ),
    // Variables that say which round of a loop it is.
    (
        "{{ $first := true }}{{ range .Alerts }}{{ if $first }}{{ $first = false }}{{ else }}, {{ end }}{{ .Labels.instance }}{{ end }}",
        "{{#each alerts as |alert|}}{{#if @first}}{{else}}, {{/if}}{{alert.labels.instance}}{{/each}}",
        "10.0.0.11:9100, 10.0.0.13:9100, 10.0.0.12:9100",
    ),
    (
        "{{ $f := true }}{{ range .Alerts }}{{ if not $f }}, {{ end }}{{ $f = false }}{{ .Status }}{{ if $f }}x{{ end }}{{ end }}{{ $f := true }}{{ range .GroupLabels }}{{ if not $f }}+{{ else }}{{ $f = false }}{{ end }}{{ . }}{{ end }}",
        "{{#each alerts as |alert|}}{{#if (not @first)}}, {{/if}}{{alert.status}}{{#if false}}x{{/if}}{{/each}}{{#each groupLabels as |value|}}{{#if (not @first)}}+{{else}}{{/if}}{{value}}{{/each}}",
        "firing, firing, resolvedDiskFull+prod-2",
    ),
    (
        "{{ $n := 0 }}{{ range .Alerts }}{{ $n = add1 $n }}{{ $n }}. {{ .Status }} {{ end }}{{ $m := 5 }}{{ range .Alerts }}{{ $m }}{{ $m = add 1 $m }}{{ end }}",
        "{{#each alerts as |alert|}}{{add @index 1}}. {{alert.status}} {{/each}}{{#each alerts as |alert|}}{{add @index 5}}{{/each}}",
        "1. firing 2. firing 3. resolved 567",
    ),
    (
        "{{ range .Alerts.Resolved }}{{ $first := true }}{{ range .Labels.SortedPairs }}{{ if $first }}{{ .Value }}{{ end }}{{ $first = false }}{{ end }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |alert|}}{{#each (sortedLabels alert.labels) as |pair|}}{{#if @first}}{{pair.value}}{{/if}}{{/each}}{{/each}}",
        "DiskFull",
    ),
];

#[test]
fn functions_and_what_they_become() {
    are_carried_over(CARRIED_OVER);
}

/// Where a variable says more than which round of a loop it is, it is listed: nothing is guessed.
#[test]
fn variables_that_change_otherwise_are_listed() {
    for go in [
        // Asked behind the loop, in another loop, taken along, or changed twice, sometimes, or into something else.
        "{{ $f := true }}{{ range .Alerts }}{{ $f = false }}{{ end }}{{ if $f }}none{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ range .Labels }}{{ if $f }}a{{ end }}{{ end }}{{ $f = false }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ with .Labels }}{{ if $f }}a{{ end }}{{ end }}{{ $f = false }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ $g := $f }}{{ $g }}{{ $f = false }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ if $g := $f }}{{ $g }}{{ end }}{{ $f = false }}{{ end }}",
        "{{ define \"t\" }}{{ . }}{{ end }}{{ $f := true }}{{ range .Alerts }}{{ template \"t\" $f }}{{ $f = false }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ $f = false }}{{ $f = true }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ if .Labels.x }}{{ $f = false }}{{ end }}{{ if $f }}a{{ end }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ if $f }}{{ $f = false }}{{ end }}{{ if $f }}a{{ end }}{{ end }}",
        "{{ $f := true }}{{ range .Alerts }}{{ if $f }}{{ $f = eq .Status \"x\" }}{{ end }}{{ end }}",
        "{{ $f := false }}{{ range .Alerts }}{{ if .Labels.x }}{{ $f = true }}{{ end }}{{ end }}{{ $f }}",
        "{{ $f := true }}{{ range .Alerts }}{{ $f = false }}{{ end }}{{ range .Alerts }}{{ if $f }}a{{ end }}{{ end }}",
        "{{ $f := true }}{{ if .Status }}{{ range .Alerts }}{{ if $f }}a{{ end }}{{ $f = false }}{{ end }}{{ end }}",
        "{{ $n := 0 }}{{ range .Alerts }}{{ $n = add $n 2 }}{{ $n }}{{ end }}",
        "{{ $n := 0 }}{{ range .Alerts }}{{ if .Labels.x }}{{ $n = add1 $n }}{{ end }}{{ end }}{{ $n }}",
        "{{ $n := 1.5 }}{{ range .Alerts }}{{ $n = add1 $n }}{{ $n }}{{ end }}",
    ] {
        let done = translated(go);
        let changes = |found: &String| found.contains("changes its value, which Handlebars' can not");
        assert!(findings(&done).iter().any(changes), "{go}: {:?}\n{}", findings(&done), done.text);
        shown("x", &done.text, "group3_one_resolved");
    }
}
