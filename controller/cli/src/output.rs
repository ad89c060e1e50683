//! How results look: tables for people, JSON for programs. Nothing here knows what the values mean.

use crate::Environment;
use crate::args::{Cli, ColorChoice, OutputKind};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::io::{self, Write};

/// Choices that hold for a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Print JSON.
    pub(crate) json: bool,
    /// Use colour.
    pub(crate) colour: bool,
    /// Standard output is a terminal: tables fit its width.
    pub(crate) terminal: bool,
}

impl Style {
    /// From the command line and the process.
    pub(crate) fn new(cli: &Cli, environment: &Environment) -> Self {
        let colour = match cli.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => environment.stdout_terminal && !environment.no_color,
        };
        Self { json: cli.output == OutputKind::Json, colour, terminal: environment.stdout_terminal }
    }

    /// An empty table with this header.
    pub(crate) fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let arrangement =
            if self.terminal { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.set_content_arrangement(arrangement);
        if !header.is_empty() {
            table.set_header(header.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
        }
        table
    }
}

/// How a cell should strike the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As usual.
    Plain,
    /// All is well.
    Good,
    /// Look here soon.
    Warn,
    /// Look here now.
    Bad,
}

/// A cell; its text is cleaned.
pub(crate) fn cell(text: impl AsRef<str>, tone: Tone) -> Cell {
    let cell = Cell::new(clean(text.as_ref()));
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Warn => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
    }
}

/// A cell in the usual tone.
pub(crate) fn plain(text: impl AsRef<str>) -> Cell {
    cell(text, Tone::Plain)
}

/// Prints a table without blanks at the ends of lines.
pub(crate) fn print_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)?;
    out.flush()
}

/// Text from elsewhere without control characters, which could move a terminal's cursor or worse.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As [`clean`], keeping line breaks.
pub(crate) fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// `3 s`, `2 min`, `5 h`, `4 d`: how long ago something was.
pub(crate) fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        None => "never".to_owned(),
        Some(at) => format!("{} ago", span(now.duration_since(at))),
    }
}

fn span(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// A lag: `0 ms`, `850 ms`, `12 s`, …
pub(crate) fn lag(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    span(SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// Events per second: `0`, `0.4`, `12`, `15.3k`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 9.95 {
        format!("{per_second:.1}")
    } else if per_second < 9_999.5 {
        format!("{per_second:.0}")
    } else {
        format!("{:.1}k", per_second / 1_000.0)
    }
}

/// A count with separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `env=prod site=zrh`, or `-`.
pub(crate) fn labels(labels: &muster_proto::api::Labels) -> String {
    if labels.is_empty() {
        return "-".to_owned();
    }
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// The text, or `-` where there is none.
pub(crate) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.42, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (1234.4, "1234"),
            (15_300.0, "15.3k"),
        ] {
            assert_eq!(rate(value), text);
        }
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
        for (value, text) in
            [(0, "0 ms"), (999, "999 ms"), (1_500, "1 s"), (180_000, "3 min"), (u64::MAX, "106751991167 d")]
        {
            assert_eq!(lag(value), text);
        }
    }

    #[test]
    fn times_for_people() {
        let now: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
        for (at, text) in [
            ("2026-11-22T03:59:58Z", "2 s ago"),
            ("2026-11-22T03:30:00Z", "30 min ago"),
            ("2026-11-21T03:30:00Z", "24 h ago"),
            ("2026-11-01T04:00:00Z", "21 d ago"),
            // A controller whose clock is ahead.
            ("2026-11-22T04:00:10Z", "0 s ago"),
        ] {
            assert_eq!(ago(Some(at.parse().unwrap()), now), text);
        }
        assert_eq!(ago(None, now), "never");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\nc\u{9b}d"), "a [2Jb  c d");
        assert_eq!(clean_lines("a\x1b\nb"), "a \nb");
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        let cells = |style: Style| {
            let mut table = style.table(&["NAME"]);
            table.add_row([cell("x", Tone::Bad)]);
            let mut out = Vec::new();
            print_table(&mut out, &table).unwrap();
            String::from_utf8(out).unwrap()
        };
        let without = Style { json: false, colour: false, terminal: false };
        assert_eq!(cells(without), " NAME\n x\n");
        assert!(cells(Style { colour: true, ..without }).contains("\x1b["));
    }
}
