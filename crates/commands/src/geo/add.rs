//! GEOADD: <https://redis.io/commands/geoadd>. It goes into the log as the ZADD that it is.

use super::words;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::sorted_set::add::{self, Options, Pairs};
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `GEOADD key [NX|XX] [CH] longitude latitude member [...]`
pub(crate) const GEOADD: Command = Command {
    spec: &Spec {
        name: "geoadd",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, UPDATE))],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Adds members with their positions, or moves them.",
        complexity: "O(log(N)) per member, N: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
                .opt()
                .since("6.2.0"),
            Arg::word("change", "CH").opt().since("6.2.0"),
            Arg::block(
                "longitude_latitude_member",
                &[
                    Arg::double("longitude"),
                    Arg::double("latitude"),
                    Arg::string("member"),
                ],
            )
            .multi(),
        ],
        ..Spec::DEFAULT
    },
    run: geoadd,
};

fn geoadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let mut options = Options::default();
    let mut rest = args.cursor(2);
    loop {
        if rest.accept("NX") {
            options.nx = true;
        } else if rest.accept("XX") {
            options.xx = true;
        } else if rest.accept("CH") {
            options.ch = true;
        } else {
            break;
        }
    }
    let first = rest.at();
    if rest.left() == 0 || !rest.left().is_multiple_of(3) || (options.nx && options.xx) {
        return Err(CmdError::Syntax);
    }
    let mut pairs = Pairs::new();
    while rest.left() > 0 {
        let point = words::point(rest.word()?, rest.word()?)?;
        pairs.push((point.score(), rest.word()?));
    }
    let scores: Vec<String> = pairs.iter().map(|(score, _)| format!("{score}")).collect();
    let mut zadd: Vec<&[u8]> = vec![b"ZADD"];
    zadd.extend(args.from(1).take(first - 1));
    for (score, (_, member)) in scores.iter().zip(&pairs) {
        zadd.extend([score.as_bytes(), member]);
    }
    ctx.log.rewrite(&zadd);
    add::apply(ctx, args.get(1), &pairs, options)
}
