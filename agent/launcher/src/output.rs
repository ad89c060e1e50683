//! The agent's standard output: lines for the launcher are taken out, everything else is passed on.

use crate::decide::Line;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::Sender;

/// What is kept of a line until its end comes; a longer one is for others, and passed on in parts.
const MAX_LINE: usize = 8 * 1024;

/// Reads until the end. What cannot be passed on is lost, for an agent must not wait for who reads its log no more.
pub async fn pass_on(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, said: Sender<Line>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut begins = true;
    loop {
        let (taken, ends) = match from.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(bytes) => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let taken = end.map_or(bytes.len(), |at| at + 1);
                line.extend_from_slice(&bytes[..taken]);
                (taken, end.is_some())
            }
        };
        from.consume(taken);
        if !ends && line.len() < MAX_LINE {
            continue;
        }
        let whole = line.strip_suffix(b"\n").filter(|_| begins);
        match whole.and_then(Line::read) {
            // Nobody listens only when the launcher ends.
            Some(heard) => drop(said.send(heard).await),
            None => pass(&mut to, &line).await,
        }
        begins = ends;
        line.clear();
    }
    pass(&mut to, &line).await;
}

async fn pass(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    if to.write_all(bytes).await.is_ok() {
        let _ = to.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passed(input: &[u8]) -> (Vec<u8>, Vec<Line>) {
        let (sender, mut said) = tokio::sync::mpsc::channel(16);
        let mut output = Vec::new();
        pass_on(input, &mut output, sender).await;
        let mut lines = Vec::new();
        while let Some(line) = said.recv().await {
            lines.push(line);
        }
        (output, lines)
    }

    #[tokio::test]
    async fn lines_for_the_launcher_are_taken_out() {
        let (output, lines) =
            passed(b"one\nmuster: healthy\ntwo\nmuster: unwell: x\nmuster: connected").await;
        assert_eq!(output, b"one\ntwo\nmuster: connected", "a line that does not end is none");
        assert_eq!(lines, [Line::Healthy, Line::Unwell("x".to_owned())]);
    }

    #[tokio::test]
    async fn long_lines_are_passed_on_whole_and_are_not_for_the_launcher() {
        let mut input = vec![b'x'; 3 * MAX_LINE];
        input.extend_from_slice(b"\n");
        let mut hidden = vec![b'y'; MAX_LINE];
        hidden.extend_from_slice(b"muster: healthy\n");
        input.extend(hidden);
        input.extend_from_slice(b"muster: healthy\n");
        let (output, lines) = passed(&input).await;
        assert_eq!(output, input[..input.len() - 16]);
        assert_eq!(lines, [Line::Healthy]);
    }
}
