//! Taking shards and holding them: how long is waited, who gives way, and what may be asked of shards that are held.
//!
//! The order of locks stands above, in [`super`].
//!
//! Must not know: what is in a shard, commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::{Keyspace, Shard};

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
    /// Locks one shard, unless somebody else holds it.
    #[inline]
    pub fn try_lock_one(&self, shard: u16) -> Option<Locked<'_>> {
        let guard = self.shards[shard as usize].0.try_lock()?;
        Some(Locked {
            keyspace: self,
            guards: Guards::One(shard, guard),
        })
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
