//! XREADGROUP: <https://redis.io/commands/xreadgroup>.

use holdfast_resp::Reply;
use holdfast_storage::data::Edit;
use holdfast_storage::types::stream::{ConsumerId, Stream, StreamId};
use smallvec::SmallVec;

use super::logged::{Delivery, Place};
use super::read::{begin_stream, finish_streams, nothing};
use super::read_args::{Budget, ReadArgs, Which};
use super::{events, id, reply};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome, Propagation};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};

/// `XREADGROUP GROUP group consumer [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds]
/// [CLAIM min-idle-time] [NOACK]
/// STREAMS key [key ...] id [id ...]`
pub(crate) const XREADGROUP: Command = Command {
    spec: &Spec {
        name: "xreadgroup",
        arity: -7,
        flags: flags!(Flags: WRITE, BLOCKING, MOVABLEKEYS),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec {
            notes: "",
            flags: flags!(KeyFlags: RO, ACCESS),
            begin: Begin::Keyword("STREAMS", 4),
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            },
        }],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns entries that a group has not been given yet, or those that are pending for a consumer.",
        complexity: "O(N), N: entries returned",
        args: &[
            Arg::block("group_consumer", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
            Arg::integer("count").token("COUNT").opt(),
            Arg::integer("maxcount").token("MAXCOUNT").opt().since("8.10.0"),
            Arg::integer("maxsize").token("MAXSIZE").opt().since("8.10.0"),
            Arg::integer("milliseconds").token("BLOCK").opt(),
            Arg::integer("min-idle-time").token("CLAIM").opt().since("8.4.0"),
            Arg::word("noack", "NOACK").opt(),
            Arg::block(
                "streams",
                &[Arg::key("key", 0).multi(), Arg::string("id").multi()],
            )
            .token("STREAMS"),
        ],
        ..Spec::DEFAULT
    },
    run: xreadgroup,
};

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
enum From {
    /// What nobody of the group was given (`>`).
    New,
    /// What is pending for the consumer behind this id.
    Pending(StreamId),
}

fn xreadgroup(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let parsed = ReadArgs::parse(args, Which::ReadGroup, ctx.data.now_ms)?;
    let Some((group, consumer)) = parsed.group else {
        return Err(CmdError::Syntax);
    };
    let places = places(ctx, args, &parsed, group)?;
    let mark = ctx.reply.mark();
    let header = ctx.reply.defer();
    let mut budget = Budget::new(&parsed, ctx.reply);
    let mut served = 0;
    for (key, from) in parsed.keys.clone().zip(places) {
        let place = Place {
            key: args.get(key),
            group,
        };
        if budget.is_spent(ctx.reply) {
            break;
        }
        let now_ms = ctx.data.now_ms;
        let Some(stream) = ctx.data.edit::<Stream>(place.key)? else {
            continue;
        };
        let mut reader = match Reader::begin(stream, place, consumer, now_ms) {
            Ok(reader) => reader,
            Err(stream) => {
                stream.unchanged();
                continue;
            }
        };
        let wrote = match from {
            From::Pending(after) => {
                begin_stream(ctx.reply, place.key);
                reader.history(ctx.reply, after, parsed.count, &mut budget);
                true
            }
            From::New => reader.serve(ctx.reply, ctx.log, &parsed, &mut budget),
        };
        served += usize::from(wrote);
        reader.finish(ctx.log);
    }
    if served == 0 {
        ctx.reply.truncate_to(mark);
        return nothing(ctx, &parsed, Vec::new());
    }
    finish_streams(ctx.reply, header, served);
    Ok(Outcome::Done)
}

fn places(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    parsed: &ReadArgs<'_>,
    group: &[u8],
) -> Result<SmallVec<[From; 4]>, CmdError> {
    let mut places = SmallVec::new();
    for key in parsed.keys.clone() {
        let name = args.get(key);
        let stream = ctx.data.read::<Stream>(name)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(id::quoting(&[
                b"NOGROUP No such key '",
                name,
                b"' or consumer group '",
                group,
                b"' in XREADGROUP with GROUP option",
            ]));
        }
        places.push(match args.get(parsed.id_of(key)) {
            b"$" => return Err(meaningless("$")),
            b"+" => return Err(meaningless("+")),
            b">" => From::New,
            argument => match id::strict(argument, 0)? {
                StreamId::MAX => From::New,
                after => From::Pending(after),
            },
        });
    }
    Ok(places)
}

fn meaningless(id: &str) -> CmdError {
    CmdError::msg(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
         by specifying a proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result \
         set."
    ))
}

/// A consumer that reads a stream.
struct Reader<'a, 'd> {
    stream: Edit<'d, Stream>,
    place: Place<'a>,
    name: &'a [u8],
    consumer: ConsumerId,
    /// The consumer is new, and nothing in the log has told it yet.
    untold: bool,
    now_ms: i64,
    changes: u64,
}

impl<'a, 'd> Reader<'a, 'd> {
    /// Finds or makes the consumer, whether there is something to read or not. Gives the stream back if it has no
    /// such group.
    fn begin(
        mut stream: Edit<'d, Stream>,
        place: Place<'a>,
        name: &'a [u8],
        now_ms: i64,
    ) -> Result<Self, Edit<'d, Stream>> {
        let Some(group) = stream.group_mut(place.group) else {
            return Err(stream);
        };
        let created = group.create_consumer(name, now_ms);
        let Some(consumer) = created.or_else(|| group.find_consumer(name)) else {
            return Err(stream);
        };
        group.consumer_mut(consumer).seen_ms = now_ms;
        let untold = created.is_some();
        if untold {
            stream.note(events::CREATE_CONSUMER);
        }
        Ok(Self {
            stream,
            place,
            name,
            consumer,
            untold,
            now_ms,
            changes: u64::from(untold),
        })
    }

    fn finish(self, log: &mut Propagation) {
        if self.untold {
            self.place.log_consumer(log, self.name);
        }
        if self.changes > 0 {
            self.stream.finish_quietly(self.changes);
        } else {
            self.stream.unchanged();
        }
    }

    /// Writes what is pending for the consumer, and counts that as one more delivery. Others are not told: the next
    /// change of such an entry tells its number of deliveries.
    fn history(&mut self, out: &mut Reply, after: StreamId, count: usize, budget: &mut Budget) {
        let most = if count == 0 { usize::MAX } else { count };
        let ids: Vec<StreamId> = match (self.stream.group(self.place.group), after.next()) {
            (Some(group), Some(start)) => {
                let own = group.consumer(self.consumer).pending();
                own.range(start..).take(most).collect()
            }
            (None, _) | (_, None) => Vec::new(),
        };
        let header = out.defer();
        let mut written = 0;
        for entry in ids {
            if written > 0 && budget.is_spent(out) {
                break;
            }
            budget.spend();
            written += 1;
            let Some(found) = self.stream.get(entry) else {
                out.array(2);
                id::write(out, entry);
                out.null_array();
                continue;
            };
            reply::entry(out, found);
            if let Some(group) = self.stream.group_mut(self.place.group)
                && let Some(pending) = group.pending(entry).copied()
            {
                group.redeliver(entry, self.now_ms, pending.deliveries.saturating_add(1));
            }
        }
        out.finish_array(header, written);
    }

    /// Writes what can be claimed and what is new; false: nothing, and nothing is written.
    fn serve(
        &mut self,
        out: &mut Reply,
        log: &mut Propagation,
        parsed: &ReadArgs<'_>,
        budget: &mut Budget,
    ) -> bool {
        let most = if parsed.count == 0 {
            usize::MAX
        } else {
            parsed.count
        };
        let idle = match parsed.claim_ms {
            Some(claim_ms) => self.claimable(claim_ms, most),
            None => Vec::new(),
        };
        let new = self.new_entries();
        if idle.is_empty() && new.is_none() {
            return false;
        }
        begin_stream(out, self.place.key);
        let header = out.defer();
        let claimed = self.write_claimed(out, log, &idle, budget);
        let left = most - claimed;
        let delivered = match new {
            Some(start) if claimed == 0 || (left > 0 && !budget.is_spent(out)) => {
                self.write_new(out, start, left, parsed.claim_ms.is_some(), budget)
            }
            Some(_) | None => Vec::new(),
        };
        out.finish_array(header, claimed + delivered.len());
        self.deliver(log, &delivered, parsed.no_ack);
        true
    }

    /// The first id that nobody of the group was given, if there are entries from there on.
    fn new_entries(&self) -> Option<StreamId> {
        let group = self.stream.group(self.place.group)?;
        let is_there = !self.stream.is_empty() && self.stream.last_entry_id() > group.last_id;
        is_there.then(|| group.last_id.next()).flatten()
    }

    /// `with_delivery`: beside claimed entries new ones say that they were delivered 0 ms ago, 0 times.
    fn write_new(
        &self,
        out: &mut Reply,
        start: StreamId,
        most: usize,
        with_delivery: bool,
        budget: &mut Budget,
    ) -> Vec<StreamId> {
        let mut ids = Vec::new();
        for entry in self.stream.range(start, StreamId::MAX).take(most) {
            if !ids.is_empty() && budget.is_spent(out) {
                break;
            }
            budget.spend();
            ids.push(entry.id);
            if with_delivery {
                out.array(4);
                id::write(out, entry.id);
                reply::fields(out, entry.fields);
                out.int(0);
                out.int(0);
            } else {
                reply::entry(out, entry);
            }
        }
        ids
    }

    /// Records that the consumer was given new entries.
    fn deliver(&mut self, log: &mut Propagation, ids: &[StreamId], no_ack: bool) {
        let Some(&last) = ids.last() else { return };
        let mut read = self
            .stream
            .group(self.place.group)
            .and_then(|group| group.entries_read);
        for &entry in ids {
            read = self.stream.entries_read_after(read, entry);
        }
        let Some(group) = self.stream.group_mut(self.place.group) else {
            return;
        };
        group.last_id = group.last_id.max(last);
        group.entries_read = read;
        group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        if !no_ack {
            for &entry in ids {
                group.assign(entry, self.consumer, self.now_ms, 1);
                let delivery = Delivery {
                    consumer: self.name,
                    id: entry,
                    delivered_ms: self.now_ms,
                    deliveries: 1,
                    last_id: entry,
                };
                self.place.log_delivery(log, delivery);
            }
            self.untold = false;
        }
        if self.untold {
            self.place.log_consumer(log, self.name);
            self.untold = false;
        }
        self.place.log_position(log, last, read);
        self.changes += ids.len() as u64;
    }

    /// Pending entries that have been idle for so long, the longest first. Those that were given back come before all
    /// others.
    fn claimable(&self, claim_ms: i64, most: usize) -> Vec<StreamId> {
        let Some(group) = self.stream.group(self.place.group) else {
            return Vec::new();
        };
        let mut idle: Vec<(i64, StreamId)> = group
            .pending_range(..)
            .filter(|(_, pending)| {
                pending.owner.is_none() || self.now_ms.saturating_sub(pending.delivered_ms) >= claim_ms
            })
            .map(|(entry, pending)| (pending.delivered_ms, entry))
            .filter(|(_, entry)| self.stream.contains(*entry))
            .collect();
        idle.sort_unstable();
        idle.truncate(most);
        idle.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Writes pending entries with the time since their last delivery and the number of deliveries, and takes them.
    fn write_claimed(
        &mut self,
        out: &mut Reply,
        log: &mut Propagation,
        ids: &[StreamId],
        budget: &mut Budget,
    ) -> usize {
        let mut written = 0;
        for &entry in ids {
            if written > 0 && budget.is_spent(out) {
                break;
            }
            let Some(found) = self.stream.get(entry) else {
                continue;
            };
            budget.spend();
            written += 1;
            out.array(4);
            id::write(out, entry);
            reply::fields(out, found.fields);
            let Some(group) = self.stream.group_mut(self.place.group) else {
                continue;
            };
            let (idle, before) = match group.pending(entry) {
                Some(pending) => (
                    self.now_ms.saturating_sub(pending.delivered_ms).max(0),
                    pending.deliveries,
                ),
                None => (0, 0),
            };
            out.int(idle);
            out.int(i64::try_from(before).unwrap_or(i64::MAX));
            let deliveries = before.saturating_add(1);
            group.assign(entry, self.consumer, self.now_ms, deliveries);
            group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
            let delivery = Delivery {
                consumer: self.name,
                id: entry,
                delivered_ms: self.now_ms,
                deliveries,
                last_id: group.last_id,
            };
            self.place.log_delivery(log, delivery);
            self.untold = false;
            self.changes += 1;
        }
        written
    }
}
