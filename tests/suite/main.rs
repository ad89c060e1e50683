//! Stories of the whole system.

mod crash;
mod destinations;
<<<<<<< HEAD
mod examples;
mod layering;
=======
mod receivers;
>>>>>>> e029bac (Simulated partition joined; stories listed)
