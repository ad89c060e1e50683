//! Who is who: the controller's own certification authority, enrolment tokens, agents' certificates.

pub mod authority;
pub mod ca;
pub mod decide;
pub mod enrol;
pub mod expiry;
pub mod file;
pub mod foreign;
pub mod life;
pub mod peer;
pub mod pending;
pub mod roll_over;
pub mod secret;
pub mod tls;
pub mod token;
