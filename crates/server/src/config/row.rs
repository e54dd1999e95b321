//! The shape of one configuration directive: its name, what values it takes, who may change it, what it means.
//!
//! A row is a constant; it holds no value. Parsing and printing live in `value.rs`, the rows in `params.rs`.

/// An extra rule of a row: sees the value as stored (a number in decimal), and says what is wrong with it.
pub type Rule = fn(&[u8]) -> Result<(), &'static str>;

/// One directive of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name as CONFIG GET prints it, lower case.
    pub name: &'static str,
    /// An older name that means the same row (`slave-priority`, `hash-max-ziplist-entries`).
    pub alias: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// The default, written as in a configuration file: words separated by one space.
    pub default: &'static str,
    /// A default that depends on the machine; `default` then only documents it.
    pub computed: Option<fn() -> String>,
    /// Who may change it while the server runs.
    pub mutability: Mutability,
    /// Answered only when asked for by its full name, never by a pattern, as Redis does with test-only rows.
    pub hidden: bool,
    /// Whether the value does anything.
    pub status: Status,
    /// It names a file that is read anew whenever it is set, even to what it was (as Redis does with certificates).
    pub reread: bool,
    /// An extra rule, checked after the kind accepted the value.
    pub check: Option<Rule>,
    /// An extra rule for CONFIG SET only: the file may say it, a client may not.
    pub check_set: Option<Rule>,
    /// What it does, in our own words, for the sample file.
    pub doc: &'static str,
}

/// Who may change a row while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    /// CONFIG SET may change it.
    Mutable,
    /// Fixed at start.
    Immutable,
    /// CONFIG SET may change it where `enable-protected-configs` allows.
    Protected,
}

/// Whether a row does anything in Holdfast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The server acts on it.
    Used,
    /// Known to Redis and accepted, with the reason why it means nothing here.
    Ignored(&'static str),
}

/// One named value of an enumerated row; `code` is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The word in the file; matched without regard to case.
    pub name: &'static str,
    /// The stored number. Two names with one code are synonyms; the first is printed.
    pub code: i64,
}

/// What values a row takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`; stored as 1 or 0.
    Bool,
    /// A decimal integer in `min..=max`, written strictly (no sign `+`, no leading zero).
    Int {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// Bytes with an optional unit `b k kb m mb g gb` (decimal without the b, binary with it).
    Memory {
        /// Least number of bytes.
        min: u64,
        /// Greatest number of bytes; what exceeds `i64::MAX` is stored as `i64::MAX`.
        max: u64,
    },
    /// Bytes as above, or `n%` of `maxmemory`, which is stored as `-n`.
    MemoryOrPercent,
    /// An octal number in `0..=max`.
    Octal {
        /// Greatest value.
        max: i64,
    },
    /// One word of a list.
    Choice(&'static [Choice]),
    /// Several words of a list, their codes or-ed.
    Flags(&'static [Choice]),
    /// Any bytes, one word.
    Text,
    /// Any bytes, one word, never to be logged.
    Secret,
    /// A directory that exists; kept as an absolute path.
    Directory,
    /// Up to `max` words.
    Words {
        /// Greatest number of words.
        max: usize,
    },
    /// `host port`, or `no one`.
    ReplicaOf,
    /// Pairs of seconds and changes.
    Save,
    /// Quadruples of class, hard limit, soft limit and soft seconds.
    OutputLimits,
    /// Letters of event classes.
    Notify,
    /// Three scores: primary, replica, background child.
    OomScores,
    /// Percentiles between 0 and 100.
    Percentiles,
    /// A directive of the file only, which may be repeated, with at least `min_words` words after its name.
    Lines {
        /// Least number of words after the name.
        min_words: usize,
        /// Greatest number of words after the name.
        max_words: usize,
    },
}

impl Kind {
    /// True where CONFIG SET splits its one argument at spaces and the file takes several words.
    pub const fn takes_words(&self) -> bool {
        match self {
            Kind::Flags(_)
            | Kind::Words { .. }
            | Kind::ReplicaOf
            | Kind::Save
            | Kind::OutputLimits
            | Kind::OomScores
            | Kind::Percentiles
            | Kind::Lines { .. } => true,
            Kind::Bool
            | Kind::Int { .. }
            | Kind::Memory { .. }
            | Kind::MemoryOrPercent
            | Kind::Octal { .. }
            | Kind::Choice(_)
            | Kind::Text
            | Kind::Secret
            | Kind::Directory
            | Kind::Notify => false,
        }
    }

    /// True where the value is stored as a number.
    pub const fn is_number(&self) -> bool {
        match self {
            Kind::Bool
            | Kind::Int { .. }
            | Kind::Memory { .. }
            | Kind::MemoryOrPercent
            | Kind::Octal { .. }
            | Kind::Choice(_)
            | Kind::Flags(_)
            | Kind::Notify => true,
            Kind::Text
            | Kind::Secret
            | Kind::Directory
            | Kind::Words { .. }
            | Kind::ReplicaOf
            | Kind::Save
            | Kind::OutputLimits
            | Kind::OomScores
            | Kind::Percentiles
            | Kind::Lines { .. } => false,
        }
    }

    /// True where the value lives in the file only and CONFIG GET and SET do not know it.
    pub const fn is_file_only(&self) -> bool {
        matches!(self, Kind::Lines { .. })
    }
}

impl Row {
    /// A mutable, visible, used row without alias.
    pub const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Row {
            name,
            alias: None,
            kind,
            default,
            computed: None,
            mutability: Mutability::Mutable,
            hidden: false,
            status: Status::Used,
            reread: false,
            check: None,
            check_set: None,
            doc,
        }
    }

    /// With an older name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Fixed at start.
    pub const fn fixed(mut self) -> Self {
        self.mutability = Mutability::Immutable;
        self
    }

    /// Changed only where `enable-protected-configs` allows.
    pub const fn protected(mut self) -> Self {
        self.mutability = Mutability::Protected;
        self
    }

    /// Not answered to patterns.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Accepted, without meaning here.
    pub const fn ignored(mut self, reason: &'static str) -> Self {
        self.status = Status::Ignored(reason);
        self
    }

    /// Acted on whenever it is set: the file that it names may have changed.
    pub const fn reread(mut self) -> Self {
        self.reread = true;
        self
    }

    /// With a default that depends on the machine.
    pub const fn computed(mut self, default: fn() -> String) -> Self {
        self.computed = Some(default);
        self
    }

    /// With an extra rule.
    pub const fn check(mut self, rule: Rule) -> Self {
        self.check = Some(rule);
        self
    }

    /// With an extra rule for CONFIG SET.
    pub const fn check_set(mut self, rule: Rule) -> Self {
        self.check_set = Some(rule);
        self
    }

    /// The default in effect on this machine.
    pub fn default_text(&self) -> std::borrow::Cow<'static, str> {
        match self.computed {
            Some(compute) => compute().into(),
            None => self.default.into(),
        }
    }
}
