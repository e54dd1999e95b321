//! DUMP of one server is RESTOREd by the other, for every type and encoding, both ways, and the values are equal by
//! DEBUG DIGEST-VALUE.

use anyhow::{Context, Result};
use holdfast_tests::client::Client;
use holdfast_tests::datasets::fill;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};

fn digest(client: &mut Client, key: &[u8]) -> Result<Vec<String>> {
    Ok(client.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", key])?.lines())
}

fn keys(client: &mut Client) -> Result<Vec<Vec<u8>>> {
    let reply = client.command("KEYS *")?;
    let keys = reply.elements().context("KEYS answers an array")?;
    let mut keys: Vec<Vec<u8>> = keys
        .into_iter()
        .filter_map(|k| k.bytes().map(<[u8]>::to_vec))
        .collect();
    keys.sort();
    Ok(keys)
}

/// Moves every key over, and what came back once more.
fn check(from: &Server, to: &Server, compressed: &str) -> Result<()> {
    let (mut from, mut to) = (from.connect()?, to.connect()?);
    for client in [&mut from, &mut to] {
        client.command("FLUSHALL")?;
        client.command(&format!("CONFIG SET rdbcompression {compressed}"))?;
    }
    fill(&mut from)?;
    let keys = keys(&mut from)?;
    assert!(keys.len() > 80, "all were made");
    for key in keys {
        let name = key.escape_ascii().to_string();
        let payload = from.call(&[&b"DUMP"[..], &key])?;
        let payload = payload.bytes().context("DUMP answers a string")?.to_vec();
        let reply = to.call(&[&b"RESTORE"[..], &key, b"0", &payload])?;
        assert_eq!(reply, Reply::ok(), "{name}");
        assert_eq!(digest(&mut from, &key)?, digest(&mut to, &key)?, "{name}");
        let back = to.call(&[&b"DUMP"[..], &key])?;
        let back = back.bytes().context("DUMP answers a string")?.to_vec();
        let reply = from.call(&[&b"RESTORE"[..], b"back", b"0", &back, b"REPLACE"])?;
        assert_eq!(reply, Reply::ok(), "{name}");
        assert_eq!(digest(&mut from, &key)?, digest(&mut from, b"back")?, "{name}");
    }
    Ok(())
}

#[test]
fn values_travel_both_ways() -> Result<()> {
    let options = Options::new().directive("enable-debug-command", "yes");
    let subject = Server::start(Role::Subject, &options)?;
    let oracle = Server::start(Role::Oracle, &options)?;
    for compressed in ["yes", "no"] {
        check(&subject, &oracle, compressed)?;
        check(&oracle, &subject, compressed)?;
    }
    Ok(())
}
