//! What can be told of a server's data from outside, so that two servers can be compared key by key.
//!
//! A digest alone says that something differs; this says what. Nothing here changes the data or their clocks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::client::Client;
use crate::reply::Reply;

/// How the access clocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// They mean nothing.
    None,
    /// They mean nothing, nor does when consumers of streams were seen: a log does not tell that.
    Replayed,
    /// An LRU policy: seconds without use. Compared by thousands, as time goes on.
    Idle,
    /// An LFU policy: counters. `lfu-decay-time 0` keeps them as they are.
    Frequency,
}

/// Name of a thing (a key, the libraries, a database's size) and what is known of it.
pub type Facts = BTreeMap<String, String>;

/// Everything that two servers with the same data agree on, over databases 0 to `databases`.
///
/// Encodings are told as Redis 7.0 names them: a `listpack` list is a `quicklist` there.
///
/// # Errors
/// A server that does not answer, or not as Redis does.
pub fn of(client: &mut Client, databases: u32, clock: Clock) -> Result<Facts> {
    let mut facts = Facts::new();
    facts.insert("digest".into(), line(client, &["DEBUG", "DIGEST"])?);
    facts.insert("libraries".into(), libraries(client)?);
    for db in 0..databases {
        client.call(&["SELECT", &db.to_string()])?;
        facts.insert(format!("size of {db}"), line(client, &["DBSIZE"])?);
        let keys = client.command("KEYS *")?;
        for key in keys.elements().context("KEYS answers an array")? {
            let key = key.bytes().context("a key is a string")?.to_vec();
            let name = format!("{db} {}", key.escape_ascii());
            let told = of_key(client, &key, clock).with_context(|| name.clone())?;
            facts.insert(name, told);
        }
    }
    client.command("SELECT 0")?;
    Ok(facts)
}

/// What differs, a line each; empty if nothing does.
pub fn differences(left: &Facts, right: &Facts) -> String {
    const SHOWN: usize = 20;
    let names = left.keys().chain(right.keys().filter(|k| !left.contains_key(*k)));
    let mut text = String::new();
    for name in names.filter(|n| left.get(*n) != right.get(*n)).take(SHOWN) {
        let of = |facts: &Facts| facts.get(name).cloned().unwrap_or_else(|| "(not there)".into());
        let _always = writeln!(text, "{name}:\n   {}\n   {}", of(left), of(right));
    }
    text
}

fn line<A: AsRef<[u8]>>(client: &mut Client, args: &[A]) -> Result<String> {
    Ok(client.call(args)?.lines().join(" "))
}

fn of_key(client: &mut Client, key: &[u8], clock: Clock) -> Result<String> {
    let with = |words: &[&str]| -> Vec<Vec<u8>> {
        let words = words.iter().map(|w| w.as_bytes().to_vec());
        words.chain([key.to_vec()]).collect()
    };
    // No command here winds the clock, XINFO excepted.
    let clock_text = match clock {
        Clock::None | Clock::Replayed => String::new(),
        Clock::Idle => {
            let idle = client.call(&with(&["OBJECT", "IDLETIME"]))?;
            (idle.integer().context("a number of seconds")? / 1000).to_string()
        }
        Clock::Frequency => line(client, &with(&["OBJECT", "FREQ"]))?,
    };
    let kind = line(client, &with(&["TYPE"]))?;
    let encoding = line(client, &with(&["OBJECT", "ENCODING"]))?;
    let encoding = match (&kind[..], &encoding[..]) {
        ("+list", _) => "quicklist",
        // A short text is `raw` after it was changed in place, until it has been in a file.
        (_, "\"raw\"" | "\"embstr\"") => "text",
        (_, other) => other,
    };
    let expiry = line(client, &with(&["PEXPIRETIME"]))?;
    let digest = line(client, &with(&["DEBUG", "DIGEST-VALUE"]))?;
    let mut told = format!("{kind} {encoding} {expiry} {clock_text} {digest}");
    let seen_times = match clock {
        Clock::None => true,
        Clock::Replayed => false,
        Clock::Idle | Clock::Frequency => return Ok(told),
    };
    if kind == "+stream" {
        let mut words = with(&["XINFO", "STREAM"]);
        words.extend([b"FULL".to_vec(), b"COUNT".to_vec(), b"0".to_vec()]);
        told += &stream(&client.call(&words)?, seen_times);
    }
    Ok(told)
}

/// XINFO STREAM FULL as text, without what Redis 7.0 does not tell, or tells of its own structures.
fn stream(info: &Reply, seen_times: bool) -> String {
    const LEFT_OUT: [&str; 8] = [
        "radix-tree-keys",
        "radix-tree-nodes",
        "active-time",
        "idmp-duration",
        "idmp-maxsize",
        "pids-tracked",
        "iids-tracked",
        "nacked-count",
    ];
    let Some(elements) = info.elements() else {
        return info.lines().join(" ");
    };
    let mut text = String::from("[");
    let mut elements = elements.into_iter();
    while let Some(element) = elements.next() {
        let name = element.bytes().and_then(|b| std::str::from_utf8(b).ok());
        let left_out =
            |n: &str| LEFT_OUT.contains(&n) || n.starts_with("iids-") || (n == "seen-time" && !seen_times);
        if name.is_some_and(left_out) {
            elements.next();
            continue;
        }
        text += " ";
        text += &stream(element, seen_times);
    }
    text + "]"
}

/// Libraries of functions with their code, by name.
fn libraries(client: &mut Client) -> Result<String> {
    let reply = client.command("FUNCTION LIST WITHCODE")?;
    let mut all: Vec<String> = reply
        .elements()
        .context("FUNCTION LIST answers an array")?
        .into_iter()
        .map(|library| {
            let mut lines = library.lines();
            lines.sort(); // functions have no order
            lines.join(" ")
        })
        .collect();
    all.sort();
    Ok(all.join("\n"))
}
