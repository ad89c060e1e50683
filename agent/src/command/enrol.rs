//! `muster-agent enrol`.

use super::{agent_facts, make_state_dir};
use crate::collector::FactsBook;
use crate::config::Config;
use crate::enrol::{EnrolOptions, enrol};
use anyhow::{Context, bail};
use muster_proto::session::EnrolmentToken;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Longest token that is read; real ones have a few hundred characters.
const MAX_TOKEN: u64 = 16 * 1024;

/// Enrols the agent of this configuration with the token in `token_file` (`-`: standard input); with
/// `replace` also when it is enrolled already.
///
/// # Errors
/// Says what to do.
pub fn run(config: &Config, token_file: &Path, replace: bool) -> anyhow::Result<()> {
    if config.policy.is_some() {
        bail!(
            "the configuration names a local policy ([policy] file): an enrolled agent gets its policy from \
             the controller; remove that line first"
        );
    }
    let token = read_token(token_file)?;
    make_state_dir(&config.state_dir)?;
    let book = FactsBook::load(config);
    let options = EnrolOptions { replace, ..EnrolOptions::new(agent_facts(config, &book)) };
    let enrolled = actix_rt::System::new()
        .block_on(async { enrol(&token, &config.state_dir, &options, jiff::Timestamp::now()).await })?;
    println!("enrolled as {} at {}", enrolled.agent, enrolled.controller);
    println!("key fingerprint {}", enrolled.fingerprint);
    if let Some(expires) = enrolled.expires {
        println!("certificate valid until {expires}");
    }
    println!("start collecting with: muster-agent run --config FILE");
    Ok(())
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
