//! DEBUG PROTOCOL: one reply of each type, with the values that Redis gives, so that clients can be tested.

use holdfast_commands::args::Args;
use holdfast_resp::{Proto, Reply};

use super::DONE;
use crate::commands::{Call, ServerError, ServerResult};

type Write = fn(&mut Reply);

/// A double with few digits, as Redis sends it.
const DOUBLE: f64 = 3141.0 / 1000.0;

/// The types in the order of the error's text.
const TYPES: &[(&str, Write)] = &[
    ("string", |r| r.bulk(b"Hello World")),
    ("integer", |r| r.int(12345)),
    ("double", |r| r.double(DOUBLE)),
    ("bignum", |r| {
        r.big_number("1234567999999999999999999999999999999")
    }),
    ("null", Reply::null),
    ("array", |r| {
        r.array(3);
        (0..3).for_each(|i| r.int(i));
    }),
    ("set", |r| {
        r.set(3);
        (0..3).for_each(|i| r.int(i));
    }),
    ("map", |r| {
        r.map(3);
        for i in 0..3 {
            r.int(i);
            r.bool(i == 1);
        }
    }),
    ("attrib", |r| {
        if r.attribute(1) {
            r.bulk(b"key-popularity");
            r.array(2);
            r.bulk(b"key:123");
            r.int(90);
        }
        r.bulk(b"Some real reply following the attribute");
    }),
    ("push", |r| {
        r.push(2);
        r.bulk(b"server-cpu-usage");
        r.int(42);
    }),
    ("verbatim", |r| r.verbatim("txt", b"This is a verbatim\nstring")),
    ("true", |r| r.bool(true)),
    ("false", |r| r.bool(false)),
];

pub(super) fn protocol(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let Some((name, write)) = TYPES.iter().find(|(name, _)| args.is(2, name)) else {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(ServerError(format!(
            "ERR Wrong protocol type name. Please use one of the following: {}",
            names.join("|")
        )));
    };
    if *name == "push" && call.session.proto == Proto::Resp2 {
        return Err(ServerError::new("ERR RESP2 is not supported by this command"));
    }
    write(&mut call.w.reply);
    DONE
}
