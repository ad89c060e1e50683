//! Policy: what a partition collects, what is filtered, how grave it is, and where it goes.
//!
//! A [`model::PolicyDocument`] is what a person writes (YAML). All documents whose selector matches a
//! partition are merged into one [`model::EffectivePolicy`], which the agent compiles and runs.
pub mod model;
