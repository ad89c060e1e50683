//! Stories of the whole system.

mod destinations;
