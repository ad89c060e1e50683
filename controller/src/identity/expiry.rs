//! What is said of certificates before they expire; those of agents and the controller's own renew themselves. Pure.

use jiff::{SignedDuration, Timestamp};

/// A certificate that a person has to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The controller's authority.
    Authority,
    /// The company's, of `--tls-cert`.
    Company,
}

impl Kept {
    /// The word for it in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Company => "company",
        }
    }

    /// How long before its end it is told of: a roll-over waits for agents that are away, while certificates of companies
    /// often live for 90 days only and are replaced in the last 30.
    fn notice(self) -> SignedDuration {
        match self {
            Self::Authority => SignedDuration::from_hours(24 * 180),
            Self::Company => SignedDuration::from_hours(24 * 21),
        }
    }
}

/// What is to be said of the first one that nears its end, and what to do.
#[must_use]
pub fn warning(all: &[(Kept, Timestamp)], now: Timestamp) -> Option<String> {
    let near = |&&(kept, end): &&(Kept, Timestamp)| end.duration_since(now) < kept.notice();
    let (kept, end) = *all.iter().filter(near).min_by_key(|(_, end)| *end)?;
    let (what, then) = match kept {
        Kept::Authority => (
            "the controller's authority",
            "no agent connects any more; replace it now (`muster ca roll-over`), agents take the new one by themselves",
        ),
        Kept::Company => (
            "the certificate of --tls-cert",
            "browsers and command lines refuse the controller; put a new one in its place, it is read at once",
        ),
    };
    let day = end.strftime("%Y-%m-%d");
    Some(if end <= now {
        format!("{what} expired on {day}: {then}")
    } else {
        let days = end.duration_since(now).as_secs() / 86_400;
        format!("{what} expires on {day}, in {days} days: then {then}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_in_time() {
        let now: Timestamp = "2026-11-27T00:00:00Z".parse().unwrap();
        let day = |days: i64| now + SignedDuration::from_hours(24 * days);
        let told = |all: &[(Kept, i64)]| {
            warning(&all.iter().map(|(kept, days)| (*kept, day(*days))).collect::<Vec<_>>(), now)
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[(Kept::Authority, 180), (Kept::Company, 21)]), None);
        let text = told(&[(Kept::Authority, 179), (Kept::Company, 21)]).unwrap();
        assert!(
            text.starts_with("the controller's authority expires on 2027-05-25, in 179 days: then no agent"),
            "{text}"
        );
        // The nearest end first, whatever the order.
        for all in [[(Kept::Authority, 10), (Kept::Company, 9)], [(Kept::Company, 9), (Kept::Authority, 10)]]
        {
            let text = told(&all).unwrap();
            assert!(
                text.starts_with("the certificate of --tls-cert expires on 2026-12-06, in 9 days"),
                "{text}"
            );
        }
        let text = told(&[(Kept::Company, 0)]).unwrap();
        assert!(text.starts_with("the certificate of --tls-cert expired on 2026-11-27: browsers"), "{text}");
    }
}
