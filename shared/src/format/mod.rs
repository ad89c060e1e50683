//! Formats: an [`crate::event::Event`] becomes the bytes that a SIEM reads.
