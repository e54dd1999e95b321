//! SPOP: <https://redis.io/commands/spop>. The log gets what was popped: SREM, or DEL if nothing is left.

use holdfast_resp::Reply;
use holdfast_storage::effects::{Class, Event};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::types::set::Set;
use holdfast_storage::types::set::SetLimits;
use rand::rngs::SmallRng;

use crate::args::Args;
use crate::ctx::Propagation;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::draw;
use crate::error::CmdError;
use crate::flags;
use crate::items;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `SPOP key [count]`
pub(crate) const SPOP: Command = Command {
    spec: &Spec {
        name: "spop",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: SET),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::Set,
        since: "1.0.0",
        summary: "Removes random members and returns them.",
        complexity: "O(N), N: members popped",
        tips: &["nondeterministic_output"],
        args: &[Arg::key("key", 0), Arg::integer("count").opt().since("3.2.0")],
        ..Spec::DEFAULT
    },
    run: spop,
};

const POPPED: Event = Event(Class::Set, "spop");
/// Members in one SREM of the log, as Redis has it.
const BATCH: usize = 1024;
/// If this many times what stays is popped, what stays is drawn instead. Redis has the same number, and it shows: the
/// members that stay are a new set then, whose encoding fits them.
const STAYING_FACTOR: usize = 5;

fn spop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        2 => pop_one(ctx, args.get(1)),
        3 => pop_several(ctx, args),
        _ => Err(CmdError::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> CmdResult {
    let mut rng = draw::fork(ctx);
    let Some(mut set) = ctx.data.edit::<Set>(key)? else {
        return ctx.done_null();
    };
    let Some(member) = set.pop_random(&mut rng) else {
        set.unchanged();
        return ctx.done_null();
    };
    set.finish(POPPED, 1);
    ctx.log.rewrite(&[b"SREM", key, &member]);
    ctx.reply.bulk(&member);
    Ok(Outcome::Done)
}

fn pop_several(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let count = args
        .int(2)
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(CmdError::NotPositive)?;
    let mut rng = draw::fork(ctx);
    let Some(mut set) = ctx.data.edit::<Set>(key)? else {
        ctx.reply.set(0);
        return Ok(Outcome::Done);
    };
    let len = set.len();
    ctx.reply.set(count.min(len));
    if count == 0 {
        set.unchanged();
        return Ok(Outcome::Done);
    }
    if count >= len {
        set.iter().for_each(|member| items::bulk(ctx.reply, member));
        set.unchanged();
        ctx.data.effects.event(ctx.data.db, POPPED, key);
        ctx.data.delete(key);
        ctx.data.effects.dirty += len as u64 - 1;
        ctx.log.rewrite(&[b"DEL", key]);
        return Ok(Outcome::Done);
    }
    let mut removed = Removed::new(key, ctx.log);
    if (len - count).saturating_mul(STAYING_FACTOR) > count {
        for _ in 0..count {
            if let Some(member) = set.pop_random(&mut rng) {
                removed.note(Item::Bytes(&member), ctx.reply);
            }
        }
    } else {
        let staying = draw_staying(&mut set, len - count, &ctx.limits.set, &mut rng);
        let popped = set.replace(staying);
        popped.iter().for_each(|member| removed.note(member, ctx.reply));
    }
    removed.end();
    set.finish(POPPED, count as u64);
    Ok(Outcome::Done)
}

/// Takes `count` members out into a set of their own.
fn draw_staying(set: &mut Set, count: usize, limits: &SetLimits, rng: &mut SmallRng) -> Set {
    let mut staying = Set::new();
    if set.as_intset().is_none() {
        // Not an integer: the new set begins as a listpack.
        staying.expect(b"", 1, limits);
    }
    for _ in 0..count {
        if let Some(member) = set.pop_random(rng) {
            staying.insert(&member, limits);
        }
    }
    staying
}

/// Members on their way to the reply and, in batches, to the log.
struct Removed<'a> {
    key: &'a [u8],
    log: &'a mut Propagation,
    /// The members of a batch, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Removed<'a> {
    fn new(key: &'a [u8], log: &'a mut Propagation) -> Self {
        Self {
            key,
            log,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn note(&mut self, member: Item<'_>, reply: &mut Reply) {
        items::bulk(reply, member);
        member.write_to(&mut self.bytes);
        self.ends.push(self.bytes.len());
        if self.ends.len() == BATCH {
            self.end();
        }
    }

    /// Writes what has been noted.
    fn end(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let mut argv: Vec<&[u8]> = vec![b"SREM", self.key];
        let mut start = 0;
        for end in self.ends.drain(..) {
            argv.push(&self.bytes[start..end]);
            start = end;
        }
        self.log.rewrite(&argv);
        self.bytes.clear();
    }
}
