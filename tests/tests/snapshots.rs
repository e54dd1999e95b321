//! A snapshot while clients write: what it takes of memory is bounded, and a disk that stands still holds nobody up for long.

use anyhow::{Result, ensure};
use holdfast_tests::ask::{number, text};
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

fn field(client: &mut Client, name: &str) -> Result<u64> {
    number(client, "persistence", name)
}

/// Writes to `count` keys that were there before, in one batch, and takes the replies.
fn overwrite(client: &mut Client, count: usize) -> Result<()> {
    for i in 0..count {
        client.send(&["APPEND", &format!("key:{i}"), "changed"])?;
    }
    for _ in 0..count {
        let reply = client.receive()?;
        ensure!(matches!(reply, Reply::Integer(_)), "{reply:?}");
    }
    Ok(())
}

#[test]
fn old_values_take_no_more_memory_than_allowed() -> Result<()> {
    const LIMIT: u64 = 400_000;
    let saver = Server::subject()?;
    let mut client = saver.connect()?;
    client.command("DEBUG POPULATE 8000 key 200")?;
    client.command(&format!("CONFIG SET snapshot-buffer-limit {LIMIT}"))?;
    client.command("CONFIG SET rdb-key-save-delay 50")?;
    let digest = text(&mut client, "DEBUG DIGEST")?;
    assert_eq!(text(&mut client, "BGSAVE")?, "+Background saving started");
    overwrite(&mut client, 8000)?;
    assert_eq!(field(&mut client, "rdb_bgsave_in_progress")?, 1);
    client.command("CONFIG SET rdb-key-save-delay 0")?;
    wait_until("the save ends", || {
        Ok(field(&mut client, "rdb_bgsave_in_progress")? == 0)
    })?;
    let peak = field(&mut client, "rdb_last_cow_size")?;
    assert!((LIMIT / 2..LIMIT + LIMIT / 10).contains(&peak), "{peak}");
    assert_eq!(field(&mut client, "current_cow_size")?, 0);
    assert_ne!(field(&mut client, "snapshot_writers_slowed")?, 0);
    assert_eq!(field(&mut client, "snapshots_given_up")?, 0);
    assert!(saver.log().contains("DB saved on disk"));
    let options = Options::new().directive("dir", &saver.dir().to_string_lossy());
    for reader in [Role::Subject, Role::Oracle] {
        let reader = Server::start(reader, &options)?;
        assert_eq!(text(&mut reader.connect()?, "DEBUG DIGEST")?, digest);
    }
    Ok(())
}

#[test]
fn a_snapshot_that_stands_still_is_given_up() -> Result<()> {
    let options = Options::new()
        .directive("save", "3600 1000000")
        .directive("snapshot-buffer-limit", "100kb")
        .directive("snapshot-hold-timeout", "50");
    let server = Server::start(Role::Subject, &options)?;
    let mut client = server.connect()?;
    client.command("DEBUG POPULATE 5000 key 200")?;
    // As good as a disk that takes nothing more.
    client.command("CONFIG SET rdb-key-save-delay 1000000000")?;
    client.command("BGSAVE")?;
    let mut reader = server.connect()?;
    for i in 0..5000 {
        client.send(&["APPEND", &format!("key:{i}"), "changed"])?;
    }
    // While the writer is held, others are served.
    wait_until("the snapshot is given up", || {
        ensure!(
            text(&mut reader, "GET key:4999")?.starts_with("\"value:4999"),
            "a reader"
        );
        Ok(field(&mut reader, "snapshots_given_up")? == 1)
    })?;
    let replies: Vec<Reply> = (0..5000).map(|_| client.receive()).collect::<Result<_>>()?;
    wait_until("the save ends", || {
        Ok(field(&mut reader, "rdb_bgsave_in_progress")? == 0)
    })?;
    let refused = |reply: &Reply| reply.lines().join(" ").starts_with("-MISCONF");
    assert!(
        replies
            .iter()
            .all(|r| matches!(r, Reply::Integer(_)) || refused(r))
    );
    assert!(matches!(replies[0], Reply::Integer(_)));
    assert!(server.log().contains("The snapshot is given up"));
    assert_eq!(field(&mut client, "current_cow_size")?, 0);
    // A save that failed is a save that failed, until the next one.
    assert!(text(&mut client, "SET k v")?.starts_with("-MISCONF"));
    client.command("CONFIG SET rdb-key-save-delay 0")?;
    client.command("BGSAVE")?;
    wait_until("writes are taken again", || {
        Ok(text(&mut client, "SET k v")? == "+OK")
    })?;
    Ok(())
}
