//! Stories of the whole system.

mod audit_source;
mod crash;
mod destinations;
mod examples;
mod formats;
mod fleet;
mod layering;
mod receivers;
