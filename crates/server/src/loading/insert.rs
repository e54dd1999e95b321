//! Keys out of an RDB into the keyspace: what is left out, what is refused, and how many there were of each.
//!
//! Must not know: threads, where the keys come from.

use holdfast_rdb::file::{FileError, Record};
use holdfast_replication as replication;
use holdfast_resp::encode_command;
use holdfast_storage::access;
use holdfast_storage::data::{Data, NewValue};
use holdfast_storage::effects::Effects;
use holdfast_storage::keyspace::{Keyspace, Locked};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::stream::{LoadOptions, Loaded};
use super::{Existing, LoadError};

/// An error, and where.
pub(super) struct Failure {
    pub(super) offset: u64,
    pub(super) error: LoadError,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let offset = match &error {
            FileError::Damaged { offset, .. } | FileError::Foreign { offset, .. } => *offset,
            FileError::Magic | FileError::Version(_) => 0,
            FileError::Checksum { .. } => u64::MAX,
        };
        Self {
            offset,
            error: error.into(),
        }
    }
}

/// Keys by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    keys: u64,
    expired: u64,
    empty: u64,
}

impl Counts {
    pub(super) fn add_to(self, loaded: &mut Loaded) {
        loaded.keys += self.keys;
        loaded.expired += self.expired;
        loaded.empty += self.empty;
    }
}

/// A key without its value.
pub(super) struct Key<'a> {
    pub(super) name: &'a [u8],
    pub(super) db: u32,
    pub(super) expire_at_ms: Option<i64>,
    pub(super) idle_s: Option<u64>,
    pub(super) freq: Option<u8>,
}

/// Whether the shards are locked already.
pub(super) enum Place<'l, 'k> {
    Free,
    Held(&'l mut Locked<'k>),
}

/// Puts keys into the keyspace.
pub(super) struct Inserter<'o, 'k> {
    options: &'o LoadOptions,
    target: &'k Keyspace,
    rng: SmallRng,
    pub(super) counts: Counts,
    /// Keys that are left out are logged.
    pub(super) logs: bool,
}

impl<'o, 'k> Inserter<'o, 'k> {
    pub(super) fn new(options: &'o LoadOptions, target: &'k Keyspace) -> Self {
        Self {
            options,
            target,
            rng: SmallRng::from_os_rng(),
            counts: Counts::default(),
            logs: false,
        }
    }

    pub(super) fn record(
        &mut self,
        place: Place<'_, 'k>,
        effects: &mut Effects,
        offset: u64,
        record: Record,
    ) -> Result<(), Failure> {
        let key = Key {
            name: &record.key,
            db: record.db,
            expire_at_ms: record.expire_at_ms,
            idle_s: record.idle_s,
            freq: record.freq,
        };
        self.insert(place, effects, offset, &key, record.value.map(NewValue::Value))
    }

    pub(super) fn insert(
        &mut self,
        place: Place<'_, 'k>,
        effects: &mut Effects,
        offset: u64,
        key: &Key<'_>,
        value: Option<NewValue<'_>>,
    ) -> Result<(), Failure> {
        let databases = self.target.databases();
        if key.db >= databases {
            let error = LoadError::Database(key.db, databases);
            return Err(Failure { offset, error });
        }
        let Some(value) = value else {
            tracing::info!(key = %key.name.escape_ascii(), "skipping an empty key");
            self.counts.empty += 1;
            return Ok(());
        };
        let now_ms = self.options.now_ms;
        if !self.options.keep_expired && key.expire_at_ms.is_some_and(|at| at < now_ms) {
            self.counts.expired += 1;
            if let Some(log) = self.options.log.as_deref().filter(|_| self.logs) {
                let mut commands = Vec::new();
                encode_command(&mut commands, &[b"DEL", key.name]);
                log.append(replication::Record {
                    db: key.db,
                    commands: &commands,
                });
            }
            return Ok(());
        }
        let clock = if self.options.access.lfu {
            key.freq.map(|freq| access::lfu_clock(now_ms, freq))
        } else {
            key.idle_s.map(|idle| access::lru_clock_idle(now_ms, idle))
        };
        let hash = self.target.hash(key.name);
        let (mut own, held);
        let locked = match place {
            Place::Free => {
                own = self.target.lock_one(self.target.shard_of(hash.slot));
                &mut own
            }
            Place::Held(locked) => {
                held = locked;
                held
            }
        };
        let mut data = Data::new(locked, key.db, now_ms, effects, &mut self.rng);
        data.access = self.options.access;
        data.know(key.name, hash);
        let replace = self.options.existing == Existing::Replace;
        if !data.load(key.name, value, key.expire_at_ms, clock, replace) {
            let error = LoadError::Twice(key.name.escape_ascii().to_string(), offset);
            return Err(Failure { offset, error });
        }
        self.counts.keys += 1;
        Ok(())
    }
}
