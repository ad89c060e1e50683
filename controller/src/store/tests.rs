//! One table, run against every implementation.

use super::*;

fn stores() -> Vec<(&'static str, SharedStore, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let sled = SledStore::open(&dir.path().join("s")).unwrap();
    vec![
        ("memory", Arc::new(MemoryStore::default()) as SharedStore, None),
        ("sled", Arc::new(sled) as SharedStore, Some(dir)),
    ]
}

fn keys(pairs: &[Pair]) -> Vec<&str> {
    pairs.iter().map(|(k, _)| k.as_str()).collect()
}

async fn put(store: &SharedStore, key: &str, condition: Condition, value: &str) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(key, condition, value.as_bytes().to_vec());
    store.apply(batch).await
}

#[tokio::test]
async fn conditions_decide_whether_a_write_is_done() {
    for (name, store, _dir) in stores() {
        put(&store, "a", Condition::Absent, "1").await.unwrap();
        let cases = [
            (Condition::Absent, false),
            (Condition::Equals(b"0".to_vec()), false),
            (Condition::Equals(b"1".to_vec()), true),
            (Condition::Any, true),
        ];
        for (condition, done) in cases {
            let result = put(&store, "a", condition.clone(), "1").await;
            match result {
                Ok(()) => assert!(done, "{name}: {condition:?}"),
                Err(StoreError::Conflict { key }) => {
                    assert!(!done, "{name}: {condition:?}");
                    assert_eq!(key, "a");
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_batch_is_done_whole_or_not_at_all() {
    for (name, store, _dir) in stores() {
        put(&store, "k/1", Condition::Any, "old").await.unwrap();
        let mut batch = Batch::new();
        batch.put("k/2", Condition::Any, b"new".to_vec());
        batch.delete("k/1", Condition::Equals(b"other".to_vec()));
        assert!(matches!(store.apply(batch).await, Err(StoreError::Conflict { .. })), "{name}");
        assert_eq!(keys(&store.snapshot().unwrap()), ["k/1"], "{name}");

        let mut batch = Batch::new();
        batch.put("k/2", Condition::Absent, b"new".to_vec());
        batch.delete("k/1", Condition::Equals(b"old".to_vec()));
        store.apply(batch).await.unwrap();
        assert_eq!(store.snapshot().unwrap(), [("k/2".to_owned(), b"new".to_vec())], "{name}");
    }
}

#[tokio::test]
async fn a_scan_sees_its_prefix_in_order_and_in_pages() {
    for (name, store, _dir) in stores() {
        for key in ["b/2", "a/1", "b/1", "b/3", "c"] {
            put(&store, key, Condition::Any, "x").await.unwrap();
        }
        let cases: [(&str, Option<&str>, usize, &[&str]); 5] = [
            ("b/", None, 10, &["b/1", "b/2", "b/3"]),
            ("b/", None, 2, &["b/1", "b/2"]),
            ("b/", Some("b/2"), 2, &["b/3"]),
            ("b/", Some("a"), 1, &["b/1"]),
            ("x/", None, 2, &[]),
        ];
        for (prefix, after, limit, expected) in cases {
            let found = store.scan(prefix, after, limit).unwrap();
            assert_eq!(keys(&found), expected, "{name}: {prefix} {after:?} {limit}");
        }
    }
}

#[tokio::test]
async fn limits_hold() {
    for (name, store, _dir) in stores() {
        let mut batch = Batch::new();
        batch.put("big", Condition::Any, vec![0; MAX_VALUE + 1]);
        assert!(matches!(store.apply(batch).await, Err(StoreError::TooLarge { .. })), "{name}");
        let long = "k".repeat(MAX_KEY + 1);
        assert!(
            matches!(put(&store, &long, Condition::Any, "").await, Err(StoreError::TooLarge { .. })),
            "{name}"
        );
        assert_eq!(store.snapshot().unwrap(), [], "{name}");
    }
}

#[tokio::test]
async fn a_watch_is_nudged_by_its_prefix_only() {
    for (name, store, _dir) in stores() {
        let mut watch = store.watch("a/");
        put(&store, "b/1", Condition::Any, "x").await.unwrap();
        assert!(!watch.has_changed().unwrap(), "{name}");
        put(&store, "a/1", Condition::Any, "x").await.unwrap();
        assert!(watch.has_changed().unwrap(), "{name}");
        watch.borrow_and_update();
        assert!(matches!(put(&store, "a/1", Condition::Absent, "x").await, Err(StoreError::Conflict { .. })));
        assert!(!watch.has_changed().unwrap(), "{name}: a refused batch nudges nobody");
    }
}

#[tokio::test]
async fn sled_reads_back_what_was_applied_and_refuses_a_second_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let mut batch = Batch::new();
    batch.put_json("n", Condition::Absent, &7_u32);
    store.apply(batch).await.unwrap();
    assert!(matches!(SledStore::open(dir.path()), Err(StoreError::InUse { .. })));
    store.close();
    let mut batch = Batch::new();
    batch.put_json("n", Condition::Any, &8_u32);
    assert!(matches!(store.apply(batch).await, Err(StoreError::Closed)));
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    assert!(get_json::<u32>(&store, "n").unwrap().is_some_and(|n| n >= 7));
    assert!(matches!(get_json::<String>(&store, "n"), Err(StoreError::Unreadable { .. })));
}
