//! Values by name and type: what the rest of the server calls.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::choices::*;
use super::composite::{self, ClientClass, OutputLimit, SavePoint};
use super::{Config, Param};

macro_rules! flags {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("Whether the directive behind [`Param::", stringify!($param), "`] is `yes`.")]
        #[inline]
        pub fn $name(&self) -> bool { self.flag(Param::$param) }
    )+ } };
}

macro_rules! numbers {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The number of the directive behind [`Param::", stringify!($param), "`].")]
        #[inline]
        pub fn $name(&self) -> i64 { self.int(Param::$param) }
    )+ } };
}

macro_rules! sizes {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The number of the directive behind [`Param::", stringify!($param), "`], which is never negative.")]
        #[inline]
        pub fn $name(&self) -> usize { usize::try_from(self.int(Param::$param)).unwrap_or(0) }
    )+ } };
}

macro_rules! ports {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The port of the directive behind [`Param::", stringify!($param), "`]; 0 is none.")]
        #[inline]
        pub fn $name(&self) -> u16 { u16::try_from(self.int(Param::$param)).unwrap_or(0) }
    )+ } };
}

macro_rules! choices {
    ($($name:ident => $param:ident: $type:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The choice of the directive behind [`Param::", stringify!($param), "`].")]
        #[inline]
        pub fn $name(&self) -> $type { $type::from_code(self.int(Param::$param)) }
    )+ } };
}

macro_rules! texts {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The text of the directive behind [`Param::", stringify!($param), "`]; `None` if it is empty.")]
        pub fn $name(&self) -> Option<Arc<[u8]>> {
            Some(self.text(Param::$param)).filter(|text| !text.is_empty())
        }
    )+ } };
}

macro_rules! paths {
    ($($name:ident => $param:ident),+ $(,)?) => { impl Config { $(
        #[doc = concat!("The path of the directive behind [`Param::", stringify!($param), "`]; `None` if it is empty.")]
        pub fn $name(&self) -> Option<PathBuf> { self.path(Param::$param) }
    )+ } };
}

flags! {
    activerehashing => Activerehashing,
    aof_disable_auto_gc => AofDisableAutoGc,
    aof_load_truncated => AofLoadTruncated,
    aof_rewrite_incremental_fsync => AofRewriteIncrementalFsync,
    aof_timestamp_enabled => AofTimestampEnabled,
    aof_use_rdb_preamble => AofUseRdbPreamble,
    appendonly => Appendonly,
    cluster_allow_pubsubshard_when_down => ClusterAllowPubsubshardWhenDown,
    cluster_allow_reads_when_down => ClusterAllowReadsWhenDown,
    cluster_allow_replica_migration => ClusterAllowReplicaMigration,
    cluster_enabled => ClusterEnabled,
    cluster_replica_no_failover => ClusterReplicaNoFailover,
    cluster_require_full_coverage => ClusterRequireFullCoverage,
    crash_log_enabled => CrashLogEnabled,
    daemonize => Daemonize,
    jemalloc_bg_thread => JemallocBgThread,
    latency_tracking => LatencyTracking,
    lazyfree_lazy_eviction => LazyfreeLazyEviction,
    lazyfree_lazy_expire => LazyfreeLazyExpire,
    lazyfree_lazy_server_del => LazyfreeLazyServerDel,
    lazyfree_lazy_user_del => LazyfreeLazyUserDel,
    lazyfree_lazy_user_flush => LazyfreeLazyUserFlush,
    lazyexpire_nested_arbitrary_keys => LazyexpireNestedArbitraryKeys,
    no_appendfsync_on_rewrite => NoAppendfsyncOnRewrite,
    protected_mode => ProtectedMode,
    rdb_del_sync_files => RdbDelSyncFiles,
    rdb_save_incremental_fsync => RdbSaveIncrementalFsync,
    rdbchecksum => Rdbchecksum,
    rdbcompression => Rdbcompression,
    repl_disable_tcp_nodelay => ReplDisableTcpNodelay,
    replica_announced => ReplicaAnnounced,
    replica_ignore_disk_write_errors => ReplicaIgnoreDiskWriteErrors,
    replica_ignore_maxmemory => ReplicaIgnoreMaxmemory,
    replica_lazy_flush => ReplicaLazyFlush,
    replica_read_only => ReplicaReadOnly,
    replica_serve_stale_data => ReplicaServeStaleData,
    set_proc_title => SetProcTitle,
    stop_writes_on_bgsave_error => StopWritesOnBgsaveError,
    syslog_enabled => SyslogEnabled,
    tls_cluster => TlsCluster,
    tls_replication => TlsReplication,
    tls_session_caching => TlsSessionCaching,
    use_exit_on_panic => UseExitOnPanic,
}

numbers! {
    key_load_delay => KeyLoadDelay,
    list_max_listpack_size => ListMaxListpackSize,
    maxmemory_clients => MaxmemoryClients,
    notify_keyspace_events => NotifyKeyspaceEvents,
    oom_score_adj => OomScoreAdj,
    rdb_key_save_delay => RdbKeySaveDelay,
    shutdown_on_sigint => ShutdownOnSigint,
    shutdown_on_sigterm => ShutdownOnSigterm,
    slowlog_log_slower_than => SlowlogLogSlowerThan,
}

sizes! {
    acllog_max_len => AcllogMaxLen,
    active_expire_effort => ActiveExpireEffort,
    auto_aof_rewrite_min_size => AutoAofRewriteMinSize,
    auto_aof_rewrite_percentage => AutoAofRewritePercentage,
    busy_reply_threshold_ms => BusyReplyThreshold,
    client_query_buffer_limit => ClientQueryBufferLimit,
    cluster_migration_barrier => ClusterMigrationBarrier,
    cluster_node_timeout_ms => ClusterNodeTimeout,
    cluster_replica_validity_factor => ClusterReplicaValidityFactor,
    databases => Databases,
    hash_max_listpack_entries => HashMaxListpackEntries,
    hash_max_listpack_value => HashMaxListpackValue,
    hll_sparse_max_bytes => HllSparseMaxBytes,
    io_threads => IoThreads,
    latency_monitor_threshold_ms => LatencyMonitorThreshold,
    lfu_decay_time_minutes => LfuDecayTime,
    lfu_log_factor => LfuLogFactor,
    list_compress_depth => ListCompressDepth,
    loading_process_events_interval_bytes => LoadingProcessEventsIntervalBytes,
    maxclients => Maxclients,
    maxmemory => Maxmemory,
    maxmemory_eviction_tenacity => MaxmemoryEvictionTenacity,
    maxmemory_samples => MaxmemorySamples,
    min_replicas_max_lag_seconds => MinReplicasMaxLag,
    min_replicas_to_write => MinReplicasToWrite,
    proto_max_bulk_len => ProtoMaxBulkLen,
    repl_backlog_size => ReplBacklogSize,
    repl_backlog_ttl_seconds => ReplBacklogTtl,
    repl_diskless_sync_delay_seconds => ReplDisklessSyncDelay,
    repl_diskless_sync_max_replicas => ReplDisklessSyncMaxReplicas,
    repl_ping_replica_period_seconds => ReplPingReplicaPeriod,
    repl_timeout_seconds => ReplTimeout,
    replica_priority => ReplicaPriority,
    set_max_intset_entries => SetMaxIntsetEntries,
    set_max_listpack_entries => SetMaxListpackEntries,
    set_max_listpack_value => SetMaxListpackValue,
    shutdown_timeout_seconds => ShutdownTimeout,
    slowlog_max_len => SlowlogMaxLen,
    snapshot_buffer_limit => SnapshotBufferLimit,
    snapshot_hold_timeout => SnapshotHoldTimeout,
    socket_mark_id => SocketMarkId,
    stream_node_max_bytes => StreamNodeMaxBytes,
    stream_node_max_entries => StreamNodeMaxEntries,
    tcp_backlog => TcpBacklog,
    tcp_keepalive_seconds => TcpKeepalive,
    timeout_seconds => Timeout,
    tls_session_cache_size => TlsSessionCacheSize,
    tracking_table_max_keys => TrackingTableMaxKeys,
    unixsocketperm => Unixsocketperm,
    zset_max_listpack_entries => ZsetMaxListpackEntries,
    zset_max_listpack_value => ZsetMaxListpackValue,
}

ports! {
    cluster_announce_bus_port => ClusterAnnounceBusPort,
    cluster_announce_port => ClusterAnnouncePort,
    cluster_announce_tls_port => ClusterAnnounceTlsPort,
    port => Port,
    replica_announce_port => ReplicaAnnouncePort,
    tls_port => TlsPort,
}

choices! {
    acl_pubsub_default => AclPubsubDefault: AclPubsubDefault,
    appendfsync => Appendfsync: Appendfsync,
    cluster_preferred_endpoint_type => ClusterPreferredEndpointType: EndpointType,
    enable_debug_command => EnableDebugCommand: Guard,
    enable_module_command => EnableModuleCommand: Guard,
    enable_protected_configs => EnableProtectedConfigs: Guard,
    loglevel => Loglevel: LogLevel,
    maxmemory_policy => MaxmemoryPolicy: MaxmemoryPolicy,
    propagation_error_behavior => PropagationErrorBehavior: PropagationErrors,
    rdb_dialect => RdbDialect: RdbDialect,
    repl_diskless_load => ReplDisklessLoad: DisklessLoad,
    sanitize_dump_payload => SanitizeDumpPayload: Sanitize,
    supervised => Supervised: Supervised,
    syslog_facility => SyslogFacility: SyslogFacility,
    tls_auth_clients => TlsAuthClients: TlsAuthClients,
}

texts! {
    availability_zone => AvailabilityZone,
    bind_source_addr => BindSourceAddr,
    cluster_announce_hostname => ClusterAnnounceHostname,
    cluster_announce_human_nodename => ClusterAnnounceHumanNodename,
    cluster_announce_ip => ClusterAnnounceIp,
    locale_collate => LocaleCollate,
    masterauth => Masterauth,
    masteruser => Masteruser,
    proc_title_template => ProcTitleTemplate,
    replica_announce_ip => ReplicaAnnounceIp,
    requirepass => Requirepass,
    syslog_ident => SyslogIdent,
    tls_client_key_file_pass => TlsClientKeyFilePass,
    tls_key_file_pass => TlsKeyFilePass,
    tls_protocols => TlsProtocols,
}

paths! {
    aclfile => Aclfile,
    appenddirname => Appenddirname,
    appendfilename => Appendfilename,
    cluster_config_file => ClusterConfigFile,
    dbfilename => Dbfilename,
    encryption_key_file => EncryptionKeyFile,
    logfile => Logfile,
    pidfile => Pidfile,
    tls_ca_cert_dir => TlsCaCertDir,
    tls_ca_cert_file => TlsCaCertFile,
    tls_cert_file => TlsCertFile,
    tls_client_cert_file => TlsClientCertFile,
    tls_client_key_file => TlsClientKeyFile,
    tls_key_file => TlsKeyFile,
    unixsocket => Unixsocket,
}

impl Config {
    /// The working directory, absolute. The server enters it at start and when CONFIG SET changes it.
    pub fn dir(&self) -> PathBuf {
        self.path(Param::Dir).unwrap_or_default()
    }

    /// How often in a second background tasks run: `hz`, held within 1 to 500.
    pub fn hz(&self) -> u32 {
        u32::try_from(self.int(Param::Hz).clamp(1, 500)).unwrap_or(10)
    }

    /// The port of the cluster bus: `cluster-port`, or the client port and 10000; `None` where that is no port.
    pub fn cluster_bus_port(&self) -> Option<u16> {
        match self.int(Param::ClusterPort) {
            0 => self.port().checked_add(10_000),
            port => u16::try_from(port).ok(),
        }
    }

    /// Addresses to listen on, each with whether it may be missing on this machine.
    pub fn bind(&self) -> Vec<(String, bool)> {
        composite::bind_addresses(&self.text(Param::Bind))
    }

    /// Host and port of the primary.
    pub fn replicaof(&self) -> Option<(String, u16)> {
        composite::replicaof(&self.text(Param::Replicaof))
    }

    /// When snapshots are written.
    pub fn save_points(&self) -> Vec<SavePoint> {
        composite::save_points(&self.text(Param::Save))
    }

    /// Percentiles that INFO latencystats shows.
    pub fn latency_percentiles(&self) -> Vec<f64> {
        composite::percentiles(&self.text(Param::LatencyTrackingInfoPercentiles))
    }

    /// Scores for a primary, a replica and a background child.
    pub fn oom_score_adj_values(&self) -> [i64; 3] {
        composite::oom_scores(&self.text(Param::OomScoreAdjValues))
    }

    /// When a client of this class that does not read is disconnected. Read without a lock.
    pub fn client_output_limit(&self, class: ClientClass) -> OutputLimit {
        let cells = &self.limits[class as usize];
        OutputLimit {
            hard_bytes: cells[0].load(Ordering::Relaxed),
            soft_bytes: cells[1].load(Ordering::Relaxed),
            soft_seconds: cells[2].load(Ordering::Relaxed),
        }
    }

    fn path(&self, param: Param) -> Option<PathBuf> {
        let text = self.text(param);
        (!text.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&text)))
    }
}
