//! The Muster controller.
#![forbid(unsafe_code)]
pub mod identity;
pub mod store;
