//! Where a large sorted set keeps its members: (score, bytes) packed into pages, named by 32-bit ids.
//!
//! It must not know about order or hashing: [`ScoreTree`](super::score_tree) and
//! [`MemberIndex`](super::member_index) keep ids only, so that each member's bytes stand once in memory.
//! Ids in place of pointers cost one lookup in a small directory, halve the size of both structures, and need no `unsafe`.

use super::chunked::Chunked;
use super::prefetch::prefetch;

/// The most pages a slab can have, since ids have 32 bits: room for a billion members or more, over 100 GB in one key.
const MAX_PAGES: u32 = 1 << (u32::BITS - SLOT_BITS);

/// Bits of an id that name the slot. With pages this large the directory of a million members stays in the L2 cache.
const SLOT_BITS: u32 = 10;
/// Slots of a page; a page of small members may use fewer, to fit [`MAX_PAGE_BYTES`] and an allocator size.
const PAGE_SLOTS: usize = 1 << SLOT_BITS;
/// The largest buffer of a page: what a page that doubles copies at most.
const MAX_PAGE_BYTES: usize = 32 << 10;
/// Slots that a page starts with; it doubles from there.
const FIRST_SLOTS: usize = 8;
/// The largest packed slot; longer members own their bytes.
const MAX_SMALL_SLOT: usize = 128;
/// Score and length byte in front of a packed member.
const SLOT_HEADER: usize = 9;
/// One class per even slot size up to [`MAX_SMALL_SLOT`], and one for large members.
const CLASSES: usize = MAX_SMALL_SLOT / 2 + 2;
const LARGE_CLASS: usize = CLASSES - 1;
/// "No page" in lists of pages, and "no slot" in a page's list of vacant slots.
const NO_PAGE: u32 = u32::MAX;
const NO_SLOT: u16 = u16::MAX;

/// The names of a member's page and slot in one number: page above, slot below.
pub(crate) type MemberId = u32;

/// Storage for (score, member) with stable ids.
///
/// ```text
/// id = page (22 bits) | slot (10 bits)
///
/// page of class "26 bytes":  [ score f64 | len u8 | bytes.. | pad ][ .. ][ .. ]    vacant slot: [ next u16 | .. ]
/// page of class "large":     [ Held { score, Box<[u8]> } ][ Vacant { next } ]..
/// ```
///
/// Pages of a class that have a vacant slot form a doubly linked list, whose head is filled first. A page without
/// members gives its buffer back at once; its number is reused.
#[derive(Debug)]
pub(crate) struct MemberSlab {
    pages: Chunked<Page>,
    /// Per class, the first page with room.
    open: Box<[u32; CLASSES]>,
    /// Pages without a buffer, linked by `next`.
    vacant_pages: u32,
    /// Bytes of all pages' buffers and of large members.
    bytes: usize,
    /// Heap allocations of pages and large members.
    allocations: usize,
}

#[derive(Debug, Clone)]
struct Page {
    body: Body,
    /// Members in the page.
    used: u16,
    /// First vacant slot below the high-water mark.
    vacant: u16,
    previous: u32,
    next: u32,
}

#[derive(Debug, Clone)]
enum Body {
    /// Packed slots of `slot_len` bytes; the buffer's length is the high-water mark.
    Small {
        slot_len: u8,
        buffer: Vec<u8>,
    },
    Large(Vec<LargeSlot>),
}

#[derive(Debug, Clone)]
enum LargeSlot {
    Held { score: f64, member: Box<[u8]> },
    Vacant { next: u16 },
}

impl MemberSlab {
    pub(crate) fn new() -> Self {
        Self {
            pages: Chunked::new(),
            open: Box::new([NO_PAGE; CLASSES]),
            vacant_pages: NO_PAGE,
            bytes: 0,
            allocations: 0,
        }
    }

    /// Stores a member and names it. `id` stays valid until [`free`](Self::free).
    pub(crate) fn alloc(&mut self, score: f64, member: &[u8]) -> MemberId {
        let class = class_of(member.len());
        let number = match self.open[class] {
            NO_PAGE => self.open_page(class),
            number => number,
        };
        let page = &mut self.pages[number as usize];
        let before = page.body.heap_bytes();
        let slot = page.put(score, member);
        self.bytes += page.body.heap_bytes() - before;
        if class == LARGE_CLASS {
            self.bytes += member.len();
            self.allocations += 1;
        }
        if page.is_full() {
            self.unlink(class, number);
        }
        number << SLOT_BITS | slot as u32
    }

    /// Forgets a member; its id may be given to another.
    pub(crate) fn free(&mut self, id: MemberId) {
        let (number, slot) = split(id);
        let page = &mut self.pages[number as usize];
        let was_full = page.is_full();
        let (class, owned) = page.take(slot);
        let now_empty = page.used == 0;
        if class == LARGE_CLASS {
            self.bytes -= owned;
            self.allocations -= 1;
        }
        if was_full {
            self.link(class, number);
        }
        if now_empty {
            self.close_page(class, number);
        }
    }

    /// Asks for the place of the member `id`.
    #[inline]
    pub(crate) fn prefetch(&self, id: MemberId) {
        let (number, slot) = split(id);
        match &self.pages[number as usize].body {
            Body::Small { slot_len, buffer } => {
                prefetch(buffer.as_ptr().wrapping_add(slot * *slot_len as usize));
            }
            Body::Large(slots) => prefetch(slots.as_ptr().wrapping_add(slot).cast()),
        }
    }

    /// Score and bytes of the member `id`.
    #[inline]
    pub(crate) fn get(&self, id: MemberId) -> (f64, &[u8]) {
        let (number, slot) = split(id);
        match &self.pages[number as usize].body {
            Body::Small { slot_len, buffer } => {
                let slot = &buffer[slot * *slot_len as usize..][..*slot_len as usize];
                (read_score(slot), &slot[SLOT_HEADER..][..slot[8] as usize])
            }
            Body::Large(slots) => match &slots[slot] {
                LargeSlot::Held { score, member } => (*score, member),
                LargeSlot::Vacant { .. } => (0.0, &[]),
            },
        }
    }

    /// The bytes of the member `id`.
    #[inline]
    pub(crate) fn member(&self, id: MemberId) -> &[u8] {
        self.get(id).1
    }

    /// Changes the score of the member `id`.
    pub(crate) fn set_score(&mut self, id: MemberId, new: f64) {
        let (number, slot) = split(id);
        match &mut self.pages[number as usize].body {
            Body::Small { slot_len, buffer } => {
                let start = slot * *slot_len as usize;
                buffer[start..start + 8].copy_from_slice(&new.to_le_bytes());
            }
            Body::Large(slots) => match &mut slots[slot] {
                LargeSlot::Held { score, .. } => *score = new,
                LargeSlot::Vacant { .. } => {}
            },
        }
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.pages.heap_bytes() + size_of_val(&*self.open)
    }

    /// Heap allocations held.
    pub(crate) fn allocations(&self) -> usize {
        self.allocations + self.pages.allocations() + 1
    }

    /// Makes an empty page of `class` the head of its list.
    fn open_page(&mut self, class: usize) -> u32 {
        let body = if class == LARGE_CLASS {
            Body::Large(Vec::new())
        } else {
            Body::Small {
                slot_len: (class * 2) as u8,
                buffer: Vec::new(),
            }
        };
        let page = Page {
            body,
            used: 0,
            vacant: NO_SLOT,
            previous: NO_PAGE,
            next: NO_PAGE,
        };
        let number = if self.vacant_pages == NO_PAGE {
            let number = u32::try_from(self.pages.len()).unwrap_or(NO_PAGE);
            assert!(number < MAX_PAGES, "a sorted set holds a billion members");
            self.pages.push(page);
            number
        } else {
            let number = self.vacant_pages;
            self.vacant_pages = std::mem::replace(&mut self.pages[number as usize], page).next;
            number
        };
        self.allocations += 1;
        self.link(class, number);
        number
    }

    /// Gives an empty page's buffer back and keeps its number for reuse.
    fn close_page(&mut self, class: usize, number: u32) {
        self.unlink(class, number);
        let page = &mut self.pages[number as usize];
        self.bytes -= page.body.heap_bytes();
        self.allocations -= 1;
        page.body = Body::Large(Vec::new());
        page.next = std::mem::replace(&mut self.vacant_pages, number);
    }

    fn link(&mut self, class: usize, number: u32) {
        let head = std::mem::replace(&mut self.open[class], number);
        if head != NO_PAGE {
            self.pages[head as usize].previous = number;
        }
        let page = &mut self.pages[number as usize];
        page.previous = NO_PAGE;
        page.next = head;
    }

    fn unlink(&mut self, class: usize, number: u32) {
        let page = &mut self.pages[number as usize];
        let (previous, next) = (page.previous, page.next);
        if next != NO_PAGE {
            self.pages[next as usize].previous = previous;
        }
        if previous == NO_PAGE {
            self.open[class] = next;
        } else {
            self.pages[previous as usize].next = next;
        }
    }
}

impl Clone for MemberSlab {
    /// Copies page by page. The copies of the buffers are as long as what is in them, so the bytes are counted anew.
    fn clone(&self) -> Self {
        let pages = self.pages.clone();
        let buffers = |pages: &Chunked<Page>| -> usize {
            (0..pages.len())
                .map(|number| pages[number].body.heap_bytes())
                .sum()
        };
        Self {
            bytes: self.bytes - buffers(&self.pages) + buffers(&pages),
            pages,
            open: self.open.clone(),
            vacant_pages: self.vacant_pages,
            allocations: self.allocations,
        }
    }
}

impl Page {
    fn is_full(&self) -> bool {
        self.vacant == NO_SLOT
            && match &self.body {
                Body::Small { slot_len, buffer } => {
                    buffer.len() >= page_slots(*slot_len as usize) * *slot_len as usize
                }
                Body::Large(slots) => slots.len() >= PAGE_SLOTS,
            }
    }

    /// Stores a member in a vacant or a new slot. The page must not be full.
    fn put(&mut self, score: f64, member: &[u8]) -> usize {
        self.used += 1;
        match &mut self.body {
            Body::Small { slot_len, buffer } => {
                let slot_len = *slot_len as usize;
                let slot = if self.vacant == NO_SLOT {
                    let end = buffer.len() + slot_len;
                    if end > buffer.capacity() {
                        let slots = (buffer.len() / slot_len * 2).clamp(FIRST_SLOTS, page_slots(slot_len));
                        buffer.reserve_exact(slots * slot_len - buffer.len());
                    }
                    buffer.resize(end, 0);
                    end / slot_len - 1
                } else {
                    let slot = self.vacant as usize;
                    self.vacant = read_next(&buffer[slot * slot_len..]);
                    slot
                };
                let bytes = &mut buffer[slot * slot_len..][..slot_len];
                bytes[..8].copy_from_slice(&score.to_le_bytes());
                bytes[8] = member.len() as u8;
                bytes[SLOT_HEADER..][..member.len()].copy_from_slice(member);
                slot
            }
            Body::Large(slots) => {
                let held = LargeSlot::Held {
                    score,
                    member: member.into(),
                };
                if self.vacant == NO_SLOT {
                    slots.push(held);
                    slots.len() - 1
                } else {
                    let slot = self.vacant as usize;
                    if let LargeSlot::Vacant { next } = std::mem::replace(&mut slots[slot], held) {
                        self.vacant = next;
                    }
                    slot
                }
            }
        }
    }

    /// Makes a slot vacant; returns the page's class and the bytes that the member owned outside the page.
    fn take(&mut self, slot: usize) -> (usize, usize) {
        self.used -= 1;
        let next = std::mem::replace(&mut self.vacant, slot as u16);
        match &mut self.body {
            Body::Small { slot_len, buffer } => {
                let slot_len = *slot_len as usize;
                buffer[slot * slot_len..][..2].copy_from_slice(&next.to_le_bytes());
                (slot_len / 2, 0)
            }
            Body::Large(slots) => match std::mem::replace(&mut slots[slot], LargeSlot::Vacant { next }) {
                LargeSlot::Held { member, .. } => (LARGE_CLASS, member.len()),
                LargeSlot::Vacant { .. } => (LARGE_CLASS, 0),
            },
        }
    }
}

impl Body {
    fn heap_bytes(&self) -> usize {
        match self {
            Body::Small { buffer, .. } => buffer.capacity(),
            Body::Large(slots) => slots.capacity() * size_of::<LargeSlot>(),
        }
    }
}

fn class_of(member_len: usize) -> usize {
    let slot_len = (SLOT_HEADER + member_len).next_multiple_of(2);
    if slot_len <= MAX_SMALL_SLOT {
        slot_len / 2
    } else {
        LARGE_CLASS
    }
}

/// How many slots fill an allocator size closely: sizes stand four to each doubling, so round down to a quarter.
fn page_slots(slot_len: usize) -> usize {
    let bytes = (PAGE_SLOTS * slot_len).min(MAX_PAGE_BYTES);
    let quarter = (1 << bytes.ilog2()) / 4;
    (bytes - bytes % quarter) / slot_len
}

fn split(id: MemberId) -> (u32, usize) {
    (id >> SLOT_BITS, id as usize % PAGE_SLOTS)
}

fn read_score(slot: &[u8]) -> f64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&slot[..8]);
    f64::from_le_bytes(bytes)
}

fn read_next(slot: &[u8]) -> u16 {
    u16::from_le_bytes([slot[0], slot[1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn behaves_as_a_map_from_id(steps in prop::collection::vec((any::<u16>(), 0usize..300, 0u8..5), 1..1500)) {
            let mut slab = MemberSlab::new();
            let mut model: HashMap<MemberId, (f64, Vec<u8>)> = HashMap::new();
            let mut ids = Vec::new();
            for (pick, len, kind) in steps {
                if kind < 3 || ids.is_empty() {
                    let member: Vec<u8> = (0..if kind == 0 { len } else { len % 7 }).map(|at| at as u8 ^ pick as u8).collect();
                    let id = slab.alloc(pick as f64, &member);
                    prop_assert!(model.insert(id, (pick as f64, member)).is_none());
                    ids.push(id);
                } else {
                    let id = ids[pick as usize % ids.len()];
                    if kind == 3 {
                        slab.set_score(id, len as f64);
                        model.get_mut(&id).expect("held").0 = len as f64;
                    } else {
                        ids.swap_remove(pick as usize % ids.len());
                        slab.free(id);
                        model.remove(&id);
                    }
                }
            }
            for (id, (score, member)) in &model {
                prop_assert_eq!(slab.get(*id), (*score, &member[..]));
            }
            for mut slab in [slab.clone(), slab] {
                for &id in &ids {
                    slab.free(id);
                }
                prop_assert_eq!((slab.bytes, slab.allocations), (0, 0));
            }
        }
    }

    #[test]
    fn pages_fill_their_allocation() {
        for slot_len in (10..=MAX_SMALL_SLOT).step_by(2) {
            let slots = page_slots(slot_len);
            assert!((250..=PAGE_SLOTS).contains(&slots), "{slot_len}: {slots}");
            assert!(slots * slot_len <= MAX_PAGE_BYTES);
        }
    }
}
