//! What can be done with a data queue from outside: over the control port and on the command line.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::queue::{QueuePlan, Sent};
use crate::simulator::SimHandle;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum QueueAction {
    /// Create it.
    Create {
        /// As what.
        plan: QueuePlan,
    },
    /// Delete it.
    Delete,
    /// Put an entry on it.
    Send {
        /// Text in the page of the partition, or with `hex` hexadecimal digits.
        data: String,
        /// The data is hexadecimal digits.
        #[serde(default)]
        hex: bool,
        /// Key as text, where the queue has keys; behind `x'` hexadecimal digits.
        #[serde(default)]
        key: String,
        /// Job of the sender.
        #[serde(default)]
        job: String,
        /// User of the sender.
        #[serde(default)]
        user: String,
    },
    /// Take everybody's authority away.
    Deny,
    /// Give it back.
    Allow,
    /// Take all entries away.
    Clear,
    /// Let another job hold it.
    Lock,
    /// Let that job let it go.
    Unlock,
    /// Answer statements on queues so much later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// Say how it stands.
    Show,
}

impl QueueAction {
    /// Does it.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn run(&self, queue: &str, sim: &SimHandle) -> anyhow::Result<Value> {
        match self {
            Self::Create { plan } => {
                sim.create_data_queue(QueuePlan { queue: queue.to_owned(), ..plan.clone() })?;
            }
            Self::Delete => sim.delete_data_queue(queue)?,
            Self::Send { data, hex, key, job, user } => {
                let data = if *hex { digits(data)? } else { sim.bytes(data) };
                let key = match key.strip_prefix("x'") {
                    Some(hex) => digits(hex.trim_end_matches('\''))?,
                    None => sim.bytes(key),
                };
                let or = |text: &String, usual: &str| {
                    if text.is_empty() { usual.to_owned() } else { text.clone() }
                };
                let sent =
                    Sent { data, key, job: or(job, "123456/QUSER/QPADEV0001"), user: or(user, "QUSER") };
                sim.send_data_queue(queue, sent)?;
            }
            Self::Deny => sim.deny_data_queue(queue, true)?,
            Self::Allow => sim.deny_data_queue(queue, false)?,
            Self::Clear => sim.clear_data_queue(queue)?,
            Self::Lock => sim.lock_data_queue(queue, true)?,
            Self::Unlock => sim.lock_data_queue(queue, false)?,
            Self::Slow { ms } => sim.slow_data_queues(Duration::from_millis(*ms)),
            Self::Show => {
                let states = sim.data_queues();
                let state = states.iter().find(|state| state.queue == queue.to_uppercase());
                let Some(state) = state else { bail!("there is no data queue {queue}") };
                return Ok(json!({"ok": true, "queue": state}));
            }
        }
        Ok(json!({"ok": true}))
    }
}

fn digits(text: &str) -> anyhow::Result<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    let mut bytes = vec![0; text.len() / 2];
    faster_hex::hex_decode(text.as_bytes(), &mut bytes)
        .context("not hexadecimal digits, two for each byte")?;
    Ok(bytes)
}
