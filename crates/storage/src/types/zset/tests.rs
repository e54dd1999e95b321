//! The sorted set against a sorted vector, in both encodings and across the change from one to the other.

use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeSet;

/// Always a listpack, soon a big set, at once a big set.
const LIMITS: [ZsetLimits; 3] = [
    ZsetLimits {
        max_listpack_entries: 100_000,
        max_listpack_value: 1000,
    },
    ZsetLimits {
        max_listpack_entries: 10,
        max_listpack_value: 20,
    },
    ZsetLimits {
        max_listpack_entries: 0,
        max_listpack_value: 0,
    },
];

type Model = Vec<(f64, Vec<u8>)>;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRange(usize, usize),
    PopMin,
    PopMax,
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0i64..60).prop_map(|int| int.to_string().into_bytes()),
        1 => (-300_000i64..300_000).prop_map(|int| int.to_string().into_bytes()),
        4 => prop::collection::vec(b'a'..b'd', 0..4),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (100usize..400).prop_map(|len| vec![b'x'; len]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-5i32..6).prop_map(f64::from),
        3 => (-500i32..500).prop_map(|tenths| f64::from(tenths) / 10.0),
        1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e300), Just(-0.0), Just(2f64.powi(60)), Just(0.1 + 0.2)],
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (member(), score()).prop_map(|(member, score)| Step::Insert(member, score)),
        6 => member().prop_map(Step::Remove),
        1 => (0usize..60, 0usize..20).prop_map(|(from, many)| Step::RemoveRange(from, many)),
        1 => Just(Step::PopMin),
        1 => Just(Step::PopMax),
    ]
}

fn order(a: &(f64, Vec<u8>), b: &(f64, Vec<u8>)) -> std::cmp::Ordering {
    a.0.partial_cmp(&b.0).expect("no NaN").then_with(|| a.1.cmp(&b.1))
}

fn owned((member, score): (Item<'_>, f64)) -> (f64, Vec<u8>) {
    (score, member.to_vec())
}

fn apply(zset: &mut Zset, model: &mut Model, step: &Step, limits: &ZsetLimits) {
    match step {
        Step::Insert(member, score) => {
            let expected = match model.iter().position(|(_, other)| other == member) {
                Some(at) if model[at].0 == *score => Outcome::Unchanged,
                Some(at) => {
                    model[at].0 = *score;
                    Outcome::Updated
                }
                None => {
                    model.push((*score, member.clone()));
                    Outcome::Added
                }
            };
            model.sort_by(order);
            assert_eq!(zset.insert(member, *score, limits), expected);
        }
        Step::Remove(member) => {
            let at = model.iter().position(|(_, other)| other == member);
            assert_eq!(zset.remove(member), at.map(|at| model.remove(at).0));
        }
        Step::RemoveRange(from, many) => {
            let range = (*from).min(model.len())..(from + many).min(model.len());
            let mut removed = Vec::new();
            let count = zset.remove_range(*from..from + many, |member, score| {
                removed.push(owned((member, score)))
            });
            assert_eq!(count, range.len());
            assert_eq!(removed, model.drain(range).collect::<Model>());
        }
        Step::PopMin => {
            let expected = (!model.is_empty()).then(|| model.remove(0));
            assert_eq!(zset.pop_min().map(|(member, score)| (score, member)), expected);
        }
        Step::PopMax => {
            assert_eq!(zset.pop_max().map(|(member, score)| (score, member)), model.pop());
        }
    }
}

fn same(zset: &Zset, model: &Model) {
    assert_eq!(zset.len(), model.len());
    assert!(zset.iter().map(owned).eq(model.iter().cloned()));
    assert!(zset.iter().rev().map(owned).eq(model.iter().rev().cloned()));
    for (rank, (score, member)) in model.iter().enumerate() {
        assert_eq!(zset.score(member), Some(*score));
        assert_eq!(zset.rank(member), Some(rank));
        assert_eq!(zset.rev_rank(member), Some(model.len() - 1 - rank));
        assert_eq!(zset.get(rank).map(owned), Some((*score, member.clone())));
    }
    assert_eq!(zset.get(model.len()), None);
}

fn filled(steps: &[Step], limits: &ZsetLimits) -> (Zset, Model) {
    let (mut zset, mut model) = (Zset::new(), Model::new());
    for step in steps {
        apply(&mut zset, &mut model, step, limits);
    }
    (zset, model)
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_vector(steps in prop::collection::vec(step(), 0..300), which in 0usize..3) {
        let (zset, model) = filled(&steps, &LIMITS[which]);
        same(&zset, &model);
        let (mut copy, mut copied) = (zset.clone(), model.clone());
        steps.iter().rev().for_each(|step| apply(&mut copy, &mut copied, step, &LIMITS[which]));
        same(&copy, &copied);
        same(&zset, &model);
        if which == 0 {
            prop_assert_eq!(zset.encoding(), "listpack");
            let pack = Listpack::from_bytes(zset.as_listpack().expect("small").as_bytes()).expect("sound");
            same(&Zset::from_listpack(pack, &LIMITS[0]).expect("sound"), &model);
        }
        if zset.encoding() == "skiplist" {
            let mut emptied = zset;
            prop_assert_eq!(emptied.remove_range(0..usize::MAX, |_, _| ()), model.len());
            prop_assert_eq!(emptied.scan(0, |_, _| ()), 0);
        }
    }

    #[test]
    fn ranges_by_score_are_those_of_a_filter(
        steps in prop::collection::vec(step(), 0..200), which in 0usize..3,
        min in score(), max in score(), min_excl: bool, max_excl: bool,
    ) {
        let (zset, model) = filled(&steps, &LIMITS[which]);
        let range = ScoreRange { min, min_excl, max, max_excl };
        let expected = model.iter().filter(|(score, _)| {
            (if min_excl { *score > min } else { *score >= min }) && (if max_excl { *score < max } else { *score <= max })
        });
        let found = zset.score_range(&range);
        prop_assert!(zset.range(found.clone()).map(owned).eq(expected.cloned()));
        let mut middle = zset.range(found.clone());
        let (first, last) = (middle.next(), middle.next_back());
        prop_assert_eq!(first.map(owned), found.clone().next().map(|rank| model[rank].clone()));
        prop_assert_eq!(last.map(owned), found.skip(1).next_back().map(|rank| model[rank].clone()));
    }

    #[test]
    fn ranges_by_member_are_those_of_a_filter(
        members in prop::collection::btree_set(member(), 0..200), which in 0usize..3,
        min in member(), max in member(), min_excl: bool, max_excl: bool, open in 0u8..8,
    ) {
        let zset = Zset::from_unsorted(members.iter().map(|member| (member, 1.5)), &LIMITS[which]);
        let low = match open {
            0 => LexBound::NegInf,
            1 => LexBound::PosInf,
            _ if min_excl => LexBound::Excl(&min),
            _ => LexBound::Incl(&min),
        };
        let high = match open {
            2 => LexBound::NegInf,
            3 => LexBound::PosInf,
            _ if max_excl => LexBound::Excl(&max),
            _ => LexBound::Incl(&max),
        };
        let expected = members.iter().filter(|member| {
            (match low {
                LexBound::NegInf => true,
                LexBound::PosInf => false,
                LexBound::Incl(min) => member.as_slice() >= min,
                LexBound::Excl(min) => member.as_slice() > min,
            }) && match high {
                LexBound::NegInf => false,
                LexBound::PosInf => true,
                LexBound::Incl(max) => member.as_slice() <= max,
                LexBound::Excl(max) => member.as_slice() < max,
            }
        });
        let found = zset.range(zset.lex_range(low, high)).map(|(member, _)| member.to_vec());
        prop_assert!(found.eq(expected.cloned()));
    }

    #[test]
    fn hostile_listpacks_are_refused_or_sorted(items in prop::collection::vec(prop_oneof![member(), (-3i32..3).prop_map(|int| int.to_string().into_bytes())], 0..12)) {
        let mut pack = Listpack::new();
        items.iter().for_each(|item| pack.push_back(item));
        if let Ok(zset) = Zset::from_listpack(pack, &ZsetLimits::default()) {
            prop_assert_eq!(zset.len() * 2, items.len());
            let model: Model = zset.iter().map(owned).collect();
            prop_assert!(model.is_sorted_by(|a, b| order(a, b).is_lt()));
        }
    }

    #[test]
    fn a_scan_sees_all_that_stays(stay in 0u32..800, moves in prop::collection::vec((any::<bool>(), 1u32..300), 0..40)) {
        let limits = ZsetLimits::default();
        let name = |number: u32| format!("member:{number}").into_bytes();
        let mut zset = Zset::from_unsorted((0..stay).map(|number| (name(number), f64::from(number))), &limits);
        let (mut guests, mut cursor, mut seen) = (Vec::new(), 0, BTreeSet::new());
        let mut moves = moves.into_iter();
        loop {
            cursor = zset.scan(cursor, |member, _| { seen.insert(member.to_vec()); });
            if cursor == 0 {
                break;
            }
            if let Some((grow, by)) = moves.next() {
                for turn in 0..by {
                    if grow {
                        let guest = name(1_000_000 + guests.len() as u32);
                        zset.insert(&guest, f64::from(turn), &limits);
                        guests.push(guest);
                    } else if let Some(guest) = guests.pop() {
                        prop_assert!(zset.remove(&guest).is_some());
                    }
                }
            }
        }
        prop_assert!((0..stay).all(|number| seen.contains(&name(number))));
    }

    #[test]
    fn random_members_are_distinct_and_present(len in 0u32..300, count in 0usize..320, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let zset = Zset::from_unsorted((0..len).map(|number| (number.to_string(), f64::from(number))), &ZsetLimits::default());
        let mut chosen = BTreeSet::new();
        zset.random_distinct(count, &mut rng, |member, score| {
            assert_eq!(zset.score(&member.to_vec()), Some(score));
            assert!(chosen.insert(member.to_vec()));
        });
        prop_assert_eq!(chosen.len(), count.min(len as usize));
        prop_assert_eq!(zset.random(&mut rng).is_some(), len > 0);
    }
}

#[test]
fn is_one_word() {
    assert_eq!((size_of::<Zset>(), size_of::<Option<Zset>>()), (8, 8));
}

#[test]
fn leaves_the_listpack_by_entries_and_by_length_and_never_returns() {
    let limits = ZsetLimits::default();
    let mut zset = Zset::from_unsorted((0..128).map(|number: i32| (number.to_string(), 1.0)), &limits);
    assert_eq!((zset.encoding(), zset.free_effort()), ("listpack", 1));
    zset.insert(b"5", 2.0, &limits);
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(b"one more", 2.0, &limits);
    assert_eq!((zset.encoding(), zset.len()), ("skiplist", 129));
    zset.remove_range(1..500, |_, _| ());
    assert_eq!((zset.encoding(), zset.len()), ("skiplist", 1));

    let mut zset = Zset::new();
    zset.insert(&[b'a'; 64], 1.0, &limits);
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(&[b'a'; 65], 1.0, &limits);
    assert_eq!(zset.encoding(), "skiplist");
}

#[test]
fn a_listpack_holds_whole_scores_as_integers_and_others_as_text() {
    let scores = [
        ("a", 1.0),
        ("b", 1.5),
        ("c", -3.0),
        ("d", f64::INFINITY),
        ("e", f64::NEG_INFINITY),
        ("f", 1e300),
    ];
    let zset = Zset::from_unsorted(scores, &ZsetLimits::default());
    let items: Vec<_> = zset
        .as_listpack()
        .expect("small")
        .iter()
        .skip(1)
        .step_by(2)
        .collect();
    let expected = [
        Item::Bytes(b"-inf"),
        Item::Int(-3),
        Item::Int(1),
        Item::Bytes(b"1.5"),
        Item::Bytes(b"1e300"),
        Item::Bytes(b"inf"),
    ];
    assert_eq!(items, expected);
}

/// The listpack in what DUMP of redis-server 7.0.15 answers for the same ZADD.
#[test]
fn a_listpack_has_the_bytes_of_redis() {
    let members = [
        ("a", 1.0),
        ("5", 2.0),
        ("c", 1.5),
        ("m", -0.0),
        ("n", -3.0),
        ("big", 4_503_599_627_370_496.0),
        ("huge", 9_007_199_254_740_992.0),
        ("-77", 3000.0),
        ("last", f64::INFINITY),
        ("first", f64::NEG_INFINITY),
    ];
    let zset = Zset::from_unsorted(members, &ZsetLimits::default());
    let expected =
        b"\x60\0\0\0\x14\0\x85first\x06\x84-inf\x05\x81n\x02\xdf\xfd\x02\x81m\x02\x00\x01\x81a\x02\x01\x01\
        \x81c\x02\x831.5\x04\x05\x01\x02\x01\xdf\xb3\x02\xcb\xb8\x02\x83big\x04\xf4\0\0\0\0\0\0\x10\0\x09\
        \x84huge\x05\xf4\0\0\0\0\0\0\x20\0\x09\x84last\x05\x83inf\x04\xff";
    assert_eq!(zset.as_listpack().expect("small").as_bytes(), expected);
}

#[test]
fn listpacks_of_files_are_checked() {
    let pack = |items: &[&str]| {
        let mut pack = Listpack::new();
        items.iter().for_each(|item| pack.push_back(item.as_bytes()));
        Zset::from_listpack(pack, &ZsetLimits::default())
    };
    assert_eq!(pack(&["a", "1", "b"]).map(|_| ()), Err(ZsetError::OddLength));
    assert_eq!(pack(&["a", "1", "b", "x"]).map(|_| ()), Err(ZsetError::Score));
    assert_eq!(pack(&["a", "1", "b", "nan"]).map(|_| ()), Err(ZsetError::Score));
    assert_eq!(pack(&["a", "1", "a", "2"]).map(|_| ()), Err(ZsetError::Duplicate));
    let sorted = pack(&["b", "2", "a", "2", "c", "-1"]).expect("only out of order");
    assert!(
        sorted
            .iter()
            .map(owned)
            .eq([(-1.0, b"c".to_vec()), (2.0, b"a".to_vec()), (2.0, b"b".to_vec())])
    );
}

#[test]
fn what_it_says_of_its_memory_follows_its_size() {
    let limits = ZsetLimits::default();
    let mut zset = Zset::new();
    for number in 0..20_000 {
        zset.insert(
            format!("member:{number:010}").as_bytes(),
            f64::from(number),
            &limits,
        );
    }
    let per_member = zset.memory_usage(5) / 20_000;
    assert!((40..72).contains(&per_member), "{per_member} bytes");
    assert!(zset.free_effort() < 1000);
    zset.remove_range(10..20_000, |_, _| ());
    assert!(zset.memory_usage(5) < 100_000, "{} bytes", zset.memory_usage(5));
}
