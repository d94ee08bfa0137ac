//! What the template playground asks of whoever renders: the sandbox draws what a robot would be sent, and knows nothing of
//! how alarmbell makes it.

pub(super) mod api;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{BotKind, Lang, Layout};

/// Renders for the playground. The sandbox asks it in a blocking thread and with bounded texts.
pub trait Painter: Send + Sync {
    /// What can be told, in the order of a menu.
    fn samples(&self) -> Vec<Sample>;

    /// The built-in templates of a vendor, by part (`title`, `alert`, `body`, `digest`).
    fn sources(&self, vendor: BotKind) -> BTreeMap<String, String>;

    /// What a robot would be sent.
    fn paint(&self, wish: &Wish) -> Painted;
}

/// One of the built-in bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Its name on the command line and in [`Wish::sample`].
    pub name: String,
    /// What happens in it, in a few words of English.
    pub title: String,
}

/// What to render.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The vendor.
    pub vendor: BotKind,
    /// The message type; the vendor's default without one.
    #[serde(default)]
    pub kind: Option<Layout>,
    /// Language of built-in texts.
    pub lang: Lang,
    /// Name of a [`Sample`]; not looked at with a `payload`.
    #[serde(default)]
    pub sample: String,
    /// A webhook body to tell instead, as a person typed it.
    #[serde(default)]
    pub payload: Option<String>,
    /// Whether it calls somebody.
    #[serde(default)]
    pub mention: bool,
    /// Templates by part, as typed; a part that is missing or empty is the built-in one.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Painted {
    /// The messages; none when there are mistakes.
    pub messages: Vec<PaintedMessage>,
    /// What is wrong with the templates or the payload.
    pub mistakes: Vec<Blot>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaintedMessage {
    /// The unsigned request body.
    pub body: String,
    /// Its bytes as the vendor counts them.
    pub size: usize,
    /// The most that the vendor takes.
    pub limit: usize,
    /// Alerts named.
    pub named: usize,
    /// Alerts counted.
    pub counted: usize,
    /// What was left out to make it fit, in a sentence; empty when nothing was.
    pub cut: String,
    /// Which template failed while it ran, and why; empty when none did.
    pub failure: String,
}

/// One mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blot {
    /// The part, or `payload`.
    pub part: String,
    /// Line, from 1; 0 when not known.
    pub line: usize,
    /// Column in characters, from 1; 0 when not known.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty.
    pub hint: String,
}
