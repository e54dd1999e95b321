//! Strings as arrays of bytes that commands change in place. Must not know: any command in particular.

use std::ops::Range;

use holdfast_storage::data::{Data, Expiry, WrongType, raw_string};
use holdfast_storage::effects::Event;

use crate::error::CmdError;
use crate::limits::Limits;

/// The sum of two lengths in bytes, or an error if `proto-max-bulk-len` forbids a string as long as that.
pub(crate) fn check_len(limits: &Limits, a: usize, b: usize) -> Result<usize, CmdError> {
    a.checked_add(b)
        .filter(|sum| *sum <= limits.max_string)
        .ok_or(CmdError::StringTooLong)
}

/// Changes the string at a key, which comes into being if it does not exist, and records the change. `touches`: bytes beyond
/// which nothing that was there changes.
pub(crate) fn change<R>(
    data: &mut Data<'_, '_>,
    key: &[u8],
    event: Event,
    touches: Range<usize>,
    change: impl FnOnce(&mut Vec<u8>) -> R,
) -> Result<R, WrongType> {
    change_if(data, key, event, touches, |text| (true, change(text)))
}

/// Of a change that may touch every byte.
pub(crate) const ANYWHERE: Range<usize> = 0..usize::MAX;

/// The same, recorded only if `change` says so. Only then does a key come into being, too.
pub(crate) fn change_if<R>(
    data: &mut Data<'_, '_>,
    key: &[u8],
    event: Event,
    touches: Range<usize>,
    change: impl FnOnce(&mut Vec<u8>) -> (bool, R),
) -> Result<R, WrongType> {
    if let Some(old) = data.edit_string(key)? {
        return Ok(old.within(touches).finish_if(Some(event), change));
    }
    let mut text = Vec::new();
    let (changed, result) = change(&mut text);
    if changed {
        data.set(key, raw_string(text), Expiry::Clear, event);
    }
    Ok(result)
}

/// Changes the string at a key, if it exists, without telling anybody by an event. Recorded only if `change` says so.
pub(crate) fn change_quietly<R>(
    data: &mut Data<'_, '_>,
    key: &[u8],
    change: impl FnOnce(&mut Vec<u8>) -> (bool, R),
) -> Result<Option<R>, WrongType> {
    let old = data.edit_string(key)?;
    Ok(old.map(|old| old.finish_if(None, change)))
}

/// Lengthens `text` with zeros to at least `len` bytes; tells whether it was shorter.
pub(crate) fn grow(text: &mut Vec<u8>, len: usize) -> bool {
    let shorter = text.len() < len;
    if shorter && len / 2 > text.len() {
        // Much of it is new: zeroed memory from the system costs nothing until somebody writes to it, while the shard is
        // locked here.
        let mut longer = vec![0; len];
        longer[..text.len()].copy_from_slice(text);
        *text = longer;
    } else if shorter {
        text.resize(len, 0);
    }
    shorter
}
