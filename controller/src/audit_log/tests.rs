//! The log and its files.

use super::outgoing::MAX_VALUE;
use super::*;
use crate::store::MemoryStore;
use jiff::Timestamp;
use muster_shared::audit_chain::Verifier;

fn admin() -> Actor<'static> {
    Actor::new("admin", "127.0.0.1".parse().unwrap())
}

struct Log {
    dir: tempfile::TempDir,
    store: SharedStore,
    log: AuditLog,
}

impl Log {
    fn new(segment_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(MemoryStore::default());
        let log = open(dir.path(), &store, segment_bytes);
        Self { dir, store, log }
    }

    fn reopen(self, segment_bytes: u64) -> Self {
        let log = open(self.dir.path(), &self.store, segment_bytes);
        Self { log, ..self }
    }

    async fn act(&self, action: &str, object: &str) {
        let mut batch = Batch::new();
        Outgoing::by_user(admin(), action, object).add_to(&mut batch);
        self.store.apply(batch).await.unwrap();
        self.log.drain().await;
    }

    fn objects(&self, before: Option<u64>, limit: usize) -> Vec<(u64, String)> {
        let (page, _) = self.log.newest(&Search::default(), before, limit).unwrap();
        page.into_iter().map(|e| (e.sequence, e.object)).collect()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> =
            std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    }

    fn exported(&self, after: u64) -> Vec<u8> {
        let (mut all, mut at) = (Vec::new(), after);
        while let Some((text, last)) = self.log.export(at, self.log.last()).unwrap() {
            all.extend(text);
            at = last;
        }
        all
    }
}

fn open(folder: &Path, store: &SharedStore, segment_bytes: u64) -> AuditLog {
    AuditLog::open_with(folder, Arc::clone(store), EventHub::default(), segment_bytes).unwrap()
}

fn pair(n: u64, o: &str) -> (u64, String) {
    (n, o.to_owned())
}

fn verify(text: &[u8]) -> Result<u64, String> {
    let mut verifier = Verifier::default();
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        verifier.next(line).map_err(|e| e.to_string())?;
    }
    Ok(verifier.verified().entries)
}

#[tokio::test]
async fn entries_are_chained_and_survive_a_torn_line() {
    let log = Log::new(SEGMENT_BYTES);
    for object in ["a", "b", "c"] {
        log.act("token.create", object).await;
    }
    let path = log.segments()[0].clone();
    let mut text = std::fs::read(&path).unwrap();
    text.extend(b"{\"hash\":\"half");
    std::fs::write(&path, text).unwrap();
    let log = log.reopen(SEGMENT_BYTES);
    log.act("token.create", "d").await;
    assert_eq!(log.objects(None, 2), [pair(4, "d"), pair(3, "c")]);
    assert_eq!(log.objects(Some(3), 10), [pair(2, "b"), pair(1, "a")]);
    assert_eq!(log.objects(Some(1), 10), []);
    let keys: Vec<_> = log.store.snapshot().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [HEAD], "the outbox is empty");
    assert_eq!(verify(&std::fs::read(&path).unwrap()), Ok(4));
}

#[tokio::test]
async fn an_entry_that_is_in_the_file_already_is_not_written_again() {
    let log = Log::new(SEGMENT_BYTES);
    let mut batch = Batch::new();
    Outgoing::by_user(admin(), "user.change", "y").add_to(&mut batch);
    log.store.apply(batch).await.unwrap();
    // Written, but the program dies before the outbox is emptied.
    let _lost = log.log.drain_blocking().unwrap();
    let log = log.reopen(SEGMENT_BYTES);
    log.log.drain().await;
    assert_eq!(log.objects(None, 10).len(), 1);
    assert_eq!(log.store.scan(OUTBOX, None, 10).unwrap(), []);
}

#[tokio::test]
async fn segments_are_small_and_read_as_one() {
    let small = 600;
    let mut log = Log::new(small);
    for i in 1..=40 {
        log.act(if i % 10 == 0 { "token.create" } else { "login" }, &i.to_string()).await;
        if i % 7 == 0 {
            log = log.reopen(small);
        }
    }
    assert!(log.segments().len() >= 10, "{}", log.segments().len());
    for segment in log.segments() {
        assert!(std::fs::metadata(&segment).unwrap().len() < small + 400);
    }
    let numbers = |from: u64, to: u64| (from..=to).map(|n| pair(n, &n.to_string())).collect::<Vec<_>>();
    let newest: Vec<_> = numbers(11, 30).into_iter().rev().collect();
    assert_eq!(log.objects(Some(31), 20), newest);
    let oldest = |search: &Search, after, limit| {
        let (found, next) = log.log.oldest(search, after, limit).unwrap();
        (found.into_iter().map(|e| (e.sequence, e.object)).collect::<Vec<_>>(), next)
    };
    assert_eq!(oldest(&Search::default(), 5, 20), (numbers(6, 25), Some(25)));
    assert_eq!(oldest(&Search::default(), 25, 20), (numbers(26, 40), None));
    assert_eq!(oldest(&Search::default(), 40, 20), (vec![], None));
    assert_eq!(oldest(&Search::default(), 99, 20), (vec![], None));
    let made = Search { action: Some("token".to_owned()), ..Search::default() };
    assert_eq!(oldest(&made, 10, 2).0, [pair(20, "20"), pair(30, "30")]);
    assert_eq!(verify(&log.exported(0)), Ok(40));
    assert_eq!(verify(&log.exported(30)), Ok(10));
}

#[tokio::test]
async fn old_segments_may_be_taken_away() {
    let log = Log::new(600);
    for i in 1..=20 {
        log.act("login", &i.to_string()).await;
    }
    for segment in &log.segments()[..3] {
        std::fs::remove_file(segment).unwrap();
    }
    let log = log.reopen(600);
    log.act("login", "21").await;
    let (found, next) = log.log.newest(&Search::default(), None, 100).unwrap();
    assert_eq!((found[0].sequence, next), (21, None));
    let left = found.len() as u64;
    assert!(left < 20);
    assert_eq!(log.log.oldest(&Search::default(), 0, 100).unwrap().0.len() as u64, left);
    assert_eq!(verify(&log.exported(0)), Ok(left));
}

#[test]
fn a_change_tells_before_and_after_and_is_bounded() {
    let entry = Outgoing::by_user(admin(), "user.change", "y");
    let change = entry.clone().change((), serde_json::json!({ "role": "viewer" }));
    assert_eq!((change.before, change.after), (None, Some(serde_json::json!({ "role": "viewer" }))));
    let large = entry.change("x".repeat(MAX_VALUE), ());
    assert_eq!(large.before, Some(serde_json::Value::String("16386 bytes".to_owned())));
}

#[test]
fn what_is_looked_for_is_found() {
    let log = Log::new(SEGMENT_BYTES);
    let entry = |actor: &str, action: &str, object: &str, at: i64| AuditEntry {
        sequence: 1,
        id: String::new(),
        at: Timestamp::from_second(at).unwrap(),
        actor: actor.to_owned(),
        from: String::new(),
        token: None,
        action: action.to_owned(),
        object: object.to_owned(),
        detail: String::new(),
        before: None,
        after: None,
        hash: String::new(),
    };
    let e = entry("maria", "policy.publish", "base@3", 100);
    let text = |t: &str| Some(t.to_owned());
    let at = |s| Some(Timestamp::from_second(s).unwrap());
    for (search, found) in [
        (Search::default(), true),
        (Search { actor: text("maria"), ..Search::default() }, true),
        (Search { actor: text("mari"), ..Search::default() }, false),
        (Search { action: text("policy"), ..Search::default() }, true),
        (Search { action: text("policy.publish"), ..Search::default() }, true),
        (Search { action: text("pol"), ..Search::default() }, false),
        (Search { object: text("base"), ..Search::default() }, true),
        (Search { object: text("base@3"), ..Search::default() }, true),
        (Search { object: text("base@"), ..Search::default() }, false),
        (Search { since: at(100), until: at(101), ..Search::default() }, true),
        (Search { until: at(100), ..Search::default() }, false),
        (Search { token: text("t1"), ..Search::default() }, false),
        (Search { since: at(101), ..Search::default() }, false),
    ] {
        assert_eq!(search.finds(&e), found, "{search:?}");
    }
    let change = AuditEntry { after: Some(serde_json::json!({"Site": "Zürich"})), ..e.clone() };
    let words =
        |text: &str| Search { words: text.split(' ').map(str::to_owned).collect(), ..Search::default() };
    for (search, found) in
        [("maria base", true), ("publish 3", true), ("zürich site", true), ("maria ber", false)]
    {
        assert_eq!(words(search).finds(&change), found, "{search}");
    }
    assert!(!words("zürich").finds(&e));
    let by_token = AuditEntry { token: text("t1"), ..e };
    for (token, found) in [("t1", true), ("t", false)] {
        let search = Search { token: text(token), ..Search::default() };
        assert_eq!(search.finds(&by_token), found, "{token}");
    }
    assert!(words("maria t1").finds(&by_token));
    assert_eq!(log.log.last(), 0);
}

/// A log of 30 entries in several segments.
async fn thirty() -> Log {
    let log = Log::new(600);
    for i in 1..=30 {
        log.act("login", &i.to_string()).await;
    }
    log
}

/// Changes the text of the segment at `position`.
fn tamper(log: &Log, position: usize, change: impl FnOnce(String) -> String) {
    let path = &log.segments()[position];
    std::fs::write(path, change(std::fs::read_to_string(path).unwrap())).unwrap();
}

#[tokio::test]
async fn a_whole_log_is_verified_once_until_it_grows() {
    let empty = Log::new(600).log.verification().await.unwrap();
    assert_eq!((empty.ok, empty.entries, empty.from, empty.to), (true, 0, 0, 0));
    let log = thirty().await;
    let (a, b) = tokio::join!(log.log.verification(), log.log.verification());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.ok, a.entries, a.from, a.to, a.first_bad), (true, 30, 1, 30, None));
    assert_eq!(a, b, "one check for both");
    let (page, _) = log.log.newest(&Search::default(), None, 1).unwrap();
    assert_eq!(a.head_hash, page[0].hash);
    log.act("login", "31").await;
    assert_eq!(log.log.verification().await.unwrap().to, 31);
    // Old segments may be taken away; what is left is told.
    std::fs::remove_file(&log.segments()[0]).unwrap();
    let log = log.reopen(600);
    let part = log.log.verification().await.unwrap();
    assert!(part.ok && part.from > 1 && part.to == 31, "{part:?}");
}

#[tokio::test]
async fn what_was_done_to_the_files_is_told() {
    let first_of = |path: &PathBuf| -> u64 { path.file_stem().unwrap().to_str().unwrap().parse().unwrap() };
    type Deed = fn(&Log);
    let cases: [(&str, Deed, &str); 6] = [
        ("an entry is changed", |log| tamper(log, 3, |t| t.replacen("admin", "nobody", 1)), "was changed"),
        (
            "an entry is taken out",
            |log| tamper(log, 3, |t| t.split_once('\n').unwrap().1.to_owned()),
            "is missing",
        ),
        ("a line is damaged", |log| tamper(log, 3, |t| format!("x{t}")), "is missing"),
        ("a segment is taken out", |log| std::fs::remove_file(&log.segments()[3]).unwrap(), "is missing"),
        (
            "the last segment is emptied",
            |log| tamper(log, log.segments().len() - 1, |_| String::new()),
            "the end was cut off",
        ),
        (
            "all is written anew",
            |log| {
                let (mut hash, mut text) = (String::new(), Vec::new());
                for n in 1..=30 {
                    let (next, line) =
                        muster_shared::audit_chain::line(&hash, format!("{{\"sequence\":{n}}}").as_bytes());
                    hash = next;
                    text.extend(line);
                    text.push(b'\n');
                }
                log.segments().iter().for_each(|path| std::fs::remove_file(path).unwrap());
                std::fs::write(log.dir.path().join(format!("{:020}.jsonl", 1)), text).unwrap();
            },
            "written anew",
        ),
    ];
    for (what, deed, told) in cases {
        for restarted in [false, true] {
            // Who has changed the folder while the controller runs, and who did so before it was started.
            let log = thirty().await;
            let segments = log.segments();
            deed(&log);
            let log = if restarted { log.reopen(600) } else { log };
            let found = log.log.verification().await.unwrap();
            assert!(!found.ok && found.reason.contains(told), "{what}, restarted {restarted}: {found:?}");
            let expected = match told {
                "written anew" => 30,
                "the end was cut off" => first_of(segments.last().unwrap()),
                _ => first_of(&segments[3]),
            };
            assert_eq!(found.first_bad, Some(expected), "{what}, restarted {restarted}: {found:?}");
        }
    }
}

/// A log that a release before wrote, whose entries name no API token, goes on under this one and is whole.
#[tokio::test]
async fn an_api_token_is_named_and_a_chain_from_before_still_verifies() {
    let log = Log::new(SEGMENT_BYTES);
    let mut hash = muster_shared::audit_chain::GENESIS.to_owned();
    let mut text = Vec::new();
    for sequence in 1..=2 {
        let entry = format!(
            r#"{{"sequence":{sequence},"id":"old-{sequence}","at":"2026-11-01T00:00:00Z","actor":"admin","from":"10.0.0.1","action":"login"}}"#
        );
        let (next, line) = muster_shared::audit_chain::line(&hash, entry.as_bytes());
        text.extend_from_slice(&line);
        text.push(b'\n');
        hash = next;
    }
    std::fs::write(log.dir.path().join("00000000000000000001.jsonl"), &text).unwrap();
    let log = log.reopen(SEGMENT_BYTES);
    let mut batch = Batch::new();
    let actor = Actor { token: Some("t1"), ..admin() };
    Outgoing::by_user(actor, "token.create", "x").add_to(&mut batch);
    log.store.apply(batch).await.unwrap();
    log.log.drain().await;
    log.act("logout", "y").await;
    let (found, _) = log.log.oldest(&Search::default(), 0, 10).unwrap();
    let tokens: Vec<_> = found.iter().map(|e| (e.sequence, e.token.as_deref())).collect();
    assert_eq!(tokens, [(1, None), (2, None), (3, Some("t1")), (4, None)]);
    assert_eq!(verify(&log.exported(0)), Ok(4));
    assert!(log.exported(0).starts_with(&text), "what was written stays as it was");
    let last = log.exported(3);
    assert!(!String::from_utf8_lossy(&last).contains("\"token\""), "absent, not null");
}
