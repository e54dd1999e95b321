//! Opening what is to be looked at, encrypted or not.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_persistence::encryption::{EncryptedFs, KeyRing};
use holdfast_persistence::fs::{RealFs, directory_of};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Longest manifest that is read, in bytes: far above one of a million increments.
const MANIFEST_MAX: u64 = 64 << 20;

/// An error with the file that it is about.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> String + '_ {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => format!("Cannot open file {}: No such file or directory", path.display()),
        _ => format!("{}: {error}", path.display()),
    }
}

/// The keys of a key file; a warning goes to standard error if others can read it.
pub fn keys(path: &Path) -> Result<KeyRing, String> {
    let keys = KeyRing::load(path).map_err(|error| error.to_string())?;
    if std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
        eprintln!(
            "warning: {} can be used by other users of this machine: chmod 600 it",
            path.display()
        );
    }
    Ok(keys)
}

/// The files of the machine, decrypted if there is a key file.
pub fn file_system(key_file: Option<&Path>) -> Result<EncryptedFs, String> {
    let keys = key_file.map(keys).transpose()?;
    Ok(EncryptedFs::new(Arc::new(RealFs), keys))
}

/// All of a file that is small by nature: a manifest.
pub fn read_small(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(MANIFEST_MAX + 1)
        .read_to_end(&mut text)
        .map_err(at(path))?;
    if text.len() as u64 > MANIFEST_MAX {
        return Err(format!("{} is too long for a manifest", path.display()));
    }
    Ok(text)
}

/// The manifests in a directory.
pub fn manifests(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        let is_temporary = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("temp_"));
        if path.extension().is_some_and(|ext| ext == "manifest") && !is_temporary && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Keeps servers from a file's directory, by the lock files that they hold there, until it is dropped.
pub fn hold_directory(file: &Path) -> Result<Vec<Flock<File>>, String> {
    let dir = directory_of(file);
    let mut held = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.extension().is_none_or(|extension| extension != "lock") || !path.is_file() {
            continue;
        }
        let lock = File::open(&path).map_err(at(&path))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => held.push(lock),
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(format!(
                    "a server uses this directory: it holds {}; stop it first",
                    path.display()
                ));
            }
            // No lock can be held here, so nobody holds one.
            Err(_) => {}
        }
    }
    Ok(held)
}
