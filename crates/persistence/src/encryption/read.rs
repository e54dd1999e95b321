//! The reading side.

use std::io::{self, Read};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::stream::DecryptorBE32;

use super::{
    AES_256_GCM_STREAM, BLOCK, DecryptError, KeyRing, LAST, MAGIC, NONCE_PREFIX, SALT, SEGMENT, Segments,
    TAG, VERSION, is_encrypted,
};

/// What a file may end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The block that says so: anything else is cut off.
    Marked,
    /// Any whole block: a log that is being written, or was when the machine stopped.
    AnyBlock,
}

/// An error that is given again.
#[derive(Clone, Copy)]
enum Failed {
    Truncated,
    Damaged,
    Trailing,
}

/// Decrypts a file as it is read. Bytes are given out only after their block has been found to be genuine.
pub struct DecryptReader<R> {
    file: R,
    header: Vec<u8>,
    key_id: String,
    segments: Segments,
    /// None: the last block has been read.
    cipher: Option<DecryptorBE32<Aes256Gcm>>,
    /// Blocks of the current segment, and of a whole one.
    blocks: u32,
    segment: u32,
    end: End,
    /// What was wrong: nothing is read behind it.
    failed: Option<Failed>,
    block: Vec<u8>,
    given: usize,
    /// Number of the next block.
    number: u32,
    /// Where it begins.
    at: u64,
}

impl<R: Read> DecryptReader<R> {
    /// Reads the header and finds the key.
    pub fn new(file: R, keys: &KeyRing, end: End) -> Result<Self, DecryptError> {
        Self::with_segment(file, Some(keys), end, SEGMENT)
    }

    /// The same with segments of so many blocks, and perhaps without any key.
    pub(super) fn with_segment(
        mut file: R,
        keys: Option<&KeyRing>,
        end: End,
        segment: u32,
    ) -> Result<Self, DecryptError> {
        let mut header = vec![0; MAGIC.len() + 3];
        let got = read_up_to(&mut file, &mut header)?;
        if !is_encrypted(&header[..got]) {
            return Err(DecryptError::NotEncrypted);
        }
        if got < header.len() {
            return Err(DecryptError::Truncated { at: 0 });
        }
        let (version, algorithm, id_len) = (header[8], header[9], header[10] as usize);
        if version != VERSION || algorithm != AES_256_GCM_STREAM {
            return Err(DecryptError::Version(version.max(algorithm)));
        }
        let mut rest = vec![0; id_len + SALT];
        if read_up_to(&mut file, &mut rest)? < rest.len() {
            return Err(DecryptError::Truncated { at: 0 });
        }
        let (id, salt) = rest.split_at(id_len);
        let shown = || id.escape_ascii().to_string();
        let keys = keys.ok_or_else(|| DecryptError::NoKeys(shown()))?;
        let (key_id, master) = keys.find(id).ok_or_else(|| DecryptError::UnknownKey(shown()))?;
        let key_id = key_id.to_owned();
        let mut segments = Segments::new(master, salt.try_into().expect("split to be that long"));
        let cipher = DecryptorBE32::from_aead(segments.next(), (&NONCE_PREFIX).into());
        header.extend_from_slice(&rest);
        Ok(Self {
            file,
            at: header.len() as u64,
            header,
            key_id,
            segments,
            cipher: Some(cipher),
            blocks: 0,
            segment,
            end,
            failed: None,
            block: Vec::new(),
            given: 0,
            number: 0,
        })
    }

    /// Where the last block ends that has been read: what is before it is genuine.
    pub fn good_to(&self) -> u64 {
        self.at
    }

    /// Whether the block that marks the end has been read.
    pub fn has_ended(&self) -> bool {
        self.cipher.is_none()
    }

    /// Id of the key that the file is encrypted with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Bytes of the current block that have not been given out.
    pub(super) fn left_of_block(&self) -> usize {
        self.block.len() - self.given
    }

    /// Reads the next block. False: that was the end.
    fn next_block(&mut self) -> Result<bool, DecryptError> {
        self.block.clear();
        self.given = 0;
        let read = match self.failed {
            Some(failed) => Err(failed),
            None => self.read_block()?,
        };
        read.map_err(|failed| {
            self.block.clear();
            self.failed = Some(failed);
            let at = self.at;
            match failed {
                Failed::Truncated => DecryptError::Truncated { at },
                Failed::Trailing => DecryptError::Trailing { at },
                Failed::Damaged => DecryptError::Damaged {
                    block: self.number,
                    at,
                    key: self.key_id.clone(),
                },
            }
        })
    }

    fn read_block(&mut self) -> io::Result<Result<bool, Failed>> {
        let mut word = [0; 4];
        let got = read_up_to(&mut self.file, &mut word)?;
        if self.cipher.is_none() {
            return Ok(if got == 0 {
                Ok(false)
            } else {
                Err(Failed::Trailing)
            });
        }
        if got == 0 && self.end == End::AnyBlock {
            return Ok(Ok(false));
        }
        if got < word.len() {
            return Ok(Err(Failed::Truncated));
        }
        let word = u32::from_le_bytes(word);
        let (last, len) = (word & LAST != 0, (word & !LAST) as usize);
        if !(TAG..=BLOCK + TAG).contains(&len) {
            return Ok(Err(Failed::Damaged));
        }
        self.block.resize(len, 0);
        if read_up_to(&mut self.file, &mut self.block)? < len {
            return Ok(Err(Failed::Truncated));
        }
        if !self.decrypt(last) {
            return Ok(Err(Failed::Damaged));
        }
        self.number = self.number.wrapping_add(1);
        self.at += (word_len() + len) as u64;
        Ok(Ok(true))
    }

    /// False: the block is not genuine.
    fn decrypt(&mut self, last: bool) -> bool {
        // The writer begins a segment with a block that is not the last: an end needs no key of its own.
        if self.blocks == self.segment && !last {
            self.cipher = Some(DecryptorBE32::from_aead(
                self.segments.next(),
                (&NONCE_PREFIX).into(),
            ));
            self.blocks = 0;
        }
        self.blocks += 1;
        if last {
            let cipher = self.cipher.take().expect("checked by the caller");
            return cipher
                .decrypt_last_in_place(&self.header, &mut self.block)
                .is_ok();
        }
        let cipher = self.cipher.as_mut().expect("checked by the caller");
        cipher
            .decrypt_next_in_place(&self.header, &mut self.block)
            .is_ok()
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

/// Fills `out`, or less if the file ends.
pub(super) fn read_up_to(file: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
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
