//! Packages: uploaded in pieces, verified, retired, and downloaded by agents.

use crate::common::*;
use crate::process::Program;
use bytes::Bytes;
use futures_util::StreamExt as _;
use muster_controller::package::PackageLimits;
use muster_package::archive::{self, Head, SignedStatement};
use muster_package::manifest::{FORMAT, FileEntry, FormatVersions, Manifest, Payload};
use muster_proto::api::{
    AgentSummary, AuditEntry, Decision, PackageRetire, PackageUpload, PackageUploadRequest, PackageView,
    Page, Problem, Role,
};
use std::io::{self, Cursor};

const KEY: &str = include_str!("../../vendor/keys/release-dev-1.key");

pub(crate) fn sign(bytes: &[u8]) -> String {
    let key = minisign::SecretKeyBox::from_string(KEY).unwrap().into_unencrypted_secret_key().unwrap();
    minisign::sign(None, &key, Cursor::new(bytes), None, None).unwrap().into_string()
}

pub(crate) fn manifest(version: &str, from: &str, payload: &[u8]) -> Manifest {
    let sha256 = muster_package::sha256_hex(payload);
    let size = payload.len() as u64;
    let formats = FormatVersions { read: [1].into(), write: 1 };
    Manifest {
        format: FORMAT.to_owned(),
        name: muster_package::AGENT.to_owned(),
        version: version.parse().unwrap(),
        platform: "x86_64-linux".to_owned(),
        upgrade_from: from.parse().unwrap(),
        floor: "0.1.0".parse().unwrap(),
        formats: [("cursor".to_owned(), formats)].into(),
        payload: Payload { sha256: sha256.clone(), size },
        files: vec![FileEntry { path: "bin/muster-agent".to_owned(), sha256, size, executable: true }],
        notes: String::new(),
        security: false,
    }
}

fn packed(manifest: &Manifest, signature: impl FnOnce(&[u8]) -> Option<String>, payload: &[u8]) -> Vec<u8> {
    let manifest = serde_json::to_vec(manifest).unwrap();
    let signature = signature(&manifest);
    let mut out = Vec::new();
    let head = Head { manifest, signature, statement: None };
    archive::write(&mut out, &head, payload, payload.len() as u64).unwrap();
    out
}

/// A signed package of some size.
pub(crate) fn package(version: &str, from: &str, size: usize) -> Vec<u8> {
    let payload: Vec<u8> = version.bytes().cycle().take(size).collect();
    packed(&manifest(version, from, &payload), |m| Some(sign(m)), &payload)
}

/// One that its vendor signed as a security fix.
pub(crate) fn security_fix(version: &str, from: &str) -> Vec<u8> {
    let payload: Vec<u8> = version.bytes().cycle().take(1_000).collect();
    let manifest = Manifest { security: true, ..manifest(version, from, &payload) };
    packed(&manifest, |m| Some(sign(m)), &payload)
}

fn url(file: &[u8]) -> String {
    format!("/packages/uploads/{}", muster_package::sha256_hex(file))
}

async fn begin(api: &Api, file: &[u8]) -> PackageUpload {
    let body = serde_json::to_vec(&PackageUploadRequest { size: file.len() as u64 }).unwrap();
    let (status, bytes, headers) = api.raw("PUT", &url(file), Some(("application/json", body))).await;
    assert!([200, 201].contains(&status), "{status}: {}", String::from_utf8_lossy(&bytes));
    let upload: PackageUpload = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(headers["upload-offset"], upload.offset.to_string());
    upload
}

fn patch(api: &Api, file: &[u8], offset: u64, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let offset = offset.to_string();
    let headers = [("upload-offset", offset.as_str()), ("content-type", "application/octet-stream")];
    api.request("PATCH", &url(file), &headers).body(body)
}

/// Uploads the rest of a file in one piece.
pub(crate) async fn upload(api: &Api, file: &[u8]) -> Result<PackageView, Problem> {
    let offset = begin(api, file).await.offset;
    let rest = file[usize::try_from(offset).unwrap()..].to_vec();
    let response = patch(api, file, offset, rest).send().await.unwrap();
    match response.status().as_u16() {
        201 => Ok(response.json::<PackageUpload>().await.unwrap().package.unwrap()),
        _ => Err(response.json().await.unwrap()),
    }
}

fn uploads(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir.join("data/packages/uploads")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_comes_in_pieces_and_is_there_once_it_is_verified() {
    let site = Site::start().await;
    let file = package("0.2.0", ">=0.1.0", 10_000);
    assert_eq!(begin(&site.api, &file).await.offset, 0);
    let (first, rest) = file.split_at(5_000);
    let answer = patch(&site.api, &file, 0, first.to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<PackageUpload>().await.unwrap().offset, 5_000);
    // The same piece again, as after an answer that was lost.
    let again = patch(&site.api, &file, 0, first.to_vec()).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["upload-offset"]), (409, &"5000".parse().unwrap()));
    assert_eq!(again.json::<Problem>().await.unwrap().code(), "upload-offset");
    let none: Page<PackageView> = site.api.get("/packages").await;
    assert_eq!(none.items, []);
    // A piece that breaks off in the middle: what came is kept.
    let half = rest[..2_000].to_vec();
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    let end = futures_util::stream::once(async move {
        let _ = is_cut.await;
        Err(io::Error::other("the line is cut"))
    });
    let body = futures_util::stream::iter([Ok(Bytes::from(half))]).chain(end);
    let sending = tokio::spawn(patch(&site.api, &file, 5_000, reqwest::Body::wrap_stream(body)).send());
    let partial = site.dir.path().join(format!(
        "data/packages/uploads/{}.{}",
        muster_package::sha256_hex(&file),
        file.len()
    ));
    eventually("what came is on the disk", async || {
        (std::fs::metadata(&partial).ok()?.len() == 7_000).then_some(())
    })
    .await;
    cut.send(()).unwrap();
    assert!(sending.await.unwrap().is_err());
    assert_eq!(begin(&site.api, &file).await.offset, 7_000);
    let view = upload(&site.api, &file).await.unwrap();
    assert_eq!((view.version.as_str(), view.size, view.present), ("0.2.0", file.len() as u64, true));
    let viewer = crate::roles::user(&site, "vera", Role::Viewer).await;
    let listed: Page<PackageView> = viewer.get("/packages").await;
    assert_eq!(listed.items, std::slice::from_ref(&view));
    let one: PackageView = viewer.get("/packages/muster-agent/0.2.0/x86_64-linux").await;
    assert_eq!(one, view);
    assert_eq!(begin(&site.api, &file).await.package, Some(view), "nothing is left to do");
    assert_eq!(uploads(site.dir.path()), 0);
    let log: Page<AuditEntry> = site.api.get("/audit?action=package.upload").await;
    assert_eq!(log.items[0].object, "muster-agent 0.2.0 for x86_64-linux");
    // It outlives the controller; its file alone may be lost, and is uploaded again.
    let site = site.restarted().await;
    let folder = site.dir.path().join("data/packages");
    let stored = folder.join(format!("{}.muster", muster_package::sha256_hex(&file)));
    assert_eq!(std::fs::read(&stored).unwrap(), file);
    std::fs::remove_file(&stored).unwrap();
    let lost: PackageView = site.api.get("/packages/muster-agent/0.2.0/x86_64-linux").await;
    assert!(!lost.present);
    assert!(upload(&site.api, &file).await.unwrap().present);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendor_did_not_sign_is_refused_and_deleted() {
    let site = Site::start().await;
    let payload = b"the files".repeat(1_000);
    let manifest = manifest("0.2.0", ">=0.1.0", &payload);
    let stranger = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let by_stranger = |bytes: &[u8]| {
        Some(minisign::sign(None, &stranger.sk, Cursor::new(bytes), None, None).unwrap().into_string())
    };
    let good = packed(&manifest, |m| Some(sign(m)), &payload);
    let mut tampered = good.clone();
    let middle = good.len() / 2;
    tampered[middle] ^= 1;
    let cases = [
        (packed(&manifest, |_| None, &payload), "package-unsigned", "muster-release sign"),
        (packed(&manifest, by_stranger, &payload), "package-signature", "none of the keys"),
        (tampered.clone(), "package-damaged", "not those that were signed"),
        (good[..good.len() / 2].to_vec(), "package-damaged", "cut off"),
        (b"no archive at all".repeat(100), "package-damaged", ""),
    ];
    for (file, code, part) in &cases {
        let problem = upload(&site.api, file).await.unwrap_err();
        assert_eq!((problem.status, problem.code()), (422, *code), "{problem:?}");
        assert!(problem.detail.contains(part), "{problem:?}");
        assert_eq!(uploads(site.dir.path()), 0);
    }
    // Announced as the good one, and changed on its way.
    begin(&site.api, &good).await;
    let answer = patch(&site.api, &good, 0, tampered).send().await.unwrap();
    assert_eq!(answer.json::<Problem>().await.unwrap().code(), "package-digest");
    upload(&site.api, &good).await.unwrap();
    let other = package("0.2.0", ">=0.1.0", 77);
    let problem = upload(&site.api, &other).await.unwrap_err();
    assert_eq!(problem.code(), "package-exists", "{problem:?}");
    let log: Page<AuditEntry> = site.api.get("/audit?action=package.refuse").await;
    assert_eq!(log.items.len(), cases.len() + 2);
    let all: Page<PackageView> = site.api.get("/packages").await;
    assert_eq!(all.items.len(), 1);
    site.running.stop().await;
}

/// A package that was signed by `key`, with a statement by two of the shipped keys that adds it.
fn with_new_key(version: &str, key: &minisign::KeyPair, statement: bool) -> Vec<u8> {
    let payload = b"the files".repeat(100);
    let manifest = serde_json::to_vec(&manifest(version, ">=0.1.0", &payload)).unwrap();
    let by = |key: &minisign::SecretKey, bytes: &[u8]| {
        minisign::sign(None, key, Cursor::new(bytes), None, None).unwrap().into_string()
    };
    let text = serde_json::to_vec(&serde_json::json!({
        "format": muster_package::statement::FORMAT, "number": 1, "add": [key.pk.to_base64()],
    }));
    let text = text.unwrap();
    let signers = [KEY, include_str!("../../vendor/keys/release-dev-2.key")].map(|text| {
        minisign::SecretKeyBox::from_string(text).unwrap().into_unencrypted_secret_key().unwrap()
    });
    let signatures = signers.iter().map(|key| by(key, &text)).collect();
    let signature = Some(by(&key.sk, &manifest));
    let statement = statement.then_some(SignedStatement { text, signatures });
    let mut out = Vec::new();
    let head = Head { manifest, signature, statement };
    archive::write(&mut out, &head, payload.as_slice(), payload.len() as u64).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_about_keys_counts_for_later_packages_too() {
    let site = Site::start().await;
    let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let without = with_new_key("0.2.0", &key, false);
    assert_eq!(upload(&site.api, &without).await.unwrap_err().code(), "package-signature");
    upload(&site.api, &with_new_key("0.3.0", &key, true)).await.unwrap();
    let site = site.restarted().await;
    upload(&site.api, &without).await.unwrap();
    site.running.stop().await;
}

/// A client with the certificate of an agent.
fn downloader(agent: &TestAgent) -> reqwest::Client {
    reqwest::Client::builder().tls_backend_preconfigured(agent.tls()).timeout(DEADLINE).build().unwrap()
}

struct Download {
    client: reqwest::Client,
    url: String,
}

impl Download {
    fn of(site: &Site, agent: &TestAgent, file: &[u8]) -> Self {
        let url = format!("https://{}/v1/packages/{}", site.addr(), muster_package::sha256_hex(file));
        Self { client: downloader(agent), url }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> reqwest::Response {
        let request =
            headers.iter().fold(self.client.get(&self.url), |r, (name, value)| r.header(*name, *value));
        request.send().await.unwrap()
    }

    async fn problem(&self) -> Problem {
        self.get(&[]).await.json().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_download_whole_files_and_parts_of_them() {
    let site = Site::start().await;
    let file = package("0.2.0", ">=0.1.0", 200_000);
    upload(&site.api, &file).await.unwrap();
    let agent = site.agent().await;
    let download = Download::of(&site, &agent, &file);
    let tag = format!("\"{}\"", muster_package::sha256_hex(&file));
    let whole = download.get(&[("accept-encoding", "gzip")]).await;
    assert_eq!((whole.status().as_u16(), whole.content_length()), (200, Some(file.len() as u64)));
    assert_eq!(whole.headers()["etag"], tag);
    assert_eq!(whole.bytes().await.unwrap(), file);
    let size = file.len();
    let parts = [("bytes=150000-", 150_000..size), ("bytes=10-19", 10..20), ("bytes=0-99999999", 0..size)];
    for (range, expected) in parts {
        let part = download.get(&[("range", range), ("if-range", &tag)]).await;
        assert_eq!(part.status(), 206, "{range}");
        let told = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(part.headers()["content-range"], told);
        assert_eq!(part.bytes().await.unwrap(), file[expected]);
    }
    let other = download.get(&[("range", "bytes=10-"), ("if-range", "\"other\"")]).await;
    assert_eq!(other.status(), 200, "the beginning is of another file");
    let behind = download.get(&[("range", &format!("bytes={size}-"))]).await;
    assert_eq!(behind.status(), 416);

    // Retired, it is still served.
    let path = "/packages/muster-agent/0.2.0/x86_64-linux/retire";
    let request = PackageRetire { reason: "loses events".to_owned() };
    let retired: PackageView = site.api.post(path, &request, 200).await;
    assert_eq!(retired.retired.unwrap().reason, "loses events");
    let _: PackageView = site.api.post(path, &PackageRetire::default(), 200).await;
    let log: Page<AuditEntry> = site.api.get("/audit?action=package.retire").await;
    assert_eq!(log.items.len(), 1, "once");
    assert_eq!(download.get(&[]).await.status(), 200);

    // Nobody else gets it.
    let stranger = Download { client: downloader(&TestAgent::new(site.addr(), site.ca())), ..download };
    assert_eq!(stranger.problem().await.status, 401);
    let download = Download::of(&site, &agent, &file);
    let _: serde_json::Value =
        site.api.post(&format!("/agents/{}/quarantine", agent.uid), &Decision::default(), 200).await;
    assert_eq!(download.problem().await.code(), "agent-held");
    let _: serde_json::Value =
        site.api.post(&format!("/agents/{}/revoke", agent.uid), &Decision::default(), 200).await;
    assert_eq!(download.problem().await.code(), "agent-revoked");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_few_at_a_time_and_one_that_began_is_not_cut_by_a_retirement() {
    let site = Site::start_with(|config| {
        config.packages = PackageLimits { downloads: 1, bytes_per_second: 400_000, ..config.packages };
    })
    .await;
    let file = package("0.2.0", ">=0.1.0", 600_000);
    upload(&site.api, &file).await.unwrap();
    let (one, two) = (site.agent().await, site.agent().await);
    let first = Download::of(&site, &one, &file).get(&[]).await;
    assert_eq!(first.status(), 200);
    let second = Download::of(&site, &two, &file);
    let full = second.get(&[]).await;
    assert_eq!(full.status(), 503);
    let seconds: u64 = full.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    let (_, text, _) = site.api.raw("GET", "//metrics", None).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nmuster_package_downloads 1\n"), "{text}");
    assert!(text.contains("\nmuster_package_downloads_refused_total 1\n"), "{text}");
    let path = "/packages/muster-agent/0.2.0/x86_64-linux/retire";
    let _: PackageView = site.api.post(path, &PackageRetire::default(), 200).await;
    assert_eq!(first.bytes().await.unwrap(), file);
    let got = eventually("the place is free", async || {
        let answer = second.get(&[("range", "bytes=0-9")]).await;
        (answer.status() == 206).then_some(answer)
    })
    .await;
    assert_eq!(got.bytes().await.unwrap(), file[..10]);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_uploading_leaves_an_upload_that_goes_on_or_a_package() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), "127.0.0.1:0").await;
    let listen = program.addr.to_string();
    let api = program.signed_in(dir.path()).await;
    for round in 0..6_u64 {
        let file = package(&format!("0.2.{round}"), ">=0.1.0", 3_000_000);
        begin(&api, &file).await;
        let sending = {
            let (api, file) = (api.clone(), file.clone());
            tokio::spawn(async move {
                let parts: Vec<_> = file
                    .chunks(100_000)
                    .map(|part| Ok::<_, io::Error>(Bytes::copy_from_slice(part)))
                    .collect();
                let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
                let answer = patch(&api, &file, 0, body).send().await.ok()?;
                (answer.status() == 201).then_some(())
            })
        };
        // The kill falls into another moment of it in each round.
        tokio::time::sleep(std::time::Duration::from_millis(round * 17)).await;
        program.kill();
        let answered = sending.await.unwrap().is_some();
        program = Program::start(dir.path(), &listen).await;
        let upload_now = begin(&api, &file).await;
        if answered {
            assert!(upload_now.package.is_some(), "round {round}: what was answered is there");
        }
        let view = match upload_now.package {
            Some(view) => view,
            None => upload(&api, &file).await.unwrap(),
        };
        assert!(view.present, "round {round}");
        let entries: Vec<AuditEntry> = api.all("/audit").await;
        let uploaded = entries.iter().filter(|e| e.action == "package.upload").count() as u64;
        assert_eq!(uploaded, round + 1, "each package has its entry, once");
    }
    assert_eq!(uploads(dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_chosen_by_their_version() {
    let site = Site::start().await;
    let mut known = site.agent().await;
    let (_socket, _) = known.connect().await;
    // Never connected: its version is not known.
    let _unknown = site.agent().await;
    let chosen = async |requirement: &str| {
        let page: Page<AgentSummary> = site.api.get(&format!("/agents?version={requirement}")).await;
        page.items.len()
    };
    for (requirement, count) in [("%3C0.4", 1), ("0.1.0", 1), ("%3E%3D0.2,%3C0.4", 0), ("*", 1)] {
        assert_eq!(chosen(requirement).await, count, "{requirement}");
    }
    let problem = site.api.problem("GET", "/agents?version=old", None).await;
    assert_eq!((problem.status, problem.code()), (400, "version"));
    assert!(problem.detail.contains("such as `<0.4`"), "{}", problem.detail);
    site.running.stop().await;
}
