//! An agent that takes packages, as far as the controller can tell, over either transport.

use crate::common::*;
use crate::conformance::wire::{Over, Wire};
use muster_package::AGENT;
use muster_proto::api::{AgentSummary, AgentView, TokenCreated, TokenRequest, UpgradeStep};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_proto::opamp::{
    AgentDescription, AgentToServer, PackageAvailable, PackageStatus, PackageStatusEnum, PackageStatuses,
    PackagesAvailable, attribute,
};
use std::collections::VecDeque;

pub struct Upgrader {
    pub wire: Wire,
    pub version: String,
    /// What it says of its package: nothing before the first offer.
    pub status: Option<PackageStatus>,
    /// Hash of the set that it was offered last.
    set: Vec<u8>,
    /// Offers that came while it listened for something else.
    heard: VecDeque<PackagesAvailable>,
}

impl Upgrader {
    /// Enrols and connects one that runs `version`.
    pub async fn join(site: &Site, over: Over, version: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let token: TokenCreated =
            site.api.post("/tokens", &TokenRequest { labels, ..TokenRequest::default() }, 201).await;
        let mut agent = TestAgent::new(site.addr(), site.ca());
        agent.enrol(&token.token).await;
        Self::connect(agent, over, version, None).await
    }

    pub async fn connect(agent: TestAgent, over: Over, version: &str, status: Option<PackageStatus>) -> Self {
        let wire = Wire::new(agent, over, None);
        let mut upgrader =
            Self { wire, version: version.to_owned(), status, set: Vec::new(), heard: VecDeque::new() };
        upgrader.report().await;
        upgrader
    }

    /// Another connection with a full report, as after a break.
    pub async fn reconnect(&mut self) {
        self.wire.reconnect();
        self.heard.clear();
        self.report().await;
    }

    fn message(&mut self, message: AgentToServer) -> AgentToServer {
        let capabilities =
            AgentCapabilities::ACCEPTS_PACKAGES | AgentCapabilities::REPORTS_PACKAGE_STATUSES | CAPABILITIES;
        AgentToServer { capabilities: capabilities.0, ..message }
    }

    /// Says everything, of its packages what [`Self::status`] has.
    async fn report(&mut self) {
        let packages = self.status.iter().map(|status| (status.name.clone(), status.clone())).collect();
        self.report_packages(packages).await;
    }

    /// Says everything, of its packages this.
    pub async fn report_packages(&mut self, packages: std::collections::BTreeMap<String, PackageStatus>) {
        let uid = self.wire.agent.uid.to_string();
        let full = AgentToServer {
            agent_description: Some(AgentDescription {
                identifying_attributes: vec![attribute::text(
                    attribute::SERVICE_VERSION,
                    self.version.as_str(),
                )],
                non_identifying_attributes: vec![
                    attribute::text(attribute::PLATFORM, "x86_64-linux"),
                    attribute::text(attribute::IBMI_SYSTEM_NAME, uid),
                ],
            }),
            package_statuses: Some(PackageStatuses {
                packages,
                server_provided_all_packages_hash: self.set.clone(),
                ..PackageStatuses::default()
            }),
            // Without counters: a rollout would wait for news of them before it passes a wave.
            custom_capabilities: None,
            ..self.wire.agent.full()
        };
        let full = self.message(full);
        let reply = self.wire.ask(&full).await;
        self.heard.extend(reply.packages_available);
    }

    /// Says nothing new, and gives what it is offered then.
    pub async fn beat(&mut self) -> Option<PackagesAvailable> {
        let beat = self.wire.agent.message();
        let beat = self.message(beat);
        let reply = self.wire.ask(&beat).await;
        self.heard.extend(reply.packages_available);
        self.heard.pop_front()
    }

    /// The next offer, whole.
    pub async fn offered(&mut self) -> PackagesAvailable {
        let offered = match (self.heard.pop_front(), self.wire.over) {
            (Some(offered), _) => offered,
            (None, Over::WebSocket) => loop {
                if let Some(offered) = self.wire.next().await.message().packages_available {
                    break offered;
                }
            },
            // The controller speaks when it is asked.
            (None, Over::Http) => eventually("packages are offered", async || self.beat().await).await,
        };
        assert_eq!(offered.packages.keys().collect::<Vec<_>>(), [AGENT], "the complete set");
        assert!(!offered.all_packages_hash.is_empty());
        self.set.clone_from(&offered.all_packages_hash);
        offered
    }

    /// The package of the next offer.
    pub async fn offer(&mut self) -> PackageAvailable {
        self.offered().await.packages[AGENT].clone()
    }

    pub async fn say(&mut self, offer: &PackageAvailable, kind: PackageStatusEnum, error: &str) {
        self.status = Some(PackageStatus {
            name: AGENT.to_owned(),
            agent_has_version: self.version.clone(),
            server_offered_version: offer.version.clone(),
            server_offered_hash: offer.hash.clone(),
            status: kind.into(),
            error_message: error.to_owned(),
            ..PackageStatus::default()
        });
        self.report().await;
    }

    /// Does what it is offered.
    pub async fn follow(&mut self, offer: &PackageAvailable) {
        self.say(offer, PackageStatusEnum::Installing, "").await;
        self.version.clone_from(&offer.version);
        self.say(offer, PackageStatusEnum::Installed, "").await;
    }

    pub fn id(&self) -> String {
        self.wire.agent.uid.to_string()
    }

    pub async fn view(&self, site: &Site) -> AgentView {
        self.wire.view(site).await
    }

    pub async fn reaches(&self, site: &Site, step: UpgradeStep) -> AgentSummary {
        eventually(step.words(), async || {
            let summary = self.view(site).await.summary;
            (summary.upgrade.as_ref().is_some_and(|upgrade| upgrade.step == step)).then_some(summary)
        })
        .await
    }
}
