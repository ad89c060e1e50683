//! The repository without a controller around it.

use super::upload::UploadError;
use super::*;
use crate::store::MemoryStore;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const DIGEST: &str = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";

fn digest(number: usize) -> String {
    format!("{number:064x}")
}

fn open(dir: &tempfile::TempDir, limits: PackageLimits) -> Packages {
    let folder = dir.path().join("packages");
    Packages::open(&folder, &MemoryStore::default(), limits, Timestamp::now()).unwrap()
}

fn pieces(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
    stream::iter(parts)
}

async fn offset(packages: &Packages, size: u64) -> u64 {
    packages.begin(DIGEST, size).await.unwrap().upload.offset
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke_off() {
    let dir = tempfile::tempdir().unwrap();
    let packages = open(&dir, PackageLimits::default());
    assert!(matches!(packages.append(DIGEST, 0, pieces(&["x"])).await, Err(UploadError::NotBegun(_))));
    assert!(packages.begin(DIGEST, 10).await.unwrap().new);
    packages.append(DIGEST, 0, pieces(&["01", "23"])).await.unwrap();
    assert_eq!(offset(&packages, 10).await, 4);
    let wrong = packages.append(DIGEST, 5, pieces(&["5"])).await;
    assert!(matches!(wrong, Err(UploadError::Offset { wanted: 4, told: 5 })));
    let broken = stream::iter([Ok(Bytes::from_static(b"45")), Err(PayloadError::Incomplete(None))]);
    assert!(matches!(packages.append(DIGEST, 4, broken).await, Err(UploadError::Broken(_))));
    assert_eq!(offset(&packages, 10).await, 6, "what came before the break is kept");
    let surplus = packages.append(DIGEST, 6, pieces(&["6789", "x"])).await;
    assert!(matches!(surplus, Err(UploadError::TooMuch(10))));
    assert_eq!(offset(&packages, 10).await, 10);
    // Another size is another file.
    assert_eq!(offset(&packages, 11).await, 0);
}

#[tokio::test]
async fn who_comes_second_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let packages = Arc::new(open(&dir, PackageLimits::default()));
    packages.begin(DIGEST, 6).await.unwrap();
    let (came, seen) = tokio::sync::oneshot::channel();
    let first = {
        let packages = Arc::clone(&packages);
        // It says something, and then never again.
        let begin = pieces(&["012"]).chain(stream::once(async move {
            let _ = came.send(());
            std::future::pending().await
        }));
        tokio::spawn(async move { packages.append(DIGEST, 0, begin).await.map(drop) })
    };
    seen.await.unwrap();
    let second = packages.append(DIGEST, 3, pieces(&["345"])).await;
    assert!(second.is_ok(), "{:?}", second.err());
    assert!(matches!(first.await.unwrap(), Err(UploadError::TakenOver)));
    let stored = std::fs::read(dir.path().join(format!("packages/uploads/{DIGEST}.6"))).unwrap();
    assert_eq!(stored, b"012345");
}

#[tokio::test]
async fn the_repository_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let limits = PackageLimits { packages: 5, bytes: 1_000, ..PackageLimits::default() };
    let packages = open(&dir, limits);
    let told = async |name: &str, size| match packages.begin(name, size).await {
        Ok(found) => format!("new: {}", found.new),
        Err(error) => error.to_string(),
    };
    assert!(told("../../etc/passwd", 1).await.contains("no SHA-256"));
    assert!(told(&DIGEST.to_uppercase(), 1).await.contains("no SHA-256"));
    for size in [0, upload::MAX_FILE + 1] {
        assert!(told(DIGEST, size).await.contains("bytes, and"), "{size}");
    }
    assert!(told(DIGEST, 1_001).await.contains("takes 5 and 1000"));
    assert_eq!(told(DIGEST, 996).await, "new: true");
    assert!(told(&digest(1), 5).await.contains("996 bytes, uploads included"));
    for number in 1..5 {
        assert_eq!(told(&digest(number), 1).await, "new: true");
    }
    assert!(told(&digest(5), 0x1).await.contains("holds 5 packages"));
    let many = tempfile::tempdir().unwrap();
    let packages = open(&many, PackageLimits::default());
    for number in 0..8 {
        packages.begin(&digest(number), 1).await.unwrap();
    }
    assert!(matches!(packages.begin(&digest(8), 1).await, Err(UploadError::TooMany)));
    assert!(!packages.begin(&digest(7), 1).await.unwrap().new, "one that was begun goes on");
    let room = packages.files.check_room(u64::MAX / 2).unwrap_err().to_string();
    assert!(room.contains("there is no room for it"), "{room}");
}

#[test]
fn what_a_crash_or_a_day_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir, PackageLimits::default()));
    let path = |name: &str| -> PathBuf { dir.path().join("packages").join(name) };
    let (stranger, fresh, dead) = (
        path(&format!("{DIGEST}.muster")),
        path(&format!("uploads/{DIGEST}.9")),
        path(&format!("uploads/{}.9", digest(1))),
    );
    for file in [&stranger, &fresh, &dead, &path("notes.txt")] {
        std::fs::write(file, "x").unwrap();
    }
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 3_600);
    std::fs::File::options().write(true).open(&dead).unwrap().set_modified(yesterday).unwrap();
    let packages = open(&dir, PackageLimits::default());
    let there = [&stranger, &fresh, &dead, &path("notes.txt")].map(|file| file.exists());
    assert_eq!(there, [false, true, false, true], "what is not ours is not touched");
    packages.sweep(Timestamp::now() + jiff::SignedDuration::from_hours(25));
    assert!(!fresh.exists());
}
