//! Files that are cut off, changed or missing at the start: the server says what is wrong and where, ends with status 1 and
//! leaves the files as they are; or loads what is whole, where that is allowed. `redis-server` is asked the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use holdfast_tests::datasets::every_encoding;
use holdfast_tests::rdb_file::{RdbFile, kind, string};
use holdfast_tests::reply::encode_command;
use holdfast_tests::server::{Binary, Options, Role, Server};
use holdfast_tests::words;

/// Every file below a folder, by its path in it.
fn files(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = PathBuf::from(path.file_name().context("a name")?);
        if path.is_dir() {
            found.extend(
                files(&path)?
                    .into_iter()
                    .map(|(inner, bytes)| (name.join(inner), bytes)),
            );
        } else {
            found.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(found)
}

/// What a start on these files leads to: DEBUG DIGEST, or the log of the end.
fn start(role: Role, dir: &Path, options: &Options) -> Result<Result<(String, String), String>> {
    let before = files(dir)?;
    match Server::start(role, &options.clone().dir(dir)) {
        Ok(server) => {
            let digest = server.connect()?.command("DEBUG DIGEST")?.lines().join(" ");
            Ok(Ok((digest, server.log())))
        }
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(text.contains("exit status: 1"), "{text}");
            let mut after = files(dir)?;
            // The lock of a directory says nothing about the data.
            after.retain(|name, _| before.contains_key(name) || !name.to_string_lossy().contains("lock"));
            // Redis cuts an increment that is not the last one off before it says that it may not.
            let redis = Binary::find(role)?.is_redis();
            ensure!(redis || after == before, "{role:?} changed files: {text}");
            Ok(Err(text))
        }
    }
}

#[test]
fn a_snapshot_with_any_fault() -> Result<()> {
    let saver = Server::subject()?;
    let mut client = saver.connect()?;
    for command in every_encoding() {
        client.call(&command)?;
    }
    client.command("SAVE")?;
    let good = std::fs::read(saver.dir().join("dump.rdb"))?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("dump.rdb");
    let mut bad = Vec::new();
    // Every place in turn would take minutes; the crate's own tests do that.
    for part in 0..16 {
        let at = good.len() * part / 16;
        bad.push((format!("cut at {at}"), good[..at].to_vec()));
        let mut flipped = good.clone();
        flipped[at + part] ^= 1 << (part % 8);
        bad.push((format!("bit {} of byte {} flipped", part % 8, at + part), flipped));
    }
    for (what, bytes) in bad {
        std::fs::write(&file, bytes)?;
        let log = start(Role::Subject, dir.path(), &Options::new())?;
        let log = log.err().with_context(|| format!("{what}: it started"))?;
        let fatal = log.lines().find(|l| l.contains("Fatal error loading the DB"));
        let fatal = fatal.with_context(|| format!("{what}: {log}"))?;
        let says = ["at byte", "CRC error", "signature", "RDB format version"];
        ensure!(says.iter().any(|words| fatal.contains(words)), "{what}: {fatal}");
    }
    std::fs::write(&file, good)?;
    ensure!(start(Role::Subject, dir.path(), &Options::new())?.is_ok());
    Ok(())
}

const MANIFEST: &str = "appendonly.aof.manifest";
const BASE: &str = "appendonly.aof.1.base.rdb";
const FIRST: &str = "appendonly.aof.1.incr.aof";
const LAST: &str = "appendonly.aof.2.incr.aof";

fn commands(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        encode_command(&words::split(line).expect("a command of this test"), &mut bytes);
    }
    bytes
}

/// The directory of a log: a base, two increments, and a manifest that names them.
fn log_dir() -> BTreeMap<&'static str, Vec<u8>> {
    let mut base = RdbFile::new(10);
    base.aux("redis-ver", "7.0.15").aux("aof-base", "1").select(0);
    base.key(kind::STRING, "base", &string(b"1"))
        .key(kind::STRING, "k", &string(b"old"));
    let manifest = format!("file {BASE} seq 1 type b\nfile {FIRST} seq 1 type i\nfile {LAST} seq 2 type i\n");
    BTreeMap::from([
        (MANIFEST, manifest.into_bytes()),
        (BASE, base.finish()),
        (
            FIRST,
            commands(&[
                "SELECT 0",
                "SET k new",
                "RPUSH list a b c",
                "SELECT 3",
                "SET other 1",
            ]),
        ),
        (
            LAST,
            commands(&[
                "SELECT 0",
                "SET last 1",
                "MULTI",
                "SET m1 1",
                "INCR m2",
                "EXEC",
                "SET end 1",
            ]),
        ),
    ])
}

/// Both servers start on a damaged log, or both end; with these words in the log.
struct Case {
    what: &'static str,
    damage: fn(&mut BTreeMap<&'static str, Vec<u8>>),
    truncated_allowed: bool,
    /// In Redis's log; empty: it starts without a word.
    theirs: &'static str,
    /// In ours; empty: as in Redis's.
    ours: &'static str,
    starts: bool,
}

fn text_of<'a>(files: &'a mut BTreeMap<&'static str, Vec<u8>>, name: &str) -> &'a mut Vec<u8> {
    files.get_mut(name).expect("it is there")
}

fn cut(files: &mut BTreeMap<&'static str, Vec<u8>>, name: &str, by: usize) {
    let bytes = text_of(files, name);
    bytes.truncate(bytes.len() - by);
}

const CASES: &[Case] = &[
    Case {
        what: "nothing wrong",
        damage: |_| {},
        truncated_allowed: false,
        theirs: "DB loaded from append only file",
        ours: "",
        starts: true,
    },
    Case {
        what: "the last command cut off",
        damage: |f| cut(f, LAST, 3),
        truncated_allowed: true,
        theirs: "!!! Warning: short read while loading the AOF file",
        ours: "",
        starts: true,
    },
    Case {
        what: "the last command cut off, and that is an error",
        damage: |f| cut(f, LAST, 3),
        truncated_allowed: false,
        theirs: "Unexpected end of file reading the append only file",
        ours: "",
        starts: false,
    },
    Case {
        what: "the transaction at the end cut off",
        damage: |f| cut(f, LAST, commands(&["EXEC", "SET end 1"]).len()),
        truncated_allowed: true,
        theirs: "!!! Warning: short read while loading the AOF file",
        ours: "",
        starts: true,
    },
    Case {
        what: "an increment before the last cut off",
        damage: |f| cut(f, FIRST, 3),
        truncated_allowed: true,
        theirs: "Fatal error: the truncated file is not the last file",
        ours: "Unexpected end of file reading the append only file",
        starts: false,
    },
    Case {
        what: "garbage between commands",
        damage: |f| text_of(f, FIRST).splice(23..23, *b"garbage\r\n").for_each(drop),
        truncated_allowed: true,
        theirs: "Bad file format reading the append only file",
        ours: "",
        starts: false,
    },
    Case {
        what: "garbage at the end",
        damage: |f| text_of(f, LAST).extend(b"\0\0\0\0garbage\r\n"),
        truncated_allowed: true,
        theirs: "Bad file format reading the append only file",
        ours: "",
        starts: false,
    },
    Case {
        what: "a length that is none",
        damage: |f| text_of(f, LAST).extend(b"*2\r\n$3\r\nGET\r\n$x\r\nk\r\n"),
        truncated_allowed: true,
        theirs: "Bad file format reading the append only file",
        ours: "",
        starts: false,
    },
    Case {
        what: "a command that nobody knows",
        damage: |f| text_of(f, LAST).extend(commands(&["NOSUCH a b"])),
        truncated_allowed: true,
        theirs: "Unknown command 'NOSUCH' reading the append only file",
        ours: "",
        starts: false,
    },
    Case {
        what: "a missing increment",
        damage: |f| drop(f.remove(FIRST)),
        truncated_allowed: true,
        theirs: "Unable to obtain the AOF file appendonly.aof.1.incr.aof length",
        ours: "appendonly.aof.1.incr.aof",
        starts: false,
    },
    Case {
        what: "a missing base",
        damage: |f| drop(f.remove(BASE)),
        truncated_allowed: true,
        theirs: "Unable to obtain the AOF file appendonly.aof.1.base.rdb length",
        ours: "appendonly.aof.1.base.rdb",
        starts: false,
    },
    Case {
        what: "a base that is cut off",
        damage: |f| cut(f, BASE, 12),
        truncated_allowed: true,
        theirs: "Internal error in RDB reading",
        ours: "at byte",
        starts: false,
    },
    Case {
        what: "a manifest of nonsense",
        damage: |f| *text_of(f, MANIFEST) = b"nonsense\n".to_vec(),
        truncated_allowed: true,
        theirs: "Invalid AOF manifest file format",
        ours: "",
        starts: false,
    },
    Case {
        what: "a manifest with a file twice",
        damage: |f| text_of(f, MANIFEST).extend(b"file appendonly.aof.2.incr.aof seq 2 type i\n"),
        truncated_allowed: true,
        theirs: "Found a non-monotonic sequence number",
        ours: "",
        starts: false,
    },
    Case {
        what: "a manifest with two bases",
        damage: |f| text_of(f, MANIFEST).extend(b"file appendonly.aof.2.base.rdb seq 2 type b\n"),
        truncated_allowed: true,
        theirs: "Found duplicate base file information",
        ours: "",
        starts: false,
    },
    Case {
        what: "an empty manifest",
        damage: |f| text_of(f, MANIFEST).clear(),
        truncated_allowed: true,
        theirs: "Found an empty AOF manifest",
        ours: "Invalid AOF manifest file format",
        starts: false,
    },
    Case {
        what: "a manifest that names a file elsewhere",
        damage: |f| text_of(f, MANIFEST).extend(b"file ../x.aof seq 3 type i\n"),
        truncated_allowed: true,
        theirs: "File can't be a path, just a filename",
        ours: "",
        starts: false,
    },
    Case {
        what: "a manifest cut off in a line",
        damage: |f| cut(f, MANIFEST, 5),
        truncated_allowed: true,
        theirs: "The AOF manifest file contains too long line",
        ours: "Invalid AOF manifest file format",
        starts: false,
    },
];

#[test]
fn a_log_with_faults() -> Result<()> {
    let mut wrong = String::new();
    for case in CASES {
        let mut digests = Vec::new();
        for role in [Role::Oracle, Role::Subject] {
            let dir = tempfile::tempdir()?;
            let mut parts = log_dir();
            (case.damage)(&mut parts);
            std::fs::create_dir(dir.path().join("appendonlydir"))?;
            for (name, bytes) in &parts {
                std::fs::write(dir.path().join("appendonlydir").join(name), bytes)?;
            }
            let allowed = if case.truncated_allowed { "yes" } else { "no" };
            let options = Options::new()
                .directive("appendonly", "yes")
                .directive("aof-load-truncated", allowed);
            let phrase = match role {
                Role::Subject if !case.ours.is_empty() => case.ours,
                Role::Subject | Role::Oracle => case.theirs,
            };
            let outcome = start(role, dir.path(), &options).context(case.what)?;
            let (starts, log) = match outcome {
                Ok((digest, log)) => {
                    digests.push(digest);
                    (true, log)
                }
                Err(log) => (false, log),
            };
            if starts != case.starts || !log.contains(phrase) {
                wrong += &format!(
                    "{role:?}, {}: started: {starts}, wanted: {phrase}\n{log}\n\n",
                    case.what
                );
            }
        }
        if digests.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong += &format!("{}: {digests:?}\n", case.what);
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
