//! One node's reading of the state, made for the data path: who serves a slot, and may I? A view never changes; a new
//! one takes its place. Must not know: how it is decided who serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{ClusterState, Node, Shard};
use crate::ids::NodeId;
use crate::slots::{SLOTS, SlotSet};

/// Where a command for a slot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// This node's shard owns the slot.
    Mine {
        /// If set, keys that are missing are asked for at this node (ASK).
        migrating_to: Option<&'a Node>,
    },
    /// Another shard owns the slot (MOVED to its primary).
    Elsewhere {
        /// The primary of the owner.
        primary: &'a Node,
        /// Whether this node's shard serves the slot to clients that said ASKING.
        importing: bool,
    },
    /// Nobody owns the slot (CLUSTERDOWN).
    Unassigned {
        /// Whether this node's shard serves the slot to clients that said ASKING.
        importing: bool,
    },
}

/// One node's reading of the state.
#[derive(Clone, Debug)]
pub struct View {
    /// The node that reads.
    pub me: NodeId,
    /// What all agree on. A node that is about to join, or was made to leave, is not in it.
    pub state: Arc<ClusterState>,
    /// Slots that this node's shard owns but must not serve yet, as whoever had them may still serve them.
    pub held: SlotSet,
    /// Whether anything is in `held`.
    pub holds: bool,
    my_number: u16,
    primary: bool,
}

impl View {
    /// The reading of node `me`. `held` are the slots that it owns but must not serve yet.
    pub fn new(me: NodeId, state: Arc<ClusterState>, held: SlotSet) -> Self {
        let shard = state.shard_of(me);
        let my_number = shard.map_or(0, |shard| shard.number);
        let primary = shard.is_some_and(|shard| shard.primary == me);
        let holds = !held.is_empty();
        Self {
            me,
            state,
            held,
            holds,
            my_number,
            primary,
        }
    }

    /// Whether this node is the primary of its shard.
    pub fn is_primary(&self) -> bool {
        self.primary
    }

    /// This node's shard; `None` if it belongs to no cluster's state yet.
    pub fn my_shard(&self) -> Option<&Shard> {
        self.state.shard_of(self.me)
    }

    /// Where a command for this slot (below [`SLOTS`]) goes.
    pub fn route(&self, slot: u16) -> Route<'_> {
        let owner = self.state.owners()[usize::from(slot % SLOTS)];
        let marks = if self.state.open_slots.is_empty() {
            None
        } else {
            self.state.open_slots.get(&slot)
        };
        if owner != 0 && owner == self.my_number {
            let migrating_to = marks.and_then(|marks| marks.migrating_to).and_then(|id| {
                self.state
                    .shards
                    .get(&id)
                    .and_then(|shard| self.state.nodes.get(&shard.primary))
            });
            return Route::Mine { migrating_to };
        }
        let importing = marks.and_then(|marks| marks.importing).is_some_and(|id| {
            self.state
                .shards
                .get(&id)
                .is_some_and(|shard| shard.number == self.my_number)
        });
        match self
            .state
            .shard_numbered(owner)
            .and_then(|shard| self.state.nodes.get(&shard.primary))
        {
            Some(primary) => Route::Elsewhere { primary, importing },
            None => Route::Unassigned { importing },
        }
    }

    /// Whether this node, as the primary, may serve this slot as far as the state goes; its lease is asked besides.
    pub fn may_serve(&self, slot: u16) -> bool {
        self.primary
            && self.my_number != 0
            && self.state.owners().get(usize::from(slot)) == Some(&self.my_number)
            && !(self.holds && self.held.contains(slot))
    }
}

/// The place of the current view. Readers keep their own reference and look at one number to see whether it is current.
#[derive(Debug)]
pub struct ViewCell {
    generation: AtomicU64,
    current: Mutex<Arc<View>>,
}

impl ViewCell {
    /// A place with its first view.
    pub fn new(view: View) -> Arc<Self> {
        Arc::new(Self {
            generation: AtomicU64::new(1),
            current: Mutex::new(Arc::new(view)),
        })
    }

    /// Puts a view in the place of the current one.
    pub fn set(&self, view: View) {
        *self.current.lock() = Arc::new(view);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The current view.
    pub fn get(&self) -> Arc<View> {
        Arc::clone(&self.current.lock())
    }

    /// A reader for one thread.
    pub fn reader(self: &Arc<Self>) -> ViewReader {
        let generation = self.generation.load(Ordering::Acquire);
        ViewReader {
            cell: Arc::clone(self),
            generation,
            view: self.get(),
        }
    }
}

/// One thread's reader of the current view: a load and a comparison while nothing changed.
#[derive(Debug)]
pub struct ViewReader {
    cell: Arc<ViewCell>,
    generation: u64,
    view: Arc<View>,
}

impl ViewReader {
    /// The current view.
    pub fn view(&mut self) -> &Arc<View> {
        let generation = self.cell.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.view = self.cell.get();
            self.generation = generation;
        }
        &self.view
    }

    /// The view that was looked at last.
    pub fn seen(&self) -> &Arc<View> {
        &self.view
    }

    /// Whether the view that was looked at last is still the current one.
    pub fn is_current(&self) -> bool {
        self.cell.generation.load(Ordering::Acquire) == self.generation
    }
}
