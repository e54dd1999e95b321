//! Directives whose value is one word of a list, as Rust enums.
//!
//! The stored number is the position in the list. Nothing here knows which row uses which list.

use super::row::Choice;

macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? })+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // each variant is the word beside it
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every value, in the order in which errors list them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The words and their codes.
            pub const CHOICES: &'static [Choice] =
                &[$(Choice { name: $word, code: $name::$variant as i64 }),+];

            /// The value that `code` stores; an unknown code gives the first.
            pub fn from_code(code: i64) -> Self {
                usize::try_from(code).ok().and_then(|i| Self::ALL.get(i)).copied().unwrap_or(Self::ALL[0])
            }

            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    )+ };
}

choices! {
    /// Pub/Sub channels that a new ACL user may use.
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
    /// When the append-only file is flushed to the disk.
    Appendfsync { EverySecond = "everysec", Always = "always", No = "no" }
    /// What CLUSTER SLOTS gives clients as an endpoint.
    EndpointType { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }
    /// Who may use a guarded command.
    Guard { No = "no", Yes = "yes", Local = "local" }
    /// Least important message that is logged.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning" }
    /// What is evicted when `maxmemory` is reached.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl", AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", Noeviction = "noeviction",
    }
    /// What to do when a replica or the AOF applies a command that fails.
    PropagationErrors { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
    /// Whose newer form of RDB is written where an older one will not do.
    RdbDialect { Redis = "redis", Valkey = "valkey" }
    /// How a replica loads a full synchronization.
    DisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb" }
    /// Whether payloads of RESTORE and RDB files are checked in depth.
    Sanitize { No = "no", Yes = "yes", Clients = "clients" }
    /// Which service manager is told about the state of the process.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// Facility of the system log.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    /// Whether TLS clients must show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
}

impl From<RdbDialect> for holdfast_rdb::Dialect {
    fn from(dialect: RdbDialect) -> Self {
        match dialect {
            RdbDialect::Redis => Self::Redis,
            RdbDialect::Valkey => Self::Valkey,
        }
    }
}

const fn choice(name: &'static str, code: i64) -> Choice {
    Choice { name, code }
}

/// `oom-score-adj`: `relative` is what `yes` means.
pub const OOM_SCORE_ADJ: &[Choice] = &[
    choice("no", 0),
    choice("yes", 1),
    choice("relative", 1),
    choice("absolute", 2),
];

/// Flags of `shutdown-on-sigint` and `shutdown-on-sigterm`.
pub const SHUTDOWN_ON_SIGNAL: &[Choice] = &[
    choice("default", 0),
    choice("save", SHUTDOWN_SAVE),
    choice("nosave", SHUTDOWN_NOSAVE),
    choice("now", SHUTDOWN_NOW),
    choice("force", SHUTDOWN_FORCE),
];
/// Save even without save points.
pub const SHUTDOWN_SAVE: i64 = 1;
/// Do not save even with save points.
pub const SHUTDOWN_NOSAVE: i64 = 2;
/// Do not wait for lagging replicas.
pub const SHUTDOWN_NOW: i64 = 4;
/// End even where saving failed.
pub const SHUTDOWN_FORCE: i64 = 8;
