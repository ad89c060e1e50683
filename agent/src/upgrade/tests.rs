//! Decisions as tables; a package from its file to a version that can be run; a power cut after every change on disk.

use super::book::{Book, Verdict};
use super::confirm::{Trial, working};
use super::disk::{Disk, DiskFile, RealDisk};
use super::offer::{Decision, Misunderstood, Offer, OfferedFile, decide, read};
use super::phase::{Phase, statuses};
use super::stage::{self, Stage, floor, kept, tidy_up};
use super::{UpgradeSettings, formats};
use crate::health::{ComponentHealth, HealthState};
use flate2::Compression;
use flate2::write::GzEncoder;
use minisign::KeyPair;
use muster_package::admit::{Floor, Host};
use muster_package::archive::{self, Head};
use muster_package::keys::Trust;
use muster_package::manifest::{FORMAT, FileEntry, Manifest, Payload};
use muster_package::sha256_hex;
use muster_package::slots::{Launch, Layout, Order, Outcome, OutcomeResult, PROGRAM, Slot};
use muster_proto::opamp::{
    DownloadableFile, PackageAvailable, PackageStatus, PackageStatusEnum, PackagesAvailable,
};
use semver::Version;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn host(running: &str) -> Host {
    Host {
        name: muster_package::AGENT.to_owned(),
        platform: muster_package::this_platform(),
        version: version(running),
        previous: None,
        formats: formats(),
        floor: Floor::none(&version(running)),
    }
}

fn offer(to: &str, file: Option<&str>) -> Offer {
    let file = file.map(|sha256| OfferedFile { url: "https://c/p".to_owned(), sha256: sha256.to_owned() });
    Offer { hash: format!("aa{to}"), set: "bb".to_owned(), version: version(to), file }
}

#[test]
fn what_is_done_about_an_offer() {
    let nothing = Trust::of([]);
    let low = Host { floor: Floor { highest: version("0.3.0"), floor: version("0.2.0") }, ..host("0.3.0") };
    let with = |offer: Offer, verdict| Book { offer: Some(offer), verdict, ..Book::default() };
    let came = |from: &str| Book {
        contents: [(version("0.2.0"), from.to_owned())].into(),
        installed: Some(version("0.1.0")),
        ..Book::default()
    };
    let upgraded = Launch { current: Slot::Package { version: version("0.2.0") }, ..Launch::default() };
    let fetch =
        |sha256: &str| Decision::Fetch(OfferedFile { url: "https://c/p".into(), sha256: sha256.into() });
    let slot = |of: &str| Decision::Switch(Slot::Package { version: version(of) });
    /// Name, offer, book, under way, host, launch, kept versions, decision.
    type Case<'c> = (&'c str, Offer, Book, bool, Host, Launch, &'c [&'c str], Decision);
    let failed = || Some(Verdict::Failed("x".into()));
    let cases: Vec<Case<'_>> = vec![
        (
            "new",
            offer("0.2.0", Some("f")),
            Book::default(),
            false,
            host("0.1.0"),
            Launch::default(),
            &[],
            fetch("f"),
        ),
        (
            "failed before: not again",
            offer("0.2.0", Some("f")),
            with(offer("0.2.0", Some("f")), failed()),
            false,
            host("0.1.0"),
            Launch::default(),
            &[],
            Decision::Known,
        ),
        (
            "under way",
            offer("0.2.0", Some("f")),
            with(offer("0.2.0", Some("f")), None),
            true,
            host("0.1.0"),
            Launch::default(),
            &[],
            Decision::Known,
        ),
        (
            "cut off by a restart",
            offer("0.2.0", Some("f")),
            with(offer("0.2.0", Some("f")), None),
            false,
            host("0.1.0"),
            Launch::default(),
            &[],
            fetch("f"),
        ),
        (
            "runs",
            offer("0.1.0", Some("f")),
            Book::default(),
            false,
            host("0.1.0"),
            Launch::default(),
            &[],
            Decision::Runs,
        ),
        (
            "kept, from the same file",
            offer("0.2.0", Some("f")),
            came("f"),
            false,
            host("0.1.0"),
            Launch::default(),
            &["0.2.0"],
            slot("0.2.0"),
        ),
        (
            "kept, from another file",
            offer("0.2.0", Some("g")),
            came("f"),
            false,
            host("0.1.0"),
            Launch::default(),
            &["0.2.0"],
            fetch("g"),
        ),
        (
            "back, kept",
            offer("0.2.0", None),
            came("f"),
            false,
            host("0.3.0"),
            Launch::default(),
            &["0.2.0"],
            slot("0.2.0"),
        ),
        (
            "back to what was installed",
            offer("0.1.0", None),
            came("f"),
            false,
            host("0.2.0"),
            upgraded,
            &[],
            Decision::Switch(Slot::Installed),
        ),
    ];
    for (name, offer, book, under_way, host, launch, kept, expected) in cases {
        let kept: Vec<Version> = kept.iter().map(|text| version(text)).collect();
        assert_eq!(decide(&offer, &book, under_way, &host, &nothing, &launch, &kept), expected, "{name}");
    }
    let refused = |offer: &Offer, host: &Host| match decide(
        offer,
        &Book::default(),
        false,
        host,
        &nothing,
        &Launch::default(),
        &[],
    ) {
        Decision::Refuse(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&offer("0.1.0", Some("f")), &low).contains("0.1.0 is below 0.2.0"));
    assert!(refused(&offer("0.2.0", None), &low).contains("not kept on this host"));
    // Done, and something else runs: it is done again; ordered in vain, it is not.
    let decided = |verdict, orders| {
        let book = Book { orders, ..with(offer("0.2.0", Some("f")), verdict) };
        let launch = Launch::default();
        decide(&offer("0.2.0", Some("f")), &book, false, &host("0.1.0"), &nothing, &launch, &[])
    };
    assert_eq!(decided(Some(Verdict::Done), 1), fetch("f"));
    assert!(matches!(decided(None, 3), Decision::Refuse(why) if why.contains("did not carry it out")));
}

#[test]
fn offers_that_cannot_be_understood_are_refused() {
    let good = || {
        let file = DownloadableFile {
            download_url: "https://c/p".into(),
            content_hash: vec![1; 32],
            signature: vec![1],
            headers: None,
        };
        PackageAvailable {
            version: "0.2.0".into(),
            file: Some(file),
            hash: vec![1; 32],
            ..Default::default()
        }
    };
    let told = |package: PackageAvailable| {
        let packages = [(muster_package::AGENT.to_owned(), package)].into();
        read(&PackagesAvailable { packages, all_packages_hash: vec![2; 32] })
    };
    let offer = told(good()).unwrap().unwrap();
    assert_eq!((offer.version, offer.file.unwrap().sha256), (version("0.2.0"), "01".repeat(32)));
    let file = |change: fn(&mut DownloadableFile)| {
        let mut package = good();
        change(package.file.as_mut().unwrap());
        package
    };
    let cases = [
        (PackageAvailable { version: "latest".into(), ..good() }, "`latest` is none"),
        (PackageAvailable { hash: Vec::new(), ..good() }, "hash of 0 bytes"),
        (file(|f| f.content_hash.clear()), "without the SHA-256"),
        (file(|f| f.signature.clear()), "without a signature"),
        (file(|f| f.download_url = "x".repeat(3_000)), "URL of over"),
    ];
    for (package, expected) in cases {
        let answered = package.hash.is_empty();
        let Misunderstood { reason, offer } = told(package).unwrap_err();
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert_eq!(offer.is_none(), answered, "it is answered where its hash can be named: {expected}");
    }
    assert_eq!(read(&PackagesAvailable::default()), Ok(None), "nothing is offered: nothing is removed");
}

#[test]
fn what_the_controller_is_told() {
    let book = |verdict| Book { offer: Some(offer("0.2.0", Some("f"))), verdict, ..Book::default() };
    let cases = [
        (Phase::Waiting, None, PackageStatusEnum::InstallPending, ""),
        (Phase::Downloading { percent: 40.0, rate: 1.0 }, None, PackageStatusEnum::Downloading, ""),
        (Phase::Verified, None, PackageStatusEnum::Installing, ""),
        (Phase::Confirming, None, PackageStatusEnum::Installing, ""),
        (Phase::Idle, Some(Verdict::Done), PackageStatusEnum::Installed, ""),
        (Phase::Idle, Some(Verdict::Failed("why".into())), PackageStatusEnum::InstallFailed, "why"),
        (
            Phase::Idle,
            Some(Verdict::RolledBack("why".into())),
            PackageStatusEnum::InstallFailed,
            "rolled back: why",
        ),
    ];
    for (phase, verdict, status, error) in cases {
        let told = statuses(&book(verdict), &phase, &version("0.1.0"));
        let package: &PackageStatus = &told.packages[muster_package::AGENT];
        assert_eq!((package.status(), package.error_message.as_str()), (status, error), "{phase:?}");
        assert_eq!(package.download_details.is_some(), matches!(phase, Phase::Downloading { .. }));
        assert_eq!(
            (package.agent_has_version.as_str(), package.server_offered_version.as_str()),
            ("0.1.0", "0.2.0")
        );
        assert_eq!(told.server_provided_all_packages_hash, [0xbb]);
    }
}

#[test]
fn what_the_launcher_decided_is_learnt_once() {
    let launch = |offer: &str, result| {
        let last = Outcome { offer: offer.into(), version: version("0.2.0"), result, reason: "why".into() };
        Launch { last: Some(last), ..Launch::default() }
    };
    let mut book = Book { offer: Some(offer("0.2.0", Some("f"))), ..Book::default() };
    assert!(!book.learn(&launch("other", OutcomeResult::RolledBack)));
    assert_eq!(book.verdict, None);
    assert!(book.learn(&launch("aa0.2.0", OutcomeResult::RolledBack)));
    assert_eq!(book.verdict, Some(Verdict::RolledBack("why".into())));
    assert!(!book.learn(&launch("aa0.2.0", OutcomeResult::RolledBack)));
    assert!(book.learn(&launch("aa0.2.0", OutcomeResult::Refused)));
}

#[test]
fn what_worked_before_must_work_again() {
    let is = |name: &str, state, reason: &str| ComponentHealth {
        component: name.into(),
        state,
        reason: reason.into(),
        since_us: 0,
    };
    let before = [
        is("source/audit", HealthState::Healthy, ""),
        is("source/queue", HealthState::Failed, "gone"),
        is("destination/siem", HealthState::Degraded, "a gap"),
        is("uplink", HealthState::Healthy, ""),
    ];
    let worked = working(&before);
    assert_eq!(worked, ["source/audit", "destination/siem"]);
    let all = |_: &str| true;
    let told = |health: &[ComponentHealth], named: &dyn Fn(&str) -> bool| {
        Trial::default().unwell(&worked, health, named, 40_000_000)
    };
    assert_eq!(told(&before, &all), None, "it is degraded for 40 s without a break");
    // What dies again and again is degraded for moments.
    let dying = [before[0].clone(), ComponentHealth { since_us: 39_000_000, ..before[2].clone() }];
    assert!(told(&dying, &all).unwrap().contains("destination/siem does not work: a gap"));
    let mut trial = Trial::default();
    let well = [before[0].clone(), is("destination/siem", HealthState::Healthy, "")];
    assert_eq!(trial.unwell(&worked, &well, &all, 0), None);
    assert_eq!(
        trial.unwell(&worked, &dying, &all, 40_000_000),
        None,
        "it was healthy before it was degraded"
    );
    assert!(told(&before[1..], &all).unwrap().contains("source/audit is not there yet"));
    assert_eq!(told(&before[1..], &|name| name != "source/audit"), None, "the policy names it no more");
    let broken = [is("source/audit", HealthState::Failed, "not authorised"), before[2].clone()];
    assert_eq!(told(&broken, &all).unwrap(), "source/audit does not work: not authorised");
    let starting = [is("source/audit", HealthState::Starting, ""), before[2].clone()];
    assert!(told(&starting, &all).is_some());
}

#[test]
fn settings_have_bounds() {
    assert_eq!(UpgradeSettings::default().check(), Ok(()));
    let wrong = UpgradeSettings { healthy_seconds: 0, ..UpgradeSettings::default() };
    assert!(wrong.check().unwrap_err().contains("healthy_seconds is 0"));
}

// ---- packages on disk ----

struct Made {
    folder: tempfile::TempDir,
    layout: Layout,
    trust: Trust,
    pair: KeyPair,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let trust = Trust::of([pair.pk.to_base64().as_str()]);
        let layout = Layout::new(folder.path());
        std::fs::create_dir_all(layout.downloads()).unwrap();
        Self { folder, layout, trust, pair }
    }

    /// A package of two files; gives its path and digest.
    fn package(&self, of: &str, change: impl FnOnce(&mut Manifest)) -> (PathBuf, String) {
        let files =
            [(PROGRAM, format!("program {of}").into_bytes(), true), ("doc/NEWS", vec![b'n'; 5_000], false)];
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, content, _) in &files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_slice()).unwrap();
        }
        let payload = builder.into_inner().unwrap().finish().unwrap();
        let entry = |(path, content, executable): &(&str, Vec<u8>, bool)| FileEntry {
            path: (*path).to_owned(),
            sha256: sha256_hex(content),
            size: content.len() as u64,
            executable: *executable,
        };
        let mut manifest = Manifest {
            format: FORMAT.to_owned(),
            name: muster_package::AGENT.to_owned(),
            version: version(of),
            platform: muster_package::this_platform(),
            upgrade_from: ">=0.1.0".parse().unwrap(),
            floor: version("0.1.0"),
            formats: formats(),
            payload: Payload { sha256: sha256_hex(&payload), size: payload.len() as u64 },
            files: files.iter().map(entry).collect(),
            notes: String::new(),
            security: false,
        };
        change(&mut manifest);
        let text = serde_json::to_vec(&manifest).unwrap();
        let signature =
            minisign::sign(None, &self.pair.sk, Cursor::new(&text), None, None).unwrap().into_string();
        let mut bytes = Vec::new();
        let head = Head { manifest: text, signature: Some(signature), statement: None };
        archive::write(&mut bytes, &head, payload.as_slice(), payload.len() as u64).unwrap();
        let path = self.layout.downloads().join("package.part");
        std::fs::write(&path, &bytes).unwrap();
        (path, sha256_hex(&bytes))
    }

    fn install(&self, disk: &dyn Disk, part: &Path, sha256: &str, of: &str) -> Result<(), String> {
        let host = host("0.1.0");
        let stage = Stage { layout: &self.layout, disk, host: &host };
        let mut trust = self.trust.clone();
        let manifest = stage.verify(part, sha256, &version(of), &mut trust).map_err(|e| e.to_string())?;
        stage.unpack(part, &manifest).map_err(|e| e.to_string())
    }
}

#[test]
fn a_package_becomes_a_version_that_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let made = Made::new();
    let (part, sha256) = made.package("0.2.0", |_| ());
    made.install(&RealDisk, &part, &sha256, "0.2.0").unwrap();
    let program = made.layout.version(&version("0.2.0")).join(PROGRAM);
    assert_eq!(std::fs::read(&program).unwrap(), b"program 0.2.0");
    assert_eq!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o700);
    let news = made.layout.version(&version("0.2.0")).join("doc/NEWS");
    assert_eq!(std::fs::metadata(news).unwrap().permissions().mode() & 0o777, 0o600);
    let found = kept(&made.layout, &made.trust);
    assert_eq!(found.len(), 1);
    assert_eq!(floor(&version("0.1.0"), None, &found).highest, version("0.2.0"));
    assert!(kept(&made.layout, &Trust::of([])).is_empty(), "only what is signed counts");
    std::fs::create_dir_all(made.layout.versions().join(".new-0.9.0")).unwrap();
    std::fs::write(stage::part(&made.layout, "ab"), "half").unwrap();
    tidy_up(&made.layout, &RealDisk, &[version("0.2.0")].into(), Some("ab")).unwrap();
    assert!(stage::part(&made.layout, "ab").exists() && !part.exists(), "what is under way goes on later");
    tidy_up(&made.layout, &RealDisk, &[version("0.2.0")].into(), None).unwrap();
    let left: Vec<_> = std::fs::read_dir(made.layout.versions()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1);
    assert!(!made.layout.downloads().exists());
}

#[test]
fn what_is_not_right_is_never_unpacked() {
    let made = Made::new();
    type Change = fn(&mut Manifest);
    let cases: [(Change, &str); 5] = [
        (|m| m.version = version("0.3.0"), "offered 0.2.0, and the package is of 0.3.0"),
        (|m| m.platform = "powerpc64-aix".into(), "for powerpc64-aix"),
        (|m| m.files[0].sha256 = "0".repeat(64), "bin/muster-agent of the package is not the one"),
        (|m| m.files[1].size = 4_999, "doc/NEWS of the package is not the one"),
        (
            |m| {
                m.files.pop();
            },
            "doc/NEWS of the package is not the one",
        ),
    ];
    for (change, expected) in cases {
        let (part, sha256) = made.package("0.2.0", change);
        let why = made.install(&RealDisk, &part, &sha256, "0.2.0").unwrap_err();
        assert!(why.contains(expected), "{expected}: {why}");
        assert!(kept(&made.layout, &made.trust).is_empty());
        let left = std::fs::read_dir(made.layout.versions()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{expected}");
    }
    let (part, _) = made.package("0.2.0", |_| ());
    assert!(made.install(&RealDisk, &part, &"0".repeat(64), "0.2.0").unwrap_err().contains("another digest"));
}

// ---- power cuts ----

/// A change on disk.
#[derive(Debug, Clone)]
enum Change {
    MakeDir,
    Open(PathBuf, bool),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    SyncDir(PathBuf),
    Executable,
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// Does what it is asked for, and remembers it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Change>>>);

struct RecordedFile(Box<dyn DiskFile>, PathBuf, Recorder);

impl Recorder {
    fn note(&self, change: Change) {
        self.0.lock().unwrap().push(change);
    }
}

impl Write for RecordedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.2.note(Change::Write(self.1.clone(), bytes.to_vec()));
        self.0.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for RecordedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.2.note(Change::Sync(self.1.clone()));
        self.0.sync()
    }
}

impl Disk for Recorder {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.note(Change::MakeDir);
        RealDisk.make_dir(path)
    }

    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DiskFile>> {
        self.note(Change::Open(path.into(), append));
        Ok(Box::new(RecordedFile(RealDisk.open(path, append)?, path.into(), self.clone())))
    }

    fn make_executable(&self, path: &Path) -> io::Result<()> {
        self.note(Change::Executable);
        RealDisk.make_executable(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note(Change::SyncDir(path.into()));
        RealDisk.sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Change::Rename(from.into(), to.into()));
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Change::Remove(path.into()));
        RealDisk.remove(path)
    }
}

/// What a disk holds: files by path with their content and what of it was synced, names that were synced.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Content now, and content that a power cut leaves; none: nothing was synced.
    files: BTreeMap<PathBuf, (Vec<u8>, Option<Vec<u8>>)>,
    /// Names that a power cut leaves, with what they stand for.
    lasting: BTreeMap<PathBuf, (Vec<u8>, Option<Vec<u8>>)>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeDir | Change::Executable => {}
            Change::Open(path, append) => {
                let file = self.files.entry(path.clone()).or_default();
                if !append {
                    *file = (Vec::new(), None);
                }
            }
            Change::Write(path, bytes) => self.files.entry(path.clone()).or_default().0.extend(bytes),
            Change::Sync(path) => {
                let file = self.files.entry(path.clone()).or_default();
                file.1 = Some(file.0.clone());
                let synced = file.clone();
                // A name that lasts stands for the same file.
                if let Some(lasting) = self.lasting.get_mut(path) {
                    *lasting = synced;
                }
            }
            Change::SyncDir(folder) => {
                let inside = |path: &PathBuf| path.parent() == Some(folder);
                // Folders that were renamed into it last with what was synced in them.
                let below = |path: &PathBuf| path.starts_with(folder);
                self.lasting.retain(|path, _| !inside(path) || self.files.contains_key(path));
                let moved: Vec<_> = self.files.iter().filter(|(path, _)| below(path)).collect();
                let moved: Vec<_> = moved.into_iter().map(|(p, f)| (p.clone(), f.clone())).collect();
                for (path, file) in moved {
                    if inside(&path) || self.synced_below(&path, folder) {
                        self.lasting.insert(path, file);
                    }
                }
            }
            Change::Rename(from, to) => {
                let moved: Vec<PathBuf> =
                    self.files.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let file = self.files.remove(&path).unwrap();
                    let new =
                        if path == *from { to.clone() } else { to.join(path.strip_prefix(from).unwrap()) };
                    self.files.insert(new, file);
                }
            }
            Change::Remove(path) => self.files.retain(|file, _| !file.starts_with(path)),
        }
    }

    /// A file below a folder that was moved: its name lasts, since the folders it is in were synced before.
    fn synced_below(&self, path: &Path, folder: &Path) -> bool {
        path.parent().is_some_and(|parent| parent != folder) && self.files[path].1.is_some()
    }

    /// What is there after a power cut: names that were synced, with the content that was.
    fn after_power_cut(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.lasting
            .iter()
            .map(|(path, (_, synced))| (path.clone(), synced.clone().unwrap_or_default()))
            .collect()
    }
}

/// After a power cut at any moment a version is there whole or not at all, and an order only for one that is whole.
#[test]
fn a_power_cut_after_any_change_leaves_what_can_be_run() {
    let made = Made::new();
    let recorder = Recorder::default();
    let (part, sha256) = made.package("0.2.0", |_| ());
    let mut book = Book { offer: Some(offer("0.2.0", Some(&sha256))), ..Book::default() };
    book.store(&made.layout, &recorder).unwrap();
    made.install(&recorder, &part, &sha256, "0.2.0").unwrap();
    book.contents.insert(version("0.2.0"), sha256);
    book.store(&made.layout, &recorder).unwrap();
    let order = Order {
        format: 1,
        offer: "aa".into(),
        to: Slot::Package { version: version("0.2.0") },
        to_version: version("0.2.0"),
        from_version: version("0.1.0"),
        worked: Vec::new(),
        connected: true,
        healthy_seconds: 1,
        connected_seconds: 1,
        probation_seconds: 1,
    };
    super::disk::replace(&recorder, &made.layout.order(), &serde_json::to_vec(&order).unwrap()).unwrap();

    let changes = recorder.0.lock().unwrap().clone();
    assert!(changes.len() > 30, "{}", changes.len());
    let (mut model, mut ordered, mut runnable) = (Model::default(), 0, 0);
    for (count, change) in changes.iter().enumerate() {
        model.apply(change);
        let left = model.after_power_cut();
        let read = |path: PathBuf| left.get(&path).cloned();
        let place = made.layout.version(&version("0.2.0"));
        if let Some(book) = read(made.layout.root().join("book.json")) {
            assert!(serde_json::from_slice::<Book>(&book).is_ok(), "after {count}: {change:?}");
        }
        let whole = read(place.join(archive::MANIFEST)).is_some_and(|text| {
            let manifest = Manifest::parse(&text).unwrap();
            let signature = String::from_utf8(read(place.join(archive::SIGNATURE)).unwrap()).unwrap();
            made.trust.verify(&text, &signature).unwrap();
            manifest.files.iter().all(|file| {
                read(place.join(&file.path)).is_some_and(|content| sha256_hex(&content) == file.sha256)
            })
        });
        let there = left.keys().any(|path| path.starts_with(&place));
        assert_eq!(there, whole, "after {count}: {change:?}: a version is whole or not there");
        if let Some(order) = read(made.layout.order()) {
            assert!(serde_json::from_slice::<Order>(&order).is_ok(), "after {count}: {change:?}");
            assert!(whole, "after {count}: {change:?}: ordered, and not there");
            ordered += 1;
        }
        runnable += usize::from(whole);
    }
    assert!(ordered >= 1 && runnable > ordered, "{ordered} {runnable}");
    assert!(made.folder.path().exists());
}
