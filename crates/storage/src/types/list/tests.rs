//! The list against a deque of byte strings, and its encodings at their limits.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const DEFAULT: ListLimits = ListLimits {
    max_listpack_size: -2,
};

fn contents(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

fn list_of<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>, limits: &ListLimits) -> List {
    let mut list = List::new();
    values
        .into_iter()
        .for_each(|value| list.push_back(value.as_ref(), limits));
    list
}

#[test]
fn a_list_is_eight_bytes() {
    assert_eq!(
        (size_of::<List>(), align_of::<List>(), size_of::<Option<List>>()),
        (8, 8, 8)
    );
}

#[test]
fn encodings_change_at_the_limit_and_at_half_of_it() {
    let limits = ListLimits { max_listpack_size: 8 };
    let mut list = list_of((0..8).map(|n| n.to_string()), &limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_front(b"x", &limits);
    assert_eq!(
        (list.encoding(), list.len(), list.node_count()),
        ("quicklist", 9, 2)
    );
    // Two nodes, however small, stay a quicklist; one node goes back at half the limit.
    list.trim(0, 4, &limits);
    assert_eq!((list.encoding(), list.node_count()), ("quicklist", 2));
    assert_eq!(list.pop_front(&limits).as_deref(), Some(&b"x"[..]));
    assert_eq!((list.encoding(), list.len()), ("listpack", 4));

    let mut list = list_of([vec![b'a'; 8000]], &DEFAULT);
    assert_eq!(list.encoding(), "listpack");
    list.push_back(&[b'b'; 200], &DEFAULT);
    assert_eq!(list.encoding(), "quicklist");
    list.pop_back(&DEFAULT);
    assert_eq!(list.encoding(), "quicklist");
    list.pop_back(&DEFAULT);
    assert_eq!((list.encoding(), list.is_empty()), ("listpack", true));
}

#[test]
fn every_limit_is_taken() {
    for (size, bytes) in [
        (-1, 4096),
        (-2, 8192),
        (-3, 16384),
        (-4, 32768),
        (-5, 65536),
        (-9, 65536),
        (i32::MIN, 65536),
    ] {
        assert_eq!(
            ListLimits {
                max_listpack_size: size
            }
            .max_bytes(),
            bytes
        );
    }
    let entries = |size| {
        ListLimits {
            max_listpack_size: size,
        }
        .max_entries()
    };
    assert_eq!(
        (entries(0), entries(1), entries(i32::MAX), entries(-1)),
        (Some(1), Some(1), Some(32767), None)
    );
}

#[test]
fn large_elements_are_nodes_of_their_own() {
    let large = vec![b'L'; 9000];
    let mut list = list_of([&b"a"[..], b"b", &large, b"c"], &DEFAULT);
    let kinds = |list: &List| -> Vec<bool> {
        list.nodes()
            .map(|node| matches!(node, NodeRef::Plain(_)))
            .collect()
    };
    assert_eq!(kinds(&list), [false, true, false]);
    assert!(list.set(0, &large, &DEFAULT));
    assert_eq!(kinds(&list), [true, false, true, false]);
    assert!(list.set(2, b"small", &DEFAULT));
    assert!(list.insert(Side::After, b"small", &large, &DEFAULT));
    assert_eq!(list.remove(0, &large, &DEFAULT), 2);
    assert_eq!(contents(&list), [&b"b"[..], b"small", b"c"]);
    assert_eq!(list.encoding(), "listpack");
    // A limit that grows later does not make a plain node part of a listpack.
    let wide = ListLimits {
        max_listpack_size: -5,
    };
    let mut list = list_of([&b"a"[..], &large, b"c", b"d"], &DEFAULT);
    assert_eq!(list.remove(1, b"c", &wide), 1);
    assert_eq!(contents(&list), [&b"a"[..], &large, b"d"]);
}

#[test]
fn nodes_build_the_same_list_again() {
    for values in [0, 1, 50, 5000] {
        let mut list = list_of((0..values).map(|n| format!("element:{n}")), &DEFAULT);
        if values == 5000 {
            list.push_front(&[b'L'; 9000], &DEFAULT);
        }
        let nodes = list.nodes().map(|node| match node {
            NodeRef::Packed(pack) => Node::packed(Listpack::from_bytes(pack.as_bytes()).unwrap()),
            NodeRef::Plain(element) => Node::plain(element),
        });
        let again = List::from_nodes(nodes, &DEFAULT);
        assert_eq!(contents(&again), contents(&list));
        assert_eq!((again.encoding(), again.len()), (list.encoding(), list.len()));
    }
}

#[test]
fn ranges_are_those_of_lrange() {
    let list = list_of(["a", "b", "c"], &DEFAULT);
    for (start, stop, range) in [
        (0, -1, 0..3),
        (-100, 100, 0..3),
        (1, 1, 1..2),
        (-2, -1, 1..3),
        (2, 1, 0..0),
        (3, 5, 0..0),
        (-1, -2, 0..0),
        (i64::MIN, i64::MAX, 0..3),
        (i64::MAX, i64::MIN, 0..0),
    ] {
        assert_eq!(list.resolve_range(start, stop), range, "{start} {stop}");
    }
    assert_eq!(List::new().resolve_range(0, -1), 0..0);
    assert_eq!(list.get(i64::MIN), None);
}

#[test]
fn a_million_short_elements_take_20_bytes_each() {
    let mut list = List::new();
    for n in 0..1_000_000 {
        list.push_back(format!("element:{n:010}").as_bytes(), &DEFAULT);
    }
    let bytes = list.memory_usage(0);
    assert!(bytes <= 20_400_000, "{bytes}");
    assert!(list.memory_usage(5).abs_diff(bytes) < bytes / 50);
    // In the middle, one node changes and the others stand.
    let nodes = list.node_count();
    for k in 0..1000 {
        assert!(list.set(500_000 - k, b"replaced", &DEFAULT));
    }
    assert!(list.insert(Side::Before, b"replaced", b"inserted", &DEFAULT));
    assert_eq!((list.len(), list.node_count()), (1_000_001, nodes));
    list.trim(400_000, 400_000, &DEFAULT);
    assert_eq!((list.len(), list.encoding()), (1, "listpack"));
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    PushMany(Vec<u8>, usize),
    Pop(bool),
    PopMany(bool, usize),
    Set(i64, Vec<u8>),
    Insert(bool, Vec<u8>, Vec<u8>),
    Remove(i64, Vec<u8>),
    Trim(i64, i64),
    Limits(i32),
}

/// Few values, so that pivots are found; some around and above the smallest limit.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "c", "1", "-5", "300", "", "long enough"]).prop_map(Vec::from),
        2 => (0..40_usize).prop_map(|k| vec![b'm'; k * 50]),
        1 => prop::sample::select(vec![4070_usize, 4090, 4096, 4097, 8192, 9000]).prop_map(|len| vec![b'L'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let index = || prop_oneof![-40..40_i64, -400..400_i64];
    prop_oneof![
        6 => (any::<bool>(), value()).prop_map(|(front, v)| Op::Push(front, v)),
        3 => (value(), 1..80_usize).prop_map(|(v, n)| Op::PushMany(v, n)),
        3 => any::<bool>().prop_map(Op::Pop),
        1 => (any::<bool>(), 0..60_usize).prop_map(|(front, n)| Op::PopMany(front, n)),
        4 => (index(), value()).prop_map(|(at, v)| Op::Set(at, v)),
        6 => (any::<bool>(), value(), value()).prop_map(|(before, p, v)| Op::Insert(before, p, v)),
        2 => (-3..4_i64, value()).prop_map(|(n, v)| Op::Remove(n, v)),
        1 => (-200..10_i64, -10..200_i64).prop_map(|(a, b)| Op::Trim(a, b)),
        1 => prop::sample::select(vec![-1, -2, 1, 2, 4, 16, 100]).prop_map(Op::Limits),
    ]
}

fn end(front: bool) -> End {
    if front { End::Front } else { End::Back }
}

fn apply(op: Op, list: &mut List, model: &mut VecDeque<Vec<u8>>, limits: &mut ListLimits) {
    let resolve = |index: i64, len: usize| {
        let index = if index < 0 { index + len as i64 } else { index };
        usize::try_from(index).ok().filter(|&k| k < len)
    };
    match op {
        Op::Push(front, value) => {
            list.push(end(front), &value, limits);
            if front {
                model.push_front(value)
            } else {
                model.push_back(value)
            }
        }
        Op::PushMany(value, count) => {
            for _ in 0..count {
                list.push_back(&value, limits);
                model.push_back(value.clone());
            }
        }
        Op::Pop(true) => assert_eq!(list.pop_front(limits), model.pop_front()),
        Op::Pop(false) => assert_eq!(list.pop_back(limits), model.pop_back()),
        Op::PopMany(front, count) => {
            let pop = |model: &mut VecDeque<_>| {
                if front {
                    model.pop_front()
                } else {
                    model.pop_back()
                }
            };
            let popped = list.pop_many(end(front), count, limits, |item| {
                assert_eq!(pop(model), Some(item.to_vec()));
            });
            assert!(popped == count || model.is_empty());
        }
        Op::Set(index, value) => {
            let expected = resolve(index, model.len());
            assert_eq!(list.set(index, &value, limits), expected.is_some());
            if let Some(index) = expected {
                model[index] = value;
            }
        }
        Op::Insert(before, pivot, value) => {
            let side = if before { Side::Before } else { Side::After };
            let at = model.iter().position(|other| *other == pivot);
            assert_eq!(list.insert(side, &pivot, &value, limits), at.is_some());
            if let Some(at) = at {
                model.insert(at + usize::from(!before), value);
            }
        }
        Op::Remove(count, value) => {
            let mut hits: Vec<usize> = model
                .iter()
                .enumerate()
                .filter(|(_, other)| **other == value)
                .map(|(k, _)| k)
                .collect();
            let most = if count == 0 {
                hits.len()
            } else {
                hits.len().min(count.unsigned_abs() as usize)
            };
            let hits = if count < 0 {
                hits.split_off(hits.len() - most)
            } else {
                hits[..most].to_vec()
            };
            assert_eq!(list.remove(count, &value, limits), hits.len());
            hits.iter().rev().for_each(|&k| drop(model.remove(k)));
        }
        Op::Trim(start, stop) => {
            let kept = list.resolve_range(start, stop);
            list.trim(start, stop, limits);
            model.truncate(kept.end);
            model.drain(..kept.start);
        }
        Op::Limits(size) => limits.max_listpack_size = size,
    }
}

/// What holds after every change: the parts are the list, none is empty.
fn check(list: &List, model: &VecDeque<Vec<u8>>) {
    assert_eq!(list.len(), model.len());
    assert_eq!(list.is_empty(), model.is_empty());
    let counts = list.nodes().map(|node| match node {
        NodeRef::Packed(pack) => pack.iter().count(),
        NodeRef::Plain(_) => 1,
    });
    let counts: Vec<usize> = counts.collect();
    assert_eq!(counts.iter().sum::<usize>(), model.len());
    assert!(list.encoding() == "listpack" || counts.iter().all(|&count| count > 0));
    assert_eq!(
        list.peek(End::Front).map(|item| item.to_vec()).as_ref(),
        model.front()
    );
    assert_eq!(
        list.peek(End::Back).map(|item| item.to_vec()).as_ref(),
        model.back()
    );
}

proptest! {
    #[test]
    fn behaves_as_a_deque(ops in prop::collection::vec(op(), 0..80), size in prop::sample::select(vec![-1, -2, 1, 3, 16])) {
        let (mut list, mut model) = (List::new(), VecDeque::new());
        let mut limits = ListLimits { max_listpack_size: size };
        for op in ops {
            apply(op, &mut list, &mut model, &mut limits);
            check(&list, &model);
        }
        prop_assert!(contents(&list).iter().eq(model.iter()));
        prop_assert!(list.iter_rev().map(|item| item.to_vec()).eq(model.iter().rev().cloned()));
        let len = model.len();
        for (index, value) in model.iter().enumerate() {
            prop_assert!(list.get(index as i64).unwrap().eq_bytes(value));
            prop_assert!(list.get(index as i64 - len as i64).unwrap().eq_bytes(value));
        }
        prop_assert_eq!(list.get(len as i64), None);
        for (start, count) in [(0, 3), (len / 2, len), (len / 3, len / 3), (len, 1), (len.saturating_sub(1), 9)] {
            let range = list.iter_range(start, count);
            prop_assert_eq!(range.len(), count.min(len.saturating_sub(start)));
            prop_assert!(range.map(|item| item.to_vec()).eq(model.iter().skip(start).take(count).cloned()));
        }
        prop_assert!(contents(&list.clone()).iter().eq(model.iter()));
    }
}

/// `cargo test -p holdfast-storage --release -- --ignored --nocapture list_speed`
#[test]
#[ignore = "prints timings"]
fn list_speed() {
    let mut list = List::new();
    let count = 1_000_000_u64;
    let time = |name: &str, f: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        f();
        println!("{name}: {} ns", start.elapsed().as_nanos() as u64 / count);
    };
    time("push_back", &mut || {
        (0..count).for_each(|_| list.push_back(b"element:0000000001", &DEFAULT))
    });
    println!("{} bytes an element", list.memory_usage(0) as f64 / count as f64);
    time("get", &mut || {
        (0..count).for_each(|n| assert!(list.get((n * 7919 % count) as i64).is_some()))
    });
    time("set", &mut || {
        (0..count).for_each(|n| assert!(list.set((n * 7919 % count) as i64, b"other:000000000001", &DEFAULT)))
    });
    time("iter", &mut || {
        assert_eq!(
            list.iter().filter(|item| matches!(item, Item::Bytes(_))).count() as u64,
            count
        )
    });
    time("pop_front", &mut || {
        (0..count).for_each(|_| assert!(list.pop_front(&DEFAULT).is_some()))
    });
    time("push_front", &mut || {
        (0..count).for_each(|_| list.push_front(b"element:0000000001", &DEFAULT))
    });
    time("pop_back", &mut || {
        (0..count).for_each(|_| assert!(list.pop_back(&DEFAULT).is_some()))
    });
    let pack = list_of(
        (0..64).flat_map(|n| [format!("field:{n:04}"), format!("value {n}")]),
        &DEFAULT,
    );
    let Some(NodeRef::Packed(pack)) = pack.nodes().next() else {
        return;
    };
    time("find among 64 pairs", &mut || {
        for n in 0..count {
            let field = [
                b"field:00",
                &[b'0' + (n % 64 / 10) as u8, b'0' + (n % 64 % 10) as u8][..],
            ]
            .concat();
            assert!(pack.find_first(&field, 1).is_some());
        }
    });
}
