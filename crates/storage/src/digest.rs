//! The algorithm of DEBUG DIGEST and DEBUG DIGEST-VALUE: equal data give equal digests, here and on Redis 7.0.
//! Knows no types of ours: callers feed it the parts of a value.
//!
//! ```text
//! xor(D, x):  D = D ^ SHA1(x)             order does not matter
//! mix(D, x):  D = SHA1(D ^ SHA1(x))       order matters
//!
//! value:      V = 0
//!             mix(V, type as 4 bytes, big endian)
//!             string: mix(V, bytes)                    (an integer as its decimal text)
//!             list:   mix(V, item) for each in order
//!             set:    xor(V, member) for each
//!             hash:   E = 0; mix(E, field); mix(E, value); xor(V, E)          for each pair
//!                     if the field expires: xor(E, "!!hexpire!!") before xor(V, E)
//!             zset:   E = 0; mix(E, member); mix(E, score "%.17g"); xor(V, E) for each pair
//!             stream: mix(V, "ms.seq"); mix(V, field); mix(V, value)...       for each entry in order
//!             if it has an expiry: xor(V, "!!expire!!")
//! data set:   T = 0
//!             for each database that is not empty, in order:
//!                 mix(T, index as 4 bytes, big endian)
//!                 for each key: K = mix(0, key), continued as a value; xor(T, K)
//! ```
//!
//! Source: the answers of Redis 7.0.15, which the oracle test compares.

use crate::numeric;
use sha1::{Digest as _, Sha1};
use std::fmt;

/// A digest's 20 bytes, all zero at first. `Display` writes them as 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    /// Adds `data` so that the order of several additions does not matter.
    pub fn xor(&mut self, data: &[u8]) {
        let hash: [u8; 20] = Sha1::digest(data).into();
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds `data` so that the order matters.
    pub fn mix(&mut self, data: &[u8]) {
        self.xor(data);
        self.0 = Sha1::digest(self.0).into();
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The type of a value, with the number that Redis mixes in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestType {
    /// A string, HyperLogLogs and bitmaps included.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    ZSet = 3,
    /// A hash.
    Hash = 4,
    /// A stream.
    Stream = 6,
}

/// The digest of one value, fed by the method of its type for each part.
#[derive(Debug, Clone, Copy)]
pub struct ValueDigest(Digest);

impl ValueDigest {
    /// Starts the digest that DEBUG DIGEST-VALUE answers, which does not depend on the key.
    pub fn new(kind: DigestType) -> ValueDigest {
        ValueDigest::start(Digest::default(), kind)
    }

    /// Starts the digest that `key`'s entry adds to the data set's.
    pub fn with_key(key: &[u8], kind: DigestType) -> ValueDigest {
        let mut digest = Digest::default();
        digest.mix(key);
        ValueDigest::start(digest, kind)
    }

    fn start(mut digest: Digest, kind: DigestType) -> ValueDigest {
        digest.mix(&(kind as u32).to_be_bytes());
        ValueDigest(digest)
    }

    /// Adds a string's bytes, or a list's next item.
    pub fn item(&mut self, bytes: &[u8]) {
        self.0.mix(bytes);
    }

    /// Adds a set's member.
    pub fn member(&mut self, member: &[u8]) {
        self.0.xor(member);
    }

    /// Adds a hash's field with its value.
    pub fn field(&mut self, field: &[u8], value: &[u8]) {
        self.pair(field, value, false);
    }

    /// The same for a field that expires, whenever that is.
    pub fn expiring_field(&mut self, field: &[u8], value: &[u8]) {
        self.pair(field, value, true);
    }

    fn pair(&mut self, field: &[u8], value: &[u8], expires: bool) {
        let mut pair = Digest::default();
        pair.mix(field);
        pair.mix(value);
        if expires {
            pair.xor(b"!!hexpire!!");
        }
        self.0.xor(pair.as_bytes());
    }

    /// Adds a sorted set's member with its score.
    pub fn scored(&mut self, member: &[u8], score: f64) {
        self.field(member, &numeric::format_f64_17g(score));
    }

    /// Adds the ID of a stream's next entry; its fields and values follow as [`ValueDigest::item`]s.
    pub fn stream_id(&mut self, ms: u64, seq: u64) {
        self.0.mix(format!("{ms}.{seq}").as_bytes());
    }

    /// Returns the digest; `expires` tells whether the key has a time to live, whatever it is.
    pub fn finish(mut self, expires: bool) -> Digest {
        if expires {
            self.0.xor(b"!!expire!!");
        }
        self.0
    }
}

/// The digest of the whole data set: DEBUG DIGEST. Empty databases are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatasetDigest(Digest);

impl DatasetDigest {
    /// Opens the database with this index, which is not empty. The databases come in ascending order.
    pub fn database(&mut self, index: u32) {
        self.0.mix(&index.to_be_bytes());
    }

    /// Adds the digest of a key's entry, which was started [`ValueDigest::with_key`], to the open database.
    /// The keys come in any order.
    pub fn entry(&mut self, entry: &Digest) {
        self.0.xor(entry.as_bytes());
    }

    /// Returns the digest; all zero if there is no key at all.
    pub fn finish(self) -> Digest {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_zero() {
        assert_eq!(DatasetDigest::default().finish().to_string(), "0".repeat(40));
    }

    /// As DEBUG DIGEST answers after `SET a 1`.
    #[test]
    fn one_string() {
        let mut value = ValueDigest::with_key(b"a", DigestType::String);
        value.item(b"1");
        let mut all = DatasetDigest::default();
        all.database(0);
        all.entry(&value.finish(false));
        assert_eq!(
            all.finish().to_string(),
            "943d800368fb9c0e951138f1bc0e313ac769d91f"
        );
    }

    #[test]
    fn order_matters_where_it_should() {
        let of = |kind, parts: [&[u8]; 2], add: fn(&mut ValueDigest, &[u8])| {
            let mut digest = ValueDigest::new(kind);
            parts.iter().for_each(|part| add(&mut digest, part));
            digest.finish(false)
        };
        let (ab, ba): ([&[u8]; 2], [&[u8]; 2]) = ([b"a", b"b"], [b"b", b"a"]);
        assert_eq!(
            of(DigestType::Set, ab, ValueDigest::member),
            of(DigestType::Set, ba, ValueDigest::member)
        );
        assert_ne!(
            of(DigestType::List, ab, ValueDigest::item),
            of(DigestType::List, ba, ValueDigest::item)
        );
    }
}
