//! What a command declares about itself. Everything that describes commands (COMMAND, COMMAND DOCS, arity checks,
//! key extraction, ACL categories, docs/commands.md) is derived from these values and never written a second time.
//!
//! Must not know: handlers, sessions, data.

use std::fmt;

/// One command or subcommand. Subcommands are named `container|sub`, as Redis names them.
#[derive(Debug)]
pub struct Spec {
    /// Lower case; `client|list` for a subcommand.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least so many. A subcommand counts both words.
    pub arity: i16,
    /// Command flags, as COMMAND INFO shows them.
    pub flags: Flags,
    /// ACL categories beside those which the flags imply, see `acl_categories`.
    pub acl: Acl,
    /// Where the keys stand in the arguments.
    pub keys: &'static [KeySpec],
    /// Group of COMMAND DOCS.
    pub group: Group,
    /// First Redis version with this command.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// Command tips (`nondeterministic_output`, `request_policy:all_shards`, ...).
    pub tips: &'static [&'static str],
    /// Arguments of COMMAND DOCS.
    pub args: &'static [Arg],
    /// Set for deprecated commands.
    pub deprecated: Option<Deprecated>,
}

/// Since when a command is deprecated and what to use in its place.
#[derive(Debug)]
pub struct Deprecated {
    /// Version.
    pub since: &'static str,
    /// Replacement, in words.
    pub replaced_by: &'static str,
}

macro_rules! bit_set {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$m:meta])* $flag:ident = $bit:expr, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name($repr);
        impl $name {
            /// None of them.
            pub const NONE: Self = Self(0);
            $($(#[$m])* pub const $flag: Self = Self(1 << $bit);)*
            /// Both sets together; usable in constants.
            pub const fn or(self, other: Self) -> Self { Self(self.0 | other.0) }
            /// True if every member of `other` is in `self`.
            pub const fn has(self, other: Self) -> bool { self.0 & other.0 == other.0 }
            /// True if some member of `other` is in `self`.
            pub const fn any(self, other: Self) -> bool { self.0 & other.0 != 0 }
            /// True if nothing is set.
            pub const fn is_empty(self) -> bool { self.0 == 0 }
            /// Every member with Redis's name for it, in Redis's order.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$flag, $text)),*];
            /// Redis's names of the members, without those that Redis does not know.
            pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
                Self::ALL.iter().filter(move |(f, n)| self.has(*f) && !n.is_empty()).map(|(_, n)| *n)
            }
        }
        impl std::ops::BitOr for $name { type Output = Self; fn bitor(self, o: Self) -> Self { self.or(o) } }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.debug_set().entries(self.names()).finish() }
        }
    };
}

bit_set! {
    /// Command flags. `f!(WRITE, FAST)` joins several.
    Flags: u32 {
        /// May change data.
        WRITE = 0, "write";
        /// Only reads data.
        READONLY = 1, "readonly";
        /// Refused when memory is over `maxmemory`.
        DENYOOM = 2, "denyoom";
        /// Module command.
        MODULE = 3, "module";
        /// Administration.
        ADMIN = 4, "admin";
        /// Publish/subscribe.
        PUBSUB = 5, "pubsub";
        /// Not from scripts.
        NOSCRIPT = 6, "noscript";
        /// May block the client.
        BLOCKING = 7, "blocking";
        /// Allowed while data is being loaded.
        LOADING = 8, "loading";
        /// Allowed on a replica with stale data.
        STALE = 9, "stale";
        /// Not shown to MONITOR.
        SKIP_MONITOR = 10, "skip_monitor";
        /// Not shown in SLOWLOG.
        SKIP_SLOWLOG = 11, "skip_slowlog";
        /// ASKING is implied.
        ASKING = 12, "asking";
        /// O(1) or O(log n).
        FAST = 13, "fast";
        /// Needs no authentication.
        NO_AUTH = 14, "no_auth";
        /// May replicate although it is no write command: CLIENT PAUSE WRITE holds it. Redis has the flag, and COMMAND
        /// INFO of 7.0.15 does not show it.
        MAY_REPLICATE = 15, "";
        /// Only for sentinels.
        SENTINEL = 16, "sentinel";
        /// Only for sentinels.
        ONLY_SENTINEL = 17, "only_sentinel";
        /// May be called without the keys that its specs describe (EVAL with no key).
        NO_MANDATORY_KEYS = 18, "no_mandatory_keys";
        /// Refused while a replica loads a new data set beside the one it serves.
        NO_ASYNC_LOADING = 19, "no_async_loading";
        /// Not inside MULTI.
        NO_MULTI = 20, "no_multi";
        /// First key, last key and step do not find all keys: the key specs or the command's own logic do.
        MOVABLEKEYS = 21, "movablekeys";
        /// Allowed while a script runs longer than its time limit.
        ALLOW_BUSY = 22, "allow_busy";
        /// Wants every shard locked: its keys are unknown beforehand. Ours alone, so it has no name.
        ALL_SHARDS = 23, "";
        /// Wants the shards one after another, one lock at a time (SCAN). Ours alone, so it has no name.
        ROAM = 25, "";
        /// Meant for servers among themselves or for tests; shown by COMMAND DOCS, not by COMMAND INFO.
        SYSCMD = 24, "";
    }
}

bit_set! {
    /// ACL categories.
    Acl: u32 {
        /// keyspace
        KEYSPACE = 0, "keyspace";
        /// read
        READ = 1, "read";
        /// write
        WRITE = 2, "write";
        /// set
        SET = 3, "set";
        /// sortedset
        SORTEDSET = 4, "sortedset";
        /// list
        LIST = 5, "list";
        /// hash
        HASH = 6, "hash";
        /// string
        STRING = 7, "string";
        /// bitmap
        BITMAP = 8, "bitmap";
        /// hyperloglog
        HYPERLOGLOG = 9, "hyperloglog";
        /// geo
        GEO = 10, "geo";
        /// stream
        STREAM = 11, "stream";
        /// pubsub
        PUBSUB = 12, "pubsub";
        /// admin
        ADMIN = 13, "admin";
        /// fast
        FAST = 14, "fast";
        /// slow
        SLOW = 15, "slow";
        /// blocking
        BLOCKING = 16, "blocking";
        /// dangerous
        DANGEROUS = 17, "dangerous";
        /// connection
        CONNECTION = 18, "connection";
        /// transaction
        TRANSACTION = 19, "transaction";
        /// scripting
        SCRIPTING = 20, "scripting";
    }
}

bit_set! {
    /// What a command does with a key.
    KeyFlags: u16 {
        /// Reads and writes.
        RW = 0, "RW";
        /// Only reads.
        RO = 1, "RO";
        /// Overwrites.
        OW = 2, "OW";
        /// Removes.
        RM = 3, "RM";
        /// The value's data is used.
        ACCESS = 4, "access";
        /// The value's data is changed.
        UPDATE = 5, "update";
        /// Data is added.
        INSERT = 6, "insert";
        /// Data is deleted.
        DELETE = 7, "delete";
        /// No key, but placed like one (channels of shard pub/sub).
        NOT_KEY = 8, "not_key";
        /// This spec may not find all keys.
        INCOMPLETE = 9, "incomplete";
        /// The flags depend on other arguments.
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Joins constants of one of the sets: `flags!(Flags: WRITE, FAST)`.
#[macro_export]
macro_rules! flags {
    ($t:ident: $($f:ident),* $(,)?) => { $crate::spec::$t::NONE$(.or($crate::spec::$t::$f))* };
}

/// Group of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    Hyperloglog,
    List,
    Pubsub,
    Scripting,
    Sentinel,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    /// The name that COMMAND DOCS uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::Hyperloglog => "hyperloglog",
            Self::List => "list",
            Self::Pubsub => "pubsub",
            Self::Scripting => "scripting",
            Self::Sentinel => "sentinel",
            Self::Server => "server",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }
}

/// One key specification, as in COMMAND INFO: where the search begins and how keys are found from there.
#[derive(Debug)]
pub struct KeySpec {
    /// Note shown in COMMAND INFO; empty for none.
    pub notes: &'static str,
    /// What happens to these keys.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// How keys are found from there.
    pub find: Find,
}

/// Begin of the search for keys.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// At this argument (the command's name is 0).
    Index(u8),
    /// After the argument that equals this word; the search for it starts at this index (negative: from the end, backward).
    Keyword(&'static str, i8),
    /// Only the command's own logic knows.
    Unknown,
}

/// How the keys are found from the begin.
#[derive(Debug, Clone, Copy)]
pub enum Find {
    /// `last` relative to the begin (negative: from the end of argv, -1 is the last argument), every `step`-th argument;
    /// `limit`: if last is -1, only the first 1/limit of the remaining arguments (0 and 1: all).
    Range {
        /// Index of the last key.
        last: i16,
        /// Distance between keys.
        step: u8,
        /// Divisor.
        limit: u8,
    },
    /// The number of keys stands at begin + `num`; the first key at begin + `first`.
    KeyNum {
        /// Offset of the number.
        num: u8,
        /// Offset of the first key.
        first: u8,
        /// Distance between keys.
        step: u8,
    },
    /// Only the command's own logic knows.
    Unknown,
}

/// One argument of COMMAND DOCS. Built with the const functions below.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub kind: ArgKind,
    /// Literal word before (or, for pure tokens, instead of) the value.
    pub token: Option<&'static str>,
    /// Index of the key spec for keys.
    pub key_spec: Option<u8>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Repeated together with its token.
    pub multiple_token: bool,
    /// Version that added it; empty: the command's own.
    pub since: &'static str,
    /// Members of one-of and block arguments.
    pub args: &'static [Arg],
}

/// Type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgKind {
    /// The name that COMMAND DOCS uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

impl Arg {
    const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            kind,
            token: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: "",
            args: &[],
        }
    }
    /// A string.
    pub const fn string(name: &'static str) -> Self {
        Self::new(name, ArgKind::String)
    }
    /// An integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ArgKind::Integer)
    }
    /// A double.
    pub const fn double(name: &'static str) -> Self {
        Self::new(name, ArgKind::Double)
    }
    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> Self {
        Self::new(name, ArgKind::Pattern)
    }
    /// A point in time.
    pub const fn unix_time(name: &'static str) -> Self {
        Self::new(name, ArgKind::UnixTime)
    }
    /// A key found by key spec number `spec`.
    pub const fn key(name: &'static str, spec: u8) -> Self {
        let mut a = Self::new(name, ArgKind::Key);
        a.key_spec = Some(spec);
        a
    }
    /// A literal word.
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        Self::new(name, ArgKind::PureToken).token(token)
    }
    /// One of several.
    pub const fn one_of(name: &'static str, args: &'static [Arg]) -> Self {
        let mut a = Self::new(name, ArgKind::OneOf);
        a.args = args;
        a
    }
    /// Several that belong together.
    pub const fn block(name: &'static str, args: &'static [Arg]) -> Self {
        let mut a = Self::new(name, ArgKind::Block);
        a.args = args;
        a
    }
    /// Preceded by a literal word.
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }
    /// May be left out.
    pub const fn opt(mut self) -> Self {
        self.optional = true;
        self
    }
    /// May be repeated.
    pub const fn multi(mut self) -> Self {
        self.multiple = true;
        self
    }
    /// May be repeated, each time with its token.
    pub const fn multi_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }
    /// Belongs to key spec number `spec` without being a key itself (the patterns of SORT).
    pub const fn in_key_spec(mut self, spec: u8) -> Self {
        self.key_spec = Some(spec);
        self
    }
    /// Added by this version.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }
}

impl KeySpec {
    /// Key at one index.
    pub const fn one(index: u8, flags: KeyFlags) -> Self {
        Self::range(index, 0, 1, flags)
    }
    /// Keys from `first` on, see [`Find::Range`].
    pub const fn range(first: u8, last: i16, step: u8, flags: KeyFlags) -> Self {
        Self {
            notes: "",
            flags,
            begin: Begin::Index(first),
            find: Find::Range { last, step, limit: 0 },
        }
    }
    /// Number of keys at `num`, the keys right after it.
    pub const fn counted(num: u8, flags: KeyFlags) -> Self {
        Self {
            notes: "",
            flags,
            begin: Begin::Index(num),
            find: Find::KeyNum {
                num: 0,
                first: 1,
                step: 1,
            },
        }
    }
}

impl Spec {
    /// Neutral values, for `..Spec::DEFAULT` in declarations.
    pub const DEFAULT: Self = Self {
        name: "",
        arity: 1,
        flags: Flags::NONE,
        acl: Acl::NONE,
        keys: &[],
        group: Group::Generic,
        since: "1.0.0",
        summary: "",
        complexity: "",
        tips: &[],
        args: &[],
        deprecated: None,
    };

    /// All ACL categories: the declared ones and those that the flags imply.
    ///
    /// Writing, administrative (also dangerous), pub/sub, blocking and fast commands belong to the category of that
    /// name; what is not fast is slow; what only reads is in `read` unless it runs scripts.
    pub const fn acl_categories(&self) -> Acl {
        let implied = [
            (Flags::WRITE, Acl::WRITE),
            (Flags::ADMIN, Acl::ADMIN.or(Acl::DANGEROUS)),
            (Flags::PUBSUB, Acl::PUBSUB),
            (Flags::BLOCKING, Acl::BLOCKING),
            (Flags::FAST, Acl::FAST),
        ];
        let mut all = self.acl;
        let mut i = 0;
        while i < implied.len() {
            if self.flags.has(implied[i].0) {
                all = all.or(implied[i].1);
            }
            i += 1;
        }
        if self.flags.has(Flags::READONLY) && !all.has(Acl::SCRIPTING) {
            all = all.or(Acl::READ);
        }
        if !all.has(Acl::FAST) {
            all = all.or(Acl::SLOW);
        }
        all
    }

    /// True if `argc` arguments (with the name) are allowed.
    pub const fn arity_ok(&self, argc: usize) -> bool {
        if self.arity >= 0 {
            argc == self.arity as usize
        } else {
            argc >= self.arity.unsigned_abs() as usize
        }
    }
}
