//! The differences that are meant, in one table.
//!
//! Each is listed in docs/compatibility.md too. A run prints how often each was used: an entry that is never used is
//! one to remove.

use std::collections::BTreeMap;

use crate::reply::Reply;

/// A difference that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// OBJECT ENCODING of a small set.
    SetListpack,
    /// OBJECT ENCODING of a small list.
    ListListpack,
    /// OBJECT ENCODING of a set after SPOP with a count.
    SetRebuilt,
    /// SORT among equals.
    SortTies,
    /// ZRANK with a third word.
    RankWithScore,
    /// COMMAND GETKEYS of a command whose number of keys is none.
    KeyCount,
    /// Rules about commands in ACL LIST and ACL GETUSER.
    AclRules,
    /// ACL DRYRUN of a command some of whose keys cannot be told from its arguments.
    AclKeys,
    /// An error that quotes an argument with a zero byte.
    ZeroByteInError,
    /// An error that quotes a script.
    ScriptText,
}

/// Every difference that is meant, with its reason.
pub const EXPLAINED: &[(Reason, &str)] = &[
    (
        Reason::SetListpack,
        "small sets of strings are listpacks since Redis 7.2, hashtables in the oracle",
    ),
    (
        Reason::ListListpack,
        "small lists are listpacks since Redis 7.2, quicklists in the oracle",
    ),
    (
        Reason::SetRebuilt,
        "SPOP with a count may build the set anew; the oracle is told which members went with SREM, which never does",
    ),
    (
        Reason::SortTies,
        "SORT leaves the order among equal weights open (C's qsort decides it in the oracle)",
    ),
    (
        Reason::RankWithScore,
        "ZRANK and ZREVRANK take WITHSCORE since Redis 7.2; the oracle refuses another word",
    ),
    (
        Reason::KeyCount,
        "COMMAND GETKEYS refuses a number of keys that is none, as Redis 7.2 does; the oracle takes its leading digits",
    ),
    (
        Reason::AclRules,
        "rules about commands are kept as they were given since Redis 7.2; the oracle makes them up from what is allowed",
    ),
    (
        Reason::AclKeys,
        "ACL checks the keys that are found although others are not; the oracle checks none then, as in PFMERGE with one key",
    ),
    (
        Reason::ZeroByteInError,
        "an error that quotes an argument ends the quotation at a zero byte in the oracle",
    ),
    (
        Reason::ScriptText,
        "an error that quotes a script shows bytes that are no UTF-8 as U+FFFD",
    ),
];

impl Reason {
    /// The reason that explains these replies to `args`, beyond those that the comparing rules find by themselves.
    pub fn for_replies(args: &[Vec<u8>], subject: &Reply, oracle: &Reply) -> Option<Reason> {
        let name = args.first()?.to_ascii_uppercase();
        if name == b"ACL" && args.len() > 4 && oracle.is_error() && !subject.is_error() {
            // ACL DRYRUN asks for the arguments of another command.
            return Reason::for_replies(&args[3..], subject, oracle);
        }
        if matches!(name.as_slice(), b"ZRANK" | b"ZREVRANK") && args.len() == 4 && oracle.is_error() {
            return Some(Reason::RankWithScore);
        }
        if name == b"COMMAND" && subject.is_error() && oracle.elements().is_some() {
            let refused = *subject == Reply::Error(b"ERR Invalid arguments specified for command".to_vec());
            return refused.then_some(Reason::KeyCount);
        }
        if name == b"ACL" && subject.text().is_some() && *oracle == Reply::ok() {
            return has_untold_keys(args.get(3..)?).then_some(Reason::AclKeys);
        }
        if matches!(name.as_slice(), b"EVAL" | b"EVAL_RO" | b"SCRIPT")
            && subject.is_error()
            && args.iter().any(|arg| !arg.is_ascii())
        {
            return same_first_words(subject, oracle).then_some(Reason::ScriptText);
        }
        let quotes = subject.is_error() || name == b"ACL";
        let quotes_zero =
            quotes && args.iter().any(|arg| arg.contains(&0)) && same_first_words(subject, oracle);
        quotes_zero.then_some(Reason::ZeroByteInError)
    }
}

/// Whether the arguments end before all kinds of keys that the command has, or its number of keys is wrong.
fn has_untold_keys(args: &[Vec<u8>]) -> bool {
    let name = args
        .first()
        .map(|name| name.to_ascii_uppercase())
        .unwrap_or_default();
    let number = |at: usize| -> Option<usize> { std::str::from_utf8(args.get(at)?).ok()?.parse().ok() };
    let wrong_count = |at: usize| number(at).is_none_or(|n| n == 0 || at + n >= args.len());
    match name.as_slice() {
        b"PFMERGE" => args.len() == 2,
        b"ZUNIONSTORE" | b"ZINTERSTORE" | b"ZDIFFSTORE" => wrong_count(2),
        _ => false,
    }
}

/// Whether both are errors, or texts, that begin alike.
fn same_first_words(subject: &Reply, oracle: &Reply) -> bool {
    const ALIKE: usize = 10;
    match (subject, oracle) {
        (Reply::Error(left), Reply::Error(right)) => {
            left.len() >= ALIKE && left.get(..ALIKE) == right.get(..ALIKE)
        }
        // What ACL DRYRUN says is no error.
        (Reply::Bulk(left), Reply::Bulk(right)) => {
            left.len() >= ALIKE && left.get(..ALIKE) == right.get(..ALIKE)
        }
        _ => false,
    }
}

/// How often each reason was used.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    counts: BTreeMap<Reason, u64>,
}

impl Usage {
    /// Counts one use.
    pub fn add(&mut self, reason: Reason) {
        *self.counts.entry(reason).or_default() += 1;
    }

    /// The table with its counts, a line each.
    pub fn to_text(&self) -> String {
        EXPLAINED
            .iter()
            .map(|(reason, text)| format!("{:>8} x {text}", self.counts.get(reason).copied().unwrap_or(0)))
            .collect::<Vec<_>>()
            .join("\n")
    }
}
