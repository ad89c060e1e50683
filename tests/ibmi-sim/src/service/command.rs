//! CL commands: a few are known, the others fail as unknown commands do.

use crate::sql::SqlError;

/// A message of the job log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message id.
    pub id: &'static str,
    /// Type.
    pub kind: &'static str,
    /// Severity.
    pub severity: i64,
    /// Text.
    pub text: String,
    /// Replacement data.
    pub tokens: Vec<u8>,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Messages, oldest first.
    pub messages: Vec<Message>,
    /// Why it failed.
    pub error: Option<SqlError>,
}

const KNOWN: [&str; 8] =
    ["WRKACTJOB", "DSPJRN", "DSPLIBL", "CHGJOB", "DLYJOB", "SNDMSG", "DSPSYSSTS", "ADDLIBLE"];

/// Runs a command.
#[must_use]
pub fn run(command: &str) -> Outcome {
    let command = command.trim();
    let name = command.split([' ', '(']).next().unwrap_or_default().to_uppercase();
    let message = |id, kind, severity, text: String, tokens: &[u8]| Message {
        id,
        kind,
        severity,
        text,
        tokens: tokens.to_vec(),
    };
    let mut messages = vec![message("*NONE", "REQUEST", 0, command.to_owned(), &[])];
    if KNOWN.contains(&name.as_str()) {
        messages.push(message(
            "CPC9801",
            "COMPLETION",
            0,
            format!("Command {name} completed."),
            &[0xC1, 0x40],
        ));
        return Outcome { messages, error: None };
    }
    let text = format!("Command {name} in library *LIBL not found.");
    messages.push(message("CPD0030", "DIAGNOSTIC", 30, text, &[]));
    messages.push(message("CPF0006", "ESCAPE", 30, "Errors occurred in command.".to_owned(), &[]));
    let error =
        SqlError { text: "[CPF0006] Errors occurred in command.".into(), state: Some("38501"), code: -443 };
    Outcome { messages, error: Some(error) }
}
