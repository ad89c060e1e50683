//! Whose signatures count.

/// The keys of the vendor, as minisign prints them, separated by blanks; compiled in where a release is built.
#[cfg(feature = "release")]
const RELEASE_KEYS: [&str; 1] =
    [env!("MUSTER_LICENCE_KEY", "a build for release needs the vendor's public licence key")];

/// Whose signatures count.
#[cfg(feature = "release")]
pub(super) const KEYS: &[&str] = &RELEASE_KEYS;

/// Whose signatures count: the key for development, whose other half is in `controller/vendor/keys`.
#[cfg(not(feature = "release"))]
pub(super) const KEYS: &[&str] = &[include_str!("../../vendor/keys/licence-dev.pub").trim_ascii()];
