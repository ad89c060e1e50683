//! argon2 under control: two at a time, and a short queue. Who comes when it is full is told to come again, so
//! that a flood of sign-ins takes neither the memory nor the cores of the agents' connections.

use super::UserError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

/// Passwords hashed at one time: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// Passwords that are hashed or wait for it.
const MAX_QUEUE: usize = 32;

/// The queue.
pub(super) struct Hashing {
    places: Semaphore,
    inside: AtomicUsize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), inside: AtomicUsize::new(0) }
    }
}

/// A turn; given back when dropped.
struct Turn<'a> {
    queue: &'a Hashing,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hashing {
    async fn turn(&self) -> Result<Turn<'_>, UserError> {
        let before = self.inside.fetch_add(1, Ordering::AcqRel);
        let mut turn = Turn { queue: self, _permit: None };
        if before >= MAX_QUEUE {
            return Err(UserError::Busy);
        }
        turn._permit = Some(self.places.acquire().await.map_err(|_| UserError::Busy)?);
        Ok(turn)
    }

    /// Whether a password is that of a hash.
    pub(super) async fn matches(&self, password: Zeroizing<String>, phc: String) -> Result<bool, UserError> {
        let _turn = self.turn().await?;
        let check = tokio::task::spawn_blocking(move || verify(&password, &phc));
        check.await.map_err(|_| UserError::Hash)
    }

    /// The hash of a password.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<String, UserError> {
        let _turn = self.turn().await?;
        tokio::task::spawn_blocking(move || hash(&password)).await.map_err(|_| UserError::Hash)?
    }
}

/// The hash of a password, in PHC form.
pub(super) fn hash(password: &str) -> Result<String, UserError> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| UserError::Hash)?;
    Ok(hash.to_string())
}

fn verify(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test]
    async fn the_queue_has_an_end_and_empties() {
        let queue = Hashing::default();
        let phc = hash("right").unwrap();
        let tries = (0..MAX_QUEUE + 5).map(|_| queue.matches("wrong".to_owned().into(), phc.clone()));
        let results = join_all(tries).await;
        let busy = results.iter().filter(|r| matches!(r, Err(UserError::Busy))).count();
        assert_eq!(busy, 5);
        assert_eq!(results.iter().filter(|r| matches!(r, Ok(false))).count(), MAX_QUEUE);
        assert!(queue.matches("right".to_owned().into(), phc).await.unwrap());
        assert_eq!(queue.inside.load(Ordering::Acquire), 0);
    }
}
