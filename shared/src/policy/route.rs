//! Routes, compiled: an event goes to every destination whose route matches; without any route, to all.

use super::filter::{CompiledMatch, MatchError, Subject};
use super::model::PolicySpec;

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
    routes: Option<Vec<(CompiledMatch, DestinationSet)>>,
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
        Ok(Self { every, routes: (!routes.is_empty()).then_some(routes) })
    }

    /// Every destination of the policy.
    #[must_use]
    pub const fn every(&self) -> DestinationSet {
        self.every
    }

    /// Whether a route asks for the names of user or object.
    #[must_use]
    pub fn asks_names(&self) -> bool {
        self.routes.iter().flatten().any(|(when, _)| when.asks_names())
    }

    /// Where an event goes. Empty where routes exist and none matches.
    #[must_use]
    pub fn destinations(&self, subject: &Subject<'_>) -> DestinationSet {
        let Some(routes) = &self.routes else { return self.every };
        routes.iter().fold(0, |set, (when, destinations)| {
            // A route that adds nothing need not be asked.
            if destinations & !set != 0 && when.matches(subject) { set | destinations } else { set }
        })
    }
}
