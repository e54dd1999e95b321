//! RDB files: written from a snapshot's walk, opened to be loaded.
//!
//! Must not know: what is done with what was read, when saves happen.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use holdfast_rdb::Limits;
use holdfast_rdb::file::{FileError, FileReader, FileWriter};
use holdfast_storage::snapshot::{Progress, SnapshotError, Walker};

use crate::fs::{Fs, WriteFile, replace};

/// Bytes that are gathered before they are written.
const GATHERED: usize = 256 << 10;
/// Bytes after which the system is asked to write them to the disk, so that the sync at the end is short.
const WRITE_BEHIND: usize = 4 << 20;

/// Why a file could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The disk failed; the old file is as it was.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// See there.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It was told to stop.
    #[error("the save was cancelled")]
    Cancelled,
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no RDB file, or of an unknown version.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An open file.
pub type Reader = FileReader<Box<dyn Read + Send>>;

/// How a save goes on: told after each slice.
pub trait Watcher {
    /// So many keys are done. False: the save is to stop.
    fn keys(&self, done: u64) -> bool;
    /// How long to wait after each key (tests).
    fn delay(&self) -> Duration;
}

/// Writes the rest of a snapshot into a new file at `path`: under the name `temporary` first, then renamed, so that there
/// is always a whole file. `file` has what stands before the keys. Returns the number of bytes.
///
/// # Errors
/// See [`SaveError`]; the old file is as it was, unless only its directory could not be synced.
pub fn save(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    mut walker: Walker<'_>,
    mut file: FileWriter,
    watcher: &dyn Watcher,
) -> Result<u64, SaveError> {
    let mut failed = None;
    let mut bytes = 0;
    let written = replace(fs, path, temporary, |out| {
        let mut out = Behind::new(out);
        let mut before = 0;
        loop {
            let progress = match walker.step(&mut file) {
                Ok(progress) => progress,
                Err(error) => return Err(fail(&mut failed, SaveError::Snapshot(error))),
            };
            let new = file.keys() - before;
            before = file.keys();
            if new > 0 {
                if !watcher.keys(before) {
                    return Err(fail(&mut failed, SaveError::Cancelled));
                }
                let delay = watcher.delay();
                if !delay.is_zero() {
                    wait(
                        delay.saturating_mul(u32::try_from(new).unwrap_or(u32::MAX)),
                        || watcher.keys(before) && walker.error().is_none(),
                    );
                }
            }
            if progress == Progress::Done {
                break;
            }
            if file.pending() >= GATHERED {
                file.drain(|bytes| out.write(bytes))?;
            }
        }
        file.finish();
        file.drain(|bytes| out.write(bytes))?;
        bytes = out.written;
        Ok(())
    });
    match (written, failed) {
        (Ok(()), _) => Ok(bytes),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(SaveError::Io(error)),
    }
}

/// Writes what `fill` puts into `file`, piece by piece, as [`save`] does. `fill` answers whether there is more.
///
/// # Errors
/// The disk failed; the old file is as it was.
pub fn save_all(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    mut file: FileWriter,
    mut fill: impl FnMut(&mut FileWriter) -> bool,
) -> io::Result<()> {
    replace(fs, path, temporary, |out| {
        let mut out = Behind::new(out);
        while fill(&mut file) {
            if file.pending() >= GATHERED {
                file.drain(|bytes| out.write(bytes))?;
            }
        }
        file.finish();
        file.drain(|bytes| out.write(bytes))
    })
}

/// Opens a file; None if there is none.
///
/// # Errors
/// It cannot be read, or is no RDB file of a known version.
pub fn open(fs: &dyn Fs, path: &Path, limits: &Limits, check: bool) -> Result<Option<Reader>, OpenError> {
    let file = match fs.open_whole(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(FileReader::new(file, limits, check)?))
}

/// Waits as long as it is asked to, or until that is not wanted any more.
fn wait(time: Duration, wanted: impl Fn() -> bool) {
    const LOOK: Duration = Duration::from_millis(10);
    let mut left = time;
    while !left.is_zero() && wanted() {
        let some = left.min(LOOK);
        std::thread::sleep(some);
        left -= some;
    }
}

fn fail(place: &mut Option<SaveError>, error: SaveError) -> io::Error {
    *place = Some(error);
    io::Error::other("the save ended early")
}

/// Asks the system to write to the disk while there is more to come.
struct Behind<'a> {
    out: &'a mut dyn WriteFile,
    written: u64,
    since: usize,
}

impl<'a> Behind<'a> {
    fn new(out: &'a mut dyn WriteFile) -> Self {
        Self {
            out,
            written: 0,
            since: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self.out, bytes)?;
        self.written += bytes.len() as u64;
        self.since += bytes.len();
        if self.since >= WRITE_BEHIND {
            self.since = 0;
            self.out.write_behind();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
