//! Payloads of Muster's own: the enrolment token, and what custom OpAMP capabilities carry.

pub mod fingerprint;
pub mod foreign_token;
pub mod inspect;
pub mod lease;
pub mod rates;
pub mod token;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/muster.v1.rs"));
}

pub use foreign_token::ForeignToken;
pub use token::EnrolmentToken;
