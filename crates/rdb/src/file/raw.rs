//! Reading a whole RDB without building its values: keys and values are copied as they stand, many to a batch, and each
//! batch may be decoded on another thread.

use std::io::Read;

use holdfast_storage::value::Value;

use super::read::{FileError, FileReader, Head, Item, KeyHead};
use crate::error::RdbError;
use crate::read;
use crate::skim::{Chain, Tee, skim};
use crate::types::Type;
use crate::value::{Limits, read_value};

/// Bytes of one key with its value up to which they are copied; larger ones are decoded where they are read, so that
/// nobody holds more than one of them.
const MAX_RAW: usize = if cfg!(test) { 64 } else { 4 << 20 };

/// What a step of [`FileReader::next_raw`] found.
#[derive(Debug)]
pub enum Raw {
    /// The file is over, and its checksum was right.
    End,
    /// A key, which is in the batch now.
    Kept,
    /// Anything else, or a key with a large value.
    Item(Item),
}

/// Keys with their values as they stand in the file.
#[derive(Debug, Default)]
pub struct RawBatch {
    bytes: Vec<u8>,
    records: Vec<RawRecord>,
}

#[derive(Debug)]
struct RawRecord {
    head: KeyHead,
    /// Where its bytes end.
    end: usize,
    /// Where they begin in the file.
    offset: u64,
}

/// A key with its value. What is borrowed stands in the batch.
#[derive(Debug)]
pub struct RawValue<'b> {
    /// Database.
    pub db: u32,
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Seconds since it was used.
    pub idle_s: Option<u64>,
    /// Access counter.
    pub freq: Option<u8>,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// The value; None: a collection without elements, to be skipped.
    pub value: Option<Decoded<'b>>,
}

/// A value out of a batch.
#[derive(Debug)]
pub enum Decoded<'b> {
    /// A short string that is no integer.
    Text(&'b [u8]),
    /// Any other value.
    Value(Value),
}

impl RawBatch {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets everything, and gives back more memory than `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(keep);
    }

    /// Decodes the keys in their order and hands them to `each`, which may end it with its own error.
    ///
    /// # Errors
    /// What is wrong, and where in the file; what `each` said.
    pub fn decode<E: From<FileError>>(
        &self,
        limits: &Limits,
        mut each: impl FnMut(&[u8], RawValue<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut key, mut begin) = (Vec::new(), 0);
        for record in &self.records {
            let bytes = &self.bytes[begin..record.end];
            begin = record.end;
            let mut rest = bytes;
            let value =
                read::string_into(&mut rest, &mut key).and_then(|()| decode(&mut rest, record, limits));
            let value = value.map_err(|error| FileError::Damaged {
                offset: record.offset + (bytes.len() - rest.len()) as u64,
                error,
            })?;
            debug_assert!(
                rest.is_empty() || value.is_none(),
                "a value is as long as it was copied"
            );
            let head = record.head;
            each(
                &key,
                RawValue {
                    db: head.db,
                    expire_at_ms: head.expire_at_ms,
                    idle_s: head.idle_s,
                    freq: head.freq,
                    offset: record.offset,
                    value,
                },
            )?;
        }
        Ok(())
    }
}

fn decode<'b>(
    rest: &mut &'b [u8],
    record: &RawRecord,
    limits: &Limits,
) -> Result<Option<Decoded<'b>>, RdbError> {
    if record.head.ty == Type::String
        && let Some(text) = read::short_text(rest)
    {
        return Ok(Some(Decoded::Text(text)));
    }
    match read_value(rest, record.head.ty, limits) {
        Ok(value) => Ok(Some(Decoded::Value(value))),
        Err(RdbError::Empty) => Ok(None),
        Err(error) => Err(error),
    }
}

impl<R: Read> FileReader<R> {
    /// As [`FileReader::next_item`], but a key with its value goes to `batch`, without being decoded.
    ///
    /// # Errors
    /// What is wrong, and where. Nothing may be read after it; what is in the batch may be used.
    pub fn next_raw(&mut self, batch: &mut RawBatch) -> Result<Raw, FileError> {
        if self.over {
            return Ok(Raw::End);
        }
        let head = match self.head() {
            Ok(Head::End) => return self.end().map(|()| Raw::End),
            Ok(Head::Item(item)) => return Ok(Raw::Item(item)),
            Ok(Head::Key(head)) => head,
            Err(failure) => return Err(failure.at(self.input.offset())),
        };
        let (begin, offset) = (batch.bytes.len(), self.input.offset());
        let mut tee = Tee::new(&mut self.input, &mut batch.bytes, MAX_RAW);
        let copied = tee.string().and_then(|()| skim(&mut tee, head.ty));
        match copied {
            Ok(()) => {
                batch.records.push(RawRecord {
                    head,
                    end: batch.bytes.len(),
                    offset,
                });
                Ok(Raw::Kept)
            }
            Err(_) if tee.is_full() => {
                let first = batch.bytes.split_off(begin);
                let mut whole = Chain {
                    first: &first,
                    then: &mut self.input,
                };
                let record = head.record(&mut whole, &self.limits);
                match record {
                    Ok(record) => Ok(Raw::Item(Item::Record(record))),
                    Err(error) => Err(FileError::Damaged {
                        offset: self.input.offset(),
                        error,
                    }),
                }
            }
            Err(error) => {
                batch.bytes.truncate(begin);
                Err(FileError::Damaged {
                    offset: self.input.offset(),
                    error,
                })
            }
        }
    }
}
