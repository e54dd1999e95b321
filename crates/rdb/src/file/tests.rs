use holdfast_storage::snapshot::{Element, Meta, Sink};
use holdfast_storage::value::{HeapStr, Kind, Value, ValueRef};
use proptest::prelude::*;

use super::*;
use crate::types::Dialect;
use crate::value::Limits;

const CLOCKS: Clocks = Clocks {
    now_ms: 10_000_000,
    lfu: false,
    lfu_decay_minutes: 1,
    lru: false,
};

fn meta(db: u32, key: &[u8], expire_at_ms: Option<i64>) -> Meta<'_> {
    Meta {
        db,
        key,
        expire_at_ms,
        access: 5,
    }
}

fn whole(mut w: FileWriter) -> Vec<u8> {
    w.finish();
    w.drain(<[u8]>::to_vec)
}

fn sample(timed: Option<Dialect>, clocks: Clocks) -> Vec<u8> {
    let mut w = FileWriter::new(true, true, timed, clocks);
    w.aux("redis-ver", b"7.2.4");
    w.function(b"#!lua name=x\n");
    w.resize(0, 2, 1);
    w.value(&meta(0, b"a", None), ValueRef::Int(5));
    w.value(&meta(0, b"b", Some(777)), ValueRef::Int(6));
    w.begin(&meta(3, b"set", None), Kind::Set, 2);
    w.element(Element::Member(b"x"));
    w.element(Element::Member(b"y"));
    w.end();
    w.begin(&meta(3, b"hash", None), Kind::Hash, 2);
    w.element(Element::Field(b"f", b"1", None));
    w.element(Element::Field(b"g", b"2", timed.map(|_| 99)));
    w.end();
    w.begin(&meta(3, b"zset", None), Kind::Zset, 1);
    w.element(Element::Scored(b"m", 1.5));
    w.end();
    assert_eq!(w.keys(), 5);
    whole(w)
}

fn shown(item: &Item) -> String {
    match item {
        Item::Aux(name, value) => format!("aux {} {}", name.escape_ascii(), value.escape_ascii()),
        Item::Resize { db, keys, expiring } => format!("resize {db} {keys} {expiring}"),
        Item::Function(code) => format!("function {}", code.escape_ascii()),
        Item::Record(r) => {
            let value = match &r.value {
                None => "empty".to_owned(),
                Some(value @ Value::Int(i)) => format!("{} {i}", value.as_ref().kind().name()),
                Some(Value::Hash(hash)) => format!(
                    "hash {:?}",
                    hash.iter_all().map(|(_, _, at)| at).collect::<Vec<_>>()
                ),
                Some(value) => value.as_ref().kind().name().to_owned(),
            };
            format!(
                "{} {} {:?} {:?} {:?} {value}",
                r.db,
                r.key.escape_ascii(),
                r.expire_at_ms,
                r.idle_s,
                r.freq
            )
        }
    }
}

/// Everything that is read, as text.
fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = FileReader::new(bytes, &Limits::default(), true).map_err(|e| e.to_string())?;
    let mut seen = vec![reader.version().to_string()];
    while let Some(item) = reader.next_item().map_err(|e| e.to_string())? {
        seen.push(shown(&item));
    }
    match reader.is_at_end() {
        Ok(true) => Ok(seen),
        Ok(false) | Err(_) => Err("not the end".into()),
    }
}

#[test]
fn what_is_written_is_read() {
    let items = read(&sample(None, CLOCKS)).unwrap();
    let common = [
        "aux redis-ver 7.2.4",
        "function #!lua name=x\\n",
        "resize 0 2 1",
        "0 a None None None string 5",
        "0 b Some(777) None None string 6",
        "3 set None None None set",
    ];
    assert_eq!(
        (&items[0][..], &items[1..7]),
        ("10", &common.map(String::from)[..])
    );
    assert_eq!(
        items[7..],
        [
            "3 hash None None None hash [None, None]",
            "3 zset None None None zset"
        ]
    );
    let items = read(&sample(Some(Dialect::Redis), CLOCKS)).unwrap();
    assert_eq!(
        (&items[0][..], &items[7][..]),
        ("12", "3 hash None None None hash [None, Some(99)]")
    );
    let items = read(&sample(Some(Dialect::Valkey), CLOCKS)).unwrap();
    assert_eq!(
        (&items[0][..], &items[7][..]),
        ("80", "3 hash None None None hash [None, Some(99)]")
    );
    let items = read(&sample(None, Clocks { lru: true, ..CLOCKS })).unwrap();
    assert_eq!(items[4], "0 a None Some(9995) None string 5");
    let items = read(&sample(None, Clocks { lfu: true, ..CLOCKS })).unwrap();
    assert!(items[4].starts_with("0 a None None Some("), "{}", items[4]);
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let good = sample(None, CLOCKS);
    for (bytes, expected) in [
        (&b""[..], "wrong signature: this is no RDB file"),
        (b"RADIS0010", "wrong signature: this is no RDB file"),
        (b"REDIS0000\xff", "can't handle RDB format version 0000"),
        (b"REDIS0013\xff", "can't handle RDB format version 0013"),
        (b"REDISx001\xff", "can't handle RDB format version x001"),
        (b"VALKEY079\xff", "can't handle RDB format version 079"),
        (b"REDIS0010", "unexpected end of the data, at byte 9"),
        (b"REDIS0010\xff", "unexpected end of the data, at byte 10"),
        (b"REDIS0010\x63\x01k", "unknown object type 99, at byte 10"),
        (
            b"REDIS0010\xf7\x81\0\0\0\0\0\0\x04\0",
            "data of the module type 'AAAAAAAAB', and there are no modules, at byte 19",
        ),
        (
            b"REDIS0010\xf6",
            "functions in the form of a release candidate of Redis 7.0, at byte 10",
        ),
        (
            b"REDIS0010\xff\x01\0\0\0\0\0\0\0",
            "RDB CRC error: expected 0000000000000001, got ",
        ),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(read(b"REDIS0010\xff\0\0\0\0\0\0\0\0"), Ok(vec!["10".into()]));
    assert_eq!(
        read(b"REDIS0003\xfe\x01\xfd\x05\0\0\0\x00\x01k\xc0\x07\xff"),
        Ok(vec!["3".into(), "1 k Some(5000) None None string 7".into()])
    );
    assert_eq!(
        read(b"VALKEY080\xf4\x01\x02\x03\xff\0\0\0\0\0\0\0\0"),
        Ok(vec!["80".into()])
    );
    assert_eq!(
        read(b"REDIS0010\x02\x01e\x00\xff\0\0\0\0\0\0\0\0"),
        Ok(vec!["10".into(), "0 e None None None empty".into()])
    );
    for len in 0..good.len() {
        assert!(read(&good[..len]).is_err(), "cut at {len}");
    }
    for at in 9..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(read(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn pieces_give_the_same_file_as_the_whole() {
    let whole = sample(None, CLOCKS);
    let mut w = FileWriter::new(true, true, None, CLOCKS);
    let mut pieces = Vec::new();
    w.aux("redis-ver", b"7.2.4");
    w.drain(|b| pieces.extend_from_slice(b));
    w.function(b"#!lua name=x\n");
    w.resize(0, 2, 1);
    w.drain(|b| pieces.extend_from_slice(b));
    w.drain(|b| assert!(b.is_empty()));
    w.value(&meta(0, b"a", None), ValueRef::Int(5));
    assert_eq!(w.written(), pieces.len() + w.pending());
    w.drain(|b| pieces.extend_from_slice(b));
    assert!(whole.starts_with(&pieces));
    w.finish();
    w.drain(|b| pieces.extend_from_slice(b));
    assert!(read(&pieces).is_ok());
}

/// The same, by batches of raw bytes: what comes in the batches stands behind the rest.
fn read_raw(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = FileReader::new(bytes, &Limits::default(), true).map_err(|e| e.to_string())?;
    let (mut seen, mut batch) = (vec![reader.version().to_string()], RawBatch::default());
    let read = loop {
        match reader.next_raw(&mut batch) {
            Ok(Raw::Kept) => {}
            Ok(Raw::Item(item)) => seen.push(shown(&item)),
            Ok(Raw::End) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    batch
        .decode(&Limits::default(), |key, raw| {
            let value = raw.value.map(|value| match value {
                Decoded::Text(text) => Value::Str(text.into()),
                Decoded::Value(value) => value,
            });
            seen.push(shown(&Item::Record(Record {
                db: raw.db,
                key: key.to_vec(),
                expire_at_ms: raw.expire_at_ms,
                idle_s: raw.idle_s,
                freq: raw.freq,
                value,
            })));
            Ok(())
        })
        .map_err(|error: FileError| error.to_string())?;
    read?;
    match reader.is_at_end() {
        Ok(true) => Ok(seen),
        Ok(false) | Err(_) => Err("not the end".into()),
    }
}

fn sorted(items: Result<Vec<String>, String>) -> Result<Vec<String>, String> {
    let mut items = items?;
    items.sort();
    Ok(items)
}

#[test]
fn batches_of_raw_bytes_hold_the_same() {
    let mut w = FileWriter::new(true, true, None, CLOCKS);
    w.value(&meta(0, b"a", None), ValueRef::Int(5));
    for len in [0, 1, 9, 30, 62, 63, 64, 65, 300, 3_000] {
        let key = format!("text{len}").into_bytes();
        let text = vec![b'x'; len];
        let plain: Vec<u8> = (0..len).map(|i| (i * i % 251) as u8).collect();
        for text in [text, plain] {
            let value = Value::Heap(Box::new(HeapStr::Owned(text)));
            w.value(&meta(1, &key, Some(len as i64)), value.as_ref());
        }
    }
    let file = whole(w);
    assert_eq!(sorted(read_raw(&file)), sorted(read(&file)));
    assert_eq!(read_raw(&file).unwrap().len(), 22);
    for file in [
        sample(None, CLOCKS),
        sample(Some(Dialect::Redis), Clocks { lfu: true, ..CLOCKS }),
    ] {
        assert_eq!(sorted(read_raw(&file)), sorted(read(&file)));
        for end in 9..file.len() {
            assert!(read_raw(&file[..end]).is_err());
        }
    }
    let damaged = b"REDIS0010\x00\x01k\x03abc\x00\x01l\xc3\x01\x05a\xff\0\0\0\0\0\0\0\0";
    let error = read_raw(damaged).unwrap_err();
    assert_eq!(error, "invalid LZF compressed string, at byte 23");
}

#[test]
fn what_follows_the_file_is_not_lost() {
    let bytes = [&sample(None, CLOCKS)[..], b"and more"].concat();
    let mut reader = FileReader::new(&bytes[..], &Limits::default(), true).unwrap();
    let mut batch = RawBatch::default();
    while !matches!(reader.next_raw(&mut batch), Ok(Raw::End)) {}
    assert_eq!(reader.into_rest(), (b"and more".to_vec(), &b""[..]));
}

proptest! {
    #[test]
    fn batches_and_items_agree_on_any_bytes(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0xF0_u8..=0xFF, 0_u8..26, 0_u8..4], 0..80)) {
        let file = [&b"REDIS0003"[..], &bytes, b"\xff"].concat();
        match (sorted(read(&file)), sorted(read_raw(&file))) {
            (Ok(items), Ok(raw)) => prop_assert_eq!(items, raw),
            (items, raw) => prop_assert_eq!(items.is_err(), raw.is_err()),
        }
    }

    #[test]
    fn bytes_of_any_origin_never_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0xF0_u8..=0xFF, 0_u8..26], 0..80)) {
        let _either = read(&[&b"REDIS0012"[..], &bytes].concat());
    }
}
