//! Messages by template, made smaller until they fit.

use handlebars::Context;
use serde_json::Value;

use super::data::{self, Cut};
use super::facts::Facts;
use super::finish::{self, Parts};
use super::templates::{Compiled, Part};
use super::{Scene, TemplateFailure, Templates, Trim, columns, engine, fit, marks};
use crate::model::{Dialect, Draft, How, Layout, Shape};

/// Alerts that one message names at most: nobody reads more on a phone, and it bounds the work.
const SHOWN: usize = 100;
/// Of these, told in full.
const DETAILED: usize = 5;
/// Bounds on what one template may write, in bytes.
const MAX_TITLE: usize = 16 * 1024;
const MAX_ALERT: usize = 256 * 1024;
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// One step of making a message smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rung {
    /// Alerts told in full.
    detailed: usize,
    /// Alerts named, the detailed ones included.
    shown: usize,
    cut: Cut,
    folded: bool,
}

/// From the most to the least: fewer alerts in detail, then shorter annotations, then fewer named ones, then numbers.
fn ladder(total: usize) -> Vec<Rung> {
    let cut = |annotations: usize| Cut { annotations, labels: annotations.clamp(60, 1_000) };
    let all = total.min(SHOWN);
    if total < 2 {
        let steps = [(2_000, true), (1_000, true), (1_000, false), (400, false), (150, false), (60, false)];
        let rungs = steps.map(|(chars, folded)| Rung { detailed: all, shown: all, cut: cut(chars), folded });
        return rungs.into_iter().chain([Rung { detailed: 0, shown: all, cut: cut(60), folded: false }]).collect();
    }
    let rung = |detailed: usize, shown: usize, chars| Rung {
        detailed: detailed.min(shown),
        shown,
        cut: cut(chars),
        folded: false,
    };
    // A long list is read faster when only its top is told in full.
    let most = if total > DETAILED { 3 } else { DETAILED };
    let mut rungs: Vec<Rung> = [most, 3, 2, 1].map(|detailed| rung(detailed, all, 500)).to_vec();
    rungs.extend([rung(1, all, 150), rung(1, all, 60), rung(0, all, 60)]);
    let mut shown = all;
    while shown > 1 {
        shown -= (shown / 10).max(1);
        rungs.push(rung(0, shown, 60));
    }
    rungs.push(rung(0, 0, 60));
    rungs.dedup();
    rungs
}

pub(super) struct Full {
    pub(super) draft: Draft,
    pub(super) how: Vec<How>,
    pub(super) trim: Trim,
    /// No size was small enough for the template to show any alert.
    pub(super) numbers_only: bool,
}

/// A template that failed, or templates whose text does not fit at any size.
pub(super) enum Unfit {
    Failed(TemplateFailure),
    TooBig,
}

struct Run<'a> {
    templates: &'a Templates,
    dialect: &'a dyn Dialect,
    scene: &'a Scene,
    facts: &'a Facts<'a>,
    parts: [&'a Compiled; 3],
    mentions: String,
    links: Vec<(&'static str, String)>,
    layout: Layout,
}

/// Renders with the scene's templates.
pub(super) fn full(
    templates: &Templates,
    dialect: &dyn Dialect,
    scene: &Scene,
    facts: &Facts<'_>,
) -> Result<Full, Unfit> {
    let part = |part| templates.wanted(dialect.kind(), &scene.template, part).map_err(Unfit::Failed);
    let parts = [part(Part::Title)?, part(Part::Alert)?, part(Part::Body)?];
    let mentions = dialect.mention_text(&scene.mentions, scene.lang);
    let links = data::message_links(scene, facts);
    let layout = dialect.layout(Shape {
        calls: !scene.mentions.is_empty(),
        alerts: facts.total,
        digest: false,
        links: !links.is_empty(),
    });
    let run = Run { templates, dialect, scene, facts, parts, mentions, links, layout };
    let ladder = ladder(scene.alerts.len());
    let made = fit::first(&ladder, |rung| Ok(run.rung(rung)?.filter(|made| finish::fits(dialect, &made.draft))));
    made.map_err(Unfit::Failed)?.ok_or(Unfit::TooBig)
}

impl Run<'_> {
    fn part(&self, part: Part, data: &Context, path: &[String], max: usize) -> Result<String, TemplateFailure> {
        let [title, alert, body] = self.parts;
        let compiled = match part {
            Part::Title => title,
            Part::Alert => alert,
            Part::Body | Part::Digest => body,
        };
        engine::part(&self.templates.registry, compiled, (self.scene, self.dialect, self.layout), data, path, max)
    }

    /// `None` when the alerts alone are far too long.
    fn rung(&self, rung: Rung) -> Result<Option<Full>, TemplateFailure> {
        let (scene, facts) = (self.scene, self.facts);
        let vendor = (self.dialect.kind(), self.layout, self.mentions.as_str());
        let rows = self.columns(rung);
        let mut root = data::message(scene, facts, vendor, &self.links, rung.cut);
        let alerts: Vec<Value> =
            (0..rung.shown).map(|at| data::alert(scene, facts, at, at >= rung.detailed, rung.cut)).collect();
        if let Value::Object(root) = &mut root {
            root.insert("columns".to_owned(), (!rows.is_empty()).into());
            root.insert("alerts".to_owned(), Value::Array(alerts));
            root.insert("omitted".to_owned(), (facts.total - rung.shown).into());
            root.insert("more".to_owned(), facts.more(scene, rung.shown).into());
        }
        let mut context = engine::context(root, self.parts[2])?;
        let mut texts = Vec::with_capacity(rung.shown);
        let mut bytes = 0;
        for at in 0..rung.shown {
            let path = ["alerts".to_owned(), at.to_string()];
            let text = self.part(Part::Alert, &context, &path, MAX_ALERT)?;
            let text = text.trim_matches('\n');
            bytes += text.len();
            if bytes > MAX_ALERT {
                return Ok(None);
            }
            texts.push(if text.is_empty() { Value::Null } else { marks::safe(text).into() });
        }
        texts.retain(|text| !text.is_null());
        if let Value::Object(root) = context.data_mut() {
            root.insert("alertTexts".to_owned(), Value::Array(texts));
        }
        let title = self.part(Part::Title, &context, &[], MAX_TITLE)?;
        let title = marks::one_line(&marks::plain(&title), finish::TITLE_CHARS);
        let body = self.part(Part::Body, &context, &[], MAX_BODY)?;
        let body = finish::tidy(&marks::resolve(&body, |value| self.dialect.escape(value)));
        let draft = self.draft(rung, title, body, rows);
        let how = self.how(rung, &draft);
        let trim = Trim::full(scene, rung.detailed, rung.shown, rung.cut);
        let unfolded = self.folds() && !rung.folded;
        Ok(Some(Full { draft, how, trim: Trim { unfolded, ..trim }, numbers_only: rung.shown < facts.total.min(1) }))
    }

    /// Facts beside the body. A template card is made of them; on other cards a custom template shows what it wants.
    fn columns(&self, rung: Rung) -> Vec<(String, String)> {
        let [_, alert, body] = self.parts;
        if self.layout != Layout::TemplateCard && (alert.custom || body.custom) {
            return Vec::new();
        }
        columns::columns(self.scene, self.facts, self.layout, !self.mentions.is_empty(), rung.shown)
    }

    fn draft(&self, rung: Rung, title: String, body: String, rows: Vec<(String, String)>) -> Draft {
        let (scene, facts) = (self.scene, self.facts);
        let title = if title.is_empty() { finish::title(scene, facts, "") } else { title };
        let escape = |value: &str| self.dialect.escape(value);
        let body = if body.is_empty() && rows.is_empty() { escape(&title) } else { body };
        let layout = self.layout;
        let links = &self.links;
        let folded = (self.folds() && rung.folded).then(|| data::folded(scene, rung.cut)).flatten();
        let buttons = if layout.has_buttons() { data::buttons(scene, layout, links) } else { Vec::new() };
        let seen = |url: &String| body.contains(&scene.list_url) || buttons.iter().any(|(_, button)| button == url);
        let list = links.last().filter(|(key, url)| *key == "list" && rung.shown < facts.total && !seen(url));
        let list = list
            .map(|(key, url)| marks::resolve(&data::markdown_link(super::words::word(scene.lang, key), url), escape));
        let draft = Draft {
            title,
            body,
            plain: false,
            layout,
            tone: facts.tone,
            facts: rows,
            links: buttons,
            folded: folded.map(|(head, lines)| (head, marks::resolve(&lines, escape))),
            mentions: scene.mentions.clone(),
        };
        let parts = Parts { list: list.unwrap_or_default(), mentions: self.mentions.clone() };
        finish::finish(self.dialect, scene, draft, &parts)
    }

    /// Whether there is room beside the body for labels that are folded away.
    fn folds(&self) -> bool {
        self.layout == Layout::Card && self.facts.total == 1
    }

    /// Named is an alert whose name and identity people can read. The built-in bodies show every alert that they are given;
    /// what a custom one shows is looked up, and so is what had to be short to stand beside a body.
    fn how(&self, rung: Rung, draft: &Draft) -> Vec<How> {
        let unsure = !draft.facts.is_empty() || self.parts.iter().any(|part| part.custom);
        let named = |at: usize| {
            let Some(told) = self.scene.alerts.get(at).filter(|_| at < rung.shown) else { return false };
            !unsure || finish::names(self.dialect, draft, &told.alert, &self.facts.identity(&told.alert))
        };
        (0..self.facts.total).map(|at| if named(at) { How::Named } else { How::Counted }).collect()
    }
}
