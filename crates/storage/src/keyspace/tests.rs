//! Locks under many threads.

use std::sync::Barrier;
use std::thread;

use super::*;

fn set(shards: &[u16]) -> ShardSet {
    let mut set = ShardSet::none();
    shards.iter().for_each(|&s| set.add(s));
    set
}

/// Watchers of one key of a shard stand for what a script writes.
fn count(locked: &mut Locked<'_>, shard: u16) {
    locked.shard(shard).wait_for(0, b"k");
}

#[test]
fn extending_among_many_never_stands_still_and_loses_nothing() {
    const SHARDS: u16 = 16;
    const ROUNDS: u16 = 400;
    const THREADS: u16 = 8;
    let keyspace = Keyspace::new(1, SHARDS as usize);
    let begin = Barrier::new(THREADS as usize);
    let done: Vec<[u64; 2]> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|t| {
                let (keyspace, begin) = (&keyspace, &begin);
                scope.spawn(move || {
                    begin.wait();
                    let mut done = [0, 0];
                    for i in 0..ROUNDS {
                        let (a, b) = ((t * 5 + i * 3) % SHARDS, (t * 11 + i * 7) % SHARDS);
                        let mut locked = match i % 4 {
                            0 => keyspace.lock(&ShardSet::All),
                            1 => keyspace.lock(&set(&[a, b, (a + b) % SHARDS])),
                            _ => keyspace.lock(&set(&[a])),
                        };
                        // What it has declared is written first, so that it could not start over.
                        count(&mut locked, a);
                        done[0] += 1;
                        if !locked.holds(b) && !locked.extend_to_all() {
                            continue;
                        }
                        count(&mut locked, b);
                        done[1] += 1;
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut locked = keyspace.lock(&ShardSet::All);
    let counted: usize = locked
        .each()
        .map(|(_, shard)| {
            shard
                .awaited
                .get(&(0, Box::from(&b"k"[..])))
                .copied()
                .unwrap_or(0)
        })
        .sum();
    assert_eq!(counted as u64, done.iter().flatten().sum::<u64>());
    assert!(done.iter().any(|[_, extended]| *extended > 0));
}

#[test]
fn a_wait_gives_up_when_asked() {
    let keyspace = Keyspace::new(1, 4);
    let held = keyspace.lock_one(2);
    let give_up = AtomicBool::new(true);
    assert!(keyspace.lock_one_unless(2, &give_up).is_none());
    assert!(keyspace.lock_unless(&ShardSet::All, &give_up).is_none());
    assert!(keyspace.lock_unless(&set(&[1, 2]), &give_up).is_none());
    assert!(
        keyspace.lock_one_unless(1, &give_up).is_some(),
        "it need not wait"
    );
    drop(held);
    assert!(keyspace.lock_unless(&ShardSet::All, &give_up).is_some());
}

#[test]
fn one_extends_at_a_time() {
    let keyspace = Keyspace::new(1, 4);
    let mut locked = keyspace.lock(&set(&[1, 2]));
    keyspace.extending.store(true, Ordering::Release);
    assert!(!locked.extend_to_all());
    assert!(locked.holds(1) && !locked.holds(0));
    keyspace.extending.store(false, Ordering::Release);
    assert!(locked.extend_to_all() && locked.holds_all());
}
