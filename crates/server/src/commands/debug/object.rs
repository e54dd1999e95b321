//! DEBUG OBJECT, LISTPACK, QUICKLIST: how one value is kept.

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_storage::access;
use holdfast_storage::data::Data;
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::encoding::listpack::Listpack;
use holdfast_storage::types::list::{List, NodeRef};
use holdfast_storage::types::stream::{Stream, StreamId};
use holdfast_storage::value::ValueRef;

use super::DONE;
use crate::commands::{Call, ServerError, ServerResult};

/// Calls `f` with the entry of the key in argument 2.
fn with_entry<R>(
    call: &mut Call<'_, '_>,
    args: Args<'_>,
    f: impl FnOnce(&Entry, i64) -> Result<R, ServerError>,
) -> Result<R, ServerError> {
    let db = call.session.db;
    call.with_key(args.get(2), |locked, w| {
        let now_ms = w.now_ms;
        let mut data = Data::new(locked, db, now_ms, &mut w.effects, &mut w.rng);
        match data.peek_entry(args.get(2)) {
            None => Err(CmdError::NoSuchKey.into()),
            Some(entry) => f(entry, now_ms),
        }
    })
}

pub(super) fn object(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let max_listpack = call.w.limits.list.max_listpack_size;
    let line = with_entry(call, args, |entry, now_ms| {
        let value = entry.value();
        let shared = matches!(value, ValueRef::Int(0..10_000));
        let mut line = format!(
            "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
            entry.key().as_ptr(),
            if shared { i32::MAX } else { 1 },
            value.encoding(),
            serialized_length(value),
            entry.access(),
            access::lru_idle_ms(entry.access(), now_ms) / 1000,
        );
        if let ValueRef::List(list) = value
            && list.encoding() == "quicklist"
        {
            let nodes = list.node_count();
            line += &format!(
                " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{max_listpack} ql_compressed:0 ql_uncompressed_size:{}",
                list.len() as f64 / nodes.max(1) as f64,
                node_bytes(list),
            );
        }
        Ok(line)
    })?;
    call.w.reply.simple(&line);
    DONE
}

pub(super) fn listpack(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    with_entry(call, args, |entry, _| {
        let pack =
            pack_of(entry.value()).ok_or_else(|| ServerError::new("ERR Not a listpack encoded object."))?;
        print(pack);
        Ok(())
    })?;
    call.w.reply.simple("Listpack structure printed on stdout");
    DONE
}

pub(super) fn quicklist(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    with_entry(call, args, |entry, _| {
        let ValueRef::List(list) = entry.value() else {
            return Err(ServerError::new("ERR Not a quicklist encoded object."));
        };
        if list.encoding() != "quicklist" {
            return Err(ServerError::new("ERR Not a quicklist encoded object."));
        }
        for node in list.nodes() {
            match node {
                NodeRef::Packed(pack) => print(&pack),
                NodeRef::Plain(text) => tracing::info!(bytes = text.len(), "plain node"),
            }
        }
        Ok(())
    })?;
    call.w.reply.simple("Quicklist structure printed on stdout");
    DONE
}

fn pack_of(value: ValueRef<'_>) -> Option<&Listpack> {
    match value {
        ValueRef::Int(_) | ValueRef::Str { .. } | ValueRef::Heap(_) => None,
        ValueRef::List(list) => list.as_listpack(),
        ValueRef::Set(set) => set.as_listpack(),
        ValueRef::Hash(hash) => hash.as_listpack(),
        ValueRef::Zset(zset) => zset.as_listpack(),
        ValueRef::Stream(_) => None,
    }
}

fn print(pack: &Listpack) {
    tracing::info!(bytes = pack.total_bytes(), elements = pack.len(), "listpack");
    for (index, item) in pack.iter().enumerate() {
        tracing::info!(index, item = %String::from_utf8_lossy(&item.to_cow()), "element");
    }
}

fn node_bytes(list: &List) -> usize {
    list.nodes()
        .map(|node| match node {
            NodeRef::Packed(pack) => pack.total_bytes(),
            NodeRef::Plain(text) => text.len(),
        })
        .sum()
}

/// Bytes that the value takes in an RDB file of version 11 without compression.
fn serialized_length(value: ValueRef<'_>) -> usize {
    let items = |len: usize, each: usize| prefix(len) + each;
    match value {
        ValueRef::Int(i) => integer(i),
        ValueRef::Str { bytes, .. } => text(bytes),
        ValueRef::Heap(heap) => text(heap.as_slice()),
        // Every node: its form, and its bytes as a string.
        ValueRef::List(list) => {
            let nodes = list.nodes().map(|node| {
                1 + match node {
                    NodeRef::Packed(pack) => text(pack.as_bytes()),
                    NodeRef::Plain(plain) => text(plain),
                }
            });
            items(list.node_count(), nodes.sum())
        }
        ValueRef::Set(set) => match (set.as_intset(), set.as_listpack()) {
            (Some(ints), _) => {
                let width = ints.iter().map(int_width).max().unwrap_or(2);
                let bytes = 8 + ints.len() * width;
                prefix(bytes) + bytes
            }
            (None, Some(pack)) => text(pack.as_bytes()),
            (None, None) => items(set.len(), set.iter().map(|m| m.with_bytes(text)).sum()),
        },
        ValueRef::Hash(hash) => match hash.as_listpack() {
            Some(pack) => text(pack.as_bytes()),
            None => items(
                hash.len(),
                hash.iter()
                    .map(|(f, v)| f.with_bytes(text) + v.with_bytes(text))
                    .sum(),
            ),
        },
        ValueRef::Zset(zset) => match zset.as_listpack() {
            Some(pack) => text(pack.as_bytes()),
            None => items(zset.len(), zset.iter().map(|(m, _)| m.with_bytes(text) + 8).sum()),
        },
        ValueRef::Stream(stream) => stream_length(stream),
    }
}

/// Every node with its first id, the stream's numbers, and its groups with what is pending.
fn stream_length(stream: &Stream) -> usize {
    /// An id as bytes; an id and the time and number of its delivery.
    const ID: usize = 16;
    let number = |n: u64| prefix(usize::try_from(n).unwrap_or(usize::MAX));
    let id = |id: StreamId| number(id.ms) + number(id.seq);
    let nodes: usize = stream
        .nodes()
        .map(|(_, pack)| prefix(ID) + ID + text(pack.as_bytes()))
        .sum();
    let ids = id(stream.last_id()) + id(stream.first_id()) + id(stream.max_deleted_id());
    let numbers = number(stream.len()) + number(stream.entries_added());
    let groups: usize = stream
        .groups()
        .map(|(name, group)| {
            let pending = group.pending_range(..);
            let pending: usize = pending.map(|(_, entry)| ID + 8 + number(entry.deliveries)).sum();
            let consumers = group.consumers().map(|(_, consumer)| {
                let own = consumer.pending().len();
                text(consumer.name()) + 16 + prefix(own) + own * ID
            });
            let read = group.entries_read.map_or(9, number);
            text(name)
                + id(group.last_id)
                + read
                + prefix(group.pending_len())
                + pending
                + prefix(consumers.len())
                + consumers.sum::<usize>()
        })
        .sum();
    prefix(stream.node_count()) + nodes + numbers + ids + prefix(stream.group_count()) + groups
}

/// Bytes of an intset's member, if it were the widest.
fn int_width(i: i64) -> usize {
    if i16::try_from(i).is_ok() {
        2
    } else if i32::try_from(i).is_ok() {
        4
    } else {
        8
    }
}

/// Bytes of a length in front of a string or of elements.
fn prefix(len: usize) -> usize {
    match len {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..=0xFFFF_FFFF => 5,
        _ => 9,
    }
}

/// Bytes of a string: short texts of small integers are kept as integers.
fn text(bytes: &[u8]) -> usize {
    match holdfast_storage::numeric::parse_i64(bytes) {
        Some(i) if bytes.len() <= 11 => integer(i),
        Some(_) | None => prefix(bytes.len()) + bytes.len(),
    }
}

fn integer(i: i64) -> usize {
    if i8::try_from(i).is_ok() {
        2
    } else if i16::try_from(i).is_ok() {
        3
    } else if i32::try_from(i).is_ok() {
        5
    } else {
        let len = i.to_string().len();
        prefix(len) + len
    }
}
