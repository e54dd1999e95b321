//! XADD: <https://redis.io/commands/xadd>.

use holdfast_storage::data::OnExpired;
use holdfast_storage::types::stream::{AppendError, Stream, StreamId};
use smallvec::SmallVec;

use super::idempotence::Message;
use super::trim_args::TrimArgs;
use super::{events, id};
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome, Propagation};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};

/// `XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer | IDMP producer message]
/// [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]`
pub(crate) const XADD: Command = Command {
    spec: &Spec {
        name: "xadd",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM, FAST),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec {
            notes: "An update, as entries may be trimmed",
            flags: flags!(KeyFlags: RW, UPDATE),
            begin: Begin::Index(1),
            find: Find::Range {
                last: 0,
                step: 1,
                limit: 0,
            },
        }],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Appends an entry to a stream, and creates the stream if need be.",
        complexity: "O(1); with trimming O(N), N: entries trimmed",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
            Arg::word("nomkstream", "NOMKSTREAM").opt().since("6.2.0"),
            Arg::one_of(
                "condition",
                &[
                    Arg::word("keepref", "KEEPREF"),
                    Arg::word("delref", "DELREF"),
                    Arg::word("acked", "ACKED"),
                ],
            )
            .opt()
            .since("8.2.0"),
            Arg::one_of(
                "idmp",
                &[
                    Arg::string("idmpauto").token("IDMPAUTO"),
                    Arg::block(
                        "idmp-manual",
                        &[Arg::string("producer-id"), Arg::string("idempotent-id")],
                    )
                    .token("IDMP"),
                ],
            )
            .opt()
            .since("8.6.0"),
            Arg::block(
                "trim",
                &[
                    Arg::one_of(
                        "strategy",
                        &[
                            Arg::word("maxlen", "MAXLEN"),
                            Arg::word("minid", "MINID").since("6.2.0"),
                        ],
                    ),
                    Arg::one_of(
                        "operator",
                        &[Arg::word("equal", "="), Arg::word("approximately", "~")],
                    )
                    .opt(),
                    Arg::string("threshold"),
                    Arg::integer("count").token("LIMIT").opt().since("6.2.0"),
                ],
            )
            .opt(),
            Arg::one_of("id_or_auto", &[Arg::word("auto_id", "*"), Arg::string("id")]),
            Arg::block("field_value", &[Arg::string("field"), Arg::string("value")]).multi(),
        ],
        ..Spec::DEFAULT
    },
    run: xadd,
};

/// The id that the entry is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// `*`
    Any,
    /// `ms-*`
    Ms(u64),
    /// An id.
    Id(StreamId),
}

impl Wanted {
    /// The id, if there is one after the stream's last.
    fn after(self, last: StreamId, now_ms: i64) -> Option<StreamId> {
        match self {
            Self::Any => {
                let now = u64::try_from(now_ms).unwrap_or(0);
                if now > last.ms {
                    Some(StreamId::new(now, 0))
                } else {
                    last.next()
                }
            }
            Self::Ms(ms) if ms == last.ms => Some(StreamId::new(ms, last.seq.checked_add(1)?)),
            Self::Ms(ms) => Some(StreamId::new(ms, 0)),
            Self::Id(id) => Some(id),
        }
    }
}

/// The arguments in front of the fields.
struct Parsed<'a> {
    create: bool,
    trim: TrimArgs,
    message: Option<Message<'a>>,
    wanted: Wanted,
    /// Index of the id.
    at: usize,
}

impl<'a> Parsed<'a> {
    fn of(args: Args<'a>) -> Result<Self, CmdError> {
        let mut parsed = Self {
            create: true,
            trim: TrimArgs::default(),
            message: None,
            wanted: Wanted::Any,
            at: 2,
        };
        let mut rest = args.cursor(2);
        loop {
            parsed.at = rest.at();
            // Every option is at least four bytes long, and every id of use begins with a digit.
            match rest.peek() {
                None => break,
                Some(b"*") => break,
                Some(word) if word.first().is_some_and(u8::is_ascii_digit) => {}
                Some(_) if parsed.trim.take(&mut rest)? => continue,
                Some(_) if rest.accept("NOMKSTREAM") => {
                    parsed.create = false;
                    continue;
                }
                Some(_) if Message::take(&mut parsed.message, &mut rest)? => continue,
                Some(_) => {}
            }
            parsed.wanted = match id::given(rest.word()?)? {
                id::Given::Id(id) => Wanted::Id(id),
                id::Given::Ms(ms) => Wanted::Ms(ms),
            };
            break;
        }
        Ok(parsed)
    }
}

fn xadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(1);
    let obeys = ctx.data.on_expired == OnExpired::Ignore;
    let parsed = Parsed::of(args)?;
    parsed.trim.check(obeys)?;
    let fields = args.pairs(parsed.at + 1);
    let left = args.len().saturating_sub(parsed.at + 1);
    if left < 2 || !left.is_multiple_of(2) {
        return Err(CmdError::Arity("xadd"));
    }
    if parsed.wanted == Wanted::Id(StreamId::ZERO) {
        return Err(CmdError::msg(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }
    let message = match &parsed.message {
        None => None,
        Some(message) => Some(message.identify(parsed.wanted == Wanted::Any, fields.clone())?),
    };
    let now_ms = ctx.data.now_ms;
    let stream = if parsed.create {
        Some(ctx.data.edit_or_create::<Stream>(key)?)
    } else {
        ctx.data.edit::<Stream>(key)?
    };
    let Some(mut stream) = stream else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    if let Some((producer, message)) = &message
        && stream.dedup().is_some()
        && let Some(id) = stream.dedup_mut().find(producer, message, now_ms)
    {
        stream.dedup_mut().count_duplicate();
        id::write(ctx.reply, id);
        stream.unchanged();
        return Ok(Outcome::Done);
    }
    let id = match append(&mut stream, parsed.wanted, now_ms, fields, ctx.limits.stream) {
        Ok(id) => id,
        Err(error) => {
            stream.unchanged();
            return Err(error);
        }
    };
    if let Some((producer, message)) = &message {
        stream.dedup_mut().record(producer, message, id, now_ms);
    }
    id::write(ctx.reply, id);
    let trimmed = parsed
        .trim
        .trim(&ctx.limits.stream, obeys)
        .map_or(0, |trim| stream.trim(&trim));
    let exact = parsed
        .trim
        .is_approximate()
        .then(|| parsed.trim.exact_threshold(&stream));
    stream.wake();
    if trimmed > 0 {
        stream.finish2(events::XADD, events::XTRIM, 1);
    } else {
        stream.finish(events::XADD, 1);
    }
    if !matches!(parsed.wanted, Wanted::Id(_)) || exact.is_some() || message.is_some() {
        log(ctx.log, args, &parsed, id, exact.as_deref().unwrap_or_default());
        if let Some((producer, message)) = &message {
            let id = id::text(id);
            ctx.log.rewrite(&[b"XIDMPRECORD", key, producer, message, &id]);
        }
    }
    Ok(Outcome::Done)
}

fn append<'f>(
    stream: &mut Stream,
    wanted: Wanted,
    now_ms: i64,
    fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    limits: holdfast_storage::types::stream::StreamLimits,
) -> Result<StreamId, CmdError> {
    let last = stream.last_id();
    if last == StreamId::MAX {
        return Err(CmdError::msg(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let old =
        || CmdError::msg("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    let id = wanted.after(last, now_ms).ok_or_else(old)?;
    match stream.append(id, fields, &limits) {
        Ok(()) => Ok(id),
        Err(AppendError::NotNewer) => Err(old()),
        Err(AppendError::TooLarge) => Err(CmdError::msg("ERR Elements are too large to be stored")),
    }
}

/// Logs the command with the id that was chosen and with the number of entries that were left.
fn log(log: &mut Propagation, args: Args<'_>, parsed: &Parsed<'_>, id: StreamId, exact: &[u8]) {
    let id = id::text(id);
    let mut argv: SmallVec<[&[u8]; 16]> = SmallVec::with_capacity(args.len());
    for (at, argument) in args.from(0).enumerate() {
        if at == parsed.at {
            argv.push(&id);
        } else if parsed.message.as_ref().is_some_and(|message| message.covers(at)) {
            // Told by XIDMPRECORD: whoever reads the log decides nothing.
        } else if at > parsed.at || !parsed.trim.has_bound() {
            argv.push(argument);
        } else if let Some(logged) = parsed.trim.logged(at, argument, exact) {
            argv.push(logged);
        }
    }
    log.rewrite(&argv);
}
