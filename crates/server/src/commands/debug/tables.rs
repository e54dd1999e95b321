//! DEBUG POPULATE, HTSTATS, HTSTATS-KEY: the tables of keys.

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_storage::data::Data;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::value::ValueRef;

use super::DONE;
use crate::commands::{Call, ServerError, ServerResult};

/// Keys that exist already stay as they are.
pub(super) fn populate(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let not_negative = |i: usize| args.int(i).ok().filter(|n| *n >= 0).ok_or(CmdError::NotPositive);
    let count = not_negative(2)?;
    let prefix = args.opt(3).unwrap_or(b"key");
    let size = match args.opt(4) {
        None => 0,
        Some(_) => not_negative(4)? as usize,
    };
    if size > call.w.limits.max_string {
        return Err(CmdError::StringTooLong.into());
    }
    let db = call.session.db;
    call.with_all(|locked, w| {
        let keyspace = locked.keyspace();
        for i in 0..count {
            let key = [prefix, format!(":{i}").as_bytes()].concat();
            let at = keyspace.hash(&key);
            let shard = locked.shard(keyspace.shard_of(at.slot));
            let table = &mut shard.dbs[db as usize].table;
            if table.find(at.hash, &key).is_some() {
                continue;
            }
            let mut value = format!("value:{i}").into_bytes();
            if size > 0 {
                value.resize(size, 0);
            }
            let mut entry = Entry::new_str(&key, &value, None, false);
            entry.set_access(w.access.fresh(w.now_ms));
            table.insert(at.hash, entry, |key| keyspace.table_hash(key));
            shard.touch(db, &key);
        }
    });
    call.ok()
}

/// Buckets and entries of all shards' tables of a database together. Expiries are part of the entries here, so the
/// second table has no size of its own.
pub(super) fn of_database(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let db = args.int(2)?;
    if !(0..i64::from(call.session.server.keyspace.databases())).contains(&db) {
        return Err(ServerError::new("ERR Out of range database"));
    }
    let (mut buckets, mut keys, mut volatile) = (0, 0, 0);
    call.with_all(|locked, _| {
        for (_, shard) in locked.each() {
            let table = &shard.dbs[db as usize].table;
            buckets += table.bucket_count();
            keys += table.len();
            volatile += table.volatile_len();
        }
    });
    let text = format!(
        "[Dictionary HT]\n{}[Expires HT]\n{}",
        table_text(buckets, keys),
        table_text(0, volatile)
    );
    call.w.reply.verbatim("txt", text.as_bytes());
    DONE
}

pub(super) fn of_value(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let db = call.session.db;
    let len = call.with_key(args.get(2), |locked, w| {
        let mut data = Data::new(locked, db, w.now_ms, &mut w.effects, &mut w.rng);
        let value = data.peek(args.get(2)).ok_or(CmdError::NoSuchKey)?;
        let len = match value {
            ValueRef::Set(set) if value.encoding() == "hashtable" => set.len(),
            ValueRef::Hash(hash) if value.encoding() == "hashtable" => hash.len(),
            ValueRef::Zset(zset) if value.encoding() == "skiplist" => zset.len(),
            ValueRef::Int(_)
            | ValueRef::Str { .. }
            | ValueRef::Heap(_)
            | ValueRef::List(_)
            | ValueRef::Set(_)
            | ValueRef::Hash(_)
            | ValueRef::Zset(_)
            | ValueRef::Stream(_) => {
                return Err(CmdError::msg(
                    "ERR The value stored at the specified key is not represented using an hash table",
                ));
            }
        };
        Ok(len)
    })?;
    call.w.reply.verbatim("txt", table_text(0, len).as_bytes());
    DONE
}

/// `buckets` 0: not known.
fn table_text(buckets: usize, len: usize) -> String {
    let mut text = "Hash table 0 stats (main hash table):\n".to_owned();
    if len == 0 {
        return text + "No stats available for empty dictionaries\n";
    }
    if buckets > 0 {
        text += &format!(" table size: {buckets}\n");
    }
    text + &format!(" number of elements: {len}\n")
}
