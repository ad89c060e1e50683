//! What can go wrong, in words that say what to do, and the exit code of each.

use muster_proto::api::{Problem, ProposalView};
use std::path::PathBuf;

/// Exit codes. They are part of the interface and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done.
    Ok,
    /// It failed for a reason that none of the others covers.
    Error,
    /// The command line is wrong.
    Usage,
    /// The agent, policy, revision or profile does not exist.
    NotFound,
    /// The controller refused it, or a policy is not valid. Nothing was changed.
    Refused,
    /// The controller cannot be reached, is not trusted, or the login is missing or over.
    Unreachable,
    /// Nothing was done because only a plan was asked for, and the plan is not empty.
    WouldChange,
    /// Nothing was done yet: a second person must approve it.
    Proposed,
}

impl Exit {
    /// The number given to the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
            Self::WouldChange => 6,
            Self::Proposed => 7,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is wrong in a way that clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// The controller answered with a problem.
    #[error("{}", problem_text(.0))]
    Controller(Box<Problem>),
    /// No connection, or it broke.
    #[error(
        "the controller at {url} cannot be reached: {reason}\n  is it running, and is the address right? (`muster login URL` sets it)"
    )]
    Unreachable {
        /// The controller's URL.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection stands, but nobody vouches for the other side.
    #[error("{url} is not trusted: {reason}")]
    Untrusted {
        /// The controller's URL.
        url: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// No login is stored.
    #[error(
        "not logged in (profile `{profile}`): run `muster login URL`, for example `muster login https://controller.example.com:4320`"
    )]
    NotLoggedIn {
        /// Name of the profile.
        profile: String,
    },
    /// The other side is something else, or of another release.
    #[error("{url} does not answer as a Muster controller of this release: {reason}")]
    Protocol {
        /// The URL asked.
        url: String,
        /// What was odd.
        reason: String,
    },
    /// Policies are wrong; each fault was shown already.
    #[error("{wrong} of {all} policies cannot be used; nothing was changed")]
    Invalid {
        /// How many are wrong.
        wrong: usize,
        /// How many were looked at.
        all: usize,
    },
    /// A dry run whose plan, which was shown, is not empty.
    #[error("something would change")]
    WouldChange,
    /// The controller wants a second person to approve it.
    #[error(
        "proposed, not done yet: {} (a second person approves it with `muster proposals approve {}`)",
        .0.summary, .0.id
    )]
    Proposed(Box<ProposalView>),
    /// An audit log is not whole.
    #[error("{0}")]
    Broken(String),
    /// Something named is not there.
    #[error("{0}")]
    NotFound(String),
    /// A local file.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Any other local trouble.
    #[error("{0}")]
    Local(String),
    /// Standard output.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Controller(problem) => exit_of_status(problem.status),
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::NotLoggedIn { .. } => Exit::Unreachable,
            Self::Invalid { .. } | Self::Broken(_) => Exit::Refused,
            Self::WouldChange => Exit::WouldChange,
            Self::Proposed(_) => Exit::Proposed,
            Self::NotFound(_) => Exit::NotFound,
            Self::Protocol { .. } | Self::File { .. } | Self::Local(_) | Self::Output(_) => Exit::Error,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

fn exit_of_status(status: u16) -> Exit {
    match status {
        401 => Exit::Unreachable,
        404 => Exit::NotFound,
        400..=499 => Exit::Refused,
        502..=504 => Exit::Unreachable,
        _ => Exit::Error,
    }
}

/// One clear message: the detail, which says what to do; the title only where there is no detail.
fn problem_text(problem: &Problem) -> String {
    let mut text = match (problem.detail.trim(), problem.title.trim()) {
        ("", "") => format!("the controller answered with status {}", problem.status),
        ("", title) => title.to_owned(),
        (detail, _) => detail.to_owned(),
    };
    for fault in &problem.faults {
        text.push_str("\n  ");
        text.push_str(&fault_text(fault));
    }
    if problem.status == 401 && !text.contains("muster login") {
        text.push_str("\n  log in again with `muster login`");
    }
    text
}

/// `12:5: spec.rules[0].action: …`, as far as it is known.
pub(crate) fn fault_text(fault: &muster_proto::api::PolicyFault) -> String {
    let mut text = String::new();
    if fault.line > 0 {
        text.push_str(&format!("{}:{}: ", fault.line, fault.column));
    }
    if !fault.path.is_empty() {
        text.push_str(&format!("{}: ", fault.path));
    }
    text.push_str(&fault.message);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::PolicyFault;

    #[test]
    fn a_status_becomes_an_exit_code() {
        for (status, code) in [
            (400, 4),
            (401, 5),
            (403, 4),
            (404, 3),
            (409, 4),
            (412, 4),
            (422, 4),
            (429, 4),
            (500, 1),
            (503, 5),
        ] {
            let error = CliError::Controller(Box::new(Problem::new("x", "X", status, "why")));
            assert_eq!(error.exit().code(), code, "status {status}");
        }
    }

    #[test]
    fn a_problem_is_one_message_that_says_what_to_do() {
        let mut problem = Problem::new("policy-invalid", "Policy not valid", 422, "the policy has 2 faults");
        problem.faults = vec![
            PolicyFault { line: 3, column: 9, path: String::new(), message: "unknown field `foo`".into() },
            PolicyFault {
                line: 0,
                column: 0,
                path: "spec.routes.a".into(),
                message: "names no destination".into(),
            },
        ];
        assert_eq!(
            CliError::Controller(Box::new(problem)).to_string(),
            "the policy has 2 faults\n  3:9: unknown field `foo`\n  spec.routes.a: names no destination"
        );
        let over = Problem::new("session-expired", "Session over", 401, "your session ended at 10:00");
        assert_eq!(
            CliError::Controller(Box::new(over)).to_string(),
            "your session ended at 10:00\n  log in again with `muster login`"
        );
        let bare = Problem::new("x", "Internal error", 500, "");
        assert_eq!(CliError::Controller(Box::new(bare)).to_string(), "Internal error");
    }
}
