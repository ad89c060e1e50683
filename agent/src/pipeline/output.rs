//! One destination's way of writing an event: format and framing.

use crate::destination::Delivery;
use crate::destination::frame;
use muster_shared::event::Event;
use muster_shared::format::{FormatContext, FormatError, Formatter};
use muster_shared::policy::model::{DestinationSpec, Framing, TransportSpec};

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framer {
    /// Stream transports.
    Stream(Framing),
    /// One datagram a message: no framing, the ends tell.
    Datagram,
}

impl Framer {
    /// Framing of a destination's transport.
    #[must_use]
    pub fn of(transport: &TransportSpec) -> Self {
        match transport {
            TransportSpec::Udp { .. } => Self::Datagram,
            TransportSpec::Tcp { framing, .. } | TransportSpec::Tls { framing, .. } => Self::Stream(*framing),
        }
    }
}

/// Formats and frames the events of one destination.
pub struct Output {
    formatter: Formatter,
    framer: Framer,
    scratch: Vec<u8>,
}

impl Output {
    /// # Errors
    /// [`FormatError`] when the format's settings cannot be used.
    pub fn new(spec: &DestinationSpec, context: &FormatContext) -> Result<Self, FormatError> {
        Ok(Self {
            formatter: Formatter::new(&spec.format, context)?,
            framer: Framer::of(&spec.transport),
            scratch: Vec::with_capacity(1024),
        })
    }

    /// Appends one framed message to a delivery.
    pub fn write(&mut self, event: &Event, delivery: &mut Delivery) {
        self.write_to(event, &mut delivery.bytes, &mut delivery.ends);
        delivery.newest_us = delivery.newest_us.max(event.time_us);
    }

    /// Appends one framed message and its end.
    pub fn write_to(&mut self, event: &Event, bytes: &mut Vec<u8>, ends: &mut Vec<u32>) {
        match self.framer {
            Framer::Stream(Framing::OctetCounting) => {
                self.scratch.clear();
                self.formatter.write(event, &mut self.scratch);
                frame::octet_counted(&self.scratch, bytes);
            }
            Framer::Stream(Framing::Newline) => {
                self.formatter.write(event, bytes);
                bytes.push(b'\n');
            }
            Framer::Datagram => self.formatter.write(event, bytes),
        }
        ends.push(bytes.len() as u32);
    }
}
