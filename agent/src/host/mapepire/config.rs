//! How a server is reached, and the password.

use super::sign_on::SignOns;
use super::trust::Trust;
use crate::host::HostError;
use zeroize::Zeroizing;

/// A password: not printed, and wiped when dropped. Clones know of each other's rejected sign-ons.
#[derive(Clone)]
pub struct Password {
    text: Zeroizing<String>,
    pub(super) sign_ons: SignOns,
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Password {}

impl Password {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text: Zeroizing::new(text), sign_ons: SignOns::default() }
    }

    pub(super) fn expose(&self) -> &str {
        &self.text
    }

    /// Shows the text to whoever has to keep it out of something.
    pub(crate) fn keep_out(&self, of: impl FnOnce(&str)) {
        of(&self.text);
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapepireConfig {
    /// `host:port`; an IPv6 address in brackets.
    pub address: String,
    /// User profile.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// How the server's certificate is recognised.
    pub trust: Trust,
}

impl MapepireConfig {
    /// The host of the address, without brackets.
    pub(super) fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(super) fn port(&self) -> Result<u16, HostError> {
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.filter(|port| *port != 0).ok_or_else(|| {
            HostError::Config(format!("`{}` is no address; write host:port, e.g. prod01:8076", self.address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mapepire;
    use super::*;

    fn config(address: &str) -> MapepireConfig {
        MapepireConfig {
            address: address.to_owned(),
            user: "muster".to_owned(),
            password: Password::new("secret".to_owned()),
            trust: Trust::Pin([0; 32]),
        }
    }

    #[test]
    fn an_address_is_host_and_port() {
        for (address, host, port) in [("prod01:8076", "prod01", 8076), ("[::1]:1", "::1", 1)] {
            let config = config(address);
            assert_eq!((config.host(), config.port()), (host, Ok(port)));
        }
        for address in ["prod01", "prod01:", "prod01:0", "prod01:99999", ""] {
            assert!(matches!(Mapepire::new(config(address)), Err(HostError::Config(_))), "{address}");
        }
    }

    #[test]
    fn the_password_is_never_printed() {
        assert!(!format!("{:?}", config("prod01:8076")).contains("secret"));
    }
}
