//! Streams.
//!
//! ```text
//!   nodes      count, then each: id of the first entry (a string of 16 bytes), listpack (a string)
//!   numbers    entries, last id; since 7.0: first id, greatest deleted id, entries ever added
//!   groups     count, then each: name, last id; since 7.0: entries read
//!     pending    count, then each: id (16 bytes), delivered at (8 bytes), deliveries
//!     consumers  count, then each: name, seen at (8 bytes); since 7.2: active at (8 bytes); count of ids, ids (16 bytes)
//! ```

use std::io::{self, Write};

use holdfast_storage::types::stream::{Damaged, Group, Restore, Stream, StreamId};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::write::Writer;

/// Entries read that cannot be told, and the time of what never was.
const UNKNOWN: u64 = u64::MAX;
const NEVER: i64 = -1;

/// Pending entries that were given back to the group belong to nobody, for which the format has no place. They are
/// written as those of a consumer without a name that was never seen, from whom any reader can claim them. Redis notes
/// a time for each of its consumers, so this one is known again.
const NOBODY: (&[u8], i64) = (b"", 0);

/// Writes the type of Redis 7.0, which lacks the times at which consumers were active.
pub(crate) fn write<W: Write>(w: &mut Writer<W>, stream: &Stream) -> io::Result<()> {
    w.len(stream.node_count() as u64)?;
    for (first, pack) in stream.nodes() {
        w.string(&first.to_bytes())?;
        w.string(pack.as_bytes())?;
    }
    w.len(stream.len())?;
    put_id(w, stream.last_id())?;
    put_id(w, stream.first_id())?;
    put_id(w, stream.max_deleted_id())?;
    w.len(stream.entries_added())?;
    w.len(stream.group_count() as u64)?;
    stream.groups().try_for_each(|(name, group)| {
        w.string(name)?;
        write_group(w, group)
    })
}

fn write_group<W: Write>(w: &mut Writer<W>, group: &Group) -> io::Result<()> {
    put_id(w, group.last_id)?;
    w.len(group.entries_read.unwrap_or(UNKNOWN))?;
    w.len(group.pending_len() as u64)?;
    for (id, pending) in group.pending_range(..) {
        w.raw(&id.to_bytes())?;
        w.millis(pending.delivered_ms)?;
        w.len(pending.deliveries)?;
    }
    let unowned = group.unowned_len();
    let nobody = unowned > 0;
    w.len(group.consumers().len() as u64 + u64::from(nobody))?;
    for (_, consumer) in group.consumers() {
        w.string(consumer.name())?;
        w.millis(consumer.seen_ms)?;
        w.len(consumer.pending().len() as u64)?;
        for id in consumer.pending().iter() {
            w.raw(&id.to_bytes())?;
        }
    }
    if nobody {
        w.string(NOBODY.0)?;
        w.millis(NOBODY.1)?;
        w.len(unowned as u64)?;
        for (id, _) in group.pending_range(..).filter(|(_, p)| p.owner.is_none()) {
            w.raw(&id.to_bytes())?;
        }
    }
    Ok(())
}

fn put_id<W: Write>(w: &mut Writer<W>, id: StreamId) -> io::Result<()> {
    w.len(id.ms)?;
    w.len(id.seq)
}

pub(crate) fn read(input: &mut impl Input, ty: Type) -> Result<Stream, RdbError> {
    let counters = ty != Type::StreamListpacks;
    let times = ty == Type::StreamListpacks3;
    let mut stream = Stream::new();
    for _ in 0..read::len(input)? {
        let first = read::string(input)?;
        let first = <[u8; 16]>::try_from(first).map_err(|_| Damaged::Node)?;
        stream.restore_node(StreamId::from_bytes(first), &read::string(input)?)?;
    }
    let (len, last_id) = (read::len(input)?, id(input)?);
    if counters {
        let _first = id(input)?; // found in the nodes
        let numbers = Restore {
            len,
            last_id,
            max_deleted_id: id(input)?,
            entries_added: read::len(input)?,
        };
        stream.restore_numbers(&numbers)?;
    } else {
        stream.restore_old(len, last_id)?;
    }
    for _ in 0..read::len(input)? {
        let (name, last_id) = (read::string(input)?, id(input)?);
        let entries_read = if counters {
            Some(read::len(input)?).filter(|&n| n != UNKNOWN)
        } else {
            stream.entries_read_at(last_id)
        };
        read_group(input, stream.restore_group(&name, last_id, entries_read)?, times)?;
    }
    Ok(stream)
}

fn read_group(input: &mut impl Input, group: &mut Group, times: bool) -> Result<(), RdbError> {
    for _ in 0..read::len(input)? {
        let id = StreamId::from_bytes(read::bytes(input)?);
        let (delivered_ms, deliveries) = (read::millis(input)?, read::len(input)?);
        if !group.restore_pending(id, delivered_ms, deliveries) {
            return Err(Damaged::Twice.into());
        }
    }
    let mut nobodys = 0;
    for _ in 0..read::len(input)? {
        let (name, seen_ms) = (read::string(input)?, read::millis(input)?);
        let active_ms = if times { read::millis(input)? } else { seen_ms };
        if (&name[..], seen_ms) == NOBODY {
            nobodys = read::len(input)?;
            for _ in 0..nobodys {
                let _id: [u8; 16] = read::bytes(input)?; // has no owner already
            }
            continue;
        }
        let consumer = group.create_consumer(&name, seen_ms).ok_or(Damaged::Twice)?;
        group.consumer_mut(consumer).active_ms = Some(active_ms).filter(|&ms| ms != NEVER);
        for _ in 0..read::len(input)? {
            if !group.restore_owner(StreamId::from_bytes(read::bytes(input)?), consumer) {
                return Err(RdbError::Pending);
            }
        }
    }
    if group.unowned_len() as u64 != nobodys {
        return Err(RdbError::Pending);
    }
    Ok(())
}

fn id(input: &mut impl Input) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(read::len(input)?, read::len(input)?))
}

#[cfg(test)]
mod tests {
    use holdfast_storage::types::stream::StreamLimits;

    use super::*;

    fn sample() -> Stream {
        let mut stream = Stream::new();
        let limits = StreamLimits {
            node_max_entries: 3,
            ..StreamLimits::default()
        };
        for i in 1..=8 {
            let fields = [(&b"f"[..], &b"value"[..]), (b"g", b"7")];
            let fields = fields.into_iter().take(1 + (i % 2) as usize);
            stream.append(StreamId::new(i, 2 * i), fields, &limits).unwrap();
        }
        stream.remove(StreamId::new(4, 8));
        let mut group = Group::new(StreamId::new(6, 0), Some(5));
        let (a, b) = (
            group.create_consumer(b"a", 100).unwrap(),
            group.create_consumer(b"b", 200).unwrap(),
        );
        group.assign(StreamId::new(1, 2), a, 1000, 1);
        group.assign(StreamId::new(2, 4), b, 1001, 3);
        group.assign(StreamId::new(3, 6), b, 1002, 1);
        stream.create_group(b"group", group);
        stream.create_group(b"fresh", Group::new(StreamId::ZERO, None));
        stream
    }

    fn written(stream: &Stream) -> Vec<u8> {
        let mut w = Writer::new(Vec::new(), false);
        write(&mut w, stream).unwrap();
        w.into_inner()
    }

    fn restored(mut bytes: &[u8], ty: Type) -> Result<Stream, String> {
        let stream = read(&mut bytes, ty).map_err(|e| e.to_string())?;
        assert!(bytes.is_empty());
        Ok(stream)
    }

    #[test]
    fn a_stream_comes_back_with_its_groups() {
        let stream = sample();
        let bytes = written(&stream);
        let again = restored(&bytes, Type::StreamListpacks2).unwrap();
        assert_eq!(written(&again), bytes);
        assert_eq!((again.len(), again.node_count()), (7, 3));
        let group = again.group(b"group").unwrap();
        let b = group.find_consumer(b"b").unwrap();
        assert_eq!(
            group
                .pending(StreamId::new(2, 4))
                .map(|p| (p.delivered_ms, p.deliveries, p.owner)),
            Some((1001, 3, Some(b)))
        );
        assert_eq!(
            (group.consumer(b).seen_ms, group.consumer(b).active_ms),
            (200, Some(200))
        );
        let empty = written(&Stream::new());
        assert!(restored(&empty, Type::StreamListpacks2).unwrap().is_empty());
    }

    #[test]
    fn what_was_given_back_stays_nobodys() {
        let mut stream = sample();
        stream
            .group_mut(b"group")
            .unwrap()
            .give_back(StreamId::new(3, 6), 4);
        let bytes = written(&stream);
        let again = restored(&bytes, Type::StreamListpacks2).unwrap();
        let group = again.group(b"group").unwrap();
        assert_eq!((group.unowned_len(), group.consumers().len()), (1, 2));
        assert_eq!(
            group
                .pending(StreamId::new(3, 6))
                .map(|p| (p.deliveries, p.owner)),
            Some((4, None))
        );
        assert_eq!(written(&again), bytes);
    }

    #[test]
    fn older_and_newer_types_are_read() {
        let first = StreamId::new(1, 0).to_bytes();
        let pack = b"\x01\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\xff";
        let mut pack = [&[0, 0, 0, 0, 10, 0], &pack[..]].concat();
        let total = pack.len() as u32;
        pack[..4].copy_from_slice(&total.to_le_bytes());
        let ids = |numbers: &[u8]| numbers.to_vec();
        let node = [&[1, 16], &first[..], &[pack.len() as u8], &pack[..]].concat();
        let pending = [&[1], &first[..], &7_i64.to_le_bytes(), &[2]].concat();
        let owned = [&[1], &first[..]].concat();
        let old = [
            &node[..],
            &ids(&[1, 1, 0]),
            &[1, 1, b'g', 1, 0],
            &pending,
            &[1, 1, b'c'],
            &5_i64.to_le_bytes(),
            &owned,
        ]
        .concat();
        let stream = restored(&old, Type::StreamListpacks).unwrap();
        assert_eq!(
            (stream.len(), stream.entries_added(), stream.last_id()),
            (1, 1, StreamId::new(1, 0))
        );
        assert_eq!(stream.group(b"g").unwrap().entries_read, Some(1));
        let new = [
            &node[..],
            &ids(&[1, 1, 0, 1, 0, 0, 0, 9]),
            &[1, 1, b'g', 1, 0, 3],
            &pending,
            &[1, 1, b'c'],
            &5_i64.to_le_bytes(),
            &(-1_i64).to_le_bytes(),
            &owned,
        ]
        .concat();
        let stream = restored(&new, Type::StreamListpacks3).unwrap();
        let group = stream.group(b"g").unwrap();
        let consumer = group.consumer(group.find_consumer(b"c").unwrap());
        assert_eq!((stream.entries_added(), group.entries_read), (9, Some(3)));
        assert_eq!((consumer.seen_ms, consumer.active_ms), (5, None));
        // Without an owner, and with one that the group does not know.
        let lost = [&node[..], &ids(&[1, 1, 0]), &[1, 1, b'g', 1, 0], &pending, &[0]].concat();
        assert_eq!(
            restored(&lost, Type::StreamListpacks).err(),
            Some(RdbError::Pending.to_string())
        );
        let alien = [
            &node[..],
            &ids(&[1, 1, 0]),
            &[1, 1, b'g', 1, 0, 0, 1, 1, b'c'],
            &5_i64.to_le_bytes(),
            &owned,
        ]
        .concat();
        assert_eq!(
            restored(&alien, Type::StreamListpacks).err(),
            Some(RdbError::Pending.to_string())
        );
        let wrong = [&node[..], &ids(&[2, 1, 0, 0])].concat();
        assert!(restored(&wrong, Type::StreamListpacks).is_err());
    }
}
