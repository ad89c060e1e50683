//! What is seen at exit points, as events: one row a function of a server.

/// An action at an exit point, as a SIEM sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExitAction {
    /// Event id.
    pub id: &'static str,
    /// Fixed English text.
    pub text: &'static str,
    /// Severity, 1 to 10.
    pub severity: u8,
}

/// A record of a format that this release does not know.
pub static EXIT_UNKNOWN: ExitAction =
    ExitAction { id: "EXIT_UNKNOWN", text: "Request of an unknown kind at an exit point", severity: 4 };

/// The action with this event id.
#[must_use]
pub fn exit_action(id: &str) -> Option<&'static ExitAction> {
    [&EXIT_UNKNOWN].into_iter().find(|action| action.id == id)
}
