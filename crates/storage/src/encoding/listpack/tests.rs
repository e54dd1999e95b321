//! The listpack against a vector of byte strings, against Redis's bytes and against damaged bytes.

use proptest::prelude::*;

use super::*;

fn pack_of<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Listpack {
    let mut pack = Listpack::new();
    values
        .into_iter()
        .for_each(|value| pack.push_back(value.as_ref()));
    pack
}

fn contents(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|item| item.to_vec()).collect()
}

/// Short and long strings around the limits of the heads, and integers around the limits of theirs.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "", "7", "-7", "07", "field"]).prop_map(Vec::from),
        2 => any::<i64>().prop_flat_map(|n| (0..64_u32).prop_map(move |s| (n >> s).to_string().into_bytes())),
        2 => prop::collection::vec(any::<u8>(), 0..70),
        1 => (60..130_usize).prop_map(|len| vec![b'x'; len]),
        1 => prop::sample::select(vec![4094_usize, 4095, 4096, 16377, 16378, 16379]).prop_map(|len| vec![b'y'; len]),
    ]
}

#[test]
fn bytes_are_those_of_redis() {
    // DUMP of HSET h f <value> on redis-server 7.0.15, the entry of the value alone.
    for (value, entry) in [
        ("0", &b"\x00\x01"[..]),
        ("127", b"\x7f\x01"),
        ("128", b"\xc0\x80\x02"),
        ("-1", b"\xdf\xff\x02"),
        ("4095", b"\xcf\xff\x02"),
        ("4096", b"\xf1\x00\x10\x03"),
        ("-4096", b"\xd0\x00\x02"),
        ("-4097", b"\xf1\xff\xef\x03"),
        ("32768", b"\xf2\x00\x80\x00\x04"),
        ("-32769", b"\xf2\xff\x7f\xff\x04"),
        ("8388608", b"\xf3\x00\x00\x80\x00\x05"),
        ("-8388609", b"\xf3\xff\xff\x7f\xff\x05"),
        ("2147483648", b"\xf4\x00\x00\x00\x80\x00\x00\x00\x00\x09"),
        (
            "-9223372036854775808",
            b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09",
        ),
        ("9223372036854775808", b"\x939223372036854775808\x14"),
        ("-0", b"\x82-0\x03"),
        ("01", b"\x8201\x03"),
        ("", b"\x80\x01"),
    ] {
        let pack = pack_of(["f", value]);
        let total = 6 + 3 + entry.len() + 1;
        let expected = [&[total as u8, 0, 0, 0, 2, 0, 0x81, b'f', 2], entry, &[END]].concat();
        assert_eq!(pack.as_bytes(), expected, "{value:?}");
        assert_eq!(contents(&pack), [b"f", value.as_bytes()], "{value:?}");
    }
}

#[test]
fn back_lengths_are_those_of_redis() {
    // Lengths of head and body, and the backlen that redis-server 7.0.15 writes.
    for (data_len, backlen) in [
        (127, &[0x7f][..]),
        (128, &[0x01, 0x80]),
        (16382, &[0x7f, 0xfe]),
        (16383, &[0x00, 0xff, 0xff]),
        (16384, &[0x01, 0x80, 0x80]),
        (2097150, &[0x7f, 0xff, 0xfe]),
        (2097151, &[0x00, 0xff, 0xff, 0xff]),
        (2097152, &[0x01, 0x80, 0x80, 0x80]),
    ] {
        let head = if data_len - 2 < 4096 { 2 } else { 5 };
        let pack = pack_of([vec![b'x'; data_len - head]]);
        let bytes = pack.as_bytes();
        assert_eq!(bytes.len(), EMPTY + data_len + backlen.len());
        assert_eq!(&bytes[6 + data_len..bytes.len() - 1], backlen, "{data_len}");
        assert_eq!(pack.last(), pack.first());
        assert_eq!(Listpack::from_bytes(bytes).unwrap(), pack);
    }
}

#[test]
fn find_skips_values_between_fields() {
    let pack = pack_of(["a", "b", "b", "c", "10", "a"]);
    let field = |name: &str| pack.find_first(name.as_bytes(), 1).map(|pos| pos.offset());
    let nth = |index| pack.seek(index).map(|pos| pos.offset());
    assert_eq!((field("a"), field("b"), field("10")), (nth(0), nth(2), nth(4)));
    assert_eq!((field("c"), field(""), field("010")), (None, None, None));
    assert_eq!(pack.find(b"a", pack.seek(1).unwrap(), 0), pack.seek(-1));
    assert_eq!(Listpack::new().find_first(b"a", 1), None);
    // The text of an integer may be longer than the whole listpack.
    let long = pack_of([i64::MIN.to_string()]);
    assert!(long.find_first(i64::MIN.to_string().as_bytes(), 0).is_some());
}

#[test]
fn a_count_of_65535_or_more_is_counted() {
    let mut pack = pack_of((0..65534).map(|n| n.to_string()));
    assert_eq!((pack.len(), pack.count_field()), (65534, 65534));
    pack.push_back(b"x");
    pack.push_back(b"y");
    assert_eq!((pack.len(), pack.count_field()), (65536, UNKNOWN));
    assert_eq!(pack.get(65535), Some(Item::Bytes(b"y")));
    assert_eq!(pack.get(-2), Some(Item::Bytes(b"x")));
    assert_eq!(pack.get(65536), None);
    let read = Listpack::from_bytes(pack.as_bytes()).unwrap();
    assert_eq!(read, pack);
    let tail = pack.split_off(65530);
    assert_eq!((pack.len(), pack.count_field(), tail.len()), (65530, 65530, 6));
}

#[test]
fn other_encodings_of_a_value_are_rewritten() {
    // The string "7", the 16-bit integer 7, and "ab" with a 12-bit length: valid, but not what Redis writes.
    let bytes = b"\x14\0\0\0\x03\0\x817\x02\xf1\x07\0\x03\xe0\x02ab\x04\xff".to_vec();
    let mut bytes = bytes;
    bytes[0] = bytes.len() as u8;
    let pack = Listpack::from_bytes(&bytes).unwrap();
    assert_eq!(pack, pack_of(["7", "7", "ab"]));
    assert_eq!(pack.len(), 3);
    assert!(pack.find_first(b"ab", 0).is_some());
}

#[test]
fn damaged_bytes_are_refused() {
    let good = pack_of(["a", "300", "long enough to have a tail"]);
    for cut in 0..good.total_bytes() {
        assert!(Listpack::from_bytes(&good.as_bytes()[..cut]).is_err());
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = byte;
        Listpack::from_bytes(&bytes)
    };
    assert_eq!(with(0, 9), Err(ListpackError::Size));
    assert_eq!(with(4, 2), Err(ListpackError::Count));
    assert_eq!(with(6, 0xF5), Err(ListpackError::Entry(6)));
    assert_eq!(with(6, 0xF0), Err(ListpackError::Entry(6)));
    assert_eq!(with(8, 3), Err(ListpackError::Entry(6)));
    assert_eq!(with(8, 0x81), Err(ListpackError::Entry(6)));
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Pair(usize, Vec<u8>, Vec<u8>),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveMany(usize),
    SplitAndAppend(usize),
    SplitAndPrepend(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        value().prop_map(Op::PushBack),
        value().prop_map(Op::PushFront),
        (0..100_usize, value(), value()).prop_map(|(at, a, b)| Op::Pair(at, a, b)),
        (0..100_usize, value()).prop_map(|(at, v)| Op::InsertBefore(at, v)),
        (0..100_usize, value()).prop_map(|(at, v)| Op::InsertAfter(at, v)),
        (0..100_usize, value()).prop_map(|(at, v)| Op::Replace(at, v)),
        (0..100_usize, 0..4_usize).prop_map(|(at, n)| Op::Remove(at, n)),
        (2..9_usize).prop_map(Op::RemoveMany),
        (0..100_usize).prop_map(Op::SplitAndAppend),
        (0..100_usize).prop_map(Op::SplitAndPrepend),
    ]
}

fn apply(op: Op, pack: &mut Listpack, model: &mut Vec<Vec<u8>>) {
    // Numbers above the length are taken modulo it.
    let at = |index: usize, pack: &Listpack| {
        let index = index.checked_rem(pack.len())?;
        Some((index, pack.seek(index as i64)?))
    };
    match op {
        Op::PushBack(value) => {
            pack.push_back(&value);
            model.push(value);
        }
        Op::PushFront(value) => {
            pack.push_front(&value);
            model.insert(0, value);
        }
        Op::Pair(index, first, second) => match at(index, pack) {
            Some((index, pos)) => {
                pack.insert_pair_before(pos, &first, &second);
                model.splice(index..index, [first, second]);
            }
            None => {
                pack.push_back_pair(&first, &second);
                model.extend([first, second]);
            }
        },
        Op::InsertBefore(index, value) => {
            let Some((index, pos)) = at(index, pack) else {
                return;
            };
            let new = pack.insert_before(pos, &value);
            assert!(pack.at(new).eq_bytes(&value));
            model.insert(index, value);
        }
        Op::InsertAfter(index, value) => {
            let Some((index, pos)) = at(index, pack) else {
                return;
            };
            let new = pack.insert_after(pos, &value);
            assert!(pack.at(new).eq_bytes(&value));
            model.insert(index + 1, value);
        }
        Op::Replace(index, value) => {
            let Some((index, pos)) = at(index, pack) else {
                return;
            };
            pack.replace(pos, &value);
            model[index] = value;
        }
        Op::Remove(index, count) => {
            let Some((index, pos)) = at(index, pack) else {
                return;
            };
            let next = pack.remove_at(pos, count);
            model.drain(index..(index + count).min(model.len()));
            assert_eq!(next.map(|pos| pack.at(pos).to_vec()).as_ref(), model.get(index));
        }
        Op::RemoveMany(every) => {
            let kept = |index: usize| index % every != 1;
            let positions: Vec<_> = (0..pack.len())
                .filter(|&k| !kept(k))
                .map(|k| pack.seek(k as i64).unwrap())
                .collect();
            pack.remove_many(&positions);
            let mut index = 0..;
            model.retain(|_| index.next().is_some_and(kept));
        }
        Op::SplitAndAppend(index) => {
            let tail = pack.split_off(index);
            pack.append(&tail);
        }
        Op::SplitAndPrepend(index) => {
            let mut tail = pack.split_off(index);
            tail.append(pack);
            *pack = tail;
            let mid = index.min(model.len());
            model.rotate_left(mid);
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_vector(ops in prop::collection::vec(op(), 0..60)) {
        let (mut pack, mut model) = (Listpack::new(), Vec::new());
        for op in ops {
            apply(op, &mut pack, &mut model);
            prop_assert_eq!(pack.len(), model.len());
            prop_assert_eq!(pack.is_empty(), model.is_empty());
        }
        prop_assert_eq!(contents(&pack), model.clone());
        let backwards: Vec<_> = pack.iter().rev().map(|item| item.to_vec()).collect();
        prop_assert!(backwards.iter().eq(model.iter().rev()));
        for (index, value) in model.iter().enumerate() {
            prop_assert!(pack.get(index as i64).unwrap().eq_bytes(value));
            prop_assert!(pack.get(index as i64 - model.len() as i64).unwrap().eq_bytes(value));
            let found = pack.find_first(value, 0).unwrap();
            let first = model.iter().position(|other| other == value).unwrap();
            prop_assert_eq!(Some(found), pack.seek(first as i64));
        }
        prop_assert_eq!(pack.get(model.len() as i64), None);
        prop_assert_eq!(pack.get(-1 - model.len() as i64), None);
        let read = Listpack::from_bytes(pack.as_bytes()).unwrap();
        prop_assert_eq!(read.as_bytes(), pack.as_bytes());
    }

    #[test]
    fn an_item_gives_its_bytes_in_every_way(value in value(), other in value()) {
        let pack = pack_of([&value]);
        let item = pack.get(0).unwrap();
        prop_assert_eq!(item.to_cow(), &value[..]);
        prop_assert_eq!(item.to_vec(), value.clone());
        prop_assert_eq!(item.byte_len(), value.len());
        prop_assert!(item.with_bytes(|bytes| bytes == value));
        prop_assert_eq!(item.eq_bytes(&other), value == other);
        prop_assert_eq!(Needle::new(&other).matches(&item), value == other);
        prop_assert!(Needle::new(&value).matches(&item));
        prop_assert!(pack.total_bytes() - EMPTY <= Listpack::entry_bound(value.len()));
    }

    #[test]
    fn bytes_of_any_origin_never_panic(
        values in prop::collection::vec(value(), 0..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        size_right in any::<bool>(),
    ) {
        let mut bytes = pack_of(&values).as_bytes().to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if size_right {
            let len = bytes.len() as u32;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
        }
        if let Ok(pack) = Listpack::from_bytes(&bytes) {
            prop_assert_eq!(pack.iter().count(), pack.len());
            prop_assert_eq!(pack.iter().rev().count(), pack.len());
            let values = contents(&pack);
            prop_assert!(values.iter().all(|value| pack.find_first(value, 0).is_some()));
            prop_assert_eq!(pack_of(values), pack);
        }
    }

    #[test]
    fn noise_never_panics(mut noise in prop::collection::vec(any::<u8>(), 0..60), count in 0..8_u16) {
        let mut bytes = vec![0; 4];
        bytes.extend(count.to_le_bytes());
        bytes.append(&mut noise);
        bytes.push(END);
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        if let Ok(pack) = Listpack::from_bytes(&bytes) {
            prop_assert_eq!(pack.iter().rev().count(), pack.len());
        }
    }
}
