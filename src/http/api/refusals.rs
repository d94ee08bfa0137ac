//! Refused webhooks in the log: who was refused and why, but not a line for each, since anybody who reaches the port
//! could fill a disk with them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::http::{ErrorKind, HttpError};

/// One line for each cause in this time.
const QUIET: Duration = Duration::from_secs(60);
/// Causes that are remembered: receivers are configured names or `unknown`, kinds are few.
const CAUSES: usize = 1_024;

/// A receiver as metrics call it, and the kind of mistake. Not its text: that could be another one each time.
type Cause = (String, ErrorKind);

/// When each cause was logged last, on the monotonic clock, and how many webhooks were refused for it since.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Cause, (Duration, u64)>>);

impl Refusals {
    /// Logs a refusal that is the sender's to mend (4xx), if its cause is due.
    pub(super) fn note(&self, receiver: &str, error: &HttpError, clock: &dyn Clock) {
        let code = error.kind.status();
        if !code.is_client_error() {
            return;
        }
        if let Some(unsaid) = self.due((receiver.to_owned(), error.kind), clock.mono()) {
            let (code, at, reason) = (code.as_u16(), &*error.at, &*without_values(&error.message));
            tracing::warn!(receiver, code, at, reason, unsaid, "a webhook was refused: its alerts were not taken");
        }
    }

    /// Whether a line is due now, and then how many refusals since the last one had none.
    fn due(&self, cause: Cause, now: Duration) -> Option<u64> {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |last: Duration| now.saturating_sub(last) < QUIET;
        if let Some((last, unsaid)) = causes.get_mut(&cause) {
            if quiet(*last) {
                *unsaid += 1;
                return None;
            }
            *last = now;
            return Some(std::mem::take(unsaid));
        }
        if causes.len() >= CAUSES {
            causes.retain(|_, (last, _)| quiet(*last));
        }
        if causes.len() >= CAUSES {
            return None;
        }
        causes.insert(cause, (now, 0));
        Some(0)
    }
}

/// A reason without what it quotes of the body, since alerts may hold what no log should: all that stands in double quotes.
/// Those inside are escaped, as JSON and Rust write them.
fn without_values(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in message.chars() {
        match (quoted, c) {
            (false, '"') => out.push_str("\"…"),
            (true, '"') if !escaped => out.push('"'),
            (false, c) => out.push(c),
            (true, _) => {}
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_cause_and_minute() {
        let refusals = Refusals::default();
        let at = |receiver: &str, kind, seconds: u64| {
            refusals.due((receiver.to_owned(), kind), Duration::from_secs(seconds))
        };
        assert_eq!(at("dba", ErrorKind::BadData, 5), Some(0));
        assert_eq!(at("dba", ErrorKind::BadData, 6), None);
        assert_eq!(at("dba", ErrorKind::TooLarge, 6), Some(0));
        assert_eq!(at("ops", ErrorKind::BadData, 6), Some(0));
        assert_eq!(at("dba", ErrorKind::BadData, 64), None);
        assert_eq!(at("dba", ErrorKind::BadData, 65), Some(2));
        assert_eq!(at("dba", ErrorKind::BadData, 125), Some(0));
    }

    #[test]
    fn causes_are_bounded() {
        let refusals = Refusals::default();
        let due = |number: usize, seconds| {
            refusals.due((format!("r{number}"), ErrorKind::BadData), Duration::from_secs(seconds))
        };
        assert!((0..CAUSES).all(|number| due(number, 1) == Some(0)));
        assert_eq!(due(CAUSES, 2), None);
        // Known ones go on, and old ones make room.
        assert_eq!(due(0, 61), Some(0));
        assert_eq!(due(CAUSES, 61), Some(0));
        assert_eq!(refusals.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn what_a_reason_quotes_is_left_out() {
        let table = [
            ("the body is empty", "the body is empty"),
            ("\"so\\\"on\" is no time", "\"…\" is no time"),
            ("a \"b\" c \"d\" e", "a \"…\" c \"…\" e"),
            ("\"\\\\\" x \"\" y \"open", "\"…\" x \"…\" y \"…"),
        ];
        for (message, shown) in table {
            assert_eq!(without_values(message), shown);
        }
    }
}
