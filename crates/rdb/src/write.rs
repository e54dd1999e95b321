//! Writing what objects are made of: lengths, strings, numbers. The bytes are described in [`crate::read`].

use std::io::{self, Write};

use holdfast_storage::encoding::integer::parse_canonical;
use holdfast_storage::encoding::listpack::Item;

use crate::lzf::Compressor;

/// Longer strings may be compressed: shorter ones would not gain.
const COMPRESS_FROM: usize = 20;
/// What compression must save at least.
const COMPRESS_GAIN: usize = 4;
/// Longest text of an integer that has an encoding of its own.
const MAX_INT_TEXT: usize = 11;

/// Writes to `W`, compressing strings if told to. Nothing is written behind an error.
pub struct Writer<W> {
    out: W,
    compress: Option<Compressor>,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer; `compress` as `rdbcompression` says.
    pub fn new(out: W, compress: bool) -> Self {
        Self {
            out,
            compress: compress.then(Compressor::new),
            scratch: Vec::new(),
        }
    }

    /// What is written to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// What is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Those of the medium; the same holds for all that follow.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Writes a byte.
    pub fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.raw(&[byte])
    }

    /// Writes a length or a number.
    pub fn len(&mut self, len: u64) -> io::Result<()> {
        match len {
            0..0x40 => self.raw(&[len as u8]),
            0x40..0x4000 => self.raw(&[0x40 | (len >> 8) as u8, len as u8]),
            0x4000..=0xFFFF_FFFF => {
                let be = (len as u32).to_be_bytes();
                self.raw(&[0x80, be[0], be[1], be[2], be[3]])
            }
            _ => {
                self.raw(&[0x81])?;
                self.raw(&len.to_be_bytes())
            }
        }
    }

    /// Writes a time in milliseconds.
    pub fn millis(&mut self, ms: i64) -> io::Result<()> {
        self.raw(&ms.to_le_bytes())
    }

    /// Writes a score.
    pub fn double(&mut self, value: f64) -> io::Result<()> {
        self.raw(&value.to_le_bytes())
    }

    /// Writes an integer as a string.
    pub fn int(&mut self, int: i64) -> io::Result<()> {
        let le = int.to_le_bytes();
        if i8::try_from(int).is_ok() {
            self.raw(&[0xC0, le[0]])
        } else if i16::try_from(int).is_ok() {
            self.raw(&[0xC1, le[0], le[1]])
        } else if i32::try_from(int).is_ok() {
            self.raw(&[0xC2, le[0], le[1], le[2], le[3]])
        } else {
            let mut buffer = itoa::Buffer::new();
            let text = buffer.format(int).as_bytes();
            self.len(text.len() as u64)?;
            self.raw(text)
        }
    }

    /// Writes a string in the shortest encoding.
    pub fn string(&mut self, text: &[u8]) -> io::Result<()> {
        if text.len() <= MAX_INT_TEXT
            && let Some(int) = parse_canonical(text)
        {
            return self.int(int);
        }
        if text.len() > COMPRESS_FROM
            && let Some(compressor) = &mut self.compress
        {
            self.scratch.clear();
            let budget = text.len() - COMPRESS_GAIN;
            if compressor.compress(text, budget, &mut self.scratch) {
                let packed = std::mem::take(&mut self.scratch);
                self.byte(0xC3)?;
                self.len(packed.len() as u64)?;
                self.len(text.len() as u64)?;
                self.raw(&packed)?;
                if packed.capacity() <= 1 << 20 {
                    self.scratch = packed;
                }
                return Ok(());
            }
        }
        self.len(text.len() as u64)?;
        self.raw(text)
    }

    /// Writes an element as a string.
    pub fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Int(int) => self.int(int),
            Item::Bytes(text) => self.string(text),
        }
    }
}

impl<W> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("compress", &self.compress.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::read;

    fn written(compress: bool, write: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), compress);
        write(&mut writer).unwrap();
        writer.into_inner()
    }

    #[test]
    fn strings_are_written_as_redis_writes_them() {
        for (text, expected) in [
            (&b"abc"[..], &b"\x03abc"[..]),
            (b"", b"\x00"),
            (b"12", b"\xc0\x0c"),
            (b"-129", b"\xc1\x7f\xff"),
            (b"-2147483648", b"\xc2\0\0\0\x80"),
            (b"2147483648", b"\x0a2147483648"),
            (b"012", b"\x03012"),
            (b"aaaaaaaaaaaaaaaaaaaaa", b"\xc3\x05\x15\x00a\xe0\x0b\x00"),
        ] {
            assert_eq!(written(true, |w| w.string(text)), expected, "{text:?}");
        }
        assert_eq!(written(false, |w| w.string(&[b'a'; 21]))[..2], *b"\x15a");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(lens in prop::collection::vec(any::<u64>().prop_map(|n| n >> (n % 64)), 0..20), text in prop::collection::vec(0_u8..3, 0..300), compress: bool, int: i64) {
            let bytes = written(compress, |w| {
                lens.iter().try_for_each(|len| w.len(*len))?;
                w.string(&text)?;
                w.int(int)?;
                w.int(int >> 40)
            });
            let mut input = &bytes[..];
            for len in lens {
                prop_assert_eq!(read::len(&mut input).unwrap(), len);
            }
            prop_assert_eq!(read::string(&mut input).unwrap(), text);
            prop_assert_eq!(read::string(&mut input).unwrap(), int.to_string().into_bytes());
            prop_assert_eq!(read::string(&mut input).unwrap(), (int >> 40).to_string().into_bytes());
            prop_assert!(input.is_empty());
        }
    }
}
