//! The directory of the append-only file travels from one server to the other and back, and nothing is lost; files of
//! before Redis 7, which were one file, are taken over.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::persistence;
use holdfast_tests::client::Client;
use holdfast_tests::datasets::{borders, send, send_logged_otherwise};
use holdfast_tests::facts::{self, Clock, Facts};
use holdfast_tests::reply::encode_command;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::wait::wait_until;
use holdfast_tests::words;

const DATABASES: u32 = 16;

fn start(role: Role, options: &Options) -> Result<Server> {
    let options = options
        .clone()
        .directive("appendonly", "yes")
        .directive("appendfsync", "everysec")
        .encodings_of_redis();
    Server::start(role, &options)
}

fn rewrite(client: &mut Client) -> Result<()> {
    let reply = client.command("BGREWRITEAOF")?;
    ensure!(!reply.is_error(), "{reply:?}");
    wait_until("the rewrite ends", || {
        Ok(persistence(client, "aof_rewrite_in_progress")? == "0"
            && persistence(client, "aof_rewrite_scheduled")? == "0")
    })?;
    let status = persistence(client, "aof_last_bgrewrite_status")?;
    ensure!(status == "ok", "the rewrite ended as {status}");
    Ok(())
}

fn facts(server: &Server) -> Result<Facts> {
    facts::of(&mut server.connect()?, DATABASES, Clock::Replayed)
}

/// Asks Redis's own tool.
fn check(dir: &Path) -> Result<()> {
    let checked = Command::new(tool("redis-check-aof", "apt-get install redis-tools")?)
        .arg(dir.join("appendonlydir/appendonly.aof.manifest"))
        .output()?;
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(
        checked.status.success() && text.contains("All AOF files and manifest are valid"),
        "{text}"
    );
    Ok(())
}

/// Ends a server as an operator does, so that all it was told is in its files.
fn end(server: Server) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let from = server.dir().to_path_buf();
    server.connect()?.command("CONFIG SET appendfsync always")?;
    server.connect()?.command("SET last-of-all 1")?;
    holdfast_tests::server::copy_folder(&from, dir.path())?;
    server.terminate()?;
    Ok(dir)
}

fn there_and_back(first: Role, second: Role, options: &Options) -> Result<()> {
    let server = start(first, options)?;
    let mut client = server.connect()?;
    let commands = borders();
    let (some, rest) = commands.split_at(commands.len() / 2);
    send(&mut client, some)?;
    send_logged_otherwise(&mut client)?;
    rewrite(&mut client)?;
    send(&mut client, rest)?;
    send_logged_otherwise(&mut client)?;
    client.command("SET last-of-all 1")?;
    let before = facts(&server)?;
    ensure!(before.len() > 400, "{} facts", before.len());
    let files = end(server)?;
    check(files.path())?;
    let other = start(second, &options.clone().files_of(files.path()))?;
    let differ = facts::differences(&before, &facts(&other)?);
    ensure!(differ.is_empty(), "{first:?} to {second:?}:\n{differ}");
    // It goes on where the first one stopped.
    other.connect()?.command("LPUSH further 1 2 3")?;
    let before = facts(&other)?;
    let files = end(other)?;
    check(files.path())?;
    let again = start(first, &options.clone().files_of(files.path()))?;
    let differ = facts::differences(&before, &facts(&again)?);
    ensure!(differ.is_empty(), "{first:?} to {second:?} and back:\n{differ}");
    rewrite(&mut again.connect()?)?;
    let files = end(again)?;
    check(files.path())?;
    let last = start(second, &options.clone().files_of(files.path()))?;
    let differ = facts::differences(&before, &facts(&last)?);
    ensure!(differ.is_empty(), "after one more rewrite:\n{differ}");
    Ok(())
}

fn variants() -> [Options; 3] {
    [
        Options::new(),
        Options::new().directive("aof-use-rdb-preamble", "no"),
        Options::new()
            .directive("aof-timestamp-enabled", "yes")
            .directive("appendfilename", "appendonly.aof"),
    ]
}

#[test]
fn from_holdfast_to_redis_and_back() -> Result<()> {
    variants()
        .iter()
        .try_for_each(|options| there_and_back(Role::Subject, Role::Oracle, options))
}

#[test]
fn from_redis_to_holdfast_and_back() -> Result<()> {
    variants()
        .iter()
        .try_for_each(|options| there_and_back(Role::Oracle, Role::Subject, options))
}

/// One file, as Redis 6 and older wrote it: commands, or a snapshot and commands behind it.
#[test]
fn the_one_file_of_old_is_taken_over() -> Result<()> {
    let saver = Server::oracle()?;
    send(&mut saver.connect()?, &borders())?;
    saver.connect()?.command("SAVE")?;
    let snapshot = std::fs::read(saver.dir().join("dump.rdb"))?;
    let commands = |lines: &[&str]| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for line in lines {
            encode_command(&words::split(line)?, &mut bytes);
        }
        Ok(bytes)
    };
    let tail = commands(&[
        "SELECT 0",
        "SET after 1",
        "DEL text",
        "MULTI",
        "INCR after",
        "SELECT 3",
        "SET elsewhere 1",
        "EXEC",
        "SET here 1",
        "PEXPIREAT here 9999999999999",
        "PEXPIREAT after 1",
    ])?;
    let annotated = [
        &b"#TS:1700000000\r\n"[..],
        &tail,
        b"#TS:1700000001\r\n",
        &commands(&["SELECT 0", "SET more 1"])?,
    ]
    .concat();
    for (name, file) in [
        (
            "commands",
            commands(&["SELECT 0", "SET text 1", "RPUSH list a b"])?
                .into_iter()
                .chain(tail.clone())
                .collect(),
        ),
        (
            "a snapshot and commands",
            [snapshot.clone(), tail.clone()].concat(),
        ),
        ("a snapshot alone", snapshot.clone()),
        ("timestamps", annotated),
        ("nothing", Vec::new()),
    ] {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("appendonly.aof"), &file)?;
        let of = |role| -> Result<(Facts, Server)> {
            let server = start(role, &Options::new().files_of(dir.path()))?;
            Ok((facts(&server)?, server))
        };
        let (ours, subject) = of(Role::Subject).context(name)?;
        let (theirs, oracle) = of(Role::Oracle).context(name)?;
        let differ = facts::differences(&ours, &theirs);
        ensure!(differ.is_empty(), "{name}:\n{differ}");
        for server in [&subject, &oracle] {
            ensure!(
                !server.dir().join("appendonly.aof").exists(),
                "{name}: it is in the directory of parts now"
            );
            ensure!(
                server.dir().join("appendonlydir/appendonly.aof").exists(),
                "{name}"
            );
        }
        let reply = subject.connect()?.command("SET last-of-all 1")?;
        ensure!(!reply.is_error(), "{reply:?}");
        let expected = facts(&subject)?;
        let files = end(subject)?;
        check(files.path())?;
        for role in [Role::Subject, Role::Oracle] {
            let again = start(role, &Options::new().files_of(files.path()))?;
            let differ = facts::differences(&expected, &facts(&again)?);
            ensure!(differ.is_empty(), "{name}, {role:?} again:\n{differ}");
        }
    }
    Ok(())
}
