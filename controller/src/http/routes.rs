//! Every route of the controller: who may use it, and what it is for.
//!
//! The gate ([`super::gate`]) looks each request up here before its handler runs, by method and pattern as the
//! router matched it. What is not in the table is refused, so a route without a line cannot be used.

use muster_proto::api::Role;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, unasked.
    Public,
    /// Agents, by their certificate or an enrolment token.
    Agent,
    /// Users with at least this role, signed in or with an API token of that scope.
    Role(Role),
    /// Users with at least this role who signed in themselves: API tokens are refused, so that one that was
    /// stolen cannot make itself last.
    Person(Role),
    /// API tokens of scope `metrics`, and users with at least the role viewer.
    Metrics,
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path, as the router matches it.
    pub pattern: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it does, in one line.
    pub summary: &'static str,
}

const fn route(method: &'static str, pattern: &'static str, access: Access, summary: &'static str) -> Route {
    Route { method, pattern, access, summary }
}

use Access::{Agent, Metrics, Person, Public};
const VIEWER: Access = Access::Role(Role::Viewer);
const OPERATOR: Access = Access::Role(Role::Operator);
const APPROVER: Access = Access::Role(Role::Approver);
const ADMIN: Access = Access::Role(Role::Admin);

/// Where the web console is: whatever is nothing else. It is no part of the interface, so the document of that does
/// not tell of it.
pub const CONSOLE: &str = "/{file:.*}";

/// All routes.
#[rustfmt::skip] // a line a route, however long
pub const ROUTES: &[Route] = &[
    // Agents.
    route("GET", "/v1/opamp", Agent, "OpAMP over WebSocket"),
    route("POST", "/v1/opamp", Agent, "OpAMP by polling"),
    route("GET", "/v1/packages/{sha256}", Agent, "The file of a package"),
    route("GET", "/api/v1/agent/audit", Agent, "The audit log, for agents that send it to a SIEM"),
    // Operation.
    route("GET", "/healthz", Public, "The program runs"),
    route("GET", "/readyz", Public, "The controller serves requests"),
    route("GET", "/metrics", Metrics, "Metrics in Prometheus' text format"),
    route("GET", "/api/v1/openapi.json", Public, "This document"),
    route("GET", CONSOLE, Public, "The web console: its files, and its page for every other path"),
    // Signing in.
    route("POST", "/api/v1/login", Public, "Exchange user and password for a session"),
    route("POST", "/api/v1/logout", Person(Role::Viewer), "End the session"),
    route("POST", "/api/v1/password", Person(Role::Viewer), "Change the own password"),
    route("GET", "/api/v1/whoami", VIEWER, "The user of this request"),
    // Users and what lets them and their programs in.
    route("POST", "/api/v1/users", ADMIN, "Make a user"),
    route("GET", "/api/v1/users", ADMIN, "List users"),
    route("GET", "/api/v1/users/{user}", ADMIN, "A user"),
    route("PATCH", "/api/v1/users/{user}", ADMIN, "Change role or admission of a user"),
    route("DELETE", "/api/v1/users/{user}", ADMIN, "Delete a user with sessions and API tokens"),
    route("POST", "/api/v1/users/{user}/password", ADMIN, "Give a user another password"),
    route("GET", "/api/v1/sessions", Person(Role::Viewer), "List open sessions: the own ones, an admin's of all"),
    route("DELETE", "/api/v1/sessions/{id}", Person(Role::Viewer), "End a session"),
    route("POST", "/api/v1/api-tokens", Person(Role::Viewer), "Make an API token that acts as the caller, within a scope"),
    route("GET", "/api/v1/api-tokens", Person(Role::Viewer), "List API tokens: the own ones, an admin's of all"),
    route("DELETE", "/api/v1/api-tokens/{id}", Person(Role::Viewer), "Revoke an API token"),
    // Settings, and what waits for a second person.
    route("GET", "/api/v1/settings", VIEWER, "The settings"),
    route("PATCH", "/api/v1/settings", ADMIN, "Change the settings"),
    route("GET", "/api/v1/proposals", VIEWER, "List proposals, newest first"),
    route("GET", "/api/v1/proposals/{id}", VIEWER, "One proposal with what it would do"),
    route("POST", "/api/v1/proposals/{id}/approve", Access::Role(Role::Approver), "Approve what somebody else proposed: it is done"),
    route("POST", "/api/v1/proposals/{id}/reject", OPERATOR, "Reject a proposal, or take back the own one"),
    // Enrolment tokens.
    route("POST", "/api/v1/tokens", OPERATOR, "Make an enrolment token"),
    route("GET", "/api/v1/tokens", VIEWER, "List enrolment tokens"),
    route("DELETE", "/api/v1/tokens/{id}", OPERATOR, "Delete an enrolment token"),
    // Agents.
    route("GET", "/api/v1/fleet", VIEWER, "The fleet at a glance"),
    route("GET", "/api/v1/fleet/partitions", VIEWER, "The table of the fleet: searched, filtered, sorted, summed up, in windows"),
    route("GET", "/api/v1/fleet/partitions.csv", VIEWER, "The table of the fleet as CSV"),
    route("GET", "/api/v1/agents", VIEWER, "List agents"),
    route("GET", "/api/v1/agents/{agent}", VIEWER, "Everything about an agent"),
    route("DELETE", "/api/v1/agents/{agent}", OPERATOR, "Remove an agent: its certificate is refused from now on"),
    route("PUT", "/api/v1/agents/{agent}/labels", OPERATOR, "Set the labels of an agent"),
    route("GET", "/api/v1/agents/{agent}/policy", VIEWER, "What an agent should run and what it runs"),
    route("POST", "/api/v1/agents/{agent}/quarantine", OPERATOR, "Give an agent nothing more; it collects on"),
    route("POST", "/api/v1/agents/{agent}/release", APPROVER, "End the quarantine of an agent"),
    route("POST", "/api/v1/agents/{agent}/revoke", OPERATOR, "Refuse the certificates of an agent and close its connection"),
    route("POST", "/api/v1/agents/{agent}/decommission", ADMIN, "Remove an agent and refuse its keys for good"),
    route("PUT", "/api/v1/agents/{agent}/maintenance", OPERATOR, "Announce a planned outage of a partition"),
    route("DELETE", "/api/v1/agents/{agent}/maintenance", OPERATOR, "End a planned outage"),
    route("PUT", "/api/v1/agents/{agent}/pin", OPERATOR, "Pin an agent to the version that it runs: it gets no packages"),
    route("DELETE", "/api/v1/agents/{agent}/pin", OPERATOR, "Let an agent get packages again"),
    // Enrolments that wait.
    route("GET", "/api/v1/enrolments", VIEWER, "List enrolments that wait for approval"),
    route("POST", "/api/v1/enrolments/{key}/approve", APPROVER, "Let an agent in that waits"),
    route("POST", "/api/v1/enrolments/{key}/deny", APPROVER, "Turn an agent away that waits"),
    // Certification authority.
    route("GET", "/api/v1/ca", VIEWER, "The authority, and how far its roll-over has got"),
    route("POST", "/api/v1/ca/roll-over", Person(Role::Admin), "Begin to replace the authority"),
    route("POST", "/api/v1/ca/roll-over/finish", Person(Role::Admin), "Drop the authority that was replaced"),
    // Health and rates.
    route("GET", "/api/v1/rates", VIEWER, "Event rates"),
    route("GET", "/api/v1/agents/{agent}/history", VIEWER, "Rates of an agent over the last day"),
    route("GET", "/api/v1/fleet/history", VIEWER, "Rates of the fleet over the last day"),
    // Looking into agents: content of events is not for everybody who may see that all is well.
    route("GET", "/api/v1/agents/{agent}/events/recent", OPERATOR, "Recent events of an agent"),
    route("GET", "/api/v1/agents/{agent}/events/one", OPERATOR, "One event of an agent: all values, its raw form, and as SIEMs read it"),
    route("GET", "/api/v1/agents/{agent}/events/tail", OPERATOR, "Events of an agent as they come"),
    route("GET", "/api/v1/events/tail", OPERATOR, "Events of several agents as they come"),
    route("POST", "/api/v1/agents/{agent}/preview", OPERATOR, "What a policy would do to recent events of an agent"),
    route("POST", "/api/v1/agents/{agent}/diagnostics", OPERATOR, "The diagnostics bundle of an agent"),
    route("POST", "/api/v1/agents/{agent}/restart", OPERATOR, "Have an agent restart"),
    // Other OpAMP agents.
    route("POST", "/api/v1/foreign-tokens", OPERATOR, "Make the token of a foreign agent"),
    route("GET", "/api/v1/foreign-tokens", VIEWER, "List tokens of foreign agents"),
    route("DELETE", "/api/v1/foreign-tokens/{id}", OPERATOR, "Delete the token of a foreign agent and forget its agent"),
    route("PUT", "/api/v1/foreign-configs", OPERATOR, "Set the configuration of foreign agents"),
    route("GET", "/api/v1/foreign-configs", VIEWER, "List configurations of foreign agents"),
    route("DELETE", "/api/v1/foreign-configs/{revision}", OPERATOR, "Remove a configuration of foreign agents"),
    // Policies.
    route("POST", "/api/v1/policies/validate", VIEWER, "Check a policy document; changes nothing"),
    route("POST", "/api/v1/policies", OPERATOR, "Publish a policy document"),
    route("GET", "/api/v1/policies", VIEWER, "List the current policies"),
    route("GET", "/api/v1/policies/{name}", VIEWER, "The current revision of a policy"),
    route("DELETE", "/api/v1/policies/{name}", OPERATOR, "Remove a policy by a new revision"),
    route("GET", "/api/v1/policies/{name}/revisions", VIEWER, "List the revisions of a policy"),
    route("GET", "/api/v1/policies/{name}/revisions/{revision}", VIEWER, "One revision of a policy"),
    route("GET", "/api/v1/policies/{name}/diff", VIEWER, "What differs between two revisions"),
    route("GET", "/api/v1/policies/{name}/status", VIEWER, "How far the current revision has got"),
    route("POST", "/api/v1/policies/{name}/revert", OPERATOR, "Publish the text of an older revision again"),
    route("POST", "/api/v1/policies/apply", OPERATOR, "Publish a set of policies, all of them or none"),
    route("POST", "/api/v1/policies/preview", VIEWER, "What publishing would mean for the agents; changes nothing"),
    route("GET", "/api/v1/schemas/policy", Public, "JSON Schema of policy documents"),
    // Drafts.
    route("GET", "/api/v1/drafts", VIEWER, "List drafts of policies"),
    route("GET", "/api/v1/drafts/{name}", VIEWER, "A draft with its text"),
    route("PUT", "/api/v1/drafts/{name}", OPERATOR, "Save a draft"),
    route("DELETE", "/api/v1/drafts/{name}", OPERATOR, "Delete a draft"),
    route("POST", "/api/v1/drafts/{name}/publish", OPERATOR, "Publish a draft"),
    // Rollouts.
    route("POST", "/api/v1/rollouts/plan", VIEWER, "What a rollout would do; changes nothing"),
    route("POST", "/api/v1/rollouts", OPERATOR, "Start a rollout of policies or of a package"),
    route("GET", "/api/v1/rollouts", VIEWER, "List rollouts, newest first"),
    route("GET", "/api/v1/rollouts/{id}", VIEWER, "Where a rollout stands, and what it waits for"),
    route("GET", "/api/v1/rollouts/{id}/partitions", VIEWER, "Where the partitions of a rollout stand"),
    route("POST", "/api/v1/rollouts/{id}/pause", OPERATOR, "Tell nobody further for a while"),
    route("POST", "/api/v1/rollouts/{id}/resume", OPERATOR, "Let a paused or halted rollout go on"),
    route("POST", "/api/v1/rollouts/{id}/abort", OPERATOR, "End a rollout: everybody goes back"),
    // Packages.
    route("GET", "/api/v1/packages", VIEWER, "List packages"),
    route("GET", "/api/v1/packages/{name}/{version}/{platform}", VIEWER, "A package"),
    route("POST", "/api/v1/packages/{name}/{version}/{platform}/retire", ADMIN, "Offer a package to nobody new"),
    route("PUT", "/api/v1/packages/uploads/{sha256}", ADMIN, "Begin to upload a package, or find where that stands"),
    route("PATCH", "/api/v1/packages/uploads/{sha256}", ADMIN, "Upload a piece of a package; the last one makes it one"),
    // Leases.
    route("GET", "/api/v1/leases", VIEWER, "Which agent collects, where a partition has several, and who stands by"),
    route("POST", "/api/v1/leases/{partition}/move", OPERATOR, "Have another agent of a partition collect"),
    // Licence.
    route("GET", "/api/v1/licence", VIEWER, "Where the licence stands, and what happens next and when"),
    route("POST", "/api/v1/licence", ADMIN, "Install a licence file; it counts at once"),
    route("POST", "/api/v1/licence/pair", ADMIN, "Declare two partitions a high-availability pair: one seat"),
    route("POST", "/api/v1/licence/unpair", ADMIN, "Take a pair back"),
    // Backups.
    route("POST", "/api/v1/backups", ADMIN, "Make a backup now"),
    route("GET", "/api/v1/backups", ADMIN, "List backups, and when the next one is due"),
    route("GET", "/api/v1/backups/{name}", ADMIN, "A backup's file, encrypted to the controller's passphrase"),
    route("GET", "/api/v1/restore", VIEWER, "Which incarnation this controller is, and what its restore left to do"),
    // Audit log.
    route("GET", "/api/v1/audit", VIEWER, "List or search entries of the audit log"),
    route("GET", "/api/v1/audit/verify", VIEWER, "Whether the audit log is whole: the chain of its hashes is checked"),
    route("GET", "/api/v1/audit/export", VIEWER, "The audit log as it stands in its files, one JSON line an entry"),
    route("GET", "/api/v1/events", VIEWER, "What changes, as it happens, as server-sent events"),
];

/// The line of a route. `HEAD` counts as `GET`.
#[must_use]
pub fn find(method: &str, pattern: &str) -> Option<&'static Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|r| r.method == method && r.pattern == pattern)
}

/// The methods of a pattern, for `Allow`; empty if it has no line at all.
#[must_use]
pub fn methods(pattern: &str) -> String {
    let all: Vec<&str> = ROUTES.iter().filter(|r| r.pattern == pattern).map(|r| r.method).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_is_the_only_one_of_its_route_and_says_what_it_is_for() {
        let all: BTreeSet<_> = ROUTES.iter().map(|r| (r.method, r.pattern)).collect();
        assert_eq!(all.len(), ROUTES.len());
        for r in ROUTES {
            assert!(!r.summary.is_empty() && !r.summary.ends_with('.'), "{}", r.pattern);
            assert!(["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&r.method), "{}", r.pattern);
        }
    }

    #[test]
    fn changes_want_more_than_a_viewer() {
        // Whoever adds to this list says here why a viewer may do it.
        let fine = [
            "/api/v1/logout",            // the own session
            "/api/v1/password",          // the own password
            "/api/v1/policies/validate", // changes nothing
            "/api/v1/policies/preview",  // changes nothing
            "/api/v1/rollouts/plan",     // changes nothing
            "/api/v1/sessions/{id}",     // the own ones, unless the caller is an admin
            "/api/v1/api-tokens",        // never more than the caller may do
            "/api/v1/api-tokens/{id}",   // the own ones, unless the caller is an admin
        ];
        for r in ROUTES.iter().filter(|r| r.method != "GET" && !fine.contains(&r.pattern)) {
            match r.access {
                Access::Public => assert_eq!(r.pattern, "/api/v1/login"),
                Access::Agent => assert_eq!(r.pattern, "/v1/opamp"),
                Access::Role(role) | Access::Person(role) => assert!(role > Role::Viewer, "{}", r.pattern),
                Access::Metrics => panic!("{} changes something", r.pattern),
            }
        }
    }

    #[test]
    fn every_route_that_the_code_registers_has_a_line() {
        // `.route("/x", …)` and `web::resource("/x")` below `src/http`: a pattern without a line would be refused.
        let mut patterns = BTreeSet::new();
        for text in sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"))) {
            for marker in [".route(\"", "web::resource(\""] {
                let found = text.split(marker).skip(1).filter_map(|rest| rest.split('"').next());
                patterns.extend(found.filter(|p| p.starts_with('/')).map(str::to_owned));
            }
        }
        assert!(patterns.len() > 15, "{patterns:?}");
        for pattern in patterns {
            let known = |p: &str| ROUTES.iter().any(|r| r.pattern == p);
            assert!(
                known(&pattern) || known(&format!("/api/v1{pattern}")),
                "{pattern} has no line in ROUTES"
            );
        }
    }

    fn sources(folder: &std::path::Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(sources(&path));
            } else if path.file_name().is_some_and(|n| n != "routes.rs") {
                all.push(std::fs::read_to_string(&path).unwrap());
            }
        }
        all
    }
}
