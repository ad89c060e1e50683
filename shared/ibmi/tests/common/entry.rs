//! A journal entry with the usual header.

use muster_ibmi::audit::JournalEntry;

/// Without data; the tests put in what they are about.
pub const NO_ENTRY: JournalEntry<'static> = JournalEntry {
    code: b'T',
    entry_type: *b"AF",
    sequence: 4711,
    time_us: 1_767_225_600_000_000,
    user: "BOB",
    job_name: "QPADEV0001",
    job_user: "BOB",
    job_number: "012345",
    program: "QCMD",
    program_library: "QSYS",
    remote_address: "",
    remote_port: None,
    object: "",
    data: &[],
    data_length: 0,
};
