//! The last lines of the log, for the diagnostics bundle.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

/// Lines kept.
const MAX_LINES: usize = 500;
/// Longest line kept, in bytes.
const MAX_LINE: usize = 512;

/// The lines, oldest first.
#[derive(Debug, Default)]
pub struct LogRing(Mutex<VecDeque<String>>);

static RING: LazyLock<LogRing> = LazyLock::new(LogRing::default);

/// The lines of this process; there is one log, so there is one ring.
#[must_use]
pub fn ring() -> &'static LogRing {
    &RING
}

impl LogRing {
    fn push(&self, line: &str) {
        let end = line.floor_char_boundary(MAX_LINE);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(plain(&line[..end]));
    }

    /// A copy of them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Without the colours of a terminal.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut escape = false;
    for c in line.chars() {
        match (escape, c) {
            (false, '\x1b') => escape = true,
            (true, c) => escape = !c.is_ascii_alphabetic(),
            (false, c) if c.is_control() => text.push(' '),
            (false, c) => text.push(c),
        }
    }
    text
}

/// Writes lines into the ring: the log writes one event at a time.
#[derive(Debug, Clone, Copy)]
pub struct ToRing;

impl Write for ToRing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            ring().push(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ToRing {
    type Writer = Self;

    fn make_writer(&self) -> Self::Writer {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_without_colour() {
        let ring = LogRing::default();
        for number in 0..MAX_LINES + 7 {
            ring.push(&format!("\x1b[2m{number}\x1b[0m \x1b[32mINFO\x1b[0m started\t{}", "ü".repeat(1_000)));
        }
        let lines = ring.lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines[0].starts_with("7 INFO started ü"), "{}", lines[0]);
        assert!(lines[0].len() <= MAX_LINE);
    }
}
