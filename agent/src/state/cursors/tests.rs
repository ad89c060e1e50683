use super::*;
use muster_shared::cursor::{JournalCursor, ReceiverId};

fn key(source: &str) -> CursorKey {
    CursorKey { source: source.into(), destination: "siem".into() }
}

fn at(sequence: u64) -> Cursor {
    let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 5 };
    Cursor::Journal(JournalCursor { receiver, sequence })
}

#[derive(Debug, PartialEq)]
enum Found {
    Cursor(Cursor),
    First,
    Lost,
}

impl Loaded {
    fn find(&self, key: &CursorKey) -> Found {
        match self.cursors.get(key) {
            Some(cursor) => Found::Cursor(cursor.clone()),
            None if self.lost.covers(key) => Found::Lost,
            None => Found::First,
        }
    }
}

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Loaded {
        CursorStore::open(&StateDir::open(self.folder.path()).unwrap()).1
    }

    /// Saves `sequence` for source "a" in a run of its own.
    fn save(&self, sequence: u64) {
        self.save_with(&["a"], sequence);
    }

    /// The same for these sources, under a policy that has "a" and "b".
    fn save_with(&self, sources: &[&str], sequence: u64) {
        let dir = StateDir::open(self.folder.path()).unwrap();
        let (mut store, _) = CursorStore::open(&dir);
        store.settle_lost(&[key("a"), key("b")].into());
        let cursors = sources.iter().map(|source| (key(source), at(sequence))).collect();
        assert_eq!(store.save(&cursors).unwrap(), Copies::Both);
    }

    fn damage_file(&self) {
        let mut bytes = std::fs::read(self.path(FILE)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.path(FILE), bytes).unwrap();
    }

    fn damage_sled(&self) {
        for entry in std::fs::read_dir(self.path(SLED)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let length = std::fs::metadata(&path).unwrap().len() as usize;
                std::fs::write(&path, vec![0xA5; length.min(4 * 1024 * 1024)]).unwrap();
            }
        }
    }
}

#[test]
fn a_first_start_is_no_loss_and_a_stored_cursor_is_found() {
    let home = Home::new();
    assert_eq!(home.load().find(&key("a")), Found::First);
    home.save(7);
    let loaded = home.load();
    assert_eq!(loaded.find(&key("a")), Found::Cursor(at(7)));
    assert_eq!(loaded.find(&key("new source")), Found::First);
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
}

#[test]
fn one_damaged_copy_is_mended_from_the_other() {
    for damage in [Home::damage_file, Home::damage_sled] {
        let home = Home::new();
        home.save(7);
        damage(&home);
        let loaded = home.load();
        assert_eq!(loaded.find(&key("a")), Found::Cursor(at(7)));
        assert_eq!(loaded.notes.len(), 1, "{:?}", loaded.notes);
        home.save(8);
        assert_eq!(
            home.load(),
            Loaded { cursors: [(key("a"), at(8))].into(), lost: Lost::None, notes: vec![] }
        );
    }
}

#[test]
fn the_newer_copy_wins() {
    let home = Home::new();
    home.save(7);
    let old = std::fs::read(home.path(FILE)).unwrap();
    home.save(8);
    std::fs::write(home.path(FILE), old).unwrap();
    assert_eq!(home.load().find(&key("a")), Found::Cursor(at(8)));
}

#[test]
fn both_copies_gone_or_damaged_are_a_loss_until_every_source_has_a_cursor_again() {
    let gone = |home: &Home| {
        std::fs::remove_file(home.path(FILE)).unwrap();
        std::fs::remove_dir_all(home.path(SLED)).unwrap();
    };
    let damaged = |home: &Home| {
        home.damage_file();
        home.damage_sled();
    };
    for lose in [&gone as &dyn Fn(&Home), &damaged] {
        let home = Home::new();
        home.save(7);
        lose(&home);
        assert_eq!(home.load().find(&key("a")), Found::Lost);
        home.save(1);
        assert_eq!(home.load().find(&key("a")), Found::Cursor(at(1)));
        assert_eq!(home.load().find(&key("b")), Found::Lost, "b has not stored its cursor since");
        assert_eq!(home.load().find(&key("c")), Found::First, "a source that was added after the loss");
        home.save_with(&["a", "b"], 2);
        assert_eq!(*home.load().lost(), Lost::None);
    }
}

#[test]
fn a_second_damage_is_mended_like_the_first() {
    let home = Home::new();
    for round in 1..=3 {
        home.save(round);
        home.damage_sled();
        assert_eq!(home.load().find(&key("a")), Found::Cursor(at(round)), "round {round}");
    }
}
