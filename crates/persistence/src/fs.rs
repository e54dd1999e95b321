//! The file system, as far as persistence needs it: one trait with a real, an in-memory and a failing implementation, so that a
//! test can stop a save at each of its operations and look at what a restart finds.
//!
//! Must not know: formats, the data.

mod failing;
mod memory;
mod real;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use failing::{FailingFs, Fault};
pub use memory::{MemoryFs, Survives};
pub use real::RealFs;

/// A file that is being written. `flush` hands over what was written: after it another process sees it, and it outlives
/// this one.
pub trait WriteFile: Write + Send + Debug {
    /// Returns once what was written, and the file's length, would survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// A further handle of the same file, to sync it on another thread while this one goes on writing.
    fn handle(&self) -> io::Result<Box<dyn SyncFile>>;
    /// Asks for what was written up to now to be put on the disk soon and not be kept in memory: a hint that may do
    /// nothing. It keeps a long save from filling the page cache and from one long sync at its end.
    fn write_behind(&mut self) {}
    /// Nothing will be written any more: a file that is encrypted marks its end, so that it is seen if one is cut off.
    /// Comes before the last sync; a log that goes on until the machine stops has none.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A handle that can do no more than sync.
pub trait SyncFile: Send + Debug {
    /// As [`WriteFile::sync`].
    fn sync(&mut self) -> io::Result<()>;
}

/// Operations on files and directories. Paths are used as they are given.
pub trait Fs: Send + Sync + Debug {
    /// Makes a new, empty file, in the place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// The same for a file that never holds data (a manifest): it is not encrypted.
    fn create_plain(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.create(path)
    }
    /// Opens a file to write behind its end, makes it if it is not there.
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// Opens a file to be read from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// The same for a file that was finished: it is an error if its end has been cut off, where that can be seen. The
    /// error of a reader is of kind `UnexpectedEof` then.
    fn open_whole(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.open(path)
    }
    /// Length of a file in bytes, as it is on the disk. The error is of kind `NotFound` if it is not there.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// True if a file holds nothing that could be read.
    fn is_blank(&self, path: &Path) -> io::Result<bool> {
        Ok(self.len(path)? == 0)
    }
    /// Cuts a file's end off, durably: `len` bytes are left of what [`Fs::open`] reads. Nobody may be writing it.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Gives a file another name, in the place of one that has it; in one step for whoever looks.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory; it may be there already. Its parent must be.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory, in order.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Returns once the names in a directory (made, changed, removed) would survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// True if there is a file.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.len(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Directory of a file, to be synced after its name changed.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Writes a file so that after a crash there is the old one or the new one, whole: under another name first, synced,
/// renamed, and the directory synced. `write` gets the new file. On an error the temporary file is removed.
pub fn replace(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut dyn WriteFile) -> io::Result<()>,
) -> io::Result<()> {
    replace_by(fs, path, temporary, fs.create(temporary), write)
}

/// The same for a file that never holds data: it is not encrypted.
pub fn replace_plain(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut dyn WriteFile) -> io::Result<()>,
) -> io::Result<()> {
    replace_by(fs, path, temporary, fs.create_plain(temporary), write)
}

fn replace_by(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    created: io::Result<Box<dyn WriteFile>>,
    write: impl FnOnce(&mut dyn WriteFile) -> io::Result<()>,
) -> io::Result<()> {
    let written = (|| {
        let mut file = created?;
        write(&mut *file)?;
        file.finish()?;
        file.sync()?;
        drop(file);
        fs.rename(temporary, path)
    })();
    if let Err(error) = written {
        // The first error is the one that helps; a temporary file that stays is removed by the next attempt.
        let _ = fs.remove(temporary);
        return Err(error);
    }
    fs.sync_dir(directory_of(path))
}
