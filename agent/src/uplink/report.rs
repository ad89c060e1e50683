//! What the agent says of itself, and which part of it still has to be said (status compression): pure.
//!
//! A part that changed is sent whole, once; the first message of a connection, and the answer to
//! "report full state", hold all parts. A part that is set again to what it was is not sent again, so
//! that agent and controller never answer each other in a loop.

use muster_proto::opamp::capability::{AgentCapabilities, ServerCapabilities};
use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, AgentDescription, AgentDisconnect, AgentToServer, ComponentHealth,
    ConnectionSettingsRequest, ConnectionSettingsStatus, CustomCapabilities, CustomMessage, EffectiveConfig,
    PackageStatuses, RemoteConfigStatus,
};
use prost::Message as _;

/// Largest report in bytes: what a controller of ours takes. Larger ones are slimmed before they are sent.
pub const MAX_REPORT_BYTES: usize = 1024 * 1024;

/// Components that a slimmed report names, the unhealthy ones first.
const SLIM_COMPONENTS: usize = 20;

/// Parts that can be left out while unchanged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    /// Who the agent is.
    pub description: AgentDescription,
    /// How it is.
    pub health: Option<ComponentHealth>,
    /// What it runs.
    pub effective_config: Option<EffectiveConfig>,
    /// What became of the offered configuration; empty before the first offer.
    pub remote_config_status: RemoteConfigStatus,
    /// Its custom capabilities.
    pub custom_capabilities: CustomCapabilities,
    /// What became of offered connection settings.
    pub connection_settings_status: Option<ConnectionSettingsStatus>,
    /// Where it stands with its packages; none where nobody can upgrade it.
    pub package_statuses: Option<PackageStatuses>,
}

/// Which parts wait to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unsent {
    description: bool,
    health: bool,
    effective_config: bool,
    remote_config_status: bool,
    custom_capabilities: bool,
    connection_settings_status: bool,
    package_statuses: bool,
}

impl Unsent {
    const ALL: Self = Self {
        description: true,
        health: true,
        effective_config: true,
        remote_config_status: true,
        custom_capabilities: true,
        connection_settings_status: true,
        package_statuses: true,
    };
}

/// What a message carries beside status, once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    /// A message of a custom capability.
    pub custom_message: Option<CustomMessage>,
    /// Asks for a certificate.
    pub connection_settings_request: Option<ConnectionSettingsRequest>,
    /// This is the last message.
    pub goodbye: bool,
}

/// The agent's status, its sequence number, and what is still to be said.
#[derive(Debug, Clone)]
pub struct Reporter {
    uid: Vec<u8>,
    capabilities: AgentCapabilities,
    sequence: u64,
    parts: Parts,
    unsent: Unsent,
    /// The server finds whole reports too large.
    slim: bool,
    /// What the server can do, once it told.
    server: Option<ServerCapabilities>,
}

impl Reporter {
    /// A reporter of the agent `uid`, with everything still to be said.
    #[must_use]
    pub fn new(uid: [u8; 16], capabilities: AgentCapabilities, parts: Parts) -> Self {
        Self {
            uid: uid.to_vec(),
            capabilities,
            sequence: 0,
            parts,
            unsent: Unsent::ALL,
            slim: false,
            server: None,
        }
    }

    /// The server found a report too large: it must not be sent again as it was, so all that follow are slim.
    pub fn slim(&mut self) {
        self.slim = true;
    }

    /// The server told what it can do: what it cannot take is not sent.
    pub fn set_server(&mut self, capabilities: ServerCapabilities) {
        self.server = Some(capabilities);
    }

    fn server_takes(&self, capability: ServerCapabilities) -> bool {
        self.server.is_none_or(|server| server.has(capability))
    }

    /// The agent's uid.
    #[must_use]
    pub fn uid(&self) -> &[u8] {
        &self.uid
    }

    /// The parts as they are now.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Sets who the agent is.
    pub fn set_description(&mut self, description: AgentDescription) {
        self.unsent.description |= replace(&mut self.parts.description, description);
    }

    /// Sets how the agent is.
    pub fn set_health(&mut self, health: ComponentHealth) {
        self.unsent.health |= replace(&mut self.parts.health, Some(health));
    }

    /// Sets what the agent runs.
    pub fn set_effective_config(&mut self, config: EffectiveConfig) {
        self.unsent.effective_config |= replace(&mut self.parts.effective_config, Some(config));
    }

    /// Sets what became of the offered configuration.
    pub fn set_remote_config_status(&mut self, status: RemoteConfigStatus) {
        self.unsent.remote_config_status |= replace(&mut self.parts.remote_config_status, status);
    }

    /// Sets what it can do beside OpAMP.
    pub fn set_custom_capabilities(&mut self, capabilities: CustomCapabilities) {
        self.unsent.custom_capabilities |= replace(&mut self.parts.custom_capabilities, capabilities);
    }

    /// Sets what became of offered connection settings.
    pub fn set_connection_settings_status(&mut self, status: ConnectionSettingsStatus) {
        self.unsent.connection_settings_status |=
            replace(&mut self.parts.connection_settings_status, Some(status));
    }

    /// Sets where it stands with its packages.
    pub fn set_package_statuses(&mut self, statuses: PackageStatuses) {
        self.unsent.package_statuses |= replace(&mut self.parts.package_statuses, Some(statuses));
    }

    /// Declares further capabilities.
    pub fn declare(&mut self, capabilities: AgentCapabilities) {
        self.capabilities = self.capabilities | capabilities;
    }

    /// Everything has to be said again: a new connection, or the server asked.
    pub fn say_all_again(&mut self) {
        self.unsent = Unsent::ALL;
    }

    /// Something waits to be said.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let present = Unsent {
            effective_config: self.parts.effective_config.is_some()
                && self.server_takes(ServerCapabilities::ACCEPTS_EFFECTIVE_CONFIG),
            health: self.parts.health.is_some(),
            connection_settings_status: self.parts.connection_settings_status.is_some(),
            package_statuses: self.says_packages(),
            ..Unsent::ALL
        };
        (self.unsent.description && present.description)
            || (self.unsent.health && present.health)
            || (self.unsent.effective_config && present.effective_config)
            || self.unsent.remote_config_status
            || self.unsent.custom_capabilities
            || (self.unsent.connection_settings_status && present.connection_settings_status)
            || (self.unsent.package_statuses && present.package_statuses)
    }

    fn says_packages(&self) -> bool {
        self.parts.package_statuses.is_some()
            && self.server_takes(ServerCapabilities::ACCEPTS_PACKAGES_STATUS)
    }

    /// The next message: what is unsent, and the extras. Takes the next sequence number.
    #[must_use = "a sequence number that is taken and not sent makes the server ask for everything"]
    pub fn next(&mut self, extras: Extras) -> AgentToServer {
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.effective_config &= self.server_takes(ServerCapabilities::ACCEPTS_EFFECTIVE_CONFIG);
        unsent.package_statuses &= self.says_packages();
        let parts = &self.parts;
        let mut message = AgentToServer {
            instance_uid: self.uid.clone(),
            sequence_num: self.sequence,
            capabilities: self.capabilities.0,
            agent_description: unsent.description.then(|| parts.description.clone()),
            health: parts.health.clone().filter(|_| unsent.health),
            effective_config: parts.effective_config.clone().filter(|_| unsent.effective_config),
            remote_config_status: unsent.remote_config_status.then(|| parts.remote_config_status.clone()),
            custom_capabilities: unsent.custom_capabilities.then(|| parts.custom_capabilities.clone()),
            connection_settings_status: parts
                .connection_settings_status
                .clone()
                .filter(|_| unsent.connection_settings_status),
            custom_message: extras.custom_message,
            connection_settings_request: extras.connection_settings_request,
            agent_disconnect: extras.goodbye.then_some(AgentDisconnect {}),
            package_statuses: parts.package_statuses.clone().filter(|_| unsent.package_statuses),
            available_components: None,
            flags: 0,
        };
        self.sequence = self.sequence.wrapping_add(1);
        // One more for the header of a WebSocket.
        if self.slim || message.encoded_len() >= MAX_REPORT_BYTES {
            slim(&mut message);
        }
        message
    }
}

/// Leaves out what makes a report large: the effective configuration and most components.
fn slim(message: &mut AgentToServer) {
    if let Some(config) = &mut message.effective_config {
        let note = AgentConfigFile {
            body: b"left out: the report would be too large".to_vec(),
            content_type: "text/plain".to_owned(),
        };
        config.config_map = Some(AgentConfigMap { config_map: [(String::new(), note)].into() });
    }
    if let Some(health) = &mut message.health {
        let mut components: Vec<_> = std::mem::take(&mut health.component_health_map).into_iter().collect();
        components.sort_by(|(a, x), (b, y)| (x.healthy, a).cmp(&(y.healthy, b)));
        components.truncate(SLIM_COMPONENTS);
        health.component_health_map = components.into_iter().collect();
    }
}

/// Replaces a value; true when it was another one.
fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::opamp::{RemoteConfigStatuses, attribute};

    const UID: [u8; 16] = 0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319_u128.to_be_bytes();

    fn health(healthy: bool) -> ComponentHealth {
        ComponentHealth { healthy, ..Default::default() }
    }

    fn reporter() -> Reporter {
        let parts = Parts {
            description: AgentDescription {
                identifying_attributes: vec![attribute::text(attribute::SERVICE_NAME, "x")],
                non_identifying_attributes: Vec::new(),
            },
            health: Some(health(true)),
            ..Parts::default()
        };
        Reporter::new(UID, AgentCapabilities(0x3807), parts)
    }

    #[test]
    fn first_all_then_nothing_then_what_changed() {
        let mut reporter = reporter();
        let first = reporter.next(Extras::default());
        assert_eq!(first.sequence_num, 0);
        assert_eq!(first.health, Some(health(true)));
        assert_eq!(first.remote_config_status, Some(RemoteConfigStatus::default()));
        assert_eq!(first.effective_config, None, "there is none yet");
        assert!(first.agent_description.is_some() && first.custom_capabilities.is_some());

        reporter.set_health(health(true));
        assert!(!reporter.has_news(), "the same again is no news");
        let beat = reporter.next(Extras::default());
        let expected = AgentToServer {
            instance_uid: UID.to_vec(),
            sequence_num: 1,
            capabilities: 0x3807,
            ..Default::default()
        };
        assert_eq!(beat, expected);

        reporter.set_health(health(false));
        assert!(reporter.has_news());
        let expected = AgentToServer { sequence_num: 2, health: Some(health(false)), ..expected };
        assert_eq!(reporter.next(Extras::default()), expected);
        assert!(!reporter.has_news());

        reporter.say_all_again();
        let again = reporter.next(Extras::default());
        assert_eq!(again, AgentToServer { sequence_num: 3, health: Some(health(false)), ..first });
    }

    #[test]
    fn every_part_is_news_once() {
        let mut reporter = reporter();
        let _ = reporter.next(Extras::default());
        let config = |body: &str| EffectiveConfig {
            config_map: Some(AgentConfigMap {
                config_map: [(
                    String::new(),
                    AgentConfigFile { body: body.into(), content_type: String::new() },
                )]
                .into(),
            }),
        };
        reporter.set_effective_config(config("{}"));
        reporter.set_remote_config_status(RemoteConfigStatus {
            last_remote_config_hash: vec![1, 2, 3],
            status: RemoteConfigStatuses::Applied.into(),
            error_message: String::new(),
        });
        let message = reporter.next(Extras::default());
        let recorded =
            "0a10019b8d7a2da87657b52d492a9de333191001208770320c0a0a0a080a0012040a027b7d3a070a030102031001";
        let mut bytes = vec![0; recorded.len() / 2];
        faster_hex::hex_decode(recorded.as_bytes(), &mut bytes).unwrap();
        assert_eq!(message, AgentToServer::decode(bytes.as_slice()).unwrap());

        let status =
            ConnectionSettingsStatus { last_connection_settings_hash: vec![9], ..Default::default() };
        reporter.set_connection_settings_status(status.clone());
        assert_eq!(reporter.next(Extras::default()).connection_settings_status, Some(status));
        reporter.set_description(AgentDescription::default());
        assert_eq!(reporter.next(Extras::default()).agent_description, Some(AgentDescription::default()));
        assert!(!reporter.has_news());
    }

    #[test]
    fn what_the_server_cannot_take_is_not_sent() {
        let mut reporter = reporter();
        let config = EffectiveConfig { config_map: Some(AgentConfigMap::default()) };
        reporter.set_effective_config(config.clone());
        assert_eq!(reporter.next(Extras::default()).effective_config, Some(config), "it has not told yet");
        reporter.set_server(ServerCapabilities::ACCEPTS_STATUS);
        reporter.set_effective_config(EffectiveConfig::default());
        assert!(!reporter.has_news());
        reporter.say_all_again();
        assert_eq!(reporter.next(Extras::default()).effective_config, None);
    }

    #[test]
    fn a_report_that_is_too_large_is_slimmed_and_never_sent_again_as_it_was() {
        let large = || EffectiveConfig {
            config_map: Some(AgentConfigMap {
                config_map: [(
                    String::new(),
                    AgentConfigFile { body: vec![b'x'; MAX_REPORT_BYTES], content_type: String::new() },
                )]
                .into(),
            }),
        };
        let mut reporter = reporter();
        let children = (0..100).map(|n| (format!("source/{n:03}"), health(n != 50)));
        let tree = ComponentHealth { component_health_map: children.collect(), ..health(false) };
        reporter.set_health(tree);
        assert_eq!(reporter.next(Extras::default()).health.unwrap().component_health_map.len(), 100);
        reporter.set_effective_config(large());
        reporter.say_all_again();
        let report = reporter.next(Extras::default());
        assert!(report.encoded_len() < 10_000);
        let components = report.health.unwrap().component_health_map;
        assert_eq!(components.len(), SLIM_COMPONENTS);
        assert!(components.contains_key("source/050"), "the unhealthy one stays");
        // Refused by a server with a lower limit.
        reporter.slim();
        reporter.set_effective_config(EffectiveConfig { config_map: Some(AgentConfigMap::default()) });
        let report = reporter.next(Extras::default());
        let map = report.effective_config.unwrap().config_map.unwrap().config_map;
        assert_eq!(map[""].body, b"left out: the report would be too large");
    }

    #[test]
    fn extras_ride_once() {
        let mut reporter = reporter();
        let _ = reporter.next(Extras::default());
        let last = reporter.next(Extras { goodbye: true, ..Extras::default() });
        assert_eq!(last.agent_disconnect, Some(AgentDisconnect {}));
        assert_eq!(reporter.next(Extras::default()).agent_disconnect, None);
    }
}
