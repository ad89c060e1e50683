//! One destination's way of writing an event: format and framing.

use crate::destination::Delivery;
use crate::destination::config::DestinationConfig;
use crate::destination::frame::{FrameCounts, Framer};
use muster_shared::event::Event;
use muster_shared::format::{FormatContext, FormatError, Formatter};

/// Formats and frames the events of one destination.
pub struct Output {
    formatter: Formatter,
    framer: Framer,
}

impl Output {
    /// # Errors
    /// [`FormatError`] when the format's settings cannot be used.
    pub fn new(config: &DestinationConfig, context: &FormatContext) -> Result<Self, FormatError> {
        Ok(Self { formatter: Formatter::new(&config.format, context)?, framer: config.framer() })
    }

    /// Appends one framed message to a delivery.
    pub fn write(&mut self, event: &Event, delivery: &mut Delivery) {
        self.write_to(event, &mut delivery.bytes, &mut delivery.ends);
        delivery.newest_us = delivery.newest_us.max(event.time_us);
    }

    /// Appends one framed message and its end.
    pub fn write_to(&mut self, event: &Event, bytes: &mut Vec<u8>, ends: &mut Vec<u32>) {
        let formatter = &mut self.formatter;
        self.framer.message(bytes, ends, |out| formatter.write(event, out));
    }

    /// Cuts and replacements since the last call.
    pub fn take_counts(&mut self) -> FrameCounts {
        self.framer.take_counts()
    }
}
