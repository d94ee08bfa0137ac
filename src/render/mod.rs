//! Turns what must be told into a draft that its robot accepts: templates, helpers, fit to size, keywords.
//! Pure: no I/O, no clock; the vendor's markup and sizes come in through [`Dialect`].
//!
//! What a template sees, and the helpers it may use, stand in `templates/README.md`.

mod columns;
mod data;
mod digest;
mod engine;
mod facts;
mod failure;
mod finish;
mod fit;
mod full;
pub mod golayout;
mod helpers;
mod identity;
mod links;
mod lint;
mod marks;
mod notice;
mod plain;
mod signatures;
mod tally;
mod templates;
#[cfg(test)]
mod tests;
mod texts;
mod trial;
mod trim;
pub mod words;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use digest::{DigestScene, render_digest};
use facts::Facts;
use full::{Full, Unfit};
pub use notice::notice;
pub use signatures::NAMES as HELPERS;
pub use tally::Tally;
pub use templates::Templates;
pub use trim::Trim;

use crate::model::{Alert, Change, Dialect, Draft, Fingerprint, How, Lang, Mentions, Millis, Notification, Place};

/// Prefix replacements for links (`global.link_rewrites`): first match wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkRewrite {
    /// Links that begin with this ...
    pub prefix: String,
    /// ... begin with this instead.
    pub replace: String,
}

/// Whether all keywords or any one of them must be in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeywordMode {
    /// Every keyword (the default; what a robot with several rules needs).
    #[default]
    All,
    /// At least one.
    Any,
}

/// How much a message says; each next form is what a robot gets that refused the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// Markdown or card, by template.
    Full,
    /// Built-in plain text that names the alerts.
    Plain,
    /// Built-in plain text with numbers only: nothing from labels or annotations.
    Counts,
}

/// One alert to tell.
#[derive(Clone, Debug)]
pub struct SceneAlert {
    /// The alert.
    pub alert: Arc<Alert>,
    /// What happened to it.
    pub change: Change,
    /// Rank of its severity, 0 the most urgent.
    pub rank: u8,
    /// Name of its severity level.
    pub severity: String,
    /// How often it changed state while it waited (0 or 1: not worth saying).
    pub flaps: u32,
}

/// Everything that a message may show.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The bot's name.
    pub bot: String,
    /// Language of built-in texts.
    pub lang: Lang,
    /// Zone in which times are shown.
    pub tz: TimeZone,
    /// Now.
    pub now: Timestamp,
    /// The newest body of the group: group labels, common labels, external URL, receiver.
    pub notification: Arc<Notification>,
    /// The alerts to tell, most urgent first; never empty but for notices.
    pub alerts: Vec<SceneAlert>,
    /// Alerts of the group that fire unchanged and are not in `alerts`.
    pub still_firing: u32,
    /// Alerts that Alertmanager left out of the body (`max_alerts`).
    pub truncated: u64,
    /// When the oldest of them was accepted (a message that waited says so).
    pub waiting_since_ms: Millis,
    /// Names of the policies that led here.
    pub policies: Vec<String>,
    /// Whom to call.
    pub mentions: Mentions,
    /// Template set to use (`default` for the built-in one).
    pub template: String,
    /// Words that the message must contain.
    pub keywords: Vec<String>,
    /// All of them or any.
    pub keyword_mode: KeywordMode,
    /// Link to the page that lists every alert of the message (`{external-url}/m/{id}`); empty without an external URL.
    pub list_url: String,
    /// Link rewrites.
    pub link_rewrites: Arc<[LinkRewrite]>,
    /// How much to say.
    pub form: Form,
}

/// A template that failed while rendering; the message went out with the built-in plain form instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateFailure {
    /// `<type>.<set>.<part>`.
    pub template: String,
    /// What went wrong, with the line where the engine knows it.
    pub error: String,
    /// Where: the file as the person named it (empty for a built-in template); line and column are 0 where the engine
    /// does not know.
    pub place: Place,
    /// The alert whose own text failed; `None` when it was the message's.
    pub alert: Option<Fingerprint>,
}

/// A rendered message.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Ready to be encoded; fits the vendor's size and holds the keywords.
    pub draft: Draft,
    /// How each alert of the scene is told, in the scene's order.
    pub how: Vec<How>,
    /// What was left out to make it fit.
    pub trim: Trim,
    /// Set when a custom template failed.
    pub failure: Option<TemplateFailure>,
}

/// Renders a scene so that [`Dialect::size`] is within [`Dialect::limit`], whatever the templates do.
///
/// Too much text becomes, step by step: fewer alerts in detail, shorter annotations, fewer alerts by name, numbers only.
/// Title, keywords, mention text and the link to the full list stay. At most 100 alerts are named, so the work is
/// bounded. A template that fails, or whose text fits at no step, is replaced by [`Form::Plain`].
pub fn render(templates: &Templates, dialect: &dyn Dialect, scene: &Scene) -> Rendered {
    let facts = Facts::of(scene);
    if scene.form == Form::Counts {
        return in_plain_text(plain::counts(dialect, scene, &facts), None);
    }
    let full = match scene.form {
        Form::Full => full::full(templates, dialect, scene, &facts),
        _ => Err(Unfit::TooBig),
    };
    match full {
        Ok(Full { draft, how, trim, numbers_only: false }) => Rendered { draft, how, trim, failure: None },
        // Plain text with names serves people more than markup with none.
        Ok(full) => {
            let (draft, how) = plain::plain(dialect, scene, &facts);
            if how.contains(&How::Named) {
                return in_plain_text((draft, how), None);
            }
            Rendered { draft: full.draft, how: full.how, trim: full.trim, failure: None }
        }
        Err(unfit) => {
            let failure = match unfit {
                Unfit::Failed(failure) => Some(failure),
                Unfit::TooBig => None,
            };
            in_plain_text(plain::plain(dialect, scene, &facts), failure)
        }
    }
}

fn in_plain_text((draft, how): (Draft, Vec<How>), failure: Option<TemplateFailure>) -> Rendered {
    let trim = Trim::plain(how.len(), how.iter().filter(|how| **how == How::Named).count());
    Rendered { draft, how, trim, failure }
}
