//! Pure: what was met while reading and is still news, and what the health of a source is with it.

use crate::health::HealthState;
use crate::source::Told;

/// Something that was met, until when it is told, microseconds since 1970 UTC.
type Item = Option<(i64, String)>;

/// What was met. One does not hide another.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Entries were lost.
    pub(super) gap: Item,
    /// Something is wrong with what was read.
    pub(super) trouble: Item,
}

impl News {
    /// What is still to be told at `now_us`.
    pub(super) fn reasons(&mut self, now_us: i64) -> Vec<String> {
        let mut reasons = Vec::new();
        for item in [&mut self.gap, &mut self.trouble] {
            if item.as_ref().is_some_and(|(until, _)| *until < now_us) {
                *item = None;
            }
            reasons.extend(item.iter().map(|(_, reason)| reason.clone()));
        }
        reasons
    }
}

/// The health of a source that says `told` of itself, with these reasons beside; what is only `assumed` of the
/// partition is told where there is nothing worse.
pub(super) fn health(
    told: Option<&Told>,
    mut reasons: Vec<String>,
    assumed: Option<&str>,
) -> (HealthState, String) {
    if reasons.is_empty() {
        reasons.extend(assumed.map(str::to_owned));
    }
    match told {
        Some(told) if told.state == HealthState::Degraded => {
            reasons.insert(0, told.reason.clone());
            (HealthState::Degraded, reasons.join("; "))
        }
        Some(told) => (told.state, told.reason.clone()),
        None if reasons.is_empty() => (HealthState::Healthy, String::new()),
        None => (HealthState::Degraded, reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_hides_no_gap_and_both_pass() {
        let item = |until: i64, text: &str| Some((until, text.to_owned()));
        let mut news = News { gap: item(10, "entries lost"), trouble: None };
        news.trouble = item(20, "late messages");
        assert_eq!(news.reasons(10), ["entries lost", "late messages"]);
        assert_eq!(news.reasons(11), ["late messages"]);
        assert_eq!(news.reasons(21), Vec::<String>::new());
    }

    #[test]
    fn what_a_source_is_told_to_be() {
        let told = |state, reason: &str| Told { state, reason: reason.to_owned() };
        let lost = || vec!["lost".to_owned()];
        let degraded = |text: &str| (HealthState::Degraded, text.to_owned());
        assert_eq!(health(None, Vec::new(), None), (HealthState::Healthy, String::new()));
        assert_eq!(health(None, Vec::new(), Some("assumed")), degraded("assumed"));
        assert_eq!(health(None, lost(), Some("assumed")), degraded("lost"));
        let full = told(HealthState::Degraded, "full");
        assert_eq!(health(Some(&full), lost(), None), degraded("full; lost"));
        let failed = told(HealthState::Failed, "gone");
        assert_eq!(health(Some(&failed), lost(), None), (HealthState::Failed, "gone".to_owned()));
    }
}
