//! Runs one template with bounds: on its output, on its loops, and on what a bug in the engine can do.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;

use handlebars::{BlockContext, Context, Handlebars, Output, RenderContext, RenderError, Renderable as _, Template};

use super::helpers::{self, Surroundings};
use super::templates::Compiled;
use super::{Scene, TemplateFailure, marks};
use crate::model::Layout;

/// Rounds that all loops of one run may make together.
const ROUNDS: usize = 50_000;

struct Capped {
    text: String,
    max: usize,
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

/// [`run`] with a part of a set.
///
/// # Errors
/// What went wrong, and in which template.
pub(super) fn part(
    registry: &Handlebars<'_>,
    part: &Compiled,
    about: (&Scene, Layout),
    data: &Context,
    path: &[String],
    max: usize,
) -> Result<String, TemplateFailure> {
    run(registry, &part.template, about, data, path, max)
        .map_err(|error| TemplateFailure { template: part.name.clone(), error })
}

/// Data for [`run`].
///
/// # Errors
/// The engine's, as if `part` had failed.
pub(super) fn context(data: serde_json::Value, part: &Compiled) -> Result<Context, TemplateFailure> {
    Context::wraps(data)
        .map_err(|error| TemplateFailure { template: part.name.clone(), error: error.reason().to_string() })
}

/// Runs `template` over `data`, at `path` inside it (`["alerts", "3"]`; empty for the whole), for at most `max` bytes.
/// The text still has its marks.
///
/// # Errors
/// What went wrong, with line and column where the engine knows them.
fn run(
    registry: &Handlebars<'_>,
    template: &Template,
    (scene, layout): (&Scene, Layout),
    data: &Context,
    path: &[String],
    max: usize,
) -> Result<String, String> {
    let around = Surroundings { scene, layout, rounds: AtomicUsize::new(ROUNDS) };
    let mut out = Capped { text: String::new(), max };
    // A panic in the engine would take the alert with it. Nothing it touched is used afterwards.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut rc = RenderContext::new(None);
        helpers::local(&mut rc, &around);
        if !path.is_empty() {
            let mut block = BlockContext::new();
            block.base_path_mut().extend_from_slice(path);
            rc.push_block(block);
        }
        template.render(registry, data, &mut rc, &mut out)
    }));
    match result {
        Ok(Ok(())) => Ok(out.text),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => Err("the template engine failed on it".to_owned()),
    }
}

fn explain(error: &RenderError) -> String {
    let reason = marks::one_line(&error.reason().to_string(), 300);
    match (error.line_no, error.column_no) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: {reason}"),
        _ => reason,
    }
}
