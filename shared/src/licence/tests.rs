use super::*;
use jiff::Timestamp;
use std::io::Cursor;

const BODY: &str = "format: muster/licence-v1\nid: M-2026-0001\ncustomer: Example AG\nseats: 3\n\
                    valid_from: 2026-11-01\nvalid_until: 2027-10-31\nha_pairs: 1\n";

/// A key pair, and what it signs.
struct Signer(minisign::KeyPair);

impl Signer {
    fn new() -> Self {
        Self(minisign::KeyPair::generate_unencrypted_keypair().unwrap())
    }

    fn public(&self) -> String {
        self.0.pk.to_base64()
    }

    fn file(&self, body: &str) -> String {
        let body = signed_part(body);
        let signature = minisign::sign(None, &self.0.sk, Cursor::new(&body), None, None).unwrap();
        super::file(&body, &signature.into_string())
    }
}

#[test]
fn a_licence_survives_mail_and_nothing_else() {
    let (signer, other) = (Signer::new(), Signer::new());
    let key = signer.public();
    let file = signer.file(BODY);
    let read = |file: &str| super::read(file, &[&other.public(), &key]);
    let licence = read(&file).unwrap();
    assert_eq!((licence.seats, licence.ha_pairs, licence.customer.as_str()), (3, 1, "Example AG"));
    assert_eq!(read(&file.replace('\n', "\r\n")).unwrap(), licence);
    assert_eq!(read(&file.replace("seats: 3\n", "seats: 3  \n")).unwrap(), licence);
    let (body, signature) = file.split_once(SIGNATURE_LINE).unwrap();
    let unsigned = format!("{SIGNATURE_LINE}{signature}");
    for (file, error) in [
        (file.replace("seats: 3", "seats: 9"), "Untrusted"),
        (file.replace("valid_until: 2027", "valid_until: 2127"), "Untrusted"),
        (other.file(BODY).replace(&other.public(), ""), ""),
        (body.to_owned(), "NoSignature"),
        (format!("{body}{SIGNATURE_LINE}\nsomething\n"), "BadSignature"),
        (unsigned, "Untrusted"),
        ("x".repeat(MAX_FILE + 1), "TooLarge"),
        (signer.file(&format!("{BODY}more: 1\n")), "Unreadable"),
        (signer.file(&BODY.replace("licence-v1", "licence-v2")), "Unreadable"),
        (signer.file(&BODY.replace("seats: 3", "seats: 0")), "Senseless"),
        (signer.file(&BODY.replace("2027-10-31", "2026-10-31")), "Senseless"),
    ] {
        let told = read(&file).map_or_else(|e| format!("{e:?}"), |_| String::new());
        assert!(told.starts_with(error), "{told} instead of {error}");
    }
    assert_eq!(super::read(&file, &[&other.public()]), Err(LicenceError::Untrusted));
}

fn at(text: &str) -> Timestamp {
    format!("{text}T12:00:00Z").parse().unwrap()
}

fn partition(number: u32) -> PartitionKey {
    PartitionKey::new(&format!("78A{number:04}"), 1).unwrap()
}

fn licence(from: &str, until: &str, seats: u32) -> Licence {
    let body = BODY.replace("2026-11-01", from).replace("2027-10-31", until);
    parse(&body.replace("seats: 3", &format!("seats: {seats}"))).unwrap()
}

/// One line of the table.
struct Case {
    name: &'static str,
    licences: Vec<Licence>,
    now: &'static str,
    latest: &'static str,
    over_since: Option<&'static str>,
    partitions: u32,
    pairs: Vec<(u32, u32)>,
    standing: Standing,
    /// A part of each warning, in their order.
    warns: &'static [&'static str],
    /// A part of what is said.
    says: &'static str,
}

impl Case {
    fn new(name: &'static str, now: &'static str, standing: Standing) -> Self {
        Self {
            name,
            licences: Vec::new(),
            now,
            latest: now,
            over_since: None,
            partitions: 2,
            pairs: Vec::new(),
            standing,
            warns: &[],
            says: "",
        }
    }
}

#[test]
fn what_follows_from_files_partitions_and_the_time() {
    use Standing::{Evaluation, Grace, Licensed, Restricted};
    let year = || licence("2026-11-01", "2027-10-31", 3);
    let cases = vec![
        Case { says: "until 2026-12-31 (60 days)", ..Case::new("the first day", "2026-11-01", Evaluation) },
        Case::new("day 45", "2026-12-15", Evaluation),
        Case { warns: &["ends on 2026-12-31 (15 days)"], ..Case::new("day 46", "2026-12-16", Evaluation) },
        Case {
            warns: &["ends on 2026-12-31 (1 days)"],
            ..Case::new("the last day", "2026-12-30", Evaluation)
        },
        Case {
            warns: &["refused until 2027-01-30 (30 days)"],
            ..Case::new("the evaluation is over", "2026-12-31", Grace)
        },
        Case { warns: &["the grace on 2027-01-30"], ..Case::new("and the grace", "2027-01-30", Restricted) },
        Case {
            licences: vec![year()],
            says: "licence M-2026-0001 for Example AG: 2 of 3 seats in use, until 2027-10-31",
            ..Case::new("licensed", "2027-03-01", Licensed)
        },
        Case { licences: vec![year()], ..Case::new("61 days before the end", "2027-09-01", Licensed) },
        Case {
            licences: vec![year()],
            warns: &["ends on 2027-10-31 (60 days)"],
            ..Case::new("60 days before the end", "2027-09-02", Licensed)
        },
        Case {
            licences: vec![year(), licence("2027-11-01", "2028-10-31", 3)],
            ..Case::new("the next one is there already", "2027-10-15", Licensed)
        },
        Case {
            licences: vec![year(), licence("2027-12-01", "2028-10-31", 3)],
            warns: &["ends on 2027-10-31"],
            ..Case::new("with a gap", "2027-10-15", Licensed)
        },
        Case {
            licences: vec![year()],
            warns: &["the licence ended with 2027-10-31. Nothing is refused until 2027-12-01 (30 days)"],
            ..Case::new("over", "2027-11-01", Grace)
        },
        Case {
            licences: vec![year()],
            warns: &["the grace on 2027-12-01"],
            ..Case::new("over for a month", "2027-12-01", Restricted)
        },
        Case {
            licences: vec![year(), licence("2027-12-01", "2028-11-30", 3)],
            says: "until 2028-11-30",
            ..Case::new("a new one heals it", "2027-12-01", Licensed)
        },
        Case {
            licences: vec![year()],
            partitions: 3,
            ..Case::new("every seat taken", "2027-03-01", Licensed)
        },
        Case {
            licences: vec![year()],
            partitions: 4,
            warns: &["4 partitions are collected from, licensed are 3 seats (since 2027-03-01)"],
            ..Case::new("one too many", "2027-03-01", Grace)
        },
        Case {
            licences: vec![year()],
            partitions: 4,
            over_since: Some("2027-02-10"),
            warns: &["Nothing is refused until 2027-03-12 (11 days)"],
            ..Case::new("for some time", "2027-03-01", Grace)
        },
        Case {
            licences: vec![year()],
            partitions: 4,
            over_since: Some("2027-01-01"),
            warns: &["the grace on 2027-01-31"],
            ..Case::new("for too long", "2027-03-01", Restricted)
        },
        Case {
            licences: vec![year()],
            partitions: 4,
            pairs: vec![(1, 2)],
            ..Case::new("a pair takes one seat", "2027-03-01", Licensed)
        },
        Case {
            licences: vec![year()],
            partitions: 5,
            pairs: vec![(1, 2), (3, 4)],
            warns: &["4 partitions are collected from"],
            ..Case::new("one pair is licensed", "2027-03-01", Grace)
        },
        Case {
            licences: vec![year()],
            partitions: 4,
            pairs: vec![(1, 9)],
            warns: &["4 partitions are collected from"],
            ..Case::new("half of a pair is none", "2027-03-01", Grace)
        },
        Case {
            licences: vec![Licence { partitions: BTreeSet::from([partition(1)]), ..year() }],
            warns: &[
                "1 partitions are not in the licence, such as 78A0002-1",
                "partitions that the licence does not name",
            ],
            ..Case::new("a partition that is not named", "2027-03-01", Grace)
        },
        Case {
            licences: vec![year()],
            latest: "2027-12-05",
            warns: &["the grace on 2027-12-01", "the controller's clock was set back: it showed 2027-12-05"],
            ..Case::new("a clock that is set back brings nothing back", "2027-03-01", Restricted)
        },
        Case {
            licences: vec![licence("2027-05-01", "2028-04-30", 3)],
            says: "evaluation with every function",
            ..Case::new("one for later does not count yet", "2026-11-20", Evaluation)
        },
    ];
    for case in cases {
        let partitions: BTreeSet<PartitionKey> = (1..=case.partitions).map(partition).collect();
        let pairs: Vec<_> = case.pairs.iter().map(|(a, b)| (partition(*a), partition(*b))).collect();
        let state = judge(&Facts {
            licences: &case.licences,
            began: at("2026-11-01"),
            latest: at(case.latest),
            now: at(case.now),
            over_since: case.over_since.map(at),
            partitions: &partitions,
            unknown: 0,
            pairs: &pairs,
        });
        assert_eq!(state.standing, case.standing, "{}: {state:?}", case.name);
        assert!(state.says.contains(case.says), "{}: {}", case.name, state.says);
        assert_eq!(state.warnings.len(), case.warns.len(), "{}: {:?}", case.name, state.warnings);
        for (warning, part) in state.warnings.iter().zip(case.warns) {
            assert!(warning.contains(part), "{}: {warning}", case.name);
        }
        assert_eq!(state.allowed() == Allowed::NoChanges, case.standing == Restricted, "{}", case.name);
        assert!(state.next.is_none_or(|next| next > at(case.now)), "{}: {state:?}", case.name);
    }
}
