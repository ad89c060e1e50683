//! `agents diagnostics`: fetches the bundle of an agent into a file.

use super::Context;
use crate::args::DiagnosticsArgs;
use crate::error::CliError;
use crate::output::count;
use muster_proto::api::DiagnosticsRequest;
use std::io::Write;

pub(super) async fn run(args: DiagnosticsArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let request = DiagnosticsRequest { with_events: args.with_events };
    let path = ["agents", args.agent.as_str(), "diagnostics"];
    let bundle = context.client()?.post_for_bytes(&path, &request).await?;
    let Some(file) = &args.file else { return Ok(context.out.write_all(&bundle)?) };
    let failed = |e: std::io::Error| {
        CliError::Local(format!("{} cannot be written: {e}; give another with --file", file.display()))
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).and_then(|mut out| out.write_all(&bundle)).map_err(failed)?;
    writeln!(
        context.err,
        "{} bytes in {}: no passwords and keys are in it; look through it before you hand it on",
        count(bundle.len() as u64),
        file.display()
    )?;
    Ok(())
}
