//! One decoded command: its arguments, wherever their bytes lie.
//!
//! ```text
//! base    *2 $3 GET $5 hello        the read buffer, or the bytes gathered from several reads
//!               ^^^    ^^^^^
//! slots        (8,3)  (17,5)        start and length; start = SHARED: length is an index into `shared`
//! shared                            big arguments, each in memory of its own
//! ```

use bytes::Bytes;

/// Where one argument lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    start: u32,
    len: u32,
}

impl Slot {
    /// The start that marks an argument of `shared`.
    const SHARED: u32 = u32::MAX;
    /// One more than the largest offset that a slot can name.
    pub(super) const MAX_OFFSET: usize = u32::MAX as usize;

    /// The argument `base[start..start + len]`, which must end at or before [`Self::MAX_OFFSET`].
    #[inline(always)]
    pub(super) fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len <= Self::MAX_OFFSET);
        Self {
            start: start as u32,
            len: len as u32,
        }
    }

    /// The argument `shared[index]`.
    pub(super) fn shared(index: usize) -> Self {
        debug_assert!(index < Self::MAX_OFFSET);
        Self {
            start: Self::SHARED,
            len: index as u32,
        }
    }
}

/// The arguments of one command, the name first; never empty. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Frame<'d> {
    base: &'d [u8],
    slots: &'d [Slot],
    shared: &'d [Bytes],
}

impl<'d> Frame<'d> {
    pub(super) fn in_place(base: &'d [u8], slots: &'d [Slot]) -> Self {
        Self {
            base,
            slots,
            shared: &[],
        }
    }

    pub(super) fn assembled(base: &'d [u8], slots: &'d [Slot], shared: &'d [Bytes]) -> Self {
        Self { base, slots, shared }
    }

    /// The command as it was received, if it came in one piece and in canonical form: bytes that need no encoding.
    #[inline]
    pub fn raw(&self) -> Option<&'d [u8]> {
        let first = self.slots.first()?;
        // Arguments of other frames are packed without headers, from offset 0 on.
        let in_place = self.shared.is_empty() && first.start >= 8 && first.start != Slot::SHARED;
        let ended = |at: usize| self.base.get(at..at + 2) == Some(b"\r\n");
        let canonical = in_place
            && ended(self.base.iter().position(|&b| b == b'\r')?)
            && self
                .slots
                .iter()
                .all(|s| ended(s.start as usize - 2) && ended((s.start + s.len) as usize));
        canonical.then_some(self.base)
    }

    /// More bytes than the command had as it was sent, but not many more; costs little.
    #[inline]
    pub fn size_bound(&self) -> usize {
        /// The header and the end of an argument take less.
        const AROUND: usize = 32;
        let shared = self.shared.iter().map(Bytes::len).sum::<usize>();
        shared + self.base.len() + (self.slots.len() + 1) * AROUND
    }

    /// Number of arguments, the name included: `argc`.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a frame has a name at least")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The command's name as it was sent.
    #[inline]
    pub fn name(&self) -> &'d [u8] {
        self.arg(0)
    }

    /// Argument `index`; 0 is the name.
    ///
    /// # Panics
    /// If there is no such argument: whoever calls this has checked the command's arity.
    #[inline]
    pub fn arg(&self, index: usize) -> &'d [u8] {
        self.at(self.slots[index])
    }

    /// Argument `index`, or `None` where the command has fewer.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'d [u8]> {
        self.slots.get(index).map(|&slot| self.at(slot))
    }

    /// Argument `index` if it lies in memory of its own, as big arguments of a command that came in several
    /// reads do. Cloning that moves a value by its reference count.
    pub fn shared(&self, index: usize) -> Option<&'d Bytes> {
        self.slots
            .get(index)
            .filter(|slot| slot.start == Slot::SHARED)
            .map(|slot| &self.shared[slot.len as usize])
    }

    /// Argument `index` as owned bytes: shared where possible, else copied.
    ///
    /// # Panics
    /// As [`arg`](Self::arg).
    pub fn to_bytes(&self, index: usize) -> Bytes {
        self.shared(index)
            .cloned()
            .unwrap_or_else(|| Bytes::copy_from_slice(self.arg(index)))
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'d [u8]> + DoubleEndedIterator + Clone + use<'d> {
        let frame = *self;
        self.slots.iter().map(move |&slot| frame.at(slot))
    }

    /// A copy that outlives the read buffer, for MULTI's queue. Big arguments stay shared.
    pub fn to_owned(&self) -> OwnedFrame {
        let mut owned = OwnedFrame::with_capacity(self.slots.len(), 0);
        for index in 0..self.slots.len() {
            match self.shared(index) {
                Some(bytes) => owned.push_shared(bytes.clone()),
                None => owned.push(self.arg(index)),
            }
        }
        owned
    }

    #[inline(always)]
    fn at(&self, slot: Slot) -> &'d [u8] {
        if slot.start == Slot::SHARED {
            return &self.shared[slot.len as usize];
        }
        &self.base[slot.start as usize..][..slot.len as usize]
    }
}

impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|arg| arg.escape_ascii().to_string()))
            .finish()
    }
}

/// A command that owns its bytes: queued by MULTI, or built by a script or a test. Small arguments lie side by
/// side in one allocation.
#[derive(Clone, Default)]
pub struct OwnedFrame {
    base: Vec<u8>,
    slots: Vec<Slot>,
    shared: Vec<Bytes>,
}

impl OwnedFrame {
    /// Room for `args` arguments of `bytes` bytes together.
    pub fn with_capacity(args: usize, bytes: usize) -> Self {
        Self {
            base: Vec::with_capacity(bytes),
            slots: Vec::with_capacity(args),
            shared: Vec::new(),
        }
    }

    /// Copies `args`; the first is the command's name.
    pub fn from_args<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut owned = Self::default();
        for arg in args {
            owned.push(arg);
        }
        owned
    }

    /// Forgets all arguments and keeps the memory.
    pub fn clear(&mut self) {
        self.base.clear();
        self.slots.clear();
        self.shared.clear();
    }

    /// Appends a copy of `arg`.
    pub fn push(&mut self, arg: &[u8]) {
        if self.base.len() + arg.len() > Slot::MAX_OFFSET {
            return self.push_shared(Bytes::copy_from_slice(arg));
        }
        self.slots.push(Slot::new(self.base.len(), arg.len()));
        self.base.extend_from_slice(arg);
    }

    /// Appends an argument by reference count.
    pub fn push_shared(&mut self, arg: Bytes) {
        self.slots.push(Slot::shared(self.shared.len()));
        self.shared.push(arg);
    }

    /// The arguments. `None` while nothing has been pushed.
    pub fn frame(&self) -> Option<Frame<'_>> {
        (!self.slots.is_empty()).then(|| Frame::assembled(&self.base, &self.slots, &self.shared))
    }

    /// Bytes of memory held, for the accounting of MULTI's queue.
    pub fn memory(&self) -> usize {
        self.base.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.shared.capacity() * size_of::<Bytes>()
            + self.shared.iter().map(Bytes::len).sum::<usize>()
    }
}

impl std::fmt::Debug for OwnedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.frame(), f)
    }
}
