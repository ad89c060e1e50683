//! Pure: the SQL text that looks at a data queue and empties it, and what its rows say. Names were checked by the policy.
//!
//! The bytes of an entry are asked for as hexadecimal digits, in slices that HEX takes. Columns come in one order for both
//! statements, so that one reader serves both.

use super::entry::Entry;
use crate::host::rows::{Cell, Cells};
use crate::host::{HostError, Rows};
use muster_ibmi::timestamp;

/// Most bytes that HEX takes.
const SLICE: u32 = 16_336;

/// Longest entry that a data queue can have.
pub const MAX_ENTRY: u32 = 64_512;

/// A reply is kept below so many bytes.
const REPLY_BYTES: u32 = 4 * 1024 * 1024;

/// Bytes of a row beside the digits of the data.
const ROW_BYTES: u32 = 1_024;

/// Entries that one statement takes out, largest first: each number is a statement that is prepared once.
pub const AT_ONCE: [usize; 3] = [16, 4, 1];

/// A data queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName {
    /// Its library.
    pub library: String,
    /// Its name.
    pub name: String,
}

impl QueueName {
    /// Reads LIBRARY/NAME.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (library, name) = text.split_once('/')?;
        Some(Self { library: library.to_uppercase(), name: name.to_uppercase() })
    }

    /// The arguments that name it.
    fn arguments(&self) -> String {
        format!("DATA_QUEUE => {}, DATA_QUEUE_LIBRARY => {}", quoted(&self.name), quoted(&self.library))
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.library, self.name)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// In which order entries leave the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// First in, first out.
    Fifo,
    /// Last in, first out.
    Lifo,
    /// By key.
    Keyed,
}

/// What the queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// In which order entries leave it.
    pub order: Order,
    /// Longest entry.
    pub max_length: u32,
    /// It tells who sent an entry.
    pub tells_sender: bool,
}

impl Shape {
    /// Entries that are looked at in one statement.
    #[must_use]
    pub fn rows(&self, wanted: u32) -> u32 {
        wanted.min(REPLY_BYTES / (2 * self.max_length + ROW_BYTES)).max(1)
    }

    fn slices(&self) -> u32 {
        self.max_length.clamp(1, MAX_ENTRY).div_ceil(SLICE)
    }
}

/// What the queue is: at most one row.
#[must_use]
pub fn describe(queue: &QueueName) -> String {
    format!(
        "select DATA_QUEUE_TYPE, SEQUENCE, MAXIMUM_MESSAGE_LENGTH, INCLUDE_SENDER_ID from QSYS2.DATA_QUEUE_INFO \
         where DATA_QUEUE_LIBRARY = {} and DATA_QUEUE_NAME = {}",
        quoted(&queue.library),
        quoted(&queue.name)
    )
}

/// Reads the answer to [`describe`]. None: there is no such queue that the profile may see.
///
/// # Errors
/// Why it is no queue that can be emptied.
pub fn shape(rows: &Rows) -> Result<Option<Shape>, String> {
    let Some(row) = rows.texts().into_iter().next() else { return Ok(None) };
    let text = |at: usize| row.get(at).and_then(Option::as_deref).map(str::trim).unwrap_or_default();
    if text(0) == "DDM" {
        return Err(
            "it is a DDM data queue, which leads to another system; name the queue on the system where it \
                    lies to an agent of that system"
                .to_owned(),
        );
    }
    // With or without an asterisk.
    let order = match text(1).trim_start_matches('*') {
        "FIFO" => Order::Fifo,
        "LIFO" => Order::Lifo,
        "KEYED" => Order::Keyed,
        other => return Err(format!("its sequence `{other}` is none that is known here")),
    };
    let max_length =
        text(2).parse().ok().filter(|length| (1..=MAX_ENTRY).contains(length)).unwrap_or(MAX_ENTRY);
    Ok(Some(Shape { order, max_length, tells_sender: text(3) == "YES" }))
}

/// The first entries of the queue, which stay there. `ordered`: with an ORDER BY, where they do not come in order.
#[must_use]
pub fn look(queue: &QueueName, shape: &Shape, rows: u32, ordered: bool) -> String {
    let order = if ordered { " order by ORDINAL_POSITION" } else { "" };
    format!(
        "select Q.ORDINAL_POSITION, Q.MESSAGE_ENQUEUE_TIMESTAMP, {} from table(QSYS2.DATA_QUEUE_ENTRIES({})) as Q{order} \
         fetch first {rows} rows only",
        columns(shape),
        queue.arguments()
    )
}

/// Takes so many entries out of a queue that has no keys.
#[must_use]
pub fn take(queue: &QueueName, shape: &Shape, count: usize) -> String {
    let one = take_one(queue, shape, None);
    vec![one; count.max(1)].join(" union all ")
}

/// Takes an entry of each of these keys out of a keyed queue. The first one in with that key is the first one out.
#[must_use]
pub fn take_keys(queue: &QueueName, shape: &Shape, keys: &[&[u8]]) -> String {
    let parts: Vec<String> = keys.iter().map(|key| take_one(queue, shape, Some(key))).collect();
    parts.join(" union all ")
}

/// REMOVE => 'YES' takes the entry out while the row is made. A key is written as bytes, which are converted nowhere.
fn take_one(queue: &QueueName, shape: &Shape, key: Option<&[u8]>) -> String {
    let key = key.map_or_else(String::new, |key| {
        format!(", KEY_DATA => X'{}', KEY_ORDER => 'EQ'", faster_hex::hex_string_upper(key))
    });
    format!(
        "select 0 as ORDINAL_POSITION, cast(null as timestamp) as MESSAGE_ENQUEUE_TIMESTAMP, {} \
         from table(QSYS2.RECEIVE_DATA_QUEUE({}, REMOVE => 'YES', WAIT_TIME => 0{key})) as Q",
        columns(shape),
        queue.arguments()
    )
}

/// Sender, key, length and slices of the bytes.
fn columns(shape: &Shape) -> String {
    let key = if shape.order == Order::Keyed { "hex(Q.KEY_DATA)" } else { "cast(null as varchar(512))" };
    let mut columns = format!(
        "Q.SENDER_JOB_NAME, Q.SENDER_CURRENT_USER, {key} as KEY_DIGITS, length(Q.MESSAGE_DATA_BINARY) as DATA_LENGTH"
    );
    for slice in 0..shape.slices() {
        let before = slice * SLICE;
        let from = before + 1;
        let rest = if before == 0 {
            "length(Q.MESSAGE_DATA_BINARY)".to_owned()
        } else {
            format!("length(Q.MESSAGE_DATA_BINARY) - {before}")
        };
        columns.push_str(&format!(
            ", case when length(Q.MESSAGE_DATA_BINARY) > {before} then hex(cast(substr(Q.MESSAGE_DATA_BINARY, {from}, \
             min({rest}, {SLICE})) as varchar({SLICE}) for bit data)) end as DIGITS_{slice}"
        ));
    }
    columns
}

/// One row of [`look`] or of what was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the queue, from 1; 0 for what was taken out.
    pub ordinal: u64,
    /// The entry. What of the row makes no sense is left out of it.
    pub entry: Entry,
    /// The row makes no sense, or holds another number of bytes than it says.
    pub flawed: bool,
}

/// Reads rows. Those without any data are no entries: a queue that is empty by now. `offset_seconds`: of the
/// partition's clock, east of UTC; `now_us`: the time that an entry gets that tells none.
#[must_use]
pub fn seen(rows: &Rows, offset_seconds: i32, now_us: i64) -> Vec<Seen> {
    rows.iter().filter_map(|row| read_row(row, offset_seconds, now_us)).collect()
}

fn read_row(row: &[u8], offset_seconds: i32, now_us: i64) -> Option<Seen> {
    let mut cells = Cells::new(row);
    let ordinal = cells.next();
    let time = cells.next().and_then(Cell::text);
    let sender_job = cells.next().and_then(Cell::text).unwrap_or_default().trim().to_owned();
    let sender_user = cells.next().and_then(Cell::text).unwrap_or_default().trim().to_owned();
    let (key, key_flawed) = digits(cells.next());
    let length = cells.next();
    if length == Some(Cell::Null) {
        return None;
    }
    let declared = length.and_then(Cell::unsigned).and_then(|length| u32::try_from(length).ok());
    let (mut data, mut flawed) = (Vec::new(), key_flawed || declared.is_none());
    for cell in cells {
        let (bytes, broken) = digits(Some(cell));
        data.extend(bytes);
        flawed |= broken;
    }
    let declared = declared.unwrap_or(u32::MAX);
    flawed |= declared as usize != data.len();
    let local_us = time.and_then(|time| timestamp::local_micros(time.as_bytes()));
    let enqueued_us = local_us.map_or(now_us, |local| timestamp::to_utc(local, offset_seconds));
    Some(Seen {
        ordinal: ordinal.and_then(Cell::unsigned).unwrap_or(0),
        entry: Entry {
            enqueued_us,
            local_us: local_us.unwrap_or(0),
            declared,
            key,
            sender_job,
            sender_user,
            data,
        },
        flawed,
    })
}

/// Bytes of hexadecimal digits, and whether they are none.
fn digits(cell: Option<Cell<'_>>) -> (Vec<u8>, bool) {
    let Some(text) = cell.and_then(Cell::text) else {
        return (Vec::new(), !matches!(cell, Some(Cell::Null)));
    };
    let mut bytes = vec![0; text.len() / 2];
    match faster_hex::hex_decode(&text.as_bytes()[..bytes.len() * 2], &mut bytes) {
        Ok(_) => (bytes, text.len() % 2 != 0),
        // What is there is kept as it came.
        Err(_) => (text.as_bytes().to_vec(), true),
    }
}

/// Whether entries came in the order of the queue, from its front on.
#[must_use]
pub fn in_order(seen: &[Seen]) -> bool {
    seen.iter().zip(1..).all(|(seen, place)| seen.ordinal == place)
}

/// What to tell people of an error that only they can mend; None for one that may pass.
#[must_use]
pub fn advice(error: &HostError, queue: &QueueName, user: &str) -> Option<String> {
    let sql = error.sql()?;
    let QueueName { library, name } = queue;
    let authority = format!(
        "the profile needs *OBJOPR and *READ on the queue and *EXECUTE on its library: GRTOBJAUT OBJ({library}/{name}) \
         OBJTYPE(*DTAQ) USER({user}) AUT(*OBJOPR *READ), GRTOBJAUT OBJ(QSYS/{library}) OBJTYPE(*LIB) USER({user}) \
         AUT(*EXECUTE)"
    );
    if sql.not_authorized() {
        return Some(format!(
            "{user} may not read data queue {library}/{name} ({}); {authority}",
            sql.message
        ));
    }
    if sql.not_found_object() && sql.message.contains(name.as_str()) {
        return Some(missing(queue, user));
    }
    sql.is_lack().then(|| {
        format!(
            "the partition lacks an SQL service that reading data queue {library}/{name} needs ({}); IBM i 7.4 or later, \
             or 7.3 with a current Db2 PTF group, is needed",
            sql.message
        )
    })
}

/// The queue is not there, or cannot be seen.
#[must_use]
pub fn missing(queue: &QueueName, user: &str) -> String {
    let QueueName { library, name } = queue;
    format!(
        "data queue {library}/{name} does not exist, or {user} may not see it. To create it: CRTDTAQ \
         DTAQ({library}/{name}) MAXLEN(16384) SEQ(*FIFO) SENDERID(*YES) AUT(*EXCLUDE). If it exists: GRTOBJAUT \
         OBJ({library}/{name}) OBJTYPE(*DTAQ) USER({user}) AUT(*OBJOPR *READ), GRTOBJAUT OBJ(QSYS/{library}) \
         OBJTYPE(*LIB) USER({user}) AUT(*EXECUTE). It is looked for again and again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SqlError;

    fn queue() -> QueueName {
        QueueName::parse("payroll/events").unwrap()
    }

    fn shape_of(order: Order, max_length: u32) -> Shape {
        Shape { order, max_length, tells_sender: true }
    }

    fn rows(text: &str) -> Rows {
        Rows::from_json(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_queue_tells_what_it_is() {
        let told = |text: &str| shape(&rows(text));
        assert_eq!(told("[]"), Ok(None));
        assert_eq!(
            told(r#"[["STANDARD","FIFO",1024,"YES"]]"#),
            Ok(Some(Shape { order: Order::Fifo, max_length: 1024, tells_sender: true }))
        );
        assert_eq!(
            told(r#"[["STANDARD","*KEYED","99999","NO"]]"#),
            Ok(Some(Shape { order: Order::Keyed, max_length: MAX_ENTRY, tells_sender: false }))
        );
        assert_eq!(told(r#"[["STANDARD","LIFO",null,null]]"#).unwrap().unwrap().order, Order::Lifo);
        assert!(told(r#"[["DDM",null,null,null]]"#).unwrap_err().contains("another system"));
        assert!(told(r#"[["STANDARD","ODD",1,"NO"]]"#).unwrap_err().contains("ODD"));
    }

    #[test]
    fn a_reply_stays_small_whatever_the_entries_are() {
        for (length, expected) in [(100, 500), (1_024, 500), (16_336, 124), (MAX_ENTRY, 32)] {
            assert_eq!(shape_of(Order::Fifo, length).rows(500), expected, "{length}");
        }
        assert_eq!(shape_of(Order::Fifo, 100).rows(0), 1);
        for (length, slices) in [(1, 1), (16_336, 1), (16_337, 2), (MAX_ENTRY, 4)] {
            assert_eq!(
                look(&queue(), &shape_of(Order::Fifo, length), 1, false).matches("DIGITS_").count(),
                slices
            );
        }
    }

    #[test]
    fn looking_leaves_entries_and_taking_takes_as_many_as_are_meant() {
        let fifo = shape_of(Order::Fifo, 100);
        let text = look(&queue(), &fifo, 500, false);
        assert!(
            text.contains("DATA_QUEUE_ENTRIES(DATA_QUEUE => 'EVENTS', DATA_QUEUE_LIBRARY => 'PAYROLL')"),
            "{text}"
        );
        assert!(text.ends_with("as Q fetch first 500 rows only"), "{text}");
        assert!(!text.contains("RECEIVE_DATA_QUEUE") && !text.contains("hex(Q.KEY_DATA)"), "{text}");
        assert!(look(&queue(), &fifo, 5, true).contains(" order by ORDINAL_POSITION fetch first 5 "));
        for count in AT_ONCE {
            let text = take(&queue(), &fifo, count);
            assert_eq!(text.matches("REMOVE => 'YES', WAIT_TIME => 0)").count(), count);
            assert_eq!(text.matches(" union all ").count(), count - 1);
        }
        let text = take_keys(&queue(), &shape_of(Order::Keyed, 100), &[&[0xC1, 0x00], &[0xC2, 0x40]]);
        assert!(text.contains("WAIT_TIME => 0, KEY_DATA => X'C100', KEY_ORDER => 'EQ')"), "{text}");
        assert!(
            text.contains("KEY_DATA => X'C240'") && text.contains("hex(Q.KEY_DATA) as KEY_DIGITS"),
            "{text}"
        );
        let odd = QueueName { library: "A".into(), name: "B'C".into() };
        assert!(describe(&odd).ends_with("DATA_QUEUE_NAME = 'B''C'"));
    }

    #[test]
    fn rows_become_entries() {
        let text = r#"[
            [1,"2026-03-01 04:05:06.789012","123456/BOB/NIGHT ","BOB","C1",3,"C1C2C3"],
            [2,null,null,null,null,0,null],
            [3,"nonsense",null,null,null,5,"C1C2","C3"],
            [4,null,null,null,null,2,"C1C"],
            [5,null,null,null,null,null,null],
            ["x"],
            [6,null,null,null,null,1,"ZZ"]
        ]"#;
        let found = seen(&rows(text), 3_600, 99);
        let first = &found[0];
        assert_eq!((first.ordinal, first.flawed), (1, false));
        assert_eq!(
            first.entry,
            Entry {
                enqueued_us: 1_772_334_306_789_012,
                local_us: 1_772_337_906_789_012,
                declared: 3,
                key: vec![0xC1],
                sender_job: "123456/BOB/NIGHT".to_owned(),
                sender_user: "BOB".to_owned(),
                data: vec![0xC1, 0xC2, 0xC3],
            }
        );
        let rest: Vec<_> = found[1..]
            .iter()
            .map(|s| (s.ordinal, s.flawed, s.entry.enqueued_us, &s.entry.data[..]))
            .collect();
        assert_eq!(
            rest,
            [
                (2, false, 99, &[][..]),
                (3, true, 99, &[0xC1, 0xC2, 0xC3]),
                (4, true, 99, &[0xC1]),
                (0, true, 99, &[]),
                (6, true, 99, b"ZZ"),
            ]
        );
        assert!(!in_order(&found) && in_order(&found[..3]) && in_order(&[]));
    }

    #[test]
    fn advice_for_what_people_have_to_mend() {
        let sql = |code: i64, state: &str, message: &str| {
            HostError::Sql(SqlError { code, state: state.to_owned(), message: message.to_owned() })
        };
        let advice = |error: &HostError| advice(error, &queue(), "MUSTER");
        let denied =
            advice(&sql(-443, "38501", "CPF9802: Not authorized to object EVENTS in PAYROLL.")).unwrap();
        assert!(
            denied.contains("GRTOBJAUT OBJ(PAYROLL/EVENTS) OBJTYPE(*DTAQ) USER(MUSTER) AUT(*OBJOPR *READ)")
        );
        let gone =
            advice(&sql(-443, "38501", "CPF9801: Object EVENTS in library PAYROLL not found.")).unwrap();
        assert!(gone.contains("CRTDTAQ DTAQ(PAYROLL/EVENTS)"), "{gone}");
        let old = advice(&sql(-204, "42704", "DATA_QUEUE_ENTRIES in QSYS2 type *N not found.")).unwrap();
        assert!(old.contains("lacks an SQL service"), "{old}");
        assert_eq!(advice(&sql(-913, "57033", "Row or object in use.")), None);
        let broken = HostError::Dropped { address: "a:1".into(), reason: String::new() };
        assert_eq!(advice(&broken), None);
    }
}
