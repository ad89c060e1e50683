//! Payloads of Muster's own: the enrolment token, and what custom OpAMP capabilities carry.

pub mod fingerprint;
pub mod rates;
pub mod token;

pub use token::EnrolmentToken;
