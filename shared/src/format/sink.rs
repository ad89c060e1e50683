//! Where a message is put together: a buffer that is kept between events and copied out once.
//!
//! A message consists of some forty pieces, most of them below 32 bytes. Calling `memcpy` for each cost
//! more than half of the time of writing LEEF when it was measured; copies of a fixed size do not call anything.

/// A growing buffer with a position.
#[derive(Debug)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    length: usize,
}

/// Size of a block that is copied whole; [`Sink::put_padded`] may write so far beyond its end.
pub(super) const BLOCK: usize = 32;

impl Sink {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; 4096], length: 0 }
    }

    /// Forgets what was put.
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// What was put.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The next `size` bytes, with room for a block behind them.
    #[inline]
    fn room(&mut self, size: usize) -> &mut [u8] {
        let end = self.length + size + BLOCK;
        if end > self.bytes.len() {
            self.grow(end);
        }
        &mut self.bytes[self.length..end]
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.bytes.resize(end.next_power_of_two(), 0);
    }

    /// Appends one byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.length += 1;
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn put(&mut self, source: &[u8]) {
        let size = source.len();
        let target = self.room(size);
        // Two copies of a fixed size that overlap cover every length in between.
        if size > 32 {
            target[..size].copy_from_slice(source);
        } else if size > 16 {
            target[..16].copy_from_slice(&source[..16]);
            target[size - 16..size].copy_from_slice(&source[size - 16..]);
        } else if size >= 8 {
            target[..8].copy_from_slice(&source[..8]);
            target[size - 8..size].copy_from_slice(&source[size - 8..]);
        } else if size >= 4 {
            target[..4].copy_from_slice(&source[..4]);
            target[size - 4..size].copy_from_slice(&source[size - 4..]);
        } else {
            for (to, from) in target.iter_mut().zip(source) {
                *to = *from;
            }
        }
        self.length += size;
    }

    /// Appends the first `size` bytes of a block whose other bytes do not matter.
    #[inline]
    pub(super) fn put_padded(&mut self, block: &[u8; BLOCK], size: usize) {
        self.room(0)[..BLOCK].copy_from_slice(block);
        self.length += size.min(BLOCK);
    }

    /// Appends the first `size` bytes of `bytes`; what follows them does not matter.
    #[inline]
    pub(super) fn put_front(&mut self, (bytes, size): (&[u8], usize)) {
        match bytes.first_chunk::<BLOCK>() {
            Some(block) if size <= BLOCK => self.put_padded(block, size),
            _ => self.put(&bytes[..size]),
        }
    }

    /// Appends a whole number.
    #[inline]
    pub(super) fn put_number(&mut self, number: impl itoa::Integer) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole() {
        let source: Vec<u8> = (0..200).collect();
        let mut sink = Sink::new();
        let mut expected = Vec::new();
        for round in 0..3 {
            for size in 0..source.len() {
                sink.put(&source[..size]);
                expected.extend_from_slice(&source[..size]);
                sink.push(round);
                expected.push(round);
                let mut block = [0xff; BLOCK];
                let some = size % (BLOCK + 1);
                block[..some].copy_from_slice(&source[..some]);
                sink.put_padded(&block, some);
                expected.extend_from_slice(&source[..some]);
                sink.put_front((&source[size..], some.min(source.len() - size)));
                expected.extend_from_slice(&source[size..(size + some).min(source.len())]);
            }
        }
        sink.put_number(-17_i64);
        expected.extend_from_slice(b"-17");
        assert_eq!(sink.as_bytes(), expected);
        sink.clear();
        assert_eq!(sink.as_bytes(), b"");
    }
}
