//! XREAD: <https://redis.io/commands/xread>.

use holdfast_storage::types::stream::{Entry, Stream, StreamId};
use smallvec::SmallVec;

use super::read_args::{Budget, ReadArgs, Which};
use super::{id, reply};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome, TimeoutReply, Wait};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};

/// `XREAD [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
pub(crate) const XREAD: Command = Command {
    spec: &Spec {
        name: "xread",
        arity: -4,
        flags: flags!(Flags: READONLY, BLOCKING, MOVABLEKEYS),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec {
            notes: "",
            flags: flags!(KeyFlags: RO, ACCESS),
            begin: Begin::Keyword("STREAMS", 1),
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            },
        }],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns entries behind the given ids, waiting for some if need be.",
        complexity: "O(N), N: entries returned",
        args: &[
            Arg::integer("count").token("COUNT").opt(),
            Arg::integer("maxcount").token("MAXCOUNT").opt().since("8.10.0"),
            Arg::integer("maxsize").token("MAXSIZE").opt().since("8.10.0"),
            Arg::integer("milliseconds").token("BLOCK").opt(),
            Arg::block(
                "streams",
                &[Arg::key("key", 0).multi(), Arg::string("id").multi()],
            )
            .token("STREAMS"),
        ],
        ..Spec::DEFAULT
    },
    run: xread,
};

/// Where a stream is read from.
#[derive(Clone, Copy, Debug)]
enum From {
    /// Behind this id.
    After(StreamId),
    /// The last entry (`+`).
    Last,
}

impl From {
    /// The first id to be read, if there is something to read.
    fn start(self, stream: &Stream) -> Option<StreamId> {
        let last = stream.last_entry_id();
        match self {
            Self::After(id) if !stream.is_empty() && last > id => id.next(),
            Self::Last if !stream.is_empty() => Some(last),
            Self::After(_) | Self::Last => None,
        }
    }
}

fn xread(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let parsed = ReadArgs::parse(args, Which::Read, ctx.data.now_ms)?;
    let mut places: SmallVec<[From; 4]> = SmallVec::new();
    let mut resolved = Vec::new();
    for key in parsed.keys.clone() {
        let argument = args.get(parsed.id_of(key));
        // Looked up whatever the id is: a key of another type is an error.
        let stream = ctx.data.read::<Stream>(args.get(key))?;
        places.push(match argument {
            b"$" => {
                let last = stream.map_or(StreamId::ZERO, Stream::last_id);
                resolved.push((parsed.id_of(key), Box::from(&id::text(last)[..])));
                From::After(last)
            }
            b"+" => From::Last,
            b">" => {
                return Err(CmdError::msg(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            argument => From::After(id::strict(argument, 0)?),
        });
    }
    let deferred = ctx.reply.mark();
    let header = ctx.reply.defer();
    let mut budget = Budget::new(&parsed, ctx.reply);
    let mut served = 0;
    for (key, from) in parsed.keys.clone().zip(places) {
        let key = args.get(key);
        let Some(stream) = ctx.data.read::<Stream>(key)? else {
            continue;
        };
        let Some(start) = from.start(stream) else {
            continue;
        };
        if budget.is_spent(ctx.reply) {
            break;
        }
        served += 1;
        begin_stream(ctx.reply, key);
        let entries = stream.range(start, StreamId::MAX);
        write_entries(ctx.reply, entries, parsed.count, &mut budget);
    }
    if served == 0 {
        ctx.reply.truncate_to(deferred);
        return nothing(ctx, &parsed, resolved);
    }
    finish_streams(ctx.reply, header, served);
    Ok(Outcome::Done)
}

/// Writes entries of one stream, at most `count` (0: all) and as many as the budget lets, but one in any case.
fn write_entries<'a>(
    out: &mut holdfast_resp::Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
    budget: &mut Budget,
) {
    let header = out.defer();
    let most = if count == 0 { usize::MAX } else { count };
    let mut written = 0;
    for entry in entries.take(most) {
        if written > 0 && budget.is_spent(out) {
            break;
        }
        reply::entry(out, entry);
        budget.spend();
        written += 1;
    }
    out.finish_array(header, written);
}

/// The key in front of its entries.
pub(super) fn begin_stream(reply: &mut holdfast_resp::Reply, key: &[u8]) {
    if reply.proto() == holdfast_resp::Proto::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// All streams are written.
pub(super) fn finish_streams(
    reply: &mut holdfast_resp::Reply,
    header: holdfast_resp::Deferred,
    served: usize,
) {
    if reply.proto() == holdfast_resp::Proto::Resp2 {
        reply.finish_array(header, served);
    } else {
        reply.finish_map(header, served);
    }
}

/// There is nothing to read: waits, or says so.
pub(super) fn nothing(
    ctx: &mut Ctx<'_, '_>,
    parsed: &ReadArgs<'_>,
    resolved: Vec<(usize, Box<[u8]>)>,
) -> CmdResult {
    if let Some(timeout_ms) = parsed.block
        && ctx.may_block
    {
        return Ok(Outcome::Block(Wait {
            keys: parsed.keys.clone(),
            timeout_ms,
            on_timeout: TimeoutReply::NullArray,
            resolved,
        }));
    }
    ctx.reply.null_array();
    Ok(Outcome::Done)
}
