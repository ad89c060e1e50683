//! QSYS2.DISPLAY_JOURNAL: parameters, result columns, and the walk over receivers.

use super::{Column, column, required};
use crate::journal::{Entry, Journal, Receiver};
use crate::json;
use crate::sql::compile::Expr;
use crate::sql::eval::{Env, NoRow, Row, View, eval};
use crate::sql::{SqlError, SqlType, Value};
use crate::time;
use crate::world::World;

/// Parameters by position.
pub const PARAMETERS: [&str; 23] = [
    "JOURNAL_LIBRARY",
    "JOURNAL_NAME",
    "STARTING_RECEIVER_LIBRARY",
    "STARTING_RECEIVER_NAME",
    "STARTING_TIMESTAMP",
    "STARTING_SEQUENCE",
    "JOURNAL_CODES",
    "JOURNAL_ENTRY_TYPES",
    "OBJECT_LIBRARY",
    "OBJECT_NAME",
    "OBJECT_OBJTYPE",
    "OBJECT_MEMBER",
    "USER",
    "JOB",
    "PROGRAM",
    "ENDING_RECEIVER_LIBRARY",
    "ENDING_RECEIVER_NAME",
    "ENDING_TIMESTAMP",
    "ENDING_SEQUENCE",
    "GENERATE_SYSLOG",
    "EOF_DELAY",
    "COMMIT_CYCLE",
    "INCLUDE_INTERNAL",
];

macro_rules! columns {
    ($($name:ident $text:literal $make:ident $kind:expr),* $(,)?) => {
        /// Result columns in their order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Field { $($name),* }
        const FIELDS: &[Field] = &[$(Field::$name),*];
        /// Result columns.
        #[must_use]
        pub fn columns() -> Vec<Column> { vec![$($make($text, $kind)),*] }
    };
}

columns! {
    EntryTimestamp "ENTRY_TIMESTAMP" required SqlType::Timestamp,
    SequenceNumber "SEQUENCE_NUMBER" required SqlType::Decimal(21, 0),
    JournalCode "JOURNAL_CODE" required SqlType::Char(1),
    EntryType "JOURNAL_ENTRY_TYPE" required SqlType::Char(2),
    CountOrRrn "COUNT_OR_RRN" column SqlType::Decimal(21, 0),
    EntryData "ENTRY_DATA" column SqlType::Blob(2_147_483_647),
    NullIndicators "NULL_VALUE_INDICATORS" column SqlType::Varchar(8000),
    Object "OBJECT" column SqlType::Varchar(30),
    ObjectType "OBJECT_TYPE" column SqlType::Varchar(10),
    ObjectAspDevice "OBJECT_ASP_DEVICE" column SqlType::Varchar(10),
    ObjectAspNumber "OBJECT_ASP_NUMBER" column SqlType::Smallint,
    IndicatorFlag "INDICATOR_FLAG" column SqlType::Char(1),
    CommitCycle "COMMIT_CYCLE" column SqlType::Decimal(21, 0),
    CurrentUser "CURRENT_USER" column SqlType::Varchar(10),
    UserName "USER_NAME" column SqlType::Varchar(10),
    JobName "JOB_NAME" column SqlType::Varchar(10),
    JobUser "JOB_USER" column SqlType::Varchar(10),
    JobNumber "JOB_NUMBER" column SqlType::Varchar(6),
    ThreadIdentifier "THREAD_IDENTIFIER" column SqlType::Bigint,
    ProgramName "PROGRAM_NAME" column SqlType::Varchar(10),
    ProgramLibrary "PROGRAM_LIBRARY" column SqlType::Varchar(10),
    ProgramAspDevice "PROGRAM_LIBRARY_ASP_DEVICE" column SqlType::Varchar(10),
    ProgramAspNumber "PROGRAM_LIBRARY_ASP_NUMBER" column SqlType::Smallint,
    ReceiverName "RECEIVER_NAME" column SqlType::Varchar(10),
    ReceiverLibrary "RECEIVER_LIBRARY" column SqlType::Varchar(10),
    ReceiverAspDevice "RECEIVER_ASP_DEVICE" column SqlType::Varchar(10),
    ReceiverAspNumber "RECEIVER_ASP_NUMBER" column SqlType::Smallint,
    RemoteAddress "REMOTE_ADDRESS" column SqlType::Varchar(46),
    RemotePort "REMOTE_PORT" column SqlType::Integer,
    SystemName "SYSTEM_NAME" column SqlType::Varchar(8),
    SystemSequence "SYSTEM_SEQUENCE_NUMBER" column SqlType::Decimal(21, 0),
    ReferentialConstraint "REFERENTIAL_CONSTRAINT" column SqlType::Varchar(3),
    Trigger "TRIGGER" column SqlType::Varchar(3),
    IgnoreApyRmv "IGNORE_APY_RMV" column SqlType::Varchar(3),
    MinimizedEntryData "MINIMIZED_ENTRY_DATA" column SqlType::Varchar(3),
    FileTypeIndicator "FILE_TYPE_INDICATOR" column SqlType::Char(1),
    NestedCommitLevel "NESTED_COMMIT_LEVEL" column SqlType::Integer,
    JournalIdentifier "JOURNAL_IDENTIFIER" column SqlType::VarcharBit(10),
    LogicalUnitOfWork "LOGICAL_UNIT_OF_WORK" column SqlType::Varchar(39),
    TransactionIdentifier "TRANSACTION_IDENTIFIER" column SqlType::VarcharBit(140),
    ObjectFileId "OBJECT_FILE_ID" column SqlType::VarcharBit(16),
    ParentFileId "PARENT_FILE_ID" column SqlType::VarcharBit(16),
    RelativeFileId "RELATIVE_DIRECTORY_FILE_ID" column SqlType::VarcharBit(16),
    ObjectFileName "OBJECT_FILE_NAME" column SqlType::Varchar(512),
    PathName "PATH_NAME" column SqlType::Varchar(5000),
    DloName "DLO_NAME" column SqlType::Varchar(12),
    FolderPath "FOLDER_PATH" column SqlType::Varchar(63),
    SyslogEvent "SYSLOG_EVENT" column SqlType::Varchar(2048),
    SyslogFacility "SYSLOG_FACILITY" column SqlType::Integer,
    SyslogSeverity "SYSLOG_SEVERITY" column SqlType::Integer,
    SyslogPriority "SYSLOG_PRIORITY" column SqlType::Integer,
}

/// One entry with the receiver it is in.
#[derive(Debug)]
pub struct EntryRow<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// Its receiver.
    pub receiver: &'a Receiver,
    /// Library of the receiver.
    pub library: &'a str,
    /// Name of the system.
    pub system: &'a str,
}

impl EntryRow<'_> {
    /// Appends a column as JSON without making a value of it; false for the columns that the rows of an audit
    /// journal seldom ask for, which go the long way.
    pub fn write_fast(&self, column: usize, out: &mut String) -> bool {
        let body = &self.entry.body;
        match FIELDS.get(column) {
            Some(Field::EntryTimestamp) => {
                out.push('"');
                time::write_timestamp(self.entry.at, out);
                out.push('"');
            }
            Some(Field::SequenceNumber) => out.push_str(itoa::Buffer::new().format(self.entry.sequence)),
            Some(Field::JournalCode) => json::write_text(&body.code, out),
            Some(Field::EntryType) => json::write_text(&body.entry_type, out),
            Some(Field::CurrentUser | Field::UserName) => json::write_text(&body.user, out),
            Some(Field::JobName) => json::write_text(&body.job_name, out),
            Some(Field::JobUser) => json::write_text(&body.job_user, out),
            Some(Field::JobNumber) => json::write_text(&body.job_number, out),
            Some(Field::ProgramName) => json::write_text(&body.program, out),
            Some(Field::ProgramLibrary) => json::write_text(&body.program_library, out),
            Some(Field::ReceiverName) => json::write_text(&self.receiver.name, out),
            Some(Field::ReceiverLibrary) => json::write_text(self.library, out),
            Some(Field::Object) => json::write_text(&body.object, out),
            Some(Field::RemoteAddress) => match &body.remote_address {
                Some(address) => json::write_text(address, out),
                None => out.push_str("null"),
            },
            Some(Field::RemotePort) => match &body.remote_address {
                Some(_) => out.push_str(itoa::Buffer::new().format(self.entry.remote_port)),
                None => out.push_str("null"),
            },
            _ => return false,
        }
        true
    }
}

impl Row for EntryRow<'_> {
    fn value(&self, column: usize) -> Value {
        let body = &self.entry.body;
        let Some(field) = FIELDS.get(column) else { return Value::Null };
        match field {
            Field::EntryTimestamp => Value::Timestamp(self.entry.at),
            Field::SequenceNumber => Value::sequence(self.entry.sequence),
            Field::JournalCode => body.code.as_str().into(),
            Field::EntryType => body.entry_type.as_str().into(),
            Field::CountOrRrn | Field::CommitCycle => Value::Dec(0, 0),
            Field::EntryData if body.length() == 0 => Value::Null,
            Field::EntryData => Value::Binary(body.full_data()),
            Field::Object => body.object.as_str().into(),
            Field::CurrentUser | Field::UserName => body.user.as_str().into(),
            Field::JobName => body.job_name.as_str().into(),
            Field::JobUser => body.job_user.as_str().into(),
            Field::JobNumber => body.job_number.as_str().into(),
            Field::ProgramName => body.program.as_str().into(),
            Field::ProgramLibrary => body.program_library.as_str().into(),
            Field::ProgramAspDevice | Field::ReceiverAspDevice | Field::ObjectAspDevice => "*SYSBAS".into(),
            Field::ProgramAspNumber | Field::ReceiverAspNumber | Field::ObjectAspNumber => Value::Int(1),
            Field::ReceiverName => self.receiver.name.as_str().into(),
            Field::ReceiverLibrary => self.library.into(),
            Field::RemoteAddress => body.remote_address.clone().into(),
            Field::RemotePort if body.remote_address.is_some() => {
                Value::Int(i64::from(self.entry.remote_port))
            }
            Field::SystemName => self.system.into(),
            Field::ReferentialConstraint
            | Field::Trigger
            | Field::IgnoreApyRmv
            | Field::MinimizedEntryData => "NO".into(),
            Field::IndicatorFlag | Field::FileTypeIndicator => "0".into(),
            Field::NestedCommitLevel => Value::Int(0),
            Field::RemotePort
            | Field::NullIndicators
            | Field::ObjectType
            | Field::ThreadIdentifier
            | Field::SystemSequence
            | Field::JournalIdentifier
            | Field::LogicalUnitOfWork
            | Field::TransactionIdentifier
            | Field::ObjectFileId
            | Field::ParentFileId
            | Field::RelativeFileId
            | Field::ObjectFileName
            | Field::PathName
            | Field::DloName
            | Field::FolderPath
            | Field::SyslogEvent
            | Field::SyslogFacility
            | Field::SyslogSeverity
            | Field::SyslogPriority => Value::Null,
        }
    }

    fn bytes(&self, column: usize) -> Option<View<'_>> {
        let body = &self.entry.body;
        (FIELDS.get(column) == Some(&Field::EntryData) && body.length() > 0).then(|| View {
            data: &body.data,
            blanks: body.blanks,
            bits: false,
        })
    }
}

/// A walk over receivers: where it stands, where it ends, which entries it shows.
#[derive(Debug, Clone)]
pub struct Walk {
    receiver: u64,
    index: usize,
    last_receiver: u64,
    ending_sequence: Option<u64>,
    from_time: Option<i64>,
    to_time: Option<i64>,
    codes: Vec<String>,
    types: Vec<String>,
    user: Option<String>,
    job: Option<String>,
    program: Option<String>,
    internal: bool,
}

/// CPF7053: a receiver of the range is not there.
fn bad_range(reason: u32) -> SqlError {
    SqlError::service(&format!("CPF7053: Values for RCVRNG parameter not correct; reason code {reason}."))
}

/// CPF7054: the sequence is not in the receivers of the range.
fn bad_sequence() -> SqlError {
    SqlError::service("CPF7054: FROM and TO values not valid.")
}

impl Walk {
    /// Starts a walk as the arguments want it.
    ///
    /// # Errors
    /// No such journal, no authority, no such receiver, no such sequence, wrong arguments.
    pub fn open(world: &World, user: &str, arguments: &[Option<Expr>], env: &Env) -> Result<Self, SqlError> {
        let values: Vec<Value> = arguments
            .iter()
            .map(|argument| argument.as_ref().map_or(Ok(Value::Null), |expr| eval(expr, &NoRow, env)))
            .collect::<Result<_, _>>()?;
        let text = |name: &str| -> Option<String> {
            let at = PARAMETERS.iter().position(|known| *known == name)?;
            values.get(at)?.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let number = |name: &str| -> Result<Option<u64>, SqlError> {
            let wrong = || SqlError::new(-420, "22018", "Value for cast argument not valid.");
            text(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
        };
        let at = |name: &str| -> Result<Option<i64>, SqlError> {
            let wrong =
                || SqlError::new(-180, "22007", "Syntax of date, time, or timestamp value not valid.");
            text(name).map(|text| time::parse(&text).ok_or_else(wrong)).transpose()
        };
        let journal = world.journal();
        let (library, name) =
            (text("JOURNAL_LIBRARY").unwrap_or_default(), text("JOURNAL_NAME").unwrap_or_default());
        let there =
            library == journal.plan.library && name == journal.plan.name && !world.faults().journal_missing;
        if !there {
            return Err(SqlError::service(&format!(
                "CPF9801: Object {name} in library {library} not found."
            )));
        }
        if !world.reads_audit(user) {
            return Err(SqlError::not_authorized(&library, &name, "*JRN"));
        }
        let first = starting(&journal, text("STARTING_RECEIVER_LIBRARY"), text("STARTING_RECEIVER_NAME"))?;
        let last = ending(&journal, text("ENDING_RECEIVER_LIBRARY"), text("ENDING_RECEIVER_NAME"))?;
        if last.id < first.id {
            return Err(bad_range(2));
        }
        let (from_sequence, from_time) = (number("STARTING_SEQUENCE")?, at("STARTING_TIMESTAMP")?);
        if from_sequence.is_some() && from_time.is_some() {
            return Err(SqlError::service(
                "SQ20464: STARTING_SEQUENCE and STARTING_TIMESTAMP exclude each other.",
            ));
        }
        let (receiver, index) = match from_sequence {
            None => (first.id, 0),
            Some(sequence) => position(&journal, first, last, sequence)?,
        };
        let list = |name: &str| -> Vec<String> {
            let words = text(name).unwrap_or_default();
            words.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_uppercase).collect()
        };
        Ok(Self {
            receiver,
            index,
            last_receiver: last.id,
            ending_sequence: number("ENDING_SEQUENCE")?,
            from_time,
            to_time: at("ENDING_TIMESTAMP")?,
            codes: list("JOURNAL_CODES"),
            types: list("JOURNAL_ENTRY_TYPES"),
            user: text("USER"),
            job: text("JOB"),
            program: text("PROGRAM"),
            internal: text("INCLUDE_INTERNAL").is_some_and(|text| text == "YES"),
        })
    }

    fn shows(&self, entry: &Entry) -> bool {
        let body = &entry.body;
        let any = |list: &[String], word: &str| list.is_empty() || list.iter().any(|item| item == word);
        let same =
            |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        (self.internal || !entry.internal)
            && any(&self.codes, &body.code)
            && any(&self.types, &body.entry_type)
            && same(&self.user, &body.user)
            && same(&self.program, &body.program)
            && self.from_time.is_none_or(|from| entry.at >= from)
            && self.to_time.is_none_or(|to| entry.at <= to)
            && self.job.as_ref().is_none_or(|job| {
                let full = format!("{}/{}/{}", body.job_number, body.job_user, body.job_name);
                *job == full || *job == body.job_name
            })
    }

    /// Shows the next entries to `take` until it has enough (says false) or the range ends. True at the end.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn each(
        &mut self,
        world: &World,
        mut take: impl FnMut(&EntryRow<'_>) -> Result<bool, SqlError>,
    ) -> Result<bool, SqlError> {
        let journal = world.journal();
        let system = world.scenario.system.host_name.as_str();
        while let Some(receiver) = journal.at_or_after(self.receiver) {
            if receiver.id > self.last_receiver {
                return Ok(true);
            }
            if receiver.id != self.receiver {
                self.receiver = receiver.id;
                self.index = 0;
            }
            while let Some(entry) = receiver.entries.get(self.index) {
                if self.last_receiver == receiver.id
                    && self.ending_sequence.is_some_and(|end| entry.sequence > end)
                {
                    return Ok(true);
                }
                self.index += 1;
                let row = EntryRow { entry, receiver, library: &journal.plan.receiver_library, system };
                if self.shows(entry) && !take(&row)? {
                    return Ok(false);
                }
            }
            if receiver.id == self.last_receiver {
                return Ok(true);
            }
            self.receiver = receiver.id + 1;
            self.index = 0;
        }
        Ok(true)
    }
}

fn starting(journal: &Journal, library: Option<String>, name: Option<String>) -> Result<&Receiver, SqlError> {
    let receivers = journal.receivers();
    let found = match name.as_deref().unwrap_or("*CURRENT") {
        "*CURRENT" => receivers.back(),
        "*CURCHAIN" | "*CURAVLCHN" => receivers.front(),
        "*CURSEQCHN" => receivers.iter().rfind(|receiver| receiver.reset).or_else(|| receivers.front()),
        name => return journal.receiver(&library.unwrap_or_default(), name).ok_or_else(|| bad_range(1)),
    };
    found.ok_or_else(|| bad_range(1))
}

fn ending(journal: &Journal, library: Option<String>, name: Option<String>) -> Result<&Receiver, SqlError> {
    match name.as_deref().unwrap_or("*CURRENT") {
        "*CURRENT" => journal.receivers().back().ok_or_else(|| bad_range(1)),
        name => journal.receiver(&library.unwrap_or_default(), name).ok_or_else(|| bad_range(1)),
    }
}

/// Where the first entry with that sequence or a later one lies, no further than the next sequence reset.
fn position(
    journal: &Journal,
    first: &Receiver,
    last: &Receiver,
    sequence: u64,
) -> Result<(u64, usize), SqlError> {
    if sequence < first.first {
        return Err(bad_sequence());
    }
    for receiver in journal.receivers().iter().filter(|receiver| (first.id..=last.id).contains(&receiver.id))
    {
        if receiver.reset && receiver.id != first.id {
            break;
        }
        if sequence <= receiver.last() {
            return Ok((receiver.id, receiver.seek(sequence)));
        }
    }
    Err(bad_sequence())
}
