//! SORT, SORT_RO: <https://redis.io/commands/sort>.
//!
//! The elements are copied first: BY and GET look other keys up, which may expire while that is done.

mod options;
mod order;
mod pattern;

#[cfg(test)]
mod tests;

use std::ops::Range;

use holdfast_storage::data::Expiry;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::list::{End, List};
use holdfast_storage::value::{Value, ValueRef};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use options::{By, Options};
use pattern::Pattern;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]`
pub(crate) const SORT: Command = Command {
    spec: &Spec {
        name: "sort",
        arity: -2,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: SET, SORTEDSET, LIST, DANGEROUS),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec {
                notes: "keys of BY and GET: their names depend on the elements",
                flags: flags!(KeyFlags: RO, ACCESS),
                begin: Begin::Unknown,
                find: Find::Unknown,
            },
            KeySpec {
                notes: "the key after STORE, which may stand at any place",
                flags: flags!(KeyFlags: OW, UPDATE),
                begin: Begin::Unknown,
                find: Find::Unknown,
            },
        ],
        group: Group::Generic,
        since: "1.0.0",
        summary: "Sorts the elements of a list, set or sorted set, and may store the result.",
        complexity: "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
        args: &[
            Arg::key("key", 0),
            Arg::pattern("pattern").in_key_spec(1).token("BY").opt(),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
            Arg::pattern("pattern")
                .in_key_spec(1)
                .token("GET")
                .opt()
                .multi_token(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::word("sorting", "ALPHA").opt(),
            Arg::key("destination", 2).token("STORE").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sort,
};

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]`
pub(crate) const SORT_RO: Command = Command {
    spec: &Spec {
        name: "sort_ro",
        arity: -2,
        flags: flags!(Flags: READONLY, MOVABLEKEYS),
        acl: flags!(Acl: SET, SORTEDSET, LIST, DANGEROUS),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec {
                notes: "keys of BY and GET: their names depend on the elements",
                flags: flags!(KeyFlags: RO, ACCESS),
                begin: Begin::Unknown,
                find: Find::Unknown,
            },
        ],
        group: Group::Generic,
        since: "7.0.0",
        summary: "Sorts the elements of a list, set or sorted set.",
        complexity: "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
        args: &[
            Arg::key("key", 0),
            Arg::pattern("pattern").in_key_spec(1).token("BY").opt(),
            Arg::block("offset_count", &[Arg::integer("offset"), Arg::integer("count")])
                .token("LIMIT")
                .opt(),
            Arg::pattern("pattern")
                .in_key_spec(1)
                .token("GET")
                .opt()
                .multi_token(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::word("sorting", "ALPHA").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: sort_ro,
};

fn sort(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    run(
        ctx,
        args,
        Options::parse(args.cursor(2), true, ctx.limits.cluster)?,
    )
}

fn sort_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    run(
        ctx,
        args,
        Options::parse(args.cursor(2), false, ctx.limits.cluster)?,
    )
}

fn run(ctx: &mut Ctx<'_, '_>, args: Args<'_>, mut options: Options<'_>) -> CmdResult {
    let loaded = load(ctx, args.get(1), &mut options)?;
    let range = options.range(loaded.elements.len());
    let sorted = match options.by {
        By::Nothing => loaded.elements,
        By::Element => order::by_element(loaded.elements, &options, &range)?,
        By::Pattern(pattern) => order::by_pattern(ctx, loaded.elements, pattern, &options, &range)?,
    };
    let chosen = if loaded.is_cut {
        &sorted[..]
    } else {
        &sorted[range]
    };
    match options.store {
        None => answer(ctx, chosen, &options.get),
        Some(to) => store(ctx, to, chosen, &options.get),
    }
}

/// Elements in the order of their collection.
struct Loaded {
    elements: Vec<Vec<u8>>,
    /// LIMIT has been applied.
    is_cut: bool,
}

fn load(ctx: &mut Ctx<'_, '_>, key: &[u8], options: &mut Options<'_>) -> Result<Loaded, CmdError> {
    let text = |item: Item<'_>| item.to_vec();
    let whole = |elements| {
        Ok(Loaded {
            elements,
            is_cut: false,
        })
    };
    let cut = |elements| {
        Ok(Loaded {
            elements,
            is_cut: true,
        })
    };
    match ctx.data.get(key) {
        None => whole(Vec::new()),
        Some(ValueRef::List(list)) => match options.by {
            By::Nothing => {
                let Range { start, end } = options.range(list.len());
                let from_end = if options.descending { End::Back } else { End::Front };
                cut(list
                    .iter_end(from_end)
                    .skip(start)
                    .take(end - start)
                    .map(text)
                    .collect())
            }
            By::Element | By::Pattern(_) => whole(list.iter().map(text).collect()),
        },
        Some(ValueRef::Set(set)) => {
            // The order of a set is nobody's promise: what is stored, and so replicated, must not depend on it.
            if matches!(options.by, By::Nothing) && options.store.is_some() {
                (options.by, options.alpha) = (By::Element, true);
            }
            whole(set.iter().map(text).collect())
        }
        Some(ValueRef::Zset(zset)) => match options.by {
            By::Nothing => {
                let Range { start, end } = options.range(zset.len());
                let len = zset.len();
                let members = if options.descending {
                    zset.range(len - end..len - start)
                        .rev()
                        .map(|(m, _)| text(m))
                        .collect()
                } else {
                    zset.range(start..end).map(|(m, _)| text(m)).collect()
                };
                cut(members)
            }
            By::Element | By::Pattern(_) => whole(zset.iter().map(|(m, _)| text(m)).collect()),
        },
        Some(
            ValueRef::Int(_)
            | ValueRef::Str { .. }
            | ValueRef::Heap(_)
            | ValueRef::Hash(_)
            | ValueRef::Stream(_),
        ) => Err(CmdError::WrongType),
    }
}

fn answer(ctx: &mut Ctx<'_, '_>, chosen: &[Vec<u8>], get: &[Pattern<'_>]) -> CmdResult {
    ctx.reply.array(chosen.len() * get.len().max(1));
    for element in chosen {
        if get.is_empty() {
            ctx.reply.bulk(element);
        }
        for pattern in get {
            let (data, reply) = (&mut ctx.data, &mut *ctx.reply);
            pattern.look_up(data, element, |found| match found {
                None => reply.null(),
                Some(text) => reply.bulk(text),
            });
        }
    }
    Ok(Outcome::Done)
}

fn store(ctx: &mut Ctx<'_, '_>, to: &[u8], chosen: &[Vec<u8>], get: &[Pattern<'_>]) -> CmdResult {
    let limits = ctx.limits.list;
    let mut list = List::new();
    for element in chosen {
        if get.is_empty() {
            list.push_back(element, &limits);
        }
        for pattern in get {
            // What is not there is stored as an empty string.
            pattern.look_up(&mut ctx.data, element, |found| {
                list.push_back(found.unwrap_or_default(), &limits);
            });
        }
    }
    let len = list.len();
    if len == 0 {
        ctx.data.delete(to);
    } else {
        let event = Event(Class::List, "sortstore");
        ctx.data.set(to, Value::List(list), Expiry::Clear, event);
        ctx.data.effects.dirty += len as u64 - 1;
    }
    ctx.done_int(len as i64)
}
