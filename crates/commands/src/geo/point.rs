//! GEOPOS, GEODIST and GEOHASH: questions about single members.

use holdfast_storage::geo::{Point, Unit};
use holdfast_storage::types::zset::Zset;

use super::words;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// `GEOPOS key member [member ...]`
pub(crate) const GEOPOS: Command = Command {
    spec: &Spec {
        name: "geopos",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns longitude and latitude of members.",
        complexity: "O(1) per member",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: geopos,
};

/// `GEODIST key member1 member2 [M|KM|FT|MI]`
pub(crate) const GEODIST: Command = Command {
    spec: &Spec {
        name: "geodist",
        arity: -4,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns the distance between two members.",
        complexity: "O(1)",
        args: &[
            Arg::key("key", 0),
            Arg::string("member1"),
            Arg::string("member2"),
            Arg::one_of(
                "unit",
                &[
                    Arg::word("m", "M"),
                    Arg::word("km", "KM"),
                    Arg::word("ft", "FT"),
                    Arg::word("mi", "MI"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: geodist,
};

/// `GEOHASH key member [member ...]`
pub(crate) const GEOHASH: Command = Command {
    spec: &Spec {
        name: "geohash",
        arity: -2,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns the positions of members as geohash strings.",
        complexity: "O(1) per member",
        args: &[Arg::key("key", 0), Arg::string("member").multi()],
        ..Spec::DEFAULT
    },
    run: geohash,
};

fn geopos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Zset>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => words::coordinates(ctx.reply, Point::from_score(score)),
            None => ctx.reply.null_array(),
        }
    }
    Ok(Outcome::Done)
}

fn geodist(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let unit = match args.opt(4) {
        None => Unit::Metres,
        Some(_) if args.len() > 5 => return Err(CmdError::Syntax),
        Some(text) => words::unit(text)?,
    };
    let ends = ctx
        .data
        .read::<Zset>(args.get(1))?
        .and_then(|set| Some((set.score(args.get(2))?, set.score(args.get(3))?)));
    match ends {
        Some((from, to)) => {
            let metres = Point::from_score(from).distance_m(Point::from_score(to));
            words::distance(ctx.reply, metres, unit);
        }
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn geohash(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let set = ctx.data.read::<Zset>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.bulk(&Point::from_score(score).geohash()),
            None => ctx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}
