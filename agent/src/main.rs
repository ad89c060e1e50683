//! `muster-agent`: see the library for what it does.
#![forbid(unsafe_code)]

use muster_agent::program::{Program, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Program::new(env!("CARGO_PKG_VERSION")))
}
