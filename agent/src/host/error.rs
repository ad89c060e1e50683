//! What can go wrong between the agent and its partition, in words that say what to do.

use super::reconnect::Failure;

/// Why a TLS certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// No trusted authority has signed it.
    Foreign,
    /// It was made for another host name.
    WrongName,
    /// It is not the pinned one.
    PinMismatch,
    /// Something else, in the TLS library's words.
    Other(String),
}

impl std::fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet (is the clock of this host right?)"),
            Self::Foreign => f.write_str("no trusted authority has signed it"),
            Self::WrongName => f.write_str("it was made for another host name"),
            Self::PinMismatch => f.write_str("it is not the pinned one"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// An SQL error of the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// SQLCODE; 0 where the server told none.
    pub code: i64,
    /// SQLSTATE; empty where the server told none.
    pub state: String,
    /// Text of the server.
    pub message: String,
}

impl SqlError {
    /// Whether an object that the statement names does not exist (for this profile).
    #[must_use]
    pub fn not_found_object(&self) -> bool {
        matches!(self.code, -204) || self.mentions(&["CPF9801", "CPF9810", "CPF9812", "CPF9814"])
    }

    /// Whether a column or parameter that the statement names does not exist at this level.
    #[must_use]
    pub fn not_found_column(&self) -> bool {
        matches!(self.code, -205 | -206) || self.state == "42703"
    }

    /// Whether the profile lacks an authority.
    #[must_use]
    pub fn not_authorized(&self) -> bool {
        matches!(self.code, -551 | -552 | -567)
            || self.state == "42501"
            || self.mentions(&["CPF9802", "CPF9820", "CPF9822", "Not authorized"])
    }

    /// Whether the partition lacks for good what was asked for: this level has no such view or column, or the
    /// profile has no authority to it. Anything else may pass.
    #[must_use]
    pub fn is_lack(&self) -> bool {
        self.not_found_object() || self.not_found_column() || self.not_authorized()
    }

    fn mentions(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.message.contains(word))
    }
}

/// A request to the partition failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The configuration cannot work.
    #[error("the connection to the partition is configured wrongly: {0}")]
    Config(String),
    /// The name does not resolve.
    #[error(
        "cannot find the partition {address}: the name does not resolve ({reason}); check `address` and the DNS of this host"
    )]
    UnknownHost {
        /// `host:port`.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// No TCP connection.
    #[error(
        "cannot connect to {address}: {reason}; check that the Mapepire server runs there (default port 8076) and that no firewall is between"
    )]
    Refused {
        /// `host:port`.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The certificate was refused.
    #[error(
        "the certificate of {address} is refused: {fault}; it shows SHA-256 {fingerprint}. If you have verified on the partition that this is its certificate, pin it (`pin_sha256 = \"{fingerprint}\"`), or name the authority that signed it (`ca_file`)"
    )]
    Certificate {
        /// `host:port`.
        address: String,
        /// What is wrong with it.
        fault: CertificateFault,
        /// SHA-256 of the certificate that was shown, in hex.
        fingerprint: String,
    },
    /// TLS failed for another reason.
    #[error(
        "no TLS session with {address}: {reason}; the Mapepire server may be just starting or ending, otherwise check that this is its port and that it speaks TLS (MP_UNSECURE is not supported)"
    )]
    Tls {
        /// `host:port`.
        address: String,
        /// The TLS library's words.
        reason: String,
    },
    /// The WebSocket upgrade was refused.
    #[error("{address} refuses the WebSocket with HTTP status {status}; {hint}")]
    Upgrade {
        /// `host:port`.
        address: String,
        /// HTTP status.
        status: u16,
        /// What that status usually means here.
        hint: &'static str,
    },
    /// User or password is wrong, or the profile cannot sign on.
    #[error(
        "{address} rejects the sign-on of {user}: {reason}. Every try counts against the profile (QMAXSIGN), so the agent waits longer and longer before the next; {}, then restart the agent",
        sign_on_advice(reason, user)
    )]
    SignOn {
        /// `host:port`.
        address: String,
        /// The profile.
        user: String,
        /// The server's words.
        reason: String,
    },
    /// The server's own rules refuse this user or address.
    #[error(
        "{address} refuses {user} by its own rules: {reason}; allow the profile in /QOpenSys/etc/mapepire/iprules.conf (names that begin with Q are denied by default)"
    )]
    Rule {
        /// `host:port`.
        address: String,
        /// The profile.
        user: String,
        /// The server's words.
        reason: String,
    },
    /// No answer in time; the connection was closed, which ends the statement.
    #[error(
        "{address} did not answer `{what}` within {seconds} s; the connection was closed and will be made again"
    )]
    Timeout {
        /// `host:port`.
        address: String,
        /// What was asked.
        what: String,
        /// The deadline.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {}; it will be made again", plain_words(reason))]
    Dropped {
        /// `host:port`.
        address: String,
        /// Why, as far as known.
        reason: String,
    },
    /// The answer is not what a Mapepire server says.
    #[error(
        "{address} answered something that is no Mapepire reply: {reason}; it begins with `{excerpt}`. Check that the port is that of a Mapepire server; the connection was closed and will be made again"
    )]
    NotMapepire {
        /// `host:port`.
        address: String,
        /// What is wrong with it.
        reason: String,
        /// The first characters.
        excerpt: String,
    },
    /// The answer is larger than any asked for, or does not end.
    #[error(
        "an answer of {address} exceeds {limit} bytes and was cut off; the connection was closed and will be made again with fewer rows"
    )]
    TooLarge {
        /// `host:port`.
        address: String,
        /// The limit.
        limit: usize,
    },
    /// Bytes that the server keeps beside its answer could not be had.
    #[error(
        "bytes that {address} keeps beside its answer cannot be fetched (GET /blob): {reason}; the statement is run again"
    )]
    Bytes {
        /// `host:port`.
        address: String,
        /// Why not.
        reason: String,
        /// They were there and are not any more: running the statement again gives new ones.
        expired: bool,
    },
    /// The partition answered with an error.
    #[error("the partition answered SQLCODE {}, SQLSTATE {}: {}", .0.code, .0.state, .0.message)]
    Sql(SqlError),
}

/// The usual end of a server that is stopped, without the TLS library's lecture.
fn plain_words(reason: &str) -> &str {
    if reason.contains("close_notify") { "the server closed it without a word" } else { reason }
}

/// What to do about a rejected sign-on, by the server's words.
fn sign_on_advice(reason: &str, user: &str) -> String {
    let enable = format!("enable the profile (CHGUSRPRF USRPRF({user}) STATUS(*ENABLED))");
    if reason.contains("expired") {
        format!(
            "set a new password (CHGUSRPRF USRPRF({user}) PASSWORD(...) PWDEXP(*NO)) and put it into the agent's \
             password file"
        )
    } else if reason.contains("disabled") {
        enable
    } else {
        format!("correct the password in the agent's password file or {enable}")
    }
}

impl HostError {
    /// Whether the connection is gone, so that the next call connects again.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        match self {
            Self::Sql(_) | Self::Bytes { .. } | Self::Config(_) => false,
            Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::Upgrade { .. }
            | Self::SignOn { .. }
            | Self::Rule { .. }
            | Self::Timeout { .. }
            | Self::Dropped { .. }
            | Self::NotMapepire { .. }
            | Self::TooLarge { .. } => true,
        }
    }

    /// Whether the server has let go of bytes that belong to its answer: the same statement, run once more,
    /// may bring them.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Bytes { expired: true, .. })
    }

    /// Whether the answer was late or too large: fewer rows may help.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::TooLarge { .. })
    }

    /// The SQL error, if that is what it is.
    #[must_use]
    pub fn sql(&self) -> Option<&SqlError> {
        match self {
            Self::Sql(error) => Some(error),
            Self::Config(_)
            | Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::Upgrade { .. }
            | Self::SignOn { .. }
            | Self::Rule { .. }
            | Self::Timeout { .. }
            | Self::Dropped { .. }
            | Self::NotMapepire { .. }
            | Self::TooLarge { .. }
            | Self::Bytes { .. } => None,
        }
    }

    /// Which back-off the next try needs.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::SignOn { .. } => Failure::SignOn,
            Self::Config(_)
            | Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::Upgrade { .. }
            | Self::Rule { .. }
            | Self::Timeout { .. }
            | Self::Dropped { .. }
            | Self::NotMapepire { .. }
            | Self::TooLarge { .. }
            | Self::Bytes { .. }
            | Self::Sql(_) => Failure::Other,
        }
    }
}
