//! Random commands on strings as bitmaps.

use super::Maker;
use crate::differential::pool::Kind::Bits;
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    |p| {
        cmd("SETBIT")
            .arg(p.key(Bits))
            .arg(offset(p))
            .arg(p.one_of(&["0", "1", "1", "1", "2", "x"]))
    },
    |p| cmd("SETBIT").arg(p.key(Bits)).arg(offset(p)).arg("1"),
    |p| cmd("GETBIT").arg(p.key(Bits)).arg(offset(p)),
    |p| range(cmd("BITCOUNT").arg(p.key(Bits)), p),
    |p| {
        range(
            cmd("BITPOS")
                .arg(p.key(Bits))
                .arg(p.one_of(&["0", "1", "0", "1", "2", "x"])),
            p,
        )
    },
    |p| {
        let operation = p.one_of(&["AND", "OR", "XOR", "NOT", "and", "NAND"]);
        let keys: Vec<_> = (0..1 + p.below(3)).map(|_| p.key(Bits)).collect();
        cmd("BITOP").arg(operation).arg(p.key(Bits)).args(keys)
    },
    |p| fields(cmd("BITFIELD").arg(p.key(Bits)), true, p),
    |p| fields(cmd("BITFIELD").arg(p.key(Bits)), true, p),
    |p| {
        let writes = p.chance(1, 5);
        fields(cmd("BITFIELD_RO").arg(p.key(Bits)), writes, p)
    },
    |p| cmd("GET").arg(p.key(Bits)),
    |p| cmd("SET").arg(p.key(Bits)).arg(p.value()),
    |p| cmd("STRLEN").arg(p.key(Bits)),
    |p| cmd("OBJECT").arg("ENCODING").arg(p.key(Bits)),
];

fn offset(p: &mut Pool) -> Vec<u8> {
    match p.below(20) {
        0 => p
            .one_of(&["-1", "4294967296", "abc", "", "1.5", "9223372036854775807"])
            .into(),
        1 => p.between(0, 100_000).to_string().into_bytes(),
        _ => p.between(0, 300).to_string().into_bytes(),
    }
}

fn range(command: Command, p: &mut Pool) -> Command {
    match p.below(4) {
        0 => command,
        1 => command.arg(p.index()),
        2 => command.arg(p.index()).arg(p.index()),
        _ => command
            .arg(p.index())
            .arg(p.index())
            .arg(p.one_of(&["BYTE", "BIT", "bit", "NIBBLE"])),
    }
}

fn fields(mut command: Command, writes: bool, p: &mut Pool) -> Command {
    for _ in 0..1 + p.below(4) {
        if writes && p.chance(1, 3) {
            command = command
                .arg("OVERFLOW")
                .arg(p.one_of(&["WRAP", "SAT", "FAIL", "fail", "NONE"]));
        }
        let operation = if writes {
            p.one_of(&["GET", "SET", "INCRBY", "INCRBY"])
        } else {
            "GET"
        };
        command = command.arg(operation).arg(width(p)).arg(field_offset(p));
        if operation != "GET" {
            command = command.arg(p.step());
        }
    }
    command
}

fn width(p: &mut Pool) -> Vec<u8> {
    if p.chance(1, 15) {
        return p.one_of(&["u64", "i65", "u0", "x8", "8", "", "i"]).into();
    }
    if p.chance(1, 2) {
        format!("u{}", p.between(1, 63)).into()
    } else {
        format!("i{}", p.between(1, 64)).into()
    }
}

fn field_offset(p: &mut Pool) -> Vec<u8> {
    match p.below(16) {
        0 => p.one_of(&["-1", "#-1", "abc", "#", "9223372036854775807"]).into(),
        1..=5 => format!("#{}", p.between(0, 20)).into(),
        _ => p.between(0, 300).to_string().into_bytes(),
    }
}
