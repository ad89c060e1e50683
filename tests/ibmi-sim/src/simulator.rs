//! Starting and steering a simulated partition from a test or from the program.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::encode::{ExitError, ExitRequest, write_exit};
use crate::fault::{Act, Fault, FaultState};
use crate::inject::{InjectError, InjectSpec};
use crate::journal::PutEntry;
use crate::message::{MessageError, MessageSpec, Sent};
use crate::queue::{self, QueueError, QueuePlan};
use crate::registry::{ExitProgram, RegistryError};
use crate::scenario::Scenario;
use crate::server::{Counts, Server, identity};
use crate::world::World;

/// How often traffic is written: short enough that a second's rate looks even.
const TICK: Duration = Duration::from_millis(20);

/// Where and how it is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the server; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder in which certificate and key are kept; none makes new ones each time.
    pub cert_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), cert_dir: None }
    }
}

/// Starts simulated partitions.
#[derive(Debug)]
pub struct Simulator;

/// A running simulated partition. Dropping it stops it.
#[derive(Debug)]
pub struct SimHandle {
    /// Address of the server.
    pub addr: SocketAddr,
    /// The certificate that it showed first, in PEM: what a client must trust.
    pub ca_pem: String,
    server: Arc<Server>,
    rate: watch::Sender<f64>,
    tasks: Vec<JoinHandle<()>>,
}

/// One receiver as `status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiverState {
    /// Library.
    pub library: String,
    /// Name.
    pub name: String,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number.
    pub last: u64,
    /// Entries in it, those of the journal itself too.
    pub entries: usize,
    /// Attach time: microseconds since 1970 of the local clock.
    pub attached_us: i64,
    /// Is it the attached one?
    pub attached: bool,
}

/// A data queue as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueState {
    /// LIBRARY/NAME.
    pub queue: String,
    /// Entries on it.
    pub entries: usize,
    /// Entries that were ever put on it.
    pub total: u64,
}

/// What a partition is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Name of the scenario.
    pub name: String,
    /// Entries a second.
    pub rate: f64,
    /// Entries ever written, without the journal's own.
    pub total: u64,
    /// Receivers, oldest first.
    pub receivers: Vec<ReceiverState>,
    /// Faults that are on.
    pub faults: FaultState,
}

impl Simulator {
    /// Starts a partition; it answers when this returns.
    ///
    /// # Errors
    /// When the scenario does not fit, the port is taken or the certificate cannot be had.
    pub async fn start(scenario: Scenario, options: Options) -> anyhow::Result<SimHandle> {
        let world = Arc::new(World::new(scenario)?);
        let identity = identity(&world.scenario.system.host_name, options.cert_dir.as_deref())?;
        let ca_pem = identity.ca_pem.clone();
        let server = Server::new(Arc::clone(&world), identity);
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("listen on {}", options.listen))?;
        let addr = listener.local_addr().context("address of the listener")?;
        let rate = watch::Sender::new(world.scenario.traffic.rate);
        let tasks = vec![
            tokio::spawn(Arc::clone(&server).serve(listener)),
            tokio::spawn(traffic(Arc::clone(&world), rate.subscribe())),
        ];
        let handle = SimHandle { addr, ca_pem, server, rate, tasks };
        for fault in handle.server.world.scenario.faults.clone() {
            handle.set_fault(fault)?;
        }
        Ok(handle)
    }
}

/// Writes entries at the rate, in small runs.
async fn traffic(world: Arc<World>, mut rate: watch::Receiver<f64>) {
    let mut owed = 0.0_f64;
    let mut last = tokio::time::Instant::now();
    loop {
        let now_rate = *rate.borrow_and_update();
        if now_rate <= 0.0 {
            owed = 0.0;
            if rate.changed().await.is_err() {
                return;
            }
            last = tokio::time::Instant::now();
            continue;
        }
        tokio::time::sleep(TICK).await;
        let now = tokio::time::Instant::now();
        // After a long pause of the machine at most one second is made up for.
        owed += now_rate * (now - last).as_secs_f64().min(1.0);
        last = now;
        let whole = owed.floor();
        owed -= whole;
        world.append_mix(whole as usize);
    }
}

impl SimHandle {
    /// Writes one chosen entry and returns its sequence number.
    ///
    /// # Errors
    /// When the spec names an unknown type or field, or no receiver is attached.
    pub fn inject(&self, spec: &InjectSpec) -> anyhow::Result<u64> {
        let world = &self.server.world;
        let body = spec.body(world.page).map_err(|error: InjectError| anyhow::anyhow!(error))?;
        world.append(Arc::new(body), spec.remote_port.unwrap_or(50_000)).context(
            "no receiver is attached (fault journal-detached or journal-missing): nothing was written",
        )
    }

    /// The bytes that the exit program would put on its data queue now for this request.
    ///
    /// # Errors
    /// When the request names an unknown format or value.
    pub fn exit_record(&self, request: &ExitRequest) -> Result<Vec<u8>, ExitError> {
        let world = &self.server.world;
        write_exit(request, world.page, world.now(), world.scenario.system.utc_offset_minutes)
    }

    /// Registers an exit program (ADDEXITPGM).
    ///
    /// # Errors
    /// When there is no such exit point, or no room at it.
    pub fn add_exit_program(&self, program: ExitProgram) -> Result<(), RegistryError> {
        self.server.world.registry_mut().add(program)
    }

    /// Takes an exit program off its exit point (RMVEXITPGM).
    ///
    /// # Errors
    /// When none is registered with that number.
    pub fn remove_exit_program(
        &self,
        exit_point: &str,
        format: &str,
        number: i64,
    ) -> Result<(), RegistryError> {
        self.server.world.registry_mut().remove(exit_point, format, number)
    }

    /// Writes messages to the history log, all at one time; gives that local time.
    ///
    /// # Errors
    /// When the message file lacks a description.
    pub fn log_messages(&self, specs: &[MessageSpec]) -> Result<i64, MessageError> {
        let world = &self.server.world;
        let at = world.now();
        let sent = specs.iter().map(|spec| world.message(spec, at)).collect::<Result<Vec<Sent>, _>>()?;
        let mut messages = world.messages_mut();
        for message in sent {
            messages.log(message);
        }
        Ok(at)
    }

    /// Sends a message to the queue LIBRARY/NAME (QSYS where no library is given); gives its key.
    ///
    /// # Errors
    /// When there is no such queue, or the message file lacks the description.
    pub fn send_message(&self, queue: &str, spec: &MessageSpec) -> Result<u32, MessageError> {
        let world = &self.server.world;
        let message = world.message(spec, world.now())?;
        world.messages_mut().send(queue, message)
    }

    /// Answers the inquiry with that key; gives the key of the reply.
    ///
    /// # Errors
    /// When there is no such queue or inquiry.
    pub fn reply(&self, queue: &str, key: u32, user: &str, answer: &str) -> Result<u32, MessageError> {
        let world = &self.server.world;
        let job = world.messages().inquiry(queue, key)?.job.clone();
        let spec = MessageSpec { user: user.to_owned(), ..MessageSpec::impromptu(answer) };
        let mut message = world.message(&spec.from_job(&job).of_type("REPLY"), world.now())?;
        message.answers = Some(key);
        world.messages_mut().send(queue, message)
    }

    /// Begins the next file of the history log; gives its name.
    pub fn switch_history(&self) -> String {
        let now = self.server.world.now();
        self.server.world.messages_mut().switch(now)
    }

    /// Deletes the oldest file of the history log; none where only the one that is written is left.
    pub fn delete_history(&self) -> Option<String> {
        self.server.world.messages_mut().delete_oldest()
    }

    /// Creates a message queue (CRTMSGQ).
    pub fn create_queue(&self, queue: &str) {
        self.server.world.messages_mut().create_queue(queue);
    }

    /// Deletes a message queue (DLTMSGQ); false when there was none.
    pub fn delete_queue(&self, queue: &str) -> bool {
        self.server.world.messages_mut().delete_queue(queue)
    }

    /// Removes all messages of a queue (CLRMSGQ), or only the one with that key; says how many.
    pub fn remove_messages(&self, queue: &str, key: Option<u32>) -> usize {
        self.server.world.messages_mut().remove(queue, key)
    }

    /// What the files of the history log hold, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Sent> {
        self.server.world.messages().files().flat_map(|file| file.messages.clone()).collect()
    }

    /// What a message queue holds; empty where there is none.
    #[must_use]
    pub fn queue(&self, library: &str, name: &str) -> Vec<Sent> {
        self.server
            .world
            .messages()
            .queue(library, name)
            .map_or_else(Vec::new, |queue| queue.messages.clone())
    }

    /// Writes that many entries of the everyday mix at once; says how many were written.
    pub fn append_mix(&self, count: usize) -> usize {
        self.server.world.append_mix(count)
    }

    /// Creates a data queue (CRTDTAQ).
    ///
    /// # Errors
    /// When it is there, or the plan makes no queue.
    pub fn create_data_queue(&self, plan: QueuePlan) -> Result<(), QueueError> {
        self.server.world.queues().create(plan)
    }

    /// Deletes a data queue with what is on it (DLTDTAQ).
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_data_queue(&self, queue: &str) -> Result<(), QueueError> {
        self.server.world.queues().delete(queue)
    }

    /// Puts an entry on a data queue, as a program does (QSNDDTAQ).
    ///
    /// # Errors
    /// When it is not there, full, or the entry does not fit.
    pub fn send_data_queue(&self, queue: &str, sent: queue::Sent) -> Result<(), QueueError> {
        let world = &self.server.world;
        let at = world.now();
        world.queues().of(queue)?.send(sent, at)
    }

    /// Bytes of a text in the page of the partition.
    #[must_use]
    pub fn bytes(&self, text: &str) -> Vec<u8> {
        let (page, mut out) = (self.server.world.page, Vec::new());
        page.put(text, page.length(text), &mut out);
        out
    }

    /// Takes the next entry of a queue without keys away, as another reader does.
    ///
    /// # Errors
    /// When it is not there, or keyed.
    pub fn receive_data_queue(&self, queue: &str) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(self.server.world.queues().of(queue)?.receive(None, true)?.map(|entry| entry.data))
    }

    /// Takes all entries of a queue away.
    ///
    /// # Errors
    /// When it is not there.
    pub fn clear_data_queue(&self, queue: &str) -> Result<(), QueueError> {
        self.server.world.queues().of(queue)?.clear(None)
    }

    /// Data queues as they stand.
    #[must_use]
    pub fn data_queues(&self) -> Vec<QueueState> {
        let queues = self.server.world.queues();
        let state = |queue: &crate::queue::DataQueue| QueueState {
            queue: queue.plan.queue.to_uppercase(),
            entries: queue.entries().count(),
            total: queue.total(),
        };
        queues.iter().map(state).collect()
    }

    /// Takes everybody's authority to a data queue away, or gives it back.
    ///
    /// # Errors
    /// When it is not there.
    pub fn deny_data_queue(&self, queue: &str, denied: bool) -> Result<(), QueueError> {
        self.server.world.queues().deny(queue, denied)
    }

    /// Lets another job hold a data queue, so that nothing can be taken away, or let it go.
    ///
    /// # Errors
    /// When it is not there.
    pub fn lock_data_queue(&self, queue: &str, locked: bool) -> Result<(), QueueError> {
        self.server.world.queues().lock(queue, locked)
    }

    /// The next statement that takes an entry of this queue away is carried out and never answered.
    ///
    /// # Errors
    /// When it is not there.
    pub fn lose_next_answer(&self, queue: &str) -> Result<(), QueueError> {
        self.server.world.queues().lose_next_answer(queue)
    }

    /// Whether an answer is still to be lost.
    #[must_use]
    pub fn loses_answers(&self) -> bool {
        self.server.world.queues().loses_answers()
    }

    /// Answers to statements on data queues come so much later from now on.
    pub fn slow_data_queues(&self, by: Duration) {
        self.server.world.queues().set_slow(by);
    }

    /// Entries a second from now on.
    pub fn set_rate(&self, rate: f64) {
        self.rate.send_replace(rate.clamp(0.0, 1_000_000.0));
    }

    /// Detaches the receiver and attaches the next one; returns its name.
    pub fn roll_over(&self) -> String {
        self.change_receiver(false)
    }

    /// The same, and the sequence starts at 1 again (CHGJRN SEQOPT(*RESET)).
    pub fn reset_sequence(&self) -> String {
        self.change_receiver(true)
    }

    fn change_receiver(&self, reset: bool) -> String {
        let now = self.server.world.now();
        let mut journal = self.server.world.journal_mut();
        journal.roll_over(now, reset);
        journal.receivers().back().map(|receiver| receiver.name.clone()).unwrap_or_default()
    }

    /// Deletes the oldest detached receiver; none where only the attached one is left.
    pub fn prune_oldest(&self) -> Option<String> {
        self.server.world.journal_mut().prune_oldest()
    }

    /// Deletes the journal with all receivers and creates it anew: same names, other attach time, sequence 1.
    pub fn recreate_journal(&self) {
        let now = self.server.world.now();
        self.server.world.journal_mut().recreate(now);
    }

    /// Switches a fault on; [`Fault::Clear`] switches all off.
    ///
    /// # Errors
    /// When a new certificate cannot be made.
    pub fn set_fault(&self, fault: Fault) -> anyhow::Result<()> {
        let world = &self.server.world;
        if fault == Fault::ClockStopped {
            // Before anybody sees it stopped.
            world.stop_clock();
        }
        match world.with_faults(|faults| faults.apply(fault)) {
            Act::Nothing => {}
            Act::DropSockets => self.server.drop_sockets(),
            Act::Silence => self.server.silence_sockets(),
            Act::StayAway(ms) => self.server.stay_away(Duration::from_millis(ms)),
            Act::DeleteReceiver => {
                self.prune_oldest();
            }
            Act::MoveClock(seconds) => world.move_clock(seconds),
            Act::NewCertificate(drop) => {
                self.server.change_identity(identity(&world.scenario.system.host_name, None)?);
                if drop {
                    self.server.drop_sockets();
                }
            }
        }
        Ok(())
    }

    /// What a client must trust now; differs from `ca_pem` after [`Fault::CertificateChanged`].
    #[must_use]
    pub fn current_ca_pem(&self) -> String {
        self.server.ca_pem()
    }

    /// What was put into the receivers that are still there, sequence numbers of the range, oldest first: all that
    /// a reader is shown, the journal's own entries (code J) among it.
    #[must_use]
    pub fn entries(&self, range: RangeInclusive<u64>) -> Vec<PutEntry> {
        let world = &self.server.world;
        let (journal, offset) = (world.journal(), world.offset());
        let mut entries = Vec::new();
        for receiver in journal.receivers() {
            let wanted = receiver.entries.iter().filter(|entry| range.contains(&entry.sequence));
            let wanted = wanted.filter(|entry| !entry.internal);
            entries.extend(wanted.map(|entry| PutEntry::of(&journal, receiver, entry, offset)));
        }
        entries
    }

    /// Failed sign-ons of a profile since its last good one, and whether it is disabled.
    #[must_use]
    pub fn profile(&self, user: &str) -> (u32, bool) {
        self.server.world.profile(user)
    }

    /// What clients have done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.server.counts()
    }

    /// What the partition is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let world = &self.server.world;
        let journal = world.journal();
        let receivers = journal
            .receivers()
            .iter()
            .map(|receiver| ReceiverState {
                library: journal.plan.receiver_library.clone(),
                name: receiver.name.clone(),
                first: receiver.first,
                last: receiver.last(),
                entries: receiver.entries.len(),
                attached_us: receiver.attached,
                attached: receiver.detached.is_none(),
            })
            .collect();
        Status {
            name: world.scenario.name.clone(),
            rate: *self.rate.borrow(),
            total: journal.total(),
            receivers,
            faults: world.faults(),
        }
    }

    /// Stops everything; when this returns no socket is left.
    pub async fn stop(mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks.drain(..) {
            // Only tells that the task was aborted.
            let _ = task.await;
        }
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
