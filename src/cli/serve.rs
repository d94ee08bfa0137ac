//! `serve`: the server.

use super::args::Serve;
use super::database::EXPOSED;
use super::{Failure, runtime};
use crate::app::App;
use crate::telemetry;

pub(super) fn run(flags: &Serve) -> Result<(), Failure> {
    let format = flags.log_format.parse().map_err(Failure::usage)?;
    telemetry::init(&flags.log_level, format).map_err(Failure::usage)?;
    let database = flags.database.given()?;
    if database.as_ref().is_some_and(|given| given.exposed) {
        tracing::warn!("{EXPOSED} (--storage.url-file)");
    }
    let options = flags.options(database.map(|given| given.url));
    runtime()?.block_on(async {
        let app = App::start(options).await?;
        Ok(app.run_until_stopped().await?)
    })
}
