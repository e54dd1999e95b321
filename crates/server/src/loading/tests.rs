use std::io::{self, Read};

use holdfast_rdb::Limits;
use holdfast_rdb::file::{Clocks, FileWriter};
use holdfast_replication::ReplicationLog;
use holdfast_storage::access::AccessPolicy;
use holdfast_storage::data::{Data, Expiry};
use holdfast_storage::effects::{Effects, Event};
use holdfast_storage::keyspace::{Keyspace, ShardSet};
use holdfast_storage::snapshot::{Progress, Walker};
use holdfast_storage::types::list::{List, ListLimits};
use holdfast_storage::value::Value;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const NOW_MS: i64 = 1_000_000;

fn options(threads: usize) -> LoadOptions {
    LoadOptions {
        limits: Limits::default(),
        access: AccessPolicy::default(),
        check: true,
        existing: Existing::Refuse,
        keep_expired: false,
        log: None,
        now_ms: NOW_MS,
        threads,
    }
}

fn with_data<R>(keyspace: &Keyspace, f: impl FnOnce(&mut Data<'_, '_>) -> R) -> R {
    let (mut locked, mut effects) = (keyspace.lock(&ShardSet::All), Effects::default());
    let mut rng = SmallRng::seed_from_u64(1);
    f(&mut Data::new(&mut locked, 0, NOW_MS, &mut effects, &mut rng))
}

/// Strings of many lengths, integers, keys that expire, a list that is larger than a batch.
fn filled(keys: usize) -> Keyspace {
    let keyspace = Keyspace::new(4, 16);
    with_data(&keyspace, |d| {
        for i in 0..keys {
            d.db = (i % 3) as u32;
            let expiry = match i % 5 {
                0 => Expiry::At(NOW_MS + i as i64 + 1),
                _ => Expiry::Clear,
            };
            let text = format!("{i}").repeat(i % 40 + 1);
            d.set_string(format!("key:{i}").as_bytes(), text.as_bytes(), expiry, Event::SET);
        }
        let mut list = List::new();
        for i in 0..200_000 {
            list.push_back(
                format!("an element that takes some room: {i}").as_bytes(),
                &ListLimits::default(),
            );
        }
        d.put(3, b"long", Value::List(list), None);
    });
    keyspace
}

fn file(keyspace: &Keyspace) -> Vec<u8> {
    let clocks = Clocks {
        now_ms: NOW_MS,
        lfu: false,
        lfu_decay_minutes: 1,
        lru: false,
    };
    let mut file = FileWriter::new(false, true, None, clocks);
    file.aux("repl-id", b"0123456789012345678901234567890123456789");
    file.aux("repl-offset", b"4711");
    file.aux("repl-stream-db", b"2");
    file.aux("aof-base", b"1");
    file.aux("unheard-of", b"x");
    file.function(b"#!lua name=a\n");
    let mut walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).unwrap();
    while walker.step(&mut file) == Ok(Progress::More) {}
    file.finish();
    file.drain(<[u8]>::to_vec)
}

/// All keys with what they hold, in order.
fn contents(keyspace: &Keyspace) -> Vec<String> {
    let mut all = Vec::new();
    for (_, shard) in keyspace.lock(&ShardSet::All).each() {
        for (db, content) in shard.dbs.iter().enumerate() {
            all.extend(content.table.iter().map(|entry| {
                let payload = holdfast_rdb::payload::dump(entry.value(), false, holdfast_rdb::Dialect::Redis);
                let key = entry.key().escape_ascii();
                format!(
                    "{db} {key} {:?} {:x}",
                    entry.expire_at_ms(),
                    holdfast_rdb::crc64::checksum(&payload)
                )
            }));
        }
    }
    all.sort();
    all
}

fn load_into(target: &Keyspace, file: impl Read, options: &LoadOptions) -> Result<Loaded, String> {
    load_stream(file, target, options, &LoadProgress::new(NOW_MS, 0)).map_err(|e| e.to_string())
}

#[test]
fn what_was_saved_comes_back_with_its_notes() {
    let origin = filled(20_000);
    let file = file(&origin);
    for threads in [1, 3] {
        let target = Keyspace::new(4, 8);
        let progress = LoadProgress::new(NOW_MS, file.len() as u64);
        let bytes = [&file[..], b"the stream goes on"].concat();
        let loaded = load_stream(&bytes[..], &target, &options(threads), &progress).unwrap();
        assert_eq!((loaded.keys, loaded.expired, loaded.empty), (20_001, 0, 0));
        assert_eq!(loaded.bytes, file.len() as u64);
        assert_eq!(loaded.rest, b"the stream goes on");
        assert_eq!(loaded.functions, [b"#!lua name=a\n"]);
        assert_eq!(
            loaded.repl_id.as_deref(),
            Some("0123456789012345678901234567890123456789")
        );
        assert_eq!(
            (loaded.repl_offset, loaded.repl_stream_db, loaded.aof_base),
            (Some(4711), Some(2), true)
        );
        assert_eq!((progress.bytes(), progress.keys()), (file.len() as u64, 20_001));
        assert!(contents(&target) == contents(&origin));
    }
}

#[test]
fn keys_whose_time_is_over_stay_for_a_replica_alone() {
    let file = file(&filled(1_000));
    let late = LoadOptions {
        now_ms: NOW_MS + 501,
        ..options(2)
    };
    let target = Keyspace::new(4, 8);
    let loaded = load_into(&target, &file[..], &late).unwrap();
    assert_eq!((loaded.keys, loaded.expired), (901, 100));
    let replica = LoadOptions {
        keep_expired: true,
        ..late
    };
    let target = Keyspace::new(4, 8);
    assert_eq!(load_into(&target, &file[..], &replica).unwrap().keys, 1_001);
}

#[test]
fn keys_that_a_primary_leaves_out_are_logged_behind_the_files_place() {
    let file = file(&filled(1_000));
    for threads in [1, 3] {
        let log = Arc::new(ReplicationLog::new(1 << 20));
        let late = LoadOptions {
            now_ms: NOW_MS + 501,
            log: Some(Arc::clone(&log)),
            ..options(threads)
        };
        let loaded = load_into(&Keyspace::new(4, 8), &file[..], &late).unwrap();
        assert!(loaded.is_logged);
        assert_eq!(log.extent().first, 4711);
        let logged = log.read(4711, usize::MAX).unwrap();
        let logged = String::from_utf8(logged).unwrap();
        assert_eq!(logged.matches("\r\nDEL\r\n").count(), 100);
        assert!(logged.starts_with("*2\r\n$6\r\nSELECT\r\n"), "{logged:.40}");
        assert!(logged.contains("$7\r\nkey:495\r\n") && !logged.contains("key:505"));
        // A file that says nothing of a history: nobody could go on from it.
        let bare = Arc::new(ReplicationLog::new(1 << 20));
        let options = LoadOptions {
            log: Some(Arc::clone(&bare)),
            ..late
        };
        let nameless: Vec<u8> = file.clone();
        let at = nameless.windows(7).position(|w| w == b"repl-id").unwrap();
        let mut nameless = nameless;
        nameless[at] = b'x';
        let len = nameless.len();
        nameless[len - 8..].fill(0);
        let loaded = load_into(&Keyspace::new(4, 8), &nameless[..], &options).unwrap();
        assert_eq!(
            (loaded.is_logged, loaded.expired, bare.end_offset()),
            (false, 100, 0)
        );
    }
}

#[test]
fn a_key_that_is_there_is_an_error_or_is_replaced() {
    let origin = filled(2_000);
    let file = file(&origin);
    let target = Keyspace::new(4, 8);
    with_data(&target, |d| {
        d.set_string(b"key:3", b"old", Expiry::Clear, Event::SET)
    });
    let error = load_into(&target, &file[..], &options(2)).unwrap_err();
    assert!(
        error.starts_with("the file has the key 'key:3' twice, at byte "),
        "{error}"
    );
    let replacing = LoadOptions {
        existing: Existing::Replace,
        ..options(2)
    };
    load_into(&target, &file[..], &replacing).unwrap();
    assert!(contents(&target) == contents(&origin));
    let narrow = Keyspace::new(3, 8);
    assert_eq!(
        load_into(&narrow, &file[..], &options(2)).unwrap_err(),
        "the file has a database 3, and `databases` is 3"
    );
}

#[test]
fn of_several_mistakes_the_first_in_the_file_is_told() {
    let mut file = b"REDIS0010".to_vec();
    for i in 0..50_000 {
        let bad = matches!(i, 30_000 | 40_000);
        // A compressed string that unfolds to another length than it says.
        let value: &[u8] = if bad { b"\xc3\x02\x05\x00a" } else { b"\x04text" };
        let key = format!("{i:05}");
        file.extend_from_slice(&[&[0, 5], key.as_bytes(), value].concat());
    }
    file.extend_from_slice(b"\x63");
    let at = 9 + 30_000 * (2 + 5 + 5) + 2 + 5 + 5;
    for _ in 0..5 {
        let error = load_into(&Keyspace::new(1, 8), &file[..], &options(3)).unwrap_err();
        assert_eq!(error, format!("invalid LZF compressed string, at byte {at}"));
    }
}

#[test]
fn damage_is_found_and_nothing_hangs() {
    let good = file(&filled(3_000));
    for end in [0, 5, 9, 40, 300, good.len() / 2, good.len() - 1] {
        assert!(load_into(&Keyspace::new(4, 8), &good[..end], &options(2)).is_err());
    }
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let error = load_into(&Keyspace::new(4, 8), &bad[..], &options(2)).unwrap_err();
    assert!(error.starts_with("RDB CRC error"), "{error}");
    let lax = LoadOptions {
        check: false,
        ..options(2)
    };
    assert!(load_into(&Keyspace::new(4, 8), &bad[..], &lax).is_ok());
}

/// Gives bytes until it is told to fail, or has the load cancelled.
struct Faulty<'a> {
    bytes: &'a [u8],
    good: usize,
    cancel: Option<&'a LoadProgress>,
}

impl Read for Faulty<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.good == 0 {
            match self.cancel {
                Some(progress) => progress.cancel(),
                None => return Err(io::Error::other("the disk is gone")),
            }
        }
        self.good = self.good.saturating_sub(1);
        self.bytes.read(buf)
    }
}

#[test]
fn a_medium_that_fails_and_a_caller_who_does_not_want_any_more() {
    let bytes = file(&filled(30_000));
    let faulty = |cancel| Faulty {
        bytes: &bytes,
        good: 5,
        cancel,
    };
    let error = load_into(&Keyspace::new(4, 8), faulty(None), &options(2)).unwrap_err();
    assert!(error.starts_with("the disk is gone, at byte "), "{error}");
    let progress = LoadProgress::new(NOW_MS, 0);
    let target = Keyspace::new(4, 8);
    let cancelled = load_stream(faulty(Some(&progress)), &target, &options(2), &progress);
    assert!(matches!(cancelled, Err(LoadError::Cancelled)));
    assert!(progress.bytes() < bytes.len() as u64);
}

/// A day for each key.
const DAY_US: i64 = 86_400_000_000;

#[test]
fn a_load_is_slowed_down_as_it_is_said_and_can_be_stopped_meanwhile() {
    let file = file(&filled(500));
    let loading = Loading::default();
    for (delay, least) in [(1_000, 500), (100, 50), (-1_000, 0)] {
        loading.set_key_delay(delay);
        let shown = loading.show(LoadProgress::new(NOW_MS, 0));
        let target = Keyspace::new(4, 8);
        load_stream(&file[..], &target, &options(2), &shown.progress).unwrap();
        assert!(shown.progress.seconds() * 1000.0 >= f64::from(least), "{delay}");
        assert!(contents(&target).len() == 501);
    }
    for cancelled in [false, true] {
        loading.set_key_delay(DAY_US);
        let shown = loading.show(LoadProgress::new(NOW_MS, 0));
        let target = Keyspace::new(4, 8);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| load_stream(&file[..], &target, &options(2), &shown.progress));
            assert!(!load.is_finished());
            match cancelled {
                true => shown.progress.cancel(),
                false => loading.set_key_delay(0),
            }
            let loaded = load.join().expect("no panic");
            assert_eq!(matches!(loaded, Err(LoadError::Cancelled)), cancelled);
            assert_eq!(loaded.map_or(0, |loaded| loaded.keys) == 501, !cancelled);
        });
    }
}
