use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn small() -> StreamLimits {
    StreamLimits {
        node_max_bytes: 200,
        node_max_entries: 4,
    }
}

fn add(stream: &mut Stream, id: StreamId, pairs: &Pairs) -> Result<(), AppendError> {
    stream.append(
        id,
        pairs.iter().map(|(field, value)| (&field[..], &value[..])),
        &small(),
    )
}

fn pairs(entry: Entry<'_>) -> (StreamId, Pairs) {
    let fields = entry
        .fields
        .map(|(field, value)| (field.to_vec(), value.to_vec()))
        .collect();
    (entry.id, fields)
}

fn numbered(count: u64) -> Stream {
    let mut stream = Stream::new();
    for i in 1..=count {
        add(
            &mut stream,
            id(i, 0),
            &vec![(b"f".to_vec(), i.to_string().into())],
        )
        .unwrap();
    }
    stream
}

fn ids(stream: &Stream) -> Vec<u64> {
    stream.iter().map(|entry| entry.id.ms).collect()
}

fn trim(bound: Bound, approximate: bool, limit: Option<u64>, references: References) -> Trim {
    Trim {
        bound,
        approximate,
        limit,
        references,
    }
}

#[test]
fn the_layout_is_that_of_redis() {
    // DUMP of redis-server 7.0.15 after: XADD s 5-1 f 1 g x; XADD s 5-2 f 2 g y; XADD s 7-0 h z; XDEL s 5-1.
    let wanted: &[u8] = &[
        2, 1, 1, 1, 2, 1, 0x81, b'f', 2, 0x81, b'g', 2, 0, 1, // live, deleted, fields, f, g, end
        3, 1, 0, 1, 0, 1, 1, 1, 0x81, b'x', 2, 5, 1, // deleted, same fields
        2, 1, 0, 1, 1, 1, 2, 1, 0x81, b'y', 2, 5, 1, // one behind, same fields
        0, 1, 2, 1, 0xDF, 0xFF, 2, 1, 1, 0x81, b'h', 2, 0x81, b'z', 2, 6, 1, // its own field
        0xFF,
    ];
    let mut stream = Stream::new();
    let pair = |f: &str, v: &str| (f.as_bytes().to_vec(), v.as_bytes().to_vec());
    add(&mut stream, id(5, 1), &vec![pair("f", "1"), pair("g", "x")]).unwrap();
    add(&mut stream, id(5, 2), &vec![pair("f", "2"), pair("g", "y")]).unwrap();
    add(&mut stream, id(7, 0), &vec![pair("h", "z")]).unwrap();
    assert!(stream.remove(id(5, 1)));
    let (first, pack) = stream.nodes().next().unwrap();
    assert_eq!(first, id(5, 1));
    assert_eq!(&pack.as_bytes()[6..], wanted);
    assert_eq!(stream.first_id(), id(5, 2));
    let mut copy = Stream::new();
    copy.restore_node(first, pack.as_bytes()).unwrap();
    copy.restore_numbers(&Restore {
        len: 2,
        last_id: id(7, 0),
        max_deleted_id: id(5, 1),
        entries_added: 3,
    })
    .unwrap();
    assert!(copy.iter().map(pairs).eq(stream.iter().map(pairs)));
}

#[test]
fn ids_ascend() {
    let mut stream = numbered(3);
    let one = vec![(b"f".to_vec(), b"v".to_vec())];
    for old in [StreamId::ZERO, id(1, 0), id(3, 0)] {
        assert_eq!(add(&mut stream, old, &one), Err(AppendError::NotNewer));
    }
    add(&mut stream, StreamId::MAX, &one).unwrap();
    assert_eq!(add(&mut stream, StreamId::MAX, &one), Err(AppendError::NotNewer));
    assert_eq!(stream.iter().next_back().unwrap().id, StreamId::MAX);
    assert_eq!(stream.last_entry_id(), StreamId::MAX);
}

/// XSETID takes the last id back behind a deleted entry, which stays in its node.
#[test]
fn a_deleted_entry_may_be_greater_than_those_behind_it() {
    let mut stream = Stream::new();
    let one = vec![(b"f".to_vec(), b"v".to_vec())];
    for ms in [1, 90] {
        add(&mut stream, id(ms, 0), &one).unwrap();
    }
    assert!(stream.remove(id(90, 0)));
    stream.set_last_id(id(2, 0));
    add(&mut stream, id(3, 0), &one).unwrap();
    assert_eq!(ids(&stream), [1, 3]);
    let (first, pack) = stream.nodes().next().unwrap();
    Stream::new().restore_node(first, pack.as_bytes()).unwrap();
    assert!(stream.contains(id(3, 0)) && stream.remove(id(3, 0)));
}

#[test]
fn nodes_end_at_their_limits() {
    assert_eq!(numbered(9).node_count(), 3);
    let mut stream = Stream::new();
    for i in 1..=3 {
        add(&mut stream, id(i, 0), &vec![(b"f".to_vec(), vec![b'v'; 150])]).unwrap();
    }
    assert_eq!(stream.node_count(), 3);
    assert_eq!(stream.radix_tree_nodes(), 1 + 1 + 1 + 3 * 2 - 1);
}

#[test]
fn approximate_trimming_takes_whole_nodes() {
    for (bound, left) in [
        (Bound::MaxLen(5), vec![5, 6, 7, 8, 9, 10]),
        (Bound::MaxLen(6), vec![5, 6, 7, 8, 9, 10]),
        (Bound::MaxLen(7), (1..=10).collect()),
        (Bound::MinId(id(9, 0)), vec![9, 10]),
        (Bound::MinId(id(8, 0)), vec![5, 6, 7, 8, 9, 10]),
        (Bound::MaxLen(0), vec![]),
    ] {
        let mut stream = numbered(10);
        let removed = stream.trim(&trim(bound, true, None, References::Keep));
        assert_eq!(ids(&stream), left, "{bound:?}");
        assert_eq!(
            (removed, stream.len()),
            (10 - left.len() as u64, left.len() as u64)
        );
        assert_eq!(stream.first_id().ms, left.first().copied().unwrap_or(0));
    }
    let mut stream = numbered(10);
    assert_eq!(
        stream.trim(&trim(Bound::MaxLen(0), true, Some(7), References::Keep)),
        4
    );
}

#[test]
fn exact_trimming_takes_what_is_asked() {
    for max in 0..=11 {
        let mut stream = numbered(10);
        stream.trim(&trim(Bound::MaxLen(max), false, None, References::Keep));
        assert_eq!(stream.len(), max.min(10));
        let mut stream = numbered(10);
        stream.trim(&trim(Bound::MinId(id(max, 0)), false, None, References::Keep));
        assert_eq!(ids(&stream), (max.max(1)..=10).collect::<Vec<_>>());
        assert_eq!(stream.max_deleted_id(), StreamId::ZERO);
    }
}

/// 1 to 10; the group g has 2 and 3 pending and has read up to 8.
fn read_by_a_group() -> Stream {
    let mut stream = numbered(10);
    let mut group = Group::new(id(8, 0), None);
    let consumer = group.create_consumer(b"c", 0).unwrap();
    group.assign(id(2, 0), consumer, 0, 1);
    group.assign(id(3, 0), consumer, 0, 1);
    assert!(stream.create_group(b"g", group));
    stream
}

#[test]
fn what_is_pending_is_kept_forgotten_or_respected() {
    let pending = |stream: &Stream| stream.group(b"g").unwrap().pending_len();
    let mut stream = read_by_a_group();
    stream.trim(&trim(Bound::MaxLen(1), false, None, References::Keep));
    assert_eq!((ids(&stream), pending(&stream)), (vec![10], 2));

    let mut stream = read_by_a_group();
    stream.trim(&trim(Bound::MaxLen(8), false, None, References::Delete));
    assert_eq!((stream.len(), pending(&stream)), (8, 1));

    let mut stream = read_by_a_group();
    stream.trim(&trim(
        Bound::MinId(id(10, 0)),
        false,
        None,
        References::Acknowledged,
    ));
    assert_eq!((ids(&stream), pending(&stream)), (vec![2, 3, 9, 10], 2));
    let mut stream = read_by_a_group();
    stream.trim(&trim(Bound::MaxLen(8), false, None, References::Acknowledged));
    assert_eq!(ids(&stream), [2, 3, 5, 6, 7, 8, 9, 10]);

    let mut stream = read_by_a_group();
    for (ms, references, wanted) in [
        (2, References::Acknowledged, Deleted::Referenced),
        (9, References::Acknowledged, Deleted::Referenced),
        (1, References::Acknowledged, Deleted::Gone),
        (1, References::Acknowledged, Deleted::Missing),
        (2, References::Keep, Deleted::Gone),
        (2, References::Delete, Deleted::Missing),
        (3, References::Delete, Deleted::Gone),
    ] {
        assert_eq!(stream.remove_with(id(ms, 0), references), wanted, "{ms}");
    }
    assert_eq!(pending(&stream), 0);
}

#[test]
fn consumers_come_and_go() {
    let mut group = Group::new(StreamId::ZERO, Some(0));
    let a = group.create_consumer(b"a", 1).unwrap();
    let b = group.create_consumer(b"b", 2).unwrap();
    assert_eq!(group.create_consumer(b"a", 3), None);
    group.assign(id(1, 0), a, 5, 1);
    group.assign(id(2, 0), a, 5, 1);
    group.assign(id(1, 0), b, 6, 2);
    group.give_back(id(2, 0), 1);
    assert_eq!((group.consumer(a).pending().len(), group.unowned_len()), (0, 1));
    assert_eq!(group.remove_consumer(b"b"), Some(1));
    assert_eq!(group.remove_consumer(b"b"), None);
    assert_eq!(group.create_consumer(b"c", 4), Some(b), "its place is used again");
    assert_eq!(group.pending_len(), 1);
    assert!(group.acknowledge(id(2, 0)) && !group.acknowledge(id(2, 0)));
    let names: Vec<_> = group.consumers().map(|(_, consumer)| consumer.name()).collect();
    assert_eq!(names, [b"a", b"c"]);
}

#[test]
fn a_walk_from_both_ends_meets() {
    let stream = numbered(10);
    let mut range = stream.range(id(2, 0), id(9, 0));
    let mut seen = Vec::new();
    while let Some(entry) = range.next() {
        seen.push(entry.id.ms);
        seen.extend(range.next_back().map(|entry| entry.id.ms));
    }
    assert_eq!(seen, [2, 9, 3, 8, 4, 7, 5, 6]);
    assert!(range.next_back().is_none() && range.next().is_none());
    assert_eq!(stream.range(id(5, 0), id(4, 0)).count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u64, Pairs),
    Remove(usize),
    Trim(Trim),
}

fn step() -> impl Strategy<Value = Step> {
    let text = || {
        prop_oneof![
            "[a-c]{0,2}".prop_map(String::into_bytes),
            any::<i32>().prop_map(|i| i.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..90),
        ]
    };
    let same = prop::collection::vec(text(), 2).prop_map(|values| {
        let names = [b"f".to_vec(), b"7".to_vec()];
        names.into_iter().zip(values).collect::<Pairs>()
    });
    let fields = prop_oneof![same, prop::collection::vec((text(), text()), 1..4)];
    let bound = prop_oneof![
        (0..40_u64).prop_map(Bound::MaxLen),
        (0..60_u64, 0..3_u64).prop_map(|(ms, seq)| Bound::MinId(id(ms, seq))),
    ];
    let limit = prop::option::of(0..30_u64);
    let trims = (bound, any::<bool>(), limit)
        .prop_map(|(bound, approximate, limit)| trim(bound, approximate, limit, References::Keep));
    prop_oneof![
        12 => (0..3_u64, 0..3_u64, fields).prop_map(|(ms, seq, pairs)| Step::Add(ms, seq, pairs)),
        4 => any::<usize>().prop_map(Step::Remove),
        1 => trims.prop_map(Step::Trim),
    ]
}

proptest! {
    #[test]
    fn as_a_map_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut stream = Stream::new();
        let mut model: BTreeMap<StreamId, Pairs> = BTreeMap::new();
        let (mut last, mut deleted, mut added) = (StreamId::ZERO, StreamId::ZERO, 0);
        for step in steps {
            match step {
                Step::Add(ms, seq, pairs) => {
                    let new = id(last.ms + ms, if ms == 0 { last.seq + seq } else { seq });
                    let wanted = if new > last { Ok(()) } else { Err(AppendError::NotNewer) };
                    prop_assert_eq!(add(&mut stream, new, &pairs), wanted);
                    if wanted.is_ok() {
                        model.insert(new, pairs);
                        last = new;
                        added += 1;
                    }
                }
                Step::Remove(at) => {
                    let Some(&gone) = model.keys().nth(at % model.len().max(1)) else { continue };
                    model.remove(&gone);
                    deleted = deleted.max(gone);
                    prop_assert!(stream.remove(gone));
                    prop_assert!(!stream.remove(gone));
                }
                Step::Trim(trim) => {
                    let surplus = match trim.bound {
                        Bound::MaxLen(max) => model.len().saturating_sub(max as usize),
                        Bound::MinId(id) => model.range(..id).count(),
                    };
                    let removed = stream.trim(&trim) as usize;
                    prop_assert!(removed <= surplus);
                    prop_assert!(trim.approximate || trim.limit.is_some() || removed == surplus);
                    for _ in 0..removed {
                        model.pop_first();
                    }
                }
            }
            prop_assert_eq!(stream.len(), model.len() as u64);
            prop_assert_eq!(stream.first_id(), model.keys().next().copied().unwrap_or_default());
        }
        prop_assert_eq!((stream.last_id(), stream.max_deleted_id()), (last, deleted));
        prop_assert_eq!(stream.entries_added(), added);
        let all: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(stream.iter().map(pairs).collect::<Vec<_>>(), all.clone());
        let mut back: Vec<_> = stream.iter().rev().map(pairs).collect();
        back.reverse();
        prop_assert_eq!(back, all);
        for from in 0..5 {
            for to in from..from + 20 {
                let (from, to) = (id(from * 3, 1), id(to, 2));
                if from <= to {
                    let wanted: Vec<_> = model.range(from..=to).map(|(id, _)| *id).collect();
                    let got: Vec<_> = stream.range(from, to).map(|entry| entry.id).collect();
                    prop_assert_eq!(&got, &wanted);
                    let mut back: Vec<_> = stream.range(from, to).rev().map(|entry| entry.id).collect();
                    back.reverse();
                    prop_assert_eq!(back, wanted);
                }
            }
        }
        // What is stored comes back.
        let mut copy = Stream::new();
        for (first, pack) in stream.nodes() {
            copy.restore_node(first, pack.as_bytes()).unwrap();
        }
        copy.restore_numbers(&Restore {
            len: stream.len(),
            last_id: last,
            max_deleted_id: deleted,
            entries_added: added,
        })
        .unwrap();
        prop_assert!(copy.iter().map(pairs).eq(stream.iter().map(pairs)));
    }

    /// Bytes of any origin are refused or give a stream that can be walked and changed.
    #[test]
    fn damaged_nodes_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0..4_usize) {
        let stream = numbered(4);
        let (first, pack) = stream.nodes().next().unwrap();
        let mut bytes = pack.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut == 0 {
            bytes.truncate(at);
        }
        let mut copy = Stream::new();
        if copy.restore_node(first, &bytes).is_ok() {
            let all: Vec<_> = copy.iter().map(pairs).collect();
            prop_assert_eq!(all.len() as u64, copy.len());
            prop_assert!(copy.iter().rev().map(pairs).eq(all.iter().rev().cloned()));
            for (id, _) in all {
                prop_assert!(copy.remove(id));
            }
            prop_assert_eq!(copy.len(), 0);
        }
    }

    #[test]
    fn any_listpack_may_be_offered(items in prop::collection::vec(-2..8_i64, 0..24)) {
        let mut pack = Listpack::new();
        items.iter().for_each(|item| pack.push_back_int(*item));
        let mut stream = Stream::new();
        if stream.restore_node(id(1, 1), pack.as_bytes()).is_ok() {
            prop_assert_eq!(stream.iter().count() as u64, stream.len());
            prop_assert_eq!(stream.iter().rev().count() as u64, stream.len());
        }
    }
}

#[test]
fn stored_numbers_must_agree() {
    let stream = numbered(5);
    let nodes: Vec<_> = stream
        .nodes()
        .map(|(id, pack)| (id, pack.as_bytes().to_vec()))
        .collect();
    let build = |order: &[usize]| {
        let mut copy = Stream::new();
        for &i in order {
            copy.restore_node(nodes[i].0, &nodes[i].1)?;
        }
        Ok::<_, Damaged>(copy)
    };
    assert_eq!(build(&[1, 0]).unwrap_err(), Damaged::Order);
    assert_eq!(build(&[0, 0]).unwrap_err(), Damaged::Order);
    let right = Restore {
        len: 5,
        last_id: id(5, 0),
        max_deleted_id: StreamId::ZERO,
        entries_added: 5,
    };
    let check = |numbers: Restore| build(&[0, 1]).unwrap().restore_numbers(&numbers);
    assert_eq!(check(right), Ok(()));
    for wrong in [
        Restore { len: 4, ..right },
        Restore {
            last_id: id(4, 9),
            ..right
        },
    ] {
        assert_eq!(check(wrong), Err(Damaged::Numbers));
    }
    let mut old = build(&[0, 1]).unwrap();
    old.restore_old(5, id(9, 0)).unwrap();
    assert_eq!((old.entries_added(), old.first_id()), (5, id(1, 0)));
    let group = old.restore_group(b"g", id(3, 0), None).unwrap();
    let consumer = group.create_consumer(b"c", 0).unwrap();
    assert!(group.restore_pending(id(1, 0), 7, 1) && !group.restore_pending(id(1, 0), 7, 1));
    assert!(group.restore_owner(id(1, 0), consumer) && !group.restore_owner(id(1, 0), consumer));
    assert!(!group.restore_owner(id(2, 0), consumer));
    assert_eq!(
        old.restore_group(b"g", id(3, 0), None).unwrap_err(),
        Damaged::Twice
    );
}
