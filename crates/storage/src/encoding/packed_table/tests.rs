use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, usize),
    Remove(u16),
    Pop(u64),
}

fn steps(fields: u16, count: usize) -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![8 => 0..20usize, 2 => 60..200usize, 1 => 900..1200usize, 1 => 4000..5000usize];
    let step = prop_oneof![
        6 => (0..fields, length).prop_map(|(field, length)| Step::Insert(field, length)),
        4 => (0..fields).prop_map(Step::Remove),
        1 => any::<u64>().prop_map(Step::Pop),
    ];
    prop::collection::vec(step, 0..count)
}

/// Fields of all lengths around the limits of one- and two-byte records and of large entries.
fn field(number: u16) -> Vec<u8> {
    let text = format!("field-{number}");
    let length = match number % 32 {
        30 => 61 + usize::from(number / 32 % 8),
        31 => 1018 + usize::from(number / 32 % 12),
        _ => text.len(),
    };
    text.bytes().cycle().take(length.max(text.len())).collect()
}

fn value(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (seed + at) as u8).collect()
}

fn check<const VALUES: bool>(table: &PackedTable<VALUES>) {
    let mut sizes = Sizes::default();
    let mut entries = 0;
    assert_eq!(table.buckets, table.chunks.iter().map(Vec::len).sum::<usize>());
    for index in 0..table.buckets {
        let bucket = &table.chunks[index >> CHUNK_BITS][index % CHUNK];
        let one = bucket.sizes();
        sizes.packed += one.packed;
        sizes.large += one.large;
        sizes.large_len += one.large_len;
        let view = bucket.view::<VALUES>();
        entries += view.len();
        assert!(view.len() <= table.most_in_bucket);
        assert_eq!(matches!(bucket, Bucket::Mixed(_)), one.large_len > 0);
        for place in view.places() {
            assert_eq!(table.index_of(hash::hash(view.entry(&place).0)), index);
        }
    }
    assert_eq!((entries, sizes), (table.len(), table.sizes));
    assert!(table.len() <= table.buckets * ENTRIES_PER_BUCKET);
    assert!(table.buckets == 1 || table.buckets / 2 <= table.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn map_agrees_with_model(steps in steps(400, 1200)) {
        let mut table = HashTable::new();
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Insert(number, length) => {
                    let (field, value) = (field(*number), value(at, *length));
                    let new = model.insert(field.clone(), value.clone()).is_none();
                    prop_assert_eq!(table.insert(&field, &value), new);
                    prop_assert_eq!(table.get(&field), Some(&value[..]));
                }
                Step::Remove(number) => {
                    let there = model.remove(&field(*number)).is_some();
                    prop_assert_eq!(table.remove(&field(*number)), there);
                }
                Step::Pop(seed) => {
                    let mut rng = SmallRng::seed_from_u64(*seed);
                    let popped = table.pop_random(&mut rng, |(field, value)| (field.to_vec(), value.to_vec()));
                    prop_assert_eq!(popped.is_some(), !model.is_empty());
                    if let Some((field, value)) = popped {
                        prop_assert_eq!(model.remove(&field), Some(value));
                    }
                }
            }
            prop_assert_eq!(table.len(), model.len());
        }
        check(&table);
        prop_assert_eq!(table.iter().len(), model.len());
        let all: HashMap<Vec<u8>, Vec<u8>> = table.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        prop_assert_eq!(&all, &model);
        for (field, value) in &model {
            prop_assert_eq!(table.get(field), Some(&value[..]));
        }
    }

    #[test]
    fn set_agrees_with_model(steps in steps(3000, 1500)) {
        let mut table = SetTable::new();
        let mut model = BTreeSet::new();
        for step in steps {
            match step {
                Step::Insert(number, _) => {
                    prop_assert_eq!(table.insert(&field(number), b""), model.insert(field(number)));
                }
                Step::Remove(number) => prop_assert_eq!(table.remove(&field(number)), model.remove(&field(number))),
                Step::Pop(seed) => {
                    let popped = table.pop_random(&mut SmallRng::seed_from_u64(seed), |entry| entry.0.to_vec());
                    prop_assert_eq!(popped.is_some(), !model.is_empty());
                    prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                }
            }
        }
        check(&table);
        prop_assert_eq!(table.iter().map(|entry| entry.0.to_vec()).collect::<BTreeSet<_>>(), model);
    }

    /// The promise of SCAN: what stays is seen, whatever comes and goes between the calls.
    #[test]
    fn scan_sees_all_that_stays(
        stay in 0..300u16,
        churn in prop::collection::vec((any::<bool>(), 1..400u16), 1..60),
        any_cursor in any::<u64>(),
    ) {
        let mut table = SetTable::new();
        (0..stay).for_each(|number| { table.insert(format!("stay-{number}").as_bytes(), b""); });
        let (mut seen, mut cursor, mut passing) = (BTreeSet::new(), 0, 0u16..0);
        let mut churn = churn.into_iter();
        loop {
            cursor = table.scan(cursor, |entry| { seen.insert(entry.0.to_vec()); });
            if cursor == 0 {
                break;
            }
            let (grow, count) = churn.next().unwrap_or((false, 100));
            for _ in 0..count {
                if grow {
                    table.insert(format!("pass-{}", passing.end).as_bytes(), b"");
                    passing.end += 1;
                } else if let Some(number) = passing.next() {
                    table.remove(format!("pass-{number}").as_bytes());
                }
            }
        }
        for number in 0..stay {
            let member = format!("stay-{number}");
            prop_assert!(seen.contains(member.as_bytes()), "{}", member);
        }
        // A cursor that nobody handed out ends too.
        let mut cursor = any_cursor;
        for _ in 0..=table.buckets {
            cursor = table.scan(cursor, |_| ());
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(cursor, 0);
    }

    #[test]
    fn records_keep_their_lengths(field in prop::sample::select(vec![0usize, 1, 63, 64, 127, 8191, 8192, 1 << 20]), value in any::<u32>(), large in any::<bool>()) {
        let place = bucket::tests_support::round_trip(field, value as usize, large);
        prop_assert_eq!(place, (field, value as usize, large));
    }
}

#[test]
fn bucket_is_16_bytes() {
    assert_eq!(size_of::<Bucket>(), 16);
}

#[test]
fn scan_of_a_quiet_table_visits_each_entry_once() {
    let mut table = SetTable::new();
    for number in 0..5000u32 {
        table.insert(&number.to_be_bytes(), b"");
    }
    let (mut seen, mut cursor, mut calls) = (Vec::new(), 0, 0);
    loop {
        cursor = table.scan(cursor, |entry| seen.push(entry.0.to_vec()));
        calls += 1;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(calls, table.buckets);
    assert_eq!(seen.len(), 5000);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 5000);
}

#[test]
fn grows_over_chunks_and_shrinks_to_nothing() {
    let mut table = HashTable::new();
    for number in 0..60_000u32 {
        assert!(table.insert(format!("field-{number}").as_bytes(), &number.to_le_bytes()));
    }
    check(&table);
    assert!(table.chunks.len() > 4);
    for number in 0..60_000u32 {
        assert_eq!(
            table.get(format!("field-{number}").as_bytes()),
            Some(&number.to_le_bytes()[..])
        );
        assert!(table.remove(format!("field-{number}").as_bytes()));
        if number % 10_000 == 9_999 {
            check(&table);
        }
    }
    assert_eq!(
        (table.buckets, table.len(), table.sizes),
        (1, 0, Sizes::default())
    );
    assert!(table.heap_bytes() < 200);
}

#[test]
fn long_values_get_buckets_of_their_own() {
    let mut table = HashTable::new();
    for number in 0..2000u32 {
        table.insert(&number.to_le_bytes(), &[7; 900]);
    }
    check(&table);
    assert!(table.buckets >= 1800, "{}", table.buckets);
}

#[test]
fn few_huge_values_do_not_spread_the_small_ones() {
    let mut table = HashTable::new();
    for number in 0..1000u32 {
        table.insert(&number.to_le_bytes(), b"small");
    }
    let buckets = table.buckets;
    for number in 0..5u32 {
        table.insert(&number.to_le_bytes(), &vec![1; 3_000_000]);
        table.insert(&number.to_le_bytes(), &vec![2; 3_000_001]);
        assert_eq!(
            table.get(&number.to_le_bytes()).map(|v| (v.len(), v[0])),
            Some((3_000_001, 2))
        );
    }
    check(&table);
    assert!(table.buckets <= buckets + 10);
    assert!(table.heap_bytes() > 15_000_000);
    (0..5u32).for_each(|number| assert!(!table.insert(&number.to_le_bytes(), b"")));
    check(&table);
    assert!(table.heap_bytes() < 30_000);
}

#[test]
fn random_is_fair() {
    let mut table = SetTable::new();
    for number in 0..100u32 {
        table.insert(&number.to_le_bytes(), b"");
    }
    let mut rng = SmallRng::seed_from_u64(1);
    let mut drawn: HashMap<Vec<u8>, u32> = HashMap::new();
    for _ in 0..100_000 {
        *drawn
            .entry(table.random(&mut rng).unwrap().0.to_vec())
            .or_default() += 1;
    }
    // 1000 expected each, standard deviation 31.5: six of these.
    assert_eq!(drawn.len(), 100);
    assert!(
        drawn.values().all(|count| (810..1190).contains(count)),
        "{drawn:?}"
    );
}

#[test]
fn sample_is_fair_and_distinct() {
    let mut table = SetTable::new();
    for number in 0..50u32 {
        table.insert(&number.to_le_bytes(), b"");
    }
    let mut rng = SmallRng::seed_from_u64(2);
    for count in [5, 25] {
        let mut drawn: HashMap<Vec<u8>, u32> = HashMap::new();
        for _ in 0..10_000 {
            let sample: BTreeSet<&[u8]> = table
                .sample(count, &mut rng)
                .into_iter()
                .map(|entry| entry.0)
                .collect();
            assert_eq!(sample.len(), count);
            sample
                .into_iter()
                .for_each(|member| *drawn.entry(member.to_vec()).or_default() += 1);
        }
        let expected = 200 * count as u32;
        assert!(drawn.values().all(|n| n.abs_diff(expected) < 300), "{drawn:?}");
    }
    assert_eq!(table.sample(0, &mut rng).len(), 0);
    assert_eq!(table.sample(51, &mut rng).len(), 50);
}

/// A generator that always says the same.
struct Stuck(u64);

impl RngCore for Stuck {
    fn next_u32(&mut self) -> u32 {
        self.0 as u32
    }
    fn next_u64(&mut self) -> u64 {
        self.0
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0 as u8);
    }
}

#[test]
fn stuck_generator_hangs_nothing() {
    let mut table = SetTable::new();
    for number in 0..500u32 {
        table.insert(&number.to_le_bytes(), b"");
    }
    for word in [0, u64::MAX, 1 << 40] {
        let rng = &mut Stuck(word);
        assert!(table.random(rng).is_some());
        assert_eq!(
            table.sample(100, rng).into_iter().collect::<BTreeSet<_>>().len(),
            100
        );
        for _ in 0..100 {
            assert!(table.pop_random(rng, |_| ()).is_some());
        }
    }
}

#[test]
fn empty_table_answers() {
    let table = HashTable::default();
    assert!(table.is_empty() && !table.contains(b"") && table.get(b"x").is_none());
    assert!(table.random(&mut Stuck(0)).is_none());
    assert_eq!(
        (
            table.iter().count(),
            table.scan(0, |_| ()),
            table.scan(77, |_| ())
        ),
        (0, 0, 0)
    );
}

#[test]
fn empty_field_and_value_are_entries() {
    let mut table = HashTable::new();
    assert!(table.insert(b"", b""));
    assert!(!table.insert(b"", b""));
    assert_eq!((table.get(b""), table.len()), (Some(&b""[..]), 1));
    assert!(table.remove(b"") && !table.remove(b""));
}
