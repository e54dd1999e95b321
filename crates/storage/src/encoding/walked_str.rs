//! A long string in the middle of which a snapshot's walk is: changes go on in place, and pieces that change ahead of the
//! walk are kept as they were.
//!
//! ```text
//!   | seen | seen | not seen | changed | not seen | grown since the cut
//!                 ^ cursor     kept in `old`      ^ length at the cut
//! ```
//!
//! Must not know: keys, files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::undo::Origin;
use crate::snapshot::SnapshotError;
use crate::value::HeapStr;

/// Bytes of a piece: what one change copies, and what one slice of the walk takes.
pub(crate) const PIECE: usize = if cfg!(test) { 1 << 10 } else { 64 << 10 };

/// See the module's documentation.
#[derive(Debug)]
pub struct WalkedStr {
    pub(crate) text: HeapStr,
    pub(crate) origin: Arc<Origin>,
    /// Number of the first piece that was not seen.
    cursor: usize,
    old: BTreeMap<usize, Box<[u8]>>,
    old_bytes: usize,
}

impl WalkedStr {
    pub(crate) fn new(text: HeapStr, origin: Arc<Origin>) -> Self {
        Self {
            text,
            origin,
            cursor: 0,
            old: BTreeMap::new(),
            old_bytes: 0,
        }
    }

    /// These bytes are about to change.
    pub(crate) fn note(&mut self, bytes: &Range<usize>) {
        if self.origin.cut.is_over() {
            return;
        }
        let end = bytes.end.min(self.origin.len);
        if bytes.start >= end {
            return;
        }
        for piece in (bytes.start / PIECE).max(self.cursor)..end.div_ceil(PIECE) {
            if !self.old.contains_key(&piece)
                && let Some(text) = self.text.as_slice().get(self.bytes_of(piece))
            {
                let text: Box<[u8]> = text.into();
                self.old_bytes += text.len();
                self.origin.cut.add_bytes(text.len());
                self.old.insert(piece, text);
            }
        }
    }

    fn bytes_of(&self, piece: usize) -> Range<usize> {
        piece * PIECE..self.origin.len.min((piece + 1) * PIECE)
    }

    fn is_seen(&self) -> bool {
        self.cursor * PIECE >= self.origin.len
    }

    /// Hands the next piece to `each`. True: it was the last.
    pub(crate) fn walk(&mut self, each: impl FnOnce(&[u8])) -> bool {
        let piece = self.cursor;
        self.cursor += 1;
        if let Some(old) = self.old.remove(&piece) {
            self.old_bytes -= old.len();
            self.origin.cut.sub_bytes(old.len());
            each(&old);
        } else if let Some(text) = self.text.as_slice().get(self.bytes_of(piece)) {
            each(text);
        } else {
            // Somebody made it shorter and did not say so.
            self.origin.cut.fail(SnapshotError::Lost);
            self.cursor = usize::MAX / PIECE;
        }
        self.is_seen()
    }
}

impl Drop for WalkedStr {
    fn drop(&mut self) {
        self.origin.cut.sub_bytes(self.old_bytes);
        if !self.is_seen() && !self.origin.cut.is_over() {
            self.origin.cut.fail(SnapshotError::Lost);
        }
    }
}
