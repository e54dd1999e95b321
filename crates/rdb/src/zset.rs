//! Sorted sets.

use std::io::{self, Write};

use holdfast_storage::types::zset::{Zset, ZsetLimits};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::value::{count, pack, read_listpack};
use crate::write::Writer;
use crate::ziplist::Ziplist;

/// The highest score first, as Redis does it: its readers then insert at the head of their skip list each time.
pub(crate) fn write<W: Write>(w: &mut Writer<W>, zset: &Zset) -> io::Result<()> {
    if let Some(pack) = zset.as_listpack() {
        return w.string(pack.as_bytes());
    }
    w.len(zset.len() as u64)?;
    zset.iter().rev().try_for_each(|(member, score)| {
        w.item(member)?;
        w.double(score)
    })
}

pub(crate) fn read(input: &mut impl Input, ty: Type, limits: &ZsetLimits) -> Result<Zset, RdbError> {
    match ty {
        Type::ZsetListpack => Ok(Zset::from_listpack(read_listpack(input)?, limits)?),
        Type::ZsetZiplist => {
            let bytes = read::string(input)?;
            Ok(Zset::from_listpack(pack(Ziplist::new(&bytes)?)?, limits)?)
        }
        _ => {
            debug_assert!(matches!(ty, Type::Zset | Type::Zset2));
            let count = count(input)?;
            let mut members = Members {
                input,
                text: ty == Type::Zset,
                left: count,
                error: None,
            };
            let zset = if count <= limits.max_listpack_entries as u64 {
                // The encoding is known only when all have come, and a detour over a listpack would lose the sign of -0.
                let mut some = Vec::new();
                for member in members.by_ref() {
                    some.push(member); // not collected: the number that is announced may lie
                }
                let packed = some.iter().all(|(m, _)| m.len() <= limits.max_listpack_value);
                let limits = ZsetLimits {
                    max_listpack_entries: if packed { limits.max_listpack_entries } else { 0 },
                    ..*limits
                };
                Zset::from_unsorted(some, &limits)
            } else {
                Zset::from_unsorted(&mut members, limits)
            };
            match members.error {
                Some(error) => Err(error),
                None if zset.len() as u64 != count => Err(RdbError::Duplicate),
                None => Ok(zset),
            }
        }
    }
}

/// Members with their scores, until all have come or an error.
struct Members<'a, I> {
    input: &'a mut I,
    /// Scores are text.
    text: bool,
    left: u64,
    error: Option<RdbError>,
}

impl<I: Input> Members<'_, I> {
    fn read(&mut self) -> Result<(Vec<u8>, f64), RdbError> {
        let member = read::string(self.input)?;
        let score = if self.text {
            read::text_double(self.input)?
        } else {
            read::binary_double(self.input)?
        };
        if score.is_nan() {
            return Err(RdbError::Score);
        }
        Ok((member, score))
    }
}

impl<I: Input> Iterator for Members<'_, I> {
    type Item = (Vec<u8>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match self.read() {
            Ok(member) => Some(member),
            Err(error) => {
                (self.error, self.left) = (Some(error), 0);
                None
            }
        }
    }

    /// What is announced, so that a large set is built as one from the start; nothing is allocated by it.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::try_from(self.left).unwrap_or(usize::MAX), None)
    }
}
