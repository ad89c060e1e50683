//! Backups of a running controller, what is restored from them, and the old controller that comes back.

use crate::agent_audit;
use crate::common::*;
use crate::process::Program;
use muster_backup::{BackupError, Passphrase, verify};
use muster_controller::backup::BackupConfig;
use muster_controller::restore::{Options, Report, RestoreError, restore};
use muster_controller::{Config, Running, serve};
use muster_proto::api::{
    AgentAuditPage, AgentView, AuditEntry, BackupList, BackupView, Decision, ForeignTokenCreated,
    ForeignTokenRequest, Page, PolicyPublished, RestoreView, TokenCreated, TokenRequest, TokenView,
};
use muster_proto::opamp::{CONTENT_TYPE, INCARNATION_HEADER, PATH, RemoteConfigStatuses};
use muster_shared::audit_chain::Verifier;
use muster_shared::incarnation::Claim;
use std::path::{Path, PathBuf};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, http};

const PASSPHRASE: &str = "correct horse battery";

/// Quick to try: a passphrase of a test needs no protection.
const QUICK: u8 = 2;

fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE).unwrap()
}

fn backups(folder: &Path) -> BackupConfig {
    BackupConfig {
        folder: folder.to_owned(),
        passphrase: passphrase(),
        every_hours: 24,
        keep: 3,
        work_factor: QUICK,
    }
}

/// A controller that makes backups, the first of which is there.
async fn start(folder: &Path) -> Site {
    let site = Site::start_with(|config| config.backup = Some(backups(folder))).await;
    eventually("the first backup is made", async || {
        let list: BackupList = site.api.get("/backups").await;
        list.last_success
    })
    .await;
    site
}

async fn make(site: &Site, folder: &Path) -> PathBuf {
    let made: BackupView = site.api.post("/backups", &serde_json::json!({}), 201).await;
    folder.join(made.name)
}

fn options(from: &Path, data_dir: &Path) -> Options {
    Options {
        from: from.to_owned(),
        data_dir: data_dir.to_owned(),
        passphrase: passphrase(),
        audit_log: None,
        incarnation: None,
    }
}

async fn restored(options: &Options) -> Result<Report, RestoreError> {
    restore(options, jiff::Timestamp::now()).await
}

/// A restored controller that runs, with the admin signed in.
async fn run(data_dir: &Path, password: &str) -> (Running, Api) {
    let mut config = Config::new(data_dir);
    config.probe = std::time::Duration::from_millis(500);
    let running = serve(config).await.unwrap();
    let mut api = Api::new(running.addr, &running.ca_pem);
    api.login(password).await;
    (running, api)
}

/// The whole text of the audit log.
async fn export(api: &Api, path: &Path) {
    let (status, text, _) = api.raw("GET", "/audit/export", None).await;
    assert_eq!(status, 200);
    std::fs::write(path, text).unwrap();
}

impl TestAgent {
    /// Asks for an upgrade, telling what the agent has met; gives what the controller shows, or why it refuses.
    async fn meet(&self, met: Option<&str>) -> Result<Claim, (u16, String)> {
        let tcp = tokio::net::TcpStream::connect(self.addr).await.unwrap();
        let name = rustls_pki_types::ServerName::from(self.addr.ip());
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(self.tls()));
        let stream = connector.connect(name, tcp).await.unwrap();
        let mut request = format!("wss://{}/v1/opamp", self.addr).into_client_request().unwrap();
        if let Some(met) = met {
            let value: http::HeaderValue = met.parse().unwrap();
            request.headers_mut().insert(INCARNATION_HEADER, value);
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((_, response)) => {
                Ok(response.headers()[INCARNATION_HEADER].to_str().unwrap().parse().unwrap())
            }
            Err(WsError::Http(response)) => {
                let text = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
                Err((response.status().as_u16(), text.into_owned()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Asks with a poll; gives the status.
    async fn poll(&self, met: &str) -> u16 {
        let client = reqwest::Client::builder().tls_backend_preconfigured(self.tls()).build().unwrap();
        let request =
            client.post(format!("https://{}{PATH}", self.addr)).header("content-type", CONTENT_TYPE);
        request.header(INCARNATION_HEADER, met).send().await.unwrap().status().as_u16()
    }

    /// Renews its certificate, and uses the new one.
    async fn renew(&mut self) {
        let (mut socket, _) = self.connect().await;
        self.key = std::sync::Arc::new(rcgen::KeyPair::generate().unwrap());
        let reply = loop {
            let request = self.with_csr();
            let reply = ask(&mut socket, &request).await;
            if reply.error_response.is_none() {
                break reply;
            }
            // A second key is taken a little later than the first one.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        };
        self.keep(&reply);
        drop(socket);
        let _used = self.connect().await;
    }

    /// The same agent at another controller.
    fn at(&self, running: &Running) -> Self {
        Self {
            addr: running.addr,
            ca: self.ca.clone(),
            uid: self.uid,
            key: std::sync::Arc::clone(&self.key),
            certificate: self.certificate.clone(),
            sequence: 0,
        }
    }
}

fn password(site: &Site) -> String {
    site.running.admin_password.as_ref().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_listed_fetched_and_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let partial = folder.join(".muster-20200101T000000000Z.muster-backup.partial");
    std::fs::write(&partial, b"cut off by a crash").unwrap();
    std::fs::write(folder.join("notes.txt"), b"not a backup").unwrap();
    let site = start(&folder).await;
    assert!(!partial.exists(), "what a crash left is no backup");
    for _ in 0..4 {
        make(&site, &folder).await;
    }
    let list: BackupList = site.api.get("/backups").await;
    assert_eq!((list.backups.len(), list.keep, list.every_hours), (3, 3, 24));
    assert!(list.backups.iter().all(|b| b.verified_at.is_some()));
    assert!(list.backups.is_sorted_by(|a, b| a.taken_at > b.taken_at), "newest first");
    assert_eq!(list.last_success, Some(list.backups[0].taken_at));
    assert!(list.next_due > list.last_success && list.last_failure.is_none());
    assert!(folder.join("notes.txt").exists());
    let (_, text, _) = site.api.raw("GET", "//metrics", None).await;
    let text = String::from_utf8(text).unwrap();
    for line in ["muster_backup_failures_total 0", "muster_backup_age_seconds 0", "muster_incarnation 1"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Fetched as it stands there, and only what is a backup.
    let name = &list.backups[0].name;
    let (status, bytes, headers) = site.api.raw("GET", &format!("/backups/{name}"), None).await;
    assert_eq!((status, &headers["content-type"]), (200, &"application/octet-stream".parse().unwrap()));
    assert_eq!(bytes, std::fs::read(folder.join(name)).unwrap());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    for other in
        ["notes.txt", "..%2Fca.pem", "..%2F..%2Fetc%2Fpasswd", "muster-20200101T000000000Z.muster-backup"]
    {
        assert_eq!(site.api.raw("GET", &format!("/backups/{other}"), None).await.0, 404, "{other}");
    }
    let log: Page<AuditEntry> = site.api.get("/audit?action=backup").await;
    let actions: Vec<&str> = log.items.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        ["backup.download", "backup.make", "backup.make", "backup.make", "backup.make", "backup.make"]
    );
    assert_eq!((log.items[0].actor.as_str(), log.items[5].actor.as_str()), ("admin", "controller"));
    // A folder that cannot be written is told, and nothing counts.
    std::fs::rename(&folder, dir.path().join("moved")).unwrap();
    std::fs::write(&folder, b"a file in its place").unwrap();
    let failed = site.api.problem("POST", "/backups", Some(("application/json", b"{}".to_vec()))).await;
    assert!(failed.detail.contains("cannot be written") && failed.status == 503, "{failed:?}");
    std::fs::remove_file(&folder).unwrap();
    let list: BackupList = site.api.get("/backups").await;
    assert!(list.last_failure.unwrap().reason.contains("cannot be written"));
    let log: Page<AuditEntry> = site.api.get("/audit?action=backup.failed").await;
    assert_eq!(log.items.len(), 1);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_makes_a_backup_it_leaves_none_that_counts() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path().join("backups"), dir.path().join("passphrase"));
    std::fs::write(&file, PASSPHRASE).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (text, file) = (folder.display().to_string(), file.display().to_string());
    let options = ["--backup-dir", text.as_str(), "--backup-passphrase-file", file.as_str()];
    let mut program = Program::start_with(dir.path(), "127.0.0.1:0", &options).await;
    // The key is stretched for a good while after the file was begun.
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    eventually("the first backup is begun", async || names().first().map(drop)).await;
    program.kill();
    let left = names();
    assert!(left.len() == 1 && left[0].ends_with(".partial"), "{left:?}");
    let program = Program::start_with(dir.path(), "127.0.0.1:0", &options).await;
    let api = program.signed_in(dir.path()).await;
    eventually("it is made after the start", async || {
        let list: BackupList = api.get("/backups").await;
        list.last_success
    })
    .await;
    let made = names();
    assert!(made.len() == 1 && made != left, "{left:?} {made:?}");
    let whole = std::fs::File::open(folder.join(&made[0])).unwrap();
    assert_eq!(verify(whole, &passphrase()).unwrap().manifest.counts["users"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_there_are_no_backups_and_that_is_said() {
    let site = Site::start().await;
    let list: BackupList = site.api.get("/backups").await;
    assert_eq!((list.folder, list.next_due, list.backups.len()), (None, None, 0));
    let refused = site.api.problem("POST", "/backups", None).await;
    assert_eq!((refused.status, refused.code()), (409, "no-backups"));
    assert!(refused.detail.contains("--backup-dir"), "{refused:?}");
    let view: RestoreView = site.api.get("/restore").await;
    assert_eq!((view.incarnation, view.restored, view.superseded), (1, None, None));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_come_back_and_what_was_void_or_revoked_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let mut kept = site.agent().await;
    let (_socket, _) = kept.connect().await;
    let mut gone = site.agent().await;
    let (_gone_socket, _) = gone.connect().await;
    let (mut renewing, mut late) = (site.agent().await, None);
    let unspent = site.token().await;
    let first: PolicyPublished =
        site.api.yaml("/policies", "api_version: muster/v1\nname: base\nspec: {}\n", 201).await;
    assert_eq!(first.revision.revision.0, 1);
    let backup = make(&site, &folder).await;
    // After the backup: a revocation, a renewal, an enrolment, a revision.
    let reason = Decision { reason: "stolen".to_owned() };
    let _: AgentView = site.api.post(&format!("/agents/{}/revoke", gone.uid), &reason, 200).await;
    let (mut renewing_socket, _) = renewing.connect().await;
    renewing.key = std::sync::Arc::new(rcgen::KeyPair::generate().unwrap());
    let request = renewing.with_csr();
    let reply = ask(&mut renewing_socket, &request).await;
    renewing.keep(&reply);
    drop(renewing_socket);
    let (_renewed_socket, _) = renewing.connect().await;
    let unknown = late.insert(site.agent().await);
    let document = "api_version: muster/v1\nname: base\ndescription: later\nspec: {}\n";
    let _: PolicyPublished = site.api.yaml("/policies", document, 201).await;
    let exported = dir.path().join("audit.jsonl");
    export(&site.api, &exported).await;
    let password = password(&site);
    site.running.stop().await;

    let data = dir.path().join("restored");
    let with_log = Options { audit_log: Some(exported.clone()), ..options(&backup, &data) };
    let report = restored(&with_log).await.unwrap();
    let renewed = &report.renewed;
    assert_eq!((renewed.incarnation.number, renewed.agents, renewed.tokens), (2, 2, 4));
    assert_eq!(renewed.shut_out.iter().map(ToString::to_string).collect::<Vec<_>>(), [gone.uid.to_string()]);
    assert_eq!((renewed.last_revision, renewed.revisions_from), (1, 2_000_000));
    assert!(renewed.sessions >= 1 && report.chain.starts_with("whole"), "{report:?}");
    let redo = report.lost.unwrap().redo.join("\n");
    for part in ["agent.revoke", "policy.publish base@2", "agent.enrol"] {
        assert!(redo.contains(part), "{part} in {redo}");
    }
    let (running, api) = run(&data, &password).await;
    // Sessions and tokens are void.
    let before = api.with_token(site.api.token.as_deref());
    assert_eq!(before.raw("GET", "/whoami", None).await.0, 401);
    let tokens: Page<TokenView> = api.get("/tokens").await;
    assert!(tokens.items.is_empty());
    let fresh = TestAgent::new(running.addr, &running.ca_pem);
    let refused = fresh.dial(Some(&unspent.token)).await.unwrap_err();
    assert_eq!(refused.code(), "token-unknown");
    // Whoever was there is back, with the certificate of the backup or a newer one.
    for agent in [&kept, &renewing] {
        let claim = agent.at(&running).meet(None).await.unwrap();
        assert_eq!(claim.incarnation, renewed.incarnation);
    }
    let mut back = kept.at(&running);
    let (mut socket, reply) = back.connect().await;
    let offer = reply.remote_config.expect("the policy of the backup is offered");
    let applied = back.status(&offer.config_hash, RemoteConfigStatuses::Applied, "");
    ask(&mut socket, &applied).await;
    let (status, text) = gone.at(&running).meet(None).await.unwrap_err();
    assert!(status == 401 && text.contains("was revoked by admin") && text.contains("stolen"), "{text}");
    let (status, text) = unknown.at(&running).meet(None).await.unwrap_err();
    assert!(status == 401 && text.contains("is of after the backup"), "{text}");
    // What agents told is listed, revisions go on above all that was lost, the log goes on where the lost one ended.
    let view: RestoreView = api.get("/restore").await;
    let told = view.restored.unwrap();
    assert_eq!((told.renewed_agents, told.unknown_agents), (1, vec![unknown.uid.to_string()]));
    let next: PolicyPublished = api.yaml("/policies", document, 201).await;
    assert_eq!(next.revision.revision.0, 2_000_001);
    let (_, text, _) = api.raw("GET", "/audit/export", None).await;
    let lost = std::fs::read(&exported).unwrap();
    assert!(text.starts_with(&lost), "the log of the lost controller is taken over");
    let log: Page<AuditEntry> = api.get("/audit?action=controller").await;
    assert_eq!(log.items[0].action, "controller.restored");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_controller_that_comes_back_learns_it_from_an_agent_and_stands_still() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let agent = site.agent().await;
    let first = agent.meet(None).await.unwrap();
    assert_eq!(first.incarnation.number, 1);
    let backup = make(&site, &folder).await;
    let password = password(&site);
    let data = dir.path().join("restored");
    restored(&options(&backup, &data)).await.unwrap();
    let (running, api) = run(&data, &password).await;
    let second = agent.at(&running).meet(Some(&first.to_string())).await.unwrap();
    assert_eq!(second.incarnation.number, 2);
    // What nobody signed changes nothing, and neither does what cannot be read.
    let made_up = Claim { signature: first.signature.clone(), ..second.clone() };
    let (status, text) = agent.meet(Some(&made_up.to_string())).await.unwrap_err();
    assert!(status == 410 && text.contains("this one is 1"), "{text}");
    assert_eq!(agent.meet(Some("9/no/claim")).await.unwrap(), first);
    let view: RestoreView = site.api.get("/restore").await;
    assert_eq!(view.superseded, None);
    // The true one does, for good and for all agents.
    let other = site.agent().await;
    for _ in 0..2 {
        let (status, text) = agent.meet(Some(&second.to_string())).await.unwrap_err();
        assert!(status == 410 && text.contains("was replaced by a restored one (incarnation 2"), "{text}");
    }
    let (status, _) = other.meet(None).await.unwrap_err();
    assert_eq!(status, 410);
    for (method, path) in [("POST", "/tokens"), ("POST", "/backups"), ("DELETE", "/policies/base")] {
        let refused = site.api.problem(method, path, Some(("application/json", b"{}".to_vec()))).await;
        assert_eq!((refused.status, refused.code()), (409, "superseded"), "{method} {path}");
    }
    let (status, _, headers) = site.api.raw("GET", "/agents", None).await;
    let notice = headers["muster-notice"].to_str().unwrap();
    assert!(status == 200 && notice.starts_with("controller: this controller was replaced"), "{notice}");
    let log: Page<AuditEntry> = site.api.get("/audit?action=controller.superseded").await;
    assert_eq!(log.items.len(), 1);
    let site = site.restarted().await;
    let view: RestoreView = site.api.get("/restore").await;
    assert_eq!(view.superseded.unwrap().by, 2, "nor does it forget");
    // The restored one is not impressed by the old one.
    assert_eq!(agent.at(&running).meet(Some(&first.to_string())).await.unwrap(), second);
    let view: RestoreView = api.get("/restore").await;
    assert_eq!((view.incarnation, view.superseded), (2, None));
    // A second restore of one backup is a rival; the way out is a higher number.
    let rival = dir.path().join("rival");
    restored(&options(&backup, &rival)).await.unwrap();
    let (rival_running, rival_api) = run(&rival, &password).await;
    let (status, text) = agent.at(&rival_running).meet(Some(&second.to_string())).await.unwrap_err();
    assert!(status == 410 && text.contains("--incarnation 3"), "{text}");
    let view: RestoreView = rival_api.get("/restore").await;
    assert_eq!(view.superseded, None);
    let third = dir.path().join("third");
    let low = Options { incarnation: Some(1), ..options(&backup, &third) };
    assert!(matches!(restored(&low).await, Err(RestoreError::Incarnation { asked: 1, known: 1 })));
    let high = Options { incarnation: Some(3), ..low };
    assert_eq!(restored(&high).await.unwrap().renewed.incarnation.number, 3);
    rival_running.stop().await;
    running.stop().await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_controller_learns_it_from_an_agent_whose_certificate_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let agent = site.agent().await;
    let backup = make(&site, &folder).await;
    let data = dir.path().join("restored");
    restored(&options(&backup, &data)).await.unwrap();
    let (running, _api) = run(&data, &password(&site)).await;
    let mut back = agent.at(&running);
    back.renew().await;
    let second = back.meet(None).await.unwrap();
    // Without a proof it is only a certificate that is not known here.
    let there = back.at(&site.running);
    let made_up = Claim { signature: "3044".to_owned(), ..second.clone() };
    for met in [None, Some(made_up.to_string())] {
        let (status, text) = there.meet(met.as_deref()).await.unwrap_err();
        assert!(status == 401 && text.contains("was replaced by a newer one"), "{text}");
    }
    let view: RestoreView = site.api.get("/restore").await;
    assert_eq!(view.superseded, None);
    let (status, text) = there.meet(Some(&second.to_string())).await.unwrap_err();
    assert!(status == 410 && text.contains("was replaced by a restored one (incarnation 2"), "{text}");
    assert_eq!(there.poll(&second.to_string()).await, 410);
    assert_eq!(there.meet(None).await.unwrap_err().0, 410);
    let view: RestoreView = site.api.get("/restore").await;
    assert_eq!(view.superseded.unwrap().by, 2);
    running.stop().await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_lost_controller_are_taken_over_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let (agent, mut other) = (site.agent().await, site.agent().await);
    let before = other.at(&site.running);
    let backup = make(&site, &folder).await;
    other.renew().await;
    let password = password(&site);
    site.running.stop().await;
    let data = dir.path().join("restored");
    restored(&options(&backup, &data)).await.unwrap();
    let (running, api) = run(&data, &password).await;
    // What the restored controller itself retired stays retired.
    let mut agent = agent.at(&running);
    agent.renew().await;
    let middle = agent.at(&running);
    agent.renew().await;
    let (status, text) = middle.meet(None).await.unwrap_err();
    assert!(status == 401 && text.contains("was replaced by a newer one"), "{text}");
    agent.meet(None).await.unwrap();
    // One that is taken over ends the session of the one before.
    let (mut socket, _) = before.at(&running).connect().await;
    let mut other = other.at(&running);
    let _taken_over = other.connect().await;
    assert!(next_or_close(&mut socket).await.is_err(), "the session of the retired certificate ends");
    let (status, _) = before.at(&running).meet(None).await.unwrap_err();
    assert_eq!(status, 401);
    // Who enrolled here is not of after the backup.
    let token: TokenCreated = api.post("/tokens", &TokenRequest::default(), 201).await;
    let mut fresh = TestAgent::new(running.addr, &running.ca_pem);
    fresh.enrol(&token.token).await;
    let (status, _, _) = api.raw("DELETE", &format!("/agents/{}", fresh.uid), None).await;
    assert_eq!(status, 204);
    let (status, text) = fresh.meet(None).await.unwrap_err();
    assert!(status == 401 && text.contains("was removed from this controller"), "{text}");
    let view: RestoreView = api.get("/restore").await;
    let told = view.restored.unwrap();
    assert_eq!((told.renewed_agents, told.unknown_agents.len()), (1, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_foreign_agents_are_void_unless_bound_and_deleted_ones_stay_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let token = async || -> ForeignTokenCreated {
        site.api.post("/foreign-tokens", &ForeignTokenRequest::default(), 201).await
    };
    let (unused, late, kept, deleted) = (token().await, token().await, token().await, token().await);
    let bind = async |token: &ForeignTokenCreated| {
        let mut agent = TestAgent::new(site.addr(), site.ca());
        let mut socket = agent.dial(Some(&token.token)).await.unwrap();
        let report = agent.full();
        ask(&mut socket, &report).await;
        agent.uid.to_string()
    };
    let (_, gone) = (bind(&kept).await, bind(&deleted).await);
    let backup = make(&site, &folder).await;
    bind(&late).await;
    for token in [&deleted, &late] {
        let (status, _, _) =
            site.api.raw("DELETE", &format!("/foreign-tokens/{}", token.view.id), None).await;
        assert_eq!(status, 204);
    }
    let exported = dir.path().join("audit.jsonl");
    export(&site.api, &exported).await;
    let password = password(&site);
    site.running.stop().await;

    let works = async |running: &Running, token: &ForeignTokenCreated| {
        let agent = TestAgent::new(running.addr, &running.ca_pem);
        match agent.dial(Some(&token.token)).await {
            Ok(_) => true,
            Err(refused) => {
                assert_eq!(refused.code(), "token-unknown");
                false
            }
        }
    };
    for (audit_log, deleted_works) in [(Some(exported), false), (None, true)] {
        let data = dir.path().join(format!("restored-{deleted_works}"));
        let with_log = Options { audit_log, ..options(&backup, &data) };
        let report = restored(&with_log).await.unwrap();
        assert_eq!(report.renewed.tokens, 2, "those that nobody was bound to");
        let shut_out: Vec<String> = report.renewed.shut_out.iter().map(ToString::to_string).collect();
        assert_eq!(shut_out, if deleted_works { vec![] } else { vec![gone.clone()] });
        let (running, api) = run(&data, &password).await;
        for (token, expected) in [(&unused, false), (&late, false), (&kept, true), (&deleted, deleted_works)]
        {
            assert_eq!(works(&running, token).await, expected, "{}", token.view.id);
        }
        let status = api.raw("GET", &format!("/agents/{gone}"), None).await.0;
        assert_eq!(status, if deleted_works { 200 } else { 404 });
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_controller_tells_readers_where_its_log_parts_from_the_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let agent = site.agent().await;
    let _: PolicyPublished = site.api.yaml("/policies", agent_audit::POLICY, 201).await;
    let page = async |agent: &TestAgent, after: u64| -> AgentAuditPage {
        let (status, body) = agent_audit::ask(agent, &format!("?after={after}"), None).await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let backup = make(&site, &folder).await;
    for _ in 0..3 {
        site.token().await;
    }
    let lost = page(&agent, 0).await;
    assert_eq!(lost.fork, None);
    let password = password(&site);
    site.running.stop().await;
    let data = dir.path().join("restored");
    let report = restored(&options(&backup, &data)).await.unwrap();
    let (running, _api) = run(&data, &password).await;
    let agent = agent.at(&running);
    let there = page(&agent, lost.newest).await;
    let fork = there.fork.unwrap();
    let end = &report.manifest.audit;
    assert_eq!((fork.sequence, &fork.hash), (end.sequence, &end.hash));
    let following = page(&agent, fork.sequence).await;
    let mut verifier = Verifier::after(fork.sequence, fork.hash);
    following.lines.iter().try_for_each(|line| verifier.next(line.as_bytes())).unwrap();
    assert!(following.lines.iter().any(|line| line.contains("controller.restored")), "{following:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_the_lost_controller_put_off_none_of_the_restored_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let backup = make(&site, &folder).await;
    let password = password(&site);
    site.running.stop().await;
    let data = dir.path().join("restored");
    restored(&options(&backup, &data)).await.unwrap();
    let config = Config { backup: Some(backups(&folder)), ..Config::new(&data) };
    let running = serve(config).await.unwrap();
    let mut api = Api::new(running.addr, &running.ca_pem);
    api.login(&password).await;
    let list = eventually("it makes its own at the start", async || {
        let list: BackupList = api.get("/backups").await;
        list.last_success.map(|_| list)
    })
    .await;
    assert!(list.next_due > list.last_success);
    assert_eq!(list.backups.iter().filter(|backup| backup.verified_at.is_some()).count(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_backup_succeeds_its_age_grows_and_a_missing_mount_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not-mounted/backups");
    let site = Site::start_with(|config| config.backup = Some(backups(&folder))).await;
    let failure = eventually("the first backup fails", async || {
        let list: BackupList = site.api.get("/backups").await;
        list.last_failure
    })
    .await;
    assert!(failure.reason.contains("is its file system mounted"), "{failure:?}");
    assert!(!dir.path().join("not-mounted").exists());
    let (_, text, _) = site.api.raw("GET", "//metrics", None).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nmuster_backup_age_seconds "), "{text}");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_backup_leaves_no_data_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let site = start(&folder).await;
    let _agent = site.agent().await;
    let backup = make(&site, &folder).await;
    site.running.stop().await;
    let whole = std::fs::read(&backup).unwrap();
    verify(&whole[..], &passphrase()).unwrap();
    let (bad, data) = (dir.path().join("bad"), dir.path().join("data"));
    let refused = async |bytes: &[u8], options: &Options| {
        std::fs::write(&bad, bytes).unwrap();
        let error = restored(options).await.unwrap_err();
        assert!(!data.exists(), "{error:?}");
        match error {
            RestoreError::Backup { source, .. } => source,
            other => panic!("{other:?}"),
        }
    };
    let from_bad = options(&bad, &data);
    let other = Options { passphrase: Passphrase::new("another sentence").unwrap(), ..from_bad.clone() };
    assert!(matches!(refused(&whole, &other).await, BackupError::WrongPassphrase));
    for at in (1_024..whole.len()).step_by(1_024) {
        let error = refused(&whole[..at], &from_bad).await;
        assert!(matches!(error, BackupError::Cut), "cut at {at}: {error:?}");
    }
    for at in (0..whole.len()).step_by(499) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        let _ = refused(&bytes, &from_bad).await;
    }
    // A folder that is in use is left alone, and so is one in which something was cut off.
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("mine"), b"x").unwrap();
    let error = restored(&options(&backup, &data)).await.unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty(_)), "{error:?}");
    assert!(data.join("mine").exists());
    std::fs::remove_file(data.join("mine")).unwrap();
    std::fs::write(data.join("restore-unfinished"), b"").unwrap();
    let error = serve(Config::new(&data)).await.err().unwrap();
    assert!(error.to_string().contains("was cut off"), "{error}");
    // An export of another log is refused as a whole.
    std::fs::remove_file(data.join("restore-unfinished")).unwrap();
    let strange = dir.path().join("strange.jsonl");
    std::fs::write(&strange, b"{\"no\":\"log\"}\n").unwrap();
    let with_log = Options { audit_log: Some(strange), ..options(&backup, &data) };
    let error = restored(&with_log).await.unwrap_err();
    assert!(matches!(error, RestoreError::Export { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "the folder is as it was");
    let report = restored(&options(&backup, &data)).await.unwrap();
    assert_eq!(report.renewed.agents, 1);
}
