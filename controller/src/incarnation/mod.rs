//! Which incarnation of its fleet's controller this one is, and whether it is still the one that counts.
//!
//! A controller that is restored from a backup is a new incarnation ([`muster_shared::incarnation`]). It shows
//! itself to agents with a signature of the authority; they keep the highest that they met and tell it to whatever
//! controller they reach. So an old controller that comes back learns from the first agent that it was replaced,
//! and from then on, for good, takes no agents and no changes. The signature is what makes an agent's word enough:
//! only who has the authority's key can have made a higher incarnation.

pub mod lost;

use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::gateway::outbox::Farewell;
use crate::http::detached;
use crate::http::error::ApiError;
use crate::identity::authority::Trust;
use crate::identity::ca::{Ca, CaError};
use crate::store::{self, Batch, Condition, Store, StoreError};
use actix_web::http::header::HeaderValue;
use actix_web::web;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use muster_proto::api::{AuditFork, RestoreView, SupersededView};
use muster_shared::id::AgentId;
use muster_shared::incarnation::{Claim, FIRST, Incarnation, Standing};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Key of the incarnation.
pub const KEY: &str = "incarnation";
/// Key of what is known of the one that replaced this controller.
pub const SUPERSEDED: &str = "superseded";
/// Key of the restore that this incarnation began with.
pub const RESTORED: &str = "restored";

/// The restore that an incarnation began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRestore {
    /// When.
    pub at: Timestamp,
    /// The moment that the backup holds.
    pub taken_at: Timestamp,
    /// The highest number of a policy's revision in the backup.
    pub last_revision: u64,
    /// The number after which revisions go on: those between were the lost controller's.
    pub revisions_from: u64,
    /// What was done after the backup, and what became of it.
    pub redo: Vec<String>,
    /// The last entry that the audit log has in common with the lost controller's; not told by the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<AuditFork>,
}

/// That a restored controller has taken this one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    /// Since when this is known.
    pub since: Timestamp,
    /// Which.
    pub by: Incarnation,
}

impl Superseded {
    /// In words, with what to do.
    #[must_use]
    pub fn says(&self) -> String {
        format!(
            "this controller was replaced by a restored one (incarnation {}, known since {}): it takes no agents and \
             no changes; work with the restored one, and shut this one down for good",
            self.by.number, self.since
        )
    }

    /// As it is shown.
    #[must_use]
    pub fn view(&self) -> SupersededView {
        SupersededView { since: self.since, by: self.by.number, says: self.says() }
    }
}

/// The incarnation of a controller.
pub struct Incarnations {
    claim: Claim,
    header: HeaderValue,
    restored: Option<StoredRestore>,
    superseded: ArcSwapOption<Superseded>,
    /// Held while it is noted that this one was replaced.
    noting: tokio::sync::Mutex<()>,
}

/// Why the incarnation could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signature.
    #[error("the controller's incarnation could not be signed")]
    Sign(#[from] CaError),
}

/// An incarnation signed by an authority.
///
/// # Errors
/// If signing fails.
pub fn claim(incarnation: Incarnation, authority: &Ca) -> Result<Claim, CaError> {
    let signature = crate::identity::secret::hex(&authority.sign(&incarnation.statement())?);
    Ok(Claim { incarnation, signature })
}

fn proves(trust: &Trust, claim: &Claim) -> bool {
    let Ok(signature) = claim.signature_bytes() else { return false };
    trust.all().any(|ca| ca.has_signed(&claim.incarnation.statement(), &signature))
}

impl Incarnations {
    /// Reads it, or makes the first one; that counts when it is stored ([`Incarnations::keep`]).
    ///
    /// # Errors
    /// If the store cannot be read, or signing fails.
    pub fn load(store: &dyn Store, trust: &Trust) -> Result<Self, IncarnationError> {
        let claim = match store::get_json::<Claim>(store, KEY)? {
            Some(claim) => claim,
            // The issuing one is the one that stays when a roll-over ends.
            None => claim(Incarnation { number: FIRST, id: uuid::Uuid::new_v4() }, &trust.issuing)?,
        };
        // Digits and hex: always a header's value.
        let header = HeaderValue::from_str(&claim.to_string()).unwrap_or(HeaderValue::from_static(""));
        let superseded = store::get_json::<Superseded>(store, SUPERSEDED)?;
        if let Some(superseded) = &superseded {
            tracing::error!("{}", superseded.says());
        }
        Ok(Self {
            claim,
            header,
            restored: store::get_json(store, RESTORED)?,
            superseded: ArcSwapOption::from_pointee(superseded),
            noting: tokio::sync::Mutex::default(),
        })
    }

    /// Stores the first one, if none is stored.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep(&self, store: &dyn Store) -> Result<(), StoreError> {
        if store.get(KEY)?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put_json(KEY, Condition::Absent, &self.claim);
        store.apply(batch).await
    }

    /// Which one this is.
    #[must_use]
    pub fn present(&self) -> Incarnation {
        self.claim.incarnation
    }

    /// As it is shown to agents.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The restore that it began with.
    #[must_use]
    pub fn restored(&self) -> Option<&StoredRestore> {
        self.restored.as_ref()
    }

    /// The one that replaced it, if that is known.
    #[must_use]
    pub fn superseded(&self) -> Option<Arc<Superseded>> {
        self.superseded.load_full()
    }

    /// As it is shown to people.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn view(&self, store: &dyn Store) -> Result<RestoreView, StoreError> {
        let restored = self.restored.as_ref().map(|restored| lost::view(store, restored)).transpose()?;
        Ok(RestoreView {
            incarnation: self.claim.incarnation.number,
            id: self.claim.incarnation.id.to_string(),
            restored,
            superseded: self.superseded().map(|superseded| superseded.view()),
        })
    }
}

fn gone(text: impl Into<String>) -> ApiError {
    ApiError::gone("superseded", text)
}

/// What an agent says of the highest incarnation that it has met. One that cannot be read is as if it had met none.
fn read(met: Option<&str>) -> Option<Claim> {
    met?.parse().ok()
}

/// Looks for the proof that this controller was replaced, before anything is known of the agent: its certificate may
/// be one that only the restored controller knows. The authority's signature is proof enough, whoever brings it.
///
/// # Errors
/// If this controller is not the one for the agent any more.
pub async fn hear_proof(
    app: &web::Data<App>,
    agent: Option<AgentId>,
    from: IpAddr,
    met: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(superseded) = app.incarnation.superseded() {
        return Err(gone(superseded.says()));
    }
    let newer = |met: &Claim| met.incarnation.stands_to(&app.incarnation.present()) == Standing::Newer;
    let Some(met) = read(met).filter(|met| newer(met) && proves(&app.authority.trust(), met)) else {
        return Ok(());
    };
    // Whoever brought the proof may hang up: it is noted all the same.
    let app = app.clone();
    let noted =
        detached(async move { Ok(note_superseded(&app, agent, from, met.incarnation).await?) }).await?;
    Err(gone(noted.says()))
}

/// Looks at the highest incarnation that an agent says it has met, after the agent was admitted.
///
/// # Errors
/// If this controller is not the one for the agent (any more).
pub async fn hear(
    app: &web::Data<App>,
    agent: Option<AgentId>,
    from: IpAddr,
    met: Option<&str>,
) -> Result<(), ApiError> {
    hear_proof(app, agent, from, met).await?;
    let Some(met) = read(met) else { return Ok(()) };
    let own = app.incarnation.present();
    match met.incarnation.stands_to(&own) {
        Standing::Same | Standing::Older => Ok(()),
        Standing::Rival => {
            tracing::warn!(
                agent_id = agent.map(tracing::field::display), %from, own = %own, met = %met.incarnation,
                "agent has met another restore of the same backup"
            );
            Err(gone(format!(
                "this controller and the one that this agent has met are two restores of one backup (incarnation \
                 {}): one of them must go; the one to stay is restored again with --incarnation {}",
                own.number,
                own.number + 1
            )))
        }
        // Not signed. It may be true of an authority that this controller does not know; the agent goes elsewhere by itself.
        Standing::Newer => {
            tracing::warn!(
                agent_id = agent.map(tracing::field::display), %from, met = %met.incarnation,
                "agent names a higher incarnation that this controller's authority has not signed"
            );
            Err(gone(format!(
                "this agent has met incarnation {} of the controller, and this one is {}",
                met.incarnation.number, own.number
            )))
        }
    }
}

/// From now on this controller takes no agents and no changes.
async fn note_superseded(
    app: &App,
    agent: Option<AgentId>,
    from: IpAddr,
    by: Incarnation,
) -> Result<Arc<Superseded>, StoreError> {
    let _noting = app.incarnation.noting.lock().await;
    if let Some(known) = app.incarnation.superseded() {
        return Ok(known);
    }
    let superseded = Arc::new(Superseded { since: Timestamp::now(), by });
    let mut batch = Batch::new();
    batch.put_json(SUPERSEDED, Condition::Any, &*superseded);
    let told = agent.map_or_else(|| "an agent".to_owned(), |id| format!("agent {id}"));
    let action = Outgoing::by_user(
        Actor::new(crate::identity::life::CONTROLLER, from),
        "controller.superseded",
        by.to_string(),
    )
    .detail(format!("{told} has met a restored controller; this one was {}", app.incarnation.present()));
    app.commit(batch, action).await?;
    tracing::error!("{}", superseded.says());
    app.incarnation.superseded.store(Some(Arc::clone(&superseded)));
    // They find the restored one among their addresses.
    app.fleet.each(|agent| agent.outbox.end(Farewell::Superseded));
    Ok(superseded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::authority::Authority;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn the_first_incarnation_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        let authority = Authority::load(dir.path(), &store, Timestamp::now()).unwrap();
        let first = Incarnations::load(&store, &authority.trust()).unwrap();
        first.keep(&store).await.unwrap();
        let again = Incarnations::load(&store, &authority.trust()).unwrap();
        again.keep(&store).await.unwrap();
        assert_eq!((again.present(), first.present().number), (first.present(), FIRST));
        let shown: Claim = again.header().to_str().unwrap().parse().unwrap();
        assert!(proves(&authority.trust(), &shown));
        let made_up = Claim { incarnation: Incarnation { number: 9, ..shown.incarnation }, ..shown };
        assert!(!proves(&authority.trust(), &made_up), "nobody but the authority makes a higher one");
        assert_eq!(again.view(&store).unwrap().restored, None);
    }
}
