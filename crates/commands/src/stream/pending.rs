//! XPENDING: <https://redis.io/commands/xpending>.

use holdfast_storage::types::stream::{Group as ConsumerGroup, Stream, StreamId};

use super::events;
use super::id::{self, End};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub(crate) const XPENDING: Command = Command {
    spec: &Spec {
        name: "xpending",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Tells what a group was given and has not acknowledged.",
        complexity: "O(N), N: entries returned; with a consumer or a time also those passed over",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
            Arg::block(
                "filters",
                &[
                    Arg::integer("min-idle-time").token("IDLE").opt().since("6.2.0"),
                    Arg::string("start"),
                    Arg::string("end"),
                    Arg::integer("count"),
                    Arg::string("consumer").opt(),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xpending,
};

/// Which pending entries are to be listed.
struct Filter<'a> {
    min_idle_ms: i64,
    from: StreamId,
    to: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// None: the summary is wanted.
    fn parse(args: Args<'a>) -> Result<Option<Self>, CmdError> {
        let argc = args.len();
        if argc == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&argc) {
            return Err(CmdError::Syntax);
        }
        let (mut at, mut min_idle_ms) = (3, 0);
        if args.is(3, "IDLE") {
            min_idle_ms = args.int(4)?;
            if argc < 8 {
                return Err(CmdError::Syntax);
            }
            at = 5;
        }
        Ok(Some(Self {
            count: usize::try_from(args.int(at + 2)?).unwrap_or(0),
            from: id::interval(args.get(at), End::Start)?,
            to: id::interval(args.get(at + 1), End::End)?,
            consumer: args.opt(at + 3),
            min_idle_ms,
        }))
    }
}

fn xpending(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let filter = Filter::parse(args)?;
    let (key, name, now_ms) = (args.get(1), args.get(2), ctx.data.now_ms);
    let group = ctx
        .data
        .read::<Stream>(key)?
        .and_then(|stream| stream.group(name))
        .ok_or_else(|| events::no_key_or_group(key, name))?;
    match filter {
        None => summary(ctx.reply, group),
        Some(filter) => list(ctx.reply, group, &filter, now_ms),
    }
    Ok(Outcome::Done)
}

fn summary(reply: &mut holdfast_resp::Reply, group: &ConsumerGroup) {
    let mut pending = group.pending_range(..);
    reply.array(4);
    reply.int(group.pending_len() as i64);
    let Some((first, _)) = pending.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    let last = pending.next_back().map_or(first, |(last, _)| last);
    id::write(reply, first);
    id::write(reply, last);
    let owners = group
        .consumers()
        .filter(|(_, consumer)| !consumer.pending().is_empty());
    let deferred = reply.defer();
    let mut count = 0;
    for (_, consumer) in owners {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending().len() as i64);
        count += 1;
    }
    reply.finish_array(deferred, count);
}

fn list(reply: &mut holdfast_resp::Reply, group: &ConsumerGroup, filter: &Filter<'_>, now_ms: i64) {
    let owner = match filter.consumer.map(|name| group.find_consumer(name)) {
        Some(None) => {
            reply.array(0);
            return;
        }
        Some(Some(owner)) => Some(owner),
        None => None,
    };
    let deferred = reply.defer();
    let mut written = 0;
    if filter.from <= filter.to {
        let mut one = |entry: StreamId| {
            let Some(pending) = group.pending(entry) else {
                return;
            };
            let idle = now_ms.saturating_sub(pending.delivered_ms).max(0);
            if idle < filter.min_idle_ms || written == filter.count {
                return;
            }
            written += 1;
            reply.array(4);
            id::write(reply, entry);
            match pending.owner {
                Some(owner) => {
                    reply.bulk(group.consumer(owner).name());
                    reply.int(idle);
                }
                // It was given back, and may be claimed at once.
                None => {
                    reply.bulk(b"");
                    reply.int(-1);
                }
            }
            reply.int(i64::try_from(pending.deliveries).unwrap_or(i64::MAX));
        };
        let range = filter.from..=filter.to;
        match owner {
            Some(owner) if filter.min_idle_ms == 0 => {
                let own = group.consumer(owner).pending();
                own.range(range).take(filter.count).for_each(&mut one);
            }
            Some(owner) => group.consumer(owner).pending().range(range).for_each(&mut one),
            None if filter.min_idle_ms <= 0 => {
                group
                    .pending_range(range)
                    .take(filter.count)
                    .for_each(|(id, _)| one(id));
            }
            None => group.pending_range(range).for_each(|(id, _)| one(id)),
        }
    }
    reply.finish_array(deferred, written);
}
