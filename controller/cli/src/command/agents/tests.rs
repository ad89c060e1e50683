//! What is shown for which agent.

use super::*;
use muster_proto::api::{
    AgentRates, CertificateView, ComponentView, Connection, DestinationCounters, DestinationRates, PerSecond,
    RateWindow, SourceCounters, SourceRates, Totals, UpgradeStep, UpgradeView,
};
use muster_shared::id::Revision;

const PLAIN: Style = Style { json: false, colour: false, terminal: false };

fn now() -> Timestamp {
    "2026-11-22T04:00:00Z".parse().unwrap()
}

fn agent(name: &str, state: AgentState) -> AgentSummary {
    let healthy = state == AgentState::Healthy;
    AgentSummary {
        state,
        since: None,
        id: "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
        kind: AgentKind::Muster,
        name: name.into(),
        labels: [("env".to_owned(), "prod".to_owned()), ("site".to_owned(), "zrh".to_owned())].into(),
        life: AgentLife::Active,
        connection: Connection::Connected,
        last_seen: Some("2026-11-22T03:59:58Z".parse().unwrap()),
        healthy,
        reason: if healthy { String::new() } else { "journal QSYS/QAUDJRN not found".into() },
        version: "0.1.0".into(),
        os_release: "V7R5M0".into(),
        utc_offset_seconds: Some(3_600),
        policy: PolicyStatusView {
            wanted: Revision(7),
            running: Some(Revision(7)),
            state: PolicyState::Applied,
            reason: String::new(),
            since: None,
        },
        rates: RateWindow {
            total: Totals::default(),
            now: PerSecond { received: 40.2, ..PerSecond::default() },
            ..RateWindow::default()
        },
        lag_ms: 850,
        flags: vec![],
        planned_outage: None,
        upgrade: None,
        pin: None,
    }
}

fn text(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_way_to_a_version_is_told() {
    let with = |step, percent, overdue, reason: &str| AgentSummary {
        upgrade: Some(UpgradeView {
            rollout: 7,
            target: "0.3.0".into(),
            version: "0.2.0".into(),
            step,
            percent,
            reason: reason.into(),
            since: Some(now()),
            deadline: None,
            overdue,
        }),
        ..agent("PROD01", AgentState::Healthy)
    };
    use UpgradeStep as S;
    for (agent, expected, tone) in [
        (agent("PROD01", AgentState::Healthy), "0.1.0", Tone::Plain),
        (with(S::Downloading, Some(41), false, ""), "0.1.0 → 0.2.0 downloading 41 %", Tone::Warn),
        (with(S::Staged, None, true, ""), "0.1.0 → 0.2.0 staged, overdue", Tone::Bad),
        (with(S::Done, None, false, ""), "0.1.0", Tone::Plain),
        (with(S::RolledBack, None, false, ""), "0.1.0 → 0.2.0 rolled back", Tone::Bad),
        (with(S::Away, None, false, ""), "0.1.0 → 0.2.0 away", Tone::Warn),
    ] {
        assert_eq!(upgrade::version(&agent), (expected.to_owned(), tone));
    }
    let told = upgrade::upgrade(&with(S::Failed, None, false, "the disk is full"), now());
    let told: Vec<_> = told.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    assert_eq!(
        told,
        [
            "upgrade: 0.2.0 failed, since 2026-11-22T04:00:00Z",
            "upgrade target: 0.3.0",
            "upgrade reason: the disk is full",
            "upgrade by: rollout 7"
        ]
    );
}

#[test]
fn a_word_for_each_state() {
    for (state, word) in [
        (AgentState::Healthy, "healthy"),
        (AgentState::Degraded, "degraded"),
        (AgentState::Failed, "failed"),
        (AgentState::Reconnecting, "reconnecting"),
        (AgentState::Offline, "offline"),
        (AgentState::PlannedOutage, "planned outage"),
        (AgentState::Quarantined, "quarantined"),
        (AgentState::NeverConnected, "never seen"),
    ] {
        assert_eq!(health(&agent("A", state)).0, word, "{state:?}");
    }
    let mut refused = agent("A", AgentState::Healthy);
    refused.policy.state = PolicyState::Failed;
    refused.policy.reason = "no such secret".into();
    assert_eq!(health(&refused), ("healthy", Tone::Warn, "policy refused: no such secret".to_owned()));
}

#[test]
fn revisions_running_and_wanted() {
    let mut status = agent("A", AgentState::Healthy).policy;
    for (state, running, shown) in [
        (PolicyState::Applied, Some(7), "7"),
        (PolicyState::Applying, Some(6), "6 → 7 applying"),
        (PolicyState::Waiting, None, "none → 7 waiting"),
        (PolicyState::Failed, Some(6), "6 → 7 failed"),
    ] {
        status.state = state;
        status.running = running.map(Revision);
        assert_eq!(policy(&status).0, shown);
    }
}

#[test]
fn the_list() {
    let agents = [agent("PROD01", AgentState::Healthy), agent("\x1b[2Jevil", AgentState::Failed)];
    assert_eq!(
        text(|out| print_table(out, &list_table(&agents, now(), PLAIN))),
        " NAME      KIND    HEALTH   LABELS             RELEASE  VERSION  EVENTS/S  LAG     POLICY  LAST SEEN  REASON\n\
         \x20PROD01    muster  healthy  env=prod site=zrh  V7R5M0   0.1.0    40        850 ms  7       2 s ago    -\n\
         \x20 [2Jevil  muster  failed   env=prod site=zrh  V7R5M0   0.1.0    40        850 ms  7       2 s ago    journal QSYS/QAUDJRN not found\n"
    );
}

#[test]
fn one_agent_in_detail() {
    let summary = AgentSummary {
        since: Some("2026-11-22T03:50:00Z".parse().unwrap()),
        ..agent("PROD01", AgentState::Failed)
    };
    let window = RateWindow {
        total: Totals { received: 1_500, kept: 1_400, dropped: 100, delivered: 0 },
        ..summary.rates
    };
    let view = AgentView {
        enrolled_at: "2026-11-22T03:00:00Z".parse().unwrap(),
        attributes: [
            ("host.name".to_owned(), "pase01".to_owned()),
            ("serial".to_owned(), "7812345".to_owned()),
        ]
        .into(),
        limits: None,
        secrets: Vec::new(),
        certificate: Some(CertificateView {
            serial: "0a1b".into(),
            expires_at: "2026-12-22T03:00:00Z".parse().unwrap(),
            key_sha256: "ff00".into(),
        }),
        components: vec![ComponentView {
            kind: ComponentKind::Source,
            name: "audit".into(),
            healthy: false,
            status: "gap".into(),
            reason: "receiver AUDRCV0007 was deleted before it was read".into(),
            since: Some("2026-11-22T03:50:00Z".parse().unwrap()),
        }],
        warnings: vec!["a second agent with this identity was refused".into()],
        rate_detail: AgentRates {
            id: summary.id,
            name: summary.name.clone(),
            reported_at: None,
            window,
            lag_ms: 850,
            sources: vec![SourceRates {
                name: "audit".into(),
                window,
                dropped_by_rule: [("drop-zr".to_owned(), 100)].into(),
                kept_by_rule: [("keep-af".to_owned(), 7)].into(),
                throttled_by_rule: [("storm".to_owned(), 4_211)].into(),
                expression_faults: [("ports".to_owned(), 2)].into(),
                lag_ms: 20,
                counters: SourceCounters { bad_rows: 3, ..SourceCounters::default() },
            }],
            destinations: vec![DestinationRates {
                name: "siem".into(),
                delivered: 1_390,
                delivered_now: 39.0,
                delivered_minute: 12.3,
                delivered_hour: 2.0,
                lag_ms: 850,
                counters: DestinationCounters { replayed: 1_234, ..DestinationCounters::default() },
            }],
        },
        hold: None,
        partition: None,
        clock_skew_ms: None,
        summary,
    };
    let shown = text(|out| print_view(out, &view, now(), PLAIN));
    for line in [
        " name             PROD01",
        " system           pase01",
        " health           failed",
        " since            2026-11-22T03:50:00Z (10 min ago)",
        " reason           journal QSYS/QAUDJRN not found",
        " certificate      0a1b until 2026-12-22T03:00:00Z",
        " serial           7812345",
        " warning: a second agent with this identity was refused",
        " audit      source  unhealthy  gap    10 min ago  receiver AUDRCV0007 was deleted before it was read",
        " source       audit  1,500     1,400  100      -          40     0         0       20 ms",
        " destination  siem   -         -      -        1,390      39     12        2.0     850 ms",
        " drop-zr  audit   -     100      -",
        " keep-af  audit   7     -        -",
        " storm    audit   -     -        4,211",
        " ports       audit  2       an expression of the policy failed",
        " bad rows    audit  3       read only in part",
        " sent again  siem   1,234   after a break: possible duplicates",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line:?} is missing in\n{shown}");
    }
}
