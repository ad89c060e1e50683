//! Generations: what is written anew, what a crash leaves, what an earlier build left.

use super::super::{Condition, SharedStore};
use super::*;
use std::fs;

fn value(n: u64) -> Vec<u8> {
    // Random, so that no layer makes it small.
    let mut bytes = crate::identity::secret::random_bytes::<8_192>().to_vec();
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn generations(folder: &Path) -> Vec<u64> {
    let mut found: Vec<u64> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    found.sort_unstable();
    found
}

fn current(folder: &Path) -> Current {
    fs::read(folder.join("current"))
        .map_or_else(|_| Current::default(), |text| serde_json::from_slice(&text).unwrap())
}

fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .map(|e| e.metadata().map_or(0, |m| if m.is_dir() { bytes(&e.path()) } else { m.len() }))
                .sum()
        })
        .unwrap_or(0)
}

/// Writes `rounds` times over the same keys, deletes some, and keeps a record of what must be there.
async fn churn(store: &SharedStore, rounds: u64, model: &mut std::collections::BTreeMap<String, Vec<u8>>) {
    for round in 0..rounds {
        for part in 0..8 {
            let mut batch = Batch::new();
            for n in (0..400).filter(|n| n % 8 == part) {
                let key = format!("agents/{n:04}");
                if (n + round) % 11 == 0 {
                    batch.delete(&key, Condition::Any);
                    model.remove(&key);
                } else {
                    let value = value(round * 1_000 + n);
                    batch.put(&key, Condition::Any, value.clone());
                    model.insert(key, value);
                }
            }
            store.apply(batch).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_that_is_mostly_dead_is_written_anew_and_keeps_all() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let store: SharedStore = Arc::new(SledStore::open(&folder).unwrap());
    let mut model = std::collections::BTreeMap::new();
    let mut peak = 0;
    // 3.2 MB live, 96 MB written; while it goes on, a reader sees each key or none, never half a store.
    for _ in 0..30 {
        churn(&store, 1, &mut model).await;
        peak = peak.max(bytes(&folder));
        let pairs: Vec<Pair> = model.clone().into_iter().collect();
        assert_eq!(store.snapshot().unwrap(), pairs);
    }
    assert!(peak < 40_000_000, "{peak} bytes");
    store.close();
    drop(store);
    let counts = current(&folder);
    assert!(counts.generation > 0, "written anew");
    assert!((2_000_000..4_000_000).contains(&counts.live_bytes), "{counts:?}");
    assert_eq!(generations(&folder), [counts.generation], "the old ones are gone");
    let store = SledStore::open(&folder).unwrap();
    assert_eq!(store.snapshot().unwrap(), model.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn who_reads_goes_on_with_the_generation_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SledStore::open(dir.path()).unwrap());
    let shared: SharedStore = store.clone();
    let mut model = std::collections::BTreeMap::new();
    churn(&shared, 1, &mut model).await;
    let before = store.shared.present.load_full();
    let path = dir.path().join(current(dir.path()).generation.to_string());
    churn(&shared, 20, &mut model).await;
    assert!(current(dir.path()).generation > 0);
    assert!(path.exists(), "somebody still reads it");
    assert!(before.tree.iter().all(|pair| pair.is_ok()));
    drop(before);
    assert!(!path.exists(), "nobody reads it any more");
}

#[tokio::test]
async fn what_a_crash_left_of_a_new_generation_is_deleted_and_the_old_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let mut batch = Batch::new();
    batch.put_json("n", Condition::Absent, &7_u32);
    store.apply(batch).await.unwrap();
    drop(store);
    // Half written: the pointer was not moved.
    let half = ::sled::open(dir.path().join("1")).unwrap();
    half.insert("n", b"8").unwrap();
    drop(half);
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(crate::store::get_json::<u32>(&store, "n").unwrap(), Some(7));
    assert_eq!(generations(dir.path()), [0]);
}

#[tokio::test]
async fn a_store_of_an_earlier_build_is_taken_over() {
    for crashed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let old = ::sled::open(dir.path()).unwrap();
        old.insert("n", b"7").unwrap();
        drop(old);
        if crashed {
            fs::create_dir(dir.path().join("0")).unwrap();
            fs::rename(dir.path().join("db"), dir.path().join("0/db")).unwrap();
        }
        let store = SledStore::open(dir.path()).unwrap();
        assert_eq!(store.get("n").unwrap(), Some(b"7".to_vec()), "crashed: {crashed}");
        assert!(!dir.path().join("conf").exists());
    }
}

#[test]
fn a_generation_that_is_gone_is_never_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("current"), r#"{"generation":4,"live_bytes":1}"#).unwrap();
    let Err(error) = SledStore::open(dir.path()) else { panic!("opened") };
    let StoreError::Io { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("generation 4"), "{source}");
    fs::write(dir.path().join("current"), "{").unwrap();
    assert!(matches!(SledStore::open(dir.path()), Err(StoreError::Unreadable { .. })));
}
