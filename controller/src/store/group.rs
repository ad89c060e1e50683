//! Batches that are made durable together: a function of them and what is stored.
//!
//! Each batch is checked as if those before it were stored already; one that is refused leaves no trace in
//! the group.

use super::{Batch, StoreError};
use std::collections::HashMap;

/// The outcome of several batches, one after the other.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// By key; `None` deletes.
    writes: HashMap<String, Option<Vec<u8>>>,
    bytes: usize,
}

impl Group {
    /// Adds a batch if its conditions hold; `stored` reads what was stored before the group.
    ///
    /// # Errors
    /// If a condition does not hold, a limit is passed, or reading fails; then the group is as before.
    pub(super) fn add<V: AsRef<[u8]>>(
        &mut self,
        batch: Batch,
        stored: impl Fn(&str) -> Result<Option<V>, StoreError>,
    ) -> Result<(), StoreError> {
        batch.check_sizes()?;
        for write in &batch.writes {
            if write.condition.is_any() {
                continue;
            }
            let holds = match self.writes.get(&write.key) {
                Some(pending) => write.condition.holds(pending.as_deref()),
                None => write.condition.holds(stored(&write.key)?.as_ref().map(AsRef::as_ref)),
            };
            if !holds {
                return Err(StoreError::Conflict { key: write.key.clone() });
            }
        }
        for write in batch.writes {
            self.bytes += write.key.len() + write.value.as_ref().map_or(0, Vec::len);
            self.writes.insert(write.key, write.value);
        }
        Ok(())
    }

    /// Bytes that were added.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Keys that are written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.writes.keys().map(String::as_str)
    }

    /// What is to be written.
    pub(super) fn writes(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.writes.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::*;

    fn put(key: &str, condition: Condition, value: &str) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, condition, value.as_bytes().to_vec());
        batch
    }

    fn delete(key: &str, condition: Condition) -> Batch {
        let mut batch = Batch::new();
        batch.delete(key, condition);
        batch
    }

    #[test]
    fn each_batch_sees_those_before_it() {
        use Condition::{Absent, Any, Equals};
        let is = |text: &str| Equals(text.as_bytes().to_vec());
        let stored = |key: &str| Ok((key == "old").then(|| b"1".to_vec()));
        /// Name, batches with whether each is taken, what is then to be written.
        type Case = (&'static str, Vec<(Batch, bool)>, Vec<(&'static str, Option<&'static str>)>);
        let cases: Vec<Case> = vec![
            ("what is stored counts", vec![(put("old", Absent, "2"), false)], vec![]),
            (
                "as does what comes",
                vec![(put("a", Absent, "1"), true), (put("a", Absent, "2"), false)],
                vec![("a", Some("1"))],
            ),
            (
                "one after the other",
                vec![(put("old", is("1"), "2"), true), (put("old", is("2"), "3"), true)],
                vec![("old", Some("3"))],
            ),
            (
                "a deleted key is absent",
                vec![(delete("old", is("1")), true), (put("old", Absent, "9"), true)],
                vec![("old", Some("9"))],
            ),
            (
                "a refused one leaves nothing",
                vec![
                    (put("a", Any, "1"), true),
                    (
                        {
                            let mut batch = put("a", Any, "2");
                            batch.put("b", is("x"), b"1".to_vec());
                            batch
                        },
                        false,
                    ),
                ],
                vec![("a", Some("1"))],
            ),
        ];
        for (name, batches, expected) in cases {
            let mut group = Group::default();
            for (batch, done) in batches {
                assert_eq!(group.add(batch, stored).is_ok(), done, "{name}");
            }
            let mut writes: Vec<_> =
                group.writes().map(|(k, v)| (k, v.map(|v| std::str::from_utf8(v).unwrap()))).collect();
            writes.sort_unstable();
            assert_eq!(writes, expected, "{name}");
        }
    }
}
