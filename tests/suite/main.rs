//! Stories of the whole system.

mod audit_source;
mod crash;
mod destinations;
mod examples;
mod fleet;
mod formats;
mod layering;
mod receivers;
