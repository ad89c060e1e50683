//! What happens once all runs: shown to a person, or checked without one.

use super::fleet::{ADMIN_PASSWORD, Fleet};
use super::receiver::Receiver;
use crate::results::result;
use anyhow::{Context as _, ensure};
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Longest wait for anything in the unattended demo.
const PATIENCE: Duration = Duration::from_secs(60);
/// ZR must be absent this long while other events arrive.
const QUIET: Duration = Duration::from_secs(5);
/// Lines shown before the hints, so that both are on one screen.
const LINES_BEFORE_HINTS: usize = 12;

/// Header fields of an RFC 5424 line that the demo looks at: host, and message id (the entry type).
fn host_and_type(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ');
    let host = fields.nth(2)?;
    let message_id = fields.nth(2)?;
    Some((host, message_id))
}

fn is_zr(line: &str) -> bool {
    host_and_type(line).is_some_and(|(_, kind)| kind == "ZR" || kind.starts_with("ZR_"))
}

/// For a person: the events as they come, and what to try, until Ctrl-C.
pub(super) async fn attended(fleet: &Fleet, receiver: &mut Receiver) -> anyhow::Result<()> {
    open_console(fleet);
    let mut shown = 0;
    loop {
        println!("{}", receiver.next().await?);
        shown += 1;
        if shown == LINES_BEFORE_HINTS {
            print_hints(fleet);
        }
    }
}

/// Opens the console in the browser of whoever watches, if there is a desktop.
fn open_console(fleet: &Fleet) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if desktop && std::io::stdout().is_terminal() {
        // Where no browser is known, the address in the hints does.
        let _ = std::process::Command::new("xdg-open")
            .arg(&fleet.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}

fn print_hints(fleet: &Fleet) {
    let (control, name) = &fleet.control;
    println!(
        "\n\
         ── The console, in a browser on this machine ───────────────────────────────────────────\n\
         {}        user admin, password {ADMIN_PASSWORD}\n\
         The certificate is the demo's own: the browser asks once whether to trust it.\n\
         ── Try in another terminal, in this folder ─────────────────────────────────────────────\n\
         export XDG_CONFIG_HOME={} PATH=$PWD/target/quick:$PATH\n\
         muster agents                                         the fleet and its health\n\
         muster rates --watch                                  events per second\n\
         muster policy apply deploy/demo/drop-reads.yaml       entry type ZR stops here\n\
         ibmi-sim inject --control {control} 'AF, violation A, user BOB, PAYROLL/EMP'\n\
         \u{20}                                                     one event of {name}, watch it arrive\n\
         Ctrl-C here stops everything.\n\
         ────────────────────────────────────────────────────────────────────────────────────────\n",
        fleet.url,
        fleet.config_home().display()
    );
}

/// Without a person.
pub(super) async fn unattended(fleet: &Fleet, receiver: &mut Receiver, begin: Instant) -> anyhow::Result<()> {
    let first = within("an event at the receiver", receiver.next()).await?;
    result("demo_first_event_s", format!("{:.1}", begin.elapsed().as_secs_f64()));
    println!("{first}");

    let hosts = within("events of every partition, and a ZR", every_partition(fleet, receiver)).await?;
    println!("events of {} partitions: {}", hosts.len(), hosts.into_iter().collect::<Vec<_>>().join(" "));

    let before = fleet.dropped().await?;
    let policy = super::root().join("deploy/demo/drop-reads.yaml").display().to_string();
    print!("{}", fleet.muster(&["policy", "apply", &policy, "--wait", "60s"]).await?);
    let others = within("ZR stops while other events arrive", zr_stops(receiver)).await?;
    println!("no ZR for {QUIET:?}, {others} other events");
    let dropped = within("the drop counter rises", drops_rise(fleet, before)).await?;
    println!("dropped so far: {dropped} (before: {before})");
    println!("console: {}", fleet.console().await?);
    Ok(())
}

async fn within<T>(what: &str, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("not within {PATIENCE:?}: {what}"))?
}

async fn every_partition(fleet: &Fleet, receiver: &mut Receiver) -> anyhow::Result<BTreeSet<String>> {
    let mut hosts = BTreeSet::new();
    let mut zr = false;
    while hosts.len() < fleet.size || !zr {
        let line = receiver.next().await?;
        zr |= is_zr(&line);
        if let Some((host, _)) = host_and_type(&line) {
            hosts.insert(host.to_owned());
        }
    }
    Ok(hosts)
}

/// Waits until no ZR came for a while; what was on its way when the policy changed may still arrive.
async fn zr_stops(receiver: &mut Receiver) -> anyhow::Result<u64> {
    let mut quiet_since = Instant::now();
    let mut others = 0;
    while quiet_since.elapsed() < QUIET {
        let line = receiver.next().await?;
        if is_zr(&line) {
            quiet_since = Instant::now();
            others = 0;
        } else {
            others += 1;
        }
    }
    ensure!(others > 0, "no event at all arrived in {QUIET:?}");
    Ok(others)
}

async fn drops_rise(fleet: &Fleet, before: u64) -> anyhow::Result<u64> {
    loop {
        let now = fleet.dropped().await?;
        if now > before {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_entry_type_of_a_line() {
        let line = "<109>1 2026-11-22T04:00:00.123456Z PROD01 Muster - ZR_A [muster@32473 user=\"BOB\"] text";
        assert_eq!(host_and_type(line), Some(("PROD01", "ZR_A")));
        assert!(is_zr(line));
        assert!(!is_zr(&line.replace("ZR_A", "AF_A")));
        assert_eq!(host_and_type("x"), None);
    }
}
