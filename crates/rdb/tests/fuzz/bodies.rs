//! What the fuzz targets run, and the short form of them in CI.

use holdfast_rdb::input::StreamInput;
use holdfast_rdb::{Limits, Type, payload, read_value};
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
    let again = payload::restore(&payload::dump(before.value(), true), false, &limits);
    let again = Entry::new(b"k", again.expect("what was written is read"), None);
    assert_eq!(digest(before.value()), digest(again.value()));
    let streamed = Entry::new(b"k", streamed.expect("checked above"), None);
    assert_eq!(digest(before.value()), digest(streamed.value()));
    // It can be copied and dropped like any other.
    let _copy: Value = before.value().duplicate();
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
