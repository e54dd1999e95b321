//! Asking the processor to fetch a cache line ahead of its use. A hint: it reads nothing and cannot fault.

#![allow(unsafe_code)]

/// What of a collection's element is asked for: what its look-up reads first, or next, which the first leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The slot of its hash.
    Slot,
    /// What the slot points to.
    Element,
}

/// Fetches the line of an address into the first-level cache. Any address is allowed.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is a hint; it neither reads nor writes memory in the language's sense, and it cannot fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
