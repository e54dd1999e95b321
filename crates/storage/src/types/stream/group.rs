//! A consumer group: how far it has read, what it has delivered and not yet seen acknowledged (the pending entries
//! list), and to whom. Knows nothing of the stream's entries.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use super::id::StreamId;
use crate::encoding::block_map::BlockMap;

/// A consumer within its group; stays the same while the consumer exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u32);

/// What was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, Unix time in milliseconds; 0 if it was given back.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// To whom it was delivered last; None once it was given back to the group (XNACK).
    pub owner: Option<ConsumerId>,
}

/// Ids, ascending.
#[derive(Clone, Debug, Default)]
pub struct IdSet(BlockMap<StreamId, (), 256>);

impl IdSet {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = StreamId> {
        self.range(..)
    }

    /// Those within a range.
    pub fn range(&self, range: impl RangeBounds<StreamId>) -> impl DoubleEndedIterator<Item = StreamId> {
        self.0.range(range).map(|(id, ())| id)
    }
}

/// Who reads on behalf of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it was named last in a command, Unix time in milliseconds.
    pub seen_ms: i64,
    /// When it was given entries last.
    pub active_ms: Option<i64>,
    pending: IdSet,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Ids of the entries that it was given and has not acknowledged, ascending.
    pub fn pending(&self) -> &IdSet {
        &self.pending
    }
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last id that was delivered.
    pub last_id: StreamId,
    /// How many entries the group has read of all that were ever added; None if that cannot be told.
    pub entries_read: Option<u64>,
    pending: BlockMap<StreamId, Pending, 256>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
}

impl Group {
    /// A group without consumers.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: BlockMap::default(),
            names: BTreeMap::new(),
            consumers: Vec::new(),
        }
    }

    // ---- consumers ----

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer.
    ///
    /// # Panics
    /// If it does not exist any more.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize]
            .as_ref()
            .expect("a consumer's id is used only while the consumer exists")
    }

    /// The same, to change its times.
    ///
    /// # Panics
    /// As [`Group::consumer`].
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize]
            .as_mut()
            .expect("a consumer's id is used only while the consumer exists")
    }

    /// Creates a consumer; None if there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let consumer = Consumer {
            name: name.into(),
            seen_ms,
            active_ms: None,
            pending: IdSet::default(),
        };
        let free = self.consumers.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        });
        self.consumers[at] = Some(consumer);
        let id = ConsumerId(u32::try_from(at).expect("consumers are named by as many commands"));
        self.names.insert(name.into(), id);
        Some(id)
    }

    /// Removes a consumer with what it has pending, and tells how much that was. None if there is none of this name.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers[id.0 as usize].take()?;
        for entry in consumer.pending.iter() {
            self.pending.remove(&entry);
        }
        while self.consumers.last().is_some_and(Option::is_none) {
            self.consumers.pop();
        }
        Some(consumer.pending.len())
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|&id| (id, self.consumer(id)))
    }

    // ---- what is pending ----

    /// Number of entries that are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Number of entries that were given back and have no owner.
    pub fn unowned_len(&self) -> usize {
        let owned: usize = self.consumers().map(|(_, consumer)| consumer.pending.len()).sum();
        self.pending.len() - owned
    }

    /// What is pending of an id.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Everything that is pending within a range of ids, ascending.
    pub fn pending_range(
        &self,
        range: impl RangeBounds<StreamId>,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        self.pending.range(range)
    }

    /// The entry is pending for this consumer from now on, whoever had it before.
    ///
    /// # Panics
    /// If the consumer does not exist.
    pub fn assign(&mut self, id: StreamId, owner: ConsumerId, delivered_ms: i64, deliveries: u64) {
        let pending = Pending {
            delivered_ms,
            deliveries,
            owner: Some(owner),
        };
        let before = self.pending.insert(id, pending).and_then(|before| before.owner);
        if before == Some(owner) {
            return;
        }
        if let Some(before) = before {
            self.consumer_mut(before).pending.0.remove(&id);
        }
        self.consumer_mut(owner).pending.0.insert(id, ());
    }

    /// The entry is pending for nobody in particular from now on.
    pub fn give_back(&mut self, id: StreamId, deliveries: u64) {
        let pending = Pending {
            delivered_ms: 0,
            deliveries,
            owner: None,
        };
        if let Some(before) = self.pending.insert(id, pending).and_then(|before| before.owner) {
            self.consumer_mut(before).pending.0.remove(&id);
        }
    }

    /// Changes when and how often a pending entry was delivered.
    pub fn redeliver(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.delivered_ms = delivered_ms;
            pending.deliveries = deliveries;
        }
    }

    /// The entry is not pending any more; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        if let Some(owner) = pending.owner {
            self.consumer_mut(owner).pending.0.remove(&id);
        }
        true
    }

    // ---- out of a file ----

    /// Adds a pending entry whose owner is told by [`Group::restore_owner`]; false if the id is pending already.
    pub fn restore_pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        let pending = Pending {
            delivered_ms,
            deliveries,
            owner: None,
        };
        self.pending.insert(id, pending).is_none()
    }

    /// Tells who owns a restored pending entry; false if it is not pending, or has an owner.
    pub fn restore_owner(&mut self, id: StreamId, owner: ConsumerId) -> bool {
        match self.pending.get_mut(&id) {
            Some(pending) if pending.owner.is_none() => {
                pending.owner = Some(owner);
                self.consumer_mut(owner).pending.0.insert(id, ()).is_none()
            }
            Some(_) | None => false,
        }
    }

    // ---- sizes ----

    /// Estimated bytes on the heap: the tree of names counts as two thirds full.
    pub(super) fn memory_usage(&self) -> usize {
        let pending = self.pending.memory_usage();
        let consumers: usize = self
            .consumers()
            .map(|(_, consumer)| {
                2 * consumer.name.len()
                    + size_of::<(Box<[u8]>, ConsumerId)>() * 3 / 2
                    + consumer.pending.0.memory_usage()
            })
            .sum();
        pending + consumers + self.consumers.capacity() * size_of::<Option<Consumer>>()
    }

    /// Allocations, roughly.
    pub(super) fn free_effort(&self) -> usize {
        1 + 2 * self.pending.allocations() + 2 * self.names.len()
    }
}
