//! HSETEX, HGETEX and HGETDEL: <https://redis.io/commands/hsetex>. They came with Redis 8.0 and Valkey 9.0.

use holdfast_storage::data::OnExpired;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::types::hash::Hash;

use super::expire::{FIELDS, HDEL_EVENT, HEXPIRE_EVENT};
use super::field_args::{BadCount, check_type, expiry_ms, fields, log_expiry, log_persisted, log_removed};
use super::ttl::HPERSIST_EVENT;
use crate::args::{self, Args};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `HSETEX key [FNX|FXX] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL] FIELDS numfields field value [field value ...]`
pub(crate) const HSETEX: Command = Command {
    spec: &Spec {
        name: "hsetex",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Hash,
        since: "8.0.0",
        summary: "Sets fields of a hash and the time at which they expire, perhaps on a condition.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::one_of("condition", &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")]).opt(),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::word("keepttl", "KEEPTTL"),
                ],
            )
            .opt(),
            Arg::block(
                "fields",
                &[
                    Arg::integer("numfields"),
                    Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multi(),
                ],
            )
            .token("FIELDS"),
        ],
        ..Spec::DEFAULT
    },
    run: hsetex,
};

/// `HGETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST] FIELDS numfields field [field ...]`
pub(crate) const HGETEX: Command = Command {
    spec: &Spec {
        name: "hgetex",
        arity: -5,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec {
            notes: "UPDATE because the time at which fields expire may change",
            ..KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, UPDATE))
        }],
        group: Group::Hash,
        since: "8.0.0",
        summary: "Returns the values of fields and changes the time at which they expire.",
        complexity: "O(N), N: fields given",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").token("EX"),
                    Arg::integer("milliseconds").token("PX"),
                    Arg::unix_time("unix-time-seconds").token("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                    Arg::word("persist", "PERSIST"),
                ],
            )
            .opt(),
            FIELDS,
        ],
        ..Spec::DEFAULT
    },
    run: hgetex,
};

/// `HGETDEL key FIELDS numfields field [field ...]`
pub(crate) const HGETDEL: Command = Command {
    spec: &Spec {
        name: "hgetdel",
        arity: -5,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: HASH),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::Hash,
        since: "8.0.0",
        summary: "Removes fields from a hash and returns their values.",
        complexity: "O(N), N: fields given",
        args: &[Arg::key("key", 0), FIELDS],
        ..Spec::DEFAULT
    },
    run: hgetdel,
};

const HSET_EVENT: Event = Event(Class::Hash, "hset");

/// What happens to the times of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// Nothing was said.
    Default,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// Unix ms.
    At(i64),
}

/// What the two commands have of their own.
#[derive(Clone, Copy, Debug)]
struct Syntax {
    command: &'static str,
    /// The word in place of a time, and what it means.
    word: (&'static str, Times),
    /// Error if two are given.
    only_one: &'static str,
    /// Arguments for each field.
    width: usize,
    conditions: bool,
}

const SET_SYNTAX: Syntax = Syntax {
    command: "hsetex",
    word: ("KEEPTTL", Times::Keep),
    only_one: "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    width: 2,
    conditions: true,
};

const GET_SYNTAX: Syntax = Syntax {
    command: "hgetex",
    word: ("PERSIST", Times::Persist),
    only_one: "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
    width: 1,
    conditions: false,
};

/// The arguments behind the key; the options may stand on either side of the fields.
#[derive(Debug)]
struct Parsed {
    times: Times,
    /// FNX: true, FXX: false.
    must_be_new: Option<bool>,
    /// Index of the first field, and how many there are.
    first: usize,
    count: usize,
}

impl Parsed {
    fn parse(args: Args<'_>, syntax: &Syntax, now_ms: i64) -> Result<Self, CmdError> {
        // (word, ms in a unit, from when)
        let units = [
            ("EX", 1000, now_ms),
            ("PX", 1, now_ms),
            ("EXAT", 1000, 0),
            ("PXAT", 1, 0),
        ];
        let (mut times, mut must_be_new, mut fields) = (None, None, None);
        let mut rest = args.cursor(2);
        while let Some(word) = rest.peek() {
            if let Some((_, unit_ms, base_ms)) = units.into_iter().find(|(word, ..)| rest.accept(word)) {
                let value = rest.next().ok_or(CmdError::Arity(syntax.command))?;
                if times.is_some() {
                    return Err(CmdError::msg(syntax.only_one));
                }
                times = Some(Times::At(expiry_ms(
                    args::int(value)?,
                    unit_ms,
                    base_ms,
                    syntax.command,
                )?));
            } else if rest.accept(syntax.word.0) {
                if times.replace(syntax.word.1).is_some() {
                    return Err(CmdError::msg(syntax.only_one));
                }
            } else if syntax.conditions && (rest.accept("FNX") || rest.accept("FXX")) {
                if must_be_new.replace(word.eq_ignore_ascii_case(b"FNX")).is_some() {
                    return Err(CmdError::msg(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
            } else if rest.accept("FIELDS") {
                if fields.is_some() {
                    return Err(CmdError::msg("ERR FIELDS keyword specified multiple times"));
                }
                let count = rest.next().and_then(|count| args::int(count).ok());
                let count = count
                    .and_then(|count| usize::try_from(count).ok())
                    .filter(|count| *count > 0)
                    .ok_or_else(|| CmdError::msg("ERR invalid number of fields"))?;
                let words = count
                    .checked_mul(syntax.width)
                    .filter(|words| *words <= rest.left());
                let Some(words) = words else {
                    return Err(CmdError::msg("ERR wrong number of arguments"));
                };
                fields = Some((rest.at(), count));
                rest = args.cursor(rest.at() + words);
            } else {
                let word = String::from_utf8_lossy(word);
                return Err(CmdError::msg(format!("ERR unknown argument: {word}")));
            }
        }
        let Some((first, count)) = fields else {
            return Err(CmdError::msg("ERR missing FIELDS argument"));
        };
        Ok(Self {
            times: times.unwrap_or(Times::Default),
            must_be_new,
            first,
            count,
        })
    }

    /// True if the times of the fields are over already, which removes the fields (not while loading or following a
    /// primary, which decides).
    fn is_over(&self, ctx: &Ctx<'_, '_>) -> bool {
        matches!(self.times, Times::At(at_ms) if at_ms <= ctx.data.now_ms)
            && ctx.data.on_expired == OnExpired::Remove
    }
}

fn hsetex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let parsed = Parsed::parse(args, &SET_SYNTAX, ctx.data.now_ms)?;
    let over = parsed.is_over(ctx);
    let pairs = args.pairs(parsed.first).take(parsed.count);
    let limits = &ctx.limits.hash;
    let mut hash = ctx.data.edit_or_create::<Hash>(key)?;
    if let Some(new) = parsed.must_be_new
        && pairs.clone().any(|(field, _)| hash.contains(field) == new)
    {
        hash.unchanged();
        return ctx.done_int(0);
    }
    if over {
        let removed: Vec<&[u8]> = pairs
            .map(|(field, _)| field)
            .filter(|field| hash.remove(field))
            .collect();
        if removed.is_empty() {
            hash.unchanged();
        } else {
            hash.finish(HDEL_EVENT, removed.len() as u64);
            log_removed(ctx, key, &removed);
        }
        return ctx.done_int(1);
    }
    hash.expect(parsed.count, limits);
    for (field, value) in pairs.clone() {
        match parsed.times {
            Times::Keep => hash.update(field, value, limits),
            Times::Default | Times::Persist => hash.set(field, value, limits),
            Times::At(at_ms) => hash.update(field, value, limits) | hash.set_expiry_ms(field, Some(at_ms)),
        };
    }
    let mut count = itoa::Buffer::new();
    let mut at = itoa::Buffer::new();
    let count = count.format(parsed.count).as_bytes();
    let mut argv: Vec<&[u8]> = match parsed.times {
        Times::At(at_ms) => {
            hash.finish2(HSET_EVENT, HEXPIRE_EVENT, parsed.count as u64);
            let at = at.format(at_ms).as_bytes();
            vec![b"HSETEX", key, b"PXAT", at, b"FIELDS", count]
        }
        Times::Keep => {
            hash.finish(HSET_EVENT, parsed.count as u64);
            vec![b"HSETEX", key, b"KEEPTTL", b"FIELDS", count]
        }
        Times::Default | Times::Persist => {
            hash.finish(HSET_EVENT, parsed.count as u64);
            vec![b"HSET", key]
        }
    };
    argv.extend(pairs.flat_map(|(field, value)| [field, value]));
    ctx.log.rewrite(&argv);
    ctx.done_int(1)
}

fn hgetex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let parsed = Parsed::parse(args, &GET_SYNTAX, ctx.data.now_ms)?;
    let over = parsed.is_over(ctx);
    let fields = args.from(parsed.first).take(parsed.count);
    let Some(mut hash) = ctx.data.edit::<Hash>(key)? else {
        ctx.reply.array(parsed.count);
        fields.for_each(|_| ctx.reply.null());
        return Ok(Outcome::Done);
    };
    ctx.reply.array(parsed.count);
    let mut changed = Vec::new();
    for field in fields {
        match hash.get(field) {
            Some(value) => items::bulk(ctx.reply, value),
            None => {
                ctx.reply.null();
                continue;
            }
        }
        let done = match parsed.times {
            Times::Default | Times::Keep => false,
            Times::At(_) if over => hash.remove(field),
            Times::At(at_ms) => hash.set_expiry_ms(field, Some(at_ms)),
            Times::Persist => hash.expiry_ms(field).flatten().is_some() && hash.set_expiry_ms(field, None),
        };
        if done {
            changed.push(field);
        }
    }
    if changed.is_empty() {
        hash.unchanged();
        return Ok(Outcome::Done);
    }
    let changes = changed.len() as u64;
    match parsed.times {
        Times::At(_) if over => {
            hash.finish(HDEL_EVENT, changes);
            log_removed(ctx, key, &changed);
        }
        Times::At(at_ms) => {
            hash.finish(HEXPIRE_EVENT, changes);
            log_expiry(ctx, key, at_ms, &changed);
        }
        Times::Persist | Times::Default | Times::Keep => {
            hash.finish(HPERSIST_EVENT, changes);
            log_persisted(ctx, key, &changed);
        }
    }
    Ok(Outcome::Done)
}

fn hgetdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    check_type(ctx, key)?;
    let fields = fields(args, 2, BadCount::Look)?;
    ctx.reply.array(fields.len());
    let Some(mut hash) = ctx.data.edit::<Hash>(key)? else {
        fields.for_each(|_| ctx.reply.null());
        return Ok(Outcome::Done);
    };
    let mut removed = Vec::new();
    for field in fields {
        match hash.get(field) {
            Some(value) => items::bulk(ctx.reply, value),
            None => {
                ctx.reply.null();
                continue;
            }
        }
        hash.remove(field);
        removed.push(field);
    }
    if removed.is_empty() {
        hash.unchanged();
    } else {
        hash.finish(HDEL_EVENT, removed.len() as u64);
        log_removed(ctx, key, &removed);
    }
    Ok(Outcome::Done)
}
