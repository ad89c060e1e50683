//! Policy: what a partition collects, what is filtered, how grave it is, and where it goes.
//!
//! A [`model::PolicyDocument`] is what a person writes (YAML). It is read by [`parse`], checked by
//! [`validate`], and all documents whose selector matches a partition are merged ([`merge()`]) into one
//! [`model::EffectivePolicy`], which the agent compiles ([`compile`]) and runs on every event. [`diff`] tells
//! people what changes between two of them and whether the new one sees less.
//!
//! Promises: nothing here touches a file, a clock or a socket; a policy that [`compile::CompiledPolicy::compile`]
//! accepts can run. Refuses: guessing. A field that is not known, a name that refers to nothing or two
//! documents that disagree with equal priority are errors that name the place.
pub mod compile;
pub mod conditions;
pub mod diff;
pub mod expression;
pub mod filter;
mod index;
pub mod limits;
pub mod merge;
pub mod model;
pub mod parse;
pub mod path;
pub mod pattern;
pub mod preview;
pub mod provenance;
mod raw;
pub mod replay;
pub mod route;
pub mod schema;
pub mod signature;
pub mod throttle;
pub mod time;
pub mod validate;

pub use compile::{CompiledPolicy, Fault, PolicyError, RuleIndex, Verdict};
pub use filter::EventSource;
pub use merge::{Merged, merge};
pub use parse::{ParseError, parse_document, parse_effective, parse_spec};
pub use validate::{Level, Problem, validate_document, validate_effective, validate_spec};
