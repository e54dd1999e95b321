//! A small catalog for the tests of this crate.

use std::sync::OnceLock;

use holdfast_commands::flags;
use holdfast_commands::spec::{Flags, Group, KeySpec, Spec};

use crate::catalog::{Catalog, Defaults};
use crate::user::User;

const fn command(name: &'static str, arity: i16, flags: Flags, keys: &'static [KeySpec]) -> Spec {
    Spec {
        name,
        arity,
        flags,
        keys,
        ..Spec::DEFAULT
    }
}

const fn pubsub(name: &'static str) -> Spec {
    Spec {
        group: Group::Pubsub,
        ..command(name, -2, Flags::PUBSUB, &[])
    }
}

pub const SPECS: &[Spec] = &[
    command(
        "get",
        2,
        flags!(Flags: READONLY, FAST),
        &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
    ),
    command(
        "set",
        -3,
        flags!(Flags: WRITE),
        &[KeySpec::one(
            1,
            flags!(KeyFlags: RW, ACCESS, UPDATE, VARIABLE_FLAGS),
        )],
    ),
    command(
        "exists",
        -2,
        flags!(Flags: READONLY, FAST),
        &[KeySpec::range(1, -1, 1, flags!(KeyFlags: RO))],
    ),
    command(
        "copy",
        -3,
        flags!(Flags: WRITE),
        &[
            KeySpec::one(1, flags!(KeyFlags: RO, ACCESS)),
            KeySpec::one(2, flags!(KeyFlags: OW, UPDATE)),
        ],
    ),
    command(
        "sort",
        -2,
        flags!(Flags: WRITE),
        &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
    ),
    command("select", 2, flags!(Flags: FAST), &[]),
    command("auth", -2, flags!(Flags: FAST, NO_AUTH), &[]),
    command("config", -2, Flags::NONE, &[]),
    command("config|get", -3, flags!(Flags: ADMIN), &[]),
    command("config|set", -4, flags!(Flags: ADMIN), &[]),
    pubsub("subscribe"),
    pubsub("psubscribe"),
    pubsub("unsubscribe"),
    pubsub("publish"),
];

pub fn defaults() -> Defaults<'static> {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    Defaults {
        catalog: CATALOG.get_or_init(|| Catalog::new(SPECS)),
        all_channels: false,
    }
}

/// A user of these rules, which are separated by spaces.
pub fn user(rules: &str) -> User {
    let mut user = User::new(&defaults());
    let words = rules.split(' ').map(str::as_bytes);
    for rule in crate::join_selectors(words).expect("the parentheses close") {
        user.apply(&rule, &defaults())
            .unwrap_or_else(|e| panic!("{rule:?}: {e}"));
    }
    user
}

/// The user's text.
pub fn text(user: &User) -> String {
    String::from_utf8_lossy(&user.text()).into_owned()
}
