//! `muster`: hands the command line over to the library and ends with its exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // Fails only if a provider is installed already, and then that one serves.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment = muster_cli::Environment::of_process();
    let code = muster_cli::run(
        std::env::args_os(),
        &environment,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
    );
    ExitCode::from(code.code())
}
