//! What makes pages full: a rollout under way, a package, somebody who waits, proposals.

use super::stage::Stage;
use muster_tests::{packages, policies};

impl Stage {
    /// Makes and signs a package of version 9.0.0; gives its path. What is in it does not run: it is small.
    pub(super) fn package(&self) -> String {
        let program = self.sandbox.write("packages/program", "#!/bin/sh\nexit 1\n");
        let package = packages::build_with(&self.sandbox.path().join("packages"), &program);
        packages::sign(&package, &packages::key(1));
        package.display().to_string()
    }

    /// Gives every page something to show. From then on four eyes are needed.
    pub(super) fn furnish(&mut self) {
        let muster = |args: &[&str]| self.controller.muster_ok(args);
        let _ = muster(&["package", "upload", &self.package()]);
        let other =
            self.policy("fleet", "rules:\n  - {name: no-reads, match: {entry_types: [ZR]}, action: drop}\n");
        let other = self.sandbox.write("fleet.yaml", &other).display().to_string();
        let _ = muster(&[
            "rollout",
            "start",
            "--file",
            &other,
            "--soak",
            "1h",
            "--description",
            "reads are noise",
        ]);
        let _ = muster(&["settings", "four-eyes", "on"]);
        for (name, priority, how) in [
            ("night", "priority: 10", &["policy", "apply"][..]),
            ("evening", "priority: 20", &["rollout", "start", "--file"]),
        ] {
            // Two policies that say something of the same need an order.
            let text = self.policy(name, "").replace("spec:\n", &format!("{priority}\nspec:\n"));
            let file = self.sandbox.write(&format!("{name}.yaml"), &text).display().to_string();
            // What is not done yet is no success to the command line.
            let told = self.controller.muster(&[how, &[&file, "--profile", "otto"]].concat());
            let told = String::from_utf8_lossy(&told.stderr).into_owned();
            assert!(told.contains("proposed, not done yet"), "{told}");
        }
        let _ = self.ask("NEWLPAR");
    }

    /// The policy of the fleet by another name, or with more in it.
    pub(super) fn policy(&self, name: &str, more: &str) -> String {
        let content = policies::one(&policies::tcp(&self.receiver.address()), "{kind: leef2}");
        let document = policies::document(name, &format!("{content}{more}"));
        document.replace("spec:\n", "selector: {env: test}\nspec:\n")
    }
}
