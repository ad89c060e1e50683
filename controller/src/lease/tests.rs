//! What is taken from claims, and what agents are told.

use super::*;
use muster_proto::session::lease::RENEW_EVERY;

fn id(n: u128) -> AgentId {
    AgentId(uuid::Uuid::from_u128(n))
}

fn lease(epoch: u64, phase: Phase) -> Lease {
    let record = LeaseRecord {
        partition: "78A1B2C-3".parse().unwrap(),
        source: "s".to_owned(),
        epoch,
        holder: id(1),
        since: Timestamp::UNIX_EPOCH,
        phase,
        cursors: BTreeMap::from([("siem".to_owned(), Value::from(7))]),
        lost: false,
    };
    Lease::new(record, Duration::ZERO)
}

fn claim(epoch: u64, cursors: &[(&str, &str)]) -> SourceClaim {
    let cursors = cursors.iter().map(|(to, json)| ((*to).to_owned(), json.as_bytes().to_vec()));
    SourceClaim {
        source: "s".to_owned(),
        epoch,
        collecting: true,
        cursors: cursors.collect(),
        ..SourceClaim::default()
    }
}

#[test]
fn only_the_holder_of_the_present_lease_renews_it() {
    let later = RENEW_EVERY;
    let cases = [
        ("the holder", id(1), claim(5, &[("siem", "9")]), true, 0),
        ("with a new destination", id(1), claim(5, &[("other", "9")]), true, 0),
        ("a late holder", id(1), claim(4, &[("siem", "9")]), false, 1),
        ("another agent", id(2), claim(5, &[("siem", "9")]), false, 0),
        ("another one, late", id(2), claim(4, &[("siem", "9")]), false, 1),
        ("who never had it", id(2), claim(0, &[]), false, 0),
        ("no JSON", id(1), claim(5, &[("siem", "{")]), true, 0),
    ];
    for (name, agent, claim, renewed, late) in cases {
        let mut lease = lease(5, Phase::Held);
        assert!(!lease.hear(agent, &claim, later), "{name}");
        assert_eq!(lease.renewed == later, renewed, "{name}");
        assert_eq!(lease.late, late, "{name}");
        let taken = renewed && claim.cursors.values().any(|json| json == b"9");
        assert_eq!(lease.unstored, taken, "{name}");
        let stands = &lease.record.cursors["siem"];
        let moved = taken && claim.cursors.contains_key("siem");
        assert_eq!(*stands, Value::from(if moved { 9 } else { 7 }), "{name}: what is known stays");
    }
    let mut lease = lease(5, Phase::Held);
    let released = SourceClaim { released: true, collecting: false, ..claim(5, &[]) };
    assert!(lease.hear(id(1), &released, later), "there is something to decide");
    let many: Vec<String> = (0..2 * MAX_CURSORS).map(|n| format!("to{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    lease.hear(id(1), &claim(5, &many), later);
    assert_eq!(lease.record.cursors.len(), MAX_CURSORS);
    lease.hear(id(1), &claim(5, &[("new", "1")]), later);
    assert_eq!(
        lease.record.cursors.keys().collect::<Vec<_>>(),
        ["new"],
        "those of former destinations make room"
    );
}

#[test]
fn orders_follow_from_the_lease() {
    use LeaseRole::{Hold, Release, StandBy};
    let moving = Phase::Moving { to: id(2), by: "anna".to_owned() };
    let said = |epoch, collecting| Said { epoch, collecting, released: false };
    let cases = [
        ("the holder", Phase::Held, id(1), said(5, true), Hold, 0, true),
        ("a new holder", Phase::Held, id(1), said(4, false), Hold, 1, false),
        ("who collected before there was a lease", Phase::Held, id(1), said(0, true), Hold, 1, false),
        ("whose epoch is that of another lease", Phase::Held, id(1), said(5, false), Hold, 1, false),
        ("a stand-by", Phase::Held, id(2), said(5, false), StandBy, 0, true),
        ("a late holder", Phase::Held, id(2), said(4, true), StandBy, 0, false),
        ("a stand-by of an older lease", Phase::Held, id(2), said(4, false), StandBy, 0, false),
        ("asked to give it back", moving.clone(), id(1), said(5, true), Release, 0, false),
        ("giving it back", moving.clone(), id(1), said(5, false), Release, 1, true),
        ("waiting for it", moving, id(2), said(5, false), StandBy, 0, true),
    ];
    for (name, phase, agent, said, role, cursors, done) in cases {
        let order = lease(5, phase).order(agent, said, "A".to_owned());
        assert_eq!((order.role(), order.epoch, order.cursors.len()), (role, 5, cursors), "{name}");
        assert_eq!(does(said, &order), done, "{name}");
    }
    let released = Said { epoch: 5, collecting: false, released: true };
    assert!(!does(released, &lease(5, Phase::Held).order(id(1), released, String::new())), "called off");
    assert!(does(said(3, true), &sole("s")) && !does(said(0, false), &sole("s")));
}
