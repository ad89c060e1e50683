//! Stories of the whole system.

mod audit_source;
mod crash;
mod destinations;
mod examples;
mod formats;
mod layering;
mod receivers;
