//! May this command run? The commands, then the keys, then the channels that it names.
//!
//! Several selectors are alternatives: one of them must allow all of it.

use holdfast_commands::flags;
use holdfast_commands::key_positions::{Argv, KeyRef, KeyRefs, find_keys};
use holdfast_commands::spec::{Flags, Group, KeyFlags, Spec};
use holdfast_resp::parse_i64;
use holdfast_storage::glob;

use crate::selector::{KeyPattern, Selector};
use crate::user::User;

/// What is not allowed; of several, the one to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command itself.
    Command,
    /// This database.
    Database(u32),
    /// The key at this place of the arguments.
    Key(usize),
    /// The channel at this place of the arguments.
    Channel(usize),
}

/// An option of SORT that reads keys which its arguments do not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOption {
    /// BY
    By,
    /// GET
    Get,
}

impl User {
    /// Checks a command with its number in the catalog and its arguments. `db` is the selected database.
    ///
    /// # Errors
    /// What no selector allows: a channel before a key, a key before the command, and of several the last.
    pub fn check<V: Argv + ?Sized>(&self, id: usize, spec: &Spec, argv: &V, db: u32) -> Result<(), Denied> {
        let mut keys = Keys::Unknown;
        let mut worst = Denied::Command;
        for selector in self.selectors() {
            match selector.check(id, spec, argv, db, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// The first option of SORT or SORT_RO that is not allowed: BY and GET look up keys whose names depend on the data, so
    /// they take the right to read every key. None as soon as the arguments are wrong, which the command then says.
    pub fn forbidden_sort_option<V: Argv + ?Sized>(
        &self,
        id: usize,
        spec: &Spec,
        argv: &V,
        db: u32,
    ) -> Option<SortOption> {
        let option = first_reading_option(argv)?;
        let mut keys = Keys::Unknown;
        let may = self
            .selectors()
            .any(|s| s.reads_every_key() && s.check(id, spec, argv, db, &mut keys).is_ok());
        (!may).then_some(option)
    }

    /// True if the user may listen to the channel.
    pub fn may_listen(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|s| s.allows_channel(channel, is_pattern))
    }
}

/// The keys of a command, found when first needed.
enum Keys {
    Unknown,
    Found(KeyRefs),
}

impl Keys {
    fn get<V: Argv + ?Sized>(&mut self, spec: &Spec, argv: &V) -> &[KeyRef] {
        if matches!(self, Self::Unknown) {
            let mut found = KeyRefs::new();
            // What does not fit is refused by the command itself; the keys that it touches before are found.
            let _misfit = find_keys(spec, argv, &mut found);
            *self = Self::Found(found);
        }
        match self {
            Self::Found(keys) => keys,
            Self::Unknown => &[],
        }
    }
}

impl Selector {
    fn check<V: Argv + ?Sized>(
        &self,
        id: usize,
        spec: &Spec,
        argv: &V,
        db: u32,
        keys: &mut Keys,
    ) -> Result<(), Denied> {
        if !self.allows_command(id, spec, argv) {
            return Err(Denied::Command);
        }
        if !self.allows_all_databases() {
            self.check_databases(spec, argv, db)?;
        }
        if !self.all_keys && !spec.keys.is_empty() {
            let allowed = |key: &&KeyRef| {
                key.flags.has(KeyFlags::NOT_KEY) || self.allows_key(argv.arg(key.index as usize), key.flags)
            };
            if let Some(key) = keys.get(spec, argv).iter().find(|key| !allowed(key)) {
                return Err(Denied::Key(key.index as usize));
            }
        }
        if !self.all_channels && spec.group == Group::Pubsub {
            let (places, is_pattern) = channels(spec, argv);
            for place in places {
                if !self.allows_channel(argv.arg(place), is_pattern) {
                    return Err(Denied::Channel(place));
                }
            }
        }
        Ok(())
    }

    /// The databases that a command names, and the selected one if it works on the data there.
    fn check_databases<V: Argv + ?Sized>(&self, spec: &Spec, argv: &V, db: u32) -> Result<(), Denied> {
        // What is no number of a database is refused by the command itself.
        let number = |at: usize| {
            let word = (at < argv.argc()).then(|| argv.arg(at))?;
            u32::try_from(parse_i64(word)?).ok()
        };
        let on_data = flags!(Acl: KEYSPACE, READ, WRITE);
        let here = (!spec.keys.is_empty() || spec.acl_categories().any(on_data)).then_some(db);
        let named = match spec.name {
            "select" => [number(1), None],
            "swapdb" => [number(1), number(2)],
            "move" => [here, number(2)],
            "copy" => [here, copy_target(argv).and_then(number)],
            "flushall" => return Err(Denied::Database(db)),
            _ => [here, None],
        };
        match named.into_iter().flatten().find(|&db| !self.allows_database(db)) {
            None => Ok(()),
            Some(db) => Err(Denied::Database(db)),
        }
    }

    fn allows_command<V: Argv + ?Sized>(&self, id: usize, spec: &Spec, argv: &V) -> bool {
        self.has(id)
            || spec.flags.has(Flags::NO_AUTH)
            || argv.argc() > 1
                && self
                    .first_args(id)
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(argv.arg(1)))
    }

    fn allows_key(&self, key: &[u8], flags: KeyFlags) -> bool {
        let reads = flags.has(KeyFlags::ACCESS);
        let writes = flags.any(KeyFlags::INSERT.or(KeyFlags::DELETE).or(KeyFlags::UPDATE));
        self.all_keys
            || self.keys.iter().any(|known| {
                (known.read || !reads)
                    && (known.write || !writes)
                    && glob::matches(&known.pattern, key, false)
            })
    }

    fn reads_every_key(&self) -> bool {
        let reads_all = |known: &KeyPattern| known.read && *known.pattern == *b"*";
        self.all_keys || self.keys.iter().any(reads_all)
    }

    /// A pattern must be allowed as it stands, or it could be wider than what is allowed.
    fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let allows = |known: &[u8]| {
            if is_pattern {
                known == channel
            } else {
                glob::matches(known, channel, false)
            }
        };
        self.all_channels || self.channels.iter().any(|known| allows(known))
    }
}

/// The channels that a command listens or sends to, and whether they are patterns. Giving channels up is free.
fn channels<V: Argv + ?Sized>(spec: &Spec, argv: &V) -> (std::ops::Range<usize>, bool) {
    match spec.name {
        "subscribe" | "ssubscribe" => (1..argv.argc(), false),
        "psubscribe" => (1..argv.argc(), true),
        "publish" | "spublish" => (1..2.min(argv.argc()), false),
        _ => (0..0, false),
    }
}

/// Where COPY names the database of the new key: `COPY source destination [DB n] [REPLACE]`, the last one counts.
fn copy_target<V: Argv + ?Sized>(argv: &V) -> Option<usize> {
    let is_word = |at: usize, word: &str| argv.arg(at).eq_ignore_ascii_case(word.as_bytes());
    let (mut at, mut target) = (3, None);
    while at < argv.argc() {
        if is_word(at, "db") {
            target = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    target
}

/// The first BY with a pattern or GET of `SORT key ...`, if everything before it is right.
fn first_reading_option<V: Argv + ?Sized>(argv: &V) -> Option<SortOption> {
    let is = |i: usize, word: &str| argv.arg(i).eq_ignore_ascii_case(word.as_bytes());
    let argc = argv.argc();
    let mut i = 2;
    while i < argc {
        let left = argc - i - 1;
        if is(i, "asc") || is(i, "desc") || is(i, "alpha") {
            i += 1;
        } else if is(i, "limit") && left >= 2 {
            parse_i64(argv.arg(i + 1)).and(parse_i64(argv.arg(i + 2)))?;
            i += 3;
        } else if is(i, "store") && left >= 1 {
            i += 2;
        } else if is(i, "by") && left >= 1 {
            if argv.arg(i + 1).contains(&b'*') {
                return Some(SortOption::By);
            }
            i += 2;
        } else if is(i, "get") && left >= 1 {
            return Some(SortOption::Get);
        } else {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
