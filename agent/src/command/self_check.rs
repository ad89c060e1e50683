//! `muster-agent self-check`: whether this version can take over from the one that runs on the same state folder.
//!
//! It only looks: the state folder is in use. What the running version named as working must be reached, what did not
//! work before is not asked for.

use super::check::{check_destination, check_source, object, policy_in_force};
use crate::config::Config;
use crate::enrol::Identity;
use crate::policy::check::{Guards, check};
use crate::policy::store::PolicyStore;
use crate::program::Program;
use crate::spool;
use crate::state;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest time for one connection.
const LIMIT: Duration = Duration::from_secs(20);

/// Longest time for all of it.
const TOTAL: Duration = Duration::from_secs(240);

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Components that work now.
    pub worked: Vec<String>,
    /// Version that this must be.
    pub expect: Option<String>,
    /// End with standard input.
    pub until_eof: bool,
}

/// Prints what was checked, one line each; true when this version can take over.
///
/// # Errors
/// When the runtime cannot start.
pub fn run(config: &Config, asked: &Asked, program: Program) -> anyhow::Result<bool> {
    if asked.until_eof {
        std::thread::spawn(|| {
            // Nothing is ever said; an error is an end as well.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(i32::from(super::EXIT_CHECK));
        });
    }
    if let Some(expected) = asked.expect.as_ref().filter(|expected| *expected != program.version) {
        println!("FAIL  version: this is {}, and its package says {expected}", program.version);
        return Ok(false);
    }
    println!("ok    {} starts, its configuration is read", program.version);
    let mut well = told("cursors", state::look(&config.state_dir).map(|count| format!("{count} read")));
    well &= told("spools", spool::look(&config.state_dir).map(|count| format!("{count} read")));
    well &= told("policy", policy(config));
    let limited = async { tokio::time::timeout(TOTAL, reach(config, &asked.worked)).await };
    let reached = actix_rt::System::new().block_on(limited).unwrap_or_else(|_| {
        told("connections", Err(format!("not all were tried within {} s", TOTAL.as_secs())))
    });
    Ok(well & reached)
}

fn told(what: &str, found: Result<String, String>) -> bool {
    match found {
        Ok(text) => {
            println!("ok    {what}: {text}");
            true
        }
        Err(reason) => {
            println!("FAIL  {what}: {reason}");
            false
        }
    }
}

/// The last good policy must run here too, or the agent would collect nothing.
fn policy(config: &Config) -> Result<String, String> {
    let Some(stored) = PolicyStore::look(&config.state_dir).load() else {
        return Ok("none yet".to_owned());
    };
    let checked = check(&stored.body, &Guards::of(config), None)?;
    Ok(format!("revision {} would run", checked.policy.revision))
}

async fn reach(config: &Config, worked: &[String]) -> bool {
    let mut well = controller(config).await;
    let Some(spec) = policy_in_force(config) else { return well };
    for (name, source) in &spec.sources {
        let wanted = worked.contains(&format!("source/{name}"));
        // One failure is enough; and a password that is wrong would be tried until the profile is disabled.
        if let Some(what) = object(source).filter(|_| wanted)
            && !check_source(config, &what, source).await
        {
            return false;
        }
    }
    let secrets = config.secrets_folder();
    for (name, destination) in &spec.destinations {
        if worked.contains(&format!("destination/{name}")) {
            well &= check_destination(name, destination, &secrets).await;
        }
    }
    well
}

/// One controller must be reached over TLS with the agent's certificate; which one does not matter. That none is there
/// at this moment is no fault of this version: then only the certificate is looked at.
async fn controller(config: &Config) -> bool {
    if !Identity::exists(&config.state_dir) {
        return true;
    }
    let prepared = Identity::load(&config.state_dir).map_err(|e| e.to_string()).and_then(|identity| {
        let tls = identity.client_config().map_err(|e| e.to_string())?;
        Ok((identity.endpoints().map_err(|e| e.to_string())?, tls))
    });
    let (endpoints, tls) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return told("identity", Err(reason)),
    };
    if config.proxy.is_some() {
        return told("controller", Ok("behind a proxy, not tried".to_owned()));
    }
    let (mut reasons, mut refused) = (Vec::new(), false);
    for endpoint in endpoints {
        let shaken = tokio::time::timeout(LIMIT, async {
            let address = (endpoint.host().trim_matches(['[', ']']).to_owned(), endpoint.port());
            let stream = TcpStream::connect(address).await.map_err(|e| (false, e.to_string()))?;
            let name = endpoint.host().trim_matches(['[', ']']).to_owned();
            let name = rustls_pki_types::ServerName::try_from(name).map_err(|e| (true, e.to_string()))?;
            let connector = tokio_rustls::TlsConnector::from(tls.clone());
            connector.connect(name, stream).await.map(|_| ()).map_err(|e| (true, e.to_string()))
        });
        match shaken.await {
            Ok(Ok(())) => return told("controller", Ok(endpoint.to_string())),
            Ok(Err((by_tls, reason))) => {
                refused |= by_tls;
                reasons.push(format!("{endpoint}: {reason}"));
            }
            Err(_) => reasons.push(format!("{endpoint}: no answer within {} s", LIMIT.as_secs())),
        }
    }
    if refused {
        return told("controller", Err(reasons.join("; ")));
    }
    println!("      controller: none is there at the moment ({})", reasons.join("; "));
    true
}
