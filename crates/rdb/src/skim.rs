//! Finding the end of a value without building it. Its bytes are copied as they stand, so that somebody else can decode
//! them while the reader goes on.
//!
//! Must not know: what the bytes mean. What is wrong inside of them is found when they are decoded.

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::value::module_name;

/// An input whose bytes are copied as they are taken, up to a limit.
pub(crate) struct Tee<'a, I> {
    input: &'a mut I,
    out: &'a mut Vec<u8>,
    room: u64,
    full: bool,
}

impl<'a, I: Input> Tee<'a, I> {
    /// Copies at most `room` bytes to `out`.
    pub(crate) fn new(input: &'a mut I, out: &'a mut Vec<u8>, room: usize) -> Self {
        Self {
            input,
            out,
            room: room as u64,
            full: false,
        }
    }

    /// True if it failed because there was no room. What was taken from the input is in `out`, to the last byte.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    fn take(&mut self, len: u64) -> Result<(), RdbError> {
        match self.room.checked_sub(len) {
            Some(room) => {
                self.room = room;
                self.input.append(len, self.out)
            }
            None => {
                self.full = true;
                Err(RdbError::TooLarge(self.out.len()))
            }
        }
    }

    /// Copies a string.
    pub(crate) fn string(&mut self) -> Result<(), RdbError> {
        let len = read::string_size(self)?;
        self.take(len)
    }
}

impl<I: Input> Input for Tee<'_, I> {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RdbError> {
        let from = self.out.len();
        self.take(buf.len() as u64)?;
        buf.copy_from_slice(&self.out[from..]);
        Ok(())
    }

    fn append(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let from = self.out.len();
        self.take(len)?;
        out.extend_from_slice(&self.out[from..]);
        Ok(())
    }
}

/// Bytes that were taken already, and the input that goes on behind them.
pub(crate) struct Chain<'a, I> {
    pub(crate) first: &'a [u8],
    pub(crate) then: &'a mut I,
}

impl<I: Input> Input for Chain<'_, I> {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RdbError> {
        let (head, tail) = buf.split_at_mut(buf.len().min(self.first.len()));
        self.first.fill(head)?;
        self.then.fill(tail)
    }

    fn append(&mut self, len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let first = len.min(self.first.len() as u64);
        self.first.append(first, out)?;
        self.then.append(len - first, out)
    }
}

/// A part of an element.
#[derive(Clone, Copy)]
enum Part {
    Text,
    Number,
    /// So many bytes.
    Bytes(u64),
    /// A score as text.
    TextScore,
}

/// Copies a value of a type.
///
/// # Errors
/// The input ends before the value does, a length is none, or there is no room; a module's value.
pub(crate) fn skim<I: Input>(from: &mut Tee<'_, I>, ty: Type) -> Result<(), RdbError> {
    use Part::{Bytes, Number, Text, TextScore};
    let (before, element): (u64, &[Part]) = match ty {
        Type::String
        | Type::HashZipmap
        | Type::ListZiplist
        | Type::SetIntset
        | Type::ZsetZiplist
        | Type::HashZiplist
        | Type::HashListpack
        | Type::ZsetListpack
        | Type::SetListpack
        | Type::HashListpackExEarly => return from.string(),
        Type::HashListpackEx => {
            from.take(8)?;
            return from.string();
        }
        Type::List | Type::Set | Type::ListQuicklist => (0, &[Text]),
        Type::ListQuicklist2 => (0, &[Number, Text]),
        Type::Zset => (0, &[Text, TextScore]),
        Type::Zset2 => (0, &[Text, Bytes(8)]),
        Type::Hash => (0, &[Text, Text]),
        Type::HashMetadata => (8, &[Number, Text, Text]),
        Type::HashMetadataEarly => (0, &[Number, Text, Text]),
        Type::HashValkey => (0, &[Text, Text, Bytes(8)]),
        Type::StreamListpacks | Type::StreamListpacks2 | Type::StreamListpacks3 => return stream(from, ty),
        Type::Module | Type::Module2 => return Err(RdbError::Module(module_name(read::len(from)?))),
    };
    from.take(before)?;
    each(from, element)
}

/// Copies a number and as many elements.
fn each<I: Input>(from: &mut Tee<'_, I>, element: &[Part]) -> Result<(), RdbError> {
    for _ in 0..read::len(from)? {
        parts(from, element)?;
    }
    Ok(())
}

fn parts<I: Input>(from: &mut Tee<'_, I>, parts: &[Part]) -> Result<(), RdbError> {
    for part in parts {
        match part {
            Part::Text => from.string()?,
            Part::Number => _ = read::len(from)?,
            Part::Bytes(len) => from.take(*len)?,
            Part::TextScore => match read::byte(from)? {
                253..=255 => {}
                len => from.take(u64::from(len))?,
            },
        }
    }
    Ok(())
}

fn stream<I: Input>(from: &mut Tee<'_, I>, ty: Type) -> Result<(), RdbError> {
    use Part::{Bytes, Number, Text};
    let counters = ty != Type::StreamListpacks;
    each(from, &[Text, Text])?;
    // Entries and the last id; the first id, the greatest deleted id, and how many were added.
    let numbers = if counters { 8 } else { 3 };
    for _ in 0..numbers {
        read::len(from)?;
    }
    for _ in 0..read::len(from)? {
        parts(from, &[Text, Number, Number])?;
        if counters {
            read::len(from)?;
        }
        each(from, &[Bytes(16), Bytes(8), Number])?;
        let times = if ty == Type::StreamListpacks3 { 16 } else { 8 };
        for _ in 0..read::len(from)? {
            parts(from, &[Text, Bytes(times)])?;
            each(from, &[Bytes(16)])?;
        }
    }
    Ok(())
}
