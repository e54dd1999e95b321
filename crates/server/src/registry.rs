//! All commands by name: the data commands of the commands crate and the server's own. Built once from the
//! declarations; everything that lists commands goes through here.

use std::collections::HashMap;
use std::sync::OnceLock;

use holdfast_commands::ctx::Handler;
use holdfast_commands::spec::{Arg, Begin, Find, Flags, Group, Spec};
use holdfast_resp::Frame;

use crate::commands::{self, ServerHandler};

/// How a command is run.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// On locked data.
    Data(Handler),
    /// By the server, with the session at hand.
    Server(ServerHandler),
    /// Only through its subcommands.
    Container,
}

/// How the shards to lock are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlan {
    /// No key.
    None,
    /// One key, at this index.
    One(u8),
    /// By the key specs.
    Specs,
    /// All shards.
    All,
    /// One shard after the other.
    Roam,
}

/// One command, or one subcommand.
#[derive(Debug)]
pub struct Entry {
    /// Its declaration.
    pub spec: &'static Spec,
    /// How it runs.
    pub run: Run,
    /// How its shards are found.
    pub keys: KeyPlan,
    /// Index of the argument that is the element which the command looks up in its one key's collection.
    pub element: Option<u8>,
    /// Number for statistics: 0.. without gaps.
    pub id: usize,
    /// Subcommands, in order of their names.
    pub subs: Vec<&'static Entry>,
}

impl Entry {
    /// True if the declaration has the flag.
    #[inline]
    pub fn is(&self, flag: Flags) -> bool {
        self.spec.flags.has(flag)
    }

    /// The name without its container.
    pub fn short_name(&self) -> &'static str {
        self.spec.name.rsplit('|').next().unwrap_or(self.spec.name)
    }
}

/// Why a command could not be found.
#[derive(Debug, PartialEq, Eq)]
pub enum LookupError {
    /// No such command.
    Unknown,
    /// The container exists, the subcommand does not.
    UnknownSub(&'static str),
}

/// The table.
#[derive(Debug)]
pub struct Registry {
    by_name: HashMap<&'static [u8], &'static Entry, foldhash::fast::FixedState>,
    /// Commands without subcommands, in order of their names.
    top: Vec<&'static Entry>,
    /// In order of their ids.
    by_id: Vec<&'static Entry>,
}

const LONGEST: usize = 32;

impl Registry {
    /// The one registry of the process.
    pub fn get() -> &'static Self {
        static REGISTRY: OnceLock<Registry> = OnceLock::new();
        REGISTRY.get_or_init(Self::build)
    }

    fn build() -> Self {
        let mut specs: Vec<(&'static Spec, Run)> = holdfast_commands::all()
            .map(|c| (c.spec, Run::Data(c.run)))
            .collect();
        specs.extend(commands::all().map(|c| (c.spec, c.run)));
        specs.sort_by_key(|(s, _)| s.name);
        let mut by_id: Vec<&'static Entry> = Vec::new();
        let mut entry = |spec: &'static Spec, run, subs| {
            let entry = &*Box::leak(Box::new(Entry {
                spec,
                run,
                keys: key_plan(spec),
                element: element(spec),
                id: by_id.len(),
                subs,
            }));
            by_id.push(entry);
            entry
        };
        let mut by_name = HashMap::default();
        let mut top = Vec::new();
        for &(spec, run) in specs.iter().filter(|(s, _)| !s.name.contains('|')) {
            let prefix = format!("{}|", spec.name);
            let subs = specs
                .iter()
                .filter(|(s, _)| s.name.starts_with(&prefix))
                .map(|&(s, r)| entry(s, r, Vec::new()))
                .collect();
            let e = entry(spec, run, subs);
            by_name.insert(spec.name.as_bytes(), e);
            top.push(e);
        }
        Self { by_name, top, by_id }
    }

    /// Commands, subcommands left out.
    pub fn top(&self) -> &[&'static Entry] {
        &self.top
    }

    /// Commands and subcommands.
    pub fn all(&self) -> impl Iterator<Item = &'static Entry> {
        self.top
            .iter()
            .flat_map(|e| std::iter::once(*e).chain(e.subs.iter().copied()))
    }

    /// Number of commands and subcommands: the ids are below it.
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The command or subcommand with this id.
    pub fn by_id(&self, id: usize) -> Option<&'static Entry> {
        self.by_id.get(id).copied()
    }

    /// A top-level command by its name in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        let mut lower = [0u8; LONGEST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).copied()
    }

    /// A command by `name` or `container|sub`.
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Entry> {
        match name.iter().position(|&b| b == b'|') {
            None => self.find(name),
            Some(at) => find_sub(self.find(&name[..at])?, &name[at + 1..]),
        }
    }

    /// The command that a frame calls; for a container, its subcommand.
    #[inline]
    pub fn resolve(&self, frame: &Frame<'_>) -> Result<&'static Entry, LookupError> {
        let entry = self.find(frame.name()).ok_or(LookupError::Unknown)?;
        if entry.subs.is_empty() {
            return Ok(entry);
        }
        match frame.get(1) {
            None => Ok(entry),
            Some(sub) => match find_sub(entry, sub) {
                Some(e) => Ok(e),
                None => Err(LookupError::UnknownSub(entry.spec.name)),
            },
        }
    }
}

fn find_sub(container: &'static Entry, name: &[u8]) -> Option<&'static Entry> {
    container
        .subs
        .iter()
        .copied()
        .find(|e| e.short_name().as_bytes().eq_ignore_ascii_case(name))
}

/// The first element of the commands that look one up, by what the declaration calls it.
fn element(spec: &Spec) -> Option<u8> {
    let collection = matches!(spec.group, Group::Hash | Group::Set | Group::SortedSet);
    let at = |args: &[Arg], names: &[&str]| match args {
        [_, Arg { name, .. }, ..] if names.contains(name) => Some(2),
        [
            _,
            Arg {
                name,
                args: [Arg { name: first, .. }, ..],
                ..
            },
            ..,
        ] if *name == "field_value" && names.contains(first) => Some(2),
        _ => None,
    };
    let found = at(spec.args, &["field", "member"]);
    match spec.name {
        // Without options the score stands in between.
        "zadd" => Some(3),
        _ => found.filter(|_| collection && key_plan(spec) == KeyPlan::One(1)),
    }
}

fn key_plan(spec: &Spec) -> KeyPlan {
    if spec.flags.has(Flags::ALL_SHARDS) {
        return KeyPlan::All;
    }
    if spec.flags.has(Flags::ROAM) {
        return KeyPlan::Roam;
    }
    match spec.keys {
        [] => KeyPlan::None,
        [k] => match (k.begin, k.find) {
            (Begin::Index(i), Find::Range { last: 0, .. }) => KeyPlan::One(i),
            _ => KeyPlan::Specs,
        },
        _ => KeyPlan::Specs,
    }
}
