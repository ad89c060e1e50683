//! Stories of the whole system.

mod destinations;
mod examples;
mod layering;
