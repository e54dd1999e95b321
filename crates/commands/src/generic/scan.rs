//! SCAN: <https://redis.io/commands/scan>. One shard after the other, one lock at a time.
//!
//! ```text
//! cursor:  [ cursor within the shard's table | number of the shard ]      0 begins, and 0 ends
//! ```

use holdfast_resp::Reply;
use holdfast_storage::glob;

use crate::args::{Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::generic::keys::live_at;
use crate::spec::{Arg, Group, Spec};

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(crate) const SCAN: Command = Command {
    spec: &Spec {
        name: "scan",
        arity: -2,
        flags: flags!(Flags: READONLY, ROAM),
        acl: flags!(Acl: KEYSPACE),
        group: Group::Generic,
        since: "2.8.0",
        summary: "Walks over the names of all keys, some per call.",
        complexity: "O(1) per call, O(N) for a whole walk over N keys",
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        args: &[
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").opt(),
            Arg::integer("count").token("COUNT").opt(),
            Arg::string("type").token("TYPE").opt().since("6.0.0"),
        ],
        ..Spec::DEFAULT
    },
    run: scan,
};

/// The options that SCAN, SSCAN, HSCAN and ZSCAN share, and TYPE.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions<'a> {
    /// None: everything matches.
    pub(crate) pattern: Option<&'a [u8]>,
    /// About how many elements a call visits, at least 1.
    pub count: usize,
    /// Name of a type, of SCAN alone.
    pub(crate) kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the words behind the cursor; `with_type` for SCAN.
    pub(crate) fn parse(rest: Cursor<'a>, with_type: bool) -> Result<Self, CmdError> {
        Self::parse_all(rest, with_type, false).map(|(options, _)| options)
    }

    /// Reads the words behind the cursor of CLUSTERSCAN, SLOT among them.
    ///
    /// # Errors
    /// Those of SCAN.
    pub fn parse_with_slot(rest: Cursor<'a>) -> Result<(Self, Option<i64>), CmdError> {
        Self::parse_all(rest, true, true)
    }

    fn parse_all(
        mut rest: Cursor<'a>,
        with_type: bool,
        with_slot: bool,
    ) -> Result<(Self, Option<i64>), CmdError> {
        let mut slot = None;
        let mut options = Self {
            pattern: None,
            count: 10,
            kind: None,
        };
        while rest.left() > 0 {
            if rest.left() >= 2 && rest.accept("COUNT") {
                let count = rest.int()?;
                options.count = usize::try_from(count)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or(CmdError::Syntax)?;
            } else if rest.left() >= 2 && rest.accept("MATCH") {
                options.pattern = Some(rest.word()?).filter(|p| *p != b"*");
            } else if with_type && rest.left() >= 2 && rest.accept("TYPE") {
                options.kind = Some(rest.word()?);
            } else if with_slot && rest.left() >= 2 && rest.accept("SLOT") {
                slot = Some(rest.int()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok((options, slot))
    }

    /// Name of the type that TYPE asks for.
    pub fn kind(&self) -> Option<&'a [u8]> {
        self.kind
    }

    /// True if the name passes MATCH.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|p| glob::matches(p, name, false))
    }
}

/// A cursor, read as C's `strtoul` reads it: a sign is allowed, nothing at all is 0.
pub(crate) fn parse_cursor(text: &[u8]) -> Result<u64, CmdError> {
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(CmdError::InvalidCursor);
    }
    let mut value = 0u64;
    for d in digits {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(d - b'0')))
            .ok_or(CmdError::InvalidCursor)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

fn scan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args.get(1))?;
    let options = ScanOptions::parse(args.cursor(2), true)?;
    let mut keys = Reply::new(Vec::new(), ctx.reply.proto());
    let (cursor, found) = walk(ctx, cursor, &options, &mut keys);
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(keys.as_bytes());
    Ok(Outcome::Done)
}

/// Visits buckets until enough keys were found or ten times as many buckets were visited; shards without keys cost
/// nothing. Returns the next cursor and the number of keys written.
fn walk(ctx: &mut Ctx<'_, '_>, cursor: u64, options: &ScanOptions<'_>, keys: &mut Reply) -> (u64, usize) {
    let keyspace = ctx.data.keyspace();
    let shards = keyspace.shard_count() as u64;
    let bits = shards.trailing_zeros();
    let (mut shard, mut within) = (cursor & (shards - 1), cursor >> bits);
    let (db, live_at) = (ctx.data.db as usize, live_at(ctx));
    let mut steps = options.count.saturating_mul(10);
    let mut found = 0;
    while shard < shards {
        if found >= options.count || steps == 0 {
            return (within << bits | shard, found);
        }
        ctx.data.roam(shard as u16);
        let table = &ctx.data.locked().shard(shard as u16).dbs[db].table;
        if !table.is_empty() {
            steps -= 1;
        }
        within = table.scan(within, |entry| {
            let live = entry.expire_at_ms().is_none_or(|at| at > live_at);
            let right_kind = |name: &[u8]| name.eq_ignore_ascii_case(entry.kind().name().as_bytes());
            let shown = live && !keyspace.hidden.has(entry.key());
            if shown && options.kind.is_none_or(right_kind) && options.matches(entry.key()) {
                keys.bulk(entry.key());
                found += 1;
            }
        });
        if within == 0 {
            shard += 1;
        }
    }
    (0, found)
}
