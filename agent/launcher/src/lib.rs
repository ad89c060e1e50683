//! The launcher starts an agent, watches it, and switches it to another version and back.
//!
//! An agent that replaced itself could not come back from a version that does not start. So a small program that hardly
//! ever changes stands above it: the operating system's package brings it, and no upgrade touches it.
//!
//! ```text
//!               order.json            launch.json
//!   agent ──────────────────▸ launcher ──────────▸ agent (reads what became of its order)
//!     ▴   its own program     decide: which one, is it well, back
//!     └──────────────────────── start, standard streams, SIGTERM
//! ```
//! Promises: whatever is on the disk, something is started; a package is started only if it is, byte for byte, what a key
//! signed that this program was built with or that a statement of such keys names; an order ends with one outcome, which is stored before anything else happens;
//! a power cut at any moment leaves the old or the new state and never a version that is tried for ever.
//! Refuses: to run twice on one state folder, and to believe a file that is not of the known form.
//!
//! What is decided is in [`decide`], a function of values; [`verify`] and [`store`] read and write files, [`child`] is the
//! process of the agent, and [`run`] carries out what was decided. What both sides agreed on is in
//! [`muster_package::slots`].
#![forbid(unsafe_code)]

pub mod child;
pub mod config;
pub mod decide;
pub mod lock;
pub mod output;
pub mod run;
pub mod store;
pub mod verify;

/// Says something to who runs the launcher: a line to standard error, which the service manager keeps. Unlike `eprintln!`
/// it goes on when nobody listens there: an agent must not end because of its launcher's log.
pub fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "muster-launcher: {text}");
}
