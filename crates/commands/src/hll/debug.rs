//! PFDEBUG and PFSELFTEST: for tests of Redis's kind.

use holdfast_storage::hll;

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx, Outcome};
use crate::error::CmdError;
use crate::flags;
use crate::hll::counting::check;
use crate::spec::{Arg, Group, KeySpec, Spec};
use crate::string::raw;

/// `PFDEBUG subcommand key`
pub(crate) const PFDEBUG: Command = Command {
    spec: &Spec {
        name: "pfdebug",
        arity: 3,
        flags: flags!(Flags: WRITE, DENYOOM, ADMIN, SYSCMD),
        acl: flags!(Acl: HYPERLOGLOG),
        keys: &[KeySpec::one(2, flags!(KeyFlags: RW, ACCESS))],
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Shows the inner state of a HyperLogLog, for tests.",
        complexity: "Depends on the subcommand",
        args: &[Arg::string("subcommand"), Arg::key("key", 0)],
        ..Spec::DEFAULT
    },
    run: pfdebug,
};

/// `PFSELFTEST`
pub(crate) const PFSELFTEST: Command = Command {
    spec: &Spec {
        name: "pfselftest",
        arity: 1,
        flags: flags!(Flags: ADMIN, SYSCMD),
        acl: flags!(Acl: HYPERLOGLOG),
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Checks the HyperLogLog implementation.",
        complexity: "O(1), but long",
        ..Spec::DEFAULT
    },
    run: pfselftest,
};

/// How many elements PFSELFTEST adds: some 10 ms.
const SELF_TEST_ELEMENTS: u64 = 100_000;

fn pfdebug(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let key = args.get(2);
    check(&mut ctx.data, key)?;
    let Some(text) = ctx.data.string_for_write(key)? else {
        return Err(CmdError::msg("ERR The specified key does not exist"));
    };
    if args.is(1, "ENCODING") {
        let encoding = text.with(hll::encoding)?;
        ctx.reply.simple(encoding.name());
    } else if args.is(1, "DECODE") {
        let runs = text.with(hll::decode)?;
        let runs = runs.ok_or_else(|| CmdError::msg("ERR HLL encoding is not sparse"))?;
        ctx.reply.bulk(runs.as_bytes());
    } else if args.is(1, "TODENSE") {
        let converted = to_dense(ctx, key)?;
        ctx.reply.int(converted.into());
    } else if args.is(1, "GETREG") {
        let registers = text.with(hll::registers)?;
        to_dense(ctx, key)?;
        ctx.reply.array(registers.len());
        registers.iter().for_each(|value| ctx.reply.int((*value).into()));
    } else {
        let word = String::from_utf8_lossy(args.get(1));
        return Err(CmdError::msg(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    Ok(Outcome::Done)
}

fn to_dense(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<bool, CmdError> {
    let converted = raw::change_quietly(&mut ctx.data, key, |text| {
        let converted = hll::to_dense(text);
        (converted == Ok(true), converted)
    })?;
    Ok(converted.transpose()? == Some(true))
}

fn pfselftest(ctx: &mut Ctx<'_, '_>, _args: Args<'_>) -> CmdResult {
    match hll::self_test(0, SELF_TEST_ELEMENTS) {
        Ok(()) => ctx.done_ok(),
        Err(text) => Err(CmdError::msg(text)),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn pfdebug() {
        let mut f = Fixture::new();
        f.check(&[
            ("PFADD h a", ":1"),
            ("PFADD empty", ":1"),
            ("PFDEBUG DECODE empty", "$7 Z:16384"),
            ("PFDEBUG encoding h", "+sparse"),
            ("PFDEBUG TODENSE h", ":1"),
            ("PFDEBUG TODENSE h", ":0"),
            ("PFDEBUG ENCODING h", "+dense"),
            ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse"),
            ("STRLEN h", ":12304"),
            ("PFDEBUG FOO h", "-ERR Unknown PFDEBUG subcommand 'FOO'"),
            ("PFDEBUG FOO missing", "-ERR The specified key does not exist"),
            ("ZADD z 1 m", ":1"),
            (
                "PFDEBUG FOO z",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
        assert_eq!(f.log(), "PFADD h a; PFADD empty; PFDEBUG TODENSE h; ZADD z 1 m");
        assert!(f.run("PFDEBUG GETREG empty").starts_with("*16384 :0 :0 "));
        assert_eq!(f.log(), "PFDEBUG GETREG empty");
        assert_eq!(f.run("PFDEBUG ENCODING empty"), "+dense");
    }

    #[test]
    fn pfselftest() {
        assert_eq!(Fixture::new().run("PFSELFTEST"), "+OK");
    }
}
