//! RDB files that no server here writes any more, or not yet: those of Redis 1.2 to 8, and of Valkey. What Redis 7.0 can
//! read (versions 1 to 10), it reads as we do; what is newer is compared with the same data made by commands.

use anyhow::{Context, Result, ensure};
use holdfast_tests::facts::{self, Clock};
use holdfast_tests::rdb_file::{
    RdbFile, compressed, id, integer, intset, kind, length, listpack, stream, string, strings, ziplist,
    zipmap,
};
use holdfast_tests::server::{Options, Role, Server};

const LONG: [&str; 2] = [
    "a text that is longer than sixty-three bytes, as these need a length of two bytes",
    "this one is longer than two hundred and fifty-three bytes, so the length of it takes five bytes in the entry behind it and in a zipmap: ---------------------------------------------------------------------------------------------------------------------------------------------------------------",
];

const MIXED: [&str; 18] = [
    "",
    "a",
    "0",
    "12",
    "13",
    "-1",
    "-128",
    "128",
    "-32768",
    "32768",
    "8388607",
    "8388608",
    "-2147483648",
    "2147483648",
    "-9223372036854775808",
    "007",
    LONG[0],
    LONG[1],
];

/// A file with everything that Redis wrote in this version.
fn file_of(version: u16) -> Vec<u8> {
    let mut file = RdbFile::new(version);
    if version >= 7 {
        file.aux("redis-ver", "of old")
            .aux("redis-bits", "32")
            .aux("nobody-knows", "this one");
    }
    file.select(0);
    if version >= 7 {
        file.raw(&[0xFB]).raw(&length(1000)).raw(&length(10)); // a hint, and a wrong one
    }
    file.key(kind::STRING, "text", &string(b"value"))
        .key(kind::STRING, "tiny", &integer(-7))
        .key(kind::STRING, "short", &integer(-30_000))
        .key(kind::STRING, "int", &integer(2_000_000_000))
        .key(kind::STRING, "digits", &string(b"12345678901"))
        .key(kind::STRING, "packed", &compressed(b'x', 70_000))
        .key(kind::STRING, "packed little", &compressed(b'y', 32))
        .key(kind::LIST, "list", &strings(&MIXED))
        .key(kind::SET, "set", &strings(&["1", "2", "three"]))
        .key(kind::SET, "ints", &strings(&["1", "2", "-300000"]))
        .key(kind::ZSET, "zset", &[&length(4)[..], &text_scores()].concat())
        .key(
            kind::HASH,
            "hash",
            &[
                &length(2)[..],
                &strings(&["f", "1", "g"])[1..],
                &string(LONG[1].as_bytes()),
            ]
            .concat(),
        );
    file.raw(&[0xFD]).raw(&2_000_000_000_i32.to_le_bytes());
    file.key(kind::STRING, "expires", &string(b"in 2033"));
    file.raw(&[0xFD]).raw(&1_000_000_000_i32.to_le_bytes());
    file.key(kind::STRING, "expired", &string(b"in 2001"));
    if version >= 2 {
        old_encodings(&mut file);
    }
    if version >= 3 {
        file.raw(&[0xFC]).raw(&2_000_000_000_123_i64.to_le_bytes());
        file.key(kind::STRING, "expires ms", &string(b"in 2033"));
    }
    if version >= 4 {
        file.key(
            kind::HASH_ZIPLIST,
            "ziplist hash",
            &ziplist(&["f", "12", "g", LONG[0], "-5", "h"]),
        );
    }
    if version >= 7 {
        let nodes = [length(3), ziplist(&MIXED), ziplist(&["between"]), ziplist(&MIXED)].concat();
        file.key(kind::LIST_QUICKLIST, "quicklist", &nodes);
    }
    if version >= 8 {
        let mut zset = length(3);
        for (member, score) in [("a", 0.1_f64), ("b", f64::INFINITY), ("c", -1e-320)] {
            zset.extend([string(member.as_bytes()), score.to_le_bytes().to_vec()].concat());
        }
        file.key(kind::ZSET_2, "zset 2", &zset);
    }
    if version >= 9 {
        file.key(kind::STREAM, "stream", &stream(kind::STREAM));
        file.raw(&[0xF8])
            .raw(&length(100_000))
            .key(kind::STRING, "idle", &string(b"?"));
        file.raw(&[0xF9, 200]).key(kind::STRING, "often", &string(b"!"));
    }
    if version >= 10 {
        file.key(
            kind::HASH_LISTPACK,
            "listpack hash",
            &listpack(&["f", "1", "-70000", "v"]),
        )
        .key(
            kind::ZSET_LISTPACK,
            "listpack zset",
            &listpack(&["a", "-5", "b", "1"]),
        )
        .key(kind::STREAM_2, "stream 2", &stream(kind::STREAM_2));
        let nodes = [
            vec![3, 2],
            listpack(&["a", "-5"]),
            vec![1],
            string(LONG[1].as_bytes()),
            vec![2],
            listpack(&["b"]),
        ];
        file.key(kind::LIST_QUICKLIST_2, "quicklist 2", &nodes.concat());
    }
    file.select(9)
        .key(kind::STRING, "text", &string(b"of database 9"));
    file.finish()
}

fn text_scores() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (member, score) in [("a", "1"), ("b", "-0.10000000000000001"), ("c", "1e+300")] {
        bytes.extend(
            [
                string(member.as_bytes()),
                vec![score.len() as u8],
                score.as_bytes().to_vec(),
            ]
            .concat(),
        );
    }
    [bytes, string(b"infinite"), vec![254]].concat()
}

fn old_encodings(file: &mut RdbFile) {
    let many: Vec<String> = (0..70_000).map(|i| (i % 100).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let pairs = [("f", "1"), ("", "empty"), ("g", LONG[0]), ("h", LONG[1])];
    file.key(kind::HASH_ZIPMAP, "zipmap", &zipmap(&pairs, 0))
        .key(kind::HASH_ZIPMAP, "zipmap with holes", &zipmap(&pairs, 3))
        .key(kind::LIST_ZIPLIST, "ziplist", &ziplist(&MIXED))
        .key(kind::LIST_ZIPLIST, "long ziplist", &ziplist(&many))
        .key(kind::SET_INTSET, "intset 2", &intset(2, &[-32768, 0, 32767]))
        .key(
            kind::SET_INTSET,
            "intset 4",
            &intset(4, &[-2_147_483_648, 5, 2_147_483_647]),
        )
        .key(
            kind::SET_INTSET,
            "intset 8",
            &intset(8, &[i64::MIN, -1, i64::MAX]),
        )
        .key(
            kind::ZSET_ZIPLIST,
            "ziplist zset",
            &ziplist(&["a", "-1.5", "b", "0", "c", "1e300", "d", "inf"]),
        );
}

fn start(role: Role, file: &[u8], policy: &str) -> Result<Server> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("dump.rdb"), file)?;
    let options = Options::new()
        .files_of(dir.path())
        .directive("maxmemory-policy", policy)
        .directive("lfu-decay-time", "0")
        .encodings_of_redis();
    Server::start(role, &options)
}

#[test]
fn files_of_versions_1_to_10_are_read_as_redis_reads_them() -> Result<()> {
    for version in 1..=10 {
        let file = file_of(version);
        for (policy, clock) in [
            ("noeviction", Clock::None),
            ("allkeys-lru", Clock::Idle),
            ("allkeys-lfu", Clock::Frequency),
        ] {
            if version != 9 && clock != Clock::None {
                continue; // clocks are in the file since version 9
            }
            let subject = start(Role::Subject, &file, policy).context(version)?;
            let oracle = start(Role::Oracle, &file, policy).context(version)?;
            let ours = facts::of(&mut subject.connect()?, 16, clock)?;
            let differ = facts::differences(&ours, &facts::of(&mut oracle.connect()?, 16, clock)?);
            ensure!(differ.is_empty(), "version {version}, {policy}:\n{differ}");
            ensure!(ours.len() > 30 && !ours.contains_key("0 expired"));
        }
    }
    Ok(())
}

/// What the newest files add, and the commands that make the same.
fn newest(version: u16) -> (Vec<u8>, Vec<&'static str>) {
    let mut file = RdbFile::new(version);
    file.aux(
        if version < 80 { "redis-ver" } else { "valkey-ver" },
        "of the future",
    )
    .select(0);
    file.key(kind::SET_LISTPACK, "set", &listpack(&["a", "-70000", "5"]))
        .key(kind::STREAM_3, "stream", &stream(kind::STREAM_3));
    let mut commands = vec![
        "SADD set a -70000 5",
        "XADD stream 1-1 f a",
        "XADD stream 1-2 f b",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g c STREAMS stream >",
        "XCLAIM stream g c 0 1-1 TIME 1600000000123 RETRYCOUNT 1 JUSTID",
        "XCLAIM stream g c 0 1-2 TIME 1600000000123 RETRYCOUNT 5 JUSTID",
    ];
    if version >= 12 {
        // Keys of a slot, as cluster nodes write it: slot, keys, expiring keys.
        file.raw(&[0xF4])
            .raw(&length(12_345))
            .raw(&length(2))
            .raw(&length(0));
    }
    let at = |ms: i64| ms.to_le_bytes().to_vec();
    if version == 12 {
        let hash = [
            at(9_999_999_999_000),
            length(3),
            length(0),
            string(b"f"),
            string(b"1"),
        ];
        let rest = [
            length(1),
            string(b"g"),
            string(b"2"),
            length(1000),
            string(b"h"),
            string(b"3"),
        ];
        file.key(
            kind::HASH_METADATA,
            "hash",
            &[hash.concat(), rest.concat()].concat(),
        );
        let pack = listpack(&[
            "g",
            "2",
            "9999999999000",
            "h",
            "3",
            "9999999999999",
            "f",
            "1",
            "0",
        ]);
        file.key(
            kind::HASH_LISTPACK_EX,
            "packed",
            &[at(9_999_999_999_000), pack].concat(),
        );
    }
    if version == 80 {
        let hash = [
            length(3),
            string(b"f"),
            string(b"1"),
            at(-1),
            string(b"g"),
            string(b"2"),
            at(9_999_999_999_000),
        ];
        let rest = [string(b"h"), string(b"3"), at(9_999_999_999_999)];
        file.key(
            kind::HASH_VALKEY,
            "hash",
            &[hash.concat(), rest.concat()].concat(),
        );
    }
    if version >= 12 {
        commands.extend([
            "HSET hash f 1 g 2 h 3",
            "HPEXPIREAT hash 9999999999000 FIELDS 1 g",
            "HPEXPIREAT hash 9999999999999 FIELDS 1 h",
        ]);
    }
    if version == 12 {
        commands.extend([
            "HSET packed f 1 g 2 h 3",
            "HPEXPIREAT packed 9999999999000 FIELDS 1 g",
            "HPEXPIREAT packed 9999999999999 FIELDS 1 h",
        ]);
    }
    (file.finish(), commands)
}

#[test]
fn files_newer_than_redis_7_0_are_read() -> Result<()> {
    for version in [11, 12, 80] {
        let (file, commands) = newest(version);
        let loaded = start(Role::Subject, &file, "noeviction").context(version)?;
        let made = Server::subject()?;
        let mut client = made.connect()?;
        for line in &commands {
            let reply = client.command(line)?;
            ensure!(!reply.is_error(), "{line}: {reply:?}");
        }
        let (mut loaded, mut made) = (loaded.connect()?, client);
        for line in [
            "DEBUG DIGEST",
            "DBSIZE",
            "SMEMBERS set",
            "XRANGE stream - +",
            "XPENDING stream g",
            "HPEXPIRETIME hash FIELDS 3 f g h",
            "HPEXPIRETIME packed FIELDS 3 f g h",
        ] {
            // The order of a set is its own.
            let sorted = |mut lines: Vec<String>| {
                lines.sort();
                lines
            };
            let (left, right) = (loaded.command(line)?.lines(), made.command(line)?.lines());
            ensure!(
                sorted(left.clone()) == sorted(right.clone()),
                "{version}, {line}: {left:?}, {right:?}"
            );
        }
        let consumers = loaded.command("XINFO CONSUMERS stream g")?.lines().join(" ");
        ensure!(
            consumers.contains("\"pending\" :2") || consumers.contains(":2"),
            "{consumers}"
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_held_is_refused_by_name() -> Result<()> {
    // "testmodul" in letters of six bits, and version 1.
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let code = |letter: u8| {
        letters
            .iter()
            .position(|l| *l == letter)
            .expect("one of these letters") as u64
    };
    let module = b"testmodul".iter().fold(0, |n, letter| n << 6 | code(*letter)) << 10 | 1;
    let good = |file: &mut RdbFile| {
        file.select(0).key(kind::STRING, "good", &string(b"value"));
    };
    let with = |version: u16, add: &dyn Fn(&mut RdbFile)| {
        let mut file = RdbFile::new(version);
        good(&mut file);
        add(&mut file);
        file.finish()
    };
    for (file, words) in [
        (
            with(9, &|f| {
                f.key(kind::MODULE_2, "m", &[length(module), vec![0]].concat());
            }),
            "testmodul",
        ),
        (
            with(9, &|f| {
                f.raw(&[0xF7]).raw(&length(module)).raw(&[2, 2, 0]);
            }),
            "testmodul",
        ),
        (
            with(10, &|f| {
                f.raw(&[0xF6, 1, b'a']);
            }),
            "release candidate",
        ),
        (
            with(10, &|f| {
                f.key(99, "k", &[]);
            }),
            "99",
        ),
        (
            with(10, &|f| {
                f.select(200).key(kind::STRING, "k", &string(b"v"));
            }),
            "database 200",
        ),
        (
            with(10, &|f| {
                f.key(kind::STRING, "good", &string(b"again"));
            }),
            "'good' twice",
        ),
        (
            with(10, &|f| {
                f.key(
                    kind::STREAM_2,
                    "s",
                    &[
                        &length(1)[..],
                        &string(&id(1, 1)),
                        &listpack(&["x"]),
                        // Eight numbers about it, and no groups.
                        &length(0).repeat(9),
                    ]
                    .concat(),
                );
            }),
            "stream",
        ),
        (RdbFile::new(13).finish(), "13"),
        (RdbFile::new(99).finish(), "99"),
        (b"REDIS00x1".to_vec(), "00x1"),
        (b"RUDIS0010\xff".to_vec(), "signature"),
        (Vec::new(), "signature"),
    ] {
        match start(Role::Subject, &file, "noeviction") {
            Ok(_) => anyhow::bail!("started with a file that should say: {words}"),
            Err(error) => {
                let error = format!("{error:#}");
                let fatal = error.lines().find(|l| l.contains("Fatal error loading the DB"));
                let fatal = fatal.with_context(|| error.clone())?;
                ensure!(fatal.contains(words), "{words}: {fatal}");
                ensure!(error.contains("exit status: 1"), "{error}");
            }
        }
    }
    Ok(())
}
