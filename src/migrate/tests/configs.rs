//! From the other bridge's file to a config that our own reader takes.

use super::*;
use crate::config::{DingTalkBridge, load_dingtalk_bridge};
use crate::model::Secret;

const URL: &str = "https://oapi.dingtalk.com/robot/send?access_token=MARKtoken";

fn read(text: &str, templates: &[(&str, &str)]) -> Result<DingTalkBridge, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in templates {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = folder.path().join("config.yml");
    std::fs::write(&file, text).unwrap();
    let place = format!("{}/", folder.path().display());
    let shown = |mistakes: Vec<Mistake>| crate::config::report(&mistakes).replace(&place, "");
    load_dingtalk_bridge(&file).map_err(shown)
}

pub(super) fn made(text: &str, templates: &[(&str, &str)]) -> (Made, Vec<Mistake>) {
    let read = read(text, templates).unwrap();
    let templates = Templates::new(read.templates, read.built_in).unwrap();
    (config(&read.original, &templates).unwrap(), read.findings)
}

pub(super) fn loaded(made: &Made) -> crate::config::Config {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    for file in &made.templates {
        std::fs::write(folder.path().join(&file.path), &file.text).unwrap();
    }
    match crate::config::parse_str("alarmbell.yml", made.config.expose(), folder.path()) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => panic!("{}\n{}", crate::config::report(&mistakes), made.config.expose()),
    }
}

#[test]
fn targets_become_bots_of_the_same_names() {
    let text = format!(
        "targets:
  webhook1:
    url: {URL}1
    secret: SECMARK
  web-hook_2:
    url: http://proxy.corp/robot/send?access_token=MARKtoken2
    mention: {{all: true}}
  three:
    url: http://127.0.0.1:8061/robot/send?access_token=MARKtoken3
    mention:
      mobiles: ['13800000000', 13900000000, '13800000000']
"
    );
    let (made, findings) = made(&text, &[]);
    assert_eq!((findings, &made.findings), (Vec::new(), &Vec::new()));
    assert_eq!(made.templates, []);
    assert_eq!(made.plain, ["webhook1", "web-hook_2", "three"]);
    let config = loaded(&made);
    let names: Vec<&str> = config.bots.iter().map(|bot| &*bot.name).collect();
    assert_eq!(names, ["webhook1", "web-hook_2", "three"]);
    let robot = &config.bots[0].robots[0];
    assert_eq!(robot.url.expose(), format!("{URL}1"));
    assert_eq!(robot.secret.as_ref().map(Secret::expose), Some("SECMARK"));
    let text = made.config.expose();
    assert_eq!(text.matches("allow_http").count(), 1, "{text}");
    assert!(
        text.contains("      all: true\n") && text.contains("contacts: [\"13800000000\", \"13900000000\"]"),
        "{text}"
    );
    assert_eq!(config.routing.contacts.len(), 2);
    assert!(config.routing.default_policy.is_some());
    let shown = format!("{made:?}");
    assert!(!shown.contains("MARK"), "{shown}");
}

/// A target's own message, else `default_message`; what one of them lacks is the built-in one's.
#[test]
fn messages_become_template_sets() {
    let text = format!(
        "templates: ['*.tmpl']
default_message: {{title: 'd {{{{ .Status }}}}', text: '{{{{ template \"legacy.content\" . }}}}'}}
targets:
  a: {{url: {URL}1}}
  b: {{url: {URL}2}}
  c: {{url: {URL}3, message: {{text: 'only {{{{ .Status }}}}'}}}}
  default: {{url: {URL}4, message: {{title: 't', text: 'own'}}}}
  e: {{url: {URL}5, message: {{title: '{{{{ template \"ding.link.title\" . }}}}', text: '{{{{template \"ding.link.content\" .}}}}'}}}}
  f: {{url: {URL}6, message: {{title: 't', text: 'own'}}}}
"
    );
    let (made, _) = made(&text, &[("x.tmpl", "{{ define \"unused\" }}{{ end }}")]);
    let config = loaded(&made);
    let sets: Vec<(&str, &str)> = config.bots.iter().map(|bot| (&*bot.name, &*bot.template)).collect();
    let expected = [
        ("a", "migrated"),
        ("b", "migrated"),
        ("c", "c"),
        ("default", "default-message"),
        ("e", "default"),
        ("f", "default-message"),
    ];
    assert_eq!(sets, expected);
    assert_eq!(made.plain, ["e"]);
    let files: Vec<&str> = made.templates.iter().map(|file| &*file.path).collect();
    let expected = [
        "templates/dingtalk.migrated.title.hbs",
        "templates/dingtalk.migrated.body.hbs",
        "templates/dingtalk.c.body.hbs",
        "templates/dingtalk.default-message.title.hbs",
        "templates/dingtalk.default-message.body.hbs",
    ];
    assert_eq!(files, expected);
    // What does not fit is counted all the same.
    assert!(made.templates[2].text.starts_with("only {{status}}\n") && made.templates[2].text.contains("{{more}}"));
    assert_eq!(made.templates[0].text, "d {{status}}\n");
}

#[test]
fn an_overridden_definition_makes_the_message_custom() {
    let text = format!("templates: ['*.tmpl']\ntargets: {{a: {{url: {URL}}}}}\n");
    let (made, _) = made(
        &text,
        &[("x.tmpl", "{{ define \"default.__text_alert_list\" }}{{ range . }}{{ .Status }}{{ end }}{{ end }}")],
    );
    let files: Vec<&str> = made.templates.iter().map(|file| &*file.path).collect();
    assert_eq!(files, ["templates/dingtalk.migrated.body.hbs"]);
    assert_eq!(&*loaded(&made).bots[0].template, "migrated");
}

/// Places in templates that stand in YAML are the file's own.
#[test]
fn what_is_left_has_its_place_in_the_file() {
    let text = format!(
        "timeout: 30s
templates: [none/*.tmpl]
targets:
  a:
    url: {URL}
    mention: {{mobiles: ['138xxxx0000']}}
    message:
      title: '{{{{ frob }}}}'
      text: |
        first
          second {{{{ .Nope }}}}

        {{{{ .Status | frob }}}}
  b:
    url: {URL}
    message:
      text: >-
        x {{{{ frob }}}}
"
    );
    let (made, findings) = made(&text, &[]);
    let shown = |found: &Mistake| {
        format!(
            "{}:{}: {}{}",
            found.place.line,
            found.place.column,
            if found.warning { "note " } else { "" },
            found.what
        )
    };
    let said: Vec<String> = findings.iter().chain(&made.findings).map(shown).collect();
    let frob = "the function `frob` has no counterpart, or not with these arguments";
    let expected = [
        "1:10: note `timeout: 30s` is not carried over".to_owned(),
        "2:13: no file matches `none/*.tmpl`".to_owned(),
        "6:25: the mobile number 138xxxx0000 is left out: it is not one".to_owned(),
        format!("8:18: {frob}"),
        "11:21: the message's field `.Nope` has no counterpart".to_owned(),
        format!("13:22: {frob}"),
        format!("18:14: {frob}"),
    ];
    assert_eq!(said, expected);
    let config = loaded(&made);
    assert_eq!(config.routing.contacts.len(), 0);
}

#[test]
fn files_that_are_something_else_are_refused_with_every_mistake() {
    let text = "targets:
  1a: {url: https://oapi.dingtalk.com/robot/send?access_token=MARKtoken}
  b: {secret: SECMARK}
  c: {url: https://oapi.dingtalk.com/robot/send, sekret: MARKsecret}
  d: {url: 'https://oapi.dingtalk.com/robot/send?access_token=MARKtoken', message: 5}
tamplates: [x]
";
    let said = read(text, &[]).unwrap_err();
    for part in [
        "config.yml:2:3: `1a` can not be a target's name",
        "config.yml:3:3: this target has no `url`",
        "config.yml:4:12: the robot's token is missing",
        "unknown key `sekret` in a target",
        "hint: did you mean `secret`?",
        "config.yml:5:84: a message must be a map, not a single value",
        "config.yml:6:1: unknown key `tamplates` in the config",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(!said.contains("MARK"), "{said}");
    assert!(read("targets: 5\n", &[]).unwrap_err().contains("`targets` must be a map"));
    assert!(read("{}\n", &[]).unwrap_err().contains("there are no `targets`"));
    assert!(read("targets: [", &[]).unwrap_err().contains("this is not YAML"));
    let broken =
        read(&format!("templates: [x.tmpl]\ntargets: {{a: {{url: {URL}}}}}"), &[("x.tmpl", "{{ if }}")]).unwrap();
    let mistakes = Templates::new(broken.templates, true).unwrap_err();
    assert!(mistakes[0].place.file.ends_with("x.tmpl") && mistakes[0].place.line == 1, "{mistakes:?}");
}
