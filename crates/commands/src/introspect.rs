//! Replies of COMMAND INFO, COMMAND DOCS and COMMAND GETKEYS, written from declarations.
//!
//! The shapes are those of redis-server 7.0.15 (the pages of COMMAND, COMMAND DOCS and COMMAND GETKEYSANDFLAGS).
//! Must not know: which commands exist (the caller passes them), handlers, sessions, data.

pub mod command;

use holdfast_resp::Reply;

use crate::key_positions::{Argv, KeyRefs, find_keys};
use crate::spec::{Arg, ArgKind, Begin, Find, Flags, KeyFlags, KeySpec, Spec};

/// A command with its subcommands.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The command; of a container, its own declaration.
    pub spec: &'a Spec,
    /// Subcommands, ordered by name. Empty for all but containers.
    pub subcommands: Vec<&'a Spec>,
}

/// The commands among `specs` ordered by name, each with those of `specs` that are its subcommands
/// (`container|subcommand`). A subcommand whose container is missing is left out.
pub fn tree<'a>(specs: impl IntoIterator<Item = &'a Spec>) -> Vec<Listed<'a>> {
    let mut specs: Vec<&Spec> = specs.into_iter().collect();
    specs.sort_by_key(|spec| spec.name);
    let (subcommands, commands): (Vec<&Spec>, Vec<&Spec>) =
        specs.into_iter().partition(|spec| spec.name.contains('|'));
    commands
        .into_iter()
        .map(|spec| Listed {
            spec,
            subcommands: subcommands
                .iter()
                .filter(|sub| {
                    sub.name
                        .split_once('|')
                        .is_some_and(|(container, _)| container == spec.name)
                })
                .copied()
                .collect(),
        })
        .collect()
}

/// First key, last key and step, as COMMAND INFO shows them for clients that know no key specs: the specs that are
/// ranges at fixed places, joined where they are neighbours. All 0 if there are none.
pub fn legacy_range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let mut joined: Option<(i64, i64, i64)> = None;
    for key in keys {
        let (
            Begin::Index(first),
            Find::Range {
                last,
                step,
                limit: 0 | 1,
            },
        ) = (key.begin, key.find)
        else {
            continue;
        };
        let first = i64::from(first);
        let last = i64::from(last) + if last >= 0 { first } else { 0 };
        let step = i64::from(step);
        joined = match joined {
            None => Some((first, last, step)),
            Some((f, l, s)) if l + 1 == first && s == 1 && step == 1 => Some((f, last, s)),
            Some(kept) => Some(kept),
        };
    }
    joined.unwrap_or_default()
}

/// One entry of COMMAND INFO: an array of name, arity, flags, first key, last key, step, ACL categories, tips, key
/// specs and subcommands (each such an array again).
pub fn write_info(reply: &mut Reply, spec: &Spec, subcommands: &[&Spec]) {
    let (first, last, step) = legacy_range(spec.keys);
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.int(i64::from(spec.arity));
    write_names(reply, spec.flags.names());
    reply.int(first);
    reply.int(last);
    reply.int(step);
    let categories = spec.acl_categories();
    reply.set(categories.names().count());
    for name in categories.names() {
        reply.simple(&format!("@{name}"));
    }
    reply.set(spec.tips.len());
    for tip in spec.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(spec.keys.len());
    for key in spec.keys {
        write_key_spec(reply, key);
    }
    reply.set(subcommands.len());
    for sub in subcommands {
        write_info(reply, sub, &[]);
    }
}

/// A set of status replies.
fn write_names<'n>(reply: &mut Reply, names: impl Iterator<Item = &'n str> + Clone) {
    reply.set(names.clone().count());
    for name in names {
        reply.simple(name);
    }
}

fn write_key_spec(reply: &mut Reply, key: &KeySpec) {
    let has_notes = !key.notes.is_empty();
    reply.map(3 + usize::from(has_notes));
    if has_notes {
        text(reply, "notes", key.notes);
    }
    reply.bulk(b"flags");
    write_names(reply, key.flags.names());
    reply.bulk(b"begin_search");
    match key.begin {
        Begin::Index(index) => write_spec_type(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword(word, from) => {
            reply.map(2);
            text(reply, "type", "keyword");
            reply.bulk(b"spec");
            reply.map(2);
            text(reply, "keyword", word);
            int(reply, "startfrom", i64::from(from));
        }
        Begin::Unknown => write_spec_type(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match key.find {
        Find::Range { last, step, limit } => {
            let fields = [
                ("lastkey", last.into()),
                ("keystep", step.into()),
                ("limit", limit.into()),
            ];
            write_spec_type(reply, "range", &fields);
        }
        Find::KeyNum { num, first, step } => {
            let fields = [
                ("keynumidx", num.into()),
                ("firstkey", first.into()),
                ("keystep", step.into()),
            ];
            write_spec_type(reply, "keynum", &fields);
        }
        Find::Unknown => write_spec_type(reply, "unknown", &[]),
    }
}

fn write_spec_type(reply: &mut Reply, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    text(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(fields.len());
    for &(name, value) in fields {
        int(reply, name, value);
    }
}

fn text(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn int(reply: &mut Reply, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.int(value);
}

/// One entry of COMMAND DOCS: the name, then the map that describes it. The caller has written the header of the
/// outer map.
pub fn write_docs(reply: &mut Reply, spec: &Spec, subcommands: &[&Spec]) {
    reply.bulk(spec.name.as_bytes());
    let map = reply.defer();
    let mut pairs = 0;
    let mut pair = |reply: &mut Reply, name: &str, value: &str| {
        text(reply, name, value);
        pairs += 1;
    };
    pair(reply, "summary", spec.summary);
    pair(reply, "since", spec.since);
    pair(reply, "group", spec.group.name());
    if !spec.complexity.is_empty() {
        pair(reply, "complexity", spec.complexity);
    }
    let doc_flags = [
        (spec.deprecated.is_some(), "deprecated"),
        (spec.flags.has(Flags::SYSCMD), "syscmd"),
    ];
    let doc_flags = doc_flags.iter().filter(|(set, _)| *set).map(|&(_, name)| name);
    if doc_flags.clone().next().is_some() {
        reply.bulk(b"doc_flags");
        write_names(reply, doc_flags);
        pairs += 1;
    }
    if let Some(deprecated) = &spec.deprecated {
        text(reply, "deprecated_since", deprecated.since);
        text(reply, "replaced_by", deprecated.replaced_by);
        pairs += 2;
    }
    if !spec.args.is_empty() {
        reply.bulk(b"arguments");
        write_args(reply, spec.args);
        pairs += 1;
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        for sub in subcommands {
            write_docs(reply, sub, &[]);
        }
        pairs += 1;
    }
    reply.finish_map(map, pairs);
}

fn write_args(reply: &mut Reply, args: &[Arg]) {
    reply.array(args.len());
    for arg in args {
        let map = reply.defer();
        let mut pairs = 2;
        text(reply, "name", arg.name);
        text(reply, "type", arg.kind.name());
        if let Some(spec) = arg.key_spec {
            int(reply, "key_spec_index", i64::from(spec));
            pairs += 1;
        }
        if let Some(token) = arg.token {
            text(reply, "token", token);
            pairs += 1;
        }
        if !arg.since.is_empty() {
            text(reply, "since", arg.since);
            pairs += 1;
        }
        let flags = [
            (arg.optional, "optional"),
            (arg.multiple, "multiple"),
            (arg.multiple_token, "multiple_token"),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).map(|&(_, name)| name);
        if flags.clone().next().is_some() {
            reply.bulk(b"flags");
            write_names(reply, flags);
            pairs += 1;
        }
        if matches!(arg.kind, ArgKind::OneOf | ArgKind::Block) {
            reply.bulk(b"arguments");
            write_args(reply, arg.args);
            pairs += 1;
        }
        reply.finish_map(map, pairs);
    }
}

/// The reply of COMMAND GETKEYS, or with `with_flags` of COMMAND GETKEYSANDFLAGS, for `argv`, whose command the
/// caller has looked up (`Invalid command specified` if there is none).
pub fn write_keys<V: Argv + ?Sized>(reply: &mut Reply, spec: &Spec, argv: &V, with_flags: bool) {
    if spec.keys.iter().all(|key| key.flags.has(KeyFlags::NOT_KEY)) {
        return reply.error("ERR The command has no key arguments");
    }
    if !spec.arity_ok(argv.argc()) {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let mut keys = KeyRefs::new();
    if let Err(error) = find_keys(spec, argv, &mut keys) {
        return reply.error(&format!("ERR {error}"));
    }
    reply.array(keys.len());
    for key in keys {
        if with_flags {
            reply.array(2);
            reply.bulk(argv.arg(key.index as usize));
            write_names(reply, key.flags.names());
        } else {
            reply.bulk(argv.arg(key.index as usize));
        }
    }
}

#[cfg(test)]
mod tests;
