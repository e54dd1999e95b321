//! Configured sizes that handlers need, copied out of the configuration so that this crate need not know it.

use holdfast_rdb::Dialect;
use holdfast_storage::types::hash::HashLimits;
use holdfast_storage::types::list::ListLimits;
use holdfast_storage::types::set::SetLimits;
use holdfast_storage::types::stream::StreamLimits;
use holdfast_storage::types::zset::ZsetLimits;

/// See the directives of the same names.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `list-max-listpack-size`.
    pub list: ListLimits,
    /// `set-max-*`.
    pub set: SetLimits,
    /// `hash-max-listpack-*`.
    pub hash: HashLimits,
    /// `zset-max-listpack-*`.
    pub zset: ZsetLimits,
    /// `stream-node-max-*`.
    pub stream: StreamLimits,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_max_bytes: usize,
    /// `proto-max-bulk-len` in bytes: no string grows beyond it.
    pub max_string: usize,
    /// `maxmemory-policy` counts frequencies: decides what OBJECT FREQ and IDLETIME answer.
    pub lfu: bool,
    /// `lfu-decay-time` in minutes.
    pub lfu_decay_minutes: u32,
    /// `rdbcompression`, for DUMP.
    pub rdb_compression: bool,
    /// `rdb-dialect`, for DUMP.
    pub rdb_dialect: Dialect,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION, for RESTORE.
    pub skip_checksum: bool,
    /// `cluster-enabled`: what would need keys of other slots or databases is refused.
    pub cluster: bool,
}

impl Limits {
    /// Those that decide how a value that was read is kept.
    pub fn rdb(&self) -> holdfast_rdb::Limits {
        holdfast_rdb::Limits {
            list: self.list,
            set: self.set,
            hash: self.hash,
            zset: self.zset,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            list: ListLimits::default(),
            set: SetLimits::default(),
            hash: HashLimits::default(),
            zset: ZsetLimits::default(),
            stream: StreamLimits::default(),
            hll_sparse_max_bytes: 3000,
            max_string: 512 * 1024 * 1024,
            lfu: false,
            lfu_decay_minutes: 1,
            rdb_compression: true,
            rdb_dialect: Dialect::Redis,
            skip_checksum: false,
            cluster: false,
        }
    }
}
