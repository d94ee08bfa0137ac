//! What a person should know at start or after a reload, and is no error.

use std::net::SocketAddr;

use crate::model::Mistake;

pub(super) fn log(warnings: &[Mistake]) {
    for warning in warnings {
        let place = &warning.place;
        tracing::warn!(
            place = %format!("{}:{}:{}", place.file, place.line, place.column),
            hint = %warning.hint,
            "{}", warning.what
        );
    }
}

/// One warning when anybody on the network can post alerts and read the history.
pub(super) fn open_to_all(address: SocketAddr, has_login: bool) {
    if !has_login && !address.ip().is_loopback() {
        tracing::warn!(
            address = %address,
            "everybody who reaches this address can post alerts and read them; set --web.config.file to ask for a password"
        );
    }
}
