//! How a source that empties a data queue is put together.

use super::launch::Environment;
use super::sources;
use crate::host::Host;
use crate::host::facts::Facts;
use crate::lane::Lane;
use crate::source::data_queue::{self, QueueDecoder};
use crate::source::drain::beside::Beside;
use crate::source::drain::query::QueueName;
use crate::source::drain::standing::{Note, Standing};
use crate::source::drain::{Begin, Decode, Delivered, Drain, Spooled, Store};
use crate::source::exit_point::{self, ExitPointDecoder, Registry};
use crate::source::sign_on::SignOn;
use crate::source::{Source, SourceError};
use crate::spool::{Spool, SpoolError, Taken, folder, format::SpoolId};
use crate::state::Flush;
use crate::supervisor::Progress;
use muster_shared::cursor::Cursor;
use muster_shared::partition::Partition;
use muster_shared::policy::model::SourceSpec;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// What such a source is made of.
pub(super) struct Parts {
    /// What all sources share.
    pub env: Arc<Environment>,
    /// Name in the policy.
    pub name: String,
    /// Kind and object.
    pub key: String,
    /// Its settings.
    pub spec: SourceSpec,
    /// Its lanes.
    pub lanes: Vec<Arc<Lane>>,
    /// Wakes its loop.
    pub wake: Arc<Notify>,
    /// Stamped at each answer of the partition.
    pub progress: Progress,
}

/// What the two kinds have in common.
struct Common {
    queue: QueueName,
    poll_interval: Duration,
    batch_rows: u32,
    spool_bytes: u64,
}

enum Checked {
    DataQueue(data_queue::Settings),
    ExitPoint(exit_point::Settings),
}

impl Checked {
    fn of(spec: &SourceSpec) -> Result<Self, SourceError> {
        match spec {
            SourceSpec::DataQueue(spec) => data_queue::Settings::new(spec)
                .map(Self::DataQueue)
                .map_err(|error| SourceError::Setup(error.to_string())),
            SourceSpec::ExitPoint(spec) => exit_point::Settings::new(spec)
                .map(Self::ExitPoint)
                .map_err(|error| SourceError::Setup(error.to_string())),
            SourceSpec::AuditJournal(_)
            | SourceSpec::HistoryLog(_)
            | SourceSpec::MessageQueue(_)
            | SourceSpec::ControllerAudit(_) => {
                Err(SourceError::Setup(format!("a source of kind {} empties no queue", spec.kind().as_str())))
            }
        }
    }

    fn common(&self) -> Common {
        match self {
            Self::DataQueue(settings) => Common {
                queue: settings.queue.clone(),
                poll_interval: settings.poll_interval,
                batch_rows: settings.batch_rows,
                spool_bytes: settings.spool_bytes,
            },
            Self::ExitPoint(settings) => Common {
                queue: settings.queue.clone(),
                poll_interval: settings.poll_interval,
                batch_rows: settings.batch_rows,
                spool_bytes: settings.spool_bytes,
            },
        }
    }

    fn decoder(&self, ccsid: u16, standing: &Rc<Standing>) -> Rc<dyn Decode> {
        match self {
            Self::DataQueue(settings) => Rc::new(QueueDecoder::new(settings, ccsid, Rc::clone(standing))),
            Self::ExitPoint(settings) => Rc::new(ExitPointDecoder::new(settings, ccsid, Rc::clone(standing))),
        }
    }
}

impl Parts {
    /// A source that empties its queue once it is begun. `first`: a connection that is there already.
    ///
    /// # Errors
    /// The spool cannot be opened, or the agent's own limits do not name the queue.
    pub(super) async fn open(
        self: &Arc<Self>,
        partition: Partition,
        first: Option<(Box<dyn Host>, Facts)>,
    ) -> Result<Box<dyn Source>, SourceError> {
        let checked = Checked::of(&self.spec)?;
        let Common { queue, poll_interval, batch_rows, spool_bytes } = checked.common();
        if !self.env.config.limits.allows_queue(&queue.library, &queue.name) {
            return Err(SourceError::Setup(format!(
                "the agent's own limits do not name data queue {queue}, so it is not emptied; [limits] queues = \
                 [\"{queue}\"] in the agent's configuration allows it"
            )));
        }
        let (spool, taken) = self.open_spool(spool_bytes).await?;
        let spool = Arc::new(spool);
        let standing = Rc::new(Standing::new(Arc::clone(&self.wake)));
        note_found(&taken, &standing);
        let decoder = checked.decoder(partition.ccsid, &standing);
        let beside: Option<Box<dyn Beside>> = match &checked {
            Checked::DataQueue(_) => None,
            Checked::ExitPoint(settings) => {
                // The first lease of a source has the epoch 1: with a later one, somebody watched before.
                let watched_before = self.env.leases.epoch(&self.key).load(Ordering::Relaxed) > 1;
                let folder = spool.folder();
                Some(Box::new(Registry::new(settings, folder, &taken.unmarked, watched_before)))
            }
        };
        let drain = Drain {
            source: self.name.clone(),
            queue,
            poll_interval,
            batch_rows,
            spool: Arc::clone(&spool),
            unmarked: taken.unmarked,
            dial: self.dial(),
            first,
            sign_on: SignOn(Some(Arc::clone(&self.env.gate))),
            partition: partition.clone(),
            learn: self.learn(),
            beside,
            delivered: self.delivered(spool.id()),
            store: self.store(),
            standing: Rc::clone(&standing),
        };
        let begin: Begin = Box::new(move || drain.start());
        let most = batch_rows as usize;
        let key = self.key.clone();
        Ok(Box::new(Spooled::new(key, &partition.key(), most, spool, decoder, standing, Some(begin))))
    }

    /// A source that only delivers what lies in its spool; None if nothing lies there, delivered or not.
    ///
    /// # Errors
    /// The spool cannot be opened.
    pub(super) async fn open_leftover(
        self: &Arc<Self>,
        partition: &Partition,
    ) -> Result<Option<Box<dyn Source>>, SourceError> {
        if !crate::spool::holds_entries(&self.folder()) {
            return Ok(None);
        }
        let checked = Checked::of(&self.spec)?;
        let Common { batch_rows, spool_bytes, .. } = checked.common();
        let (spool, taken) = self.open_spool(spool_bytes).await?;
        let standing = Rc::new(Standing::new(Arc::clone(&self.wake)));
        note_found(&taken, &standing);
        let decoder = checked.decoder(partition.ccsid, &standing);
        let (key, most) = (self.key.clone(), batch_rows as usize);
        let spool = Arc::new(spool);
        let source = Spooled::new(key, &partition.key(), most, spool, decoder, standing, None);
        Ok(Some(Box::new(source)))
    }

    fn folder(&self) -> PathBuf {
        folder(&self.env.config.state_dir, &self.key)
    }

    async fn open_spool(&self, limit: u64) -> Result<(Spool, Taken), SourceError> {
        let folder = self.folder();
        let lanes = self.lanes.clone();
        let fresh = SpoolId(rand::random());
        let opened = tokio::task::spawn_blocking(move || {
            // Numbers that some destination has are not given again.
            let delivered = |id: SpoolId| {
                let places = lanes.iter().filter_map(|lane| place(&lane.committed(), id));
                places.max()
            };
            Spool::open(&folder, limit, fresh, delivered)
        });
        match opened.await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error @ SpoolError::InUse { .. })) => Err(SourceError::Reply(error.to_string())),
            Ok(Err(error)) => Err(SourceError::Setup(error.to_string())),
            Err(panic) => Err(SourceError::Reply(format!("the spool cannot be opened: {panic}"))),
        }
    }

    fn dial(self: &Arc<Self>) -> crate::source::drain::Dial {
        let parts = Arc::clone(self);
        Box::new(move || {
            let parts = Arc::clone(&parts);
            Box::pin(async move {
                let book = &parts.env.facts;
                let last = book.known().then(|| book.get());
                sources::dial(&parts.env.config, last.as_deref(), parts.progress.clone()).await
            })
        })
    }

    fn learn(&self) -> Box<dyn Fn(Partition)> {
        let env = Arc::clone(&self.env);
        Box::new(move |partition| {
            env.facts.learn(partition);
            env.outage.connected(jiff::Timestamp::now().as_microsecond());
        })
    }

    fn delivered(&self, id: SpoolId) -> Delivered {
        let lanes = self.lanes.clone();
        Box::new(move || {
            let places: Option<Vec<u64>> = lanes.iter().map(|lane| place(&lane.committed(), id)).collect();
            places?.into_iter().min()
        })
    }

    fn store(&self) -> Store {
        let keeper = self.env.keeper.clone();
        Box::new(move || {
            let flushed = keeper.send(Flush);
            Box::pin(async move {
                flushed.await.unwrap_or_else(|_| Err("the keeper of cursors has ended".to_owned()))
            })
        })
    }
}

/// Tells what of the spool is not as it was left.
fn note_found(taken: &Taken, standing: &Standing) {
    let mut notes = Vec::new();
    if taken.dropped > 0 {
        notes.push(format!(
            "{} bytes at the end of the spool cannot be read and were dropped: the write that was under way when the agent \
             or its host stopped, whose entries are still in the queue; or damage of the disk, which loses them",
            taken.dropped
        ));
    }
    if taken.put_aside > 0 {
        notes.push(format!(
            "{} segments of other spools lay in the spool's folder and are not delivered; they were put aside as *.foreign",
            taken.put_aside
        ));
    }
    if !notes.is_empty() {
        standing.note(Note::Spool, jiff::Timestamp::now().as_microsecond(), notes.join("; "));
    }
}

/// Number in this spool that a cursor stands at.
fn place(cursor: &Option<Cursor>, id: SpoolId) -> Option<u64> {
    let cursor = cursor.as_ref().and_then(Cursor::spool)?;
    (SpoolId::parse(&cursor.spool) == Some(id)).then_some(cursor.sequence)
}
