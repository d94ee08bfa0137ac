//! Digests: everything untold at once.

mod data;
mod text;
mod view;

use std::convert::Infallible;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::view::{Rung, View};
use super::facts::Facts;
use super::finish::{self, Parts};
use super::full::{MAX_BODY, Unfit};
use super::tally::Tally;
use super::templates::{Compiled, Part};
use super::{Form, KeywordMode, LinkRewrite, Rendered, Scene, SceneAlert, TemplateFailure, Templates, Trim};
use super::{engine, fit, links, marks, words};
use crate::model::{
    Dialect, Draft, How, Labels, Lang, Layout, Mentions, Millis, Notification, Shape, Status, StormState,
};

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
///
/// Figures always add up: the numbers behind a class's names and those of "other names" are the class's total. Too much
/// becomes less step by step: shorter lists of names, fewer named alerts of lower levels, fewer named critical ones. A
/// template that fails, or whose text fits at no step, is replaced by [`Form::Plain`]. The work grows with the number of
/// distinct names as sorting does.
pub fn render_digest(templates: &Templates, dialect: &dyn Dialect, scene: &DigestScene) -> Rendered {
    let own = own_scene(scene);
    let facts = Facts::of_digest(&own, &scene.tally);
    let view = View::of(scene, &own, &facts);
    let made = match scene.form {
        Form::Full => full(templates, dialect, &view),
        Form::Plain => Err(Unfit::TooBig),
        Form::Counts => return done(&view, NOTHING, counts(dialect, &view), None),
    };
    let failure = match made {
        Ok(Made { draft, how, trim }) => return Rendered { draft, how, trim, failure: None },
        Err(Unfit::Failed(failure)) => Some(failure),
        Err(Unfit::TooBig) => None,
    };
    let rungs = view.ladder();
    let made = fit::first(&rungs, |rung| {
        let draft = plain(dialect, &view, rung);
        Ok::<_, Infallible>(finish::fits(dialect, &draft).then_some((rung, draft)))
    });
    match made {
        Ok(Some((rung, draft))) => done(&view, rung, draft, failure),
        Ok(None) => done(&view, NOTHING, counts(dialect, &view), failure),
    }
}

/// A digest as the rest of the room knows messages: one about those that may be named.
fn own_scene(digest: &DigestScene) -> Scene {
    Scene {
        bot: digest.bot.clone(),
        lang: digest.lang,
        tz: digest.tz.clone(),
        now: digest.now,
        notification: Arc::new(nothing()),
        alerts: digest.leading.clone(),
        still_firing: 0,
        truncated: 0,
        // The head says since when it collects.
        waiting_since_ms: 0,
        policies: digest.policies.clone(),
        mentions: digest.mentions.clone(),
        template: digest.template.clone(),
        keywords: digest.keywords.clone(),
        keyword_mode: digest.keyword_mode,
        list_url: digest.list_url.clone(),
        link_rewrites: Arc::clone(&digest.link_rewrites),
        form: digest.form,
    }
}

/// No group made these alerts.
fn nothing() -> Notification {
    Notification {
        receiver: String::new(),
        status: Status::Firing,
        alerts: Vec::new(),
        group_labels: Labels::new(),
        common_labels: Labels::new(),
        common_annotations: Labels::new(),
        route_labels: Labels::new(),
        external_url: String::new(),
        group_key: String::new(),
        truncated_alerts: 0,
        reason: String::new(),
        version: String::new(),
    }
}

/// Numbers only.
const NOTHING: Rung = Rung { named: 0, names: 0 };

fn done(view: &View<'_>, rung: Rung, draft: Draft, failure: Option<TemplateFailure>) -> Rendered {
    let trim = view.trim(rung).without_markup();
    Rendered { draft, how: how(view, rung.named, |_| true), trim, failure }
}

/// The first `named` of the chosen ones are named if they are `shown`, all others counted.
fn how(view: &View<'_>, named: usize, shown: impl Fn(&SceneAlert) -> bool) -> Vec<How> {
    let mut how = vec![How::Counted; view.scene.alerts.len()];
    for (at, _) in view.chosen.iter().take(named) {
        let told = view.scene.alerts.get(*at).filter(|told| shown(told));
        if let (Some(slot), Some(_)) = (how.get_mut(*at), told) {
            *slot = How::Named;
        }
    }
    how
}

struct Made {
    draft: Draft,
    how: Vec<How>,
    trim: Trim,
}

/// Renders with the set's template.
fn full(templates: &Templates, dialect: &dyn Dialect, view: &View<'_>) -> Result<Made, Unfit> {
    let part = templates.wanted(dialect.kind(), &view.scene.template, Part::Digest).map_err(Unfit::Failed)?;
    let mentions = dialect.mention_text(&view.scene.mentions, view.scene.lang);
    let list = links::usable(&view.scene.list_url, &[]);
    let layout = dialect.layout(Shape {
        calls: !view.scene.mentions.is_empty(),
        alerts: view.facts.total,
        digest: true,
        links: list.is_some(),
    });
    let run = Run { templates, dialect, view, part, mentions, list, layout };
    let rungs = view.ladder();
    let made = fit::first(&rungs, |rung| Ok(Some(run.rung(rung)?).filter(|made| finish::fits(dialect, &made.draft))));
    made.map_err(Unfit::Failed)?.ok_or(Unfit::TooBig)
}

struct Run<'a> {
    templates: &'a Templates,
    dialect: &'a dyn Dialect,
    view: &'a View<'a>,
    part: &'a Compiled,
    mentions: String,
    list: Option<String>,
    layout: Layout,
}

impl Run<'_> {
    fn rung(&self, rung: Rung) -> Result<Made, TemplateFailure> {
        let (view, kind) = (self.view, self.dialect.kind());
        let blocks = view.blocks(rung);
        let folded: Vec<bool> =
            blocks.iter().map(|block| self.layout == Layout::Card && view::is_long(block.names.len())).collect();
        let data = data::root(view, rung, &blocks, &folded, (kind, self.layout, &self.mentions));
        let context = engine::context(data, self.part)?;
        let about = (view.scene, self.dialect, self.layout);
        let body = engine::part(&self.templates.registry, self.part, about, &context, &[], MAX_BODY)?;
        let escape = |value: &str| self.dialect.escape(value);
        let body = finish::tidy(&marks::resolve(&body, escape));
        let panel = data::panel(view, &blocks, &folded);
        let draft = self.draft(body, panel.map(|(head, lines)| (head, marks::resolve(&lines, escape))));
        // The built-in templates show every alert that they are given; what a custom one shows is looked up.
        let shown = |told: &SceneAlert| {
            let identity = view.facts.identity(&told.alert);
            !self.part.custom || finish::names(self.dialect, &draft, &told.alert, &identity)
        };
        let how = how(view, rung.named, shown);
        Ok(Made { draft, how, trim: view.trim(rung) })
    }

    fn draft(&self, body: String, folded: Option<(String, String)>) -> Draft {
        let (view, kind, layout) = (self.view, self.dialect.kind(), self.layout);
        let scene = view.scene;
        let title = text::title(view.digest, &view.classes, view.facts.emoji, Some(kind));
        let escape = |value: &str| self.dialect.escape(value);
        let body = if body.is_empty() { escape(&title) } else { body };
        let word = words::word(scene.lang, "list");
        let buttons = layout.has_buttons();
        let button = self.list.iter().filter(|_| buttons);
        let line = self.list.iter().filter(|url| !buttons && !body.contains(url.as_str()));
        let line = line.map(|url| marks::resolve(&super::data::markdown_link(word, url), escape)).next();
        let draft = Draft {
            title,
            body,
            plain: false,
            layout,
            tone: view.facts.tone,
            facts: Vec::new(),
            links: button.map(|url| (words::capital(word), url.clone())).collect(),
            folded,
            mentions: scene.mentions.clone(),
        };
        let parts = Parts { list: line.unwrap_or_default(), mentions: self.mentions.clone() };
        finish::finish(self.dialect, scene, draft, &parts)
    }
}

/// The same facts without markup.
fn plain(dialect: &dyn Dialect, view: &View<'_>, rung: Rung) -> Draft {
    let digest = view.digest;
    let mut lines = vec![text::head(digest), text::storm(digest)];
    for block in view.blocks(rung) {
        lines.push(block.line(digest.lang));
        lines.extend(block.others.iter().map(|others| others.text.clone()));
        let named = block.alerts.iter().filter_map(|at| view.scene.alerts.get(*at));
        lines.extend(named.map(|told| format!("- {}", view.line(told))));
    }
    lines.extend(view.facts.notes(view.scene));
    lines.push(text::told(digest, rung.named));
    let (_, draft, parts) = bare(dialect, view, lines);
    finish::finish(dialect, view.scene, draft, &parts)
}

/// Numbers by state and severity.
fn counts(dialect: &dyn Dialect, view: &View<'_>) -> Draft {
    let mut lines = vec![text::head(view.digest), text::storm(view.digest)];
    lines.extend(text::class_totals(view.digest.lang, &view.classes));
    lines.extend(view.facts.notes(view.scene));
    let (body, draft, parts) = bare(dialect, view, lines);
    finish::squeeze(dialect, view.scene, &body, draft, parts)
}

fn bare(dialect: &dyn Dialect, view: &View<'_>, lines: Vec<String>) -> (String, Draft, Parts) {
    let title = text::title(view.digest, &view.classes, view.facts.emoji, None);
    let lines: Vec<String> = lines.iter().filter(|line| !line.is_empty()).map(|line| marks::plain(line)).collect();
    let body = lines.join("\n");
    let (draft, parts) = super::plain::bare(dialect, view.scene, view.facts, &title, &body);
    (body, draft, parts)
}
