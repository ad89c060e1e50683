//! Handing over what is shown once: a token that was just made.

use super::Context;
use crate::error::CliError;
use crate::output::print_json;
use crate::profile::write_private;
use serde::Serialize;
use std::path::Path;

/// Refuses a file that is there already, before a token is made that nobody would ever see.
pub(super) fn check_new(file: Option<&Path>) -> Result<(), CliError> {
    match file.filter(|path| path.exists()) {
        Some(path) => Err(CliError::Usage(format!("{} exists already; choose a new file", path.display()))),
        None => Ok(()),
    }
}

/// Writes a token to its file, or shows it. JSON has all of `created`, or `view` where the token is in the file.
pub(super) fn hand_over(
    token: &str,
    created: &impl Serialize,
    view: &impl Serialize,
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    match file {
        Some(path) => {
            write_private(path, format!("{token}\n").as_bytes(), false)?;
            if context.style.json {
                print_json(context.out, view)?;
            }
            writeln!(context.err, "token written to {}", path.display())?;
        }
        None if context.style.json => print_json(context.out, created)?,
        None => writeln!(context.out, "{token}")?,
    }
    Ok(())
}
