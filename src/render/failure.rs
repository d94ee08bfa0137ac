//! A template that failed while it ran.

use super::TemplateFailure;

impl TemplateFailure {
    /// Line and column from 1, where the engine knew them, and what went wrong there.
    pub fn place(&self) -> (Option<(usize, usize)>, &str) {
        match (self.place.line, self.error.split_once(": ")) {
            (0, _) | (_, None) => (None, &self.error),
            (line, Some((_, reason))) => (Some((line, self.place.column)), reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Place;

    #[test]
    fn places() {
        let place = |error: &str, line, column| {
            let place = Place { file: "a.hbs".to_owned(), line, column };
            let failure = TemplateFailure { template: String::new(), error: error.to_owned(), place, alert: None };
            let (place, reason) = failure.place();
            (place, reason.to_owned())
        };
        let found = place("line 3, column 12: no such: zone", 3, 12);
        assert_eq!(found, (Some((3, 12)), "no such: zone".to_owned()));
        assert_eq!(place("it is: too long", 0, 0), (None, "it is: too long".to_owned()));
    }
}
