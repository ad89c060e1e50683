//! Agents that reach the controller through an HTTP proxy.

use super::*;
use muster_tests::proxy::ConnectProxy;

#[test]
fn an_agent_enrols_and_works_through_a_proxy_over_both_transports() {
    for transport in ["websocket", "http"] {
        // given a proxy that wants a password
        let at = partition(if transport == "http" { "PROXYH" } else { "PROXYW" });
        let sandbox = Sandbox::new("proxy");
        let controller = controller(&sandbox, "600");
        let proxy = ConnectProxy::start(Some("agent:hunter2"));
        let agent = home(&sandbox, &at, "proxied");
        let settings = |password: &str| {
            std::fs::write(agent.folder.join("proxy-password"), password).expect("the password is written");
        };
        let config = std::fs::read_to_string(&agent.config).expect("the configuration is read");
        let table = format!(
            "[controller]\ntransport = \"{transport}\"\nproxy = \"http://{}\"\nproxy_user = \"agent\"\n\
             proxy_password_file = \"proxy-password\"\n",
            proxy.address()
        );
        std::fs::write(&agent.config, config + &table).expect("the configuration is written");
        // when the password is wrong, then enrolment says that it is the proxy
        settings("wrong\n");
        let file = agent.folder.join("token").display().to_string();
        let _ = controller.muster_ok(&["token", "create", "--output-file", &file]);
        let output = agent.call("enrol", &["--token-file", &file]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("wants another user or password"), "{told}");
        // when it is right, then agent and controller find each other through the proxy
        settings("hunter2\n");
        let output = agent.call("enrol", &["--token-file", &file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let _process = agent.run();
        controller.await_agent(at_name(transport), "connected", LIMIT, |view| {
            (view["summary"]["connection"] == "connected").then_some(())
        });
        assert!(proxy.tunnels() >= 2, "enrolment and session");
        // when the proxy forbids the controller, then the agent says that it is the proxy
        proxy.refuse();
        agent.await_health("uplink", "failed", "proxy", LIMIT);
    }
}

fn at_name(transport: &str) -> &'static str {
    if transport == "http" { "PROXYH" } else { "PROXYW" }
}
