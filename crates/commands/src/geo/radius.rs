//! GEOSEARCH, GEOSEARCHSTORE, and their older forms: <https://redis.io/commands/geosearch>.

use holdfast_resp::Reply;
use holdfast_storage::types::zset::Zset;

use super::search::{Asker, Hit, Search};
use super::words;
use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::flags;
use crate::sorted_set::reply;
use crate::sorted_set::store::store;
use crate::spec::{Arg, Begin, Deprecated, Find, Group, KeySpec, Spec};

/// `GEOSEARCH key <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub(crate) const GEOSEARCH: Command = Command {
    spec: &Spec {
        name: "geosearch",
        arity: -7,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "6.2.0",
        summary: "Returns the members inside a circle, a box or a polygon.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "from",
                &[
                    Arg::string("member").token("FROMMEMBER"),
                    Arg::block(
                        "longitude_latitude",
                        &[Arg::double("longitude"), Arg::double("latitude")],
                    )
                    .token("FROMLONLAT"),
                ],
            ),
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[
                            Arg::double("radius").token("BYRADIUS"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::word("m", "M"),
                                    Arg::word("km", "KM"),
                                    Arg::word("ft", "FT"),
                                    Arg::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::double("width").token("BYBOX"),
                            Arg::double("height"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::word("m", "M"),
                                    Arg::word("km", "KM"),
                                    Arg::word("ft", "FT"),
                                    Arg::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    POLYGON,
                ],
            ),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt(),
                ],
            )
            .opt(),
            Arg::word("withcoord", "WITHCOORD").opt(),
            Arg::word("withdist", "WITHDIST").opt(),
            Arg::word("withhash", "WITHHASH").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: geosearch,
};

/// Of Valkey 9.0, in place of a centre and a shape around it.
const POLYGON: Arg = Arg::block(
    "polygon",
    &[
        Arg::integer("num-vertices").token("BYPOLYGON"),
        Arg::block("vertex", &[Arg::double("longitude"), Arg::double("latitude")]).multi(),
    ],
)
.since("9.0.0");

/// `GEOSEARCHSTORE destination source <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [STOREDIST]`
pub(crate) const GEOSEARCHSTORE: Command = Command {
    spec: &Spec {
        name: "geosearchstore",
        arity: -8,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: GEO),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: OW, UPDATE)),
            KeySpec::one(2, flags!(KeyFlags: RO, ACCESS)),
        ],
        group: Group::Geo,
        since: "6.2.0",
        summary: "Stores the members inside a circle, a box or a polygon.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("destination", 0),
            Arg::key("source", 1),
            Arg::one_of(
                "from",
                &[
                    Arg::string("member").token("FROMMEMBER"),
                    Arg::block(
                        "longitude_latitude",
                        &[Arg::double("longitude"), Arg::double("latitude")],
                    )
                    .token("FROMLONLAT"),
                ],
            ),
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[
                            Arg::double("radius").token("BYRADIUS"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::word("m", "M"),
                                    Arg::word("km", "KM"),
                                    Arg::word("ft", "FT"),
                                    Arg::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::double("width").token("BYBOX"),
                            Arg::double("height"),
                            Arg::one_of(
                                "unit",
                                &[
                                    Arg::word("m", "M"),
                                    Arg::word("km", "KM"),
                                    Arg::word("ft", "FT"),
                                    Arg::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    POLYGON,
                ],
            ),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt(),
                ],
            )
            .opt(),
            Arg::word("storedist", "STOREDIST").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: geosearchstore,
};

/// `GEORADIUS key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]`
pub(crate) const GEORADIUS: Command = Command {
    spec: &Spec {
        name: "georadius",
        arity: -6,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: GEO),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec {
                notes: "",
                flags: flags!(KeyFlags: OW, UPDATE),
                begin: Begin::Keyword("STORE", 6),
                find: Find::Range {
                    last: 0,
                    step: 1,
                    limit: 0,
                },
            },
            KeySpec {
                notes: "",
                flags: flags!(KeyFlags: OW, UPDATE),
                begin: Begin::Keyword("STOREDIST", 6),
                find: Find::Range {
                    last: 0,
                    step: 1,
                    limit: 0,
                },
            },
        ],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns or stores the members within a radius of a position.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::word("m", "M"),
                    Arg::word("km", "KM"),
                    Arg::word("ft", "FT"),
                    Arg::word("mi", "MI"),
                ],
            ),
            Arg::word("withcoord", "WITHCOORD").opt(),
            Arg::word("withdist", "WITHDIST").opt(),
            Arg::word("withhash", "WITHHASH").opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt().since("6.2.0"),
                ],
            )
            .opt(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::key("key", 1).token("STORE").opt(),
            Arg::key("key", 2).token("STOREDIST").opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS",
        }),
        ..Spec::DEFAULT
    },
    run: georadius,
};

/// `GEORADIUS_RO key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]`
pub(crate) const GEORADIUS_RO: Command = Command {
    spec: &Spec {
        name: "georadius_ro",
        arity: -6,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "3.2.10",
        summary: "Returns the members within a radius of a position.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::word("m", "M"),
                    Arg::word("km", "KM"),
                    Arg::word("ft", "FT"),
                    Arg::word("mi", "MI"),
                ],
            ),
            Arg::word("withcoord", "WITHCOORD").opt(),
            Arg::word("withdist", "WITHDIST").opt(),
            Arg::word("withhash", "WITHHASH").opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt().since("6.2.0"),
                ],
            )
            .opt(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "GEOSEARCH with BYRADIUS",
        }),
        ..Spec::DEFAULT
    },
    run: georadius_ro,
};

/// `GEORADIUSBYMEMBER key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]`
pub(crate) const GEORADIUSBYMEMBER: Command = Command {
    spec: &Spec {
        name: "georadiusbymember",
        arity: -5,
        flags: flags!(Flags: WRITE, DENYOOM, MOVABLEKEYS),
        acl: flags!(Acl: GEO),
        keys: &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec {
                notes: "",
                flags: flags!(KeyFlags: OW, UPDATE),
                begin: Begin::Keyword("STORE", 5),
                find: Find::Range {
                    last: 0,
                    step: 1,
                    limit: 0,
                },
            },
            KeySpec {
                notes: "",
                flags: flags!(KeyFlags: OW, UPDATE),
                begin: Begin::Keyword("STOREDIST", 5),
                find: Find::Range {
                    last: 0,
                    step: 1,
                    limit: 0,
                },
            },
        ],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns or stores the members within a radius of another member.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::string("member"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::word("m", "M"),
                    Arg::word("km", "KM"),
                    Arg::word("ft", "FT"),
                    Arg::word("mi", "MI"),
                ],
            ),
            Arg::word("withcoord", "WITHCOORD").opt(),
            Arg::word("withdist", "WITHDIST").opt(),
            Arg::word("withhash", "WITHHASH").opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt(),
                ],
            )
            .opt(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
            Arg::key("key", 1).token("STORE").opt(),
            Arg::key("key", 2).token("STOREDIST").opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS and FROMMEMBER",
        }),
        ..Spec::DEFAULT
    },
    run: georadiusbymember,
};

/// `GEORADIUSBYMEMBER_RO key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]`
pub(crate) const GEORADIUSBYMEMBER_RO: Command = Command {
    spec: &Spec {
        name: "georadiusbymember_ro",
        arity: -5,
        flags: flags!(Flags: READONLY),
        acl: flags!(Acl: GEO),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::Geo,
        since: "3.2.10",
        summary: "Returns the members within a radius of another member.",
        complexity: "O(N+log(M)), N: members in the bounding box, M: members of the set",
        args: &[
            Arg::key("key", 0),
            Arg::string("member"),
            Arg::double("radius"),
            Arg::one_of(
                "unit",
                &[
                    Arg::word("m", "M"),
                    Arg::word("km", "KM"),
                    Arg::word("ft", "FT"),
                    Arg::word("mi", "MI"),
                ],
            ),
            Arg::word("withcoord", "WITHCOORD").opt(),
            Arg::word("withdist", "WITHDIST").opt(),
            Arg::word("withhash", "WITHHASH").opt(),
            Arg::block(
                "count",
                &[
                    Arg::integer("count").token("COUNT"),
                    Arg::word("any", "ANY").opt(),
                ],
            )
            .opt(),
            Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).opt(),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "GEOSEARCH with BYRADIUS and FROMMEMBER",
        }),
        ..Spec::DEFAULT
    },
    run: georadiusbymember_ro,
};

fn geosearch(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::Search)
}

fn geosearchstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::SearchStore)
}

fn georadius(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::Radius { store: true })
}

fn georadius_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::Radius { store: false })
}

fn georadiusbymember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::ByMember { store: true })
}

fn georadiusbymember_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    search(ctx, args, Asker::ByMember { store: false })
}

fn search(ctx: &mut Ctx<'_, '_>, args: Args<'_>, asker: Asker) -> CmdResult {
    let limits = ctx.limits.zset;
    let set = ctx.data.read::<Zset>(args.get(asker.key_at()))?;
    let search = Search::parse(args, asker, set)?;
    let hits = set.map(|set| search.run(set)).unwrap_or_default();
    let Some(destination) = search.destination else {
        ctx.reply.array(hits.len());
        for hit in &hits {
            show(ctx.reply, hit, &search);
        }
        return Ok(Outcome::Done);
    };
    let scored = hits.iter().map(|hit| {
        let score = if search.store_dist {
            hit.metres / search.unit.metres()
        } else {
            hit.score
        };
        (hit.member.to_cow(), score)
    });
    let result = Zset::from_unsorted(scored, &limits);
    // Every member stored counts as a change; the store itself counts for one.
    ctx.data.effects.dirty += result.len().saturating_sub(1) as u64;
    let event = match asker {
        Asker::Search | Asker::SearchStore => "geosearchstore",
        Asker::Radius { .. } | Asker::ByMember { .. } => "georadiusstore",
    };
    store(ctx, destination, result, event)
}

/// One member: alone, or in front of what else is asked for.
fn show(reply: &mut Reply, hit: &Hit<'_>, search: &Search<'_>) {
    let extras = [search.with_dist, search.with_hash, search.with_coord]
        .into_iter()
        .filter(|wanted| *wanted)
        .count();
    if extras > 0 {
        reply.array(1 + extras);
    }
    reply::member(reply, hit.member);
    if search.with_dist {
        words::distance(reply, hit.metres, search.unit);
    }
    if search.with_hash {
        reply.int(hit.score as i64);
    }
    if search.with_coord {
        words::coordinates(reply, hit.point);
    }
}
