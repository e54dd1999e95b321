//! From a command on locked data to its effects: run, propagate, react.
//!
//! One way for all origins: a client's command, each command of EXEC, and a blocked client's command that is served
//! by another thread.

use holdfast_commands::args::Args;
use holdfast_commands::ctx::{Ctx, Handler, Outcome, Wait};
use holdfast_commands::key_positions::{KeyRefs, find_keys, needs_all_shards};
use holdfast_commands::spec::{Flags, KeyFlags};
use holdfast_replication::Record;
use holdfast_resp::{Frame, OwnedFrame, encode_command};
use holdfast_storage::data::{Data, OnExpired};
use holdfast_storage::effects::Gone;
use holdfast_storage::keyspace::{KeyHash, Keyspace, Locked, ShardSet};
use smallvec::SmallVec;

use crate::config::Param;
use crate::observe::latency::Event;
use crate::observe::{self, Ended};
use crate::registry::{Entry, KeyPlan};
use crate::server::READONLY;
use crate::worker::{Source, Transaction, Worker};

/// On whose behalf a data command runs.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Selected database.
    pub db: u32,
    /// The command may wait for keys.
    pub may_block: bool,
    /// Accesses are not noted.
    pub no_touch: bool,
    /// An argument that is a key, and its hash, if it has been computed already.
    pub known: Option<(u8, KeyHash)>,
}

/// The shards that a command needs. A frame whose keys cannot be told gets none: its handler answers with the error.
pub fn shards_of(keyspace: &Keyspace, entry: &Entry, frame: &Frame<'_>) -> ShardSet {
    let mut set = ShardSet::none();
    match entry.keys {
        KeyPlan::None => {}
        KeyPlan::All => return ShardSet::All,
        KeyPlan::Roam => set.add(0),
        KeyPlan::One(i) => {
            if let Some(key) = frame.get(i as usize) {
                set.add(keyspace.shard_of(keyspace.hash(key).slot));
            }
        }
        KeyPlan::Specs => {
            if needs_all_shards(entry.spec, frame) {
                return ShardSet::All;
            }
            let mut keys = KeyRefs::new();
            // Arguments that do not fit are answered by the handler; the keys that it touches before are found.
            let _misfit = find_keys(entry.spec, frame, &mut keys);
            for key in keys {
                set.add(keyspace.shard_of(keyspace.hash(frame.arg(key.index as usize)).slot));
            }
        }
    }
    set
}

/// Runs a data command on its locked shards, writes its reply and propagates its effects. Some: it must wait, and
/// nothing has been written.
pub fn run_locked(
    w: &mut Worker,
    caller: &Caller,
    entry: &'static Entry,
    handler: Handler,
    args: Args<'_>,
    locked: &mut Locked<'_>,
) -> Option<Wait> {
    let began = observe::begin(w);
    let mark = w.reply.mark();
    w.propagation.clear();
    // The role changes while every shard is locked: what was checked before may not hold any more, this does.
    let on_replica = w.source == Source::Clients && w.server.replication.is_replica();
    if on_replica && entry.is(Flags::WRITE) && w.server.is_read_only() {
        w.reply.error(READONLY);
        w.count_error(READONLY.as_bytes());
        let ended = Ended {
            entry,
            args,
            db: caller.db,
            failed: true,
        };
        observe::end(w, began, &ended);
        return None;
    }
    w.note_trackers();
    let mut data = Data::new(locked, caller.db, w.now_ms, &mut w.effects, &mut w.rng);
    data.access = w.access;
    data.access.no_touch = caller.no_touch;
    // The data stands still while clients are paused. A command that writes needs the place of what it replaces.
    // On a replica it is the primary that says when a key goes.
    if !entry.is(Flags::WRITE) && (on_replica || w.server.is_paused_at(w.now_ms)) {
        data.on_expired = OnExpired::Hide;
    }
    if w.source != Source::Clients || w.imports_slots {
        data.on_expired = OnExpired::Ignore;
    } else if w.import_mode {
        data.on_expired = match (w.import_source, entry.is(Flags::WRITE)) {
            (true, _) => OnExpired::Ignore,
            (false, true) => OnExpired::Remove,
            (false, false) => OnExpired::Hide,
        };
    }
    if let Some((i, hash)) = caller.known {
        data.know(args.get(i as usize), hash);
    }
    let mut ctx = Ctx {
        data,
        reply: &mut w.reply,
        log: &mut w.propagation,
        limits: &w.limits,
        may_block: caller.may_block,
    };
    let result = handler(&mut ctx, args);
    let failed = result.is_err();
    let wait = match result {
        Ok(Outcome::Done) => None,
        Ok(Outcome::Block(wait)) => Some(wait),
        Err(error) => {
            w.reply.truncate_to(mark);
            let text = error.to_string();
            w.reply.error(&text);
            w.count_error(text.as_bytes());
            None
        }
    };
    if !w.effects.is_clean() {
        propagate(w, caller.db, args, entry.is(Flags::WRITE));
    }
    if w.tracker.is_some() && entry.is(Flags::READONLY) {
        remember_read(w, entry, &args.frame());
    }
    let ended = Ended {
        entry,
        args,
        db: caller.db,
        failed,
    };
    match wait {
        None => observe::end(w, began, &ended),
        Some(_) => observe::suspend(w, &ended),
    }
    wait
}

#[cold]
fn remember_read(w: &mut Worker, entry: &Entry, frame: &Frame<'_>) {
    // What has changed before, in the same transaction or because its time was over, is not what has been read now.
    tell_trackers(w);
    let mut keys = KeyRefs::new();
    // Arguments that do not fit were answered with an error; what was found before is remembered, as in Redis.
    let _misfit = find_keys(entry.spec, frame, &mut keys);
    let keys = keys
        .iter()
        .filter(|key| !key.flags.has(KeyFlags::NOT_KEY))
        .map(|key| frame.arg(key.index as usize));
    remember_keys(w, keys);
}

/// Remembers for the client whose command runs, if it tracks what it reads, that it has been told these keys' values.
/// They are still locked.
pub fn remember_keys<'k>(w: &Worker, keys: impl Iterator<Item = &'k [u8]>) {
    if let Some(client) = w.tracker.as_deref().filter(|c| c.remembers()) {
        let server = &w.server;
        server
            .tracking
            .remember(&server.clients, client, keys, w.tracking_max_keys);
    }
}

/// Writes what the command did to the replication log, while its shards are still locked, so that the log's order
/// agrees with every key's order.
fn propagate(w: &mut Worker, db: u32, args: Args<'_>, is_write: bool) {
    if w.source != Source::Clients {
        w.counters.dirty += std::mem::take(&mut w.effects.dirty);
        w.effects.removals.clear();
        w.effects.field_removals.clear();
        return;
    }
    log_removals(w);
    if w.effects.dirty > 0 {
        w.counters.dirty += std::mem::take(&mut w.effects.dirty);
        w.log_buf.clear();
        match w.propagation.rewritten() {
            None if is_write => match args.frame().raw() {
                Some(raw) => w.log_buf.extend_from_slice(raw),
                None => {
                    let argv: SmallVec<[&[u8]; 8]> = args.frame().iter().collect();
                    encode_command(&mut w.log_buf, &argv);
                }
            },
            None => {}
            Some((bytes, count)) if count > 1 && w.transaction.is_none() => {
                encode_command(&mut w.log_buf, &[b"MULTI"]);
                w.log_buf.extend_from_slice(bytes);
                encode_command(&mut w.log_buf, &[b"EXEC"]);
            }
            Some((bytes, _)) => w.log_buf.extend_from_slice(bytes),
        }
        if !w.log_buf.is_empty() && !w.unlogged {
            append(w, db, w.propagation.rewritten().map_or(1, |(_, count)| count));
        }
    }
}

/// Logs a command of the server that has changed something beside the data, as it is.
pub fn log_call(w: &mut Worker, db: u32, args: Args<'_>) {
    let argv: SmallVec<[&[u8]; 8]> = args.frame().iter().collect();
    w.counters.dirty += 1;
    w.log_buf.clear();
    encode_command(&mut w.log_buf, &argv);
    append(w, db, 1);
}

/// Logs the fields and the keys that went away by themselves.
pub fn log_removals(w: &mut Worker) {
    w.counters.expired_fields += std::mem::take(&mut w.effects.expired_fields);
    for i in 0..w.effects.field_removals.len() {
        let removal = &w.effects.field_removals[i];
        let mut argv: Vec<&[u8]> = vec![b"HDEL", &removal.key];
        argv.extend(removal.fields.iter().map(|field| &**field));
        w.log_buf.clear();
        encode_command(&mut w.log_buf, &argv);
        append(w, w.effects.field_removals[i].db, 1);
    }
    w.effects.field_removals.clear();
    for i in 0..w.effects.removals.len() {
        let removal = &w.effects.removals[i];
        match removal.why {
            Gone::Expired => w.counters.expired += 1,
            Gone::Evicted => w.counters.evicted += 1,
            Gone::Emptied => {}
        }
        w.log_buf.clear();
        encode_command(&mut w.log_buf, &[b"DEL", &removal.key]);
        append(w, w.effects.removals[i].db, 1);
    }
    w.effects.removals.clear();
}

/// Deletes keys of a database on behalf of a server's command, and propagates that as one DEL. Their shards are locked.
pub fn delete_keys(w: &mut Worker, db: u32, keys: &[&[u8]], locked: &mut Locked<'_>) {
    let mut data = Data::new(locked, db, w.now_ms, &mut w.effects, &mut w.rng);
    let gone = keys.iter().copied().filter(|key| data.delete(key));
    let words: Vec<&[u8]> = [&b"DEL"[..]].into_iter().chain(gone).collect();
    let frame = OwnedFrame::from_args(words.iter().copied());
    if let Some(frame) = frame.frame()
        && !w.effects.is_clean()
    {
        w.propagation.clear();
        propagate(w, db, Args::new(frame), words.len() > 1);
    }
}

/// Logs what is in `log_buf`: `count` commands of one database.
fn append(w: &mut Worker, db: u32, count: usize) {
    // A replica's log is its primary's: what clients change here, if they may, stays here.
    if w.source != Source::Clients || w.server.replication.is_replica() {
        return;
    }
    match &mut w.transaction {
        None => {
            w.written_to = w.server.log.append(Record {
                db,
                commands: &w.log_buf,
            });
            w.logged = true;
        }
        Some(transaction) => {
            transaction.count += count;
            transaction.commands.push((db, w.log_buf.clone()));
        }
    }
}

/// Writes a finished transaction to the log as one MULTI block. The shards are still locked.
pub fn end_transaction(w: &mut Worker) {
    let Some(Transaction { commands, count }) = w.transaction.take() else {
        return;
    };
    let Some((first_db, _)) = commands.first() else {
        return;
    };
    if w.server.replication.is_replica() {
        return; // it has become one in this very transaction
    }
    let mut db = *first_db;
    w.log_buf.clear();
    if count > 1 {
        encode_command(&mut w.log_buf, &[b"MULTI"]);
    }
    for (d, bytes) in &commands {
        if *d != db {
            db = *d;
            encode_command(&mut w.log_buf, &[b"SELECT", d.to_string().as_bytes()]);
        }
        w.log_buf.extend_from_slice(bytes);
    }
    if count > 1 {
        encode_command(&mut w.log_buf, &[b"EXEC"]);
    }
    w.written_to = w.server.log.append_block(*first_db, db, &w.log_buf);
    w.logged = true;
}

/// What is left to do once the locks are released: statistics, events, garbage. Blocked clients are served by
/// [`crate::blocking::serve_ready`], which the caller runs if [`holdfast_storage::effects::Effects::ready`] is not empty.
pub fn after_unlock(w: &mut Worker) {
    if w.logged && !w.in_batch() {
        w.notify_log();
    }
    w.counters.hits += std::mem::take(&mut w.effects.hits);
    w.counters.misses += std::mem::take(&mut w.effects.misses);
    if !w.effects.touched.is_empty() || w.effects.flushed {
        tell_trackers(w);
    }
    if !w.effects.events.is_empty() {
        let events = std::mem::take(&mut w.effects.events);
        // Who hears of an event finds it counted.
        w.server.stats.add(w.id, &mut w.counters);
        w.server.publish_events(&events);
    }
    if !w.effects.garbage.is_empty() {
        w.server.reclaim.throw(std::mem::take(&mut w.effects.garbage));
        w.meter.skip(); // where too much waits already, it was freed here
    }
}

#[cold]
fn tell_trackers(w: &mut Worker) {
    if w.effects.flushed
        && let Some(cluster) = w.server.cluster.get()
    {
        cluster.migrations.note_flush();
    }
    if w.effects.touched.is_empty() && !w.effects.flushed {
        return;
    }
    let keys = std::mem::take(&mut w.effects.touched);
    let (tracking, clients) = (&w.server.tracking, &w.server.clients);
    if tracking.is_used() {
        tracking.invalidate(clients, &keys, w.client_id);
    }
    if std::mem::take(&mut w.effects.flushed) && tracking.is_used() {
        tracking.forget_all(clients);
    }
}

/// Evicts one key. False: it was gone, or the policy lets it stay. No lock may be held.
pub fn evict(w: &mut Worker, db: u32, key: &[u8]) -> bool {
    if w.server.keyspace.hidden.has(key) {
        return false;
    }
    let volatile_only = w.policy.volatile_only();
    // What goes to the reclaiming thread is still in use when the next key is chosen, and too many would be evicted.
    let free_now = !w.server.config.flag(Param::LazyfreeLazyEviction);
    remove_one(w, db, key, free_now, |data, key| data.evict(key, volatile_only))
}

/// Removes one key if its time is over, unless clients are paused. No lock may be held.
pub fn expire(w: &mut Worker, db: u32, key: &[u8]) {
    if w.import_mode
        || w.server.replication.is_replica()
        || w.server.is_paused_at(w.now_ms)
        || w.server.keyspace.hidden.has(key)
    {
        return;
    }
    let began = w.server.observe.begin_event(&w.server.config);
    remove_one(w, db, key, false, |data, key| {
        data.expire_if_due(key);
        true
    });
    w.server.observe.end_event(Event::ExpireDel, began, w.now_ms);
}

/// Removes some of a hash's fields whose time is over, unless clients are paused. True: there are more. No lock may be
/// held.
pub fn expire_fields(w: &mut Worker, db: u32, key: &[u8]) -> bool {
    !w.import_mode
        && !w.server.replication.is_replica()
        && !w.server.is_paused_at(w.now_ms)
        && !w.server.keyspace.hidden.has(key)
        && remove_one(w, db, key, false, |data, key| data.expire_fields_if_due(key))
}

fn remove_one(
    w: &mut Worker,
    db: u32,
    key: &[u8],
    free_now: bool,
    how: impl FnOnce(&mut Data<'_, '_>, &[u8]) -> bool,
) -> bool {
    let server = std::sync::Arc::clone(&w.server);
    let shard = server.keyspace.shard_of(server.keyspace.hash(key).slot);
    let mut locked = server.keyspace.lock_one(shard);
    w.note_trackers();
    let mut data = Data::new(&mut locked, db, w.now_ms, &mut w.effects, &mut w.rng);
    let done = how(&mut data, key);
    log_removals(w);
    drop(locked);
    if free_now {
        w.effects.garbage.clear();
    }
    // Nobody's change: a client that is not told of its own (NOLOOP) is told of this one, though its command made it.
    let client = std::mem::replace(&mut w.client_id, 0);
    after_unlock(w);
    w.client_id = client;
    done
}
