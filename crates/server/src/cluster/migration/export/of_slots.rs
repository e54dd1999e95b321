//! The keys of the slots that travel, out of a snapshot of all keys.
//!
//! Must not know: how commands are encoded, where they are sent.

use holdfast_cluster::SlotSet;
use holdfast_persistence::aof::Commands;
use holdfast_storage::slot::key_slot;
use holdfast_storage::snapshot::{Element, Meta, Sink};
use holdfast_storage::value::{Kind, ValueRef};

/// Writes the keys of the slots, and no others.
pub(super) struct OfSlots<'a> {
    slots: &'a SlotSet,
    pub(super) commands: Commands,
    /// The collection whose elements come is another slot's.
    skips: bool,
}

impl<'a> OfSlots<'a> {
    /// Nothing is written yet.
    pub(super) fn new(slots: &'a SlotSet) -> Self {
        Self {
            slots,
            commands: Commands::default(),
            skips: false,
        }
    }

    fn wants(&self, meta: &Meta<'_>) -> bool {
        self.slots.contains(key_slot(meta.key))
    }
}

impl Sink for OfSlots<'_> {
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>) {
        if self.wants(meta) {
            self.commands.value(meta, value);
        }
    }

    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize) {
        self.skips = !self.wants(meta);
        if !self.skips {
            self.commands.begin(meta, kind, len);
        }
    }

    fn element(&mut self, element: Element<'_>) {
        if !self.skips {
            self.commands.element(element);
        }
    }

    fn end(&mut self) {
        if !self.skips {
            self.commands.end();
        }
    }

    fn written(&self) -> usize {
        self.commands.written()
    }
}
