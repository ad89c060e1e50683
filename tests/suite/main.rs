//! Stories of the whole system.

mod crash;
mod destinations;
mod examples;
mod layering;
mod receivers;
