//! XTRIM: <https://redis.io/commands/xtrim>.

use holdfast_storage::data::OnExpired;
use holdfast_storage::types::stream::Stream;
use smallvec::SmallVec;

use super::events;
use super::trim_args::TrimArgs;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]`
pub(crate) const XTRIM: Command = Command {
    spec: &Spec {
        name: "xtrim",
        arity: -4,
        flags: flags!(Flags: WRITE),
        acl: flags!(Acl: STREAM),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::Stream,
        since: "5.0.0",
        summary: "Deletes the first entries of a stream, by number or by id.",
        complexity: "O(N), N: entries trimmed",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key("key", 0),
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
                ],
            ),
        ],
        ..Spec::DEFAULT
    },
    run: xtrim,
};

fn xtrim(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let obeys = ctx.data.on_expired == OnExpired::Ignore;
    let mut options = TrimArgs::default();
    let mut rest = args.cursor(2);
    while rest.left() > 0 {
        if !options.take(&mut rest)? {
            return Err(CmdError::Syntax);
        }
    }
    options.check(obeys)?;
    let trim = options.trim(&ctx.limits.stream, obeys).ok_or(CmdError::msg(
        "ERR syntax error, XTRIM must be called with a trimming strategy",
    ))?;
    let Some(mut stream) = ctx.data.edit::<Stream>(args.get(1))? else {
        return ctx.done_int(0);
    };
    let removed = stream.trim(&trim);
    if removed == 0 {
        stream.unchanged();
        return ctx.done_int(0);
    }
    let exact = options.is_approximate().then(|| options.exact_threshold(&stream));
    stream.finish(events::XTRIM, removed);
    if let Some(exact) = exact {
        let argv: SmallVec<[&[u8]; 8]> = args
            .from(0)
            .enumerate()
            .filter_map(|(at, argument)| options.logged(at, argument, &exact))
            .collect();
        ctx.log.rewrite(&argv);
    }
    ctx.done_int(i64::try_from(removed).unwrap_or(i64::MAX))
}
