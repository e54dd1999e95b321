//! What a server holds after it was killed, compared with what it may hold.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::model::{ACCOUNTS, Keys, Model, Value, database, step};
use crate::client::Client;
use crate::reply::Reply;

/// Brings `model` to the state in which the server holds the writer's keys: that after at least `least` and at most
/// `most` steps.
///
/// # Errors
/// The server holds what is the state after no such number of steps; the message says what differs.
pub fn advance(
    client: &mut Client,
    seed: u64,
    writer: usize,
    model: &mut Model,
    least: u64,
    most: u64,
) -> Result<()> {
    let found = keys(client, writer)?;
    let mut missing = String::new();
    loop {
        if model.steps >= least && model.keys == found {
            return Ok(());
        }
        if model.steps == least {
            missing = differences(&model.keys, &found);
        }
        if model.steps == most {
            break;
        }
        let next = step(seed, writer, model.steps + 1);
        model.apply(&next)?;
    }
    bail!(
        "writer {writer}: the data are the state after no number of steps from {least} to {most}.\nAgainst {least}:\n\
         {missing}Against {most}:\n{}",
        differences(&model.keys, &found)
    )
}

/// The accounts hold what the writers' steps moved there, and nothing else.
///
/// # Errors
/// They do not.
pub fn accounts(client: &mut Client, models: &[Model]) -> Result<()> {
    client.command("SELECT 0")?;
    for account in 0..ACCOUNTS {
        let expected: i64 = models.iter().filter_map(|m| m.accounts.get(&account)).sum();
        let found = match client.command(&format!("GET account:{account}"))? {
            reply if reply.is_null() => 0,
            reply => reply.text().context("a number")?.parse()?,
        };
        ensure!(
            found == expected,
            "account {account} holds {found}, and {expected} was moved there: a transaction is there by half"
        );
    }
    Ok(())
}

fn differences(expected: &Keys, found: &Keys) -> String {
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name))
        .take(6)
        .map(|name| {
            let of = |keys: &Keys| {
                format!(
                    "{:.300}",
                    format!("{:?}", keys.get(name).map(|(v, e)| (Short(v), e)))
                )
            };
            format!(
                "  {}: {} expected, found {}\n",
                name.escape_ascii(),
                of(expected),
                of(found)
            )
        })
        .collect()
}

struct Short<'a>(&'a Value);

impl std::fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |t: &[u8]| match t.len() {
            0..40 => t.escape_ascii().to_string(),
            len => format!("{}.. <{len} bytes>", t[..20].escape_ascii()),
        };
        match self.0 {
            Value::Text(t) => write!(f, "{}", text(t)),
            Value::List(l) => write!(f, "{:?}", l.iter().map(|t| text(t)).collect::<Vec<_>>()),
            Value::Hash(h) | Value::Zset(h) => {
                write!(
                    f,
                    "{:?}",
                    h.iter().map(|(k, v)| (text(k), text(v))).collect::<Vec<_>>()
                )
            }
            Value::Set(s) => write!(f, "{:?}", s.iter().map(|t| text(t)).collect::<Vec<_>>()),
            Value::Stream(s) => write!(
                f,
                "{:?}",
                s.iter().map(|(k, v)| (text(k), text(v))).collect::<Vec<_>>()
            ),
        }
    }
}

fn keys(client: &mut Client, writer: usize) -> Result<Keys> {
    client.command(&format!("SELECT {}", database(writer)))?;
    let mut keys = Keys::new();
    for key in strings(&client.command(&format!("KEYS *:{writer}:*"))?)? {
        let mut read = |words: &[&[u8]]| client.call(words);
        let kind = key.split(|b| *b == b':').next().unwrap_or_default();
        let value = match kind {
            b"text" | b"counter" => {
                let reply = read(&[b"GET", &key])?;
                let bytes = reply.bytes();
                Value::Text(
                    bytes
                        .with_context(|| format!("GET {}: {reply:?}", key.escape_ascii()))?
                        .to_vec(),
                )
            }
            b"list" => Value::List(strings(&read(&[b"LRANGE", &key, b"0", b"-1"])?)?.into()),
            b"hash" => Value::Hash(pairs(&read(&[b"HGETALL", &key])?)?),
            b"set" => Value::Set(strings(&read(&[b"SMEMBERS", &key])?)?.into_iter().collect()),
            b"zset" => Value::Zset(pairs(&read(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"])?)?),
            b"stream" => Value::Stream(entries(&read(&[b"XRANGE", &key, b"-", b"+"])?)?.into()),
            _ => bail!("a key that nobody wrote: {}", key.escape_ascii()),
        };
        let expiry = read(&[b"PEXPIRETIME", &key])?.integer().context("a time")?;
        keys.insert(key, (value, expiry));
    }
    Ok(keys)
}

fn strings(reply: &Reply) -> Result<Vec<Vec<u8>>> {
    let elements = reply
        .elements()
        .with_context(|| format!("an array, not {reply:?}"))?;
    elements
        .into_iter()
        .map(|e| Ok(e.bytes().context("a string")?.to_vec()))
        .collect()
}

fn pairs(reply: &Reply) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    Ok(strings(reply)?
        .chunks(2)
        .map(|p| (p[0].clone(), p[1].clone()))
        .collect())
}

fn entries(reply: &Reply) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let elements = reply.elements().context("an array of entries")?;
    elements
        .into_iter()
        .map(|entry| {
            let parts = entry.elements().context("an entry")?;
            let id = parts[0].bytes().context("an id")?.to_vec();
            Ok((id, strings(parts[1])?.pop().context("a value")?))
        })
        .collect()
}
