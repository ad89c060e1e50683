//! Whether the log is whole: every line of it is read and checked again, and its end compared with what the store
//! remembers.

use super::segment::Line;
use super::{AuditError, AuditLog, HEAD, Head};
use crate::identity::file::failed;
use crate::store;
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::AuditVerification;
use muster_shared::audit_chain::{Broken, Verified, Verifier};

/// How long one check of a log that has not grown serves all who ask.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// Where the log ends: sequence and hash of its last entry.
type End = (u64, String);
/// The last check, and where the log ended then.
pub(super) type Checked = Option<(End, AuditVerification)>;

impl AuditLog {
    /// Checks the whole log, one check at a time; a log that has not grown since a moment ago is not read again.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn verification(&self) -> Result<AuditVerification, AuditError> {
        let asked = Timestamp::now();
        let mut checked = self.checked.lock().await;
        let now = Timestamp::now();
        // Everybody who came while a check ran is served by the next one: however many ask, two read the log.
        if let Some((end, found)) = &*checked
            && (found.at >= asked || (*end == self.end() && now.duration_since(found.at) < FRESH))
        {
            return Ok(found.clone());
        }
        let log = self.clone();
        let work = tokio::task::spawn_blocking(move || log.verify(now));
        let (end, found) = work.await.map_err(|error| failed("read", &self.folder)(error.into()))??;
        *checked = Some((end, found.clone()));
        Ok(found)
    }

    fn end(&self) -> End {
        let writer = self.writer();
        (writer.segments.last, writer.segments.hash.clone())
    }

    /// Reads and checks everything up to the end as it is now. Blocks on the disk.
    fn verify(&self, now: Timestamp) -> Result<(End, AuditVerification), AuditError> {
        // What the store remembers is never ahead of the files, unless the files were cut.
        let stored = store::get_json::<Head>(&*self.store, HEAD)?;
        let (reader, end) = {
            let writer = self.writer();
            (writer.segments.reader(), (writer.segments.last, writer.segments.hash.clone()))
        };
        let mut check = Check { stored, ..Check::default() };
        for lines in reader.all() {
            if !check.take(&lines.map_err(failed("read", &self.folder))?, end.0) {
                break;
            }
        }
        let found = check.done(&end, now);
        if !found.ok {
            tracing::error!(
                first_bad = found.first_bad,
                reason = found.reason,
                "the audit log was tampered with"
            );
        }
        Ok((end, found))
    }
}

/// A check under way. Pure.
#[derive(Default)]
struct Check {
    verifier: Verifier,
    stored: Option<Head>,
    bad: Option<(u64, String)>,
}

impl Check {
    /// Takes the lines of a segment up to the sequence `until`; false if nothing more can be judged.
    fn take(&mut self, lines: &[Line], until: u64) -> bool {
        for line in lines {
            let before = self.verifier.verified().last;
            if before >= until {
                return false;
            }
            if let Err(broken) = self.verifier.next(&line.text()) {
                self.bad = Some((first_bad(&broken, before), broken.to_string()));
                return false;
            }
            let Verified { last, hash, .. } = self.verifier.verified();
            if self.stored.as_ref().is_some_and(|head| head.sequence == *last && head.hash != *hash) {
                let told = format!(
                    "sequence {last} is not the entry that the store remembers: the log was written anew"
                );
                self.bad = Some((*last, told));
                return false;
            }
        }
        true
    }

    fn done(self, end: &End, now: Timestamp) -> AuditVerification {
        let Verified { entries, first, last, hash } = self.verifier.verified().clone();
        let wanted = self.stored.as_ref().map_or(end.0, |head| head.sequence.max(end.0));
        let cut = (last < wanted).then(|| {
            (
                last + 1,
                format!(
                    "the end was cut off: the log went to sequence {wanted}, and its files end at {last}"
                ),
            )
        });
        let other = (last == end.0 && hash != end.1)
            .then(|| (last, format!("sequence {last} was changed after it was written")));
        let bad = self.bad.or(cut).or(other);
        let (first_bad, reason) = bad.unzip();
        AuditVerification {
            at: now,
            ok: first_bad.is_none(),
            entries,
            from: first,
            to: last,
            head_hash: hash,
            first_bad,
            reason: reason.unwrap_or_default(),
        }
    }
}

/// The sequence of the first entry that is wrong or missing, after the last good one.
fn first_bad(broken: &Broken, last_good: u64) -> u64 {
    match broken {
        Broken::Changed { sequence, .. } => *sequence,
        Broken::Missing { expected, .. } => *expected,
        Broken::Unreadable { .. } => last_good + 1,
    }
}
