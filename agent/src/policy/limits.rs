//! Asks the local limits about an offered policy: pure.

use muster_shared::policy::limits::Limits;
use muster_shared::policy::model::{EffectivePolicy, PolicySpec};

/// Most breaches that a refusal lists; the rest is counted.
const MAX_LISTED: usize = 10;

/// Whether a policy keeps the limits of this agent's configuration. `running` is what it would replace.
///
/// The empty policy, which a controller offers to an agent that no document selects, has nothing to protect
/// while nothing is collected yet; later it would blind the SIEM, and is asked like any other.
///
/// # Errors
/// Which limits it does not keep, and the values.
pub fn allow(
    limits: &Limits,
    policy: &EffectivePolicy,
    running: Option<&EffectivePolicy>,
) -> Result<(), String> {
    let empty = |policy: &EffectivePolicy| policy.spec == PolicySpec::default();
    if empty(policy) && running.is_none_or(empty) {
        return Ok(());
    }
    let breaches = limits.breaches(policy);
    if breaches.is_empty() {
        return Ok(());
    }
    let mut text = breaches.iter().take(MAX_LISTED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if breaches.len() > MAX_LISTED {
        text.push_str(&format!("; and {} more", breaches.len() - MAX_LISTED));
    }
    Err(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::limits::LimitsSpec;
    use muster_shared::policy::parse_effective;

    #[test]
    fn an_empty_policy_is_the_first_or_an_attack() {
        let never_drop = vec!["AF".to_owned()];
        let limits = Limits::build(LimitsSpec { never_drop, ..LimitsSpec::default() }).unwrap();
        let empty = EffectivePolicy::default();
        let good = parse_effective(
            "{spec: {sources: {a: {kind: audit_journal}}, destinations: {s: {transport: {kind: tcp, address: 's:1'}}}}}",
        )
        .unwrap();
        assert_eq!(allow(&limits, &empty, None), Ok(()));
        assert_eq!(allow(&limits, &empty, Some(&empty)), Ok(()));
        assert_eq!(allow(&limits, &good, None), Ok(()));
        let refused = allow(&limits, &empty, Some(&good)).unwrap_err();
        assert!(refused.starts_with("limit `never_drop`: spec.sources: no source fetches AF; "), "{refused}");
        assert_eq!(allow(&Limits::default(), &empty, Some(&good)), Ok(()));
    }

    #[test]
    fn long_lists_are_cut() {
        let destinations = Some(Vec::new());
        let limits = Limits::build(LimitsSpec { destinations, ..LimitsSpec::default() }).unwrap();
        let many: String =
            (0..12).map(|n| format!("d{n:02}: {{transport: {{kind: udp, address: 'h:1'}}}}, ")).collect();
        let policy = parse_effective(&format!("{{spec: {{destinations: {{{many}}}}}}}")).unwrap();
        let refused = allow(&limits, &policy, None).unwrap_err();
        assert!(refused.contains("spec.destinations.d09") && !refused.contains("d10"), "{refused}");
        assert!(refused.ends_with("; and 2 more"), "{refused}");
    }
}
