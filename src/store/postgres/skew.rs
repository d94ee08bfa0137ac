//! The database's clock beside this replica's.
//!
//! What replicas must agree on is stored on the database's clock. Where a time crosses the border, it becomes rather later
//! than earlier: pacing may wait a little longer, and never too short.

use tokio_postgres::GenericClient;

use super::db::Fault;
use super::{Inner, NOW_MS};
use crate::model::Millis;

/// A difference is taken as none when it may be none and is known this well, in milliseconds: clocks that agree stay in
/// agreement, however long the question took. Shorter than the reserve in pacing's windows of a minute (600 ms).
const NARROW: Millis = 250;

/// The database's clock minus this replica's: at least, at most, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Skew {
    low: Millis,
    high: Millis,
}

impl Skew {
    /// From the database's answer to a question that was asked and answered at these times of this replica.
    pub(super) fn between(before: Millis, database: Millis, after: Millis) -> Self {
        let low = database.saturating_sub(after.max(before)).saturating_sub(1);
        let high = database.saturating_sub(before.min(after)).saturating_add(1);
        if low <= 0 && high >= 0 && high.saturating_sub(low) <= NARROW {
            return Self { low: 0, high: 0 };
        }
        Self { low, high }
    }

    /// A time of this replica as it is stored; 0 stays "not known".
    pub(super) const fn stored(self, wall_ms: Millis) -> Millis {
        if wall_ms == 0 { 0 } else { wall_ms.saturating_add(self.high) }
    }

    /// A bound of this replica, below which something may be left out, as it is compared with what is stored.
    pub(super) const fn bound(self, wall_ms: Millis) -> Millis {
        wall_ms.saturating_add(self.low)
    }

    /// A stored time as this replica's clock shows it; 0 stays "not known".
    pub(super) const fn shown(self, stored_ms: Millis) -> Millis {
        if stored_ms == 0 { 0 } else { stored_ms.saturating_sub(self.low) }
    }
}

/// Asks the database for its time. Locks nothing, so that the answer is not waited for.
pub(super) async fn measure(inner: &Inner, client: &impl GenericClient) -> Result<Skew, Fault> {
    let before = inner.options.clock.now_ms();
    let row = client.query_typed_one(&format!("SELECT {NOW_MS}"), &[]).await?;
    Ok(Skew::between(before, row.try_get(0)?, inner.options.clock.now_ms()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn clocks_that_agree_change_nothing() {
        for (before, database, after) in [(100, 100, 100), (100, 101, 100), (100, 99, 100), (100, 150, 300)] {
            let skew = Skew::between(before, database, after);
            assert_eq!((skew.stored(77), skew.shown(77), skew.bound(77)), (77, 77, 77), "{before} {database} {after}");
        }
        let slow = Skew::between(0, 5_000, 10_000);
        assert_ne!(slow, Skew { low: 0, high: 0 }, "nobody knows whether they agree");
    }

    #[test]
    fn bounds_and_what_is_not_known_stay_what_they_are() {
        let skew = Skew::between(1_000, 500_000, 1_010);
        assert_eq!((skew.stored(0), skew.shown(0)), (0, 0));
        assert_eq!((skew.bound(Millis::MAX), skew.stored(Millis::MAX)), (Millis::MAX, Millis::MAX));
        assert_eq!(Skew::between(500_000, 0, 500_001).bound(Millis::MIN), Millis::MIN);
    }

    proptest! {
        // Whatever the clocks and the way of the question: a time that was stored by one replica and is shown by another
        // is never too early, by more than what counts as agreement.
        #[test]
        fn times_become_later_and_not_earlier(
            time in 1_000_000_i64..2_000_000,
            skews in [-100_000_i64..100_000, -100_000_i64..100_000],
            ways in [0_i64..2_000, 0_i64..2_000, 0_i64..2_000, 0_i64..2_000],
        ) {
            let asked = |skew: i64, there: i64, back: i64| {
                Skew::between(5_000_000 - skew, 5_000_000 + there, 5_000_000 - skew + there + back)
            };
            let (writer, reader) = (asked(skews[0], ways[0], ways[1]), asked(skews[1], ways[2], ways[3]));
            // A time of the true clock, which is the database's, on the writer's; and back on the reader's.
            let shown = reader.shown(writer.stored(time - skews[0])) + skews[1];
            prop_assert!(shown >= time - 2 * NARROW, "{shown} {time}");
            prop_assert!(shown <= time + ways.iter().sum::<i64>() + 2 * NARROW + 4, "{shown} {time}");
        }
    }
}
