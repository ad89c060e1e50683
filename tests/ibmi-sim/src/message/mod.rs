//! The history log in its files, and message queues.
//!
//! As on a real system, what is sent to QSYSOPR and QSYSMSG is written to the history log as well. The files of the
//! log are switched and deleted on command; messages in them, and in queues, are told by their local time only.

pub mod spec;
pub mod text;
pub mod tokens;

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

pub use spec::{MessageError, MessageSpec};

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Local time, microseconds since 1970.
    pub at: i64,
    /// Real time, UTC, from which a reader can see it.
    #[serde(skip)]
    pub visible_at: i64,
    /// Identifier; none for an impromptu message and for a reply.
    pub id: Option<String>,
    /// Type.
    pub kind: String,
    /// Subtype.
    pub subtype: Option<String>,
    /// Severity.
    pub severity: i64,
    /// User that sent it.
    pub user: String,
    /// Job that sent it.
    pub job: String,
    /// Program that sent it.
    pub program: String,
    /// Text.
    pub text: String,
    /// Second-level text.
    pub detail: Option<String>,
    /// Replacement data.
    #[serde(skip)]
    pub tokens: Vec<u8>,
    /// Key in its queue.
    pub key: Option<u32>,
    /// Key of the inquiry that it answers.
    pub answers: Option<u32>,
}

/// One file of the history log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFile {
    /// QHSTyydddn.
    pub name: String,
    /// When it was created, local time.
    pub created: i64,
    /// Its messages.
    pub messages: Vec<Sent>,
}

/// One message queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its messages.
    pub messages: Vec<Sent>,
    next_key: u32,
}

/// Everything that is sent.
#[derive(Debug)]
pub struct Messages {
    files: VecDeque<HistoryFile>,
    switched: u32,
    queues: BTreeMap<(String, String), Queue>,
}

/// Queues whose messages are written to the history log too.
const LOGGED: [&str; 2] = ["QSYSOPR", "QSYSMSG"];

impl Messages {
    /// The history log with one file, and QSYSOPR beside the queues that are named as LIBRARY/NAME.
    #[must_use]
    pub fn new(queues: &[String], now: i64) -> Self {
        let mut messages = Self { files: VecDeque::new(), switched: 0, queues: BTreeMap::new() };
        messages.switch(now);
        messages.create_queue("QSYS/QSYSOPR");
        for queue in queues {
            messages.create_queue(queue);
        }
        messages
    }

    /// The files of the history log, oldest first.
    pub fn files(&self) -> impl Iterator<Item = &HistoryFile> {
        self.files.iter()
    }

    /// Begins the next file of the history log and gives its name.
    pub fn switch(&mut self, now: i64) -> String {
        let (year, _, _) = crate::time::civil(now.div_euclid(crate::time::DAY));
        let first = crate::time::day_number(year, 1, 1);
        let day = now.div_euclid(crate::time::DAY) - first + 1;
        // The last character counts the files of a day, from A.
        let letter = char::from(b'A' + u8::try_from(self.switched % 26).unwrap_or(0));
        self.switched += 1;
        let name = format!("QHST{:02}{day:03}{letter}", year.rem_euclid(100));
        self.files.push_back(HistoryFile { name: name.clone(), created: now, messages: Vec::new() });
        name
    }

    /// Deletes the oldest file that is not written any more.
    pub fn delete_oldest(&mut self) -> Option<String> {
        if self.files.len() < 2 {
            return None;
        }
        self.files.pop_front().map(|file| file.name)
    }

    /// Writes to the history log.
    pub fn log(&mut self, message: Sent) {
        if let Some(file) = self.files.back_mut() {
            file.messages.push(Sent { key: None, answers: None, ..message });
        }
    }

    /// The queue LIBRARY/NAME.
    #[must_use]
    pub fn queue(&self, library: &str, name: &str) -> Option<&Queue> {
        self.queues.get(&(library.to_owned(), name.to_owned()))
    }

    /// Names of all queues.
    pub fn queues(&self) -> impl Iterator<Item = (&(String, String), &Queue)> {
        self.queues.iter()
    }

    /// Creates a queue; one that is there stays as it is.
    pub fn create_queue(&mut self, queue: &str) {
        self.queues.entry(split(queue)).or_default();
    }

    /// Deletes a queue with its messages; false when there was none.
    pub fn delete_queue(&mut self, queue: &str) -> bool {
        self.queues.remove(&split(queue)).is_some()
    }

    /// Removes the messages of a queue, or only the one with that key. Says how many it removed.
    pub fn remove(&mut self, queue: &str, key: Option<u32>) -> usize {
        let Some(found) = self.queues.get_mut(&split(queue)) else { return 0 };
        let before = found.messages.len();
        found.messages.retain(|message| key.is_some() && message.key != key);
        before - found.messages.len()
    }

    /// Sends a message to a queue, and to the history log where that belongs to it. Gives its key.
    ///
    /// # Errors
    /// When there is no such queue.
    pub fn send(&mut self, queue: &str, message: Sent) -> Result<u32, MessageError> {
        let place = split(queue);
        let logged = place.0 == "QSYS" && LOGGED.contains(&place.1.as_str());
        let found = self.queues.get_mut(&place).ok_or_else(|| MessageError::NoQueue(queue.to_owned()))?;
        found.next_key += 1;
        let key = found.next_key;
        let message = Sent { key: Some(key), ..message };
        found.messages.push(message.clone());
        if logged {
            self.log(message);
        }
        Ok(key)
    }

    /// The inquiry with that key.
    ///
    /// # Errors
    /// When there is no such queue, or no such inquiry in it.
    pub fn inquiry(&self, queue: &str, key: u32) -> Result<&Sent, MessageError> {
        let found = self.queues.get(&split(queue)).ok_or_else(|| MessageError::NoQueue(queue.to_owned()))?;
        let inquiry =
            found.messages.iter().find(|message| message.key == Some(key) && message.kind == "INQUIRY");
        let missing = || MessageError::NoInquiry { queue: queue.to_owned(), key: format!("{key:08X}") };
        inquiry.ok_or_else(missing)
    }
}

/// Library and name; QSYS where no library is given.
fn split(queue: &str) -> (String, String) {
    let queue = queue.to_uppercase();
    let (library, name) = queue.split_once('/').unwrap_or(("QSYS", &queue));
    (library.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Sent {
        Sent {
            at: 0,
            visible_at: 0,
            id: None,
            kind: "INQUIRY".into(),
            subtype: None,
            severity: 0,
            user: String::new(),
            job: String::new(),
            program: String::new(),
            text: text.into(),
            detail: None,
            tokens: Vec::new(),
            key: None,
            answers: None,
        }
    }

    #[test]
    fn files_switch_and_the_one_that_is_written_stays() {
        let mut messages = Messages::new(&[], 0);
        messages.log(sent("a"));
        assert_eq!(messages.delete_oldest(), None);
        assert_eq!(messages.switch(0), "QHST70001B");
        messages.log(sent("b"));
        assert_eq!(messages.delete_oldest().as_deref(), Some("QHST70001A"));
        let texts: Vec<_> =
            messages.files().flat_map(|file| &file.messages).map(|sent| sent.text.as_str()).collect();
        assert_eq!(texts, ["b"]);
    }

    #[test]
    fn queues_have_keys_and_two_are_logged() {
        let mut messages = Messages::new(&["QGPL/OPS".into()], 0);
        assert_eq!(messages.send("QSYSOPR", sent("a")), Ok(1));
        assert_eq!(messages.send("qsys/qsysopr", sent("b")), Ok(2));
        assert_eq!(messages.send("QGPL/OPS", sent("c")), Ok(1));
        assert_eq!(
            messages.send("QSYS/QSYSMSG", sent("d")),
            Err(MessageError::NoQueue("QSYS/QSYSMSG".into()))
        );
        assert_eq!(messages.files().map(|file| file.messages.len()).sum::<usize>(), 2);
        assert_eq!(messages.inquiry("QSYSOPR", 2).map(|sent| sent.text.as_str()), Ok("b"));
        assert!(messages.inquiry("QSYSOPR", 9).is_err());
        assert_eq!(messages.remove("QSYSOPR", Some(2)), 1);
        assert_eq!(messages.remove("QSYSOPR", None), 1);
        assert!(messages.delete_queue("QGPL/OPS") && !messages.delete_queue("QGPL/OPS"));
    }
}
