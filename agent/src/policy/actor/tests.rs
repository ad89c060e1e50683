use super::*;
use std::cell::{Cell, RefCell};
use std::path::Path;

/// A supervisor that notes what it is asked and answers as told.
#[derive(Default)]
struct Recorder {
    changes: RefCell<Vec<PolicyChange>>,
    refuse: RefCell<Option<String>>,
    after: Cell<Option<Duration>>,
}

impl ApplyPolicy for Recorder {
    fn apply(&self, change: PolicyChange) -> LocalBoxFuture<'static, Result<(), String>> {
        self.changes.borrow_mut().push(change);
        let answer = self.refuse.borrow().clone().map_or(Ok(()), Err);
        let after = self.after.get();
        Box::pin(async move {
            if let Some(pause) = after {
                tokio::time::sleep(pause).await;
            }
            answer
        })
    }
}

impl Recorder {
    fn revisions(&self) -> Vec<u64> {
        self.changes.borrow().iter().map(|change| change.policy.revision).collect()
    }
}

#[derive(Default)]
struct Sink(RefCell<Option<(HealthState, String)>>);

impl HealthSink for Sink {
    fn report(&self, component: &str, state: HealthState, reason: &str) {
        assert_eq!(component, COMPONENT);
        *self.0.borrow_mut() = Some((state, reason.to_owned()));
    }
}

struct Setting {
    keeper: Addr<PolicyKeeper>,
    supervisor: Rc<Recorder>,
    sink: Rc<Sink>,
}

fn start(state_dir: &Path) -> Setting {
    start_with(state_dir, Rc::default())
}

fn start_with(state_dir: &Path, supervisor: Rc<Recorder>) -> Setting {
    let sink = Rc::new(Sink::default());
    let store = PolicyStore::open(state_dir).unwrap();
    let keeper = PolicyKeeper::new(store, Guards::default(), supervisor.clone(), sink.clone()).start();
    Setting { keeper, supervisor, sink }
}

fn offer(revision: u64) -> PolicyOffer {
    let body = format!(
        r#"{{"revision":{revision},"spec":{{"sources":{{"audit":{{"kind":"audit_journal"}}}},
        "destinations":{{"siem":{{"transport":{{"kind":"udp","address":"10.0.0.{revision}:514"}}}}}}}}}}"#
    );
    PolicyOffer { hash: vec![u8::try_from(revision).unwrap(); 32], body: body.into_bytes() }
}

fn bad(revision: u8) -> PolicyOffer {
    PolicyOffer { hash: vec![revision; 32], body: b"{\"revision\":".to_vec() }
}

fn health(setting: &Setting) -> (HealthState, String) {
    setting.sink.0.borrow().clone().unwrap()
}

#[actix_rt::test]
async fn the_first_policy_is_applied_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let one = start(dir.path());
    assert_eq!(one.keeper.present().await, PolicyReport::default());
    assert_eq!(health(&one).0, HealthState::Starting);

    let report = one.keeper.offer(offer(1)).await;
    let expected = PolicyReport {
        last_offer: Some((vec![1; 32], PolicyVerdict::Applied)),
        running: Some(offer(1).body),
    };
    assert_eq!(report, expected);
    assert_eq!(health(&one), (HealthState::Healthy, String::new()));

    let two = start(dir.path());
    assert_eq!(two.keeper.present().await, expected);
    assert_eq!(two.supervisor.revisions(), [1]);
    let changes = two.supervisor.changes.borrow();
    assert!(changes[0].narrows.is_empty(), "a restart takes nothing away");
}

#[actix_rt::test]
async fn a_change_comes_with_what_it_takes_away() {
    let dir = tempfile::tempdir().unwrap();
    let setting = start(dir.path());
    setting.keeper.offer(offer(1)).await;
    setting.keeper.offer(offer(2)).await;
    let changes = setting.supervisor.changes.borrow();
    assert_eq!(changes[1].compiled.destinations(), ["siem"]);
    assert!(!changes[1].narrows.is_empty(), "a receiver is left");
}

#[actix_rt::test]
async fn a_bad_policy_leaves_the_old_one_running_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let one = start(dir.path());
    one.keeper.offer(offer(1)).await;
    let report = one.keeper.offer(bad(9)).await;
    assert_eq!(report.running, Some(offer(1).body));
    let Some((hash, PolicyVerdict::Failed(reason))) = &report.last_offer else { panic!("{report:?}") };
    assert_eq!(*hash, vec![9; 32]);
    assert!(reason.contains("does not parse"), "{reason}");
    assert_eq!(one.supervisor.revisions(), [1], "the supervisor never saw it");
    let (state, text) = health(&one);
    assert_eq!(state, HealthState::Degraded);
    assert!(text.contains("the policy before runs on"), "{text}");

    let two = start(dir.path());
    assert_eq!(two.keeper.present().await, report, "the refusal is still known");
    assert_eq!(two.keeper.offer(offer(2)).await.last_offer, Some((vec![2; 32], PolicyVerdict::Applied)));
    let three = start(dir.path());
    assert_eq!(three.keeper.present().await.last_offer, Some((vec![2; 32], PolicyVerdict::Applied)));
}

#[actix_rt::test]
async fn a_policy_that_does_not_start_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let setting = start(dir.path());
    setting.keeper.offer(offer(1)).await;
    *setting.supervisor.refuse.borrow_mut() = Some("actor of source audit died".to_owned());
    let report = setting.keeper.offer(offer(2)).await;
    let failed = PolicyVerdict::Failed("actor of source audit died".to_owned());
    assert_eq!(report.last_offer, Some((vec![2; 32], failed)));
    assert_eq!(report.running, Some(offer(1).body));
    *setting.supervisor.refuse.borrow_mut() = None;
    let again = start(dir.path());
    assert_eq!(again.keeper.present().await.running, Some(offer(1).body));
}

#[actix_rt::test]
async fn a_policy_that_cannot_be_stored_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let setting = start(dir.path());
    setting.keeper.offer(offer(1)).await;
    // A folder in the way of the link makes the commit fail after the policy was applied.
    std::fs::create_dir(dir.path().join("policy/previous.json")).unwrap();
    let report = setting.keeper.offer(offer(2)).await;
    assert!(
        matches!(&report.last_offer, Some((_, PolicyVerdict::Failed(reason))) if reason.contains("previous.json"))
    );
    assert_eq!(report.running, Some(offer(1).body));
    assert_eq!(setting.supervisor.revisions(), [1, 2, 1]);
}

#[actix_rt::test]
async fn a_hung_start_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let supervisor = Rc::new(Recorder::default());
    supervisor.after.set(Some(Duration::from_secs(3_600)));
    let sink = Rc::new(Sink::default());
    let store = PolicyStore::open(dir.path()).unwrap();
    let mut keeper = PolicyKeeper::new(store, Guards::default(), supervisor.clone(), sink.clone());
    keeper.apply_deadline = Duration::from_millis(50);
    let setting = Setting { keeper: keeper.start(), supervisor, sink };
    let report = setting.keeper.offer(offer(1)).await;
    assert!(
        matches!(&report.last_offer, Some((_, PolicyVerdict::Failed(reason))) if reason.contains("within 0.05 s"))
    );
    assert_eq!(report.running, None);
    assert_eq!(health(&setting).0, HealthState::Failed);
}

#[actix_rt::test]
async fn offers_are_judged_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let setting = start(dir.path());
    setting.supervisor.after.set(Some(Duration::from_millis(20)));
    let (one, two) = futures_util::join!(setting.keeper.offer(offer(1)), setting.keeper.offer(offer(2)));
    assert_eq!(one.running, Some(offer(1).body));
    assert_eq!(two.running, Some(offer(2).body));
    assert_eq!(setting.supervisor.revisions(), [1, 2]);
}
