//! `contacts:` and `contact_groups:`.

use crate::model::{BotKind, Contact};

use super::bots::name;
use super::fields::Fields;
use super::node::Node;
use super::report::{At, Report, quoted};

pub(super) const CONTACT_KEYS: &[&str] =
    &["name", "mobile", "email", "dingtalk_user_id", "wecom_user_id", "feishu_open_id"];
const MAX_CHARS: usize = 100;

pub(super) struct RawContact {
    pub(super) name: At<String>,
    pub(super) contact: Contact,
}

pub(super) struct RawGroup {
    pub(super) name: At<String>,
    pub(super) contacts: Vec<At<String>>,
    pub(super) bots: Vec<At<String>>,
}

pub(super) fn contacts(top: &Fields<'_>, report: &mut Report) -> Vec<RawContact> {
    top.list("contacts", report).iter().filter_map(|node| contact(node, report)).collect()
}

fn contact(node: &Node, report: &mut Report) -> Option<RawContact> {
    let fields = Fields::open(node, "a contact", CONTACT_KEYS, report)?;
    if !fields.has("name") {
        report.mistake(fields.pos, "a contact needs a `name`", "");
    }
    let name = fields.text("name", report);
    if let Some(name) = &name
        && (name.value.chars().count() > MAX_CHARS || name.value.contains(char::is_control))
    {
        let what = format!("a contact's name is one line of at most {MAX_CHARS} characters");
        report.mistake(name.pos, what, "");
    }
    let mut id = |key: &str, valid: fn(&str) -> bool, form: &str| {
        let Some(found) = fields.text_or_empty(key, report) else { return String::new() };
        if found.value.chars().count() > MAX_CHARS || !valid(&found.value) {
            report.mistake(found.pos, format!("`{key}` can not be {}", quoted(&found.value)), form.to_owned());
        }
        found.value
    };
    let contact = Contact {
        name: name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        mobile: id("mobile", is_mobile, "digits, with + and - for other countries"),
        email: id(
            "email",
            |text| text.contains('@') && !text.contains(char::is_whitespace),
            "like zhang.san@example.com",
        ),
        dingtalk_user_id: id("dingtalk_user_id", is_id, ID_FORM),
        wecom_user_id: id("wecom_user_id", is_id, ID_FORM),
        feishu_open_id: id("feishu_open_id", is_id, "the person's open_id, like ou_84aad35d084aa403a838cf73ee18467"),
    };
    Some(RawContact { name: name?, contact })
}

const ID_FORM: &str = "letters, digits, `.`, `_`, `-` and `@`; everybody is mentioned with `all: true`";

/// No id may call everybody or end a tag: ids go into messages as they are. One with `..` in it was copied from a page that
/// leaves out the rest.
fn is_id(text: &str) -> bool {
    let everybody = matches!(text.to_ascii_lowercase().trim_start_matches('@'), "all" | "everyone");
    !everybody && !text.contains("..") && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
}

pub(super) fn is_mobile(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (5..=20).contains(&digits) && text.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

/// The key that a contact needs to be mentioned by such a bot; `None` when they can be.
pub(super) fn missing_id(contact: &Contact, kind: BotKind) -> Option<&'static str> {
    match kind {
        BotKind::DingTalk if contact.mobile.is_empty() && contact.dingtalk_user_id.is_empty() => {
            Some("neither `mobile` nor `dingtalk_user_id`")
        }
        BotKind::WeCom if contact.mobile.is_empty() && contact.wecom_user_id.is_empty() => {
            Some("neither `mobile` nor `wecom_user_id`")
        }
        BotKind::Feishu if contact.feishu_open_id.is_empty() => Some("no `feishu_open_id`"),
        _ => None,
    }
}

pub(super) fn groups(top: &Fields<'_>, report: &mut Report) -> Vec<RawGroup> {
    top.list("contact_groups", report).iter().filter_map(|node| group(node, report)).collect()
}

fn group(node: &Node, report: &mut Report) -> Option<RawGroup> {
    let fields = Fields::open(node, "a contact group", &["name", "contacts", "bots"], report)?;
    let name = name(&fields, "a contact group", report);
    let contacts = fields.texts("contacts", report);
    let bots = fields.texts("bots", report);
    if contacts.is_empty() && bots.is_empty() {
        report.mistake(fields.pos, "a contact group needs `contacts` or `bots`", "");
    }
    Some(RawGroup { name: name?, contacts, bots })
}
