//! `# Memory`. What the Lua machines of the threads take is part of `used_memory` and not told apart.

use holdfast_storage::numeric::bytes_human;

use super::{Row, Snapshot, fixed2, ratio};
use crate::config::Param;

pub(super) const ROWS: &[Row] = &[
    ("used_memory", |s| s.used.to_string()),
    ("used_memory_human", |s| bytes_human(s.used)),
    ("used_memory_rss", |s| s.rss.to_string()),
    ("used_memory_rss_human", |s| bytes_human(s.rss)),
    ("used_memory_peak", |s| s.peak.to_string()),
    ("used_memory_peak_human", |s| bytes_human(s.peak)),
    ("used_memory_peak_perc", |s| percent(ratio(s.used * 100, s.peak))),
    ("used_memory_overhead", |s| s.overhead().to_string()),
    ("used_memory_startup", |s| s.server.startup_memory.to_string()),
    ("used_memory_dataset", |s| s.dataset().to_string()),
    ("used_memory_dataset_perc", |s| percent(s.dataset_percent())),
    ("allocator_allocated", |s| s.figures.allocated.to_string()),
    ("allocator_active", |s| s.figures.active.to_string()),
    ("allocator_resident", |s| s.figures.resident.to_string()),
    ("total_system_memory", |_| crate::memory::of_machine().to_string()),
    ("total_system_memory_human", |_| {
        bytes_human(crate::memory::of_machine())
    }),
    ("used_memory_lua", |_| zero()),
    ("used_memory_vm_eval", |_| zero()),
    ("used_memory_lua_human", |_| bytes_human(0)),
    ("used_memory_scripts_eval", |s| {
        s.server.scripts.cache.size().1.to_string()
    }),
    ("number_of_cached_scripts", |s| {
        s.server.scripts.cache.size().0.to_string()
    }),
    ("number_of_functions", |s| {
        s.server.scripts.libraries.get().counts().1.to_string()
    }),
    ("number_of_libraries", |s| {
        s.server.scripts.libraries.get().counts().0.to_string()
    }),
    ("used_memory_vm_functions", |_| zero()),
    ("used_memory_vm_total", |_| zero()),
    ("used_memory_vm_total_human", |_| bytes_human(0)),
    ("used_memory_functions", |_| zero()),
    ("used_memory_scripts", |s| {
        s.server.scripts.cache.size().1.to_string()
    }),
    ("used_memory_scripts_human", |s| {
        bytes_human(s.server.scripts.cache.size().1 as u64)
    }),
    ("maxmemory", |s| maxmemory(s).to_string()),
    ("maxmemory_human", |s| bytes_human(maxmemory(s))),
    ("maxmemory_policy", |s| {
        String::from_utf8_lossy(&s.server.config.print(Param::MaxmemoryPolicy)).into_owned()
    }),
    ("allocator_frag_ratio", |s| {
        fixed2(ratio(s.figures.active, s.figures.allocated))
    }),
    ("allocator_frag_bytes", |s| {
        minus(s.figures.active, s.figures.allocated)
    }),
    ("allocator_rss_ratio", |s| {
        fixed2(ratio(s.figures.resident, s.figures.active))
    }),
    ("allocator_rss_bytes", |s| {
        minus(s.figures.resident, s.figures.active)
    }),
    ("rss_overhead_ratio", |s| fixed2(ratio(s.rss, s.figures.resident))),
    ("rss_overhead_bytes", |s| minus(s.rss, s.figures.resident)),
    ("mem_fragmentation_ratio", |s| fixed2(ratio(s.rss, s.used))),
    ("mem_fragmentation_bytes", |s| minus(s.rss, s.used)),
    ("mem_not_counted_for_evict", |s| {
        s.server.not_counted().to_string()
    }),
    // What is kept for replicas that are not there, and what is held beyond that for those that are slow.
    ("mem_replication_backlog", |s| {
        let extent = s.server.log.extent();
        (extent.stored() - extent.held).to_string()
    }),
    ("mem_total_replication_buffers", |s| {
        s.server.log.extent().stored().to_string()
    }),
    ("mem_clients_slaves", |s| s.server.log.extent().held.to_string()),
    ("mem_clients_normal", |s| s.connections.memory.to_string()),
    ("mem_cluster_links", |_| zero()),
    ("mem_aof_buffer", |_| zero()),
    ("mem_allocator", |_| crate::memory::ALLOCATOR.to_owned()),
    ("active_defrag_running", |_| zero()),
    ("lazyfree_pending_objects", |s| {
        s.server.reclaim.pending().to_string()
    }),
    ("lazyfreed_objects", |s| s.totals.lazyfreed.to_string()),
];

fn zero() -> String {
    "0".to_owned()
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

fn minus(a: u64, b: u64) -> String {
    (a as i64 - b as i64).to_string()
}

fn maxmemory(s: &Snapshot<'_>) -> u64 {
    s.server.config.int(Param::Maxmemory) as u64
}
