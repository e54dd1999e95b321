//! A file system whose files are encrypted: what is created is, while there is a key, and what is opened is decrypted if it
//! is encrypted, and read as it is if it is not. So a plain file is loaded, and the next save encrypts it.
//!
//! Whoever writes through [`Fs`] need not know of this, but for three things. A file cannot be appended to: a log begins a
//! new one. A file that holds no data is made by [`Fs::create_plain`], so that it stays readable for everybody. And `flush`
//! is what hands bytes over to the system: what was written and not flushed dies with the process.
//!
//! Must not know: what is in the files.

use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::read::read_up_to;
use super::{DecryptError, DecryptReader, EncryptWriter, End, KeyRing, MAGIC, SEGMENT, is_encrypted};
use crate::fs::{Fs, SyncFile, WriteFile, replace};

/// See the module's documentation.
#[derive(Debug)]
pub struct EncryptedFs {
    inner: Arc<dyn Fs>,
    keys: RwLock<Option<Arc<KeyRing>>>,
}

impl EncryptedFs {
    /// Encrypts the files of `inner` with the first of `keys`; with None, only tells that a file is encrypted.
    pub fn new(inner: Arc<dyn Fs>, keys: Option<KeyRing>) -> Self {
        Self {
            inner,
            keys: RwLock::new(keys.map(Arc::new)),
        }
    }

    /// The keys from now on. Files that are being written keep theirs.
    pub fn set_keys(&self, keys: Option<KeyRing>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.map(Arc::new);
    }

    /// The keys; None: nothing is encrypted.
    pub fn keys(&self) -> Option<Arc<KeyRing>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Id of the key that a file is encrypted with; None: it is not.
    ///
    /// # Errors
    /// It cannot be read, or decrypted with these keys.
    pub fn key_of(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(match self.look(path, End::AnyBlock)? {
            Opened::Encrypted(reader) => Some(reader.key_id().to_owned()),
            Opened::Plain(_) | Opened::CutOff => None,
        })
    }

    fn look(&self, path: &Path, end: End) -> io::Result<Opened> {
        let mut file = self.inner.open(path)?;
        let mut beginning = [0; MAGIC.len()];
        let got = read_up_to(&mut file, &mut beginning)?;
        let beginning = &beginning[..got];
        if got > 0 && got < MAGIC.len() && MAGIC.starts_with(beginning) {
            return Ok(Opened::CutOff);
        }
        let whole = Cursor::new(beginning.to_vec()).chain(file);
        if !is_encrypted(beginning) {
            return Ok(Opened::Plain(whole));
        }
        match DecryptReader::with_segment(whole, self.keys().as_deref(), end, SEGMENT) {
            Ok(reader) => Ok(Opened::Encrypted(Box::new(reader))),
            Err(DecryptError::Truncated { .. }) => Ok(Opened::CutOff),
            Err(error) => Err(error.into()),
        }
    }

    fn open_until(&self, path: &Path, end: End) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self.look(path, end)? {
            Opened::Plain(file) => Box::new(file),
            Opened::Encrypted(file) => file,
            Opened::CutOff => Box::new(CutOff),
        })
    }

    fn encrypt(&self, path: &Path, keys: &KeyRing) -> io::Result<Box<dyn WriteFile>> {
        let writer = EncryptWriter::begin(self.inner.create(path)?, keys)?;
        Ok(Box::new(EncryptedFile(Arc::new(Mutex::new(writer)))))
    }
}

type Whole = io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

enum Opened {
    Plain(Whole),
    Encrypted(Box<DecryptReader<Whole>>),
    /// It ends within its header: the machine stopped when it had just been made.
    CutOff,
}

/// A file of which nothing can be read: not even its header is whole.
struct CutOff;

impl Read for CutOff {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(DecryptError::Truncated { at: 0 }.into())
    }
}

type Shared = Arc<Mutex<EncryptWriter<Box<dyn WriteFile>>>>;

/// A file that is being written. Its handles share it, as a sync covers what has not been flushed yet.
struct EncryptedFile(Shared);

fn lock(file: &Shared) -> MutexGuard<'_, EncryptWriter<Box<dyn WriteFile>>> {
    // Nothing in there panics half-way.
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EncryptedFile")
            .field(lock(&self.0).get_ref())
            .finish()
    }
}

impl Write for EncryptedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0).flush()
    }
}

impl WriteFile for EncryptedFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut file = lock(&self.0);
        file.flush()?;
        file.get_mut().sync()
    }

    fn handle(&self) -> io::Result<Box<dyn SyncFile>> {
        let handle = lock(&self.0).get_ref().handle()?;
        Ok(Box::new(EncryptedSync {
            file: Arc::clone(&self.0),
            handle,
        }))
    }

    fn write_behind(&mut self) {
        lock(&self.0).get_mut().write_behind();
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut file = lock(&self.0);
        file.end()?;
        file.get_mut().finish()
    }
}

struct EncryptedSync {
    file: Shared,
    handle: Box<dyn SyncFile>,
}

impl std::fmt::Debug for EncryptedSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EncryptedSync").field(&self.handle).finish()
    }
}

impl SyncFile for EncryptedSync {
    fn sync(&mut self) -> io::Result<()> {
        lock(&self.file).flush()?;
        // Others write on meanwhile.
        self.handle.sync()
    }
}

impl Fs for EncryptedFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        match self.keys() {
            Some(keys) => self.encrypt(path, &keys),
            None => self.inner.create(path),
        }
    }

    fn create_plain(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.inner.create_plain(path)
    }

    /// Only a new or empty file, or a plain one while there is no key: an encrypted file's end cannot be found without
    /// reading it all, and may be torn.
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let keys = self.keys();
        let encrypted = match self.inner.len(path) {
            Ok(0) => return self.create(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.create(path),
            Err(error) => return Err(error),
            Ok(_) => !matches!(self.look(path, End::AnyBlock)?, Opened::Plain(_)),
        };
        if encrypted || keys.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a file cannot be appended to when it is encrypted or encryption is on: begin a new one",
            ));
        }
        self.inner.append(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.open_until(path, End::AnyBlock)
    }

    fn open_whole(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.open_until(path, End::Marked)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.inner.len(path)
    }

    fn is_blank(&self, path: &Path) -> io::Result<bool> {
        match self.look(path, End::AnyBlock)? {
            Opened::Plain(_) => self.inner.is_blank(path),
            Opened::CutOff => Ok(true),
            Opened::Encrypted(mut reader) => match reader.read(&mut [0]) {
                Ok(read) => Ok(read == 0),
                // Not even its first block is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
                Err(error) => Err(error),
            },
        }
    }

    /// An encrypted file is cut between two blocks, or written anew: a block is never encrypted twice.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut reader = match self.look(path, End::AnyBlock)? {
            Opened::Plain(_) => return self.inner.truncate(path, len),
            Opened::CutOff if len == 0 => return self.inner.truncate(path, 0),
            Opened::CutOff => return Err(too_long()),
            Opened::Encrypted(reader) => reader,
        };
        if io::copy(&mut reader.by_ref().take(len), &mut io::sink())? < len {
            return Err(too_long());
        }
        if reader.left_of_block() == 0 {
            return self.inner.truncate(path, reader.good_to());
        }
        let temporary = with_suffix(path, ".cut");
        replace(self, path, &temporary, |out| {
            let kept = io::copy(&mut self.open(path)?.take(len), out)?;
            if kept < len { Err(too_long()) } else { Ok(()) }
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the file is shorter than it is to be cut to",
    )
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
