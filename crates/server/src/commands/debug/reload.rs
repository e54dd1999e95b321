//! DEBUG RELOAD: saves, forgets everything and loads it again, in one step for everybody else, as all shards are held. DEBUG
//! LOADAOF: the same with the append-only file; who comes meanwhile is told that the data are being loaded.

use std::sync::Arc;

use holdfast_commands::args::Args;
use holdfast_storage::data::Data;

use crate::commands::{Call, ServerError, ServerResult};
use crate::loading::{self, Existing};
use crate::saving;
use crate::snapshots::Purpose;

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
        .snapshots
        .claim(Purpose::Save)
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
        match loading::load(&server, Some((locked, w)), existing) {
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

pub(super) fn load_aof(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    if call.locked.is_some() {
        return Err(ServerError::new(
            "ERR DEBUG LOADAOF is not possible inside a transaction",
        ));
    }
    // No rewrite changes the parts meanwhile.
    let claim = server
        .snapshots
        .claim(Purpose::Rewrite)
        .ok_or_else(|| ServerError::new("ERR Background save already in progress"))?;
    server.set_loading(true);
    let loaded = call.with_all(|locked, w| {
        server.stats.add(w.id, &mut w.counters);
        // If that fails nothing has been lost.
        server.aof.settle(&server)?;
        Data::new(locked, 0, w.now_ms, &mut w.effects, &mut w.rng).flush(None);
        let mut libraries = server.scripts.libraries.change();
        libraries.set.clear();
        libraries.commit(|| {});
        // The file has them.
        w.effects.dirty = 0;
        server.aof.load_again(&server, (locked, &mut w.effects))
    });
    server.set_loading(false);
    drop(claim);
    loaded.map_err(|error| {
        tracing::warn!("Error trying to load the AOF files: {error}");
        ServerError::new("ERR Error trying to load the AOF files, check server logs.")
    })?;
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    call.ok()
}
