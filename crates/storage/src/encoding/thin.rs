//! One allocation behind one pointer: a byte buffer that knows its size from its own first bytes.
//!
//! It knows nothing of what the bytes mean; a [`ThinFormat`] tells it how many bytes the leading ones announce.
//!
//! ```text
//!   ThinBuf (8 bytes)            heap, aligned to 4
//!   +-----------------+         +--------------+---------------------------+
//!   | address + TAG   | ----->  | lead: LEAD   | body: size(lead) - LEAD   |
//!   +-----------------+         +--------------+---------------------------+
//! ```
//!
//! The pointer carries the owner's tag in its two low bits at all times, so that several kinds of owner fit in one
//! word (see [`super::tagged`]) and a reference to that word is a reference to the owner. The tag is a constant, so
//! it folds into the offset of every access and costs nothing.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

/// Alignment of every thin allocation: leaves two low bits for a tag, and is below the allocator's own smallest
/// alignment, so that no allocation takes the slow path of aligned requests.
const ALIGN: usize = 4;

/// How a buffer's size follows from its leading bytes.
///
/// # Safety
///
/// `size` must be a pure function of `lead` (`LEAD` bytes): the same bytes give the same size, for ever.
/// `TAG` must be below 4.
pub(super) unsafe trait ThinFormat {
    /// Number of leading bytes that decide the size.
    const LEAD: usize;
    /// The two low bits of the pointer.
    const TAG: usize;
    /// Size of the whole buffer in bytes, the lead included. A result below `LEAD` is never allocated.
    fn size(lead: &[u8]) -> usize;
}

/// An owned byte buffer behind one tagged, non-null pointer.
///
/// Invariant: `ptr` is the start of a live allocation of this buffer, plus `F::TAG`. The allocation was made with
/// alignment [`ALIGN`] and `F::size(first F::LEAD bytes)` bytes, at least `F::LEAD`, all of them initialised. Only
/// [`ThinBuf::set_lead`] writes the lead, and it resizes the allocation to match.
#[repr(transparent)]
pub(super) struct ThinBuf<F: ThinFormat> {
    ptr: NonNull<u8>,
    format: PhantomData<F>,
}

// SAFETY: the buffer owns plain bytes and shares them with nobody.
unsafe impl<F: ThinFormat> Send for ThinBuf<F> {}
// SAFETY: a shared reference only reads.
unsafe impl<F: ThinFormat> Sync for ThinBuf<F> {}

impl<F: ThinFormat> ThinBuf<F> {
    /// A buffer whose lead is `lead` and whose body is zero.
    pub(super) fn zeroed(lead: &[u8]) -> Self {
        const { assert!(F::TAG < ALIGN) };
        assert_eq!(lead.len(), F::LEAD);
        let layout = layout::<F>(F::size(lead));
        // SAFETY: `layout` checked that the size is at least LEAD, which is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the allocation holds at least LEAD bytes and `lead` is a different object of that length.
        unsafe { base.copy_from_nonoverlapping(NonNull::from(lead).cast(), F::LEAD) };
        // SAFETY: TAG < ALIGN = 4 <= LEAD: the sum stays inside the allocation.
        let ptr = unsafe { base.byte_add(F::TAG) };
        Self {
            ptr,
            format: PhantomData,
        }
    }

    /// A copy of `bytes`; none if their lead announces another size.
    pub(super) fn copy_of(bytes: &[u8]) -> Option<Self> {
        let lead = bytes.get(..F::LEAD)?;
        if F::size(lead) != bytes.len() {
            return None;
        }
        let mut buf = Self::zeroed(lead);
        buf.body_mut().copy_from_slice(&bytes[F::LEAD..]);
        Some(buf)
    }

    /// Start of the allocation.
    fn base(&self) -> NonNull<u8> {
        // SAFETY: `ptr` is the allocation's start plus TAG (invariant), so this stays inside it.
        unsafe { self.ptr.byte_sub(F::TAG) }
    }

    /// Size of the allocation in bytes.
    pub(super) fn size(&self) -> usize {
        // SAFETY: the first LEAD bytes exist and are initialised (invariant); nobody writes while `self` is borrowed.
        F::size(unsafe { slice::from_raw_parts(self.base().as_ptr(), F::LEAD) })
    }

    /// All bytes, the lead included.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation has `size()` initialised bytes (invariant); nobody writes while `self` is borrowed.
        unsafe { slice::from_raw_parts(self.base().as_ptr(), self.size()) }
    }

    /// The bytes after the lead, to change.
    pub(super) fn body_mut(&mut self) -> &mut [u8] {
        let len = self.size() - F::LEAD;
        // SAFETY: the allocation has LEAD + len initialised bytes (invariant), borrowed through `&mut self`. The lead
        // is not part of the slice, so the size cannot change through it.
        unsafe { slice::from_raw_parts_mut(self.base().as_ptr().add(F::LEAD), len) }
    }

    /// Writes a new lead and gives the buffer the size that it announces: new bytes at the end are zero, bytes past
    /// the new end are lost.
    pub(super) fn set_lead(&mut self, lead: &[u8]) {
        assert_eq!(lead.len(), F::LEAD);
        let old = self.size();
        let new = F::size(lead);
        let mut base = self.base();
        if new != old {
            let new_layout = layout::<F>(new);
            // SAFETY: the allocation was made with alignment ALIGN and `old` bytes (invariant); `layout` checked that
            // `new` is not zero and does not overflow.
            let moved = unsafe { realloc(base.as_ptr(), layout::<F>(old), new) };
            let Some(moved) = NonNull::new(moved) else {
                handle_alloc_error(new_layout)
            };
            base = moved;
            if new > old {
                // SAFETY: bytes old..new lie inside the new allocation.
                unsafe { base.add(old).write_bytes(0, new - old) };
            }
        }
        // SAFETY: the allocation holds at least LEAD bytes and `lead` cannot overlap memory borrowed mutably.
        unsafe { base.copy_from_nonoverlapping(NonNull::from(lead).cast(), F::LEAD) };
        // SAFETY: TAG < ALIGN = 4 <= LEAD: the sum stays inside the allocation.
        self.ptr = unsafe { base.byte_add(F::TAG) };
    }
}

impl<F: ThinFormat> Drop for ThinBuf<F> {
    fn drop(&mut self) {
        let layout = layout::<F>(self.size());
        // SAFETY: the allocation was made with exactly this layout (invariant) and is not used again.
        unsafe { dealloc(self.base().as_ptr(), layout) };
    }
}

impl<F: ThinFormat> Clone for ThinBuf<F> {
    fn clone(&self) -> Self {
        let bytes = self.bytes();
        let mut copy = Self::zeroed(&bytes[..F::LEAD]);
        copy.body_mut().copy_from_slice(&bytes[F::LEAD..]);
        copy
    }
}

/// The layout of an allocation of `size` bytes.
fn layout<F: ThinFormat>(size: usize) -> Layout {
    const { assert!(F::LEAD >= ALIGN) };
    assert!(size >= F::LEAD, "a thin buffer holds at least its lead");
    Layout::from_size_align(size, ALIGN).expect("a thin buffer is smaller than the address space")
}
