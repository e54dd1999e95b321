//! DEBUG RELOAD: saves, forgets everything and loads it again, in one step for everybody else.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_storage::data::Data;

use crate::commands::{Call, ServerError, ServerResult};
use crate::loading::{self, Existing};
use crate::saving;

pub(super) fn reload(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (mut save, mut flush, mut existing) = (true, true, Existing::Refuse);
    for word in args.from(2) {
        match word.to_ascii_uppercase().as_slice() {
            b"NOSAVE" => save = false,
            b"NOFLUSH" => flush = false,
            b"MERGE" => existing = Existing::Replace,
            _ => {
                return Err(ServerError::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    let server = Arc::clone(&call.session.server);
    let claim = server
        .saving
        .claim()
        .ok_or_else(|| ServerError::new("ERR Background save already in progress"))?;
    call.with_all(|locked, w| {
        // The changes of this pipeline are in the file.
        server.stats.add(w.id, &mut w.counters);
        if save {
            saving::save_locked(&server, locked).map_err(|_| ServerError::new("ERR"))?;
        }
        if flush {
            Data::new(locked, 0, w.now_ms, &mut w.effects, &mut w.rng).flush(None);
            let mut libraries = server.scripts.libraries.change();
            libraries.set.clear();
            libraries.commit(|| {});
            // Whoever follows this server has the data already.
            w.effects.dirty = 0;
        }
        let unreadable = "ERR Error trying to load the RDB dump, check server logs.";
        match loading::load(&server, w, Some(locked), existing) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(ServerError::new(unreadable)),
            Err(error) => {
                tracing::warn!(%error, "Error trying to load the RDB dump");
                Err(ServerError::new(unreadable))
            }
        }
    })?;
    drop(claim);
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    call.ok()
}
