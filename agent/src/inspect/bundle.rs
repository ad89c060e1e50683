//! The diagnostics bundle: one JSON document with what is needed to find out what is wrong, and nothing secret.

use super::log;
use super::redact::Redactor;
use crate::collector::{Environment, Overview};
use crate::config::Config;
use crate::host::mapepire::Trust;
use jiff::Timestamp;
use muster_proto::session::inspect::MAX_BUNDLE;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// Most events in a bundle that holds events.
pub(super) const MAX_EVENTS: usize = 200;
/// Longest policy that is put in.
const MAX_POLICY: usize = 256 * 1024;
/// What is left out first when the whole is too long.
const LEAVE_OUT: &[&str] = &["events", "policy", "log", "gaps", "cursors"];

/// What the bundle tells that the environment does not hold.
#[derive(Debug, Clone)]
pub(super) struct BundleFacts {
    pub(super) agent_id: String,
    pub(super) controllers: Vec<String>,
    pub(super) started: Timestamp,
}

/// The bundle's bytes.
pub(super) fn make(
    env: &Environment,
    facts: &BundleFacts,
    overview: &Overview,
    events: Option<Vec<Vec<u8>>>,
) -> Vec<u8> {
    let mut sections = Map::new();
    let mut add = |name: &str, value: Value| {
        sections.insert(name.to_owned(), value);
    };
    let now = Timestamp::now();
    add("bundle", json!({"version": 1, "made_at": now, "holds_events": events.is_some()}));
    add("agent", agent(env, facts, now));
    add("environment", environment());
    add("configuration", configuration(&env.config));
    add("partition", value(&*env.facts.get()));
    add("health", value(&env.health.snapshot()));
    add("sources", value(&overview.sources));
    add("destinations", value(&overview.destinations));
    add("cursors", value(&overview.cursors));
    add("gaps", value(&env.gaps.all()));
    add("policy", policy(env.inspect.policy_text().as_deref()));
    add("log", value(&log::ring().lines()));
    if let Some(events) = events {
        let read = |event: &Vec<u8>| serde_json::from_slice::<Value>(event).unwrap_or(Value::Null);
        add("events", events.iter().map(read).collect());
    }
    finish(sections, &redactor(env))
}

/// Cleans, and leaves out what makes it too long.
fn finish(mut sections: Map<String, Value>, redactor: &Redactor) -> Vec<u8> {
    for (name, section) in &mut sections {
        // The names of sections are ours; what lies in them is not.
        debug_assert!(!name.is_empty());
        redactor.clean(section);
    }
    let text = |sections: &Map<String, Value>| serde_json::to_vec_pretty(sections).unwrap_or_default();
    let mut bytes = text(&sections);
    for name in LEAVE_OUT {
        if bytes.len() <= MAX_BUNDLE {
            break;
        }
        if let Some(section) = sections.get_mut(*name) {
            *section = json!("left out: the bundle would be larger than 1 MiB");
            bytes = text(&sections);
        }
    }
    bytes
}

fn redactor(env: &Environment) -> Redactor {
    let mut redactor = Redactor::default();
    env.config.password.keep_out(|password| {
        redactor = std::mem::take(&mut redactor).with(password);
    });
    redactor
}

/// What cannot be written as JSON is missing rather than wrong.
fn value<T: serde::Serialize + ?Sized>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}

fn agent(env: &Environment, facts: &BundleFacts, now: Timestamp) -> Value {
    json!({
        "id": facts.agent_id,
        "version": env.version,
        "pid": std::process::id(),
        "started": facts.started,
        "up_seconds": now.duration_since(facts.started).as_secs(),
        "controllers": facts.controllers,
        "policy_revision": env.revision.load(Ordering::Relaxed),
    })
}

/// Facts of the host and the process; what a system does not tell is null.
fn environment() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
    };
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    json!({
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "memory_kb": of("VmRSS"),
        "memory_peak_kb": of("VmHWM"),
        "threads": of("Threads"),
        "open_files": std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
        "load": load.as_deref().map(str::trim),
        "cpus": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
    })
}

/// What the configuration says, item by item: an item that is added is not shown unless somebody thought about it.
fn configuration(config: &Config) -> Value {
    let trust = match &config.trust {
        Trust::Authorities(_) => "authority",
        Trust::Pin(_) => "pinned certificate",
    };
    let secrets = config.secrets_dir.clone().unwrap_or_else(|| config.state_dir.join("secrets"));
    let names: Option<Vec<String>> = std::fs::read_dir(&secrets).ok().map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.take(100).collect()
    });
    json!({
        "state_dir": config.state_dir,
        "partition": {
            "host": config.host,
            "port": config.port,
            "user": config.user,
            "trust": trust,
            "ccsid": config.ccsid,
            "password_changed": Timestamp::from_microsecond(config.password_stamp).ok(),
        },
        "local_policy": config.policy.as_ref().map(|(path, _)| path),
        "secrets_dir": secrets,
        "secret_names": names,
        "log_filter": config.log_filter,
        "warnings": config.warnings,
        "inspect": config.inspect,
    })
}

fn policy(text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) if text.len() > MAX_POLICY => json!("left out: it is longer than 256 KiB"),
        Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_and_secrets_are_nowhere() {
        let mut sections = Map::new();
        sections.insert("agent".to_owned(), json!({"id": "x", "note": "pw hunter22"}));
        sections.insert("log".to_owned(), json!(["sign-on with hunter22"]));
        sections.insert("events".to_owned(), json!(["e".repeat(MAX_BUNDLE)]));
        let bytes = finish(sections, &Redactor::default().with("hunter22"));
        assert!(bytes.len() < MAX_BUNDLE);
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("hunter22") && text.contains("sign-on with [redacted]"), "{text}");
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole["events"], "left out: the bundle would be larger than 1 MiB");
    }
}
