//! Random commands on sets.

use super::Maker;
use crate::differential::pool::Kind::Set;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    |p| cmd("SADD").arg(p.key(Set)).args(p.members()),
    |p| cmd("SADD").arg(p.key(Set)).args(p.members()),
    |p| {
        // Integers alone, so that some sets stay intsets.
        let key = p.key_of(Set);
        let numbers: Vec<_> = (0..1 + p.below(5))
            .map(|_| p.between(-70_000, 70_000).to_string().into_bytes())
            .collect();
        cmd("SADD").arg(key).args(numbers)
    },
    |p| {
        if p.chance(1, 3) {
            let many = p.many();
            cmd("SADD").arg(p.key(Set)).args(many)
        } else {
            cmd("SADD").arg(p.key(Set)).args(p.members())
        }
    },
    |p| cmd("SREM").arg(p.key(Set)).args(p.members()),
    |p| {
        let many = p.many();
        cmd("SREM").arg(p.key(Set)).args(many)
    },
    |p| cmd("SCARD").arg(p.key(Set)),
    |p| cmd("SISMEMBER").arg(p.key(Set)).arg(p.member()),
    |p| cmd("SMISMEMBER").arg(p.key(Set)).args(p.members()),
    |p| cmd("SMEMBERS").arg(p.key(Set)),
    |p| with_count("SPOP", p),
    |p| with_count("SRANDMEMBER", p),
    |p| cmd("SMOVE").arg(p.key(Set)).arg(p.key(Set)).arg(p.member()),
    |p| several(cmd("SINTER"), p),
    |p| several(cmd("SUNION"), p),
    |p| several(cmd("SDIFF"), p),
    |p| store("SINTERSTORE", p),
    |p| store("SUNIONSTORE", p),
    |p| store("SDIFFSTORE", p),
    |p| {
        let keys: Vec<_> = (0..1 + p.below(3)).map(|_| p.key(Set)).collect();
        let claimed = if p.chance(1, 10) {
            p.count()
        } else {
            keys.len().to_string().into_bytes()
        };
        let command = cmd("SINTERCARD").arg(claimed).args(keys);
        if p.chance(1, 2) {
            command.arg("LIMIT").arg(p.count())
        } else {
            command
        }
    },
    |p| cmd("DEL").arg(p.key(Set)),
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Set)),
];

fn with_count(name: &str, p: &mut Pool) -> Command {
    let command = cmd(name).arg(p.key(Set));
    if p.chance(1, 2) {
        command.arg(p.count())
    } else {
        command
    }
}

fn several(command: Command, p: &mut Pool) -> Command {
    let keys: Vec<_> = (0..1 + p.below(4)).map(|_| p.key(Set)).collect();
    command.args(keys)
}

fn store(name: &str, p: &mut Pool) -> Command {
    let target = p.key(Set);
    several(cmd(name).arg(target), p)
}
