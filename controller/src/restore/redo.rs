//! What was done after a backup, as an export of the lost controller's audit log tells it: what keeps an agent out is
//! done again, the rest is listed for people, in words.

use jiff::Timestamp;
use muster_backup::AuditHead;
use muster_proto::api::AuditEntry;
use muster_shared::audit_chain::{self, Broken, Verifier};
use muster_shared::id::AgentId;
use muster_shared::incarnation::{FIRST, LAST};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 256 * 1024;
/// Most bytes of lines that are taken over: half a million entries.
const MAX_LINES: usize = 256 * 1024 * 1024;

/// Why an export cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The chain.
    #[error(
        "it was changed after it was exported, or is no audit log: {0}; export it again, or restore without it"
    )]
    Broken(#[from] Broken),
    /// A line that never ends.
    #[error("it has a line of more than {MAX_LINE} bytes: it is no audit log")]
    TooLong,
    /// Too much of it.
    #[error("it has more than {MAX_LINES} bytes after the backup: use a later backup")]
    TooMuch,
    /// It begins too late.
    #[error(
        "it begins at entry {first}, and the backup ends at {end}: export it with `--after {end}`, or whole"
    )]
    Hole {
        /// Where it begins.
        first: u64,
        /// Where the backup ends.
        end: u64,
    },
    /// Of another controller.
    #[error("it is not of the controller of this backup: entry {0} is another one there")]
    Other(u64),
}

/// What an export has beyond a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The entries, oldest first.
    pub entries: Vec<AuditEntry>,
    /// Their lines as they stand in it.
    pub lines: Vec<u8>,
    /// Where it ends; the backup's end if it has nothing more.
    pub end: AuditHead,
}

/// Reads an export, checks its chain, and that it is of the log that ends at `end` in the backup.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn read(path: &Path, end: &AuditHead) -> Result<Export, ExportError> {
    lines(BufReader::new(File::open(path)?), end)
}

fn lines(mut input: impl BufRead, end: &AuditHead) -> Result<Export, ExportError> {
    let mut export = Export { entries: Vec::new(), lines: Vec::new(), end: end.clone() };
    let mut verifier: Option<Verifier> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(export);
        }
        if line.len() as u64 == MAX_LINE {
            return Err(ExportError::TooLong);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let entry = audit_chain::split(text)
            .and_then(|(hash, entry)| Some((hash, serde_json::from_slice::<AuditEntry>(entry).ok()?)));
        let verifier = verifier.get_or_insert_with(|| match &entry {
            Some((_, first)) if first.sequence == end.sequence + 1 => {
                Verifier::after(end.sequence, end.hash.as_str())
            }
            Some(_) | None => Verifier::default(),
        });
        if let Some((_, first)) = &entry
            && verifier.verified().entries == 0
            && first.sequence > end.sequence + 1
        {
            return Err(ExportError::Hole { first: first.sequence, end: end.sequence });
        }
        verifier.next(text)?;
        let Some((hash, entry)) = entry else { continue };
        if entry.sequence == end.sequence && hash != end.hash {
            return Err(ExportError::Other(end.sequence));
        }
        if entry.sequence > end.sequence {
            if export.lines.len() + line.len() > MAX_LINES {
                return Err(ExportError::TooMuch);
            }
            export.end = AuditHead { sequence: entry.sequence, hash: hash.to_owned() };
            export.lines.extend_from_slice(text);
            export.lines.push(b'\n');
            export.entries.push(entry);
        }
    }
}

/// How an agent was shut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// Its certificates are refused.
    Revoked,
    /// It was removed.
    Removed,
    /// It was removed, and its keys are refused for good.
    Decommissioned,
}

/// A decision that shut an agent out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whom.
    pub agent: AgentId,
    /// How.
    pub how: Out,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What was done after a backup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lost {
    /// Entries that were looked at.
    pub entries: u64,
    /// What is done again at once.
    pub out: Vec<Decision>,
    /// Tokens of foreign agents that were deleted, which is done again too.
    pub tokens: Vec<String>,
    /// What people have to do again, or to know, in words.
    pub redo: Vec<String>,
    /// The highest incarnation that the log tells of.
    pub incarnation: Option<u64>,
}

/// What to do about an entry.
enum Advice {
    /// Nothing: it has no effect that lasts.
    Nothing,
    /// Do this.
    Do(&'static str),
}

/// How an entry shuts an agent out.
fn out(action: &str) -> Option<Out> {
    match action {
        "agent.revoke" => Some(Out::Revoked),
        "agent.remove" => Some(Out::Removed),
        "agent.decommission" => Some(Out::Decommissioned),
        _ => None,
    }
}

/// The last that was decided of each agent: true if it came in, false if it was shut out.
fn last_words(entries: &[AuditEntry]) -> BTreeMap<AgentId, bool> {
    let word = |action: &str| match action {
        "agent.enrol" | "agent.re-enrol" | "agent.bind" => Some(true),
        other => out(other).map(|_| false),
    };
    entries.iter().filter_map(|entry| Some((entry.object.parse().ok()?, word(&entry.action)?))).collect()
}

/// Judges the entries that a backup does not have; `known` are the agents that it has.
#[must_use]
pub fn judge(entries: &[AuditEntry], known: &BTreeSet<AgentId>) -> Lost {
    let mut lost = Lost { entries: entries.len() as u64, ..Lost::default() };
    let last_words = last_words(entries);
    let mut bound = BTreeSet::new();
    for entry in entries {
        if entry.action == "controller.restored" {
            let number = entry.object.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            lost.incarnation = lost.incarnation.max(number.filter(|number| (FIRST..=LAST).contains(number)));
        }
        let agent = entry.object.parse::<AgentId>().ok();
        let knows = agent.is_some_and(|agent| known.contains(&agent));
        let came_back = agent.and_then(|agent| last_words.get(&agent).copied());
        if let (Some(how), Some(agent)) = (out(&entry.action), agent) {
            let (by, reason) = (entry.actor.clone(), entry.detail.clone());
            lost.out.push(Decision { agent, how, at: entry.at, by, reason });
            let what = match (knows, came_back) {
                (true, Some(true)) => {
                    "done again, but it enrolled anew after that: enrol it again with a new token"
                }
                (true, _) => "done again, nothing is left to do",
                (false, _) if bound.contains(&agent) => "it is unknown here, and its token is void",
                (false, _) => "it is unknown here, and refused",
            };
            lost.redo.push(format!("{} ({what})", told(entry)));
            continue;
        }
        match entry.action.as_str() {
            "foreign-token.delete" => {
                lost.tokens.push(entry.object.clone());
                lost.redo.push(format!("{} (done again, nothing is left to do)", told(entry)));
                continue;
            }
            "agent.bind" => bound.extend(agent),
            "agent.re-enrol"
                if knows && came_back == Some(true) && !lost.out.iter().any(|o| Some(o.agent) == agent) =>
            {
                let what =
                    "it comes back by itself, unless the backup has it as revoked: then enrol it again";
                lost.redo.push(format!("{}: {what}", told(entry)));
                continue;
            }
            _ => {}
        }
        let settled = knows || came_back == Some(false);
        match advice(&entry.action, settled) {
            Advice::Nothing => {}
            Advice::Do(what) => lost.redo.push(format!("{}: {what}", told(entry))),
        }
    }
    lost
}

fn told(entry: &AuditEntry) -> String {
    let mut text = format!("{} {}: {} {}", entry.at, entry.actor, entry.action, entry.object);
    if !entry.detail.is_empty() {
        text.push_str(&format!(" ({})", entry.detail));
    }
    // It is printed on terminals.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim_end().to_owned()
}

/// `settled`: the agent that it is about comes back by itself, or is not to come back.
fn advice(action: &str, settled: bool) -> Advice {
    use Advice::{Do, Nothing};
    match action {
        "login" | "login.failed" | "logout" | "refused" | "session.end" => Nothing,
        "agent.renew" | "agent.refused" | "agent.restart" | "agent.diagnostics" | "agent.pending" => Nothing,
        "policy.preview" | "token.delete" | "api-token.revoke" => Nothing,
        "rollout.run" | "rollout.halt" | "rollout.pause" | "rollout.resume" | "rollout.abort" => Nothing,
        "backup.make" | "backup.download" | "backup.failed" => Nothing,
        "controller.superseded" => Nothing,
        "controller.restored" => Do("the log is of a controller that was itself restored after this backup"),
        "agent.enrol" | "agent.re-enrol" | "agent.approve" | "agent.bind" if settled => Nothing,
        "agent.enrol" | "agent.re-enrol" | "agent.approve" => {
            Do("enrol it again (`muster-agent enrol --replace` with a new token)")
        }
        "agent.bind" => Do(
            "it is unknown here, and its token is void: give it a new one (`muster token create --foreign`)",
        ),
        "agent.label" => Do("set its labels again (`muster agents label`)"),
        "agent.quarantine" => Do("quarantine it again, if that still holds (`muster agents quarantine`)"),
        "agent.release" => Do("look whether it is quarantined, and release it again"),
        "agent.maintenance" | "agent.maintenance_end" => {
            Do("announce the outage again, if it is still to come")
        }
        "policy.publish" | "policy.remove" | "policy.revert" => {
            Do("publish it again from your files (`muster policy apply`)")
        }
        "policy.draft" => Do("save the draft again"),
        "agent.pin" | "agent.unpin" => Do("pin or unpin it again (`muster agents pin`)"),
        "package.refuse" => Nothing,
        "package.upload" => Do("upload it again: backups hold no packages (`muster package upload`)"),
        "package.retire" => Do("retire it again (`muster package retire`)"),
        "rollout.start" => Do("start it again, if it is still wanted"),
        "rollout.done" => Do("what it brought is lost: publish it again"),
        "proposal.create" => Do("propose it again, if it is still wanted"),
        "proposal.approve" | "proposal.reject" => {
            Do("it is pending again if the backup has it: look at it, and decide again (`muster proposals`)")
        }
        "token.create" | "foreign-token.create" | "api-token.create" => {
            Do("all tokens are void: make a new one, if it is still needed")
        }
        "user.create" => Do("make the user again"),
        "user.delete" => Do("the user can sign in again: delete it again now"),
        "user.change" => Do("the user is as in the backup: change it again now"),
        "password.change" | "password.reset" => {
            Do("the password is that of the backup again: change it again")
        }
        "settings.change" => Do("change the setting again"),
        "licence.install" | "licence.pair" | "licence.unpair" => Do("do it again (`muster licence`)"),
        _ if action.starts_with("ca.") => Do(
            "the authority was changed after this backup: agents that moved on refuse this one; use a later backup",
        ),
        // Of other kinds, and of later releases.
        _ => Do("look whether it has to be done again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::audit_chain::{GENESIS, line};

    const AGENT: &str = "019b8d7a-2da8-7657-b52d-492a9de33319";

    fn entry(sequence: u64, action: &str, object: &str) -> AuditEntry {
        AuditEntry {
            sequence,
            id: String::new(),
            at: Timestamp::from_second(1_790_000_000).unwrap(),
            actor: "maria".to_owned(),
            from: String::new(),
            token: None,
            action: action.to_owned(),
            object: object.to_owned(),
            detail: String::new(),
            before: None,
            after: None,
            hash: String::new(),
        }
    }

    /// A log of so many entries: its lines, and the hash of each.
    fn log(count: u64) -> Vec<(String, Vec<u8>)> {
        let mut hash = GENESIS.to_owned();
        (1..=count)
            .map(|n| {
                let (next, text) = line(&hash, &serde_json::to_vec(&entry(n, "login", "maria")).unwrap());
                hash = next;
                (hash.clone(), text)
            })
            .collect()
    }

    fn head(log: &[(String, Vec<u8>)], sequence: u64) -> AuditHead {
        let hash = usize::try_from(sequence).unwrap().checked_sub(1).map(|i| log[i].0.clone());
        AuditHead { sequence, hash: hash.unwrap_or_default() }
    }

    fn export(lines: &[(String, Vec<u8>)]) -> Vec<u8> {
        lines.iter().flat_map(|(_, text)| [text.as_slice(), b"\n"].concat()).collect()
    }

    #[test]
    fn what_follows_on_the_backup_is_taken() {
        let log = log(6);
        for (from, end, expected) in [
            (0, 4, vec![5, 6]),
            (4, 4, vec![5, 6]),
            (2, 4, vec![5, 6]),
            (0, 6, vec![]),
            (0, 0, vec![1, 2, 3, 4, 5, 6]),
        ] {
            let read = lines(&export(&log[from..])[..], &head(&log, end)).unwrap();
            let sequences: Vec<u64> = read.entries.iter().map(|e| e.sequence).collect();
            assert_eq!(sequences, expected, "from {from} after {end}");
            assert_eq!(read.end, head(&log, 6));
            let behind = usize::try_from(end).unwrap();
            assert_eq!(read.lines, export(&log[behind..]));
        }
        // An export from before the backup has nothing to tell.
        let older = lines(&export(&log[..3])[..], &head(&log, 5)).unwrap();
        assert_eq!((older.entries.len(), older.end), (0, head(&log, 5)));
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let (first, other) = (log(6), {
            let mut hash = GENESIS.to_owned();
            (1..=6)
                .map(|n| {
                    let (next, text) = line(&hash, &serde_json::to_vec(&entry(n, "login", "eve")).unwrap());
                    hash = next;
                    (hash.clone(), text)
                })
                .collect::<Vec<_>>()
        });
        let end = head(&first, 3);
        let refused = |text: &[u8]| lines(text, &end).unwrap_err().to_string();
        assert!(refused(&export(&first[4..])).contains("begins at entry 5, and the backup ends at 3"));
        assert!(refused(&export(&other)).contains("entry 3 is another one"));
        assert!(
            refused(&export(&other[3..])).contains("was changed"),
            "its first does not follow on the backup"
        );
        let mut altered = export(&first);
        let at = altered.len() - 100;
        altered[at] ^= 1;
        assert!(refused(&altered).contains("it was changed after it was exported"));
        assert!(refused(b"no log\n").contains("no audit log"));
        assert!(refused(&vec![b'x'; 300_000]).contains("more than"));
    }

    #[test]
    fn who_was_shut_out_stays_out_and_the_rest_is_told_in_words() {
        let agent: AgentId = AGENT.parse().unwrap();
        let known = BTreeSet::from([agent]);
        let stranger = "019b8d7a-2da8-7657-b52d-492a9de33320";
        let entries = [
            entry(1, "login", "maria"),
            entry(2, "agent.revoke", AGENT),
            entry(3, "agent.decommission", stranger),
            entry(4, "policy.publish", "base@9"),
            entry(5, "agent.enrol", AGENT),
            entry(6, "agent.enrol", stranger),
            entry(7, "user.delete", "eve"),
            entry(8, "controller.restored", "4 (some id)"),
            entry(9, "something.new", "x"),
            entry(10, "proposal.approve", "12"),
            entry(11, "controller.restored", "18446744073709551615 (some id)"),
        ];
        let lost = judge(&entries, &known);
        let out: Vec<_> = lost.out.iter().map(|d| (d.agent.to_string(), d.how)).collect();
        assert_eq!(out, [(AGENT.to_owned(), Out::Revoked), (stranger.to_owned(), Out::Decommissioned)]);
        assert_eq!((lost.entries, lost.incarnation), (11, Some(4)));
        let text = lost.redo.join("\n");
        for part in [
            "agent.revoke 019b8d7a-2da8-7657-b52d-492a9de33319 (done again, but it enrolled anew after that: enrol",
            "proposal.approve 12: it is pending again",
            "unknown here, and refused",
            "maria: policy.publish base@9: publish it again",
            "enrol it again",
            "user.delete eve: the user can sign in again: delete it again now",
            "something.new x: look whether",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("enrol it again (`muster-agent").count(), 1, "{text}");
        assert!(!text.contains("login"), "{text}");
    }

    #[test]
    fn what_was_said_last_of_an_agent_counts() {
        let agent: AgentId = AGENT.parse().unwrap();
        let redo = |known: bool, actions: &[&str]| {
            let entries: Vec<_> = (1..).zip(actions).map(|(n, action)| entry(n, action, AGENT)).collect();
            let known = if known { BTreeSet::from([agent]) } else { BTreeSet::new() };
            judge(&entries, &known).redo.join("\n")
        };
        for (known, actions, enrol, nothing) in [
            (true, &["agent.revoke"][..], false, true),
            (true, &["agent.revoke", "agent.re-enrol"], true, false),
            (true, &["agent.revoke", "agent.re-enrol", "agent.remove"], false, true),
            (true, &["agent.re-enrol"], true, false),
            (true, &["agent.enrol"], false, false),
            (false, &["agent.enrol"], true, false),
            (false, &["agent.enrol", "agent.remove"], false, false),
        ] {
            let text = redo(known, actions);
            assert_eq!(text.contains("enrol it again"), enrol, "{actions:?}: {text}");
            assert_eq!(text.contains("nothing is left to do"), nothing, "{actions:?}: {text}");
        }
    }

    #[test]
    fn tokens_of_foreign_agents_that_were_deleted_are_deleted_again() {
        let entries = [
            entry(1, "foreign-token.create", "t1"),
            entry(2, "agent.bind", AGENT),
            entry(3, "agent.revoke", AGENT),
            entry(4, "foreign-token.delete", "t2"),
            entry(5, "agent.bind", "019b8d7a-2da8-7657-b52d-492a9de33320"),
        ];
        let lost = judge(&entries, &BTreeSet::new());
        assert_eq!(lost.tokens, ["t2"]);
        let lines: Vec<&str> =
            lost.redo.iter().filter_map(|line| line.split_once("maria: ")).map(|l| l.1).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for (line, part) in lines.iter().zip([
            "all tokens are void",
            "(it is unknown here, and its token is void)",
            "foreign-token.delete t2 (done again, nothing is left to do)",
            "its token is void: give it a new one",
        ]) {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
