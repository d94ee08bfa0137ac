//! The helpers' names and how they are written, so that a wrong call is found when a template is loaded. What each does
//! stands in `templates/README.md`.

/// How a helper may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `{{upper x}}`.
    Inline,
    /// `{{#if x}}...{{/if}}`.
    Block,
    /// Both.
    Either,
}

/// What it gives, as far as the fields of its result can be known from its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gives {
    /// A text, a number, yes or no.
    Plain,
    /// A list of those.
    Plains,
    /// The list or the object that it was given, or a part of it.
    Same,
    /// An item of the list.
    Item,
    /// `groupBy`'s `{key, items}`.
    Groups,
    /// `sortedLabels`' `{name, value}`.
    Pairs,
    /// What its arguments decide.
    Anything,
}

/// One helper.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Arguments at least and at most.
    pub(super) args: (usize, usize),
    /// Named ones.
    pub(super) named: &'static [&'static str],
    pub(super) form: Form,
    pub(super) gives: Gives,
    /// A call that is right.
    pub(super) usage: &'static str,
}

/// No bound on the number of arguments.
const MANY: usize = usize::MAX;

const fn of(name: &'static str, args: (usize, usize), gives: Gives, usage: &'static str) -> Signature {
    Signature { name, args, named: &[], form: Form::Inline, gives, usage }
}

const fn with(signature: Signature, named: &'static [&'static str], form: Form) -> Signature {
    Signature { named, form, ..signature }
}

use Gives::{Anything, Groups, Item, Pairs, Plain, Plains, Same};

/// All of them, the engine's own included.
pub(super) const ALL: &[Signature] = &[
    with(of("if", (1, 1), Anything, "{{#if firing}}...{{/if}}"), &["includeZero"], Form::Block),
    with(of("unless", (1, 1), Anything, "{{#unless firing}}...{{/unless}}"), &["includeZero"], Form::Block),
    with(of("each", (1, 1), Anything, "{{#each alerts}}...{{/each}}"), &[], Form::Block),
    with(of("with", (1, 1), Anything, "{{#with labels}}...{{/with}}"), &[], Form::Block),
    of("lookup", (2, 2), Anything, "{{lookup labels \"a.b\"}}"),
    with(of("raw", (0, 1), Plain, "{{raw x}}"), &[], Form::Either),
    with(of("eq", (2, 2), Plain, "{{#if (eq status \"firing\")}}...{{/if}}"), &[], Form::Either),
    with(of("ne", (2, 2), Plain, "{{#if (ne status \"firing\")}}...{{/if}}"), &[], Form::Either),
    with(of("gt", (2, 2), Plain, "{{#if (gt total 1)}}...{{/if}}"), &[], Form::Either),
    with(of("gte", (2, 2), Plain, "{{#if (gte total 1)}}...{{/if}}"), &[], Form::Either),
    with(of("lt", (2, 2), Plain, "{{#if (lt total 5)}}...{{/if}}"), &[], Form::Either),
    with(of("lte", (2, 2), Plain, "{{#if (lte total 5)}}...{{/if}}"), &[], Form::Either),
    with(of("and", (1, MANY), Plain, "{{#if (and firing summary)}}...{{/if}}"), &[], Form::Either),
    with(of("or", (1, MANY), Plain, "{{#if (or summary description)}}...{{/if}}"), &[], Form::Either),
    with(of("not", (1, 1), Plain, "{{#if (not firing)}}...{{/if}}"), &[], Form::Either),
    of("len", (1, 1), Plain, "{{len alerts}}"),
    with(of("time", (1, 2), Plain, "{{time startsAt \"%m-%d %H:%M\" tz=\"UTC\"}}"), &["tz", "go"], Form::Inline),
    of("duration", (1, 2), Plain, "{{duration startsAt endsAt}}"),
    with(of("parseTime", (1, 2), Plain, "{{parseTime text \"%Y-%m-%d %H:%M\"}}"), &["tz", "go"], Form::Inline),
    of("addTime", (2, 2), Plain, "{{addTime startsAt \"-1h\"}}"),
    of("timestamp", (1, 1), Plain, "{{timestamp startsAt}}"),
    of("t", (1, 1), Plain, "{{t \"silence\"}}"),
    of("upper", (1, 1), Plain, "{{upper name}}"),
    of("lower", (1, 1), Plain, "{{lower name}}"),
    of("title", (1, 1), Plain, "{{title name}}"),
    of("trim", (1, 1), Plain, "{{trim text}}"),
    of("trimPrefix", (2, 2), Plain, "{{trimPrefix name \"Kube\"}}"),
    of("trimSuffix", (2, 2), Plain, "{{trimSuffix labels.instance \":9100\"}}"),
    of("oneLine", (1, 1), Plain, "{{oneLine annotations.description}}"),
    of("join", (1, 2), Plain, "{{join policies \", \"}}"),
    of("split", (2, 2), Plains, "{{join (split text \",\") \" / \"}}"),
    of("concat", (1, MANY), Plain, "{{concat severity \"!\"}}"),
    of("repeat", (2, 2), Plain, "{{repeat \"-\" 10}}"),
    of("default", (1, MANY), Anything, "{{default summary name}}"),
    of("truncate", (2, 2), Plain, "{{truncate summary 80}}"),
    of("contains", (2, 2), Plain, "{{#if (contains name \"Disk\")}}...{{/if}}"),
    of("startsWith", (2, 2), Plain, "{{#if (startsWith name \"Kube\")}}...{{/if}}"),
    of("endsWith", (2, 2), Plain, "{{#if (endsWith name \"Down\")}}...{{/if}}"),
    of("ternary", (3, 3), Anything, "{{ternary firing \"on\" \"off\"}}"),
    of("match", (2, 2), Plain, "{{#if (match labels.instance \"^db-\")}}...{{/if}}"),
    of("capture", (2, 3), Plain, "{{capture labels.instance \"^([a-z]+)-\"}}"),
    with(of("replace", (3, 3), Plain, "{{replace text \":9100\" \"\"}}"), &["regex"], Form::Inline),
    of("urlEncode", (1, 1), Plain, "{{urlEncode name}}"),
    of("urlDecode", (1, 1), Plain, "{{urlDecode text}}"),
    of("base64encode", (1, 1), Plain, "{{base64encode text}}"),
    of("base64decode", (1, 1), Plain, "{{base64decode text}}"),
    of("json", (1, 1), Plain, "{{json labels}}"),
    of("stripPort", (1, 1), Plain, "{{stripPort labels.instance}}"),
    of("stripDomain", (1, 1), Plain, "{{stripDomain labels.instance}}"),
    of("list", (0, MANY), Anything, "{{join (list \"a\" name)}}"),
    of("append", (2, MANY), Anything, "{{join (append policies bot)}}"),
    of("range", (1, 2), Plains, "{{#each (range 3)}}...{{/each}}"),
    of("first", (1, 1), Item, "{{#with (first alerts)}}{{name}}{{/with}}"),
    of("last", (1, 1), Item, "{{#with (last alerts)}}{{name}}{{/with}}"),
    of("limit", (2, 2), Same, "{{#each (limit alerts 3)}}...{{/each}}"),
    of("slice", (2, 3), Same, "{{#each (slice alerts 1 3)}}...{{/each}}"),
    of("reverse", (1, 1), Same, "{{#each (reverse alerts)}}...{{/each}}"),
    with(
        of("sort", (1, 2), Same, "{{#each (sort alerts \"startsAt\" reverse=true)}}...{{/each}}"),
        &["reverse"],
        Form::Inline,
    ),
    of("uniq", (1, 2), Same, "{{join (uniq (pluck alerts \"name\"))}}"),
    of("groupBy", (2, 2), Groups, "{{#each (groupBy alerts \"labels.namespace\")}}{{key}}: {{len items}}{{/each}}"),
    of("where", (3, 3), Same, "{{#each (where alerts \"status\" \"firing\")}}...{{/each}}"),
    of("pluck", (2, 2), Anything, "{{join (pluck alerts \"name\")}}"),
    of("dict", (0, MANY), Anything, "{{#with (dict \"a\" 1)}}...{{/with}}"),
    of("keys", (1, 1), Plains, "{{join (keys labels)}}"),
    of("values", (1, 1), Plains, "{{join (values labels)}}"),
    of("omit", (2, MANY), Same, "{{#each (omit labels \"alertname\")}}...{{/each}}"),
    of("pick", (2, MANY), Same, "{{#each (pick labels \"pod\" \"node\")}}...{{/each}}"),
    of("sortedLabels", (1, 1), Pairs, "{{#each (sortedLabels labels)}}{{name}}={{value}} {{/each}}"),
    of("add", (1, MANY), Plain, "{{add index 1}}"),
    of("sub", (1, MANY), Plain, "{{sub total 1}}"),
    of("mul", (1, MANY), Plain, "{{mul 2 3}}"),
    of("div", (1, MANY), Plain, "{{div total 2}}"),
    of("mod", (1, MANY), Plain, "{{mod index 2}}"),
    of("min", (1, MANY), Plain, "{{min total 5}}"),
    of("max", (1, MANY), Plain, "{{max total 5}}"),
    of("round", (1, 2), Plain, "{{round annotations.value 1}}"),
    of("floor", (1, 1), Plain, "{{floor annotations.value}}"),
    of("ceil", (1, 1), Plain, "{{ceil annotations.value}}"),
    of("abs", (1, 1), Plain, "{{abs annotations.value}}"),
    of("fixed", (1, 2), Plain, "{{fixed annotations.value 2}}"),
    of("humanize", (1, 1), Plain, "{{humanize annotations.value}}"),
    of("humanizeBytes", (1, 1), Plain, "{{humanizeBytes annotations.value}}"),
    of("humanizePercent", (1, 1), Plain, "{{humanizePercent annotations.value}}"),
    of("humanizeDuration", (1, 1), Plain, "{{humanizeDuration annotations.value}}"),
    of("link", (2, 2), Plain, "{{link \"graph\" generatorURL}}"),
    // Its named arguments are the query: any name.
    of("url", (1, MANY), Plain, "{{url \"https://wiki.corp/\" q=name}}"),
    of("promql", (1, 1), Plain, "{{promql generatorURL}}"),
    of("mention", (1, 1), Plain, "{{mention labels.owner}}"),
    with(of("color", (1, 2), Plain, "{{color severity name}}"), &[], Form::Either),
    of("escape", (1, 1), Plain, "{{{concat \"**\" (escape name) \"**\"}}}"),
    of("builtin", (0, 0), Plain, "{{builtin}}"),
];

/// Their names.
pub const NAMES: &[&str] = &{
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

pub(super) fn find(name: &str) -> Option<&'static Signature> {
    ALL.iter().find(|signature| signature.name == name)
}

/// What people write who come from elsewhere (Alertmanager, Sprig, Prometheus, Nightingale, Handlebars' plugins), and
/// what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("abbrev", "{{truncate text 80}}"),
    ("ago", "{{duration startsAt}}"),
    ("atoi", "a text that is a number is one: {{add text 1}}"),
    ("b64dec", "{{base64decode text}}"),
    ("b64enc", "{{base64encode text}}"),
    ("coalesce", "{{default a b c}}"),
    ("cat", "{{concat a \" \" b}}"),
    ("date", "{{time startsAt \"%Y-%m-%d\"}} or {{time startsAt go=\"2006-01-02\"}}"),
    ("dateInZone", "{{time startsAt \"%H:%M\" tz=\"Asia/Shanghai\"}}"),
    ("date_in_zone", "{{time startsAt \"%H:%M\" tz=\"Asia/Shanghai\"}}"),
    ("empty", "{{#if (not x)}}...{{/if}}"),
    ("end", "this looks like a Go template; here a block ends with its name: {{#if x}}...{{/if}}"),
    ("filter", "{{#each (where alerts \"status\" \"firing\")}}...{{/each}}"),
    ("formatTime", "{{time startsAt \"%Y-%m-%d %H:%M\"}}"),
    ("get", "{{lookup labels \"a.b\"}}"),
    ("has", "{{#if (contains list x)}}...{{/if}}"),
    ("hasKey", "{{#if (contains labels \"pod\")}}...{{/if}}"),
    ("hasPrefix", "{{#if (startsWith text \"db-\")}}...{{/if}}"),
    ("hasSuffix", "{{#if (endsWith text \"-1\")}}...{{/if}}"),
    ("humanize1024", "{{humanizeBytes x}}"),
    ("humanizePercentage", "{{humanizePercent x}}"),
    ("humanizeTimestamp", "{{time 1700000000 \"%Y-%m-%d %H:%M\"}}"),
    ("index", "{{lookup labels \"a.b\"}} or {{alerts.[0].name}}"),
    ("le", "{{#if (lte a b)}}...{{/if}}"),
    ("ge", "{{#if (gte a b)}}...{{/if}}"),
    ("markdown", "values are escaped for the vendor by themselves: {{x}}"),
    ("html", "values are escaped for the vendor by themselves: {{x}}"),
    ("htmlEscape", "values are escaped for the vendor by themselves: {{x}}"),
    ("now", "`now` is a field: {{time now}}"),
    ("print", "{{concat a b}}"),
    ("printf", "{{fixed x 2}} for numbers, {{concat a b}} for texts"),
    ("query", "{{promql generatorURL}}"),
    ("queryEscape", "{{urlEncode text}}"),
    ("queryFromGeneratorURL", "{{promql generatorURL}}"),
    ("range", "{{#each alerts}}...{{/each}}"),
    ("reReplaceAll", "{{replace text \"pattern\" \"by $1\" regex=true}}"),
    ("regexFind", "{{capture text \"pattern\"}}"),
    ("regexMatch", "{{#if (match text \"pattern\")}}...{{/if}}"),
    ("regexReplaceAll", "{{replace text \"pattern\" \"by $1\" regex=true}}"),
    ("safeHtml", "{{raw x}}, if whoever sets x may write markup"),
    ("safeUrl", "{{url x}}"),
    ("since", "{{duration startsAt}}"),
    ("sortAlpha", "{{sort list}}"),
    ("splitList", "{{split text \",\"}}"),
    ("stringSlice", "{{list a b}}"),
    ("substr", "{{slice text 0 5}}"),
    ("timeformat", "{{time startsAt \"%Y-%m-%d %H:%M\"}}"),
    ("toDate", "{{parseTime text go=\"2006-01-02 15:04\"}}"),
    ("toJson", "{{json x}}"),
    ("toLower", "{{lower x}}"),
    ("toString", "{{concat x}}"),
    ("toUpper", "{{upper x}}"),
    ("trimAll", "{{replace text \"^[x]+|[x]+$\" \"\" regex=true}}"),
    ("trimSpace", "{{trim x}}"),
    ("trunc", "{{truncate text 80}} or {{slice text 0 80}}"),
    ("tuple", "{{list a b}}"),
    ("tz", "{{time startsAt \"%H:%M\" tz=\"Asia/Shanghai\"}}"),
    ("urlUnescape", "{{urlDecode x}}"),
    ("urlquery", "{{urlEncode x}}"),
    ("without", "{{omit labels \"pod\"}}"),
];

/// What a foreign name is here.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(foreign, _)| *foreign == name).map(|(_, own)| *own)
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 60 {
        return None;
    }
    let lower = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &lower);
    let near = among.map(|known| (distance(known), known));
    near.filter(|(distance, _)| *distance <= 2 && distance * 3 <= name.len()).min().map(|(_, known)| known)
}
