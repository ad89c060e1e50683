//! `licence`: where it stands, files, and pairs of partitions.

use super::Context;
use crate::admin_args::LicenceCommand;
use crate::error::CliError;
use crate::output::{clean, print_json};
use muster_proto::api::{LicencePair, LicenceView};
use muster_shared::licence::Standing;
use std::io::{self, Write};

pub(super) async fn licence(command: LicenceCommand, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let view: LicenceView = match command {
        LicenceCommand::Show => client.get(&["licence"], &[]).await?,
        LicenceCommand::Install { file } => {
            client.post_text(&["licence"], super::policy::read(&file)?).await?
        }
        LicenceCommand::Pair { a, b } => client.post(&["licence", "pair"], &LicencePair { a, b }).await?,
        LicenceCommand::Unpair { a, b } => client.post(&["licence", "unpair"], &LicencePair { a, b }).await?,
    };
    // All of it is told here.
    let _ = context.notice.take();
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    show(context.out, &view)?;
    Ok(())
}

fn show(out: &mut dyn Write, view: &LicenceView) -> io::Result<()> {
    let word = match view.standing {
        Standing::Evaluation => "evaluation",
        Standing::Licensed => "licensed",
        Standing::Grace => "grace",
        Standing::Restricted => "restricted",
    };
    writeln!(out, "{word}: {}", clean(&view.says))?;
    if !view.id.is_empty() {
        writeln!(
            out,
            "licence {} for {}, {} to {} (UTC)",
            clean(&view.id),
            clean(&view.customer),
            view.valid_from,
            view.valid_until
        )?;
    }
    let seats = view.seats.map_or("no limit".to_owned(), |seats| seats.to_string());
    writeln!(out, "seats in use: {} of {seats}", view.used)?;
    if view.ha_pairs > 0 || !view.pairs.is_empty() {
        writeln!(
            out,
            "high-availability pairs: {} counted once, {} licensed",
            view.pairs_counted, view.ha_pairs
        )?;
        for pair in &view.pairs {
            writeln!(out, "  {} and {}", pair.a, pair.b)?;
        }
    }
    if !view.refused.is_empty() {
        writeln!(out, "refused now: {}; collection goes on", clean(&view.refused.join(", ")))?;
    }
    for warning in view.warnings.iter().filter(|warning| **warning != view.says) {
        writeln!(out, "note: {}", clean(warning))?;
    }
    Ok(())
}
