//! Figures of the packed table with the product's allocator: CPU nanoseconds per operation and resident bytes per
//! entry, beside the standard library's table. Run by hand:
//! `cargo test --release -p holdfast-storage --test packed_table_figures -- --ignored --nocapture`.

use std::collections::HashSet;
use std::hint::black_box;

use holdfast_storage::encoding::packed_table::{HashTable, SetTable};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ENTRIES: u64 = 1_000_000;
const PAGE: usize = 4096;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("pages")
        * PAGE
}

fn cpu_ns() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("ns")
}

/// Runs `each` for every number below `ENTRIES`, in an order that no prefetcher follows.
fn timed(name: &str, mut each: impl FnMut(u64)) {
    let start = cpu_ns();
    for step in 0..ENTRIES {
        each(step * 618_033_989 % ENTRIES);
    }
    println!("  {name:<24}{:>7.0} ns", (cpu_ns() - start) / ENTRIES as f64);
}

/// `LEN` bytes of which the last seven are the number's digits.
fn key<const LEN: usize>(first: u8, mut number: u64) -> [u8; LEN] {
    let mut key = [first; LEN];
    for digit in key.iter_mut().rev().take(7) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    key
}

fn per_entry(bytes: usize) -> f64 {
    bytes as f64 / ENTRIES as f64
}

#[test]
#[ignore = "prints figures, checks none"]
fn set() {
    let before = resident_bytes();
    let mut set = SetTable::new();
    println!("set of {ENTRIES} 17-byte members");
    timed("insert", |number| {
        assert!(set.insert(&key::<17>(b'm', number), b""))
    });
    let (resident, heap) = (resident_bytes() - before, set.heap_bytes());
    println!(
        "  resident {:.1} B, heap {:.1} B each",
        per_entry(resident),
        per_entry(heap)
    );
    timed("make a key", |number| {
        drop(black_box(Box::new(key::<17>(b'm', number))))
    });
    timed("contains (hit)", |number| {
        assert!(set.contains(&key::<17>(b'm', number)))
    });
    timed("contains (miss)", |number| {
        assert!(!set.contains(&key::<17>(b'x', number)))
    });
    let mut rng = SmallRng::seed_from_u64(7);
    timed("random", |_| assert!(set.random(&mut rng).is_some()));
    let mut members = set.iter();
    timed("iterate", |_| assert!(members.next().is_some()));
    timed("remove", |number| assert!(set.remove(&key::<17>(b'm', number))));
    drop(set);

    println!("the standard library's set of boxed members");
    let mut set: HashSet<Box<[u8]>, foldhash::fast::RandomState> = HashSet::default();
    timed("insert", |number| {
        assert!(set.insert(Box::from(&key::<17>(b'm', number)[..])))
    });
    timed("contains (hit)", |number| {
        assert!(set.contains(&key::<17>(b'm', number)[..]))
    });
    timed("contains (miss)", |number| {
        assert!(!set.contains(&key::<17>(b'x', number)[..]))
    });
    timed("remove", |number| {
        assert!(set.remove(&key::<17>(b'm', number)[..]))
    });
}

#[test]
#[ignore = "prints figures, checks none"]
fn hash() {
    let before = resident_bytes();
    let mut hash = HashTable::new();
    println!("hash of {ENTRIES} 16-byte fields with 13-byte values");
    timed("insert", |number| {
        assert!(hash.insert(&key::<16>(b'f', number), b"value:1234567"))
    });
    let (resident, heap) = (resident_bytes() - before, hash.heap_bytes());
    println!(
        "  resident {:.1} B, heap {:.1} B each",
        per_entry(resident),
        per_entry(heap)
    );
    timed("get", |number| {
        assert!(hash.get(&key::<16>(b'f', number)).is_some())
    });
    timed("same-size update", |number| {
        assert!(!hash.insert(&key::<16>(b'f', number), b"value:7654321"))
    });
    let mut rng = SmallRng::seed_from_u64(7);
    timed("other-size update", |number| {
        hash.insert(&key::<16>(b'f', number), &[b'v'; 20][..rng.random_range(10..16)]);
    });
}
