//! Messages that producers may send twice: the options IDMP and IDMPAUTO of XADD, XCFGSET and XIDMPRECORD.
//! <https://redis.io/docs/latest/develop/data-types/streams/idempotency>

use std::borrow::Cow;

use holdfast_storage::types::stream::{DedupLimits, Stream};
use sha1::{Digest, Sha1};

use super::id;
use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]`
pub(crate) const XCFGSET: Command = Command {
    spec: &Spec {
        name: "xcfgset",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "8.6.0",
        summary: "Sets how many messages of a producer a stream remembers, and for how long.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::integer("idmp-duration").token("IDMP-DURATION").opt(),
            Arg::integer("idmp-maxsize").token("IDMP-MAXSIZE").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: xcfgset,
};

/// `XIDMPRECORD key producer message id`
pub(crate) const XIDMPRECORD: Command = Command {
    spec: &Spec {
        name: "xidmprecord",
        arity: 5,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Stream,
        since: "8.8.0",
        summary: "Remembers under which id a producer's message was added; for logs and replicas.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("pid"),
            Arg::string("iid"),
            Arg::string("stream-id"),
        ],
        ..Spec::DEFAULT
    },
    run: xidmprecord,
};

/// Who sends a message, and what it calls it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    producer: &'a [u8],
    /// None: the fields tell (IDMPAUTO).
    name: Option<&'a [u8]>,
    /// Index of the option.
    at: usize,
}

impl<'a> Message<'a> {
    /// Takes IDMP or IDMPAUTO with its words; false if the next argument is neither.
    pub(super) fn take(into: &mut Option<Self>, rest: &mut Cursor<'a>) -> Result<bool, CmdError> {
        let at = rest.at();
        let named = rest.accept("IDMP");
        if !named && !rest.accept("IDMPAUTO") {
            return Ok(false);
        }
        let producer = rest.word()?;
        let name = if named { Some(rest.word()?) } else { None };
        match into.replace(Self { producer, name, at }) {
            None => Ok(true),
            Some(_) => Err(CmdError::Syntax),
        }
    }

    /// Whether argument `at` belongs to the option.
    pub(super) fn covers(&self, at: usize) -> bool {
        let words = if self.name.is_some() { 3 } else { 2 };
        (self.at..self.at + words).contains(&at)
    }

    /// Producer and name. `any_id`: the client leaves the id to the server, without which a message that comes again
    /// could not be told from another one.
    pub(super) fn identify<'f>(
        &self,
        any_id: bool,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(&'a [u8], Cow<'a, [u8]>), CmdError> {
        if !any_id || self.producer.is_empty() || self.name.is_some_and(<[u8]>::is_empty) {
            return Err(CmdError::Syntax);
        }
        let name = match self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(fingerprint(fields)),
        };
        Ok((self.producer, name))
    }
}

/// The name of a message whose sender gave it none: equal fields and values in equal order give equal names.
fn fingerprint<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Vec<u8> {
    let mut hash = Sha1::new();
    for part in fields.flat_map(|(field, value)| [field, value]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

fn within(
    rest: &mut Cursor<'_>,
    range: std::ops::RangeInclusive<u32>,
    error: &'static str,
) -> Result<u32, CmdError> {
    u32::try_from(rest.int()?)
        .ok()
        .filter(|n| range.contains(n))
        .ok_or(CmdError::msg(error))
}

fn xcfgset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut rest = args.cursor(2);
    let (mut duration, mut size) = (None, None);
    while rest.left() > 0 {
        if rest.accept("IDMP-DURATION") {
            duration = Some(within(
                &mut rest,
                DedupLimits::DURATION_S,
                "ERR invalid duration",
            )?);
        } else if rest.accept("IDMP-MAXSIZE") {
            size = Some(within(&mut rest, DedupLimits::MAX_SIZE, "ERR invalid maxsize")?);
        } else {
            return Err(CmdError::Syntax);
        }
    }
    if duration.is_none() && size.is_none() {
        return Err(CmdError::Syntax);
    }
    let mut stream = ctx.data.edit::<Stream>(args.get(1))?.ok_or(CmdError::NoSuchKey)?;
    let dedup = stream.dedup_mut();
    let mut limits = dedup.limits();
    limits.duration_s = duration.unwrap_or(limits.duration_s);
    limits.max_size = size.unwrap_or(limits.max_size);
    dedup.set_limits(limits);
    stream.finish_quietly(1);
    ctx.done_ok()
}

fn xidmprecord(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let (producer, message) = (args.get(2), args.get(3));
    if producer.is_empty() || message.is_empty() {
        return Err(CmdError::msg("ERR producer and message must not be empty"));
    }
    let id = id::strict(args.get(4), 0)?;
    let now_ms = ctx.data.now_ms;
    let mut stream = ctx.data.edit::<Stream>(args.get(1))?.ok_or(CmdError::NoSuchKey)?;
    if !stream.contains(id) {
        stream.unchanged();
        return Err(CmdError::msg("ERR no such entry in the stream"));
    }
    let known = stream.dedup_mut().find(producer, message, now_ms);
    if known.is_some_and(|known| known != id) {
        stream.unchanged();
        return Err(CmdError::msg("ERR the message was added under another ID"));
    }
    if known.is_some() {
        stream.unchanged();
    } else {
        stream.dedup_mut().record(producer, message, id, now_ms);
        stream.finish_quietly(1);
    }
    ctx.done_ok()
}
