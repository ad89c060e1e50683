//! What an entry carries besides its number and time.

use crate::ebcdic::{BLANK, Page};
use crate::encode::PutField;

/// Fixed part and data of an entry, shared by all entries that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// Journal code: T, U, J.
    pub code: String,
    /// Entry type.
    pub entry_type: String,
    /// Effective user.
    pub user: String,
    /// Job.
    pub job_name: String,
    /// User of the job.
    pub job_user: String,
    /// Number of the job.
    pub job_number: String,
    /// Program.
    pub program: String,
    /// Its library.
    pub program_library: String,
    /// Object, library and member in 30 places; empty for audit entries.
    pub object: String,
    /// Address that the job came from.
    pub remote_address: Option<String>,
    /// Entry-specific data without the blanks at its end.
    pub data: Vec<u8>,
    /// How many blanks were there.
    pub blanks: usize,
    /// What was put into the data, for those who compare.
    pub fields: Vec<PutField>,
    /// The data was spoilt on purpose: `fields` says what should have been there.
    pub damaged: bool,
}

impl Body {
    /// Takes the data in, its trailing blanks only counted.
    #[must_use]
    pub fn with_data(mut self, mut data: Vec<u8>) -> Self {
        let kept = data.iter().rposition(|byte| *byte != BLANK).map_or(0, |last| last + 1);
        self.blanks = data.len() - kept;
        data.truncate(kept);
        data.shrink_to_fit();
        self.data = data;
        self
    }

    /// Length of the data with its blanks.
    #[must_use]
    pub fn length(&self) -> usize {
        self.data.len() + self.blanks
    }

    /// The data with its blanks.
    #[must_use]
    pub fn full_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.length());
        data.extend_from_slice(&self.data);
        data.resize(self.length(), BLANK);
        data
    }

    /// An entry that the journal writes about itself.
    #[must_use]
    pub fn of_journal(entry_type: &str) -> Self {
        Self {
            code: "J".into(),
            entry_type: entry_type.into(),
            user: "QSYS".into(),
            job_name: "SCPF".into(),
            job_user: "QSYS".into(),
            job_number: "000000".into(),
            program: "QWCISCFR".into(),
            program_library: "QSYS".into(),
            ..Self::default()
        }
    }

    /// The entry that begins (PR) or ends (NR) a receiver: it names the one before or after it.
    #[must_use]
    pub fn of_chain(entry_type: &str, library: &str, receiver: &str) -> Self {
        let mut body = Self::of_journal(entry_type);
        let which = if entry_type == "PR" { "Previous" } else { "Next" };
        let mut data = Vec::new();
        let texts = [
            ("receiver name", receiver),
            ("receiver library", library),
            ("dual receiver name", ""),
            ("dual receiver library", ""),
        ];
        for (name, text) in texts {
            // Names of receivers are the same bytes in every page.
            let kept = Page::of(37).map_or_else(String::new, |page| page.put(text, 10, &mut data));
            body.fields.push(PutField { name: format!("{which} {name}"), text: kept });
        }
        body.with_data(data)
    }
}
