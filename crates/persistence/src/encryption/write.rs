//! The writing side.

use std::io::{self, Write};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::stream::EncryptorBE32;

use super::{AES_256_GCM_STREAM, BLOCK, KeyRing, LAST, MAGIC, NONCE_PREFIX, SALT, TAG, VERSION, file_key};

/// Encrypts what is written to it. `flush` makes what is there a block of its own and flushes the file: after that it can be
/// read up to here. [`EncryptWriter::finish`] writes the end; a file without it reads as cut off.
pub struct EncryptWriter<W> {
    file: W,
    header: Vec<u8>,
    cipher: EncryptorBE32<Aes256Gcm>,
    block: Vec<u8>,
    /// An error left the file at an unknown place: nothing more is written.
    broken: bool,
}

impl<W: Write> EncryptWriter<W> {
    /// Begins a file with the ring's first key: writes the header.
    ///
    /// `salt`: 32 random bytes, never used before.
    pub fn new(mut file: W, keys: &KeyRing, salt: [u8; SALT]) -> io::Result<Self> {
        let (id, master) = keys.first();
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&[VERSION, AES_256_GCM_STREAM, id.len() as u8]);
        header.extend_from_slice(id.as_bytes());
        header.extend_from_slice(&salt);
        file.write_all(&header)?;
        Ok(Self {
            file,
            header,
            cipher: EncryptorBE32::from_aead(file_key(master, &salt), (&NONCE_PREFIX).into()),
            block: Vec::with_capacity(BLOCK + TAG),
            broken: false,
        })
    }

    /// Writes the end and gives the file back, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.check()?;
        let mut block = std::mem::take(&mut self.block);
        self.cipher
            .encrypt_last_in_place(&self.header, &mut block)
            .map_err(|_| full())?;
        self.file.write_all(&(block.len() as u32 | LAST).to_le_bytes())?;
        self.file.write_all(&block)?;
        self.file.flush()?;
        Ok(self.file)
    }

    /// The file.
    pub fn get_ref(&self) -> &W {
        &self.file
    }

    fn check(&self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to the encrypted file failed"));
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.check()?;
        if self.block.is_empty() {
            return Ok(());
        }
        // Until the whole block is in the file.
        self.broken = true;
        self.cipher
            .encrypt_next_in_place(&self.header, &mut self.block)
            .map_err(|_| full())?;
        self.file.write_all(&(self.block.len() as u32).to_le_bytes())?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        self.broken = false;
        Ok(())
    }
}

/// 2^32 blocks are there.
fn full() -> io::Error {
    io::Error::other("the encrypted file has as many blocks as it can have")
}

impl<W: Write> Write for EncryptWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.write_block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_block()?;
        self.file.flush()
    }
}
