//! Judges an offered policy as a whole: pure.

use super::limits;
use crate::config::Config;
use muster_shared::policy::compile::CompiledPolicy;
use muster_shared::policy::limits::Limits;
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::parse::parse_effective;
use muster_shared::policy::signature::TrustedKeys;
use muster_shared::policy::validate::validate_effective;
use std::sync::Arc;

/// Most problems that a refusal lists; the rest is counted.
const MAX_LISTED: usize = 10;

/// Longest text of a refusal, in characters: names in a policy may be long.
const MAX_TEXT: usize = 4_000;

/// A policy that may run.
#[derive(Debug, Clone)]
pub struct CheckedPolicy {
    /// The policy.
    pub policy: Arc<EffectivePolicy>,
    /// The same, ready to run.
    pub compiled: Arc<CompiledPolicy>,
}

/// What the agent's own configuration asks of every policy.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// Limits that no policy can widen.
    pub limits: Limits,
    /// Keys of which one must have signed each document; empty asks for no signatures.
    pub keys: TrustedKeys,
}

impl Guards {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { limits: config.limits.clone(), keys: config.policy_keys.clone() }
    }
}

/// Reads, validates and compiles a policy, and asks signatures and local limits. `running` is what it would replace.
///
/// # Errors
/// Everything that is wrong with it, for the operator who published it.
pub fn check(
    body: &[u8],
    guards: &Guards,
    running: Option<&EffectivePolicy>,
) -> Result<CheckedPolicy, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the policy is no UTF-8 text".to_owned())?;
    let policy = parse_effective(text).map_err(|error| format!("the policy does not parse: {error}"))?;
    let errors: Vec<String> = validate_effective(&policy)
        .iter()
        .filter(|problem| problem.is_error())
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    if !errors.is_empty() {
        return Err(list(&errors));
    }
    let compiled = CompiledPolicy::compile(&policy).map_err(|error| error.to_string())?;
    guards.keys.check(&policy, running).map_err(|error| error.to_string())?;
    limits::allow(&guards.limits, &policy, running)
        .map_err(|reason| format!("this agent's local limits forbid it: {reason}"))?;
    Ok(CheckedPolicy { policy: Arc::new(policy), compiled: Arc::new(compiled) })
}

fn list(errors: &[String]) -> String {
    let mut text = errors.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if errors.len() > MAX_LISTED {
        text.push_str(&format!("; and {} more", errors.len() - MAX_LISTED));
    }
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::limits::LimitsSpec;

    fn free(body: &[u8]) -> Result<CheckedPolicy, String> {
        check(body, &Guards::default(), None)
    }

    const GOOD: &str = r#"{"revision":3,"spec":{
        "sources":{"audit":{"kind":"audit_journal","poll_interval_ms":1500}},
        "rules":[{"name":"no-zr","match":{"entry_types":["ZR"]},"action":"drop"}],
        "destinations":{"siem":{"transport":{"kind":"tcp","address":"10.0.0.1:514"}}}}}"#;

    #[test]
    fn a_good_policy_is_ready_to_run() {
        let checked = free(GOOD.as_bytes()).unwrap();
        assert_eq!(checked.policy.revision, 3);
        assert_eq!(checked.compiled.destinations(), ["siem"]);
        assert_eq!(checked.compiled.rule_names(), ["no-zr"]);
    }

    #[test]
    fn what_controllers_write_is_read() {
        let checked = free(GOOD.as_bytes()).unwrap();
        let written = serde_json::to_vec(&*checked.policy).unwrap();
        assert_eq!(free(&written).unwrap().policy, checked.policy);
    }

    #[test]
    fn bad_policies_say_why() {
        let unknown_destination = GOOD.replace(
            r#""destinations":{"#,
            r#""routes":{"r":{"destinations":["nowhere"]}},"destinations":{"#,
        );
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("bytes", vec![0xff, 0xfe], "no UTF-8"),
            ("cut short", GOOD.as_bytes()[..60].to_vec(), "does not parse"),
            ("unknown field", GOOD.replace("\"rules\"", "\"rulez\"").into_bytes(), "rulez"),
            ("unknown destination", unknown_destination.into_bytes(), "nowhere"),
            ("bad port", GOOD.replace(":514", ":99999").into_bytes(), "address"),
        ];
        for (name, body, part) in cases {
            let error = free(&body).map(|checked| checked.policy).unwrap_err();
            assert!(error.contains(part), "{name}: {error}");
        }
        let destinations = Some(vec!["siem.example.com".to_owned()]);
        let limits = Limits::build(LimitsSpec { destinations, ..LimitsSpec::default() }).unwrap();
        let guards = Guards { limits, ..Guards::default() };
        let error = check(GOOD.as_bytes(), &guards, None).map(|checked| checked.policy).unwrap_err();
        assert_eq!(
            error,
            "this agent's local limits forbid it: limit `destinations`: spec.destinations.siem: \
             tcp://10.0.0.1:514 is not among the allowed receivers"
        );
    }

    #[test]
    fn an_unsigned_policy_is_refused_where_signatures_are_asked_for() {
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".to_owned();
        let guards = Guards { keys: TrustedKeys::new(vec![key]).unwrap(), ..Guards::default() };
        let error = check(GOOD.as_bytes(), &guards, None).map(|checked| checked.policy).unwrap_err();
        assert!(error.contains("takes signed policies only"), "{error}");
    }

    #[test]
    fn long_lists_are_cut() {
        let errors: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(list(&errors), "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more");
        assert_eq!(list(&["x".repeat(9_000)]).len(), MAX_TEXT);
    }
}
