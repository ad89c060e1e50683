//! The agent's local configuration: read, checked, and built into a type that cannot be wrong.
//!
//! Checking reads the files that the configuration names and connects to nothing; `check-config
//! --connect` does that.

mod file;

pub use file::{ConfigFile, ControllerTable, LogFormat};

use crate::host::mapepire::{MapepireConfig, Password, Trust};
use crate::upgrade::UpgradeSettings;
use crate::uplink::transport::TransportKind;
use crate::uplink::transport::proxy::Proxy;
use muster_ibmi::ebcdic;
use muster_shared::policy::limits::Limits;
use muster_shared::policy::model::{EffectivePolicy, PolicySpec};
use muster_shared::policy::signature::TrustedKeys;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Port of a Mapepire server.
const MAPEPIRE_PORT: u16 = 8076;
/// Largest configuration, password or certificate file that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// What is wrong with the configuration and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {what} {}: {cause}", path.display())]
    Read {
        /// What the file is for.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where there is one.
        problem: String,
    },
}

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of state.
    pub state_dir: PathBuf,
    /// Host name or address of the Mapepire server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The profile.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// When the password file was last changed, microseconds since 1970 UTC; 0 where that is not known.
    pub password_stamp: i64,
    /// What is not wrong but should be mended, for people.
    pub warnings: Vec<String>,
    /// Certificate verification.
    pub trust: Trust,
    /// CCSID where QCCSID is 65535.
    pub ccsid: Option<u16>,
    /// Local policy of a stand-alone agent.
    pub policy: Option<(PathBuf, PolicySpec)>,
    /// Folder of secrets.
    pub secrets_dir: Option<PathBuf>,
    /// What no policy may widen.
    pub limits: Limits,
    /// Keys of which one must have signed each document of a controller's policy; empty: none is asked for.
    pub policy_keys: TrustedKeys,
    /// How messages to the controller travel.
    pub transport: TransportKind,
    /// The way to the controller, if not direct.
    pub proxy: Option<Proxy>,
    /// Log format.
    pub log_format: LogFormat,
    /// Log filter.
    pub log_filter: String,
    /// The controller may look into this agent.
    pub inspect: bool,
    /// Upgrades by the controller.
    pub upgrade: UpgradeSettings,
    /// The configuration file itself.
    pub file: PathBuf,
}

impl Config {
    /// How the partition is reached.
    #[must_use]
    pub fn mapepire(&self) -> MapepireConfig {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        MapepireConfig {
            address: format!("{host}:{}", self.port),
            user: self.user.clone(),
            password: self.password.clone(),
            trust: self.trust.clone(),
        }
    }

    /// Folder of the secrets that policies refer to by name.
    #[must_use]
    pub fn secrets_folder(&self) -> PathBuf {
        self.secrets_dir.clone().unwrap_or_else(|| self.state_dir.join("secrets"))
    }

    /// Reads and checks the file at `path` and the files that it names. Relative paths are relative to it.
    ///
    /// # Errors
    /// [`ConfigError`] with the file, the place and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read("the configuration", path)?;
        let file: ConfigFile =
            toml::from_str(&text).map_err(|error| content(path, without_quote(&text, &error)))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let at = |relative: &Path| base.join(relative);
        let (host, port) =
            split_address(&file.partition.address).map_err(|problem| content(path, problem))?;
        let password = read("the password file", &at(&file.partition.password_file))?;
        let password = Zeroizing::new(password);
        let (warnings, password_stamp) = look_at_password_file(&at(&file.partition.password_file));
        let password = password.lines().next().unwrap_or("").to_owned();
        if password.is_empty() {
            return Err(content(
                &at(&file.partition.password_file),
                "the first line, the password, is empty".into(),
            ));
        }
        check_sign_on(&file.partition.user, &password).map_err(|problem| content(path, problem))?;
        file.partition.ccsid.map_or(Ok(()), check_ccsid).map_err(|problem| content(path, problem))?;
        let trust = trust(&file, base, path)?;
        let policy = match &file.policy.file {
            Some(policy) => Some((at(policy), load_policy(&at(policy))?)),
            None => None,
        };
        let policy_keys = policy_keys(&file.policy).map_err(|problem| content(path, problem))?;
        file.upgrade.check().map_err(|problem| content(path, problem))?;
        let limits = Limits::build(file.limits.into_spec())
            .map_err(|error| content(path, format!("[limits] {error}")))?;
        if let Some((local, spec)) = &policy {
            let policy = EffectivePolicy { spec: spec.clone(), ..EffectivePolicy::default() };
            crate::policy::limits::allow(&limits, &policy, None).map_err(|breaches| {
                content(local, format!("it does not keep the [limits] of {}: {breaches}", path.display()))
            })?;
        }
        Ok(Self {
            state_dir: at(&file.state_dir),
            host,
            port,
            user: file.partition.user.to_uppercase(),
            password: Password::new(password),
            password_stamp,
            warnings,
            trust,
            ccsid: file.partition.ccsid,
            policy,
            secrets_dir: file.secrets.dir.as_deref().map(at),
            limits,
            policy_keys,
            transport: file.controller.transport,
            proxy: proxy(&file.controller, base, path)?,
            log_format: file.log.format,
            log_filter: file.log.filter.unwrap_or_else(|| "info".to_owned()),
            inspect: file.inspect.enabled,
            upgrade: file.upgrade,
            file: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        })
    }
}

/// Reads a stand-alone agent's policy file.
///
/// # Errors
/// [`ConfigError`] naming line and column, or every problem of meaning.
pub fn load_policy(path: &Path) -> Result<PolicySpec, ConfigError> {
    let text = read("the policy", path)?;
    let spec = muster_shared::policy::parse_spec(&text).map_err(|error| content(path, error.to_string()))?;
    let problems = muster_shared::policy::validate_spec(&spec);
    let errors: Vec<String> = problems.iter().filter(|p| p.is_error()).map(ToString::to_string).collect();
    if errors.is_empty() { Ok(spec) } else { Err(content(path, errors.join("; "))) }
}

fn policy_keys(table: &file::PolicyTable) -> Result<TrustedKeys, String> {
    let keys = TrustedKeys::new(table.trusted_keys.clone())
        .map_err(|error| format!("[policy] trusted_keys: {error}"))?;
    match (table.require_signature, keys.is_empty()) {
        (true, true) => {
            Err("[policy] require_signature needs trusted_keys: the public keys of those who sign".into())
        }
        // Keys that are named and not used would be a false comfort.
        (false, false) => Err("[policy] trusted_keys has no effect without require_signature = true".into()),
        (true, false) | (false, true) => Ok(keys),
    }
}

fn trust(file: &ConfigFile, base: &Path, path: &Path) -> Result<Trust, ConfigError> {
    match (&file.partition.ca_file, &file.partition.pin_sha256) {
        (Some(ca), None) => {
            let ca = base.join(ca);
            let pem = read("the certification authority of the partition", &ca)?;
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                return Err(content(&ca, "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".into()));
            }
            Ok(Trust::Authorities(pem))
        }
        (None, Some(pin)) => Trust::pin(pin)
            .ok_or_else(|| content(path, "pin_sha256 must be 64 hexadecimal digits (colons allowed)".into())),
        (Some(_), Some(_)) => Err(content(path, "[partition] has both ca_file and pin_sha256; keep one".into())),
        (None, None) => Err(content(
            path,
            "[partition] needs ca_file or pin_sha256: a Mapepire server usually presents a certificate that it \
             signed itself, and an unverified one could be anybody's. Show its fingerprint with `openssl s_client \
             -connect HOST:8076 </dev/null | openssl x509 -noout -fingerprint -sha256`, compare it on the \
             partition, and put it into pin_sha256"
                .into(),
        )),
    }
}

/// The proxy to the controller, with its password read.
fn proxy(table: &ControllerTable, base: &Path, path: &Path) -> Result<Option<Proxy>, ConfigError> {
    let sign_on = match (&table.proxy_user, &table.proxy_password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => {
            let text = Zeroizing::new(read("the proxy's password file", &base.join(file))?);
            let password = text.lines().next().unwrap_or("");
            if password.is_empty() || user.is_empty() || user.contains(':') {
                let problem = "[controller] proxy_user must not be empty or hold a colon, and the first line of \
                               proxy_password_file is the password";
                return Err(content(path, problem.into()));
            }
            Some((user.clone(), Zeroizing::new(password.to_owned())))
        }
        (Some(_), None) | (None, Some(_)) => {
            let problem = "[controller] proxy_user and proxy_password_file go together";
            return Err(content(path, problem.into()));
        }
    };
    match (&table.proxy, sign_on) {
        (Some(url), sign_on) => {
            Proxy::parse(url, sign_on).map(Some).map_err(|problem| content(path, problem))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(content(path, "[controller] proxy_user is set, but no proxy".into())),
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> Result<(String, u16), String> {
    let wrong = || format!("[partition] address {address:?} is not HOST or HOST:PORT");
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        (host, rest.strip_prefix(':'))
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| wrong())?,
        None => MAPEPIRE_PORT,
    };
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

/// Refuses what a Mapepire server would misread: each failed try counts against the profile.
fn check_sign_on(user: &str, password: &str) -> Result<(), String> {
    if user.is_empty() || user.len() > 10 || user.contains('*') {
        return Err(format!(
            "[partition] user {user:?} is not a user profile name (1 to 10 characters, no *)"
        ));
    }
    if password.contains(';') {
        return Err("the password holds a semicolon, at which Mapepire servers cut it off; choose another for the agent's \
                    profile"
            .to_owned());
    }
    Ok(())
}

/// Text cannot be read with a page that has no table.
fn check_ccsid(ccsid: u16) -> Result<(), String> {
    let mut known: Vec<u16> = ebcdic::ccsids().collect();
    if known.contains(&ccsid) {
        return Ok(());
    }
    known.sort_unstable();
    let known: Vec<String> = known.iter().map(u16::to_string).collect();
    Err(format!(
        "[partition] ccsid {ccsid} is no EBCDIC code page with a table here; there are {}",
        known.join(", ")
    ))
}

fn read(what: &'static str, path: &Path) -> Result<String, ConfigError> {
    let fail = |cause: String| ConfigError::Read { what, path: path.to_owned(), cause };
    let length = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(fail(format!("it has {length} bytes, at most {MAX_FILE} are read")));
    }
    std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))
}

/// What is wrong and where, without the line itself: it may hold what belongs in the password file.
fn without_quote(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

/// Warnings about the password file, and when it was last changed.
fn look_at_password_file(path: &Path) -> (Vec<String>, i64) {
    let Ok(found) = std::fs::metadata(path) else {
        return (Vec::new(), 0);
    };
    let changed = found.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let mut warnings = Vec::new();
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            warnings.push(format!(
                "the password file {} can be read or written by others (mode {mode:03o}); run chmod 600 on it",
                path.display()
            ));
        }
    }
    (warnings, changed.map_or(0, jiff::Timestamp::as_microsecond))
}

fn content(path: &Path, problem: String) -> ConfigError {
    ConfigError::Content { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "secret\n").unwrap();
        std::fs::write(folder.path().join("agent.toml"), toml).unwrap();
        Config::load(&folder.path().join("agent.toml"))
            .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "DIR"))
    }

    fn partition(lines: &str) -> String {
        format!("state_dir = \"state\"\n[partition]\nuser = \"muster\"\npassword_file = \"pw\"\n{lines}")
    }

    #[test]
    fn a_pin_with_colons_and_a_default_port() {
        let pin = vec!["AB"; 32].join(":");
        let config = load(&partition(&format!("address = \"prod01\"\npin_sha256 = \"{pin}\""))).unwrap();
        assert_eq!((config.host.as_str(), config.port, config.user.as_str()), ("prod01", 8076, "MUSTER"));
        assert_eq!(config.trust, Trust::Pin([0xAB; 32]));
        assert_eq!(format!("{:?}", config.password), "Password(..)");
    }

    #[test]
    fn each_mistake_is_named() {
        let pin = "AB".repeat(32);
        let cases = [
            (partition("address = \"a:b\"\npin_sha256 = \"00\""), "is not HOST or HOST:PORT"),
            (partition("address = \"a\"\npin_sha256 = \"00\""), "64 hexadecimal digits"),
            (partition("address = \"a\""), "needs ca_file or pin_sha256"),
            (
                partition(&format!("address = \"a\"\npin_sha256 = \"{pin}\"\n[controller]\nproxy = \"p:1\"")),
                "must begin with http://",
            ),
            (
                partition(&format!(
                    "address = \"a\"\npin_sha256 = \"{pin}\"\n[controller]\nproxy_user = \"u\""
                )),
                "go together",
            ),
            (partition("address = \"a\"\nca_file = \"none.pem\""), "cannot read the certification authority"),
            (partition(&format!("address = \"a\"\npin_sha256 = \"{pin}\"\nport = 1")), "unknown field"),
            (
                partition(&format!("address = \"a\"\npin_sha256 = \"{pin}\"\nccsid = 1208")),
                "ccsid 1208 is no EBCDIC code page with a table here; there are 37, 273",
            ),
            (
                partition(&format!("address = \"a\"\npin_sha256 = \"{pin}\""))
                    .replace("\"muster\"", "\"Q*\""),
                "is not a user profile name",
            ),
        ];
        for (toml, expected) in cases {
            let error = load(&toml).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn limits_are_checked_and_hold_for_a_local_policy_too() {
        let start = partition(&format!("address = \"a\"\npin_sha256 = \"{}\"\n", "AB".repeat(32)));
        let limited = |lines: &str| load(&format!("{start}[limits]\n{lines}"));
        let config = limited("destinations = [\"tls://*.example.com\"]\nnever_drop = [\"AF\"]").unwrap();
        assert_eq!(config.limits.spec().never_drop, ["AF"]);
        for (lines, part) in [
            ("never_drop = [\"nonsense\"]", "[limits] never_drop: `nonsense` is no entry type"),
            (
                "destinations = [\"ftp://x\"]",
                "[limits] destinations: `ftp://x` begins with another transport",
            ),
            ("destination = []", "unknown field `destination`"),
        ] {
            let error = limited(lines).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "secret\n").unwrap();
        let policy = "destinations: {a: {transport: {kind: tcp, address: 'b.example.com:1'}}}";
        std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let toml = format!(
            "{start}[policy]\nfile = \"policy.yaml\"\n[limits]\ndestinations = [\"a.example.com\"]\n"
        );
        std::fs::write(folder.path().join("agent.toml"), toml).unwrap();
        let error = Config::load(&folder.path().join("agent.toml")).unwrap_err().to_string();
        assert!(error.contains("tcp://b.example.com:1 is not among the allowed receivers"), "{error}");
    }

    #[test]
    fn keys_of_policies_are_checked() {
        let start = partition(&format!("address = \"a\"\npin_sha256 = \"{}\"\n", "AB".repeat(32)));
        let signed = |lines: &str| load(&format!("{start}[policy]\n{lines}"));
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let config = signed(&format!("require_signature = true\ntrusted_keys = [\"{key}\"]")).unwrap();
        assert!(!config.policy_keys.is_empty());
        assert!(signed("").unwrap().policy_keys.is_empty());
        for (lines, part) in [
            ("require_signature = true".to_owned(), "needs trusted_keys"),
            (format!("trusted_keys = [\"{key}\"]"), "no effect without require_signature"),
            ("require_signature = true\ntrusted_keys = [\"x\"]".to_owned(), "`x` is no minisign public key"),
        ] {
            let error = signed(&lines).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn looking_in_is_allowed_until_it_is_switched_off() {
        let at = partition(&format!("address = \"a\"\npin_sha256 = \"{}\"", "AB".repeat(32)));
        assert!(load(&at).unwrap().inspect);
        assert!(!load(&format!("{at}\n[inspect]\nenabled = false")).unwrap().inspect);
    }

    #[test]
    fn a_misplaced_password_is_not_printed() {
        let error = load(&partition("address = \"a\"\npassword = \"hunter2\"")).unwrap_err();
        assert!(error.contains("line 6, column 1: unknown field `password`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_password_file_that_others_can_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        std::fs::write(&file, "secret\n").unwrap();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let (warnings, changed) = look_at_password_file(&file);
            assert_eq!(warnings.len(), usize::from(warned), "{mode:o}: {warnings:?}");
            assert!(changed > 0);
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(split_address("[::1]:9").unwrap(), ("::1".to_owned(), 9));
        assert_eq!(split_address("[::1]").unwrap(), ("::1".to_owned(), 8076));
        assert!(split_address(":9").is_err());
    }
}
