//! Random commands on positions.

use super::Maker;
use crate::differential::pool::Kind::{Geo, Scored};
use crate::differential::pool::{Command, Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    add,
    add,
    add,
    |p| {
        let command = cmd("GEODIST").arg(p.key(Geo)).arg(place(p)).arg(place(p));
        if p.chance(1, 2) {
            command.arg(unit(p))
        } else {
            command
        }
    },
    |p| cmd("GEOHASH").arg(p.key(Geo)).arg(place(p)).arg(place(p)),
    |p| cmd("GEOPOS").arg(p.key(Geo)).arg(place(p)).arg(place(p)),
    |p| cmd("ZREM").arg(p.key_of(Geo)).arg(place(p)),
    |p| {
        cmd("ZRANGE")
            .arg(p.key_of(Geo))
            .arg("0")
            .arg("-1")
            .arg("WITHSCORES")
    },
    |p| search(cmd("GEOSEARCH").arg(p.key(Geo)), false, p),
    |p| search(cmd("GEOSEARCH").arg(p.key(Geo)), false, p),
    |p| {
        let target = p.key_of(Geo);
        search(cmd("GEOSEARCHSTORE").arg(target).arg(p.key(Geo)), true, p)
    },
    |p| {
        let target = p.key_of(Scored);
        search(cmd("GEOSEARCHSTORE").arg(target).arg(p.key(Geo)), true, p).arg("STOREDIST")
    },
    |p| {
        let name = p.one_of(&["GEORADIUS", "GEORADIUS_RO"]);
        let command = cmd(name).arg(p.key(Geo));
        let (longitude, latitude) = position(p);
        radius(command.arg(longitude).arg(latitude), p)
    },
    |p| {
        let name = p.one_of(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]);
        radius(cmd(name).arg(p.key(Geo)).arg(place(p)), p)
    },
];

fn place(p: &mut Pool) -> Vec<u8> {
    format!("p{}", p.below(40)).into_bytes()
}

fn unit(p: &mut Pool) -> &'static str {
    p.one_of(&["m", "km", "ft", "mi", "M", "KM", "au"])
}

fn position(p: &mut Pool) -> (Vec<u8>, Vec<u8>) {
    if p.chance(1, 20) {
        return (
            p.one_of(&["181", "-180.1", "abc", "nan"]).into(),
            p.one_of(&["86", "-90", "x", "inf", "0"]).into(),
        );
    }
    // Half of the places are near each other, so that searches find some and miss some.
    let (longitude, latitude) = if p.chance(1, 2) {
        (p.between(1_300_000, 1_400_000), p.between(3_700_000, 3_800_000))
    } else {
        (
            p.between(-17_999_000, 17_999_000),
            p.between(-8_500_000, 8_500_000),
        )
    };
    (
        format!("{}", longitude as f64 / 1e5).into_bytes(),
        format!("{}", latitude as f64 / 1e5).into_bytes(),
    )
}

fn add(p: &mut Pool) -> Command {
    let mut command = cmd("GEOADD").arg(p.key(Geo));
    for option in ["NX", "XX", "CH"] {
        if p.chance(1, 8) {
            command = command.arg(option);
        }
    }
    for _ in 0..1 + p.below(3) {
        let (longitude, latitude) = position(p);
        command = command.arg(longitude).arg(latitude).arg(place(p));
    }
    command
}

fn length(p: &mut Pool) -> Vec<u8> {
    match p.below(12) {
        0 => p.one_of(&["-1", "abc", "nan", "0", "1e400"]).into(),
        1..=4 => p.between(1, 20_000).to_string().into_bytes(),
        _ => p.between(1, 300).to_string().into_bytes(),
    }
}

/// No STORE with ANY: which ones are found first is nobody's promise.
fn search(command: Command, store: bool, p: &mut Pool) -> Command {
    let command = if p.chance(1, 2) {
        command.arg("FROMMEMBER").arg(place(p))
    } else {
        let (longitude, latitude) = position(p);
        command.arg("FROMLONLAT").arg(longitude).arg(latitude)
    };
    let command = if p.chance(1, 2) {
        command.arg("BYRADIUS").arg(length(p)).arg(unit(p))
    } else {
        command.arg("BYBOX").arg(length(p)).arg(length(p)).arg(unit(p))
    };
    let command = order_and_count(command, store, p);
    if store { command } else { with(command, p) }
}

fn radius(command: Command, p: &mut Pool) -> Command {
    let command = command.arg(length(p)).arg(unit(p));
    if p.chance(1, 6) {
        let command = order_and_count(command, true, p);
        // Distances as scores would decode to positions that are too near each other to be told apart.
        return if p.chance(1, 2) {
            command.arg("STORE").arg(p.key_of(Geo))
        } else {
            command.arg("STOREDIST").arg(p.key_of(Scored))
        };
    }
    let command = with(command, p);
    order_and_count(command, false, p)
}

fn with(mut command: Command, p: &mut Pool) -> Command {
    for option in ["WITHCOORD", "WITHDIST", "WITHHASH"] {
        if p.chance(1, 4) {
            command = command.arg(option);
        }
    }
    command
}

fn order_and_count(command: Command, store: bool, p: &mut Pool) -> Command {
    let command = match p.below(4) {
        0 => command.arg("ASC"),
        1 => command.arg("DESC"),
        _ => command,
    };
    if !p.chance(1, 4) {
        return command;
    }
    let command = command.arg("COUNT").arg(p.count());
    if !store && p.chance(1, 4) {
        command.arg("ANY")
    } else {
        command
    }
}
