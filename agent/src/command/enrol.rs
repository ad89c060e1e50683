//! `muster-agent enrol`.

use super::{agent_facts, make_state_dir};
use crate::collector::{FactsBook, connect_source_once};
use crate::config::Config;
use crate::enrol::{EnrolOptions, enrol};
use crate::program::Program;
use anyhow::{Context, bail};
use muster_proto::session::EnrolmentToken;
use muster_shared::policy::model::{AuditJournalSpec, SourceSpec};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the partition may take to tell its name.
const PARTITION_LIMIT: Duration = Duration::from_secs(20);

/// Longest token that is read; real ones have a few hundred characters.
const MAX_TOKEN: u64 = 16 * 1024;

/// Enrols the agent of this configuration with the token in `token_file` (`-`: standard input); with
/// `replace` also when it is enrolled already. Waits at most `wait` for approval.
///
/// # Errors
/// Says what to do.
pub fn run(
    config: &Config,
    token_file: &Path,
    replace: bool,
    wait: Duration,
    program: Program,
) -> anyhow::Result<()> {
    if config.policy.is_some() {
        bail!(
            "the configuration names a local policy ([policy] file): an enrolled agent gets its policy from \
             the controller; remove that line first"
        );
    }
    let token = read_token(token_file)?;
    make_state_dir(&config.state_dir)?;
    let book = FactsBook::load(config);
    let enrolled = actix_rt::System::new().block_on(async {
        look_at_partition(config, &book).await;
        let options = EnrolOptions {
            replace,
            patience: wait,
            kind: config.transport,
            proxy: config.proxy.clone(),
            on_waiting: |fingerprint| println!("waiting for approval, fingerprint {fingerprint}"),
            ..EnrolOptions::new(agent_facts(config, &book, program))
        };
        enrol(&token, &config.state_dir, &options, jiff::Timestamp::now()).await
    })?;
    println!("enrolled as {} at {}", enrolled.agent, enrolled.controller);
    println!("key fingerprint {}", enrolled.fingerprint);
    if let Some(expires) = enrolled.expires {
        println!("certificate valid until {expires}");
    }
    println!("start collecting with: muster-agent run --config FILE");
    Ok(())
}

/// Reads which partition this is, so that the controller can tell whether it knows it already. Enrolment goes on
/// without: the agent tells it later.
async fn look_at_partition(config: &Config, book: &FactsBook) {
    let journal = SourceSpec::AuditJournal(AuditJournalSpec::default());
    match tokio::time::timeout(PARTITION_LIMIT, connect_source_once(config, &journal)).await {
        Ok(Ok(partition)) => book.learn(partition),
        Ok(Err(error)) => eprintln!("the partition cannot be read yet: {error}"),
        Err(_) => {
            eprintln!("the partition cannot be read yet: no answer within {} s", PARTITION_LIMIT.as_secs());
        }
    }
}

fn read_token(file: &Path) -> anyhow::Result<EnrolmentToken> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_TOKEN).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file)
            .with_context(|| format!("cannot read the token file {}", file.display()))?;
        opened.take(MAX_TOKEN).read_to_string(&mut text)
    };
    read.with_context(|| format!("cannot read the token from {}", file.display()))?;
    EnrolmentToken::parse(text.trim()).with_context(|| {
        format!(
            "{} holds no enrolment token; it begins with muster1. and is printed by `muster token create`",
            file.display()
        )
    })
}
