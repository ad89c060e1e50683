//! The SQL text. Every name that stands in it was checked by [`super::config`].
//!
//! Columns come in the order of [`Column`]; the last two, length and sequence, are numbers, so that they
//! can be read from the end of a row without reading the row.

use super::config::Settings;

/// Most bytes of entry data in one slice: HEX takes 16336 bytes at most.
pub const SLICE: usize = 16_336;

/// Number of columns of the statement that reads entries.
pub const COLUMNS: usize = 15;

/// Columns of the statement that reads entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Journal code.
    Code,
    /// Entry type.
    EntryType,
    /// Local time of the partition.
    Time,
    /// User profile that the entry was made under.
    User,
    /// Job name.
    JobName,
    /// Job user.
    JobUser,
    /// Job number.
    JobNumber,
    /// Program.
    Program,
    /// Its library.
    ProgramLibrary,
    /// Remote address, where the journal records it.
    RemoteAddress,
    /// Remote port.
    RemotePort,
    /// Object; blank for most audit entries.
    Object,
    /// First slice of the entry data in hex, without its trailing blanks.
    Data,
    /// Length of the entry data, blanks included.
    Length,
    /// Sequence number.
    Sequence,
}

/// Journal codes that are read: audit entries, entries that users write, and the journal's own ones. One of the
/// latter, which ends a receiver (J/NR), is always fetched: it tells without another question that reading goes on
/// in the next receiver.
const CODES: &str = "T,U,J";

/// Type of the journal's own entry that is the last of a receiver.
pub const END_OF_RECEIVER: &str = "NR";

/// Entries of one receiver from a sequence number on. Parameters: library, receiver, sequence, library,
/// receiver.
///
/// Entry data is a BLOB, which newer servers do not send as text, so it is asked for as hex digits. RTRIM of
/// a bit string removes trailing X'40', the EBCDIC blank: the blank tail of the fixed-size fields (5 KB for
/// the path name alone) stays where it is, and its length is told by LENGTH. `ordered` adds an ORDER BY,
/// for a partition that does not return entries in order; it costs a sort of the whole receiver.
#[must_use]
pub fn entries(settings: &Settings, rows: u32, ordered: bool) -> String {
    let data = slice_text(0);
    let function = display_journal(settings, "STARTING_SEQUENCE => ?, ");
    let order = if ordered { " order by D.SEQUENCE_NUMBER" } else { "" };
    format!(
        "select D.JOURNAL_CODE, D.JOURNAL_ENTRY_TYPE, D.ENTRY_TIMESTAMP, D.\"CURRENT_USER\", D.JOB_NAME, \
         D.JOB_USER, D.JOB_NUMBER, D.PROGRAM_NAME, D.PROGRAM_LIBRARY, D.REMOTE_ADDRESS, D.REMOTE_PORT, \
         D.OBJECT, {data} as DATA, length(D.ENTRY_DATA) as DATA_LENGTH, D.SEQUENCE_NUMBER \
         from {function}{order} fetch first {rows} rows only"
    )
}

/// Slice `number` (0 is the first) of the data of one entry. Parameters: library, receiver, sequence,
/// library, receiver, sequence.
#[must_use]
pub fn slice(settings: &Settings, number: usize) -> String {
    let data = slice_text(number);
    let function = display_journal(settings, "STARTING_SEQUENCE => ?, ")
        .replace("ENDING_RECEIVER_NAME => ?", "ENDING_RECEIVER_NAME => ?, ENDING_SEQUENCE => ?");
    format!("select {data} as DATA from {function} fetch first 1 rows only")
}

/// Sequence of the first entry of a receiver that was made at `local_time` (`YYYY-MM-DD HH:MM:SS.ffffff`) or
/// later. Parameters: library, receiver, library, receiver.
#[must_use]
pub fn first_since(settings: &Settings, local_time: &str) -> String {
    let function = display_journal(settings, &format!("STARTING_TIMESTAMP => timestamp '{local_time}', "));
    format!("select D.SEQUENCE_NUMBER from {function} fetch first 1 rows only")
}

/// The receiver that is attached to the journal.
#[must_use]
pub fn journal(settings: &Settings) -> String {
    format!(
        "select ATTACHED_JOURNAL_RECEIVER_LIBRARY, ATTACHED_JOURNAL_RECEIVER_NAME from QSYS2.JOURNAL_INFO \
         where JOURNAL_LIBRARY = '{}' and JOURNAL_NAME = '{}'",
        settings.library, settings.journal
    )
}

/// All receivers of the journal that are still there.
#[must_use]
pub fn receivers(settings: &Settings) -> String {
    format!(
        "select JOURNAL_RECEIVER_LIBRARY, JOURNAL_RECEIVER_NAME, ATTACH_TIMESTAMP, FIRST_SEQUENCE_NUMBER, \
         LAST_SEQUENCE_NUMBER, NEXT_JOURNAL_RECEIVER_LIBRARY, NEXT_JOURNAL_RECEIVER \
         from QSYS2.JOURNAL_RECEIVER_INFO where JOURNAL_LIBRARY = '{}' and JOURNAL_NAME = '{}' \
         order by ATTACH_TIMESTAMP",
        settings.library, settings.journal
    )
}

fn slice_text(number: usize) -> String {
    let (from, before) = (number * SLICE + 1, number * SLICE);
    let rest = if number == 0 {
        "length(D.ENTRY_DATA)".to_owned()
    } else {
        format!("length(D.ENTRY_DATA) - {before}")
    };
    format!(
        "hex(rtrim(cast(substr(D.ENTRY_DATA, {from}, min({rest}, {SLICE})) as varchar({SLICE}) for bit data)))"
    )
}

fn display_journal(settings: &Settings, start: &str) -> String {
    let types = if settings.entry_types.is_empty() {
        String::new()
    } else {
        let mut types = settings.entry_types.join(",");
        if settings.leaves_out_end() {
            types.push(',');
            types.push_str(END_OF_RECEIVER);
        }
        format!(", JOURNAL_ENTRY_TYPES => '{types}'")
    };
    format!(
        "table(QSYS2.DISPLAY_JOURNAL(JOURNAL_LIBRARY => '{}', JOURNAL_NAME => '{}', \
         STARTING_RECEIVER_LIBRARY => ?, STARTING_RECEIVER_NAME => ?, {start}\
         ENDING_RECEIVER_LIBRARY => ?, ENDING_RECEIVER_NAME => ?, JOURNAL_CODES => '{CODES}'{types})) as D",
        settings.library, settings.journal
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::model::AuditJournalSpec;

    fn settings(types: &[&str]) -> Settings {
        let entry_types = types.iter().map(ToString::to_string).collect();
        Settings::new(&AuditJournalSpec { entry_types, ..AuditJournalSpec::default() })
            .expect("good settings")
    }

    #[test]
    fn the_statement_for_entries_is_this_text() {
        assert_eq!(
            entries(&settings(&["AF", "PW"]), 500, false),
            "select D.JOURNAL_CODE, D.JOURNAL_ENTRY_TYPE, D.ENTRY_TIMESTAMP, D.\"CURRENT_USER\", D.JOB_NAME, \
             D.JOB_USER, D.JOB_NUMBER, D.PROGRAM_NAME, D.PROGRAM_LIBRARY, D.REMOTE_ADDRESS, D.REMOTE_PORT, \
             D.OBJECT, hex(rtrim(cast(substr(D.ENTRY_DATA, 1, min(length(D.ENTRY_DATA), 16336)) \
             as varchar(16336) for bit data))) as DATA, length(D.ENTRY_DATA) as DATA_LENGTH, D.SEQUENCE_NUMBER \
             from table(QSYS2.DISPLAY_JOURNAL(JOURNAL_LIBRARY => 'QSYS', JOURNAL_NAME => 'QAUDJRN', \
             STARTING_RECEIVER_LIBRARY => ?, STARTING_RECEIVER_NAME => ?, STARTING_SEQUENCE => ?, \
             ENDING_RECEIVER_LIBRARY => ?, ENDING_RECEIVER_NAME => ?, JOURNAL_CODES => 'T,U,J', \
             JOURNAL_ENTRY_TYPES => 'AF,PW,NR')) as D fetch first 500 rows only"
        );
    }

    #[test]
    fn the_end_of_a_receiver_is_asked_for_once() {
        let text = entries(&settings(&["AF", "NR"]), 500, false);
        assert!(text.contains("JOURNAL_ENTRY_TYPES => 'AF,NR')"), "{text}");
        assert!(!entries(&settings(&[]), 500, false).contains("JOURNAL_ENTRY_TYPES"));
    }

    #[test]
    fn a_later_slice_begins_where_the_one_before_ends() {
        let text = slice(&settings(&[]), 2);
        assert!(
            text.contains("substr(D.ENTRY_DATA, 32673, min(length(D.ENTRY_DATA) - 32672, 16336))"),
            "{text}"
        );
        assert!(text.contains("ENDING_RECEIVER_NAME => ?, ENDING_SEQUENCE => ?, JOURNAL_CODES"), "{text}");
    }
}
