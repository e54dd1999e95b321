//! Which arguments of a command are keys: used for locking, for access control, for the slot owner and for COMMAND
//! GETKEYS.
//!
//! Follows the key specs of Redis 7 (the pages "Command key specifications" and COMMAND GETKEYSANDFLAGS), and the
//! commands' own grammar where the specs cannot tell. Must not know: data, sessions, what a command does.

use holdfast_resp::{Frame, parse_i64};
use smallvec::SmallVec;

use crate::flags;
use crate::spec::{Begin, Find, Flags, KeyFlags, KeySpec, Spec};

/// The arguments of a command with its name (both words of a subcommand), however they lie in memory.
pub trait Argv {
    /// Number of arguments, with the name.
    fn argc(&self) -> usize;
    /// Argument `index` below [`argc`](Self::argc).
    fn arg(&self, index: usize) -> &[u8];
}

impl Argv for Frame<'_> {
    #[inline]
    fn argc(&self) -> usize {
        self.len()
    }
    #[inline]
    fn arg(&self, index: usize) -> &[u8] {
        Frame::arg(self, index)
    }
}

impl<A: AsRef<[u8]>> Argv for [A] {
    #[inline]
    fn argc(&self) -> usize {
        self.len()
    }
    #[inline]
    fn arg(&self, index: usize) -> &[u8] {
        self[index].as_ref()
    }
}

/// One key of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Index in the arguments.
    pub index: u32,
    /// What the command does with it.
    pub flags: KeyFlags,
}

/// Keys of a command in the order of its key specs; an argument may occur twice if two specs name it.
pub type KeyRefs = SmallVec<[KeyRef; 8]>;

/// The arguments do not fit the command's grammar, so that keys may be missing from what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid arguments specified for command")]
pub struct KeysError;

/// The keys among `argv`, see [`find_keys`].
///
/// # Errors
/// As [`find_keys`].
pub fn key_positions<V: Argv + ?Sized>(spec: &Spec, argv: &V) -> Result<KeyRefs, KeysError> {
    let mut keys = KeyRefs::new();
    find_keys(spec, argv, &mut keys).map(|()| keys)
}

/// Replaces `keys` by the keys among `argv`, which has a number of arguments that the command's arity allows.
/// Channels of sharded publish/subscribe are found too, flagged [`KeyFlags::NOT_KEY`].
///
/// # Errors
/// Some spec does not fit the arguments. `keys` holds what the others found: every key that the handler touches
/// before it refuses such arguments. So dispatch takes the keys and leaves the error to the handler, which words it
/// better; COMMAND GETKEYS reports it.
#[inline]
pub fn find_keys<V: Argv + ?Sized>(spec: &Spec, argv: &V, keys: &mut KeyRefs) -> Result<(), KeysError> {
    keys.clear();
    match spec.keys {
        [] => Ok(()),
        // Nearly every command: one key, always at the same place.
        [
            KeySpec {
                flags,
                begin: Begin::Index(first),
                find: Find::Range { last: 0, .. },
                ..
            },
        ] if !flags.has(KeyFlags::VARIABLE_FLAGS) => {
            push_range(argv, usize::from(*first), usize::from(*first), 1, *flags, keys)
        }
        specs => find_by_specs_or_grammar(spec, specs, argv, keys),
    }
}

/// True if the command wants more keys than [`find_keys`] finds, known only while it runs: all shards are locked.
pub fn needs_all_shards<V: Argv + ?Sized>(spec: &Spec, argv: &V) -> bool {
    spec.flags.has(Flags::ALL_SHARDS) || (is_sort(spec) && sort_reads_other_keys(argv))
}

fn is_sort(spec: &Spec) -> bool {
    matches!(spec.name, "sort" | "sort_ro")
}

fn find_by_specs_or_grammar<V: Argv + ?Sized>(
    spec: &Spec,
    specs: &[KeySpec],
    argv: &V,
    keys: &mut KeyRefs,
) -> Result<(), KeysError> {
    match spec.name {
        "sort" => sort_keys(specs, argv, keys),
        "migrate" => migrate_keys(specs, argv, keys),
        "xread" | "xreadgroup" => stream_keys(specs, argv, keys),
        "georadius" => georadius_keys(specs, argv, 6, keys),
        "georadiusbymember" => georadius_keys(specs, argv, 5, keys),
        _ => {
            let mut result = Ok(());
            for key_spec in specs {
                result = result.and(find_by_spec(spec, key_spec, argv, keys));
            }
            result
        }
    }
}

fn find_by_spec<V: Argv + ?Sized>(
    spec: &Spec,
    key_spec: &KeySpec,
    argv: &V,
    keys: &mut KeyRefs,
) -> Result<(), KeysError> {
    let Some(begin) = begin_of(key_spec.begin, argv) else {
        return Ok(());
    };
    let flags = variable_flags(spec, key_spec.flags, argv);
    match key_spec.find {
        Find::Range { last, step, limit } => {
            let last = last_of_range(argv.argc(), begin, last, limit).ok_or(KeysError)?;
            push_range(argv, begin, last, usize::from(step), flags, keys)
        }
        Find::KeyNum { num, first, step } => {
            match counted(
                argv,
                begin,
                usize::from(num),
                usize::from(first),
                usize::from(step),
            ) {
                Some((first, last)) => push_range(argv, first, last, usize::from(step), flags, keys),
                // EVAL without keys, and with a number that EVAL itself will refuse.
                None if spec.flags.has(Flags::NO_MANDATORY_KEYS) => Ok(()),
                None => Err(KeysError),
            }
        }
        Find::Unknown => Ok(()),
    }
}

fn begin_of<V: Argv + ?Sized>(begin: Begin, argv: &V) -> Option<usize> {
    match begin {
        Begin::Index(index) => Some(usize::from(index)),
        Begin::Keyword(word, from) => {
            let is_word = |&i: &usize| argv.arg(i).eq_ignore_ascii_case(word.as_bytes());
            let argc = argv.argc();
            let found = if from >= 0 {
                (usize::from(from.unsigned_abs())..argc).find(is_word)
            } else {
                (1..(argc + 1).saturating_sub(usize::from(from.unsigned_abs())))
                    .rev()
                    .find(is_word)
            };
            // A keyword at the end has nothing behind it.
            found.map(|i| i + 1).filter(|&i| i < argc)
        }
        Begin::Unknown => None,
    }
}

fn last_of_range(argc: usize, begin: usize, last: i16, limit: u8) -> Option<usize> {
    if last >= 0 {
        return begin.checked_add(usize::from(last.unsigned_abs()));
    }
    let behind_end = if limit > 1 {
        begin + argc.checked_sub(begin)? / usize::from(limit)
    } else {
        argc
    };
    behind_end.checked_sub(usize::from(last.unsigned_abs()))
}

/// First and last key of a counted group, or none if the count is no positive number or exceeds the arguments.
fn counted<V: Argv + ?Sized>(
    argv: &V,
    begin: usize,
    num: usize,
    first: usize,
    step: usize,
) -> Option<(usize, usize)> {
    let at = begin + num;
    if at >= argv.argc() {
        return None;
    }
    let count = usize::try_from(parse_i64(argv.arg(at))?).ok()?.checked_sub(1)?;
    let first = begin + first;
    let last = count.checked_mul(step)?.checked_add(first)?;
    (last < argv.argc()).then_some((first, last))
}

#[inline]
fn push_range<V: Argv + ?Sized>(
    argv: &V,
    first: usize,
    last: usize,
    step: usize,
    flags: KeyFlags,
    keys: &mut KeyRefs,
) -> Result<(), KeysError> {
    if last < first || last >= argv.argc() {
        return Err(KeysError);
    }
    let mut index = first;
    while index <= last {
        keys.push(KeyRef {
            index: index as u32,
            flags,
        });
        index += step.max(1);
    }
    Ok(())
}

/// What SET and BITFIELD do with their key depends on their options.
fn variable_flags<V: Argv + ?Sized>(spec: &Spec, flags: KeyFlags, argv: &V) -> KeyFlags {
    if !flags.has(KeyFlags::VARIABLE_FLAGS) {
        return flags;
    }
    let read_write = flags!(KeyFlags: RW, ACCESS, UPDATE);
    match spec.name {
        "set" => {
            let gets = (3..argv.argc()).any(|i| argv.arg(i).eq_ignore_ascii_case(b"get"));
            if gets {
                read_write
            } else {
                flags!(KeyFlags: OW, UPDATE)
            }
        }
        "bitfield" => {
            if bitfield_only_reads(argv) {
                flags!(KeyFlags: RO, ACCESS)
            } else {
                read_write
            }
        }
        _ => flags,
    }
}

/// BITFIELD key [GET encoding offset | SET encoding offset value | INCRBY encoding offset increment | OVERFLOW how]...
fn bitfield_only_reads<V: Argv + ?Sized>(argv: &V) -> bool {
    let mut i = 2;
    while i < argv.argc() {
        let op = argv.arg(i);
        if op.eq_ignore_ascii_case(b"get") {
            i += 3;
        } else if op.eq_ignore_ascii_case(b"overflow") {
            i += 2;
        } else {
            return false;
        }
    }
    true
}

/// Arguments that an option takes; options not in the list take none.
fn skip(option: &[u8], options: &[(&str, usize)]) -> usize {
    options
        .iter()
        .find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()))
        .map_or(0, |&(_, arguments)| arguments)
}

const SORT_OPTIONS: &[(&str, usize)] = &[("limit", 2), ("get", 1), ("by", 1)];

/// SORT key options...: the last STORE wins.
fn sort_keys<V: Argv + ?Sized>(specs: &[KeySpec], argv: &V, keys: &mut KeyRefs) -> Result<(), KeysError> {
    let source = specs.first().map_or(KeyFlags::NONE, |s| s.flags);
    let target = specs.last().map_or(KeyFlags::NONE, |s| s.flags);
    push_range(argv, 1, 1, 1, source, keys)?;
    let mut store = None;
    let mut i = 2;
    while i < argv.argc() {
        if argv.arg(i).eq_ignore_ascii_case(b"store") && i + 1 < argv.argc() {
            store = Some(i + 1);
            i += 1;
        } else {
            i += skip(argv.arg(i), SORT_OPTIONS);
        }
        i += 1;
    }
    match store {
        Some(index) => push_range(argv, index, index, 1, target, keys),
        None => Ok(()),
    }
}

/// BY with a pattern that has a `*`, or GET of anything but the element itself.
fn sort_reads_other_keys<V: Argv + ?Sized>(argv: &V) -> bool {
    let mut i = 2;
    while i + 1 < argv.argc() {
        let (option, value) = (argv.arg(i), argv.arg(i + 1));
        if option.eq_ignore_ascii_case(b"by") && value.contains(&b'*')
            || option.eq_ignore_ascii_case(b"get") && value != b"#"
        {
            return true;
        }
        i += 1 + skip(option, SORT_OPTIONS).max(usize::from(option.eq_ignore_ascii_case(b"store")));
    }
    false
}

/// MIGRATE host port key db timeout options... or, with an empty key, MIGRATE ... KEYS key...
fn migrate_keys<V: Argv + ?Sized>(specs: &[KeySpec], argv: &V, keys: &mut KeyRefs) -> Result<(), KeysError> {
    let flags = specs.first().map_or(KeyFlags::NONE, |s| s.flags);
    if argv.argc() < 4 {
        return Err(KeysError);
    }
    let mut i = 6;
    while i + 1 < argv.argc() {
        let option = argv.arg(i);
        if option.eq_ignore_ascii_case(b"keys") {
            if !argv.arg(3).is_empty() {
                return Err(KeysError);
            }
            return push_range(argv, i + 1, argv.argc() - 1, 1, flags, keys);
        }
        i += 1 + skip(option, &[("auth", 1), ("auth2", 2)]);
    }
    push_range(argv, 3, 3, 1, flags, keys)
}

/// XREAD and XREADGROUP: behind STREAMS, the first half are keys, the second half ids.
fn stream_keys<V: Argv + ?Sized>(specs: &[KeySpec], argv: &V, keys: &mut KeyRefs) -> Result<(), KeysError> {
    let flags = specs.first().map_or(KeyFlags::NONE, |s| s.flags);
    let mut i = 1;
    while i < argv.argc() {
        let option = argv.arg(i);
        if option.eq_ignore_ascii_case(b"streams") {
            let count = (argv.argc() - i - 1) / 2;
            // No key at all is an error: `i` is before the first key.
            return push_range(argv, i + 1, i + count, 1, flags, keys);
        }
        i += 1 + skip(option, &[("block", 1), ("count", 1), ("group", 2)]);
    }
    Err(KeysError)
}

/// GEORADIUS and GEORADIUSBYMEMBER: the key, then those behind STORE, then those behind STOREDIST. The command
/// stores to the last one only; the others are found because Redis finds them.
fn georadius_keys<V: Argv + ?Sized>(
    specs: &[KeySpec],
    argv: &V,
    options: usize,
    keys: &mut KeyRefs,
) -> Result<(), KeysError> {
    let source = specs.first().map_or(KeyFlags::NONE, |s| s.flags);
    let target = specs.last().map_or(KeyFlags::NONE, |s| s.flags);
    push_range(argv, 1, 1, 1, source, keys)?;
    for word in [&b"store"[..], b"storedist"] {
        let mut i = options;
        while i + 1 < argv.argc() {
            let option = argv.arg(i);
            if option.eq_ignore_ascii_case(word) {
                push_range(argv, i + 1, i + 1, 1, target, keys)?;
            }
            i += 1 + skip(option, &[("count", 1), ("store", 1), ("storedist", 1)]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
