//! Random commands on keys as such, databases, times to live, and commands that do not exist.

use super::{Maker, lookups};
use crate::differential::pool::Kind::{Bits, Geo, Hash, Lexical, List, Log, Scored, Set, Sketch, Text};
use crate::differential::pool::{Command, Pool, cmd};

/// Databases that the streams use.
pub(crate) const DATABASES: u64 = 4;

pub(super) const MAKERS: &[Maker] = &[
    |p| cmd("DEL").arg(p.any_key()),
    |p| cmd("DEL").arg(p.any_key()).arg(p.any_key()).arg(p.any_key()),
    |p| cmd("UNLINK").arg(p.any_key()).arg(p.any_key()),
    |p| cmd("EXISTS").arg(p.any_key()).arg(p.any_key()),
    |p| cmd("TOUCH").arg(p.any_key()).arg(p.any_key()),
    |p| cmd("TYPE").arg(p.any_key()),
    |p| cmd("TYPE").arg(p.any_key()),
    |p| from_to("RENAME", p),
    |p| from_to("RENAMENX", p),
    copy,
    |p| from_to("COPY", p).arg("REPLACE"),
    |p| cmd("MOVE").arg(p.any_key()).arg(database(p)),
    |p| {
        cmd("KEYS").arg(p.one_of(&[
            "*", "s:*", "*:[0-2]", "?:1", "[^s]:*", "l\\:?", "none*", "", "h:[]", "*e*:*",
        ]))
    },
    |_| cmd("RANDOMKEY"),
    |_| cmd("DBSIZE"),
    |p| cmd("SELECT").arg(database(p)),
    |p| {
        cmd("SELECT")
            .arg("0")
            .when(p.chance(1, 20), |command| command.arg("x"))
    },
    |p| {
        if p.chance(1, 3) {
            cmd("SWAPDB").arg(database(p)).arg(database(p))
        } else {
            cmd("DBSIZE")
        }
    },
    |p| {
        if p.chance(1, 8) {
            flush("FLUSHDB", p)
        } else {
            cmd("DBSIZE")
        }
    },
    |p| {
        if p.chance(1, 20) {
            flush("FLUSHALL", p)
        } else {
            cmd("TYPE").arg(p.any_key())
        }
    },
    |p| {
        let key = if p.chance(1, 4) {
            special_key(p)
        } else {
            p.any_key()
        };
        cmd("OBJECT")
            .arg(p.one_of(&["ENCODING", "encoding", "REFCOUNT", "IDLETIME", "FREQ", "NOSUCH"]))
            .arg(key)
    },
    |p| cmd("OBJECT").arg("ENCODING").arg(p.any_key()),
    sort,
    sort,
    |p| cmd("PUBLISH").arg(p.value()).arg(p.value()),
    |p| cmd("ECHO").arg(p.value()),
    |p| {
        if p.chance(1, 2) {
            cmd("PING")
        } else {
            cmd("PING").arg(p.value())
        }
    },
    |p| cmd("MEMORY").arg("USAGE").arg(p.any_key()),
    unknown,
    lookups::get_keys,
    |p| match p.below(12) {
        0 => cmd("RESET"),
        1 => cmd("HELLO").arg(p.one_of(&["2", "3", "3", "4", "x"])),
        2 => cmd("CLIENT").arg("SETNAME").arg(p.value()),
        3 => cmd("CLIENT").arg("GETNAME"),
        4 => cmd("TTL").arg("no-such-key"),
        5 => cmd("OBJECT").arg("HELP").arg(p.value()),
        6 => cmd("PUBSUB").arg(p.one_of(&["NUMPAT", "CHANNELS", "NUMSUB", "NOSUCH"])),
        7 => cmd("CONFIG").arg("GET").arg(p.one_of(&[
            "hash-max-listpack-entries",
            "maxmemory",
            "nosuch",
            "appendonly",
        ])),
        8 => cmd("TIME"),
        _ => cmd("EXISTS").arg(p.any_key()),
    },
];

pub(super) const EXPIRY_MAKERS: &[Maker] = &[
    |p| cmd("EXPIRE").arg(p.any_key()).arg(p.far_seconds()),
    |p| cmd("PEXPIRE").arg(p.any_key()).arg(p.far_milliseconds()),
    expire_at,
    expire_at,
    |p| {
        // Longer than every other and than the ones before: GT and LT then have one answer.
        let seconds = 10_000_000 + p.ticket() * 1000;
        cmd("EXPIRE")
            .arg(p.any_key())
            .number(seconds)
            .arg(p.one_of(&["GT", "LT", "NX", "XX", "gt", "EQ"]))
    },
    |p| cmd("TTL").arg(p.any_key()),
    |p| cmd("PTTL").arg(p.any_key()),
    |p| cmd("EXPIRETIME").arg(p.any_key()),
    |p| cmd("PEXPIRETIME").arg(p.any_key()),
    |p| cmd("PERSIST").arg(p.any_key()),
    |p| {
        cmd("SET")
            .arg(p.key(Text))
            .arg(p.value())
            .when(p.chance(1, 2), |command| command.arg("KEEPTTL"))
    },
    |p| cmd("GETEX").arg(p.key(Text)).arg("PERSIST"),
    |p| from_to("RENAME", p),
    |p| cmd("SADD").arg(p.key(Set)).args(p.members()),
    |p| cmd("HSET").arg(p.key(Hash)).arg(p.member()).arg(p.value()),
    |p| cmd("RPUSH").arg(p.key(List)).args(p.members()),
    |p| cmd("ZADD").arg(p.key(Scored)).arg("1").arg(p.member()),
    |p| {
        let special = special_key(p);
        cmd("EXPIRE").arg(special).arg(p.far_seconds())
    },
];

fn special_key(p: &mut Pool) -> Vec<u8> {
    let kind = p.one_of(&[Geo, Lexical, Sketch]);
    p.key_of(kind)
}

fn database(p: &mut Pool) -> Vec<u8> {
    if p.chance(1, 12) {
        return p.one_of(&["16", "-1", "abc", "", "99999999999", "1.0"]).into();
    }
    p.below(DATABASES).to_string().into_bytes()
}

fn flush(name: &str, p: &mut Pool) -> Command {
    match p.below(4) {
        0 => cmd(name),
        1 => cmd(name).arg("ASYNC"),
        2 => cmd(name).arg("sync"),
        _ => cmd(name).arg("NOW"),
    }
}

/// Two keys, mostly of one kind: otherwise every key soon holds what its name does not say.
fn from_to(name: &str, p: &mut Pool) -> Command {
    if p.chance(1, 5) {
        return cmd(name).arg(p.any_key()).arg(p.any_key());
    }
    let kind = p.one_of(&[Text, List, Hash, Set, Scored, Bits, Log]);
    cmd(name).arg(p.key_of(kind)).arg(p.key_of(kind))
}

fn copy(p: &mut Pool) -> Command {
    let mut command = from_to("COPY", p);
    if p.chance(1, 2) {
        command = command.arg("DB").arg(database(p));
    }
    if p.chance(1, 2) {
        command.arg("REPLACE")
    } else {
        command
    }
}

/// SORT with BY has no defined order among equals, so what it gives is stored only where BY means "as it stands".
fn sort(p: &mut Pool) -> Command {
    let name = p.one_of(&["SORT", "SORT", "SORT_RO"]);
    let kind = p.one_of(&[List, Set, Scored, List, Set]);
    let mut command = cmd(name).arg(p.key(kind));
    let mut by_pattern = false;
    if p.chance(1, 4) {
        by_pattern = true;
        command = command
            .arg("BY")
            .arg(p.one_of(&["s:*", "h:*->f", "h:1->*", "nosort", "missing_*"]));
    }
    if p.chance(1, 4) {
        command = command.arg("LIMIT").arg(p.index()).arg(p.index());
    }
    while p.chance(1, 4) {
        command = command
            .arg("GET")
            .arg(p.one_of(&["#", "s:*", "h:*->1", "missing_*", "h:0->*", "nostar"]));
    }
    if p.chance(1, 5) {
        command = command.arg(p.one_of(&["ASC", "DESC", "asc"]));
    }
    if p.chance(2, 3) {
        command = command.arg("ALPHA");
    }
    if !by_pattern && p.chance(1, 5) {
        command.arg("STORE").arg(p.key_of(List))
    } else {
        command
    }
}

fn expire_at(p: &mut Pool) -> Command {
    let command = if p.chance(1, 2) {
        cmd("EXPIREAT").arg(p.any_key()).arg(p.far_instant())
    } else {
        cmd("PEXPIREAT")
            .arg(p.any_key())
            .arg(p.far_instant_milliseconds())
    };
    let mut command = command;
    while p.chance(1, 3) {
        command = command.arg(p.one_of(&["NX", "XX", "GT", "LT", "lt", "XY"]));
    }
    command
}

fn unknown(p: &mut Pool) -> Command {
    match p.below(4) {
        0 => cmd("NOSUCH").args(p.members()),
        1 => cmd("GETT").arg(p.value()).arg(p.value()),
        2 => cmd("").arg(p.value()),
        _ => Command(vec![p.value(), p.value()]).when(true, |command| {
            // A random word could be the name of a command; a prefix makes sure that it is none.
            let mut args = command.0;
            args[0].insert(0, b'~');
            Command(args)
        }),
    }
}
