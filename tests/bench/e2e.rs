//! Simulated partition, agent and TCP receiver as processes on the same cores.
//!
//! The journal is full before the agent starts. The receiver is this process: it counts line ends.

use crate::figures::{megabytes, status_bytes};
use crate::receiver::Receiver;
use muster_tests::eventually::eventually;
use muster_tests::process::{Process, program, run as run_program};
use muster_tests::results::result;
use muster_tests::sandbox::Sandbox;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a program to be ready.
const READY: Duration = Duration::from_secs(30);

/// Longest wait for all messages of a run.
pub const DRAINED: Duration = Duration::from_secs(300);

/// The agent is watched this long when it has nothing to do.
const IDLE: Duration = Duration::from_secs(8);

/// Entries of the run through the counting relay, and of the one before idling.
const RELAYED: u64 = 100_000;

const SCENARIO: &str = "
name = \"bench\"
[system]
host_name = \"BENCH\"
partition_name = \"BENCH\"
[[users]]
name = \"MUSTER\"
password = \"muster1\"
[journal]
receiver_size = 200000
keep_receivers = 0
hole_every = 997
[traffic]
rate = 0.0
seed = 2
";

/// Measures rate, memory and bytes on the wire.
pub fn run(events: u64) -> anyhow::Result<()> {
    let sandbox = Sandbox::new("bench");
    let partition = Simulated::start(&sandbox, "full", events)?;
    let busy = measure(&sandbox, &partition, "busy", &partition.address, events)?;
    println!(
        "e2e: {events} events, {:.0} events/s over all, {:.0} after the first tenth; {} bytes a message; processor \
         seconds: simulator {:.1}, agent {:.1}",
        busy.overall, busy.steady, busy.bytes_per_event, busy.partition_cpu, busy.agent_cpu
    );
    result("e2e_tcp_events_per_s", busy.steady.round());
    result("agent_rss_busy_mb", megabytes(busy.peak));
    println!("agent after draining {events} events: {} MB resident", megabytes(busy.after));
    drop(partition);

    let partition = Simulated::start(&sandbox, "small", RELAYED)?;
    let relay = Relay::start(&partition.address)?;
    measure(&sandbox, &partition, "relayed", &relay.address, RELAYED)?;
    let (up, down) = relay.bytes();
    println!("wire: {up} bytes to the partition, {down} from it, for {RELAYED} events");
    result("wire_bytes_per_event", (up + down) / RELAYED);

    let idle = idle(&sandbox, &partition)?;
    result("agent_rss_idle_mb", megabytes(idle));
    Ok(())
}

/// A simulated partition with a full journal, in a process of its own.
pub struct Simulated {
    process: Process,
    address: String,
    ca_file: PathBuf,
}

impl Simulated {
    /// Starts it and fills the journal with the everyday mix.
    pub fn start(sandbox: &Sandbox, name: &str, events: u64) -> anyhow::Result<Self> {
        let scenario = sandbox.write(&format!("{name}/scenario.toml"), SCENARIO);
        let (ports, certificates) =
            (sandbox.path().join(name).join("ports.json"), sandbox.path().join(name).join("cert"));
        let mut command = Command::new(program("ibmi-sim"));
        command.arg("serve").arg("--scenario").arg(&scenario).args(["--control", "127.0.0.1:0"]);
        command.arg("--port-file").arg(&ports).arg("--cert-dir").arg(&certificates);
        let process = Process::start("ibmi-sim", &mut command, &sandbox.path().join(name).join("sim.log"));
        let ports: serde_json::Value = eventually("the simulator answers", READY, || {
            let text = std::fs::read(&ports).map_err(|error| error.to_string())?;
            serde_json::from_slice(&text).map_err(|error| error.to_string())
        });
        let control = format!("127.0.0.1:{}", ports["control"]);
        let filled = run_program("ibmi-sim", &["mix", "--control", &control, &events.to_string()]);
        anyhow::ensure!(
            filled.status.success(),
            "the journal is not filled: {}",
            String::from_utf8_lossy(&filled.stderr)
        );
        let address = format!("127.0.0.1:{}", ports["port"]);
        Ok(Self { process, address, ca_file: certificates.join("cert.pem") })
    }
}

/// What one run gave.
struct Run {
    overall: f64,
    steady: f64,
    bytes_per_event: u64,
    peak: u64,
    after: u64,
    agent_cpu: f64,
    partition_cpu: f64,
}

/// Lets a fresh agent send the whole journal.
fn measure(
    sandbox: &Sandbox,
    partition: &Simulated,
    name: &str,
    address: &str,
    events: u64,
) -> anyhow::Result<Run> {
    let receiver = Receiver::start(events)?;
    let cpu_before = partition.process.cpu_seconds().unwrap_or_default();
    let started = Instant::now();
    let mut agent = agent(sandbox, partition, name, address, "oldest", &receiver.address)?;
    let received = receiver.await_all(&mut agent, DRAINED)?;
    Ok(Run {
        overall: received.overall(started),
        steady: received.steady(),
        bytes_per_event: received.bytes / events,
        peak: status_bytes(agent.id(), "VmHWM:")?,
        after: status_bytes(agent.id(), "VmRSS:")?,
        agent_cpu: agent.cpu_seconds().unwrap_or_default(),
        partition_cpu: partition.process.cpu_seconds().unwrap_or_default() - cpu_before,
    })
}

/// Lets a fresh agent send the journal to `receiver`, which is all that is wanted of this run.
pub fn send(sandbox: &Sandbox, partition: &Simulated, receiver: &Receiver) -> anyhow::Result<u64> {
    let mut agent = agent(sandbox, partition, "sending", &partition.address, "oldest", &receiver.address)?;
    Ok(receiver.await_all(&mut agent, DRAINED)?.bytes)
}

/// Most memory that a fresh agent holds while it stands at the end of the journal with nothing to do.
fn idle(sandbox: &Sandbox, partition: &Simulated) -> anyhow::Result<u64> {
    let receiver = Receiver::start(u64::MAX)?;
    let agent = agent(sandbox, partition, "idle", &partition.address, "now", &receiver.address)?;
    let end = Instant::now() + IDLE;
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(status_bytes(agent.id(), "VmRSS:")?);
        // Memory announces nothing; it is looked at now and then.
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(most)
}

/// Starts `muster-agent run` with a local policy.
fn agent(
    sandbox: &Sandbox,
    partition: &Simulated,
    name: &str,
    address: &str,
    start: &str,
    receiver: &str,
) -> anyhow::Result<Process> {
    let home = format!("agent-{name}");
    sandbox.write(&format!("{home}/password"), "muster1\n");
    sandbox.write(
        &format!("{home}/policy.yaml"),
        &format!(
            "sources:\n  audit: {{kind: audit_journal, start: {start}}}\ndestinations:\n  siem:\n    transport: \
             {{kind: tcp, address: \"{receiver}\"}}\n    format: {{kind: leef2}}\n    heartbeat_seconds: 0\n\
             severities:\n  - {{match: {{entry_types: [AF_B, AF_C]}}, severity: 9}}\n  - {{match: {{objects: \
             ['PAY*/*ALL']}}, severity: 8}}\nroutes:\n  all: {{match: {{min_severity: 1}}, destinations: [siem]}}\n"
        ),
    );
    let config = sandbox.write(
        &format!("{home}/agent.toml"),
        &format!(
            "state_dir = \"state\"\n[partition]\naddress = \"{address}\"\nuser = \"MUSTER\"\npassword_file = \
             \"password\"\nca_file = {:?}\n[policy]\nfile = \"policy.yaml\"\n",
            partition.ca_file.to_string_lossy()
        ),
    );
    let mut command = Command::new(program("muster-agent"));
    command.args(["run", "--config"]).arg(&config);
    Ok(Process::start("muster-agent", &mut command, &sandbox.path().join(home).join("agent.log")))
}

/// Passes bytes on between the agent and the partition and counts them.
struct Relay {
    address: String,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Relay {
    /// Listens; ends with the process.
    fn start(partition: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (up, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (partition, counters) = (partition.to_owned(), (Arc::clone(&up), Arc::clone(&down)));
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Ok(far) = TcpStream::connect(&partition) else { continue };
                let (Ok(near_back), Ok(far_back)) = (near.try_clone(), far.try_clone()) else { continue };
                let (up, down) = (Arc::clone(&counters.0), Arc::clone(&counters.1));
                std::thread::spawn(move || pass(near, far, &up));
                std::thread::spawn(move || pass(far_back, near_back, &down));
            }
        });
        Ok(Self { address, up, down })
    }

    /// Bytes to the partition and from it.
    fn bytes(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        counter.fetch_add(read as u64, Ordering::Relaxed);
    }
    // Either side may be gone already.
    let _ = to.shutdown(Shutdown::Both);
}
