//! The hash slot of a key: CRC16 of the key or of its hash tag, modulo 16384. Knows nothing of shards, of
//! nodes or of who owns a slot.
//!
//! Source: the Redis Cluster specification, "Key distribution model" and "Hash tags". The CRC is
//! CRC-16/XMODEM: polynomial 0x1021, initial value 0, no reflection, no final xor; the check value of
//! `123456789` is 0x31C3.

/// Number of hash slots in a cluster.
pub const SLOTS: u16 = 16384;

const _: () = assert!(SLOTS.is_power_of_two());

/// Keys up to this many bytes are scanned for `{` a word at a time in place; longer ones go to `memchr`,
/// whose set-up costs more than it saves on a short key.
const INLINE_SCAN_MAX: usize = 64;

/// Returns the hash slot (`0..SLOTS`) of `key`.
///
/// If the key holds a `{`, followed later by a `}`, and the bytes between the first `{` and the first `}`
/// after it are not empty, only these bytes are hashed; otherwise the whole key is.
#[inline]
pub fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) & (SLOTS - 1)
}

/// Returns the non-empty hash tag of `key`, without its braces, if it has one.
#[inline]
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    if key.len() <= INLINE_SCAN_MAX && !may_hold_open_brace(key) {
        return None;
    }
    let open = memchr::memchr(b'{', key)?;
    let rest = &key[open + 1..];
    let close = memchr::memchr(b'}', rest)?;
    (close > 0).then(|| &rest[..close])
}

/// Returns false if `key` surely holds no `{`. The zero-byte trick on words never misses one.
#[inline]
fn may_hold_open_brace(key: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const BRACES: u64 = LOW * b'{' as u64;
    let zero_byte = |word: &[u8; 8]| {
        let x = u64::from_le_bytes(*word) ^ BRACES;
        x.wrapping_sub(LOW) & !x & HIGH
    };
    // The last word overlaps the one before it, so that there is no tail.
    let Some(last) = key.last_chunk::<8>() else {
        return key.contains(&b'{');
    };
    let (words, _) = key.as_chunks::<8>();
    words
        .iter()
        .fold(zero_byte(last), |seen, word| seen | zero_byte(word))
        != 0
}

/// Returns the CRC-16/XMODEM of `data`.
#[inline]
pub fn crc16(data: &[u8]) -> u16 {
    let (blocks, mut tail) = data.as_chunks::<8>();
    let mut crc = 0u16;
    for block in blocks {
        // One load and shifts: loads are what the look-ups need. The CRC so far goes into the first two bytes.
        let b = u64::from_le_bytes(*block) ^ u64::from(crc.swap_bytes());
        let at = |n: u32| look_up(7 - n as usize, (b >> (8 * n)) as u8);
        // What does not wait for the block before is added up first.
        crc = ((at(2) ^ at(3)) ^ (at(4) ^ at(5)) ^ (at(6) ^ at(7))) ^ (at(0) ^ at(1));
    }
    if let Some((b, rest)) = tail.split_first_chunk::<4>() {
        let [hi, lo] = crc.to_be_bytes();
        let ahead = look_up(1, b[2]) ^ look_up(0, b[3]);
        crc = ahead ^ (look_up(3, b[0] ^ hi) ^ look_up(2, b[1] ^ lo));
        tail = rest;
    }
    for &byte in tail {
        let [hi, lo] = crc.to_be_bytes();
        crc = u16::from_be_bytes([lo, 0]) ^ look_up(0, hi ^ byte);
    }
    crc
}

#[inline]
fn look_up(zeros: usize, byte: u8) -> u16 {
    TABLES[zeros][usize::from(byte)]
}

/// `TABLES[n][b]` is the CRC of byte `b` followed by `n` zero bytes: eight look-ups that do not wait for
/// each other stand for eight that do (slicing-by-8; 4 KiB in all).
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    const POLYNOMIAL: u16 = 0x1021;
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ POLYNOMIAL
            } else {
                crc << 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bitwise_crc16(data: &[u8]) -> u16 {
        data.iter().fold(0u16, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 != 0 {
                    (crc << 1) ^ 0x1021
                } else {
                    crc << 1
                }
            })
        })
    }

    #[test]
    fn known_vectors() {
        assert_eq!(crc16(b""), 0);
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As CLUSTER KEYSLOT answers.
        assert_eq!(key_slot(b""), 0);
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"bar"), 5061);
        assert_eq!(key_slot(b"hello"), 866);
        assert_eq!(key_slot(b"somekey"), 11058);
    }

    #[test]
    fn hash_tags() {
        assert_eq!(hash_tag(b"{user1000}.following"), Some(&b"user1000"[..]));
        assert_eq!(hash_tag(b"foo{}{bar}"), None);
        assert_eq!(hash_tag(b"foo{{bar}}zap"), Some(&b"{bar"[..]));
        assert_eq!(hash_tag(b"foo{bar}{zap}"), Some(&b"bar"[..]));
        assert_eq!(hash_tag(b"}{"), None);
        assert_eq!(hash_tag(b"}a{b"), None);
        assert_eq!(hash_tag(b"foo{bar"), None);
        assert_eq!(key_slot(b"foo{hash_tag}"), key_slot(b"{hash_tag}bar"));
        assert_eq!(key_slot(b"foo{hash_tag}"), 2515);
    }

    proptest! {
        #[test]
        fn crc_is_the_bitwise_one(data in prop::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(crc16(&data), bitwise_crc16(&data));
        }

        #[test]
        fn tag_is_what_the_specification_says(key in "[a-c{}]{0,90}") {
            let naive = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
            let naive = naive.filter(|tag| !tag.is_empty()).map(str::as_bytes);
            prop_assert_eq!(hash_tag(key.as_bytes()), naive);
        }
    }
}
