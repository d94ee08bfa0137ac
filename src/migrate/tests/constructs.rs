//! Each construct, what it becomes, and what that shows for a group of three of which one resolved.

use super::*;

/// Go, Handlebars, shown text.
const CARRIED_OVER: &[(&str, &str, &str)] = &[
    // Fields.
    ("{{ .Status }} {{.Receiver}}", "{{status}} {{receiver}}", "firing rust-hook"),
    (
        "{{ .CommonAnnotations.summary }}{{ .GroupLabels.nope }}",
        "{{commonAnnotations.summary}}{{groupLabels.nope}}",
        "Disk almost full",
    ),
    ("{{ index .GroupLabels \"alertname\" }}", "{{groupLabels.alertname}}", "DiskFull"),
    ("{{ index .GroupLabels \"a.b\" }}<", "{{groupLabels.[a.b]}}<", "<"),
    ("{{ (index .Alerts 0).Labels.instance }}", "{{alerts.[0].labels.instance}}", "10.0.0.11:9100"),
    (
        "{{ $.Status }} {{ with .GroupLabels }}{{ $.Status }} {{ .cluster }}{{ end }}",
        "{{status}} {{#if groupLabels}}{{status}} {{groupLabels.cluster}}{{/if}}",
        "firing firing prod-2",
    ),
    // Counts are of all alerts, loops over those that are shown.
    (
        "{{ .Alerts.Firing | len }} {{ len .Alerts.Resolved }} {{ len .Alerts }}",
        "{{firingCount}} {{resolvedCount}} {{total}}",
        "2 1 3",
    ),
    // Text, blanks, braces, backslashes.
    ("a {{- .Status -}} b", "a{{status}}b", "afiringb"),
    ("a\n{{- /* words */ -}}\nb", "a{{!-- words --}}b", "ab"),
    ("\\[{{ .Status }}\\]", "\\[{{status}}\\]", "\\[firing\\]"),
    ("C:\\{{ .Status }}", "C:\\\\{{status}}", "C:\\firing"),
    ("{{ \"{{\" }}{{ `}}` }}{{ \"a\\tb\\u00e9\" }}", "{{raw \"\\u007b\\u007b\"}}}}a\tbé", "{{}}a\tbé"),
    ("{ {{ .Status }}}", "{ {{status}}}", "{ firing}"),
    ("{{ `{` }}{{ .Status }}", "{{raw \"\\u007b\"}}{{status}}", "{firing"),
    ("{{ 3 }} {{ true }} {{ print 1 2.5 }} {{ 'a' }} {{ 0x10 }}", "3 true 12.5 97 16", "3 true 12.5 97 16"),
    // Choices.
    ("{{ if eq .Status \"firing\" }}a{{ else }}b{{ end }}", "{{#if (eq status \"firing\")}}a{{else}}b{{/if}}", "a"),
    (
        "{{ if eq .Status \"x\" }}a{{ else if ne .Status \"y\" }}b{{ else }}c{{ end }}",
        "{{#if (eq status \"x\")}}a{{else if (ne status \"y\")}}b{{else}}c{{/if}}",
        "b",
    ),
    (
        "{{ if eq .Status \"x\" \"firing\" }}a{{ end }}",
        "{{#if (or (eq status \"x\") (eq status \"firing\"))}}a{{/if}}",
        "a",
    ),
    (
        "{{ if and (eq .Status \"firing\") (not .GroupLabels.nope) }}a{{ end }}",
        "{{#if (and (eq status \"firing\") (not groupLabels.nope))}}a{{/if}}",
        "a",
    ),
    (
        "{{ if eq .GroupLabels.nope \"\" }}a{{ end }}{{ if ne .GroupLabels.nope \"\" }}b{{ end }}",
        "{{#if (not groupLabels.nope)}}a{{/if}}{{#if groupLabels.nope}}b{{/if}}",
        "a",
    ),
    ("{{ if gt (len .Alerts.Resolved) 0 }}a{{ end }}", "{{#if (where alerts \"status\" \"resolved\")}}a{{/if}}", "a"),
    (
        "{{ if eq (len .Alerts.Firing) 0 }}a{{ else }}b{{ end }}",
        "{{#if (not (where alerts \"status\" \"firing\"))}}a{{else}}b{{/if}}",
        "b",
    ),
    (
        "{{ if gt (len .CommonLabels) (len .GroupLabels) }}a{{ else }}b{{ end }}",
        "{{#if (gt (len commonLabels) (len groupLabels))}}a{{else}}b{{/if}}",
        "b",
    ),
    ("{{ if .Alerts.Resolved | len }}a{{ end }}", "{{#if (where alerts \"status\" \"resolved\")}}a{{/if}}", "a"),
    ("{{ if . }}a{{ end }}", "{{#if true}}a{{/if}}", "a"),
    // `and` and `or` give one of their values.
    ("{{ or .GroupLabels.nope .GroupLabels.cluster }}", "{{default groupLabels.nope groupLabels.cluster}}", "prod-2"),
    ("{{ and .GroupLabels.cluster .Status }}", "{{ternary groupLabels.cluster status groupLabels.cluster}}", "firing"),
    // Loops.
    (
        "{{ range .Alerts }}{{ .Labels.instance }} {{ end }}",
        "{{#each alerts as |alert|}}{{alert.labels.instance}} {{/each}}",
        "10.0.0.11:9100 10.0.0.13:9100 10.0.0.12:9100",
    ),
    (
        "{{ range .Alerts.Firing }}{{ $.Status }}{{ end }}",
        "{{#each (where alerts \"status\" \"firing\") as |alert|}}{{@root.status}}{{/each}}",
        "firingfiring",
    ),
    (
        "{{ range $i, $a := .Alerts }}{{ $i }}{{ $a.Status }} {{ end }}",
        "{{#each alerts as |a i|}}{{i}}{{a.status}} {{/each}}",
        "0firing 1firing 2resolved",
    ),
    (
        "{{ range $title := .Alerts.Resolved }}{{ $title.Labels.instance }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |title2|}}{{title2.labels.instance}}{{/each}}",
        "10.0.0.12:9100",
    ),
    (
        "{{ range .GroupLabels.SortedPairs }}{{ .Name }}:{{ .Value }};{{ end }}",
        "{{#each (sortedLabels groupLabels) as |pair|}}{{pair.name}}:{{pair.value}};{{/each}}",
        "alertname:DiskFull;cluster:prod-2;",
    ),
    (
        "{{ range $k, $v := .GroupLabels }}{{ $k }}={{ $v }};{{ end }}",
        "{{#each groupLabels as |v k|}}{{k}}={{v}};{{/each}}",
        "alertname=DiskFull;cluster=prod-2;",
    ),
    (
        "{{ range .CommonAnnotations.Names }}{{ . }}{{ end }}",
        "{{#each (pluck (sortedLabels commonAnnotations) \"name\") as |item|}}{{item}}{{/each}}",
        "summary",
    ),
    (
        "{{ range .RouteLabels }}a{{ else }}none{{ end }}",
        "{{#each routeLabels as |value|}}a{{else}}none{{/each}}",
        "none",
    ),
    (
        "{{ range .Alerts.Resolved }}{{ range .Labels.SortedPairs }}{{ if eq .Name \"cluster\" }}{{ .Value }} {{ $.Status }}{{ end }}{{ end }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |alert|}}{{#each (sortedLabels alert.labels) as |pair|}}{{#if (eq pair.name \"cluster\")}}{{pair.value}} {{@root.status}}{{/if}}{{/each}}{{/each}}",
        "prod-2 firing",
    ),
    // Variables are what they were set to.
    (
        "{{ $l := .GroupLabels }}{{ $l.cluster }} {{ range .Alerts.Resolved }}{{ $i := .Labels.instance }}{{ $l.alertname }} {{ $i }}{{ end }}",
        "{{groupLabels.cluster}} {{#each (where alerts \"status\" \"resolved\") as |alert|}}{{@root.groupLabels.alertname}} {{alert.labels.instance}}{{/each}}",
        "prod-2 DiskFull 10.0.0.12:9100",
    ),
    (
        "{{ if $s := .GroupLabels.nope }}{{ $s }}{{ else if $s := .GroupLabels.cluster }}{{ $s }}{{ end }}",
        "{{#if groupLabels.nope}}{{groupLabels.nope}}{{else if groupLabels.cluster}}{{groupLabels.cluster}}{{/if}}",
        "prod-2",
    ),
    // With.
    ("{{ with .GroupLabels.nope }}a{{ else }}b{{ end }}", "{{#if groupLabels.nope}}a{{else}}b{{/if}}", "b"),
    (
        "{{ with .GroupLabels.nope }}a{{ else with .GroupLabels.cluster }}{{ . }}{{ end }}",
        "{{#if groupLabels.nope}}a{{else}}{{#if groupLabels.cluster}}{{groupLabels.cluster}}{{/if}}{{/if}}",
        "prod-2",
    ),
    (
        "{{ with $x := .GroupLabels.Remove (stringSlice \"cluster\") }}{{ .Values | join \",\" }}{{ len $x }}{{ end }}",
        "{{#with (omit groupLabels \"cluster\") as |labels|}}{{join (pluck (sortedLabels labels) \"value\") \",\"}}{{len labels}}{{/with}}",
        "DiskFull1",
    ),
    // Templates.
    (
        "{{ define \"a\" }}<{{ .alertname }}>{{ end }}{{ template \"a\" .GroupLabels }}",
        "<{{groupLabels.alertname}}>",
        "<DiskFull>",
    ),
    ("{{ block \"a\" .Alerts }}{{ len . }}{{ $ | len }}{{ end }}", "{{total}}{{total}}", "33"),
    (
        "{{ template \"__alertmanagerURL\" . }}",
        "{{externalURL}}/#/alerts?receiver={{receiver}}",
        "http://vm:19093/#/alerts?receiver=rust-hook",
    ),
    // Links.
    (
        "[g]({{ (index .Alerts 0).GeneratorURL }})",
        "[g]({{url alerts.[0].generatorURL}})",
        "[g](http://prom.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1)",
    ),
    (
        "[a](https://x.example/{{ .Receiver }}/b) [c]({{ .ExternalURL }}/d)",
        "[a]({{url \"https://x.example/\" receiver \"/b\"}}) [c]({{url externalURL \"/d\"}})",
        "[a](https://x.example/rust-hook/b) [c](http://vm:19093/d)",
    ),
    (
        "[a](dingtalk://x/?url={{ .Receiver }})",
        "[a](dingtalk://x/?url={{receiver}})",
        "[a](dingtalk://x/?url=rust-hook)",
    ),
    // Times.
    (
        "{{ (index .Alerts 0).StartsAt | date \"2006-01-02 15:04:05\" }}",
        "{{time alerts.[0].startsAt \"%Y-%m-%d %H:%M:%S\"}}",
        "2026-11-21 07:32:09",
    ),
    (
        "{{ dateInZone \"Jan 2 3:04PM MST\" (index .Alerts 0).StartsAt \"UTC\" }}",
        "{{time alerts.[0].startsAt \"%b %-d %-I:%M%p %Z\" tz=\"UTC\"}}",
        "Nov 20 11:32PM UTC",
    ),
    (
        "{{ (index .Alerts 0).StartsAt.UTC.Format \"15:04\" }}",
        "{{time alerts.[0].startsAt \"%H:%M\" tz=\"UTC\"}}",
        "23:32",
    ),
    (
        "{{ range .Alerts.Resolved }}{{ .EndsAt.Sub .StartsAt }}{{ if not .EndsAt.IsZero }} over{{ end }}{{ end }}",
        "{{#each (where alerts \"status\" \"resolved\") as |alert|}}{{duration alert.startsAt alert.endsAt}}{{#if (not (not alert.endsAt))}} over{{/if}}{{/each}}",
        "15秒 over",
    ),
    (
        "{{ since (index .Alerts 0).StartsAt }} {{ (index .Alerts 0).StartsAt.Unix }}",
        "{{duration alerts.[0].startsAt}} {{time alerts.[0].startsAt \"%s\"}}",
        "2小时31分 1795217529",
    ),
    (
        "{{ (tz \"Europe/Paris\" (index .Alerts 0).StartsAt).Format \"15:04\" }}",
        "{{time alerts.[0].startsAt \"%H:%M\" tz=\"Europe/Paris\"}}",
        "00:32",
    ),
    // Functions.
    (
        "{{ .Status | toUpper }}{{ upper .Status }}{{ toLower \"A\" }}{{ title .Status }}",
        "{{upper status}}{{upper status}}{{lower \"A\"}}{{title status}}",
        "FIRINGFIRINGaFiring",
    ),
    (
        "{{ .GroupLabels.SortedPairs.Values | join \" \" }}",
        "{{join (pluck (sortedLabels groupLabels) \"value\") \" \"}}",
        "DiskFull prod-2",
    ),
    ("{{ .GroupLabels.cluster | markdown | html }}", "{{groupLabels.cluster}}", "prod-2"),
    (
        "{{ default \"d\" .GroupLabels.nope }}{{ coalesce .GroupLabels.nope .Status }}",
        "{{default groupLabels.nope \"d\"}}{{default groupLabels.nope status}}",
        "dfiring",
    ),
    ("{{ ternary \"y\" \"n\" (eq .Status \"firing\") }}", "{{ternary (eq status \"firing\") \"y\" \"n\"}}", "y"),
    (
        "{{ .Status | replace \"fir\" \"w\" }}{{ reReplaceAll \"(i)n\" \"<$1>\" .Status }}",
        "{{replace status \"fir\" \"w\"}}{{replace status \"(i)n\" \"<$1>\" regex=true}}",
        "wingfir＜i>g",
    ),
    (
        "{{ regexReplaceAll \"r.\" .Status \"-\" }} {{ trimSuffix \".ing\" .Status }} {{ trimPrefix \"fi\" .Status }}",
        "{{replace status \"r.\" \"-\" regex=true}} {{trimSuffix status \".ing\"}} {{trimPrefix status \"fi\"}}",
        "fi-ng firing ring",
    ),
    (
        "{{ if match \"^fi\" .Status }}a{{ end }}{{ if regexMatch \"^x\" .Status }}b{{ end }}",
        "{{#if (match status \"^fi\")}}a{{/if}}{{#if (match status \"^x\")}}b{{/if}}",
        "a",
    ),
    (
        "{{ if contains \"rin\" .Status }}a{{ end }}{{ if hasPrefix \"fi\" .Status }}b{{ end }}{{ if hasSuffix \"x\" .Status }}c{{ end }}",
        "{{#if (contains status \"rin\")}}a{{/if}}{{#if (startsWith status \"fi\")}}b{{/if}}{{#if (endsWith status \"x\")}}c{{/if}}",
        "ab",
    ),
    (
        "{{ if has .Status (list \"firing\" \"x\") }}a{{ end }}{{ if hasKey .GroupLabels \"cluster\" }}b{{ end }}",
        "{{#if (contains (list \"firing\" \"x\") status)}}a{{/if}}{{#if (contains groupLabels \"cluster\")}}b{{/if}}",
        "ab",
    ),
    (
        "{{ splitList \"-\" .GroupLabels.cluster | join \"+\" }}{{ (splitList \"-\" .GroupLabels.cluster | first) }}",
        "{{join (split groupLabels.cluster \"-\") \"+\"}}{{first (split groupLabels.cluster \"-\")}}",
        "prod+2prod",
    ),
    (
        "{{ last (splitList \"-\" .GroupLabels.cluster) }}{{ splitList \"-\" .Status | reverse | join \"+\" }}{{ list \"b\" \"a\" \"b\" | uniq | sortAlpha | join \"\" }}",
        "{{last (split groupLabels.cluster \"-\")}}{{join (reverse (split status \"-\")) \"+\"}}{{join (sort (uniq (list \"b\" \"a\" \"b\"))) \"\"}}",
        "2firingab",
    ),
    (
        "{{ (last .Alerts).Status }}{{ len (pick .GroupLabels \"cluster\" \"x\") }}{{ append (list \"a\") .Status | join \"\" }}",
        "{{lookup (last alerts) \"status\"}}{{len (pick groupLabels \"cluster\" \"x\")}}{{join (append (list \"a\") status) \"\"}}",
        "resolved1afiring",
    ),
    (
        "{{ regexFind \"r.\" .Status }}{{ repeat 2 .Status }}{{ base64encode .Status }}{{ b64dec \"YQ==\" }}",
        "{{capture status \"r.\" 0}}{{repeat status 2}}{{base64encode status}}{{base64decode \"YQ==\"}}",
        "rifiringfiringZmlyaW5na",
    ),
    (
        "{{ max 1 3 2 }}{{ min 4 5 }}{{ floor 2.5 }}{{ ceil 2.1 }}{{ round 2.345 1 }} {{ div 7 2 }} {{ humanizeDuration 93784 }}",
        "{{max 1 3 2}}{{min 4 5}}{{floor 2.5}}{{ceil 2.1}}{{round 2.345 1}} {{floor (div 7 2)}} {{humanizeDuration 93784}}",
        "34232.3 3 1d 2h 3m 4s",
    ),
    (
        "{{ (toDate \"2006-01-02\" \"2026-11-21\").UTC.Format \"01/02\" }} {{ unixEpoch (toDate \"2006-01-02\" \"2026-11-21\") }}",
        "{{time (parseTime \"2026-11-21\" \"%Y-%m-%d\" tz=\"UTC\") \"%m/%d\" tz=\"UTC\"}} {{timestamp (parseTime \"2026-11-21\" \"%Y-%m-%d\" tz=\"UTC\")}}",
        "11/21 1795219200",
    ),
    (
        "{{ add 1 2 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ mod 7 4 }} {{ add1 4 }}",
        "{{add 1 2}} {{sub 5 2}} {{mul 2 3}} {{mod 7 4}} {{add 4 1}}",
        "3 3 6 3 5",
    ),
    (
        "{{ printf \"%s/%d%% %.2f %q\" .Status 7 2.5 .Receiver }}",
        "{{status}}/7% {{fixed 2.5 2}} {{concat \"\\\"\" receiver \"\\\"\"}}",
        "firing/7% 2.50 \"rust-hook\"",
    ),
    (
        "{{ if eq (printf \"%s!\" .Status) \"firing!\" }}a{{ end }}",
        "{{#if (eq (concat status \"!\") \"firing!\")}}a{{/if}}",
        "a",
    ),
    (
        "{{ print .Status \"-\" .Receiver }} {{ cat \"a\" \"b\" }} {{ quote .Status }}",
        "{{status}}-{{receiver}} a b \"{{status}}\"",
        "firing-rust-hook a b \"firing\"",
    ),
    (
        "{{ urlquery \"a b\" }}{{ urlUnescape \"c%20d\" }} {{ trim \" x \" }}",
        "{{urlEncode \"a b\"}}{{urlDecode \"c%20d\"}} {{trim \" x \"}}",
        "a%20bc d x",
    ),
    (
        "{{ toJson .GroupLabels.cluster }} {{ .Status | toString }}",
        "{{json groupLabels.cluster}} {{status}}",
        "\"prod-2\" firing",
    ),
    (
        "{{ .GroupLabels }}",
        "{{#each (sortedLabels groupLabels) as |pair|}}{{#unless @first}}, {{/unless}}{{pair.name}}={{pair.value}}{{/each}}",
        "alertname=DiskFull, cluster=prod-2",
    ),
];

#[test]
fn constructs_and_what_they_become() {
    are_carried_over(CARRIED_OVER);
}

/// Go, Handlebars, and what that shows.
pub(super) fn are_carried_over(cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (go, own, text) in cases {
        let done = translated(go);
        let body = shown("x", &done.text, "group3_one_resolved").draft.body;
        if done.text != *own || body != *text || !done.findings.is_empty() {
            wrong.push(format!("{go}\n{}\n{body}\n{:?}", done.text, findings(&done)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Line breaks that Go prints are printed, also beside tags that stand alone on a line.
#[test]
fn lines_stay_lines() {
    for (go, text) in [
        ("a\n{{ if true }}\nb\n{{ end }}\nc", "a\n\nb\n\nc"),
        ("{{ define \"x\" }}b{{ end }}a\n{{ template \"x\" . }}\nc", "a\nb\nc"),
        ("{{ define \"x\" }}\nb\n{{ end }}a{{ template \"x\" . }}c", "a\nb\nc"),
        ("a{{ range .Alerts.Resolved }}\n{{ .Status }}\n{{ end }}\nb", "a\nresolved\n\nb"),
        ("{{ range .Alerts.Firing }}\n{{- .Status }}\n{{- end }}", "firingfiring"),
        ("  {{ if true }}\n  a\n  {{ end }}", "  a"),
    ] {
        let done = translated(go);
        assert_eq!(done.findings, Vec::new(), "{go}");
        assert_eq!(shown("x", &done.text, "group3_one_resolved").draft.body, text, "{go:?}\n{}", done.text);
    }
}

#[test]
fn what_is_worth_knowing_is_said() {
    for (go, own, notes) in [
        (
            "{{ (index .Alerts 0).StartsAt.Format \"15:04\" }}",
            "{{time alerts.[0].startsAt \"%H:%M\"}}",
            vec![
                "note 1:4: this time is shown in the bot's zone (`timezone`), not in the one that came with the alert",
            ],
        ),
        (
            "{{ range .Alerts }}{{ .StartsAt }}{{ end }}",
            "{{#each alerts as |alert|}}{{time alert.startsAt \"%Y-%m-%d %H:%M:%S %z\"}}{{/each}}",
            vec![
                "note 1:23: this time is shown in the bot's zone (`timezone`), not in the one that came with the alert",
            ],
        ),
        (
            "{{ range .Alerts }}{{ (.StartsAt.Add 28800e9).Format \"15:04\" }}{{ (.StartsAt.Add 7200000000000).Format \"15\" }}{{ end }}",
            "{{#each alerts as |alert|}}{{time alert.startsAt \"%H:%M\" tz=\"Asia/Shanghai\"}}{{time alert.startsAt \"%H\" tz=\"Etc/GMT-2\"}}{{/each}}",
            vec![
                "note 1:24: the hours that are added to a UTC time are taken for the zone Asia/Shanghai",
                "note 1:68: the hours that are added to a UTC time are taken for the zone Etc/GMT-2",
            ],
        ),
        (
            "{{ trunc 3 .Status }}",
            "{{slice status 0 3}}",
            vec!["note 1:4: `slice` counts characters; `trunc` counted bytes"],
        ),
        (
            "{{ range .AtMobiles }}@{{ . }}{{ end }}",
            "{{mentions}}",
            vec!["note 1:1: {{mentions}} calls people only when the message does, see `mention`"],
        ),
    ] {
        let done = translated(go);
        assert_eq!(done.text, own, "{go}");
        assert_eq!(findings(&done), notes, "{go}");
        shown("x", &done.text, "group3_one_resolved");
    }
}

/// Go, and what is said of it. The place is marked, and the rest is carried over.
#[test]
fn what_has_no_counterpart_is_listed_and_marked() {
    for (go, expected) in [
        ("a {{ frob 1 }} b", "1:6: the function `frob` has no counterpart, or not with these arguments"),
        ("a\n  {{ .Foo }} b", "2:6: the message's field `.Foo` has no counterpart"),
        ("{{ range .Alerts }}{{ .Foo }}{{ end }} a b", "1:23: the alert's field `.Foo` has no counterpart"),
        ("a {{ $x := 1 }}{{ $x = 2 }} b", "1:6: the variable $x changes its value, which Handlebars' can not"),
        ("a {{ template \"nope\" . }} b", "1:3: there is no template \"nope\""),
        (
            "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}a {{ template \"r\" . }} b",
            "1:17: the template \"r\" calls itself",
        ),
        ("a {{ range .Alerts }}{{ break }}{{ end }} b", "1:22: `break` has no counterpart"),
        (
            "a {{ range .Alerts }}{{ if .Labels.x }}{{ continue }}{{ end }}{{ end }} b",
            "1:40: `continue` has no counterpart",
        ),
        ("a {{ env \"HOME\" }} b", "1:6: the function `env` has no counterpart, or not with these arguments"),
        (
            "a {{ toJson (dict \"x\" .Alerts) }} b",
            "1:6: this dict holds more than texts, which can only be taken out by name",
        ),
        ("a {{ dict .Status 1 }} b", "1:6: a name in this dict is computed"),
        ("a {{ dict \"x\" 1 }} b", "1:6: this is no text: Go would show its inner form"),
        ("a {{ range .Status }}x{{ end }} b", "1:12: only lists, labels and annotations can be ranged over"),
        ("a {{ .Alerts }} b", "1:6: this is no text: Go would show its inner form"),
        ("a {{ . }} b", "1:6: this is no text: Go would show its inner form"),
        ("a {{ toJson . }} b", "1:6: `toJson` of the whole message has no counterpart"),
        ("a {{ printf .Status }} b", "1:6: the format of this printf is computed"),
        ("a {{ printf \"%5d\" 1 }} b", "1:6: the verb `%5d` has no counterpart"),
        ("a {{ printf \"%s\" }} b", "1:6: this printf has fewer values than verbs"),
        ("a {{ now | date .Status }} b", "1:12: the layout of this time is computed"),
        ("a {{ now.Round }} b", "1:6: the time's method `.Round` has no counterpart"),
        (
            "a {{ if frob }}x{{ else }}y{{ end }} b",
            "1:9: the function `frob` has no counterpart, or not with these arguments",
        ),
        ("a {{ .Status.Foo }} b", "1:6: `.Foo` here has no counterpart"),
        ("a {{ range .AtMobiles }}<{{ . }}>{{ end }} b", "1:3: numbers of people are not at hand one by one"),
        ("a {{ nil }} b", "1:6: nil has no counterpart"),
        ("a {{ if gt now now }}{{ end }} b", "1:9: `gt` of times has no counterpart"),
    ] {
        let done = translated(go);
        assert_eq!(findings(&done).first().map(String::as_str), Some(expected), "{go}");
        assert!(done.findings.iter().all(|found| !found.warning), "{go}");
        assert!(done.text.contains("{{!-- migrate: t.tmpl:"), "{go}: {}", done.text);
        let body = shown("x", &done.text, "group3_one_resolved").draft.body;
        assert!(body.split_whitespace().eq(["a", "b"]), "{go}: {body}");
    }
}

#[test]
fn what_go_would_not_read_is_refused_with_its_place() {
    for (go, expected) in [
        ("a\n{{ .Status", "2:1: this action does not end"),
        ("{{ if true }}a", "1:7: this if does not end"),
        ("a{{ end }}", "1:2: this {{end}} ends nothing"),
        ("{{ \"a }}", "1:4: this quote does not end"),
        ("{{ `a }}", "1:4: this quote does not end"),
        ("{{/* a", "1:1: this comment does not end"),
        ("{{ (len .Alerts }}", "1:4: this bracket does not close"),
        ("{{ .Status | }}", "1:16: there is nothing behind the |"),
        ("{{ | len }}", "1:4: there is nothing before this |"),
        ("{{ }}", "1:6: a value is missing here"),
        ("{{ $a, $b := .Alerts }}", "1:1: only range sets two variables"),
        ("{{ .Status := 1 }}", "1:12: only a variable can be set, at the beginning"),
        ("{{ define \"a\" }}{{ define \"b\" }}{{ end }}{{ end }}", "1:17: a define can not stand in a block"),
        ("{{ range .A }}{{ else }}{{ else }}{{ end }}", "1:25: else has no else"),
        ("{{ template }}", "1:15: template needs a name in quotes"),
        ("{{ 1x }}", "1:4: \"1x\" is no number"),
        ("{{ 'ab' }}", "1:4: only one character stands between these quotes"),
        ("{{ \"\\q\" }}", "1:5: this backslash means nothing to Go"),
        ("{{ # }}", "1:4: '#' has no meaning here"),
    ] {
        let Err(mistake) = Templates::new(Vec::new(), true).unwrap().translate(&source(go)) else { panic!("{go}") };
        let said = format!("{}:{}: {}", mistake.place.line, mistake.place.column, mistake.what);
        assert_eq!(said, expected, "{go}");
        let file = Templates::new(vec![source(go)], false).unwrap_err();
        assert_eq!(file, [mistake], "{go}");
    }
}
