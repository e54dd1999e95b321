//! One server for each append-only file: a second one would write the same parts. The lock is the kernel's and ends with the
//! process, however that ends; the file stays and means nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The directory is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server has it.
    #[error(
        "another server uses this append only file: it holds {0}. Give each server its own `dir`, or its own `appenddirname`"
    )]
    Taken(String),
    /// The file cannot be made.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// Holds a directory until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: Flock<File>,
}

impl DirLock {
    /// Takes the directory. None: its file system has no locks.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(path: &Path) -> Result<Option<Self>, LockError> {
        let failed = |error| LockError::Io(path.display().to_string(), error);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).read(true);
        let mut file = options.open(path).map_err(failed)?;
        let shared = file.try_clone().map_err(failed)?;
        match Flock::lock(shared, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                // For people; nobody reads it.
                let _best_effort = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Some(Self { _file: lock }))
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Taken(path.display().to_string())),
            Err((_, Errno::ENOTSUP | Errno::ENOSYS | Errno::ENOLCK)) => {
                tracing::warn!(
                    "this file system has no locks: take care that no second server uses this directory"
                );
                Ok(None)
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}
