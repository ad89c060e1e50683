//! Stories of the whole system.

mod audit_source;
mod crash;
mod destinations;
mod examples;
mod layering;
mod receivers;
