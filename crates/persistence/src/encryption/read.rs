//! The reading side.

use std::io::{self, Read};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::stream::DecryptorBE32;

use super::{
    AES_256_GCM_STREAM, BLOCK, DecryptError, KeyRing, LAST, MAGIC, NONCE_PREFIX, SALT, TAG, VERSION, file_key,
};

/// What a file may end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The block that says so: anything else is cut off.
    Marked,
    /// Any whole block: a log that is being written, or was when the machine stopped.
    AnyBlock,
}

/// Decrypts a file as it is read. Bytes are given out only after their block has been found to be genuine.
pub struct DecryptReader<R> {
    file: R,
    header: Vec<u8>,
    key_id: String,
    cipher: Option<DecryptorBE32<Aes256Gcm>>,
    end: End,
    block: Vec<u8>,
    given: usize,
    /// Number of the next block.
    number: u32,
    /// Where it begins.
    at: u64,
}

impl<R: Read> DecryptReader<R> {
    /// Reads the header and finds the key.
    pub fn new(mut file: R, keys: &KeyRing, end: End) -> Result<Self, DecryptError> {
        let mut header = vec![0; MAGIC.len() + 3];
        read_or(&mut file, &mut header, || DecryptError::NotEncrypted)?;
        if !header.starts_with(MAGIC) {
            return Err(DecryptError::NotEncrypted);
        }
        let (version, algorithm, id_len) = (header[8], header[9], header[10] as usize);
        if version != VERSION || algorithm != AES_256_GCM_STREAM {
            return Err(DecryptError::Version(version.max(algorithm)));
        }
        let mut rest = vec![0; id_len + SALT];
        read_or(&mut file, &mut rest, || DecryptError::Truncated { at: 0 })?;
        let (id, salt) = rest.split_at(id_len);
        let Some((key_id, master)) = keys.find(id) else {
            return Err(DecryptError::UnknownKey(String::from_utf8_lossy(id).into_owned()));
        };
        let key_id = key_id.to_owned();
        let salt: &[u8; SALT] = salt.try_into().expect("split to be that long");
        let cipher = DecryptorBE32::from_aead(file_key(master, salt), (&NONCE_PREFIX).into());
        header.extend_from_slice(&rest);
        Ok(Self {
            file,
            at: header.len() as u64,
            header,
            key_id,
            cipher: Some(cipher),
            end,
            block: Vec::new(),
            given: 0,
            number: 0,
        })
    }

    /// Where the last block ends that has been read: what is before it is genuine.
    pub fn good_to(&self) -> u64 {
        self.at
    }

    /// Id of the key that the file is encrypted with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Reads the next block. False: that was the end.
    fn next_block(&mut self) -> Result<bool, DecryptError> {
        self.block.clear();
        self.given = 0;
        let at = self.at;
        let truncated = || DecryptError::Truncated { at };
        let Some(mut cipher) = self.cipher.take() else {
            let mut more = [0];
            return match self.file.read(&mut more)? {
                0 => Ok(false),
                _ => Err(DecryptError::Trailing { at }),
            };
        };
        let mut word = [0; 4];
        let got = read_up_to(&mut self.file, &mut word)?;
        if got == 0 && self.end == End::AnyBlock {
            self.cipher = Some(cipher);
            return Ok(false);
        }
        if got < word.len() {
            return Err(truncated());
        }
        let word = u32::from_le_bytes(word);
        let (last, len) = (word & LAST != 0, (word & !LAST) as usize);
        let damaged = || DecryptError::Damaged {
            block: self.number,
            at,
            key: self.key_id.clone(),
        };
        if !(TAG..=BLOCK + TAG).contains(&len) {
            return Err(damaged());
        }
        self.block.resize(len, 0);
        if read_up_to(&mut self.file, &mut self.block)? < len {
            self.block.clear();
            return Err(truncated());
        }
        let opened = if last {
            cipher.decrypt_last_in_place(&self.header, &mut self.block)
        } else {
            let opened = cipher.decrypt_next_in_place(&self.header, &mut self.block);
            self.cipher = Some(cipher);
            opened
        };
        if opened.is_err() {
            let error = damaged();
            self.block.clear();
            return Err(error);
        }
        self.number = self.number.wrapping_add(1);
        self.at += (word_len() + len) as u64;
        Ok(true)
    }
}

const fn word_len() -> usize {
    size_of::<u32>()
}

impl<R: Read> Read for DecryptReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.block.len() {
            if out.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let bytes = &self.block[self.given..];
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        self.given += count;
        Ok(count)
    }
}

fn read_or(
    file: &mut impl Read,
    out: &mut [u8],
    short: impl FnOnce() -> DecryptError,
) -> Result<(), DecryptError> {
    if read_up_to(file, out)? < out.len() {
        return Err(short());
    }
    Ok(())
}

/// Fills `out`, or less if the file ends.
fn read_up_to(file: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match file.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
