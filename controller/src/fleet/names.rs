//! Names that many agents share (sources, destinations, rules), kept once for all of them.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Names kept before those that nobody uses any more are looked for.
const SWEEP_AT: usize = 4_096;
/// Most names kept; a name beyond is stored for its agent alone.
const MAX_NAMES: usize = 65_536;

#[derive(Debug)]
struct Names {
    known: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Names {
    fn new() -> Self {
        Self { known: HashSet::new(), sweep_at: SWEEP_AT }
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.sweep_at = (self.known.len() * 2).max(SWEEP_AT);
        }
        let name: Arc<str> = Arc::from(text);
        if self.known.len() < MAX_NAMES {
            self.known.insert(Arc::clone(&name));
        }
        name
    }
}

static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(|| Mutex::new(Names::new()));

/// The one copy of a name.
#[must_use]
pub fn shared(text: &str) -> Arc<str> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).share(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_only_while_it_is_used() {
        let mut names = Names::new();
        let first = names.share("audit");
        assert!(Arc::ptr_eq(&first, &names.share("audit")));
        for number in 0..3 * SWEEP_AT {
            let _ = names.share(&format!("rule {number}"));
        }
        assert!(names.known.len() <= SWEEP_AT, "{}", names.known.len());
        assert!(Arc::ptr_eq(&first, &names.share("audit")), "it is still used");
    }
}
