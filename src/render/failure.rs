//! Where a template failed while it ran.

use super::TemplateFailure;

impl TemplateFailure {
    /// Line and column from 1, where the engine knew them, and what went wrong there.
    pub fn place(&self) -> (Option<(usize, usize)>, &str) {
        let parts = || {
            let (line, rest) = self.error.strip_prefix("line ")?.split_once(", column ")?;
            let (column, reason) = rest.split_once(": ")?;
            Some(((line.parse().ok()?, column.parse().ok()?), reason))
        };
        parts().map_or((None, &self.error), |(place, reason)| (Some(place), reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |error: &str| {
            let failure = TemplateFailure { template: String::new(), error: error.to_owned() };
            let (place, reason) = failure.place();
            (place, reason.to_owned())
        };
        assert_eq!(place("line 3, column 12: no such: zone"), (Some((3, 12)), "no such: zone".to_owned()));
        for error in ["it is too long", "line x, column 1: a", "line 1", "line 1, column 2"] {
            assert_eq!(place(error), (None, error.to_owned()));
        }
    }
}
