//! Waiting for something to become true, and proving that something does not.

use std::time::{Duration, Instant};

/// Pause between two looks. Stories look at files, sockets and replies; nothing announces their change.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until `look` gives a value, at most for `limit`.
///
/// # Panics
/// After `limit`, with `what` and the last complaint of `look`.
pub fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return value,
            Err(complaint) if Instant::now() >= end => {
                panic!("not within {limit:?}: {what}; at last: {complaint}")
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Like [`eventually`] for a condition without a value.
///
/// # Panics
/// After `limit`.
pub fn eventually_true(what: &str, limit: Duration, mut look: impl FnMut() -> bool) {
    eventually(what, limit, || if look() { Ok(()) } else { Err("still not".to_owned()) });
}

/// Looks for the whole `window` and panics as soon as `look` gives a complaint.
///
/// # Panics
/// When the thing that must not happen happens.
pub fn never(what: &str, window: Duration, mut look: impl FnMut() -> Option<String>) {
    let end = Instant::now() + window;
    while Instant::now() < end {
        if let Some(complaint) = look() {
            panic!("must never happen: {what}: {complaint}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
