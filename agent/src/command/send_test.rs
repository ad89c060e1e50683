//! `muster-agent send-test`: one event to every destination, to see it arrive in the SIEM.

use super::check::policy_in_force;
use crate::collector::FactsBook;
use crate::config::Config;
use crate::destination::DestinationConfig;
use crate::destination::transport::{Connection, connect};
use crate::pipeline::Output;
use crate::program::Program;
use anyhow::bail;
use muster_shared::event::{AgentEvent, Event, EventKind, field};
use muster_shared::format::FormatContext;
use muster_shared::severity::Severity;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// Sends it; prints a line for each destination. True when all took it.
///
/// # Errors
/// When there is no policy or no destination.
pub fn run(config: &Config, program: Program) -> anyhow::Result<bool> {
    let Some(spec) = policy_in_force(config) else {
        bail!("no policy: name one in [policy] file, or enrol this agent and let it receive one");
    };
    if spec.destinations.is_empty() {
        bail!("the policy has no destination; add one under `destinations:`");
    }
    let context = FormatContext {
        partition: FactsBook::load(config).get(),
        product_version: program.version.to_owned(),
    };
    let secrets = config.secrets_folder();
    actix_rt::System::new().block_on(async {
        let mut well = true;
        for (name, destination) in &spec.destinations {
            match send(name, destination, &secrets, &context).await {
                Ok(to) => println!("sent  {name}: one MUSTER_TEST event to {to}"),
                Err(error) => {
                    well = false;
                    println!("FAIL  {name}: {error:#}");
                }
            }
        }
        Ok(well)
    })
}

async fn send(
    name: &str,
    spec: &muster_shared::policy::model::DestinationSpec,
    secrets: &Path,
    context: &FormatContext,
) -> anyhow::Result<String> {
    let config = DestinationConfig::build(name, spec, secrets)?;
    let mut output = Output::new(&config, context)?;
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    output.write_to(&test_event(name, context), &mut bytes, &mut ends);
    let connection = connect(&config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    match connection {
        Connection::Datagrams(socket) => {
            socket.send(&bytes).await?;
        }
        Connection::Stream { mut stream, .. } => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            stream.shutdown().await?;
        }
    }
    Ok(format!("{} {}", config.transport.kind(), config.transport.address()))
}

fn test_event(destination: &str, context: &FormatContext) -> Event {
    let now_us = jiff::Timestamp::now().as_microsecond();
    let mut event = Event::new();
    event.kind = EventKind::Agent(AgentEvent::Test);
    event.name = AgentEvent::Test.text();
    event.time_us = now_us;
    event.severity = Severity::LOWEST;
    event.id_prefix = Arc::from(format!("{}/test/", context.partition.key()));
    event.sequence = now_us.unsigned_abs();
    event.push(field::DESTINATION, destination);
    event.push(field::MESSAGE, "test event sent by muster-agent send-test");
    event
}
