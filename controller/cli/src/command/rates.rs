//! `rates`: once, or refreshed every second.

use super::Context;
use crate::args::RatesArgs;
use crate::error::CliError;
use crate::output::{Style, Tone, cell, count, lag, plain, print_json, print_json_line, print_table, rate};
use comfy_table::Table;
use muster_proto::api::{RateWindow, RatesView};
use std::io::{self, Write};
use std::time::Duration;

/// Agents report every second while somebody watches; asking more often would show nothing new.
const REFRESH: Duration = Duration::from_secs(1);
/// To the upper left corner, then clear what is below: without the flicker of clearing first.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

pub(super) async fn rates(args: &RatesArgs, context: &mut Context<'_>) -> Result<(), CliError> {
    let client = context.client()?;
    let mut query = Vec::new();
    if args.watch {
        query.push(("watch", "true"));
    }
    if let Some(agent) = &args.agent {
        query.push(("agent", agent));
    }
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut left = if args.watch { args.count.unwrap_or(u64::MAX) } else { 1 };
    if args.watch && context.style.terminal && !context.style.json {
        write!(context.out, "\x1b[2J")?;
    }
    while left > 0 {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut interrupted => return Ok(()),
        }
        let view: RatesView = tokio::select! {
            view = client.get(&["rates"], &query) => view?,
            _ = &mut interrupted => return Ok(()),
        };
        show(context.out, &view, args.watch, context.style)?;
        left -= 1;
    }
    Ok(())
}

fn show(out: &mut dyn Write, view: &RatesView, watch: bool, style: Style) -> io::Result<()> {
    match (style.json, watch, style.terminal) {
        (true, true, _) => print_json_line(out, view),
        (true, false, _) => print_json(out, view),
        (false, true, true) => {
            let mut page = Vec::new();
            writeln!(page, "{}   (Ctrl-C ends)", view.at.strftime("%F %T UTC"))?;
            print_table(&mut page, &table(view, style))?;
            let text = String::from_utf8_lossy(&page).replace('\n', &format!("{CLEAR_LINE}\n"));
            write!(out, "{HOME}{text}{CLEAR_BELOW}")?;
            out.flush()
        }
        (false, _, _) => {
            print_table(out, &table(view, style))?;
            out.flush()
        }
    }
}

fn table(view: &RatesView, style: Style) -> Table {
    let mut table = style.table(&[
        "AGENT",
        "RECEIVED/S",
        "1 MIN",
        "1 H",
        "KEPT/S",
        "DROPPED/S",
        "DELIVERED/S",
        "LAG",
        "RECEIVED",
        "DROPPED",
        "DELIVERED",
    ]);
    for agent in &view.agents {
        add(&mut table, &agent.name, &agent.window, agent.lag_ms);
    }
    let worst = view.agents.iter().map(|agent| agent.lag_ms).max().unwrap_or(0);
    add(&mut table, "(fleet)", &view.fleet, worst);
    table
}

fn add(table: &mut Table, name: &str, window: &RateWindow, lag_ms: u64) {
    /// Above this a person should know that a destination falls behind.
    const LATE_MS: u64 = 60_000;
    let tone = if lag_ms > LATE_MS { Tone::Warn } else { Tone::Plain };
    table.add_row([
        plain(name),
        plain(rate(window.now.received)),
        plain(rate(window.minute.received)),
        plain(rate(window.hour.received)),
        plain(rate(window.now.kept)),
        plain(rate(window.now.dropped)),
        plain(rate(window.now.delivered)),
        cell(lag(lag_ms), tone),
        plain(count(window.total.received)),
        plain(count(window.total.dropped)),
        plain(count(window.total.delivered)),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{AgentRates, PerSecond, Totals};

    fn view() -> RatesView {
        let window = RateWindow {
            total: Totals { received: 12_345, kept: 12_000, dropped: 345, delivered: 11_999 },
            now: PerSecond { received: 40.4, kept: 39.0, dropped: 1.4, delivered: 39.2 },
            ..RateWindow::default()
        };
        RatesView {
            at: "2026-11-22T04:00:00.5Z".parse().unwrap(),
            fleet: window,
            agents: vec![AgentRates {
                id: "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
                name: "PROD01".into(),
                reported_at: None,
                window,
                lag_ms: 1_200,
                sources: vec![],
                destinations: vec![],
            }],
        }
    }

    fn shown(watch: bool, style: Style) -> String {
        let mut out = Vec::new();
        show(&mut out, &view(), watch, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    const PLAIN: Style = Style { json: false, colour: false, terminal: false };

    #[test]
    fn a_table_for_people() {
        assert_eq!(
            shown(false, PLAIN),
            " AGENT    RECEIVED/S  1 MIN  1 H  KEPT/S  DROPPED/S  DELIVERED/S  LAG  RECEIVED  DROPPED  DELIVERED\n\
             \x20PROD01   40          0      0    39      1.4        39           1 s  12,345    345      11,999\n\
             \x20(fleet)  40          0      0    39      1.4        39           1 s  12,345    345      11,999\n"
        );
    }

    #[test]
    fn watching_redraws_on_a_terminal_and_prints_json_lines_for_programs() {
        let page = shown(true, Style { terminal: true, ..PLAIN });
        assert!(page.starts_with("\x1b[H2026-11-22 04:00:00 UTC   (Ctrl-C ends)\x1b[K\n"), "{page:?}");
        assert!(page.ends_with("\x1b[J"));
        let line = shown(true, Style { json: true, ..PLAIN });
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<RatesView>(&line).unwrap(), view());
    }
}
