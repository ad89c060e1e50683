//! The program as a process: first start, kill -9, signals.

use crate::common::*;
use muster_proto::api::{
    AgentView, AuditEntry, LoginRequest, Page, PolicyPlan, PolicyPublished, PolicyRevisionText,
    PolicyRevisionView, PolicySetRequest, PolicyState, PolicyText, Role, TokenCreated, TokenRequest,
    TokenView, UserView,
};
use muster_proto::opamp::RemoteConfigStatuses;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A controller in another process; killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) ca: String,
}

impl Program {
    pub(crate) async fn start(dir: &Path, listen: &str) -> Self {
        Self::start_with(dir, listen, &[]).await
    }

    pub(crate) async fn start_with(dir: &Path, listen: &str, options: &[&str]) -> Self {
        let port_file = dir.join("port");
        // The file of an earlier start would be read before this one is ready.
        let _ = std::fs::remove_file(&port_file);
        let child = Command::new(env!("CARGO_BIN_EXE_muster-controller"))
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(dir.join("data"))
            .arg("--port-file")
            .arg(&port_file)
            .arg("--admin-password-file")
            .arg(dir.join("password"))
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let addr = eventually("the controller listens", async || {
            std::fs::read_to_string(&port_file).ok()?.trim().parse().ok()
        })
        .await;
        let ca = std::fs::read_to_string(dir.join("data/ca.crt")).unwrap();
        Self { child, addr, ca }
    }

    /// The API with the session of its first user, whose password is still the one of the first start in `dir`.
    pub(crate) async fn signed_in(&self, dir: &Path) -> Api {
        let password = std::fs::read_to_string(dir.join("password")).unwrap();
        let mut api = Api::new(self.addr, &self.ca);
        api.login(password.trim()).await;
        api
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Program::start(dir.path(), "127.0.0.1:0").await;
    let api = first.signed_in(dir.path()).await;
    let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
    let mut agent = TestAgent::new(first.addr, &first.ca);
    agent.enrol(&token.token).await;
    let (mut socket, _) = agent.connect().await;
    let _: PolicyPublished = api.yaml("/policies", POLICY, 201).await;
    let hash = next(&mut socket).await.remote_config.unwrap().config_hash;
    let applied = agent.status(&hash, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &applied).await;
    let mut tokens = Vec::new();
    for i in 0..20 {
        let request = TokenRequest { note: format!("n{i}"), ..TokenRequest::default() };
        tokens.push(api.post::<_, TokenCreated>("/tokens", &request, 201).await.view);
    }
    let log: Page<AuditEntry> = api.get("/audit").await;
    // The moment after an answer.
    first.kill();
    let listen = first.addr.to_string();
    let second = Program::start(dir.path(), &listen).await;
    assert_eq!(second.ca, first.ca);

    let kept: Page<TokenView> = api.get("/tokens").await;
    assert_eq!(kept.items[1..], tokens, "the session lives on, and every token");
    assert_eq!(kept.items[0].used, 1);
    let text: PolicyRevisionText = api.get("/policies/base").await;
    assert_eq!((text.text.as_str(), text.revision.revision.0), (POLICY, 1));
    let after: Page<AuditEntry> = api.get("/audit").await;
    assert_eq!(after.items, log.items);
    let view: AgentView = api.get(&format!("/agents/{}", agent.uid)).await;
    assert_eq!((view.summary.policy.state, view.summary.name.as_str()), (PolicyState::Applied, "PROD01"));

    let mut socket = agent.dial(None).await.unwrap();
    let short = agent.message();
    let reply = ask(&mut socket, &short).await;
    assert_eq!(reply.remote_config, None, "the agent is not bothered again");
    assert_eq!(reply.flags, 1, "but asked for everything, for its sequence is unknown");
    let refused = TestAgent::new(second.addr, &second.ca).dial(Some(&token.token)).await.map(|_| ());
    assert_eq!(refused.unwrap_err().code(), "token-used-up");
}

/// A set of two documents that say the same number.
fn twins(number: u32) -> PolicySetRequest {
    let document = |name: &str| PolicyText {
        file: String::new(),
        text: format!("{{api_version: muster/v1, name: {name}, description: '{number}', spec: {{}}}}"),
        signature: None,
    };
    PolicySetRequest { documents: vec![document("left"), document("right")], ..PolicySetRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_publishing_leaves_the_state_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    let _: PolicyPlan = api.post("/policies/apply", &twins(0), 200).await;
    let answered = Arc::new(AtomicU32::new(0));
    for round in 1..=8_u64 {
        let before = answered.load(Ordering::SeqCst);
        // Publishes one set after the other until nobody answers any more.
        let publisher = {
            let (api, answered) = (api.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                loop {
                    let next = answered.load(Ordering::SeqCst) + 1;
                    let body = serde_json::to_vec(&twins(next)).unwrap();
                    match api.try_post("/policies/apply", body).await {
                        Some(200) => answered.store(next, Ordering::SeqCst),
                        Some(other) => panic!("status {other}"),
                        None => break,
                    }
                }
            })
        };
        eventually("a set is published", async || (answered.load(Ordering::SeqCst) > before).then_some(()))
            .await;
        // The kill falls into another moment of a publication in each round.
        tokio::time::sleep(Duration::from_micros(round * 7_919 % 30_000)).await;
        program.kill();
        publisher.await.unwrap();
        let told = answered.load(Ordering::SeqCst);
        program = Program::start(dir.path(), &listen).await;
        let left: PolicyRevisionText = api.get("/policies/left").await;
        let right: PolicyRevisionText = api.get("/policies/right").await;
        let number: u32 = left.revision.description.parse().unwrap();
        assert_eq!(right.revision.description, left.revision.description, "round {round}: both or neither");
        assert_eq!(right.revision.revision.0, left.revision.revision.0 + 1, "round {round}");
        assert!(
            number == told || number == told + 1,
            "round {round}: {told} was answered, {number} is there"
        );
        // Every revision has its entry in the audit log, and no other has one.
        let entries: Vec<AuditEntry> = api.all("/audit").await;
        let published = entries.iter().filter(|e| e.action == "policy.publish").count();
        assert_eq!(published as u64, right.revision.revision.0, "round {round}");
        let history: Vec<PolicyRevisionView> = api.all("/policies/left/revisions").await;
        assert_eq!(
            history.len() as u64 * 2,
            right.revision.revision.0,
            "round {round}: no number is missing"
        );
        answered.store(number, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_cleanly_and_agents_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let api = program.signed_in(dir.path()).await;
    let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
    let mut agent = TestAgent::new(program.addr, &program.ca);
    agent.enrol(&token.token).await;
    let (mut socket, _) = agent.connect().await;
    let status = Command::new("kill").arg(program.child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(next_or_close(&mut socket).await, Err(Some(1001)));
    let exit = eventually("it ends", async || program.child.try_wait().unwrap()).await;
    assert_eq!(exit.code(), Some(0));
}

#[test]
fn a_second_controller_on_the_same_data_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _first = runtime.block_on(Program::start(dir.path(), "127.0.0.1:0"));
    let second = assert_cmd::Command::new(env!("CARGO_BIN_EXE_muster-controller"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .timeout(DEADLINE)
        .assert()
        .code(1);
    let text = String::from_utf8_lossy(&second.get_output().stderr).into_owned();
    assert!(text.contains("is another controller using this data folder?"), "{text}");
}

#[test]
fn the_first_start_prints_its_password_once() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster-controller"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path().join("data"))
            .arg("--port-file")
            .arg(dir.path().join("port"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(eventually("it listens", async || dir.path().join("port").exists().then_some(())));
        std::fs::remove_file(dir.path().join("port")).unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let mut text = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
        child.wait().unwrap();
        text
    };
    let first = start();
    assert_eq!(first.matches("│ Password    ").count(), 1, "{first}");
    assert_eq!(start(), "", "only the first time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_admin_password_is_replaced_offline() {
    let dir = tempfile::tempdir().unwrap();
    let reset = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-controller"));
        command.args(["reset-admin", "--data-dir"]).arg(dir.path().join("data")).output().unwrap()
    };
    let nothing = reset();
    assert_eq!(nothing.status.code(), Some(1), "there is no controller here");
    assert!(!dir.path().join("data").exists());
    let mut first = Program::start(dir.path(), "127.0.0.1:0").await;
    let old = std::fs::read_to_string(dir.path().join("password")).unwrap();
    assert_eq!(reset().status.code(), Some(1), "not while it runs");
    first.kill();
    let done = reset();
    assert_eq!(done.status.code(), Some(0));
    let new = String::from_utf8(done.stdout).unwrap();
    let second = Program::start(dir.path(), "127.0.0.1:0").await;
    let mut api = Api::new(second.addr, &second.ca);
    api.login(new.trim()).await;
    let request = LoginRequest { user: "admin".into(), password: old.trim().into() };
    let body = ("application/json", serde_json::to_vec(&request).unwrap());
    assert_eq!(api.problem("POST", "/login", Some(body)).await.code(), "wrong-password");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.path().join("data")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

/// What the killed program was asked last, and what it answered before.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Made(usize),
    Role(usize, Role),
    Deleted(usize),
}

fn user_name(i: usize) -> String {
    format!("user{i}")
}

/// Changes users one after the other until the program is gone; tells what was answered and what was not.
async fn churn_users(api: Api) -> (Vec<Asked>, Option<Asked>) {
    let mut answered = Vec::new();
    for i in 0.. {
        let role = Role::ALL[i % 4];
        for step in [Asked::Made(i), Asked::Role(i, role), Asked::Deleted(i)] {
            if step == Asked::Deleted(i) && i % 2 == 0 {
                continue;
            }
            let name = user_name(i);
            let body = |value: serde_json::Value| value.to_string();
            let request = match &step {
                Asked::Made(_) => api.request("POST", "/users", &[]).body(body(serde_json::json!({
                    "name": name, "role": "viewer", "password": "correct horse battery",
                }))),
                Asked::Role(_, role) => {
                    let change = serde_json::json!({ "role": role });
                    api.request("PATCH", &format!("/users/{name}"), &[]).body(body(change))
                }
                Asked::Deleted(_) => api.request("DELETE", &format!("/users/{name}"), &[]),
            };
            match request.header("content-type", "application/json").send().await {
                Ok(response) => {
                    assert!(response.status().is_success(), "{step:?}: {}", response.status());
                    answered.push(step);
                }
                Err(_) => return (answered, Some(step)),
            }
        }
    }
    (answered, None)
}

/// The users that a list of changes leaves.
fn users_after(steps: &[Asked]) -> BTreeMap<String, Role> {
    let mut users = BTreeMap::from([("admin".to_owned(), Role::Admin)]);
    for step in steps {
        match step {
            Asked::Made(i) => users.insert(user_name(*i), Role::Viewer),
            Asked::Role(i, role) => users.insert(user_name(*i), *role),
            Asked::Deleted(i) => users.remove(&user_name(*i)),
        };
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_users_are_done_or_not_whenever_the_program_dies() {
    for round in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
        let api = program.signed_in(dir.path()).await;
        let churn = tokio::spawn(churn_users(api.clone()));
        // Somewhere in the middle of it, at another place each time.
        let wanted = 4 + round * 5;
        eventually("some changes are done", async || {
            let log: Page<AuditEntry> = api.get("/audit?action=user&limit=1000").await;
            (log.items.len() >= wanted).then_some(())
        })
        .await;
        program.kill();
        let (answered, open) = churn.await.unwrap();
        assert!(answered.len() + 1 >= wanted, "the last may have been stored and not answered");

        let again = Program::start(dir.path(), "127.0.0.1:0").await;
        let api = Api::new(again.addr, &again.ca).with_token(api.token.as_deref());
        let users: Page<UserView> = api.get("/users?limit=1000").await;
        let present: BTreeMap<String, Role> = users.items.into_iter().map(|u| (u.name, u.role)).collect();
        let before = users_after(&answered);
        let all: Vec<Asked> = answered.iter().cloned().chain(open).collect();
        let after = users_after(&all);
        assert!(present == before || present == after, "{present:?} is neither {before:?} nor {after:?}");
        // As many entries as changes: neither is there without the other.
        let mut entries = 0;
        let mut after_sequence = 0;
        loop {
            let page: Page<AuditEntry> =
                api.get(&format!("/audit?action=user&after={after_sequence}&limit=1000")).await;
            entries += page.items.len();
            match page.next {
                Some(next) => after_sequence = next.parse().unwrap(),
                None => break,
            }
        }
        let fits = [(&before, answered.len()), (&after, all.len())];
        assert!(fits.contains(&(&present, entries)), "{entries} entries of {answered:?}");
        let (_, text, _) = api.raw("GET", "/audit/export", None).await;
        let mut verifier = muster_shared::audit_chain::Verifier::default();
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            verifier.next(line).unwrap();
        }
    }
}
