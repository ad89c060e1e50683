//! Numbers as IBM i writes them: packed decimal, zoned decimal and big-endian binary. A field that does not
//! hold such a number gives `None`; the caller keeps its bytes in another way.

/// Most digits that fit an `i64` for certain.
const MAX_DIGITS: usize = 18;

/// Packed decimal: two digits a byte, the last half byte is the sign (B and D are negative; A, C, E and F are
/// positive). Leading zeros are free, so a long field with a small value is fine.
#[must_use]
pub fn packed(bytes: &[u8]) -> Option<i64> {
    let (last, front) = bytes.split_last()?;
    let mut digits = Digits::default();
    for byte in front {
        digits.push(byte >> 4)?;
        digits.push(byte & 0x0F)?;
    }
    digits.push(last >> 4)?;
    signed(digits.value, last & 0x0F)
}

/// Zoned decimal: one digit a byte in its low half; the high half of the last byte is the sign as in
/// [`packed`], the others are F.
#[must_use]
pub fn zoned(bytes: &[u8]) -> Option<i64> {
    let (last, front) = bytes.split_last()?;
    let mut digits = Digits::default();
    for byte in front {
        if byte >> 4 != 0x0F {
            return None;
        }
        digits.push(byte & 0x0F)?;
    }
    digits.push(last & 0x0F)?;
    signed(digits.value, last >> 4)
}

/// Signed binary of 1 to 8 bytes, the most significant byte first.
#[must_use]
pub fn binary(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 8 {
        return None;
    }
    let start = if first & 0x80 == 0 { 0 } else { -1 };
    Some(bytes.iter().fold(start, |value, byte| (value << 8) | i64::from(*byte)))
}

#[derive(Default)]
struct Digits {
    value: i64,
    count: usize,
}

impl Digits {
    fn push(&mut self, digit: u8) -> Option<()> {
        if self.value != 0 || digit != 0 {
            self.count += 1;
        }
        if digit > 9 || self.count > MAX_DIGITS {
            return None;
        }
        self.value = self.value * 10 + i64::from(digit);
        Some(())
    }
}

fn signed(value: i64, sign: u8) -> Option<i64> {
    match sign {
        0xB | 0xD => Some(-value),
        0xA | 0xC | 0xE | 0xF => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packed_decimals() {
        let cases: [(&[u8], Option<i64>); 9] = [
            (&[0x00, 0x03, 0x0F], Some(30)),
            (&[0x12, 0x34, 0x5D], Some(-12_345)),
            (&[0x0B], Some(0)),
            (&[0x12, 0x3A], Some(123)),
            (&[0; 0], None),
            (&[0x12, 0x34], None),
            (&[0x1A, 0x0F], None),
            (&[0x40, 0x40, 0x40], None),
            (&[0x99; 12], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(packed(bytes), expected, "{bytes:02X?}");
        }
        // A long field of zeros with a small number at its end.
        assert_eq!(packed(&[&[0_u8; 30][..], &[0x7C]].concat()), Some(7));
    }

    #[test]
    fn zoned_decimals() {
        let cases: [(&[u8], Option<i64>); 7] = [
            (&[0xF0, 0xF0, 0xF4, 0xF2], Some(42)),
            (&[0xF1, 0xD2], Some(-12)),
            (&[0xF1, 0xC2], Some(12)),
            (&[0x40, 0xF2], None),
            (&[0x40], None),
            (&[0xFA], None),
            (&[0; 0], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(zoned(bytes), expected, "{bytes:02X?}");
        }
    }

    #[test]
    fn binary_is_big_endian_and_signed() {
        let cases: [(&[u8], Option<i64>); 6] = [
            (&[0x00, 0x0A], Some(10)),
            (&[0xFF, 0xFE], Some(-2)),
            (&[0x00, 0x00, 0x04, 0xB0], Some(1200)),
            (&[0x80, 0, 0, 0, 0, 0, 0, 0], Some(i64::MIN)),
            (&[0; 9], None),
            (&[0; 0], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(binary(bytes), expected, "{bytes:02X?}");
        }
    }

    proptest! {
        #[test]
        fn decimals_come_back(value in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            let digits = format!("{:019}", value.unsigned_abs());
            let sign = if value < 0 { 0xD_u8 } else { 0xF };
            let nibbles: Vec<u8> = digits.bytes().map(|b| b - b'0').chain([sign]).collect();
            let bytes: Vec<u8> = nibbles.chunks(2).map(|two| two[0] << 4 | two[1]).collect();
            prop_assert_eq!(packed(&bytes), Some(value));

            let mut zones: Vec<u8> = digits.bytes().map(|b| 0xF0 | (b - b'0')).collect();
            *zones.last_mut().unwrap() &= 0x0F | sign << 4;
            prop_assert_eq!(zoned(&zones), Some(value));
        }

        #[test]
        fn binaries_come_back(value: i64) {
            prop_assert_eq!(binary(&value.to_be_bytes()), Some(value));
            prop_assert_eq!(binary(&(value as i32).to_be_bytes()), Some(i64::from(value as i32)));
            prop_assert_eq!(binary(&(value as i16).to_be_bytes()), Some(i64::from(value as i16)));
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (packed(&bytes), zoned(&bytes), binary(&bytes));
        }
    }
}
