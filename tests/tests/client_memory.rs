//! Memory that connections take: `maxmemory-clients`, and limits of output per class that change while clients are
//! connected.

use anyhow::{Context, Result};
use holdfast_tests::client::Client;
use holdfast_tests::server::{Options, Role, Server};

/// A field of INFO.
fn field(client: &mut Client, name: &str) -> Result<u64> {
    let info = client.command("INFO everything")?;
    let text = info.text().context("a text")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.with_context(|| format!("no field {name}"))?;
    Ok(value.trim().parse()?)
}

/// Sends a command but for its last bytes: what has come of it waits in the server.
fn send_in_part(client: &mut Client, bytes: usize) -> Result<()> {
    let head = format!("*2\r\n$4\r\nECHO\r\n${}\r\n", bytes + 10);
    client.send_raw(head.as_bytes())?;
    client.send_raw(&vec![b'x'; bytes])
}

fn is_closed(client: &mut Client) -> bool {
    client.receive().is_err()
}

#[test]
fn over_maxmemory_clients_the_largest_connection_is_ended() -> Result<()> {
    let server = Server::start(
        Role::Subject,
        &Options::new().threads(2).directive("maxmemory-clients", "4mb"),
    )?;
    let mut watcher = server.connect()?;
    let (mut protected, mut large, mut small) = (server.connect()?, server.connect()?, server.connect()?);
    protected.command("CLIENT NO-EVICT on")?;
    send_in_part(&mut protected, 1_600_000)?;
    send_in_part(&mut large, 1_500_000)?;
    send_in_part(&mut small, 1_400_000)?;
    assert!(is_closed(&mut large), "the largest of those that may be ended");
    assert_eq!(field(&mut watcher, "evicted_clients")?, 1);
    assert_eq!(field(&mut watcher, "connected_clients")?, 3);
    assert!(field(&mut watcher, "mem_clients_normal")? > 3_000_000);
    let list = watcher.command("CLIENT LIST FLAGS e")?;
    let list = list.text().context("a text")?;
    let memory = list.split(' ').find_map(|word| word.strip_prefix("tot-mem="));
    assert!(memory.context("tot-mem")?.parse::<u64>()? > 1_600_000, "{list}");
    // The rest goes where the limit is made smaller, whoever is busy.
    watcher.command("CONFIG SET maxmemory-clients 2mb")?;
    assert!(is_closed(&mut small));
    assert_eq!(field(&mut watcher, "evicted_clients")?, 2);
    send_in_part(&mut protected, 1)?;
    watcher.command("CONFIG RESETSTAT")?;
    assert_eq!(field(&mut watcher, "evicted_clients")?, 0);
    Ok(())
}

#[test]
fn a_new_limit_of_output_holds_for_those_who_are_connected() -> Result<()> {
    let server = Server::start(Role::Subject, &Options::new().threads(2))?;
    let mut publisher = server.connect()?;
    let mut slow = server.connect()?;
    slow.command("SUBSCRIBE c")?;
    publisher.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"])?;
    let message = "x".repeat(100_000);
    // What the sockets' own buffers take is not the server's.
    let gone = (0..10_000).any(|_| {
        let receivers = publisher.call(&["PUBLISH", "c", &message]);
        receivers.is_ok_and(|reply| reply.integer() == Some(0))
    });
    assert!(gone, "a subscriber that never reads is ended");
    assert_eq!(
        field(&mut publisher, "client_output_buffer_limit_disconnections")?,
        1
    );
    Ok(())
}

#[test]
fn a_query_that_is_too_large_is_counted() -> Result<()> {
    let server = Server::start(
        Role::Subject,
        &Options::new().directive("client-query-buffer-limit", "1mb"),
    )?;
    let (mut watcher, mut large) = (server.connect()?, server.connect()?);
    let _closed_meanwhile = send_in_part(&mut large, 1_500_000);
    assert!(is_closed(&mut large));
    assert_eq!(
        field(&mut watcher, "client_query_buffer_limit_disconnections")?,
        1
    );
    Ok(())
}
