//! LPOS: <https://redis.io/commands/lpos>.

use holdfast_storage::encoding::listpack::Needle;
use holdfast_storage::types::list::{End, List};

use crate::args::{self, Args, Cursor};
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub(crate) const LPOS: Command = Command {
    spec: &Spec {
        name: "lpos",
        arity: -3,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: LIST),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::List,
        since: "6.0.6",
        summary: "Returns the positions of an element in a list.",
        complexity: "O(N), N: elements compared",
        args: &[
            Arg::key("key", 0),
            Arg::string("element"),
            Arg::integer("rank").token("RANK").opt(),
            Arg::integer("num-matches").token("COUNT").opt(),
            Arg::integer("len").token("MAXLEN").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: lpos,
};

/// What to look for, beside the element.
struct Search {
    /// From which end.
    end: End,
    /// How many matches are passed over.
    skip: u64,
    /// How many matches are wanted; None: one, and the reply is not an array.
    count: Option<usize>,
    /// How many elements are compared.
    max_len: usize,
}

impl Search {
    fn parse(mut rest: Cursor<'_>) -> Result<Self, CmdError> {
        let mut search = Self {
            end: End::Front,
            skip: 0,
            count: None,
            max_len: usize::MAX,
        };
        while rest.left() > 0 {
            if rest.left() >= 2 && rest.accept("RANK") {
                let rank = rest.int()?;
                if rank == 0 {
                    return Err(CmdError::msg(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                         or use negative to start from the end of the list",
                    ));
                }
                // The one number without an opposite counts as -1 in Redis 7.0.
                search.skip = rank.checked_abs().map_or(0, |n| n as u64 - 1);
                search.end = if rank < 0 { End::Back } else { End::Front };
            } else if rest.left() >= 2 && rest.accept("COUNT") {
                search.count = Some(zero_is_all(rest.word()?, "ERR COUNT can't be negative")?);
            } else if rest.left() >= 2 && rest.accept("MAXLEN") {
                search.max_len = zero_is_all(rest.word()?, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(search)
    }

    /// Indices of the matches, in the order of the search.
    fn matches(&self, list: &List, element: &[u8]) -> impl Iterator<Item = usize> {
        let (len, end) = (list.len(), self.end);
        let mut rest = list.iter_end(end).take(self.max_len);
        let needle = Needle::new(element);
        let mut at = 0;
        let found = std::iter::from_fn(move || {
            at += rest.position(|item| needle.matches(&item))? + 1;
            Some(match end {
                End::Front => at - 1,
                End::Back => len - at,
            })
        });
        found.skip(usize::try_from(self.skip).unwrap_or(usize::MAX))
    }
}

fn zero_is_all(text: &[u8], error: &'static str) -> Result<usize, CmdError> {
    let number = args::int(text).ok().and_then(|n| usize::try_from(n).ok());
    match number.ok_or(CmdError::msg(error))? {
        0 => Ok(usize::MAX),
        n => Ok(n),
    }
}

fn lpos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let search = Search::parse(args.cursor(3))?;
    let list = ctx.data.read::<List>(args.get(1))?;
    let element = args.get(2);
    match (list, search.count) {
        (None, None) => ctx.reply.null(),
        (None, Some(_)) => ctx.reply.array(0),
        (Some(list), None) => match search.matches(list, element).next() {
            None => ctx.reply.null(),
            Some(index) => ctx.reply.int(index as i64),
        },
        (Some(list), Some(count)) => {
            let deferred = ctx.reply.defer();
            let mut found = 0;
            for index in search.matches(list, element).take(count) {
                ctx.reply.int(index as i64);
                found += 1;
            }
            ctx.reply.finish_array(deferred, found);
        }
    }
    Ok(Outcome::Done)
}
