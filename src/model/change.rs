//! What happened to an alert since its chat was last told of it.

/// The change that a message has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Fires, and the chat did not know.
    New,
    /// Fires again after an end that the chat was told, or did not see.
    Refired,
    /// Has ended; the chat knew that it fired.
    Resolved,
    /// Fired and ended before the chat was told either.
    FiredResolved,
    /// Still fires; nothing changed. Told as a reminder or counted.
    Unchanged,
}
