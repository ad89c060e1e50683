//! `/metrics` in Prometheus' text format. Sums over the fleet only: no name of an agent, policy or user appears.

use crate::app::App;
use crate::fleet::{roll_up, view};
use crate::identity::expiry::Kept;
use crate::package::download::Downloads;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use jiff::Timestamp;
use muster_proto::api::FleetView;
use muster_shared::licence::{LicenceState, Standing};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Samples")),
)]
pub(super) async fn metrics(app: web::Data<App>) -> HttpResponse {
    let text = app.metrics.text(Instant::now(), || measure(&app));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// How long one look at the fleet serves all who ask: a scrape walks over every agent.
const FRESH: Duration = Duration::from_secs(2);

/// The last text, for whoever asks soon after.
#[derive(Default)]
pub struct MetricsCache(Mutex<Option<(Instant, Bytes)>>);

impl MetricsCache {
    fn text(&self, now: Instant, measure: impl FnOnce() -> String) -> Bytes {
        // Held while measuring: who asks meanwhile waits for this look instead of taking another.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, text)) if now.saturating_duration_since(*at) < FRESH => text.clone(),
            Some(_) | None => {
                let text = Bytes::from(measure());
                *last = Some((now, text.clone()));
                text
            }
        }
    }
}

fn measure(app: &App) -> String {
    let now = Timestamp::now();
    let agents = app.fleet.each(|agent| view::line(agent, now));
    let lag_ms = agents.iter().map(|a| a.lag_ms).max().unwrap_or(0);
    let up = now.duration_since(app.started).as_secs();
    let sessions = app.sessions.load(Ordering::Relaxed);
    let licence = app.licence.state();
    let days = licence.next.map(|next| next.duration_since(now).as_secs().div_euclid(86_400));
    let mut text = render(&roll_up::fleet(&agents, now), lag_ms, up, sessions);
    text.push_str(&render_licence(&licence, days));
    text.push_str(&render_certificates(&app.kept_certificates()));
    text.push_str(&render_downloads(&app.packages.downloads));
    let age = app.backups.age(app.started, now);
    let superseded = app.incarnation.superseded().is_some();
    text.push_str(&render_backups(age, app.backups.failures(), app.incarnation.present().number, superseded));
    text
}

fn render_certificates(all: &[(Kept, Timestamp)]) -> String {
    let mut out = "# HELP muster_certificate_expires_timestamp_seconds When a certificate expires that a person replaces: the \
                   controller's authority, and the company's of --tls-cert.\n\
                   # TYPE muster_certificate_expires_timestamp_seconds gauge\n"
        .to_owned();
    for (kept, end) in all {
        let (word, end) = (kept.word(), end.as_second());
        let _ = writeln!(out, "muster_certificate_expires_timestamp_seconds{{certificate=\"{word}\"}} {end}");
    }
    out
}

fn render_licence(licence: &LicenceState, days: Option<i64>) -> String {
    let one = |standing| u8::from(licence.standing == standing);
    let mut out = format!(
        "# HELP muster_licence_standing Where the licence stands; 1 for the one that it is.\n\
         # TYPE muster_licence_standing gauge\n\
         muster_licence_standing{{standing=\"evaluation\"}} {}\n\
         muster_licence_standing{{standing=\"licensed\"}} {}\n\
         muster_licence_standing{{standing=\"grace\"}} {}\n\
         muster_licence_standing{{standing=\"restricted\"}} {}\n\
         # HELP muster_licence_warnings What the licence has to say to a person.\n\
         # TYPE muster_licence_warnings gauge\n\
         muster_licence_warnings {}\n\
         # HELP muster_licence_seats_used Seats in use.\n\
         # TYPE muster_licence_seats_used gauge\n\
         muster_licence_seats_used {}\n",
        one(Standing::Evaluation),
        one(Standing::Licensed),
        one(Standing::Grace),
        one(Standing::Restricted),
        licence.warnings.len(),
        licence.used,
    );
    if let Some(seats) = licence.seats {
        let _ = write!(
            out,
            "# HELP muster_licence_seats Licensed seats.\n# TYPE muster_licence_seats gauge\nmuster_licence_seats {seats}\n"
        );
    }
    if let Some(days) = days {
        let _ = write!(
            out,
            "# HELP muster_licence_next_days Days until the next thing happens by itself: a warning, a grace, its end.\n\
             # TYPE muster_licence_next_days gauge\nmuster_licence_next_days {days}\n"
        );
    }
    out
}

fn render_downloads(downloads: &Downloads) -> String {
    format!(
        "# HELP muster_package_downloads Downloads of packages that are under way.\n\
         # TYPE muster_package_downloads gauge\n\
         muster_package_downloads {}\n\
         # HELP muster_package_downloads_refused_total Downloads of packages that were told to come back later.\n\
         # TYPE muster_package_downloads_refused_total counter\n\
         muster_package_downloads_refused_total {}\n\
         # HELP muster_package_download_bytes_total Bytes of packages that were sent.\n\
         # TYPE muster_package_download_bytes_total counter\n\
         muster_package_download_bytes_total {}\n",
        downloads.count(),
        downloads.refused(),
        downloads.bytes(),
    )
}

fn render_backups(age: Option<i64>, failures: u64, incarnation: u64, superseded: bool) -> String {
    let mut out = format!(
        "# HELP muster_backup_failures_total Backups that failed since the start.\n\
         # TYPE muster_backup_failures_total counter\n\
         muster_backup_failures_total {failures}\n\
         # HELP muster_incarnation Number of the controller's incarnation; grows with every restore.\n\
         # TYPE muster_incarnation gauge\n\
         muster_incarnation {incarnation}\n\
         # HELP muster_superseded 1 if a restored controller has taken this one's place.\n\
         # TYPE muster_superseded gauge\n\
         muster_superseded {}\n",
        u8::from(superseded),
    );
    if let Some(age) = age {
        let _ = write!(
            out,
            "# HELP muster_backup_age_seconds Seconds since the last good backup was taken; since the start while there was none.\n\
             # TYPE muster_backup_age_seconds gauge\nmuster_backup_age_seconds {age}\n"
        );
    }
    out
}

fn render(fleet: &FleetView, lag_ms: u64, up_seconds: i64, sessions: usize) -> String {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        // Writing to a String has no way to fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (label, value) in samples {
            let _ = match label {
                &"" => writeln!(out, "{name} {value}"),
                label => writeln!(out, "{name}{{{label}}} {value}"),
            };
        }
    };
    #[allow(clippy::cast_precision_loss)] // Prometheus has no other numbers
    let n = |value: u64| value as f64;
    family(
        "muster_agents",
        "gauge",
        "Enrolled agents by connection.",
        &[
            ("connection=\"connected\"", n(fleet.connected)),
            ("connection=\"reconnecting\"", n(fleet.reconnecting)),
            ("connection=\"offline\"", n(fleet.offline)),
            ("connection=\"never_connected\"", n(fleet.never_connected)),
        ],
    );
    family(
        "muster_agents_connected_health",
        "gauge",
        "Connected agents by health.",
        &[("healthy=\"true\"", n(fleet.healthy)), ("healthy=\"false\"", n(fleet.unhealthy))],
    );
    family(
        "muster_agents_state",
        "gauge",
        "Agents that are not healthy by the one state shown; offline wins over every other.",
        &[
            ("state=\"degraded\"", n(fleet.degraded)),
            ("state=\"failed\"", n(fleet.failed)),
            ("state=\"offline\"", n(fleet.offline)),
            ("state=\"planned_outage\"", n(fleet.planned_outage)),
            ("state=\"quarantined\"", n(fleet.quarantined)),
        ],
    );
    family(
        "muster_agents_flagged",
        "gauge",
        "Agents with a source that is silent or noisy by its own past.",
        &[("flag=\"silent\"", n(fleet.silent)), ("flag=\"noisy\"", n(fleet.noisy))],
    );
    family(
        "muster_agents_policy",
        "gauge",
        "Agents that do not run the policy that they should.",
        &[("state=\"failed\"", n(fleet.policy_failed)), ("state=\"pending\"", n(fleet.policy_pending))],
    );
    let total = &fleet.rates.total;
    family(
        "muster_fleet_events",
        "gauge",
        "Events since the start of each agent, summed; falls when an agent restarts.",
        &[
            ("stage=\"received\"", n(total.received)),
            ("stage=\"kept\"", n(total.kept)),
            ("stage=\"dropped\"", n(total.dropped)),
            ("stage=\"delivered\"", n(total.delivered)),
        ],
    );
    let rate = &fleet.rates.minute;
    family(
        "muster_fleet_events_per_second",
        "gauge",
        "Events a second over the last minute.",
        &[
            ("stage=\"received\"", rate.received),
            ("stage=\"kept\"", rate.kept),
            ("stage=\"dropped\"", rate.dropped),
            ("stage=\"delivered\"", rate.delivered),
        ],
    );
    family("muster_fleet_lag_seconds", "gauge", "Greatest lag of a destination.", &[("", n(lag_ms) / 1e3)]);
    let up = u64::try_from(up_seconds).unwrap_or(0);
    family("muster_controller_up_seconds", "gauge", "Time since the start.", &[("", n(up))]);
    family("muster_controller_sessions", "gauge", "Open agent WebSockets.", &[("", n(sessions as u64))]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_serves_all_who_ask_soon_after() {
        let (cache, start) = (MetricsCache::default(), Instant::now());
        let ask =
            |after_ms, text: &str| cache.text(start + Duration::from_millis(after_ms), || text.to_owned());
        assert_eq!(ask(0, "a"), "a");
        assert_eq!(ask(1_999, "b"), "a");
        assert_eq!(ask(2_000, "c"), "c");
    }

    #[test]
    fn every_sample_has_a_type() {
        let text = render(&roll_up::fleet(&[], Timestamp::UNIX_EPOCH), 1_500, 7, 2);
        assert!(
            text.contains("# TYPE muster_agents gauge\nmuster_agents{connection=\"connected\"} 0\n"),
            "{text}"
        );
        assert!(text.contains("\nmuster_fleet_lag_seconds 1.5\n"), "{text}");
        assert!(text.contains("\nmuster_controller_up_seconds 7\n"), "{text}");
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
        }
    }
}
