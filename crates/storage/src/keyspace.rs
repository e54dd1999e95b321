//! The shared keyspace: hash slot -> shard -> lock -> databases. Any thread may lock any shards and work on them.
//!
//! Order of locks: ascending shard number, all at once, by [`Keyspace::lock`]; nobody holds a shard and asks for
//! another, so there is no deadlock. One exception: a script that finds out too late that it needs more, see
//! [`Locked::extend_to_all`]. A lock is never held across an await: [`Locked`] is not Send.
//!
//! Must not know: commands, time, effects.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::encoding::prefetch::Stage;
use crate::encoding::table::Table;
use crate::field_expiry::FieldIndex;
use crate::slot;
use crate::snapshot::Cut;
use crate::value::ValueRef;

/// Hash slot and table hash of a key, computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash {
    /// Redis Cluster hash slot.
    pub slot: u16,
    /// Hash for the table.
    pub hash: u64,
}

/// One database's part in one shard.
#[derive(Debug, Default)]
pub struct Db {
    /// The keys.
    pub table: Table,
    /// Hashes whose fields expire.
    pub fields: FieldIndex,
    /// Number of this database when the running snapshot was begun.
    pub(crate) cut_db: u32,
    /// Where the running snapshot goes on; None: it has seen the table.
    pub(crate) unwalked: Option<u64>,
}

/// A flag that WATCH hands out: set when a watched key changes.
pub type WatchFlag = Arc<AtomicBool>;

type KeyMap<T> = std::collections::HashMap<(u32, Box<[u8]>), T, foldhash::fast::RandomState>;

/// What one lock protects: the keys of some hash slots, in all databases, and who watches or awaits them.
#[derive(Debug, Default)]
pub struct Shard {
    /// One for each database.
    pub dbs: Vec<Db>,
    /// Watched keys and whom to tell.
    watched: KeyMap<Vec<WatchFlag>>,
    /// Keys that blocked clients wait for, and how many.
    awaited: KeyMap<usize>,
    /// The snapshot that has not seen all of this shard.
    pub(crate) snapshot: Option<Arc<Cut>>,
    /// Entries of an older epoch have not been seen by it.
    pub(crate) epoch: u8,
    /// Snapshots that ended early, since the last that did not.
    pub(crate) unfinished: u8,
}

impl Shard {
    /// Asks to have `flag` set when the key changes.
    pub fn watch(&mut self, db: u32, key: &[u8], flag: &WatchFlag) {
        self.watched
            .entry((db, key.into()))
            .or_default()
            .push(Arc::clone(flag));
    }

    /// Takes the wish back.
    pub fn unwatch(&mut self, db: u32, key: &[u8], flag: &WatchFlag) {
        let id = (db, Box::from(key));
        if let Some(flags) = self.watched.get_mut(&id) {
            flags.retain(|f| !Arc::ptr_eq(f, flag));
            if flags.is_empty() {
                self.watched.remove(&id);
            }
        }
    }

    /// A key has changed: tells its watchers.
    #[inline]
    pub fn touch(&self, db: u32, key: &[u8]) {
        if !self.watched.is_empty() {
            self.touch_slow(db, key);
        }
    }

    #[cold]
    fn touch_slow(&self, db: u32, key: &[u8]) {
        if let Some(flags) = self.watched.get(&(db, Box::from(key))) {
            flags.iter().for_each(|f| f.store(true, Ordering::Release));
        }
    }

    /// All keys of a database change (FLUSHDB, SWAPDB). Watchers of keys that exist neither before nor after
    /// are left alone, as Redis does: `exists` tells.
    pub fn touch_all(&self, db: u32, exists: impl Fn(&[u8]) -> bool) {
        for ((d, key), flags) in &self.watched {
            if *d == db && exists(key) {
                flags.iter().for_each(|f| f.store(true, Ordering::Release));
            }
        }
    }

    /// One more client waits for the key.
    pub fn wait_for(&mut self, db: u32, key: &[u8]) {
        *self.awaited.entry((db, key.into())).or_default() += 1;
    }

    /// One client fewer waits for the key.
    pub fn stop_waiting(&mut self, db: u32, key: &[u8]) {
        let id = (db, Box::from(key));
        if let Some(n) = self.awaited.get_mut(&id) {
            *n -= 1;
            if *n == 0 {
                self.awaited.remove(&id);
            }
        }
    }

    /// True if a client waits for the key.
    #[inline]
    pub fn is_awaited(&self, db: u32, key: &[u8]) -> bool {
        !self.awaited.is_empty() && self.awaited.contains_key(&(db, Box::from(key)))
    }

    /// The awaited keys of a database.
    pub fn awaited(&self, db: u32) -> impl Iterator<Item = &[u8]> {
        self.awaited
            .keys()
            .filter(move |(d, _)| *d == db)
            .map(|(_, k)| &**k)
    }

    /// Number of watched and of awaited keys.
    pub fn interest(&self) -> (usize, usize) {
        (self.watched.len(), self.awaited.len())
    }
}

#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded(Mutex<Shard>);

/// All data of the process.
#[derive(Debug)]
pub struct Keyspace {
    shards: Box<[Padded]>,
    hasher: foldhash::fast::RandomState,
    databases: u32,
    /// Bits of effects that somebody listens to; see [`crate::effects::Effects::event_mask`].
    contended: AtomicU64,
    /// Hashes whose fields expire, everywhere.
    timed_hashes: AtomicIsize,
    /// The last snapshot that was begun.
    cut: Mutex<Weak<Cut>>,
    /// Somebody holds some shards and takes the others: who waits with shards in hand gives them back.
    extending: AtomicBool,
    /// Held by that somebody, so that the others can wait for the end.
    extension: Mutex<()>,
}

/// How long a wait for a lock lasts before the reasons to give up are looked at again.
const LOOK_UP: Duration = Duration::from_millis(1);

/// Why a lock was not waited for any longer.
enum GaveUp {
    /// The caller's own reason.
    Asked,
    /// Somebody extends: everything must be given back for a while.
    Extension,
}

/// Shards to be locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardSet {
    /// These: sorted, without repetition.
    Some(SmallVec<[u16; 8]>),
    /// Every one.
    All,
}

impl ShardSet {
    /// None.
    pub fn none() -> Self {
        Self::Some(SmallVec::new())
    }

    /// Adds one, keeping the order.
    pub fn add(&mut self, shard: u16) {
        match self {
            Self::All => {}
            Self::Some(v) => {
                if let Err(at) = v.binary_search(&shard) {
                    v.insert(at, shard);
                }
            }
        }
    }
}

/// Locked shards. Access to any other shard is a mistake of the caller and panics.
#[derive(Debug)]
pub struct Locked<'k> {
    keyspace: &'k Keyspace,
    guards: Guards<'k>,
}

#[derive(Debug)]
enum Guards<'k> {
    One(u16, MutexGuard<'k, Shard>),
    Some(SmallVec<[(u16, MutexGuard<'k, Shard>); 4]>),
    All(Vec<MutexGuard<'k, Shard>>),
}

impl Keyspace {
    /// Number of shards of a server: enough that sixteen threads seldom meet, few enough to lock all of them in
    /// microseconds.
    pub const SHARDS: usize = 512;

    /// An empty keyspace.
    ///
    /// # Panics
    /// If `shards` is not a power of two from 1 to 16384.
    pub fn new(databases: u32, shards: usize) -> Self {
        assert!(shards.is_power_of_two() && shards <= slot::SLOTS as usize);
        let shard = || {
            let dbs = (0..databases).map(|_| Db::default()).collect();
            Padded(Mutex::new(Shard {
                dbs,
                ..Shard::default()
            }))
        };
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            databases,
            contended: AtomicU64::new(0),
            timed_hashes: AtomicIsize::new(0),
            cut: Mutex::new(Weak::new()),
            extending: AtomicBool::new(false),
            extension: Mutex::new(()),
        }
    }

    /// The snapshot that is not over.
    pub(crate) fn running_cut(&self) -> Option<Arc<Cut>> {
        self.cut.lock().upgrade().filter(|cut| !cut.is_over())
    }

    pub(crate) fn set_cut(&self, cut: &Arc<Cut>) {
        *self.cut.lock() = Arc::downgrade(cut);
    }

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// Number of shards.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// How often a lock was taken by somebody else when it was asked for.
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }

    /// True if fields of some hash expire.
    pub fn has_timed_hashes(&self) -> bool {
        self.timed_hashes.load(Ordering::Relaxed) > 0
    }

    /// The next time at which a field of a key's hash expires was `before` and is `after`: see [`FieldIndex::note`].
    #[inline]
    pub(crate) fn note_fields(&self, db: &mut Db, key: &[u8], before: Option<i64>, after: Option<i64>) {
        if before != after {
            let more = db.fields.note(key, before, after);
            self.timed_hashes.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Empties a database's part in one shard and gives its keys.
    pub(crate) fn take_table(&self, db: &mut Db) -> Table {
        let fields = std::mem::take(&mut db.fields);
        self.timed_hashes
            .fetch_sub(fields.len() as isize, Ordering::Relaxed);
        std::mem::take(&mut db.table)
    }

    /// Slot and hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash {
            slot: slot::key_slot(key),
            hash: self.table_hash(key),
        }
    }

    /// Hash of a key for the tables.
    #[inline]
    pub fn table_hash(&self, key: &[u8]) -> u64 {
        let mut h = self.hasher.build_hasher();
        h.write(key);
        h.finish()
    }

    /// The shard of a slot.
    #[inline]
    pub fn shard_of(&self, slot: u16) -> u16 {
        slot & (self.shards.len() - 1) as u16
    }

    /// Asks the processor for what a look-up of this key will read first: its bucket. A hint for a key that will be used
    /// soon; nothing happens if somebody else holds the shard.
    #[inline]
    pub fn prefetch_bucket(&self, db: u32, key: KeyHash) {
        if let Some(shard) = self.shards[self.shard_of(key.slot) as usize].0.try_lock() {
            shard.dbs[db as usize].table.prefetch_bucket(key.hash);
        }
    }

    /// The same for what it will read next: its entry.
    #[inline]
    pub fn prefetch_entry(&self, db: u32, key: KeyHash) {
        if let Some(shard) = self.shards[self.shard_of(key.slot) as usize].0.try_lock() {
            shard.dbs[db as usize].table.prefetch_entry(key.hash);
        }
    }

    /// Locks one shard, unless somebody else holds it.
    #[inline]
    pub fn try_lock_one(&self, shard: u16) -> Option<Locked<'_>> {
        let guard = self.shards[shard as usize].0.try_lock()?;
        Some(Locked {
            keyspace: self,
            guards: Guards::One(shard, guard),
        })
    }

    /// The same for elements of one collection, which several commands in a row will look up: first what tells where
    /// they are, then they themselves.
    pub fn prefetch_elements<'e>(
        &self,
        db: u32,
        key: (&[u8], KeyHash),
        elements: impl Iterator<Item = &'e [u8]> + Clone,
    ) {
        let (key, hash) = key;
        let Some(shard) = self.shards[self.shard_of(hash.slot) as usize].0.try_lock() else {
            return;
        };
        let table = &shard.dbs[db as usize].table;
        let Some(entry) = table.find(hash.hash, key).map(|pos| table.get(pos)) else {
            return;
        };
        for stage in [Stage::Slot, Stage::Element] {
            for element in elements.clone() {
                match entry.value() {
                    ValueRef::Hash(hash) => hash.prefetch(element, stage),
                    ValueRef::Set(set) => set.prefetch(element, stage),
                    ValueRef::Zset(zset) => zset.prefetch(element, stage),
                    ValueRef::Int(_)
                    | ValueRef::Str { .. }
                    | ValueRef::Heap(_)
                    | ValueRef::List(_)
                    | ValueRef::Stream(_) => return,
                }
            }
        }
    }

    /// Locks one shard.
    #[inline]
    pub fn lock_one(&self, shard: u16) -> Locked<'_> {
        Locked {
            keyspace: self,
            guards: Guards::One(shard, self.guard(shard as usize)),
        }
    }

    /// Locks several shards, in ascending order.
    pub fn lock(&self, set: &ShardSet) -> Locked<'_> {
        self.lock_while(set, None)
            .expect("nobody asks this wait to give up")
    }

    /// The same; None if it had to wait and `give_up` was set meanwhile.
    pub fn lock_unless(&self, set: &ShardSet, give_up: &AtomicBool) -> Option<Locked<'_>> {
        self.lock_while(set, Some(give_up))
    }

    /// [`Keyspace::lock_one`]; None if it had to wait and `give_up` was set meanwhile.
    #[inline]
    pub fn lock_one_unless(&self, shard: u16, give_up: &AtomicBool) -> Option<Locked<'_>> {
        let guard = match self.shards[shard as usize].0.try_lock() {
            Some(guard) => guard,
            None => self.wait(shard as usize, false, Some(give_up)).ok()?,
        };
        Some(Locked {
            keyspace: self,
            guards: Guards::One(shard, guard),
        })
    }

    fn lock_while(&self, set: &ShardSet, give_up: Option<&AtomicBool>) -> Option<Locked<'_>> {
        loop {
            let taken = match set {
                ShardSet::All => (0..self.shards.len())
                    .map(|i| self.guard_unless(i, i > 0, give_up))
                    .collect::<Result<Vec<_>, GaveUp>>()
                    .map(Guards::All),
                ShardSet::Some(v) => match v.as_slice() {
                    [one] => self
                        .guard_unless(*one as usize, false, give_up)
                        .map(|g| Guards::One(*one, g)),
                    several => {
                        debug_assert!(several.is_sorted());
                        let guards = several.iter().enumerate();
                        guards
                            .map(|(i, &s)| Ok((s, self.guard_unless(s as usize, i > 0, give_up)?)))
                            .collect::<Result<SmallVec<_>, GaveUp>>()
                            .map(Guards::Some)
                    }
                },
            };
            match taken {
                Ok(guards) => {
                    return Some(Locked {
                        keyspace: self,
                        guards,
                    });
                }
                Err(GaveUp::Asked) => return None,
                // Nothing has been done with what was held: to start over changes nothing.
                Err(GaveUp::Extension) => drop(self.extension.lock()),
            }
        }
    }

    #[inline]
    fn guard_unless(
        &self,
        shard: usize,
        holding: bool,
        give_up: Option<&AtomicBool>,
    ) -> Result<MutexGuard<'_, Shard>, GaveUp> {
        match self.shards[shard].0.try_lock() {
            Some(guard) => Ok(guard),
            None => self.wait(shard, holding, give_up),
        }
    }

    #[cold]
    fn wait(
        &self,
        shard: usize,
        holding: bool,
        give_up: Option<&AtomicBool>,
    ) -> Result<MutexGuard<'_, Shard>, GaveUp> {
        self.contended.fetch_add(1, Ordering::Relaxed);
        let lock = &self.shards[shard].0;
        loop {
            if let Some(guard) = lock.try_lock_for(LOOK_UP) {
                return Ok(guard);
            }
            if give_up.is_some_and(|flag| flag.load(Ordering::Acquire)) {
                return Err(GaveUp::Asked);
            }
            if holding && self.extending.load(Ordering::Acquire) {
                return Err(GaveUp::Extension);
            }
        }
    }

    #[inline]
    fn guard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        let lock = &self.shards[shard].0;
        lock.try_lock().unwrap_or_else(|| {
            self.contended.fetch_add(1, Ordering::Relaxed);
            lock.lock()
        })
    }
}

impl<'k> Locked<'k> {
    /// The keyspace that the shards belong to.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    /// True if the shard is among the locked ones.
    pub fn holds(&self, shard: u16) -> bool {
        match &self.guards {
            Guards::One(s, _) => *s == shard,
            Guards::Some(v) => v.binary_search_by_key(&shard, |(s, _)| *s).is_ok(),
            Guards::All(_) => true,
        }
    }

    /// True if every shard is locked.
    pub fn holds_all(&self) -> bool {
        matches!(self.guards, Guards::All(_))
    }

    /// A locked shard.
    ///
    /// # Panics
    /// If it is not locked: the command did not declare the key.
    #[inline]
    pub fn shard(&mut self, shard: u16) -> &mut Shard {
        match &mut self.guards {
            Guards::One(s, g) if *s == shard => g,
            Guards::Some(v) => match v.binary_search_by_key(&shard, |(s, _)| *s) {
                Ok(i) => &mut v[i].1,
                Err(_) => undeclared(),
            },
            Guards::All(v) => &mut v[shard as usize],
            Guards::One(..) => undeclared(),
        }
    }

    /// A locked shard, to look at.
    ///
    /// # Panics
    /// As [`Locked::shard`].
    pub fn look(&self, shard: u16) -> &Shard {
        match &self.guards {
            Guards::One(s, g) if *s == shard => g,
            Guards::Some(v) => match v.binary_search_by_key(&shard, |(s, _)| *s) {
                Ok(i) => &v[i].1,
                Err(_) => undeclared(),
            },
            Guards::All(v) => &v[shard as usize],
            Guards::One(..) => undeclared(),
        }
    }

    /// Goes on to another shard: the one lock that is held is given back and the other is taken. Nothing happens if the
    /// shard is locked already; several locks cannot move.
    pub fn roam(&mut self, shard: u16) {
        if self.holds(shard) {
            return;
        }
        if let Guards::One(..) = self.guards {
            self.guards = Guards::Some(SmallVec::new()); // gives the old lock back first: nobody holds one and asks for another
            self.guards = Guards::One(shard, self.keyspace.guard(shard as usize));
        }
    }

    /// Takes all shards that are not held yet and keeps those that are, for a script that touches a key which it did not
    /// declare. False: another one is just doing the same, and nothing has changed.
    ///
    /// No deadlock: one extends at a time. Whoever waits for a lock with others in hand gives them back and starts over
    /// once this is done; whoever holds all that it asked for, or a single lock, does not wait for anything.
    pub fn extend_to_all(&mut self) -> bool {
        if self.holds_all() {
            return true;
        }
        let keyspace = self.keyspace;
        let claim = keyspace
            .extending
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire);
        if claim.is_err() {
            return false;
        }
        let gate = keyspace.extension.lock();
        let held = match std::mem::replace(&mut self.guards, Guards::Some(SmallVec::new())) {
            Guards::One(shard, guard) => SmallVec::from_iter([(shard, guard)]),
            Guards::Some(guards) => guards,
            Guards::All(_) => unreachable!("all were not held"),
        };
        let mut held = held.into_iter().peekable();
        let all = (0..keyspace.shards.len()).map(|i| match held.next_if(|(s, _)| usize::from(*s) == i) {
            Some((_, guard)) => guard,
            None => keyspace.guard(i),
        });
        self.guards = Guards::All(all.collect());
        keyspace.extending.store(false, Ordering::Release);
        drop(gate);
        true
    }

    /// The locked shards.
    pub fn each(&mut self) -> impl Iterator<Item = (u16, &mut Shard)> {
        let (one, some, all) = match &mut self.guards {
            Guards::One(s, g) => (Some((*s, &mut **g)), [].iter_mut(), [].iter_mut()),
            Guards::Some(v) => (None, v.iter_mut(), [].iter_mut()),
            Guards::All(v) => (None, [].iter_mut(), v.iter_mut()),
        };
        one.into_iter()
            .chain(some.map(|(s, g)| (*s, &mut **g)))
            .chain(all.enumerate().map(|(i, g)| (i as u16, &mut **g)))
    }
}

#[cold]
fn undeclared() -> ! {
    panic!("a command touched a key whose shard it did not lock: its key specs are incomplete")
}

#[cfg(test)]
mod tests;
