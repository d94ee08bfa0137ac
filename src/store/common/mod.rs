//! What the engines do alike: forms that are stored, and what is worked out without a database.

pub(super) mod covers;
