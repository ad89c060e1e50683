//! Text of partitions whose code page mixes single and double bytes: written by the simulator with its own tables, read
//! by the agent's source, decoded into events.

use ibmi_sim::{InjectSpec, Options, PutEntry, Scenario, SimHandle, Simulator};
use muster_agent::host::Host;
use muster_agent::host::facts::{self, Facts};
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust};
use muster_agent::source::audit_journal::AuditJournal;
use muster_agent::source::{Read, Source};
use muster_ibmi::audit::AuditDecoder;
use muster_shared::event::{Event, dictionary, field};
use muster_shared::policy::model::AuditJournalSpec;
use std::collections::BTreeMap;
use std::path::Path;

/// Entries of everyday traffic.
const EVERYDAY: usize = 400;

/// A Japanese partition that writes entries in `page`; its QCCSID says so, or that there is none.
async fn osaka(ccsid: u16, page: u16) -> SimHandle {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ibmi-sim/scenarios/osaka.toml");
    let mut scenario = Scenario::read(&file).expect("the scenario is read");
    scenario.system.ccsid = ccsid;
    scenario.system.page = Some(page);
    scenario.traffic.rate = 0.0;
    Simulator::start(scenario, Options::default()).await.expect("the partition starts")
}

fn host(sim: &SimHandle) -> Box<dyn Host> {
    let config = MapepireConfig {
        address: sim.addr.to_string(),
        user: "MUSTER".to_owned(),
        password: Password::new("muster1".to_owned()),
        trust: Trust::Authorities(sim.ca_pem.clone()),
    };
    Box::new(Mapepire::new(config).expect("a good configuration"))
}

/// All entries as events, by sequence.
async fn events(sim: &SimHandle, ccsid: u16) -> BTreeMap<u64, Event> {
    let spec = AuditJournalSpec { start: "oldest".to_owned(), ..AuditJournalSpec::default() };
    let mut source = AuditJournal::new(&spec, host(sim), 0).expect("good settings");
    let mut cursor = source.start(false).await.expect("a place to start from");
    let mut decoder = AuditDecoder::new(ccsid);
    let mut events = BTreeMap::new();
    loop {
        match source.read(&cursor, None, true).await.expect("entries") {
            Read::Entries { entries, last, .. } => {
                entries.visit(&mut |entry| {
                    let mut event = Event::new();
                    decoder.decode(entry, &mut event);
                    events.insert(entry.sequence, event);
                });
                cursor = last;
            }
            Read::Moved(next) => cursor = next,
            Read::Idle => return events,
            other => panic!("entries expected, not {other:?}"),
        }
    }
}

fn get<'e>(event: &'e Event, keyword: &str) -> &'e str {
    event.get(dictionary().find(keyword).expect("a field")).unwrap_or_default()
}

/// What was put into a field, and the keyword of the event's field that it must be in.
fn texts(entry: &PutEntry) -> impl Iterator<Item = (&'static str, &str)> {
    let names: &[(&str, &str)] = match entry.entry_type.as_str() {
        "CD" => &[("Object name", "object_name"), ("Command string", "command")],
        "AF" | "ZR" | "ZC" | "CO" | "DO" | "CA" => {
            &[("Object name", "object_name"), ("Library name", "object_library")]
        }
        _ => &[],
    };
    names.iter().filter_map(|(name, keyword)| Some((*keyword, entry.field(name)?)))
}

fn wide(text: &str) -> bool {
    text.chars().any(|character| ('\u{2E80}'..='\u{9FFF}').contains(&character))
}

/// Whether the bytes of the object's name are kept.
fn keeps_name(event: &Event) -> bool {
    get(event, "raw").split(',').any(|piece| piece.starts_with("1:"))
}

#[tokio::test]
async fn text_of_japanese_partitions_arrives_as_it_was_written() {
    // QCCSID, the page of the entries, the configured CCSID.
    for (qccsid, page, configured) in [(5035, 5035, None), (5026, 5026, Some(37)), (65_535, 1399, Some(1399))]
    {
        // given everyday entries, and some whose text is cut
        let sim = osaka(qccsid, page).await;
        assert_eq!(sim.append_mix(EVERYDAY), EVERYDAY);
        let long = format!("SNDMSG MSG('{}') TOUSR(SATO)", "在庫を確認してください".repeat(400));
        let command = InjectSpec::new("CD", "SATO").with("Command string", &long);
        let whole = InjectSpec::new("AF", "SATO").with("Object name", "在庫表");
        // Shift-out, four pairs and half of the fifth; one single byte more, and it is four pairs.
        let half = InjectSpec::new("AF", "SATO").with("Object name", "在庫確認表示");
        let between = InjectSpec::new("AF", "SATO").with("Object name", "A在庫確認表示");
        let mut written = InjectSpec::new("00", "SATO").with("data", "給与ﾃﾞｰﾀを締めました");
        written.code = "U".to_owned();
        let [command, whole, half, between, written] =
            [command, whole, half, between, written].map(|spec| sim.inject(&spec).expect("an entry"));
        // when they are read with the CCSID of the partition, or the configured one where it has none
        let Facts { partition, assumed } =
            facts::read(host(&sim).as_mut(), configured, None).await.expect("facts");
        assert_eq!((partition.ccsid, assumed), (page, None));
        let events = events(&sim, partition.ccsid).await;
        // then each text is what was put in
        let entries: Vec<PutEntry> = sim.entries(0..=u64::MAX);
        // The journal's own entry at the beginning of the receiver is there as well.
        assert_eq!((entries.len(), events.len()), (EVERYDAY + 6, EVERYDAY + 6));
        let (mut compared, mut double) = (0, 0);
        for entry in &entries {
            let event = &events[&entry.sequence];
            for (keyword, text) in texts(entry) {
                assert_eq!(get(event, keyword), text, "{page} {} {keyword}", entry.entry_type);
                compared += 1;
                double += usize::from(wide(text));
            }
        }
        assert!(
            compared > EVERYDAY && double > EVERYDAY / 10,
            "{double} of {compared} texts with double bytes"
        );
        // and of cut ones what is whole, with the bytes where something could not be read
        assert_eq!(get(&events[&whole], "object_name"), "在庫表");
        assert_eq!(get(&events[&half], "object_name"), "在庫確認\u{FFFD}");
        assert!(keeps_name(&events[&half]), "{}", get(&events[&half], "raw"));
        assert_eq!(get(&events[&between], "object_name"), "A在庫確認");
        assert!(!keeps_name(&events[&between]), "{}", get(&events[&between], "raw"));
        let text = get(&events[&command], "command");
        assert!(text.starts_with("SNDMSG MSG('在庫を確認してください在庫を") && text.chars().count() > 2_900);
        assert_eq!(events[&written].get(field::MESSAGE), Some("給与ﾃﾞｰﾀを締めました"));
        sim.stop().await;
    }
}
