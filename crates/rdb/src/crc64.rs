//! The checksum of RDB: CRC-64 with the polynomial of Jones, reflected, begun with 0.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static TABLE: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    TABLE.checksum(bytes)
}

/// A checksum of bytes that come one after another.
pub struct Crc64(Digest<'static, u64, Table<16>>);

impl Crc64 {
    /// Of no bytes.
    pub fn new() -> Self {
        Self(TABLE.digest())
    }

    /// With these bytes behind those before.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum so far.
    pub fn get(&self) -> u64 {
        self.0.clone().finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crc64({:016x})", self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_redis() {
        // The check value of the Jones polynomial, and that of a DUMP of redis-server 7.0.15 (SET k v).
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut crc = Crc64::new();
        [&b"1234"[..], b"", b"56789"]
            .iter()
            .for_each(|part| crc.update(part));
        assert_eq!(crc.get(), checksum(b"123456789"));
        assert_eq!(Crc64::new().get(), 0);
    }
}
