//! Tables of cases, and what holds of any fleet.

use super::order::Natural;
use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// An agent that owns what [`Facts`] borrow.
#[derive(Debug, Clone)]
struct Owned {
    id: u128,
    name: String,
    labels: Labels,
    partition: Option<PartitionKey>,
    attributes: BTreeMap<String, String>,
    state: AgentState,
    reason: String,
    version: String,
    os_release: String,
    policy: PolicyState,
    silent: bool,
    received: f64,
    lag_ms: u64,
    last_seen: Option<Timestamp>,
}

impl Owned {
    fn named(id: u128, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            labels: Labels::new(),
            partition: None,
            attributes: BTreeMap::new(),
            state: AgentState::Healthy,
            reason: String::new(),
            version: "0.4.0".to_owned(),
            os_release: "V7R5M0".to_owned(),
            policy: PolicyState::Applied,
            silent: false,
            received: 0.0,
            lag_ms: 0,
            last_seen: None,
        }
    }

    fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            id: AgentId(uuid::Uuid::from_u128(self.id)),
            kind: AgentKind::Muster,
            name: Cow::Borrowed(&self.name),
            labels: &self.labels,
            partition: self.partition.as_ref(),
            attributes: &self.attributes,
            state: self.state,
            reason: Cow::Borrowed(&self.reason),
            version: &self.version,
            os_release: &self.os_release,
            policy: self.policy,
            silent: self.silent,
            noisy: false,
            received: self.received,
            lag_ms: self.lag_ms,
            last_seen: self.last_seen,
        }
    }
}

fn look(agents: &[Owned], wanted: &Wanted) -> Found {
    let mut look = Look::new(wanted);
    agents.iter().for_each(|agent| look.at(&agent.facts()));
    look.done()
}

fn ids(found: &Found) -> Vec<u128> {
    found.ids.iter().map(|id| id.0.as_u128()).collect()
}

fn sorted(agents: &[Owned], sort: &str, order: SortOrder) -> Vec<u128> {
    ids(&look(agents, &Wanted { sort: sort.parse().unwrap(), order, ..Wanted::default() }))
}

#[test]
fn names_are_sorted_as_people_do() {
    let names = ["prod10", "PROD9", "Prod", "", "prod-1", "a1b22", "A1b3", "ärger", "00007", "6", "prod9x"];
    let mut sorted = names;
    sorted.sort_by_key(|name| Natural::of(name));
    assert_eq!(
        sorted,
        ["", "6", "00007", "A1b3", "a1b22", "Prod", "prod-1", "PROD9", "prod9x", "prod10", "ärger"]
    );
    assert_eq!(Natural::of("LPAR007").cmp(&Natural::of("lpar7")), Ordering::Equal);
    let longest = "9".repeat(70_000);
    assert!(Natural::of("5") < Natural::of(&longest));
}

#[test]
fn what_is_searched() {
    let mut agent = Owned::named(0x019b_8d7a, "PROD01").labelled("env", "prod").labelled("site", "Zürich");
    agent.partition = "78A1B2C-3".parse().ok();
    agent.reason = "destination siem: connection refused".to_owned();
    agent.attributes = [("host.name", "prod01.example.com"), ("muster.secrets", "siem-password")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let mut text = String::new();
    for (search, found) in [
        ("", true),
        ("prod01", true),
        ("Prod01 ENV=PROD", true),
        ("ZÜRICH", true),
        ("site=zür", true),
        ("78a1b2c", true),
        ("v7r5m0 0.4", true),
        ("REFUSED example.com", true),
        ("019b8d7a", true),
        ("prod01 test", false),
        // Words are not found across two things.
        ("PROD01V7R5M0", false),
    ] {
        let filter = Filter::default().searching(search);
        assert_eq!(filter.finds(&agent.facts(), &mut text), found, "{search}");
    }
}

#[test]
fn what_is_filtered() {
    let mut agent = Owned::named(1, "A").labelled("env", "prod").labelled("site", "zrh");
    (agent.state, agent.silent) = (AgentState::Degraded, true);
    let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let version = |text: &str| Some(text.parse().unwrap());
    let mut odd = agent.clone();
    odd.version = "nightly".to_owned();
    let none = Filter::default;
    for (filter, finds, finds_odd) in [
        (Filter { states: vec![AgentState::Failed], ..none() }, false, false),
        (Filter { states: vec![AgentState::Failed, AgentState::Degraded], ..none() }, true, true),
        (Filter { labels: labels(&[("env", "prod"), ("site", "zrh")]), ..none() }, true, true),
        (Filter { labels: labels(&[("env", "prod"), ("site", "ber")]), ..none() }, false, false),
        (Filter { version: version(">=0.3"), ..none() }, true, false),
        (Filter { version: version("<0.4"), ..none() }, false, false),
        (Filter { os_release: Some("V7R5M0".to_owned()), ..none() }, true, true),
        (Filter { os_release: Some("V7R5".to_owned()), ..none() }, false, false),
        (Filter { policy: Some(PolicyState::Applied), ..none() }, true, true),
        (Filter { policy: Some(PolicyState::Failed), ..none() }, false, false),
        (Filter { flag: Some(FlagKind::Silent), ..none() }, true, true),
        (Filter { flag: Some(FlagKind::Noisy), ..none() }, false, false),
        (Filter { kind: Some(AgentKind::Foreign), ..none() }, false, false),
    ] {
        let mut text = String::new();
        let found = [&agent, &odd].map(|agent| filter.finds(&agent.facts(), &mut text));
        assert_eq!(found, [finds, finds_odd], "{filter:?}");
    }
}

#[test]
fn what_is_not_known_comes_last_in_both_orders() {
    use SortOrder::{Asc, Desc};
    let mut agents = [Owned::named(1, "c"), Owned::named(2, "b"), Owned::named(3, "a"), Owned::named(4, "a")];
    agents[0] = agents[0].clone().labelled("env", "prod2");
    agents[1] = agents[1].clone().labelled("env", "prod10");
    (agents[0].version, agents[1].version, agents[2].version) =
        ("0.10.0".to_owned(), "0.9.0".to_owned(), String::new());
    agents[1].state = AgentState::Offline;
    agents[3].state = AgentState::Failed;
    (agents[0].received, agents[1].received) = (0.5, 20.0);
    (agents[2].lag_ms, agents[3].lag_ms) = (7, 9);
    agents[1].policy = PolicyState::Failed;
    agents[3].last_seen = Some(Timestamp::UNIX_EPOCH);
    for (sort, order, expected) in [
        ("name", Asc, [3, 4, 2, 1]),
        ("name", Desc, [1, 2, 3, 4]),
        ("label:env", Asc, [1, 2, 3, 4]),
        ("label:env", Desc, [2, 1, 3, 4]),
        ("version", Asc, [4, 2, 1, 3]),
        ("version", Desc, [1, 2, 4, 3]),
        ("state", Asc, [4, 2, 3, 1]),
        ("state", Desc, [3, 1, 2, 4]),
        ("rate", Asc, [3, 4, 1, 2]),
        ("rate", Desc, [2, 1, 3, 4]),
        ("lag", Desc, [4, 3, 2, 1]),
        ("policy", Asc, [2, 3, 4, 1]),
        ("last_seen", Asc, [4, 3, 2, 1]),
        ("last_seen", Desc, [4, 3, 2, 1]),
        ("os_release", Asc, [3, 4, 2, 1]),
    ] {
        assert_eq!(sorted(&agents, sort, order), expected, "{sort} {order:?}");
    }
}

#[test]
fn nothing_else_can_be_sorted_or_summed_up_by() {
    for bad in ["", "label:", "Name", "labels"] {
        assert!(bad.parse::<Column>().unwrap_err().to_string().contains("label:KEY"), "{bad}");
        assert!(bad.parse::<GroupBy>().is_err(), "{bad}");
    }
    assert!("name".parse::<GroupBy>().is_err());
    assert_eq!("label:a:b".parse(), Ok(Column::Label("a:b".to_owned())));
}

#[test]
fn facets_count_all_and_are_bounded() {
    let agent = |n: u128| {
        let agent = Owned::named(n, "A").labelled("env", if n < 150 { "prod" } else { "test" });
        (0..60).fold(agent.labelled("serial", &n.to_string()), |agent, key| {
            if n > key { agent.labelled(&format!("key{key}"), "x") } else { agent }
        })
    };
    let agents: Vec<Owned> = (0..200).map(agent).collect();
    let wanted = Wanted { filter: Filter::default().searching("nobody"), ..Wanted::default() };
    let Found { total, ids, facets, groups } = look(&agents, &wanted);
    assert_eq!((total, ids.len(), groups.len()), (200, 0, 0));
    assert_eq!(facets.states, [("healthy".to_owned(), 200)].into());
    assert_eq!(facets.versions, [("0.4.0".to_owned(), 200)].into());
    assert_eq!(facets.labels["env"], [("prod".to_owned(), 150), ("test".to_owned(), 50)].into());
    assert_eq!((facets.labels.len(), facets.labels["serial"].len()), (50, 100));
    assert!(facets.labels.contains_key("key0") && !facets.labels.contains_key("key59"), "the rarest go");
}

fn any_agent() -> impl Strategy<Value = Owned> {
    let state = prop::sample::select(vec![
        AgentState::Healthy,
        AgentState::Degraded,
        AgentState::Failed,
        AgentState::Offline,
        AgentState::Quarantined,
        AgentState::NeverConnected,
    ]);
    let version = prop::sample::select(vec!["", "0.4.0", "0.10.0", "0.4.0-rc.1", "odd"]);
    let env = prop::option::of(prop::sample::select(vec!["prod", "test", "prod10", "prod9"]));
    ("[aA]{0,2}[0-9]{0,3}", state, version, env, 0.0..3.0_f64, 0..3_u64, 0..3_i64).prop_map(
        |(name, state, version, env, received, lag_ms, seen)| {
            let agent = env.into_iter().fold(Owned::named(0, &name), |agent, env| agent.labelled("env", env));
            let last_seen = (seen > 0).then(|| Timestamp::from_second(seen).unwrap());
            Owned { state, version: version.to_owned(), received, lag_ms, last_seen, ..agent }
        },
    )
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let columns =
        ["name", "state", "version", "rate", "lag", "policy", "last_seen", "os_release", "label:env"];
    let groups = ["state", "version", "os_release", "label:env"];
    let order = prop::sample::select(vec![SortOrder::Asc, SortOrder::Desc]);
    let search = prop::sample::select(vec!["", "a", "prod", "a 1"]);
    (prop::sample::select(columns.to_vec()), order, prop::sample::select(groups.to_vec()), search).prop_map(
        |(sort, order, group, search)| Wanted {
            filter: Filter::default().searching(search),
            sort: sort.parse().unwrap(),
            order,
            group: group.parse().ok(),
        },
    )
}

proptest! {
    #[test]
    fn any_table_is_whole(
        agents in prop::collection::vec(any_agent(), 0..40),
        wanted in any_wanted(),
        limit in 1..9_usize,
    ) {
        let mut agents = agents;
        for (place, agent) in agents.iter_mut().enumerate() {
            agent.id = place as u128;
        }
        let found = look(&agents, &wanted);
        // The order is total: it does not hang on the order in which agents were seen.
        agents.reverse();
        let other = look(&agents, &wanted);
        prop_assert_eq!(&found.ids, &other.ids);
        prop_assert_eq!(&found.facets, &other.facets);
        prop_assert_eq!(found.ids.iter().collect::<BTreeSet<_>>().len(), found.ids.len());
        // Windows put together are the whole.
        let windows = (0..).map(|n| window(&found.ids, n * limit as u64, limit)).take_while(|w| !w.is_empty());
        let together: Vec<AgentId> = windows.flatten().copied().collect();
        prop_assert_eq!(&together, &found.ids);
        prop_assert!(window(&found.ids, u64::MAX, limit).is_empty());
        // Groups sum up to what matches.
        let sum = |f: fn(&PartitionGroup) -> u64| found.groups.iter().map(f).sum::<u64>();
        prop_assert_eq!(sum(|g| g.agents), found.ids.len() as u64);
        prop_assert_eq!(
            sum(|g| g.healthy + g.degraded + g.failed + g.offline + g.other),
            found.ids.len() as u64
        );
        prop_assert_eq!(found.facets.states.values().sum::<u64>(), agents.len() as u64);
        prop_assert_eq!(found.total, agents.len() as u64);
    }
}
