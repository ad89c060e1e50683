//! What a simulated partition is: a TOML file, or the same built in a test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ebcdic::Page;

/// A scenario file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("cannot read scenario {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what a scenario looks like.
    #[error("scenario {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        source: Box<toml::de::Error>,
    },
    /// Its values do not fit.
    #[error("scenario {name}: {reason}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// Behaviour of the Mapepire server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Generation {
    /// Servers up to 2.3.3.
    G1,
    /// Servers 2.3.4 and 2.3.5.
    G1b,
    /// Servers from the change of byte columns of 2026 on.
    G2,
}

/// What servers do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// Version that it tells unless the scenario gives another.
    pub version: &'static str,
    /// Column metadata names the table.
    pub names_table: bool,
    /// `prepare_sql` describes columns in full.
    pub describes_prepared: bool,
    /// Rows of `cl` have QUALIFIED_JOB_NAME.
    pub names_job: bool,
    /// Byte columns are objects that name where the bytes are, and byte parameters are Base64; else both are
    /// hex digits.
    pub keeps_blobs: bool,
    /// A password may have a colon.
    pub takes_colon: bool,
    /// Largest message that it takes, in bytes.
    pub message_limit: usize,
}

const HEX_SERVER: Manners = Manners {
    version: "2.3.2",
    names_table: false,
    describes_prepared: false,
    names_job: true,
    keeps_blobs: false,
    takes_colon: false,
    message_limit: muster_proto::mapepire::MAX_REQUEST_BYTES,
};

impl Generation {
    /// All of them, with the names that a scenario and the command line have for them.
    pub const ALL: [(&'static str, Self); 3] = [("G1", Self::G1), ("G1b", Self::G1b), ("G2", Self::G2)];

    /// How servers of this generation behave.
    #[must_use]
    pub fn manners(self) -> Manners {
        let described = Manners {
            version: "2.3.5",
            names_table: true,
            describes_prepared: true,
            names_job: false,
            ..HEX_SERVER
        };
        match self {
            Self::G1 => HEX_SERVER,
            Self::G1b => described,
            Self::G2 => Manners {
                version: "2.3.6",
                keeps_blobs: true,
                takes_colon: true,
                message_limit: i32::MAX as usize,
                ..described
            },
        }
    }
}

impl std::str::FromStr for Generation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, generation)| *generation).ok_or_else(|| "generations are: G1, G1b, G2".to_owned())
    }
}

/// A whole simulated partition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// For people.
    pub name: String,
    /// The system itself.
    #[serde(default)]
    pub system: System,
    /// The Mapepire server.
    #[serde(default)]
    pub server: Server,
    /// Who may sign on.
    #[serde(default = "default_users")]
    pub users: Vec<User>,
    /// The audit journal.
    #[serde(default)]
    pub journal: JournalPlan,
    /// What happens by itself.
    #[serde(default)]
    pub traffic: Traffic,
    /// Names and strings that entries are made of.
    #[serde(default)]
    pub texts: Texts,
    /// Exit programs that are registered from the start.
    #[serde(default)]
    pub exit_programs: Vec<crate::registry::ExitProgram>,
    /// Data queues that are there from the start.
    #[serde(default)]
    pub data_queues: Vec<crate::queue::QueuePlan>,
    /// Message queues beside QSYS/QSYSOPR, as LIBRARY/NAME.
    #[serde(default)]
    pub message_queues: Vec<String>,
    /// Faults that are there from the start.
    #[serde(default)]
    pub faults: Vec<crate::fault::Fault>,
}

/// Identity and settings of the system.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct System {
    /// TCP/IP host name.
    pub host_name: String,
    /// Name of the partition.
    pub partition_name: String,
    /// Number of the partition.
    pub partition_id: i64,
    /// Serial number.
    pub serial: String,
    /// Machine type.
    pub machine_type: String,
    /// Machine model.
    pub machine_model: String,
    /// `7.3` to `7.6`.
    pub release: String,
    /// QCCSID; 65535 is allowed, then `page` says in which page entries are written.
    pub ccsid: u16,
    /// Code page of the text in entries, where QCCSID is 65535.
    pub page: Option<u16>,
    /// Minutes that local time is ahead of UTC.
    pub utc_offset_minutes: i64,
    /// QLANGID, the language of messages: ENU, DEU or FRA.
    pub language: String,
    /// QMAXSIGN: failed sign-ons that disable a profile.
    pub max_sign_on_attempts: u32,
}

impl Default for System {
    fn default() -> Self {
        Self {
            host_name: "SIM01".into(),
            partition_name: "SIM01".into(),
            partition_id: 1,
            serial: "7800001".into(),
            machine_type: "9009".into(),
            machine_model: "41A".into(),
            release: "7.5".into(),
            ccsid: 37,
            page: None,
            utc_offset_minutes: 0,
            language: "ENU".into(),
            max_sign_on_attempts: 5,
        }
    }
}

/// The server program.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Which servers it behaves like.
    pub generation: Generation,
    /// Version it tells; by default one of that generation.
    pub version: Option<String>,
    /// Lines of iprules.conf, `allow|deny user@address`; by default `allow *@*`, `deny q*@*`.
    pub ip_rules: Option<Vec<String>>,
    /// Seconds for which bytes are kept beside a reply (BLOB_TOKEN_TTL of generation G2).
    pub blob_token_ttl: u64,
    /// Largest message that it takes, in bytes (MAX_WS_MESSAGE_SIZE); by default that of the generation.
    pub max_message_bytes: Option<usize>,
    /// Seed of made-up things such as the job number.
    pub job_number: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            generation: Generation::G1b,
            version: None,
            ip_rules: None,
            blob_token_ttl: 60,
            max_message_bytes: None,
            job_number: 330_921,
        }
    }
}

impl Server {
    /// How it behaves.
    #[must_use]
    pub fn manners(&self) -> Manners {
        self.generation.manners()
    }

    /// The version it tells.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or(self.manners().version)
    }

    /// Whether GET /source tells where it is installed: servers 2.3.5 and later.
    #[must_use]
    pub fn tells_source(&self) -> bool {
        let numbers: Vec<u32> = self.version().split('.').map_while(|part| part.parse().ok()).collect();
        numbers >= vec![2, 3, 5]
    }

    /// Largest message that it takes, in bytes.
    #[must_use]
    pub fn message_limit(&self) -> usize {
        self.max_message_bytes.unwrap_or(self.manners().message_limit)
    }
}

/// One user profile that may sign on.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Profile name.
    pub name: String,
    /// Password.
    pub password: String,
    /// May it read the audit journal?
    #[serde(default = "yes")]
    pub reads_audit: bool,
    /// Is its password expired?
    #[serde(default)]
    pub expired: bool,
    /// Is it disabled?
    #[serde(default)]
    pub disabled: bool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

fn default_users() -> Vec<User> {
    vec![User {
        name: "MUSTER".into(),
        password: "muster1".into(),
        reads_audit: true,
        expired: false,
        disabled: false,
    }]
}

/// The audit journal and its receivers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalPlan {
    /// Library of the journal.
    pub library: String,
    /// Name of the journal.
    pub name: String,
    /// Library of the receivers.
    pub receiver_library: String,
    /// First letters of their names; four digits follow.
    pub receiver_prefix: String,
    /// Entries after which the next receiver is attached; 0 = only on command.
    pub receiver_size: usize,
    /// Receivers kept; older ones are deleted. 0 = all.
    pub keep_receivers: usize,
    /// Every so many entries one sequence number goes to an internal entry that nobody sees; 0 = never.
    pub hole_every: u64,
    /// First sequence number.
    pub first_sequence: u64,
}

impl Default for JournalPlan {
    fn default() -> Self {
        Self {
            library: "QSYS".into(),
            name: "QAUDJRN".into(),
            receiver_library: "QGPL".into(),
            receiver_prefix: "AUDRCV".into(),
            receiver_size: 100_000,
            keep_receivers: 0,
            hole_every: 0,
            first_sequence: 1,
        }
    }
}

/// What the partition does by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// Entries a second.
    pub rate: f64,
    /// Seed of the mix.
    pub seed: u64,
    /// Weight per entry type.
    pub mix: BTreeMap<String, u32>,
}

impl Default for Traffic {
    fn default() -> Self {
        let mix = [
            ("ZR", 40),
            ("ZC", 14),
            ("JS", 14),
            ("CD", 8),
            ("AF", 6),
            ("PW", 4),
            ("CO", 4),
            ("DO", 4),
            ("CA", 3),
            ("CP", 2),
            ("SV", 1),
        ];
        Self {
            rate: 0.0,
            seed: 1,
            mix: mix.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect(),
        }
    }
}

/// Strings that entries are made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Texts {
    /// User profiles.
    pub users: Vec<String>,
    /// Libraries.
    pub libraries: Vec<String>,
    /// Objects (files).
    pub objects: Vec<String>,
    /// Programs.
    pub programs: Vec<String>,
    /// Command strings.
    pub commands: Vec<String>,
    /// Paths in the integrated file system.
    pub paths: Vec<String>,
    /// Addresses that jobs come from.
    pub addresses: Vec<String>,
}

impl Default for Texts {
    fn default() -> Self {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            users: list(&["ALICE", "BOB", "CAROL", "DAVE", "QSECOFR", "WEBAPP", "BATCHUSR"]),
            libraries: list(&["PAYROLL", "SALES", "PRODLIB", "QGPL"]),
            objects: list(&["EMP", "ORDERS", "CUSTMAST", "PRICES", "LEDGER"]),
            programs: list(&["PAY100", "ORD200", "QCMD", "QZDASOINIT"]),
            commands: list(&["WRKACTJOB", "DSPUSRPRF USRPRF(BOB)", "CHGUSRPRF USRPRF(BOB) PASSWORD(*NONE)"]),
            paths: list(&["/home/bob/report.txt", "/QOpenSys/etc/hosts"]),
            addresses: list(&["10.1.2.3", "192.168.7.20", "2001:db8::17"]),
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "default".into(),
            system: System::default(),
            server: Server::default(),
            users: default_users(),
            journal: JournalPlan::default(),
            traffic: Traffic::default(),
            texts: Texts::default(),
            exit_programs: Vec::new(),
            data_queues: Vec::new(),
            message_queues: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// When the file cannot be read or its content is not a usable scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let scenario: Self = toml::from_str(&text)
            .map_err(|source| ScenarioError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks what the types alone do not.
    ///
    /// # Errors
    /// Names the value that does not fit.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let invalid = |reason: String| Err(ScenarioError::Invalid { name: self.name.clone(), reason });
        let Some(page) = self.page() else {
            return invalid(format!(
                "no EBCDIC page {}; give system.page one of {:?}",
                self.system.page.unwrap_or(self.system.ccsid),
                Page::all().collect::<Vec<_>>()
            ));
        };
        if let Some(unknown) = self.traffic.mix.keys().find(|name| crate::encode::layout(name).is_none()) {
            return invalid(format!("traffic.mix names entry type {unknown}, which no layout knows"));
        }
        if !(0.0..=1_000_000.0).contains(&self.traffic.rate) {
            return invalid(format!("traffic.rate {} is not between 0 and 1000000", self.traffic.rate));
        }
        let texts = &self.texts;
        let lists = [&texts.users, &texts.libraries, &texts.objects, &texts.programs, &texts.commands];
        if let Some(text) = lists.into_iter().flatten().find(|text| !page.covers(text)) {
            return invalid(format!("page {} cannot write {text:?}", page.ccsid));
        }
        if !crate::message::text::has_language(&self.system.language) {
            return invalid(format!(
                "system.language {:?} has no message texts; use ENU, DEU or FRA",
                self.system.language
            ));
        }
        if self.journal.receiver_prefix.len() > 6 {
            return invalid("journal.receiver_prefix has more than 6 letters".into());
        }
        Ok(())
    }

    /// The page in which entries are written.
    #[must_use]
    pub fn page(&self) -> Option<&'static Page> {
        Page::of(self.system.page.unwrap_or(self.system.ccsid))
    }
}
