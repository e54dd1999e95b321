//! The writing side.

use std::io::{self, Write};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::stream::EncryptorBE32;
use rand::TryRngCore;
use rand::rngs::OsRng;

use super::{
    AES_256_GCM_STREAM, BLOCK, KeyRing, LAST, MAGIC, NONCE_PREFIX, SALT, SEGMENT, Segments, TAG, VERSION,
};

/// Encrypts what is written to it. `flush` makes what is there a block of its own and flushes the file: after that it can be
/// read up to here. [`EncryptWriter::end`] writes the end; a file without it reads as cut off.
///
/// After an error of the file it may be used again: a block that was written in part is written on where it stopped.
pub struct EncryptWriter<W> {
    file: W,
    header: Vec<u8>,
    segments: Segments,
    /// None: the end has been written.
    cipher: Option<EncryptorBE32<Aes256Gcm>>,
    /// Blocks of the current segment, and of a whole one.
    blocks: u32,
    segment: u32,
    /// What is to be encrypted.
    block: Vec<u8>,
    /// What is encrypted and on its way into the file, and how much of it is there.
    sealed: Vec<u8>,
    written: usize,
}

impl<W: Write> EncryptWriter<W> {
    /// Begins a file with the ring's first key: writes the header, with a salt from the system.
    pub fn begin(file: W, keys: &KeyRing) -> io::Result<Self> {
        let mut salt = [0; SALT];
        OsRng.try_fill_bytes(&mut salt).map_err(io::Error::other)?;
        Self::new(file, keys, salt)
    }

    /// The same with a salt of the caller's.
    ///
    /// `salt`: 32 random bytes, never used before.
    pub fn new(file: W, keys: &KeyRing, salt: [u8; SALT]) -> io::Result<Self> {
        Self::with_segment(file, keys, salt, SEGMENT)
    }

    /// The same with segments of so many blocks.
    pub(super) fn with_segment(
        mut file: W,
        keys: &KeyRing,
        salt: [u8; SALT],
        segment: u32,
    ) -> io::Result<Self> {
        let (id, master) = keys.first();
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&[VERSION, AES_256_GCM_STREAM, id.len() as u8]);
        header.extend_from_slice(id.as_bytes());
        header.extend_from_slice(&salt);
        file.write_all(&header)?;
        let mut segments = Segments::new(master, salt);
        Ok(Self {
            file,
            header,
            cipher: Some(EncryptorBE32::from_aead(segments.next(), (&NONCE_PREFIX).into())),
            segments,
            blocks: 0,
            segment,
            block: Vec::with_capacity(BLOCK + TAG),
            sealed: Vec::with_capacity(size_of::<u32>() + BLOCK + TAG),
            written: 0,
        })
    }

    /// Writes the end and flushes the file: nothing may be written any more. Once more does nothing.
    pub fn end(&mut self) -> io::Result<()> {
        self.drain()?;
        if let Some(cipher) = self.cipher.take() {
            cipher
                .encrypt_last_in_place(&self.header, &mut self.block)
                .map_err(|_| unencrypted())?;
            self.seal(LAST);
            self.drain()?;
        }
        self.file.flush()
    }

    /// Writes the end and gives the file back, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.file)
    }

    /// The file.
    pub fn get_ref(&self) -> &W {
        &self.file
    }

    /// The file.
    pub(super) fn get_mut(&mut self) -> &mut W {
        &mut self.file
    }

    /// Encrypts what is there, if anything is.
    fn encrypt(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        if self.blocks == self.segment {
            self.cipher = Some(EncryptorBE32::from_aead(
                self.segments.next(),
                (&NONCE_PREFIX).into(),
            ));
            self.blocks = 0;
        }
        let cipher = self.cipher.as_mut().ok_or_else(ended)?;
        cipher
            .encrypt_next_in_place(&self.header, &mut self.block)
            .map_err(|_| unencrypted())?;
        self.blocks += 1;
        self.seal(0);
        Ok(())
    }

    /// Puts the encrypted block on its way.
    fn seal(&mut self, last: u32) {
        self.sealed
            .extend_from_slice(&(self.block.len() as u32 | last).to_le_bytes());
        self.sealed.extend_from_slice(&self.block);
        self.block.clear();
    }

    /// Writes what is on its way.
    fn drain(&mut self) -> io::Result<()> {
        while self.written < self.sealed.len() {
            match self.file.write(&self.sealed[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sealed.clear();
        self.written = 0;
        Ok(())
    }
}

fn ended() -> io::Error {
    io::Error::other("the end of the encrypted file has been written")
}

/// Cannot happen: a block is short and a segment ends before its nonces do.
fn unencrypted() -> io::Error {
    io::Error::other("a block could not be encrypted")
}

impl<W: Write> Write for EncryptWriter<W> {
    /// Takes nothing if there is an error.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drain()?;
        if self.cipher.is_none() {
            return Err(ended());
        }
        if self.block.len() == BLOCK {
            self.encrypt()?;
            self.drain()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()?;
        self.encrypt()?;
        self.drain()?;
        self.file.flush()
    }
}
