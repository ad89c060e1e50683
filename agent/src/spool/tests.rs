use super::format::{HEADER, RECORD, SpoolId};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;

const FRESH: SpoolId = SpoolId(0xF00D);
const MIB: u64 = 1024 * 1024;

fn open(folder: &Path, limit: u64) -> (Spool, Taken) {
    Spool::open(folder, limit, FRESH, |_| None).unwrap()
}

fn append(spool: &Spool, bodies: &[&[u8]]) -> Result<u64, SpoolError> {
    let batch: Vec<(u8, &[u8])> = bodies.iter().map(|body| (1, *body)).collect();
    spool.append(&batch)
}

/// First and last number of each range.
type Missing = Vec<(u64, u64)>;

/// Everything behind `after`: entries by number, and what is missing.
fn all(spool: &Spool, mut after: u64) -> (BTreeMap<u64, Vec<u8>>, Missing) {
    let (mut entries, mut missing) = (BTreeMap::new(), Vec::new());
    loop {
        match spool.read(after, 3, 100_000).unwrap() {
            ReadBack::Entries { entries: read, more } => {
                assert!(more || read.last().map_or(after, |last| last.sequence) == spool.usage().last);
                for entry in read {
                    assert_eq!((entry.sequence, entry.kind), (after + 1, 1));
                    after = entry.sequence;
                    entries.insert(after, entry.body);
                }
                if !more {
                    return (entries, missing);
                }
            }
            ReadBack::Missing { to, .. } => {
                assert!(to > after, "{to} is behind {after}");
                missing.push((after + 1, to));
                after = to;
            }
            ReadBack::Ahead { last } => panic!("{after} is beyond {last}"),
        }
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn folders_have_names_for_any_file_system() {
    let state = Path::new("state");
    for (key, name) in [
        ("data_queue:PAYROLL/EVENTS", "spool/data_queue.PAYROLL.EVENTS"),
        ("exit_point:A#B/C.D", "spool/exit_point.A%23B.C%2ED"),
        ("data_queue:../Ä", "spool/data_queue.%2E%2E.%C3%84"),
    ] {
        assert_eq!(folder(state, key), state.join(name));
    }
}

#[test]
fn what_is_kept_is_there_after_a_restart_under_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, taken) = open(folder.path(), MIB);
    assert!(taken.fresh && taken.unmarked.is_empty());
    assert_eq!(append(&spool, &[]).unwrap(), 0);
    assert_eq!(append(&spool, &[b"one", b"two"]).unwrap(), 2);
    spool.mark().unwrap();
    assert_eq!(append(&spool, &[b"three"]).unwrap(), 3);
    assert!(matches!(
        Spool::open(folder.path(), MIB, FRESH, |_| None).unwrap_err(),
        SpoolError::InUse { path } if path == folder.path()
    ));
    drop(spool);
    let (spool, taken) = Spool::open(folder.path(), MIB, SpoolId(1), |_| None).unwrap();
    assert_eq!((spool.id(), taken.fresh), (FRESH, false));
    assert_eq!(taken.unmarked.iter().map(|entry| &entry.body[..]).collect::<Vec<_>>(), [b"three"]);
    assert_eq!(append(&spool, &[b"four"]).unwrap(), 4);
    let (entries, missing) = all(&spool, 0);
    assert_eq!(entries.into_values().collect::<Vec<_>>(), [&b"one"[..], b"two", b"three", b"four"]);
    assert_eq!(missing, []);
    spool.mark().unwrap();
    spool.mark().unwrap();
    drop(spool);
    assert_eq!(open(folder.path(), MIB).1.unmarked, []);
}

#[test]
fn a_full_spool_takes_nothing_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    let body = vec![7; 60_000];
    let mut last = 0;
    let full = loop {
        match append(&spool, &[&body]) {
            Ok(number) => last = number,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SpoolError::Full), "{full}");
    assert_eq!(last, 17, "as many as fit into a MiB");
    assert!(spool.usage().bytes <= MIB);
    assert_eq!(spool.fitting([60_000, 100]), 0);
    assert_eq!(spool.fitting([100, 100, 60_000, 1]), 2);
    // What is nowhere else is kept all the same.
    last = spool.append_beyond(&[(1, &body)]).unwrap();
    assert_eq!((last, spool.usage().bytes > MIB, spool.fitting([0])), (18, true, 0));
    assert!(!spool.can_trim(14), "perhaps still in the queue");
    spool.mark().unwrap();
    // A smaller limit, as a changed policy may bring it, loses nothing.
    drop(spool);
    let (spool, _) = open(folder.path(), MIB / 2);
    assert_eq!(all(&spool, 0).0.len(), 18);
    assert!(append(&spool, &[b"x"]).is_err());
    assert!(spool.can_trim(14) && !spool.can_trim(1));
    spool.trim(14).unwrap();
    assert_eq!(all(&spool, 14).0.len(), 4);
    assert_eq!(append(&spool, &[b"x"]).unwrap(), 19);
    // Who comes late is told what it missed.
    let (entries, missing) = all(&spool, 2);
    assert_eq!((missing, entries.keys().next()), (vec![(3, spool.first() - 1)], Some(&spool.first())));
}

#[test]
fn what_is_delivered_does_not_stay_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), 256 * MIB);
    let body = vec![7; 60_000];
    for _ in 0..6 {
        append(&spool, &[&body]).unwrap();
    }
    assert!(!spool.can_trim(6), "perhaps still in the queue");
    spool.mark().unwrap();
    assert!(!spool.can_trim(5) && spool.can_trim(6));
    spool.trim(6).unwrap();
    assert_eq!((spool.usage().bytes, spool.usage().last), (HEADER as u64, 6));
    assert_eq!(segments(folder.path()).len(), 1);
    assert_eq!(append(&spool, &[b"next"]).unwrap(), 7);
    assert_eq!(all(&spool, 6).0.len(), 1);
    // At the end of a source nothing stays of what is delivered, however little it is.
    spool.mark().unwrap();
    assert!(!spool.can_trim(7));
    spool.finish(6).unwrap();
    assert!(files::holds_entries(folder.path()));
    spool.finish(7).unwrap();
    assert!(!files::holds_entries(folder.path()));
    drop(spool);
    assert_eq!(append(&open(folder.path(), MIB).0, &[b"later"]).unwrap(), 8);
}

#[test]
fn a_spool_that_lost_its_end_gives_no_number_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    append(&spool, &[b"one", b"two", b"three"]).unwrap();
    drop(spool);
    let path = segments(folder.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - RECORD]).unwrap();
    let delivered = |id: SpoolId| (id == FRESH).then_some(5);
    let (spool, _) = Spool::open(folder.path(), MIB, SpoolId(9), delivered).unwrap();
    assert_eq!(append(&spool, &[b"next"]).unwrap(), 6);
    let (entries, missing) = all(&spool, 1);
    assert_eq!((entries.keys().copied().collect::<Vec<_>>(), missing), (vec![2, 6], vec![(3, 5)]));
    assert_eq!(spool.read(90, 1, 1).unwrap(), ReadBack::Ahead { last: 6 });
}

#[test]
fn a_lost_header_a_foreign_segment_and_a_later_version() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    append(&spool, &[b"one"]).unwrap();
    drop(spool);
    let path = segments(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    bytes[..HEADER].fill(0);
    fs::write(&path, &bytes).unwrap();
    fs::write(folder.path().join(index::file_name(SpoolId(1), 1)), &good).unwrap();
    let delivered = |id: SpoolId| (id == FRESH).then_some(0);
    let (spool, taken) = Spool::open(folder.path(), MIB, FRESH, delivered).unwrap();
    assert_eq!(all(&spool, 0).0.len(), 1);
    assert_eq!(segments(folder.path()), std::slice::from_ref(&path));
    assert_eq!(taken.put_aside, 1);
    drop(spool);
    bytes[..8].copy_from_slice(b"MUSTERQ2");
    fs::write(&path, &bytes).unwrap();
    let error = Spool::open(folder.path(), MIB, FRESH, |_| None).unwrap_err();
    assert!(error.to_string().contains("a later release"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "left as it is");
    // A segment that was being begun when the machine stopped.
    fs::write(&path, &good[..5]).unwrap();
    let (spool, taken) = open(folder.path(), MIB);
    assert!(!taken.fresh);
    assert_eq!(append(&spool, &[b"again"]).unwrap(), 1);
}

#[test]
fn damage_is_told_holds_up_nothing_and_is_kept_for_study() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    let bodies: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 1_000]).collect();
    for body in &bodies {
        append(&spool, &[body]).unwrap();
    }
    spool.mark().unwrap();
    let paths = segments(folder.path());
    assert!(paths.len() > 2, "{paths:?}");
    // One record in the middle of the first segment, all behind the middle of the second.
    let mut first = fs::read(&paths[0]).unwrap();
    let at = HEADER + 4 * (RECORD + 1_000) + RECORD + 5;
    first[at] ^= 0xFF;
    fs::write(&paths[0], first).unwrap();
    let mut second = fs::read(&paths[1]).unwrap();
    let half = second.len() / 2;
    second[half..].fill(0xAA);
    fs::write(&paths[1], second).unwrap();
    let check = |spool: &Spool| {
        let (entries, missing) = all(spool, 0);
        let [(5, 5), (from, to)] = missing[..] else { panic!("{missing:?}") };
        assert_eq!(entries.len() as u64, 200 - 1 - (to - from + 1));
        for (number, body) in entries {
            assert_eq!(body, bodies[number as usize - 1]);
        }
        to
    };
    let to = check(&spool);
    drop(spool);
    let (spool, _) = open(folder.path(), MIB);
    assert_eq!(check(&spool), to);
    spool.trim(to).unwrap();
    let kept = fs::read(folder.path().join("damaged.kept")).unwrap();
    assert_eq!(kept[half..], vec![0xAA; kept.len() - half]);
    assert_eq!(all(&spool, to).1, []);
}

#[test]
fn a_disk_that_takes_nothing_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    append(&spool, &[&[1; 70_000]]).unwrap();
    // The next segment cannot be begun: a folder stands in its place.
    let blocked = folder.path().join(index::file_name(FRESH, 2));
    fs::create_dir_all(blocked.join("full")).unwrap();
    for _ in 0..2 {
        let error = append(&spool, &[b"two"]).unwrap_err();
        assert!(matches!(&error, SpoolError::Io { attempt: "begin", .. }), "{error}");
    }
    assert_eq!(all(&spool, 0).0.len(), 1);
    fs::remove_dir_all(&blocked).unwrap();
    assert_eq!(append(&spool, &[b"two"]).unwrap(), 2);
    drop(spool);
    assert_eq!(all(&open(folder.path(), MIB).0, 0).0.len(), 2);
}

#[test]
fn spools_that_no_source_has_any_more_are_found() {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(orphans(state.path(), &[]), Vec::<String>::new());
    for key in ["data_queue:A/B", "data_queue:A/C", "exit_point:A/D"] {
        let (spool, _) = open(&folder(state.path(), key), MIB);
        if !key.ends_with('D') {
            append(&spool, &[b"x"]).unwrap();
        }
    }
    assert_eq!(orphans(state.path(), &["data_queue:A/C"]), ["data_queue.A.B"]);
}

#[test]
fn segments_of_other_spools_are_kept_under_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    append(&spool, &[b"one"]).unwrap();
    drop(spool);
    for number in 1..=20 {
        fs::write(folder.path().join(index::file_name(SpoolId(1), number)), [1]).unwrap();
    }
    let delivered = |id: SpoolId| (id == FRESH).then_some(0);
    let (_spool, taken) = Spool::open(folder.path(), MIB, FRESH, delivered).unwrap();
    assert_eq!(taken.put_aside, 20);
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let kept = names.filter(|name| name.to_str().unwrap().ends_with(".seg.foreign")).count();
    assert_eq!(kept, 16, "and no more than that");
}

#[test]
fn what_is_cut_off_at_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, taken) = open(folder.path(), MIB);
    assert_eq!(taken.dropped, 0);
    append(&spool, &[b"one", b"two"]).unwrap();
    drop(spool);
    let path = segments(folder.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (spool, taken) = open(folder.path(), MIB);
    assert_eq!((taken.dropped, spool.usage().last), ((RECORD + 2) as u64, 1));
    drop(spool);
    assert_eq!(open(folder.path(), MIB).1.dropped, 0, "once");
}

#[test]
fn a_mark_up_to_some_entry_frees_what_is_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path(), MIB);
    let body = vec![7; 30_000];
    for _ in 0..9 {
        append(&spool, &[&body]).unwrap();
    }
    let before = segments(folder.path()).len();
    assert!(before >= 3 && !spool.can_trim(9));
    spool.mark_to(7).unwrap();
    spool.mark_to(3).unwrap();
    assert!(spool.can_trim(9));
    spool.trim(9).unwrap();
    assert!(segments(folder.path()).len() < before);
    assert!(spool.first() <= 8, "{} is still needed", spool.first());
    drop(spool);
    // The mark lies in a later segment than the first entry that it leaves open.
    let (spool, taken) = open(folder.path(), MIB);
    assert_eq!(taken.unmarked.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [8, 9]);
    spool.mark().unwrap();
    drop(spool);
    assert_eq!(open(folder.path(), MIB).1.unmarked, []);
}

#[test]
fn a_number_that_stands_in_two_segments_is_the_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path()).unwrap();
    let segment = |first: u64, bodies: &[(u64, &[u8])]| {
        let mut bytes = format::header(FRESH, first).to_vec();
        for (number, body) in bodies {
            format::put_record(FRESH, *number, 1, body, &mut bytes);
        }
        fs::write(folder.path().join(index::file_name(FRESH, first)), bytes).unwrap();
    };
    // A write that failed could not be cut off, and its numbers were given again in a file of their own.
    segment(1, &[(1, b"one"), (2, b"failed")]);
    segment(2, &[(2, b"two")]);
    let (spool, taken) = open(folder.path(), MIB);
    let found: Vec<_> = taken.unmarked.into_iter().map(|entry| (entry.sequence, entry.body)).collect();
    assert_eq!(found, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert_eq!(all(&spool, 0).0.into_values().collect::<Vec<_>>(), [&b"one"[..], b"two"]);
}

#[test]
fn a_spool_makes_every_folder_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("state").join("spool").join("data_queue.A.B");
    let (spool, _) = open(&deep, MIB);
    append(&spool, &[b"one"]).unwrap();
    assert!(files::holds_entries(&deep));
}

#[derive(Debug, Clone)]
enum Act {
    Append(Vec<usize>),
    Mark,
    Trim(f64),
    Restart,
    /// The agent is killed in the middle of a write: so many bytes of it are there.
    Torn(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => proptest::collection::vec(0_usize..30_000, 1..5).prop_map(Act::Append),
        2 => Just(Act::Mark),
        1 => (0.0..1.0_f64).prop_map(Act::Trim),
        1 => Just(Act::Restart),
        1 => (1_usize..5_000).prop_map(Act::Torn),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_lost_and_no_number_is_given_twice(acts in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(folder.path(), MIB);
        let mut model: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let (mut last, mut marked) = (0_u64, 0);
        for act in acts {
            match act {
                Act::Append(sizes) => {
                    let bodies: Vec<Vec<u8>> =
                        sizes.iter().map(|size| vec![(last + *size as u64) as u8; *size]).collect();
                    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
                    match append(&spool, &slices) {
                        Ok(number) => {
                            prop_assert_eq!(number, last + bodies.len() as u64);
                            model.extend((last + 1..).zip(bodies));
                            last = number;
                        }
                        Err(SpoolError::Full) => prop_assert!(spool.usage().bytes > MIB / 2),
                        Err(error) => panic!("{error}"),
                    }
                }
                Act::Mark => {
                    spool.mark().unwrap();
                    marked = last;
                }
                Act::Trim(share) => {
                    let first = model.keys().next().copied().unwrap_or(last + 1);
                    let delivered = first - 1 + ((last + 1 - first) as f64 * share) as u64;
                    spool.trim(delivered).unwrap();
                    let oldest = spool.first();
                    prop_assert!(oldest <= delivered + 1);
                    model.retain(|number, _| *number >= oldest);
                }
                Act::Restart | Act::Torn(_) => {
                    drop(spool);
                    if let Act::Torn(bytes) = act {
                        let mut record = Vec::new();
                        format::put_record(FRESH, last + 1, 1, &vec![9; bytes], &mut record);
                        let path = segments(folder.path()).pop().unwrap();
                        let mut file = fs::read(&path).unwrap();
                        file.extend_from_slice(&record[..bytes]);
                        fs::write(&path, file).unwrap();
                    }
                    let (opened, taken) = open(folder.path(), MIB);
                    spool = opened;
                    let unmarked: Vec<u64> = taken.unmarked.iter().map(|entry| entry.sequence).collect();
                    let expected: Vec<u64> = model.keys().copied().filter(|number| *number > marked).collect();
                    prop_assert_eq!(unmarked, expected);
                }
            }
            prop_assert!(spool.usage().bytes <= MIB + 4_096);
        }
        let first = model.keys().next().copied().unwrap_or(last + 1);
        let (entries, missing) = all(&spool, first - 1);
        prop_assert_eq!(entries, model);
        prop_assert_eq!(missing, vec![]);
    }
}
