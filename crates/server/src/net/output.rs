//! Output of a connection that its socket has not taken: what may be sent, and what waits for the gate behind it.
//!
//! ```text
//! bytes   sent | may be sent | waits for offset 70 | waits for offset 95 |
//!              ^ sent        ^ free                ^ marks[0]            ^ marks[1]
//! ```
//!
//! Replies leave in order: what depends on nothing waits if it stands behind something that does. While the disk fails,
//! what only reads leaves if it stands behind nothing that was written.
//!
//! Must not know: sockets, what the bytes say.

use std::collections::VecDeque;

/// A buffer that is larger than this is given back after use.
const KEEP: usize = 256 << 10;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Everything before this may be sent.
    free: usize,
    marks: VecDeque<Mark>,
    /// The offset for which the gate has been asked to wake the connection.
    asked: Option<u64>,
}

/// What waits.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// For this offset of the log.
    offset: u64,
    /// Where its bytes end.
    end: usize,
    /// It tells of what was written, not only of what was seen.
    wrote: bool,
}

impl Output {
    /// Bytes that have not been sent.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Where bytes are appended; [`Self::mark`] says afterwards what they wait for.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was appended since the last mark waits for an offset of the log. `wrote`: it must not be told before, come
    /// what may.
    pub fn mark(&mut self, offset: u64, wrote: bool) {
        let end = self.bytes.len();
        match self.marks.back_mut() {
            Some(last) if last.offset >= offset && (last.wrote || !wrote) => last.end = end,
            Some(_) | None => self.marks.push_back(Mark { offset, end, wrote }),
        }
    }

    /// What was appended up to now waits for nothing but what is in front of it.
    pub fn settle(&mut self) {
        if self.marks.is_empty() {
            self.free = self.bytes.len();
        }
    }

    /// True while something waits for the gate.
    pub fn is_held(&self) -> bool {
        !self.marks.is_empty()
    }

    /// What may be sent now that the gate is open to `open`, or stuck.
    pub fn sendable(&mut self, open: u64, stuck: bool) -> &[u8] {
        while let Some(mark) = self.marks.front()
            && (mark.offset <= open || (stuck && !mark.wrote))
        {
            self.free = mark.end;
            self.marks.pop_front();
        }
        self.settle();
        &self.bytes[self.sent..self.free]
    }

    /// Everything that has not been sent, for who goes on with the connection in another way.
    pub fn take_all(&mut self) -> Vec<u8> {
        let mut old = std::mem::take(self);
        old.bytes.split_off(old.sent)
    }

    /// What was asked is not waited for any more.
    pub fn ask_again(&mut self) {
        self.asked = None;
    }

    /// The offset that the gate is to be asked about: what is next, if it has not been asked yet.
    pub fn to_ask(&mut self) -> Option<u64> {
        let next = self.marks.front().map(|mark| mark.offset);
        if self.asked == next {
            return None;
        }
        self.asked = next;
        next
    }

    /// So many bytes have been taken.
    pub fn advance(&mut self, n: usize) {
        self.sent += n;
        if self.sent == self.bytes.len() {
            debug_assert!(self.marks.is_empty(), "what waits has not been sent");
            self.sent = 0;
            self.free = 0;
            self.asked = None;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(out: &mut Output, bytes: &[u8], waits_for: Option<u64>) {
        out.buffer().extend_from_slice(bytes);
        match waits_for {
            Some(offset) => out.mark(offset, true),
            None => out.settle(),
        }
    }

    #[test]
    fn replies_leave_in_order_and_not_before_their_time() {
        let mut out = Output::default();
        push(&mut out, b"free", None);
        push(&mut out, b"ten", Some(10));
        push(&mut out, b"behind", None);
        push(&mut out, b"twenty", Some(20));
        push(&mut out, b"still", Some(15));
        assert!(out.is_held());
        assert_eq!(out.sendable(9, false), b"free");
        out.advance(2);
        assert_eq!(out.sendable(9, false), b"ee");
        assert_eq!(out.to_ask(), Some(10));
        assert_eq!(out.to_ask(), None);
        assert_eq!(out.sendable(19, false), b"eeten");
        out.advance(5);
        assert_eq!(out.to_ask(), Some(20));
        assert_eq!(out.sendable(20, false), b"behindtwentystill");
        assert!(!out.is_held());
        out.advance(17);
        assert_eq!(out.pending(), 0);
        push(&mut out, b"next", Some(30));
        assert_eq!(out.to_ask(), Some(30));
        assert_eq!(out.sendable(29, false), b"");
        assert_eq!(out.sendable(30, false), b"next");
    }

    #[test]
    fn what_the_socket_has_not_taken_stays_free_when_something_waits_behind_it() {
        let mut out = Output::default();
        push(&mut out, b"0123456789", None);
        out.advance(4);
        push(&mut out, b"held", Some(5));
        assert_eq!(out.sendable(0, false), b"456789");
        out.advance(6);
        assert_eq!(out.sendable(0, false), b"");
        assert_eq!(out.pending(), 4);
        push(&mut out, b"more", Some(5));
        assert_eq!(out.sendable(5, false), b"heldmore");
    }

    #[test]
    fn while_the_disk_fails_what_only_reads_leaves_unless_it_stands_behind_a_write() {
        let mut out = Output::default();
        out.buffer().extend_from_slice(b"seen");
        out.mark(5, false);
        out.buffer().extend_from_slice(b"written");
        out.mark(5, true);
        out.buffer().extend_from_slice(b"behind");
        out.mark(5, false);
        assert_eq!(out.sendable(4, false), b"");
        assert_eq!(out.sendable(4, true), b"seen");
        out.advance(4);
        assert_eq!(out.sendable(4, true), b"");
        assert_eq!(out.sendable(5, true), b"writtenbehind");
    }
}
