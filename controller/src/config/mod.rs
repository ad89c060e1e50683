//! What the controller is told at its start, checked.

use crate::backup::BackupConfig;
use crate::gateway::overload::Limits;
use crate::identity::tls::CertificateFiles;
use crate::package::PackageLimits;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a controller.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it keeps its state.
    pub data_dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names and addresses by which agents and people reach it: they are put into its certificate and
    /// into enrolment tokens.
    pub names: Vec<String>,
    /// A certificate of the company's, shown to everybody but agents.
    pub tls_files: Option<CertificateFiles>,
    /// Gets the address that it listens on, for programs that start it on port 0.
    pub port_file: Option<PathBuf>,
    /// Gets the one-time password of the first start, instead of standard output.
    pub admin_password_file: Option<PathBuf>,
    /// Shows the first start to a person, before its password is stored; not called if there is a file for the
    /// password.
    pub show_first_start: Option<fn(&FirstStart<'_>)>,
    /// Heartbeat interval of agents in seconds, 1 or more.
    pub heartbeat_seconds: u64,
    /// Life of agents' certificates.
    pub certificate_life: Duration,
    /// How long after its expiry a certificate may still be used to renew it: a controller that was down over
    /// a long holiday shall cost nobody a visit.
    pub renewal_grace: Duration,
    /// How long a second connection of an agent waits for the first to show life.
    pub probe: Duration,
    /// Threads that serve connections.
    pub workers: usize,
    /// Most bytes on disk of the history of rates; the oldest hours go first.
    pub history_bytes: u64,
    /// Time between two moments of the history.
    pub history_span: Duration,
    /// Days of the licence that pass in one day; 1 but for tests.
    pub licence_pace: u32,
    /// How backups are made; none if it makes none.
    pub backup: Option<BackupConfig>,
    /// How much the repository of packages takes, and gives at a time.
    pub packages: PackageLimits,
    /// Open files that the process may have.
    pub open_files: u64,
    /// How many agents may want what costs much at the same time.
    pub limits: Limits,
}

/// What the first start has to show.
pub struct FirstStart<'a> {
    /// The address listened on.
    pub addr: SocketAddr,
    /// One-time password of the user `admin`.
    pub password: &'a str,
    /// Fingerprint of the authority's certificate.
    pub ca_sha256: &'a str,
}

/// Default port of OpAMP, on the loopback address: a controller is not open to the network unasked.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4320";

/// Default life of agents' certificates in days; agents renew them at two thirds of it.
pub const DEFAULT_CERTIFICATE_DAYS: u32 = 7;

/// Days after its expiry on which a certificate may still be renewed.
pub const RENEWAL_GRACE_DAYS: u32 = 90;

/// A day of 10,000 busy agents with three sources and a destination each takes some 350 MB.
pub const DEFAULT_HISTORY_BYTES: u64 = 512 * 1024 * 1024;

/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Defaults for a data folder: a free port on the loopback address.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            names: Vec::new(),
            tls_files: None,
            port_file: None,
            admin_password_file: None,
            show_first_start: None,
            heartbeat_seconds: muster_proto::opamp::DEFAULT_HEARTBEAT_SECONDS,
            certificate_life: DAY * DEFAULT_CERTIFICATE_DAYS,
            renewal_grace: DAY * RENEWAL_GRACE_DAYS,
            probe: Duration::from_secs(3),
            workers: 2,
            history_bytes: DEFAULT_HISTORY_BYTES,
            history_span: Duration::from_secs(60),
            licence_pace: 1,
            backup: None,
            packages: PackageLimits::default(),
            open_files: u64::MAX,
            limits: Limits::default(),
        }
    }

    /// Makes a week last `week`: lives of agents' certificates and the time in which they can still be renewed
    /// keep their proportion. For tests and demonstrations.
    #[must_use]
    pub fn with_week(self, week: Duration) -> Self {
        let renewal_grace = week * RENEWAL_GRACE_DAYS / DEFAULT_CERTIFICATE_DAYS;
        Self { certificate_life: week, renewal_grace, ..self }
    }

    /// Every name that the controller's certificate carries.
    #[must_use]
    pub fn certificate_names(&self, host_name: Option<&str>) -> Vec<String> {
        let mut names = self.names.clone();
        if !self.listen.ip().is_unspecified() {
            names.push(self.listen.ip().to_string());
        }
        names.extend(["localhost", "127.0.0.1"].map(str::to_owned));
        names.extend(host_name.map(str::to_owned));
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|n| !n.is_empty() && seen.insert(n.to_lowercase()));
        names
    }

    /// URLs for enrolment tokens that name none: the given names, else the address listened on, else the
    /// host's name.
    #[must_use]
    pub fn urls(&self, address: SocketAddr, host_name: Option<&str>) -> Vec<String> {
        let port = address.port();
        let url = |name: &str| {
            // An IPv6 address stands in brackets.
            if name.contains(':') {
                format!("https://[{name}]:{port}")
            } else {
                format!("https://{name}:{port}")
            }
        };
        if !self.names.is_empty() {
            return self.names.iter().take(muster_proto::session::token::MAX_URLS).map(|n| url(n)).collect();
        }
        match (address.ip().is_unspecified(), host_name) {
            (false, _) => vec![url(&address.ip().to_string())],
            (true, Some(host)) => vec![url(host)],
            (true, None) => vec![url("localhost")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls() {
        let mut config = Config::new("/d");
        let at = |s: &str| s.parse::<SocketAddr>().unwrap();
        assert_eq!(config.certificate_names(Some("h")), ["127.0.0.1", "localhost", "h"]);
        assert_eq!(config.urls(at("127.0.0.1:7"), Some("h")), ["https://127.0.0.1:7"]);
        assert_eq!(config.urls(at("0.0.0.0:7"), Some("h")), ["https://h:7"]);
        assert_eq!(config.urls(at("[::1]:7"), None), ["https://[::1]:7"]);
        config.names = vec!["c.example".to_owned(), "LOCALHOST".to_owned()];
        assert_eq!(config.certificate_names(None), ["c.example", "LOCALHOST", "127.0.0.1"]);
        assert_eq!(config.urls(at("0.0.0.0:7"), None)[0], "https://c.example:7");
    }
}
