//! The commands as rules see them: a number, a name, categories, subcommands.
//!
//! The numbers are the places in the list that the catalog was made from; a bit of each selector stands for each.

use std::collections::HashMap;

use holdfast_commands::spec::{Acl, Spec};

/// Every command and subcommand.
#[derive(Debug)]
pub struct Catalog {
    commands: Vec<Known>,
    by_name: HashMap<&'static str, usize>,
}

#[derive(Debug)]
struct Known {
    spec: &'static Spec,
    subs: Vec<usize>,
}

/// What rules are read against.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// The commands.
    pub catalog: &'a Catalog,
    /// New users and selectors may use every channel (`acl-pubsub-default allchannels`).
    pub all_channels: bool,
}

/// Longer than any command's name with its subcommand.
const LONGEST: usize = 64;

impl Catalog {
    /// The commands and subcommands (`container|sub`), each of which gets its place in the list as its number.
    pub fn new(specs: impl IntoIterator<Item = &'static Spec>) -> Self {
        let mut commands: Vec<Known> = specs
            .into_iter()
            .map(|spec| Known {
                spec,
                subs: Vec::new(),
            })
            .collect();
        let by_name: HashMap<_, _> = commands
            .iter()
            .enumerate()
            .map(|(id, known)| (known.spec.name, id))
            .collect();
        for id in 0..commands.len() {
            if let Some((container, _)) = commands[id].spec.name.split_once('|')
                && let Some(&parent) = by_name.get(container)
            {
                commands[parent].subs.push(id);
            }
        }
        Self { commands, by_name }
    }

    /// Number of commands and subcommands: the numbers are below it.
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// A command or, with a bar between, a subcommand; in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        let mut lower = [0u8; LONGEST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(std::str::from_utf8(lower).ok()?).copied()
    }

    pub(crate) fn name(&self, id: usize) -> &'static str {
        self.commands[id].spec.name
    }

    pub(crate) fn subs(&self, id: usize) -> &[usize] {
        &self.commands[id].subs
    }

    /// The commands of a category. A container counts by its own categories.
    pub fn members(&self, category: Acl) -> impl Iterator<Item = usize> {
        let of = move |known: &Known| known.spec.acl_categories().has(category);
        (0..self.commands.len()).filter(move |&id| of(&self.commands[id]))
    }

    /// The names of the commands and subcommands of a category, sorted.
    pub fn names_of(&self, category: Acl) -> Vec<&'static str> {
        let mut names: Vec<_> = self.members(category).map(|id| self.name(id)).collect();
        names.sort_unstable();
        names
    }

    /// A category by its name without the `@`, in any case.
    pub fn category(name: &[u8]) -> Option<Acl> {
        Acl::ALL
            .iter()
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
            .map(|&(category, _)| category)
    }
}
