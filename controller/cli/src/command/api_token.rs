//! `api-token`.

use super::Context;
use super::made::{check_new, hand_over};
use crate::admin_args::ApiTokenCommand;
use crate::error::CliError;
use crate::output::{ago, or_dash, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::{ApiTokenCreated, ApiTokenRequest, ApiTokenView};
use std::path::Path;

pub(super) async fn api_token(command: ApiTokenCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    match command {
        ApiTokenCommand::Create { scope, expires, note, output_file } => {
            let request = ApiTokenRequest { scope, expires_in_seconds: Some(expires.as_secs()), note };
            create(&request, output_file.as_deref(), context).await
        }
        ApiTokenCommand::List => list(context).await,
        ApiTokenCommand::Revoke { id } => {
            context.client()?.delete(&["api-tokens", &id]).await?;
            writeln!(context.err, "API token revoked")?;
            Ok(())
        }
    }
}

async fn create(
    request: &ApiTokenRequest,
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    check_new(file)?;
    let created: ApiTokenCreated = context.client()?.post(&["api-tokens"], request).await?;
    hand_over(&created.token, &created, &created.view, file, context)?;
    if !context.style.json {
        let view = &created.view;
        writeln!(context.err, "scope {} as {} until {}", view.scope, view.user, view.expires_at)?;
    }
    Ok(())
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let tokens: Vec<ApiTokenView> = context.client()?.list(&["api-tokens"]).await?;
    if context.style.json {
        return Ok(print_json(context.out, &tokens)?);
    }
    let now = Timestamp::now();
    let mut table = context.style.table(&["ID", "USER", "SCOPE", "CREATED", "EXPIRES", "NOTE"]);
    for token in &tokens {
        table.add_row([
            plain(&token.id),
            plain(&token.user),
            plain(token.scope.as_str()),
            plain(ago(Some(token.created_at), now)),
            plain(token.expires_at.to_string()),
            plain(or_dash(&token.note)),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}
