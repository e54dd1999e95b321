//! Files through the layer: what is on the disk, what is read, what a crash leaves.

use super::*;
use crate::aof::{AofDir, AofError, AofReader, Item};
use crate::fs::{FailingFs, Fault, MemoryFs, Survives};

const ONE: &str = "one 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const TWO: &str = "two ff0102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";

fn ring(text: &str) -> Option<KeyRing> {
    Some(KeyRing::parse(text).expect("good keys"))
}

fn disk() -> (MemoryFs, EncryptedFs) {
    let disk = MemoryFs::new();
    disk.create_dir(Path::new("/data")).expect("memory has room");
    let fs = EncryptedFs::new(Arc::new(disk.clone()), ring(ONE));
    (disk, fs)
}

fn path() -> &'static Path {
    Path::new("/data/file")
}

fn save(fs: &EncryptedFs, text: &[u8]) {
    replace(fs, path(), Path::new("/data/temporary"), |file| {
        file.write_all(text)
    })
    .expect("memory has room");
}

fn read(fs: &EncryptedFs) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs.open(path())?.read_to_end(&mut text)?;
    Ok(text)
}

fn read_whole(fs: &EncryptedFs) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs.open_whole(path())?.read_to_end(&mut text)?;
    Ok(text)
}

#[test]
fn plain_files_are_read_and_the_next_ones_are_encrypted() {
    let (disk, fs) = disk();
    fs.set_keys(None);
    for text in [&b""[..], b"H", b"REDIS0011 and so on", b"HOLDFAST"] {
        save(&fs, text);
        assert_eq!(disk.content(path()).unwrap(), text);
        fs.set_keys(ring(ONE));
        if text == b"H" {
            // The beginning of the magic: it cannot be told from a header that was cut off, and is no file of ours.
            assert!(read(&fs).is_err());
        } else {
            assert_eq!(read(&fs).unwrap(), text);
            assert_eq!(read_whole(&fs).unwrap(), text);
        }
        assert_eq!(fs.key_of(path()).unwrap(), None);
        save(&fs, text);
        assert!(is_encrypted(&disk.content(path()).unwrap()));
        assert_eq!(fs.key_of(path()).unwrap().as_deref(), Some("one"));
        assert_eq!(read_whole(&fs).unwrap(), text);
        fs.set_keys(None);
        let error = read(&fs).unwrap_err().to_string();
        assert!(error.contains("there is no encryption-key-file"), "{error}");
    }
}

#[test]
fn keys_are_changed_while_files_are_there() {
    let (_, fs) = disk();
    save(&fs, b"text");
    fs.set_keys(ring(&format!("{TWO}{ONE}")));
    assert_eq!(fs.key_of(path()).unwrap().as_deref(), Some("one"));
    assert_eq!(read(&fs).unwrap(), b"text");
    save(&fs, b"text");
    fs.set_keys(ring(TWO));
    assert_eq!(fs.key_of(path()).unwrap().as_deref(), Some("two"));
    assert_eq!(read(&fs).unwrap(), b"text");
    fs.set_keys(ring(ONE));
    let error = read(&fs).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("\"two\""), "{error}");
}

#[test]
fn what_was_synced_can_be_read_after_a_crash() {
    for by_handle in [false, true] {
        let (disk, fs) = disk();
        let mut file = fs.create(path()).unwrap();
        let mut handle = file.handle().unwrap();
        fs.sync_dir(Path::new("/data")).unwrap();
        file.write_all(b"first").unwrap();
        if by_handle {
            handle.sync().unwrap();
        } else {
            file.sync().unwrap();
        }
        file.write_all(b"second").unwrap();
        file.flush().unwrap();
        file.write_all(b"third").unwrap();
        let found = |survives| {
            let disk = disk.after_crash(survives);
            let fs = EncryptedFs::new(Arc::new(disk), ring(ONE));
            let mut text = Vec::new();
            let end = fs.open(path()).unwrap().read_to_end(&mut text);
            (
                String::from_utf8(text).unwrap(),
                end.map_err(|error| error.kind()),
            )
        };
        assert_eq!(found(Survives::Synced), ("first".into(), Ok(5)));
        assert_eq!(found(Survives::Everything), ("firstsecond".into(), Ok(11)));
        assert_eq!(
            found(Survives::HalfOfTheRest),
            ("first".into(), Err(io::ErrorKind::UnexpectedEof))
        );
    }
}

#[test]
fn a_file_is_blank_until_a_block_of_it_is_whole() {
    let (disk, fs) = disk();
    let mut file = fs.create(path()).unwrap();
    assert!(fs.is_blank(path()).unwrap());
    file.write_all(b"text").unwrap();
    file.flush().unwrap();
    let whole = disk.content(path()).unwrap();
    for len in (0..=whole.len()).rev() {
        disk.truncate(path(), len as u64).unwrap();
        assert_eq!(fs.is_blank(path()).unwrap(), len < whole.len(), "{len} bytes");
    }
    disk.create(path()).unwrap().write_all(b"plain").unwrap();
    assert!(!fs.is_blank(path()).unwrap());
}

#[test]
fn a_whole_file_without_its_end_is_cut_off() {
    let (disk, fs) = disk();
    save(&fs, b"text");
    let whole = disk.content(path()).unwrap();
    for len in 1..whole.len() {
        let mut file = disk.create(path()).unwrap();
        file.write_all(&whole[..len]).unwrap();
        let error = read_whole(&fs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
    }
}

#[test]
fn every_changed_bit_is_an_error_and_the_file_stays() {
    let (disk, fs) = disk();
    save(&fs, b"some text");
    let whole = disk.content(path()).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        disk.create(path()).unwrap().write_all(&changed).unwrap();
        match read_whole(&fs) {
            // Without its magic it is a file like any other; what is in it makes no sense to who reads it.
            Ok(text) => assert!(bit < 64 && text == changed, "bit {bit}"),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ),
                "bit {bit}: {error}"
            ),
        }
        assert_eq!(disk.content(path()).unwrap(), changed);
    }
}

#[test]
fn an_encrypted_file_is_not_appended_to() {
    let (disk, fs) = disk();
    let mut file = fs.append(path()).unwrap();
    file.write_all(b"text").unwrap();
    file.sync().unwrap();
    assert!(is_encrypted(&disk.content(path()).unwrap()));
    for keys in [ring(ONE), None] {
        fs.set_keys(keys);
        assert!(fs.append(path()).is_err());
    }
    let mut file = fs.create(path()).unwrap();
    file.write_all(b"plain").unwrap();
    fs.append(path()).unwrap().write_all(b" text").unwrap();
    assert_eq!(read(&fs).unwrap(), b"plain text");
    fs.set_keys(ring(ONE));
    assert!(fs.append(path()).is_err());
    // A file that is no data stays plain.
    fs.create_plain(path()).unwrap().write_all(b"plain").unwrap();
    assert_eq!(disk.content(path()).unwrap(), b"plain");
}

#[test]
fn a_file_is_cut_to_any_length() {
    let text: Vec<u8> = (0..60).collect();
    for torn in [false, true] {
        for len in 0..=60_u64 {
            let (disk, fs) = disk();
            let mut file = fs.create(path()).unwrap();
            for part in text.chunks(20) {
                file.write_all(part).unwrap();
                file.flush().unwrap();
            }
            if torn {
                let mut bytes = disk.content(path()).unwrap();
                bytes.extend([20, 0, 0, 0, 1, 2, 3]);
                disk.create(path()).unwrap().write_all(&bytes).unwrap();
            }
            let before = disk.content(path()).unwrap();
            assert!(torn || fs.truncate(path(), 61).is_err());
            assert_eq!(disk.content(path()).unwrap(), before);
            fs.truncate(path(), len).unwrap();
            assert_eq!(read(&fs).unwrap(), text[..len as usize], "{len}");
            assert!(len == 0 || is_encrypted(&disk.content(path()).unwrap()));
            assert_eq!(disk.list(Path::new("/data")).unwrap().len(), 1);
        }
    }
    // Not even the header is whole.
    let (disk, fs) = disk();
    for len in 1..46 {
        drop(fs.create(path()).unwrap());
        disk.truncate(path(), len).unwrap();
        assert_eq!(read(&fs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(fs.truncate(path(), 1).is_err());
        fs.truncate(path(), 0).unwrap();
        assert_eq!(read(&fs).unwrap(), b"");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_taken() {
    let (disk, _) = disk();
    let failing = FailingFs::new(disk.clone(), 3, Fault::Full);
    let fs = EncryptedFs::new(Arc::new(failing.clone()), ring(ONE));
    let mut file = fs.create(path()).unwrap();
    file.write_all(b"first").unwrap();
    file.flush().unwrap();
    file.write_all(b"second").unwrap();
    for _ in 0..3 {
        assert_eq!(file.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(file.write(b"third").is_err());
    }
    failing.heal();
    file.write_all(b"third").unwrap();
    file.finish().unwrap();
    assert_eq!(read_whole(&fs).unwrap(), b"firstsecondthird");
}

/// Commands in an append-only directory, written and found again through the layer; the last part is cut off anywhere.
#[test]
fn an_append_only_file_ends_where_its_last_whole_block_does() {
    const COMMAND: &[u8] = b"*1\r\n$4\r\nPING\r\n";
    let (disk, fs) = disk();
    let fs = Arc::new(fs);
    let open = || {
        AofDir::open(
            Arc::clone(&fs) as Arc<dyn Fs>,
            Path::new("/data"),
            "aof",
            "appendonly.aof",
        )
        .unwrap()
    };
    let mut dir = open();
    let mut file = dir.begin_increment().unwrap();
    let mut ends = Vec::new();
    let (part, _) = dir.parts().next().unwrap();
    for _ in 0..3 {
        file.write_all(COMMAND).unwrap();
        file.flush().unwrap();
        ends.push(disk.len(&part).unwrap());
    }
    let manifest = disk
        .content(Path::new("/data/aof/appendonly.aof.manifest"))
        .unwrap();
    assert!(manifest.starts_with(b"file appendonly.aof.1.incr.aof"));
    assert_eq!(open().parts().count(), 1);
    for len in (0..=*ends.last().unwrap()).rev() {
        disk.truncate(&part, len).unwrap();
        let mut reader = AofReader::new(io::BufReader::new(fs.open(&part).unwrap()), 0);
        let mut commands = 0;
        let end = loop {
            match reader.next_item() {
                Ok(Some(item)) => {
                    assert_eq!(item, Item::Command(vec![b"PING".to_vec()]));
                    commands += 1;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert_eq!(commands, ends.iter().filter(|end| **end <= len).count());
        match end {
            None => assert!(len == 0 || len == 46 || ends.contains(&len), "{len}"),
            Some(AofError::Truncated { good_to }) => {
                assert_eq!(good_to, (commands * COMMAND.len()) as u64);
            }
            Some(other) => panic!("{len}: {other}"),
        }
    }
}

/// One command that says its number.
fn command(n: u32) -> Vec<u8> {
    let digits = n.to_string();
    format!("*2\r\n$1\r\nN\r\n${}\r\n{digits}\r\n", digits.len()).into_bytes()
}

fn open_dir(fs: &Arc<dyn Fs>) -> AofDir {
    AofDir::open(Arc::clone(fs), Path::new("/data"), "aof", "appendonly.aof").expect("what is there is whole")
}

/// The numbers that a restart finds: a torn end is allowed in the last part alone.
fn numbers(fs: &Arc<dyn Fs>) -> Vec<u32> {
    let dir = open_dir(fs);
    let parts: Vec<_> = dir.parts().collect();
    let mut numbers = Vec::new();
    for (index, (path, _)) in parts.iter().enumerate() {
        let mut reader = AofReader::new(io::BufReader::new(fs.open(path).unwrap()), 0);
        loop {
            match reader.next_item() {
                Ok(Some(Item::Command(args))) => {
                    numbers.push(std::str::from_utf8(&args[1]).unwrap().parse().unwrap());
                }
                Ok(Some(Item::Time(_)) | None) => break,
                Err(AofError::Truncated { .. }) if index + 1 == parts.len() => break,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    numbers
}

/// Starts as a server does, mends the last part if it is torn, and writes two commands into a new one.
fn run_and_write(fs: &Arc<dyn Fs>, acknowledged: &mut u32) -> io::Result<()> {
    let mut dir = AofDir::open(Arc::clone(fs), Path::new("/data"), "aof", "appendonly.aof")
        .map_err(io::Error::other)?;
    let last = dir.parts().last();
    if let Some((path, _)) = last {
        let mut reader = AofReader::new(io::BufReader::new(fs.open(&path)?), 0);
        loop {
            match reader.next_item() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(AofError::Truncated { good_to }) => {
                    fs.truncate(&path, good_to)?;
                    break;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
    let mut file = dir.begin_increment().map_err(io::Error::other)?;
    for _ in 0..2 {
        file.write_all(&command(*acknowledged))?;
        file.sync()?;
        *acknowledged += 1;
    }
    Ok(())
}

/// A machine that stops at each operation, is started again, and stops at each operation of that.
#[test]
fn an_encrypted_log_survives_stops_at_any_operation() {
    let layered =
        |fs: &dyn Fn() -> Arc<dyn Fs>| -> Arc<dyn Fs> { Arc::new(EncryptedFs::new(fs(), ring(ONE))) };
    let operations = |disk: MemoryFs, acknowledged: u32| {
        let failing = FailingFs::new(disk, u64::MAX, Fault::Stop);
        run_and_write(&layered(&|| Arc::new(failing.clone())), &mut acknowledged.clone()).unwrap();
        failing.operations()
    };
    let (fresh, _) = disk();
    for first in 0..operations(fresh.after_crash(Survives::Everything), 0) {
        for survives in [Survives::Everything, Survives::Synced, Survives::HalfOfTheRest] {
            let once = fresh.after_crash(Survives::Everything);
            let mut acknowledged = 0;
            let failing = FailingFs::new(once.clone(), first, Fault::Stop);
            assert!(run_and_write(&layered(&|| Arc::new(failing.clone())), &mut acknowledged).is_err());
            let once = once.after_crash(survives);
            let found = numbers(&layered(&|| Arc::new(once.clone())));
            let there = found.len() as u32;
            assert_eq!(
                found,
                (0..there).collect::<Vec<_>>(),
                "stop at {first}, {survives:?}"
            );
            assert!(
                (acknowledged..=acknowledged + 1).contains(&there),
                "stop at {first}"
            );
            for second in 0..operations(once.after_crash(Survives::Everything), there) {
                let twice = once.after_crash(Survives::Everything);
                let mut acknowledged = there;
                let failing = FailingFs::new(twice.clone(), second, Fault::Stop);
                assert!(run_and_write(&layered(&|| Arc::new(failing.clone())), &mut acknowledged).is_err());
                let twice = twice.after_crash(survives);
                let found = numbers(&layered(&|| Arc::new(twice.clone())));
                let there = found.len() as u32;
                assert_eq!(
                    found,
                    (0..there).collect::<Vec<_>>(),
                    "stops at {first}, {second}"
                );
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&there),
                    "stops at {first}, {second}, {survives:?}"
                );
            }
        }
    }
}
