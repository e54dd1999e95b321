//! Hashes whose fields expire, against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8),
    Update(u8, u8),
    Remove(u8),
    Expire(u8, i64),
    Persist(u8),
    TakeDue(i64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..40, any::<u8>()).prop_map(|(f, v)| Step::Set(f, v)),
        (0u8..40, any::<u8>()).prop_map(|(f, v)| Step::Update(f, v)),
        (0u8..40).prop_map(Step::Remove),
        (0u8..40, 0i64..1_000).prop_map(|(f, at)| Step::Expire(f, at)),
        (0u8..40, 0i64..1_000).prop_map(|(f, at)| Step::Expire(f, at)),
        (0u8..40).prop_map(Step::Persist),
        (0i64..300, 0usize..5).prop_map(|(now, most)| Step::TakeDue(now, most)),
    ]
}

fn name(field: u8) -> Vec<u8> {
    format!("field:{field}").into_bytes()
}

fn apply(hash: &mut Hash, model: &mut Model, step: &Step, limits: &HashLimits) {
    match *step {
        Step::Set(f, v) => {
            let new = hash.set(&name(f), &[v], limits);
            assert_eq!(new, model.insert(name(f), (vec![v], None)).is_none());
        }
        Step::Update(f, v) => {
            let new = hash.update(&name(f), &[v], limits);
            let at = model.get(&name(f)).and_then(|(_, at)| *at);
            assert_eq!(new, model.insert(name(f), (vec![v], at)).is_none());
        }
        Step::Remove(f) => assert_eq!(hash.remove(&name(f)), model.remove(&name(f)).is_some()),
        Step::Expire(f, at) => {
            let there = model.get_mut(&name(f)).map(|(_, old)| *old = Some(at));
            assert_eq!(hash.set_expiry_ms(&name(f), Some(at)), there.is_some());
        }
        Step::Persist(f) => {
            let there = model.get_mut(&name(f)).map(|(_, old)| *old = None);
            assert_eq!(hash.set_expiry_ms(&name(f), None), there.is_some());
        }
        Step::TakeDue(now, most) => {
            let mut due: Vec<_> = model
                .iter()
                .filter_map(|(f, (_, at))| at.filter(|at| *at <= now).map(|at| (at, f.clone())))
                .collect();
            due.sort();
            due.truncate(most);
            let taken: Vec<_> = hash
                .take_due(now, most)
                .into_iter()
                .map(|field| field.to_vec())
                .collect();
            assert_eq!(taken, due.iter().map(|(_, f)| f.clone()).collect::<Vec<_>>());
            for (_, f) in due {
                model.remove(&f);
            }
        }
    }
}

/// The hash is what the model says, as it is and with everything hidden that was due at `now`.
fn compare(hash: &mut Hash, model: &Model, now: i64) {
    let all: Model = hash
        .iter_all()
        .map(|(f, v, at)| (f.to_vec(), (v.to_vec(), at)))
        .collect();
    assert_eq!(&all, model);
    assert_eq!(
        hash.next_expiry_ms(),
        model.values().filter_map(|(_, at)| *at).min()
    );
    assert_eq!(
        hash.expiring_len(),
        model.values().filter(|(_, at)| at.is_some()).count()
    );
    for hidden_until in [now, i64::MIN] {
        hash.hide_until(hidden_until);
        let seen: Model = model
            .iter()
            .filter(|(_, (_, at))| at.is_none_or(|at| at > hidden_until))
            .map(|(f, pair)| (f.clone(), pair.clone()))
            .collect();
        let got: Vec<_> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        let mut sorted = got.clone();
        sorted.sort();
        let expected: Vec<_> = seen.iter().map(|(f, (v, _))| (f.clone(), v.clone())).collect();
        assert_eq!(sorted, expected);
        assert_eq!((hash.len(), hash.is_empty()), (seen.len(), seen.is_empty()));
        assert_eq!(
            hash.all_due(hidden_until),
            seen.is_empty() && hash.expiring_len() > 0
        );
        let mut scanned = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = hash.scan(cursor, 10, |f, v| scanned.push((f.to_vec(), v.to_vec())));
            if cursor == 0 {
                break;
            }
        }
        scanned.sort();
        assert_eq!(scanned, expected);
        let mut rng = SmallRng::seed_from_u64(1);
        let drawn = hash.sample(usize::MAX, &mut rng).len();
        assert_eq!(drawn, seen.len());
        let one = hash.random(&mut rng).map(|(f, _)| f.to_vec());
        assert_eq!(one.is_some(), !seen.is_empty());
        assert!(one.is_none_or(|f| seen.contains_key(&f)));
        for f in 0..40 {
            let expected = seen.get(&name(f));
            assert_eq!(hash.contains(&name(f)), expected.is_some());
            assert_eq!(
                hash.get(&name(f)).map(|v| v.to_vec()),
                expected.map(|(v, _)| v.clone())
            );
            assert_eq!(hash.expiry_ms(&name(f)), expected.map(|(_, at)| *at));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 2_000 }))]

    #[test]
    fn a_timed_hash_of_a_model(
        steps in prop::collection::vec(step(), 1..120),
        entries in prop::sample::select(vec![0usize, 8, 512]),
        now in 0i64..1_000,
    ) {
        let limits = HashLimits { max_listpack_entries: entries, ..HashLimits::default() };
        let (mut hash, mut model) = (Hash::new(), Model::new());
        for step in &steps {
            apply(&mut hash, &mut model, step, &limits);
        }
        let mut copy = hash.clone();
        compare(&mut hash, &model, now);
        drop(hash);
        compare(&mut copy, &model, now);
    }
}

#[test]
fn a_hash_without_times_costs_nothing_for_them() {
    let limits = HashLimits::default();
    let mut hash = Hash::new();
    hash.set(b"a", b"1", &limits);
    let before = (hash.memory_usage(0), hash.encoding());
    hash.set_expiry_ms(b"a", Some(5_000));
    assert_eq!(hash.encoding(), "listpackex");
    assert!(hash.memory_usage(0) > before.0 && hash.as_listpack().is_none());
    hash.set_expiry_ms(b"a", None);
    assert_eq!((hash.memory_usage(0), hash.encoding()), before);
    hash.set_expiry_ms(b"a", Some(5_000));
    hash.set(b"a", b"2", &limits);
    assert_eq!(hash.expiring_len(), 0);
    assert_eq!(size_of::<Option<Hash>>(), 8);
}

#[test]
fn a_hidden_field_can_be_set_anew_and_not_removed() {
    let limits = HashLimits::default();
    let mut hash = Hash::new();
    for field in [b"a", b"b", b"c"] {
        hash.set(field, b"1", &limits);
        hash.set_expiry_ms(field, Some(10));
    }
    hash.hide_until(10);
    assert!(!hash.remove(b"a") && !hash.set_expiry_ms(b"a", Some(50)));
    assert!(hash.update(b"a", b"2", &limits) && hash.set(b"b", b"2", &limits));
    assert_eq!(
        (hash.len(), hash.expiry_ms(b"a"), hash.expiry_ms(b"c")),
        (2, Some(None), None)
    );
    assert_eq!(hash.take_due(10, 9), [Box::from(&b"c"[..])]);
}
