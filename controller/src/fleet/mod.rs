//! What is known of every agent: what was decided about it ([`record`]), what it last said of itself
//! ([`observed`], [`config_state`]), what its counters say ([`rates`]), and whether it is there ([`link`]).
//!
//! [`view`] and [`roll_up`] turn that into answers; they are functions of values and the time.

pub mod agent;
pub mod baseline;
pub mod config_state;
pub mod configs;
pub mod effective;
pub mod health;
pub mod history;
pub mod inventory;
pub mod link;
mod names;
pub mod observed;
pub mod outage;
pub mod rates;
pub mod record;
pub mod redact;
pub mod roll_up;
pub mod state;
pub mod table;
pub mod upgrade;
pub mod view;

pub use agent::Agent;
pub use inventory::Fleet;
pub use record::AgentRecord;

/// Cuts text to at most `max` bytes, at a character.
#[must_use]
pub fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    text[..end].to_owned()
}
