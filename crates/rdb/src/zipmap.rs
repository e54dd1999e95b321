//! The zipmap, in which Redis before 2.6 kept small hashes. Only read.
//!
//! ```text
//!   +-----------+--------------------------------------------------------------+-----+------+
//!   | count u8  | length, field, length, unused u8, value, unused bytes        | ... | 0xFF |
//!   +-----------+--------------------------------------------------------------+-----+------+
//!   length: one byte below 254, or 254 and 4 bytes (little-endian); count 254: count them
//! ```

use crate::error::RdbError;

const BIG: u8 = 254;
const END: u8 = 0xFF;

/// The fields and values of a zipmap that has been checked as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Zipmap<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Zipmap<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, RdbError> {
        let (Some(&count), Some(&END)) = (bytes.first(), bytes.get(1..).and_then(<[u8]>::last)) else {
            return Err(RdbError::Zipmap(0));
        };
        let (mut at, mut seen) = (1, 0_usize);
        while at < bytes.len() - 1 {
            let (.., end) = pair(bytes, at).ok_or(RdbError::Zipmap(at))?;
            if end > bytes.len() - 1 {
                return Err(RdbError::Zipmap(at));
            }
            at = end;
            seen += 1;
        }
        if count < BIG && usize::from(count) != seen {
            return Err(RdbError::Zipmap(0));
        }
        Ok(Self { bytes, at: 1 })
    }
}

impl<'a> Iterator for Zipmap<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() - 1 {
            return None;
        }
        let (field, value, end) = pair(self.bytes, self.at)?;
        self.at = end;
        Some((field, value))
    }
}

/// The pair at `at` and where it ends.
fn pair(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8], usize)> {
    let (len, at) = length(bytes, at)?;
    let field = bytes.get(at..at.checked_add(len)?)?;
    let (len, at) = length(bytes, at + len)?;
    let unused = usize::from(*bytes.get(at)?);
    let value = bytes.get(at + 1..(at + 1).checked_add(len)?)?;
    Some((field, value, at + 1 + len + unused))
}

/// A length and where it ends.
fn length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        BIG => {
            let four = bytes.get(at + 1..at + 5)?;
            Some((
                u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize,
                at + 5,
            ))
        }
        END => None,
        len => Some((usize::from(len), at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn pairs(bytes: &[u8]) -> Result<Pairs, String> {
        let map = Zipmap::new(bytes).map_err(|e| e.to_string())?;
        Ok(map.map(|(f, v)| (f.to_vec(), v.to_vec())).collect())
    }

    #[test]
    fn fields_values_and_unused_bytes() {
        assert_eq!(
            pairs(b"\x02\x01a\x02\x00vv\x00\x01\x02w??\xff"),
            Ok(vec![
                (b"a".to_vec(), b"vv".to_vec()),
                (b"".to_vec(), b"w".to_vec())
            ])
        );
        assert_eq!(
            pairs(b"\xfe\xfe\x01\0\0\0a\xfe\x01\0\0\0\x00b\xff"),
            Ok(vec![(b"a".to_vec(), b"b".to_vec())])
        );
        assert_eq!(pairs(b"\x00\xff"), Ok(vec![]));
        for bad in [
            &b""[..],
            b"\xff",
            b"\x01\xff",
            b"\x01\x01a\x02\x00v\xff",
            b"\x01\x01a\x01\x01v\xff",
            b"\x01\x01a\xff",
            b"\x01\xfe\xff\xff\xff\xff\xff",
            b"\x00\x00",
        ] {
            assert!(pairs(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_origin_never_panic(bytes in prop::collection::vec(prop_oneof![0_u8..6, any::<u8>()], 0..40)) {
            let _either = pairs(&bytes);
        }
    }
}
