//! The agent with a version above that of the next one.
#![forbid(unsafe_code)]

use muster_agent::program::{Program, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Program::misbehaving("0.3.0"))
}
