//! Parameters of a query, read one by one so that a mistake names its parameter.

use axum::extract::{FromRequestParts, Query as Pairs};
use http::request::Parts;
use jiff::Timestamp;

use crate::http::{ErrorKind, HttpError};
use crate::model::Millis;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;

/// The parameters as they came, decoded. Empty ones count as left out.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        match Pairs::try_from_uri(&parts.uri) {
            Ok(Pairs(pairs)) => Ok(Self(pairs)),
            Err(rejection) => Err(HttpError::new(ErrorKind::BadData, rejection.body_text())),
        }
    }
}

/// A refusal of one parameter.
pub(super) fn bad(name: &str, why: &str) -> HttpError {
    HttpError { at: name.to_owned(), ..HttpError::new(ErrorKind::BadData, format!("parameter {name}: {why}")) }
}

impl Query {
    /// The same, when there are no others than these and none twice: a filter that is mistyped would show too much.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, HttpError> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let short: String = name.chars().take(60).collect();
                return Err(bad(&short, &format!("there is no such parameter here; known are {}", known.join(", "))));
            }
            if self.0.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(bad(name, "it is there twice"));
            }
        }
        Ok(self)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn limit(&self) -> Result<u32, HttpError> {
        match self.text("limit") {
            None => Ok(DEFAULT_LIMIT),
            Some(text) => match text.parse() {
                Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
                _ => Err(bad("limit", &format!("it must be a number from 1 to {MAX_LIMIT}"))),
            },
        }
    }

    /// A position in a list that is read on.
    pub(super) fn after(&self) -> Result<Option<i64>, HttpError> {
        let read =
            |text: &str| text.parse().map_err(|_| bad("after", "it must be the number that the page before gave"));
        self.text("after").map(read).transpose()
    }

    /// RFC 3339, or Unix seconds with or without a fraction.
    pub(super) fn time(&self, name: &str) -> Result<Option<Millis>, HttpError> {
        let wrong = || bad(name, "it must be a time like 2026-05-01T08:00:00Z or Unix seconds");
        self.text(name).map(|text| time(text).ok_or_else(wrong)).transpose()
    }
}

fn time(text: &str) -> Option<Millis> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1_000.0).round();
        // Within the years that a timestamp has, a float holds every millisecond.
        let fits = Timestamp::MIN.as_millisecond() as f64..=Timestamp::MAX.as_millisecond() as f64;
        return fits.contains(&ms).then_some(ms as Millis);
    }
    // The plus of an offset that nobody encoded came as a space.
    text.replace(' ', "+").parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn reads_times() {
        let table = [
            ("2026-05-01T08:00:00Z", Some(1_777_622_400_000)),
            ("2026-05-01T16:00:00+08:00", Some(1_777_622_400_000)),
            ("2026-05-01T16:00:00 08:00", Some(1_777_622_400_000)),
            ("2026-05-01T08:00:00.5Z", Some(1_777_622_400_500)),
            ("1777622400", Some(1_777_622_400_000)),
            ("1777622400.25", Some(1_777_622_400_250)),
            ("0", Some(0)),
            ("-1", Some(-1_000)),
            ("1e300", None),
            ("NaN", None),
            ("inf", None),
            ("2026-05-01", None),
            ("2026-05-01T08:00:00", None),
            ("yesterday", None),
        ];
        for (text, expected) in table {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
