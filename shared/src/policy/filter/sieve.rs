//! The quickest no: most rules of a long policy ask for a name that an event does not have.

use super::clause::Clause;
use super::subject::{Slot, Subject};

/// What tells in one look that conditions do not hold: whole names of one field, a bit of 64 for each.
///
/// These stand side by side, so that a rule that does not hold as a rule costs no look at the rule itself.
#[derive(Debug, Clone, Copy)]
pub struct Sieve {
    /// Position in [`Slot::KEPT`].
    slot: u8,
    bits: u64,
}

/// Everything passes.
const OPEN: u8 = u8::MAX;

impl Sieve {
    /// The one of the clause with the fewest names.
    pub(super) fn of(clauses: &[Clause]) -> Self {
        let sieves =
            clauses.iter().filter_map(|clause| Some((clause.alternatives(), Self::of_clause(clause)?)));
        sieves
            .min_by_key(|(alternatives, _)| *alternatives)
            .map_or(Self { slot: OPEN, bits: 0 }, |(_, sieve)| sieve)
    }

    fn of_clause(clause: &Clause) -> Option<Self> {
        let sieve = |slot: Slot, bits: Option<u64>| {
            let slot = Slot::KEPT.iter().position(|kept| *kept == slot)?;
            Some(Self { slot: u8::try_from(slot).ok()?, bits: bits? })
        };
        match clause {
            Clause::Users(names) => sieve(Slot::User, names.exact_bits()),
            Clause::Names(slot, names) => sieve(*slot, names.exact_bits()),
            Clause::Pairs(slots, pairs) => {
                let bits = |part: usize| {
                    pairs.iter().try_fold(0, |all, pair| pair.get(part)?.exact_bits().map(|bits| all | bits))
                };
                // The second part is the name, which tells more than a library.
                sieve(slots[1], bits(1)).or_else(|| sieve(slots[0], bits(0)))
            }
            Clause::Jobs(_)
            | Clause::Queues(_)
            | Clause::Ports(..)
            | Clause::Outcomes(_)
            | Clause::When(_)
            | Clause::Words(..)
            | Clause::Events(_)
            | Clause::Addresses(_)
            | Clause::Paths(_)
            | Clause::Contains(_)
            | Clause::Not(_)
            | Clause::Expression(_) => None,
        }
    }

    /// Whether the conditions may hold; if not, they surely do not.
    #[inline]
    pub(in crate::policy) fn passes(self, subject: &Subject<'_>) -> bool {
        self.slot == OPEN
            || subject.bits().get(usize::from(self.slot)).is_none_or(|bits| bits & self.bits != 0)
    }
}
