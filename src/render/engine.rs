//! Runs one template with bounds: on its output, on its loops, and on what a bug in the engine can do.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;

use handlebars::{BlockContext, Context, Handlebars, Output, RenderContext, RenderError, Renderable as _};

use super::helpers::{self, Surroundings};
use super::templates::{Compiled, Part};
use super::{Scene, TemplateFailure, marks};
use crate::model::{Dialect, Fingerprint, Layout, Place};

/// Rounds that all loops of one run may make together.
const ROUNDS: usize = 50_000;
/// Bytes that all helpers of one run may look at and make together: ten times all of the largest message's alerts.
const WORK: usize = 32 * 1024 * 1024;

/// Under this name `{{builtin}}` finds its template; nothing that a template can write.
pub(super) const BUILT_IN: &str = " builtin";

/// Text with a bound.
pub(super) struct Capped {
    text: String,
    max: usize,
}

impl Capped {
    pub(super) const fn new(max: usize) -> Self {
        Self { text: String::new(), max }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Output for Capped {
    fn write(&mut self, part: &str) -> io::Result<()> {
        if self.text.len() + part.len() > self.max {
            return Err(io::Error::other(format!("the output is over {} KiB", self.max / 1024)));
        }
        self.text.push_str(part);
        Ok(())
    }
}

/// What is told, in whose markup, and in which of the vendor's message types.
pub(super) type About<'a> = (&'a Scene, &'a dyn Dialect, Layout);

/// Runs a part of a set over `data`, at `path` inside it (`["alerts", "3"]`; empty for the whole), for at most `max`
/// bytes. The text still has its marks.
///
/// # Errors
/// What went wrong, and in which template.
pub(super) fn part(
    registry: &Handlebars<'_>,
    part: &Compiled,
    about: About<'_>,
    data: &Context,
    path: &[String],
    max: usize,
) -> Result<String, TemplateFailure> {
    let about_one = match path {
        [list, at] if list == "alerts" => at.parse().ok().and_then(|at: usize| about.0.alerts.get(at)),
        _ => None,
    };
    run(registry, part, about, data, path, max)
        .map_err(|broken| failure(part, broken, about_one.map(|told| told.alert.fingerprint)))
}

/// Data for [`part`].
///
/// # Errors
/// The engine's, as if `part` had failed.
pub(super) fn context(data: serde_json::Value, part: &Compiled) -> Result<Context, TemplateFailure> {
    Context::wraps(data).map_err(|error| failure(part, Broken::of(&error), None))
}

/// What went wrong, and where in the template; line and column are 0 where the engine does not know.
struct Broken {
    line: usize,
    column: usize,
    reason: String,
}

impl Broken {
    fn of(error: &RenderError) -> Self {
        let reason = marks::one_line(&error.reason().to_string(), 300);
        let (line, column) = error.line_no.zip(error.column_no).unwrap_or_default();
        Self { line, column, reason }
    }
}

fn failure(part: &Compiled, broken: Broken, alert: Option<Fingerprint>) -> TemplateFailure {
    let Broken { line, column, reason } = broken;
    let error = if line > 0 { format!("line {line}, column {column}: {reason}") } else { reason };
    let place = Place { file: part.path.clone(), line, column };
    TemplateFailure { template: part.name.clone(), error, place, alert }
}

fn run(
    registry: &Handlebars<'_>,
    part: &Compiled,
    (scene, dialect, layout): About<'_>,
    data: &Context,
    path: &[String],
    max: usize,
) -> Result<String, Broken> {
    let around = Surroundings {
        scene,
        dialect,
        layout,
        plain: part.part == Part::Title,
        path,
        rounds: AtomicUsize::new(ROUNDS),
        work: AtomicUsize::new(WORK),
    };
    let mut out = Capped::new(max);
    // A panic in the engine would take the alert with it. Nothing it touched is used afterwards.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut rc = RenderContext::new(None);
        helpers::local(&mut rc, &around);
        let mut blocks = blocks(path);
        if let (Some(outermost), Some(template)) = (blocks.back_mut(), &part.built_in) {
            outermost.set_local_partial(BUILT_IN.to_owned(), template);
        }
        rc.replace_blocks(blocks);
        part.template.render(registry, data, &mut rc, &mut out)
    }));
    match result {
        Ok(Ok(())) => Ok(out.text),
        Ok(Err(error)) => Err(Broken::of(&error)),
        Err(_) => Err(Broken { line: 0, column: 0, reason: "the template engine failed on it".to_owned() }),
    }
}

/// The contexts in which a part begins, the innermost first.
pub(super) fn blocks<'rc>(path: &[String]) -> VecDeque<BlockContext<'rc>> {
    let mut blocks = VecDeque::from([BlockContext::new()]);
    if !path.is_empty() {
        let mut block = BlockContext::new();
        block.base_path_mut().extend_from_slice(path);
        blocks.push_front(block);
    }
    blocks
}
