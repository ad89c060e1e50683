//! What can be made to go wrong.

use serde::{Deserialize, Serialize};

/// A fault to switch on; most stay until [`Fault::Clear`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Everything is well again (a jumped clock stays where it is, deleted receivers stay deleted).
    Clear,
    /// Every reply comes this much later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// Requests are taken and never answered.
    Hung,
    /// All sockets are dropped now, without a closing handshake. Happens once.
    DropSocket,
    /// The server goes away and comes back: sockets dropped, connections refused for a while. Happens once.
    Restart {
        /// Milliseconds until it answers again.
        ms: u64,
    },
    /// All passwords are expired.
    PasswordExpired,
    /// The journal has no receiver attached: nothing is written any more.
    JournalDetached,
    /// There is no such journal.
    JournalMissing,
    /// The oldest receiver is deleted. Happens once.
    ReceiverDeleted,
    /// Nobody is authorised to the journal.
    NoAuthority,
    /// The clock of the partition jumps. Happens once.
    ClockJump {
        /// Seconds forward, negative for back.
        seconds: i64,
    },
    /// New entries carry only the first bytes of their data.
    TruncatedData {
        /// Bytes kept.
        bytes: usize,
    },
    /// New entries carry nonsense bytes.
    AbsurdData,
    /// Replies to statements are no JSON.
    NotJson,
    /// Replies to statements never end.
    EndlessReply,
    /// The server shows another certificate; sockets are dropped. Happens once.
    CertificateChanged,
    /// New connections meet another certificate; sockets stay. Happens once.
    CertificateShown,
    /// The clock stands still: what happens now happens at one time.
    ClockStopped,
    /// All sockets of now fall silent: nothing is read or written any more, and nothing is closed. New ones
    /// work. Happens once.
    HalfOpen,
    /// All profiles are disabled.
    ProfileDisabled,
    /// Of each two replies to statements the first is held back until the second has gone out.
    Reorder {
        /// Milliseconds after which it goes out at the latest.
        ms: u64,
    },
    /// The next so many bytes that are kept beside a reply are gone when they are asked for.
    BlobsLost {
        /// How many.
        count: u64,
    },
    /// Nobody is authorised to any message queue.
    QueuesRefused,
    /// Nobody is authorised to the history log.
    HistoryRefused,
    /// New messages show up this much after their time.
    LateMessages {
        /// Milliseconds.
        ms: u64,
    },
    /// Texts of new messages hold what is left of characters that no page has.
    GarbledText,
    /// Texts of new messages are longer than the services declare.
    OverlongText,
    /// Replacement data of new messages is written in this page.
    ForeignPage {
        /// CCSID.
        ccsid: u16,
    },
}

/// The faults that stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FaultState {
    /// See [`Fault::Slow`].
    pub slow_ms: u64,
    /// See [`Fault::Hung`].
    pub hung: bool,
    /// See [`Fault::PasswordExpired`].
    pub password_expired: bool,
    /// See [`Fault::JournalDetached`].
    pub journal_detached: bool,
    /// See [`Fault::JournalMissing`].
    pub journal_missing: bool,
    /// See [`Fault::NoAuthority`].
    pub no_authority: bool,
    /// See [`Fault::TruncatedData`].
    pub truncated: Option<usize>,
    /// See [`Fault::AbsurdData`].
    pub absurd: bool,
    /// See [`Fault::NotJson`].
    pub not_json: bool,
    /// See [`Fault::EndlessReply`].
    pub endless: bool,
    /// See [`Fault::ClockStopped`].
    pub clock_stopped: bool,
    /// See [`Fault::ProfileDisabled`].
    pub profile_disabled: bool,
    /// See [`Fault::Reorder`].
    pub reorder_ms: Option<u64>,
    /// See [`Fault::BlobsLost`].
    pub blobs_lost: u64,
    /// See [`Fault::QueuesRefused`].
    pub queues_refused: bool,
    /// See [`Fault::HistoryRefused`].
    pub history_refused: bool,
    /// See [`Fault::LateMessages`].
    pub late_messages_ms: u64,
    /// See [`Fault::GarbledText`].
    pub garbled_text: bool,
    /// See [`Fault::OverlongText`].
    pub overlong_text: bool,
    /// See [`Fault::ForeignPage`].
    pub foreign_page: Option<u16>,
}

/// What is left to do at once when a fault is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: the state says it all.
    Nothing,
    /// Drop all sockets.
    DropSockets,
    /// Drop all sockets and refuse new ones for so many milliseconds.
    StayAway(u64),
    /// Delete the oldest receiver.
    DeleteReceiver,
    /// Move the clock by so many seconds.
    MoveClock(i64),
    /// Make a new certificate, and drop all sockets where true.
    NewCertificate(bool),
    /// Leave all sockets alone for good.
    Silence,
}

impl FaultState {
    /// Takes a fault in and says what is to be done at once.
    pub fn apply(&mut self, fault: Fault) -> Act {
        match fault {
            Fault::Clear => *self = Self::default(),
            Fault::Slow { ms } => self.slow_ms = ms,
            Fault::Hung => self.hung = true,
            Fault::PasswordExpired => self.password_expired = true,
            Fault::JournalDetached => self.journal_detached = true,
            Fault::JournalMissing => self.journal_missing = true,
            Fault::NoAuthority => self.no_authority = true,
            Fault::TruncatedData { bytes } => self.truncated = Some(bytes),
            Fault::AbsurdData => self.absurd = true,
            Fault::NotJson => self.not_json = true,
            Fault::EndlessReply => self.endless = true,
            Fault::ClockStopped => self.clock_stopped = true,
            Fault::ProfileDisabled => self.profile_disabled = true,
            Fault::Reorder { ms } => self.reorder_ms = Some(ms),
            Fault::BlobsLost { count } => self.blobs_lost = count,
            Fault::QueuesRefused => self.queues_refused = true,
            Fault::HistoryRefused => self.history_refused = true,
            Fault::LateMessages { ms } => self.late_messages_ms = ms,
            Fault::GarbledText => self.garbled_text = true,
            Fault::OverlongText => self.overlong_text = true,
            Fault::ForeignPage { ccsid } => self.foreign_page = Some(ccsid),
            Fault::DropSocket => return Act::DropSockets,
            Fault::Restart { ms } => return Act::StayAway(ms),
            Fault::ReceiverDeleted => return Act::DeleteReceiver,
            Fault::ClockJump { seconds } => return Act::MoveClock(seconds),
            Fault::CertificateChanged => return Act::NewCertificate(true),
            Fault::CertificateShown => return Act::NewCertificate(false),
            Fault::HalfOpen => return Act::Silence,
        }
        Act::Nothing
    }

    /// Is any fault on that concerns what an entry carries?
    #[must_use]
    pub fn damages_data(&self) -> bool {
        self.absurd || self.truncated.is_some()
    }
}

/// Reads `slow 500`, `clock-jump -3600`, `clear` … as a command line has them.
///
/// # Errors
/// Says which words there are.
pub fn parse(words: &[String]) -> Result<Fault, String> {
    let name = words.first().map(|word| word.replace('-', "_")).unwrap_or_default();
    let number = |what: &str| -> Result<i64, String> {
        words
            .get(1)
            .ok_or_else(|| format!("{name} needs {what}"))?
            .parse()
            .map_err(|_| format!("{name} needs {what} as a whole number"))
    };
    let positive =
        |what: &str| number(what).and_then(|n| u64::try_from(n).map_err(|_| format!("{what} below 0")));
    Ok(match name.as_str() {
        "clear" => Fault::Clear,
        "slow" => Fault::Slow { ms: positive("milliseconds")? },
        "hung" => Fault::Hung,
        "drop_socket" => Fault::DropSocket,
        "restart" => Fault::Restart { ms: positive("milliseconds")? },
        "password_expired" => Fault::PasswordExpired,
        "journal_detached" => Fault::JournalDetached,
        "journal_missing" => Fault::JournalMissing,
        "receiver_deleted" => Fault::ReceiverDeleted,
        "no_authority" => Fault::NoAuthority,
        "clock_jump" => Fault::ClockJump { seconds: number("seconds")? },
        "truncated_data" => {
            Fault::TruncatedData { bytes: usize::try_from(positive("bytes")?).unwrap_or(usize::MAX) }
        }
        "absurd_data" => Fault::AbsurdData,
        "not_json" => Fault::NotJson,
        "endless_reply" => Fault::EndlessReply,
        "certificate_changed" => Fault::CertificateChanged,
        "certificate_shown" => Fault::CertificateShown,
        "clock_stopped" => Fault::ClockStopped,
        "half_open" => Fault::HalfOpen,
        "profile_disabled" => Fault::ProfileDisabled,
        "reorder" => Fault::Reorder { ms: positive("milliseconds")? },
        "blobs_lost" => Fault::BlobsLost { count: positive("a count")? },
        "queues_refused" => Fault::QueuesRefused,
        "history_refused" => Fault::HistoryRefused,
        "late_messages" => Fault::LateMessages { ms: positive("milliseconds")? },
        "garbled_text" => Fault::GarbledText,
        "overlong_text" => Fault::OverlongText,
        "foreign_page" => Fault::ForeignPage {
            ccsid: u16::try_from(positive("a CCSID")?).map_err(|_| "no CCSID".to_owned())?,
        },
        _ => {
            return Err("faults are: clear, slow MS, hung, drop-socket, restart MS, password-expired, \
                        journal-detached, journal-missing, receiver-deleted, no-authority, clock-jump SECONDS, \
                        truncated-data BYTES, absurd-data, not-json, endless-reply, certificate-changed, certificate-shown, clock-stopped, half-open, \
                        profile-disabled, reorder MS, blobs-lost COUNT, queues-refused, history-refused, late-messages MS, garbled-text, overlong-text, foreign-page CCSID"
                .into());
        }
    })
}
