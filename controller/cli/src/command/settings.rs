//! `settings`.

use super::Context;
use crate::admin_args::{SettingsCommand, Switch};
use crate::error::CliError;
use crate::output::print_json;
use muster_proto::api::{Settings, SettingsChange, SettingsChanged};

pub(super) async fn settings(command: SettingsCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    match command {
        SettingsCommand::Show => {
            let settings: Settings = client.get(&["settings"], &[]).await?;
            if context.style.json {
                return Ok(print_json(context.out, &settings)?);
            }
            writeln!(context.out, "four-eyes {}", if settings.four_eyes { "on" } else { "off" })?;
        }
        SettingsCommand::FourEyes { state } => {
            let change = SettingsChange { four_eyes: Some(state == Switch::On) };
            let changed: SettingsChanged = client.change(&["settings"], &change).await?;
            if context.style.json {
                return Ok(print_json(context.out, &changed)?);
            }
            match &changed.proposal {
                Some(proposal) => writeln!(
                    context.err,
                    "a second person must approve: `muster proposals approve {}`",
                    proposal.id
                )?,
                None => writeln!(
                    context.err,
                    "four-eyes {}",
                    if changed.settings.four_eyes { "on" } else { "off" }
                )?,
            }
        }
    }
    Ok(())
}
