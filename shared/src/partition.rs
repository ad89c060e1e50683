//! What identifies one IBM i partition (LPAR).

use serde::{Deserialize, Serialize};

/// Facts that the agent reads from the partition once per connection (SYSTEM_STATUS_INFO, ENV_SYS_INFO,
/// SYSTEM_VALUE_INFO) and that every event of it carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Partition {
    /// System name (network attribute SYSNAME), at most 8 characters, e.g. `PROD01`.
    pub system_name: String,
    /// Serial number of the machine, e.g. `78A1B2C`; empty where the level does not tell it.
    pub serial_number: String,
    /// Partition number, `0` where unknown.
    pub partition_id: u32,
    /// Partition name as the hypervisor knows it; empty where unknown.
    pub partition_name: String,
    /// TCP/IP host name, used as HOST of syslog headers.
    pub host_name: String,
    /// Operating system release as `V7R5M0`.
    pub os_release: String,
    /// QCCSID of the partition, or the configured one where that is 65535.
    pub ccsid: u16,
    /// Offset of the partition's local time from UTC in seconds (QUTCOFFSET / CURRENT TIMEZONE).
    pub utc_offset_seconds: i32,
}

impl Partition {
    /// The identity that licences and histories hang on: `SERIAL-ID`, e.g. `78A1B2C-3`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.serial_number, self.partition_id)
    }
}

/// Which partition of which machine: serial number and partition number, written `78A1B2C-3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartitionKey {
    serial_number: String,
    partition_id: u32,
}

/// The text names no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no partition: write the machine's serial number and the partition's number, such as 78A1B2C-3"
)]
pub struct PartitionKeyError(String);

impl PartitionKey {
    /// Longest serial number that is taken; real ones have 7 characters.
    const MAX_SERIAL: usize = 32;

    /// From facts; `None` where the serial number is not known or is none.
    #[must_use]
    pub fn new(serial_number: &str, partition_id: u32) -> Option<Self> {
        let serial = serial_number.trim();
        let valid = !serial.is_empty()
            && serial.len() <= Self::MAX_SERIAL
            && serial.chars().all(|c| c.is_ascii_alphanumeric());
        valid.then(|| Self { serial_number: serial.to_ascii_uppercase(), partition_id })
    }
}

impl std::fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.serial_number, self.partition_id)
    }
}

impl std::str::FromStr for PartitionKey {
    type Err = PartitionKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PartitionKeyError(text.chars().take(64).collect());
        let (serial, number) = text.trim().rsplit_once(['-', '/']).ok_or_else(wrong)?;
        Self::new(serial, number.trim().parse().map_err(|_| wrong())?).ok_or_else(wrong)
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = PartitionKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PartitionKey> for String {
    fn from(key: PartitionKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_serial_and_number() {
        for (text, expected) in [("78a1b2c-3", "78A1B2C-3"), (" 78A1B2C/12 ", "78A1B2C-12")] {
            let key: PartitionKey = text.parse().unwrap();
            assert_eq!(key.to_string(), expected);
            assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{expected}\""));
        }
        for bad in ["", "78A1B2C", "-3", "78A1B2C-x", "78 1-3", "78A1B2C--3"] {
            assert!(bad.parse::<PartitionKey>().is_err(), "{bad}");
        }
        assert_eq!(PartitionKey::new("", 1), None);
    }
}
