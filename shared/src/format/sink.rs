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

    /// One for a short text.
    pub(super) fn small() -> Self {
        Self { bytes: vec![0; 8 * BLOCK], length: 0 }
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
            copy_long(target, source);
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

    /// Appends a whole number of blocks of which the first `size` bytes count.
    #[inline]
    pub(super) fn put_blocks<const N: usize>(&mut self, blocks: &[[u8; BLOCK]; N], size: usize) {
        let room = self.room(N * BLOCK);
        room[..N * BLOCK].copy_from_slice(blocks.as_flattened());
        self.length += size.min(N * BLOCK);
    }

    /// Appends a key and a value at once, each the first bytes of a block whose other bytes do not matter. Room
    /// is asked for once, which makes this the cheapest way to write a pair.
    #[inline]
    pub(super) fn put_pair(
        &mut self,
        (key, key_size): (&[u8; BLOCK], usize),
        (value, value_size): (&[u8; BLOCK], usize),
    ) {
        let key_size = key_size.min(BLOCK);
        let room = self.room(BLOCK);
        room[..BLOCK].copy_from_slice(key);
        room[key_size..key_size + BLOCK].copy_from_slice(value);
        self.length += key_size + value_size.min(BLOCK);
    }

    /// Appends a whole number.
    #[inline]
    pub(super) fn put_number(&mut self, number: impl itoa::Integer) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Texts up to here are copied in blocks: a call of `memcpy` costs more, as its length differs each time.
const LONG: usize = 256;

/// Copies more than a block.
#[inline]
fn copy_long(target: &mut [u8], source: &[u8]) {
    let size = source.len();
    let target = &mut target[..size];
    match (target.len() <= LONG, source.last_chunk::<BLOCK>()) {
        (true, Some(end)) => {
            let (to, from) = (target.as_chunks_mut::<BLOCK>().0, source.as_chunks::<BLOCK>().0);
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
            // The last block overlaps the one before it.
            target[size - BLOCK..].copy_from_slice(end);
        }
        _ => target.copy_from_slice(source),
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

    #[test]
    fn blocks_pairs_and_long_texts_are_copied_whole() {
        let source: Vec<u8> = (0..700).map(|number| number as u8).collect();
        let blocks = [[7; BLOCK], [8; BLOCK]];
        let value = [9; BLOCK];
        let mut sink = Sink::new();
        let mut expected = Vec::new();
        for size in 0..source.len() {
            sink.put(&source[..size]);
            expected.extend_from_slice(&source[..size]);
            let some = size % (2 * BLOCK + 1);
            sink.put_blocks(&blocks, some);
            expected.extend_from_slice(&blocks.as_flattened()[..some]);
            let (key_size, value_size) = (size % (BLOCK + 1), size / BLOCK % (BLOCK + 1));
            sink.put_pair((&blocks[0], key_size), (&value, value_size));
            expected.extend_from_slice(&blocks[0][..key_size]);
            expected.extend_from_slice(&value[..value_size]);
        }
        assert_eq!(sink.as_bytes(), expected);
    }
}
