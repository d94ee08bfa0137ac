//! Hostile values through every helper, in templates that people might write: what a template says is markup, what a value
//! says is not, however it was cut, replaced, joined or turned.

use proptest::prelude::*;

use super::scenes::LIST;
use super::*;
use crate::model::BotKind;

/// Bodies for any vendor. Each has words of its own beside the values, so that an empty one leaves no mark.
const BODIES: &[&str] = &[
    "{{#each alerts}}\n{{truncate annotations.summary 1}}, {{truncate annotations.summary 3}}, {{truncate labels.team 7}} ok\n{{/each}}",
    "{{#each alerts}}\n**{{name}}** {{truncate labels.instance 4}}{{truncate labels.namespace 4}}{{truncate labels.team 9}} ok\n{{/each}}",
    "{{upper commonLabels.alertname}} ok\n{{lower commonLabels.alertname}} ok\n{{title groupLabels.x}} ok\n{{trim receiver}}{{oneLine receiver}} ok",
    "{{#each alerts}}\n{{replace labels.team \"A\" \"<\"}} ok\n{{replace labels.team \"x\" \"](http://evil.example)\"}} ok\n{{replace labels.team \"q\" \"<at id=all></at>\"}} ok\n{{/each}}",
    "{{#each alerts}}\n{{replace annotations.summary labels.team labels.instance}} ok\n{{replace annotations.x \"(.)\" \"$1<@all>\" regex=true}} ok\n{{/each}}",
    "{{join (list groupLabels.x receiver) \"\"}} ok\n{{join (list groupLabels.x receiver) \" | \"}} ok\n{{join (list linkLine groupLabels.x) \" · \"}} ok",
    "{{join (pluck alerts \"name\") \", \"}} ok\n{{#each (where alerts \"status\" \"firing\")}}{{name}}, {{/each}} ok",
    "{{concat \"<@\" groupLabels.x \">\"}} ok\n{{concat groupLabels.x receiver}} ok\n{{concat \"[\" receiver \"](\" externalURL \")\"}} ok\n{{upper linkLine}} ok",
    "{{link receiver externalURL}} ok\n{{#each alerts}}{{link name generatorURL}}, {{link labels.team generatorURL}} {{/each}} ok",
    "[{{receiver}}]({{url externalURL \"/#/alerts?\" receiver}}) ok\n[x]({{url externalURL}}) ok\n{{url receiver}} ok",
    "[{{receiver}}]({{externalURL}}/#/alerts?receiver={{receiver}}) ok\n[x]({{externalURL}}) {{#each alerts}}[x]({{generatorURL}}) {{/each}}ok",
    "[{{receiver}}](https://own.example/{{groupLabels.x}}) [x](https://own.example/?x={{receiver}}&y={{groupLabels.x}}) ok",
    "{{or receiver groupLabels.x}}{{and receiver groupLabels.x}}{{eq receiver \"x\"}} {{join (append (list receiver) groupLabels.x) \"\"}}{{parseTime receiver \"%Y\"}} ok",
    "{{#each (split groupLabels.x \"q\")}}({{this}}) {{/each}} ok\n{{#each (split receiver \"x\")}}{{this}}{{/each}} ok",
    "{{#each alerts}}\n{{time startsAt}} {{time startsAt \"%m-%d <at>\"}} {{duration startsAt}} {{labels.team}} ok\n{{/each}}",
    "{{default groupLabels.none receiver}} ok\n{{ternary receiver receiver \"x\"}} ok\n{{ternary groupLabels.none \"x\" linkLine}} ok\n{{t receiver}} ok\n{{t groupLabels.x}} ok",
    "{{json groupLabels}} ok\n{{urlEncode receiver}} ok\n{{urlDecode receiver}} ok\n{{urlDecode (urlEncode receiver)}} ok\n{{urlDecode \"%3C%40all%3E\"}} ok",
    "{{#each (sortedLabels groupLabels)}}{{name}}={{value}} {{/each}} ok\n{{#each groupLabels}}{{@key}}{{this}}{{/each}} ok\n{{lookup groupLabels \"x\"}}{{#each (omit groupLabels \"x\")}}{{this}}{{/each}} ok",
    "{{receiver}}{{notificationReason}}{{groupLabels.x}} ok\n({{receiver}})[{{groupLabels.x}}] ok\n{{receiver}}: {{#each alerts}}{{labels.team}}{{annotations.x}}{{/each}} ok",
    "{{add receiver 1}}{{fixed receiver 2}}{{len receiver}}{{mod receiver 2}} ok\n{{#if (match receiver \"^<\")}}{{/if}}{{#if (contains receiver \"<\")}}{{/if}}{{#if (startsWith receiver \"#\")}}{{/if}} ok",
    "{{#*inline \"row\"}}{{labels.team}} ok{{/inline}}\n{{#each alerts as |alert at|}}\n{{at}} {{alert.name}} {{#with alert}}{{> row}}{{/with}}\n{{/each}}",
    "{{color groupLabels.x receiver}} ok\n{{color \"red\" receiver}} ok\n{{#color \"grey\"}}{{receiver}} {{groupLabels.x}}{{/color}} ok\n{{#color severity}}\n{{receiver}} ok\n- {{groupLabels.x}} ok\n{{/color}}",
    "{{escape receiver}} {{{escape receiver}}} ok\n{{{concat \"**\" (escape receiver) \"**\"}}} ok\n{{mention receiver}} {{mention groupLabels.x}} ok\n{{promql externalURL}} ok",
    "{{#each (groupBy alerts \"labels.team\")}}{{key}}: {{len items}} {{#each items}}{{labels.team}}{{/each}} {{/each}} ok\n{{join (sort (pluck alerts \"labels.team\"))}} ok",
    "{{join (uniq (list receiver groupLabels.x receiver)) \"/\"}} {{first (list receiver)}}{{last (split receiver \"x\")}} ok\n{{join (limit (reverse (list receiver groupLabels.x)) 1)}}{{slice receiver 1}}{{slice receiver 0 2}} ok",
    "{{trimPrefix receiver \"q\"}}{{trimSuffix receiver \"z\"}}{{stripPort receiver}}{{stripDomain receiver}} ok\n{{capture receiver \"^(.)\"}}{{capture receiver \"(.)$\"}}{{repeat receiver 3}} ok\n{{base64decode (base64encode receiver)}}{{base64decode receiver}} ok",
    "{{humanize receiver}}{{humanizeBytes receiver}}{{humanizePercent receiver}}{{humanizeDuration receiver}} ok\n{{round receiver}}{{max receiver 1}} ok",
    "{{#with (dict receiver groupLabels.x \"b\" receiver)}}{{#each this}}{{@key}}={{this}} {{/each}}{{/with}} ok\n{{join (keys groupLabels)}} {{join (values groupLabels)}} {{json (pick groupLabels \"x\" receiver)}} ok",
    "[x]({{url \"https://own.example/d\" var-x=receiver}}) ok\n[x]({{url \"https://own.example/\" receiver groupLabels.x}}) ok",
    "{{builtin}}\n\n{{receiver}} ok",
];

/// Helpers that give numbers, times or whether; and `raw`, which gives what it was given.
const NO_TEXT: &[&str] = &[
    "raw",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "addTime",
    "timestamp",
    "endsWith",
    "range",
    "sub",
    "mul",
    "div",
    "min",
    "floor",
    "ceil",
    "abs",
];

pub(super) fn templates(body: &str) -> Templates {
    let files: Vec<(String, String)> = BotKind::ALL
        .iter()
        .flat_map(|kind| {
            let title = "{{truncate name 5}} {{upper receiver}}{{raw groupLabels.x}}";
            [("title", title), ("body", body)]
                .map(|(part, source)| (format!("{}.x.{part}.hbs", kind.as_str()), source.to_owned()))
        })
        .collect();
    let (templates, mistakes) = Templates::new(&files);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    templates
}

/// On the site that the templates and the alerts name, or, since a value was no address, nowhere.
fn leads_nowhere_else(address: &str) -> bool {
    let own = ["https://own.example/", LIST].iter().any(|own| address.starts_with(own));
    own || !(address.contains(':') || address.starts_with('/'))
}

/// One message of each type for each body: every helper is tried, whatever chance has chosen below.
#[test]
fn every_helper_is_tried() {
    let chats = Chats::new();
    for (at, body) in BODIES.iter().enumerate() {
        let templates = templates(body);
        let attack = ATTACKS[at * 7 % ATTACKS.len()];
        let plan = plan(Told::Several, Lang::En, attack);
        for (layout, dialect) in scenes::dialects() {
            let one = plan.scene(&hostile, &hostile_address);
            let twin = plan.scene(&harmless, &harmless_address);
            let [one, twin] = [one, twin].map(|scene| {
                shown(&chats, &templates, &*dialect, (&plan, &scene), &leads_nowhere_else)
                    .unwrap_or_else(|why| panic!("{attack:?} in {layout:?} of {body}: {why}"))
            });
            only_words_differ(&one, &twin).unwrap_or_else(|why| panic!("{attack:?} in {layout:?} of {body}: {why}"));
        }
    }
    let all = BODIES.concat();
    let named = |name: &&&str| !all.contains(&format!("{{{{{name}")) && !all.contains(&format!("({name} "));
    let blocks = ["if", "unless", "each", "with"];
    let missing: Vec<&&str> =
        crate::render::HELPERS.iter().filter(named).filter(|name| !blocks.contains(*name)).collect();
    assert_eq!(missing, NO_TEXT.iter().collect::<Vec<_>>(), "a helper that no hostile value went through");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 28, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_helper_lets_a_value_out(mut plan in scenes::short(), body in prop::sample::select(BODIES)) {
        if matches!(plan.told, Told::Digest | Told::PlainDigest) {
            plan.told = Told::Mixed;
        }
        // A value that reads "@u-007" would stand for the text that calls u-007, and one line fewer be added.
        plan.mentions.people.clear();
        let (chats, templates) = (Chats::new(), templates(body));
        let scenes = [plan.scene(&hostile, &hostile_address), plan.scene(&harmless, &harmless_address)];
        for (_, dialect) in scenes::dialects() {
            let [one, twin] = &scenes;
            let one = shown(&chats, &templates, &*dialect, (&plan, one), &leads_nowhere_else)?;
            let twin = shown(&chats, &templates, &*dialect, (&plan, twin), &leads_nowhere_else)?;
            only_words_differ(&one, &twin)?;
        }
    }
}
