//! DEBUG DIGEST and DIGEST-VALUE: equal data give the digests that Redis gives. The algorithm is
//! [`holdfast_storage::digest`]; here our types are taken apart for it.

use holdfast_commands::args::Args;
use holdfast_storage::data::Data;
use holdfast_storage::digest::{DatasetDigest, Digest, DigestType, ValueDigest};
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::keyspace::Locked;
use holdfast_storage::value::{Kind, ValueRef};

use super::DONE;
use crate::commands::{Call, ServerResult};

/// Keys whose time is over count until they are removed, as in Redis.
pub(super) fn all(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let digest = call.with_all(|locked, _| dataset(locked));
    call.w.reply.simple(&digest.to_string());
    DONE
}

pub(super) fn values(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let db = call.session.db;
    let digests: Vec<Digest> = call.with_all(|locked, w| {
        let mut data = Data::new(locked, db, w.now_ms, &mut w.effects, &mut w.rng);
        args.from(2)
            .map(|key| {
                data.peek_entry(key).map_or_else(Digest::default, |entry| {
                    of(ValueDigest::new(kind(entry.kind())), entry)
                })
            })
            .collect()
    });
    call.w.reply.array(digests.len());
    for digest in digests {
        call.w.reply.simple(&digest.to_string());
    }
    DONE
}

/// The digest of everything in the locked shards.
fn dataset(locked: &mut Locked<'_>) -> Digest {
    let mut sum = DatasetDigest::default();
    for db in 0..locked.keyspace().databases() {
        let mut open = false;
        for (_, shard) in locked.each() {
            for entry in shard.dbs[db as usize].table.iter() {
                if !open {
                    sum.database(db);
                    open = true;
                }
                let start = ValueDigest::with_key(entry.key(), kind(entry.kind()));
                sum.entry(&of(start, entry));
            }
        }
    }
    sum.finish()
}

fn kind(kind: Kind) -> DigestType {
    match kind {
        Kind::String => DigestType::String,
        Kind::List => DigestType::List,
        Kind::Set => DigestType::Set,
        Kind::Zset => DigestType::ZSet,
        Kind::Hash => DigestType::Hash,
        Kind::Stream => DigestType::Stream,
    }
}

fn of(mut digest: ValueDigest, entry: &Entry) -> Digest {
    match entry.value() {
        ValueRef::Int(i) => digest.item(i.to_string().as_bytes()),
        ValueRef::Str { bytes, .. } => digest.item(bytes),
        ValueRef::Heap(text) => digest.item(text.as_slice()),
        ValueRef::List(list) => list
            .iter()
            .for_each(|item| item.with_bytes(|bytes| digest.item(bytes))),
        ValueRef::Set(set) => set
            .iter()
            .for_each(|member| member.with_bytes(|bytes| digest.member(bytes))),
        ValueRef::Hash(hash) => hash.iter_all().for_each(|(field, value, at_ms)| match at_ms {
            None => digest.field(&field.to_cow(), &value.to_cow()),
            Some(_) => digest.expiring_field(&field.to_cow(), &value.to_cow()),
        }),
        ValueRef::Zset(zset) => zset
            .iter()
            .for_each(|(member, score)| member.with_bytes(|bytes| digest.scored(bytes, score))),
        ValueRef::Stream(stream) => stream.iter().for_each(|entry| {
            digest.stream_id(entry.id.ms, entry.id.seq);
            entry.fields.for_each(|(field, value)| {
                digest.item(&field.to_cow());
                digest.item(&value.to_cow());
            });
        }),
    }
    digest.finish(entry.expire_at_ms().is_some())
}
