//! What another set of documents would mean for the partitions: functions of values. Merged once for every
//! set of documents that select the same agents, not once an agent.

use muster_proto::api::Labels;
use muster_shared::id::AgentId;
use muster_shared::policy::compile::{CompiledPolicy, MAX_RULES};
use muster_shared::policy::merge::{MergeConflict, merge_documents, selects};
use muster_shared::policy::model::{EffectivePolicy, PolicyDocument, PolicySpec};
use muster_shared::policy::parse::MAX_BYTES;
use muster_shared::policy::parse_effective;
use muster_shared::policy::route::MAX_DESTINATIONS;
use muster_shared::policy::validate::validate_effective;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Documents in force, by name, with their revisions.
pub type Documents = BTreeMap<String, (u64, Arc<PolicyDocument>)>;

/// A text shorter than this has fewer values than any limit of the parser.
const SURELY_FEW_VALUES: usize = 64 * 1024;

/// Agents that change in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The agents.
    pub agents: Vec<AgentId>,
    /// Names of the documents that would select them.
    pub documents: Vec<String>,
    /// What they would run until now.
    pub old: EffectivePolicy,
    /// What they would run.
    pub new: EffectivePolicy,
    /// Size of that in bytes.
    pub bytes: usize,
}

/// Which agents get another policy, and which one. Agents that no change touches are in no group.
///
/// # Errors
/// The first contradiction between two documents that select the same agents.
pub fn impact(
    old: &Documents,
    new: &Documents,
    fleet: &BTreeMap<Labels, Vec<AgentId>>,
) -> Result<Vec<Group>, MergeConflict> {
    let touched: Vec<&PolicyDocument> = old
        .iter()
        .filter(|(name, (_, d))| new.get(*name).is_none_or(|(_, other)| !Arc::ptr_eq(d, other)))
        .chain(new.iter().filter(|(name, (_, d))| old.get(*name).is_none_or(|(_, o)| !Arc::ptr_eq(d, o))))
        .map(|(_, (_, document))| &**document)
        .collect();
    let mut selections: BTreeMap<[Vec<&str>; 2], Vec<AgentId>> = BTreeMap::new();
    for (labels, agents) in fleet {
        if touched.iter().any(|document| selects(&document.selector, labels)) {
            let key = [old, new].map(|documents| names(documents, labels));
            selections.entry(key).or_default().extend(agents);
        }
    }
    let mut groups = Vec::with_capacity(selections.len());
    for ([before, after], agents) in selections {
        let merged = |documents: &Documents, names: &[&str]| {
            let chosen = names.iter().filter_map(|name| documents.get(*name)).map(|(_, d)| &**d);
            merge_documents(chosen, 0).map(|merged| (merged.policy, merged.documents))
        };
        let (new, documents) = merged(new, &after)?;
        // What is in force was free of contradictions when it was published.
        let (old, _) = merged(old, &before).unwrap_or_default();
        let bytes = crate::store::encode(&new).len();
        groups.push(Group { agents, documents, old, new, bytes });
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.agents.len()));
    Ok(groups)
}

fn names<'d>(documents: &'d Documents, labels: &Labels) -> Vec<&'d str> {
    let selected = documents.iter().filter(|(_, (_, document))| selects(&document.selector, labels));
    selected.map(|(name, _)| name.as_str()).collect()
}

/// Why a merged policy is too large to be offered to anybody.
#[must_use]
pub fn oversize(policy: &EffectivePolicy, bytes: usize) -> Option<String> {
    let PolicySpec { exclude, rules, destinations, .. } = &policy.spec;
    if bytes > MAX_BYTES {
        return Some(format!("has {bytes} bytes, at most {MAX_BYTES} are possible"));
    }
    if destinations.len() > MAX_DESTINATIONS {
        let count = destinations.len();
        return Some(format!("has {count} destinations, at most {MAX_DESTINATIONS} are possible"));
    }
    let count = exclude.len() + rules.len();
    if count > MAX_RULES {
        return Some(format!("has {count} excludes and rules, at most {MAX_RULES} are possible"));
    }
    if bytes > SURELY_FEW_VALUES {
        let text = String::from_utf8(crate::store::encode(policy)).ok()?;
        return parse_effective(&text).err().map(|error| format!("cannot be read by an agent: {error}"));
    }
    None
}

/// Why every agent would refuse a merged policy; `None` if it can run.
#[must_use]
pub fn refusal(policy: &EffectivePolicy) -> Option<String> {
    let problems = validate_effective(policy);
    let mut errors = problems.iter().filter(|problem| problem.is_error());
    if let Some(first) = errors.next() {
        let more = match errors.count() {
            0 => String::new(),
            more => format!(" ({more} more)"),
        };
        return Some(format!("{}: {}{more}", first.path, first.message));
    }
    CompiledPolicy::compile(policy).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::parse_document;

    fn documents(texts: &[(u64, &str, &str, i32, &str)]) -> Documents {
        texts
            .iter()
            .map(|(revision, name, selector, priority, spec)| {
                let text = format!(
                    "{{api_version: muster/v1, name: {name}, selector: {{{selector}}}, priority: {priority}, spec: {{{spec}}}}}"
                );
                ((*name).to_owned(), (*revision, Arc::new(parse_document(&text).unwrap())))
            })
            .collect()
    }

    fn fleet(sets: &[(&str, usize)]) -> BTreeMap<Labels, Vec<AgentId>> {
        let mut next = 0_u128;
        let mut agent = || {
            next += 1;
            AgentId(uuid::Uuid::from_u128(next))
        };
        sets.iter()
            .map(|(label, count)| {
                let (key, value) = label.split_once('=').unwrap();
                let labels = Labels::from([(key.to_owned(), value.to_owned())]);
                (labels, (0..*count).map(|_| agent()).collect())
            })
            .collect()
    }

    const UDP: &str = "destinations: {d: {transport: {kind: udp, address: 'a:1'}}}";

    #[test]
    fn only_who_is_touched_is_in_a_group_and_groups_share_a_merge() {
        let old =
            documents(&[(1, "base", "", 0, UDP), (2, "east", "site: east", 5, "exclude: [{users: [A]}]")]);
        let mut new = old.clone();
        let change = documents(&[(3, "east", "site: east", 5, "exclude: [{users: [B]}]")]);
        new.extend(change);
        let fleet = fleet(&[("site=east", 3), ("site=west", 2)]);
        let groups = impact(&old, &new, &fleet).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].agents.len(), groups[0].documents.join(",")), (3, "east,base".to_owned()));
        assert_eq!(groups[0].old.spec.exclude[0].users, ["A"]);
        assert_eq!(groups[0].new.spec.exclude[0].users, ["B"]);
        assert_eq!(impact(&old, &old, &fleet).unwrap(), []);

        let without_base: Documents =
            new.iter().filter(|(n, _)| *n != "base").map(|(n, d)| (n.clone(), d.clone())).collect();
        let groups = impact(&new, &without_base, &fleet).unwrap();
        let sizes: Vec<_> = groups.iter().map(|g| (g.agents.len(), g.new.spec.destinations.len())).collect();
        assert_eq!(sizes, [(3, 0), (2, 0)], "the larger group first");
    }

    #[test]
    fn agents_with_other_labels_but_the_same_documents_are_one_group() {
        let old = Documents::new();
        let new = documents(&[(1, "base", "", 0, UDP)]);
        let groups = impact(&old, &new, &fleet(&[("n=1", 1), ("n=2", 1), ("n=3", 1)])).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].agents.len(), 3);
    }

    #[test]
    fn what_is_too_large_is_told() {
        let many: String =
            (0..65).map(|i| format!("d{i}: {{transport: {{kind: udp, address: 'a:1'}}}}, ")).collect();
        let policy = |spec: &str| {
            let documents = documents(&[(1, "a", "", 0, spec)]);
            impact(&Documents::new(), &documents, &fleet(&[("a=1", 1)])).unwrap().remove(0)
        };
        let told = |spec: &str| {
            let group = policy(spec);
            oversize(&group.new, group.bytes).unwrap_or_default()
        };
        assert_eq!(told(UDP), "");
        assert!(told(&format!("destinations: {{{many}}}")).contains("65 destinations, at most 64"));
        let long = "X".repeat(9);
        let users = vec![long.as_str(); 90_000].join(", ");
        assert!(told(&format!("exclude: [{{users: [{users}]}}]")).contains("bytes, at most 1048576"));
        let users = vec!["A"; 99_000].join(", ");
        let group = policy(&format!("exclude: [{{users: [{users}]}}]"));
        let mut twice = group.new.clone();
        twice.spec.exclude.push(twice.spec.exclude[0].clone());
        let bytes = crate::store::encode(&twice).len();
        assert!(bytes < MAX_BYTES, "{bytes}");
        assert!(oversize(&twice, bytes).unwrap().contains("cannot be read by an agent"));
    }

    #[test]
    fn what_agents_would_refuse_is_told() {
        let group = |spec: &str| {
            let documents = documents(&[(1, "a", "", 0, spec)]);
            impact(&Documents::new(), &documents, &fleet(&[("a=1", 1)])).unwrap().remove(0).new
        };
        assert_eq!(refusal(&group(UDP)), None);
        let told = refusal(&group("routes: {r: {destinations: [ghost, spectre]}}")).unwrap();
        assert!(told.contains("spec.routes.r.destinations[0]: there is no destination `ghost`"), "{told}");
        assert!(told.ends_with("(1 more)"), "{told}");
    }
}
