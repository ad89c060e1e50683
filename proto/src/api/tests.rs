//! Bodies keep their shape.

use super::*;
use muster_shared::id::{AgentId, Revision};

#[test]
fn requests_deny_unknown_fields_and_take_defaults() {
    let r: TokenRequest = serde_json::from_str("{}").unwrap();
    assert_eq!(r, TokenRequest::default());
    let e = serde_json::from_str::<TokenRequest>(r#"{"user": 1}"#).unwrap_err();
    assert!(e.to_string().starts_with("unknown field `user`"), "{e}");
}

#[test]
fn a_problem_tells_its_code() {
    let p = Problem::new("token-expired", "Enrolment token expired", 401, "make a new one");
    let text = serde_json::to_string(&p).unwrap();
    assert_eq!(
        text,
        r#"{"type":"urn:muster:problem:token-expired","title":"Enrolment token expired","status":401,"detail":"make a new one"}"#
    );
    let back: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(back.code(), "token-expired");
}

#[test]
fn debug_output_carries_no_secret() {
    let r = LoginRequest { user: "admin".into(), password: "hunter22hunter22".into() };
    assert_eq!(format!("{r:?}"), r#"LoginRequest { user: "admin", .. }"#);
}

#[test]
fn an_agent_view_survives_the_round_trip() {
    let id: AgentId = "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap();
    let window = RateWindow {
        total: Totals { received: 10, kept: 8, dropped: 2, delivered: 8 },
        now: PerSecond { received: 1.5, ..PerSecond::default() },
        ..RateWindow::default()
    };
    let view = AgentView {
        summary: AgentSummary {
            kind: AgentKind::Muster,
            id,
            name: "PROD01".into(),
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            state: AgentState::Reconnecting,
            since: None,
            connection: Connection::Reconnecting,
            life: AgentLife::Active,
            last_seen: Some("2026-11-22T04:00:00Z".parse().unwrap()),
            healthy: false,
            reason: "journal QSYS/QAUDJRN not found".into(),
            version: "0.1.0".into(),
            os_release: "V7R5M0".into(),
            utc_offset_seconds: Some(3_600),
            policy: PolicyStatusView {
                wanted: Revision(3),
                running: None,
                state: PolicyState::Waiting,
                reason: String::new(),
                since: None,
            },
            rates: window,
            lag_ms: 0,
            flags: vec![],
            planned_outage: None,
            upgrade: None,
            pin: None,
        },
        enrolled_at: "2026-11-22T03:00:00Z".parse().unwrap(),
        attributes: Default::default(),
        limits: None,
        secrets: Vec::new(),
        certificate: None,
        components: vec![],
        warnings: vec![],
        rate_detail: AgentRates {
            id,
            name: "PROD01".into(),
            reported_at: None,
            window,
            lag_ms: 0,
            sources: vec![],
            destinations: vec![],
        },
        hold: None,
        partition: None,
        clock_skew_ms: None,
    };
    let back: AgentView = serde_json::from_str(&serde_json::to_string(&view).unwrap()).unwrap();
    assert_eq!(back, view);
}

#[test]
fn a_policy_with_numbers_survives_json() {
    let json = r#"{"revision":3,"spec":{"sources":{"audit":{"kind":"audit_journal","poll_interval_ms":2000}},
        "destinations":{"siem":{"transport":{"kind":"udp","address":"h:1"},"heartbeat_seconds":5}}}}"#;
    let p: muster_shared::policy::model::EffectivePolicy = serde_json::from_str(json).unwrap();
    let back = serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap();
    assert_eq!(p, back);
}

mod hostile {
    //! Whatever is sent: read or refused, never a panic, and what is read says again what was meant.

    use super::super::*;
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value};

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            prop_oneof!["admin", "viewer", "metrics", "2026-11-22T04:00:00Z"].prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((".{0,6}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// Objects with the fields that requests have, and sometimes one more.
    fn body() -> impl Strategy<Value = Value> {
        let names = [
            "name",
            "role",
            "password",
            "user",
            "current",
            "new",
            "scope",
            "note",
            "expires_in_seconds",
            "uses",
            "labels",
            "urls",
            "disabled",
            "four_eyes",
            "zzz",
        ];
        proptest::collection::vec((proptest::sample::select(names.to_vec()), value()), 0..5).prop_map(
            |pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()),
        )
    }

    fn read<T: DeserializeOwned + Serialize + PartialEq>(text: &str) {
        if let Ok(read) = serde_json::from_str::<T>(text) {
            let again = serde_json::to_string(&read).unwrap();
            assert!(serde_json::from_str::<T>(&again).unwrap() == read, "{text} became {again}");
            if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
                assert!(!fields.contains_key("zzz"), "an unknown field was taken");
            }
        }
    }

    fn read_all(text: &str) {
        read::<LoginRequest>(text);
        read::<PasswordChange>(text);
        read::<UserRequest>(text);
        read::<UserChange>(text);
        read::<PasswordReset>(text);
        read::<ApiTokenRequest>(text);
        read::<TokenRequest>(text);
        read::<SettingsChange>(text);
        read::<ProposalDecision>(text);
    }

    proptest! {
        #[test]
        fn bodies(body in prop_oneof![body(), value()]) {
            read_all(&body.to_string());
        }

        #[test]
        fn bytes(text in ".{0,200}") {
            read_all(&text);
        }
    }
}
