//! Four eyes: what one person proposes, a second one approves. Knows nothing of what is proposed: a kind, a
//! summary for people and a payload, which whoever approves gives back to the one who can do it.

use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{ProposalKind, ProposalState, ProposalView, Settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Prefix of the keys of proposals.
const PROPOSALS: &str = "proposal/";
/// Key of the settings.
const SETTINGS: &str = "settings";
/// How long a proposal waits.
const LIFE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How long a decided one is kept; the audit log has it for ever.
const KEEP: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Proposals that wait.
const MAX_PENDING: usize = 50;
/// Largest payload that a decided proposal keeps.
const MAX_KEPT_PAYLOAD: usize = 64 * 1024;
/// Decided proposals that are kept.
const MAX_DECIDED: usize = 500;

/// How it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Approved by somebody else, and done.
    Approved {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
        /// What was written.
        note: String,
    },
    /// Rejected, or taken back by the one who proposed it.
    Rejected {
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
        /// What was written.
        note: String,
    },
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Id.
    pub id: String,
    /// What kind of thing.
    pub kind: ProposalKind,
    /// For people.
    pub summary: String,
    /// What to do.
    pub payload: Value,
    /// Who proposed it.
    pub proposed_by: String,
    /// When.
    pub proposed_at: Timestamp,
    /// How it was decided, if it was.
    pub decision: Option<Decision>,
}

/// Why a proposal cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not there.
    #[error("there is no such proposal; see `muster proposals list`")]
    Unknown,
    /// It was decided.
    #[error("the proposal is {0} already; nothing was done")]
    Decided(&'static str),
    /// By the one who proposed it.
    #[error("{0} proposed this: a second person must approve it; `muster proposals reject` takes it back")]
    OwnProposal(String),
    /// Too many.
    #[error("{MAX_PENDING} proposals wait already; approve or reject some")]
    TooMany,
}

impl Proposal {
    /// Where it stands.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ProposalState {
        match &self.decision {
            Some(Decision::Approved { .. }) => ProposalState::Approved,
            Some(Decision::Rejected { .. }) => ProposalState::Rejected,
            None if now >= self.proposed_at + LIFE => ProposalState::Expired,
            None => ProposalState::Pending,
        }
    }

    fn pending(&self, now: Timestamp) -> Result<(), Refused> {
        match self.state(now) {
            ProposalState::Pending => Ok(()),
            ProposalState::Approved => Err(Refused::Decided("approved")),
            ProposalState::Rejected => Err(Refused::Decided("rejected")),
            ProposalState::Expired => Err(Refused::Decided("expired")),
        }
    }

    fn decided(&self, decision: Decision) -> Self {
        // What was approved is in the revisions; what was not need not be kept at length.
        let long = store::encode(&self.payload).len() > MAX_KEPT_PAYLOAD;
        let payload = if long { Value::Null } else { self.payload.clone() };
        Self { decision: Some(decision), payload, ..self.clone() }
    }

    /// As it is after `by` approved it.
    ///
    /// # Errors
    /// If `by` may not, or it does not wait any more.
    pub fn approved(&self, by: &str, note: &str, now: Timestamp) -> Result<Self, Refused> {
        self.pending(now)?;
        if by == self.proposed_by {
            return Err(Refused::OwnProposal(by.to_owned()));
        }
        Ok(self.decided(Decision::Approved { by: by.to_owned(), at: now, note: note.to_owned() }))
    }

    /// As it is after `by` rejected it.
    ///
    /// # Errors
    /// If it does not wait any more.
    pub fn rejected(&self, by: &str, note: &str, now: Timestamp) -> Result<Self, Refused> {
        self.pending(now)?;
        Ok(self.decided(Decision::Rejected { by: by.to_owned(), at: now, note: note.to_owned() }))
    }

    /// What is told of it.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> ProposalView {
        let decided = self.decision.as_ref().map(|d| match d {
            Decision::Approved { by, at, note } | Decision::Rejected { by, at, note } => (by, *at, note),
        });
        ProposalView {
            id: self.id.clone(),
            kind: self.kind,
            summary: self.summary.clone(),
            payload: self.payload.clone(),
            proposed_by: self.proposed_by.clone(),
            proposed_at: self.proposed_at,
            expires_at: self.proposed_at + LIFE,
            state: self.state(now),
            decided_by: decided.map(|(by, ..)| by.clone()).unwrap_or_default(),
            decided_at: decided.map(|(_, at, _)| at),
            note: decided.map(|(.., note)| note.clone()).unwrap_or_default(),
        }
    }

    fn key(&self) -> String {
        format!("{PROPOSALS}{}", self.id)
    }
}

/// All proposals, and the settings.
pub struct Proposals {
    store: SharedStore,
}

impl Proposals {
    /// Those in a store.
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// The settings.
    ///
    /// # Errors
    /// If the store fails.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        Ok(store::get_json(&*self.store, SETTINGS)?.unwrap_or_default())
    }

    /// Adds to a batch what changes the settings.
    pub fn set(&self, before: Settings, after: Settings, batch: &mut Batch) -> Result<(), StoreError> {
        let condition = match self.store.get(SETTINGS)? {
            None => Condition::Absent,
            Some(_) => Condition::Equals(store::encode(&before)),
        };
        batch.put_json(SETTINGS, condition, &after);
        Ok(())
    }

    /// All, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn all(&self) -> Result<Vec<Proposal>, StoreError> {
        let all = store::scan_json::<Proposal>(&*self.store, PROPOSALS)?;
        Ok(all.into_iter().rev().map(|(_, p)| p).collect())
    }

    /// The one with this id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn find(&self, id: &str) -> Result<Option<Proposal>, StoreError> {
        // Ids beyond the limit exist nowhere.
        if id.len() > 64 { Ok(None) } else { store::get_json(&*self.store, &format!("{PROPOSALS}{id}")) }
    }

    /// A new proposal, and what stores it; old ones make room.
    ///
    /// # Errors
    /// If the store fails; [`Refused::TooMany`] inside.
    pub fn propose(
        &self,
        kind: ProposalKind,
        summary: String,
        payload: Value,
        by: &str,
        now: Timestamp,
    ) -> Result<Result<(Proposal, Batch), Refused>, StoreError> {
        let mut batch = Batch::new();
        let (mut pending, mut decided) = (0, 0);
        for old in self.all()? {
            match old.state(now) {
                ProposalState::Pending => pending += 1,
                ProposalState::Approved | ProposalState::Rejected | ProposalState::Expired => {
                    decided += 1;
                    if decided > MAX_DECIDED || now >= old.proposed_at + LIFE + KEEP {
                        batch.delete(old.key(), Condition::Any);
                    }
                }
            }
        }
        if pending >= MAX_PENDING {
            return Ok(Err(Refused::TooMany));
        }
        let proposal = Proposal {
            id: uuid::Uuid::now_v7().to_string(),
            kind,
            summary: crate::fleet::bounded(&summary, 500),
            payload,
            proposed_by: by.to_owned(),
            proposed_at: now,
            decision: None,
        };
        batch.put_json(proposal.key(), Condition::Absent, &proposal);
        Ok(Ok((proposal, batch)))
    }

    /// Adds to a batch that a proposal was decided: stored only if nobody decided it meanwhile.
    pub fn decide(before: &Proposal, after: &Proposal, batch: &mut Batch) {
        batch.put_json(before.key(), Condition::Equals(store::encode(before)), after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use std::sync::Arc;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    fn proposal() -> Proposal {
        Proposal {
            id: "p".to_owned(),
            kind: ProposalKind::PolicyPublish,
            summary: "publish base".to_owned(),
            payload: Value::Null,
            proposed_by: "maria".to_owned(),
            proposed_at: at(0),
            decision: None,
        }
    }

    #[test]
    fn only_a_second_person_approves_and_only_once() {
        let p = proposal();
        assert_eq!(p.approved("maria", "", at(1)), Err(Refused::OwnProposal("maria".to_owned())));
        let approved = p.approved("otto", "fine", at(1)).unwrap();
        assert_eq!(approved.state(at(1)), ProposalState::Approved);
        assert_eq!(approved.view(at(1)).decided_by, "otto");
        assert_eq!(approved.approved("eva", "", at(2)), Err(Refused::Decided("approved")));
        assert_eq!(approved.rejected("eva", "", at(2)), Err(Refused::Decided("approved")));
        let back = p.rejected("maria", "a mistake", at(1)).unwrap();
        assert_eq!(back.state(at(1)), ProposalState::Rejected);
        assert_eq!(back.approved("otto", "", at(2)), Err(Refused::Decided("rejected")));
    }

    #[test]
    fn nobody_decided_in_time() {
        let p = proposal();
        assert_eq!(p.state(at(14 * 24 - 1)), ProposalState::Pending);
        assert_eq!(p.state(at(14 * 24)), ProposalState::Expired);
        assert_eq!(p.approved("otto", "", at(14 * 24)), Err(Refused::Decided("expired")));
    }

    #[tokio::test]
    async fn what_waits_and_what_is_kept_is_bounded() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let all = Proposals::new(Arc::clone(&store));
        let propose =
            |now| all.propose(ProposalKind::FourEyesOff, String::new(), Value::Null, "maria", now).unwrap();
        for _ in 0..MAX_PENDING {
            let (_, batch) = propose(at(0)).unwrap();
            store.apply(batch).await.unwrap();
        }
        assert_eq!(propose(at(1)).unwrap_err(), Refused::TooMany);
        let (_, batch) = propose(at(24 * 15)).unwrap();
        store.apply(batch).await.unwrap();
        assert_eq!(all.all().unwrap().len(), MAX_PENDING + 1, "expired ones are shown for a while");
        let (last, batch) = propose(at(24 * 105)).unwrap();
        store.apply(batch).await.unwrap();
        let ids: Vec<_> = all.all().unwrap().into_iter().map(|p| p.id).collect();
        assert_eq!(ids.len(), 2, "the oldest are gone");
        assert_eq!(ids[0], last.id, "newest first");
    }
}
