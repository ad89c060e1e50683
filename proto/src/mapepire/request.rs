//! What a client sends.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The request types that servers from 2.3.2 on know and this project uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// Sign on and start the server job.
    Connect,
    /// Run a statement without parameters.
    Sql,
    /// Fetch the next block of a result.
    SqlMore,
    /// Forget a handle.
    SqlClose,
    /// Prepare a statement; the request's id becomes its handle.
    #[serde(rename = "prepare_sql")]
    PrepareSql,
    /// Prepare and run a statement with parameters; the request's id becomes the handle of its result.
    #[serde(rename = "prepare_sql_execute")]
    PrepareSqlExecute,
    /// Run a prepared statement. Its own id is *not* a handle: rows beyond the first block are out of reach.
    Execute,
    /// Run a CL command.
    Cl,
    /// Version of the server; works before `connect`.
    GetVersion,
    /// Name of the server job; works before `connect`.
    GetDbJob,
    /// Trace settings of the whole server process.
    SetConfig,
    /// Is the server there, is the database connection alive.
    Ping,
    /// Close the database connection.
    Exit,
}

impl RequestKind {
    /// All kinds with their name on the wire.
    pub const ALL: [(RequestKind, &'static str); 13] = [
        (RequestKind::Connect, "connect"),
        (RequestKind::Sql, "sql"),
        (RequestKind::SqlMore, "sqlmore"),
        (RequestKind::SqlClose, "sqlclose"),
        (RequestKind::PrepareSql, "prepare_sql"),
        (RequestKind::PrepareSqlExecute, "prepare_sql_execute"),
        (RequestKind::Execute, "execute"),
        (RequestKind::Cl, "cl"),
        (RequestKind::GetVersion, "getversion"),
        (RequestKind::GetDbJob, "getdbjob"),
        (RequestKind::SetConfig, "setconfig"),
        (RequestKind::Ping, "ping"),
        (RequestKind::Exit, "exit"),
    ];

    /// The kind of that name on the wire, if there is one.
    #[must_use]
    pub fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, wire)| *wire == name).map(|(kind, _)| *kind)
    }
}

/// How the server reaches the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Technique {
    /// Through the host server (job QZDASOINIT); what all official clients ask for.
    Tcp,
    /// Through the native driver in the server's own job.
    Cli,
}

/// One value for a parameter marker. The server binds everything but null through its text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter<'a> {
    /// SQL NULL.
    Null,
    /// A whole number of at most 15 digits; send longer ones as text.
    Integer(i64),
    /// Everything else.
    Text(Cow<'a, str>),
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Parameter<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Parameter<'_> {
    /// As text: sequence numbers are DECIMAL(21,0) and may be longer than a double holds.
    fn from(number: u64) -> Self {
        Self::Text(Cow::Owned(number.to_string()))
    }
}

/// A request as the client writes it; fields that a request type does not know stay out of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request<'a> {
    /// Chosen by the client, returned in the reply. Never reuse one while a handle of that name lives.
    pub id: Cow<'a, str>,
    /// What to do.
    #[serde(rename = "type")]
    pub kind: RequestKind,
    /// Statement, for `sql`, `prepare_sql`, `prepare_sql_execute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Cow<'a, str>>,
    /// Handle, for `sqlmore`, `sqlclose`, `execute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cont_id: Option<Cow<'a, str>>,
    /// Values for the markers, for `prepare_sql_execute` and `execute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Cow<'a, [Parameter<'a>]>>,
    /// Rows wanted in one reply (the server's default is 1000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// Rows as arrays instead of objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terse: Option<bool>,
    /// Connection properties `k=v;k2=v2`, for `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub props: Option<Cow<'a, str>>,
    /// For `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technique: Option<Technique>,
    /// Name the client gives itself, for `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<Cow<'a, str>>,
    /// CL command, for `cl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// A request with nothing but its id and type: `ping`, `getversion`, `getdbjob`, `exit`.
    #[must_use]
    pub fn plain(id: impl Into<Cow<'a, str>>, kind: RequestKind) -> Self {
        Self {
            id: id.into(),
            kind,
            sql: None,
            cont_id: None,
            parameters: None,
            rows: None,
            terse: None,
            props: None,
            technique: None,
            application: None,
            cmd: None,
        }
    }

    /// `connect` through the host server, with driver properties such as `date format=iso;naming=sql`.
    #[must_use]
    pub fn connect(
        id: impl Into<Cow<'a, str>>,
        props: impl Into<Cow<'a, str>>,
        application: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            props: Some(props.into()),
            technique: Some(Technique::Tcp),
            application: Some(application.into()),
            ..Self::plain(id, RequestKind::Connect)
        }
    }

    /// `sql`: run a statement without parameters; rows come as arrays.
    #[must_use]
    pub fn sql(id: impl Into<Cow<'a, str>>, sql: impl Into<Cow<'a, str>>, rows: u32) -> Self {
        Self {
            sql: Some(sql.into()),
            rows: Some(rows),
            terse: Some(true),
            ..Self::plain(id, RequestKind::Sql)
        }
    }

    /// `prepare_sql`.
    #[must_use]
    pub fn prepare(id: impl Into<Cow<'a, str>>, sql: impl Into<Cow<'a, str>>) -> Self {
        Self { sql: Some(sql.into()), terse: Some(true), ..Self::plain(id, RequestKind::PrepareSql) }
    }

    /// `prepare_sql_execute`; rows come as arrays.
    #[must_use]
    pub fn prepare_execute(
        id: impl Into<Cow<'a, str>>,
        sql: impl Into<Cow<'a, str>>,
        parameters: impl Into<Cow<'a, [Parameter<'a>]>>,
        rows: u32,
    ) -> Self {
        Self {
            sql: Some(sql.into()),
            parameters: Some(parameters.into()),
            rows: Some(rows),
            terse: Some(true),
            ..Self::plain(id, RequestKind::PrepareSqlExecute)
        }
    }

    /// `execute` of a prepared handle; rows come as arrays, and only those of the first block can be had.
    #[must_use]
    pub fn execute(
        id: impl Into<Cow<'a, str>>,
        cont_id: impl Into<Cow<'a, str>>,
        parameters: impl Into<Cow<'a, [Parameter<'a>]>>,
        rows: u32,
    ) -> Self {
        Self {
            cont_id: Some(cont_id.into()),
            parameters: Some(parameters.into()),
            rows: Some(rows),
            terse: Some(true),
            ..Self::plain(id, RequestKind::Execute)
        }
    }

    /// `sqlmore`: the next block of a result.
    #[must_use]
    pub fn more(id: impl Into<Cow<'a, str>>, cont_id: impl Into<Cow<'a, str>>, rows: u32) -> Self {
        Self { cont_id: Some(cont_id.into()), rows: Some(rows), ..Self::plain(id, RequestKind::SqlMore) }
    }

    /// `sqlclose`: forget a handle.
    #[must_use]
    pub fn close(id: impl Into<Cow<'a, str>>, cont_id: impl Into<Cow<'a, str>>) -> Self {
        Self { cont_id: Some(cont_id.into()), ..Self::plain(id, RequestKind::SqlClose) }
    }

    /// `cl`: run a CL command; its messages come as rows.
    #[must_use]
    pub fn cl(id: impl Into<Cow<'a, str>>, cmd: impl Into<Cow<'a, str>>) -> Self {
        Self { cmd: Some(cmd.into()), terse: Some(true), ..Self::plain(id, RequestKind::Cl) }
    }

    /// The text to send.
    ///
    /// # Errors
    /// None that these fields can cause; the signature is that of the serializer.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// A request as a server reads it: every field optional and loosely typed, unknown ones ignored, so that a
/// wrong one can be answered the way a real server does.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RequestFrame {
    /// Text by contract, but clients may send anything.
    pub id: Option<Value>,
    /// Name of the request type.
    #[serde(rename = "type")]
    pub kind: Option<Value>,
    /// Statement.
    pub sql: Option<String>,
    /// Handle.
    pub cont_id: Option<String>,
    /// Must be an array, or an array of arrays for a batch.
    pub parameters: Option<Value>,
    /// A number; anything else means the default.
    pub rows: Option<Value>,
    /// Rows as arrays.
    pub terse: Option<bool>,
    /// Connection properties.
    pub props: Option<String>,
    /// `tcp` or `cli`, in any case.
    pub technique: Option<String>,
    /// Name of the client.
    pub application: Option<String>,
    /// CL command.
    pub cmd: Option<String>,
    /// `setconfig`: FILE or IN_MEM.
    pub tracedest: Option<String>,
    /// `setconfig`: OFF, ON, ERRORS, DATASTREAM, INPUT_AND_ERRORS.
    pub tracelevel: Option<String>,
    /// `setconfig`, for the driver.
    pub jtopentracedest: Option<String>,
    /// `setconfig`, for the driver.
    pub jtopentracelevel: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_reads_as_the_protocol_document_writes_it() {
        let parameters = vec![Parameter::from("AUDRCV0001"), Parameter::from(42_u64), Parameter::Null];
        let cases = [
            (
                Request::connect("1", "naming=sql;date format=iso", "agent"),
                r#"{"id":"1","type":"connect","props":"naming=sql;date format=iso","technique":"tcp","application":"agent"}"#,
            ),
            (
                Request::sql("2", "values (job_name)", 1),
                r#"{"id":"2","type":"sql","sql":"values (job_name)","rows":1,"terse":true}"#,
            ),
            (
                Request::execute("3", "p1", parameters, 2000),
                r#"{"id":"3","type":"execute","cont_id":"p1","parameters":["AUDRCV0001","42",null],"rows":2000,"terse":true}"#,
            ),
            (Request::more("4", "2", 5), r#"{"id":"4","type":"sqlmore","cont_id":"2","rows":5}"#),
            (Request::close("5", "2"), r#"{"id":"5","type":"sqlclose","cont_id":"2"}"#),
            (Request::plain("6", RequestKind::Ping), r#"{"id":"6","type":"ping"}"#),
            (
                Request::prepare("7", "select 1"),
                r#"{"id":"7","type":"prepare_sql","sql":"select 1","terse":true}"#,
            ),
        ];
        for (request, text) in cases {
            assert_eq!(request.to_json().expect("plain fields"), text);
        }
    }

    #[test]
    fn wire_names_and_serde_agree() {
        for (kind, wire) in RequestKind::ALL {
            assert_eq!(serde_json::to_string(&kind).expect("a word"), format!("\"{wire}\""));
            assert_eq!(RequestKind::from_wire(wire), Some(kind));
        }
        assert_eq!(RequestKind::from_wire("dance"), None);
    }

    #[test]
    fn a_frame_takes_what_comes() {
        let frame: RequestFrame =
            serde_json::from_str(r#"{"id":"9","type":"sql","sql":"x","rows":"many","unknown":{"a":1.5}}"#)
                .expect("an object");
        assert_eq!(frame.id, Some(Value::from("9")));
        assert_eq!(frame.rows, Some(Value::from("many")));
        assert_eq!(frame.sql.as_deref(), Some("x"));
        assert_eq!(frame.parameters, None);
    }
}
