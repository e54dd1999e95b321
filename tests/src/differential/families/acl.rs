//! Random rules of users, and what these users may do. Nobody logs in: ACL DRYRUN asks for them.

use super::{FAMILIES, Family, Maker};
use crate::differential::pool::{Args, Command, Pool, cmd};

/// The users, who are removed before a stream begins.
pub(crate) const USERS: [&str; 3] = ["u:0", "u:1", "u:2"];

pub(super) const MAKERS: &[Maker] = &[
    set_user,
    set_user,
    |p| cmd("ACL").arg("SETUSER").arg(p.one_of(&USERS)).arg(any_rule(p)),
    |p| cmd("ACL").arg("GETUSER").arg(p.one_of(&USERS)),
    |_| cmd("ACL").arg("LIST"),
    |_| cmd("ACL").arg("USERS"),
    |p| {
        if p.chance(1, 6) {
            cmd("ACL")
                .arg("DELUSER")
                .arg(p.one_of(&USERS))
                .arg(p.one_of(&USERS))
        } else {
            cmd("ACL").arg("WHOAMI")
        }
    },
    dry_run,
    dry_run,
    dry_run,
    dry_run,
];

const COMMANDS: &[&str] = &[
    "get",
    "SET",
    "mset",
    "del",
    "lpush",
    "LRANGE",
    "blpop",
    "hset",
    "hgetall",
    "sadd",
    "smembers",
    "zadd",
    "zrange",
    "sort",
    "copy",
    "rename",
    "bitfield",
    "geoadd",
    "pfadd",
    "expire",
    "ttl",
    "config",
    "config|get",
    "config|set",
    "client|list",
    "select",
    "publish",
    "nosuch",
    "config|nosuch",
];

const CATEGORIES: &[&str] = &[
    "all",
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "READ",
    "nosuch",
];

const PATTERNS: &[&str] = &["s:*", "l:*", "h:*", "z:*", "*:1", "*:[0-2]", "s:?", "*", "none"];

fn set_user(p: &mut Pool) -> Command {
    let mut command = cmd("ACL").arg("SETUSER").arg(p.one_of(&USERS));
    for _ in 0..p.below(6) {
        command = command.arg(right_rule(p));
    }
    command
}

fn any_rule(p: &mut Pool) -> Vec<u8> {
    const WRONG: &[&str] = &[
        "foo",
        "+",
        "-",
        "+config|",
        "%~x",
        "%RR~x",
        "~a b",
        "&a b",
        "#0123",
        "<none",
        "!01",
        "(foo)",
        "(on)",
        "(+get",
        ")",
        "+get|a|b",
        "-get|x",
        "+config|get|x",
        "",
    ];
    if p.chance(1, 2) {
        p.one_of(WRONG).into()
    } else {
        right_rule(p)
    }
}

/// A rule that is mostly right.
fn right_rule(p: &mut Pool) -> Vec<u8> {
    const SWITCHES: &[&str] = &[
        "on",
        "off",
        "ON",
        "nopass",
        "resetpass",
        ">one",
        ">two",
        "<one",
        "sanitize-payload",
        "skip-sanitize-payload",
        "clearselectors",
        "reset",
    ];
    match p.below(12) {
        0 => p.one_of(SWITCHES).into(),
        1 => {
            let mut inner = selector_rule(p);
            for _ in 0..p.below(3) {
                inner = format!("{inner} {}", selector_rule(p));
            }
            format!("({inner})").into()
        }
        _ => selector_rule(p).into(),
    }
}

fn selector_rule(p: &mut Pool) -> String {
    let sign = p.one_of(&["+", "+", "+", "-"]);
    match p.below(10) {
        0 => p
            .one_of(&[
                "allkeys",
                "resetkeys",
                "allchannels",
                "resetchannels",
                "allcommands",
                "nocommands",
            ])
            .to_owned(),
        1 => format!("&{}", p.one_of(PATTERNS)),
        2 => format!("{sign}@{}", p.one_of(CATEGORIES)),
        3 => format!("+select|{}", p.below(3)),
        4 | 5 => format!("{sign}{}", p.one_of(COMMANDS)),
        6 => "+@all".to_owned(),
        7 => {
            // `%RW~*` is shown otherwise than by the oracle: see docs/compatibility.md.
            format!("{}{}", p.one_of(&["%R~", "%W~", "%r~"]), p.one_of(PATTERNS))
        }
        _ => format!("~{}", p.one_of(PATTERNS)),
    }
}

fn dry_run(p: &mut Pool) -> Command {
    cmd("ACL")
        .arg("DRYRUN")
        .arg(p.one_of(&USERS))
        .args(inner_command(p))
}

fn inner_command(p: &mut Pool) -> Args {
    match p.below(8) {
        0 => {
            cmd("CONFIG")
                .arg(p.one_of(&["GET", "SET", "NOSUCH"]))
                .arg("maxmemory")
                .0
        }
        1 => cmd("SELECT").number(p.below(4)).0,
        2 => {
            cmd(p.one_of(&["PUBLISH", "SUBSCRIBE", "PSUBSCRIBE"]))
                .arg(p.one_of(PATTERNS))
                .arg("x")
                .0
        }
        _ => loop {
            let (family, _) = p.one_of(&FAMILIES);
            if !matches!(family, Family::Generic | Family::Acl) {
                return family.command(p).0;
            }
        },
    }
}
