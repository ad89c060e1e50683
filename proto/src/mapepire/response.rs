//! What a server answers. Field order is the order on the wire; nulls are written, not left out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A reply as the client reads it: the envelope, and the rows in a form of the caller's choice.
///
/// `R` is usually `Vec<Row>` with `Row` a tuple or sequence that borrows from the text; use
/// [`serde::de::IgnoredAny`] to look at the envelope alone. Whatever is absent or null is `None`.
/// The text ends with two newlines, which `serde_json::from_str` takes as blanks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
pub struct Reply<'a, R> {
    /// Id of the request; `unparseable_N` or `incomplete_N` where the server could not read one.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Did the request do what it asked for.
    pub success: bool,
    /// Why not.
    #[serde(borrow, default)]
    pub error: Option<Cow<'a, str>>,
    /// SQLSTATE; null also for errors that are no SQL errors.
    #[serde(borrow, default)]
    pub sql_state: Option<Cow<'a, str>>,
    /// SQLCODE.
    #[serde(default)]
    pub sql_rc: Option<i64>,
    /// `connect`, `getdbjob`: `NNNNNN/USER/NAME`.
    #[serde(borrow, default)]
    pub job: Option<Cow<'a, str>>,
    /// `getversion`.
    #[serde(borrow, default)]
    pub version: Option<Cow<'a, str>>,
    /// `ping`: is the database connection alive.
    #[serde(default)]
    pub db_alive: Option<bool>,
    /// Is there a result set.
    #[serde(default)]
    pub has_results: Option<bool>,
    /// −1 for a query.
    #[serde(default)]
    pub update_count: Option<i64>,
    /// `prepare_sql`: number of markers.
    #[serde(default)]
    pub parameter_count: Option<u32>,
    /// Columns and parameters.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// The rows of this block.
    #[serde(default = "none")]
    pub data: Option<R>,
    /// True only after the server saw the end: a block of exactly the rows asked for says false.
    #[serde(default)]
    pub is_done: Option<bool>,
    /// Whole milliseconds that the server took.
    #[serde(default)]
    pub execution_time: Option<u64>,
}

/// Default of `data`; `Option::default` would ask for `R: Default`.
fn none<R>() -> Option<R> {
    None
}

/// Description of a result or of a prepared statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Number of columns.
    pub column_count: usize,
    /// Server job.
    pub job: String,
    /// Columns; absent when the statement yields none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// Parameter markers; only for a prepared statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<ParameterMetadata>>,
}

/// One column. Servers up to 2.3.3 describe the columns of `prepare_sql` by name, type, display size and
/// label alone, and know no `table`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name; `00001` and so on for an expression without one.
    pub name: String,
    /// The driver's type name, e.g. `VARCHAR`, `DECIMAL`, `CHAR () FOR BIT DATA`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Widest text in characters.
    pub display_size: u32,
    /// Same as the name unless `extended metadata=true`.
    pub label: String,
    /// Digits or length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u32>,
    /// Digits after the decimal point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// Is the value made by the database.
    #[serde(default, rename = "autoIncrement", skip_serializing_if = "Option::is_none")]
    pub auto_increment: Option<bool>,
    /// 0 not null, 1 nullable, 2 unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<u8>,
    /// Can it not be written.
    #[serde(default, rename = "readOnly", skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Can it be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writeable: Option<bool>,
    /// Table it comes from; servers 2.3.4 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// One parameter marker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterMetadata {
    /// Type name.
    #[serde(rename = "type")]
    pub kind: String,
    /// IN, OUT, INOUT or UNKNOWN.
    pub mode: String,
    /// Digits or length.
    pub precision: u32,
    /// Digits after the decimal point.
    pub scale: u32,
    /// Name, where there is one.
    pub name: Option<String>,
}

/// Answer to `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectReply {
    /// Id of the request.
    pub id: String,
    /// Server job.
    pub job: String,
    /// Always true here.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// Answer to `getdbjob`: the same fields as `connect`.
pub type JobReply = ConnectReply;

/// Answer to `ping` on a connected socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReply {
    /// Id of the request.
    pub id: String,
    /// Always true: somebody answered.
    pub alive: bool,
    /// Is the database connection alive.
    pub db_alive: bool,
    /// Always true here.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// Answer to `getversion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReply {
    /// Id of the request.
    pub id: String,
    /// When the server was built.
    pub build_date: String,
    /// E.g. `2.3.5`.
    pub version: String,
    /// Always true here.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// Answer to `setconfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceReply {
    /// Id of the request.
    pub id: String,
    /// FILE or IN_MEM.
    pub tracedest: String,
    /// Level.
    pub tracelevel: String,
    /// FILE or IN_MEM, of the driver.
    pub jtopentracedest: String,
    /// Level of the driver.
    pub jtopentracelevel: String,
    /// Always true here.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// Answer to `sqlclose` and `exit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseReply {
    /// Id of the request.
    pub id: String,
    /// Always true here.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// A failure that is no SQL exception: wrong handle, wrong request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Id of the request.
    pub id: String,
    /// What went wrong.
    pub error: String,
    /// Always false.
    pub success: bool,
    /// Milliseconds.
    pub execution_time: u64,
}

/// A failure that is an SQL exception of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlErrorReply {
    /// Id of the request.
    pub id: String,
    /// `[SQLnnnn] text`, or the driver's own words.
    pub error: String,
    /// Always false.
    pub success: bool,
    /// SQLSTATE.
    pub sql_state: Option<String>,
    /// SQLCODE.
    pub sql_rc: i64,
    /// Milliseconds.
    pub execution_time: u64,
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn a_terse_reply_is_read_without_copying() {
        let text = "{\"id\":\"2\",\"has_results\":true,\"update_count\":-1,\"metadata\":{\"column_count\":2,\
                    \"job\":\"330921/QUSER/QZDASOINIT\",\"columns\":[{\"name\":\"A\",\"type\":\"INTEGER\",\
                    \"display_size\":11,\"label\":\"A\"}]},\"data\":[[1,\"x\"],[2,null]],\"is_done\":false,\
                    \"success\":true,\"execution_time\":8}\n\n";
        let reply: Reply<'_, Vec<(u32, Option<&str>)>> = serde_json::from_str(text).expect("a reply");
        assert_eq!(reply.data, Some(vec![(1, Some("x")), (2, None)]));
        assert_eq!(reply.is_done, Some(false));
        let metadata = reply.metadata.expect("there");
        assert_eq!(metadata.columns.expect("there")[0].kind, "INTEGER");
        assert_eq!(metadata.parameters, None);
    }

    #[test]
    fn a_failure_keeps_its_codes() {
        let text = r#"{"id":"4","error":"[SQL0204] NOTAB in NOLIB type *FILE not found.","success":false,"sql_state":"42704","sql_rc":-204,"execution_time":5}"#;
        let reply: Reply<'_, IgnoredAny> = serde_json::from_str(text).expect("a reply");
        assert!(!reply.success);
        assert_eq!((reply.sql_state.as_deref(), reply.sql_rc), (Some("42704"), Some(-204)));
        let reply: Reply<'_, IgnoredAny> = serde_json::from_str(
            r#"{"id":"1","error":"Not connected","success":false,"sql_state":null,"sql_rc":0,"execution_time":0}"#,
        )
        .expect("a reply");
        assert_eq!((reply.sql_state, reply.sql_rc), (None, Some(0)));
    }

    #[test]
    fn written_replies_keep_key_order() {
        let reply = SqlErrorReply {
            id: "7".into(),
            error: "Not connected".into(),
            success: false,
            sql_state: None,
            sql_rc: 0,
            execution_time: 3,
        };
        assert_eq!(
            serde_json::to_string(&reply).expect("plain"),
            r#"{"id":"7","error":"Not connected","success":false,"sql_state":null,"sql_rc":0,"execution_time":3}"#
        );
    }
}
