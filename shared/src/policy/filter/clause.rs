//! Single conditions, compiled, in the order in which they are asked: the cheap ones first.

use super::subject::{Asked, Slot, Subject};
use super::{CompiledMatch, Holds, MatchError};
use crate::event::field;
use crate::policy::conditions::{Match, Outcome, PortRange};
use crate::policy::expression::Expression;
use crate::policy::path::{PathPattern, WordPattern, contains_ignoring_case};
use crate::policy::pattern::{JobPattern, NamePattern, NameSet, NameTest, ObjectPattern, PatternError};
use crate::policy::time::Windows;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Most characters of an event id in a condition.
const MAX_EVENT: usize = 64;
/// Most characters of a message identifier.
const MAX_MESSAGE_ID: usize = 7;
/// Most characters of the name of an exit point.
const MAX_EXIT_POINT: usize = 20;
/// Longest text that an event is searched for, in bytes.
const MAX_CONTAINS: usize = 256;

/// One condition.
#[derive(Debug, Clone)]
pub(super) enum Clause {
    /// The acting user; here `*ALL` is met by events without one, too.
    Users(NameSet),
    /// Names of one field, which the event must have.
    Names(Slot, NameSet),
    /// Two fields that make one name.
    Pairs([Slot; 2], Vec<[NameTest; 2]>),
    Jobs(Vec<[NameTest; 3]>),
    /// `LIBRARY/NAME` of a message or data queue, in one field.
    Queues(Vec<ObjectPattern>),
    Ports(Slot, Vec<PortRange>),
    Outcomes(Vec<Outcome>),
    When(Windows),
    Words(Slot, Vec<WordPattern>),
    Events(NameSet),
    Addresses(Vec<IpNet>),
    Paths(Vec<PathPattern>),
    Contains(Vec<String>),
    Not(Box<CompiledMatch>),
    Expression(Arc<Expression>),
}

impl Clause {
    #[inline]
    pub(super) fn holds(&self, subject: &Subject<'_>) -> Holds {
        Holds::from(match self {
            Self::Users(users) => users.contains(subject.name(Slot::User)),
            Self::Names(slot, names) => {
                let name = subject.name(*slot);
                !name.is_empty() && names.contains(name)
            }
            Self::Pairs(slots, pairs) => {
                let [first, second] = slots.map(|slot| subject.name(slot));
                !(first.is_empty() && second.is_empty())
                    && pairs.iter().any(|[a, b]| a.matches(first) && b.matches(second))
            }
            Self::Jobs(jobs) => {
                let parts = [Slot::JobNumber, Slot::JobUser, Slot::JobName].map(|slot| subject.name(slot));
                !parts.iter().all(|part| part.is_empty())
                    && jobs.iter().any(|job| job.iter().zip(parts).all(|(test, part)| test.matches(part)))
            }
            Self::Queues(queues) => [Slot::MessageQueue, Slot::Queue].iter().any(|slot| {
                let text = subject.text(*slot);
                let (library, name) = text.split_once('/').unwrap_or(("", text));
                !name.is_empty() && queues.iter().any(|q| q.library.matches(library) && q.name.matches(name))
            }),
            Self::Ports(slot, ranges) => {
                let port = subject.text(*slot).parse::<u16>();
                port.is_ok_and(|port| ranges.iter().any(|r| (r.first()..=r.last()).contains(&port)))
            }
            Self::Outcomes(outcomes) => {
                let text = subject.text(Slot::Outcome);
                outcomes.iter().any(|outcome| text.eq_ignore_ascii_case(outcome.as_str()))
            }
            Self::When(windows) => {
                windows.contains(subject.event().time_us, subject.source().utc_offset_seconds)
            }
            Self::Words(slot, words) => {
                let text = subject.text(*slot);
                !text.is_empty() && words.iter().any(|word| word.matches(text))
            }
            Self::Events(events) => events.contains(crate::policy::pattern::Name::new(subject.id())),
            Self::Addresses(networks) => {
                subject.address().is_some_and(|address| networks.iter().any(|net| net.contains(&address)))
            }
            Self::Paths(paths) => {
                let event = subject.event();
                let mut of_event = event.fields().iter().filter(|f| f.id == field::PATH);
                of_event.any(|f| paths.iter().any(|path| path.matches(event.text(f))))
            }
            Self::Contains(texts) => {
                let event = subject.event();
                let holds = |value: &str| texts.iter().any(|text| contains_ignoring_case(value, text));
                event.fields().iter().any(|f| holds(event.text(f)))
            }
            Self::Not(when) => return when.matches(subject).not(),
            Self::Expression(expression) => {
                return match expression.holds(subject.event(), subject.source(), subject.severity()) {
                    Ok(holds) => Holds::from(holds),
                    Err(fault) => {
                        subject.note(fault);
                        Holds::Unknown
                    }
                };
            }
        })
    }

    /// How many names it holds an event against. The fewer, the sooner it is answered, and the likelier with no: such
    /// conditions are asked first.
    pub(super) fn alternatives(&self) -> usize {
        match self {
            Self::Users(names) | Self::Names(_, names) => names.len(),
            Self::Pairs(_, pairs) => pairs.len(),
            Self::Jobs(jobs) => jobs.len(),
            Self::Queues(_)
            | Self::Ports(..)
            | Self::Outcomes(_)
            | Self::When(_)
            | Self::Words(..)
            | Self::Events(_)
            | Self::Addresses(_)
            | Self::Paths(_)
            | Self::Contains(_)
            | Self::Not(_)
            | Self::Expression(_) => usize::MAX,
        }
    }

    /// Fields that it asks for.
    pub(super) fn asked(&self) -> Asked {
        match self {
            Self::Users(_) => Slot::User.bit(),
            Self::Names(slot, _) | Self::Ports(slot, _) | Self::Words(slot, _) => slot.bit(),
            Self::Pairs([a, b], _) => a.bit() | b.bit(),
            Self::Jobs(_) => Slot::JobNumber.bit() | Slot::JobUser.bit() | Slot::JobName.bit(),
            Self::Queues(_) => Slot::MessageQueue.bit() | Slot::Queue.bit(),
            Self::Outcomes(_) => Slot::Outcome.bit(),
            Self::Addresses(_) => Slot::RemoteAddress.bit(),
            Self::Not(when) => when.asked(),
            Self::When(_) | Self::Events(_) | Self::Paths(_) | Self::Contains(_) | Self::Expression(_) => 0,
        }
    }
}

/// How the texts of one condition are checked.
pub(in crate::policy) type TextCheck = fn(&str) -> Result<(), MatchError>;

/// The conditions that are lists of texts of one kind, with how each text is checked.
pub(in crate::policy) fn texts(when: &Match) -> [(&'static str, &[String], TextCheck); 15] {
    [
        ("entry_types", &when.entry_types, |t| Ok(super::EntryType::parse(t).map(drop)?)),
        ("events", &when.events, |t| Ok(event_pattern(t).map(drop)?)),
        ("users", &when.users, |t| Ok(NamePattern::parse(t).map(drop)?)),
        ("target_users", &when.target_users, |t| Ok(NamePattern::parse(t).map(drop)?)),
        ("objects", &when.objects, |t| Ok(ObjectPattern::parse(t).map(drop)?)),
        ("object_types", &when.object_types, |t| Ok(NamePattern::parse_object_type(t).map(drop)?)),
        ("programs", &when.programs, |t| Ok(ObjectPattern::parse_program(t).map(drop)?)),
        ("jobs", &when.jobs, |t| Ok(JobPattern::parse(t).map(drop)?)),
        ("paths", &when.paths, |t| Ok(PathPattern::parse(t).map(drop)?)),
        ("system_values", &when.system_values, |t| Ok(NamePattern::parse(t).map(drop)?)),
        ("message_ids", &when.message_ids, |t| Ok(message_id(t).map(drop)?)),
        ("queues", &when.queues, |t| Ok(ObjectPattern::parse(t).map(drop)?)),
        ("exit_points", &when.exit_points, |t| Ok(exit_point(t).map(drop)?)),
        ("exit_functions", &when.exit_functions, |t| word(t).map(drop)),
        ("contains", &when.contains, |t| wanted(t).map(drop)),
    ]
}

/// A generic event id; `*ALL` is every event.
pub(in crate::policy) fn event_pattern(text: &str) -> Result<NamePattern, PatternError> {
    NamePattern::parse_within(text, MAX_EVENT)
}

fn message_id(text: &str) -> Result<NamePattern, PatternError> {
    NamePattern::parse_within(text, MAX_MESSAGE_ID)
}

fn exit_point(text: &str) -> Result<NamePattern, PatternError> {
    NamePattern::parse_within(text, MAX_EXIT_POINT)
}

fn word(text: &str) -> Result<WordPattern, MatchError> {
    WordPattern::parse(text).ok_or_else(|| MatchError::Word(text.to_owned()))
}

fn wanted(text: &str) -> Result<String, MatchError> {
    let good = !text.is_empty() && text.len() <= MAX_CONTAINS;
    good.then(|| text.to_ascii_lowercase()).ok_or(MatchError::Contains)
}

/// An address or a network.
pub(in crate::policy) fn network(text: &str) -> Result<IpNet, MatchError> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let net = text.parse::<IpNet>().map(|net| net.trunc());
    net.or_else(|_| address()).map_err(|_| MatchError::Network(text.to_owned()))
}

/// Reads every text of a list.
fn all<T, E: Into<MatchError>>(
    texts: &[String],
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<Vec<T>>, MatchError> {
    if texts.is_empty() {
        return Ok(None);
    }
    texts.iter().map(|text| read(text)).collect::<Result<Vec<_>, E>>().map(Some).map_err(Into::into)
}

/// The clauses of conditions, apart from types, sources and severities.
pub(super) fn compile(when: &Match) -> Result<Vec<Clause>, MatchError> {
    let Match {
        sources: _,
        entry_types: _,
        events,
        users,
        target_users,
        objects,
        object_types,
        programs,
        jobs,
        paths,
        system_values,
        message_ids,
        queues,
        exit_points,
        exit_functions,
        outcomes,
        remote_addresses,
        remote_ports,
        local_ports,
        contains,
        when: windows,
        min_severity: _,
        max_severity: _,
        expression,
        not: _,
    } = when;
    let some = |ports: &[PortRange]| (!ports.is_empty()).then(|| ports.to_vec());
    let names = |texts: &[String], read: fn(&str) -> Result<NamePattern, PatternError>| {
        all(texts, read).map(|patterns| patterns.map(NameSet::new))
    };
    let of = |slot| move |names| Clause::Names(slot, names);
    let pairs = |slots, texts: &[String], read: fn(&str) -> Result<ObjectPattern, PatternError>| {
        let pair = |p: ObjectPattern| [NameTest::new(p.library), NameTest::new(p.name)];
        let clause = |patterns: Vec<_>| Clause::Pairs(slots, patterns.into_iter().map(pair).collect());
        all(texts, read).map(|patterns| patterns.map(clause))
    };
    let job = |p: JobPattern| [p.number, p.user, p.name].map(NameTest::new);
    let job_clause = |jobs: Vec<_>| Clause::Jobs(jobs.into_iter().map(job).collect());
    let expression = expression.as_deref().map(Expression::compile).transpose()?;
    let clauses = [
        names(users, NamePattern::parse)?.map(Clause::Users),
        pairs([Slot::ObjectLibrary, Slot::ObjectName], objects, ObjectPattern::parse)?,
        names(object_types, NamePattern::parse_object_type)?.map(of(Slot::ObjectType)),
        names(target_users, NamePattern::parse)?.map(of(Slot::TargetUser)),
        names(system_values, NamePattern::parse)?.map(of(Slot::SystemValue)),
        names(message_ids, message_id)?.map(of(Slot::MessageId)),
        pairs([Slot::ProgramLibrary, Slot::Program], programs, ObjectPattern::parse_program)?,
        all(jobs, JobPattern::parse)?.map(job_clause),
        names(exit_points, exit_point)?.map(of(Slot::ExitPoint)),
        (!outcomes.is_empty()).then(|| Clause::Outcomes(outcomes.clone())),
        some(remote_ports).map(|ports| Clause::Ports(Slot::RemotePort, ports)),
        some(local_ports).map(|ports| Clause::Ports(Slot::LocalPort, ports)),
        all(queues, ObjectPattern::parse)?.map(Clause::Queues),
        (!windows.is_empty()).then(|| Clause::When(Windows::new(windows))),
        all(exit_functions, word)?.map(|words| Clause::Words(Slot::ExitFunction, words)),
        names(events, event_pattern)?.map(Clause::Events),
        all(remote_addresses, network)?.map(Clause::Addresses),
        all(paths, PathPattern::parse)?.map(Clause::Paths),
        all(contains, wanted)?.map(Clause::Contains),
        expression.map(|expression| Clause::Expression(Arc::new(expression))),
    ];
    let mut clauses: Vec<Clause> = clauses.into_iter().flatten().collect();
    clauses.sort_by_key(Clause::alternatives);
    Ok(clauses)
}
