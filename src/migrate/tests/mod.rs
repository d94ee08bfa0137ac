//! What a person can rely on when templates of another bridge are carried over.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

#[test]
fn look() {
    let templates = Templates::new(Vec::new(), true).unwrap();
    for name in ["default.title", "default.content", "legacy.content"] {
        let text = format!("{{{{ template \"{name}\" . }}}}");
        let done = templates.translate(&Source { file: "x".into(), text, lines: vec![] }).unwrap();
        println!("== {name}\n{}\n{:?}", done.text, done.findings);
    }
}
