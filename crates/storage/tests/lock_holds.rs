//! How long a snapshot holds a lock while it is at a value of a million elements, or at one of few elements that are large,
//! and how long a change of such a value takes meanwhile. `HOLDFAST_ELEMENTS=1000000 cargo test --release -p
//! holdfast-storage --test lock_holds -- --nocapture` prints the figures; here it is seen that what the snapshot says is
//! right, whatever changes meanwhile.

use std::time::Duration;

use holdfast_storage::data::Data;
use holdfast_storage::effects::{Class, Effects, Event};
use holdfast_storage::keyspace::{Keyspace, ShardSet};
use holdfast_storage::snapshot::{Element, Meta, Progress, Sink, Walker};
use holdfast_storage::types::hash::{Hash, HashLimits};
use holdfast_storage::types::list::{List, ListLimits};
use holdfast_storage::types::set::{Set, SetLimits};
use holdfast_storage::types::stream::{Group, Stream, StreamId, StreamLimits};
use holdfast_storage::types::zset::{Zset, ZsetLimits};
use holdfast_storage::value::{HeapStr, Kind, Value, ValueRef};
use nix::time::{ClockId, clock_gettime};
use rand::SeedableRng;
use rand::rngs::SmallRng;

const CHANGE: Event = Event(Class::Generic, "change");
const KEY: &[u8] = b"big";

/// Adds up what it sees, so that values can be told from each other.
#[derive(Default)]
struct Sum {
    elements: u64,
    bytes: u64,
    written: usize,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.elements += 1;
        self.bytes += bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
        self.written += bytes.len();
    }
}

impl Sink for Sum {
    fn value(&mut self, _: &Meta<'_>, value: ValueRef<'_>) {
        match value {
            ValueRef::Heap(text) => self.add(text.as_slice()),
            ValueRef::List(list) => list.iter().for_each(|item| self.add(&item.to_vec())),
            ValueRef::Stream(stream) => {
                for entry in stream.iter() {
                    entry.fields.for_each(|(_, value)| self.add(&value.to_vec()));
                }
                for (_, group) in stream.groups() {
                    group
                        .pending_range(..)
                        .for_each(|(id, pending)| self.add(&[id.seq as u8, pending.deliveries as u8]));
                }
            }
            other => panic!("{:?} comes in elements", other.kind()),
        }
    }
    fn begin(&mut self, _: &Meta<'_>, _: Kind, _: usize) {}
    fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Member(member) => self.add(member),
            Element::Field(field, value, _) => {
                self.add(field);
                self.add(value);
            }
            Element::Scored(member, score) => {
                self.add(member);
                self.add(&score.to_le_bytes());
            }
            Element::Bytes(bytes) => self.add(bytes),
        }
    }
    fn end(&mut self) {}
    fn written(&self) -> usize {
        self.written
    }
}

/// Processor time of this thread: that others have the core is no hold of ours.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("Linux has this clock")
        .into()
}

fn with_data<R>(keyspace: &Keyspace, f: impl FnOnce(&mut Data<'_, '_>) -> R) -> (R, Duration) {
    let (mut effects, mut rng) = (Effects::default(), SmallRng::seed_from_u64(1));
    let mut locked = keyspace.lock(&ShardSet::All);
    let began = now();
    let result = f(&mut Data::new(&mut locked, 0, 1_000, &mut effects, &mut rng));
    (result, now() - began)
}

fn name(i: usize) -> Vec<u8> {
    format!("element:{i:08}").into_bytes()
}

/// The same, and bytes behind it.
fn long_name(i: usize, bytes: usize) -> Vec<u8> {
    let mut name = name(i);
    name.resize(name.len() + bytes, b'.');
    name
}

/// Elements of a kind's value, and bytes of each where they are large: few of them, and so many bytes in all.
fn sizes(kind: &str, count: usize) -> (usize, usize) {
    match kind.ends_with(" of large") {
        true => ((count / 40).min(1000), count / 10),
        false => (count, 0),
    }
}

fn build(kind: &str, count: usize, bytes: usize) -> Value {
    match kind {
        "hash of large" => {
            let (mut hash, value) = (Hash::new(), vec![b'v'; bytes]);
            (0..count).for_each(|i| _ = hash.set(&name(i), &value, &HashLimits::default()));
            Value::Hash(hash)
        }
        "set of large" => {
            let mut set = Set::new();
            (0..count).for_each(|i| _ = set.insert(&long_name(i, bytes), &SetLimits::default()));
            Value::Set(set)
        }
        "zset of large" => {
            let mut zset = Zset::new();
            (0..count).for_each(|i| _ = zset.insert(&long_name(i, bytes), i as f64, &ZsetLimits::default()));
            Value::Zset(zset)
        }
        "hash" => {
            let mut hash = Hash::new();
            (0..count).for_each(|i| _ = hash.set(&name(i), b"value", &HashLimits::default()));
            Value::Hash(hash)
        }
        "set" => {
            let mut set = Set::new();
            (0..count).for_each(|i| _ = set.insert(&name(i), &SetLimits::default()));
            Value::Set(set)
        }
        "zset" => {
            let mut zset = Zset::new();
            (0..count).for_each(|i| _ = zset.insert(&name(i), i as f64, &ZsetLimits::default()));
            Value::Zset(zset)
        }
        "list" => {
            let mut list = List::new();
            (0..count).for_each(|i| list.push_back(&name(i), &ListLimits::default()));
            Value::List(list)
        }
        "stream" => {
            let mut stream = Stream::new();
            let mut group = Group::new(StreamId::new(1, count as u64), None);
            let owner = group.create_consumer(b"c", 1).expect("it is the first");
            for i in 1..=count as u64 {
                let fields = [(&b"field"[..], &b"value"[..])];
                let id = StreamId::new(1, i);
                stream
                    .append(id, fields.into_iter(), &StreamLimits::default())
                    .expect("ids ascend");
                group.assign(id, owner, 5, 1);
            }
            stream.create_group(b"g", group);
            Value::Stream(stream)
        }
        "string" => Value::Heap(Box::new(HeapStr::Owned(vec![b'x'; count * 100]))),
        other => panic!("no kind {other}"),
    }
}

/// Changes the value at a place.
fn change(d: &mut Data<'_, '_>, kind: &str, at: usize, count: usize, bytes: usize) {
    let name = |i| match kind {
        "hash of large" => name(i),
        _ => long_name(i, bytes),
    };
    match kind {
        "hash" | "hash of large" => {
            let mut hash = d.edit_or_create::<Hash>(KEY).expect("a hash");
            hash.set(&name(at), b"another", &HashLimits::default());
            hash.remove(&name(at + 1));
            hash.finish(CHANGE, 1);
        }
        "set" | "set of large" => {
            let mut set = d.edit_or_create::<Set>(KEY).expect("a set");
            set.remove(&name(at));
            set.insert(&name(at + count), &SetLimits::default());
            set.finish(CHANGE, 1);
        }
        "zset" | "zset of large" => {
            let mut zset = d.edit_or_create::<Zset>(KEY).expect("a sorted set");
            zset.insert(&name(at), 0.5, &ZsetLimits::default());
            zset.remove(&name(at + 1));
            zset.finish(CHANGE, 1);
        }
        "list" => {
            let mut list = d.edit_or_create::<List>(KEY).expect("a list");
            list.push_back(b"more", &ListLimits::default());
            list.set(at as i64, b"another", &ListLimits::default());
            list.finish(CHANGE, 1);
        }
        "stream" => {
            let mut stream = d.edit_or_create::<Stream>(KEY).expect("a stream");
            let next = stream.last_id().next().expect("far from the end");
            let fields = [(&b"field"[..], &b"more"[..])];
            stream
                .append(next, fields.into_iter(), &StreamLimits::default())
                .expect("ids ascend");
            let group = stream.group_mut(b"g").expect("it is there");
            group.acknowledge(StreamId::new(1, at as u64 + 1));
            stream.finish(CHANGE, 1);
        }
        "string" => {
            let from = at * 100;
            let edit = d.edit_string(KEY).expect("a string").expect("it is there");
            edit.within(from..from + 10)
                .finish(CHANGE, |text| text[from..from + 10].fill(b'y'));
            let edit = d.edit_string(KEY).expect("a string").expect("it is there");
            edit.within(0..0).finish(CHANGE, |text| text.push(b'z'));
        }
        other => panic!("no kind {other}"),
    }
}

/// Walks over the value, with changes between the slices. Returns the sum, and how long each step and each change took.
fn walk(kind: &str, count: usize, changing: bool) -> (Sum, Times, Times) {
    let keyspace = Keyspace::new(1, 4);
    let (count, bytes) = sizes(kind, count);
    with_data(&keyspace, |d| d.put(0, KEY, build(kind, count, bytes), None));
    let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other runs");
    let (mut sum, mut steps, mut changes) = (Sum::default(), Times::new(), Times::new());
    let mut at = 7;
    loop {
        if changing {
            at = (at * 31 + 11) % (count - 2);
            let ((), time) = with_data(&keyspace, |d| change(d, kind, at, count, bytes));
            changes.push(time);
        }
        let began = now();
        let progress = walker.step(&mut sum).expect("nothing is lost");
        steps.push(now() - began);
        if progress == Progress::Done {
            return (sum, steps, changes);
        }
    }
}

/// A machine that does something else for a moment does so in one run, and a step that is long is long in all.
const RUNS: usize = 3;

type Times = Vec<Duration>;

/// Keeps the shorter time of each step.
fn shortest(times: &mut Times, others: Times) {
    for (time, other) in times.iter_mut().zip(&others) {
        *time = (*time).min(*other);
    }
    if times.is_empty() {
        *times = others;
    }
}

#[test]
fn a_big_value_is_seen_as_it_was_whatever_changes() {
    let count = std::env::var("HOLDFAST_ELEMENTS").map_or(20_000, |n| n.parse().expect("a number"));
    println!("{count} elements; longest step, longest change meanwhile");
    let kinds = [
        "hash",
        "set",
        "zset",
        "list",
        "stream",
        "string",
        "hash of large",
        "set of large",
        "zset of large",
    ];
    for kind in kinds {
        let (quiet, ..) = walk(kind, count, false);
        let (mut steps, mut changes) = (Times::new(), Times::new());
        for _ in 0..RUNS {
            let (sum, some_steps, some_changes) = walk(kind, count, true);
            assert_eq!((sum.elements, sum.bytes), (quiet.elements, quiet.bytes), "{kind}");
            shortest(&mut steps, some_steps);
            shortest(&mut changes, some_changes);
        }
        let longest = |times: Times| times.into_iter().max().unwrap_or_default();
        let (step, change) = (longest(steps), longest(changes));
        // Lists and streams are written as a whole, when no lock is held any more.
        let locked = !matches!(kind, "list" | "stream");
        let note = if locked { "" } else { " (no lock)" };
        println!("{kind:14} {step:>12.1?}{note:10} {change:>12.1?}");
    }
}
