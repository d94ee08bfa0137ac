//! A mistake in something a person wrote, with its place and the remedy.

use std::fmt;

/// A place in a text file, lines and columns counted from 1.
#[derive(Clone, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Place {
    /// The file as the person named it.
    pub file: String,
    /// Line, from 1; 0 when it is not known.
    pub line: usize,
    /// Column in characters, from 1; 0 when it is not known.
    pub column: usize,
}

/// One mistake: where, what, the line itself, and a hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub what: String,
    /// The offending line, for people to recognise; empty when there is none. Must hold no secret.
    pub line: String,
    /// What to do; may be empty.
    pub hint: String,
    /// A warning does not stop the config from being used.
    pub warning: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = &self.place;
        write!(f, "{file}")?;
        if *line > 0 {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}{}", if self.warning { "warning: " } else { "" }, self.what)?;
        if !self.line.is_empty() {
            write!(f, "\n    {}", self.line.trim_end())?;
            if *column > 0 {
                write!(f, "\n    {}^", " ".repeat(column - 1))?;
            }
        }
        if !self.hint.is_empty() {
            write!(f, "\n    hint: {}", self.hint)?;
        }
        Ok(())
    }
}
