//! One word that owns one of two or three things: how a value is a small packed encoding or a big structure and still
//! takes 8 bytes.
//!
//! ```text
//!   Tagged3<Intset, Listpack, Box<SetTable>>
//!   +------------------------------------------------+----+
//!   | address                                        | 10 |  an Intset
//!   | address                                        | 01 |  a Listpack
//!   | address                                        | 00 |  a Box
//!   | address                                        | 11 |  a MarkedBox
//!   +------------------------------------------------+----+
//! ```
//!
//! Every owner carries a tag of its own in its pointer at all times ([`ThinOwner::TAGS`]), so the word *is* the owner, and
//! `&word` is a valid `&Owner` once the tag has been looked at: nothing is rebuilt to lend it.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, transmute_copy};
use std::ptr::NonNull;

use super::intset::Intset;
use super::listpack::Listpack;
use super::packed_table::HashTable;
use crate::types::hash::Fields;

/// Bits of the pointer that tell owners apart.
const TAG_MASK: usize = 3;

/// An owner that is one non-null pointer whose two low bits are always one of [`ThinOwner::TAGS`].
///
/// # Safety
///
/// The type must have the size, the alignment and the validity of `NonNull<u8>` (be `repr(transparent)` over a
/// pointer), and every value of it, at every moment, must have one of `TAGS` in the two low bits.
pub unsafe trait ThinOwner: Sized {
    /// What the two low bits may be: bit n stands for the number n.
    const TAGS: u8;
}

// SAFETY: a ThinBuf is a `repr(transparent)` pointer that carries its format's tag.
unsafe impl ThinOwner for Listpack {
    const TAGS: u8 = 1 << Listpack::POINTER_TAG;
}

// SAFETY: as above.
unsafe impl ThinOwner for Intset {
    const TAGS: u8 = 1 << Intset::POINTER_TAG;
}

// SAFETY: a Box of a sized type is one non-null pointer, aligned as its target: the assertion makes that 4 or more.
unsafe impl<T> ThinOwner for Box<T> {
    const TAGS: u8 = {
        assert!(
            align_of::<T>() > TAG_MASK,
            "a boxed variant needs an alignment of 4 or more"
        );
        1
    };
}

// SAFETY: the target is aligned to 4 or more (asserted in `new`), and the pointer is never without its mark.
unsafe impl<T> ThinOwner for MarkedBox<T> {
    const TAGS: u8 = 1 << MARK;
}

// SAFETY: `Fields` is `repr(transparent)` over a Tagged2, which carries the tag of one of its variants at all times.
unsafe impl ThinOwner for Fields {
    const TAGS: u8 = <Listpack as ThinOwner>::TAGS | <Box<HashTable> as ThinOwner>::TAGS;
}

/// Whether `tag` is one of `tags`; a comparison where there is only one.
#[inline]
const fn carries(tags: u8, tag: usize) -> bool {
    if tags.is_power_of_two() {
        tag == tags.trailing_zeros() as usize
    } else {
        tags >> tag & 1 != 0
    }
}

/// The tag of a [`MarkedBox`].
const MARK: usize = 3;

/// A box that can stand beside an ordinary one in a tagged word.
///
/// Invariant: `word` is what `Box::into_raw` gave for a `T`, plus [`MARK`], and owns it.
#[repr(transparent)]
pub struct MarkedBox<T> {
    word: NonNull<u8>,
    owns: PhantomData<Box<T>>,
}

// SAFETY: it owns a T and nothing else, as a Box does.
unsafe impl<T: Send> Send for MarkedBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MarkedBox<T> {}

impl<T> MarkedBox<T> {
    /// Moves a value to the heap.
    pub fn new(value: T) -> Self {
        const { assert!(align_of::<T>() > TAG_MASK) };
        let raw = Box::into_raw(Box::new(value)).cast::<u8>();
        let word = NonNull::new(raw.map_addr(|address| address | MARK)).expect("an allocation is not at 0");
        Self {
            word,
            owns: PhantomData,
        }
    }

    /// Moves the value out.
    pub fn into_inner(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: the pointer came from a Box (invariant), and `this` is never dropped.
        *unsafe { Box::from_raw(this.target()) }
    }

    fn target(&self) -> *mut T {
        self.word
            .as_ptr()
            .map_addr(|address| address & !TAG_MASK)
            .cast::<T>()
    }
}

impl<T> std::ops::Deref for MarkedBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the target is a live, owned T (invariant); the reference borrows `self`.
        unsafe { &*self.target() }
    }
}

impl<T> std::ops::DerefMut for MarkedBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, borrowed mutably.
        unsafe { &mut *self.target() }
    }
}

impl<T> Drop for MarkedBox<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a Box and is owned (invariant); it is not used any more.
        drop(unsafe { Box::from_raw(self.target()) });
    }
}

impl<T: Clone> Clone for MarkedBox<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: fmt::Debug> fmt::Debug for MarkedBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// One of two: what [`Tagged2`] holds, lends or gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOf2<A, B> {
    /// The first variant.
    A(A),
    /// The second variant.
    B(B),
}

/// One of three: what [`Tagged3`] holds, lends or gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOf3<A, B, C> {
    /// The first variant.
    A(A),
    /// The second variant.
    B(B),
    /// The third variant.
    C(C),
}

/// The bits of an owner, which must not be dropped as the owner any more.
fn word_of<O: ThinOwner>(owner: O) -> NonNull<u8> {
    const { assert!(size_of::<O>() == size_of::<NonNull<u8>>() && O::TAGS < 1 << (TAG_MASK + 1)) };
    let owner = ManuallyDrop::new(owner);
    // SAFETY: a ThinOwner has the size and validity of NonNull<u8> (its contract); ManuallyDrop keeps it from being
    // dropped, so ownership moves into the word.
    unsafe { transmute_copy(&owner) }
}

macro_rules! tagged {
    ($(#[$doc:meta])* $name:ident, $one_of:ident, $($variant:ident $from:ident),+; $($distinct:expr),+) => {
        $(#[$doc])*
        ///
        /// Invariant: `word` holds the bits of a live owner of the variant whose tag it carries, and owns it.
        #[repr(transparent)]
        pub struct $name<$($variant: ThinOwner),+> {
            word: NonNull<u8>,
            owns: PhantomData<($($variant,)+)>,
        }

        // SAFETY: the word owns one of the variants and nothing else.
        unsafe impl<$($variant: ThinOwner + Send),+> Send for $name<$($variant),+> {}
        // SAFETY: as above.
        unsafe impl<$($variant: ThinOwner + Sync),+> Sync for $name<$($variant),+> {}

        impl<$($variant: ThinOwner),+> $name<$($variant),+> {
            /// Two variants with one tag could not be told apart.
            const DISTINCT: () = assert!($($distinct)&&+, "two variants share a tag");

            fn new(word: NonNull<u8>) -> Self {
                const { Self::DISTINCT };
                Self { word, owns: PhantomData }
            }

            fn tag(&self) -> usize {
                self.word.addr().get() & TAG_MASK
            }

            $(
                #[doc = concat!("Takes ownership of a variant ", stringify!($variant), ".")]
                pub fn $from(owner: $variant) -> Self {
                    Self::new(word_of(owner))
                }
            )+

            /// Lends what is held.
            pub fn as_ref(&self) -> $one_of<$(&$variant),+> {
                let tag = self.tag();
                $(
                    if carries($variant::TAGS, tag) {
                        // SAFETY: the tag says that the word holds the bits of this variant (invariant), which has
                        // the layout of the word (ThinOwner); the reference borrows `self`.
                        return $one_of::$variant(unsafe { &*(&raw const self.word).cast::<$variant>() });
                    }
                )+
                unreachable!("a tagged word holds one of its variants")
            }

            /// Lends what is held, to change. Whatever the owner does to its own pointer, it does to the word.
            pub fn as_mut(&mut self) -> $one_of<$(&mut $variant),+> {
                let tag = self.tag();
                $(
                    if carries($variant::TAGS, tag) {
                        // SAFETY: as in `as_ref`, borrowed mutably. A value written through the reference is of the
                        // same variant, so the tag stays right (ThinOwner: every value carries the tag).
                        return $one_of::$variant(unsafe { &mut *(&raw mut self.word).cast::<$variant>() });
                    }
                )+
                unreachable!("a tagged word holds one of its variants")
            }

            /// Gives what is held away.
            pub fn into_inner(self) -> $one_of<$($variant),+> {
                let this = ManuallyDrop::new(self);
                let tag = this.tag();
                $(
                    if carries($variant::TAGS, tag) {
                        // SAFETY: the word holds the bits of an owned value of this variant (invariant); `this` is
                        // never dropped, so the value has one owner.
                        return $one_of::$variant(unsafe { transmute_copy(&this.word) });
                    }
                )+
                unreachable!("a tagged word holds one of its variants")
            }
        }

        impl<$($variant: ThinOwner),+> Drop for $name<$($variant),+> {
            fn drop(&mut self) {
                let tag = self.tag();
                $(
                    if carries($variant::TAGS, tag) {
                        // SAFETY: the word holds the bits of an owned value of this variant (invariant), and is not
                        // used after its drop.
                        unsafe { (&raw mut self.word).cast::<$variant>().drop_in_place() };
                        return;
                    }
                )+
            }
        }

        impl<$($variant: ThinOwner + Clone),+> Clone for $name<$($variant),+> {
            fn clone(&self) -> Self {
                match self.as_ref() {
                    $($one_of::$variant(owner) => Self::$from(owner.clone()),)+
                }
            }
        }

        impl<$($variant: ThinOwner + fmt::Debug),+> fmt::Debug for $name<$($variant),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.as_ref() {
                    $($one_of::$variant(owner) => owner.fmt(f),)+
                }
            }
        }
    };
}

tagged! {
    /// Owns an `A` or a `B` in one word (8 bytes). To change the variant, assign a new word:
    /// `*self = Tagged2::from_b(big)`.
    Tagged2, OneOf2, A from_a, B from_b; A::TAGS & B::TAGS == 0
}

tagged! {
    /// Owns an `A`, a `B` or a `C` in one word (8 bytes). To change the variant, assign a new word:
    /// `*self = Tagged3::from_c(big)`.
    Tagged3, OneOf3, A from_a, B from_b, C from_c; A::TAGS & B::TAGS == 0, B::TAGS & C::TAGS == 0, A::TAGS & C::TAGS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    type Three = Tagged3<Intset, Listpack, Box<Vec<u64>>>;

    fn filled(which: usize) -> Three {
        match which {
            0 => {
                let mut set = Intset::new();
                set.insert(7);
                Three::from_a(set)
            }
            1 => {
                let mut pack = Listpack::new();
                pack.push_back(b"seven");
                Three::from_b(pack)
            }
            _ => Three::from_c(Box::new(vec![7])),
        }
    }

    #[test]
    fn a_word_is_eight_bytes_and_has_a_niche() {
        assert_eq!((size_of::<Three>(), align_of::<Three>()), (8, 8));
        assert_eq!(size_of::<Option<Three>>(), 8);
        assert_eq!(size_of::<Tagged2<Listpack, Box<u64>>>(), 8);
        assert_eq!(
            (size_of::<Option<Listpack>>(), size_of::<Option<Intset>>()),
            (8, 8)
        );
    }

    #[test]
    fn lends_changes_clones_and_gives_away_each_variant() {
        for which in 0..3 {
            let mut word = filled(which);
            for value in 100..400_i64 {
                // Growing moves the allocation: the word has to follow.
                match word.as_mut() {
                    OneOf3::A(set) => assert!(set.insert(value)),
                    OneOf3::B(pack) => pack.push_back(value.to_string().as_bytes()),
                    OneOf3::C(list) => list.push(value as u64),
                }
            }
            let copy = word.clone();
            drop(word);
            let len = match copy.as_ref() {
                OneOf3::A(set) => set.len(),
                OneOf3::B(pack) => pack.len(),
                OneOf3::C(list) => list.len(),
            };
            assert_eq!(len, 301);
            match copy.into_inner() {
                OneOf3::A(set) => assert_eq!((which, set.len()), (0, 301)),
                OneOf3::B(pack) => assert_eq!((which, pack.len()), (1, 301)),
                OneOf3::C(list) => assert_eq!((which, list.len()), (2, 301)),
            }
        }
    }

    #[test]
    fn a_marked_box_stands_beside_a_word_of_two_variants() {
        type Word = Tagged3<Box<u64>, MarkedBox<Vec<u64>>, Listpack>;
        let mut word = Word::from_b(MarkedBox::new(vec![7]));
        if let OneOf3::B(list) = word.as_mut() {
            list.push(8);
        }
        let copy = word.clone();
        word = Word::from_a(Box::new(1));
        assert!(matches!(word.as_ref(), OneOf3::A(one) if **one == 1));
        assert!(matches!(copy.as_ref(), OneOf3::B(list) if ***list == [7, 8]));
        match copy.into_inner() {
            OneOf3::B(list) => assert_eq!(list.into_inner(), [7, 8]),
            OneOf3::A(_) | OneOf3::C(_) => panic!("another variant"),
        }
    }

    #[test]
    fn assigning_drops_the_former_variant() {
        let mut word = filled(0);
        for which in [1, 2, 0, 2, 1] {
            word = filled(which);
        }
        assert!(matches!(word.as_ref(), OneOf3::B(pack) if pack.len() == 1));
    }
}
