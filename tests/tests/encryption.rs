//! Encryption at rest, end to end: what is on the disk, what a start with other keys or a damaged file says, how keys are
//! changed while the server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use holdfast_tests::ask::{digest, persistence};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::fill;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

const ONE: &str = "one 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const TWO: &str = "two ff0102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f\n";
const MAGIC: &[u8] = b"HOLDFENC";

fn write_keys(dir: &Path, keys: &str) -> Result<()> {
    let path = dir.join("keys");
    fs::write(&path, keys)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// Options of a server with its files in `dir` and its keys, if it has any, in the file `keys` there.
fn options(dir: &Path, encrypted: bool) -> Options {
    let options = Options::new().directive("dir", &dir.to_string_lossy());
    if encrypted {
        options.directive("encryption-key-file", "keys")
    } else {
        options
    }
}

fn start(dir: &Path, encrypted: bool) -> Result<Server> {
    Server::start(Role::Subject, &options(dir, encrypted))
}

/// What the server says when it does not start.
fn refusal(dir: &Path) -> Result<String> {
    match start(dir, true) {
        Ok(_) => anyhow::bail!("it started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A folder with an encrypted dump.rdb that holds one key.
fn small_dump() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    write_keys(dir.path(), ONE)?;
    let server = start(dir.path(), true)?;
    let mut client = server.connect()?;
    client.command("SET secret plaintext-that-must-not-show")?;
    assert_eq!(client.command("SAVE")?, Reply::ok());
    Ok(dir)
}

#[test]
fn snapshots_are_encrypted_and_loaded() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump.rdb");
    // Without keys, as ever.
    let server = start(dir.path(), false)?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    client.command("SET secret plaintext-that-must-not-show")?;
    let before = digest(&mut client)?;
    assert_eq!(persistence(&mut client, "encryption_at_rest")?, "0");
    assert_eq!(persistence(&mut client, "encryption_key_id")?, "");
    assert_eq!(client.command("SAVE")?, Reply::ok());
    assert!(fs::read(&dump)?.starts_with(b"REDIS"));
    server.terminate()?;
    // With keys a plain file is loaded, and the next one is encrypted.
    write_keys(dir.path(), ONE)?;
    let server = start(dir.path(), true)?;
    let mut client = server.connect()?;
    assert_eq!(digest(&mut client)?, before);
    assert_eq!(persistence(&mut client, "encryption_at_rest")?, "1");
    assert_eq!(persistence(&mut client, "encryption_key_id")?, "one");
    assert!(!server.log().contains("chmod"), "{}", server.log());
    for command in ["SAVE", "DEBUG RELOAD"] {
        assert_eq!(client.command(command)?, Reply::ok());
        let file = fs::read(&dump)?;
        assert!(file.starts_with(MAGIC));
        assert!(!file.windows(20).any(|w| w == b"plaintext-that-must-"));
    }
    assert_eq!(digest(&mut client)?, before);
    server.terminate()?;
    let server = start(dir.path(), true)?;
    assert_eq!(digest(&mut server.connect()?)?, before);
    Ok(())
}

#[test]
fn a_start_that_cannot_decrypt_says_why_and_changes_nothing() -> Result<()> {
    let dir = small_dump()?;
    let dump = dir.path().join("dump.rdb");
    let whole = fs::read(&dump)?;
    let other = TWO.replace("two", "one");
    for (keys, words) in [
        (
            TWO,
            &["encrypted with key \"one\"", "not in the encryption-key-file"][..],
        ),
        (&other, &["damaged, or the key named \"one\" is not"]),
        (&ONE[..40], &["FATAL", "line 1", "64 hexadecimal digits"]),
        ("", &["FATAL", "has no key"]),
    ] {
        write_keys(dir.path(), keys)?;
        let said = refusal(dir.path())?;
        for word in words {
            assert!(said.contains(word), "{keys:?}: {said}");
        }
        assert!(!said.contains("0102030405"), "a part of a key is shown: {said}");
        assert_eq!(fs::read(&dump)?, whole);
    }
    // Bytes behind the end are a changed file as well.
    write_keys(dir.path(), ONE)?;
    let longer = [&whole[..], b"x"].concat();
    fs::write(&dump, &longer)?;
    let said = refusal(dir.path())?;
    assert!(said.contains("goes on behind its end"), "{said}");
    assert_eq!(fs::read(&dump)?, longer);
    fs::write(&dump, &whole)?;
    fs::remove_file(dir.path().join("keys"))?;
    let said = refusal(dir.path())?;
    assert!(
        said.contains("FATAL") && said.contains("No such file") && said.contains("keys"),
        "{said}"
    );
    let error = start(dir.path(), false).err().context("it is encrypted")?;
    assert!(format!("{error:#}").contains("there is no encryption-key-file"));
    assert_eq!(fs::read(&dump)?, whole);
    Ok(())
}

#[test]
fn damaged_files_are_refused_and_stay() -> Result<()> {
    let dir = small_dump()?;
    let dump = dir.path().join("dump.rdb");
    let whole = fs::read(&dump)?;
    let bad = |bytes: &[u8]| -> Result<String> {
        fs::write(&dump, bytes)?;
        let said = refusal(dir.path())?;
        assert_eq!(fs::read(&dump)?, bytes);
        Ok(said)
    };
    // In the magic, the version, the id, the salt, a length, the data, the last tag.
    for (at, word) in [
        (3, "wrong signature"),
        (8, "format version"),
        (11, "is not in the encryption-key-file"),
        (30, "block 0 at byte 46"),
        (48, "block 0 at byte 46"),
        (whole.len() - 40, "block 0 at byte 46"),
        (whole.len() - 1, "block 0 at byte 46"),
    ] {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        let said = bad(&changed)?;
        assert!(said.contains(word), "byte {at}: {said}");
    }
    for len in [5, 8, 30, 46, 48, whole.len() - 1] {
        let said = bad(&whole[..len])?;
        assert!(said.contains("cut off"), "{len} bytes: {said}");
    }
    Ok(())
}

#[test]
fn keys_are_rotated_while_the_server_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump.rdb");
    write_keys(dir.path(), ONE)?;
    let server = start(dir.path(), true)?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    let before = digest(&mut client)?;
    assert_eq!(client.command("SAVE")?, Reply::ok());
    // Another key under a known id, and a file that is none, are refused; the old keys stay.
    for (keys, word) in [
        (TWO.replace("two", "one"), "gives the key \"one\" another value"),
        ("nonsense".to_owned(), "line 1"),
    ] {
        write_keys(dir.path(), &keys)?;
        let error = client
            .command("CONFIG SET encryption-key-file keys")?
            .lines()
            .join("");
        assert!(error.contains(word), "{error}");
        assert_eq!(persistence(&mut client, "encryption_key_id")?, "one");
    }
    // The same path again reads the file again.
    write_keys(dir.path(), &format!("{TWO}{ONE}"))?;
    assert_eq!(
        client.command("CONFIG SET encryption-key-file keys")?,
        Reply::ok()
    );
    assert_eq!(persistence(&mut client, "encryption_key_id")?, "two");
    assert_eq!(&fs::read(&dump)?[11..14], b"one");
    assert_eq!(client.command("SAVE")?, Reply::ok());
    assert_eq!(&fs::read(&dump)?[11..14], b"two");
    // The old key may go now.
    write_keys(dir.path(), TWO)?;
    assert_eq!(
        client.command("CONFIG SET encryption-key-file keys")?,
        Reply::ok()
    );
    // The log comes over a pipe of its own.
    wait_until("the log says so", || Ok(server.log().contains("has lost keys")))?;
    server.terminate()?;
    let server = start(dir.path(), true)?;
    let mut client = server.connect()?;
    assert_eq!(digest(&mut client)?, before);
    // And off again.
    assert_eq!(
        client.call(&["CONFIG", "SET", "encryption-key-file", ""])?,
        Reply::ok()
    );
    assert_eq!(persistence(&mut client, "encryption_at_rest")?, "0");
    assert_eq!(client.command("SAVE")?, Reply::ok());
    assert!(fs::read(&dump)?.starts_with(b"REDIS"));
    Ok(())
}

#[test]
fn a_key_file_that_others_can_read_is_warned_of() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write_keys(dir.path(), ONE)?;
    fs::set_permissions(dir.path().join("keys"), fs::Permissions::from_mode(0o640))?;
    let server = start(dir.path(), true)?;
    assert!(server.log().contains("chmod 600"), "{}", server.log());
    Ok(())
}

/// Options of a server that logs every write before it answers.
fn logging(dir: &Path) -> Options {
    options(dir, true)
        .directive("appendonly", "yes")
        .directive("appendfsync", "always")
}

/// The files that the manifest names, in order.
fn parts(dir: &Path) -> Result<Vec<PathBuf>> {
    let dir = dir.join("appendonlydir");
    let manifest = fs::read_to_string(dir.join("appendonly.aof.manifest"))?;
    let names = manifest.lines().filter(|line| !line.ends_with("type h"));
    let names = names.map(|line| line.split(' ').nth(1).context("a line of a manifest"));
    names.map(|name| Ok(dir.join(name?))).collect()
}

fn assert_encrypted_with(parts: &[PathBuf], id: &[u8]) -> Result<()> {
    for part in parts {
        let bytes = fs::read(part)?;
        assert!(bytes.starts_with(MAGIC), "{}", part.display());
        assert_eq!(&bytes[11..11 + id.len()], id, "{}", part.display());
        assert!(!bytes.windows(20).any(|w| w == b"plaintext-that-must-"));
    }
    Ok(())
}

fn rewrite(client: &mut Client) -> Result<()> {
    let before = persistence(client, "aof_rewrites")?;
    anyhow::ensure!(!client.command("BGREWRITEAOF")?.is_error());
    wait_until("it is rewritten", || {
        Ok(persistence(client, "aof_rewrites")? != before
            && persistence(client, "aof_rewrite_in_progress")? != "1")
    })?;
    assert_eq!(persistence(client, "aof_last_bgrewrite_status")?, "ok");
    Ok(())
}

#[test]
fn the_append_only_file_is_encrypted_and_its_keys_are_changed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write_keys(dir.path(), ONE)?;
    let server = Server::start(Role::Subject, &logging(dir.path()))?;
    let mut client = server.connect()?;
    fill(&mut client)?;
    client.command("SET secret plaintext-that-must-not-show")?;
    let before = digest(&mut client)?;
    drop(server); // kill -9
    let files = parts(dir.path())?;
    assert_encrypted_with(&files, b"one")?;
    let server = Server::start(Role::Subject, &logging(dir.path()))?;
    let mut client = server.connect()?;
    assert_eq!(digest(&mut client)?, before);
    // A new key, and everything anew with it.
    write_keys(dir.path(), &format!("{TWO}{ONE}"))?;
    assert_eq!(
        client.command("CONFIG SET encryption-key-file keys")?,
        Reply::ok()
    );
    rewrite(&mut client)?;
    client.command("SET later plaintext-that-must-not-show")?;
    let before = digest(&mut client)?;
    assert_encrypted_with(&parts(dir.path())?, b"two")?;
    drop(server);
    write_keys(dir.path(), TWO)?;
    let server = Server::start(Role::Subject, &logging(dir.path()))?;
    assert_eq!(digest(&mut server.connect()?)?, before);
    drop(server);
    let files = parts(dir.path())?;
    let contents: Vec<_> = files.iter().map(fs::read).collect::<Result<_, _>>()?;
    write_keys(dir.path(), ONE)?;
    let error = Server::start(Role::Subject, &logging(dir.path()))
        .err()
        .context("the key is missing")?;
    assert!(
        format!("{error:#}").contains("encrypted with key \"two\""),
        "{error:#}"
    );
    for (file, content) in files.iter().zip(contents) {
        assert_eq!(fs::read(file)?, content);
    }
    Ok(())
}

#[test]
fn a_torn_end_of_an_encrypted_log_is_that_of_a_plain_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write_keys(dir.path(), ONE)?;
    let server = Server::start(Role::Subject, &logging(dir.path()))?;
    let mut client = server.connect()?;
    for i in 0..5 {
        client.command(&format!("RPUSH list {i}"))?;
    }
    drop(server);
    let last = parts(dir.path())?.pop().context("there is a part")?;
    let whole = fs::read(&last)?;
    // Each command was synced, so each is a block of its own.
    fs::write(&last, &whole[..whole.len() - 3])?;
    let strict = logging(dir.path()).directive("aof-load-truncated", "no");
    let error = Server::start(Role::Subject, &strict)
        .err()
        .context("the end is torn")?;
    assert!(
        format!("{error:#}").contains("Unexpected end of file reading the append only file"),
        "{error:#}"
    );
    assert_eq!(fs::read(&last)?, &whole[..whole.len() - 3]);
    for _ in 0..2 {
        let server = Server::start(Role::Subject, &logging(dir.path()))?;
        let mut client = server.connect()?;
        assert_eq!(client.command("LLEN list")?, Reply::Integer(4));
        assert_eq!(client.command("LINDEX list -1")?.text(), Some("3"));
    }
    // A changed byte is no torn end.
    let first = parts(dir.path())?.remove(1);
    let mut changed = fs::read(&first)?;
    let middle = changed.len() - 30;
    changed[middle] ^= 1;
    fs::write(&first, &changed)?;
    let error = Server::start(Role::Subject, &logging(dir.path()))
        .err()
        .context("a byte is changed")?;
    assert!(format!("{error:#}").contains("is damaged"), "{error:#}");
    assert_eq!(fs::read(&first)?, changed);
    Ok(())
}

#[test]
fn a_plain_log_is_loaded_and_goes_on_encrypted() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let plain = options(dir.path(), false)
        .directive("appendonly", "yes")
        .directive("appendfsync", "always")
        .directive("rdb-dialect", "valkey");
    let server = Server::start(Role::Subject, &plain)?;
    let mut client = server.connect()?;
    client.command("HSET hash f v g w")?;
    client.command("HPEXPIREAT hash 9999999999999 FIELDS 1 f")?;
    rewrite(&mut client)?;
    client.command("SET a 1")?;
    let before = digest(&mut client)?;
    drop(server);
    assert!(fs::read(&parts(dir.path())?[0])?.starts_with(b"VALKEY080"));
    write_keys(dir.path(), ONE)?;
    let options = logging(dir.path()).directive("rdb-dialect", "valkey");
    let server = Server::start(Role::Subject, &options)?;
    let mut client = server.connect()?;
    assert_eq!(digest(&mut client)?, before);
    client.command("SET b plaintext-that-must-not-show")?;
    let last = parts(dir.path())?.pop().context("there is a part")?;
    assert_encrypted_with(&[last], b"one")?;
    rewrite(&mut client)?;
    assert_encrypted_with(&parts(dir.path())?, b"one")?;
    let before = digest(&mut client)?;
    drop(server);
    let server = Server::start(Role::Subject, &options)?;
    assert_eq!(digest(&mut server.connect()?)?, before);
    Ok(())
}
