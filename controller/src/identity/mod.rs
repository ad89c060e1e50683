//! Who is who: the controller's own certification authority, enrolment tokens, agents' certificates.

pub mod ca;
pub mod enrol;
pub mod file;
pub mod peer;
pub mod secret;
pub mod tls;
pub mod token;
