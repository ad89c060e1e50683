//! Facts about the partition that every event carries: who it is, its code page, its clock.
//!
//! Columns and views differ by release and PTF level, so nothing is asked for that the catalogue does not
//! list, and what a level or the profile's authority does not give stays empty rather than failing.

use super::{Host, HostError};
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

/// Reads the facts. `configured_ccsid` is used where the partition's QCCSID is 65535 (no conversion) or
/// cannot be read.
///
/// # Errors
/// The connection failed. SQL errors are no failure: the fact stays empty and a warning is logged.
pub async fn read(host: &mut dyn Host, configured_ccsid: Option<u16>) -> Result<Partition, HostError> {
    let mut partition = Partition::default();
    status(host, &mut partition).await?;
    environment(host, &mut partition).await?;
    partition.ccsid = ccsid(host).await?.or(configured_ccsid).unwrap_or_else(|| {
        warn!(ccsid = FALLBACK_CCSID, "QCCSID of the partition is not usable and none is configured");
        FALLBACK_CCSID
    });
    partition.utc_offset_seconds = utc_offset(host).await?.unwrap_or_else(|| {
        warn!("offset of the partition from UTC is unknown, its times are taken as UTC");
        0
    });
    if partition.system_name.is_empty() {
        let name = partition.host_name.split('.').next().unwrap_or_default();
        partition.system_name = name.to_uppercase().chars().take(8).collect();
    }
    Ok(partition)
}

/// Offset of the partition's local time from UTC in seconds; None when the partition does not tell. It
/// changes with daylight saving time, so it is asked for again now and then.
///
/// # Errors
/// The connection failed.
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
    Ok(value.and_then(|value| value.parse().ok()).filter(|ccsid| *ccsid != NO_CCSID && *ccsid != 0))
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

/// The rows of a statement, none when the partition answers with an SQL error.
async fn rows(host: &mut dyn Host, sql: &str) -> Result<Vec<Row>, HostError> {
    match host.query(sql, &[], 500, WAIT).await {
        Ok(rows) => Ok(rows.texts()),
        Err(HostError::Sql(error)) => {
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
fn offset_of_timezone(value: &str) -> Option<i32> {
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
