//! Programs of others that convert text: what the tables are compared with.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs a program over `input`. A missing program fails the test.
#[expect(clippy::disallowed_methods, reason = "the references are programs")]
pub fn run<A: AsRef<std::ffi::OsStr>>(
    program: &str,
    package: &str,
    arguments: impl IntoIterator<Item = A>,
    input: &[u8],
) -> Output {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}; apt-get install {package}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written beside, since more than a pipe holds goes in and out.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that never reads (a list) may have closed it already.
    let _ = writer.join();
    output
}
