//! Policies in Git: a pipeline plans, an approved change is applied, all of it or nothing.

use crate::fleet::partition;
use muster_tests::eventually::eventually;
use muster_tests::policies;
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{Controller, Sandbox};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("below the folder")).expect("the folder is made");
    std::fs::write(path, text).expect("the file is written");
}

/// Exit code, standard output and standard error.
fn muster(controller: &Controller, args: &[&str]) -> (Option<i32>, String, String) {
    let output = controller.muster(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn base(address: &str) -> String {
    policies::document("base", &policies::one(&policies::tcp(address), "{kind: leef2}"))
}

const EAST: &str = "api_version: muster/v1
name: east
selector: {site: east}
priority: 10
spec:
  rules:
    - {name: quiet, match: {entry_types: [ZR]}, action: drop}
";

#[test]
fn a_pipeline_plans_and_applies() {
    // given an agent, and a folder of policies as a checkout of Git
    let at = partition("EASTERN");
    let siem = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("policy-as-code");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let home = sandbox.agent("eastern", &at.at(), None);
    let id = controller.enrol(&home, &["site=east"]);
    let _agent = home.run();
    controller.await_agent(&id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    let git = sandbox.path().join("git");
    write(&git, "base.yaml", &base(&siem.address()));
    write(&git, "sites/east.yml", EAST);
    write(&git, "README.md", "not a policy");
    let folder = git.display().to_string();

    // when the pipeline plans, then the exit code says that something would change, and nothing does
    let (code, plan, _) = muster(&controller, &["policy", "apply", "-f", &folder, "--dry-run"]);
    assert_eq!(code, Some(6), "{plan}");
    assert!(plan.contains("+ create base") && plan.contains("+ create east"), "{plan}");
    assert_eq!(controller.muster_json(&["policy", "show"]), Value::Array(Vec::new()));
    // when it applies, then both are published and the agent runs them
    let (code, told, complaint) = muster(&controller, &["policy", "apply", "-f", &folder, "--wait", "30s"]);
    assert_eq!(code, Some(0), "{told}{complaint}");
    assert!(told.contains("create east as revision 2") && told.contains("applied"), "{told}");
    // and the next plan is empty
    let (code, plan, _) = muster(&controller, &["policy", "apply", "-f", &folder, "--dry-run"]);
    assert_eq!((code, plan.contains("nothing to change")), (Some(0), true), "{plan}");
    // (by now the agent has seen its partition and knows its name)
    controller.await_agent("EASTERN", "its name is known", LIMIT, |_| Some(()));
    // and each value tells where it comes from
    let values = controller.muster_ok(&["agents", "policy", &id]);
    assert!(values.contains("spec.rules[quiet].action") && values.contains("east@2"), "{values}");

    // when somebody asks what a rule would do to recent events, the agent says it
    at.append_mix(300);
    let zr = at.entries(0..=u64::MAX).iter().filter(|e| e.entry_type == "ZR").count();
    let af = at.entries(0..=u64::MAX).iter().filter(|e| e.entry_type == "AF").count();
    assert!(zr > 0 && af > 0, "the mix has both");
    let flipped = sandbox.write("flipped.yaml", &EAST.replace("[ZR]", "[AF]")).display().to_string();
    eventually("the agent has seen them", LIMIT, || {
        let preview = controller.muster_json(&["policy", "preview", "-f", &flipped, "--events"]);
        let report = &preview["groups"][0]["events"][0]["report"];
        let (dropped, kept) = (&report["dropped_by_rule"]["quiet"], &report["kept_from_rule"]["quiet"]);
        let samples = report["samples"].as_array().map_or(0, Vec::len);
        if *dropped == af && *kept == zr && (1..=20).contains(&samples) {
            Ok(())
        } else {
            Err(preview.to_string())
        }
    });
    let told = controller.muster_ok(&["policy", "preview", "-f", &flipped, "--events"]);
    assert!(
        told.contains(&format!("- {af} by quiet")) && told.contains(&format!("+ {zr} that quiet drops now")),
        "{told}"
    );

    // when one file of a set is broken, then none is published, and the place is named
    write(&git, "base.yaml", &base("127.0.0.1:10"));
    write(&git, "sites/east.yml", &EAST.replace("action: drop", "action: dorp"));
    let (code, _, complaint) = muster(&controller, &["policy", "apply", "-f", &folder]);
    assert_eq!(code, Some(4), "{complaint}");
    let place = git.join("sites/east.yml");
    assert!(complaint.contains(&format!("{}:7:", place.display())), "{complaint}");
    assert_eq!(controller.muster_json(&["policy", "history"]).as_array().map(Vec::len), Some(2));

    // when a file goes away, only --prune removes the policy
    std::fs::remove_file(&place).expect("the file is removed");
    let (code, plan, _) = muster(&controller, &["policy", "apply", "-f", &folder, "--dry-run"]);
    assert_eq!((code, plan.contains("remove")), (Some(6), false), "{plan}");
    let preview = controller.muster_ok(&["policy", "preview", "-f", &folder, "--prune"]);
    assert!(preview.contains("- remove east"), "{preview}");
    assert!(preview.contains("EASTERN\n  made of base@new"), "{preview}");
    assert!(
        preview.contains(&format!("SIEMs may see less: destination siem leaves {}", siem.address())),
        "{preview}"
    );
    let plan = controller.muster_json(&["policy", "apply", "-f", &folder, "--prune"]);
    let actions: Vec<_> = plan["policies"].as_array().into_iter().flatten().map(|p| &p["action"]).collect();
    assert_eq!(actions, ["update", "remove"], "{plan}");
    assert_eq!(plan["published"], true);

    // when somebody looks back: any two revisions, a file against a revision, and back again
    let diff = controller.muster_ok(&["policy", "diff", "base@1", "base@3"]);
    assert!(diff.contains(&format!("\"{}\" -> \"127.0.0.1:10\"", siem.address())), "{diff}");
    let file = git.join("base.yaml").display().to_string();
    assert_eq!(controller.muster_ok(&["policy", "diff", "base@3", &file]), "");
    let told = controller.muster_ok(&["policy", "revert", "base", "--to", "1"]);
    assert_eq!(told, "base: published as revision 5; selects 1 agent(s)\n");
    assert_eq!(controller.muster_ok(&["policy", "show", "base"]), base(&siem.address()));
    let told = controller.muster_ok(&["policy", "remove", "base"]);
    assert!(told.contains("removed by revision 6"), "{told}");
}

#[test]
fn drafts_are_written_by_several_people() {
    let sandbox = Sandbox::new("drafts");
    let controller = sandbox.controller();
    controller.login();
    let file = sandbox.write("draft.yaml", &base("127.0.0.1:9")).display().to_string();
    let (code, tag, notes) = muster(&controller, &["policy", "draft", "save", "mine", &file]);
    assert_eq!(code, Some(0), "{notes}");
    let (code, _, complaint) = muster(&controller, &["policy", "draft", "save", "mine", &file]);
    assert_eq!((code, complaint.contains("exists already")), (Some(4), true), "{complaint}");
    let tag = tag.trim();
    let broken = sandbox.write("broken.yaml", &base("127.0.0.1")).display().to_string();
    let (code, newer, notes) =
        muster(&controller, &["policy", "draft", "save", "mine", &broken, "--etag", tag]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("broken.yaml:10:") && notes.contains("has no port"), "{notes}");
    let (code, _, complaint) =
        muster(&controller, &["policy", "draft", "save", "mine", &file, "--etag", tag]);
    assert_eq!((code, complaint.contains("changed by somebody else")), (Some(4), true), "{complaint}");
    let (code, _, complaint) = muster(&controller, &["policy", "draft", "publish", "mine"]);
    assert_eq!((code, complaint.contains("has no port")), (Some(4), true), "{complaint}");
    let list = controller.muster_ok(&["policy", "draft", "list"]);
    assert!(list.contains("mine") && list.contains("1 fault(s)"), "{list}");
    let save = ["policy", "draft", "save", "mine", &file, "--etag", newer.trim()];
    let _ = controller.muster_ok(&save);
    assert_eq!(controller.muster_ok(&["policy", "draft", "show", "mine"]), base("127.0.0.1:9"));
    let told = controller.muster_ok(&["policy", "draft", "publish", "mine"]);
    assert!(told.contains("base: published as revision 1"), "{told}");
    assert_eq!(controller.muster_json(&["policy", "draft", "list"]), Value::Array(Vec::new()));
    let schema = controller.muster_json(&["policy", "schema"]);
    assert_eq!(schema["title"], "Muster policy");
}
