use holdfast_storage::encoding::entry::Entry;
use holdfast_storage::types::hash::Hash;
use holdfast_storage::types::list::{End, List};
use holdfast_storage::types::set::Set;
use holdfast_storage::types::zset::Zset;
use holdfast_storage::value::Kind;
use proptest::prelude::*;

use super::*;
use crate::payload::{self, PayloadError};
use crate::skim::{Chain, Tee, skim};

/// What a value is to a client: its encoding and its elements in their order.
type Seen = (Kind, &'static str, Vec<Vec<u8>>);

fn seen(value: ValueRef<'_>) -> Seen {
    let elements = match value {
        ValueRef::Int(int) => vec![int.to_string().into_bytes()],
        ValueRef::Str { bytes, .. } => vec![bytes.to_vec()],
        ValueRef::Heap(text) => vec![text.as_slice().to_vec()],
        ValueRef::List(list) => list.iter().map(|e| e.to_vec()).collect(),
        ValueRef::Set(set) => sorted(set.iter().map(|m| m.to_vec())),
        ValueRef::Hash(hash) => sorted(hash.iter().map(|(f, v)| [f.to_vec(), v.to_vec()].join(&b'='))),
        ValueRef::Zset(zset) => zset
            .iter()
            .map(|(m, s)| [m.to_vec(), s.to_bits().to_string().into_bytes()].join(&b'='))
            .collect(),
        ValueRef::Stream(stream) => stream.iter().map(|e| e.id.to_string().into_bytes()).collect(),
    };
    (value.kind(), value.encoding(), elements)
}

fn sorted(elements: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut elements: Vec<_> = elements.collect();
    elements.sort();
    elements
}

/// As the keyspace keeps it.
fn entry(value: Value) -> Entry {
    Entry::new(b"k", value, None)
}

fn restored(payload: &[u8]) -> Result<Entry, String> {
    payload::restore(payload, false, &Limits::default())
        .map(entry)
        .map_err(|e| match e {
            PayloadError::Footer => e.to_string(),
            PayloadError::Value(inside) => inside.to_string(),
        })
}

/// A value that is skimmed ends where it ends for who reads it, and can be read from the copy.
fn check_skim(body: &[u8], version: u16) {
    let (Some((&code, value)), limits) = (body.split_first(), Limits::default()) else {
        return;
    };
    let Ok(ty) = Type::new(code, version) else {
        return;
    };
    let (mut read, mut skimmed, mut copy) = (value, value, Vec::new());
    let value_read = read_value(&mut read, ty, &limits);
    let mut tee = Tee::new(&mut skimmed, &mut copy, usize::MAX);
    let skimmed_too = skim(&mut tee, ty);
    if matches!(value_read, Ok(_) | Err(RdbError::Empty)) {
        assert!(skimmed_too.is_ok(), "{ty:?} {skimmed_too:?}");
        assert_eq!(skimmed.len(), read.len(), "{ty:?}");
        assert_eq!(copy, value[..value.len() - read.len()], "{ty:?}");
    }
    assert_eq!(copy, value[..value.len() - skimmed.len()], "{ty:?}");
    // However little room there is, nothing that was taken is lost.
    for room in 0..copy.len().min(300) {
        let (mut skimmed, mut some) = (value, Vec::new());
        let mut tee = Tee::new(&mut skimmed, &mut some, room);
        assert!(skim(&mut tee, ty).is_err() && tee.is_full() || skimmed_too.is_err());
        assert_eq!(some, value[..value.len() - skimmed.len()], "{ty:?}");
        let mut whole = Chain {
            first: &some,
            then: &mut skimmed,
        };
        let again = read_value(&mut whole, ty, &limits).map(|v| seen(entry(v).value()));
        assert_eq!(again.is_ok(), value_read.is_ok());
    }
}

/// Reads a body (type byte first) that came without a footer.
fn read_body(body: &[u8], version: u16) -> Result<Seen, String> {
    check_skim(body, version);
    let mut payload = body.to_vec();
    payload::seal(&mut payload, version);
    restored(&payload).map(|e| seen(e.value()))
}

#[track_caller]
fn round_trip(value: Value) {
    let before = entry(value);
    for compress in [false, true] {
        let payload = payload::dump(before.value(), compress, Dialect::Redis);
        let after = restored(&payload).expect("what was written is read");
        assert_eq!(seen(after.value()), seen(before.value()));
        assert_eq!(payload::dump(after.value(), compress, Dialect::Redis), payload);
    }
}

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn every_encoding_is_written_and_read() {
    let limits = limits();
    for text in [
        &b""[..],
        b"text",
        b"12",
        b"-9223372036854775808",
        b"0012",
        &[b'x'; 3000],
    ] {
        let value = match parse_canonical(text) {
            Some(int) => Value::Int(int),
            None if text.len() <= INLINE_MAX => Value::Str(text.into()),
            None => Value::Heap(Box::new(HeapStr::Owned(text.to_vec()))),
        };
        round_trip(value);
    }
    for (count, len) in [(3, 5), (400, 90), (3, 20_000)] {
        let element = |i: usize| format!("{i:0>len$}").into_bytes();
        let (mut list, mut set) = (List::new(), Set::new());
        let (mut hash, mut zset) = (Hash::new(), Zset::new());
        for i in 0..count {
            list.push(End::Back, &element(i), &limits.list);
            list.push(End::Front, i.to_string().as_bytes(), &limits.list);
            set.insert(&element(i), &limits.set);
            hash.set(&element(i), &element(count - i), &limits.hash);
            zset.insert(&element(i), -1.5 * i as f64, &limits.zset);
        }
        round_trip(Value::List(list));
        // The order inside of a table is its own affair, so only the elements are compared.
        for value in [Value::Set(set), Value::Hash(hash)] {
            let before = entry(value);
            let after = restored(&payload::dump(before.value(), true, Dialect::Redis)).unwrap();
            assert_eq!(seen(after.value()), seen(before.value()));
        }
        zset.insert(b"high", f64::INFINITY, &limits.zset);
        zset.insert(b"low", f64::NEG_INFINITY, &limits.zset);
        zset.insert(b"zero", -0.0, &limits.zset);
        round_trip(Value::Zset(zset));
    }
    for max in [100, 40_000, i64::MAX] {
        let mut set = Set::new();
        for i in 0..20 {
            set.insert((max - i * 5).to_string().as_bytes(), &limits.set);
        }
        round_trip(Value::Set(set));
    }
}

#[test]
fn redis_reads_what_is_written() {
    // DUMP of redis-server 7.0.15 with rdbcompression no.
    let mut hash = Hash::new();
    hash.set(b"f", b"1", &limits().hash);
    let payload = payload::dump(entry(Value::Hash(hash)).value(), false, Dialect::Redis);
    assert_eq!(
        payload[..payload.len() - 8],
        *b"\x10\x0c\x0c\0\0\0\x02\0\x81f\x02\x01\x01\xff\x0a\0"
    );
    assert_eq!(
        payload::dump(entry(Value::Str((*b"v").into())).value(), true, Dialect::Redis),
        b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce"
    );
}

#[test]
fn older_forms_are_read() {
    let ziplist = |elements: &[&[u8]]| {
        let bytes = crate::ziplist::tests::ziplist(elements);
        let mut w = Writer::new(Vec::new(), false);
        w.string(&bytes).unwrap();
        w.into_inner()
    };
    let with_type = |ty: Type, rest: &[u8]| [&[ty.code()], rest].concat();
    let text = |elements: &[&str]| elements.iter().map(|e| e.as_bytes().to_vec()).collect::<Vec<_>>();

    let list = with_type(Type::ListZiplist, &ziplist(&[b"a", b"1", b"b"]));
    assert_eq!(
        read_body(&list, 6),
        Ok((Kind::List, "listpack", text(&["a", "1", "b"])))
    );
    let nodes = [
        &b"\x03"[..],
        &ziplist(&[b"a", b"1"]),
        &ziplist(&[]),
        &ziplist(&[b"b"]),
    ]
    .concat();
    let list = with_type(Type::ListQuicklist, &nodes);
    assert_eq!(
        read_body(&list, 9),
        Ok((Kind::List, "quicklist", text(&["a", "1", "b"])))
    );
    let list = with_type(Type::List, b"\x02\x01a\xc0\x05");
    assert_eq!(
        read_body(&list, 1),
        Ok((Kind::List, "listpack", text(&["a", "5"])))
    );

    let hash = with_type(Type::HashZiplist, &ziplist(&[b"f", b"1", b"g", b"x"]));
    assert_eq!(
        read_body(&hash, 6),
        Ok((Kind::Hash, "listpack", text(&["f=1", "g=x"])))
    );
    let hash = with_type(Type::HashZipmap, b"\x0e\x02\x01f\x01\x001\x01g\x01\x02x??\xff");
    assert_eq!(
        read_body(&hash, 3),
        Ok((Kind::Hash, "listpack", text(&["f=1", "g=x"])))
    );

    let score = |m: &str, s: f64| format!("{m}={}", s.to_bits());
    let expected = [score("a", -1.0), score("b", 2.5)];
    let expected = text(&expected.each_ref().map(String::as_str));
    let zset = with_type(Type::ZsetZiplist, &ziplist(&[b"b", b"2.5", b"a", b"-1"]));
    assert_eq!(
        read_body(&zset, 6),
        Ok((Kind::Zset, "listpack", expected.clone()))
    );
    let zset = with_type(Type::Zset, b"\x02\x01b\x032.5\x01a\x02-1");
    assert_eq!(read_body(&zset, 6), Ok((Kind::Zset, "listpack", expected)));
}

#[test]
fn fields_keep_the_times_at_which_they_expire() {
    let mut hash = Hash::new();
    for (field, at_ms) in [
        ("never", None),
        ("soon", Some(1_000_000)),
        ("late", Some(1_000_000_000_000)),
    ] {
        hash.set(field.as_bytes(), b"v", &limits().hash);
        hash.set_expiry_ms(field.as_bytes(), at_ms);
    }
    let times = |hash: &Hash| {
        sorted(
            hash.iter_all()
                .map(|(f, _, at)| format!("{}{at:?}", f.to_cow().escape_ascii()).into_bytes()),
        )
    };
    let expected = times(&hash);
    let before = entry(Value::Hash(hash));
    let payload = payload::dump(before.value(), true, Dialect::Redis);
    assert_eq!((payload[0], payload[payload.len() - 10]), (24, 12));
    let read = |body: &[u8], version| {
        let ty = Type::new(body[0], version).unwrap();
        match read_value(&mut &body[1..], ty, &limits()) {
            Ok(Value::Hash(hash)) => times(&hash),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(&payload, 12), expected);
    assert!(restored(&payload).is_ok());
    let valkey = payload::dump(before.value(), true, Dialect::Valkey);
    assert_eq!((valkey[0], valkey[valkey.len() - 10]), (22, 80));
    assert_eq!(read(&valkey, 80), expected);
    assert!(restored(&valkey).is_ok());

    let (soon, late) = (1_000_000_i64, 1_000_000_000_000_i64);
    let mut early = Writer::new(vec![22, 3], false);
    let mut valkey = Writer::new(vec![22, 3], false);
    let mut pack = Listpack::new();
    for (field, at_ms) in [("never", 0), ("soon", soon), ("late", late)] {
        early.len(at_ms as u64).unwrap();
        for w in [&mut early, &mut valkey] {
            w.string(field.as_bytes()).unwrap();
            w.string(b"v").unwrap();
        }
        valkey.millis(if at_ms == 0 { -1 } else { at_ms }).unwrap();
        pack.push_back_pair(field.as_bytes(), b"v");
        pack.push_back_int(at_ms);
    }
    assert_eq!(read(&early.into_inner(), 12), expected);
    assert_eq!(read(&valkey.into_inner(), 80), expected);
    let packed = [&[pack.total_bytes() as u8], pack.as_bytes()].concat();
    assert_eq!(read(&[&[23], &packed[..]].concat(), 12), expected);
    assert_eq!(
        read(&[&[25], &soon.to_le_bytes()[..], &packed].concat(), 12),
        expected
    );
}

#[test]
fn limits_decide_the_encoding_of_what_is_read() {
    let mut small = limits();
    small.hash.max_listpack_entries = 1;
    small.set.max_listpack_entries = 1;
    small.set.max_intset_entries = 1;
    small.zset.max_listpack_entries = 1;
    for (body, encoding) in [
        (
            &b"\x10\x11\x11\0\0\0\x04\0\x81f\x02\x01\x01\x81g\x02\x02\x01\xff"[..],
            "hashtable",
        ),
        (b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x01\0\x02\0", "hashtable"),
        (b"\x02\x02\xc0\x01\xc0\x02", "hashtable"),
        (b"\x02\x02\x01a\x01b", "hashtable"),
        (b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01b\0\0\0\0\0\0\0\0", "skiplist"),
    ] {
        let ty = Type::new(body[0], 10).unwrap();
        let value = read_value(&mut &body[1..], ty, &small).expect("a value");
        assert_eq!(entry(value).value().encoding(), encoding, "{body:?}");
        let value = read_value(&mut &body[1..], ty, &limits()).expect("a value");
        assert_ne!(entry(value).value().encoding(), encoding, "{body:?}");
    }
}

#[test]
fn damage_is_named() {
    for (body, expected) in [
        (&b""[..], "unexpected end of the data"),
        (b"\x63", "unknown object type 99"),
        (b"\x02\x02\x01a\x01a", "duplicate elements"),
        (b"\x02\x00", "a collection without elements"),
        (b"\x04\x00", "a collection without elements"),
        (b"\x12\x00", "a collection without elements"),
        (
            b"\x12\x01\x02\x07\x07\0\0\0\0\0\xff",
            "a collection without elements",
        ),
        (b"\x04\x02\x01a\x01b\x01a\x01c", "duplicate elements"),
        (
            b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0",
            "duplicate elements",
        ),
        (b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f", "invalid score"),
        (b"\x03\x01\x01a\xfd", "invalid score"),
        (
            b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01b",
            "unexpected end of the data",
        ),
        (b"\x12\x01\x03\x03abc", "unknown list node container 3"),
        (b"\x12\x01\x02\x03abc", "listpack size does not match its bytes"),
        (
            b"\x10\x0a\x0a\0\0\0\x01\0\x81f\x02\xff",
            "a field without a value",
        ),
        (
            b"\x10\x0c\x0c\0\0\0\x03\0\x81f\x02\x01\x01\xff",
            "listpack entry count does not match its entries",
        ),
        (
            b"\x11\x0a\x0a\0\0\0\x01\0\x81f\x02\xff",
            "a field without a value",
        ),
        (b"\x11\x0d\x0d\0\0\0\x02\0\x81f\x02\x81g\x02\xff", "invalid score"),
        (
            b"\x11\x0d\x0e\0\0\0\x02\0\x81f\x02\x81g\x02\xff",
            "listpack size does not match its bytes",
        ),
        (
            b"\x11\x0e\x0d\0\0\0\x02\0\x81f\x02\x81g\x02\xff",
            "unexpected end of the data",
        ),
        (
            b"\x0b\x0a\x02\0\0\0\x02\0\0\0\x01\0",
            "intset size does not match its bytes",
        ),
        (b"\x0b\x08\x02\0\0\0\0\0\0\0", "a collection without elements"),
        (
            b"\x07\x81\x00\x00\x00\x00\x00\x00\x04\x00",
            "data of the module type 'AAAAAAAAB', and there are no modules",
        ),
        (b"\x18\0\0\0\0\0\0\0\0\x00", "a collection without elements"),
        (
            b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01f\x01v",
            "invalid expiry of a field",
        ),
        (
            b"\x18\0\0\0\0\0\0\0\0\x01\x81\xff\0\0\0\0\0\0\0\x01f\x01v",
            "invalid expiry of a field",
        ),
        (
            b"\x18\0\0\0\0\0\0\0\0\x02\x00\x01f\x01v\x00\x01f\x01v",
            "duplicate elements",
        ),
        (
            b"\x02\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a",
            "unexpected end of the data",
        ),
        (
            b"\x05\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a",
            "unexpected end of the data",
        ),
    ] {
        assert_eq!(read_body(body, 10), Err(expected.to_owned()), "{body:?}");
    }
}

#[test]
fn footers_are_checked() {
    let good = payload::dump(ValueRef::Int(5), true, Dialect::Redis);
    assert!(restored(&good).is_ok());
    let wrong = Err("DUMP payload version or checksum are wrong".to_owned());
    let check = |payload: &[u8]| restored(payload).map(|_| ());
    for len in 0..good.len() {
        assert_eq!(check(&good[..len]), wrong);
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert_eq!(check(&bad), wrong, "byte {at}");
    }
    for (version, expected) in [
        (0, Ok(())),
        (12, Ok(())),
        (13, wrong.clone()),
        (80, Ok(())),
        (81, wrong),
    ] {
        let mut payload = good[..good.len() - 10].to_vec();
        payload::seal(&mut payload, version);
        assert_eq!(check(&payload), expected, "version {version}");
    }
    let mut unsummed = good.clone();
    *unsummed.last_mut().unwrap() ^= 1;
    assert!(payload::restore(&unsummed, true, &limits()).is_ok());
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let element = || {
        prop_oneof![
            any::<i64>().prop_map(|i| (i >> (i & 63)).to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..12),
            (0_usize..400).prop_map(|len| vec![b'x'; len]),
        ]
    };
    let elements = || prop::collection::vec((element(), element(), any::<f32>()), 1..40);
    (elements(), 0..5).prop_map(|(elements, kind)| {
        let limits = limits();
        let value = match kind {
            0 => Value::Str(elements[0].0.clone().into()),
            1 => {
                let mut list = List::new();
                elements
                    .iter()
                    .for_each(|(e, ..)| list.push_back(e, &limits.list));
                Value::List(list)
            }
            2 => {
                let mut set = Set::new();
                for (member, ..) in &elements {
                    set.insert(member, &limits.set);
                }
                Value::Set(set)
            }
            3 => {
                let mut hash = Hash::new();
                for (field, value, _) in &elements {
                    hash.set(field, value, &limits.hash);
                }
                Value::Hash(hash)
            }
            _ => {
                let scored = elements.iter().map(|(m, _, s)| (m, f64::from(*s)));
                Value::Zset(Zset::from_unsorted(
                    scored.filter(|(_, s)| !s.is_nan()).chain([(&b"m".to_vec(), 1.0)]),
                    &limits.zset,
                ))
            }
        };
        payload::dump(entry(value).value(), elements.len() % 2 == 0, Dialect::Redis)
    })
}

proptest! {
    #[test]
    fn any_value_comes_back(payload in any_value()) {
        let value = restored(&payload).expect("what was written is read");
        let again = restored(&payload::dump(value.value(), true, Dialect::Redis)).expect("what was written is read");
        prop_assert_eq!(seen(again.value()), seen(value.value()));
    }

    /// Whatever is read can be looked at and written: no half-checked structure gets through.
    #[test]
    fn damaged_values_never_panic(payload in any_value(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<Option<prop::sample::Index>>()) {
        let mut body = payload[..payload.len() - 10].to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut body) = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        payload::seal(&mut body, 10);
        if let Ok(value) = restored(&body) {
            let elements = seen(value.value());
            let again = restored(&payload::dump(value.value(), true, Dialect::Redis)).expect("what was written is read");
            prop_assert_eq!(seen(again.value()), elements);
        }
    }
}
