//! What the kernel says about a process.

use anyhow::Context as _;

/// A figure of `/proc/PID/status` in bytes.
pub fn status_bytes(process: u32, what: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find(|line| line.starts_with(what));
    // A program that has ended and was not waited for has a status without memory.
    let line = line.with_context(|| format!("{path} has no {what} the program has ended"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kibibytes * 1024)
}

/// Bytes as printed.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
