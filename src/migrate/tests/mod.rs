//! What a person can rely on when templates of another bridge are carried over.
#![allow(clippy::unwrap_used, clippy::panic)]

mod configs;
mod constructs;
mod facts;
mod garbage;
mod lists;
mod settings;

use super::*;
use crate::app::build;
use crate::dispatch::{Preview, preview};
use crate::model::{MessageId, Notification};

/// A file of its own.
fn source(text: &str) -> Source {
    Source { file: "t.tmpl".to_owned(), text: text.to_owned(), lines: Vec::new() }
}

fn translated(text: &str) -> Translated {
    Templates::new(Vec::new(), true).unwrap().translate(&source(text)).unwrap()
}

/// `line:column: what` of each finding; notes begin with `note `.
fn findings(done: &Translated) -> Vec<String> {
    let shown = |found: &Mistake| {
        let kind = if found.warning { "note " } else { "" };
        format!("{kind}{}:{}: {}", found.place.line, found.place.column, found.what)
    };
    done.findings.iter().map(shown).collect()
}

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/payloads/{name}.body", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// The message that a DingTalk robot is sent for a recorded body, by a title and a body in Handlebars.
fn shown(title: &str, body: &str, payload: &str) -> Preview {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dingtalk.x.title.hbs"), title).unwrap();
    std::fs::write(folder.path().join("dingtalk.x.body.hbs"), body).unwrap();
    let text = "
global: {timezone: Asia/Shanghai}
templates: ['*.hbs']
bots:
  - name: ops
    type: dingtalk
    url: https://oapi.dingtalk.com/robot/send?access_token=0123456789
    secret: SEC0123456789
    template: x
";
    let config = match crate::config::parse_str("alarmbell.yml", text, folder.path()) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => panic!("{}\n{title}\n{body}", crate::config::report(&mistakes)),
    };
    let settings = build::dispatch_settings(&config, "");
    let payload = Notification::parse(&recorded(payload)).unwrap();
    let now = "2026-11-21T02:04:02Z".parse().unwrap();
    let id = MessageId::from_bytes([0; 16]);
    let mut made = preview(&settings, &config.bots[0], payload, now, || id.clone());
    assert_eq!(made.messages.len(), 1);
    let message = made.messages.remove(0);
    assert!(message.failure.is_none(), "{:?}\n{body}", message.failure);
    message
}
