//! KEYS, RANDOMKEY, DBSIZE: the keys of a database as a whole. <https://redis.io/commands/keys>

use holdfast_storage::data::OnExpired;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::encoding::table::Table;
use holdfast_storage::glob;
use rand::Rng;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::spec::{Arg, Group, Spec};

/// `KEYS pattern`
pub(crate) const KEYS: Command = Command {
    spec: &Spec {
        name: "keys",
        arity: 2,
        flags: flags!(Flags: READONLY, ALL_SHARDS),
        acl: flags!(Acl: KEYSPACE, DANGEROUS),
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the keys whose names match a pattern.",
        complexity: "O(N), N: keys in the database",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        args: &[Arg::pattern("pattern")],
        ..Spec::DEFAULT
    },
    run: keys,
};

/// `RANDOMKEY`
pub(crate) const RANDOMKEY: Command = Command {
    spec: &Spec {
        name: "randomkey",
        arity: 1,
        flags: flags!(Flags: READONLY, ROAM),
        acl: flags!(Acl: KEYSPACE),
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the name of a random key.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: randomkey,
};

/// `DBSIZE`
pub(crate) const DBSIZE: Command = Command {
    spec: &Spec {
        name: "dbsize",
        arity: 1,
        flags: flags!(Flags: READONLY, FAST, ROAM),
        acl: flags!(Acl: KEYSPACE),
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns the number of keys in the database.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        ..Spec::DEFAULT
    },
    run: dbsize,
};

fn keys(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let pattern = args.get(1);
    let db = ctx.data.db as usize;
    let live_at = live_at(ctx);
    let all = pattern == b"*";
    let deferred = ctx.reply.defer();
    let mut found = 0;
    let locked = ctx.data.locked();
    let hidden = &locked.keyspace().hidden;
    for (_, shard) in locked.each() {
        for entry in shard.dbs[db].table.iter() {
            let live = entry.expire_at_ms().is_none_or(|at| at > live_at);
            if live && !hidden.has(entry.key()) && (all || glob::matches(pattern, entry.key(), false)) {
                ctx.reply.bulk(entry.key());
                found += 1;
            }
        }
    }
    ctx.reply.finish_array(deferred, found);
    Ok(Outcome::Done)
}

/// Draws of a shard before the shards are walked through one by one.
const DRAWS: usize = 128;

/// One shard at a time: a key of a random shard, as long as shards with keys are easily found, else a key of the next
/// shard that has one.
fn randomkey(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> CmdResult {
    let keyspace = ctx.data.keyspace();
    let shards = keyspace.shard_count();
    for _ in 0..DRAWS {
        let shard = ctx.data.rng.random_range(0..shards);
        let mut rng = ctx.data.rng.clone();
        let live_at = live_at(ctx);
        let drawn = table(ctx, shard).random(&mut rng, false);
        let is_shown =
            |e: &&Entry| e.expire_at_ms().is_none_or(|at| at > live_at) && !keyspace.hidden.has(e.key());
        if let Some(entry) = drawn.filter(is_shown) {
            let key = entry.key().to_vec();
            *ctx.data.rng = rng;
            ctx.reply.bulk(&key);
            return Ok(Outcome::Done);
        }
        *ctx.data.rng = rng;
    }
    let start = ctx.data.rng.random_range(0..shards);
    for step in 0..shards {
        let live_at = live_at(ctx);
        let live = table(ctx, (start + step) % shards)
            .iter()
            .find(|e| e.expire_at_ms().is_none_or(|at| at > live_at) && !keyspace.hidden.has(e.key()))
            .map(|e| e.key().to_vec());
        if let Some(key) = live {
            ctx.reply.bulk(&key);
            return Ok(Outcome::Done);
        }
    }
    ctx.done_null()
}

fn dbsize(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> CmdResult {
    let shards = ctx.data.keyspace().shard_count();
    let size: usize = (0..shards).map(|shard| table(ctx, shard).len()).sum();
    ctx.done_int(size as i64)
}

/// The selected database's table in a shard; the lock moves there.
fn table<'a>(ctx: &'a mut Ctx<'_, '_>, shard: usize) -> &'a Table {
    let db = ctx.data.db as usize;
    ctx.data.roam(shard as u16);
    &ctx.data.locked().shard(shard as u16).dbs[db].table
}

/// Keys with an expiry up to this time are not there any more. Walks over many keys do not remove those: their removal
/// would have to be logged under the lock of the shard, which the walk has left by then.
pub(super) fn live_at(ctx: &Ctx<'_, '_>) -> i64 {
    match ctx.data.on_expired {
        OnExpired::Remove | OnExpired::Hide => ctx.data.now_ms,
        OnExpired::Ignore => i64::MIN,
    }
}
