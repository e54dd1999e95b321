//! XCLAIM and XAUTOCLAIM: <https://redis.io/commands/xclaim>, <https://redis.io/commands/xautoclaim>.

use holdfast_storage::types::stream::{ConsumerId, Pending, Stream, StreamId};

use super::del::Ids;
use super::id::{self, End};
use super::logged::{Delivery, Place};
use super::{events, reply};
use crate::args::{self, Args};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]`
pub(crate) const XCLAIM: Command = Command {
    spec: &Spec {
        name: "xclaim",
        arity: -6,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Makes a consumer the owner of pending entries, and returns them.",
        complexity: "O(N*log(M)), N: ids, M: entries pending in the group",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("id").multi(),
            Arg::integer("ms").token("IDLE").opt(),
            Arg::unix_time("unix-time-milliseconds").token("TIME").opt(),
            Arg::integer("count").token("RETRYCOUNT").opt(),
            Arg::word("force", "FORCE").opt(),
            Arg::word("justid", "JUSTID").opt(),
            Arg::string("id").token("LASTID").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xclaim,
};

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub(crate) const XAUTOCLAIM: Command = Command {
    spec: &Spec {
        name: "xautoclaim",
        arity: -6,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "6.2.0",
        summary: "Makes a consumer the owner of those pending entries that have been idle for long.",
        complexity: "O(N), N: COUNT",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").opt(),
            Arg::word("justid", "JUSTID").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xautoclaim,
};

/// An error unless the key holds a stream with this group.
pub(super) fn require_group(ctx: &mut Ctx<'_, '_>, place: Place<'_>) -> Result<(), CmdError> {
    let stream = ctx.data.read::<Stream>(place.key)?;
    match stream.and_then(|stream| stream.group(place.group)) {
        Some(_) => Ok(()),
        None => Err(events::no_key_or_group(place.key, place.group)),
    }
}

fn option(text: &[u8], error: &'static str) -> Result<i64, CmdError> {
    args::int(text).map_err(|_| CmdError::msg(error))
}

/// Who claims, and how; and what has become of it.
struct Claim<'a> {
    place: Place<'a>,
    name: &'a [u8],
    consumer: ConsumerId,
    /// The consumer did not exist before.
    created: bool,
    now_ms: i64,
    min_idle_ms: i64,
    delivered_ms: i64,
    /// The number of deliveries that is set; None: one more, or with JUSTID as many as before.
    deliveries: Option<u64>,
    just_id: bool,
    claimed: Vec<StreamId>,
    changes: u64,
}

impl<'a> Claim<'a> {
    /// Finds or makes the consumer.
    fn begin(stream: &mut Stream, place: Place<'a>, name: &'a [u8], now_ms: i64) -> Option<Self> {
        let group = stream.group_mut(place.group)?;
        let found = group.find_consumer(name);
        let consumer = found.or_else(|| group.create_consumer(name, now_ms))?;
        group.consumer_mut(consumer).seen_ms = now_ms;
        Some(Self {
            place,
            name,
            consumer,
            created: found.is_none(),
            now_ms,
            min_idle_ms: 0,
            delivered_ms: now_ms,
            deliveries: None,
            just_id: false,
            claimed: Vec::new(),
            changes: 0,
        })
    }

    /// Whether a pending entry has been idle for long enough.
    fn may_take(&self, pending: &Pending) -> bool {
        self.min_idle_ms <= 0
            || pending.owner.is_none()
            || self.now_ms.saturating_sub(pending.delivered_ms) >= self.min_idle_ms
    }

    /// Takes an entry that the stream has.
    fn take(
        &mut self,
        ctx_log: &mut crate::ctx::Propagation,
        stream: &mut Stream,
        id: StreamId,
        pending: Pending,
    ) {
        let deliveries = match self.deliveries {
            Some(deliveries) => deliveries,
            None if self.just_id => pending.deliveries,
            None => pending.deliveries.saturating_add(1),
        };
        let Some(group) = stream.group_mut(self.place.group) else {
            return;
        };
        group.assign(id, self.consumer, self.delivered_ms, deliveries);
        group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        let last_id = group.last_id;
        self.claimed.push(id);
        self.changes += 1;
        self.place.log_delivery(
            ctx_log,
            Delivery {
                consumer: self.name,
                id,
                delivered_ms: self.delivered_ms,
                deliveries,
                last_id,
            },
        );
    }

    /// Drops a pending entry that the stream does not have any more.
    fn forget(
        &mut self,
        ctx_log: &mut crate::ctx::Propagation,
        stream: &mut Stream,
        id: StreamId,
        pending: Pending,
    ) {
        let Some(group) = stream.group_mut(self.place.group) else {
            return;
        };
        let owner = pending.owner.map(|owner| group.consumer(owner).name());
        self.place.log_delivery(
            ctx_log,
            Delivery {
                consumer: owner.unwrap_or(self.name),
                id,
                delivered_ms: pending.delivered_ms,
                deliveries: pending.deliveries,
                last_id: group.last_id,
            },
        );
        group.acknowledge(id);
        self.changes += 1;
    }

    /// Writes what was claimed.
    fn write(&self, out: &mut holdfast_resp::Reply, stream: &Stream) {
        out.array(self.claimed.len());
        for &claimed in &self.claimed {
            match stream.get(claimed) {
                Some(entry) if !self.just_id => reply::entry(out, entry),
                Some(_) | None => id::write(out, claimed),
            }
        }
    }
}

/// Ends the change and logs what no claim has told.
fn finish(
    log: &mut crate::ctx::Propagation,
    mut stream: holdfast_storage::data::Edit<'_, Stream>,
    claim: &Claim<'_>,
    moved: bool,
) {
    if claim.created {
        stream.note(events::CREATE_CONSUMER);
        if claim.claimed.is_empty() {
            claim.place.log_consumer(log, claim.name);
        }
    }
    if moved
        && claim.changes == 0
        && let Some(group) = stream.group(claim.place.group)
    {
        claim.place.log_position(log, group.last_id, group.entries_read);
    }
    let changes = claim.changes + u64::from(claim.created) + u64::from(moved);
    if changes > 0 {
        stream.finish_quietly(changes);
    } else {
        stream.unchanged();
    }
}

/// The options of XCLAIM.
#[derive(Default)]
struct Options {
    force: bool,
    just_id: bool,
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    last_id: Option<StreamId>,
}

impl Options {
    fn parse(mut rest: args::Cursor<'_>, now_ms: i64) -> Result<Self, CmdError> {
        let mut options = Self::default();
        while rest.left() > 0 {
            let has_more = rest.left() > 1;
            if rest.accept("FORCE") {
                options.force = true;
            } else if rest.accept("JUSTID") {
                options.just_id = true;
            } else if has_more && rest.accept("IDLE") {
                let idle = option(rest.word()?, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_ms = Some(now_ms.saturating_sub(idle));
            } else if has_more && rest.accept("TIME") {
                let time = option(rest.word()?, "ERR Invalid TIME option argument for XCLAIM")?;
                options.delivered_ms = Some(time);
            } else if has_more && rest.accept("RETRYCOUNT") {
                let count = option(rest.word()?, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if has_more && rest.accept("LASTID") {
                options.last_id = Some(id::strict(rest.word()?, 0)?);
            } else {
                let word = rest.word()?;
                return Err(id::quoting(&[b"ERR Unrecognized XCLAIM option '", word, b"'"]));
            }
        }
        Ok(options)
    }
}

fn xclaim(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (place, name) = place_of(args);
    require_group(ctx, place)?;
    let min_idle_ms = option(args.get(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
    // The first word that is no id begins the options.
    let ids: Ids = args
        .from(5)
        .map_while(|argument| id::strict(argument, 0).ok())
        .collect();
    let now_ms = ctx.data.now_ms;
    let options = Options::parse(args.cursor(5 + ids.len()), now_ms)?;
    let Some(mut stream) = ctx.data.edit::<Stream>(place.key)? else {
        return Err(events::no_key_or_group(place.key, place.group));
    };
    let mut moved = false;
    if let Some(group) = stream.group_mut(place.group)
        && let Some(last_id) = options.last_id.filter(|last_id| *last_id > group.last_id)
    {
        group.last_id = last_id;
        moved = true;
    }
    let Some(mut claim) = Claim::begin(&mut stream, place, name, now_ms) else {
        stream.unchanged();
        return Err(events::no_key_or_group(place.key, place.group));
    };
    claim.min_idle_ms = min_idle_ms;
    claim.just_id = options.just_id;
    claim.deliveries = options.deliveries;
    claim.delivered_ms = options
        .delivered_ms
        .filter(|time| (0..=now_ms).contains(time))
        .unwrap_or(now_ms);
    for id in ids {
        let exists = stream.contains(id);
        let pending = stream
            .group(place.group)
            .and_then(|group| group.pending(id).copied());
        match pending {
            Some(pending) if !exists => claim.forget(ctx.log, &mut stream, id, pending),
            None if !exists || !options.force => {}
            Some(pending) if !claim.may_take(&pending) => {}
            pending => {
                let new = Pending {
                    delivered_ms: 0,
                    deliveries: 1,
                    owner: None,
                };
                claim.take(ctx.log, &mut stream, id, pending.unwrap_or(new));
            }
        }
    }
    claim.write(ctx.reply, &stream);
    finish(ctx.log, stream, &claim, moved);
    Ok(Outcome::Done)
}

/// Entries that XAUTOCLAIM claims without COUNT, and how many it looks at for each.
const DEFAULT_COUNT: i64 = 100;
const ATTEMPTS: i64 = 10;
/// Most that COUNT may be: Redis's bound on a table of as many ids.
const MAX_COUNT: i64 = i64::MAX / 16;

fn xautoclaim(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (place, name) = place_of(args);
    let min_idle_ms = option(args.get(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = id::interval(args.get(5), End::Start)?;
    let (mut count, mut just_id) = (DEFAULT_COUNT, false);
    let mut rest = args.cursor(6);
    while rest.left() > 0 {
        if rest.left() > 1 && rest.accept("COUNT") {
            count = args::int(rest.word()?)
                .ok()
                .filter(|count| (1..=MAX_COUNT).contains(count))
                .ok_or(CmdError::msg("ERR COUNT must be > 0"))?;
        } else if rest.accept("JUSTID") {
            just_id = true;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    require_group(ctx, place)?;
    let now_ms = ctx.data.now_ms;
    let Some(mut stream) = ctx.data.edit::<Stream>(place.key)? else {
        return Err(events::no_key_or_group(place.key, place.group));
    };
    let Some(mut claim) = Claim::begin(&mut stream, place, name, now_ms) else {
        stream.unchanged();
        return Err(events::no_key_or_group(place.key, place.group));
    };
    claim.min_idle_ms = min_idle_ms;
    claim.just_id = just_id;
    let (mut attempts, mut left) = (count.saturating_mul(ATTEMPTS), count);
    let (mut at, mut gone) = (Some(start), Vec::new());
    let cursor = loop {
        let next = stream.group(place.group).and_then(|group| {
            let (id, pending) = group.pending_range(at?..).next()?;
            Some((id, *pending))
        });
        let Some((id, pending)) = next else {
            break StreamId::ZERO;
        };
        if attempts == 0 || left == 0 {
            break id;
        }
        attempts -= 1;
        at = id.next();
        if !stream.contains(id) {
            claim.forget(ctx.log, &mut stream, id, pending);
            gone.push(id);
            left -= 1;
        } else if claim.may_take(&pending) {
            claim.take(ctx.log, &mut stream, id, pending);
            left -= 1;
        }
    };
    ctx.reply.array(3);
    id::write(ctx.reply, cursor);
    claim.write(ctx.reply, &stream);
    ctx.reply.array(gone.len());
    gone.iter().for_each(|id| id::write(ctx.reply, *id));
    finish(ctx.log, stream, &claim, false);
    Ok(Outcome::Done)
}

fn place_of(args: Args<'_>) -> (Place<'_>, &[u8]) {
    let place = Place {
        key: args.get(1),
        group: args.get(2),
    };
    (place, args.get(3))
}
