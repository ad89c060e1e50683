//! `make demo`: the whole product on one machine, with simulated partitions. See `muster_tests::demo`.
#![forbid(unsafe_code)]

use muster_tests::demo;
use std::process::ExitCode;

fn main() -> ExitCode {
    let unattended = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "0");
    match demo::run(unattended) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
