//! Alerts that a message tells besides those of its own row, in parts: how a part is kept, and which are read.

use super::PAGE_BYTES;
use crate::model::{How, Millis, ToldAlert};
use crate::store::{MessageRow, MessageSlice, StoreError};

/// How long parts wait for their message to begin: a digest that waits for a token is begun within minutes.
pub(in crate::store) const UNBEGUN_MS: Millis = 3_600_000;

/// One part, ready to be written.
#[derive(Debug)]
pub(in crate::store) struct Part {
    pub(in crate::store) json: String,
    pub(in crate::store) named: i64,
    pub(in crate::store) counted: i64,
}

impl Part {
    /// # Errors
    /// When the alerts have no JSON form, which their types exclude.
    pub(in crate::store) fn new(alerts: &[ToldAlert]) -> Result<Self, StoreError> {
        let json = serde_json::to_string(alerts)
            .map_err(|error| StoreError::Unavailable(format!("a message's alerts: {error}")))?;
        let named = alerts.iter().filter(|alert| alert.how == How::Named).count();
        let stored = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Self { json, named: stored(named), counted: stored(alerts.len() - named) })
    }
}

/// Which alerts of a message's parts are still to be read.
#[derive(Debug)]
pub(in crate::store) struct Window {
    skip: u64,
    room: usize,
    bytes: usize,
}

impl Window {
    /// All of them.
    pub(in crate::store) const ALL: Self = Self { skip: 0, room: usize::MAX, bytes: 0 };

    /// Bytes read so far.
    pub(in crate::store) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no further part is to be read. Beyond a bound of bytes none is, whatever is left.
    pub(in crate::store) const fn is_full(&self) -> bool {
        self.room == 0 || self.bytes >= PAGE_BYTES
    }

    /// Whether a part of so many alerts comes before it.
    pub(in crate::store) const fn passes_over(&mut self, alerts: u64) -> bool {
        let before = alerts <= self.skip;
        if before {
            self.skip -= alerts;
        }
        before
    }

    /// Takes what it shows of the next part.
    ///
    /// # Errors
    /// When the part is no JSON of alerts.
    pub(in crate::store) fn take(&mut self, json: &str, alerts: &mut Vec<ToldAlert>) -> serde_json::Result<()> {
        let part: Vec<ToldAlert> = serde_json::from_str(json)?;
        self.bytes += json.len();
        let before = alerts.len();
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
        alerts.extend(part.into_iter().skip(skip).take(self.room));
        self.skip = 0;
        self.room -= alerts.len() - before;
        Ok(())
    }
}

/// Cuts a message with the alerts of its own row to a slice; `parts` is how many its parts name and count. What the window
/// shows of the parts is to be added before [`leave_out`] counts the others.
pub(in crate::store) fn slice(
    mut row: MessageRow,
    (named, counted): (u64, u64),
    skip: u64,
    limit: u32,
) -> (MessageSlice, Window) {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let own = row.alerts.len() as u64;
    let own_named = row.alerts.iter().filter(|alert| alert.how == How::Named).count() as u64;
    row.alerts.drain(..usize::try_from(skip).unwrap_or(usize::MAX).min(row.alerts.len()));
    row.alerts.truncate(limit);
    let window = Window { skip: skip.saturating_sub(own), room: limit - row.alerts.len(), bytes: 0 };
    (MessageSlice { row, named: named + own_named, counted: counted + own - own_named }, window)
}

/// Counts the alerts that a complete slice leaves out.
pub(in crate::store) fn leave_out(mut slice: MessageSlice) -> MessageSlice {
    slice.row.left_out = (slice.named + slice.counted).saturating_sub(slice.row.alerts.len() as u64);
    slice
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::model::{Fingerprint, Kind, Labels, MessageId, Status};

    fn alert(n: u64) -> ToldAlert {
        ToldAlert {
            fingerprint: Fingerprint(n),
            status: Status::Firing,
            how: if n.is_multiple_of(2) { How::Named } else { How::Counted },
            severity: String::new(),
            labels: Labels::new(),
            summary: String::new(),
            starts_ms: 0,
            ends_ms: 0,
        }
    }

    /// Each slice of a message with 3 alerts of its own and parts of 2, 1 and 4: a piece of the whole.
    #[test]
    fn slices_are_pieces_of_the_whole() {
        let all: Vec<ToldAlert> = (0..10).map(alert).collect();
        let parts = [&all[3..5], &all[5..6], &all[6..]].map(|alerts| (alerts.len(), Part::new(alerts).unwrap()));
        let counts = |what: fn(&Part) -> i64| parts.iter().map(|(_, part)| what(part)).sum::<i64>().cast_unsigned();
        for skip in 0..12_usize {
            for limit in 1..12 {
                let row = MessageRow {
                    seq: 1,
                    id: MessageId::parse(&"0".repeat(32)).unwrap(),
                    bot: String::new(),
                    at_ms: 0,
                    verdict: String::new(),
                    reason: String::new(),
                    attempts: 1,
                    kind: Kind::Digest,
                    text: String::new(),
                    alerts: all[..3].to_vec(),
                    left_out: 0,
                };
                let of_parts = (counts(|part| part.named), counts(|part| part.counted));
                let (mut slice, mut window) = slice(row, of_parts, skip as u64, u32::try_from(limit).unwrap());
                for (len, part) in &parts {
                    if window.is_full() {
                        break;
                    }
                    if !window.passes_over(*len as u64) {
                        window.take(&part.json, &mut slice.row.alerts).unwrap();
                    }
                }
                let slice = leave_out(slice);
                let want: Vec<u64> = (0..10).skip(skip).take(limit).collect();
                let told: Vec<u64> = slice.row.alerts.iter().map(|alert| alert.fingerprint.0).collect();
                assert_eq!(told, want, "{skip} {limit}");
                assert_eq!((slice.named, slice.counted), (5, 5));
                assert_eq!(slice.row.left_out, 10 - want.len() as u64, "{skip} {limit}");
            }
        }
    }
}
