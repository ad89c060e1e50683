//! The agent's connection to servers of every generation, and what such connections go through.

mod ahead;
mod blocks;
mod bytes;
mod generations;
mod trouble;

use ibmi_sim::{Generation, Options, Scenario, SimHandle, Simulator};
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust};
use muster_agent::host::{Host, HostError, Param, Rows};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(10);

async fn partition(generation: Generation, change: impl FnOnce(&mut Scenario)) -> SimHandle {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut scenario = Scenario::default();
    scenario.server.generation = generation;
    change(&mut scenario);
    Simulator::start(scenario, Options::default()).await.expect("the partition starts")
}

fn config(sim: &SimHandle) -> MapepireConfig {
    MapepireConfig {
        address: sim.addr.to_string(),
        user: "MUSTER".to_owned(),
        password: Password::new("muster1".to_owned()),
        trust: Trust::Authorities(sim.ca_pem.clone()),
    }
}

fn host(sim: &SimHandle) -> Mapepire {
    Mapepire::new(config(sim)).expect("a good configuration")
}

async fn query(host: &mut dyn Host, sql: &str) -> Result<Rows, HostError> {
    host.query(sql, &[], 100, WAIT).await
}

/// First cell of each row.
fn firsts(rows: &Rows) -> Vec<String> {
    rows.texts().into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()).collect()
}

fn text(text: &str) -> Param {
    Param::Text(text.to_owned())
}
