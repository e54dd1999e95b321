//! What a command did to the data: recorded by the doors of [`crate::data`], read by whoever propagates (replication
//! log), wakes (blocked clients) and tells (keyspace events).
//!
//! Must not know: RESP, clients, the log.

use crate::value::Value;

/// Class of a keyspace event, one bit each, with the letters of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u16)]
pub enum Class {
    Generic = 1 << 0,
    String = 1 << 1,
    List = 1 << 2,
    Set = 1 << 3,
    Hash = 1 << 4,
    Zset = 1 << 5,
    Expired = 1 << 6,
    Evicted = 1 << 7,
    Stream = 1 << 8,
    KeyMiss = 1 << 9,
    Module = 1 << 10,
    New = 1 << 11,
    Overwritten = 1 << 12,
    TypeChanged = 1 << 13,
}

/// A named change, e.g. `Event(Class::List, "lpush")`; the names are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(pub Class, pub &'static str);

impl Event {
    /// A key was deleted.
    pub const DEL: Self = Self(Class::Generic, "del");
    /// A key expired.
    pub const EXPIRED: Self = Self(Class::Expired, "expired");
    /// A key was evicted.
    pub const EVICTED: Self = Self(Class::Evicted, "evicted");
    /// A key was set to expire.
    pub const EXPIRE: Self = Self(Class::Generic, "expire");
    /// A key's expiry was removed.
    pub const PERSIST: Self = Self(Class::Generic, "persist");
    /// A string was set.
    pub const SET: Self = Self(Class::String, "set");
    /// A key is new.
    pub const NEW: Self = Self(Class::New, "new");
    /// A key that was there has been given another value as a whole.
    pub const OVERWRITTEN: Self = Self(Class::Overwritten, "overwritten");
    /// And that one is of another type.
    pub const TYPE_CHANGED: Self = Self(Class::TypeChanged, "type_changed");
    /// A key was looked up and is not there.
    pub const KEYMISS: Self = Self(Class::KeyMiss, "keymiss");
}

/// One event of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// Database number.
    pub db: u32,
    /// What happened.
    pub event: Event,
    /// To which key.
    pub key: Box<[u8]>,
}

/// Why a key went away without a command that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its time was over.
    Expired,
    /// Memory was short.
    Evicted,
    /// It was a hash, and the time of its last fields was over.
    Emptied,
}

/// A key that went away by itself: logged as DEL before the command that noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Database number.
    pub db: u32,
    /// The key.
    pub key: Box<[u8]>,
    /// Why.
    pub why: Gone,
}

/// Fields of a hash whose time was over: logged as HDEL before the command that noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRemoval {
    /// Database number.
    pub db: u32,
    /// The hash, which has other fields.
    pub key: Box<[u8]>,
    /// The fields.
    pub fields: Vec<Box<[u8]>>,
}

/// Something to be freed.
#[derive(Debug)]
pub enum Garbage {
    /// One value.
    Value(Value),
    /// All keys of one database in one shard.
    Table(crate::encoding::table::Table),
}

/// Everything that one command (or one step of a background job) did. Reused: [`Effects::clear`] keeps the buffers.
#[derive(Debug, Default)]
pub struct Effects {
    /// Number of changes, as `rdb_changes_since_last_save` counts them. 0: nothing to propagate.
    pub dirty: u64,
    /// Keys that expired or were evicted, in order.
    pub removals: Vec<Removal>,
    /// Fields that expired, in order.
    pub field_removals: Vec<FieldRemoval>,
    /// How many these were, with those of hashes that are gone.
    pub expired_fields: u64,
    /// Events of the classes in `event_mask`, in order.
    pub events: Vec<KeyEvent>,
    /// Classes that somebody listens to (bits of [`Class`]); other events are not even copied.
    pub event_mask: u16,
    /// Keys for which clients wait and which came into being, in order: (database, key).
    pub ready: Vec<(u32, Box<[u8]>)>,
    /// Values to be freed after the locks are released, perhaps by another thread.
    pub garbage: Vec<Garbage>,
    /// Successful look-ups.
    pub hits: u64,
    /// Look-ups of keys that are not there.
    pub misses: u64,
    /// A key whose value cannot have been changed by anyone who did not say so: client tracking's set of touched keys.
    pub touched: Vec<(u32, Box<[u8]>)>,
    /// Whole databases were emptied or swapped: client tracking tells everybody to forget everything.
    pub flushed: bool,
    /// True if somebody wants `touched`.
    pub want_touched: bool,
}

impl Effects {
    /// Forgets everything but the settings.
    pub fn clear(&mut self) {
        self.dirty = 0;
        self.removals.clear();
        self.field_removals.clear();
        self.expired_fields = 0;
        self.events.clear();
        self.ready.clear();
        self.garbage.clear();
        self.touched.clear();
        self.flushed = false;
        self.hits = 0;
        self.misses = 0;
    }

    /// Gives lists back that take more than `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        fn one<T>(list: &mut Vec<T>, bytes: usize) {
            if list.capacity() * size_of::<T>() > bytes {
                list.shrink_to(bytes / size_of::<T>());
            }
        }
        one(&mut self.removals, bytes);
        one(&mut self.field_removals, bytes);
        one(&mut self.events, bytes);
        one(&mut self.ready, bytes);
        one(&mut self.garbage, bytes);
        one(&mut self.touched, bytes);
    }

    /// True if nothing happened to the data.
    pub fn is_clean(&self) -> bool {
        self.dirty == 0 && self.removals.is_empty() && self.field_removals.is_empty()
    }

    /// Records that a key's value has been replaced by another one.
    pub fn overwritten(&mut self, db: u32, key: &[u8], changed_kind: bool) {
        self.event(db, Event::OVERWRITTEN, key);
        if changed_kind {
            self.event(db, Event::TYPE_CHANGED, key);
        }
    }

    /// Records an event if somebody listens.
    #[inline]
    pub fn event(&mut self, db: u32, event: Event, key: &[u8]) {
        if self.event_mask & event.0 as u16 != 0 {
            self.events.push(KeyEvent {
                db,
                event,
                key: key.into(),
            });
        }
    }
}
