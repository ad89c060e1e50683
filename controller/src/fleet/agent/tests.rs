//! What is offered, asked and shown, message by message.

use super::*;
use crate::fleet::record::Certificate;
use crate::policy::assign::assign;
use muster_proto::api::PolicyState;
use muster_proto::opamp::{
    AgentDescription, ComponentHealth, EffectiveConfig, RemoteConfigStatus, RemoteConfigStatuses, attribute,
};
use muster_shared::id::Revision;

const ALL: AgentCapabilities = AgentCapabilities(
    AgentCapabilities::REPORTS_STATUS.0
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_EFFECTIVE_CONFIG.0
        | AgentCapabilities::REPORTS_HEALTH.0
        | AgentCapabilities::REPORTS_REMOTE_CONFIG.0,
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

pub(super) fn agent() -> Agent {
    let record = AgentRecord {
        certificate: Certificate {
            serial: "1".to_owned(),
            key_sha256: "k".to_owned(),
            not_after: at(9_000),
            used: true,
            ..Certificate::default()
        },
        heartbeat_seconds: 30,
        ..AgentRecord::fresh("019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(), at(0))
    };
    let mut agent = Agent::new(
        record,
        Observed::default(),
        ConfigState::default(),
        Arc::new(assign([].iter(), &Default::default())),
    );
    agent.attach(1, Link::Socket { address: "127.0.0.1:1".parse().unwrap() });
    agent
}

fn short(sequence_num: u64) -> AgentToServer {
    AgentToServer { sequence_num, capabilities: ALL.0, ..AgentToServer::default() }
}

fn full(sequence_num: u64) -> AgentToServer {
    AgentToServer {
        agent_description: Some(AgentDescription {
            identifying_attributes: vec![attribute::text(attribute::IBMI_SYSTEM_NAME, "P")],
            ..AgentDescription::default()
        }),
        health: Some(ComponentHealth { healthy: true, ..ComponentHealth::default() }),
        effective_config: Some(EffectiveConfig::default()),
        remote_config_status: Some(RemoteConfigStatus::default()),
        ..short(sequence_num)
    }
}

fn status(sequence_num: u64, hash: &[u8], status: RemoteConfigStatuses) -> AgentToServer {
    let status = RemoteConfigStatus {
        last_remote_config_hash: hash.to_vec(),
        status: status.into(),
        error_message: "why".to_owned(),
    };
    AgentToServer { remote_config_status: Some(status), ..short(sequence_num) }
}

#[test]
fn an_offer_is_repeated_only_when_nothing_is_heard_of_it() {
    let mut agent = agent();
    let first = agent.receive(&full(0), at(0));
    assert!(first.changed);
    let hash = first.reply.remote_config.unwrap().config_hash;
    let again =
        |agent: &mut Agent, n, second| agent.receive(&short(n), at(second)).reply.remote_config.is_some();
    assert!(!again(&mut agent, 1, 29));
    assert!(again(&mut agent, 2, 30));
    agent.attach(2, Link::Socket { address: "127.0.0.1:2".parse().unwrap() });
    assert!(again(&mut agent, 3, 31), "a new connection may have lost it");
    // How long changing over may take is another test's.
    for (n, word, second) in
        [(4, RemoteConfigStatuses::Applying, 100), (5, RemoteConfigStatuses::Applied, 200)]
    {
        assert!(agent.receive(&status(n, &hash, word), at(40)).reply.remote_config.is_none());
        assert!(!again(&mut agent, n, second));
    }
    assert_eq!(agent.policy_status(at(200)).state, PolicyState::Applied);
}

#[test]
fn one_that_leaves_open_what_became_of_a_policy_is_told_of_and_hears_of_it_again() {
    use crate::fleet::view;
    use muster_proto::api::AgentState;
    let shown = |agent: &Agent, second| {
        let summary = view::summary(agent, at(second));
        (summary.state, summary.healthy, summary.policy.reason, summary.reason)
    };
    for changing in [false, true] {
        let mut agent = agent();
        let hash = agent.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
        let mut offers = 0;
        for (n, second) in (1..).zip((10..=150).step_by(10)) {
            let message = match (changing, n) {
                (true, 1) => status(n, &hash, RemoteConfigStatuses::Applying),
                _ => short(n),
            };
            offers += usize::from(agent.receive(&message, at(second)).reply.remote_config.is_some());
            if second == 110 {
                assert_eq!(shown(&agent, 119), (AgentState::Healthy, true, String::new(), String::new()));
            }
        }
        // Said nothing: every 30 s. Said that it is changing over: once that takes too long.
        assert_eq!(offers, if changing { 2 } else { 5 });
        let (state, healthy, of_policy, reason) = shown(&agent, 150);
        assert_eq!((state, healthy, &of_policy), (AgentState::Degraded, false, &reason));
        let did = if changing { "said that it is changing over to" } else { "was offered" };
        assert!(reason.starts_with(&format!("2 min ago it {did} policy revision 0")), "{reason}");
        // Its connection broke: what it has left begins anew, whatever it says on the new one.
        agent.attach(2, Link::Socket { address: "127.0.0.1:2".parse().unwrap() });
        let again = if changing { status(90, &hash, RemoteConfigStatuses::Applying) } else { short(90) };
        agent.receive(&again, at(160));
        assert_eq!(shown(&agent, 160).0, AgentState::Healthy);
        agent.receive(&short(91), at(281));
        assert_eq!(shown(&agent, 281).0, AgentState::Degraded);
        agent.receive(&status(92, &hash, RemoteConfigStatuses::Applied), at(290));
        assert_eq!(shown(&agent, 290), (AgentState::Healthy, true, String::new(), String::new()));
    }
}

#[test]
fn an_agent_that_gives_up_by_itself_is_not_offered_the_same_again() {
    let mut agent = agent();
    let old = agent.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
    agent.receive(&status(1, &old, RemoteConfigStatuses::Applied), at(1));
    agent.desired = Arc::new(Desired {
        hash: "0102".to_owned(),
        offer: muster_proto::opamp::AgentRemoteConfig { config_hash: vec![1, 2], config: None },
        ..(*agent.desired).clone()
    });
    assert!(agent.offer(at(2)).is_some());
    agent.receive(&status(2, &[1, 2], RemoteConfigStatuses::Applying), at(3));
    // Back to the old one without a word of failure: by the hash alone the new one would come again.
    let back = agent.receive(&status(3, &old, RemoteConfigStatuses::Applied), at(4));
    assert!(back.reply.remote_config.is_none());
    assert!(agent.receive(&short(4), at(100)).reply.remote_config.is_none());
    let shown = agent.policy_status(at(100));
    assert_eq!(shown.state, PolicyState::Failed);
    assert!(shown.reason.contains("went back"), "{}", shown.reason);
    assert!(agent.retry_refused());
    assert!(agent.offer(at(101)).is_some(), "an operator may want it");
}

#[test]
fn a_foreign_pace_is_not_taken_for_silence() {
    let mut agent = agent();
    agent.record.heartbeat_seconds = 1;
    agent.receive(&full(0), at(0));
    // It takes no settings, so nobody told it to report every second.
    assert_eq!(agent.connection(at(99)), Connection::Connected);
    assert_eq!(agent.connection(at(101)), Connection::Offline);
    let accepts = AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS.0;
    let message = AgentToServer { capabilities: ALL.0 | accepts, ..short(1) };
    agent.receive(&message, at(0));
    assert_eq!(agent.connection(at(14)), Connection::Offline);
}

#[test]
fn a_repeated_message_is_answered_and_is_no_gap() {
    let mut agent = agent();
    agent.receive(&full(7), at(0));
    assert_eq!(agent.receive(&short(7), at(1)).reply.flags, 0);
    assert_eq!(agent.receive(&short(8), at(1)).reply.flags, 0);
    assert_eq!(agent.receive(&short(10), at(1)).reply.flags, 1);
    assert_eq!(agent.receive(&short(12), at(2)).reply.flags, 0, "asked already");
    assert_eq!(agent.receive(&short(13), at(31)).reply.flags, 1, "never answered");
}

#[test]
fn heartbeats_change_nothing_that_is_stored() {
    let mut agent = agent();
    let hash = agent.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
    assert!(agent.receive(&status(1, &hash, RemoteConfigStatuses::Applied), at(1)).changed);
    assert!(
        agent.receive(&short(2), at(2)).changed,
        "not stored yet: a repeat is not answered as if it were"
    );
    let mut batch = Batch::new();
    let version = agent.add_unstored(&mut batch);
    assert!(!batch.is_empty());
    agent.persisted(Version { config: version.config - 1, ..version });
    assert!(agent.receive(&short(2), at(2)).changed);
    agent.persisted(version);
    assert!(!agent.receive(&short(2), at(2)).changed);
    assert!(!agent.receive(&status(3, &hash, RemoteConfigStatuses::Applied), at(3)).changed);
    assert_eq!(agent.last_seen, Some(at(3)));
}

#[test]
fn two_series_of_numbers_are_two_agents_and_a_restart_is_one() {
    let mut agent = agent();
    let mut said = |n| agent.receive(&short(n), at(0)).suspicion;
    assert!([100, 0, 1, 2].into_iter().all(|n| said(n).is_none()), "a restart");
    let suspicions: Vec<bool> = [500, 3, 501, 4, 502, 5].into_iter().map(|n| said(n).is_some()).collect();
    assert_eq!(suspicions, [false, false, false, false, false, true]);
    assert!(said(503).unwrap().contains("two series"));
    agent.forget_suspicions();
    assert_eq!(agent.receive(&short(504), at(0)).suspicion, None, "released");
}

#[test]
fn two_processes_by_turns_are_two_agents_and_restarts_are_one() {
    let mut agent = agent();
    let mut said = |boot: &str| {
        let mut message = full(0);
        let description = message.agent_description.as_mut().unwrap();
        description.non_identifying_attributes = vec![attribute::text(attribute::BOOT_ID, boot)];
        agent.receive(&message, at(0)).suspicion
    };
    assert!(["a", "a", "b", "c", "d", "e", "e"].into_iter().all(|boot| said(boot).is_none()), "restarts");
    assert!(said("d").unwrap().contains("by turns"));
}

#[test]
fn a_quarantined_agent_is_offered_nothing() {
    let mut agent = agent();
    let hold = Hold { at: at(0), by: "admin".to_owned(), reason: String::new() };
    agent.record.life = Life::Quarantined(hold);
    assert_eq!(agent.receive(&full(0), at(0)).reply.remote_config, None);
    agent.record.life = Life::Active;
    assert!(agent.receive(&short(1), at(1)).reply.remote_config.is_some());
}

#[test]
fn clocks_are_compared() {
    assert_eq!(skew(0, at(0)), None);
    assert_eq!(skew(1_000_005_000, at(0)), Some(5_000));
    assert_eq!(skew(999_000_000, at(0)), Some(-1_000_000));
}

#[test]
fn policy_states() {
    let mut agent = agent();
    let state = |agent: &Agent, second| agent.policy_status(at(second)).state;
    assert_eq!(state(&agent, 0), PolicyState::Waiting);
    let hash = agent.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
    assert_eq!(state(&agent, 1), PolicyState::Applying);
    assert_eq!(state(&agent, 200), PolicyState::Waiting, "offline");
    agent.receive(&status(1, &hash, RemoteConfigStatuses::Failed), at(201));
    let shown = agent.policy_status(at(201));
    assert_eq!((shown.state, shown.reason.as_str()), (PolicyState::Failed, "why"));
    agent.receive(&status(2, &hash, RemoteConfigStatuses::Applied), at(202));
    let shown = agent.policy_status(at(202));
    assert_eq!(
        (shown.state, shown.running, shown.since),
        (PolicyState::Applied, Some(Revision(0)), Some(at(202)))
    );
}

#[test]
fn a_refused_policy_is_offered_again_when_somebody_wants_it() {
    let mut agent = agent();
    let hash = agent.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
    assert!(
        agent.receive(&status(1, &hash, RemoteConfigStatuses::Failed), at(1)).reply.remote_config.is_none()
    );
    assert!(agent.receive(&short(2), at(100)).reply.remote_config.is_none(), "not by itself");
    assert!(agent.retry_refused());
    assert!(!agent.retry_refused(), "once");
    assert_eq!(agent.offer(at(101)).unwrap().config_hash, hash);
    agent.receive(&status(3, &hash, RemoteConfigStatuses::Failed), at(102));
    // A new installation of the agent, which knows of nothing.
    assert!(agent.receive(&full(0), at(200)).reply.remote_config.is_some());
}

#[test]
fn settings_are_offered_once_until_the_agent_forgets_them() {
    use muster_proto::opamp::{ConnectionSettingsOffers, ConnectionSettingsStatus, OpAmpConnectionSettings};
    let settings = OpAmpConnectionSettings { heartbeat_interval_seconds: 1, ..Default::default() };
    let wanted = ConnectionSettingsOffers {
        hash: vec![7],
        opamp: Some(settings),
        ..ConnectionSettingsOffers::default()
    };
    let mut agent = agent();
    let accepts = AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS.0;
    let mut ask = |message: AgentToServer, accepts: u64| {
        let message = AgentToServer { capabilities: message.capabilities | accepts, ..message };
        let _ = agent.receive(&message, at(1));
        let needed = agent.needs_settings(&message, &wanted);
        (needed, agent.record.heartbeat_seconds)
    };
    let with_status = |sequence_num| {
        let status = ConnectionSettingsStatus {
            last_connection_settings_hash: vec![7],
            ..ConnectionSettingsStatus::default()
        };
        AgentToServer { connection_settings_status: Some(status), ..full(sequence_num) }
    };
    assert_eq!(ask(full(0), 0), (false, 30), "it takes none");
    assert_eq!(ask(full(0), accepts), (true, 1), "the first report");
    assert_eq!(ask(short(1), accepts), (false, 1));
    assert_eq!(ask(full(2), accepts), (false, 1), "not repeated");
    assert_eq!(ask(with_status(3), accepts), (false, 1));
    assert_eq!(ask(full(0), accepts), (true, 1), "a restarted agent knows nothing");
    assert_eq!(ask(with_status(0), accepts), (false, 1), "it came back and knows");
}

#[test]
fn sums_count_what_the_list_shows() {
    use crate::fleet::roll_up::Line;
    use crate::fleet::view;
    let mut seen = agent();
    let hash = seen.receive(&full(0), at(0)).reply.remote_config.unwrap().config_hash;
    let mut failed = agent();
    failed.receive(&full(0), at(0));
    failed.receive(&status(1, &hash, RemoteConfigStatuses::Failed), at(1));
    let mut held = agent();
    held.record.life = Life::Revoked(crate::fleet::record::Hold {
        at: at(0),
        by: "admin".to_owned(),
        reason: "stolen".to_owned(),
    });
    for (name, agent) in [("new", agent()), ("seen", seen), ("failed", failed), ("held", held)] {
        for now in [at(2), at(90), at(900)] {
            let (line, shown) = (view::line(&agent, now), Line::from(&view::summary(&agent, now)));
            assert_eq!(format!("{line:?}"), format!("{shown:?}"), "{name} at {now}");
        }
    }
}
