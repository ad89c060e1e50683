//! The bit fields of OpAMP as newtypes, so that an agent's bit cannot be asked of a server.

use std::ops::BitOr;

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)*

            /// All bits of `other` are set.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.with(other)
            }
        }
    };
}

bits! {
    /// What an agent can do: `AgentToServer.capabilities`.
    AgentCapabilities {
        /// Reports status; every agent must.
        REPORTS_STATUS = 0x1;
        /// Takes remote configuration.
        ACCEPTS_REMOTE_CONFIG = 0x2;
        /// Reports what it really runs.
        REPORTS_EFFECTIVE_CONFIG = 0x4;
        /// Takes packages.
        ACCEPTS_PACKAGES = 0x8;
        /// Reports its packages.
        REPORTS_PACKAGE_STATUSES = 0x10;
        /// Sends own traces.
        REPORTS_OWN_TRACES = 0x20;
        /// Sends own metrics.
        REPORTS_OWN_METRICS = 0x40;
        /// Sends own logs.
        REPORTS_OWN_LOGS = 0x80;
        /// Takes settings of the OpAMP connection.
        ACCEPTS_OPAMP_CONNECTION_SETTINGS = 0x100;
        /// Takes settings of other connections.
        ACCEPTS_OTHER_CONNECTION_SETTINGS = 0x200;
        /// Can be restarted.
        ACCEPTS_RESTART_COMMAND = 0x400;
        /// Reports health.
        REPORTS_HEALTH = 0x800;
        /// Reports what became of remote configuration.
        REPORTS_REMOTE_CONFIG = 0x1000;
        /// Sends heartbeats.
        REPORTS_HEARTBEAT = 0x2000;
        /// Reports the components that it could run.
        REPORTS_AVAILABLE_COMPONENTS = 0x4000;
        /// Reports what became of connection settings.
        REPORTS_CONNECTION_SETTINGS_STATUS = 0x8000;
    }
}

bits! {
    /// What a server can do: `ServerToAgent.capabilities`.
    ServerCapabilities {
        /// Takes status reports; every server must.
        ACCEPTS_STATUS = 0x1;
        /// Offers remote configuration.
        OFFERS_REMOTE_CONFIG = 0x2;
        /// Takes effective configuration.
        ACCEPTS_EFFECTIVE_CONFIG = 0x4;
        /// Offers packages.
        OFFERS_PACKAGES = 0x8;
        /// Takes statuses of packages.
        ACCEPTS_PACKAGES_STATUS = 0x10;
        /// Offers connection settings.
        OFFERS_CONNECTION_SETTINGS = 0x20;
        /// Signs certificate requests.
        ACCEPTS_CONNECTION_SETTINGS_REQUEST = 0x40;
    }
}

bits! {
    /// `AgentToServer.flags`.
    AgentFlags {
        /// The uid is a temporary one; the server shall give another.
        REQUEST_INSTANCE_UID = 0x1;
    }
}

bits! {
    /// `ServerToAgent.flags`.
    ServerFlags {
        /// Send everything, compressed away or not.
        REPORT_FULL_STATE = 0x1;
        /// Send the components that the agent could run.
        REPORT_AVAILABLE_COMPONENTS = 0x2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_the_recorded_vectors() {
        let bits = AgentCapabilities::REPORTS_STATUS
            | AgentCapabilities::ACCEPTS_REMOTE_CONFIG
            | AgentCapabilities::REPORTS_EFFECTIVE_CONFIG
            | AgentCapabilities::REPORTS_HEALTH
            | AgentCapabilities::REPORTS_REMOTE_CONFIG
            | AgentCapabilities::REPORTS_HEARTBEAT;
        assert_eq!(bits.0, 0x3807);
        assert!(bits.has(AgentCapabilities::REPORTS_HEALTH));
        assert!(!bits.has(AgentCapabilities::REPORTS_HEALTH | AgentCapabilities::ACCEPTS_PACKAGES));
    }
}
