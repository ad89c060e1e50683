use super::*;

fn id(name: &str, attached_us: i64) -> ReceiverId {
    ReceiverId { library: "QGPL".into(), name: name.into(), attached_us }
}

fn receiver(name: &str, attached_us: i64, first: u64, last: u64, next: Option<&str>) -> Receiver {
    let next = next.map(|name| ("QGPL".into(), name.into()));
    Receiver { id: id(name, attached_us), first, last, next }
}

fn catalogue(attached: Option<&str>, receivers: Vec<Receiver>) -> Catalogue {
    Catalogue { exists: true, attached: attached.map(|name| ("QGPL".into(), name.into())), receivers }
}

fn at(name: &str, attached_us: i64, sequence: u64) -> JournalCursor {
    JournalCursor { receiver: id(name, attached_us), sequence }
}

/// R1 1..100, R2 101..200, R3 201..250 attached.
fn chain_of_three() -> Catalogue {
    catalogue(
        Some("R3"),
        vec![
            receiver("R1", 10, 1, 100, Some("R2")),
            receiver("R2", 20, 101, 200, Some("R3")),
            receiver("R3", 30, 201, 250, None),
        ],
    )
}

fn without(mut catalogue: Catalogue, names: &[&str]) -> Catalogue {
    catalogue.receivers.retain(|receiver| !names.contains(&receiver.id.name.as_str()));
    catalogue
}

fn shown(step: Step) -> String {
    let cursor = |cursor: JournalCursor| format!("{}@{}", cursor.receiver.name, cursor.sequence);
    match step {
        Step::Read { receiver, start, attached } => {
            format!("read {} from {start}{}", receiver.name, if attached { " attached" } else { "" })
        }
        Step::Move(next) => format!("move to {}", cursor(next)),
        Step::Gap { gap, next } => {
            let to = gap.to.map_or_else(|| "?".to_owned(), |to| to.to_string());
            format!("gap {} {}..{to} then {}", gap.receiver, gap.from, cursor(next))
        }
        Step::Detached => "detached".to_owned(),
        Step::Unseen { library, name } => format!("unseen {library}/{name}"),
        Step::Missing => "missing".to_owned(),
        Step::NoReceivers => "no receivers".to_owned(),
    }
}

#[test]
fn each_place_in_a_whole_chain_has_its_step() {
    let cases = [
        (at("R3", 30, 230), false, "read R3 from 230 attached"),
        (at("R3", 30, 200), false, "read R3 from 201 attached"),
        (at("R3", 30, 250), true, "read R3 from 250 attached"),
        (at("R1", 10, 0), false, "read R1 from 1"),
        (at("R1", 10, 50), false, "read R1 from 50"),
        (at("R1", 10, 100), false, "read R1 from 100"),
        (at("R1", 10, 100), true, "move to R2@100"),
        // Internal entries at the end are not shown: the last one read is below the last one there.
        (at("R1", 10, 98), true, "move to R2@100"),
        (at("R2", 20, 200), true, "move to R3@200"),
    ];
    for (cursor, exhausted, expected) in cases {
        assert_eq!(shown(next(&cursor, exhausted, &chain_of_three())), expected, "{cursor:?} {exhausted}");
    }
}

#[test]
fn a_deleted_receiver_is_a_gap_with_the_exact_range() {
    let cases: [(JournalCursor, bool, &[&str], &str); 7] = [
        // Deleted in the middle of being read.
        (at("R1", 10, 40), false, &["R1"], "gap QGPL/R1 41..100 then R2@100"),
        (at("R1", 10, 40), false, &["R1", "R2"], "gap QGPL/R1 41..200 then R3@200"),
        // Deleted after it was read to its end: nothing is lost.
        (at("R1", 10, 100), false, &["R1"], "move to R2@100"),
        // The next one is gone, and its name is known.
        (at("R1", 10, 100), true, &["R2"], "gap QGPL/R2 101..200 then R3@200"),
        (at("R1", 10, 98), true, &["R2"], "gap QGPL/R2 101..200 then R3@200"),
        // Both are gone: what was read of the first one is what counts.
        (at("R1", 10, 100), false, &["R1", "R2"], "gap QGPL/R1 101..200 then R3@200"),
        // Moved to a receiver that was deleted before anything of it was read.
        (at("R2", 20, 100), false, &["R1", "R2"], "gap QGPL/R2 101..200 then R3@200"),
    ];
    for (cursor, exhausted, gone, expected) in cases {
        let catalogue = without(chain_of_three(), gone);
        assert_eq!(shown(next(&cursor, exhausted, &catalogue)), expected, "{cursor:?} without {gone:?}");
    }
}

#[test]
fn a_reset_of_the_sequence_loses_nothing_in_a_whole_chain() {
    let whole =
        catalogue(Some("R2"), vec![receiver("R1", 10, 1, 100, Some("R2")), receiver("R2", 20, 1, 30, None)]);
    assert_eq!(shown(next(&at("R1", 10, 100), true, &whole)), "move to R2@0");
    assert_eq!(shown(next(&at("R2", 20, 0), false, &whole)), "read R2 from 1 attached");
    // Without the link nobody knows what lay between.
    let broken =
        catalogue(Some("R2"), vec![receiver("R1", 10, 1, 100, None), receiver("R2", 20, 1, 30, None)]);
    assert_eq!(shown(next(&at("R1", 10, 100), true, &broken)), "gap QGPL/R1 101..? then R2@0");
    // The old receiver is gone, and the numbers do not tell whether it was read to its end.
    let pruned = catalogue(Some("R2"), vec![receiver("R2", 20, 1, 30, None)]);
    assert_eq!(shown(next(&at("R1", 10, 100), false, &pruned)), "gap QGPL/R1 101..? then R2@0");
}

#[test]
fn a_receiver_created_anew_under_the_same_name_is_a_gap() {
    let anew = catalogue(Some("R1"), vec![receiver("R1", 50, 1, 30, None)]);
    assert_eq!(shown(next(&at("R1", 10, 20), false, &anew)), "gap QGPL/R1 21..? then R1@0");
    // Also when the numbers happen to go on.
    let fits = catalogue(Some("R1"), vec![receiver("R1", 50, 21, 30, None)]);
    assert_eq!(shown(next(&at("R1", 10, 20), false, &fits)), "gap QGPL/R1 21..? then R1@20");
}

#[test]
fn a_restored_partition_is_read_again() {
    // The same receiver ends before the place where reading stopped.
    let shorter = catalogue(Some("R1"), vec![receiver("R1", 10, 1, 60, None)]);
    assert_eq!(shown(next(&at("R1", 10, 90), false, &shorter)), "gap QGPL/R1 91..? then R1@0");
    // All receivers are older than the one that was read.
    let older =
        catalogue(Some("R2"), vec![receiver("R1", 10, 1, 60, Some("R2")), receiver("R2", 20, 61, 70, None)]);
    assert_eq!(shown(next(&at("R9", 90, 900), false, &older)), "gap QGPL/R9 901..? then R1@0");
}

#[test]
fn a_chain_that_goes_on_without_a_link_is_whole_when_the_numbers_say_so() {
    let unlinked =
        catalogue(Some("R2"), vec![receiver("R1", 10, 1, 100, None), receiver("R2", 20, 101, 130, None)]);
    assert_eq!(shown(next(&at("R1", 10, 100), true, &unlinked)), "move to R2@100");
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let missing = Catalogue::default();
    assert_eq!(shown(next(&at("R1", 10, 1), false, &missing)), "missing");
    assert_eq!(shown(next(&at("R1", 10, 1), false, &catalogue(Some("R1"), vec![]))), "no receivers");
    let detached = catalogue(None, vec![receiver("R1", 10, 1, 100, None)]);
    assert_eq!(shown(next(&at("R1", 10, 50), false, &detached)), "read R1 from 50");
    assert_eq!(shown(next(&at("R1", 10, 100), true, &detached)), "detached");
    // The profile has no authority to the new receiver.
    let unseen = catalogue(Some("R2"), vec![receiver("R1", 10, 1, 100, Some("R2"))]);
    assert_eq!(shown(next(&at("R1", 10, 50), false, &unseen)), "read R1 from 50");
    assert_eq!(shown(next(&at("R1", 10, 100), true, &unseen)), "unseen QGPL/R2");
}

#[test]
fn the_beginning_of_a_receiver_can_be_gone() {
    let partial = catalogue(Some("R1"), vec![receiver("R1", 10, 50, 100, None)]);
    assert_eq!(shown(next(&at("R1", 10, 20), false, &partial)), "gap QGPL/R1 21..49 then R1@49");
}

#[test]
fn gaps_say_why() {
    let Step::Gap { gap, .. } = next(&at("R1", 10, 40), false, &without(chain_of_three(), &["R1"])) else {
        panic!("a gap");
    };
    assert_eq!(gap.reason, "receiver QGPL/R1 was deleted before it was read to its end");
}

/// R1 attached at 1:50 in summer, R2 at 1:10 and R3 at 3:00 in winter.
#[test]
fn a_receiver_attached_in_the_repeated_hour_is_not_skipped() {
    const MINUTE: i64 = 60_000_000;
    let (summer, winter, later) = (110 * MINUTE, 70 * MINUTE, 180 * MINUTE);
    let autumn = |linked: bool| {
        let link = |name| linked.then_some(name);
        catalogue(
            Some("R3"),
            vec![
                receiver("R2", winter, 101, 200, link("R3")),
                receiver("R1", summer, 1, 100, link("R2")),
                receiver("R3", later, 201, 250, None),
            ],
        )
    };
    for linked in [true, false] {
        let whole = autumn(linked);
        assert_eq!(shown(next(&at("R1", summer, 98), true, &whole)), "move to R2@100", "{linked}");
        assert_eq!(shown(next(&at("R2", winter, 200), true, &whole)), "move to R3@200", "{linked}");
        let without_r1 = without(whole, &["R1"]);
        assert_eq!(shown(next(&at("R1", summer, 100), false, &without_r1)), "move to R2@100", "{linked}");
        assert_eq!(
            shown(next(&at("R1", summer, 50), false, &without_r1)),
            "gap QGPL/R1 51..100 then R2@100",
            "{linked}"
        );
    }
    let without_r2 = without(autumn(true), &["R2"]);
    assert_eq!(shown(next(&at("R2", winter, 150), false, &without_r2)), "gap QGPL/R2 151..200 then R3@200");
    // Numbers that begin anew within that hour lead nowhere but forward.
    let reset = catalogue(
        Some("R2"),
        vec![receiver("R1", winter, 5_000, 6_000, Some("R2")), receiver("R2", summer, 1, 100, None)],
    );
    assert_eq!(shown(next(&at("R2", summer, 100), false, &reset)), "read R2 from 100 attached");
    assert_eq!(shown(next(&at("R1", winter, 6_000), true, &reset)), "move to R2@0");
}
