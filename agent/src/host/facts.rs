//! Facts about the partition that every event carries: who it is, its code page, its clock.
//!
//! Columns and views differ by release and PTF level, so nothing is asked for that the catalogue does not
//! list, and what a level or the profile's authority does not give is taken from the last known facts, or said to be
//! assumed. An error that may pass is an error: half of the facts would change the identity of events.

use super::{Host, HostError};
use muster_ibmi::ebcdic;
use muster_shared::partition::Partition;
use std::time::Duration;
use tracing::warn;

const WAIT: Duration = Duration::from_secs(30);

/// Columns of SYSTEM_STATUS_INFO that identify a partition; older levels lack some.
const STATUS_COLUMNS: [&str; 5] =
    ["SERIAL_NUMBER", "PARTITION_ID", "PARTITION_NAME", "HOST_NAME", "SYSTEM_NAME"];

/// A CCSID that says "do not convert".
const NO_CCSID: u16 = 65535;

/// Code page that is assumed when neither the partition nor the configuration names one: US English.
const FALLBACK_CCSID: u16 = 37;

/// What was read, and what is only assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The facts.
    pub partition: Partition,
    /// What is assumed since the partition does not tell it, and what to do; None when all is certain.
    pub assumed: Option<String>,
}

/// What the partition told; what it does not tell for good is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Told {
    partition: Partition,
    /// QCCSID, as it is.
    ccsid: Option<u16>,
    utc_offset_seconds: Option<i32>,
}

/// Reads the facts. `configured_ccsid` is used where the partition's QCCSID is 65535 (no conversion), has no table
/// or cannot be read, `last` for whatever this level or the profile's authority does not give (any more).
///
/// # Errors
/// The connection failed, or the partition answered with an error that may pass: nothing is assumed then,
/// since the identity of events hangs on these facts.
pub async fn read(
    host: &mut dyn Host,
    configured_ccsid: Option<u16>,
    last: Option<&Partition>,
) -> Result<Facts, HostError> {
    let mut told = Told::default();
    status(host, &mut told.partition).await?;
    environment(host, &mut told.partition).await?;
    told.ccsid = ccsid(host).await?;
    told.utc_offset_seconds = utc_offset(host).await?;
    let facts = complete(told, configured_ccsid, last);
    if let Some(reason) = &facts.assumed {
        warn!(reason, "facts of the partition are assumed");
    }
    Ok(facts)
}

/// Fills what was not told.
fn complete(told: Told, configured_ccsid: Option<u16>, last: Option<&Partition>) -> Facts {
    let Told { mut partition, ccsid, utc_offset_seconds } = told;
    // Facts of another partition (the address was changed) are none of this one's.
    let last = last.filter(|last| is_same(&partition, last));
    if let Some(last) = last {
        fill(&mut partition, last);
    }
    let mut assumed = Vec::new();
    let usable = ccsid.filter(|ccsid| ebcdic::ccsids().any(|known| known == *ccsid));
    partition.ccsid = usable.or(configured_ccsid).unwrap_or_else(|| {
        let value = last.filter(|_| ccsid.is_none()).map_or(FALLBACK_CCSID, |last| last.ccsid);
        assumed.push(format!(
            "text is read as CCSID {value}, since QCCSID of the partition is {} and none is configured; set `ccsid` \
             in the agent's configuration to the code page of the partition's users",
            match ccsid {
                None => "not readable".to_owned(),
                Some(NO_CCSID) => "65535".to_owned(),
                Some(ccsid) => format!("{ccsid}, which has no table here,"),
            }
        ));
        value
    });
    partition.utc_offset_seconds = utc_offset_seconds.unwrap_or_else(|| {
        let value = last.map_or(0, |last| last.utc_offset_seconds);
        assumed.push(format!(
            "times are taken as {value} s from UTC, since the partition tells neither CURRENT TIMEZONE nor \
             QUTCOFFSET; give the profile access to QSYS2.SYSTEM_VALUE_INFO"
        ));
        value
    });
    if partition.system_name.is_empty() {
        let name = partition.host_name.split('.').next().unwrap_or_default();
        partition.system_name = name.to_uppercase().chars().take(8).collect();
    }
    Facts { partition, assumed: (!assumed.is_empty()).then(|| assumed.join("; ")) }
}

/// Whether nothing that was told contradicts `last`.
fn is_same(told: &Partition, last: &Partition) -> bool {
    if told.serial_number.is_empty() {
        return told.host_name.is_empty() || told.host_name == last.host_name;
    }
    told.serial_number == last.serial_number
        && (told.partition_id == 0 || told.partition_id == last.partition_id)
}

/// Takes from `last` what is empty.
fn fill(partition: &mut Partition, last: &Partition) {
    let texts = [
        (&mut partition.serial_number, &last.serial_number),
        (&mut partition.partition_name, &last.partition_name),
        (&mut partition.host_name, &last.host_name),
        (&mut partition.system_name, &last.system_name),
        (&mut partition.os_release, &last.os_release),
    ];
    for (text, last) in texts {
        if text.is_empty() {
            text.clone_from(last);
        }
    }
    if partition.partition_id == 0 {
        partition.partition_id = last.partition_id;
    }
}

/// Offset of the partition's local time from UTC in seconds; None when the partition does not tell. It
/// changes with daylight saving time, so it is asked for again now and then.
///
/// # Errors
/// The connection failed, or the partition answered with an error that may pass.
pub async fn utc_offset(host: &mut dyn Host) -> Result<Option<i32>, HostError> {
    let zone = first_row(host, "select current timezone as ZONE from SYSIBM.SYSDUMMY1").await?;
    if let Some(offset) = text(&zone, 0).and_then(|zone| offset_of_timezone(&zone)) {
        return Ok(Some(offset));
    }
    let value = system_value(host, "QUTCOFFSET").await?;
    Ok(value.and_then(|value| offset_of_system_value(&value)))
}

async fn status(host: &mut dyn Host, partition: &mut Partition) -> Result<(), HostError> {
    // A level without a column is met by asking the catalogue, not by trial and error.
    let sql = "select COLUMN_NAME from QSYS2.SYSCOLUMNS2 where TABLE_SCHEMA = 'QSYS2' \
               and TABLE_NAME = 'SYSTEM_STATUS_INFO'";
    let known: Vec<String> =
        rows(host, sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    let columns: Vec<&str> = if known.is_empty() {
        STATUS_COLUMNS[..4].to_vec()
    } else {
        STATUS_COLUMNS.into_iter().filter(|column| known.iter().any(|name| name.trim() == *column)).collect()
    };
    if columns.is_empty() {
        return Ok(());
    }
    let sql = format!("select {} from QSYS2.SYSTEM_STATUS_INFO", columns.join(", "));
    let row = first_row(host, &sql).await?;
    for (index, column) in columns.iter().enumerate() {
        let Some(value) = text(&row, index) else { continue };
        match *column {
            "SERIAL_NUMBER" => partition.serial_number = value,
            "PARTITION_ID" => partition.partition_id = value.parse().unwrap_or_default(),
            "PARTITION_NAME" => partition.partition_name = value,
            "HOST_NAME" => partition.host_name = value,
            _ => partition.system_name = value,
        }
    }
    Ok(())
}

async fn environment(host: &mut dyn Host, partition: &mut Partition) -> Result<(), HostError> {
    let sql = "select HOST_NAME, OS_VERSION, OS_RELEASE from SYSIBMADM.ENV_SYS_INFO";
    let row = first_row(host, sql).await?;
    if let Some(name) = text(&row, 0) {
        partition.host_name = name;
    }
    if let (Some(version), Some(release)) = (text(&row, 1), text(&row, 2)) {
        partition.os_release = format!("V{version}R{release}M0");
    }
    Ok(())
}

async fn ccsid(host: &mut dyn Host) -> Result<Option<u16>, HostError> {
    let value = system_value(host, "QCCSID").await?;
    Ok(value.and_then(|value| value.parse().ok()))
}

async fn system_value(host: &mut dyn Host, name: &str) -> Result<Option<String>, HostError> {
    let sql = format!(
        "select CURRENT_NUMERIC_VALUE, CURRENT_CHARACTER_VALUE from QSYS2.SYSTEM_VALUE_INFO \
         where SYSTEM_VALUE_NAME = '{name}'"
    );
    let row = first_row(host, &sql).await?;
    Ok(text(&row, 0).or_else(|| text(&row, 1)))
}

type Row = Vec<Option<String>>;

async fn first_row(host: &mut dyn Host, sql: &str) -> Result<Row, HostError> {
    Ok(rows(host, sql).await?.into_iter().next().unwrap_or_default())
}

/// The rows of a statement, none when this level or the profile's authority does not give them.
async fn rows(host: &mut dyn Host, sql: &str) -> Result<Vec<Row>, HostError> {
    match host.query(sql, &[], 500, WAIT).await {
        Ok(rows) => Ok(rows.texts()),
        Err(HostError::Sql(error)) if error.is_lack() => {
            warn!(
                statement = sql,
                code = error.code,
                error = error.message,
                "partition does not tell a fact"
            );
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn text(row: &Row, index: usize) -> Option<String> {
    let value = row.get(index)?.as_deref()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Seconds of a `CURRENT TIMEZONE` value, a decimal of the form `hhmmss` with sign: `-50000` is UTC-5.
pub(crate) fn offset_of_timezone(value: &str) -> Option<i32> {
    let number: i32 = value.split('.').next()?.parse().ok()?;
    let (hours, minutes, seconds) = (number / 10_000, number / 100 % 100, number % 100);
    let offset = hours * 3600 + minutes * 60 + seconds;
    in_range(offset)
}

/// Seconds of a QUTCOFFSET value: `+0100`, `-0500`.
fn offset_of_system_value(value: &str) -> Option<i32> {
    let (sign, digits) = match value.as_bytes().first()? {
        b'-' => (-1, &value[1..]),
        b'+' => (1, &value[1..]),
        _ => (1, value),
    };
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    in_range(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// Zones lie between UTC-12 and UTC+14.
fn in_range(offset: i32) -> Option<i32> {
    (-14 * 3600..=14 * 3600).contains(&offset).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Param, Rows, SqlError, StatementId};
    use futures_util::FutureExt;
    use futures_util::future::{LocalBoxFuture, ready};

    /// Answers every question with one error.
    struct Refusing(SqlError);

    impl Host for Refusing {
        fn user(&self) -> &str {
            "MUSTER"
        }
        fn query<'a>(
            &'a mut self,
            _: &'a str,
            _: &'a [Param],
            _: u32,
            _: Duration,
        ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
            ready(Err(HostError::Sql(self.0.clone()))).boxed_local()
        }
        fn statement(&mut self, _: String) -> StatementId {
            StatementId(0)
        }
        fn execute<'a>(
            &'a mut self,
            _: StatementId,
            _: &'a [Param],
            _: u32,
            _: Duration,
        ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
            self.finish()
        }
        fn begin<'a>(
            &'a mut self,
            _: StatementId,
            _: &'a [Param],
            _: u32,
            _: Duration,
        ) -> LocalBoxFuture<'a, Result<(), HostError>> {
            ready(Ok(())).boxed_local()
        }
        fn finish(&mut self) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
            ready(Err(HostError::Sql(self.0.clone()))).boxed_local()
        }
    }

    fn known() -> Partition {
        Partition {
            serial_number: "78A1B2C".into(),
            partition_id: 3,
            partition_name: "PRODUCTION".into(),
            host_name: "prod01".into(),
            system_name: "PROD01".into(),
            os_release: "V7R4M0".into(),
            ccsid: 273,
            utc_offset_seconds: 3_600,
        }
    }

    #[tokio::test]
    async fn an_error_that_may_pass_changes_no_fact() {
        let error = |code, state: &str| SqlError { code, state: state.into(), message: "text".into() };
        for (code, state) in [(-913, "57033"), (-901, "58004"), (-443, "38501"), (-99_999, "")] {
            let read = read(&mut Refusing(error(code, state)), Some(37), Some(&known())).await;
            assert_eq!(read, Err(HostError::Sql(error(code, state))));
        }
        // What is lacking for good comes from the last time.
        for (code, state) in [(-204, "42704"), (-206, "42703"), (-551, "42501")] {
            let facts = read(&mut Refusing(error(code, state)), None, Some(&known())).await.expect("facts");
            assert_eq!(facts.partition, known());
            let reason = facts.assumed.expect("a reason");
            assert!(reason.contains("CCSID 273") && reason.contains("3600 s from UTC"), "{reason}");
        }
    }

    #[test]
    fn what_is_not_told_is_filled_and_said_to_be_assumed() {
        let told = |ccsid, utc_offset_seconds| Told { partition: known(), ccsid, utc_offset_seconds };
        let (none, last) = (None, known());
        // QCCSID, offset, configured, last known: CCSID, offset, whether each is assumed.
        let cases = [
            (told(Some(500), Some(60)), None, none, (500, 60, false, false)),
            (told(Some(500), Some(60)), Some(37), Some(&last), (500, 60, false, false)),
            (told(Some(65_535), Some(60)), Some(500), Some(&last), (500, 60, false, false)),
            // It says that there is none: what was known before is no better than a guess either.
            (told(Some(65_535), Some(60)), None, Some(&last), (37, 60, true, false)),
            // A page without a table: the configured one may be near enough.
            (told(Some(1_208), Some(60)), None, Some(&last), (37, 60, true, false)),
            (told(Some(1_208), Some(60)), Some(500), Some(&last), (500, 60, false, false)),
            (told(Some(5_035), Some(60)), Some(37), Some(&last), (5_035, 60, false, false)),
            (told(None, Some(60)), None, Some(&last), (273, 60, true, false)),
            (told(None, Some(60)), Some(500), Some(&last), (500, 60, false, false)),
            (told(Some(500), None), None, Some(&last), (500, 3_600, false, true)),
            (told(None, None), None, none, (37, 0, true, true)),
        ];
        for (told, configured, last, (ccsid, offset, ccsid_assumed, offset_assumed)) in cases {
            let name = format!("{told:?} {configured:?}");
            let facts = complete(told, configured, last);
            assert_eq!(
                (facts.partition.ccsid, facts.partition.utc_offset_seconds),
                (ccsid, offset),
                "{name}"
            );
            let reason = facts.assumed.unwrap_or_default();
            let assumed = (reason.contains("set `ccsid`"), reason.contains("times are taken"));
            assert_eq!(assumed, (ccsid_assumed, offset_assumed), "{name}");
        }
        // Another partition answers at the address.
        let partition = Partition { serial_number: "OTHER".into(), ..Partition::default() };
        let other = complete(Told { partition, ccsid: None, utc_offset_seconds: None }, None, Some(&last));
        assert_eq!((other.partition.partition_name.as_str(), other.partition.ccsid), ("", 37));
    }

    #[test]
    fn offsets_are_read_in_both_forms() {
        let zones = [
            ("10000", Some(3600)),
            ("-50000", Some(-18_000)),
            ("53000", Some(19_800)),
            ("-33000", Some(-12_600)),
            ("0", Some(0)),
            ("990000", None),
            ("x", None),
        ];
        for (value, expected) in zones {
            assert_eq!(offset_of_timezone(value), expected, "{value}");
        }
        let values = [
            ("+0100", Some(3600)),
            ("-0500", Some(-18_000)),
            ("+0530", Some(19_800)),
            ("0000", Some(0)),
            ("+1", None),
            ("", None),
            ("+9900", None),
        ];
        for (value, expected) in values {
            assert_eq!(offset_of_system_value(value), expected, "{value}");
        }
    }
}
