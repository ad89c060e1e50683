//! The record that the exit program puts on the data queue: a head of 128 bytes that says where, when and in which
//! job, then the parameters of the exit point, each behind its length.
//!
//! All numbers are big-endian, all text of the head is EBCDIC; names of exit points, formats and most jobs consist
//! of letters, digits and `_`, which lie at the same place in every page. [`HEAD`] is the whole head, byte by byte;
//! the documentation and the source of the exit program are compared with it by tests. Behind the head comes for
//! each parameter:
//!
//! | offset | length | holds |
//! |---|---|---|
//! | 0 | 4 | number of bytes that follow |
//! | 4 | 4 | number of bytes that the parameter had; more than follow if it was cut |
//! | 8 | … | the bytes |
//!
//! Parameters stand in the order of the exit point. Those that are not kept, because they are answers or because
//! they may hold a password, have no bytes. What a later version appends to the head is skipped by its length.

use smallvec::SmallVec;

/// How a field of the head is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadForm {
    /// EBCDIC text, filled up with blanks.
    Text,
    /// Big-endian number.
    Binary,
}

/// One field of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadField {
    /// First byte, from 0.
    pub offset: usize,
    /// Number of bytes.
    pub length: usize,
    /// How it is written.
    pub form: HeadForm,
    /// What it holds.
    pub name: &'static str,
}

const fn text(offset: usize, length: usize, name: &'static str) -> HeadField {
    HeadField { offset, length, form: HeadForm::Text, name }
}

const fn binary(offset: usize, length: usize, name: &'static str) -> HeadField {
    HeadField { offset, length, form: HeadForm::Binary, name }
}

const EYE_CATCHER: HeadField = text(0, 6, "eye-catcher MUSTRX");
const VERSION_FIELD: HeadField = binary(6, 2, "version, 1");
const HEAD_SIZE: HeadField = binary(8, 4, "length of the head, 128");
const RECORD_SIZE: HeadField = binary(12, 4, "length of the record");
const EXIT_POINT: HeadField = text(16, 20, "exit point");
const FORMAT: HeadField = text(36, 8, "format");
const TIME: HeadField = text(44, 20, "local time YYYYMMDDHHMMSSffffff");
const OFFSET: HeadField = text(64, 5, "offset from UTC +HHMM");
const JOB_NAME: HeadField = text(70, 10, "job name");
const JOB_USER: HeadField = text(80, 10, "job user");
const JOB_NUMBER: HeadField = text(90, 6, "job number");
const CURRENT_USER: HeadField = text(96, 10, "current user");
const CCSID: HeadField = binary(108, 4, "CCSID of the job");
const DEFAULT_CCSID: HeadField = binary(112, 4, "default CCSID of the job");
const CUT: HeadField = text(116, 1, "1: a parameter was cut");
const BLANKED: HeadField = text(117, 1, "1: a password was left out");
const PARAMETERS: HeadField = binary(120, 4, "number of parameters");

/// The head, by rising offset. Bytes between the fields are blank.
pub const HEAD: [HeadField; 17] = [
    EYE_CATCHER,
    VERSION_FIELD,
    HEAD_SIZE,
    RECORD_SIZE,
    EXIT_POINT,
    FORMAT,
    TIME,
    OFFSET,
    JOB_NAME,
    JOB_USER,
    JOB_NUMBER,
    CURRENT_USER,
    CCSID,
    DEFAULT_CCSID,
    CUT,
    BLANKED,
    PARAMETERS,
];

/// Length of the head of version 1.
pub const HEAD_LENGTH: usize = 128;

/// Version that this release reads.
pub const VERSION: u16 = 1;

/// Length of a record at most: the entry length of the data queue.
pub const MAX_RECORD: usize = 16_384;

/// `MUSTRX`, the same in every page.
const MUSTRX: [u8; 6] = [0xD4, 0xE4, 0xE2, 0xE3, 0xD9, 0xE7];

/// Whether bytes begin as a record of the exit program does, whatever follows.
#[must_use]
pub fn is_record(data: &[u8]) -> bool {
    data.starts_with(&MUSTRX)
}

/// Parameters that are read of one record; exit points have up to 19.
const MAX_PARAMETERS: usize = 32;

/// Bytes in front of each parameter.
const PARAMETER_HEAD: usize = 8;

/// EBCDIC 1.
const ONE: u8 = 0xF1;

/// Why bytes are no record of the exit program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Shorter than a head.
    #[error("the entry has {found} bytes, a record of the exit program at least {HEAD_LENGTH}")]
    Short {
        /// Bytes found.
        found: usize,
    },
    /// Something else than the exit program wrote it.
    #[error(
        "the entry does not begin as a record of the exit program does; something else writes to the queue"
    )]
    Foreign,
    /// A later exit program wrote it.
    #[error("the record has version {found}, this agent reads version {VERSION}; update the agent")]
    Version {
        /// Version found.
        found: u16,
    },
    /// The head is not where it should be.
    #[error("the record says that its head has {told} bytes, of {found} altogether")]
    Head {
        /// Length told.
        told: u32,
        /// Bytes found.
        found: usize,
    },
}

/// One parameter of the exit point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// What was kept of it.
    pub bytes: &'a [u8],
    /// Bytes that it had.
    pub whole: usize,
}

/// A record, taken apart and not yet decoded. Text is EBCDIC, blanks included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Exit point.
    pub exit_point: &'a [u8],
    /// Its format.
    pub format: &'a [u8],
    /// Local time of the partition, 20 digits.
    pub time: &'a [u8],
    /// The partition's offset from UTC, `+0100`.
    pub offset: &'a [u8],
    /// Job in which the exit program ran.
    pub job_name: &'a [u8],
    /// Its user.
    pub job_user: &'a [u8],
    /// Its number.
    pub job_number: &'a [u8],
    /// User profile that the job ran under.
    pub current_user: &'a [u8],
    /// CCSID of the job.
    pub ccsid: u32,
    /// Default CCSID of the job, for text where the CCSID is 65535.
    pub default_ccsid: u32,
    /// The exit program cut a parameter.
    pub cut: bool,
    /// The exit program left out a parameter that may hold a password.
    pub blanked: bool,
    /// The parameters that were found.
    pub parameters: SmallVec<[Parameter<'a>; 8]>,
    /// The record ends before the end of its last parameter, or tells another length than it has.
    pub damaged: bool,
}

impl<'a> Envelope<'a> {
    /// Takes a record apart. One whose parameters do not fit is read as far as it goes.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the bytes have no readable head.
    pub fn parse(data: &'a [u8]) -> Result<Self, EnvelopeError> {
        let Some(head) = data.get(..HEAD_LENGTH) else {
            let begins = &data[..data.len().min(MUSTRX.len())];
            return Err(if MUSTRX.starts_with(begins) {
                EnvelopeError::Short { found: data.len() }
            } else {
                EnvelopeError::Foreign
            });
        };
        let bytes = |field: HeadField| &head[field.offset..field.offset + field.length];
        let number =
            |field: HeadField| bytes(field).iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        if bytes(EYE_CATCHER) != MUSTRX {
            return Err(EnvelopeError::Foreign);
        }
        let version = number(VERSION_FIELD) as u16;
        if version != VERSION {
            return Err(EnvelopeError::Version { found: version });
        }
        let told = number(HEAD_SIZE);
        let Some(body) = data.get(told as usize..).filter(|_| told as usize >= HEAD_LENGTH) else {
            return Err(EnvelopeError::Head { told, found: data.len() });
        };
        let (parameters, whole) = parameters(body, number(PARAMETERS));
        Ok(Self {
            exit_point: bytes(EXIT_POINT),
            format: bytes(FORMAT),
            time: bytes(TIME),
            offset: bytes(OFFSET),
            job_name: bytes(JOB_NAME),
            job_user: bytes(JOB_USER),
            job_number: bytes(JOB_NUMBER),
            current_user: bytes(CURRENT_USER),
            ccsid: number(CCSID),
            default_ccsid: number(DEFAULT_CCSID),
            cut: bytes(CUT) == [ONE],
            blanked: bytes(BLANKED) == [ONE],
            parameters,
            damaged: !whole || number(RECORD_SIZE) as usize != data.len(),
        })
    }

    /// Bytes of a parameter, which count from 1; empty if there is none.
    #[must_use]
    pub fn parameter(&self, number: usize) -> &'a [u8] {
        let index = number.checked_sub(1);
        index.and_then(|index| self.parameters.get(index)).map_or(&[], |parameter| parameter.bytes)
    }
}

/// The parameters, and whether all of them were there to the end.
fn parameters(body: &[u8], count: u32) -> (SmallVec<[Parameter<'_>; 8]>, bool) {
    let mut rest = body;
    let mut parameters = SmallVec::new();
    let wanted = (count as usize).min(MAX_PARAMETERS);
    for _ in 0..wanted {
        let Some((head, behind)) = rest.split_first_chunk::<PARAMETER_HEAD>() else {
            return (parameters, false);
        };
        let [a, b, c, d, e, f, g, h] = *head;
        let kept = u32::from_be_bytes([a, b, c, d]) as usize;
        let whole = u32::from_be_bytes([e, f, g, h]) as usize;
        let bytes = &behind[..kept.min(behind.len())];
        parameters.push(Parameter { bytes, whole });
        if kept > behind.len() {
            return (parameters, false);
        }
        rest = &behind[kept..];
    }
    (parameters, wanted == count as usize && rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record with these parameters and nothing else in its head.
    fn record(parameters: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x40; HEAD_LENGTH];
        bytes[..6].copy_from_slice(&MUSTRX);
        bytes[6..8].copy_from_slice(&[0, 1]);
        bytes[8..12].copy_from_slice(&[0, 0, 0, 128]);
        bytes[120..124].copy_from_slice(&(parameters.len() as u32).to_be_bytes());
        for parameter in parameters {
            bytes.extend((parameter.len() as u32).to_be_bytes());
            bytes.extend((parameter.len() as u32 + 1).to_be_bytes());
            bytes.extend(*parameter);
        }
        let length = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn the_head_has_no_overlaps_and_fits() {
        for pair in HEAD.windows(2) {
            assert!(
                pair[0].offset + pair[0].length <= pair[1].offset,
                "{} and {}",
                pair[0].name,
                pair[1].name
            );
        }
        let last = HEAD[HEAD.len() - 1];
        assert!(last.offset + last.length <= HEAD_LENGTH);
    }

    #[test]
    fn parameters_keep_their_numbers() {
        let bytes = record(&[b"", b"abc", b"d"]);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(
            (envelope.parameter(1), envelope.parameter(2), envelope.parameter(3)),
            (&b""[..], &b"abc"[..], &b"d"[..])
        );
        assert_eq!((envelope.parameter(0), envelope.parameter(4)), (&b""[..], &b""[..]));
        assert_eq!(envelope.parameters[1].whole, 4);
        assert!(!envelope.damaged);
    }

    #[test]
    fn a_longer_head_is_skipped_by_its_length() {
        let mut bytes = record(&[b"abc"]);
        bytes[8..12].copy_from_slice(&[0, 0, 0, 130]);
        bytes.splice(128..128, [1, 2]);
        let length = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_be_bytes());
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!((envelope.parameter(1), envelope.damaged), (&b"abc"[..], false));
    }

    #[test]
    fn what_is_missing_is_said_and_the_rest_is_read() {
        let whole = record(&[b"abc", b"defgh"]);
        for end in HEAD_LENGTH..whole.len() {
            let envelope = Envelope::parse(&whole[..end]).unwrap();
            assert!(envelope.damaged, "{end}");
            assert!(b"abc".starts_with(envelope.parameter(1)) && b"defgh".starts_with(envelope.parameter(2)));
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(Envelope::parse(&longer).unwrap().damaged);
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        let good = record(&[]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Envelope::parse(&bytes).unwrap_err()
        };
        assert_eq!(Envelope::parse(b"").unwrap_err(), EnvelopeError::Short { found: 0 });
        assert_eq!(Envelope::parse(&good[..127]).unwrap_err(), EnvelopeError::Short { found: 127 });
        assert_eq!(Envelope::parse(b"hello").unwrap_err(), EnvelopeError::Foreign);
        assert_eq!(changed(0, 0x40), EnvelopeError::Foreign);
        assert_eq!(changed(7, 2), EnvelopeError::Version { found: 2 });
        assert_eq!(changed(11, 127), EnvelopeError::Head { told: 127, found: 128 });
        assert_eq!(
            changed(8, 1).to_string(),
            "the record says that its head has 16777344 bytes, of 128 altogether"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), count in any::<u32>(),
        ) {
            let _ = Envelope::parse(&bytes);
            let mut bytes = [record(&[]), bytes].concat();
            bytes[120..124].copy_from_slice(&count.to_be_bytes());
            let envelope = Envelope::parse(&bytes).unwrap();
            let kept: usize = envelope.parameters.iter().map(|p| p.bytes.len() + PARAMETER_HEAD).sum();
            prop_assert!(kept <= bytes.len() - HEAD_LENGTH);
        }
    }
}
