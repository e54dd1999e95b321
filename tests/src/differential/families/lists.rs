//! Random commands on lists.
//!
//! Outside of MULTI a blocking command gets a timeout of a hundredth of a second: an empty list costs little then.

use super::Maker;
use crate::differential::pool::Kind::List;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    |p| push("LPUSH", p),
    |p| push("RPUSH", p),
    |p| push("RPUSH", p),
    |p| push("LPUSHX", p),
    |p| push("RPUSHX", p),
    |p| {
        if p.chance(1, 6) {
            let many = p.many();
            cmd("RPUSH").arg(p.key(List)).args(many)
        } else {
            push("RPUSH", p)
        }
    },
    |p| pop("LPOP", p),
    |p| pop("RPOP", p),
    |p| cmd("LLEN").arg(p.key(List)),
    |p| cmd("LINDEX").arg(p.key(List)).arg(p.index()),
    |p| {
        let side = p.one_of(&["BEFORE", "AFTER", "before", "SIDE"]);
        cmd("LINSERT")
            .arg(p.key(List))
            .arg(side)
            .arg(p.member())
            .arg(p.member())
    },
    |p| cmd("LRANGE").arg(p.key(List)).arg(p.index()).arg(p.index()),
    |p| cmd("LRANGE").arg(p.key(List)).arg("0").arg("-1"),
    |p| cmd("LREM").arg(p.key(List)).arg(p.index()).arg(p.member()),
    |p| cmd("LSET").arg(p.key(List)).arg(p.index()).arg(p.value()),
    |p| cmd("LTRIM").arg(p.key(List)).arg(p.index()).arg(p.index()),
    lpos,
    |p| {
        cmd("LMOVE")
            .arg(p.key(List))
            .arg(p.key(List))
            .arg(side(p))
            .arg(side(p))
    },
    |p| cmd("RPOPLPUSH").arg(p.key(List)).arg(p.key(List)),
    |p| mpop(cmd("LMPOP"), p),
    |p| {
        let timeout = timeout(p);
        mpop(cmd("BLMPOP").arg(timeout), p)
    },
    |p| {
        let name = p.one_of(&["BLPOP", "BRPOP"]);
        cmd(name).arg(p.key(List)).arg(p.key(List)).arg(timeout(p))
    },
    |p| {
        cmd("BLMOVE")
            .arg(p.key(List))
            .arg(p.key(List))
            .arg(side(p))
            .arg(side(p))
            .arg(timeout(p))
    },
    |p| {
        cmd("BRPOPLPUSH")
            .arg(p.key(List))
            .arg(p.key(List))
            .arg(timeout(p))
    },
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(List)),
];

fn push(name: &str, p: &mut Pool) -> Command {
    cmd(name).arg(p.key(List)).args(p.members())
}

fn pop(name: &str, p: &mut Pool) -> Command {
    let command = cmd(name).arg(p.key(List));
    if p.chance(1, 3) {
        command.arg(p.count())
    } else {
        command
    }
}

fn side(p: &mut Pool) -> &'static str {
    p.one_of(&["LEFT", "RIGHT", "left", "Right", "LEFT", "RIGHT", "UP"])
}

fn timeout(p: &mut Pool) -> &'static str {
    p.one_of(&["0.01", "0.01", "0.01", "0.001", "-1", "abc", "1e400", "nan"])
}

fn lpos(p: &mut Pool) -> Command {
    let mut command = cmd("LPOS").arg(p.key(List)).arg(p.member());
    for option in ["RANK", "COUNT", "MAXLEN"] {
        if p.chance(1, 3) {
            command = command.arg(option).arg(p.index());
        }
    }
    command
}

fn mpop(command: Command, p: &mut Pool) -> Command {
    let keys: Vec<_> = (0..1 + p.below(3)).map(|_| p.key(List)).collect();
    let claimed = if p.chance(1, 12) {
        p.count()
    } else {
        keys.len().to_string().into_bytes()
    };
    let command = command.arg(claimed).args(keys).arg(side(p));
    if p.chance(1, 3) {
        command.arg("COUNT").arg(p.count())
    } else {
        command
    }
}
