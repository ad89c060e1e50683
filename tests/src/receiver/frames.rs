//! Tells messages of a stream apart as real receivers do: a digit begins a count, anything else a line.

/// Bytes of a stream that make no whole message yet.
#[derive(Default)]
pub(super) struct Frames {
    pending: Vec<u8>,
}

impl Frames {
    /// Adds bytes and hands out every message that is complete.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        self.pending.extend_from_slice(bytes);
        let mut from = 0;
        while let Some((start, end, next)) = next_frame(&self.pending[from..]) {
            each(&self.pending[from + start..from + end]);
            from += next;
        }
        self.pending.drain(..from);
    }
}

/// Start and end of the first message and where the next frame begins.
fn next_frame(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    if bytes.first()?.is_ascii_digit() {
        let blank = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
        let end = blank + 1 + length;
        (bytes.len() >= end).then_some((blank + 1, end, end))
    } else {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        Some((0, end, end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_frames_in_any_cut() {
        let stream = b"<1>one\n5 <2>\nx<3>three\n10 <4>four 44";
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for part in stream.chunks(size) {
                frames.push(part, |message| got.push(String::from_utf8(message.to_vec()).unwrap()));
            }
            assert_eq!(got, ["<1>one", "<2>\nx", "<3>three", "<4>four 44"], "cut into {size}");
        }
    }
}
