//! DELEX and DIGEST of Redis 8.4, and DELIFEQ of Valkey 9.0: <https://redis.io/commands/delex>,
//! <https://valkey.io/commands/delifeq>.

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::condition::{Condition, digest};

/// `DELEX key [IFEQ value|IFNE value|IFDEQ digest|IFDNE digest]`
pub(crate) const DELEX: Command = Command {
    spec: &Spec {
        name: "delex",
        arity: -2,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, DELETE))],
        group: Group::String,
        since: "8.4.0",
        summary: "Deletes a key if the string that it holds meets a condition.",
        complexity: "O(N), N: length of the string",
        args: &[
            Arg::key("key", 0),
            Arg::one_of(
                "condition",
                &[
                    Arg::string("ifeq-value").token("IFEQ"),
                    Arg::string("ifne-value").token("IFNE"),
                    Arg::integer("ifdeq-digest").token("IFDEQ"),
                    Arg::integer("ifdne-digest").token("IFDNE"),
                ],
            )
            .opt(),
        ],
        ..Spec::DEFAULT
    },
    run: delex,
};

/// `DELIFEQ key value`
pub(crate) const DELIFEQ: Command = Command {
    spec: &Spec {
        name: "delifeq",
        arity: 3,
        flags: flags!(Flags: WRITE, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RW, ACCESS, DELETE))],
        group: Group::String,
        since: "9.0.0",
        summary: "Deletes a key if it holds a string.",
        complexity: "O(N), N: length of the string",
        args: &[Arg::key("key", 0), Arg::string("value")],
        ..Spec::DEFAULT
    },
    run: delifeq,
};

/// `DIGEST key`
pub(crate) const DIGEST: Command = Command {
    spec: &Spec {
        name: "digest",
        arity: 2,
        flags: flags!(Flags: READONLY, FAST),
        acl: flags!(Acl: STRING),
        keys: &[KeySpec::one(1, flags!(KeyFlags: RO, ACCESS))],
        group: Group::String,
        since: "8.4.0",
        summary: "Returns the digest of a string, in hexadecimal.",
        complexity: "O(N), N: length of the string",
        args: &[Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: show_digest,
};

fn delex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let condition = match args.len() {
        2 => None,
        4 => {
            let condition = Condition::take(&mut args.cursor(2))?;
            Some(condition.ok_or(CmdError::Syntax)?)
        }
        _ => return Err(CmdError::Arity("delex")),
    };
    delete_if(ctx, args.get(1), condition)
}

fn delifeq(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    delete_if(ctx, args.get(1), Some(Condition::Equal(args.get(2))))
}

fn delete_if(ctx: &mut Ctx<'_, '_>, key: &[u8], condition: Option<Condition<'_>>) -> CmdResult {
    let met = match condition {
        None => ctx.data.exists(key),
        // What is not there is not deleted, whatever it is compared with.
        Some(condition) => match ctx.data.string_for_write(key)? {
            None => false,
            stored => condition.holds(stored),
        },
    };
    if met {
        ctx.data.delete(key);
        ctx.log.rewrite(&[b"DEL", key]);
    }
    ctx.done_int(met.into())
}

fn show_digest(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let Some(digest) = ctx.data.string(args.get(1))?.map(|text| text.with(digest)) else {
        return ctx.done_null();
    };
    ctx.reply.bulk(format!("{digest:016x}").as_bytes());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn digests() {
        Fixture::new().check(&[
            ("SET key1 \"Hello world\"", "+OK"),
            ("DIGEST key1", "$16 b6acb9d84a38ff74"),
            ("DIGEST missing", "$-1"),
            ("SET n 42", "+OK"),
            ("DIGEST n", "$16 1217cb28c0ef2191"),
            ("SET empty \"\"", "+OK"),
            ("DIGEST empty", "$16 2d06800538d394c2"),
            ("ZADD z 1 m", ":1"),
            ("DIGEST z", WRONG_TYPE),
        ]);
    }

    #[test]
    fn deleting() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k \"Hello world\"", "+OK"),
            ("ZADD z 1 m", ":1"),
            ("DELEX k IFEQ no", ":0"),
            ("DELEX k IFNE \"Hello world\"", ":0"),
            ("DELEX k IFDEQ b6acb9d84a38ff75", ":0"),
            ("DELEX k IFDNE B6ACB9D84A38FF74", ":0"),
            (
                "DELEX k IFDEQ b6acb9d84a38ff7",
                "-ERR must be exactly 16 hexadecimal characters",
            ),
            ("DELEX k IFDEQ b6acb9d84a38ff74", ":1"),
            ("DELEX k IFNE x", ":0"),
            ("DELEX k IFDNE b6acb9d84a38ff74", ":0"),
            ("DELEX z IFEQ x", WRONG_TYPE),
            ("DELEX z", ":1"),
            ("DELEX z", ":0"),
            ("DELEX k IFXX x", "-ERR syntax error"),
            (
                "DELEX k IFEQ",
                "-ERR wrong number of arguments for 'delex' command",
            ),
            ("SET mykey abc123", "+OK"),
            ("DELIFEQ mykey abc", ":0"),
            ("DELIFEQ mykey abc123", ":1"),
            ("DELIFEQ mykey abc123", ":0"),
            ("SADD mykey somevalue", ":1"),
            ("DELIFEQ mykey somevalue", WRONG_TYPE),
        ]);
        assert_eq!(
            f.log(),
            "SET k Hello world; ZADD z 1 m; DEL k; DEL z; SET mykey abc123; DEL mykey; SADD mykey somevalue"
        );
        assert_eq!(
            f.events(),
            "set k; zadd z; del k; del z; set mykey; del mykey; sadd mykey"
        );
    }
}
