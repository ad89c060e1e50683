//! Which conditions an event of a type could meet at all, so that the others are never asked.
//!
//! Conditions that name few types stand in a list for each of them; all others stand in one list that every type
//! shares, so that memory follows the size of the policy and not the number of types. What is no audit entry with a
//! type of two letters or digits is told apart by its kind of source.

use super::conditions::Match;
use super::filter::{
    EntryType, Subject, TYPES, event_pattern, source_kind, type_number, types_beginning_with,
};
use super::pattern::NamePattern;
use crate::event::SourceKind;
use std::ops::ControlFlow;

/// Conditions that could be met by more types than this are listed once, for all types.
const MANY: usize = 40;

/// Kinds of source share so many lists; a kind beyond shares one with another.
const KINDS: usize = 32;

/// Number of conditions in the order of the policy.
type Number = u16;

/// Kinds of source, a bit each.
type Kinds = u32;

const fn kind_bit(kind: SourceKind) -> Kinds {
    1 << (kind as usize % KINDS)
}

/// What could meet some conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reach {
    /// Audit entries of these types; none: of any type.
    types: Option<Vec<usize>>,
    /// Everything else, by kind of source.
    kinds: Kinds,
}

impl Reach {
    /// Errs on the side of more: what it leaves out surely does not match.
    fn of(when: &Match) -> Self {
        let mut reach = Self { types: None, kinds: Kinds::MAX };
        if !when.entry_types.is_empty() {
            let known = || when.entry_types.iter().filter_map(|text| EntryType::parse(text).ok());
            let audit = known().filter(|entry| entry.code == b'T');
            let other_codes = known().any(|entry| entry.code != b'T');
            let kinds = if other_codes { kind_bit(SourceKind::AuditJournal) } else { 0 };
            reach.narrow(Self {
                types: Some(audit.filter_map(|entry| type_number(entry.entry_type)).collect()),
                kinds,
            });
        }
        if !when.events.is_empty() {
            let types = when.events.iter().map(|text| types_of_pattern(text));
            let types = types.collect::<Option<Vec<_>>>().map(|lists| lists.concat());
            reach.narrow(Self { types, kinds: Kinds::MAX });
        }
        let kinds = when.sources.iter().map(|name| source_kind(name)).collect::<Option<Vec<_>>>();
        // A source by name may be of any kind.
        if let Some(kinds) = kinds.filter(|kinds| !kinds.is_empty()) {
            let audit = kinds.contains(&SourceKind::AuditJournal);
            let kinds = kinds.into_iter().fold(0, |all, kind| all | kind_bit(kind));
            reach.narrow(Self { types: (!audit).then(Vec::new), kinds });
        }
        reach
    }

    fn narrow(&mut self, other: Self) {
        self.kinds &= other.kinds;
        self.types = match (self.types.take(), other.types) {
            (Some(mut types), Some(others)) => {
                types.retain(|number| others.contains(number));
                Some(types)
            }
            (Some(types), None) | (None, Some(types)) => Some(types),
            (None, None) => None,
        };
        if let Some(types) = &mut self.types {
            types.sort_unstable();
            types.dedup();
        }
    }
}

/// Types of audit entries whose event id, `AF` or `AF_A`, could match; none: those of any type could.
fn types_of_pattern(text: &str) -> Option<Vec<usize>> {
    let Ok(pattern) = event_pattern(text) else { return Some(Vec::new()) };
    let (stem, generic) = match &pattern {
        NamePattern::All => return None,
        NamePattern::Exact(stem) => (stem.as_bytes(), false),
        NamePattern::Prefix(stem) => (stem.as_bytes(), true),
    };
    Some(match (stem, generic) {
        ([first], true) => types_beginning_with(*first).collect(),
        ([a, b], _) | ([a, b, b'_', _], _) | ([a, b, b'_'], true) => {
            type_number([*a, *b]).into_iter().collect()
        }
        _ => Vec::new(),
    })
}

/// Lists of numbers, one behind the other.
#[derive(Debug, Clone, Default)]
struct Lists {
    /// Where each list begins; one more than there are lists.
    starts: Vec<u32>,
    numbers: Vec<Number>,
}

impl Lists {
    fn new(lists: &[Vec<Number>]) -> Self {
        let mut made = Self { starts: vec![0], numbers: Vec::new() };
        for list in lists {
            made.numbers.extend(list);
            // At most MANY times the conditions of a policy, of which there are some 10,000.
            made.starts.push(made.numbers.len() as u32);
        }
        made
    }

    #[inline]
    fn list(&self, number: usize) -> &[Number] {
        match (self.starts.get(number), self.starts.get(number + 1)) {
            (Some(start), Some(end)) => &self.numbers[*start as usize..*end as usize],
            _ => &[],
        }
    }
}

/// An index over conditions, which are asked in their order.
#[derive(Debug, Clone, Default)]
pub struct TypeIndex {
    /// By number of the type.
    by_type: Lists,
    /// Those that audit entries of any type could meet.
    any_type: Vec<Number>,
    /// Those that other events could meet, by kind of source.
    by_kind: Lists,
}

impl TypeIndex {
    /// Indexes conditions; their numbers are their positions.
    #[must_use]
    pub fn new<'m>(conditions: impl IntoIterator<Item = &'m Match>) -> Self {
        let mut by_type = vec![Vec::new(); TYPES];
        let mut by_kind = vec![Vec::new(); KINDS];
        let mut any_type = Vec::new();
        for (when, number) in conditions.into_iter().zip(0..Number::MAX) {
            let reach = Reach::of(when);
            match reach.types {
                Some(types) if types.len() <= MANY => {
                    types.into_iter().for_each(|of_type| by_type[of_type].push(number));
                }
                Some(_) | None => any_type.push(number),
            }
            for (kind, list) in by_kind.iter_mut().enumerate() {
                if reach.kinds >> kind & 1 == 1 {
                    list.push(number);
                }
            }
        }
        Self { by_type: Lists::new(&by_type), any_type, by_kind: Lists::new(&by_kind) }
    }

    /// Visits the numbers of the conditions that the event could meet, in their order, until `visit` breaks.
    #[inline]
    pub(super) fn visit<B>(
        &self,
        subject: &Subject<'_>,
        mut visit: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let (mut a, mut b): (&[Number], &[Number]) = match subject.type_number() {
            Some(number) => (self.by_type.list(number), &self.any_type),
            None => (self.by_kind.list(subject.kind() as usize % KINDS), &[]),
        };
        loop {
            let next = match (a, b) {
                ([], []) => return ControlFlow::Continue(()),
                ([first, rest @ ..], others) if others.first().is_none_or(|other| first < other) => {
                    a = rest;
                    *first
                }
                (_, [first, rest @ ..]) => {
                    b = rest;
                    *first
                }
                // A list that is not empty, beside an empty one, is taken above.
                ([_, ..], []) => return ControlFlow::Continue(()),
            };
            visit(usize::from(next))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(json: serde_json::Value) -> Reach {
        Reach::of(&serde_json::from_value(json).unwrap())
    }

    fn types(list: &[&[u8; 2]]) -> Option<Vec<usize>> {
        let mut numbers: Vec<usize> = list.iter().map(|t| type_number(**t).unwrap()).collect();
        numbers.sort_unstable();
        Some(numbers)
    }

    #[test]
    fn what_conditions_can_reach() {
        let all = Kinds::MAX;
        let audit = kind_bit(SourceKind::AuditJournal);
        let cases = [
            (serde_json::json!({}), None, all),
            (serde_json::json!({"users": ["A"]}), None, all),
            (serde_json::json!({"not": {"entry_types": ["AF"]}}), None, all),
            (serde_json::json!({"entry_types": ["AF", "PW_P"]}), types(&[b"AF", b"PW"]), 0),
            (serde_json::json!({"entry_types": ["U_00"]}), types(&[]), audit),
            (serde_json::json!({"entry_types": ["U_00", "AF"]}), types(&[b"AF"]), audit),
            (serde_json::json!({"events": ["AF"]}), types(&[b"AF"]), all),
            (serde_json::json!({"events": ["af_*"]}), types(&[b"AF"]), all),
            (serde_json::json!({"events": ["AF_A", "PW*"]}), types(&[b"AF", b"PW"]), all),
            (serde_json::json!({"events": ["*ALL", "PW*"]}), None, all),
            (serde_json::json!({"events": ["CPF1124", "EXIT_FTP_*", "U_00"]}), types(&[]), all),
            (serde_json::json!({"events": ["AF_A", "PW"], "entry_types": ["AF"]}), types(&[b"AF"]), 0),
            (serde_json::json!({"sources": ["audit_journal"]}), None, audit),
            (
                serde_json::json!({"sources": ["controller_audit"]}),
                types(&[]),
                kind_bit(SourceKind::ControllerAudit),
            ),
            (serde_json::json!({"sources": ["controller_audit", "some-name"]}), None, all),
        ];
        for (when, types, kinds) in cases {
            assert_eq!(reach(when.clone()), Reach { types, kinds }, "{when}");
        }
        assert_eq!(reach(serde_json::json!({"events": ["A*"]})).types.unwrap().len(), 36);
    }

    #[test]
    fn memory_follows_the_policy() {
        let untyped: Match = serde_json::from_value(serde_json::json!({"users": ["A"]})).unwrap();
        let typed: Match = serde_json::from_value(serde_json::json!({"entry_types": ["AF"]})).unwrap();
        let index =
            TypeIndex::new(std::iter::repeat_n(&untyped, 5_000).chain(std::iter::repeat_n(&typed, 5_000)));
        assert_eq!(index.by_type.numbers.len(), 5_000);
        assert_eq!(index.any_type.len(), 5_000);
    }
}
