//! Encryption at rest: a file becomes a stream of authenticated blocks.
//!
//! ```text
//!  0      8        9          10         11      11+n    43+n
//!  +------+--------+----------+----------+-------+-------+---------+---------+-...-+---------+
//!  | magic| version| algorithm| length n | key id| salt  | block 0 | block 1 |     | block k |
//!  | 8    | 1      | 1        | 1        | n     | 32    |         |         |     | (last)  |
//!  +------+--------+----------+----------+-------+-------+---------+---------+-...-+---------+
//!
//!  block:  u32, little endian: bytes that follow, the top bit says "last" | ciphertext | tag, 16 bytes
//! ```
//!
//! The blocks of a file come in segments of 2^24. Each segment has a key of its own: HKDF-SHA256 of the master key, the
//! file's salt and the segment's number. The blocks are AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar,
//! Rogaway, Vizár, 2015): a block's nonce is its number and whether it is the last, so that blocks can be neither changed,
//! left out, repeated nor put into another order, and an end that is cut off is seen. The header is authenticated with each
//! block.
//!
//! [`EncryptedFs`] puts this under everything that writes and reads files, so that nobody else has to know of it.
//!
//! Must not know: what is in the file.

mod files;
mod keys;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use files::EncryptedFs;
pub use keys::{KeyFileError, KeyRing};
pub use read::{DecryptReader, End};
pub use write::EncryptWriter;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use hkdf::Hkdf;
use sha2::Sha256;

const MAGIC: &[u8; 8] = b"HOLDFENC";
const VERSION: u8 = 1;
const AES_256_GCM_STREAM: u8 = 1;
const SALT: usize = 32;
const TAG: usize = 16;
/// Plain bytes of a full block.
const BLOCK: usize = 64 << 10;
/// The top bit of a block's length.
const LAST: u32 = 1 << 31;
/// Blocks that are encrypted with one key: far from where a nonce would come twice, or AES-GCM would see too much data.
const SEGMENT: u32 = 1 << 24;
/// STREAM takes 5 of a nonce's 12 bytes. The rest may be constant: no key is used for two files.
const NONCE_PREFIX: [u8; 7] = [0; 7];

/// Why an encrypted file cannot be read. The file is never changed.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// It does not begin like an encrypted file.
    #[error("the file is not encrypted by this server")]
    NotEncrypted,
    /// It is, but by a newer one.
    #[error("the file's encryption has format version {0}, this server knows version {VERSION}")]
    Version(u8),
    /// The key that it names is not in the key file.
    #[error("the file is encrypted with key \"{0}\", which is not in the encryption-key-file")]
    UnknownKey(String),
    /// There are no keys.
    #[error("the file is encrypted with key \"{0}\", and there is no encryption-key-file")]
    NoKeys(String),
    /// A block is not what was written: a changed byte, or another key under the same id.
    #[error(
        "block {block} at byte {at} of the encrypted file is damaged, or the key named \"{key}\" is not the one that it was written with"
    )]
    Damaged {
        /// Number of the block.
        block: u32,
        /// Where it begins in the file.
        at: u64,
        /// Id of the key.
        key: String,
    },
    /// The file ends before its end.
    #[error("the encrypted file is cut off at byte {at}")]
    Truncated {
        /// Where the last whole block ends.
        at: u64,
    },
    /// There is something behind the last block.
    #[error("the encrypted file goes on behind its end at byte {at}")]
    Trailing {
        /// Where the last block ends.
        at: u64,
    },
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<DecryptError> for std::io::Error {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::Io(error) => error,
            DecryptError::Truncated { .. } => Self::new(std::io::ErrorKind::UnexpectedEof, error),
            other => Self::new(std::io::ErrorKind::InvalidData, other),
        }
    }
}

/// True if a file that begins with these bytes (8 are enough) is encrypted.
pub fn is_encrypted(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC)
}

/// Where the keys of a file's segments come from.
struct Segments {
    master: zeroize::Zeroizing<[u8; 32]>,
    salt: [u8; SALT],
    /// Number of the next segment.
    next: u32,
}

impl Segments {
    fn new(master: &[u8; 32], salt: [u8; SALT]) -> Self {
        Self {
            master: zeroize::Zeroizing::new(*master),
            salt,
            next: 0,
        }
    }

    fn next(&mut self) -> Aes256Gcm {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        let number = self.next.to_be_bytes();
        self.next = self.next.wrapping_add(1);
        Hkdf::<Sha256>::new(Some(&self.salt), &*self.master)
            .expand_multi_info(&[b"holdfast file", &number], &mut *key)
            .expect("32 bytes are within what HKDF gives");
        Aes256Gcm::new((&*key).into())
    }
}
