//! Random commands on strings.

use super::Maker;
use crate::differential::pool::Kind::Text;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    |p| cmd("SET").arg(p.key(Text)).arg(p.value()),
    |p| cmd("SET").arg(p.key(Text)).arg(p.value()),
    set_with_options,
    set_with_options,
    |p| cmd("SETNX").arg(p.key(Text)).arg(p.value()),
    |p| cmd("SETEX").arg(p.key(Text)).arg(p.far_seconds()).arg(p.value()),
    |p| {
        cmd("PSETEX")
            .arg(p.key(Text))
            .arg(p.far_milliseconds())
            .arg(p.value())
    },
    |p| cmd("GET").arg(p.key(Text)),
    |p| cmd("GET").arg(p.key(Text)),
    |p| cmd("GETSET").arg(p.key(Text)).arg(p.value()),
    |p| cmd("GETDEL").arg(p.key(Text)),
    getex,
    |p| {
        let keys: Vec<_> = (0..1 + p.below(5)).map(|_| p.key(Text)).collect();
        cmd("MGET").args(keys)
    },
    |p| pairs("MSET", p),
    |p| pairs("MSETNX", p),
    |p| cmd("APPEND").arg(p.key(Text)).arg(p.value()),
    |p| cmd("STRLEN").arg(p.key(Text)),
    |p| cmd("GETRANGE").arg(p.key(Text)).arg(p.index()).arg(p.index()),
    |p| cmd("SUBSTR").arg(p.key(Text)).arg(p.index()).arg(p.index()),
    |p| cmd("SETRANGE").arg(p.key(Text)).arg(p.index()).arg(p.value()),
    |p| cmd("INCR").arg(p.key(Text)),
    |p| cmd("DECR").arg(p.key(Text)),
    |p| cmd("INCRBY").arg(p.key(Text)).arg(p.step()),
    |p| cmd("DECRBY").arg(p.key(Text)).arg(p.step()),
    |p| cmd("INCRBYFLOAT").arg(p.key(Text)).arg(p.float()),
    lcs,
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Text)),
];

fn set_with_options(p: &mut Pool) -> Command {
    let mut command = cmd("SET").arg(p.key(Text)).arg(p.value());
    for _ in 0..1 + p.below(3) {
        command = match p.below(10) {
            0 => command.arg("NX"),
            1 => command.arg("XX"),
            2 | 3 => command.arg("GET"),
            4 => command.arg("KEEPTTL"),
            5 => command.arg("EX").arg(p.far_seconds()),
            6 => command.arg("px").arg(p.far_milliseconds()),
            7 => command.arg("EXAT").arg(p.far_instant()),
            8 => command.arg("PXAT").arg(p.far_instant_milliseconds()),
            _ => command.arg(p.nasty()),
        };
    }
    command
}

fn getex(p: &mut Pool) -> Command {
    let command = cmd("GETEX").arg(p.key(Text));
    match p.below(7) {
        0 => command,
        1 => command.arg("PERSIST"),
        2 => command.arg("EX").arg(p.far_seconds()),
        3 => command.arg("PX").arg(p.far_milliseconds()),
        4 => command.arg("EXAT").arg(p.far_instant()),
        5 => command.arg("PXAT").arg(p.far_instant_milliseconds()),
        _ => command.arg("PERSIST").arg("EX").arg(p.far_seconds()),
    }
}

fn pairs(name: &str, p: &mut Pool) -> Command {
    let mut command = cmd(name);
    for _ in 0..1 + p.below(4) {
        command = command.arg(p.key_of(Text)).arg(p.value());
    }
    command
}

fn lcs(p: &mut Pool) -> Command {
    let command = cmd("LCS").arg(p.key(Text)).arg(p.key(Text));
    let command = match p.below(4) {
        0 => command,
        1 => command.arg("LEN"),
        _ => command.arg("IDX"),
    };
    let command = if p.chance(1, 3) {
        command.arg("MINMATCHLEN").arg(p.count())
    } else {
        command
    };
    if p.chance(1, 3) {
        command.arg("WITHMATCHLEN")
    } else {
        command
    }
}
