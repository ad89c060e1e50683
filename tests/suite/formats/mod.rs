//! Every field of 1,000 events of all types, in five formats, at a real rsyslog over UDP, TCP and TLS,
//! compared with what was put into the journal. The expectation is worked out here from the tables and the
//! documented rules of the formats, not by the product's code.

mod expect;
mod facts;
mod input;
mod tables;

use expect::{Expected, FORMATS, Format, Head};
use facts::{Fact, check_raw, event_id, facts};
use ibmi_sim::{PutEntry, Scenario};
use input::{EVENTS, SECRET, Tongue, Written};
use jiff::{Timestamp, tz::Offset};
use muster_ibmi::ebcdic::code_page;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::pki::Authority;
use muster_tests::receiver::{ProgramReceiver, TlsFiles, rsyslog};
use muster_tests::sandbox::Sandbox;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tables::Tables;

const LIMIT: Duration = Duration::from_secs(90);
/// Longest datagram; longer messages are cut.
const DATAGRAM: usize = 1_400;

/// Characters of a message that differs that are shown.
const SHOWN: usize = 400;

/// rsyslog three times, and how an agent reaches each.
struct Receivers {
    list: Vec<(&'static str, ProgramReceiver, String)>,
}

impl Receivers {
    fn start(sandbox: &Sandbox, authority: &Authority) -> Self {
        let folder = |name: &str| -> PathBuf {
            let folder = sandbox.path().join(name);
            std::fs::create_dir_all(&folder).expect("the folder is made");
            folder
        };
        let udp = rsyslog::start(&folder("udp"), &rsyslog::Input::Udp);
        let tcp = rsyslog::start(&folder("tcp"), &rsyslog::Input::Tcp);
        let home = folder("tls");
        let files = TlsFiles::write(&home, authority, &authority.identity(&["127.0.0.1"]));
        let tls = rsyslog::start(&home, &rsyslog::Input::Tls(files));
        let transport = |kind: &str, receiver: &ProgramReceiver, rest: &str| {
            format!("{{kind: {kind}, address: \"{}\"{rest}}}", receiver.address())
        };
        let secure = format!(", client_certificate: siem, ca_pem: {:?}", authority.pem());
        let transports =
            [transport("udp", &udp, ""), transport("tcp", &tcp, ""), transport("tls", &tls, &secure)];
        let [udp_at, tcp_at, tls_at] = transports;
        Self { list: vec![("udp", udp, udp_at), ("tcp", tcp, tcp_at), ("tls", tls, tls_at)] }
    }

    /// A policy that sends everything to each of them in every format.
    fn policy(&self) -> String {
        let kinds = [
            ("rfc5424", "{kind: syslog}"),
            ("rfc3164", "{kind: syslog, header: rfc3164}"),
            ("cef", "{kind: cef}"),
            ("leef1", "{kind: leef1}"),
            ("leef2", "{kind: leef2}"),
        ];
        let each = self.list.iter().flat_map(|(transport, _, at)| {
            kinds.iter().map(move |(kind, format)| (format!("{transport}-{kind}"), at.as_str(), *format))
        });
        let each: Vec<_> = each.collect();
        let each: Vec<_> = each.iter().map(|(name, at, format)| (name.as_str(), *at, *format)).collect();
        policies::several(&each)
    }
}

fn format_of(line: &str) -> Format {
    let (_, rest) = line.split_once('>').expect("a priority");
    let front: String = rest.chars().take(60).collect();
    match front {
        front if front.starts_with("1 ") => Format::Rfc5424,
        front if front.contains(" CEF:0|") => Format::Cef,
        front if front.contains(" LEEF:1.0|") => Format::Leef1,
        front if front.contains(" LEEF:2.0|") => Format::Leef2,
        _ => Format::Rfc3164,
    }
}

fn dialect(format: Format) -> Dialect {
    match format {
        Format::Rfc5424 => Dialect::Rfc5424,
        Format::Rfc3164 => Dialect::Rfc3164,
        Format::Cef => Dialect::Cef,
        Format::Leef1 | Format::Leef2 => Dialect::Leef,
    }
}

/// One entry and what is to be seen of it.
struct Truth {
    entry: PutEntry,
    facts: Vec<Fact>,
    event_id: String,
    name: String,
    severity: u8,
}

/// Compares messages with what was put in.
struct Judge {
    scenario: Scenario,
    tables: Tables,
    truths: BTreeMap<u64, Truth>,
    expected: BTreeMap<Format, Expected>,
    /// `raw` of each entry, compared with its bytes.
    raws: BTreeMap<u64, String>,
    secret_digits: String,
    complaints: Vec<String>,
}

impl Judge {
    fn new(
        scenario: Scenario,
        tables: Tables,
        entries: Vec<PutEntry>,
        texts: &BTreeMap<u64, Written>,
        ccsid: u16,
    ) -> Self {
        let truths: BTreeMap<u64, Truth> = entries
            .into_iter()
            .map(|entry| {
                let truth = Truth {
                    facts: facts(&tables, &entry, texts.get(&entry.sequence)),
                    event_id: event_id(&tables, &entry),
                    name: tables.name(&entry).to_owned(),
                    severity: texts
                        .get(&entry.sequence)
                        .and_then(|written| written.severity)
                        .unwrap_or_else(|| tables.severity(&entry)),
                    entry,
                };
                (truth.entry.sequence, truth)
            })
            .collect();
        let page = code_page(ccsid).expect("a page");
        let secret_digits = SECRET.chars().filter_map(|c| page.byte_of(c)).map(|byte| format!("{byte:02X}"));
        let secret_digits = secret_digits.collect();
        let (expected, raws) = (BTreeMap::new(), BTreeMap::new());
        Self { scenario, tables, truths, expected, raws, secret_digits, complaints: Vec::new() }
    }

    fn head<'a>(&'a self, truth: &'a Truth) -> Head<'a> {
        Head {
            entry: &truth.entry,
            event_id: &truth.event_id,
            name: &truth.name,
            severity: truth.severity,
            scenario: &self.scenario,
        }
    }

    /// Compares one whole message; gives its sequence.
    fn whole(&mut self, format: Format, line: &str) -> Option<u64> {
        match self.compare(format, line) {
            Ok(sequence) => Some(sequence),
            Err(complaint) => {
                let front: String = line.chars().take(SHOWN).collect();
                self.complaints.push(format!("{format:?}: {complaint}\n    {front}"));
                None
            }
        }
    }

    fn compare(&mut self, format: Format, line: &str) -> Result<u64, String> {
        if line.contains(SECRET) || line.contains(&self.secret_digits) {
            return Err("the message shows a password".to_owned());
        }
        let mut seen = read(dialect(format), line)?;
        let sequence: u64 =
            seen.values.get("sequence").and_then(|text| text.parse().ok()).ok_or("no sequence")?;
        let raw_key = if format == Format::Cef { "cs6" } else { "raw" };
        let raw = seen.values.get(raw_key).cloned();
        let truth = self.truths.get(&sequence).ok_or("a sequence that was never written")?;
        if format == Format::Rfc5424 {
            check_raw(&self.tables, &truth.entry, raw.as_ref())?;
            if let Some(raw) = &raw {
                self.raws.insert(sequence, raw.clone());
            }
        }
        let head = self.head(truth);
        let mut all = truth.facts.clone();
        let blank_key = if dialect(format) == Dialect::Cef || dialect(format) == Dialect::Leef {
            "blankTail"
        } else {
            "blank_tail"
        };
        if let Some(blank) = seen.values.get(blank_key) {
            let count: usize = blank.parse().map_err(|_| format!("blank tail of {blank:?}"))?;
            let blanks = truth.entry.data_length - truth.entry.data.len();
            if count == 0 || count > blanks {
                return Err(format!("{count} blank bytes left unfetched, there are {blanks}"));
            }
            all.push(Fact { keyword: "blank_tail".into(), value: blank.clone(), meaning: None });
        }
        if let Some(raw) = self.raws.get(&sequence) {
            all.push(Fact { keyword: "raw".into(), value: raw.clone(), meaning: None });
        }
        header(format, &seen, &head)?;
        if format == Format::Rfc5424 {
            let counter = seen.values.remove("sequenceId").ok_or("no sequenceId")?;
            counter.parse::<u32>().map_err(|_| format!("sequenceId {counter:?}"))?;
        }
        let expected = match self.expected.get(&format) {
            Some(expected) => expected.values(&head, &all),
            None => {
                let expected = Expected::of(format, &head);
                let values = expected.values(&head, &all);
                self.expected.insert(format, expected);
                values
            }
        };
        difference(&expected, &seen.values).map_or(Ok(sequence), Err)
    }

    /// Compares the front part of a message that was cut with the whole one.
    fn cut(&mut self, format: Format, line: &str, whole: &BTreeMap<(Format, u64), String>) -> Option<u64> {
        let found = whole.iter().filter(|((of, _), _)| *of == format).find(|(_, whole)| {
            // The counter of the structured data is each destination's own.
            let front = line.split("[meta sequenceId").next().unwrap_or(line);
            whole.starts_with(front)
        });
        if found.is_none() || line.len() > DATAGRAM || line.len() < DATAGRAM - 3 {
            self.complaints
                .push(format!("{format:?}: a datagram that is no front part of a message\n    {line}"));
        }
        found.map(|((_, sequence), _)| *sequence)
    }
}

/// Host, priority, time, event id, name and severity.
fn header(format: Format, seen: &Seen, head: &Head<'_>) -> Result<(), String> {
    let same = |what: &str, seen: &str, expected: &str| {
        if seen == expected { Ok(()) } else { Err(format!("{what} is {seen:?}, not {expected:?}")) }
    };
    same("host", &seen.host, &head.scenario.system.host_name)?;
    same("event id", &seen.event_id, head.event_id)?;
    same("severity", &seen.severity, &head.severity.to_string())?;
    let level = [6, 6, 6, 6, 5, 5, 4, 4, 3, 2, 2][usize::from(head.severity)];
    same("priority", &seen.priority.to_string(), &(13 * 8 + level).to_string())?;
    let time = Timestamp::from_microsecond(head.entry.utc_us).map_err(|error| error.to_string())?;
    if format == Format::Rfc5424 {
        same("time", &seen.time, &time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())?;
        let user = format!("{}: user {}", head.name, head.entry.user);
        return if seen.text.starts_with(&user) { Ok(()) } else { Err(format!("text is {:?}", seen.text)) };
    }
    let offset = i32::try_from(head.scenario.system.utc_offset_minutes * 60).map_err(|e| e.to_string())?;
    let local = Offset::from_seconds(offset).map_err(|error| error.to_string())?.to_datetime(time);
    same("time", &seen.time, &local.strftime("%b %e %H:%M:%S").to_string())?;
    if format == Format::Cef { same("name", &seen.text, head.name) } else { Ok(()) }
}

fn difference(expected: &BTreeMap<String, String>, seen: &BTreeMap<String, String>) -> Option<String> {
    let missing = expected.iter().filter(|(key, value)| seen.get(*key) != Some(*value));
    let invented = seen.iter().filter(|(key, value)| expected.get(*key) != Some(*value));
    let (missing, invented): (Vec<_>, Vec<_>) = (missing.collect(), invented.collect());
    (!missing.is_empty() || !invented.is_empty())
        .then(|| format!("\n    put in but not seen: {missing:?}\n    seen but not put in: {invented:?}"))
}

fn scenario(tongue: &Tongue, file: &str, offset_minutes: i64) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ibmi-sim/scenarios").join(file);
    let mut scenario = Scenario::read(&path).expect("the scenario is read");
    assert_eq!(scenario.system.ccsid, tongue.ccsid);
    scenario.system.utc_offset_minutes = offset_minutes;
    scenario.traffic.rate = 0.0;
    scenario.journal.receiver_size = 400;
    scenario.journal.keep_receivers = 0;
    scenario
}

fn every_field_arrives(tongue: &Tongue, file: &str, offset_minutes: i64) {
    // given a partition with entries of every type and an agent that sends each format over each transport
    let tables = Tables::read();
    let scenario = scenario(tongue, file, offset_minutes);
    let partition = Partition::start(scenario.clone());
    let sandbox = Sandbox::new("formats");
    let authority = Authority::new("ours");
    let receivers = Receivers::start(&sandbox, &authority);
    let texts = input::put(&partition, &tables, tongue);
    let entries = partition.entries(0..=u64::MAX);
    let total = entries.len() * FORMATS.len();
    let own = entries.iter().filter(|entry| entry.code == "J").count();
    assert_eq!(entries.len() - own, EVENTS);
    assert!(own >= 3, "the receiver rolled over, and the journal says so");
    let home = sandbox.agent("agent", &partition.at(), Some(&receivers.policy()));
    let secrets = home.folder.join("secrets");
    std::fs::create_dir_all(&secrets).expect("the folder is made");
    authority.identity(&["agent"]).write(&secrets, "siem");
    // when it has run
    let mut agent = home.run();
    let lines: Vec<(&str, Vec<String>)> = receivers.list[1..]
        .iter()
        .map(|(transport, receiver, _)| (*transport, receiver.wait_for(total, LIMIT)))
        .collect();
    assert!(agent.terminate(LIMIT).success());
    // then over TCP and TLS every event is there in every format, field by field
    let mut judge = Judge::new(scenario, tables, entries, &texts, tongue.ccsid);
    let all: BTreeSet<u64> = judge.truths.keys().copied().collect();
    let mut whole = BTreeMap::new();
    for (transport, mut lines) in lines {
        // Structured data first: it has no limits, so what it says of undecoded bytes is compared with the entry.
        lines.sort_by_key(|line| format_of(line));
        let mut arrived: BTreeMap<Format, BTreeSet<u64>> = BTreeMap::new();
        for line in &lines {
            let format = format_of(line);
            if let Some(sequence) = judge.whole(format, line) {
                arrived.entry(format).or_default().insert(sequence);
                whole.insert((format, sequence), line.clone());
            }
        }
        println!("{transport}: {} duplicates", lines.len() - total);
        judge.verdict(transport);
        for format in FORMATS {
            assert_eq!(arrived.get(&format), Some(&all), "{transport} {format:?}");
        }
    }
    // and over UDP what arrived is right, as far as a datagram holds it
    let lines = receivers.list[0].1.lines();
    let (mut cut, mut fit) = (0, 0);
    for line in &lines {
        let format = format_of(line);
        if line.len() > DATAGRAM - 4 {
            cut += usize::from(judge.cut(format, line, &whole).is_some());
        } else {
            fit += usize::from(judge.whole(format, line).is_some());
        }
    }
    judge.verdict("udp");
    let lost = total.saturating_sub(lines.len());
    println!("udp: {fit} whole, {cut} cut to a datagram, {lost} lost");
    assert!(fit > 0, "nothing arrived over UDP");
}

impl Judge {
    fn verdict(&self, transport: &str) {
        let shown: Vec<&str> = self.complaints.iter().take(8).map(String::as_str).collect();
        assert!(
            shown.is_empty(),
            "{transport}: {} messages differ\n{}",
            self.complaints.len(),
            shown.join("\n")
        );
    }
}

#[test]
fn every_field_arrives_from_a_german_partition() {
    let tongue = Tongue { ccsid: 273, national: "GEHÄLTER Öß§ü {x} ", user: "MÜLLER" };
    every_field_arrives(&tongue, "muenchen.toml", 60);
}

#[test]
fn every_field_arrives_from_a_french_partition_west_of_greenwich() {
    let tongue = Tongue { ccsid: 297, national: "DÉPÔT çàùé£µ [x] ", user: "HÉLÈNE" };
    every_field_arrives(&tongue, "lyon.toml", -210);
}
