//! `token`.

use super::Context;
use super::made::{check_new, hand_over};
use crate::args::TokenCreateArgs;
use crate::error::CliError;
use crate::output::{ago, count, labels, or_dash, plain, print_json, print_table};
use jiff::Timestamp;
use muster_proto::api::{
    ForeignTokenCreated, ForeignTokenRequest, ForeignTokenView, TokenCreated, TokenRequest, TokenView,
};

pub(super) async fn create(args: TokenCreateArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    check_new(args.output_file.as_deref())?;
    if args.foreign {
        return create_foreign(args, context).await;
    }
    let request = TokenRequest {
        expires_in_seconds: Some(args.expires.as_secs()),
        uses: Some(args.uses),
        labels: args.labels.into_iter().collect(),
        urls: args.urls,
        note: args.note,
        approve: args.approve,
        partition: args.partition,
    };
    let created: TokenCreated = context.client()?.post(&["tokens"], &request).await?;
    hand_over(&created.token, &created, &created.view, args.output_file.as_deref(), context)?;
    if !context.style.json {
        let view = &created.view;
        writeln!(
            context.err,
            "for {} agent(s) until {}; enrol with `muster-agent enrol --token-file FILE`",
            view.uses, view.expires_at
        )?;
    }
    Ok(())
}

/// The token of another OpAMP agent.
async fn create_foreign(args: TokenCreateArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let request = ForeignTokenRequest {
        expires_in_seconds: Some(args.expires.as_secs()),
        labels: args.labels.into_iter().collect(),
        note: args.note,
    };
    let created: ForeignTokenCreated = context.client()?.post(&["foreign-tokens"], &request).await?;
    hand_over(&created.token, &created, &created.view, args.output_file.as_deref(), context)?;
    if !context.style.json {
        writeln!(
            context.err,
            "to be used until {}; the agent sends it as `Authorization: Bearer TOKEN`, verifies the controller by \
             its ca.crt, and connects to one of:",
            created.view.expires_at
        )?;
        for url in &created.urls {
            writeln!(context.err, "  {}", crate::output::clean(url))?;
        }
    }
    Ok(())
}

pub(super) async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let tokens: Vec<TokenView> = client.list(&["tokens"]).await?;
    let foreign: Vec<ForeignTokenView> = client.list(&["foreign-tokens"]).await?;
    if context.style.json {
        let both = (tokens.iter().map(serde_json::to_value)).chain(foreign.iter().map(serde_json::to_value));
        let both: Vec<_> = both.collect::<Result<_, _>>().map_err(|e| CliError::Local(e.to_string()))?;
        return Ok(print_json(context.out, &both)?);
    }
    let now = Timestamp::now();
    let mut table =
        context.style.table(&["ID", "CREATED", "BY", "EXPIRES", "USED", "APPROVAL", "FOR", "LABELS", "NOTE"]);
    for token in &tokens {
        table.add_row([
            plain(&token.id),
            plain(ago(Some(token.created_at), now)),
            plain(&token.created_by),
            plain(if token.void { "void".to_owned() } else { token.expires_at.to_string() }),
            plain(format!("{} of {}", count(token.used.into()), count(token.uses.into()))),
            plain(if token.approve { "needed" } else { "-" }),
            plain(token.partition.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
            plain(labels(&token.labels)),
            plain(or_dash(&token.note)),
        ]);
    }
    for token in &foreign {
        let used =
            token.agent.map_or_else(|| "foreign, unused".to_owned(), |agent| format!("foreign {agent}"));
        table.add_row([
            plain(&token.id),
            plain(ago(Some(token.created_at), now)),
            plain(&token.created_by),
            plain(token.agent.map_or_else(|| token.expires_at.to_string(), |_| "-".to_owned())),
            plain(used),
            // Approval and partition are of Muster's own agents.
            plain("-"),
            plain("-"),
            plain(labels(&token.labels)),
            plain(or_dash(&token.note)),
        ]);
    }
    Ok(print_table(context.out, &table)?)
}

pub(super) async fn delete(id: &str, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let foreign: Vec<ForeignTokenView> = client.list(&["foreign-tokens"]).await?;
    if foreign.iter().any(|token| token.id == id) {
        client.delete(&["foreign-tokens", id]).await?;
        writeln!(context.err, "token deleted, its agent disconnected and forgotten")?;
        return Ok(());
    }
    client.delete(&["tokens", id]).await?;
    writeln!(context.err, "token deleted")?;
    Ok(())
}
