//! `rates --history`: a line of small bars for each source and destination, or for the fleet.

use super::Context;
use crate::args::{HistoryMetricArg, RatesArgs};
use crate::error::CliError;
use crate::output::{Style, lag, plain, print_json, print_table, rate};
use comfy_table::Table;
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{ComponentKind, HistoryMetric, HistoryView};
use std::io::{self, Write};
use std::time::Duration;

/// Bars of a line.
const BARS: u64 = 48;
const LEVELS: &[char] = &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) async fn show(
    args: &RatesArgs,
    span: Duration,
    context: &mut Context<'_>,
) -> Result<(), CliError> {
    let to = Timestamp::now();
    let seconds = span.as_secs().min(86_400);
    let from = to - SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(86_400));
    let (from, to, step) = (from.to_string(), to.to_string(), (seconds / BARS).max(60).to_string());
    let metric = word(args.metric);
    let query = [("metric", metric), ("from", &from), ("to", &to), ("step", &step)];
    let path: Vec<&str> = match &args.agent {
        Some(agent) => vec!["agents", agent, "history"],
        None => vec!["fleet", "history"],
    };
    let view: HistoryView = context.client()?.get(&path, &query).await?;
    if context.style.json {
        return Ok(print_json(context.out, &view)?);
    }
    print(context.out, &view, context.style)?;
    if view.series.iter().all(|series| series.values.iter().all(Option::is_none)) {
        writeln!(context.err, "nothing was recorded in that time; a moment is recorded every minute")?;
    }
    Ok(())
}

fn word(metric: HistoryMetricArg) -> &'static str {
    match metric {
        HistoryMetricArg::Received => "received",
        HistoryMetricArg::Kept => "kept",
        HistoryMetricArg::Dropped => "dropped",
        HistoryMetricArg::Delivered => "delivered",
        HistoryMetricArg::Lag => "lag_ms",
    }
}

fn print(out: &mut dyn Write, view: &HistoryView, style: Style) -> io::Result<()> {
    writeln!(out, "{} to {}", view.from.strftime("%F %H:%M"), view.to.strftime("%F %H:%M UTC"))?;
    print_table(out, &table(view, style))
}

fn table(view: &HistoryView, style: Style) -> Table {
    let mut table = style.table(&["NAME", "KIND", "LEAST", "MEAN", "MOST", "NOW", "HISTORY"]);
    let number = |value: Option<f64>| match (value, view.metric) {
        (None, _) => "-".to_owned(),
        // Milliseconds of a lag are far below what a float holds exactly.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (Some(value), HistoryMetric::LagMs) => lag(value.max(0.0) as u64),
        (
            Some(value),
            HistoryMetric::Received | HistoryMetric::Kept | HistoryMetric::Dropped | HistoryMetric::Delivered,
        ) => rate(value),
    };
    for series in &view.series {
        let known: Vec<f64> = series.values.iter().flatten().copied().collect();
        #[allow(clippy::cast_precision_loss)] // a few thousand values
        let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        let kind = match series.kind {
            ComponentKind::Source => "source",
            ComponentKind::Destination => "destination",
            ComponentKind::Other => "-",
        };
        table.add_row([
            plain(&series.name),
            plain(kind),
            plain(number(known.iter().copied().reduce(f64::min))),
            plain(number(mean)),
            plain(number(known.iter().copied().reduce(f64::max))),
            plain(number(series.values.iter().rev().find_map(|value| *value))),
            plain(bars(&series.values)),
        ]);
    }
    table
}

/// A bar for each value, the greatest full; a blank where nothing is known.
fn bars(values: &[Option<f64>]) -> String {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if most <= 0.0 || *value <= 0.0 => LEVELS[0],
        // Between 0 and 7: the quotient is at most 1.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(value) => LEVELS[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::HistorySeries;

    #[test]
    fn a_line_of_bars() {
        let values = vec![None, Some(0.0), Some(1.0), Some(4.0), Some(8.0)];
        assert_eq!(bars(&values), " ▁▁▄█");
        assert_eq!(bars(&[Some(0.0), Some(0.0)]), "▁▁");
        let view = HistoryView {
            metric: HistoryMetric::Received,
            from: "2026-11-25T17:00:00Z".parse().unwrap(),
            to: "2026-11-25T18:00:00Z".parse().unwrap(),
            step: 900,
            series: vec![HistorySeries { kind: ComponentKind::Source, name: "audit".into(), values }],
        };
        let mut out = Vec::new();
        print(&mut out, &view, Style { json: false, colour: false, terminal: false }).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-11-25 17:00 to 2026-11-25 18:00 UTC\n\
             \x20NAME   KIND    LEAST  MEAN  MOST  NOW  HISTORY\n\
             \x20audit  source  0      3.2   8.0   8.0   ▁▁▄█\n"
        );
    }
}
