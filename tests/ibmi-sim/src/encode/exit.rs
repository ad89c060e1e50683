//! What an exit program puts on its data queue: a head and the parameters of the exit point, written from the
//! simulator's own tables.
//!
//! The simulator plays the exit program here: where an exit point hands it a password, the parameter stays empty and
//! the record says that something was left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ebcdic::{BLANK, Page};
use crate::time;

/// Longest record: the entry length of the queue.
const LONGEST: usize = 16_384;
/// Length of the head.
const HEAD: usize = 128;

/// A request at an exit point.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExitRequest {
    /// Exit point, e.g. `QIBM_QZDA_SQL2`.
    pub exit_point: String,
    /// Format, e.g. `ZDAQ0200`; may be left out where the exit point has one format only.
    pub format: String,
    /// Function: a decimal number, hexadecimal digits behind `x`, or a name for DDM.
    pub function: String,
    /// User profile of the request.
    pub user: String,
    /// Job `NNNNNN/USER/NAME`.
    pub job: String,
    /// User profile that the job runs under; that of the request where empty.
    pub current_user: String,
    /// The other values, by the names of the tables here.
    pub fields: BTreeMap<String, String>,
}

/// The request cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExitError {
    /// No table for it.
    #[error("no layout for format {format:?} of exit point {exit_point:?}; known are: {known}")]
    Unknown {
        /// What was asked for.
        exit_point: String,
        /// What was asked for.
        format: String,
        /// What there is.
        known: String,
    },
    /// The format has no such value.
    #[error("format {format} has no value {field:?}; it has: {known}")]
    Field {
        /// Format.
        format: String,
        /// What was named.
        field: String,
        /// What there is.
        known: String,
    },
    /// A value is not what its place takes.
    #[error("{field} of {format} cannot be {value:?}: {wanted}")]
    Value {
        /// Format.
        format: String,
        /// Which value.
        field: String,
        /// What was given.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
}

/// A piece of a parameter.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Text of a width.
    Text(&'static str, usize),
    /// Number of a width.
    Number(&'static str, usize),
    /// Name of the format.
    Format,
    /// Blanks.
    Blanks(usize),
    /// Text as long as it is.
    Tail(&'static str),
    /// Text as long as it is, behind its length of four bytes.
    Counted(&'static str),
    /// The same in UTF-16.
    CountedUtf16(&'static str),
    /// Names of ten characters separated by blanks, behind their number.
    Names(&'static str),
    /// A socket address `ADDRESS:PORT` in 28 bytes, behind its length.
    Socket(&'static str),
    /// The same in 20 bytes without a length, IPv4 only.
    Socket20(&'static str),
    /// Raw bytes as hex digits, behind their number.
    Key(&'static str),
    /// Marks 1 and 0 of a width.
    Marks(&'static str, usize),
}
use Part::{Blanks, Counted, CountedUtf16, Format, Key, Marks, Names, Number, Socket, Socket20, Tail, Text};

/// One parameter of an exit point.
#[derive(Debug, Clone, Copy)]
enum Parameter {
    /// An answer, which the exit program does not keep.
    Answer,
    /// A password, or what may hold one.
    Secret,
    /// Pieces one after the other.
    Area(&'static [Part]),
    /// Length of another parameter, counted from 1.
    LengthOf(usize),
}
use Parameter::{Answer, Area, LengthOf, Secret};

/// One format of one exit point.
#[derive(Debug)]
struct Shape {
    exit_point: &'static str,
    format: &'static str,
    parameters: &'static [Parameter],
}

const fn shape(exit_point: &'static str, format: &'static str, parameters: &'static [Parameter]) -> Shape {
    Shape { exit_point, format, parameters }
}

/// Head of the host servers' requests.
macro_rules! host {
    ($server:literal $(, $part:expr)*) => {
        &[Answer, Area(&[Text("user", 10), Text($server, 10), Format, Number("function", 4) $(, $part)*])]
    };
}

const REQUEST: &[Parameter] = &[
    Area(&[Number("application", 4)]),
    Area(&[Number("function", 4)]),
    Area(&[Text("user", 10)]),
    Area(&[Tail("address")]),
    LengthOf(4),
    Area(&[Tail("information")]),
    LengthOf(6),
];

const LOGON: &[Parameter] = &[
    Area(&[Number("application", 4)]),
    Area(&[Tail("user")]),
    LengthOf(2),
    Secret,
    Secret,
    Area(&[Tail("address")]),
    LengthOf(6),
];

const SHAPES: &[Shape] = &[
    shape("QIBM_QTMF_CLIENT_REQ", "VLRQ0100", REQUEST),
    shape("QIBM_QTMF_SERVER_REQ", "VLRQ0100", REQUEST),
    shape("QIBM_QTMX_SERVER_REQ", "VLRQ0100", REQUEST),
    shape("QIBM_QTOD_SERVER_REQ", "VLRQ0100", REQUEST),
    shape("QIBM_QTMF_SVR_LOGON", "TCPL0100", LOGON),
    shape("QIBM_QTMX_SVR_LOGON", "TCPL0100", LOGON),
    shape(
        "QIBM_QTG_DEVINIT",
        "INIT0100",
        &[
            Area(&[
                Number("=44", 4),
                Text("user", 10),
                Text("current library", 10),
                Text("program", 10),
                Text("menu", 10),
            ]),
            Area(&[Text("device", 10), Text("=DSPD0100", 8), Blanks(2), Number("=28", 4), Number("=0", 4)]),
            Area(&[
                Number("=61", 4),
                Socket20("remote"),
                Text("password checked", 1),
                Text("workstation type", 14),
                Text("secure", 1),
                Socket20("local"),
                Text("=0", 1),
            ]),
        ],
    ),
    shape("QIBM_QTG_DEVTERM", "TERM0100", &[Area(&[Text("device", 10)])]),
    shape("QIBM_QZSO_SIGNONSRV", "ZSOY0100", host!("=*SIGNON")),
    shape(
        "QIBM_QZDA_INIT",
        "ZDAI0100",
        host!("=*SQL", Text("interface type", 63), Text("interface name", 127), Text("interface level", 63)),
    ),
    shape(
        "QIBM_QZDA_SQL2",
        "ZDAQ0200",
        host!(
            "=*SQLSRV",
            Text("statement name", 18),
            Text("cursor name", 18),
            Number("prepare option", 2),
            Number("open attributes", 2),
            Text("package", 10),
            Text("package library", 10),
            Number("remote", 2),
            Text("commitment", 1),
            Text("collection", 10),
            Blanks(129),
            Counted("sql")
        ),
    ),
    shape(
        "QIBM_QZDA_SQL1",
        "ZDAQ0100",
        host!(
            "=*SQLSRV",
            Text("statement name", 18),
            Text("cursor name", 18),
            Number("prepare option", 2),
            Number("open attributes", 2),
            Text("package", 10),
            Text("package library", 10),
            Number("remote", 2),
            Text("commitment", 1),
            Text("sql", 512)
        ),
    ),
    shape(
        "QIBM_QZDA_NDB1",
        "ZDAD0100",
        host!(
            "=*NDB",
            Text("file", 128),
            Text("library", 10),
            Text("member", 10),
            Text("authority", 10),
            Text("based on file", 128),
            Text("based on library", 10),
            Text("override file", 10),
            Text("override library", 10),
            Text("override member", 10)
        ),
    ),
    shape("QIBM_QZDA_NDB1", "ZDAD0200", host!("=*NDB", Names("libraries"))),
    shape(
        "QIBM_QZDA_ROI1",
        "ZDAR0100",
        host!(
            "=*RTVOBJINF",
            Text("library", 20),
            Text("database", 36),
            Text("package", 20),
            Text("file", 256),
            Text("member", 20),
            Text("record format", 20)
        ),
    ),
    shape(
        "QIBM_QZDA_ROI1",
        "ZDAR0200",
        host!(
            "=*RTVOBJINF",
            Text("library", 10),
            Text("table", 128),
            Text("foreign library", 10),
            Text("foreign table", 128)
        ),
    ),
    shape("QIBM_QZRC_RMT", "CZRC0100", host!("=*RMTSRV", Number("ccsid", 4), Blanks(16), Counted("command"))),
    shape(
        "QIBM_QZHQ_DATA_QUEUE",
        "ZHQ00100",
        host!("=*DATAQSRV", Text("queue", 10), Text("library", 10), Text("relation", 2), Key("key")),
    ),
    shape(
        "QIBM_QPWFS_FILE_SERV",
        "PWFS0100",
        &[
            Answer,
            Area(&[
                Text("user", 10),
                Text("=*FILESRV", 10),
                Number("function", 4),
                Format,
                Marks("access", 4),
                CountedUtf16("name"),
            ]),
        ],
    ),
    shape(
        "QIBM_QZSC_LM",
        "ZSCL0100",
        host!(
            "=*CNTRLSRV",
            Text("client", 255),
            Text("handle", 8),
            Text("product", 7),
            Text("feature", 4),
            Text("release", 6),
            Number("information", 2)
        ),
    ),
    shape("QIBM_QZSC_SM", "ZSCS0100", host!("=*CNTRLSRV", Text("client", 255))),
    shape(
        "QIBM_QZSC_NLS",
        "ZSCN0100",
        host!("=*CNTRLSRV", Number("from", 4), Number("to", 4), Number("map type", 2)),
    ),
    shape("QIBM_QNPS_ENTRY", "ENTR0100", host!("=QNPSERVR")),
    shape(
        "QIBM_QNPS_SPLF",
        "SPLF0100",
        &[
            Answer,
            Area(&[Text("user", 10), Text("=QNPSERVR", 10), Format, Number("=269", 4)]),
            Area(&[
                Text("file job", 10),
                Text("file user", 10),
                Text("file job number", 6),
                Text("file", 10),
                Number("file number", 4),
            ]),
        ],
    ),
    shape(
        "DDMACC",
        "DDMACC",
        &[
            Answer,
            Area(&[
                Text("user", 10),
                Text("application", 10),
                Text("function", 10),
                Text("object", 10),
                Text("library", 10),
                Text("member", 10),
            ]),
        ],
    ),
    shape("QIBM_QSO_ACCEPT", "ACPT0100", &[Area(&[Socket("bound"), Socket("local"), Socket("remote")])]),
    shape("QIBM_QSO_CONNECT", "CONN0100", &[Area(&[Socket("local"), Socket("remote")])]),
    shape("QIBM_QSO_LISTEN", "LSTN0100", &[Area(&[Number("backlog", 4), Socket("local")])]),
    shape(
        "QIBM_QDB_OPEN",
        "DBOP0100",
        &[Area(&[
            Number("=61", 4),
            Format,
            Number("=64", 4),
            Number("=1", 4),
            Number("=44", 4),
            Text("=QZDASOINIT", 10),
            Text("=QUSER", 10),
            Text("=012345", 6),
            Text("user", 10),
            Text("query", 1),
            Blanks(3),
            Text("file", 10),
            Text("library", 10),
            Text("member", 10),
            Number("=0", 2),
            Number("=1", 4),
            Number("=0", 4),
            Marks("options", 4),
        ])],
    ),
];

/// Exit points and formats that can be written.
pub fn places() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHAPES.iter().map(|shape| (shape.exit_point, shape.format))
}

/// Names of the values of a format, `user` and `function` among them.
#[cfg(test)]
pub fn values(exit_point: &str, format: &str) -> Vec<&'static str> {
    SHAPES
        .iter()
        .filter(|shape| shape.exit_point == exit_point && shape.format == format)
        .flat_map(Shape::names)
        .collect()
}

impl Shape {
    fn find(request: &ExitRequest) -> Result<&'static Self, ExitError> {
        let fits = |shape: &&Self| {
            shape.exit_point == request.exit_point
                && (request.format.is_empty() || shape.format == request.format)
        };
        SHAPES.iter().find(fits).ok_or_else(|| ExitError::Unknown {
            exit_point: request.exit_point.clone(),
            format: request.format.clone(),
            known: SHAPES
                .iter()
                .map(|s| format!("{}/{}", s.exit_point, s.format))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.parameters.iter().flat_map(|parameter| match parameter {
            Area(parts) => *parts,
            Answer | Secret | LengthOf(_) => &[],
        });
        parts
            .filter_map(|part| match part {
                Text(name, _) | Number(name, _) | Marks(name, _) => Some(*name),
                Tail(name) | Counted(name) | CountedUtf16(name) | Names(name) => Some(*name),
                Socket(name) | Socket20(name) | Key(name) => Some(*name),
                Format | Blanks(_) => None,
            })
            .filter(|name| !name.starts_with('='))
    }
}

/// Writes the record of a request, as the exit program would at that local time.
///
/// # Errors
/// When there is no table for it, or a value does not fit.
pub fn write(
    request: &ExitRequest,
    page: &'static Page,
    now: i64,
    offset_minutes: i64,
) -> Result<Vec<u8>, ExitError> {
    let shape = Shape::find(request)?;
    if let Some(field) = request.fields.keys().find(|name| !shape.names().any(|known| known == *name)) {
        return Err(ExitError::Field {
            format: shape.format.to_owned(),
            field: field.clone(),
            known: shape.names().collect::<Vec<_>>().join(", "),
        });
    }
    let writer = Writer { request, shape, page };
    let mut parameters: Vec<Vec<u8>> = Vec::new();
    for parameter in shape.parameters {
        parameters.push(match parameter {
            Answer | Secret => Vec::new(),
            Area(parts) => writer.area(parts)?,
            LengthOf(number) => {
                let length = parameters.get(number - 1).map_or(0, Vec::len);
                u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec()
            }
        });
    }
    Ok(writer.record(&parameters, now, offset_minutes))
}

struct Writer<'a> {
    request: &'a ExitRequest,
    shape: &'static Shape,
    page: &'static Page,
}

impl Writer<'_> {
    /// A value as text; a name that begins with `=` is its own value.
    fn value(&self, name: &str) -> String {
        if let Some(fixed) = name.strip_prefix('=') {
            return fixed.to_owned();
        }
        let given = self.request.fields.get(name).cloned().unwrap_or_default();
        match name {
            "user" => self.request.user.clone(),
            "function" => self.request.function.clone(),
            "application" if given.is_empty() => match self.shape.exit_point {
                "QIBM_QTMF_CLIENT_REQ" => "0".to_owned(),
                "QIBM_QTMX_SERVER_REQ" | "QIBM_QTMX_SVR_LOGON" => "2".to_owned(),
                "QIBM_QTOD_SERVER_REQ" => "3".to_owned(),
                "DDMACC" => "*DDM".to_owned(),
                _ => "1".to_owned(),
            },
            _ => given,
        }
    }

    fn wrong(&self, field: &str, value: &str, wanted: &'static str) -> ExitError {
        ExitError::Value {
            format: self.shape.format.to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
            wanted,
        }
    }

    fn area(&self, parts: &[Part]) -> Result<Vec<u8>, ExitError> {
        let mut out = Vec::new();
        for part in parts {
            self.part(part, &mut out)?;
        }
        Ok(out)
    }

    fn part(&self, part: &Part, out: &mut Vec<u8>) -> Result<(), ExitError> {
        match part {
            Text(name, width) => {
                self.page.put(&self.value(name), *width, out);
            }
            Number(name, width) => out.extend(self.number(name, *width)?),
            Format => {
                self.page.put(self.shape.format, 8, out);
            }
            Blanks(width) => out.resize(out.len() + width, BLANK),
            Tail(name) => out.extend(self.bytes(&self.value(name))),
            Counted(name) => count(out, &self.bytes(&self.value(name))),
            CountedUtf16(name) => {
                let bytes: Vec<u8> = self.value(name).encode_utf16().flat_map(u16::to_be_bytes).collect();
                count(out, &bytes);
            }
            Names(name) => {
                let text = self.value(name);
                let names: Vec<&str> = text.split_whitespace().collect();
                out.extend(u32::try_from(names.len()).unwrap_or(u32::MAX).to_be_bytes());
                for name in names {
                    self.page.put(name, 10, out);
                }
            }
            Socket(name) => {
                let mut bytes = self.socket(name)?;
                out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
                bytes.resize(28, 0);
                out.extend(bytes);
            }
            Socket20(name) => {
                let mut bytes = self.socket(name)?;
                if bytes.len() > 20 {
                    return Err(self.wrong(name, &self.value(name), "an IPv4 address"));
                }
                bytes.resize(20, 0);
                out.extend(bytes);
            }
            Key(name) => {
                let text = self.value(name);
                let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
                let digits = digits.filter(|digits| digits.len() % 2 == 0);
                let digits = digits.ok_or_else(|| self.wrong(name, &text, "pairs of hex digits"))?;
                let bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
                count(out, &bytes);
            }
            Marks(name, width) => {
                let text = self.value(name);
                let text = if text.is_empty() { "0".repeat(*width) } else { text };
                if text.len() != *width || !text.chars().all(|c| matches!(c, '0' | '1')) {
                    return Err(self.wrong(name, &text, "as many 0 and 1 as there are marks"));
                }
                self.page.put(&text, *width, out);
            }
        }
        Ok(())
    }

    fn bytes(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.page.put(text, self.page.length(text), &mut out);
        out
    }

    fn number(&self, name: &str, width: usize) -> Result<Vec<u8>, ExitError> {
        let text = self.value(name);
        let parsed = match text.strip_prefix('x') {
            _ if text.is_empty() => Some(0),
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let number = parsed.ok_or_else(|| self.wrong(name, &text, "a number, or hex digits behind x"))?;
        Ok(number.to_be_bytes()[8 - width..].to_vec())
    }

    /// `sockaddr_in` or `sockaddr_in6`; nothing for no address.
    fn socket(&self, name: &str) -> Result<Vec<u8>, ExitError> {
        let text = self.value(name);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let address: std::net::SocketAddr =
            text.parse().map_err(|_| self.wrong(name, &text, "ADDRESS:PORT, [ADDRESS]:PORT for IPv6"))?;
        let mut out = Vec::new();
        match address {
            std::net::SocketAddr::V4(v4) => {
                out.extend([16, 2]);
                out.extend(v4.port().to_be_bytes());
                out.extend(v4.ip().octets());
                out.resize(16, 0);
            }
            std::net::SocketAddr::V6(v6) => {
                out.extend([28, 24]);
                out.extend(v6.port().to_be_bytes());
                out.resize(8, 0);
                out.extend(v6.ip().octets());
                out.resize(28, 0);
            }
        }
        Ok(out)
    }

    fn record(&self, parameters: &[Vec<u8>], now: i64, offset_minutes: i64) -> Vec<u8> {
        let request = self.request;
        let mut body = Vec::new();
        let mut cut = false;
        for (index, parameter) in parameters.iter().enumerate() {
            let following = 8 * (parameters.len() - index);
            let room = (LONGEST - HEAD).saturating_sub(body.len() + following);
            let kept = parameter.len().min(room);
            cut |= kept < parameter.len();
            body.extend(u32::try_from(kept).unwrap_or(u32::MAX).to_be_bytes());
            body.extend(u32::try_from(parameter.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend(&parameter[..kept]);
        }
        let left_out = self.shape.exit_point == "QIBM_QZSC_SM"
            || self.shape.exit_point == "QIBM_QTG_DEVINIT"
            || self.shape.parameters.iter().any(|parameter| matches!(parameter, Secret));
        let mut job = request.job.split('/');
        let number = job.next().filter(|number| !number.is_empty()).unwrap_or("012345");
        let user = job.next().unwrap_or("QUSER");
        let name = job.next().unwrap_or("QZDASOINIT");
        let current = if request.current_user.is_empty() { &request.user } else { &request.current_user };
        let ccsid = u32::from(self.page.ccsid).to_be_bytes();
        let mut out = Vec::with_capacity(HEAD + body.len());
        self.page.put("MUSTRX", 6, &mut out);
        out.extend(1_u16.to_be_bytes());
        out.extend(128_u32.to_be_bytes());
        out.extend(u32::try_from(HEAD + body.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.page.put(self.shape.exit_point, 20, &mut out);
        self.page.put(self.shape.format, 8, &mut out);
        let digits: String = time::timestamp(now).chars().filter(char::is_ascii_digit).collect();
        self.page.put(&digits, 20, &mut out);
        let sign = if offset_minutes < 0 { '-' } else { '+' };
        let minutes = offset_minutes.abs();
        self.page.put(&format!("{sign}{:02}{:02} ", minutes / 60, minutes % 60), 6, &mut out);
        for (text, width) in [(name, 10), (user, 10), (number, 6), (current.as_str(), 12)] {
            self.page.put(text, width, &mut out);
        }
        out.extend(ccsid);
        out.extend(ccsid);
        let flags = [cut, left_out].map(|flag| if flag { '1' } else { '0' });
        self.page.put(&flags.iter().collect::<String>(), 4, &mut out);
        out.extend(u32::try_from(parameters.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.resize(HEAD, BLANK);
        out.extend(body);
        out
    }
}

/// Appends bytes behind their number.
fn count(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(exit_point: &str, function: &str, fields: &[(&str, &str)]) -> ExitRequest {
        ExitRequest {
            exit_point: exit_point.to_owned(),
            function: function.to_owned(),
            user: "BOB".to_owned(),
            job: "004711/QTCP/QTFTP00123".to_owned(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..ExitRequest::default()
        }
    }

    fn written(request: &ExitRequest) -> Vec<u8> {
        write(request, Page::of(37).expect("known"), 1_772_368_496_123_456, 60).expect("fits")
    }

    #[test]
    fn an_ftp_request_lies_where_it_should() {
        let bytes = written(&request(
            "QIBM_QTMF_SERVER_REQ",
            "6",
            &[("address", "192.0.2.7"), ("information", "/A")],
        ));
        assert_eq!(
            &bytes[..16],
            &[0xD4, 0xE4, 0xE2, 0xE3, 0xD9, 0xE7, 0, 1, 0, 0, 0, 128, 0, 0, 0, bytes.len() as u8]
        );
        let mut time = Vec::new();
        Page::of(37).expect("known").put(
            "20260301123456123456+0100 QTFTP00123QTCP      004711BOB",
            55,
            &mut time,
        );
        assert_eq!(&bytes[44..99], &time[..]);
        assert_eq!(
            &bytes[108..128],
            &[0, 0, 0, 37, 0, 0, 0, 37, 0xF0, 0xF0, 0x40, 0x40, 0, 0, 0, 7, 0x40, 0x40, 0x40, 0x40]
        );
        // Application, function.
        assert_eq!(
            &bytes[128..152],
            &[0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 6]
        );
    }

    #[test]
    fn the_host_servers_have_their_fields_at_the_documented_places() {
        let area = |request: &ExitRequest| written(request)[128 + 16..].to_vec();
        let sql =
            area(&request("QIBM_QZDA_SQL2", "x1803", &[("collection", "PAYROLL"), ("sql", "select 1")]));
        assert_eq!(&sql[28..32], &[0, 0, 0x18, 3]);
        assert_eq!((sql[95], &sql[234..238], sql.len()), (0xD7, &[0, 0, 0, 8][..], 246));
        let native = area(&request("QIBM_QZDA_NDB1", "x1809", &[("override member", "M")]));
        assert_eq!((native[348], native.len()), (0xD4, 358));
        let info = area(&request("QIBM_QZDA_ROI1", "x1804", &[("record format", "F")]));
        assert_eq!((info[384], info.len()), (0xC6, 404));
        let command = area(&request("QIBM_QZRC_RMT", "x1002", &[("command", "WRKACTJOB")]));
        assert_eq!((&command[52..56], command[56]), (&[0, 0, 0, 9][..], 0xE6));
        let queue = area(&request("QIBM_QZHQ_DATA_QUEUE", "5", &[("queue", "Q"), ("key", "0A0b")]));
        assert_eq!(&queue[54..], &[0, 0, 0, 2, 0x0A, 0x0B]);
        let file = area(&request("QIBM_QPWFS_FILE_SERV", "5", &[("access", "1000"), ("name", "/x")]));
        assert_eq!(&file[32..], &[0xF1, 0xF0, 0xF0, 0xF0, 0, 0, 0, 4, 0, b'/', 0, b'x']);
        let licence = area(&request("QIBM_QZSC_LM", "x1003", &[("information", "1")]));
        assert_eq!(&licence[312..], &[0, 1]);
        let sockets = written(&request("QIBM_QSO_ACCEPT", "", &[("remote", "192.0.2.7:80")]))[136..].to_vec();
        assert_eq!((&sockets[64..76], sockets.len()), (&[0, 0, 0, 16, 16, 2, 0, 80, 192, 0, 2, 7][..], 96));
    }

    #[test]
    fn passwords_are_left_out_and_long_requests_cut() {
        let logon = written(&request("QIBM_QTMF_SVR_LOGON", "", &[("address", "192.0.2.7")]));
        assert_eq!((logon[116], logon[117]), (0xF0, 0xF1));
        let long = "x".repeat(20_000);
        let cut = written(&request("QIBM_QTMF_SERVER_REQ", "5", &[("information", &long)]));
        assert_eq!((cut.len(), cut[116]), (LONGEST, 0xF1));
        // The length behind it found no room for its bytes.
        assert_eq!(&cut[LONGEST - 8..], &[0, 0, 0, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |exit_point: &str, fields: &[(&str, &str)]| {
            write(&request(exit_point, "1", fields), Page::of(37).expect("known"), 0, 0)
                .expect_err("no")
                .to_string()
        };
        assert!(
            refused("QIBM_NOTHING", &[])
                .starts_with("no layout for format \"\" of exit point \"QIBM_NOTHING\"")
        );
        assert!(
            refused("QIBM_QZRC_RMT", &[("colour", "red")])
                .contains("has no value \"colour\"; it has: user, function")
        );
        assert!(refused("QIBM_QSO_LISTEN", &[("local", "here")]).contains("ADDRESS:PORT"));
        assert!(refused("QIBM_QZHQ_DATA_QUEUE", &[("key", "0")]).contains("pairs of hex digits"));
        assert!(refused("QIBM_QPWFS_FILE_SERV", &[("access", "yes")]).contains("0 and 1"));
        for (exit_point, format) in places() {
            assert!(!values(exit_point, format).is_empty());
            let request = ExitRequest { format: format.to_owned(), ..request(exit_point, "", &[]) };
            assert!(written(&request).len() > HEAD, "{exit_point} {format}");
        }
    }
}
