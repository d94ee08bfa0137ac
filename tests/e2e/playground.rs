//! The template playground in a real browser, used as a person would use it.

use super::book::Sandbox;
use super::program;
use super::tab::Tab;

const BODY: &str = "document.querySelector('#panel-body textarea')";
const PHONE: &str = "document.getElementById('phone').innerText";

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_edited_and_drawn() {
    let sandbox = Sandbox::start().await;
    let mut tab = Tab::start(&program("CHROMIUM_BIN")).await;
    tab.size(1280, 800, 1.0).await;
    tab.open(&format!("{}/", sandbox.url)).await;
    tab.run("document.querySelector('a[href=\"/playground\"]').click()").await;

    // What is built in is drawn at once, for another vendor too.
    tab.wait(&format!("document.getElementById('phone') && {PHONE}.includes('Alarm')")).await;
    tab.run("document.querySelector('input[value=wecom]').click()").await;
    tab.wait("document.querySelector('#phone .v-wecom .bubble')").await;
    tab.wait(&format!("{BODY}.value.includes('{{{{')")).await;

    // What is typed is drawn, and marked as changed.
    tab.run(&format!("{BODY}.focus(); {BODY}.setSelectionRange(0, 0)")).await;
    tab.type_text("Typed by hand\n").await;
    tab.wait(&format!("{PHONE}.includes('Typed by hand')")).await;
    tab.wait("document.querySelector('#panel-body .mark-new')").await;
    let facts = tab.run("document.getElementById('facts').innerText").await;
    for part in ["The strict robot takes it", "of 4,096 bytes", "named", "Cut\nnothing", "Calls\nnobody"] {
        assert!(facts.as_str().unwrap().contains(part), "no {part:?} in {facts}");
    }

    // A mistake is named, its line is marked, and one click leads there.
    tab.type_text("  {{#if}}\n").await;
    tab.wait("document.querySelector('#mistakes li')").await;
    tab.wait("document.querySelector('#panel-body .bands .mark-bad')").await;
    let said = tab.run("document.getElementById('mistakes').innerText").await;
    assert!(said.as_str().unwrap().starts_with("body, line "), "{said}");
    tab.run("document.getElementById('tab-title').click(); document.querySelector('#mistakes button').click()").await;
    tab.wait(&format!("document.activeElement === {BODY}")).await;

    // Reset brings back what is built in; the tabs can be walked with the keyboard.
    tab.run("document.querySelector('#panel-body [data-do=reset]').click()").await;
    tab.wait(&format!("!{PHONE}.includes('Typed by hand') && !document.querySelector('#mistakes li')")).await;
    tab.run("document.getElementById('tab-body').focus()").await;
    tab.press("ArrowRight").await;
    tab.wait("document.activeElement.id === 'tab-digest' && !document.getElementById('panel-digest').hidden").await;

    // Somebody is called by name, and the choice outlives a reload.
    tab.run("document.getElementById('mention').click()").await;
    tab.wait("document.querySelector('#phone .at')?.innerText === '@zhang.san'").await;
    tab.open(&format!("{}/playground", sandbox.url)).await;
    tab.wait("document.querySelector('#phone .v-wecom .at')").await;
}
