//! DUMP of one server is RESTOREd by the other, for every type and encoding, both ways, and the values are equal by
//! DEBUG DIGEST-VALUE.

use anyhow::{Context, Result};
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};

/// Keys of every kind: small ones, large ones, and what stands on the borders.
fn data() -> Vec<Vec<Vec<u8>>> {
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut add = |words: Vec<Vec<u8>>| commands.push(words);
    let words = |line: &str| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    for line in [
        "SET int 12345",
        "SET big -9223372036854775808",
        "SET small -128",
        "SET text hello",
        "SET nearly 0012",
        "APPEND raw abc",
        "RPUSH short a 1 -1 127 128 4095 4096 -32768 8388607 -8388609 2147483647 9223372036854775807 01",
        "SADD two 1 -2 3",
        "SADD four 100000 -5",
        "SADD eight 10000000000 -5",
        "SADD names a b 1",
        "HSET hash f 1 g text 7 -3",
        "ZADD zset 1 a -2.5 b 1e300 c inf d -inf e 0.1 f 3 7",
        "SETBIT bits 100 1",
        "PFADD hll a b c d e",
        "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    ] {
        add(words(line));
    }
    let long = |len: usize| (0..len).map(|i| (i * i % 251) as u8).collect::<Vec<u8>>();
    for len in [20, 21, 44, 45, 63, 64, 300, 2048, 2049, 70_000] {
        add(vec![
            b"SET".to_vec(),
            format!("same:{len}").into_bytes(),
            vec![b'x'; len],
        ]);
        add(vec![
            b"SET".to_vec(),
            format!("noise:{len}").into_bytes(),
            long(len),
        ]);
        add(vec![
            b"RPUSH".to_vec(),
            format!("list:{len}").into_bytes(),
            long(len),
            b"5".to_vec(),
            vec![b'y'; len],
        ]);
        add(vec![
            b"SADD".to_vec(),
            format!("set:{len}").into_bytes(),
            long(len),
            b"5".to_vec(),
        ]);
        add(vec![
            b"HSET".to_vec(),
            format!("hash:{len}").into_bytes(),
            long(len),
            vec![b'z'; len],
            b"5".to_vec(),
            b"6".to_vec(),
        ]);
        add(vec![
            b"ZADD".to_vec(),
            format!("zset:{len}").into_bytes(),
            b"1.5".to_vec(),
            long(len),
            b"2".to_vec(),
            b"5".to_vec(),
        ]);
    }
    for i in 0..1200 {
        let (name, number) = (
            format!("element number {i}").into_bytes(),
            (i * 7).to_string().into_bytes(),
        );
        add(vec![
            b"RPUSH".to_vec(),
            b"long".to_vec(),
            name.clone(),
            number.clone(),
        ]);
        add(vec![b"SADD".to_vec(), b"ints".to_vec(), number.clone()]);
        add(vec![b"SADD".to_vec(), b"table".to_vec(), name.clone()]);
        add(vec![
            b"HSET".to_vec(),
            b"map".to_vec(),
            name.clone(),
            number.clone(),
        ]);
        add(vec![b"ZADD".to_vec(), b"scores".to_vec(), number, name]);
    }
    commands
}

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
    for command in data() {
        assert!(!from.call(&command)?.is_error(), "{command:?}");
    }
    let keys = keys(&mut from)?;
    assert!(keys.len() > 80, "all were made");
    for key in keys {
        let name = key.escape_ascii().to_string();
        let payload = from.call(&[&b"DUMP"[..], &key])?;
        let payload = payload.bytes().context("DUMP answers a string")?.to_vec();
        let reply = to.call(&[&b"RESTORE"[..], &key, b"0", &payload])?;
        assert_eq!(reply, Reply::Simple("OK".into()), "{name}");
        assert_eq!(digest(&mut from, &key)?, digest(&mut to, &key)?, "{name}");
        let back = to.call(&[&b"DUMP"[..], &key])?;
        let back = back.bytes().context("DUMP answers a string")?.to_vec();
        let reply = from.call(&[&b"RESTORE"[..], b"back", b"0", &back, b"REPLACE"])?;
        assert_eq!(reply, Reply::Simple("OK".into()), "{name}");
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
