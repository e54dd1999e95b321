//! The offline tools: what they say of good and of damaged files, beside `redis-check-rdb` and `redis-check-aof`; how they
//! mend; how they convert.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};
use holdfast_tests::datasets::fill;
use holdfast_tests::server::{Binary, Options, Role, Server, tool};
use holdfast_tests::wait::wait_until;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const KEYS: &str = "one 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

fn ours(args: &[&str]) -> Result<Output> {
    ours_asked(args, "")
}

/// Runs a tool that is answered `answer`.
fn ours_asked(args: &[&str], answer: &str) -> Result<Output> {
    let mut child = Command::new(Binary::find(Role::Subject)?.path())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("it was piped")?;
    // A tool that asks nothing may have ended.
    let _ = input.write_all(answer.as_bytes());
    drop(input);
    Ok(child.wait_with_output()?)
}

fn theirs(name: &str, args: &[&str]) -> Result<Output> {
    let tool = tool(name, "apt-get install redis-tools")?;
    Ok(Command::new(tool).args(args).stdin(Stdio::null()).output()?)
}

fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is text")
}

/// A folder with dump.rdb and an append-only directory with a base, an increment and times in it, made by redis-server.
fn redis_files() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let options = Options::new()
        .directive("dir", text(dir.path()))
        .directive("appendonly", "yes")
        .directive("aof-timestamp-enabled", "yes");
    let server = Server::start(Role::Oracle, &options)?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    client.command("SET expires soon PXAT 9999999999999")?;
    client.command("SAVE")?;
    client.command("BGREWRITEAOF")?;
    let base = dir.path().join("appendonlydir/appendonly.aof.2.base.rdb");
    wait_until("it is rewritten", || Ok(base.is_file()))?;
    for line in [
        "SET a 1",
        "MULTI",
        "SET b 2",
        "RPUSH numbers 1 2 3",
        "EXEC",
        "SELECT 3",
        "SET c elsewhere",
        "PEXPIREAT c 9999999999999",
    ] {
        client.command(line)?;
    }
    server.terminate()?;
    Ok(dir)
}

fn increment(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir.join("appendonlydir"))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths
        .find(|path| text(path).ends_with(".incr.aof"))
        .context("there is an increment")
}

fn number_behind(words: &str, name: &str) -> Option<u64> {
    let (_, rest) = words.rsplit_once(name)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[test]
fn both_say_the_same_of_good_files() -> Result<()> {
    let dir = redis_files()?;
    let dump = dir.path().join("dump.rdb");
    let (mine, redis) = (
        ours(&["check-rdb", text(&dump)])?,
        theirs("redis-check-rdb", &[text(&dump)])?,
    );
    let (mine_said, redis_said) = (said(&mine), said(&redis));
    assert!(mine.status.success() && redis.status.success(), "{mine_said}");
    for line in redis_said.lines().filter(|line| !line.contains("Selecting DB")) {
        assert!(
            mine_said.lines().any(|mine| mine == line),
            "{line}\nis not in\n{mine_said}"
        );
    }
    for word in ["zset     skiplist", "stream   stream", "the biggest keys"] {
        assert!(mine_said.contains(word), "{word}: {mine_said}");
    }
    let manifest = dir.path().join("appendonlydir/appendonly.aof.manifest");
    let mine = ours(&["check-aof", text(&manifest)])?;
    let redis = theirs("redis-check-aof", &[text(&manifest)])?;
    assert!(mine.status.success() && redis.status.success());
    let (mine_said, redis_said) = (said(&mine), said(&redis));
    for name in ["size=", "ok_up_to=", "diff="] {
        assert_eq!(
            number_behind(&mine_said, name),
            number_behind(&redis_said, name),
            "{name}: {mine_said}"
        );
    }
    assert!(mine_said.contains("All AOF files and manifest are valid"));
    assert!(mine_said.contains(" 1 transactions"), "{mine_said}");
    // The directory stands for its manifest; a part may be looked at alone.
    assert!(
        ours(&["check-aof", text(&dir.path().join("appendonlydir"))])?
            .status
            .success()
    );
    assert!(
        ours(&["check-aof", text(&increment(dir.path())?)])?
            .status
            .success()
    );
    Ok(())
}

#[test]
fn both_refuse_the_same_damaged_snapshots() -> Result<()> {
    let dir = redis_files()?;
    let whole = fs::read(dir.path().join("dump.rdb"))?;
    let file = dir.path().join("damaged.rdb");
    let mut rng = SmallRng::seed_from_u64(6);
    let mut codes = [0; 2];
    for round in 0..40 {
        let mut bytes = whole.clone();
        let at = rng.random_range(0..whole.len());
        if round % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        fs::write(&file, &bytes)?;
        let mine = ours(&["check-rdb", text(&file)])?;
        let redis = theirs("redis-check-rdb", &[text(&file)])?;
        let mine_said = said(&mine);
        assert_eq!(mine.status.code(), redis.status.code(), "byte {at}: {mine_said}");
        assert_eq!(mine.status.code(), Some(1), "byte {at}: {mine_said}");
        assert!(mine_said.contains("--- RDB ERROR DETECTED ---"), "{mine_said}");
        assert!(mine_said.contains("[offset "), "{mine_said}");
        assert_eq!(fs::read(&file)?, bytes);
        codes[round % 2] += 1;
    }
    assert_eq!(codes, [20, 20]);
    Ok(())
}

/// Whether the byte is in the middle of a line `#TS:...`.
fn is_in_annotation(file: &[u8], at: usize) -> bool {
    let line = file[..at].rsplit(|byte| *byte == b'\n').next();
    line.is_some_and(|line| line.starts_with(b"#"))
}

/// Where the numbers of the protocol stand: `*3` and `$5` with their line ends.
fn is_protocol(bytes: &[u8], at: usize) -> bool {
    let begin = bytes[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    matches!(bytes.get(begin), Some(b'*' | b'$' | b'#')) || matches!(bytes[at], b'\r' | b'\n')
}

#[test]
fn both_find_the_same_whole_part_of_damaged_logs() -> Result<()> {
    let dir = redis_files()?;
    let whole = fs::read(increment(dir.path())?)?;
    let file = dir.path().join("damaged.aof");
    let mut rng = SmallRng::seed_from_u64(7);
    let mut same = 0;
    for at in (0..whole.len()).step_by(3) {
        for cut in [true, false] {
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
            fs::write(&file, &bytes)?;
            let mine = ours(&["check-aof", text(&file)])?;
            let redis = theirs("redis-check-aof", &[text(&file)])?;
            let (mine_said, redis_said) = (said(&mine), said(&redis));
            let (mine_to, redis_to) = (
                number_behind(&mine_said, "ok_up_to="),
                number_behind(&redis_said, "ok_up_to="),
            );
            if mine.status.code() == redis.status.code() && mine_to == redis_to {
                same += 1;
                continue;
            }
            // Redis reads `*3x` as 3 and takes any line end for one; here a number is a number.
            let stricter = mine.status.code() == Some(1) && mine_to <= redis_to;
            // And the beginning of an annotation (which there is where a second begins) is a whole one to Redis.
            let in_annotation = cut && is_in_annotation(&whole, at);
            assert!(
                stricter && (in_annotation || !cut && is_protocol(&whole, at)),
                "byte {at}, cut {cut}:\n{mine_said}\n{redis_said}"
            );
        }
    }
    // Every third byte, cut and changed: three of four say the same.
    assert!(same > whole.len() / 2, "{same} of {}", 2 * whole.len() / 3);
    Ok(())
}

#[test]
fn a_cut_log_is_mended_behind_its_last_whole_transaction() -> Result<()> {
    let dir = redis_files()?;
    let manifest = dir.path().join("appendonlydir/appendonly.aof.manifest");
    let part = increment(dir.path())?;
    let whole = fs::read(&part)?;
    let begin = find(&whole, b"*1\r\n$5\r\nMULTI").context("there is a transaction")?;
    let end = find(&whole, b"EXEC\r\n").context("it ends")? + 6;
    for len in begin..end {
        fs::write(&part, &whole[..len])?;
        let checked = ours(&["check-aof", text(&manifest)])?;
        if len == begin {
            assert!(checked.status.success());
            continue;
        }
        assert_eq!(checked.status.code(), Some(1), "{len}: {}", said(&checked));
        // A No changes nothing, and so does silence.
        for answer in ["n\n", "", "\n"] {
            let asked = ours_asked(&["check-aof", "--fix", text(&manifest)], answer)?;
            assert_eq!(asked.status.code(), Some(1));
            assert!(said(&asked).contains("Aborting..."), "{}", said(&asked));
            assert_eq!(fs::read(&part)?, &whole[..len]);
            if len > begin + 3 {
                break;
            }
        }
        let fixed = if len % 2 == 0 {
            ours(&["check-aof", "--fix", "--yes", text(&manifest)])?
        } else {
            ours_asked(&["check-aof", "--fix", text(&manifest)], "y\n")?
        };
        assert!(fixed.status.success(), "{}", said(&fixed));
        assert_eq!(fs::read(&part)?, &whole[..begin]);
    }
    assert!(theirs("redis-check-aof", &[text(&manifest)])?.status.success());
    Ok(())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn only_the_last_part_is_cut() -> Result<()> {
    let dir = redis_files()?;
    let folder = dir.path().join("appendonlydir");
    let part = increment(dir.path())?;
    let whole = fs::read(&part)?;
    fs::write(folder.join("appendonly.aof.9.incr.aof"), &whole)?;
    let manifest = folder.join("appendonly.aof.manifest");
    let mut lines = fs::read_to_string(&manifest)?;
    lines.push_str("file appendonly.aof.9.incr.aof seq 9 type i\n");
    fs::write(&manifest, lines)?;
    fs::write(&part, &whole[..whole.len() - 3])?;
    let fixed = ours(&["check-aof", "--fix", "--yes", text(&manifest)])?;
    assert_eq!(fixed.status.code(), Some(1));
    assert!(
        said(&fixed).contains("it is not the last file"),
        "{}",
        said(&fixed)
    );
    assert_eq!(fs::read(&part)?, &whole[..whole.len() - 3]);
    fs::remove_file(&part)?;
    let missing = ours(&["check-aof", text(&manifest)])?;
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("Cannot open file"), "{}", said(&missing));
    Ok(())
}

#[test]
fn a_log_is_cut_at_a_time() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("times.aof");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    let all = format!("#TS:100\r\n{set}#TS:200\r\n{set}{set}#TS:300\r\n{set}");
    let (second, third) = (9 + set.len(), 18 + 3 * set.len());
    for (to, len) in [
        ("300", all.len()),
        ("299", third),
        ("200", third),
        ("199", second),
        ("100", second),
    ] {
        for (name, mine) in [("ours.aof", true), ("theirs.aof", false)] {
            let file = dir.path().join(name);
            fs::write(&file, &all)?;
            let args = ["--truncate-to-timestamp", to, text(&file)];
            let done = if mine {
                ours(&[&["check-aof"], &args[..]].concat())?
            } else {
                theirs("redis-check-aof", &args)?
            };
            assert!(done.status.success(), "{}", said(&done));
            assert_eq!(fs::metadata(&file)?.len(), len as u64, "{name} to {to}");
        }
    }
    fs::write(&file, &all)?;
    let nothing = ours(&["check-aof", "--truncate-to-timestamp", "99", text(&file)])?;
    assert_eq!(nothing.status.code(), Some(1));
    assert_eq!(fs::read(&file)?, all.as_bytes());
    Ok(())
}

#[test]
fn files_are_encrypted_and_decrypted_into_what_they_were() -> Result<()> {
    let dir = redis_files()?;
    let path = |name: &str| dir.path().join(name);
    fs::write(path("keys"), KEYS)?;
    fs::set_permissions(path("keys"), fs::Permissions::from_mode(0o600))?;
    fs::set_permissions(path("dump.rdb"), fs::Permissions::from_mode(0o640))?;
    let keys = path("keys");
    let run = |tool: &str, from: &str, to: &str| {
        ours(&[
            tool,
            "--key-file",
            text(&keys),
            text(&path(from)),
            text(&path(to)),
        ])
    };
    for (from, encrypted, back) in [
        ("dump.rdb", "dump.enc", "dump.back"),
        ("appendonlydir", "aof.enc", "aof.back"),
    ] {
        let done = run("encrypt", from, encrypted)?;
        assert!(done.status.success(), "{}", said(&done));
        let done = run("decrypt", encrypted, back)?;
        assert!(done.status.success(), "{}", said(&done));
        // Nothing is overwritten.
        for (from, to) in [(from, encrypted), (from, back)] {
            let again = run("encrypt", from, to)?;
            assert_eq!(again.status.code(), Some(1));
            assert!(said(&again).contains("is there already"), "{}", said(&again));
        }
    }
    assert_eq!(fs::read(path("dump.rdb"))?, fs::read(path("dump.back"))?);
    assert!(fs::read(path("dump.enc"))?.starts_with(b"HOLDFENC"));
    for file in ["dump.enc", "dump.back"] {
        assert_eq!(fs::metadata(path(file))?.permissions().mode() & 0o777, 0o640);
    }
    for entry in fs::read_dir(path("appendonlydir"))? {
        let name = entry?.file_name();
        let before = fs::read(path("appendonlydir").join(&name))?;
        assert_eq!(fs::read(path("aof.back").join(&name))?, before);
        let encrypted = fs::read(path("aof.enc").join(&name))?;
        let is_manifest = text(Path::new(&name)).ends_with(".manifest");
        assert_eq!(encrypted.starts_with(b"HOLDFENC"), !is_manifest);
    }
    // The tools look into them with the key, and a server loads them.
    for (tool, file) in [("check-rdb", "dump.enc"), ("check-aof", "aof.enc")] {
        let checked = ours(&[tool, "--key-file", text(&keys), text(&path(file))])?;
        assert!(checked.status.success(), "{}", said(&checked));
        let blind = ours(&[tool, text(&path(file))])?;
        assert_eq!(blind.status.code(), Some(1));
        assert!(
            said(&blind).contains("encrypted with key \"one\""),
            "{}",
            said(&blind)
        );
    }
    // What is not encrypted cannot be decrypted; what is damaged leaves nothing behind.
    assert!(said(&run("decrypt", "dump.rdb", "new")?).contains("is not encrypted"));
    let mut damaged = fs::read(path("dump.enc"))?;
    let len = damaged.len();
    damaged[len / 2] ^= 1;
    fs::write(path("damaged"), &damaged)?;
    assert!(said(&run("decrypt", "damaged", "new")?).contains("is damaged"));
    fs::write(path("damaged"), &damaged[..len / 3])?;
    assert!(said(&run("decrypt", "damaged", "new")?).contains("cut off"));
    assert!(!path("new").exists());
    let left = fs::read_dir(dir.path())?.filter(|entry| {
        let name = entry.as_ref().map(|entry| entry.file_name());
        name.is_ok_and(|name| name.to_string_lossy().contains("temp-"))
    });
    assert_eq!(left.count(), 0);
    Ok(())
}

#[test]
fn an_encrypted_log_with_a_torn_end_is_mended() -> Result<()> {
    let dir = redis_files()?;
    let path = |name: &str| dir.path().join(name);
    fs::write(path("keys"), KEYS)?;
    fs::set_permissions(path("keys"), fs::Permissions::from_mode(0o600))?;
    let (keys, part) = (path("keys"), increment(dir.path())?);
    let plain = fs::read(&part)?;
    // The log ends in the middle of a command, within one block; then the block itself is torn.
    fs::write(path("cut.aof"), &plain[..plain.len() - 4])?;
    let encrypted = path("cut.enc");
    ours(&[
        "encrypt",
        "--key-file",
        text(&keys),
        text(&path("cut.aof")),
        text(&encrypted),
    ])?;
    let whole = fs::read(&encrypted)?;
    for (bytes, left) in [
        (&whole[..], None),
        (&whole[..whole.len() - 1], Some(0)),
        (&whole[..20], Some(0)),
    ] {
        fs::write(&encrypted, bytes)?;
        let args = ["check-aof", "--key-file", text(&keys)];
        let checked = ours(&[&args[..], &[text(&encrypted)]].concat())?;
        assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
        assert_eq!(fs::read(&encrypted)?, bytes);
        let fixed = ours(&[&args[..], &["--fix", "--yes", text(&encrypted)]].concat())?;
        assert!(fixed.status.success(), "{}", said(&fixed));
        let checked = ours(&[&args[..], &[text(&encrypted)]].concat())?;
        assert!(checked.status.success(), "{}", said(&checked));
        let size = number_behind(&said(&checked), "size=").unwrap_or(0);
        match left {
            Some(left) => assert_eq!(size, left),
            None => assert!(size > plain.len() as u64 / 2 && size < plain.len() as u64),
        }
    }
    // With another key under the same id nothing is cut.
    fs::write(&encrypted, &whole)?;
    fs::write(&keys, KEYS.replace('0', "a"))?;
    let fixed = ours(&[
        "check-aof",
        "--key-file",
        text(&keys),
        "--fix",
        "--yes",
        text(&encrypted),
    ])?;
    assert_eq!(fixed.status.code(), Some(1), "{}", said(&fixed));
    assert_eq!(fs::read(&encrypted)?, whole);
    Ok(())
}

/// Files whose lengths lie: the tools end with 1 within a bound of memory that is far below what they claim.
#[test]
fn lengths_that_lie_take_no_memory() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("hostile");
    let huge = b"\x81\0\0\0\0\xff\xff\xff\xff";
    let mut hostile: Vec<(&str, Vec<u8>)> = Vec::new();
    for ty in 0..26_u8 {
        let mut rdb = [b"REDIS0011", &[ty][..], b"\x01k"].concat();
        rdb.extend(huge.repeat(3));
        hostile.push(("check-rdb", rdb));
    }
    hostile.push(("check-rdb", [b"REDIS0011\x00\x01k\xc3", &huge[..], huge].concat()));
    hostile.push(("check-aof", b"*1048576\r\n$536870912\r\nabc".to_vec()));
    hostile.push((
        "check-aof",
        ["*1048576\r\n", &"$536870912\r\n".repeat(20)]
            .concat()
            .into_bytes(),
    ));
    let binary = Binary::find(Role::Subject)?;
    for (tool, bytes) in hostile {
        fs::write(&file, &bytes)?;
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 400000; exec \"$@\"", "sh"])
            .arg(binary.path())
            .args([tool, text(&file)])
            .output()?;
        assert_eq!(output.status.code(), Some(1), "{bytes:?}: {}", said(&output));
    }
    Ok(())
}

#[test]
fn keys_are_made_and_taken() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    let made = ours(&["generate-key", "--id", "mine"])?;
    assert!(made.status.success());
    let line = String::from_utf8(made.stdout)?;
    assert!(line.starts_with("mine ") && line.trim().len() == 5 + 64, "{line}");
    fs::write(path("keys"), &line)?;
    fs::write(path("file"), "text")?;
    let done = ours(&[
        "encrypt",
        "--key-file",
        text(&path("keys")),
        text(&path("file")),
        text(&path("out")),
    ])?;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("chmod 600"), "{}", said(&done));
    for args in [
        &["generate-key", "--id", "no id"][..],
        &["check-rdb"],
        &["check-rdb", "/nonexistent"],
        &["check-aof", "/nonexistent"],
        &["check-rdb", "/"],
        &["check-aof", "--yes", "x"],
        &["check-aof", "--truncate-to-timestamp", "0", "x"],
        &["encrypt", "a", "b"],
    ] {
        assert_eq!(ours(args)?.status.code(), Some(1), "{args:?}");
    }
    assert!(ours(&["check-rdb", "--help"])?.status.success());
    Ok(())
}

#[test]
fn nothing_is_cut_under_a_running_server() -> Result<()> {
    let options = Options::new().directive("appendonly", "yes");
    let server = Server::start(Role::Subject, &options)?;
    let file = server.dir().join("appendonlydir/damaged.aof");
    fs::write(&file, "*1\r\n$4\r\nPI")?;
    let args = ["check-aof", "--fix", "--yes", text(&file)];
    let refused = ours(&args)?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("a server uses this directory"),
        "{}",
        said(&refused)
    );
    assert_eq!(fs::metadata(&file)?.len(), 10);
    let dir = tempfile::tempdir()?;
    let copy = dir.path().join("damaged.aof");
    fs::copy(&file, &copy)?;
    assert!(
        ours(&["check-aof", "--fix", "--yes", text(&copy)])?
            .status
            .success()
    );
    assert_eq!(fs::metadata(&copy)?.len(), 0);
    Ok(())
}
