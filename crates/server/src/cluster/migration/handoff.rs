//! The moment in which slots are handed over: their writers wait, so that the target gets everything. Reads go on.
//!
//! Who writes has looked here before it got its locks, perhaps too early; so it looks once more with the locks in hand, and
//! whoever begins a handoff takes every lock for a moment. After that nothing is written.
//!
//! Must not know: who hands over, and to whom.

use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_cluster::SlotSet;
use parking_lot::RwLock;

use crate::registry::{Entry, KeyPlan};
use holdfast_commands::spec::Flags;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Handoff {
    on: AtomicBool,
    slots: RwLock<SlotSet>,
}

impl Handoff {
    /// Whether slots are being handed over. Certain while a shard is locked.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Whether writers of this slot have to wait.
    pub fn holds(&self, slot: u16) -> bool {
        self.is_on() && self.slots.read().contains(slot)
    }

    /// Whether a command without keys has to wait, as it changes all slots.
    pub fn holds_unkeyed(&self, entry: &Entry) -> bool {
        self.is_on() && entry.keys == KeyPlan::All && entry.is(Flags::WRITE)
    }

    /// Has writers of these slots wait. The caller then takes every shard's lock once.
    pub fn begin(&self, slots: &SlotSet) {
        self.slots.write().clone_from(slots);
        self.on.store(true, Ordering::Release);
    }

    /// Lets them go on, here or where they are sent.
    pub fn end(&self) {
        self.on.store(false, Ordering::Release);
    }
}
