//! Routes, compiled: an event goes to every destination whose route matches; without any route, to all.

use super::filter::{Asked, CompiledMatch, Holds, MatchError, Subject};
use super::index::TypeIndex;
use super::model::PolicySpec;
use std::ops::ControlFlow;

/// Most destinations of one policy: a set of them is one 64-bit number.
pub const MAX_DESTINATIONS: usize = 64;

/// A set of destinations; bit *i* is the *i*-th by name.
pub type DestinationSet = u64;

/// Why routes cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// More than [`MAX_DESTINATIONS`].
    #[error("the policy has {0} destinations, at most {MAX_DESTINATIONS} are possible")]
    TooMany(usize),
    /// A route to a name that no destination has.
    #[error("routes.{route}: there is no destination `{destination}`")]
    NoDestination {
        /// Name of the route.
        route: String,
        /// The name not found.
        destination: String,
    },
    /// Conditions without meaning.
    #[error("routes.{route}.match: {error}")]
    Match {
        /// Name of the route.
        route: String,
        /// What is wrong.
        error: MatchError,
    },
}

/// All routes of a policy.
#[derive(Debug, Clone)]
pub struct RouteTable {
    every: DestinationSet,
    names: Vec<String>,
    /// Empty: everything goes everywhere.
    routes: Vec<(CompiledMatch, DestinationSet)>,
    index: TypeIndex,
}

impl RouteTable {
    /// Compiles the routes of a policy.
    ///
    /// # Errors
    /// [`RouteError`] names the route.
    pub fn compile(spec: &PolicySpec) -> Result<Self, RouteError> {
        let names: Vec<&String> = spec.destinations.keys().collect();
        if names.len() > MAX_DESTINATIONS {
            return Err(RouteError::TooMany(names.len()));
        }
        let every = if names.len() == MAX_DESTINATIONS { u64::MAX } else { (1 << names.len()) - 1 };
        let mut routes = Vec::with_capacity(spec.routes.len());
        for (route, content) in &spec.routes {
            let mut set = 0;
            for destination in &content.destinations {
                let Ok(position) = names.binary_search(&destination) else {
                    return Err(RouteError::NoDestination {
                        route: route.clone(),
                        destination: destination.clone(),
                    });
                };
                set |= 1 << position;
            }
            let when = CompiledMatch::compile(&content.when, spec)
                .map_err(|error| RouteError::Match { route: route.clone(), error })?;
            routes.push((when, set));
        }
        let index = TypeIndex::new(spec.routes.values().map(|route| &route.when));
        Ok(Self { every, names: spec.routes.keys().cloned().collect(), routes, index })
    }

    /// Every destination of the policy.
    #[must_use]
    pub const fn every(&self) -> DestinationSet {
        self.every
    }

    /// Names of the routes, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The fields that routes ask for.
    pub(super) fn asked(&self) -> Asked {
        self.routes.iter().fold(0, |asked, (when, _)| asked | when.asked())
    }

    /// Where an event goes. Empty where routes exist and none matches. A route whose expression failed is taken: an
    /// event too many is better than one too few; `failed` is told its number.
    pub(super) fn destinations(
        &self,
        subject: &Subject<'_>,
        mut failed: impl FnMut(usize),
    ) -> DestinationSet {
        if self.routes.is_empty() {
            return self.every;
        }
        let mut set = 0;
        let _ = self.index.visit(subject, |number| {
            let (when, destinations) = &self.routes[number];
            // A route that adds nothing need not be asked.
            if destinations & !set != 0 {
                match when.matches(subject) {
                    Holds::No => {}
                    Holds::Yes => set |= destinations,
                    Holds::Unknown => {
                        set |= destinations;
                        failed(number);
                    }
                }
            }
            ControlFlow::<()>::Continue(())
        });
        set
    }

    /// Names of the routes that an event meets, those among them that add no destination.
    pub(super) fn met(&self, subject: &Subject<'_>) -> Vec<&str> {
        let met =
            self.routes.iter().zip(&self.names).filter(|((when, _), _)| when.matches(subject) != Holds::No);
        met.map(|(_, name)| name.as_str()).collect()
    }
}
