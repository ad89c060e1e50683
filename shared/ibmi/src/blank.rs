//! Finds where bytes hold something. Entry data is mostly blank (0x40) or zero, so it is looked at in words.
//!
//! A byte is empty if it is 0x40 or 0x00, that is if it has no bit but that of 0x40. So a whole word is empty
//! if [`FILLED`] masks nothing out of it, whatever the mix.

/// Bits that an empty byte does not have.
pub(crate) const FILLED: u64 = u64::from_ne_bytes([0xBF; 8]);

/// Bytes that are looked at in one go where much is expected to be empty.
const BLOCK: usize = 128;

/// Whether a byte is a blank or zero.
#[must_use]
#[inline]
pub fn is_empty_byte(byte: u8) -> bool {
    byte & 0xBF == 0
}

/// Whether nothing but blanks and zero bytes is there.
#[must_use]
pub fn is_empty(bytes: &[u8]) -> bool {
    trimmed(bytes).is_empty()
}

/// `bytes` without the blanks and zero bytes at its end.
#[must_use]
pub fn trimmed(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((front, block)) = rest.split_last_chunk::<BLOCK>() {
        if !is_empty_block(block) {
            break;
        }
        rest = front;
    }
    while let Some((front, word)) = rest.split_last_chunk::<8>() {
        let filled = u64::from_le_bytes(*word) & FILLED;
        if filled != 0 {
            let last = 7 - filled.leading_zeros() as usize / 8;
            return &rest[..=front.len() + last];
        }
        rest = front;
    }
    while let Some((last, front)) = rest.split_last() {
        if !is_empty_byte(*last) {
            break;
        }
        rest = front;
    }
    rest
}

/// Position of the first byte that is neither blank nor zero.
#[must_use]
pub fn first_filled(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk::<BLOCK>() {
        if !is_empty_block(block) {
            break;
        }
        rest = behind;
    }
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let filled = u64::from_le_bytes(*word) & FILLED;
        if filled != 0 {
            return Some(bytes.len() - rest.len() + filled.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    let position = rest.iter().position(|byte| !is_empty_byte(*byte))?;
    Some(bytes.len() - rest.len() + position)
}

#[inline]
fn is_empty_block(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(0, |seen, byte| seen | byte) & 0xBF == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_blank_and_zero_are_empty() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_empty_byte(byte), byte == 0x40 || byte == 0, "{byte:02X}");
        }
    }

    proptest! {
        #[test]
        fn words_agree_with_bytes(
            bytes in proptest::collection::vec(prop_oneof![8 => Just(0x40_u8), 4 => Just(0), 1 => any::<u8>()], 0..300),
        ) {
            let filled = |byte: &u8| *byte != 0x40 && *byte != 0;
            let end = bytes.iter().rposition(filled).map_or(0, |last| last + 1);
            prop_assert_eq!(trimmed(&bytes), &bytes[..end]);
            prop_assert_eq!(first_filled(&bytes), bytes.iter().position(filled));
            prop_assert_eq!(is_empty(&bytes), end == 0);
        }
    }
}
