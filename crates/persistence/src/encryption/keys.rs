//! The keys of an `encryption-key-file`: one a line, `id` and 64 hex digits; the first encrypts, all decrypt.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// Longest id of a key, in bytes.
const ID_MAX: usize = 64;
/// Longest key file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Master keys with their ids. Their memory is cleared when they are dropped.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<(String, Zeroizing<[u8; 32]>)>,
}

/// What is wrong with a key file. No message shows a part of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It could not be read.
    #[error("can't read the encryption-key-file {path}: {error}")]
    Read {
        /// Its name.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line is no key.
    #[error("line {line} of the encryption-key-file: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is expected.
        what: &'static str,
    },
    /// A key is not the one that the same id meant before.
    #[error(
        "the encryption-key-file gives the key \"{0}\" another value than before: files that it has encrypted could not be read; give the new key an id of its own"
    )]
    Changed(String),
    /// There is no key.
    #[error(
        "the encryption-key-file has no key; a line is an id, a space and 64 hexadecimal digits (openssl rand -hex 32)"
    )]
    Empty,
}

impl KeyRing {
    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = read(path).map_err(|error| KeyFileError::Read {
            path: path.display().to_string(),
            error,
        })?;
        Self::parse(&text)
    }

    /// Reads a key file again, in the place of these keys: an id must mean what it meant.
    pub fn reload(&self, path: &Path) -> Result<Self, KeyFileError> {
        let new = Self::load(path)?;
        let changed = |(id, key): &&(String, Zeroizing<[u8; 32]>)| {
            self.find(id.as_bytes()).is_some_and(|(_, old)| *old != **key)
        };
        match new.keys.iter().find(changed) {
            Some((id, _)) => Err(KeyFileError::Changed(id.clone())),
            None => Ok(new),
        }
    }

    /// A line of a key file with a new, random key.
    ///
    /// # Errors
    /// The system gives no random numbers, or the id is none.
    pub fn new_line(id: &str) -> io::Result<Zeroizing<String>> {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *key).map_err(io::Error::other)?;
        let mut line = Zeroizing::new(format!("{id} "));
        for byte in key.iter() {
            for nibble in [byte >> 4, byte & 15] {
                line.push(char::from_digit(nibble.into(), 16).expect("a nibble is a digit"));
            }
        }
        match Self::parse(&line) {
            Ok(_) => Ok(line),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        }
    }

    /// Parses the text of a key file: empty lines and lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<(String, Zeroizing<[u8; 32]>)> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what| KeyFileError::Line { line: i + 1, what };
            let mut words = line.split_ascii_whitespace();
            let (Some(id), Some(digits), None) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("expected an id, a space and 64 hexadecimal digits"));
            };
            let printable = id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if id.len() > ID_MAX || !printable {
                return Err(wrong(
                    "an id has 1 to 64 letters, digits, dots, dashes or underscores",
                ));
            }
            if keys.iter().any(|(other, _)| other == id) {
                return Err(wrong("the id is there twice"));
            }
            let key = parse_hex(digits).ok_or_else(|| wrong("a key has 64 hexadecimal digits"))?;
            keys.push((id.to_owned(), key));
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty);
        }
        Ok(Self { keys })
    }

    /// The key that encrypts, with its id.
    pub(super) fn first(&self) -> (&str, &[u8; 32]) {
        let (id, key) = &self.keys[0];
        (id, key)
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &[u8]) -> Option<(&str, &[u8; 32])> {
        let (id, key) = self.keys.iter().find(|(other, _)| other.as_bytes() == id)?;
        Some((id, key))
    }

    /// Id of the key that encrypts.
    pub fn first_id(&self) -> &str {
        &self.keys[0].0
    }

    /// Ids of all keys, the one that encrypts first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| &**id)
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX as usize + 1));
    let read = File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a key file has at most a megabyte",
        ));
    }
    Ok(text)
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

fn parse_hex(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = digits.as_bytes();
    let mut key = Zeroizing::new([0; 32]);
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| (digit as char).to_digit(16);
        *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Some(key)
}
