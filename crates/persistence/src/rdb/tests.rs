use std::path::PathBuf;

use holdfast_rdb::file::{Clocks, Item};
use holdfast_storage::data::{Data, Expiry};
use holdfast_storage::effects::{Effects, Event};
use holdfast_storage::keyspace::{Keyspace, ShardSet};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::encryption::{EncryptedFs, KeyRing};
use crate::fs::{FailingFs, Fault, MemoryFs, Survives};

const CLOCKS: Clocks = Clocks {
    now_ms: 1_000,
    lfu: false,
    lfu_decay_minutes: 1,
    lru: false,
};

struct Quiet;

impl Watcher for Quiet {
    fn keys(&self, _: u64) -> bool {
        true
    }
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

fn filled(count: usize) -> Keyspace {
    let keyspace = Keyspace::new(2, 16);
    let mut locked = keyspace.lock(&ShardSet::All);
    let (mut effects, mut rng) = (Effects::default(), SmallRng::seed_from_u64(1));
    let mut data = Data::new(&mut locked, 0, 1_000, &mut effects, &mut rng);
    for i in 0..count {
        data.set_string(format!("key:{i}").as_bytes(), b"value", Expiry::Clear, Event::SET);
    }
    drop(locked);
    keyspace
}

fn save_to(fs: &dyn Fs, keyspace: &Keyspace) -> Result<u64, SaveError> {
    let walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other snapshot");
    let file = FileWriter::new(true, true, None, CLOCKS);
    save(
        fs,
        &PathBuf::from("dir/dump.rdb"),
        &PathBuf::from("dir/temp.rdb"),
        walker,
        file,
        &Quiet,
    )
}

/// The same files, encrypted or not.
fn layered(fs: impl Fs + 'static, encrypted: bool) -> EncryptedFs {
    let keys = encrypted.then(|| KeyRing::parse(&format!("one {}", "5a".repeat(32))).expect("a key"));
    EncryptedFs::new(std::sync::Arc::new(fs), keys)
}

/// Number of keys in the file; None if there is no file.
fn keys_in(fs: &dyn Fs) -> Option<usize> {
    let mut reader = open(fs, &PathBuf::from("dir/dump.rdb"), &Limits::default(), true)
        .expect("a file that can be read")?;
    let mut keys = 0;
    while let Some(item) = reader.next_item().expect("a whole file") {
        keys += usize::from(matches!(item, Item::Record(_)));
    }
    Some(keys)
}

#[test]
fn what_was_saved_is_read() {
    let fs = MemoryFs::default();
    fs.create_dir(&PathBuf::from("dir")).unwrap();
    assert_eq!(keys_in(&fs), None);
    let bytes = save_to(&fs, &filled(5000)).unwrap();
    assert_eq!(fs.len(&PathBuf::from("dir/dump.rdb")).unwrap(), bytes);
    assert_eq!(keys_in(&fs), Some(5000));
    assert!(!fs.exists(&PathBuf::from("dir/temp.rdb")).unwrap());
}

#[test]
fn a_crash_at_any_point_leaves_the_old_file_or_the_new_one() {
    crash_anywhere(false, 20_000);
}

#[test]
fn the_same_holds_for_encrypted_files() {
    crash_anywhere(true, 4_000);
}

fn crash_anywhere(encrypted: bool, count: usize) {
    let (old, new) = (filled(10), filled(count));
    let disk = || {
        let disk = MemoryFs::default();
        disk.create_dir(&PathBuf::from("dir")).unwrap();
        save_to(&layered(disk.clone(), encrypted), &old).unwrap();
        disk
    };
    let whole = FailingFs::new(disk(), u64::MAX, Fault::Stop);
    save_to(&layered(whole.clone(), encrypted), &new).unwrap();
    for at in 0..whole.operations() {
        for fault in [Fault::Stop, Fault::Full, Fault::Error(io::ErrorKind::Other)] {
            let disk = disk();
            let failing = FailingFs::new(disk.clone(), at, fault);
            let saved = save_to(&layered(failing, encrypted), &new);
            for survives in [Survives::Everything, Survives::Synced, Survives::HalfOfTheRest] {
                let keys = keys_in(&layered(disk.after_crash(survives), encrypted));
                match &saved {
                    Ok(_) => assert_eq!(keys, Some(count), "operation {at}, {fault:?}, {survives:?}"),
                    Err(_) => assert!(
                        keys == Some(10) || keys == Some(count),
                        "operation {at}, {fault:?}, {survives:?}: {keys:?}"
                    ),
                }
            }
            // The next one works, whatever the failed one left.
            assert!(save_to(&layered(disk, encrypted), &new).is_ok());
        }
    }
}

#[test]
fn a_save_that_is_stopped_leaves_nothing() {
    struct Stop;
    impl Watcher for Stop {
        fn keys(&self, done: u64) -> bool {
            done < 100
        }
        fn delay(&self) -> Duration {
            Duration::ZERO
        }
    }
    let (fs, keyspace) = (MemoryFs::default(), filled(5000));
    fs.create_dir(&PathBuf::from("dir")).unwrap();
    let walker = Walker::begin(&mut keyspace.lock(&ShardSet::All)).expect("no other snapshot");
    let file = FileWriter::new(true, true, None, CLOCKS);
    let saved = save(
        &fs,
        &PathBuf::from("dir/dump.rdb"),
        &PathBuf::from("dir/temp.rdb"),
        walker,
        file,
        &Stop,
    );
    assert!(matches!(saved, Err(SaveError::Cancelled)));
    assert_eq!(keys_in(&fs), None);
    assert!(fs.list(&PathBuf::from("dir")).unwrap().is_empty());
    assert!(save_to(&fs, &keyspace).is_ok());
}
