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

/// In which of its vendor's message types a bot's messages leave (`kind` in the config). Plain messages are text
/// messages whatever it says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Layout {
    /// DingTalk and WeCom `markdown`.
    #[serde(rename = "markdown")]
    Markdown,
    /// DingTalk `actionCard`: markdown with the links as buttons.
    #[serde(rename = "actionCard")]
    ActionCard,
    /// WeCom `markdown_v2`: lists and more, but no colours.
    #[serde(rename = "markdown_v2")]
    MarkdownV2,
    /// WeCom `template_card` (`text_notice`): title, short facts, links.
    #[serde(rename = "template_card")]
    TemplateCard,
    /// Feishu `interactive`: a card of schema 2.0.
    #[serde(rename = "card")]
    Card,
    /// Feishu `post`: rich text.
    #[serde(rename = "post")]
    Post,
}

impl Layout {
    /// A vendor's, its default first.
    pub const fn of(kind: BotKind) -> &'static [Self] {
        match kind {
            BotKind::DingTalk => &[Self::Markdown, Self::ActionCard],
            BotKind::WeCom => &[Self::Markdown, Self::MarkdownV2, Self::TemplateCard],
            BotKind::Feishu => &[Self::Card, Self::Post],
        }
    }

    /// The word used in the config and in templates: the vendor's own.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::ActionCard => "actionCard",
            Self::MarkdownV2 => "markdown_v2",
            Self::TemplateCard => "template_card",
            Self::Card => "card",
            Self::Post => "post",
        }
    }

    /// Whether such a message can call people. Vendors ignore mentions in the others without an error.
    pub const fn calls(self) -> bool {
        !matches!(self, Self::ActionCard | Self::MarkdownV2 | Self::TemplateCard)
    }

    /// Whether links are buttons beside the body.
    pub const fn has_buttons(self) -> bool {
        matches!(self, Self::ActionCard | Self::TemplateCard | Self::Card)
    }

    /// Whether short facts ([`super::Draft::facts`]) stand beside the body.
    pub const fn has_facts(self) -> bool {
        matches!(self, Self::TemplateCard | Self::Card)
    }
}

/// What decides in which [`Layout`] a message can leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// It calls somebody.
    pub calls: bool,
    /// Alerts that it tells.
    pub alerts: usize,
    /// It is a digest.
    pub digest: bool,
    /// It has at least one link.
    pub links: bool,
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

    /// In which of the vendor's message types a full message of this shape leaves: the configured one, else the nearest
    /// that can hold it. A message that calls people always leaves in one that can.
    fn layout(&self, shape: Shape) -> Layout;

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
