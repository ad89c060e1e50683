//! Conditions, compiled: each list of a [`Match`] becomes a bit set or a set of masked integers, so that
//! asking costs some nanoseconds and allocates nothing.

use super::model::{Match, PolicySpec};
use super::pattern::{Name, NameSet, ObjectPattern, PatternError};
use crate::event::{Event, EventKind, Field, SourceKind, field};
use crate::severity::Severity;

/// An entry type as policies write it: `AF`, `AF_A`, or with a journal code `U_00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryType {
    /// Journal code; `T` (audit) unless written.
    pub code: u8,
    /// The two characters of the type.
    pub entry_type: [u8; 2],
    /// Subtype; `None` stands for all of them.
    pub subtype: Option<u8>,
}

/// A text that is no entry type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no entry type; write two letters or digits (AF), with subtype AF_A, with journal code U_00"
)]
pub struct NoEntryType(pub String);

impl EntryType {
    /// Reads an entry type; lower case is taken as upper case.
    ///
    /// # Errors
    /// [`NoEntryType`] names the text.
    pub fn parse(text: &str) -> Result<Self, NoEntryType> {
        let upper = text.trim().to_ascii_uppercase();
        let ok = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let (code, entry_type, subtype) = match upper.as_bytes() {
            [a, b] => (b'T', [*a, *b], None),
            [a, b, b'_', s] => (b'T', [*a, *b], Some(*s)),
            [c, b'_', a, b] => (*c, [*a, *b], None),
            [c, b'_', a, b, b'_', s] => (*c, [*a, *b], Some(*s)),
            _ => return Err(NoEntryType(text.to_owned())),
        };
        if ok(&code) && entry_type.iter().all(ok) && subtype.is_none_or(|s| ok(&s)) {
            Ok(Self { code, entry_type, subtype })
        } else {
            Err(NoEntryType(text.to_owned()))
        }
    }
}

/// Letters and digits: 36 possible bytes, two of them make an entry type.
const RADIX: usize = 36;
const WORDS: usize = (RADIX * RADIX).div_ceil(64);

/// Position of a letter or digit in 0..36; other bytes have none.
const fn digit(byte: u8) -> Option<usize> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as usize),
        b'A'..=b'Z' => Some((byte - b'A') as usize + 10),
        _ => None,
    }
}

/// Entry types: one bit for each type of code T, a short list for subtypes and other codes.
#[derive(Debug, Clone)]
struct TypeSet {
    whole: Box<[u64; WORDS]>,
    others: Vec<EntryType>,
}

impl TypeSet {
    fn new(types: &[EntryType]) -> Self {
        let mut set = Self { whole: Box::new([0; WORDS]), others: Vec::new() };
        for entry in types {
            match (entry.code, entry.subtype, Self::index(entry.entry_type)) {
                (b'T', None, Some(index)) => set.whole[index / 64] |= 1 << (index % 64),
                _ => set.others.push(*entry),
            }
        }
        set
    }

    const fn index(entry_type: [u8; 2]) -> Option<usize> {
        match (digit(entry_type[0]), digit(entry_type[1])) {
            (Some(a), Some(b)) => Some(a * RADIX + b),
            _ => None,
        }
    }

    fn contains(&self, audit: &AuditType) -> bool {
        let AuditType { code, entry_type, subtype, index } = *audit;
        index.is_some_and(|index| self.whole[index / 64] >> (index % 64) & 1 == 1)
            || self.others.iter().any(|e| {
                e.code == code && e.entry_type == entry_type && e.subtype.is_none_or(|s| s == subtype)
            })
    }
}

/// Objects, compiled pair by pair.
#[derive(Debug, Clone)]
struct ObjectSet {
    pairs: Vec<(NameSet, NameSet)>,
}

impl ObjectSet {
    fn new(patterns: Vec<ObjectPattern>) -> Self {
        let pairs =
            patterns.into_iter().map(|p| (NameSet::new([p.library]), NameSet::new([p.name]))).collect();
        Self { pairs }
    }

    fn contains(&self, subject: &Subject<'_>) -> bool {
        let (library, name) = (subject.library, subject.name);
        if library.is_empty() && name.is_empty() {
            return false;
        }
        self.pairs.iter().any(|(l, n)| l.contains(library) && n.contains(name))
    }
}

/// Type of an audit entry, with its place in a [`TypeSet`].
#[derive(Debug, Clone, Copy)]
struct AuditType {
    code: u8,
    entry_type: [u8; 2],
    subtype: u8,
    /// Only types of code T have a bit.
    index: Option<usize>,
}

/// What conditions ask about an event, looked up once for all of them.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'e> {
    severity: u8,
    audit: Option<AuditType>,
    kind: SourceKind,
    source_name: &'e str,
    user: Name<'e>,
    library: Name<'e>,
    name: Name<'e>,
}

impl<'e> Subject<'e> {
    /// What is asked about an event of the source `source_name`. Without `names` the names of user and
    /// object are left out, for policies that do not ask for them.
    #[must_use]
    pub fn of(event: &'e Event, source_name: &'e str, names: bool) -> Self {
        let audit = match event.kind {
            EventKind::Audit { code, entry_type, subtype } => {
                let index = if code == b'T' { TypeSet::index(entry_type) } else { None };
                Some(AuditType { code, entry_type, subtype, index })
            }
            EventKind::Message { .. }
            | EventKind::Queued(_)
            | EventKind::Exit(_)
            | EventKind::Controller(_)
            | EventKind::Agent(_) => None,
        };
        let mut subject = Self {
            severity: event.severity.get(),
            audit,
            kind: event.kind.source(),
            source_name,
            user: Name::default(),
            library: Name::default(),
            name: Name::default(),
        };
        if names {
            let name = |found: &Field| Name::at(event.text(found), event.bytes_from(found).0);
            // The first value counts. Most fields are none of these, and the last of them comes early.
            let (mut wanted, mut missing) = ([true; 3], 3);
            for found in event.fields() {
                let (place, wanted) = match found.id {
                    field::USER => (&mut subject.user, &mut wanted[0]),
                    field::OBJECT_LIBRARY => (&mut subject.library, &mut wanted[1]),
                    field::OBJECT_NAME => (&mut subject.name, &mut wanted[2]),
                    _ => continue,
                };
                if std::mem::take(wanted) {
                    *place = name(found);
                    missing -= 1;
                    if missing == 0 {
                        break;
                    }
                }
            }
        }
        subject
    }

    /// The same event with another severity.
    #[must_use]
    pub fn with_severity(self, severity: Severity) -> Self {
        Self { severity: severity.get(), ..self }
    }
}

/// Which sources are meant: kinds by name, or single ones.
#[derive(Debug, Clone, Default)]
struct SourceSet {
    kinds: Vec<SourceKind>,
    names: Vec<String>,
}

/// A condition that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// A text that is no entry type.
    #[error(transparent)]
    EntryType(#[from] NoEntryType),
    /// A text that is no name pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Neither a kind of source nor a source of the policy.
    #[error("`{0}` is neither a kind of source (audit_journal) nor a source of the policy")]
    Source(String),
}

/// Conditions ready to be asked.
#[derive(Debug, Clone)]
pub struct CompiledMatch {
    sources: Option<SourceSet>,
    types: Option<TypeSet>,
    users: Option<NameSet>,
    objects: Option<ObjectSet>,
    min: u8,
    max: u8,
}

impl CompiledMatch {
    /// Compiles conditions; `spec` tells which sources exist.
    ///
    /// # Errors
    /// [`MatchError`] for the first text that has no meaning. `validate` lists all of them.
    pub fn compile(when: &Match, spec: &PolicySpec) -> Result<Self, MatchError> {
        let some = |list: &Vec<String>| !list.is_empty();
        let mut sources = SourceSet::default();
        for name in &when.sources {
            if let Some(kind) = source_kind(name) {
                sources.kinds.push(kind);
            } else if spec.sources.contains_key(name) {
                sources.names.push(name.clone());
            } else {
                return Err(MatchError::Source(name.clone()));
            }
        }
        let types = when.entry_types.iter().map(|t| EntryType::parse(t)).collect::<Result<Vec<_>, _>>()?;
        let users = when
            .users
            .iter()
            .map(|u| super::pattern::NamePattern::parse(u))
            .collect::<Result<Vec<_>, _>>()?;
        let objects = when.objects.iter().map(|o| ObjectPattern::parse(o)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            sources: some(&when.sources).then_some(sources),
            types: some(&when.entry_types).then(|| TypeSet::new(&types)),
            users: some(&when.users).then(|| NameSet::new(users)),
            objects: some(&when.objects).then(|| ObjectSet::new(objects)),
            min: when.min_severity.map_or(0, Severity::get),
            max: when.max_severity.map_or(u8::MAX, Severity::get),
        })
    }

    /// Whether the names of user or object are asked for, see [`Subject::of`].
    #[must_use]
    pub fn asks_names(&self) -> bool {
        self.users.is_some() || self.objects.is_some()
    }

    /// Whether an event meets every condition.
    #[must_use]
    #[inline]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        if subject.severity < self.min || subject.severity > self.max {
            return false;
        }
        if let Some(types) = &self.types
            && !subject.audit.as_ref().is_some_and(|audit| types.contains(audit))
        {
            return false;
        }
        if let Some(sources) = &self.sources
            && !sources.kinds.contains(&subject.kind)
            && !sources.names.iter().any(|n| n == subject.source_name)
        {
            return false;
        }
        if let Some(users) = &self.users
            && !users.contains(subject.user)
        {
            return false;
        }
        self.objects.as_ref().is_none_or(|objects| objects.contains(subject))
    }
}

/// Kind of source of a name in policies. The agent's own reports are no source that a policy can name.
#[must_use]
pub fn source_kind(name: &str) -> Option<SourceKind> {
    SourceKind::OF_POLICY.into_iter().find(|kind| kind.as_str() == name)
}
