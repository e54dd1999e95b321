//! The store on disk: a redb database, one transaction for a batch, each record under a CRC. Must not know: Raft.
//!
//! ```text
//! table log    index            -> crc32c, proto::LogEntry
//! table kept   "meta"           -> crc32c, proto::NodeMeta
//!              "hard state"     -> crc32c, proto::HardState
//!              "snapshot"       -> crc32c, proto::Snapshot
//! ```

use std::io::Read;
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;
use redb::{Database, DatabaseError, Durability, ReadableTable, Table, TableDefinition};

use super::{Store, StoreError};
use crate::engine::{Persist, Restored};
use crate::proto;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const KEPT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kept");
const META: &str = "meta";
const HARD_STATE: &str = "hard state";
const SNAPSHOT: &str = "snapshot";

static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes of the database that are held in memory: the log is read at the start only.
const CACHE: usize = 4 << 20;

/// A store on disk. Another process that opens the same file is refused.
pub struct DiskStore {
    path: PathBuf,
    /// None after an error: the next write opens the file anew.
    database: Option<Database>,
}

impl DiskStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// It cannot be opened, is no such database, or another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut store = Self {
            path: path.to_owned(),
            database: None,
        };
        store.database()?;
        Ok(store)
    }

    /// Puts this in place of everything in the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn replace(&mut self, with: Restored) -> Result<(), StoreError> {
        let persist = Persist {
            sync: true,
            reset: true,
            meta: with.meta,
            hard_state: with.hard_state,
            snapshot: with.snapshot,
            entries: with.entries,
            ..Persist::default()
        };
        self.write(&[persist])
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                if is_foreign(&self.path).map_err(failed)? {
                    return Err(StoreError::Foreign);
                }
                let database = Database::builder()
                    .set_cache_size(CACHE)
                    .create(&self.path)
                    .map_err(|error| match error {
                        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
                        error => failed(error),
                    })?;
                let write = database.begin_write().map_err(failed)?;
                write.open_table(LOG).map_err(failed)?;
                write.open_table(KEPT).map_err(failed)?;
                write.commit().map_err(failed)?;
                database
            }
        };
        Ok(self.database.insert(database))
    }

    fn write_batch(&mut self, batch: &[Persist]) -> Result<(), StoreError> {
        let mut write = self.database()?.begin_write().map_err(failed)?;
        if !batch.iter().any(|persist| persist.sync) {
            write.set_durability(Durability::None);
        }
        {
            let mut log = write.open_table(LOG).map_err(failed)?;
            let mut kept = write.open_table(KEPT).map_err(failed)?;
            for persist in batch {
                perform(persist, &mut log, &mut kept)?;
            }
        }
        write.commit().map_err(failed)
    }
}

impl Store for DiskStore {
    fn load(&mut self) -> Result<Restored, StoreError> {
        let read = self.database()?.begin_read().map_err(failed)?;
        let kept = read.open_table(KEPT).map_err(failed)?;
        let log = read.open_table(LOG).map_err(failed)?;
        let mut restored = Restored {
            meta: get::<proto::NodeMeta>(&kept, META)?,
            hard_state: get::<proto::HardState>(&kept, HARD_STATE)?,
            snapshot: get::<proto::Snapshot>(&kept, SNAPSHOT)?,
            entries: Vec::new(),
        };
        for record in log.iter().map_err(failed)? {
            let (index, bytes) = record.map_err(failed)?;
            let name = format!("entry {}", index.value());
            restored.entries.push(unseal(&name, bytes.value())?);
        }
        Ok(restored)
    }

    fn write(&mut self, batch: &[Persist]) -> Result<(), StoreError> {
        let result = self.write_batch(batch);
        if result.is_err() {
            self.database = None;
        }
        result
    }
}

/// Whether a file has something in it that no redb database begins with (redb's docs/design.md: the magic number). One
/// whose making was cut short has zeros in that place, and nothing was ever written into it: it is removed.
fn is_foreign(path: &Path) -> std::io::Result<bool> {
    const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
    let mut begin = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAGIC.len() as u64).read_to_end(&mut begin)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !begin.is_empty() && begin.iter().all(|byte| *byte == 0) {
        std::fs::remove_file(path)?;
        return Ok(false);
    }
    Ok(!begin.is_empty() && begin != MAGIC)
}

fn perform(
    persist: &Persist,
    log: &mut Table<'_, u64, &'static [u8]>,
    kept: &mut Table<'_, &'static str, &'static [u8]>,
) -> Result<(), StoreError> {
    if persist.reset {
        kept.retain(|_, _| false).map_err(failed)?;
    }
    if persist.reset || persist.clear_log {
        log.retain(|_, _| false).map_err(failed)?;
    }
    if let Some(meta) = &persist.meta {
        kept.insert(META, seal(meta).as_slice()).map_err(failed)?;
    }
    if let Some(hard_state) = &persist.hard_state {
        kept.insert(HARD_STATE, seal(hard_state).as_slice())
            .map_err(failed)?;
    }
    if let Some(snapshot) = &persist.snapshot {
        kept.insert(SNAPSHOT, seal(snapshot).as_slice()).map_err(failed)?;
    }
    if persist.compact_to > 0 {
        log.retain_in(..persist.compact_to, |_, _| false)
            .map_err(failed)?;
    }
    if let Some(first) = persist.entries.first() {
        log.retain_in(first.index.., |_, _| false).map_err(failed)?;
        for entry in &persist.entries {
            log.insert(entry.index, seal(entry).as_slice()).map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(error.to_string())
}

fn seal(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    message.encode(&mut bytes).expect("a vector grows");
    let checksum = CHECKSUM.checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn unseal<M: Message + Default>(name: &str, bytes: &[u8]) -> Result<M, StoreError> {
    let (checksum, body) = bytes
        .split_at_checked(4)
        .ok_or_else(|| StoreError::Damaged(name.to_owned()))?;
    if checksum != CHECKSUM.checksum(body).to_le_bytes() {
        return Err(StoreError::Damaged(name.to_owned()));
    }
    M::decode(body).map_err(|_| StoreError::Damaged(name.to_owned()))
}

fn get<M: Message + Default>(
    kept: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<M>, StoreError> {
    let record = kept.get(name).map_err(failed)?;
    record.map(|bytes| unseal(name, bytes.value())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStore;
    use proptest::prelude::*;

    fn any_persist() -> impl Strategy<Value = Persist> {
        let entries = (2u64..20, 0usize..5).prop_map(|(first, count)| {
            (first..first + count as u64)
                .map(|index| proto::LogEntry {
                    index,
                    term: 1,
                    members: false,
                    data: vec![index as u8].into(),
                })
                .collect()
        });
        let flags = (
            any::<bool>(),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
        );
        (
            flags,
            any::<Option<u64>>(),
            any::<Option<u64>>(),
            0u64..10,
            entries,
        )
            .prop_map(
                |((sync, reset, clear_log), term, index, compact_to, entries)| Persist {
                    number: 1,
                    sync,
                    reset,
                    clear_log,
                    compact_to,
                    entries,
                    meta: term.map(|boot| proto::NodeMeta {
                        boot,
                        ..Default::default()
                    }),
                    hard_state: term.map(|term| proto::HardState {
                        term,
                        vote: 1,
                        commit: 2,
                    }),
                    snapshot: index.map(|index| proto::Snapshot {
                        index,
                        term: 1,
                        ..Default::default()
                    }),
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// What comes back after any writes is what the store in memory has, also after the file was opened anew.
        #[test]
        fn it_keeps_what_the_store_in_memory_keeps(batches in prop::collection::vec(prop::collection::vec(any_persist(), 1..3), 1..6)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cluster.redb");
            let (mut disk, mut memory) = (DiskStore::open(&path).unwrap(), MemoryStore::default());
            for batch in &batches {
                disk.write(batch).unwrap();
                memory.write(batch).unwrap();
            }
            let expected = memory.load().unwrap();
            let found = disk.load().unwrap();
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            drop(disk);
            let found = DiskStore::open(&path).unwrap().load().unwrap();
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_damaged_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.redb");
        let mut disk = DiskStore::open(&path).unwrap();
        let meta = proto::NodeMeta {
            boot: 7,
            ..Default::default()
        };
        let mut bytes = seal(&meta);
        bytes[4] ^= 1;
        let write = disk.database().unwrap().begin_write().unwrap();
        write
            .open_table(KEPT)
            .unwrap()
            .insert(META, bytes.as_slice())
            .unwrap();
        write.commit().unwrap();
        assert!(matches!(disk.load(), Err(StoreError::Damaged(name)) if name == META));
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.conf");
        let text = "9099e5c38fcadd9b5ce9a29d168594e53afebd79 :1@2 myself,master - 0 0 0 connected\n";
        std::fs::write(&path, text).unwrap();
        assert!(matches!(DiskStore::open(&path), Err(StoreError::Foreign)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        for unfinished in [&[][..], &[0; 5], &[0; 8192]] {
            std::fs::write(&path, unfinished).unwrap();
            assert!(DiskStore::open(&path).is_ok(), "as good as no file");
        }
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.redb");
        let _first = DiskStore::open(&path).unwrap();
        assert!(matches!(DiskStore::open(&path), Err(StoreError::InUse)));
    }
}
