use super::*;
use muster_ibmi::exit::registry::{Change, Finding};
use muster_shared::event::{EXIT_UNKNOWN, EventKind, QueuedFormat, field};
use muster_shared::policy::model::ExitPointSpec;

fn fill(entry: &SpoolEntry) -> (Event, Option<String>) {
    let standing = Rc::new(Standing::default());
    let settings = Settings::new(&ExitPointSpec::default()).unwrap();
    let mut event = Event::new();
    ExitPointDecoder::new(&settings, 37, Rc::clone(&standing)).fill(entry, &mut event);
    (event, standing.told(0).map(|told| told.reason))
}

#[test]
fn what_is_no_record_is_told_and_not_shown() {
    let taken = Entry { data: b"password".to_vec(), declared: 8, enqueued_us: 5, ..Entry::default() };
    let (event, told) = fill(&SpoolEntry { sequence: 3, kind: ENTRY, body: taken.encode() });
    assert_eq!((event.kind, event.time_us), (EventKind::Exit(&EXIT_UNKNOWN), 5));
    assert!(!event.all_text().contains("password") && !event.all_text().contains("70617373"));
    let told = told.unwrap();
    assert!(told.contains("MUSTER/EXITQ") && told.contains("no records of the exit program"), "{told}");
}

#[test]
fn a_change_of_what_is_registered_is_an_event() {
    let finding = Finding {
        change: Change::Missing,
        exit_point: "QIBM_QZRC_RMT".to_owned(),
        format: "CZRC0100".to_owned(),
        before: None,
        now: None,
    };
    let body = Found { look: 1, at_us: 9, finding }.encode();
    let (event, told) = fill(&SpoolEntry { sequence: 3, kind: FINDING, body });
    assert_eq!((event.get(field::EXIT_POINT), event.time_us, told), (Some("QIBM_QZRC_RMT"), 9, None));
    let mut id = Vec::new();
    event.kind.write_event_id(&mut id);
    assert_eq!(id, b"EXIT_PROGRAM_MISSING");
}

#[test]
fn what_this_release_does_not_know_is_not_shown() {
    for (kind, body) in [(FINDING, b"{}".to_vec()), (9, b"secret".to_vec()), (ENTRY, vec![0xFF])] {
        let (event, _) = fill(&SpoolEntry { sequence: 3, kind, body });
        assert_eq!(event.kind, EventKind::Queued(QueuedFormat::Binary));
        assert_eq!(event.get(field::RAW), Some("0:"));
        assert!(event.get(field::REASON).is_some_and(|reason| reason.contains("another release")));
    }
}
