//! Checks a policy text here, without a controller.

use crate::locate::{Places, locate};
use muster_proto::api::{PolicyCheck, PolicyFault};
use muster_shared::policy::validate::holds_private_key;
use muster_shared::policy::{Level, ParseError, parse_document, validate_document};

/// What was found in one text.
#[derive(Debug, PartialEq)]
pub(super) struct Checked {
    /// Faults, with their places.
    pub(super) result: PolicyCheck,
    /// The text, to find places in.
    text: String,
}

/// Checks the syntax, then the meaning. All faults of meaning are listed at once.
pub(super) fn check(text: &str) -> Checked {
    if holds_private_key(text) {
        let message = "the text holds a private key, which a policy must never carry; put it into the secrets folder \
                       of the agents and name it here";
        let fault = PolicyFault { line: 0, column: 0, path: String::new(), message: message.to_owned() };
        let result = PolicyCheck { faults: vec![fault], ..nothing() };
        return Checked { result, text: text.to_owned() };
    }
    let mut result = nothing();
    match parse_document(text) {
        Err(fault) => result.faults.push(syntax_fault(fault)),
        Ok(document) => {
            for problem in validate_document(&document) {
                let fault = PolicyFault { line: 0, column: 0, path: problem.path, message: problem.message };
                match problem.level {
                    Level::Error => result.faults.push(fault),
                    Level::Warning => result.warnings.push(fault),
                }
            }
            result.name = document.name;
        }
    }
    result.valid = result.faults.is_empty();
    let mut checked = Checked { result, text: text.to_owned() };
    checked.place();
    checked
}

/// Nothing is known yet.
fn nothing() -> PolicyCheck {
    PolicyCheck {
        valid: false,
        name: String::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        changes: Vec::new(),
        agents: 0,
    }
}

impl Checked {
    /// The controller knows more: other policies, and the agents.
    pub(super) fn take_over(&mut self, answer: PolicyCheck) {
        self.result = answer;
        self.place();
    }

    fn place(&mut self) {
        let places = Places::of(&self.text);
        locate(&places, &mut self.result.faults);
        locate(&places, &mut self.result.warnings);
    }

    /// Gives places to what the controller said about this text.
    pub(super) fn placed(&self, mut faults: Vec<PolicyFault>) -> Vec<PolicyFault> {
        locate(&Places::of(&self.text), &mut faults);
        faults
    }
}

fn syntax_fault(fault: ParseError) -> PolicyFault {
    let (line, column, message) = match fault {
        ParseError::At { line, column, message } => (line, column, message),
        whole @ (ParseError::TooLarge { .. } | ParseError::Whole { .. }) => (0, 0, whole.to_string()),
    };
    PolicyFault { line, column, path: String::new(), message }
}
