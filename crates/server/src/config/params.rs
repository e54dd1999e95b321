//! Every directive, one row each, sorted by name: the only place where a directive is declared.
//!
//! CONFIG GET, SET and REWRITE, the file parser and the sample file are derived from this table. Names, ranges and
//! defaults were read off a running redis-server 7.0.15 (CONFIG GET *, and its answers to wrong values); rows that
//! 7.2 and Valkey added follow their documentation. To add a directive: add a row here, run the tests, and
//! regenerate `holdfast.conf` as the failing test says.

use super::choices::*;
use super::row::{Kind, Row};
use super::rules::*;

use Kind::{Bool, Choice, Directory, Flags, MemoryOrPercent, Secret, Text};

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn memory(min: u64) -> Kind {
    Kind::Memory {
        min,
        max: i64::MAX as u64,
    }
}

const fn lines(min_words: usize, max_words: usize) -> Kind {
    Kind::Lines { min_words, max_words }
}

/// `0..=i32::MAX`, the commonest range.
const NATURAL: Kind = int(0, INT_MAX);
const PORT: Kind = int(0, 65535);
/// Memory whose bound is that of an unsigned 64-bit number.
const MEMORY_U64: Kind = Kind::Memory {
    min: 0,
    max: u64::MAX,
};

const NO_CHILD: &str = "there is no child process";
const NO_DEFRAG: &str = "the allocator offers no active defragmentation";
const NO_GOSSIP: &str = "the cluster has no gossip";
const NO_REHASH: &str = "tables grow in small steps and are never rehashed as a whole";
const BY_RUSTLS: &str = "the TLS library chooses";

macro_rules! table {
    ($($id:ident => $row:expr;)+) => {
        /// Names a row of the table; `as usize` is its index.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        #[allow(missing_docs)] // each variant is the row of the same name
        pub enum Param { $($id),+ }

        /// Every directive, in the order of `Param` and of the names.
        pub static PARAMS: &[Row] = &[$($row),+];

        impl Param {
            /// Every directive, in the order of the table.
            pub const ALL: &'static [Param] = &[$(Param::$id),+];
        }
    };
}

impl Param {
    /// The row that declares this directive.
    pub fn row(self) -> &'static Row {
        &PARAMS[self as usize]
    }

    /// The directive's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Finds a directive by its name or alias, without regard to case.
    pub fn find(name: &[u8]) -> Option<Param> {
        Self::ALL.iter().copied().find(|param| {
            let row = param.row();
            name.eq_ignore_ascii_case(row.name.as_bytes())
                || row
                    .alias
                    .is_some_and(|alias| name.eq_ignore_ascii_case(alias.as_bytes()))
        })
    }
}

table! {
    AclPubsubDefault => Row::new("acl-pubsub-default", Choice(AclPubsubDefault::CHOICES), "resetchannels",
        "Channels that a new ACL user may use: all of them, or none until they are granted.");
    Aclfile => Row::new("aclfile", Text, "",
        "File that holds the ACL users, one on each line; empty: users stand in this file.").fixed();
    AcllogMaxLen => Row::new("acllog-max-len", int(0, LONG_MAX), "128", "Entries that ACL LOG keeps.");
    ActiveDefragCycleMax => Row::new("active-defrag-cycle-max", int(1, 99), "25",
        "Most CPU, in percent, for defragmentation.").ignored(NO_DEFRAG);
    ActiveDefragCycleMin => Row::new("active-defrag-cycle-min", int(1, 99), "1",
        "Least CPU, in percent, for defragmentation.").ignored(NO_DEFRAG);
    ActiveDefragIgnoreBytes => Row::new("active-defrag-ignore-bytes", memory(1), "104857600",
        "Waste below which nothing is defragmented.").ignored(NO_DEFRAG);
    ActiveDefragMaxScanFields => Row::new("active-defrag-max-scan-fields", int(1, LONG_MAX), "1000",
        "Size of a collection above which it is defragmented in steps.").ignored(NO_DEFRAG);
    ActiveDefragThresholdLower => Row::new("active-defrag-threshold-lower", int(0, 1000), "10",
        "Fragmentation, in percent, at which defragmentation starts.").ignored(NO_DEFRAG);
    ActiveDefragThresholdUpper => Row::new("active-defrag-threshold-upper", int(0, 1000), "100",
        "Fragmentation, in percent, at which it uses its full effort.").ignored(NO_DEFRAG);
    ActiveExpireEffort => Row::new("active-expire-effort", int(1, 10), "1",
        "How hard the background looks for expired keys: 1 is least CPU, 10 is least memory held by dead \
         keys.");
    Activedefrag => Row::new("activedefrag", Bool, "no",
        "Defragment memory while the server runs.").ignored(NO_DEFRAG).check_set(no_defrag);
    Activerehashing => Row::new("activerehashing", Bool, "yes",
        "Rehash the main tables in the background.").ignored(NO_REHASH);
    AlwaysShowLogo => Row::new("always-show-logo", Bool, "no",
        "Print the logo when the log does not go to a terminal.").fixed().ignored("there is no logo");
    AofDisableAutoGc => Row::new("aof-disable-auto-gc", Bool, "no",
        "Keep old files of the append-only directory after a rewrite.");
    AofLoadTruncated => Row::new("aof-load-truncated", Bool, "yes",
        "Load an append-only file whose end is cut off, instead of refusing to start.");
    AofRewriteIncrementalFsync => Row::new("aof-rewrite-incremental-fsync", Bool, "yes",
        "Flush to the disk in steps while the append-only file is rewritten.");
    AofTimestampEnabled => Row::new("aof-timestamp-enabled", Bool, "no",
        "Write timestamps into the append-only file, so that it can be cut at a point in time.");
    AofUseRdbPreamble => Row::new("aof-use-rdb-preamble", Bool, "yes",
        "Write the base of the append-only file in the RDB format.");
    AofRewriteCpulist => Row::new("aof_rewrite_cpulist", Text, "",
        "CPUs for the process that rewrites the append-only file.").fixed().ignored(NO_CHILD);
    Appenddirname => Row::new("appenddirname", Text, "appendonlydir",
        "Directory of the append-only files, inside `dir`.").fixed().check(append_dir_name);
    Appendfilename => Row::new("appendfilename", Text, "appendonly.aof",
        "First part of the names of the append-only files.").fixed().check(append_file_name);
    Appendfsync => Row::new("appendfsync", Choice(Appendfsync::CHOICES), "everysec",
        "When the append-only file reaches the disk: `always` before a write is acknowledged, `everysec` \
         once a second, `no` when the system likes.");
    Appendonly => Row::new("appendonly", Bool, "no", "Log every write to the append-only file.");
    AutoAofRewriteMinSize => Row::new("auto-aof-rewrite-min-size", memory(0), "67108864",
        "Size below which the append-only file is not rewritten by itself.");
    AutoAofRewritePercentage => Row::new("auto-aof-rewrite-percentage", NATURAL, "100",
        "Growth, in percent since the last rewrite, at which the append-only file is rewritten; 0 never.");
    AvailabilityZone => Row::new("availability-zone", Text, "",
        "Zone of this server, shown by INFO and HELLO for clients that prefer a near server.");
    BgsaveCpulist => Row::new("bgsave_cpulist", Text, "",
        "CPUs for the process that writes a snapshot.").fixed().ignored(NO_CHILD);
    Bind => Row::new("bind", Kind::Words { max: 16 }, "* -::*",
        "Addresses to listen on; `*` is every one. An address behind `-` may be missing on this machine.");
    BindSourceAddr => Row::new("bind-source-addr", Text, "", "Local address of outgoing connections.");
    BioCpulist => Row::new("bio_cpulist", Text, "",
        "CPUs for background threads.").fixed().ignored("the system places background threads");
    BusyReplyThreshold => Row::new("busy-reply-threshold", int(0, LONG_MAX), "5000",
        "Milliseconds after which a running script makes others be answered BUSY.").alias("lua-time-limit");
    ClientOutputBufferLimit => Row::new("client-output-buffer-limit", Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Class, hard limit, soft limit and seconds above the soft limit at which a client that does not \
         read is disconnected; 0 is no limit.");
    ClientQueryBufferLimit => Row::new("client-query-buffer-limit", memory(1 << 20), "1073741824",
        "Most bytes of unparsed input of one client.");
    ClusterAllowPubsubshardWhenDown => Row::new("cluster-allow-pubsubshard-when-down", Bool, "yes",
        "Serve sharded Pub/Sub while the cluster is down.");
    ClusterAllowReadsWhenDown => Row::new("cluster-allow-reads-when-down", Bool, "no",
        "Serve reads of own slots while the cluster is down.");
    ClusterAllowReplicaMigration => Row::new("cluster-allow-replica-migration", Bool, "yes",
        "Let a replica move to a primary that has none.");
    ClusterAnnounceBusPort => Row::new("cluster-announce-bus-port", PORT, "0",
        "Port of the cluster bus that others are told; 0 is the real one.");
    ClusterAnnounceHostname => Row::new("cluster-announce-hostname", Text, "",
        "Host name that clients are told.").check(hostname);
    ClusterAnnounceHumanNodename => Row::new("cluster-announce-human-nodename", Text, "",
        "Name of this node in logs.").check(node_name);
    ClusterAnnounceIp => Row::new("cluster-announce-ip", Text, "",
        "Address that others are told; empty is the real one.");
    ClusterAnnouncePort => Row::new("cluster-announce-port", PORT, "0",
        "Port that others are told; 0 is the real one.");
    ClusterAnnounceTlsPort => Row::new("cluster-announce-tls-port", PORT, "0",
        "TLS port that others are told; 0 is the real one.");
    ClusterBusSecret => Row::new("cluster-bus-secret", Secret, "",
        "Secret that the nodes of the cluster share; who does not know it may not speak on the bus.").fixed();
    ClusterConfigFile => Row::new("cluster-config-file", Text, "nodes.conf",
        "File of the node's cluster state; written by the server only.").fixed();
    ClusterDatabases => Row::new("cluster-databases", int(1, INT_MAX), "1",
        "Number of databases that SELECT knows in cluster mode.").fixed();
    ClusterEnabled => Row::new("cluster-enabled", Bool, "no", "Run as a node of a cluster.").fixed();
    ClusterFailoverTime => Row::new("cluster-failover-time", int(100, INT_MAX), "1000",
        "Milliseconds from the death of a primary until its slots are writable again, at most; not more than \
         `cluster-node-timeout`.").fixed();
    ClusterInitialPrimaries => Row::new("cluster-initial-primaries", int(0, 1000), "0",
        "Primaries of a cluster that forms itself once enough nodes have found each other by `cluster-seeds`; all \
         slots are divided among them. 0: it waits for an operator.").fixed();
    ClusterLinkSendbufLimit => Row::new("cluster-link-sendbuf-limit", MEMORY_U64, "0",
        "Most bytes waiting on one link of the bus.").ignored(NO_GOSSIP);
    ClusterMigrationBarrier => Row::new("cluster-migration-barrier", NATURAL, "1",
        "Replicas that a primary keeps when one moves to another primary.");
    ClusterNodeTimeout => Row::new("cluster-node-timeout", int(0, LONG_MAX), "15000",
        "Milliseconds of silence after which a node counts as failed.");
    ClusterPingInterval => Row::new("cluster-ping-interval", int(1, INT_MAX), "1000",
        "Milliseconds between pings of the bus.").hidden().ignored(NO_GOSSIP);
    ClusterPort => Row::new("cluster-port", PORT, "0",
        "Port of the cluster bus; 0 is the client port and 10000.").fixed();
    ClusterPreferredEndpointType => Row::new("cluster-preferred-endpoint-type", Choice(EndpointType::CHOICES), "ip",
        "What clients are told as a node's endpoint.");
    ClusterReplicaNoFailover => Row::new("cluster-replica-no-failover", Bool, "no",
        "Never promote this replica by itself.").alias("cluster-slave-no-failover");
    ClusterReplicaValidityFactor => Row::new("cluster-replica-validity-factor", NATURAL, "10",
        "Node timeouts without contact after which a replica is too old to be promoted; 0 \
         never.").alias("cluster-slave-validity-factor");
    ClusterReplicasPerPrimary => Row::new("cluster-replicas-per-primary", int(0, 100), "0",
        "Replicas of each primary of a cluster that forms itself.").fixed();
    ClusterRequireFullCoverage => Row::new("cluster-require-full-coverage", Bool, "yes",
        "Refuse queries while any slot has no owner.");
    ClusterSeeds => Row::new("cluster-seeds", Text, "",
        "Nodes where this one looks for its cluster while it is alone: host:port, separated by commas.").fixed();
    ClusterSlotMigrationHandoffMaxLagBytes => Row::new("cluster-slot-migration-handoff-max-lag-bytes", MEMORY_U64, "1048576",
        "A migration of slots has their writers wait for its end once no more than this is left to send; after a \
         while with more.");
    ClusterSlotMigrationMaxRate => Row::new("cluster-slot-migration-max-rate", MEMORY_U64, "0",
        "Bytes that a migration of slots sends in a second at most; 0 is no limit.");
    ClusterSlotMigrationWritePauseTimeout => Row::new("cluster-slot-migration-write-pause-timeout", int(1, INT_MAX), "10000",
        "Milliseconds for which writers of slots wait at most at the end of a migration; if it takes longer, they go on, \
         and it is tried again.");
    ClusterSlotStatsEnabled => Row::new("cluster-slot-stats-enabled", Bool, "no",
        "Count the time and the bytes of each slot, for CLUSTER SLOT-STATS.");
    ClusterTlsName => Row::new("cluster-tls-name", Text, "localhost",
        "Name that the certificates of all nodes have, where `tls-cluster` is on.").fixed();
    CommandlogLargeReplyMaxLen => Row::new("commandlog-large-reply-max-len", int(0, LONG_MAX), "128",
        "Commands with large replies that COMMANDLOG keeps.");
    CommandlogLargeRequestMaxLen => Row::new("commandlog-large-request-max-len", int(0, LONG_MAX), "128",
        "Large commands that COMMANDLOG keeps.");
    CommandlogReplyLargerThan => Row::new("commandlog-reply-larger-than", int(-1, LONG_MAX), "1048576",
        "Bytes of a reply from which its command is kept for COMMANDLOG; -1 keeps none, 0 every one.");
    CommandlogRequestLargerThan => Row::new("commandlog-request-larger-than", int(-1, LONG_MAX), "1048576",
        "Bytes of a command from which it is kept for COMMANDLOG; -1 keeps none, 0 every one.");
    CrashLogEnabled => Row::new("crash-log-enabled", Bool, "yes", "Log a report when the server crashes.");
    CrashMemcheckEnabled => Row::new("crash-memcheck-enabled", Bool, "yes",
        "Test memory after a crash.").ignored("memory is not tested after a crash");
    Daemonize => Row::new("daemonize", Bool, "no", "Run in the background and write `pidfile`.").fixed();
    Databases => Row::new("databases", int(1, INT_MAX), "16",
        "Number of databases that SELECT knows.").fixed();
    Dbfilename => Row::new("dbfilename", Text, "dump.rdb",
        "Name of the snapshot file, inside `dir`.").protected().check(db_file_name);
    Dir => Row::new("dir", Directory, ".",
        "Working directory: snapshots and append-only files live here.").protected();
    DisableThp => Row::new("disable-thp", Bool, "yes",
        "Turn transparent huge pages off for this process.").fixed().ignored("without fork, huge pages cost no copying");
    DynamicHz => Row::new("dynamic-hz", Bool, "yes",
        "Run the background task oftener when many clients are connected.").ignored("each worker looks after its own clients");
    EnableDebugCommand => Row::new("enable-debug-command", Choice(Guard::CHOICES), "no",
        "Who may use DEBUG: nobody, everybody, or local connections.").fixed();
    EnableModuleCommand => Row::new("enable-module-command", Choice(Guard::CHOICES), "no",
        "Who may use MODULE.").fixed();
    EnableProtectedConfigs => Row::new("enable-protected-configs", Choice(Guard::CHOICES), "no",
        "Who may change `dir` and `dbfilename` with CONFIG SET.").fixed();
    EncryptionKeyFile => Row::new("encryption-key-file", Text, "",
        "File with the keys that encrypt snapshots and the append-only file, one on each line: an id and 64 \
         hexadecimal digits. The first encrypts, all decrypt; empty: nothing is encrypted. CONFIG SET reads it \
         again.").reread();
    HashMaxListpackEntries => Row::new("hash-max-listpack-entries", int(0, LONG_MAX), "512",
        "Fields up to which a hash is packed.").alias("hash-max-ziplist-entries");
    HashMaxListpackValue => Row::new("hash-max-listpack-value", memory(0), "64",
        "Bytes of a field or value up to which a hash is packed.").alias("hash-max-ziplist-value");
    HllSparseMaxBytes => Row::new("hll-sparse-max-bytes", memory(0), "3000",
        "Bytes up to which a HyperLogLog is sparse.");
    Hz => Row::new("hz", NATURAL, "10", "How often in a second background tasks run, 1 to 500.");
    IgnoreWarnings => Row::new("ignore-warnings", Text, "",
        "Names of start-up warnings that do not stop the start.").ignored("no warning stops the start");
    ImportMode => Row::new("import-mode", Bool, "no",
        "While data is brought over from another server: keys are neither expired nor evicted, and connections \
         that call CLIENT IMPORT-SOURCE see those whose time is over.");
    Include => Row::new("include", lines(1, 1), "",
        "Reads another file at this place; the path may hold wildcards.");
    IoThreads => Row::new("io-threads", int(1, 512), "",
        "Worker threads that serve clients and run commands; default: the machine's \
         cores.").alias("threads").fixed().computed(cores);
    IoThreadsDoReads => Row::new("io-threads-do-reads", Bool, "no",
        "Let I/O threads read as well.").fixed().ignored("every worker reads, runs and writes");
    JemallocBgThread => Row::new("jemalloc-bg-thread", Bool, "yes",
        "Let the allocator return memory in a thread of its own.");
    KeyLoadDelay => Row::new("key-load-delay", int(i32::MIN as i64, INT_MAX), "0",
        "For tests: microseconds to wait after each key loaded; a negative number spreads one over that \
         many keys.").hidden();
    LatencyMonitorThreshold => Row::new("latency-monitor-threshold", int(0, LONG_MAX), "0",
        "Milliseconds from which an event is kept for LATENCY; 0 is off.");
    LatencyTracking => Row::new("latency-tracking", Bool, "yes", "Keep a histogram of each command's time.");
    LatencyTrackingInfoPercentiles => Row::new("latency-tracking-info-percentiles", Kind::Percentiles, "50 99 99.9",
        "Percentiles that INFO latencystats shows.");
    LazyexpireNestedArbitraryKeys => Row::new("lazyexpire-nested-arbitrary-keys", Bool, "yes",
        "For tests: delete expired keys that a script touches undeclared.").hidden();
    LazyfreeLazyEviction => Row::new("lazyfree-lazy-eviction", Bool, "no",
        "Free evicted values in the background.");
    LazyfreeLazyExpire => Row::new("lazyfree-lazy-expire", Bool, "no",
        "Free expired values in the background.");
    LazyfreeLazyServerDel => Row::new("lazyfree-lazy-server-del", Bool, "no",
        "Free overwritten values in the background.");
    LazyfreeLazyUserDel => Row::new("lazyfree-lazy-user-del", Bool, "no", "Let DEL do what UNLINK does.");
    LazyfreeLazyUserFlush => Row::new("lazyfree-lazy-user-flush", Bool, "no",
        "Let FLUSHDB, FLUSHALL, SCRIPT FLUSH and FUNCTION FLUSH free in the background unless told \
         otherwise.");
    LfuDecayTime => Row::new("lfu-decay-time", NATURAL, "1",
        "Minutes after which a key's use counter is lowered by one; 0 never lowers it.");
    LfuLogFactor => Row::new("lfu-log-factor", NATURAL, "10", "How slowly the use counter grows.");
    ListCompressDepth => Row::new("list-compress-depth", NATURAL, "0",
        "Nodes at each end of a list that stay uncompressed; 0 compresses none.");
    ListMaxListpackSize => Row::new("list-max-listpack-size", int(i32::MIN as i64, INT_MAX), "-2",
        "Size of a list node: entries if positive; -1 to -5 are 4, 8, 16, 32, 64 \
         kilobytes.").alias("list-max-ziplist-size");
    LoadingProcessEventsIntervalBytes => Row::new("loading-process-events-interval-bytes", int(1024, INT_MAX), "2097152",
        "Bytes loaded between two looks at clients.").hidden();
    Loadmodule => Row::new("loadmodule", lines(1, usize::MAX), "",
        "Loads a module. Holdfast has no modules and refuses to start with one.");
    LocaleCollate => Row::new("locale-collate", Text, "",
        "Locale by which SORT ALPHA compares; empty is the environment's.");
    Logfile => Row::new("logfile", Text, "", "File of the log; empty is standard output.").fixed();
    Loglevel => Row::new("loglevel", Choice(LogLevel::CHOICES), "notice",
        "Least important message that is logged.");
    LuaMemoryLimit => Row::new("lua-memory-limit", memory(1 << 20), "1073741824",
        "Most bytes that the Lua state of one thread may take while a script runs; a script that wants more fails.");
    Masterauth => Row::new("masterauth", Secret, "", "Password that this replica gives its primary.");
    Masteruser => Row::new("masteruser", Text, "", "ACL user that this replica gives its primary.");
    Maxclients => Row::new("maxclients", int(1, u32::MAX as i64), "10000", "Most clients connected at once.");
    Maxmemory => Row::new("maxmemory", MEMORY_U64, "0",
        "Bytes of memory at which keys are evicted or writes refused; 0 is no limit.");
    MaxmemoryClients => Row::new("maxmemory-clients", MemoryOrPercent, "0",
        "Bytes, or percent of maxmemory, for all clients' buffers; the largest client is disconnected \
         first. 0 is no limit.");
    MaxmemoryEvictionTenacity => Row::new("maxmemory-eviction-tenacity", int(0, 100), "10",
        "How much delay eviction may cause: 0 least, 100 no limit.");
    MaxmemoryPolicy => Row::new("maxmemory-policy", Choice(MaxmemoryPolicy::CHOICES), "noeviction",
        "What to evict at maxmemory: among all keys or those with a TTL, the least recently or least often \
         used, a random one, the soonest to expire; or nothing.");
    MaxmemorySamples => Row::new("maxmemory-samples", int(1, INT_MAX), "5",
        "Keys looked at to find one to evict.");
    MinReplicasMaxLag => Row::new("min-replicas-max-lag", NATURAL, "10",
        "Seconds since its last acknowledgement for a replica to count in \
         min-replicas-to-write.").alias("min-slaves-max-lag");
    MinReplicasToWrite => Row::new("min-replicas-to-write", NATURAL, "0",
        "Replicas that must be connected and in time, or writes are refused; 0 is \
         off.").alias("min-slaves-to-write");
    NoAppendfsyncOnRewrite => Row::new("no-appendfsync-on-rewrite", Bool, "no",
        "Do not flush the append-only file while a snapshot or rewrite runs.");
    NotifyKeyspaceEvents => Row::new("notify-keyspace-events", Kind::Notify, "",
        "Events published on Pub/Sub: K and E choose the channels, the other letters the classes, A most \
         classes.");
    OomScoreAdj => Row::new("oom-score-adj", Choice(OOM_SCORE_ADJ), "no",
        "Let the server set how soon the system kills it when memory runs out.");
    OomScoreAdjValues => Row::new("oom-score-adj-values", Kind::OomScores, "0 200 800",
        "Scores of a primary, a replica and a background child.");
    Pidfile => Row::new("pidfile", Text, "",
        "File for the process id; with daemonize, a default one is used.").fixed();
    Port => Row::new("port", PORT, "6379", "TCP port; 0 listens on none.");
    ProcTitleTemplate => Row::new("proc-title-template", Text, "{title} {listen-addr} {server-mode}",
        "Title of the process.").check(title_template);
    PropagationErrorBehavior => Row::new("propagation-error-behavior", Choice(PropagationErrors::CHOICES), "ignore",
        "What to do when the replication stream or the append-only file holds a command that fails.");
    ProtectedMode => Row::new("protected-mode", Bool, "yes",
        "Serve local clients only while the default user has no password and no address is bound.");
    ProtoMaxBulkLen => Row::new("proto-max-bulk-len", memory(1 << 20), "536870912",
        "Most bytes of one argument or string value.");
    RdbDelSyncFiles => Row::new("rdb-del-sync-files", Bool, "no",
        "Delete snapshot files that only replication needed.");
    RdbDialect => Row::new("rdb-dialect", Choice(RdbDialect::CHOICES), "redis",
        "Whose form snapshots and DUMP use for hashes whose fields expire, the only data that need a newer one \
         than Redis 7.0 reads: `redis` is version 12 (Redis 7.4), `valkey` version 80 (Valkey 9).");
    RdbKeySaveDelay => Row::new("rdb-key-save-delay", int(i32::MIN as i64, INT_MAX), "0",
        "For tests: microseconds to wait after each key saved; a negative number spreads one over that many \
         keys.").hidden();
    RdbSaveIncrementalFsync => Row::new("rdb-save-incremental-fsync", Bool, "yes",
        "Flush to the disk in steps while a snapshot is written.");
    Rdbchecksum => Row::new("rdbchecksum", Bool, "yes",
        "End snapshot files with a checksum and verify it.").fixed();
    Rdbcompression => Row::new("rdbcompression", Bool, "yes", "Compress strings in snapshot files.");
    RenameCommand => Row::new("rename-command", lines(2, 2), "",
        "Gives a command another name; an empty one takes it away.");
    ReplBacklogSize => Row::new("repl-backlog-size", memory(1), "1048576",
        "Bytes of past writes kept for replicas that reconnect.");
    ReplBacklogTtl => Row::new("repl-backlog-ttl", int(0, LONG_MAX), "3600",
        "Seconds without a replica after which the backlog is freed; 0 keeps it.");
    ReplDisableTcpNodelay => Row::new("repl-disable-tcp-nodelay", Bool, "no",
        "Send to replicas in fewer, later packets.");
    ReplDisklessLoad => Row::new("repl-diskless-load", Choice(DisklessLoad::CHOICES), "disabled",
        "Load a full synchronization straight from the socket.")
        .ignored("a full synchronization is always loaded from the socket, beside the old data");
    ReplDisklessSync => Row::new("repl-diskless-sync", Bool, "yes",
        "Send a full synchronization without a file.");
    ReplDisklessSyncDelay => Row::new("repl-diskless-sync-delay", NATURAL, "5",
        "Seconds to wait for more replicas before a full synchronization.");
    ReplDisklessSyncMaxReplicas => Row::new("repl-diskless-sync-max-replicas", NATURAL, "0",
        "Replicas at which that wait ends; 0 waits to the end.");
    ReplFullSyncBuffer => Row::new("repl-full-sync-buffer", memory(0), "0",
        "Bytes of the log and of old values that may be held for replicas in a full synchronization; writers are \
         slowed before there are more. 0 is 64 MB and 5 % of the memory in use.");
    ReplPingReplicaPeriod => Row::new("repl-ping-replica-period", int(1, INT_MAX), "10",
        "Seconds between a primary's pings to its replicas.").alias("repl-ping-slave-period");
    ReplTimeout => Row::new("repl-timeout", int(1, INT_MAX), "60",
        "Seconds of silence after which a replication link is broken off.");
    ReplicaAnnounceIp => Row::new("replica-announce-ip", Text, "",
        "Address that a replica tells its primary.").alias("slave-announce-ip");
    ReplicaAnnouncePort => Row::new("replica-announce-port", PORT, "0",
        "Port that a replica tells its primary.").alias("slave-announce-port");
    ReplicaAnnounced => Row::new("replica-announced", Bool, "yes", "Let Sentinel list this replica.");
    ReplicaIgnoreDiskWriteErrors => Row::new("replica-ignore-disk-write-errors", Bool, "no",
        "Let a replica go on when it cannot write to its disk.").ignored("a replica always goes on; its log tells");
    ReplicaIgnoreMaxmemory => Row::new("replica-ignore-maxmemory", Bool, "yes",
        "Leave eviction to the primary.").alias("slave-ignore-maxmemory");
    ReplicaLazyFlush => Row::new("replica-lazy-flush", Bool, "no",
        "Free a replica's old data in the background before a full \
         synchronization.").alias("slave-lazy-flush").ignored("old data are always freed in the background");
    ReplicaPriority => Row::new("replica-priority", NATURAL, "100",
        "Order in which Sentinel promotes replicas, lowest first; 0 never.").alias("slave-priority");
    ReplicaReadOnly => Row::new("replica-read-only", Bool, "yes",
        "Refuse clients' writes on a replica.").alias("slave-read-only");
    ReplicaServeStaleData => Row::new("replica-serve-stale-data", Bool, "yes",
        "Answer reads on a replica that has lost its primary.").alias("slave-serve-stale-data");
    Replicaof => Row::new("replicaof", Kind::ReplicaOf, "",
        "Host and port of the primary that this server copies.").alias("slaveof").fixed();
    Requirepass => Row::new("requirepass", Secret, "", "Password of the default user; empty asks for none.");
    SanitizeDumpPayload => Row::new("sanitize-dump-payload", Choice(Sanitize::CHOICES), "no",
        "Whose payloads and files are checked in depth when they are loaded.");
    Save => Row::new("save", Kind::Save, "3600 1 300 100 60 10000",
        "Seconds and changes after which a snapshot is written, in pairs; an empty value writes none.");
    ServerCpulist => Row::new("server_cpulist", Text, "",
        "CPUs for the workers.").fixed().ignored("the system places the workers");
    SetMaxIntsetEntries => Row::new("set-max-intset-entries", int(0, LONG_MAX), "512",
        "Members up to which a set of integers is packed.");
    SetMaxListpackEntries => Row::new("set-max-listpack-entries", int(0, LONG_MAX), "128",
        "Members up to which a set is packed.");
    SetMaxListpackValue => Row::new("set-max-listpack-value", memory(0), "64",
        "Bytes of a member up to which a set is packed.");
    SetProcTitle => Row::new("set-proc-title", Bool, "yes",
        "Show the server's state in the title of the process.").fixed();
    ShutdownOnSigint => Row::new("shutdown-on-sigint", Flags(SHUTDOWN_ON_SIGNAL), "default",
        "How SIGINT ends the server: words as of SHUTDOWN.");
    ShutdownOnSigterm => Row::new("shutdown-on-sigterm", Flags(SHUTDOWN_ON_SIGNAL), "default",
        "How SIGTERM ends the server.");
    ShutdownTimeout => Row::new("shutdown-timeout", NATURAL, "10",
        "Seconds that a shutdown waits for replicas that lag; 0 waits for none.");
    SlowlogLogSlowerThan => Row::new("slowlog-log-slower-than", int(-1, LONG_MAX), "10000",
        "Microseconds from which a command is kept for SLOWLOG; -1 keeps none, 0 every one.")
        .alias("commandlog-execution-slower-than");
    SlowlogMaxLen => Row::new("slowlog-max-len", int(0, LONG_MAX), "128", "Entries that SLOWLOG keeps.")
        .alias("commandlog-slow-execution-max-len");
    SnapshotBufferLimit => Row::new("snapshot-buffer-limit", memory(0), "0",
        "Bytes of old values that wait to be written while a snapshot runs and clients write; writers are slowed \
         down from half of it on. 0 is 40 MB and 4 percent of the memory in use.");
    SnapshotHoldTimeout => Row::new("snapshot-hold-timeout", NATURAL, "2000",
        "Milliseconds that a snapshot which cannot be written may hold writers back before it is given up and \
         has failed; 0 is for ever.");
    SocketMarkId => Row::new("socket-mark-id", int(0, u32::MAX as i64), "0",
        "Mark of listening sockets for packet filters.").fixed();
    StopWritesOnBgsaveError => Row::new("stop-writes-on-bgsave-error", Bool, "yes",
        "Refuse writes after a snapshot failed.");
    StreamNodeMaxBytes => Row::new("stream-node-max-bytes", memory(0), "4096",
        "Bytes of a stream node; 0 is no limit.");
    StreamNodeMaxEntries => Row::new("stream-node-max-entries", int(0, LONG_MAX), "100",
        "Entries of a stream node; 0 is no limit.");
    Supervised => Row::new("supervised", Choice(Supervised::CHOICES), "no",
        "Service manager to tell when the server is ready.").fixed();
    SyslogEnabled => Row::new("syslog-enabled", Bool, "no", "Log to the system log as well.").fixed();
    SyslogFacility => Row::new("syslog-facility", Choice(SyslogFacility::CHOICES), "local0",
        "Facility in the system log.").fixed();
    SyslogIdent => Row::new("syslog-ident", Text, "redis", "Name in the system log.").fixed();
    TcpBacklog => Row::new("tcp-backlog", NATURAL, "511",
        "Connections that may wait to be accepted.").fixed();
    TcpKeepalive => Row::new("tcp-keepalive", NATURAL, "300",
        "Seconds of silence after which TCP probes a client; 0 never.");
    Timeout => Row::new("timeout", NATURAL, "0",
        "Seconds after which an idle client is disconnected; 0 never.");
    TlsAuthClients => Row::new("tls-auth-clients", Choice(TlsAuthClients::CHOICES), "yes",
        "Whether TLS clients must show a certificate.");
    TlsCaCertDir => Row::new("tls-ca-cert-dir", Text, "",
        "Directory of certificates of trusted authorities.").reread();
    TlsCaCertFile => Row::new("tls-ca-cert-file", Text, "", "File of certificates of trusted authorities.").reread();
    TlsCertFile => Row::new("tls-cert-file", Text, "", "Certificate of the server.").reread();
    TlsCiphers => Row::new("tls-ciphers", Text, "", "Ciphers of TLS 1.2.").ignored(BY_RUSTLS);
    TlsCiphersuites => Row::new("tls-ciphersuites", Text, "", "Cipher suites of TLS 1.3.").ignored(BY_RUSTLS);
    TlsClientCertFile => Row::new("tls-client-cert-file", Text, "",
        "Certificate of outgoing connections; empty is the server's.").reread();
    TlsClientKeyFile => Row::new("tls-client-key-file", Text, "", "Private key of outgoing connections.").reread();
    TlsClientKeyFilePass => Row::new("tls-client-key-file-pass", Secret, "", "Password of that key.");
    TlsCluster => Row::new("tls-cluster", Bool, "no", "Use TLS between the nodes of a cluster.");
    TlsDhParamsFile => Row::new("tls-dh-params-file", Text, "",
        "Diffie-Hellman parameters.").ignored(BY_RUSTLS);
    TlsKeyFile => Row::new("tls-key-file", Text, "", "Private key of the server.").reread();
    TlsKeyFilePass => Row::new("tls-key-file-pass", Secret, "", "Password of that key.").reread();
    TlsPort => Row::new("tls-port", PORT, "0", "TCP port for TLS; 0 listens on none.");
    TlsPreferServerCiphers => Row::new("tls-prefer-server-ciphers", Bool, "no",
        "Choose ciphers in the server's order.").ignored(BY_RUSTLS);
    TlsProtocols => Row::new("tls-protocols", Text, "",
        "Versions of TLS that are accepted; empty is every safe one.");
    TlsReplication => Row::new("tls-replication", Bool, "no", "Use TLS to the primary.");
    TlsSessionCacheSize => Row::new("tls-session-cache-size", NATURAL, "20480",
        "TLS sessions kept for resumption; 0 is a million.");
    TlsSessionCacheTimeout => Row::new("tls-session-cache-timeout", NATURAL, "300",
        "Seconds that a TLS session is kept.").ignored(BY_RUSTLS);
    TlsSessionCaching => Row::new("tls-session-caching", Bool, "yes", "Let clients resume TLS sessions.");
    TrackingTableMaxKeys => Row::new("tracking-table-max-keys", int(0, LONG_MAX), "1000000",
        "Keys remembered for client-side caching; 0 is no limit.");
    Unixsocket => Row::new("unixsocket", Text, "",
        "Path of a Unix socket to listen on; empty is none.").fixed();
    Unixsocketperm => Row::new("unixsocketperm", Kind::Octal { max: 0o777 }, "0",
        "Permissions of that socket, octal; 0 leaves them to the system.").fixed();
    UseExitOnPanic => Row::new("use-exit-on-panic", Bool, "no",
        "For tests: end quietly instead of aborting.").hidden();
    User => Row::new("user", lines(1, usize::MAX), "", "Declares an ACL user: a name and its rules.");
    WatchdogPeriod => Row::new("watchdog-period", NATURAL, "0",
        "Milliseconds after which a stuck command is reported.").hidden().ignored("no watchdog signal is used");
    ZsetMaxListpackEntries => Row::new("zset-max-listpack-entries", int(0, LONG_MAX), "128",
        "Members up to which a sorted set is packed.").alias("zset-max-ziplist-entries");
    ZsetMaxListpackValue => Row::new("zset-max-listpack-value", memory(0), "64",
        "Bytes of a member up to which a sorted set is packed.").alias("zset-max-ziplist-value");
}

/// Directives that Redis dropped but still reads from a file, with one word each; they do nothing.
pub const DROPPED: &[&str] = &[
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "lua-replicate-commands",
];
