//! A file system of which one operation goes wrong: the n-th, in the order in which they are asked for.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Fs, SyncFile, WriteFile};

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this error and does nothing; the ones after it work.
    Error(io::ErrorKind),
    /// A disk that is full from here on: whatever takes room fails.
    Full,
    /// The machine stops: a write puts half of its bytes into the file, and nothing works from here on.
    Stop,
}

/// See the module's documentation. Clones share the count.
#[derive(Clone, Debug)]
pub struct FailingFs<F> {
    inner: F,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    at: AtomicU64,
    fault: Fault,
    count: AtomicU64,
    healed: AtomicBool,
}

/// What an operation needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Room,
    NoRoom,
}

impl Plan {
    /// Counts an operation. An error: it does nothing. True: it stops in its middle.
    fn count(&self, takes: Takes) -> io::Result<bool> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let at = self.at.load(Ordering::Relaxed);
        if number < at || self.healed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match self.fault {
            Fault::Error(kind) if number == at => Err(io::Error::new(kind, "a planned error")),
            Fault::Error(_) => Ok(false),
            Fault::Full if takes == Takes::Room => Err(io::ErrorKind::StorageFull.into()),
            Fault::Full => Ok(false),
            Fault::Stop if number == at => Ok(true),
            Fault::Stop => Err(stopped()),
        }
    }

    /// An operation that cannot stop in its middle.
    fn whole(&self, takes: Takes) -> io::Result<()> {
        if self.count(takes)? {
            return Err(stopped());
        }
        Ok(())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the machine has stopped, as planned")
}

impl<F> FailingFs<F> {
    /// Operation number `at` (from 0) goes wrong; `u64::MAX`: none, to count them.
    pub fn new(inner: F, at: u64, fault: Fault) -> Self {
        Self {
            inner,
            plan: Arc::new(Plan {
                at: AtomicU64::new(at),
                fault,
                count: AtomicU64::new(0),
                healed: AtomicBool::new(false),
            }),
        }
    }

    /// Number of operations that were asked for.
    pub fn operations(&self) -> u64 {
        self.plan.count.load(Ordering::Relaxed)
    }

    /// The next operation goes wrong.
    pub fn fail_from_now_on(&self) {
        self.plan.at.store(self.operations(), Ordering::Relaxed);
    }

    /// From now on everything works: the disk has room again.
    pub fn heal(&self) {
        self.plan.healed.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct FailingFile<T: ?Sized> {
    plan: Arc<Plan>,
    inner: Box<T>,
}

impl Write for FailingFile<dyn WriteFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.plan.count(Takes::Room)? {
            self.inner.write_all(&bytes[..bytes.len() / 2])?;
            return Err(stopped());
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl WriteFile for FailingFile<dyn WriteFile> {
    fn sync(&mut self) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.sync()
    }

    fn handle(&self) -> io::Result<Box<dyn SyncFile>> {
        Ok(Box::new(FailingFile {
            plan: Arc::clone(&self.plan),
            inner: self.inner.handle()?,
        }))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }
}

impl SyncFile for FailingFile<dyn SyncFile> {
    fn sync(&mut self) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.sync()
    }
}

impl<F: Fs> FailingFs<F> {
    fn wrap(&self, file: Box<dyn WriteFile>) -> Box<dyn WriteFile> {
        Box::new(FailingFile {
            plan: Arc::clone(&self.plan),
            inner: file,
        })
    }
}

impl<F: Fs> Fs for FailingFs<F> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.plan.whole(Takes::Room)?;
        Ok(self.wrap(self.inner.create(path)?))
    }

    fn create_plain(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.plan.whole(Takes::Room)?;
        Ok(self.wrap(self.inner.create_plain(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.plan.whole(Takes::Room)?;
        Ok(self.wrap(self.inner.append(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.open(path)
    }

    fn open_whole(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.open_whole(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.inner.len(path)
    }

    fn is_blank(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_blank(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.truncate(path, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.whole(Takes::Room)?;
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.whole(Takes::NoRoom)?;
        self.inner.sync_dir(path)
    }
}
