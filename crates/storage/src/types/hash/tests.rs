use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const DEFAULT: HashLimits = HashLimits {
    max_listpack_entries: 512,
    max_listpack_value: 64,
};

fn texts(hash: &Hash) -> Vec<(String, String)> {
    let text = |item: Item<'_>| String::from_utf8(item.to_vec()).unwrap();
    hash.iter()
        .map(|(field, value)| (text(field), text(value)))
        .collect()
}

#[test]
fn hash_is_one_word() {
    assert_eq!((size_of::<Hash>(), size_of::<Option<Hash>>()), (8, 8));
    assert_eq!(HashLimits::default(), DEFAULT);
}

#[test]
fn listpack_keeps_the_order_of_arrival() {
    let mut hash = Hash::new();
    for (field, value) in [("b", "1"), ("a", "b"), ("7", "x"), ("c", "7")] {
        assert!(hash.set(field.as_bytes(), value.as_bytes(), &DEFAULT));
    }
    assert!(!hash.set(b"a", b"a much longer value", &DEFAULT));
    // A value that equals a field is no field.
    assert!(!hash.contains(b"x") && !hash.remove(b"1"));
    assert!(hash.remove(b"7"));
    assert!(hash.set(b"7", b"again", &DEFAULT));
    let expected = [
        ("b", "1"),
        ("a", "a much longer value"),
        ("c", "7"),
        ("7", "again"),
    ];
    assert_eq!(
        texts(&hash),
        expected.map(|(field, value)| (field.to_owned(), value.to_owned()))
    );
    assert_eq!(
        (hash.get(b"c"), hash.value_len(b"c"), hash.value_len(b"a")),
        (Some(Item::Int(7)), Some(1), Some(19))
    );
}

#[test]
fn grows_into_a_table_and_stays_one() {
    let mut hash = Hash::new();
    for number in 0..512 {
        hash.set(
            format!("f{number}").as_bytes(),
            number.to_string().as_bytes(),
            &DEFAULT,
        );
    }
    assert!(!hash.set(b"f5", b"other", &DEFAULT));
    assert_eq!((hash.encoding(), hash.len()), ("listpack", 512));
    assert!(hash.set(b"one more", b"", &DEFAULT));
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 513));
    assert_eq!(hash.get(b"f5"), Some(Item::Bytes(b"other")));
    assert_eq!(hash.get(b"f6"), Some(Item::Bytes(b"6")));
    (0..512).for_each(|number| assert!(hash.remove(format!("f{number}").as_bytes())));
    assert_eq!(
        (hash.encoding(), texts(&hash)),
        ("hashtable", vec![("one more".into(), "".into())])
    );
}

#[test]
fn long_fields_and_values_need_a_table() {
    for (field, value, encoding) in [
        (64, 64, "listpack"),
        (65, 1, "hashtable"),
        (1, 65, "hashtable"),
        (3000, 70_000, "hashtable"),
    ] {
        let mut hash = Hash::new();
        hash.set(b"first", b"1", &DEFAULT);
        assert!(hash.set(&vec![b'f'; field], &vec![b'v'; value], &DEFAULT));
        assert_eq!((hash.encoding(), hash.len()), (encoding, 2));
        assert_eq!(hash.value_len(&vec![b'f'; field]), Some(value));
        assert_eq!(hash.get(b"first").unwrap().to_vec(), b"1");
    }
    let mut hash = Hash::new();
    hash.set(b"f", b"1", &DEFAULT);
    assert!(!hash.set(b"f", &[b'v'; 65], &DEFAULT));
    assert_eq!((hash.encoding(), hash.value_len(b"f")), ("hashtable", Some(65)));
    let mut hash = Hash::new();
    hash.set(
        b"f",
        b"1",
        &HashLimits {
            max_listpack_entries: 0,
            ..DEFAULT
        },
    );
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 1));
}

#[test]
fn expected_size_chooses_the_encoding() {
    let mut hash = Hash::new();
    hash.set(b"f", b"1", &DEFAULT);
    hash.expect(512, &DEFAULT);
    assert_eq!(hash.encoding(), "listpack");
    hash.expect(513, &DEFAULT);
    assert_eq!(
        (hash.encoding(), texts(&hash)),
        ("hashtable", vec![("f".into(), "1".into())])
    );
}

#[test]
fn loads_what_rdb_holds() {
    let mut pack = Listpack::new();
    pack.push_back_pair(b"a", b"1");
    pack.push_back_pair(b"b", b"a");
    let hash = Hash::from_listpack(pack.clone(), &DEFAULT).unwrap();
    assert_eq!(hash.as_listpack().unwrap().as_bytes(), pack.as_bytes());
    let few = HashLimits {
        max_listpack_entries: 1,
        ..DEFAULT
    };
    let hash = Hash::from_listpack(pack.clone(), &few).unwrap();
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 2));
    let mut odd = pack.clone();
    odd.push_back(b"c");
    assert!(Hash::from_listpack(odd, &DEFAULT).is_none());
    pack.push_back_pair(b"a", b"2");
    assert!(Hash::from_listpack(pack, &DEFAULT).is_none());
}

#[test]
fn random_is_fair_in_every_encoding() {
    for long in [1, 65] {
        let mut hash = Hash::new();
        for number in 0..9u8 {
            hash.set(&[b'0' + number], &[b'a' + number], &DEFAULT);
        }
        hash.set(b"9", &vec![b'j'; long], &DEFAULT);
        let mut rng = SmallRng::seed_from_u64(3);
        let mut drawn: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for _ in 0..10_000 {
            let (field, value) = hash.random(&mut rng).unwrap();
            let (field, value) = (field.to_vec(), value.to_vec());
            assert_eq!(field[0] - b'0', value[0] - b'a');
            *drawn.entry(field).or_default() += 1;
        }
        assert!(
            drawn.len() == 10 && drawn.values().all(|count| (820..1180).contains(count)),
            "{drawn:?}"
        );
    }
    assert!(Hash::new().random(&mut SmallRng::seed_from_u64(1)).is_none());
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..60u8).prop_map(|number| number.to_string().into_bytes()),
        3 => (0..40u8).prop_map(|number| format!("w{number}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn agrees_with_model(
        steps in prop::collection::vec((text(), prop::option::weighted(0.7, text())), 0..150),
        max_listpack_entries in 0..40usize,
        max_listpack_value in 2..12usize,
        seed: u64,
    ) {
        let limits = HashLimits { max_listpack_entries, max_listpack_value };
        let (mut hash, mut model) = (Hash::new(), BTreeMap::new());
        for (field, value) in steps {
            match value {
                Some(value) => {
                    prop_assert_eq!(hash.set(&field, &value, &limits), model.insert(field.clone(), value.clone()).is_none());
                    prop_assert!(hash.get(&field).is_some_and(|item| item.eq_bytes(&value)));
                    prop_assert_eq!(hash.value_len(&field), Some(value.len()));
                }
                None => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
            }
            prop_assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
            prop_assert!(hash.encoding() == "hashtable" || hash.len() <= max_listpack_entries);
        }
        let copy = hash.clone();
        drop(hash);
        let owned = |(field, value): Pair<'_>| (field.to_vec(), value.to_vec());
        prop_assert_eq!(&copy.iter().map(owned).collect::<BTreeMap<_, _>>(), &model);
        let sample: BTreeMap<_, _> =
            copy.sample(7, &mut SmallRng::seed_from_u64(seed)).into_iter().map(owned).collect();
        prop_assert_eq!(sample.len(), model.len().min(7));
        prop_assert!(sample.iter().all(|(field, value)| model.get(field) == Some(value)));
        let (mut seen, mut cursor) = (BTreeMap::new(), 0);
        loop {
            cursor = copy.scan(cursor, 3, |field, value| { seen.insert(field.to_vec(), value.to_vec()); });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model);
    }
}
