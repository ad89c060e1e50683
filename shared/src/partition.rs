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
