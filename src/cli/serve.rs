//! `serve`: the server.

use super::args::Serve;
use super::{Failure, runtime};
use crate::app::App;
use crate::telemetry;

pub(super) fn run(flags: &Serve) -> Result<(), Failure> {
    let format = flags.log_format.parse().map_err(Failure::usage)?;
    telemetry::init(&flags.log_level, format).map_err(Failure::usage)?;
    let options = flags.options();
    runtime()?.block_on(async {
        let app = App::start(options).await?;
        Ok(app.run_until_stopped().await?)
    })
}
