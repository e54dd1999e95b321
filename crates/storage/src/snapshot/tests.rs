//! Random commands between the slices of a walk; what the walk saw must be the data as they were at the cut.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Element, Meta, Progress, Sink, SnapshotError, Walker};
use crate::data::{Data, Expiry};
use crate::effects::{Effects, Event};
use crate::encoding::quicklist::End;
use crate::keyspace::{Keyspace, ShardSet};
use crate::types::hash::{Hash, HashLimits};
use crate::types::list::{List, ListLimits};
use crate::types::set::{Set, SetLimits};
use crate::types::stream::{Stream, StreamLimits};
use crate::types::zset::{Zset, ZsetLimits};
use crate::value::{Kind, ValueRef};

const NOW: i64 = 1_000;

/// A value, as text, so that equal values are equal whatever their encodings.
#[derive(Clone, Debug, PartialEq)]
enum Plain {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
    Zset(BTreeMap<Vec<u8>, String>),
}

type Id = (u32, Vec<u8>);
type Picture = BTreeMap<Id, (Option<i64>, Plain)>;

fn plain(value: ValueRef<'_>) -> Plain {
    match value {
        ValueRef::Int(i) => Plain::Text(i.to_string().into_bytes()),
        ValueRef::Str { bytes, .. } => Plain::Text(bytes.to_vec()),
        ValueRef::Heap(h) => Plain::Text(h.as_slice().to_vec()),
        ValueRef::List(list) => Plain::List(list.iter().map(|item| item.to_vec()).collect()),
        ValueRef::Set(set) => {
            let mut members: Vec<_> = set.iter().map(|item| item.to_vec()).collect();
            members.sort();
            Plain::Set(members)
        }
        ValueRef::Hash(hash) => {
            let fields = hash.iter_all().map(|(f, v, at)| (f.to_vec(), (v.to_vec(), at)));
            Plain::Hash(fields.collect())
        }
        ValueRef::Stream(stream) => {
            let of = |entry: crate::types::stream::Entry<'_>| {
                let fields: Vec<_> = entry.fields.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                format!("{:?} {fields:?}", entry.id).into_bytes()
            };
            Plain::List(stream.iter().map(of).collect())
        }
        ValueRef::Zset(zset) => Plain::Zset(zset.iter().map(|(m, s)| (m.to_vec(), s.to_string())).collect()),
    }
}

#[derive(Default)]
struct Recorder {
    seen: Picture,
    open: Option<(Id, Option<i64>, Plain, usize)>,
    written: usize,
}

impl Recorder {
    fn add(&mut self, id: (u32, Vec<u8>), expire: Option<i64>, value: Plain) {
        self.written += 100;
        let twice = self.seen.insert(id.clone(), (expire, value));
        assert!(twice.is_none(), "{id:?} came twice");
    }
}

impl Sink for Recorder {
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>) {
        assert!(self.open.is_none(), "a value inside of another");
        self.add((meta.db, meta.key.to_vec()), meta.expire_at_ms, plain(value));
    }

    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize) {
        assert!(self.open.is_none(), "a collection inside of another");
        let empty = match kind {
            Kind::Set => Plain::Set(Vec::new()),
            Kind::Hash => Plain::Hash(BTreeMap::new()),
            Kind::Zset => Plain::Zset(BTreeMap::new()),
            Kind::String => Plain::Text(Vec::new()),
            other => panic!("a {other:?} in slices"),
        };
        self.open = Some(((meta.db, meta.key.to_vec()), meta.expire_at_ms, empty, len));
    }

    fn element(&mut self, element: Element<'_>) {
        let (_, _, value, left) = self.open.as_mut().expect("a collection is open");
        let count = match element {
            Element::Bytes(bytes) => bytes.len(),
            Element::Member(_) | Element::Field(..) | Element::Scored(..) => 1,
        };
        *left = left.checked_sub(count).expect("no more elements than announced");
        let new = match (element, value) {
            (Element::Member(m), Plain::Set(members)) => {
                members.push(m.to_vec());
                true
            }
            (Element::Field(f, v, at), Plain::Hash(map)) => {
                map.insert(f.to_vec(), (v.to_vec(), at)).is_none()
            }
            (Element::Bytes(bytes), Plain::Text(text)) => {
                text.extend_from_slice(bytes);
                true
            }
            (Element::Scored(m, s), Plain::Zset(map)) => map.insert(m.to_vec(), s.to_string()).is_none(),
            (element, value) => panic!("{element:?} in {value:?}"),
        };
        assert!(new, "an element came twice");
    }

    fn end(&mut self) {
        let (id, expire, mut value, left) = self.open.take().expect("a collection is open");
        assert_eq!(left, 0, "elements are missing");
        if let Plain::Set(members) = &mut value {
            members.sort();
        }
        self.add(id, expire, value);
    }

    fn written(&self) -> usize {
        self.written
    }
}

fn picture(keyspace: &Keyspace) -> Picture {
    let mut all = Picture::new();
    for (_, shard) in keyspace.lock(&ShardSet::All).each() {
        for (db, part) in shard.dbs.iter().enumerate() {
            for entry in part.table.iter() {
                let value = (entry.expire_at_ms(), plain(entry.value()));
                all.insert((db as u32, entry.key().to_vec()), value);
            }
        }
    }
    all
}

const CHANGE: Event = Event::SET;

/// One random command on a few keys, so that big collections change often.
fn command(keyspace: &Keyspace, rng: &mut SmallRng, now: i64) {
    let mut locked = keyspace.lock(&ShardSet::All);
    let mut effects = Effects::default();
    let mut own = SmallRng::seed_from_u64(rng.random());
    let mut d = Data::new(&mut locked, rng.random_range(0..2), now, &mut effects, &mut own);
    let n = rng.random_range(0..6);
    let text = rng.random_range(0..500u32).to_string().into_bytes();
    let other = format!("{}", rng.random_range(0..200u32)).into_bytes();
    match rng.random_range(0..100) {
        0..20 => {
            let key = format!("set{n}");
            let mut set = d.edit_or_create::<Set>(key.as_bytes()).unwrap();
            let changed = if rng.random_bool(0.6) {
                set.insert(&text, &SetLimits::default())
            } else {
                set.remove(&text)
            };
            if changed {
                set.finish(CHANGE, 1)
            } else {
                set.unchanged()
            }
        }
        20..40 => {
            let key = format!("hash{n}");
            let mut hash = d.edit_or_create::<Hash>(key.as_bytes()).unwrap();
            match rng.random_range(0..10) {
                0..5 => _ = hash.set(&text, &other, &HashLimits::default()),
                5 => _ = hash.update(&text, &other, &HashLimits::default()),
                6..8 => _ = hash.remove(&text),
                _ => {
                    // Some times come soon: each command is a little later than the one before.
                    let at_ms = rng.random_bool(0.8).then(|| now + rng.random_range(1..300));
                    hash.set_expiry_ms(&text, at_ms);
                }
            }
            hash.finish(CHANGE, 1);
        }
        40..60 => {
            let key = format!("zset{n}");
            let mut zset = d.edit_or_create::<Zset>(key.as_bytes()).unwrap();
            match rng.random_range(0..10) {
                0..6 => _ = zset.insert(&text, rng.random_range(0..500).into(), &ZsetLimits::default()),
                6..9 => _ = zset.remove(&text),
                _ => {
                    let start = rng.random_range(0..zset.len().max(1));
                    zset.remove_range(start..start + 3, |_, _| ());
                }
            }
            zset.finish(CHANGE, 1);
        }
        60..72 => {
            let key = format!("list{n}");
            let mut list = d.edit_or_create::<List>(key.as_bytes()).unwrap();
            let end = if rng.random_bool(0.5) {
                End::Front
            } else {
                End::Back
            };
            let limits = ListLimits::default();
            match rng.random_range(0..10) {
                0..5 => list.push(end, &[&text[..], &[b'x'; 200]].concat(), &limits),
                5..7 => _ = list.pop(end, &limits, |_| ()),
                7 => _ = list.set(rng.random_range(0..50), &other, &limits),
                8 => _ = list.remove(1, &other, &limits),
                _ => list.trim(1, -2, &limits),
            }
            list.finish(CHANGE, 1);
            let key = format!("stream{n}");
            let mut stream = d.edit_or_create::<Stream>(key.as_bytes()).unwrap();
            let last = stream.last_id();
            if rng.random_bool(0.7) {
                let fields = [(&b"field"[..], &text[..])];
                let next = last.next().expect("far from the end");
                stream
                    .append(next, fields.into_iter(), &StreamLimits::default())
                    .unwrap();
            } else {
                let first = stream.first_id();
                stream.remove(if rng.random_bool(0.5) { first } else { last });
            }
            stream.finish(CHANGE, 1);
        }
        72..86 => {
            let key = format!("text{}", rng.random_range(0..300));
            match rng.random_range(0..9) {
                0..2 => d.set_string(key.as_bytes(), &text, Expiry::Keep, CHANGE),
                2 => d.set_string(key.as_bytes(), &[b'y'; 40_000], Expiry::At(now + 50), CHANGE),
                3 => {
                    if let Some(edit) = d.edit_string(key.as_bytes()).unwrap() {
                        edit.finish(CHANGE, |bytes| bytes.extend_from_slice(b"more"));
                    }
                }
                4 => {
                    if let Some(edit) = d.edit_string(key.as_bytes()).unwrap() {
                        edit.within(0..0)
                            .finish(CHANGE, |bytes| bytes.extend_from_slice(&text));
                    }
                }
                5..7 => {
                    if let Some(edit) = d.edit_string(key.as_bytes()).unwrap() {
                        let from = rng.random_range(0..45_000);
                        let range = from..from + rng.random_range(1..300);
                        edit.within(range.clone()).finish(CHANGE, |bytes| {
                            bytes.resize(bytes.len().max(range.end), b'z');
                            bytes[range].fill(text[0]);
                        });
                    }
                }
                7 => _ = d.set_expire_at_ms(key.as_bytes(), rng.random_bool(0.5).then_some(now + 9)),
                _ => {
                    let next = d.update_int::<crate::data::WrongType>(b"counter", CHANGE, |old| {
                        Ok(old.map_or(0, |old| old.len() as i64 + 1))
                    });
                    next.unwrap();
                }
            }
        }
        86..94 => {
            // RENAME and MOVE.
            let kind = ["set", "hash", "zset", "list", "text", "stream"][rng.random_range(0..6)];
            let (from, to) = (format!("{kind}{n}"), format!("{kind}{}", rng.random_range(0..6)));
            let db = if from == to { 1 - d.db } else { d.db };
            if let Some((value, expire)) = d.take(from.as_bytes()) {
                d.put(db, to.as_bytes(), value, expire);
                d.changed(db, to.as_bytes(), CHANGE);
            }
        }
        94..98 => {
            let kind = ["set", "hash", "zset", "list", "text"][rng.random_range(0..5)];
            d.delete(format!("{kind}{n}").as_bytes());
        }
        98 => {
            let key = format!("set{n}");
            if let Some(mut set) = d.edit::<Set>(key.as_bytes()).unwrap() {
                let mut small = Set::new();
                small.insert(b"alone", &SetLimits::default());
                set.replace(small);
                set.finish(CHANGE, 1);
            }
        }
        _ if rng.random_bool(0.1) => _ = d.flush(rng.random_bool(0.5).then_some(0)),
        _ => d.swap_databases(0, 1),
    }
}

/// Collections that are walked in slices.
fn fill(keyspace: &Keyspace, rng: &mut SmallRng) {
    let mut locked = keyspace.lock(&ShardSet::All);
    let mut effects = Effects::default();
    let mut own = SmallRng::seed_from_u64(1);
    for n in 0..6 {
        let mut d = Data::new(&mut locked, n % 2, NOW, &mut effects, &mut own);
        let count = if n < 4 { rng.random_range(70..400) } else { 20 };
        let key = format!("set{n}");
        let mut set = d.edit_or_create::<Set>(key.as_bytes()).unwrap();
        (0..count).for_each(|i: u32| _ = set.insert(i.to_string().as_bytes(), &SetLimits::default()));
        set.finish(CHANGE, 1);
        let key = format!("hash{n}");
        let mut hash = d.edit_or_create::<Hash>(key.as_bytes()).unwrap();
        (0..count).for_each(|i| _ = hash.set(i.to_string().as_bytes(), b"v", &HashLimits::default()));
        hash.finish(CHANGE, 1);
        let key = format!("zset{n}");
        let mut zset = d.edit_or_create::<Zset>(key.as_bytes()).unwrap();
        let limits = ZsetLimits::default();
        (0..count).for_each(|i| _ = zset.insert(i.to_string().as_bytes(), (i % 300).into(), &limits));
        zset.finish(CHANGE, 1);
        let key = format!("list{n}");
        let mut list = d.edit_or_create::<List>(key.as_bytes()).unwrap();
        (0..count).for_each(|i| list.push_back(format!("{i:0>30}").as_bytes(), &ListLimits::default()));
        list.finish(CHANGE, 1);
    }
}

#[test]
fn a_walk_sees_the_data_of_its_beginning() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let keyspace = Keyspace::new(2, 8);
        let mut now = NOW;
        for round in 0..4 {
            fill(&keyspace, &mut rng);
            for _ in 0..200 {
                now += 1;
                command(&keyspace, &mut rng, now);
            }
            let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other runs");
            let before = picture(&keyspace);
            let mut sink = Recorder::default();
            let commands = rng.random_range(0..20);
            // The second walk of a seed is given up on its way.
            let mut left = if round == 1 {
                rng.random_range(1..60)
            } else {
                usize::MAX
            };
            let done = loop {
                if walker.step(&mut sink).expect("no state is lost") == Progress::Done {
                    break true;
                }
                left -= 1;
                if left == 0 {
                    break false;
                }
                for _ in 0..rng.random_range(0..=commands) {
                    now += 1;
                    command(&keyspace, &mut rng, now);
                }
            };
            if done {
                let missing: Vec<_> = before
                    .iter()
                    .filter(|(id, v)| sink.seen.get(id) != Some(v))
                    .map(|(id, _)| id)
                    .collect();
                assert!(missing.is_empty(), "seed {seed} round {round}: {missing:?}");
                assert_eq!(before.len(), sink.seen.len(), "seed {seed} round {round}");
                assert_eq!(walker.cut().waiting_bytes(), 0, "seed {seed} round {round}");
            }
        }
    }
}

#[test]
fn a_snapshot_that_is_given_up_frees_its_images_and_fails() {
    let keyspace = Keyspace::new(2, 8);
    let mut rng = SmallRng::seed_from_u64(1);
    fill(&keyspace, &mut rng);
    let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other runs");
    let mut sink = Recorder::default();
    let cut = std::sync::Arc::clone(walker.cut());
    let mut now = NOW;
    while cut.waiting_bytes() == 0 {
        now += 1;
        command(&keyspace, &mut rng, now);
    }
    assert_eq!(walker.step(&mut sink), Ok(Progress::More));
    cut.give_up();
    (0..500).for_each(|i| command(&keyspace, &mut rng, now + i));
    assert_eq!(walker.step(&mut sink), Err(SnapshotError::GivenUp));
    drop(walker);
    assert_eq!(cut.waiting_bytes(), 0);
    assert!(cut.peak_bytes() > 0);
    let again = Walker::begin(&mut keyspace.lock(&ShardSet::All));
    assert!(again.is_some());
}

#[test]
fn only_one_walk_at_a_time() {
    let keyspace = Keyspace::new(1, 4);
    let first = Walker::begin(&mut keyspace.lock(&ShardSet::All));
    assert!(first.is_some());
    assert!(Walker::begin(&mut keyspace.lock(&ShardSet::All)).is_none());
    drop(first);
    let second = Walker::begin(&mut keyspace.lock(&ShardSet::All));
    assert!(second.is_some());
}

#[test]
fn epochs_may_come_round_by_walks_that_are_given_up() {
    let keyspace = Keyspace::new(1, 2);
    let set = |key: &str| {
        let mut locked = keyspace.lock(&ShardSet::All);
        let (mut effects, mut rng) = (Effects::default(), SmallRng::seed_from_u64(1));
        let mut d = Data::new(&mut locked, 0, NOW, &mut effects, &mut rng);
        d.set_string(key.as_bytes(), b"v", Expiry::Clear, CHANGE);
    };
    for round in 0..600 {
        set(&format!("k{round}"));
        let walker = Walker::begin(&mut keyspace.lock(&ShardSet::All));
        assert!(walker.is_some());
    }
    let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other runs");
    let mut sink = Recorder::default();
    while walker.step(&mut sink).expect("no state is lost") == Progress::More {}
    assert_eq!(sink.seen.len(), 600);
}
