//! A page of deliveries: what waits, then what was told, then dead letters.

use crate::model::Fingerprint;
use crate::store::{Delivery, DeliveryPage, DeliveryQuery, DeliveryState, StoreError};

/// Where a page begins: after this row of this section. What its numbers are is the engine's to say; rows are in their
/// order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Cursor {
    pub(in crate::store) state: DeliveryState,
    pub(in crate::store) first: i64,
    pub(in crate::store) second: i64,
}

/// The order of the sections.
const SECTIONS: [(DeliveryState, char); 3] =
    [(DeliveryState::Waiting, 'w'), (DeliveryState::Told, 't'), (DeliveryState::Dead, 'd')];

impl Cursor {
    /// Before all rows of a section.
    pub(in crate::store) const fn start(state: DeliveryState) -> Self {
        Self { state, first: i64::MIN, second: i64::MIN }
    }

    fn write(self) -> String {
        let letter = SECTIONS.iter().find(|(state, _)| *state == self.state).map_or('w', |(_, letter)| *letter);
        format!("{letter}{:016x}{:016x}", self.first, self.second)
    }

    fn parse(text: &str) -> Option<Self> {
        let (state, letter) = SECTIONS.iter().find(|(_, letter)| text.starts_with(*letter))?;
        let digits = text.strip_prefix(*letter)?;
        let (first, second) = digits.split_at_checked(16)?;
        let number = |digits: &str| Fingerprint::parse(digits).map(|number| number.0.cast_signed());
        Some(Self { state: *state, first: number(first)?, second: number(second)? })
    }
}

/// A page that is being filled.
#[derive(Debug)]
pub(in crate::store) struct Page {
    /// Where each section that belongs to the page is read from, in order.
    pub(in crate::store) starts: Vec<Cursor>,
    limit: usize,
    lines: Vec<(Cursor, Delivery)>,
}

impl Page {
    /// # Errors
    /// [`StoreError::NotFound`] for a cursor that is none.
    pub(in crate::store) fn new(query: &DeliveryQuery) -> Result<Self, StoreError> {
        let after = match &query.after {
            None => None,
            Some(text) => Some(Cursor::parse(text).ok_or(StoreError::NotFound)?),
        };
        let asked = |from: &Cursor| query.states.is_empty() || query.states.contains(&from.state);
        let all = SECTIONS.into_iter().map(|(state, _)| match after {
            Some(after) if after.state == state => after,
            _ => Cursor::start(state),
        });
        // What comes before the cursor's section is on earlier pages.
        let left = all.skip_while(|from| after.is_some_and(|after| after.state != from.state));
        let limit = usize::try_from(super::limit(query.limit)).unwrap_or(1);
        Ok(Self { starts: left.filter(asked).collect(), limit, lines: Vec::new() })
    }

    /// How many rows of a section to read: one more than fits says whether there is a next page. 0 when there is.
    pub(in crate::store) fn want(&self) -> i64 {
        i64::try_from((self.limit + 1).saturating_sub(self.lines.len())).unwrap_or(i64::MAX)
    }

    /// Adds the next row.
    pub(in crate::store) fn add(&mut self, cursor: Cursor, delivery: Delivery) {
        self.lines.push((cursor, delivery));
    }

    /// The page, and the cursor of the next.
    pub(in crate::store) fn finish(mut self) -> DeliveryPage {
        let more = self.lines.len() > self.limit;
        self.lines.truncate(self.limit);
        let next = self.lines.last().filter(|_| more).map(|(cursor, _)| cursor.write());
        DeliveryPage { rows: self.lines.into_iter().map(|(_, delivery)| delivery).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn cursors_survive_and_foreign_text_is_none() {
        for (state, first, second) in
            [(DeliveryState::Waiting, 7, 0), (DeliveryState::Told, 3, i64::MIN), (DeliveryState::Dead, i64::MAX, -1)]
        {
            let cursor = Cursor { state, first, second };
            assert_eq!(Cursor::parse(&cursor.write()), Some(cursor));
        }
        for text in ["", "w", "x00000000000000070000000000000000", "w7", "d0000000000000007é000000000000000"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_page_reads_the_sections_that_are_asked_for_from_its_cursor_on() {
        use DeliveryState::{Dead, Told, Waiting};
        let told = Cursor { state: Told, first: 3, second: 4 };
        let starts = |states: &[DeliveryState], after: Option<Cursor>| {
            let query =
                DeliveryQuery { states: states.to_vec(), after: after.map(Cursor::write), ..DeliveryQuery::default() };
            Page::new(&query).unwrap().starts
        };
        assert_eq!(starts(&[], None), [Waiting, Told, Dead].map(Cursor::start));
        assert_eq!(starts(&[Dead, Waiting], None), [Waiting, Dead].map(Cursor::start));
        assert_eq!(starts(&[], Some(told)), [told, Cursor::start(Dead)]);
        assert_eq!(starts(&[Waiting, Dead], Some(told)), [Cursor::start(Dead)]);
    }
}
