//! What one chat vendor's messages are like, as the rooms that write text need to know it.

use super::Draft;

/// Which vendor's robot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BotKind {
    /// DingTalk custom robot.
    DingTalk,
    /// WeCom group robot.
    WeCom,
    /// Feishu custom bot; Lark is Feishu on its own host.
    Feishu,
}

impl BotKind {
    /// All vendors.
    pub const ALL: [Self; 3] = [Self::DingTalk, Self::WeCom, Self::Feishu];

    /// The word used in the config, metrics and template file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DingTalk => "dingtalk",
            Self::WeCom => "wecom",
            Self::Feishu => "feishu",
        }
    }
}

/// Language of the built-in templates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Chinese.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The word used in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }
}

/// A person who can be mentioned. Ids that are not known are empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contact {
    /// The name in the config and in messages.
    pub name: String,
    /// Mobile number (DingTalk, WeCom text).
    pub mobile: String,
    /// E-mail; shown nowhere, kept for people who look a contact up.
    pub email: String,
    /// DingTalk user id.
    pub dingtalk_user_id: String,
    /// WeCom user id.
    pub wecom_user_id: String,
    /// Feishu open id (`ou_...`).
    pub feishu_open_id: String,
}

/// Whom a message calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mentions {
    /// Everybody in the chat.
    pub all: bool,
    /// These people, each once, in config order.
    pub people: Vec<Contact>,
}

impl Mentions {
    /// Whether nobody is called.
    pub fn is_empty(&self) -> bool {
        !self.all && self.people.is_empty()
    }
}

/// One vendor's markup, sizes and request body. Implemented in `channel`, used by `render` and `dispatch`.
pub trait Dialect: Send + Sync {
    /// The vendor.
    fn kind(&self) -> BotKind;

    /// Neutralises a label's or annotation's value for the vendor's markdown: it can not mention anybody,
    /// close a tag, start a heading or forge a link, and still reads as it was typed.
    fn escape(&self, value: &str) -> String;

    /// The text that, inside the body, calls these people (DingTalk `@138...`, WeCom `<@id>`, Feishu `<at id=..></at>`).
    /// People this vendor can not call are shown by name only. Empty for nobody.
    fn mention_text(&self, mentions: &Mentions, lang: Lang) -> String;

    /// Bytes of the draft in the form the vendor measures (WeCom: the content; DingTalk, Feishu: the whole
    /// serialised body, with room for the signature).
    fn size(&self, draft: &Draft) -> usize;

    /// The most bytes [`Dialect::size`] may have, for this draft's form.
    fn limit(&self, draft: &Draft) -> usize;

    /// The request body, unsigned. `message_id` becomes DingTalk's `msgUuid`.
    fn encode(&self, draft: &Draft, message_id: &str) -> Vec<u8>;

    /// The texts of the draft in which the vendor looks for keywords.
    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str>;
}
