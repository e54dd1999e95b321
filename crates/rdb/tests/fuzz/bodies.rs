//! What the fuzz targets run, and the short form of them in CI.

use holdfast_rdb::file::{Decoded, FileError, FileReader, Item, Raw, RawBatch};
use holdfast_rdb::input::StreamInput;
use holdfast_rdb::{Dialect, Limits, Type, payload, read_value};
use holdfast_storage::digest::{DigestType, ValueDigest};
use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::value::{Value, ValueRef};

/// The body of a payload, its last byte choosing the version. What is read can be looked at, written and read again, and
/// a stream gives the same as memory does.
pub fn values(data: &[u8]) {
    let Some((choice, body)) = data.split_last() else {
        return;
    };
    let version = if choice % 2 == 0 { 10 } else { 80 };
    let mut sealed = body.to_vec();
    payload::seal(&mut sealed, version);
    let limits = Limits::default();
    let value = payload::restore(&sealed, false, &limits);
    let streamed = body.split_first().and_then(|(code, rest)| {
        let ty = Type::new(*code, version).ok()?;
        read_value(&mut StreamInput::new(rest, true), ty, &limits).ok()
    });
    assert_eq!(value.is_ok(), streamed.is_some());
    let Ok(value) = value else { return };
    let before = Entry::new(b"k", value, None);
    let again = payload::restore(
        &payload::dump(before.value(), true, Dialect::Redis),
        false,
        &limits,
    );
    let again = Entry::new(b"k", again.expect("what was written is read"), None);
    assert_eq!(digest(before.value()), digest(again.value()));
    let streamed = Entry::new(b"k", streamed.expect("checked above"), None);
    assert_eq!(digest(before.value()), digest(streamed.value()));
    // It can be copied and dropped like any other.
    let _copy: Value = before.value().duplicate();
}

/// A whole file, its last byte choosing whether the checksum matters. Read key by key and as batches of raw bytes it is the
/// same, or wrong in both.
pub fn file(data: &[u8]) {
    let Some((choice, file)) = data.split_last() else {
        return;
    };
    let check = choice % 2 == 0;
    match (read_items(file, check), read_raw(file, check)) {
        (Ok(mut items), Ok(mut raw)) => {
            items.sort();
            raw.sort();
            assert_eq!(items, raw);
        }
        (items, raw) => assert_eq!(items.is_err(), raw.is_err(), "{items:?} {raw:?}"),
    }
}

/// The keys of a file, as text.
pub fn read_items(file: &[u8], check: bool) -> Result<Vec<String>, FileError> {
    let mut reader = FileReader::new(file, &Limits::default(), check)?;
    let mut keys = Vec::new();
    while let Some(item) = reader.next_item()? {
        if let Item::Record(record) = item {
            let value = record.value.map(|value| shown(&record.key, value));
            keys.push(format!("{} {:?} {value:?}", record.db, record.expire_at_ms));
        }
    }
    Ok(keys)
}

fn read_raw(file: &[u8], check: bool) -> Result<Vec<String>, FileError> {
    let mut reader = FileReader::new(file, &Limits::default(), check)?;
    let (mut keys, mut batch) = (Vec::new(), RawBatch::default());
    let read = loop {
        match reader.next_raw(&mut batch) {
            Ok(Raw::End) => break Ok(()),
            Ok(Raw::Kept) => {}
            Ok(Raw::Item(Item::Record(record))) => {
                let value = record.value.map(|value| shown(&record.key, value));
                keys.push(format!("{} {:?} {value:?}", record.db, record.expire_at_ms));
            }
            Ok(Raw::Item(_)) => {}
            Err(error) => break Err(error),
        }
    };
    batch.decode(&Limits::default(), |key, raw| {
        let value = raw.value.map(|value| match value {
            Decoded::Text(text) => shown(key, Value::RawStr(text.into())),
            Decoded::Value(value) => shown(key, value),
        });
        keys.push(format!("{} {:?} {value:?}", raw.db, raw.expire_at_ms));
        Ok::<(), FileError>(())
    })?;
    read.map(|()| keys)
}

fn shown(key: &[u8], value: Value) -> String {
    let entry = Entry::new(b"k", value, None);
    format!("{} {}", key.escape_ascii(), digest(entry.value()))
}

fn digest(value: ValueRef<'_>) -> String {
    let mut digest = ValueDigest::new(DigestType::String);
    match value {
        ValueRef::Int(i) => digest.item(i.to_string().as_bytes()),
        ValueRef::Str { bytes, .. } => digest.item(bytes),
        ValueRef::Heap(text) => digest.item(text.as_slice()),
        ValueRef::List(list) => list.iter().for_each(|e| digest.item(&e.to_cow())),
        ValueRef::Set(set) => set.iter().for_each(|m| digest.member(&m.to_cow())),
        ValueRef::Hash(hash) => hash
            .iter()
            .for_each(|(f, v)| digest.field(&f.to_cow(), &v.to_cow())),
        ValueRef::Zset(zset) => zset.iter().for_each(|(m, s)| digest.scored(&m.to_cow(), s)),
        ValueRef::Stream(stream) => stream.iter().for_each(|entry| {
            digest.stream_id(entry.id.ms, entry.id.seq);
            entry
                .fields
                .for_each(|(field, value)| digest.field(&field.to_cow(), &value.to_cow()));
        }),
    }
    digest.finish(false).to_string()
}
