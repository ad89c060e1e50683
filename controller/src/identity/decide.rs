//! Whether an agent that asks to enrol gets a certificate, waits for a person, or is refused: pure.

use super::pending::{PendingRecord, Verdict};
use super::token::{Enrolled, TokenRecord, TokenRefusal};
use crate::fleet::AgentRecord;
use crate::fleet::record::Life;
use jiff::Timestamp;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// The id that it uses.
    pub agent: AgentId,
    /// SHA-256 of its public key in hex.
    pub key_sha256: String,
    /// Its partition, as it says.
    pub partition: Option<PartitionKey>,
}

/// What the controller knows.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The token presented.
    pub token: &'a TokenRecord,
    /// What is stored of its use by this agent.
    pub used_before: Option<&'a Enrolled>,
    /// How many wait with that token.
    pub token_waiting: usize,
    /// The agent with that id.
    pub known: Option<&'a AgentRecord>,
    /// Other agents of the same partition.
    pub neighbours: &'a [AgentId],
    /// Owner of the key.
    pub key_owner: Option<AgentId>,
    /// The key was blocked with its agent.
    pub key_blocked: bool,
    /// What waits under that key.
    pub pending: Option<&'a PendingRecord>,
}

/// Why an agent is refused. Each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The key belongs to somebody else.
    #[error(
        "the key of the certificate request belongs to another agent already: this is a copy of its state folder; delete it and enrol again, so that a new key is made"
    )]
    ForeignKey,
    /// The key's agent was revoked or decommissioned.
    #[error(
        "the key of the certificate request was revoked; enrol again with `muster-agent enrol --replace`, so that a new key is made"
    )]
    BlockedKey,
    /// A person said no.
    #[error("the enrolment was denied by {by} at {at}: {reason}")]
    Denied {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// The token is for another partition.
    #[error("the enrolment token is for partition {wanted}, but this agent reads partition {own}")]
    OtherPartition {
        /// The token's.
        wanted: PartitionKey,
        /// The agent's.
        own: PartitionKey,
    },
    /// The token is for a partition, and the agent does not know which one it reads.
    #[error(
        "the enrolment token is for partition {0}, but this agent does not know its partition yet: see that it reaches it (`muster-agent check-config --connect`), then enrol again"
    )]
    UnknownPartition(PartitionKey),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It gets a certificate.
    Issue {
        /// It takes the place of the agent that is known by its id.
        replaces: bool,
        /// It joins a partition that has another agent.
        shares: bool,
    },
    /// A person has to look, for these reasons.
    Wait(Vec<String>),
}

/// Decides.
///
/// # Errors
/// Why it is refused.
pub fn decide(applicant: &Applicant, ground: Ground<'_>) -> Result<Decision, Refusal> {
    let Ground { token, known, pending, .. } = ground;
    let key = applicant.key_sha256.as_str();
    if ground.key_blocked {
        return Err(Refusal::BlockedKey);
    }
    if ground.key_owner.is_some_and(|owner| owner != applicant.agent) {
        return Err(Refusal::ForeignKey);
    }
    if let Some(Verdict::Denied { by, at, reason }) = pending.map(|p| &p.verdict) {
        return Err(Refusal::Denied { by: by.clone(), at: *at, reason: reason.clone() });
    }
    check_partition(token, applicant)?;
    token.used_by(ground.used_before, key)?;
    let repeats = known.is_some_and(|k| !k.certificate.used && k.owns_key(key) && k.life == Life::Active);
    if repeats {
        return Ok(Decision::Issue { replaces: false, shares: false });
    }
    // A token that names the partition was made for this very case by a person.
    let named = token.partition.is_some();
    let shares = !ground.neighbours.is_empty();
    let reasons = reasons(token, known, &applicant.partition, ground.neighbours, named);
    let approved = pending.is_some_and(|pending| covers(pending, applicant, &reasons));
    if approved || (named && !token.approve) {
        return Ok(Decision::Issue { replaces: known.is_some(), shares });
    }
    // Who waits goes on waiting for a person, whatever it says or leaves out the next time.
    if let Some(pending) = pending {
        return Ok(Decision::Wait(if reasons.is_empty() { pending.reasons.clone() } else { reasons }));
    }
    if reasons.is_empty() {
        return Ok(Decision::Issue { replaces: false, shares: false });
    }
    // Those who wait hold places of the token, so that one token does not fill the list.
    if token.used as usize + ground.token_waiting >= token.uses as usize {
        return Err(TokenRefusal::UsedUp { id: token.id.clone(), uses: token.uses }.into());
    }
    Ok(Decision::Wait(reasons))
}

/// Whether a person approved this: the partition that was shown, if one was, and each of the reasons.
fn covers(pending: &PendingRecord, applicant: &Applicant, reasons: &[String]) -> bool {
    match &pending.verdict {
        Verdict::Approved { .. } => {
            let same = pending.partition.is_none() || pending.partition == applicant.partition;
            same && reasons.iter().all(|reason| pending.reasons.contains(reason))
        }
        Verdict::Waiting | Verdict::Denied { .. } => false,
    }
}

fn check_partition(token: &TokenRecord, applicant: &Applicant) -> Result<(), Refusal> {
    match (&token.partition, &applicant.partition) {
        (None, _) => Ok(()),
        (Some(wanted), Some(own)) if wanted == own => Ok(()),
        (Some(wanted), Some(own)) => {
            Err(Refusal::OtherPartition { wanted: wanted.clone(), own: own.clone() })
        }
        (Some(wanted), None) => Err(Refusal::UnknownPartition(wanted.clone())),
    }
}

fn reasons(
    token: &TokenRecord,
    known: Option<&AgentRecord>,
    partition: &Option<PartitionKey>,
    neighbours: &[AgentId],
    named: bool,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if token.approve {
        reasons.push("its token asks for approval".to_owned());
    }
    if let Some(known) = known {
        let life = match &known.life {
            Life::Active => "",
            Life::Quarantined(_) => ", which is quarantined",
            Life::Revoked(_) => ", which was revoked",
        };
        reasons.push(format!("it takes the place of agent {}{life}, with a new key", known.id));
    }
    if !named && let (Some(partition), [first, rest @ ..]) = (partition, neighbours) {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        reasons.push(format!("its partition {partition} is known already: agent {first}{more}"));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::record::{Certificate, Hold};
    use muster_proto::api::Labels;

    fn id(n: u128) -> AgentId {
        AgentId(uuid::Uuid::from_u128(n))
    }

    fn key(text: &str) -> PartitionKey {
        text.parse().unwrap()
    }

    fn token() -> TokenRecord {
        TokenRecord {
            id: "t".to_owned(),
            secret_sha256: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: "admin".to_owned(),
            expires_at: Timestamp::UNIX_EPOCH,
            uses: 1,
            used: 0,
            labels: Labels::new(),
            urls: vec![],
            note: String::new(),
            approve: false,
            partition: None,
            authority: None,
        }
    }

    fn agent(used: bool, life: Life) -> AgentRecord {
        AgentRecord {
            certificate: Certificate { key_sha256: "old".to_owned(), used, ..Certificate::default() },
            life,
            ..AgentRecord::fresh(id(1), Timestamp::UNIX_EPOCH)
        }
    }

    fn pending(verdict: Verdict) -> PendingRecord {
        PendingRecord {
            key_sha256: "new".to_owned(),
            agent: id(1),
            token: "t".to_owned(),
            reasons: vec![],
            partition: None,
            name: String::new(),
            from: String::new(),
            since: Timestamp::UNIX_EPOCH,
            verdict,
        }
    }

    fn hold() -> Hold {
        Hold { at: Timestamp::UNIX_EPOCH, by: "admin".to_owned(), reason: String::new() }
    }

    const ISSUE: &str = "issue";

    fn word(result: Result<Decision, Refusal>) -> String {
        match result {
            Ok(Decision::Issue { replaces, shares }) => {
                let mut word = ISSUE.to_owned();
                word.push_str(if replaces { " replaces" } else { "" });
                word.push_str(if shares { " shares" } else { "" });
                word
            }
            Ok(Decision::Wait(reasons)) => format!("wait: {}", reasons.join("; ")),
            Err(refusal) => format!("no: {refusal}"),
        }
    }

    /// A case: how it differs from a new agent with a plain token, and what comes of it.
    struct Case {
        token: TokenRecord,
        before: Option<Enrolled>,
        key: &'static str,
        partition: Option<PartitionKey>,
        known: Option<AgentRecord>,
        neighbours: Vec<AgentId>,
        owner: Option<AgentId>,
        blocked: bool,
        pending: Option<PendingRecord>,
        waiting: usize,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                token: token(),
                before: None,
                key: "new",
                partition: Some(key("78A-3")),
                known: None,
                neighbours: vec![],
                owner: None,
                blocked: false,
                pending: None,
                waiting: 0,
            }
        }
    }

    fn run(case: &Case) -> String {
        let applicant =
            Applicant { agent: id(1), key_sha256: case.key.to_owned(), partition: case.partition.clone() };
        word(decide(
            &applicant,
            Ground {
                token: &case.token,
                used_before: case.before.as_ref(),
                token_waiting: case.waiting,
                known: case.known.as_ref(),
                neighbours: &case.neighbours,
                key_owner: case.owner,
                key_blocked: case.blocked,
                pending: case.pending.as_ref(),
            },
        ))
    }

    #[test]
    fn who_gets_a_certificate() {
        let asks = || TokenRecord { approve: true, ..token() };
        let names = |p: &str| TokenRecord { partition: Some(key(p)), ..token() };
        let yes = || pending(Verdict::Approved { by: "a".to_owned(), at: Timestamp::UNIX_EPOCH });
        let approved = |why: &str| Some(PendingRecord { reasons: vec![why.to_owned()], ..yes() });
        const ASKS: &str = "its token asks for approval";
        const TAKES: &str =
            "it takes the place of agent 00000000-0000-0000-0000-000000000001, with a new key";
        const KNOWN: &str =
            "its partition 78A-3 is known already: agent 00000000-0000-0000-0000-000000000002";
        let denied = Verdict::Denied {
            by: "ann".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            reason: "unknown host".to_owned(),
        };
        let noted = |why: &str| PendingRecord { reasons: vec![why.to_owned()], ..pending(Verdict::Waiting) };
        let used = || TokenRecord { used: 1, ..token() };
        let before = || Some(Enrolled { key_sha256: "old".to_owned() });
        let d = Case::default;
        let cases = [
            ("new", d(), "issue"),
            ("no facts", Case { partition: None, ..d() }, "issue"),
            ("token asks", Case { token: asks(), ..d() }, "wait: its token asks for approval"),
            ("approved", Case { token: asks(), pending: approved(ASKS), ..d() }, "issue"),
            (
                "approved before its partition was known, which has another agent",
                Case { token: asks(), pending: approved(ASKS), neighbours: vec![id(2)], waiting: 1, ..d() },
                "wait: its token asks for approval; its partition 78A-3 is known already",
            ),
            (
                "approved as that of another partition",
                Case {
                    pending: approved(KNOWN).map(|p| PendingRecord { partition: Some(key("78A-9")), ..p }),
                    waiting: 1,
                    ..d()
                },
                "wait: its partition 78A-3 is known",
            ),
            (
                "still waits",
                Case { token: asks(), pending: Some(pending(Verdict::Waiting)), waiting: 1, ..d() },
                "wait: its token asks",
            ),
            (
                "waits, and tells its partition no more",
                Case { partition: None, pending: Some(noted("its partition is known")), waiting: 1, ..d() },
                "wait: its partition is known",
            ),
            (
                "another waits on the token's only place",
                Case { token: asks(), waiting: 1, ..d() },
                "no: enrolment token t is used up",
            ),
            (
                "denied",
                Case { token: asks(), pending: Some(pending(denied)), ..d() },
                "no: the enrolment was denied by ann at 1970-01-01T00:00:00Z: unknown host",
            ),
            (
                "known partition",
                Case { neighbours: vec![id(2), id(3)], ..d() },
                "wait: its partition 78A-3 is known already: agent 00000000-0000-0000-0000-000000000002 and 1 more",
            ),
            (
                "known partition, named",
                Case { token: names("78A-3"), neighbours: vec![id(2)], ..d() },
                "issue shares",
            ),
            (
                "known partition, approved",
                Case { pending: approved(KNOWN), neighbours: vec![id(2)], ..d() },
                "issue shares",
            ),
            (
                "token of another partition",
                Case { token: names("78A-4"), ..d() },
                "no: the enrolment token is for partition 78A-4, but this agent reads partition 78A-3",
            ),
            (
                "token of a partition, facts unknown",
                Case { token: names("78A-3"), partition: None, ..d() },
                "no: the enrolment token is for partition 78A-3, but this agent does not know",
            ),
            (
                "approval beats a named partition",
                Case { token: TokenRecord { approve: true, ..names("78A-3") }, ..d() },
                "wait: its token asks",
            ),
            ("used up", Case { token: used(), ..d() }, "no: enrolment token t is used up"),
            (
                "did not hear the answer",
                Case {
                    token: used(),
                    before: before(),
                    key: "old",
                    known: Some(agent(false, Life::Active)),
                    ..d()
                },
                "issue",
            ),
            (
                "replays a token that it used long ago",
                Case {
                    token: used(),
                    before: before(),
                    key: "old",
                    known: Some(agent(true, Life::Active)),
                    ..d()
                },
                "no: enrolment token t is used up",
            ),
            (
                "takes the place of a known agent",
                Case { known: Some(agent(true, Life::Active)), ..d() },
                "wait: it takes the place of agent 00000000-0000-0000-0000-000000000001, with a new key",
            ),
            (
                "of a revoked one",
                Case { known: Some(agent(true, Life::Revoked(hold()))), ..d() },
                "wait: it takes the place of agent 00000000-0000-0000-0000-000000000001, which was revoked",
            ),
            (
                "of a quarantined one, named",
                Case { token: names("78A-3"), known: Some(agent(true, Life::Quarantined(hold()))), ..d() },
                "issue replaces",
            ),
            (
                "approved to take a place",
                Case { known: Some(agent(true, Life::Active)), pending: approved(TAKES), ..d() },
                "issue replaces",
            ),
            (
                "key of another",
                Case { owner: Some(id(2)), ..d() },
                "no: the key of the certificate request belongs",
            ),
            (
                "blocked key",
                Case { blocked: true, pending: approved(ASKS), ..d() },
                "no: the key of the certificate request was revoked",
            ),
        ];
        for (name, case, expected) in cases {
            let got = run(&case);
            let fits = if expected.starts_with(ISSUE) { got == expected } else { got.starts_with(expected) };
            assert!(fits, "{name}: {got}");
        }
    }
}
