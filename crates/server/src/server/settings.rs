//! What the configuration means to commands and to the threads that run them.
//!
//! Must not know: how settings are read and written.

use std::sync::atomic::Ordering;

use holdfast_commands::limits::Limits;
use holdfast_storage::access::AccessPolicy;
use holdfast_storage::evict::Policy;
use holdfast_storage::types::hash::HashLimits;
use holdfast_storage::types::list::ListLimits;
use holdfast_storage::types::set::SetLimits;
use holdfast_storage::types::stream::StreamLimits;
use holdfast_storage::types::zset::ZsetLimits;

use super::Server;
use crate::config::{MaxmemoryPolicy, Param};
use crate::worker::{Source, Worker};

impl Server {
    /// Changes whenever settings change.
    #[inline]
    pub fn settings_version(&self) -> u64 {
        self.config.version().wrapping_add(self.observe.version())
    }

    /// Sizes for handlers, as configured.
    pub fn limits(&self) -> Limits {
        let c = &self.config;
        let size = |p| c.int(p).max(0) as usize;
        Limits {
            list: ListLimits {
                max_listpack_size: c.int(Param::ListMaxListpackSize) as i32,
            },
            set: SetLimits {
                max_intset_entries: size(Param::SetMaxIntsetEntries),
                max_listpack_entries: size(Param::SetMaxListpackEntries),
                max_listpack_value: size(Param::SetMaxListpackValue),
            },
            hash: HashLimits {
                max_listpack_entries: size(Param::HashMaxListpackEntries),
                max_listpack_value: size(Param::HashMaxListpackValue),
            },
            zset: ZsetLimits {
                max_listpack_entries: size(Param::ZsetMaxListpackEntries),
                max_listpack_value: size(Param::ZsetMaxListpackValue),
            },
            stream: StreamLimits {
                node_max_bytes: size(Param::StreamNodeMaxBytes),
                node_max_entries: c.int(Param::StreamNodeMaxEntries).max(0) as u64,
            },
            hll_sparse_max_bytes: size(Param::HllSparseMaxBytes),
            max_string: size(Param::ProtoMaxBulkLen),
            lfu: self.policy().is_lfu(),
            lfu_decay_minutes: c.int(Param::LfuDecayTime) as u32,
            rdb_compression: c.flag(Param::Rdbcompression),
            rdb_dialect: c.rdb_dialect().into(),
            skip_checksum: self.skip_checksum.load(Ordering::Relaxed),
            cluster: c.flag(Param::ClusterEnabled),
        }
    }

    /// How accesses are noted, as configured.
    pub fn access_policy(&self) -> AccessPolicy {
        AccessPolicy {
            lfu: self.policy().is_lfu(),
            lfu_log_factor: self.config.int(Param::LfuLogFactor) as u32,
            lfu_decay_minutes: self.config.int(Param::LfuDecayTime) as u32,
            no_touch: false,
        }
    }

    /// Whether the checksums of files are looked at.
    pub fn checks_files(&self) -> bool {
        self.config.flag(Param::Rdbchecksum) && !self.skip_checksum.load(Ordering::Relaxed)
    }

    /// Copies the settings that commands need into a worker.
    pub fn copy_settings(&self, w: &mut Worker) {
        let c = &self.config;
        let size = |p| c.int(p).max(0) as usize;
        w.limits = self.limits();
        w.decode_limits.max_bulk_len = size(Param::ProtoMaxBulkLen);
        w.decode_limits.max_query_buffer = size(Param::ClientQueryBufferLimit);
        w.access = self.access_policy();
        w.tracking_max_keys = size(Param::TrackingTableMaxKeys);
        self.client_memory
            .set_limit(c.int(Param::MaxmemoryClients), c.int(Param::Maxmemory) as u64);
        w.import_mode = c.flag(Param::ImportMode);
        w.maxmemory = c.int(Param::Maxmemory) as u64;
        w.policy = self.policy();
        w.effects.event_mask = self.event_mask();
        if w.source != Source::Clients {
            // What has been acknowledged elsewhere, or before, is not refused.
            w.maxmemory = 0;
            w.limits.cluster = false;
            w.limits.max_string = usize::MAX >> 1;
        }
        if w.source == Source::Replay {
            w.effects.event_mask = 0;
        }
        w.meter.configure(self);
    }

    /// `maxmemory-policy`.
    pub fn policy(&self) -> Policy {
        match MaxmemoryPolicy::from_code(self.config.int(Param::MaxmemoryPolicy)) {
            MaxmemoryPolicy::Noeviction => Policy::NoEviction,
            MaxmemoryPolicy::AllkeysLru => Policy::AllKeysLru,
            MaxmemoryPolicy::AllkeysLfu => Policy::AllKeysLfu,
            MaxmemoryPolicy::AllkeysRandom => Policy::AllKeysRandom,
            MaxmemoryPolicy::VolatileLru => Policy::VolatileLru,
            MaxmemoryPolicy::VolatileLfu => Policy::VolatileLfu,
            MaxmemoryPolicy::VolatileRandom => Policy::VolatileRandom,
            MaxmemoryPolicy::VolatileTtl => Policy::VolatileTtl,
        }
    }
}
