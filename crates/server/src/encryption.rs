//! Encryption at rest, as the configuration wants it: which keys the files are written and read with.
//!
//! Must not know: how files are encrypted ([`holdfast_persistence::encryption`]), which files there are.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use holdfast_persistence::encryption::{KeyFileError, KeyRing};

use crate::server::Server;

/// Reads the `encryption-key-file`, at the start and whenever the directive is set: what is written from now on is
/// encrypted with its first key, or with none if there is no file.
///
/// # Errors
/// It is no key file, or it gives a known id another key. The keys are those from before.
pub fn read_keys(server: &Server) -> Result<(), KeyFileError> {
    let encryption = &server.saving.encryption;
    let old = encryption.keys();
    let Some(path) = server.config.encryption_key_file() else {
        if old.is_some() {
            tracing::warn!(
                "Encryption at rest is off from now on. Files that are encrypted stay so until they are written anew, \
                 and need their key to be loaded."
            );
            encryption.set_keys(None);
        }
        return Ok(());
    };
    let new = match &old {
        Some(old) => old.reload(&path)?,
        None => KeyRing::load(&path)?,
    };
    warn_of_permissions(&path);
    let gone: Vec<&str> = old
        .iter()
        .flat_map(|old| old.ids())
        .filter(|id| !new.ids().any(|known| known == *id))
        .collect();
    if !gone.is_empty() {
        tracing::warn!(
            "The encryption-key-file has lost keys: files that were encrypted with {} cannot be loaded any more; \
             BGSAVE and BGREWRITEAOF write those in use anew.",
            gone.join(", ")
        );
    }
    tracing::info!(
        key = new.first_id(),
        keys = new.ids().count(),
        "Files are encrypted at rest"
    );
    encryption.set_keys(Some(new));
    Ok(())
}

fn warn_of_permissions(path: &Path) {
    // It has just been read; if it is gone by now, there is nothing to be said about it.
    if let Ok(meta) = std::fs::metadata(path)
        && meta.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(
            "The encryption-key-file {} can be used by other users of this machine: chmod 600 it",
            path.display()
        );
    }
}
