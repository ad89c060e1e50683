//! Pure: one entry of a data queue as it lies in the spool.
//!
//! ```text
//! form, 1 | put on the queue: UTC, 8 | local, 8 | declared length, 4 | key, sender's job, sender's user: length, 2 and bytes
//! | data up to the end
//! ```
//! Numbers are little-endian, times microseconds since 1970.

use sha2::{Digest, Sha256};

/// Kind of such an entry in the spool.
pub const ENTRY: u8 = 1;

/// Form that this release writes and reads.
const FORM: u8 = 1;

/// Tells an entry from others.
pub type Fingerprint = [u8; 32];

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// When it was put on the queue, microseconds since 1970 UTC.
    pub enqueued_us: i64,
    /// The same on the partition's clock, as the queue tells it; 0 where it was not told.
    pub local_us: i64,
    /// How many bytes the partition said that it has.
    pub declared: u32,
    /// Its key, in a keyed queue.
    pub key: Vec<u8>,
    /// Job of the sender, `NNNNNN/USER/NAME`.
    pub sender_job: String,
    /// User profile of the sender.
    pub sender_user: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Entry {
    /// Its bytes in the spool.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.data.len() + self.key.len());
        out.push(FORM);
        out.extend_from_slice(&self.enqueued_us.to_le_bytes());
        out.extend_from_slice(&self.local_us.to_le_bytes());
        out.extend_from_slice(&self.declared.to_le_bytes());
        for part in [&self.key[..], self.sender_job.as_bytes(), self.sender_user.as_bytes()] {
            // Keys have at most 256 bytes, names less.
            let part = &part[..part.len().min(usize::from(u16::MAX))];
            out.extend_from_slice(&(part.len() as u16).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.data);
        out
    }

    /// Reads what [`Entry::encode`] wrote; None for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        if *form != FORM {
            return None;
        }
        let (enqueued, rest) = rest.split_first_chunk::<8>()?;
        let (local, rest) = rest.split_first_chunk::<8>()?;
        let (declared, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = part(rest)?;
        let (sender_job, rest) = part(rest)?;
        let (sender_user, data) = part(rest)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Self {
            enqueued_us: i64::from_le_bytes(*enqueued),
            local_us: i64::from_le_bytes(*local),
            declared: u32::from_le_bytes(*declared),
            key: key.to_vec(),
            sender_job: text(sender_job),
            sender_user: text(sender_user),
            data: data.to_vec(),
        })
    }

    /// Key and bytes: what is told for certain of an entry when it is taken out of the queue.
    #[must_use]
    pub fn content(&self) -> Fingerprint {
        let mut hasher = Sha256::new();
        hasher.update((self.key.len() as u64).to_le_bytes());
        hasher.update(&self.key);
        hasher.update(&self.data);
        hasher.finalize().into()
    }

    /// Who sent it; None where the queue does not tell.
    #[must_use]
    pub fn sender(&self) -> Option<Fingerprint> {
        let told = !(self.sender_job.is_empty() && self.sender_user.is_empty());
        told.then(|| {
            let mut hasher = Sha256::new();
            self.hash_sender(&mut hasher);
            hasher.finalize().into()
        })
    }

    fn hash_sender(&self, hasher: &mut Sha256) {
        for part in [self.sender_job.as_bytes(), self.sender_user.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }

    /// All that is told of an entry while it is in the queue. Two entries with the same fingerprint have the same
    /// bytes from the same sender in the same microsecond.
    #[must_use]
    pub fn identity(&self) -> Fingerprint {
        let mut hasher = Sha256::new();
        hasher.update(self.local_us.to_le_bytes());
        self.hash_sender(&mut hasher);
        hasher.update(self.content());
        hasher.finalize().into()
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    (rest.len() >= length).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(data: &[u8], key: &[u8], local_us: i64) -> Entry {
        Entry { data: data.to_vec(), key: key.to_vec(), local_us, ..Entry::default() }
    }

    #[test]
    fn what_tells_entries_apart() {
        let base = entry(b"AB", b"", 5);
        assert_eq!(base.content(), entry(b"AB", b"", 6).content());
        assert_ne!(base.identity(), entry(b"AB", b"", 6).identity());
        assert_ne!(base.content(), entry(b"B", b"A", 5).content(), "a byte of the key is none of the data");
        let sent = Entry { sender_user: "BOB".to_owned(), ..base.clone() };
        assert_eq!(sent.content(), base.content());
        assert_ne!(sent.identity(), base.identity());
        assert_eq!((base.sender(), sent.sender() == sent.clone().sender()), (None, true));
        assert_ne!(sent.sender(), Entry { sender_user: "ANNA".to_owned(), ..base }.sender());
    }

    proptest! {
        #[test]
        fn an_entry_comes_back(
            data in proptest::collection::vec(any::<u8>(), 0..100),
            key in proptest::collection::vec(any::<u8>(), 0..20),
            job in "[A-Z0-9/]{0,28}",
            times in any::<(i64, i64, u32)>(),
        ) {
            let entry = Entry {
                enqueued_us: times.0,
                local_us: times.1,
                declared: times.2,
                key,
                sender_job: job.clone(),
                sender_user: job,
                data,
            };
            let bytes = entry.encode();
            prop_assert_eq!(Entry::decode(&bytes), Some(entry.clone()));
            // Everything but the data has a length that is told.
            let head = bytes.len() - entry.data.len();
            for cut in 0..head {
                prop_assert_eq!(Entry::decode(&bytes[..cut]), None);
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
