//! Tests of key positions. The comparison with Redis, command by command, is an end-to-end test.

use proptest::prelude::*;

use super::*;

const READ: KeyFlags = flags!(KeyFlags: RO, ACCESS);
const WRITE: KeyFlags = flags!(KeyFlags: OW, UPDATE);
const VARIABLE: KeyFlags = flags!(KeyFlags: RW, ACCESS, UPDATE, VARIABLE_FLAGS);
const KEYWORD: KeySpec = KeySpec {
    notes: "",
    flags: WRITE,
    begin: Begin::Keyword("STORE", 2),
    find: Find::Range {
        last: 0,
        step: 1,
        limit: 0,
    },
};
const UNKNOWN: KeySpec = KeySpec {
    notes: "",
    flags: WRITE,
    begin: Begin::Unknown,
    find: Find::Unknown,
};

const fn spec(name: &'static str, keys: &'static [KeySpec]) -> Spec {
    Spec {
        name,
        arity: -2,
        keys,
        ..Spec::DEFAULT
    }
}

const GET: Spec = spec("get", &[KeySpec::one(1, READ)]);
const MSET: Spec = spec("mset", &[KeySpec::range(1, -1, 2, WRITE)]);
const BLPOP: Spec = spec("blpop", &[KeySpec::range(1, -2, 1, WRITE)]);
const SET: Spec = spec("set", &[KeySpec::one(1, VARIABLE)]);
const BITFIELD: Spec = spec("bitfield", &[KeySpec::one(1, VARIABLE)]);
const PFMERGE: Spec = spec(
    "pfmerge",
    &[KeySpec::one(1, WRITE), KeySpec::range(2, -1, 1, READ)],
);
const ZUNIONSTORE: Spec = spec(
    "zunionstore",
    &[KeySpec::one(1, WRITE), KeySpec::counted(2, READ)],
);
const EVAL: Spec = Spec {
    flags: Flags::NO_MANDATORY_KEYS,
    ..spec("eval", &[KeySpec::counted(2, READ)])
};
const SORT: Spec = spec("sort", &[KeySpec::one(1, READ), UNKNOWN, UNKNOWN]);
const GEORADIUS: Spec = spec("georadius", &[KeySpec::one(1, READ), KEYWORD, KEYWORD]);
const MIGRATE: Spec = spec("migrate", &[KeySpec::one(3, WRITE), UNKNOWN]);
const XREAD: Spec = spec(
    "xread",
    &[KeySpec {
        notes: "",
        flags: READ,
        begin: Begin::Keyword("STREAMS", 1),
        find: Find::Range {
            last: -1,
            step: 1,
            limit: 2,
        },
    }],
);
/// A module's command could look like this: known by its specs alone.
const BY_KEYWORD: Spec = spec("by-keyword", &[KEYWORD]);
const FROM_END: Spec = spec(
    "from-end",
    &[KeySpec {
        notes: "",
        flags: READ,
        begin: Begin::Keyword("KEYS", -2),
        find: Find::Range {
            last: -1,
            step: 1,
            limit: 0,
        },
    }],
);
const HALF: Spec = spec("half", XREAD.keys);

const ALL: &[&Spec] = &[
    &GET,
    &MSET,
    &BLPOP,
    &SET,
    &BITFIELD,
    &PFMERGE,
    &ZUNIONSTORE,
    &EVAL,
    &SORT,
    &GEORADIUS,
    &MIGRATE,
    &XREAD,
    &BY_KEYWORD,
    &FROM_END,
    &HALF,
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ')
        .map(|word| if word == "''" { "" } else { word })
        .collect()
}

/// The keys as words, with an error marked by `!` behind what was found.
fn found(spec: &Spec, line: &str) -> String {
    let argv = words(line);
    let mut keys = KeyRefs::new();
    let result = find_keys(spec, &argv[..], &mut keys);
    let mut names: Vec<&str> = keys.iter().map(|key| argv[key.index as usize]).collect();
    if result.is_err() {
        names.push("!");
    }
    names.join(" ")
}

#[test]
fn ranges_and_counts() {
    let cases: &[(&Spec, &str, &str)] = &[
        (&GET, "get k", "k"),
        (&MSET, "mset a 1 b 2", "a b"),
        (&MSET, "mset a 1 b", "a b"),
        (&BLPOP, "blpop a b 0", "a b"),
        (&PFMERGE, "pfmerge d a b", "d a b"),
        (&PFMERGE, "pfmerge d", "d !"),
        (&ZUNIONSTORE, "zunionstore d 2 a b weights 1 2", "d a b"),
        (&ZUNIONSTORE, "zunionstore d 3 a b", "d !"),
        (&ZUNIONSTORE, "zunionstore d 0 a", "d !"),
        (&ZUNIONSTORE, "zunionstore d x a", "d !"),
        (&ZUNIONSTORE, "zunionstore d 9223372036854775807 a", "d !"),
        (&ZUNIONSTORE, "zunionstore d -1 a", "d !"),
        (&EVAL, "eval s 0 a", ""),
        (&EVAL, "eval s 1 a b", "a"),
        (&EVAL, "eval s 3 a b", ""),
        (&BY_KEYWORD, "by-keyword x store k store l", "k"),
        (&BY_KEYWORD, "by-keyword x store", ""),
        (&FROM_END, "from-end keys x keys a b", "a b"),
        (&FROM_END, "from-end keys x keys", "x keys"),
        (&HALF, "half streams a b 1 2", "a b"),
    ];
    for (spec, line, keys) in cases {
        assert_eq!(found(spec, line), *keys, "{line}");
    }
}

#[test]
fn commands_with_a_grammar_of_their_own() {
    let cases: &[(&Spec, &str, &str)] = &[
        (&SORT, "sort k by w get a get b store d get x", "k d"),
        (&SORT, "sort k store a store b", "k b"),
        (&SORT, "sort k limit store 1", "k"),
        (&SORT, "sort k store", "k"),
        (&GEORADIUS, "georadius k 1 2 3 m storedist y STORE x", "k x y"),
        (&GEORADIUS, "georadius k 1 2 3 m count store store d", "k d"),
        (&GEORADIUS, "georadius k 1 2 3 m store", "k"),
        (&MIGRATE, "migrate h 1 k 0 10 copy", "k"),
        (&MIGRATE, "migrate h 1 '' 0 10 auth2 keys keys keys a b", "a b"),
        (&MIGRATE, "migrate h 1 k 0 10 keys a", "!"),
        (&XREAD, "xread count 1 STREAMS a b 1 2", "a b"),
        // The key spec would take the name of the consumer for the keyword.
        (&XREAD, "xreadgroup count 1 group g streams streams a >", "a"),
        (&XREAD, "xread streams a", "!"),
        (&XREAD, "xread count 1", "!"),
    ];
    for (spec, line, keys) in cases {
        assert_eq!(found(spec, line), *keys, "{line}");
    }
}

#[test]
fn options_decide_what_happens_to_the_key() {
    let reads = flags!(KeyFlags: RO, ACCESS);
    let both = flags!(KeyFlags: RW, ACCESS, UPDATE);
    let cases: &[(&Spec, &str, KeyFlags)] = &[
        (&SET, "set k get", WRITE),
        (&SET, "set k v EX 1 Get", both),
        (&BITFIELD, "bitfield k get u8 0 overflow sat", reads),
        (&BITFIELD, "bitfield k get u8 0 set u8 0 1", both),
        (&BITFIELD, "bitfield k get set 0 get u8 0", reads),
    ];
    for (spec, line, flags) in cases {
        let keys = key_positions(spec, &words(line)[..]).unwrap();
        assert_eq!(
            keys[..],
            [KeyRef {
                index: 1,
                flags: *flags
            }],
            "{line}"
        );
    }
}

#[test]
fn sort_with_patterns_needs_all_shards() {
    for (line, needs) in [
        ("sort k", false),
        ("sort k by nosort get #", false),
        ("sort k by w*", true),
        ("sort k get #", false),
        ("sort k limit get x", false),
        ("sort k store get by w*", true),
        ("sort k get w*->f", true),
    ] {
        assert_eq!(needs_all_shards(&SORT, &words(line)[..]), needs, "{line}");
    }
    assert!(!needs_all_shards(&GET, &words("get by w*")[..]));
    let all = Spec {
        flags: Flags::ALL_SHARDS,
        ..spec("keys", &[])
    };
    assert!(needs_all_shards(&all, &words("keys x")[..]));
}

proptest! {
    #[test]
    fn keys_are_arguments(
        args in prop::collection::vec(
            prop::sample::select(vec![
                "", "0", "1", "2", "-1", "9223372036854775807", "k", "keys", "streams", "store", "storedist", "get",
                "set", "by", "limit", "count", "block", "group", "auth", "auth2", "overflow", "incrby",
            ]),
            1..9,
        )
    ) {
        for spec in ALL {
            let mut argv = vec![spec.name];
            argv.extend(&args);
            let mut keys = KeyRefs::new();
            let _ = find_keys(spec, &argv[..], &mut keys);
            prop_assert!(keys.iter().all(|key| (1..argv.len()).contains(&(key.index as usize))));
            let _ = needs_all_shards(spec, &argv[..]);
        }
    }
}
