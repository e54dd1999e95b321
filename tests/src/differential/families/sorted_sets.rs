//! Random commands on sorted sets. Ranges by member use the keys in which all scores are equal.

use super::Maker;
use crate::differential::pool::Kind::{Lexical, Scored, Set};
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    add,
    add,
    add,
    add_with_options,
    add_many,
    |p| cmd("ZINCRBY").arg(p.key(Scored)).arg(p.score()).arg(p.member()),
    |p| cmd("ZREM").arg(p.key(Scored)).args(p.members()),
    |p| cmd("ZCARD").arg(p.key(Scored)),
    |p| cmd("ZSCORE").arg(p.key(Scored)).arg(p.member()),
    |p| cmd("ZMSCORE").arg(p.key(Scored)).args(p.members()),
    |p| cmd("ZRANK").arg(p.key(Scored)).arg(p.member()),
    |p| cmd("ZREVRANK").arg(p.key(Scored)).arg(p.member()),
    |p| {
        cmd("ZCOUNT")
            .arg(p.key(Scored))
            .arg(p.score_bound())
            .arg(p.score_bound())
    },
    |p| {
        let name = p.one_of(&["ZPOPMIN", "ZPOPMAX"]);
        let command = cmd(name).arg(p.key(Scored));
        if p.chance(1, 2) {
            command.arg(p.count())
        } else {
            command
        }
    },
    |p| {
        let name = p.one_of(&["BZPOPMIN", "BZPOPMAX"]);
        cmd(name).arg(p.key(Scored)).arg(p.key(Scored)).arg(timeout(p))
    },
    |p| mpop(cmd("ZMPOP"), p),
    |p| {
        let timeout = timeout(p);
        mpop(cmd("BZMPOP").arg(timeout), p)
    },
    |p| {
        let name = p.one_of(&["ZRANGE", "ZREVRANGE"]);
        let command = cmd(name).arg(p.key(Scored)).arg(p.index()).arg(p.index());
        if p.chance(1, 2) {
            command.arg("WITHSCORES")
        } else {
            command
        }
    },
    |p| {
        cmd("ZRANGE")
            .arg(p.key(Scored))
            .arg("0")
            .arg("-1")
            .arg("WITHSCORES")
    },
    |p| range_options(cmd("ZRANGE").arg(p.key(Scored)), true, p),
    |p| {
        let target = p.key_of(Scored);
        range_options(cmd("ZRANGESTORE").arg(target).arg(p.key(Scored)), false, p)
    },
    |p| {
        let name = p.one_of(&["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]);
        let command = cmd(name)
            .arg(p.key(Scored))
            .arg(p.score_bound())
            .arg(p.score_bound());
        let command = if p.chance(1, 3) {
            command.arg("WITHSCORES")
        } else {
            command
        };
        limit(command, p)
    },
    |p| {
        cmd("ZREMRANGEBYSCORE")
            .arg(p.key(Scored))
            .arg(p.score())
            .arg(p.score_bound())
    },
    |p| {
        cmd("ZREMRANGEBYRANK")
            .arg(p.key(Scored))
            .arg(p.index())
            .arg(p.index())
    },
    |p| combine("ZUNION", false, p),
    |p| combine("ZINTER", false, p),
    |p| combine("ZDIFF", false, p),
    |p| combine("ZUNIONSTORE", true, p),
    |p| combine("ZINTERSTORE", true, p),
    |p| combine("ZDIFFSTORE", true, p),
    |p| {
        let keys = operands(p);
        let command = cmd("ZINTERCARD").number(keys.len()).args(keys);
        if p.chance(1, 2) {
            command.arg("LIMIT").arg(p.count())
        } else {
            command
        }
    },
    |p| {
        let command = cmd("ZRANDMEMBER").arg(p.key(Scored));
        let command = if p.chance(2, 3) {
            command.arg(p.count())
        } else {
            command
        };
        if p.chance(1, 3) {
            command.arg("WITHSCORES")
        } else {
            command
        }
    },
    |p| cmd("DEL").arg(p.key(Scored)),
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Scored)),
    lexical,
    lexical,
    lexical,
];

fn add(p: &mut Pool) -> Command {
    let mut command = cmd("ZADD").arg(p.key(Scored));
    for _ in 0..1 + p.below(4) {
        command = command.arg(p.score()).arg(p.member());
    }
    command
}

fn add_with_options(p: &mut Pool) -> Command {
    let mut command = cmd("ZADD").arg(p.key(Scored));
    for option in ["NX", "XX", "GT", "LT", "CH", "INCR"] {
        if p.chance(1, 4) {
            command = command.arg(option);
        }
    }
    command = command.arg(p.score()).arg(p.member());
    if p.chance(1, 3) {
        command.arg(p.score()).arg(p.member())
    } else {
        command
    }
}

fn add_many(p: &mut Pool) -> Command {
    if p.chance(2, 3) {
        return add(p);
    }
    let many = p.many();
    let key = p.key(Scored);
    many.into_iter().fold(cmd("ZADD").arg(key), |command, member| {
        command.number(p.between(-20, 20)).arg(member)
    })
}

fn timeout(p: &mut Pool) -> &'static str {
    p.one_of(&["0.01", "0.01", "0.01", "0.001", "-1", "abc", "1e400", "nan"])
}

fn mpop(command: Command, p: &mut Pool) -> Command {
    let keys: Vec<_> = (0..1 + p.below(3)).map(|_| p.key(Scored)).collect();
    let claimed = if p.chance(1, 12) {
        p.count()
    } else {
        keys.len().to_string().into_bytes()
    };
    let command = command
        .arg(claimed)
        .args(keys)
        .arg(p.one_of(&["MIN", "MAX", "min", "LEFT"]));
    if p.chance(1, 3) {
        command.arg("COUNT").arg(p.count())
    } else {
        command
    }
}

fn limit(command: Command, p: &mut Pool) -> Command {
    if p.chance(1, 3) {
        command.arg("LIMIT").arg(p.index()).arg(p.index())
    } else {
        command
    }
}

fn range_options(command: Command, scores: bool, p: &mut Pool) -> Command {
    let by_score = p.chance(2, 3);
    let command = if by_score {
        command.arg(p.score_bound()).arg(p.score_bound()).arg("BYSCORE")
    } else {
        command.arg(p.index()).arg(p.index())
    };
    let command = if p.chance(1, 3) {
        command.arg("REV")
    } else {
        command
    };
    let command = if by_score || p.chance(1, 10) {
        limit(command, p)
    } else {
        command
    };
    if scores && p.chance(1, 3) {
        command.arg("WITHSCORES")
    } else {
        command
    }
}

/// Keys of sorted sets, and of sets now and then: their members count with score 1.
fn operands(p: &mut Pool) -> Vec<Vec<u8>> {
    (0..1 + p.below(3))
        .map(|_| {
            let kind = if p.chance(1, 6) { Set } else { Scored };
            p.key(kind)
        })
        .collect()
}

fn combine(name: &str, store: bool, p: &mut Pool) -> Command {
    let keys = operands(p);
    let count = keys.len();
    let claimed = if p.chance(1, 15) {
        p.count()
    } else {
        count.to_string().into_bytes()
    };
    let command = cmd(name);
    let command = if store {
        command.arg(p.key_of(Scored))
    } else {
        command
    };
    let mut command = command.arg(claimed).args(keys);
    let weighted = !name.starts_with("ZDIFF") || p.chance(1, 20);
    if weighted && p.chance(1, 3) {
        command = command.arg("WEIGHTS");
        for _ in 0..count {
            command = command.arg(p.one_of(&["1", "2", "-1", "0.5", "0", "inf", "abc", "3"]));
        }
    }
    if weighted && p.chance(1, 3) {
        command = command
            .arg("AGGREGATE")
            .arg(p.one_of(&["SUM", "MIN", "MAX", "max", "AVG"]));
    }
    if !store && p.chance(1, 2) {
        command.arg("WITHSCORES")
    } else {
        command
    }
}

fn lexical(p: &mut Pool) -> Command {
    let key = p.key_of(Lexical);
    match p.below(12) {
        0..=3 => p
            .members()
            .into_iter()
            .fold(cmd("ZADD").arg(key), |command, member| {
                command.arg("0").arg(member)
            }),
        4 => cmd("ZREM").arg(key).args(p.members()),
        5 | 6 => limit(
            cmd("ZRANGEBYLEX").arg(key).arg(p.lex_bound()).arg(p.lex_bound()),
            p,
        ),
        7 => limit(
            cmd("ZREVRANGEBYLEX")
                .arg(key)
                .arg(p.lex_bound())
                .arg(p.lex_bound()),
            p,
        ),
        8 => cmd("ZLEXCOUNT").arg(key).arg(p.lex_bound()).arg(p.lex_bound()),
        9 => cmd("ZREMRANGEBYLEX")
            .arg(key)
            .arg(p.lex_bound())
            .arg(p.lex_bound()),
        10 => {
            let command = cmd("ZRANGESTORE").arg(p.key_of(Lexical)).arg(key);
            limit(command.arg(p.lex_bound()).arg(p.lex_bound()).arg("BYLEX"), p)
        }
        _ => {
            let command = cmd("ZRANGE")
                .arg(key)
                .arg(p.lex_bound())
                .arg(p.lex_bound())
                .arg("BYLEX");
            let command = if p.chance(1, 3) {
                command.arg("REV")
            } else {
                command
            };
            limit(command, p)
        }
    }
}
