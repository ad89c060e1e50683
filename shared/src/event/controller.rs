//! What administrators and the controller do, as events: one row an action of the controller's audit log.

/// An action of the controller's audit log, as a SIEM sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ControllerAction {
    /// Its name in the log; one that ends with `.` stands for all that begin with it.
    pub action: &'static str,
    /// Event id.
    pub id: &'static str,
    /// Fixed English text.
    pub text: &'static str,
    /// Severity, 1 to 10.
    pub severity: u8,
}

const fn row(action: &'static str, id: &'static str, text: &'static str, severity: u8) -> ControllerAction {
    ControllerAction { action, id, text, severity }
}

/// Every action that has an event id of its own. Exact names come before the groups that they belong to; the
/// last row is every action that a later release adds.
pub const ACTIONS: &[ControllerAction] = &[
    row("login.failed", "CONTROLLER_LOGIN_FAILED", "Failed login at the controller", 6),
    row("login", "CONTROLLER_LOGIN", "Login at the controller", 3),
    row("logout", "CONTROLLER_LOGOUT", "Logout from the controller", 2),
    row("password.reset", "CONTROLLER_PASSWORD_RESET", "Password reset on the controller's host", 8),
    row("password.", "CONTROLLER_PASSWORD", "Password changed at the controller", 5),
    row("user.", "CONTROLLER_USER", "Users or roles of the controller changed", 7),
    row("session.", "CONTROLLER_SESSION", "Session of the controller ended or changed", 4),
    row("api-token.", "CONTROLLER_API_TOKEN", "API token of the controller made or ended", 6),
    row("token.create", "CONTROLLER_TOKEN_CREATE", "Enrolment token made", 5),
    row("token.delete", "CONTROLLER_TOKEN_DELETE", "Enrolment token deleted", 4),
    row("foreign-token.", "CONTROLLER_FOREIGN_TOKEN", "Token of a foreign agent made or deleted", 5),
    row("foreign-config.", "CONTROLLER_FOREIGN_CONFIG", "Configuration of foreign agents changed", 5),
    row("agent.enrol", "CONTROLLER_AGENT_ENROL", "Agent enrolled", 5),
    row("agent.re-enrol", "CONTROLLER_AGENT_ENROL", "Agent enrolled", 5),
    row("agent.bind", "CONTROLLER_AGENT_ENROL", "Agent enrolled", 5),
    row("agent.approve", "CONTROLLER_AGENT_APPROVE", "Agent approved", 6),
    row("agent.deny", "CONTROLLER_AGENT_DENY", "Agent denied", 5),
    row("agent.renew", "CONTROLLER_AGENT_RENEW", "Agent's certificate renewed", 2),
    row("agent.remove", "CONTROLLER_AGENT_REMOVE", "Agent removed from the controller", 7),
    row("agent.decommission", "CONTROLLER_AGENT_REMOVE", "Agent removed from the controller", 7),
    row("agent.revoke", "CONTROLLER_AGENT_REVOKE", "Agent's certificate revoked", 7),
    row("agent.quarantine", "CONTROLLER_AGENT_QUARANTINE", "Agent put into quarantine", 8),
    row("agent.clone", "CONTROLLER_AGENT_QUARANTINE", "Agent put into quarantine", 8),
    row("agent.refused", "CONTROLLER_AGENT_REFUSED", "Agent with another's identity refused", 7),
    row("agent.", "CONTROLLER_AGENT", "Agent changed at the controller", 4),
    row("policy.publish", "CONTROLLER_POLICY_PUBLISH", "Collection policy published", 6),
    row("policy.", "CONTROLLER_POLICY", "Collection policies changed", 6),
    row("proposal.", "CONTROLLER_PROPOSAL", "Change proposed or decided", 5),
    row("settings.", "CONTROLLER_SETTINGS", "Settings of the controller changed", 7),
    row("events.", "CONTROLLER_EVENTS", "Events of agents looked into", 4),
    row("lease.take-over", "CONTROLLER_LEASE_TAKE_OVER", "Stand-by agent took over collection", 6),
    row("lease.", "CONTROLLER_LEASE", "Collection moved between agents of a partition", 4),
    row("rollout.", "CONTROLLER_ROLLOUT", "Rollout of policies or packages started, steered or ended", 6),
    row("licence.", "CONTROLLER_LICENCE", "Licence of the controller changed", 4),
    row("package.upload", "CONTROLLER_PACKAGE_UPLOAD", "Package for agents uploaded", 6),
    row("package.refuse", "CONTROLLER_PACKAGE_REFUSE", "Uploaded package for agents refused", 8),
    row("package.retire", "CONTROLLER_PACKAGE_RETIRE", "Package for agents retired", 6),
    row("package.", "CONTROLLER_PACKAGE", "Packages for agents changed", 5),
    // It holds the key of the authority, if encrypted.
    row("backup.download", "CONTROLLER_BACKUP_DOWNLOAD", "Backup of the controller downloaded", 9),
    row("backup.failed", "CONTROLLER_BACKUP_FAILED", "Backup of the controller failed", 7),
    row("backup.", "CONTROLLER_BACKUP", "Backup of the controller made", 3),
    row("controller.restored", "CONTROLLER_RESTORED", "Controller restored from a backup", 9),
    row("controller.superseded", "CONTROLLER_SUPERSEDED", "Controller replaced by a restored one", 9),
    row("refused.enrolment-token", "CONTROLLER_REFUSED_ENROLMENT_TOKEN", "Enrolment token refused", 6),
    row("refused.foreign-token", "CONTROLLER_REFUSED_FOREIGN_TOKEN", "Token of a foreign agent refused", 6),
    row("refused.api-token", "CONTROLLER_REFUSED_API_TOKEN", "API token refused", 6),
    row("refused.csrf", "CONTROLLER_REFUSED_CSRF", "Change that another site's page asked for refused", 8),
    row("refused", "CONTROLLER_REFUSED", "Change refused for want of a role", 6),
    row("ca.", "CONTROLLER_CA", "The controller's certification authority changed", 8),
    row("", "CONTROLLER_ACTION", "Action at the controller", 4),
];

/// Whether an action has a row of its own or of its group, not only the last one: without, nobody can tell it by its
/// event id, and its severity is a guess.
#[must_use]
pub fn is_known_action(action: &str) -> bool {
    !controller_action(action).action.is_empty()
}

/// The row of an action.
#[must_use]
pub fn controller_action(action: &str) -> &'static ControllerAction {
    let fits = |row: &&ControllerAction| {
        if row.action.is_empty() || row.action.ends_with('.') {
            action.starts_with(row.action)
        } else {
            action == row.action
        }
    };
    // The last row fits everything.
    ACTIONS.iter().find(fits).unwrap_or(&ACTIONS[ACTIONS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_row() {
        let cases = [
            ("login", "LOGIN"),
            ("login.failed", "LOGIN_FAILED"),
            ("logout", "LOGOUT"),
            ("password.change", "PASSWORD"),
            ("password.reset", "PASSWORD_RESET"),
            ("user.create", "USER"),
            ("user.change", "USER"),
            ("user.delete", "USER"),
            ("session.end", "SESSION"),
            ("api-token.create", "API_TOKEN"),
            ("api-token.revoke", "API_TOKEN"),
            ("token.create", "TOKEN_CREATE"),
            ("token.delete", "TOKEN_DELETE"),
            ("foreign-token.create", "FOREIGN_TOKEN"),
            ("foreign-token.delete", "FOREIGN_TOKEN"),
            ("foreign-config.set", "FOREIGN_CONFIG"),
            ("foreign-config.remove", "FOREIGN_CONFIG"),
            ("agent.enrol", "AGENT_ENROL"),
            ("agent.re-enrol", "AGENT_ENROL"),
            ("agent.bind", "AGENT_ENROL"),
            ("agent.pending", "AGENT"),
            ("agent.approve", "AGENT_APPROVE"),
            ("agent.deny", "AGENT_DENY"),
            ("agent.renew", "AGENT_RENEW"),
            ("agent.remove", "AGENT_REMOVE"),
            ("agent.decommission", "AGENT_REMOVE"),
            ("agent.revoke", "AGENT_REVOKE"),
            ("agent.quarantine", "AGENT_QUARANTINE"),
            ("agent.refused", "AGENT_REFUSED"),
            ("agent.release", "AGENT"),
            ("agent.label", "AGENT"),
            ("agent.pin", "AGENT"),
            ("agent.unpin", "AGENT"),
            ("agent.restart", "AGENT"),
            ("agent.maintenance", "AGENT"),
            ("agent.maintenance_end", "AGENT"),
            ("agent.diagnostics", "AGENT"),
            ("policy.publish", "POLICY_PUBLISH"),
            ("policy.revert", "POLICY"),
            ("policy.remove", "POLICY"),
            ("policy.draft", "POLICY"),
            ("policy.draft-publish", "POLICY"),
            ("policy.draft-delete", "POLICY"),
            ("policy.preview", "POLICY"),
            ("proposal.create", "PROPOSAL"),
            ("proposal.approve", "PROPOSAL"),
            ("proposal.reject", "PROPOSAL"),
            ("settings.change", "SETTINGS"),
            ("events.recent", "EVENTS"),
            ("events.tail", "EVENTS"),
            ("events.one", "EVENTS"),
            ("lease.create", "LEASE"),
            ("lease.adopt", "LEASE"),
            ("lease.move", "LEASE"),
            ("lease.moved", "LEASE"),
            ("lease.move-given-up", "LEASE"),
            ("lease.take-over", "LEASE_TAKE_OVER"),
            ("rollout.start", "ROLLOUT"),
            ("rollout.run", "ROLLOUT"),
            ("rollout.pause", "ROLLOUT"),
            ("rollout.resume", "ROLLOUT"),
            ("rollout.halt", "ROLLOUT"),
            ("rollout.abort", "ROLLOUT"),
            ("rollout.roll-back", "ROLLOUT"),
            ("rollout.rolled-back", "ROLLOUT"),
            ("rollout.done", "ROLLOUT"),
            ("licence.install", "LICENCE"),
            ("licence.pair", "LICENCE"),
            ("licence.unpair", "LICENCE"),
            ("package.upload", "PACKAGE_UPLOAD"),
            ("package.refuse", "PACKAGE_REFUSE"),
            ("package.retire", "PACKAGE_RETIRE"),
            ("backup.make", "BACKUP"),
            ("backup.failed", "BACKUP_FAILED"),
            ("backup.download", "BACKUP_DOWNLOAD"),
            ("controller.restored", "RESTORED"),
            ("controller.superseded", "SUPERSEDED"),
            ("refused", "REFUSED"),
            ("refused.enrolment-token", "REFUSED_ENROLMENT_TOKEN"),
            ("refused.foreign-token", "REFUSED_FOREIGN_TOKEN"),
            ("refused.api-token", "REFUSED_API_TOKEN"),
            ("refused.csrf", "REFUSED_CSRF"),
            ("ca.roll-over", "CA"),
            ("ca.roll-over.finish", "CA"),
            ("something.new", "ACTION"),
            ("", "ACTION"),
        ];
        for (action, id) in cases {
            assert_eq!(controller_action(action).id, format!("CONTROLLER_{id}"), "{action}");
            assert_eq!(is_known_action(action), id != "ACTION", "{action}");
        }
    }

    #[test]
    fn no_row_hides_another() {
        for (position, row) in ACTIONS.iter().enumerate() {
            let shadow = ACTIONS[..position].iter().find(|before| {
                let group = before.action.is_empty() || before.action.ends_with('.');
                if group { row.action.starts_with(before.action) } else { row.action == before.action }
            });
            assert_eq!(shadow, None, "{}", row.action);
            assert!((1..=10).contains(&row.severity));
            assert!(row.id.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{}", row.id);
        }
    }
}
