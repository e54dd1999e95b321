//! RESTORE: a key from the bytes of DUMP. <https://redis.io/commands/restore>

use holdfast_rdb::payload::{self, PayloadError};
use holdfast_storage::access;
use holdfast_storage::data::OnExpired;
use holdfast_storage::effects::{Class, Event};

use crate::args::Args;
use crate::ctx::{CmdResult, Command, Ctx};
use crate::error::CmdError;
use crate::flags;
use crate::spec::{Arg, Group, KeySpec, Spec};

const ARGS: &[Arg] = &[
    Arg::key("key", 0),
    Arg::integer("ttl"),
    Arg::string("serialized-value"),
    Arg::word("replace", "REPLACE").opt().since("3.0.0"),
    Arg::word("absttl", "ABSTTL").opt().since("5.0.0"),
    Arg::integer("seconds").token("IDLETIME").opt().since("5.0.0"),
    Arg::integer("frequency").token("FREQ").opt().since("5.0.0"),
];

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(crate) const RESTORE: Command = Command {
    spec: &Spec {
        name: "restore",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM),
        acl: flags!(Acl: DANGEROUS, KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: OW, UPDATE))],
        group: Group::Generic,
        since: "2.6.0",
        summary: "Creates a key from the bytes that DUMP returned.",
        complexity: "O(1) to create the key, O(N*M) to read it: N elements of M bytes; O(N*M*log(N)) for sorted sets",
        args: ARGS,
        ..Spec::DEFAULT
    },
    run: restore,
};

/// `RESTORE-ASKING`: RESTORE among servers of a cluster.
pub(crate) const RESTORE_ASKING: Command = Command {
    spec: &Spec {
        name: "restore-asking",
        arity: -4,
        flags: flags!(Flags: WRITE, DENYOOM, ASKING, SYSCMD),
        acl: flags!(Acl: DANGEROUS, KEYSPACE),
        keys: &[KeySpec::one(1, flags!(KeyFlags: OW, UPDATE))],
        group: Group::Server,
        since: "3.0.0",
        summary: "RESTORE of a key whose slot is being moved here.",
        complexity: "O(1) to create the key, O(N*M) to read it: N elements of M bytes; O(N*M*log(N)) for sorted sets",
        args: ARGS,
        ..Spec::DEFAULT
    },
    run: restore,
};

/// What stands behind the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CmdError> {
        let mut options = Self::default();
        let mut rest = args.cursor(4);
        while rest.left() > 0 {
            if rest.accept("REPLACE") {
                options.replace = true;
            } else if rest.accept("ABSTTL") {
                options.absolute = true;
            } else if rest.left() >= 2 && options.freq.is_none() && rest.accept("IDLETIME") {
                let idle = u64::try_from(rest.int()?)
                    .map_err(|_| CmdError::msg("ERR Invalid IDLETIME value, must be >= 0"))?;
                options.idle_s = Some(idle);
            } else if rest.left() >= 2 && options.idle_s.is_none() && rest.accept("FREQ") {
                let freq = u8::try_from(rest.int()?)
                    .map_err(|_| CmdError::msg("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                options.freq = Some(freq);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// The access clock of the key, if something is said about it that the policy in force notes.
    fn clock(&self, ctx: &Ctx<'_, '_>) -> Option<u32> {
        let now_ms = ctx.data.now_ms;
        if ctx.limits.lfu {
            self.freq.map(|freq| access::lfu_clock(now_ms, freq))
        } else {
            self.idle_s.map(|idle| access::lru_clock_idle(now_ms, idle))
        }
    }
}

fn restore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(args)?;
    let (key, db, now_ms) = (args.get(1), ctx.data.db, ctx.data.now_ms);
    if !options.replace && ctx.data.get_for_write(key).is_some() {
        return Err(CmdError::msg("BUSYKEY Target key name already exists."));
    }
    let ttl = args.int(2)?;
    if ttl < 0 {
        return Err(CmdError::msg("ERR Invalid TTL value, must be >= 0"));
    }
    let value =
        payload::restore(args.get(3), ctx.limits.skip_checksum, &ctx.limits.rdb()).map_err(|e| match e {
            PayloadError::Footer | PayloadError::Value(_) => CmdError::msg(format!("ERR {e}")),
        })?;
    let expire_at_ms = match ttl {
        0 => None,
        at if options.absolute => Some(at),
        // Redis lets the sum wrap and drops the key; that the key lives for ever is what was asked for.
        ttl => Some(ttl.saturating_add(now_ms)),
    };
    if expire_at_ms.is_some_and(|at| at <= now_ms) && ctx.data.on_expired != OnExpired::Ignore {
        if ctx.data.delete(key) {
            ctx.log.rewrite(&[b"DEL", key]);
        }
        return ctx.done_ok();
    }
    ctx.data.put(db, key, value, expire_at_ms);
    if let Some(clock) = options.clock(ctx) {
        ctx.data.set_access(key, clock);
    }
    ctx.data.changed(db, key, Event(Class::Generic, "restore"));
    if let Some(at) = expire_at_ms.filter(|_| !options.absolute) {
        let at = at.to_string();
        let mut argv: Vec<&[u8]> = args.from(0).collect();
        argv[2] = at.as_bytes();
        argv.push(b"ABSTTL");
        ctx.log.rewrite(&argv);
    }
    ctx.done_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn dumped(f: &mut Fixture, key: &str) -> Vec<u8> {
        match f.value(&format!("DUMP {key}")) {
            holdfast_resp::Value::Bulk(payload) => payload.to_vec(),
            other => panic!("DUMP answers a string, not {other:?}"),
        }
    }

    fn run(f: &mut Fixture, key: &str, ttl: &str, payload: &[u8], rest: &str) -> String {
        let mut argv: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload];
        argv.extend(rest.split_ascii_whitespace().map(str::as_bytes));
        f.run_argv(&argv)
    }

    #[test]
    fn a_key_is_created_replaced_or_refused() {
        let mut f = Fixture::new();
        f.run("RPUSH list a b 3");
        let payload = dumped(&mut f, "list");
        assert_eq!(
            run(&mut f, "list", "0", &payload, ""),
            "-BUSYKEY Target key name already exists."
        );
        assert_eq!(
            run(&mut f, "list", "-1", b"bad", ""),
            "-BUSYKEY Target key name already exists."
        );
        assert_eq!(run(&mut f, "copy", "0", &payload, ""), "+OK");
        f.run("SET copy2 x");
        assert_eq!(run(&mut f, "copy2", "0", &payload, "replace"), "+OK");
        for key in ["copy", "copy2"] {
            assert_eq!(f.run(&format!("LRANGE {key} 0 -1")), "*3 $1 a $1 b $1 3");
        }
        assert_eq!(
            run(&mut f, "x", "-1", b"bad", ""),
            "-ERR Invalid TTL value, must be >= 0"
        );
        assert_eq!(
            run(&mut f, "x", "0", b"bad", ""),
            "-ERR DUMP payload version or checksum are wrong"
        );
        let mut bad = b"\x02\x02\x01a\x01a".to_vec();
        payload::seal(&mut bad, 10);
        assert_eq!(run(&mut f, "list", "0", &bad, "REPLACE"), "-ERR Bad data format");
        assert_eq!(f.run("LLEN list"), ":3");
        assert_eq!(f.run("EXISTS x"), ":0");
    }

    #[test]
    fn options_are_checked_before_the_key() {
        let mut f = Fixture::new();
        f.run("SET k v");
        for (options, expected) in [
            ("FOO", "-ERR syntax error"),
            ("IDLETIME", "-ERR syntax error"),
            ("IDLETIME x", "-ERR value is not an integer or out of range"),
            ("IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
            ("FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("FREQ 1 IDLETIME 1", "-ERR syntax error"),
            ("IDLETIME 1 FREQ 1", "-ERR syntax error"),
            (
                "IDLETIME 1 ABSTTL IDLETIME 2",
                "-BUSYKEY Target key name already exists.",
            ),
        ] {
            assert_eq!(run(&mut f, "k", "x", b"", options), expected, "{options}");
        }
    }

    #[test]
    fn expiry_and_idle_time_come_along() {
        let mut f = Fixture::new();
        f.run("SET k v");
        let payload = dumped(&mut f, "k");
        f.log();
        f.events();
        assert_eq!(run(&mut f, "a", "500", &payload, "IDLETIME 100"), "+OK");
        assert_eq!(
            (f.run("PTTL a"), f.run("OBJECT IDLETIME a")),
            (":500".into(), ":100".into())
        );
        let text = payload.escape_ascii().to_string();
        assert_eq!(f.log(), format!("RESTORE a 1000500 {text} IDLETIME 100 ABSTTL"));
        assert_eq!(run(&mut f, "b", "1000700", &payload, "ABSTTL"), "+OK");
        assert_eq!(f.run("PTTL b"), ":700");
        assert_eq!(f.log(), format!("RESTORE b 1000700 {text} ABSTTL"));
        assert_eq!(run(&mut f, "c", &i64::MAX.to_string(), &payload, ""), "+OK");
        assert_eq!(f.run("EXISTS c"), ":1");
        assert_eq!(f.events(), "restore a; restore b; restore c");
        f.log();
        f.limits.lfu = true;
        assert_eq!(run(&mut f, "d", "0", &payload, "FREQ 77"), "+OK");
        assert_eq!(f.run("OBJECT FREQ d"), ":77");
        assert_eq!(f.log(), format!("RESTORE d 0 {text} FREQ 77"));
    }

    #[test]
    fn what_is_over_already_only_deletes() {
        let mut f = Fixture::new();
        f.run("SET k v");
        let payload = dumped(&mut f, "k");
        f.log();
        f.events();
        assert_eq!(run(&mut f, "new", "1", &payload, "ABSTTL"), "+OK");
        assert_eq!((f.dirty, f.log(), f.events()), (0, String::new(), String::new()));
        assert_eq!(run(&mut f, "k", "1", &payload, "ABSTTL REPLACE"), "+OK");
        assert_eq!(
            (f.dirty, f.log(), f.events()),
            (1, "DEL k".into(), "del k".into())
        );
        assert_eq!(f.run("EXISTS k new"), ":0");
    }
}
