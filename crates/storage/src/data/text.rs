//! How strings that commands change in place are stored: short ones inside their entry, so that a key stays one
//! allocation, longer ones in a buffer of their own that grows.
//!
//! Must not know: keys, effects.

use std::cell::Cell;

use crate::encoding::entry::Entry;
use crate::value::{HeapStr, Value, ValueRef};

/// Longest string, in bytes, that stays inside its entry when it is changed. Each change copies it, in some ten
/// nanoseconds; a buffer of its own costs some hundred bytes more (its owner, its growth, the allocator's classes).
const SHORT: usize = 256;
thread_local! {
    /// Where a short string stands while it is changed: memory that is there already.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A string whose encoding is `raw`, where it belongs by its length.
pub fn raw_string(text: Vec<u8>) -> Value {
    if text.len() <= SHORT {
        Value::RawStr(text.into())
    } else {
        Value::Heap(Box::new(HeapStr::Owned(text)))
    }
}

/// Lends the text of a string to be changed. It is `raw` from then on. None: the entry holds no string.
pub(super) fn edit_text<R>(entry: &mut Entry, change: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
    let mut text = match entry.value() {
        ValueRef::Int(i) => scratch(itoa::Buffer::new().format(i).as_bytes()),
        ValueRef::Str { bytes, .. } if bytes.len() <= SHORT => scratch(bytes),
        ValueRef::Str { .. }
        | ValueRef::Heap(_)
        | ValueRef::List(_)
        | ValueRef::Set(_)
        | ValueRef::Hash(_)
        | ValueRef::Zset(_)
        | ValueRef::Stream(_) => return Some(change(entry.make_heap()?.make_mut())),
    };
    let result = change(&mut text);
    let at = entry.expire_at_ms();
    // What comes back is nothing to be freed elsewhere: the old string stood inside the entry.
    if text.len() <= SHORT {
        entry.replace_str(&text, at, true);
        SCRATCH.set(text);
    } else {
        entry.replace(raw_string(text), at);
    }
    Some(result)
}

fn scratch(bytes: &[u8]) -> Vec<u8> {
    let mut text = SCRATCH.take();
    text.clear();
    text.extend_from_slice(bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            ValueRef::Int(i) => i.to_string().into_bytes(),
            ValueRef::Str { bytes, .. } => bytes.to_vec(),
            ValueRef::Heap(h) => h.as_slice().to_vec(),
            other => panic!("no string: {other:?}"),
        }
    }

    #[test]
    fn a_string_of_every_form_changes_past_every_limit() {
        for start in [0, 1, 40, 44, 45, 255, 256, 257, 2_048, 2_049, 5_000] {
            for end in [0, 1, 40, 44, 45, 255, 256, 257, 300, 2_048, 2_049, 5_000] {
                let mut entry = Entry::new_str(b"key", &vec![b'x'; start], Some(77), false);
                entry.set_access(5);
                let mut model = vec![b'x'; start];
                model.resize(end, b'y');
                let len = edit_text(&mut entry, |text| {
                    text.resize(end, b'y');
                    text.len()
                });
                assert_eq!(len, Some(end));
                assert_eq!(text(&entry), model);
                assert_eq!(
                    (entry.key(), entry.expire_at_ms(), entry.access()),
                    (&b"key"[..], Some(77), 5)
                );
                assert_eq!(entry.value().encoding(), "raw");
            }
        }
    }

    #[test]
    fn integers_become_text_and_collections_are_refused() {
        let mut entry = Entry::new(b"key", Value::Int(-12), None);
        assert_eq!(edit_text(&mut entry, |text| text.push(b'3')), Some(()));
        assert_eq!(text(&entry), b"-123");
        let mut entry = Entry::new(b"key", Value::List(crate::types::list::List::new()), None);
        assert_eq!(edit_text(&mut entry, |_| ()), None);
    }

    #[test]
    fn a_short_string_stays_one_allocation() {
        let mut entry = Entry::new_str(&[b'k'; 16], &[b'v'; 30], None, false);
        edit_text(&mut entry, |text| text.extend_from_slice(b"ab"));
        assert_eq!(entry.allocation_size(), 64);
        assert_eq!(entry.value().memory_usage(0), 0);
    }
}
