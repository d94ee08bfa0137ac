//! `each`: the engine's, with a bound on all rounds of a run, because loops in loops multiply.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext,
    RenderError, Renderable as _, Template,
};
use serde_json::Value;

use super::{Surroundings, failed, weight};

pub(super) struct Each<'a>(pub(super) &'a Surroundings<'a>);

impl HelperDef for Each<'_> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        each(self.0, h, rc, |template, rc| template.render(r, ctx, rc, out))
    }
}

fn each<'reg, 'rc>(
    around: &Surroundings<'_>,
    h: &Helper<'rc>,
    rc: &mut RenderContext<'reg, 'rc>,
    mut render: impl FnMut(&'rc Template, &mut RenderContext<'reg, 'rc>) -> HelperResult,
) -> HelperResult {
    let Some(list) = h.param(0) else { return Err(failed("each", "say over what: {{#each alerts}}")) };
    let Some(template) = h.template() else { return Ok(()) };
    let items: Vec<(Option<&String>, &Value)> = match list.value() {
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (Some(key), item)).collect(),
        _ => Vec::new(),
    };
    if items.is_empty() {
        return h.inverse().map_or(Ok(()), |other| render(other, rc));
    }
    if !around.charge(&around.rounds, items.len()) {
        return Err(failed("each", "too many rounds: loops inside loops multiply"));
    }
    let base = list.context_path();
    // What a helper made is copied item by item.
    if base.is_none() && !around.charge(&around.work, weight(list.value())) {
        return Err(failed("each", "too much work: it goes through the same long list again and again"));
    }
    rc.push_block(BlockContext::new());
    for (at, (key, item)) in items.iter().enumerate() {
        if let Some(block) = rc.block_mut() {
            block.set_local_var("first", (at == 0).into());
            block.set_local_var("last", (at + 1 == items.len()).into());
            block.set_local_var("index", at.into());
            let key = key.map_or_else(|| Value::from(at), |key| key.as_str().into());
            block.set_local_var("key", key.clone());
            match base {
                Some(base) => {
                    let mut path = base.clone();
                    path.push(key.as_str().map_or_else(|| at.to_string(), str::to_owned));
                    *block.base_path_mut() = path;
                }
                None => block.set_base_value((*item).clone()),
            }
            block.set_block_params(block_params(h, base.is_some(), &key, item)?);
        }
        render(template, rc)?;
    }
    rc.pop_block();
    Ok(())
}

/// `as |item key|`.
fn block_params<'rc>(
    h: &Helper<'rc>,
    by_path: bool,
    key: &Value,
    item: &Value,
) -> Result<BlockParams<'rc>, RenderError> {
    let mut params = BlockParams::new();
    let (name, key_name) = match (h.block_param(), h.block_param_pair()) {
        (Some(name), _) => (Some(name), None),
        (None, Some((name, key_name))) => (Some(name), Some(key_name)),
        (None, None) => (None, None),
    };
    match name {
        Some(name) if by_path => params.add_path(name, Vec::new())?,
        Some(name) => params.add_value(name, item.clone())?,
        None => {}
    }
    if let Some(name) = key_name {
        params.add_value(name, key.clone())?;
    }
    Ok(params)
}
