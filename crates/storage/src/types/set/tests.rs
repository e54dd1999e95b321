use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const DEFAULT: SetLimits = SetLimits {
    max_intset_entries: 512,
    max_listpack_entries: 128,
    max_listpack_value: 64,
};

fn set_of<'a>(members: impl IntoIterator<Item = &'a str>, limits: &SetLimits) -> Set {
    let mut set = Set::new();
    for member in members {
        set.insert(member.as_bytes(), limits);
    }
    set
}

fn members(set: &Set) -> Vec<String> {
    set.iter()
        .map(|item| String::from_utf8(item.to_vec()).unwrap())
        .collect()
}

#[test]
fn set_is_one_word() {
    assert_eq!((size_of::<Set>(), size_of::<Option<Set>>()), (8, 8));
    assert_eq!(SetLimits::default(), DEFAULT);
}

#[test]
fn integers_stay_an_intset_up_to_the_limit() {
    let mut set = Set::new();
    for number in 0..512 {
        assert!(set.insert(number.to_string().as_bytes(), &DEFAULT));
        assert!(!set.insert(number.to_string().as_bytes(), &DEFAULT));
    }
    assert_eq!((set.encoding(), set.len()), ("intset", 512));
    set.insert(b"-1", &DEFAULT);
    assert_eq!((set.encoding(), set.len()), ("hashtable", 513));
    assert!(set.contains(b"-1") && set.contains(b"511") && !set.contains(b"0511"));
}

#[test]
fn a_word_makes_an_intset_a_listpack_or_a_table() {
    let mut set = set_of(["3", "1", "2"], &DEFAULT);
    set.insert(b"word", &DEFAULT);
    assert_eq!(
        (set.encoding(), members(&set)),
        (
            "listpack",
            vec!["1".into(), "2".into(), "3".into(), "word".into()]
        )
    );

    let mut set = set_of(["1"], &DEFAULT);
    set.insert(&[b'x'; 65], &DEFAULT);
    assert_eq!(set.encoding(), "hashtable");

    let numbers: Vec<String> = (0..128).map(|number| number.to_string()).collect();
    let mut full = set_of(numbers.iter().map(String::as_str), &DEFAULT);
    let mut fits = set_of(numbers[1..].iter().map(String::as_str), &DEFAULT);
    full.insert(b"word", &DEFAULT);
    fits.insert(b"word", &DEFAULT);
    assert_eq!((full.encoding(), full.len()), ("hashtable", 129));
    assert_eq!((fits.encoding(), fits.len()), ("listpack", 128));

    // The longest integer counts as text.
    let short = SetLimits {
        max_listpack_value: 4,
        ..DEFAULT
    };
    assert_eq!(set_of(["-1000", "1", "w"], &short).encoding(), "hashtable");
    assert_eq!(set_of(["-100", "1", "w"], &short).encoding(), "listpack");
}

#[test]
fn listpack_has_its_limits() {
    let words: Vec<String> = (0..129).map(|number| format!("w{number}")).collect();
    let mut set = set_of(words[..128].iter().map(String::as_str), &DEFAULT);
    assert_eq!(
        (set.encoding(), members(&set)),
        ("listpack", words[..128].to_vec())
    );
    assert!(!set.insert(b"w5", &DEFAULT));
    assert_eq!(set.encoding(), "listpack");
    assert!(set.insert(b"w128", &DEFAULT));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 129));
    words.iter().for_each(|word| assert!(set.remove(word.as_bytes())));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 0));

    assert_eq!(
        set_of(
            ["x"],
            &SetLimits {
                max_listpack_entries: 0,
                ..DEFAULT
            }
        )
        .encoding(),
        "hashtable"
    );
    assert_eq!(
        set_of(
            ["1"],
            &SetLimits {
                max_intset_entries: 0,
                ..DEFAULT
            }
        )
        .encoding(),
        "hashtable"
    );
    assert_eq!(set_of(["w", &"x".repeat(64)], &DEFAULT).encoding(), "listpack");
    assert_eq!(set_of(["w", &"x".repeat(65)], &DEFAULT).encoding(), "hashtable");
}

#[test]
fn removal_keeps_the_order_of_a_listpack() {
    let mut set = set_of(["a", "7", "b", "c"], &DEFAULT);
    assert!(set.remove(b"7") && !set.remove(b"7"));
    set.insert(b"7", &DEFAULT);
    assert_eq!(members(&set), ["a", "b", "c", "7"]);
}

#[test]
fn expected_size_chooses_the_encoding() {
    for (first, additions, encoding) in [
        ("1", 512, "intset"),
        ("1", 513, "hashtable"),
        ("a", 128, "listpack"),
        ("a", 129, "hashtable"),
    ] {
        let mut set = Set::new();
        set.expect(first.as_bytes(), additions, &DEFAULT);
        set.insert(first.as_bytes(), &DEFAULT);
        assert_eq!(set.encoding(), encoding, "{first} {additions}");
    }
    let few_ints = SetLimits {
        max_intset_entries: 4,
        ..DEFAULT
    };
    let mut set = Set::new();
    set.expect(b"1", 5, &few_ints);
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"1", &few_ints);
    set.expect(b"1", 129, &few_ints);
    assert_eq!(
        (set.encoding(), members(&set)),
        ("hashtable", vec!["1".to_owned()])
    );
}

#[test]
fn loads_what_rdb_holds() {
    let mut ints = Intset::new();
    for number in 0..600 {
        ints.insert(number);
    }
    assert_eq!(Set::from_intset(ints.clone(), &DEFAULT).encoding(), "hashtable");
    assert_eq!(
        Set::from_intset(
            ints,
            &SetLimits {
                max_intset_entries: 600,
                ..DEFAULT
            }
        )
        .len(),
        600
    );
    let mut pack = Listpack::new();
    pack.push_back(b"a");
    pack.push_back(b"1");
    let set = Set::from_listpack(pack.clone(), &DEFAULT).unwrap();
    assert_eq!(set.as_listpack().unwrap().as_bytes(), pack.as_bytes());
    assert_eq!(
        Set::from_listpack(
            pack.clone(),
            &SetLimits {
                max_listpack_entries: 1,
                ..DEFAULT
            }
        )
        .unwrap()
        .len(),
        2
    );
    pack.push_back(b"a");
    assert!(Set::from_listpack(pack, &DEFAULT).is_none());
}

#[test]
fn random_is_fair_in_every_encoding() {
    for word in ["9", "w", &"x".repeat(65)] {
        let numbers: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let set = set_of(numbers.iter().map(String::as_str).chain([word]), &DEFAULT);
        let mut rng = SmallRng::seed_from_u64(3);
        let mut drawn: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for _ in 0..10_000 {
            *drawn.entry(set.random(&mut rng).unwrap().to_vec()).or_default() += 1;
        }
        assert!(
            drawn.len() == 10 && drawn.values().all(|count| (820..1180).contains(count)),
            "{drawn:?}"
        );
    }
    assert!(Set::new().random(&mut SmallRng::seed_from_u64(1)).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
    Pop,
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-30..30i64).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => (0..40u8).prop_map(|number| format!("w{number}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn agrees_with_model(
        steps in prop::collection::vec(prop_oneof![
            5 => member().prop_map(Step::Insert),
            3 => member().prop_map(Step::Remove),
            1 => Just(Step::Pop),
        ], 0..150),
        max_intset_entries in 0..20usize,
        max_listpack_entries in 0..30usize,
        max_listpack_value in 2..12usize,
        seed: u64,
    ) {
        let limits = SetLimits { max_intset_entries, max_listpack_entries, max_listpack_value };
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Insert(member) => prop_assert_eq!(set.insert(&member, &limits), model.insert(member)),
                Step::Remove(member) => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                Step::Pop => {
                    let popped = set.pop_random(&mut rng);
                    prop_assert_eq!(popped.is_some(), !model.is_empty());
                    prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                }
            }
            prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
            match set.encoding() {
                "intset" => prop_assert!(set.len() <= max_intset_entries),
                "listpack" => prop_assert!(
                    set.len() <= max_listpack_entries && model.iter().all(|member| member.len() <= max_listpack_value)
                ),
                _ => {}
            }
        }
        let copy = set.clone();
        drop(set);
        prop_assert_eq!(&copy.iter().map(|item| item.to_vec()).collect::<BTreeSet<_>>(), &model);
        prop_assert!(copy.iter().all(|item| copy.contains_item(&item)));
        let sample: BTreeSet<_> = copy.sample(7, &mut rng).iter().map(Item::to_vec).collect();
        prop_assert!(sample.len() == model.len().min(7) && sample.is_subset(&model));
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = copy.scan(cursor, 3, |item| { seen.insert(item.to_vec()); });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model);
    }
}
