//! Random commands on streams. Ids are given, never `*`: two servers have two clocks.

use super::Maker;
use crate::differential::pool::Kind::Log;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    add,
    add,
    add,
    add,
    add,
    add,
    |p| {
        trim(cmd("XADD").arg(p.key(Log)), p)
            .args(new_id(p))
            .arg("f")
            .arg("v")
    },
    |p| trim(cmd("XTRIM").arg(p.key(Log)), p),
    |p| cmd("XLEN").arg(p.key(Log)),
    |p| {
        let (from, to) = (bound(p), bound(p));
        counted(cmd("XRANGE").arg(p.key(Log)).arg(from).arg(to), p)
    },
    |p| {
        let (from, to) = (bound(p), bound(p));
        counted(cmd("XREVRANGE").arg(p.key(Log)).arg(to).arg(from), p)
    },
    |p| cmd("XDEL").arg(p.key(Log)).args(ids(p)),
    |p| cmd("XDEL").arg(p.key(Log)).args(ids(p)),
    set_id,
    read,
    group,
    group,
    read_group,
    read_group,
    read_group,
    |p| cmd("XACK").arg(p.key(Log)).arg(group_name(p)).args(ids(p)),
    pending,
    claim,
    auto_claim,
    |p| cmd("XINFO").arg("STREAM").arg(p.key(Log)),
    |p| counted(cmd("XINFO").arg("STREAM").arg(p.key(Log)).arg("FULL"), p),
    |p| cmd("XINFO").arg("GROUPS").arg(p.key(Log)),
    |p| cmd("XINFO").arg("GROUPS").arg(p.key(Log)),
    |p| cmd("XINFO").arg("CONSUMERS").arg(p.key(Log)).arg(group_name(p)),
    |p| {
        let name = p.one_of(&["DEL", "COPY", "RENAME", "TYPE", "EXISTS", "UNLINK"]);
        let command = cmd(name).arg(p.key_of(Log));
        if matches!(name, "COPY" | "RENAME") {
            command.arg(p.key_of(Log))
        } else {
            command
        }
    },
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Log)),
];

/// How many ids lie behind the newest one that are still of interest.
const NEAR: u64 = 60;

/// An id that mostly is greater than all before.
fn new_id(p: &mut Pool) -> Vec<Vec<u8>> {
    let ms = p.ticket();
    let id = match p.below(20) {
        0 => near_id(p),
        1 => p.nasty_id(),
        2 => format!("{ms}-*").into_bytes(),
        3 => format!("{ms}-{}", p.below(4)).into_bytes(),
        4 => format!("{ms}-18446744073709551615").into_bytes(),
        _ => ms.to_string().into_bytes(),
    };
    vec![id]
}

/// An id that may well be there.
fn near_id(p: &mut Pool) -> Vec<u8> {
    let ms = p.last_ticket().saturating_sub(p.below(NEAR));
    if p.chance(1, 8) {
        format!("{ms}-{}", p.below(3)).into_bytes()
    } else {
        ms.to_string().into_bytes()
    }
}

fn id(p: &mut Pool) -> Vec<u8> {
    match p.below(24) {
        0 => p.nasty_id(),
        1 | 2 => b"0".to_vec(),
        _ => near_id(p),
    }
}

fn ids(p: &mut Pool) -> Vec<Vec<u8>> {
    let count = if p.chance(1, 2) { 1 } else { 1 + p.below(8) };
    (0..count).map(|_| id(p)).collect()
}

fn bound(p: &mut Pool) -> Vec<u8> {
    match p.below(8) {
        0 | 1 => b"-".to_vec(),
        2 | 3 => b"+".to_vec(),
        4 => [b"(".to_vec(), id(p)].concat(),
        _ => id(p),
    }
}

fn counted(command: Command, p: &mut Pool) -> Command {
    if p.chance(1, 2) {
        command.arg("COUNT").arg(p.count())
    } else {
        command
    }
}

fn add(p: &mut Pool) -> Command {
    let key = p.key(Log);
    let mut command = cmd("XADD").arg(key);
    if p.chance(1, 10) {
        command = command.arg("NOMKSTREAM");
    }
    command = command.args(new_id(p));
    if p.chance(1, 2) {
        return command.arg("field").arg(p.value()).arg("7").arg(p.value());
    }
    for _ in 0..1 + p.below(4) {
        command = command.arg(p.member()).arg(p.value());
    }
    command
}

fn trim(command: Command, p: &mut Pool) -> Command {
    let by_number = p.chance(1, 2);
    let command = command.arg(if by_number { "MAXLEN" } else { "MINID" });
    let operator = p.below(3);
    let command = match operator {
        0 => command.arg("~"),
        1 => command.arg("="),
        _ => command,
    };
    let command = if by_number {
        command.number(p.below(60))
    } else {
        command.arg(id(p))
    };
    if (operator == 0 && p.chance(1, 2)) || p.chance(1, 20) {
        command.arg("LIMIT").arg(p.count())
    } else {
        command
    }
}

fn set_id(p: &mut Pool) -> Command {
    let last = p.ticket();
    let command = cmd("XSETID").arg(p.key(Log)).number(last);
    let command = if p.chance(1, 3) {
        command.arg("ENTRIESADDED").number(p.below(200))
    } else {
        command
    };
    if p.chance(1, 3) {
        command.arg("MAXDELETEDID").arg(near_id(p))
    } else {
        command
    }
}

fn read(p: &mut Pool) -> Command {
    let command = counted(cmd("XREAD"), p).arg("STREAMS");
    let keys: Vec<_> = (0..1 + p.below(3)).map(|_| p.key(Log)).collect();
    let ids: Vec<_> = keys
        .iter()
        .map(|_| if p.chance(1, 10) { b"$".to_vec() } else { id(p) })
        .collect();
    command.args(keys).args(ids)
}

fn group_name(p: &mut Pool) -> Vec<u8> {
    if p.chance(1, 12) {
        return b"nobody".to_vec();
    }
    format!("g{}", p.below(2)).into_bytes()
}

fn consumer(p: &mut Pool) -> Vec<u8> {
    format!("c{}", p.below(3)).into_bytes()
}

fn group(p: &mut Pool) -> Command {
    let what = p.one_of(&[
        "CREATE",
        "CREATE",
        "CREATE",
        "SETID",
        "DESTROY",
        "CREATECONSUMER",
        "DELCONSUMER",
    ]);
    let command = cmd("XGROUP").arg(what).arg(p.key(Log)).arg(group_name(p));
    match what {
        "CREATE" | "SETID" => {
            let at = if p.chance(1, 3) { b"$".to_vec() } else { id(p) };
            let command = command.arg(at);
            let make = what == "CREATE" && p.chance(1, 2);
            let command = command.when(make, |command| command.arg("MKSTREAM"));
            if p.chance(1, 4) {
                command.arg("ENTRIESREAD").number(p.between(-2, 50))
            } else {
                command
            }
        }
        "CREATECONSUMER" | "DELCONSUMER" => command.arg(consumer(p)),
        _ => command,
    }
}

fn read_group(p: &mut Pool) -> Command {
    let command = cmd("XREADGROUP").arg("GROUP").arg(group_name(p)).arg(consumer(p));
    let command = counted(command, p);
    let command = command.when(p.chance(1, 5), |command| command.arg("NOACK"));
    let keys: Vec<_> = (0..1 + p.below(8) / 7).map(|_| p.key(Log)).collect();
    let ids: Vec<_> = keys
        .iter()
        .map(|_| if p.chance(3, 4) { b">".to_vec() } else { id(p) })
        .collect();
    command.arg("STREAMS").args(keys).args(ids)
}

fn pending(p: &mut Pool) -> Command {
    let command = cmd("XPENDING").arg(p.key(Log)).arg(group_name(p));
    if p.chance(1, 3) {
        return command;
    }
    let command = if p.chance(1, 4) {
        command.arg("IDLE").arg(idle(p))
    } else {
        command
    };
    let (from, to) = (bound(p), bound(p));
    let command = command.arg(from).arg(to).arg(p.count());
    if p.chance(1, 3) {
        command.arg(consumer(p))
    } else {
        command
    }
}

/// A time after which everything, or nothing that was not dated back, is idle.
fn idle(p: &mut Pool) -> &'static str {
    p.one_of(&["0", "0", "0", "1000000000", "-1", "x"])
}

fn claim(p: &mut Pool) -> Command {
    let mut command = cmd("XCLAIM")
        .arg(p.key(Log))
        .arg(group_name(p))
        .arg(consumer(p))
        .arg(idle(p))
        .args(ids(p));
    for _ in 0..p.below(3) {
        command = match p.below(6) {
            0 => command.arg("IDLE").arg(p.one_of(&["0", "2000000000", "-5", "y"])),
            1 => command.arg("TIME").arg(p.one_of(&["5", "0", "-5", "y"])),
            2 => command.arg("RETRYCOUNT").arg(p.count()),
            3 => command.arg("LASTID").arg(id(p)),
            4 => command.arg("FORCE"),
            _ => command.arg("JUSTID"),
        };
    }
    command
}

fn auto_claim(p: &mut Pool) -> Command {
    let command = cmd("XAUTOCLAIM")
        .arg(p.key(Log))
        .arg(group_name(p))
        .arg(consumer(p))
        .arg(idle(p))
        .arg(bound(p));
    let command = if p.chance(1, 2) {
        command.arg("COUNT").number(p.between(-1, 6))
    } else {
        command
    };
    command.when(p.chance(1, 3), |command| command.arg("JUSTID"))
}
