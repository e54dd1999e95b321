//! Round trips, and every way in which a file may be wrong.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::{BLOCK, DecryptError, DecryptReader, EncryptWriter, End, KeyFileError, KeyRing, is_encrypted};

const ONE: &str = "one 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const TWO: &str = "two ff0102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";

fn ring(text: &str) -> KeyRing {
    KeyRing::parse(text).expect("good keys")
}

/// A file of these parts, each of which was flushed.
fn encrypt(keys: &KeyRing, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = EncryptWriter::new(Vec::new(), keys, [7; 32]).unwrap();
    for part in parts {
        writer.write_all(part).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

fn decrypt(keys: &KeyRing, file: &[u8], end: End) -> Result<Vec<u8>, DecryptError> {
    let mut plain = Vec::new();
    match DecryptReader::new(file, keys, end)?.read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(match error.downcast::<DecryptError>() {
            Ok(error) => error,
            Err(error) => DecryptError::Io(error),
        }),
    }
}

#[test]
fn what_was_written_is_read() {
    let keys = ring(ONE);
    for parts in [
        vec![],
        vec![vec![]],
        vec![vec![1; BLOCK]],
        vec![vec![2; 3 * BLOCK + 5], vec![3; 9]],
    ] {
        let file = encrypt(&keys, &parts);
        assert!(is_encrypted(&file));
        assert_eq!(decrypt(&keys, &file, End::Marked).unwrap(), parts.concat());
        assert_eq!(decrypt(&keys, &file, End::AnyBlock).unwrap(), parts.concat());
    }
}

#[test]
fn every_key_of_the_ring_decrypts_and_the_first_encrypts() {
    let old = encrypt(&ring(ONE), &[b"text".to_vec()]);
    let both = ring(&format!("# rotated\n\n{TWO}{ONE}"));
    assert_eq!(decrypt(&both, &old, End::Marked).unwrap(), b"text");
    let new = encrypt(&both, &[b"text".to_vec()]);
    assert!(
        matches!(decrypt(&ring(ONE), &new, End::Marked), Err(DecryptError::UnknownKey(id)) if id == "two")
    );
    assert_eq!(
        DecryptReader::new(&new[..], &both, End::Marked).unwrap().key_id(),
        "two"
    );
}

#[test]
fn another_key_of_the_same_id_is_named_as_a_possible_cause() {
    let file = encrypt(&ring(ONE), &[b"text".to_vec()]);
    let other = ring(&TWO.replace("two", "one"));
    let error = decrypt(&other, &file, End::Marked).unwrap_err();
    assert!(error.to_string().contains("key named \"one\""), "{error}");
}

#[test]
fn every_changed_byte_is_seen() {
    let keys = ring(ONE);
    let file = encrypt(&keys, &[b"first".to_vec(), b"second".to_vec()]);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x40;
        assert!(decrypt(&keys, &changed, End::Marked).is_err(), "byte {at}");
    }
}

#[test]
fn a_file_that_is_cut_off_or_goes_on_is_seen() {
    let keys = ring(ONE);
    let file = encrypt(&keys, &[b"first".to_vec(), b"second".to_vec()]);
    for len in 0..file.len() {
        assert!(decrypt(&keys, &file[..len], End::Marked).is_err(), "{len} bytes");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(
        decrypt(&keys, &longer, End::Marked),
        Err(DecryptError::Trailing { .. })
    ));
}

#[test]
fn a_log_may_end_at_any_block_but_not_within_one() {
    let keys = ring(ONE);
    let mut writer = EncryptWriter::new(Vec::new(), &keys, [1; 32]).unwrap();
    let mut ends = vec![writer.get_ref().len()];
    for part in ["first", "second"] {
        writer.write_all(part.as_bytes()).unwrap();
        writer.flush().unwrap();
        ends.push(writer.get_ref().len());
    }
    let file = writer.get_ref().clone();
    for len in ends[0]..=file.len() {
        let read = decrypt(&keys, &file[..len], End::AnyBlock);
        match ends.iter().position(|end| *end == len) {
            Some(blocks) => assert_eq!(read.unwrap(), ["first", "second"][..blocks].concat().as_bytes()),
            None => assert!(matches!(read, Err(DecryptError::Truncated { .. })), "{len} bytes"),
        }
    }
}

/// Gives room for so many bytes at a time, then an error, then more.
struct Hiccups(Vec<u8>, usize);

impl Write for Hiccups {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.1 == 0 {
            self.1 = 7;
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.1);
        self.1 -= taken;
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_block_that_was_written_in_part_is_written_on() {
    let keys = ring(ONE);
    let mut writer = EncryptWriter::new(Hiccups(Vec::new(), 1000), &keys, [7; 32]).unwrap();
    let text: Vec<u8> = (0..2000_u32).map(|i| i as u8).collect();
    let (mut rest, mut errors) = (&text[..], 0);
    while !rest.is_empty() {
        match writer.write(&rest[..rest.len().min(100)]) {
            Ok(taken) => rest = &rest[taken..],
            Err(_) => errors += 1,
        }
        errors += usize::from(writer.flush().is_err());
    }
    while writer.end().is_err() {
        errors += 1;
    }
    assert!(errors > 100);
    assert!(writer.write(b"x").is_err() && writer.end().is_ok());
    let file = writer.get_ref().0.clone();
    assert_eq!(decrypt(&keys, &file, End::Marked).unwrap(), text);
}

#[test]
fn segments_have_keys_of_their_own() {
    let keys = ring(ONE);
    for blocks in 0..9 {
        let mut writer = EncryptWriter::with_segment(Vec::new(), &keys, [7; 32], 2).unwrap();
        let mut plain = Vec::new();
        for i in 0..blocks {
            writer.write_all(&[i; 10]).unwrap();
            writer.flush().unwrap();
            plain.extend([i; 10]);
        }
        let file = writer.finish().unwrap();
        let read = |segment| {
            let mut out = Vec::new();
            DecryptReader::with_segment(&file[..], Some(&keys), End::Marked, segment)
                .unwrap()
                .read_to_end(&mut out)
                .map(|_| out)
        };
        assert_eq!(read(2).unwrap(), plain);
        assert_eq!(read(3).is_ok(), blocks < 3);
    }
}

#[test]
fn behind_an_error_nothing_is_read() {
    let keys = ring(ONE);
    let mut file = encrypt(&keys, &[b"first".to_vec(), b"second".to_vec()]);
    let len = file.len();
    file[len - 30] ^= 1;
    let mut reader = DecryptReader::new(&file[..], &keys, End::Marked).unwrap();
    let mut out = Vec::new();
    for _ in 0..3 {
        let error = reader.read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
    assert_eq!(out, b"first");
}

#[test]
fn a_new_key_is_one_that_can_be_read_and_no_other() {
    let (one, other) = (KeyRing::new_line("k1").unwrap(), KeyRing::new_line("k1").unwrap());
    assert_ne!(*one, *other);
    assert_eq!(ring(&one).ids().collect::<Vec<_>>(), ["k1"]);
    assert!(KeyRing::new_line("no id").is_err());
}

#[test]
fn a_key_file_that_is_read_again_keeps_the_meaning_of_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let old = ring(ONE);
    std::fs::write(&path, format!("{TWO}{ONE}")).unwrap();
    assert_eq!(
        old.reload(&path).unwrap().ids().collect::<Vec<_>>(),
        ["two", "one"]
    );
    std::fs::write(&path, TWO.replace("two", "one")).unwrap();
    assert!(matches!(old.reload(&path), Err(KeyFileError::Changed(id)) if id == "one"));
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(matches!(old.reload(&path), Err(KeyFileError::Read { .. })));
    assert!(matches!(
        KeyRing::load(&dir.path().join("none")),
        Err(KeyFileError::Read { .. })
    ));
}

#[test]
fn blocks_cannot_change_places_or_be_left_out() {
    let keys = ring(ONE);
    let parts = [b"aaaa".to_vec(), b"bbbb".to_vec(), b"cccc".to_vec()];
    let file = encrypt(&keys, &parts);
    let (block, head) = (4 + 4 + 16, 8 + 3 + 3 + 32);
    let swapped = [
        &file[..head],
        &file[head + block..head + 2 * block],
        &file[head..head + block],
        &file[head + 2 * block..],
    ];
    assert!(decrypt(&keys, &swapped.concat(), End::Marked).is_err());
    let left_out = [&file[..head], &file[head + block..]].concat();
    assert!(decrypt(&keys, &left_out, End::AnyBlock).is_err());
}

#[test]
fn a_key_file_says_what_is_wrong_and_where() {
    let line = |text: &str| match KeyRing::parse(text) {
        Err(KeyFileError::Line { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line("# keys\none 00"), 2);
    assert_eq!(line(&format!("{ONE}{ONE}")), 2);
    assert_eq!(line(&format!("{ONE}sl/ash {}", &TWO[4..])), 2);
    assert_eq!(line(&ONE.replace('0', "g")), 1);
    assert_eq!(line("one"), 1);
    assert!(matches!(
        KeyRing::parse("\n# nothing\n"),
        Err(KeyFileError::Empty)
    ));
    let shown = format!(
        "{:?} {}",
        ring(ONE),
        KeyRing::parse(&ONE.replace("1f", "1")).unwrap_err()
    );
    assert!(!shown.contains("0001020304"), "{shown}");
}

proptest! {
    #[test]
    fn any_parts_come_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6)) {
        let keys = ring(TWO);
        let file = encrypt(&keys, &parts);
        prop_assert_eq!(decrypt(&keys, &file, End::Marked).unwrap(), parts.concat());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), keep in 0..60_usize) {
        let keys = ring(ONE);
        let mut file = encrypt(&keys, &[b"text".to_vec()]);
        file.truncate(keep);
        file.extend_from_slice(&bytes);
        prop_assert!(decrypt(&keys, &file, End::Marked).is_err());
    }
}
