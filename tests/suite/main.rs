//! Stories of the whole system.

mod api_schema;
mod audit_source;
mod bad_input;
mod crash;
mod destinations;
mod examples;
mod fleet;
mod formats;
mod identity;
mod inspect;
mod layering;
mod policy_as_code;
mod receivers;
mod scale;
mod stolen_controller;
