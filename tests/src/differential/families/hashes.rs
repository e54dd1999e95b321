//! Random commands on hashes.

use super::Maker;
use crate::differential::pool::Kind::Hash;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    set,
    set,
    set,
    |p| {
        if p.chance(1, 6) {
            let many = p.many();
            cmd("HSET")
                .arg(p.key(Hash))
                .args(many.into_iter().flat_map(|field| [field, b"1".to_vec()]))
        } else {
            set(p)
        }
    },
    |p| {
        cmd("HMSET")
            .arg(p.key(Hash))
            .arg(p.member())
            .arg(p.value())
            .arg(p.member())
            .arg(p.value())
    },
    |p| cmd("HSETNX").arg(p.key(Hash)).arg(p.member()).arg(p.value()),
    |p| cmd("HGET").arg(p.key(Hash)).arg(p.member()),
    |p| cmd("HMGET").arg(p.key(Hash)).args(p.members()),
    |p| cmd("HGETALL").arg(p.key(Hash)),
    |p| cmd("HKEYS").arg(p.key(Hash)),
    |p| cmd("HVALS").arg(p.key(Hash)),
    |p| cmd("HLEN").arg(p.key(Hash)),
    |p| cmd("HEXISTS").arg(p.key(Hash)).arg(p.member()),
    |p| cmd("HSTRLEN").arg(p.key(Hash)).arg(p.member()),
    |p| cmd("HDEL").arg(p.key(Hash)).args(p.members()),
    |p| {
        let many = p.many();
        cmd("HDEL").arg(p.key(Hash)).args(many)
    },
    |p| cmd("HINCRBY").arg(p.key(Hash)).arg(p.member()).arg(p.step()),
    |p| {
        cmd("HINCRBYFLOAT")
            .arg(p.key(Hash))
            .arg(p.member())
            .arg(p.float())
    },
    |p| {
        let command = cmd("HRANDFIELD").arg(p.key(Hash));
        let command = if p.chance(2, 3) {
            command.arg(p.count())
        } else {
            command
        };
        if p.chance(1, 3) {
            command.arg("WITHVALUES")
        } else {
            command
        }
    },
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Hash)),
];

fn set(p: &mut Pool) -> Command {
    let mut command = cmd("HSET").arg(p.key(Hash));
    for _ in 0..1 + p.below(4) {
        command = command.arg(p.member()).arg(p.value());
    }
    command
}
