//! Capability `io.muster.rates/v1`: cumulative counters per source and destination, and the controller's
//! wish to see them faster for a while.

pub use super::generated::{DestinationRates, RatesReport, RatesWatch, SourceRates};

use crate::opamp::CustomMessage;
use prost::Message;
use std::time::Duration;

/// Name of the capability.
pub const CAPABILITY: &str = "io.muster.rates/v1";

/// Type of [`RatesReport`], agent to controller.
pub const REPORT: &str = "report";

/// Type of [`RatesWatch`], controller to agent.
pub const WATCH: &str = "watch";

/// Fastest pace of reports.
pub const MIN_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Longest watch; whoever looks longer asks again.
pub const MAX_WATCH: Duration = Duration::from_secs(300);

/// A message of the capability.
#[derive(Debug, Clone, PartialEq)]
pub enum RatesMessage {
    /// Counters.
    Report(RatesReport),
    /// A wish for a faster pace.
    Watch(RatesWatch),
}

/// Why a custom message is none of this capability.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum RatesError {
    /// Another capability: not ours to read.
    #[error("custom message of capability `{0}` is none of `{CAPABILITY}`")]
    Capability(String),
    /// A type that this version does not know: to be ignored.
    #[error("capability `{CAPABILITY}` has no message type `{0}`")]
    Type(String),
    /// Bytes that do not decode.
    #[error("message of capability `{CAPABILITY}` does not decode")]
    Body(#[from] prost::DecodeError),
}

impl RatesMessage {
    /// Wraps it for the wire.
    #[must_use]
    pub fn to_custom(&self) -> CustomMessage {
        let (kind, data) = match self {
            Self::Report(report) => (REPORT, report.encode_to_vec()),
            Self::Watch(watch) => (WATCH, watch.encode_to_vec()),
        };
        CustomMessage { capability: CAPABILITY.to_owned(), r#type: kind.to_owned(), data }
    }

    /// Reads it from the wire.
    ///
    /// # Errors
    /// Another capability, an unknown type, or bytes that do not decode.
    pub fn from_custom(message: &CustomMessage) -> Result<Self, RatesError> {
        if message.capability != CAPABILITY {
            return Err(RatesError::Capability(message.capability.clone()));
        }
        match message.r#type.as_str() {
            REPORT => Ok(Self::Report(RatesReport::decode(message.data.as_slice())?)),
            WATCH => Ok(Self::Watch(RatesWatch::decode(message.data.as_slice())?)),
            other => Err(RatesError::Type(other.to_owned())),
        }
    }
}

impl RatesWatch {
    /// The pace and how long it holds, within the bounds; `None` ends a watch.
    #[must_use]
    pub fn bounded(&self) -> Option<(Duration, Duration)> {
        if self.interval_ms == 0 || self.expires_after_ms == 0 {
            return None;
        }
        let interval = Duration::from_millis(u64::from(self.interval_ms)).max(MIN_WATCH_INTERVAL);
        let expiry = Duration::from_millis(u64::from(self.expires_after_ms)).min(MAX_WATCH);
        Some((interval, expiry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let rates = SourceRates {
            received: 10,
            dropped_by_rule: [("no-zr".to_owned(), 3)].into(),
            lag_ms: Some(0),
            ..Default::default()
        };
        let report = RatesMessage::Report(RatesReport {
            boot_id: vec![1; 16],
            sources: [("audit".to_owned(), rates)].into(),
            ..Default::default()
        });
        let watch = RatesMessage::Watch(RatesWatch { interval_ms: 1_000, expires_after_ms: 15_000 });
        for message in [report, watch] {
            assert_eq!(RatesMessage::from_custom(&message.to_custom()), Ok(message));
        }
    }

    #[test]
    fn strangers_are_named() {
        let message = |capability: &str, kind: &str, data: &[u8]| CustomMessage {
            capability: capability.to_owned(),
            r#type: kind.to_owned(),
            data: data.to_vec(),
        };
        assert_eq!(
            RatesMessage::from_custom(&message("io.muster.rates/v2", WATCH, &[])),
            Err(RatesError::Capability("io.muster.rates/v2".to_owned()))
        );
        assert_eq!(
            RatesMessage::from_custom(&message(CAPABILITY, "stop", &[])),
            Err(RatesError::Type("stop".to_owned()))
        );
        assert!(matches!(
            RatesMessage::from_custom(&message(CAPABILITY, WATCH, &[0x08])),
            Err(RatesError::Body(_))
        ));
    }

    #[test]
    fn a_watch_stays_within_bounds() {
        let bounded = |interval_ms, expires_after_ms| RatesWatch { interval_ms, expires_after_ms }.bounded();
        assert_eq!(bounded(0, 5_000), None);
        assert_eq!(bounded(1_000, 0), None);
        assert_eq!(bounded(1, 5_000), Some((Duration::from_secs(1), Duration::from_secs(5))));
        assert_eq!(bounded(2_000, u32::MAX), Some((Duration::from_secs(2), Duration::from_secs(300))));
    }
}
