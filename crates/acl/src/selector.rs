//! One set of permissions: commands, keys, channels. A user has one of its own and may have more, in parentheses.
//!
//! ```text
//! bits        one for each command: may it run
//! first_args  commands that may run with these first arguments only, though their bit is off
//! base, rules the text: +@all or -@all, then what was said since
//! keys        all, or patterns, each for reading, writing or both
//! channels    all, or patterns
//! databases   all, or numbers (a rule of Valkey 9.1)
//! ```
//!
//! The text keeps what was said, as Redis 7.2 does, instead of being guessed from the bits: `+@all -@dangerous` read by a
//! later version takes that version's dangerous commands away.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_resp::{parse_i64, split_args};

use crate::catalog::{Catalog, Defaults};
use crate::rule::{RuleError, has_space};

/// Keys that match a pattern, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// The glob.
    pub pattern: Box<[u8]>,
    /// Values may be read.
    pub read: bool,
    /// Values may be written.
    pub write: bool,
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    bits: Box<[u64]>,
    first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    base_all: bool,
    rules: Vec<CommandRule>,
    pub(crate) all_keys: bool,
    pub(crate) keys: Vec<KeyPattern>,
    pub(crate) all_channels: bool,
    pub(crate) channels: Vec<Box<[u8]>>,
    /// None: every database.
    databases: Option<BTreeSet<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allow: bool,
    /// `get`, `config|set`, `select|0`, `@read`
    name: Box<[u8]>,
}

impl Selector {
    /// No command, no key; channels as configured.
    pub(crate) fn new(defaults: &Defaults<'_>) -> Self {
        Self {
            bits: vec![0; defaults.catalog.count().div_ceil(64)].into(),
            first_args: BTreeMap::new(),
            base_all: false,
            rules: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: defaults.all_channels,
            channels: Vec::new(),
            databases: None,
        }
    }

    /// A selector from its text with the parentheses.
    pub(crate) fn parse(text: &[u8], defaults: &Defaults<'_>) -> Result<Self, RuleError> {
        let inner = text
            .strip_prefix(b"(")
            .and_then(|t| t.strip_suffix(b")"))
            .ok_or(RuleError::Syntax)?;
        let mut selector = Self::new(defaults);
        for rule in split_args(inner).ok_or(RuleError::Syntax)? {
            selector.apply(&rule, defaults.catalog)?;
        }
        Ok(selector)
    }

    /// Applies one rule about commands, keys or channels.
    pub(crate) fn apply(&mut self, rule: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            (self.all_keys, self.keys) = (true, Vec::new());
        } else if is("resetkeys") {
            (self.all_keys, self.keys) = (false, Vec::new());
        } else if is("allchannels") || is("&*") {
            (self.all_channels, self.channels) = (true, Vec::new());
        } else if is("resetchannels") {
            (self.all_channels, self.channels) = (false, Vec::new());
        } else if is("alldbs") {
            self.databases = None;
        } else if is("resetdbs") {
            self.databases = Some(BTreeSet::new());
        } else if is("allcommands") || is("+@all") {
            self.set_all(true, catalog);
        } else if is("nocommands") || is("-@all") {
            self.set_all(false, catalog);
        } else {
            return match rule {
                [b'~' | b'%', ..] => self.add_key_pattern(rule),
                [b'&', channel @ ..] => self.add_channel(channel),
                [b'd' | b'D', b'b' | b'B', b'=', list @ ..] => self.set_databases(list),
                [b'+', b'@', category @ ..] => self.set_category(category, true, catalog),
                [b'-', b'@', category @ ..] => self.set_category(category, false, catalog),
                [b'+', command @ ..] => self.allow(command, catalog),
                [b'-', command @ ..] => self.forbid(command, catalog),
                _ => Err(RuleError::Syntax),
            };
        }
        Ok(())
    }

    /// True if nothing is beyond it.
    pub(crate) fn is_unrestricted(&self, catalog: &Catalog) -> bool {
        let all_but_commands = self.all_keys && self.all_channels && self.databases.is_none();
        all_but_commands && self.base_all && (0..catalog.count()).all(|id| self.has(id))
    }

    /// True if the command's bit is set.
    pub(crate) fn has(&self, id: usize) -> bool {
        self.bits
            .get(id / 64)
            .is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    /// The first arguments with which the command may run though its bit is off.
    pub(crate) fn first_args(&self, id: usize) -> &[Box<[u8]>] {
        self.first_args.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Patterns, first arguments and rules: what a limit is set to.
    pub(crate) fn size(&self) -> usize {
        let first_args: usize = self.first_args.values().map(Vec::len).sum();
        let databases = self.databases.as_ref().map_or(0, BTreeSet::len);
        self.rules.len() + self.keys.len() + self.channels.len() + databases + first_args
    }

    /// True if the database may be used.
    pub(crate) fn allows_database(&self, db: u32) -> bool {
        self.databases.as_ref().is_none_or(|known| known.contains(&db))
    }

    /// True if every database may be used.
    pub(crate) fn allows_all_databases(&self) -> bool {
        self.databases.is_none()
    }

    // ---- rules ----

    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        let (mut read, mut write) = (false, false);
        let pattern = match rule {
            [b'~', pattern @ ..] => {
                (read, write) = (true, true);
                pattern
            }
            [_, permissions @ ..] => {
                let mut rest = permissions;
                loop {
                    match rest {
                        [b'R' | b'r', after @ ..] if !read => (read, rest) = (true, after),
                        [b'W' | b'w', after @ ..] if !write => (write, rest) = (true, after),
                        [b'~', pattern @ ..] if read || write => break pattern,
                        [] if read || write => break rest,
                        _ => return Err(RuleError::Syntax),
                    }
                }
            }
            [] => return Err(RuleError::Syntax),
        };
        if has_space(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => {
                known.read |= read;
                known.write |= write;
            }
            None => self.keys.push(KeyPattern {
                pattern: pattern.into(),
                read,
                write,
            }),
        }
        Ok(())
    }

    fn add_channel(&mut self, channel: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AllChannels);
        }
        if has_space(channel) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *channel) {
            self.channels.push(channel.into());
        }
        Ok(())
    }

    fn set_databases(&mut self, list: &[u8]) -> Result<(), RuleError> {
        let number = |word: &[u8]| parse_i64(word).and_then(|n| u32::try_from(n).ok());
        let numbers: Option<BTreeSet<u32>> = list.split(|&b| b == b',').map(number).collect();
        self.databases = Some(numbers.ok_or(RuleError::Database)?);
        Ok(())
    }

    fn set_all(&mut self, allow: bool, catalog: &Catalog) {
        (0..catalog.count()).for_each(|id| self.set(id, allow));
        self.first_args.clear();
        self.rules.clear();
        self.base_all = allow;
    }

    fn set_category(&mut self, name: &[u8], allow: bool, catalog: &Catalog) -> Result<(), RuleError> {
        let category = Catalog::category(name).ok_or(RuleError::UnknownCommand)?;
        for id in catalog.members(category) {
            self.set_with_subs(id, allow, catalog);
        }
        self.note(&[b"@", name.to_ascii_lowercase().as_slice()].concat(), allow);
        Ok(())
    }

    fn allow(&mut self, name: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&b| b == b'|') else {
            return self.set_command(name, true, catalog);
        };
        let (command, first_arg) = (&name[..bar], &name[bar + 1..]);
        let id = catalog.find(command).ok_or(RuleError::UnknownCommand)?;
        if catalog.name(id).contains('|') {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if first_arg.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !catalog.subs(id).is_empty() {
            return self.set_command(name, true, catalog);
        }
        if has_space(first_arg) {
            return Err(RuleError::Syntax);
        }
        let known = self.first_args.entry(id).or_default();
        if !known.iter().any(|arg| arg.eq_ignore_ascii_case(first_arg)) {
            known.push(first_arg.into());
            self.note(&[catalog.name(id).as_bytes(), b"|", first_arg].concat(), true);
        }
        Ok(())
    }

    fn forbid(&mut self, name: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        self.set_command(name, false, catalog)
    }

    fn set_command(&mut self, name: &[u8], allow: bool, catalog: &Catalog) -> Result<(), RuleError> {
        let id = catalog.find(name).ok_or(RuleError::UnknownCommand)?;
        self.set_with_subs(id, allow, catalog);
        self.note(catalog.name(id).as_bytes(), allow);
        Ok(())
    }

    fn set_with_subs(&mut self, id: usize, allow: bool, catalog: &Catalog) {
        self.set(id, allow);
        self.first_args.remove(&id);
        for &sub in catalog.subs(id) {
            self.set(sub, allow);
        }
    }

    fn set(&mut self, id: usize, allow: bool) {
        let (word, bit) = (&mut self.bits[id / 64], 1 << (id % 64));
        if allow {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// Appends to the text what was said, and drops what it overrules: the same name, and its subcommands.
    fn note(&mut self, name: &[u8], allow: bool) {
        self.rules.retain(|rule| {
            !rule
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'|')
        });
        self.rules.push(CommandRule {
            allow,
            name: name.into(),
        });
    }

    // ---- text ----

    /// The rules about commands.
    pub fn commands_text(&self) -> Vec<u8> {
        self.command_words().join(&b' ')
    }

    /// The rules about keys; empty if there are none.
    pub fn keys_text(&self) -> Vec<u8> {
        self.key_words().join(&b' ')
    }

    /// The rules about channels; empty if there are none.
    pub fn channels_text(&self) -> Vec<u8> {
        self.channel_words().join(&b' ')
    }

    /// The rule about databases; none if every one may be used.
    pub fn databases_text(&self) -> Option<String> {
        let numbers: Vec<String> = self.databases.as_ref()?.iter().map(u32::to_string).collect();
        Some(match numbers.as_slice() {
            [] => "resetdbs".to_owned(),
            numbers => format!("db={}", numbers.join(",")),
        })
    }

    fn command_words(&self) -> Vec<Vec<u8>> {
        let base = if self.base_all { b"+@all" } else { b"-@all" };
        let said = self.rules.iter().map(|rule| {
            let sign = if rule.allow { b"+" } else { b"-" };
            [sign, &*rule.name].concat()
        });
        std::iter::once(base.to_vec()).chain(said).collect()
    }

    fn key_words(&self) -> Vec<Vec<u8>> {
        let all = self.all_keys.then(|| b"~*".to_vec());
        let sign = |known: &KeyPattern| match (known.read, known.write) {
            // Read back, `~*` would be the switch for all keys, which lets no pattern follow.
            (true, true) if *known.pattern == *b"*" => &b"%RW~"[..],
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            (true, true) | (false, false) => b"~",
        };
        let patterns = self
            .keys
            .iter()
            .map(|known| [sign(known), &known.pattern].concat());
        all.into_iter().chain(patterns).collect()
    }

    fn channel_words(&self) -> Vec<Vec<u8>> {
        if self.all_channels {
            return vec![b"&*".to_vec()];
        }
        self.channels
            .iter()
            .map(|known| [b"&", &**known].concat())
            .collect()
    }

    /// All rules, in the order in which ACL LIST shows them.
    pub(crate) fn words(&self) -> Vec<Vec<u8>> {
        let mut words = self.key_words();
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        words.extend(self.channel_words());
        words.extend(self.databases_text().map(String::into_bytes));
        words.extend(self.command_words());
        words
    }

    /// The whole selector in parentheses.
    pub(crate) fn text(&self) -> Vec<u8> {
        let words: Vec<_> = self.words().iter().map(|word| quote_if_needed(word)).collect();
        [b"(", words.join(&b' ').as_slice(), b")"].concat()
    }
}

/// Quotes have a meaning within parentheses.
fn quote_if_needed(word: &[u8]) -> Vec<u8> {
    if !word.iter().any(|b| matches!(b, b'"' | b'\'')) {
        return word.to_vec();
    }
    let mut out = vec![b'"'];
    for &byte in word {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    out
}
