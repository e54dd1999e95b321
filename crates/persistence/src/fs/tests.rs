//! The implementations agree, and a file is replaced whole or not at all.

use std::io::{self, Read, Write};
use std::path::Path;

use super::{FailingFs, Fault, Fs, MemoryFs, RealFs, Survives, replace};

fn read(fs: &dyn Fs, path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs.open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn tour(fs: &dyn Fs, root: &Path) {
    let dir = root.join("dir");
    let (a, b) = (dir.join("a"), dir.join("b"));
    assert_eq!(fs.create(&a).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs.create_dir(&dir).unwrap();
    fs.create_dir(&dir).unwrap();
    assert!(!fs.exists(&a).unwrap());
    let mut file = fs.create(&a).unwrap();
    file.write_all(b"one").unwrap();
    file.sync().unwrap();
    file.handle().unwrap().sync().unwrap();
    drop(file);
    fs.append(&a).unwrap().write_all(b"two").unwrap();
    assert_eq!(
        (read(fs, &a).unwrap().as_str(), fs.len(&a).unwrap()),
        ("onetwo", 6)
    );
    fs.truncate(&a, 4).unwrap();
    assert_eq!(read(fs, &a).unwrap(), "onet");
    fs.append(&b).unwrap().write_all(b"b").unwrap();
    assert_eq!(fs.list(&dir).unwrap(), [Path::new("a"), Path::new("b")]);
    fs.rename(&a, &b).unwrap();
    fs.sync_dir(&dir).unwrap();
    assert_eq!(fs.list(&dir).unwrap(), [Path::new("b")]);
    assert_eq!(read(fs, &b).unwrap(), "onet");
    fs.remove(&b).unwrap();
    for error in [
        fs.remove(&b).unwrap_err(),
        fs.len(&b).unwrap_err(),
        fs.rename(&b, &a).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn memory_and_disk_agree() {
    let dir = tempfile::tempdir().unwrap();
    tour(&RealFs, dir.path());
    let memory = MemoryFs::new();
    memory.create_dir(Path::new("/root")).unwrap();
    tour(&memory, Path::new("/root"));
    tour(
        &FailingFs::new(RealFs, u64::MAX, Fault::Stop),
        tempfile::tempdir().unwrap().path(),
    );
}

#[test]
fn what_was_not_synced_is_lost_with_the_power() {
    let fs = MemoryFs::new();
    let path = Path::new("file");
    let mut file = fs.create(path).unwrap();
    file.write_all(b"abcd").unwrap();
    assert!(fs.after_crash(Survives::Synced).content(path).is_none());
    file.sync().unwrap();
    assert!(
        fs.after_crash(Survives::Synced).content(path).is_none(),
        "the name was not synced"
    );
    fs.sync_dir(Path::new(".")).unwrap();
    file.write_all(b"efgh").unwrap();
    let left = |survives| fs.after_crash(survives).content(path).unwrap();
    assert_eq!(left(Survives::Synced), b"abcd");
    assert_eq!(left(Survives::HalfOfTheRest), b"abcdef");
    assert_eq!(left(Survives::Everything), b"abcdefgh");
}

#[test]
fn a_replaced_file_is_old_or_new_at_every_point() {
    let (path, temporary) = (Path::new("file"), Path::new("temp"));
    let change = |fs: &dyn Fs, text: &str| {
        replace(fs, path, temporary, |file| {
            text.as_bytes()
                .chunks(2)
                .try_for_each(|part| file.write_all(part))
        })
    };
    let count = {
        let fs = FailingFs::new(MemoryFs::new(), u64::MAX, Fault::Stop);
        change(&fs, "newest").unwrap();
        fs.operations()
    };
    assert!(count >= 7, "{count}");
    for at in 0..count {
        for fault in [Fault::Stop, Fault::Full, Fault::Error(io::ErrorKind::Other)] {
            let disk = MemoryFs::new();
            change(&disk, "oldest").unwrap();
            let failed = change(&FailingFs::new(disk.clone(), at, fault), "newest").is_err();
            // A full disk stops nothing that takes no room.
            assert!(failed || fault == Fault::Full, "operation {at}, {fault:?}");
            for survives in [Survives::Everything, Survives::Synced, Survives::HalfOfTheRest] {
                let found = disk.after_crash(survives).content(path).unwrap();
                assert!(
                    found == b"oldest" || found == b"newest",
                    "operation {at}, {fault:?}, {survives:?}"
                );
            }
            // The next attempt works, whatever the failed one left.
            change(&disk, "latest").unwrap();
            assert_eq!(
                disk.after_crash(Survives::Synced).content(path).unwrap(),
                b"latest"
            );
        }
    }
}

#[test]
fn a_disk_with_room_again_works() {
    let fs = FailingFs::new(MemoryFs::new(), 0, Fault::Full);
    assert_eq!(
        fs.create(Path::new("x")).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    fs.heal();
    fs.create(Path::new("x")).unwrap();
}
