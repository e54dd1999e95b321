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
