//! The agent with a higher version, which stories upgrade to. How it misbehaves, if it does, stands in a file.
#![forbid(unsafe_code)]

use muster_agent::program::{Program, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Program::misbehaving(env!("CARGO_PKG_VERSION")))
}
