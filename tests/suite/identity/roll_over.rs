//! The authority is replaced under a running fleet.

use super::*;
use muster_tests::eventually::eventually;

#[test]
fn the_authority_is_replaced_while_agents_work() {
    // given two agents, one of them switched off, and a token of before
    let (one, two) = (partition("FIRST"), partition("SECOND"));
    let sandbox = Sandbox::new("roll-over");
    let mut controller = controller(&sandbox, "60");
    let (first, second) = (home(&sandbox, &one, "first"), home(&sandbox, &two, "second"));
    let ids = [controller.enrol(&first, &["env=test"]), controller.enrol(&second, &["env=test"])];
    let _first = first.run();
    let mut away = second.run();
    ids.iter().for_each(|id| connected(&controller, id));
    assert!(away.terminate(LIMIT).success());
    let third = home(&sandbox, &partition("THIRD"), "unused");
    let token = third.folder.join("token").display().to_string();
    let _ = controller.muster_ok(&["token", "create", "--uses", "2", "--output-file", &token]);
    let old = controller.muster_json(&["ca", "show"])["issuing"]["key_sha256"].clone();
    // when the roll-over begins
    let told = controller.muster_ok(&["ca", "roll-over"]);
    assert!(told.contains("of 2 agents"), "{told}");
    let again = controller.muster(&["ca", "roll-over"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("under way since"));
    // then the agent that is there moves by itself, also over a crash of the controller
    controller.crash_and_restart();
    eventually("the first has moved", LIMIT, || {
        let ca = controller.muster_json(&["ca", "show"]);
        if ca["remaining"] == 1 { Ok(()) } else { Err(ca.to_string()) }
    });
    let ca = controller.muster_json(&["ca", "show"]);
    assert_eq!((&ca["previous"]["key_sha256"], &ca["remaining_names"][0]), (&old, &"SECOND".into()));
    // and the end is refused while the other one would be lost
    let refused = controller.muster(&["ca", "roll-over", "--finish"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("1 agent(s) do not have"));
    // and a token of before still lets an agent in
    let at = partition("THIRD3");
    let third = home(&sandbox, &at, "third");
    let output = third.call("enrol", &["--token-file", &token]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _third = third.run();
    // when the other one is back, then it moves too, and the old authority can go
    let _second = second.run();
    eventually("all have moved", LIMIT, || {
        let ca = controller.muster_json(&["ca", "show"]);
        if ca["remaining"] == 0 { Ok(()) } else { Err(ca.to_string()) }
    });
    let told = controller.muster_ok(&["ca", "roll-over", "--finish"]);
    assert!(!told.contains("replaces"), "{told}");
    controller.crash_and_restart();
    // then the command line needs to be told of the new one, and everybody is connected
    controller.login();
    for id in &ids {
        connected(&controller, id);
    }
    let ca = controller.muster_json(&["ca", "show"]);
    assert_ne!(ca["issuing"]["key_sha256"], old);
    // and the old token is void, and says so
    let tokens = controller.muster_ok(&["token", "list"]);
    assert!(tokens.contains("void"), "{tokens}");
    let late = home(&sandbox, &partition("LATE"), "late");
    let output = late.call("enrol", &["--token-file", &token]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the authority that the token names"), "{told}");
}
