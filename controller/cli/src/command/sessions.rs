//! `sessions`.

use super::Context;
use crate::admin_args::SessionsCommand;
use crate::error::CliError;
use crate::output::{ago, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::SessionView;

pub(super) async fn sessions(command: SessionsCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        SessionsCommand::List => list(context).await,
        SessionsCommand::End { id } => {
            context.client()?.delete(&["sessions", &id]).await?;
            writeln!(context.err, "session ended")?;
            Ok(())
        }
    }
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let sessions: Vec<SessionView> = context.client()?.list(&["sessions"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &sessions)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&["ID", "USER", "FROM", "KIND", "BEGUN", "EXPIRES", ""]);
    for session in &sessions {
        table.add_row([
            plain(&session.id),
            plain(&session.user),
            plain(&session.from),
            plain(if session.cookie { "browser" } else { "program" }),
            plain(ago(Some(session.created_at), now)),
            plain(session.expires_at.to_string()),
            plain(if session.current { "this one" } else { "" }),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}
