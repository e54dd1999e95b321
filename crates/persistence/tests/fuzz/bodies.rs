//! What the fuzz targets run, and the short form of them in CI.

use std::io::{BufReader, Read, Write};

use holdfast_persistence::aof::{AofError, AofReader, Item, Manifest};
use holdfast_persistence::encryption::{DecryptReader, EncryptWriter, End, KeyRing};

/// Everything up to the end, or to what is wrong.
pub fn read_log(data: &[u8], buffer: usize) -> (Vec<Item>, Result<(), AofError>, u64) {
    let mut reader = AofReader::new(BufReader::with_capacity(buffer, data), 0);
    let mut items = Vec::new();
    let end = loop {
        match reader.next_item() {
            Ok(Some(item)) => items.push(item),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (items, end, reader.good_to())
}

/// A part of an append-only file: however it arrives it is the same, and cut at the end of its whole part (what
/// `check-aof --fix` does) it is good and holds the same commands.
pub fn log(data: &[u8]) {
    let (items, end, good_to) = read_log(data, 64 << 10);
    let (slow_items, slow_end, slow_good_to) = read_log(data, 3);
    assert_eq!((&items, good_to), (&slow_items, slow_good_to));
    assert_eq!(end.is_ok(), slow_end.is_ok());
    assert!(good_to <= data.len() as u64);
    assert_eq!(end.is_ok(), good_to == data.len() as u64 && end.is_ok());
    let (kept, end, whole) = read_log(&data[..good_to as usize], 100);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(whole, good_to);
    assert!(items.starts_with(&kept));
}

/// A manifest: what is read is written and read the same, and no name leads elsewhere.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else {
        return;
    };
    let parts = manifest.parts().chain(&manifest.history);
    for part in parts {
        assert!(!part.name.contains('/') && !part.name.is_empty(), "{}", part.name);
    }
    let text = manifest.to_string();
    if !text.is_empty() {
        let again = Manifest::parse(text.as_bytes()).expect("what was written is read");
        assert_eq!(again.to_string(), text);
        assert_eq!(
            (again.base, again.increments, again.history),
            (manifest.base, manifest.increments, manifest.history)
        );
    }
}

/// What is in the one file that was encrypted with the key of [`keys`].
pub fn plain() -> Vec<u8> {
    (0..70_000_u32).map(|i| (i % 251) as u8).collect()
}

/// Its key.
pub fn keys() -> KeyRing {
    KeyRing::parse("one 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").expect("a key")
}

/// The file: three blocks, the last of which says that it is.
pub fn encrypted_file() -> Vec<u8> {
    let plain = plain();
    let mut writer = EncryptWriter::new(Vec::new(), &keys(), [9; 32]).expect("memory has room");
    writer.write_all(&plain[..10]).expect("memory has room");
    writer.flush().expect("memory has room");
    writer.write_all(&plain[10..]).expect("memory has room");
    writer.finish().expect("memory has room")
}

/// An encrypted file that somebody changed: nothing comes out of it but the beginning of what was put in, and all of it only
/// if nothing was changed.
pub fn encrypted(data: &[u8]) {
    let (plain, file) = (plain(), encrypted_file());
    for end in [End::Marked, End::AnyBlock] {
        let Ok(mut reader) = DecryptReader::new(data, &keys(), end) else {
            continue;
        };
        let mut out = Vec::new();
        let whole = reader.read_to_end(&mut out).is_ok();
        assert!(plain.starts_with(&out));
        assert!(reader.good_to() <= data.len() as u64);
        if whole && end == End::Marked {
            assert!(data == file);
        }
        // Behind an error nothing comes.
        if !whole {
            assert!(reader.read_to_end(&mut out).is_err());
            assert!(plain.starts_with(&out));
        }
    }
}
