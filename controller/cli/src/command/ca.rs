//! `ca`: the controller's certification authority and its replacement.

use super::Context;
use crate::error::CliError;
use crate::output::{ago, clean, print_json};
use jiff::Timestamp;
use muster_proto::api::{AuthorityView, CaFinish, CaView, Decision};
use std::io::{self, Write};

pub(super) async fn show(context: &mut Context<'_>) -> Result<(), CliError> {
    let view: CaView = context.client()?.get(&["ca"], &[]).await?;
    print(&view, context)
}

pub(super) async fn roll_over(finish: bool, force: bool, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let view: CaView = if finish {
        let shown: CaView = client.get(&["ca"], &[]).await?;
        let body = CaFinish { issuing: shown.issuing.key_sha256, force };
        client.post(&["ca", "roll-over", "finish"], &body).await?
    } else {
        client.post(&["ca", "roll-over"], &Decision::default()).await?
    };
    print(&view, context)?;
    if finish {
        // This command line pinned the old one at its login.
        writeln!(
            context.err,
            "the old authority is dropped: tokens made before the roll-over are void, and command lines log in anew with \
             `muster login --fingerprint {}`",
            view.issuing.certificate_sha256
        )?;
    }
    Ok(())
}

fn print(view: &CaView, context: &mut Context<'_>) -> Result<(), CliError> {
    if context.style.json {
        return Ok(print_json(context.out, view)?);
    }
    Ok(write_view(context.out, view, Timestamp::now())?)
}

fn write_view(out: &mut dyn Write, view: &CaView, now: Timestamp) -> io::Result<()> {
    let line = |out: &mut dyn Write, word: &str, ca: &AuthorityView| {
        writeln!(
            out,
            "{word}  {}, key sha256:{}, certificate sha256:{}, until {}",
            clean(&ca.name),
            ca.key_sha256,
            ca.certificate_sha256,
            ca.expires_at
        )
    };
    line(out, "authority", &view.issuing)?;
    let Some(previous) = &view.previous else { return Ok(()) };
    line(out, "replaces ", previous)?;
    writeln!(out, "begun      {}", ago(view.since, now))?;
    writeln!(out, "moved      {} of {} agents", view.agents - view.remaining, view.agents)?;
    if view.remaining == 0 {
        return writeln!(out, "all agents have moved: drop the old one with `muster ca roll-over --finish`");
    }
    let names: Vec<String> = view.remaining_names.iter().map(|name| clean(name)).collect();
    let more = view.remaining.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    writeln!(out, "waits for  {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told() {
        let at: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
        let authority = |name: &str| AuthorityView {
            name: name.to_owned(),
            key_sha256: "k".to_owned(),
            certificate_sha256: "c".to_owned(),
            expires_at: at,
        };
        let mut view = CaView {
            issuing: authority("new"),
            previous: Some(authority("old")),
            since: Some(at),
            agents: 30,
            remaining: 21,
            remaining_names: vec!["A".to_owned(), "B".to_owned()],
        };
        let text = |view: &CaView| {
            let mut out = Vec::new();
            write_view(&mut out, view, at).unwrap();
            String::from_utf8(out).unwrap()
        };
        let shown = text(&view);
        assert!(shown.contains("moved      9 of 30 agents\nwaits for  A, B and 19 more\n"), "{shown}");
        view.remaining = 0;
        assert!(text(&view).contains("--finish"));
        view.previous = None;
        assert_eq!(text(&view).lines().count(), 1);
    }
}
