//! Bytes kept beside a reply, as servers of generation G2 do: a token fetches them once, for the same user,
//! within a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::counts::{Tally, count};
use super::handshake::Login;
use crate::rng::Rng;
use crate::sql::eval::KeepBytes;
use crate::world::World;

/// How often tokens whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Most bytes kept at a time; beyond, the newest are lost.
const ROOM: usize = 256 * 1024 * 1024;

struct Blob {
    owner: Login,
    bytes: Vec<u8>,
    at: Instant,
}

struct Kept {
    blobs: HashMap<String, Blob>,
    size: usize,
    rng: Rng,
    swept: Instant,
}

impl Kept {
    fn take(&mut self, token: &str) -> Option<Blob> {
        let blob = self.blobs.remove(token)?;
        self.size -= blob.bytes.len();
        Some(blob)
    }

    /// A version 4 UUID; unique, and the same at each run of a scenario.
    fn token(&mut self) -> String {
        let (a, b) = (self.rng.number(), self.rng.number());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xFFFF,
            a & 0xFFF,
            ((b >> 48) & 0x3FFF) | 0x8000,
            b & 0xFFFF_FFFF_FFFF
        )
    }
}

/// Why bytes are not given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request names no token.
    NoToken,
    /// Without credentials, or with those of another user; the token ends.
    Unauthorised,
    /// Unknown, used or too old.
    NotFound,
}

/// The store of one server.
pub(super) struct BlobStore {
    world: Arc<World>,
    tally: Arc<Tally>,
    ttl: Duration,
    kept: Mutex<Kept>,
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStore").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl BlobStore {
    pub(super) fn new(world: Arc<World>, tally: Arc<Tally>) -> Arc<Self> {
        let seed = u64::from(world.scenario.server.job_number);
        let kept = Kept { blobs: HashMap::new(), size: 0, rng: Rng::new(seed), swept: Instant::now() };
        let ttl = Duration::from_secs(world.scenario.server.blob_token_ttl);
        Arc::new(Self { world, tally, ttl, kept: Mutex::new(kept) })
    }

    // Every change is whole: usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps bytes for `owner`; where they can be fetched.
    fn keep(&self, owner: &Login, bytes: &[u8], now: Instant) -> String {
        count(&self.tally.blobs_kept);
        let mut kept = self.lock();
        if now.duration_since(kept.swept) >= SWEEP {
            kept.swept = now;
            let ttl = self.ttl;
            kept.blobs.retain(|_, blob| now.duration_since(blob.at) < ttl);
            kept.size = kept.blobs.values().map(|blob| blob.bytes.len()).sum();
        }
        let token = kept.token();
        let lost = self.world.with_faults(|faults| {
            let lost = faults.blobs_lost > 0;
            faults.blobs_lost = faults.blobs_lost.saturating_sub(1);
            lost
        });
        if !lost && kept.size + bytes.len() <= ROOM {
            kept.size += bytes.len();
            kept.blobs.insert(token.clone(), Blob { owner: owner.clone(), bytes: bytes.to_vec(), at: now });
        }
        format!("/blob/{token}")
    }

    /// Gives bytes out, once.
    pub(super) fn fetch(&self, token: &str, login: Option<&Login>, now: Instant) -> Result<Vec<u8>, Refused> {
        let result = self.look_up(token, login, now);
        count(if result.is_ok() { &self.tally.blobs_fetched } else { &self.tally.blobs_refused });
        result
    }

    fn look_up(&self, token: &str, login: Option<&Login>, now: Instant) -> Result<Vec<u8>, Refused> {
        if token.is_empty() {
            return Err(Refused::NoToken);
        }
        let found = self.lock().take(token);
        let Some(login) = login else { return Err(Refused::Unauthorised) };
        let blob = found.ok_or(Refused::NotFound)?;
        if !blob.owner.same(login) {
            return Err(Refused::Unauthorised);
        }
        if now.duration_since(blob.at) >= self.ttl { Err(Refused::NotFound) } else { Ok(blob.bytes) }
    }
}

/// Keeps the bytes of one user's replies.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<BlobStore>,
    owner: Login,
}

impl Keeper {
    pub(super) fn new(store: Arc<BlobStore>, owner: Login) -> Arc<Self> {
        Arc::new(Self { store, owner })
    }
}

impl KeepBytes for Keeper {
    fn keep(&self, bytes: &[u8]) -> String {
        self.store.keep(&self.owner, bytes, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn login(user: &str) -> Login {
        Login { user: user.to_owned(), password: "x".to_owned() }
    }

    fn store(ttl: u64) -> Arc<BlobStore> {
        let mut scenario = Scenario::default();
        scenario.server.blob_token_ttl = ttl;
        BlobStore::new(Arc::new(World::new(scenario).expect("a world")), Arc::default())
    }

    #[test]
    fn a_token_works_once_for_its_user_and_for_a_while() {
        let store = store(60);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let keep = |bytes: &[u8], seconds| {
            let path = store.keep(&login("MUSTER"), bytes, at(seconds));
            path.strip_prefix("/blob/").expect("a path").to_owned()
        };
        let fetch = |token: &str, login: Option<&Login>, seconds| store.fetch(token, login, at(seconds));
        let (me, other) = (login("muster"), login("OTHER"));
        let first = keep(&[1, 2], 0);
        assert_eq!(first.len(), 36);
        assert_eq!(fetch(&first, Some(&me), 1), Ok(vec![1, 2]));
        assert_eq!(fetch(&first, Some(&me), 1), Err(Refused::NotFound), "used");
        for stranger in [None, Some(&other)] {
            let token = keep(&[3], 1);
            assert_eq!(fetch(&token, stranger, 1), Err(Refused::Unauthorised));
            assert_eq!(fetch(&token, Some(&me), 1), Err(Refused::NotFound), "ended by a stranger");
        }
        let (old, young) = (keep(&[4], 1), keep(&[5], 1));
        assert_eq!(fetch(&young, Some(&me), 60), Ok(vec![5]));
        assert_eq!(fetch(&old, Some(&me), 61), Err(Refused::NotFound), "too old");
        assert_eq!(fetch("", Some(&me), 61), Err(Refused::NoToken));
        let forgotten = keep(&[6], 62);
        keep(&[7], 130);
        let left = {
            let kept = store.lock();
            (kept.blobs.len(), kept.size)
        };
        assert_eq!(left, (1, 1), "swept");
        assert_eq!(fetch(&forgotten, Some(&me), 130), Err(Refused::NotFound));
        let counts = store.tally.counts();
        assert_eq!((counts.blobs_kept, counts.blobs_fetched, counts.blobs_refused), (7, 2, 8));
    }

    #[test]
    fn the_fault_loses_as_many_as_it_says() {
        let (store, now) = (store(60), Instant::now());
        store.world.with_faults(|faults| faults.blobs_lost = 2);
        for found in [false, false, true] {
            let path = store.keep(&login("A"), &[1], now);
            let token = path.strip_prefix("/blob/").expect("a path");
            assert_eq!(store.fetch(token, Some(&login("A")), now).is_ok(), found);
        }
    }
}
