//! What a group gets whose content a robot refused: plain text, then numbers only, then halves, and what is refused
//! alone becomes a dead letter.

use crate::render::Form;

/// How a group is told after a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stage {
    /// How much the message says.
    pub(super) form: Form,
    /// The most alerts in one message.
    pub(super) most: usize,
    /// Whether the parts of a group are told one by one, to find the one that is refused.
    pub(super) halving: bool,
    /// Whether nobody is called, because the robot refused a mention.
    pub(super) quiet: bool,
}

impl Default for Stage {
    fn default() -> Self {
        Self { form: Form::Full, most: usize::MAX, halving: false, quiet: false }
    }
}

/// What to do after a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Try again like this.
    Again(Stage),
    /// It was refused alone: give it up.
    Dead,
    /// Even a digest of mere numbers was refused: its groups are told one by one.
    Apart,
}

impl Stage {
    /// After the refusal of a message with `alerts` alerts in it.
    pub(super) fn refused(self, alerts: usize, digest: bool, mention: bool) -> Step {
        if mention && !self.quiet {
            return Step::Again(Self { quiet: true, ..self });
        }
        match (self.halving, self.form) {
            (_, Form::Counts) if digest => Step::Apart,
            (false, Form::Full) => Step::Again(Self { form: Form::Plain, ..self }),
            (false, Form::Plain) => Step::Again(Self { form: Form::Counts, ..self }),
            _ if alerts <= 1 => Step::Dead,
            _ => Step::Again(Self { form: Form::Plain, most: alerts.div_ceil(2), halving: true, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_degrades_step_by_step_and_ends_alone() {
        let mut stage = Stage::default();
        let mut alerts = 5;
        let mut seen = Vec::new();
        while let Step::Again(next) = stage.refused(alerts, false, false) {
            stage = next;
            alerts = alerts.min(stage.most);
            seen.push((stage.form, alerts));
        }
        assert_eq!(seen, [(Form::Plain, 5), (Form::Counts, 5), (Form::Plain, 3), (Form::Plain, 2), (Form::Plain, 1)]);
    }

    #[test]
    fn one_alert_is_given_up_after_numbers_were_refused_too() {
        let counts = Stage { form: Form::Counts, ..Stage::default() };
        assert_eq!(counts.refused(1, false, false), Step::Dead);
    }

    #[test]
    fn a_digest_loses_its_markup_then_its_names_and_then_falls_apart() {
        let mut stage = Stage::default();
        let mut forms = Vec::new();
        while let Step::Again(next) = stage.refused(9_000, true, false) {
            stage = next;
            forms.push(stage.form);
        }
        assert_eq!(forms, [Form::Plain, Form::Counts]);
        assert_eq!(stage.refused(9_000, true, false), Step::Apart);
    }

    #[test]
    fn a_refused_mention_costs_only_the_mention() {
        let quiet = Stage { quiet: true, ..Stage::default() };
        assert_eq!(Stage::default().refused(3, false, true), Step::Again(quiet));
        assert_eq!(quiet.refused(3, false, true), Step::Again(Stage { form: Form::Plain, ..quiet }));
    }
}
