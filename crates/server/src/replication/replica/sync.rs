//! A full synchronization: the primary's data are loaded aside and take the place of the old when they are whole.
//!
//! Until then the old data serve, and whatever goes wrong leaves them as they are.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_replication::ReplId;
use holdfast_replication::replica::{MARK, Payload};
use holdfast_storage::keyspace::ShardSet;

use super::socket::{Broken, Socket};
use super::{Link, LinkState};
use crate::apply::Applier;
use crate::commands::scripting::function::read_library;
use crate::loading::{LoadError, LoadOptions, LoadProgress, load_stream};
use crate::server::Server;
use crate::snapshots::Purpose;

/// While the data come, the primary hears of us so often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Takes the data and puts them in the place of the old ones. Then the stream flows, and the link is up.
///
/// # Errors
/// The link broke, or what came is no RDB. The old data are as they were.
pub fn full_sync(
    server: &Arc<Server>,
    link: &Link,
    socket: &mut Socket<'_>,
    applier: &mut Applier,
    (id, offset): (ReplId, u64),
) -> Result<(), Broken> {
    link.sync_total.store(0, Ordering::Relaxed);
    link.sync_read.store(0, Ordering::Relaxed);
    link.set_state(LinkState::Transfer, server.now_ms());
    let payload = loop {
        // Empty lines: the primary is still preparing.
        if let Some(payload) = Payload::parse(&socket.line()?)? {
            break payload;
        }
    };
    let total = match payload {
        Payload::Length(total) => {
            tracing::info!("MASTER <-> REPLICA sync: receiving {total} bytes from master to memory");
            total
        }
        Payload::Marked(_) => {
            tracing::info!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to parser");
            0
        }
    };
    link.sync_total.store(total, Ordering::Relaxed);
    let twin = server.keyspace.twin();
    let mut transfer = Transfer {
        link,
        socket,
        left: matches!(payload, Payload::Length(_)).then_some(total),
        told: Instant::now(),
        broken: None,
    };
    let shown = server.loading.show(LoadProgress::new(server.now_ms(), total));
    tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
    let options = LoadOptions {
        keep_expired: true,
        ..LoadOptions::new(server)
    };
    let loaded = load_stream(&mut transfer, &twin, &options, &shown.progress);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        // A link that broke is the reason, whatever the loader makes of it.
        Err(error) => return Err(transfer.broken.take().unwrap_or(Broken::Load(error))),
    };
    transfer.end(payload, loaded.rest)?;
    let read = |code: &Vec<u8>| read_library(server, code).map_err(|e| LoadError::Library(e.0));
    let libraries = loaded.functions.iter().map(read).collect::<Result<Vec<_>, _>>()?;

    // A snapshot of the old data would be of no use to anybody.
    let claim = server.snapshots.claim_in_turn(Purpose::FullSync, true);
    let locked = server.keyspace.lock(&ShardSet::All);
    if link.is_stopped() {
        return Err(Broken::Stopped);
    }
    let mut change = server.scripts.libraries.change();
    change.set.clear();
    for library in libraries {
        change
            .set
            .add(library, false)
            .map_err(|e| LoadError::Library(e.to_string()))?;
    }
    change.commit(|| {});
    server.replication.full_sync_done(server, id, offset);
    let db = loaded
        .repl_stream_db
        .and_then(|db| u32::try_from(db).ok())
        .unwrap_or(0);
    server.replication.follower.set_stream_db(db);
    link.set_state(LinkState::Connected, server.now_ms());
    server.replication.follower.note_whole();
    applier.exchange(locked, twin);
    drop(claim);
    server.loading.note(&loaded_counts(loaded.keys, loaded.expired));
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}.",
        loaded.keys,
        loaded.expired
    );
    tracing::info!("MASTER <-> REPLICA sync: Finished with success");
    Ok(())
}

fn loaded_counts(keys: u64, expired: u64) -> crate::loading::Loaded {
    crate::loading::Loaded {
        keys,
        expired,
        ..Default::default()
    }
}

/// The bytes of the snapshot.
struct Transfer<'t, 'l> {
    link: &'t Link,
    socket: &'t mut Socket<'l>,
    /// Bytes that are still to come, if their number is known.
    left: Option<u64>,
    told: Instant,
    /// Why there are no more.
    broken: Option<Broken>,
}

impl Transfer<'_, '_> {
    fn read_more(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        let most = match self.left {
            None => buf.len(),
            Some(left) => buf.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
        };
        if most == 0 {
            return Ok(0);
        }
        let told = &mut self.told;
        let mut say = |socket: &mut Socket<'_>| {
            if told.elapsed() >= SIGN_OF_LIFE {
                *told = Instant::now();
                socket.send(b"\n")?;
            }
            Ok(())
        };
        let n = self.socket.read(&mut buf[..most], &mut say)?;
        if let Some(left) = &mut self.left {
            *left -= n as u64;
        }
        self.link.sync_read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    /// What stands behind the RDB: the mark, or the rest of the announced length. `rest` was read with the RDB.
    fn end(&mut self, payload: Payload, mut rest: Vec<u8>) -> Result<(), Broken> {
        let mut buf = [0; 4096];
        match payload {
            Payload::Marked(mark) => {
                while rest.len() < MARK {
                    let n = self.read_more(&mut buf[..MARK - rest.len()])?;
                    rest.extend_from_slice(&buf[..n]);
                }
                if rest[..MARK] != mark {
                    return Err(Broken::Mark);
                }
                rest.drain(..MARK);
                // The stream may have begun.
                rest.append(&mut self.socket.inbox);
                self.socket.inbox = rest;
            }
            Payload::Length(_) => while self.read_more(&mut buf)? > 0 {},
        }
        Ok(())
    }
}

impl Read for Transfer<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_more(buf).map_err(|broken| {
            let text = broken.to_string();
            self.broken = Some(broken);
            io::Error::new(io::ErrorKind::ConnectionAborted, text)
        })
    }
}
