//! Compares what both servers hold: DEBUG DIGEST, and each key's type, encoding and time to live.

use anyhow::{Context, Result};

use super::driver::{Side, ask, ask_all};
use super::explained::{Reason, Usage};
use super::families::DATABASES;
use super::pool::{Args, cmd};
use super::replies::{Same, compare_encodings, compare_ttls};
use crate::reply::Reply;
use crate::words::quote;

/// A difference in what the servers hold.
pub(super) struct Found {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) keys: Vec<Vec<u8>>,
}

/// Commands that are asked about every key.
const QUESTIONS: usize = 3;

pub(super) fn compare(
    subject: &mut Side<'_>,
    oracle: &mut Side<'_>,
    usage: &mut Usage,
) -> Result<Option<Found>> {
    let digests = (
        ask(subject, &["DEBUG", "DIGEST"])?,
        ask(oracle, &["DEBUG", "DIGEST"])?,
    );
    let digests_differ = digests.0 != digests.1;
    for database in 0..DATABASES {
        let select = ["SELECT", &database.to_string()];
        ask(subject, &select)?;
        ask(oracle, &select)?;
        let keys = (keys(subject)?, keys(oracle)?);
        if keys.0 != keys.1 {
            let odd: Vec<_> = keys
                .0
                .iter()
                .filter(|key| !keys.1.contains(key))
                .chain(keys.1.iter().filter(|key| !keys.0.contains(key)))
                .cloned()
                .collect();
            let names: Vec<_> = odd.iter().map(|key| quote(key)).collect();
            let text = format!(
                "database {database}: keys that only one server has: {}",
                names.join(" ")
            );
            return Ok(Some(Found {
                kind: "STATE keys".into(),
                text,
                keys: odd,
            }));
        }
        if let Some(found) = compare_keys(database, &keys.0, subject, oracle, usage)? {
            return Ok(Some(found));
        }
        if digests_differ && let Some(found) = compare_digests(database, &keys.0, subject, oracle)? {
            return Ok(Some(found));
        }
    }
    if digests_differ {
        let text = format!(
            "DEBUG DIGEST differs, but no key's does\n  subject {:?}\n  oracle  {:?}",
            digests.0, digests.1
        );
        return Ok(Some(Found {
            kind: "STATE digest".into(),
            text,
            keys: Vec::new(),
        }));
    }
    Ok(None)
}

fn keys(side: &mut Side<'_>) -> Result<Vec<Vec<u8>>> {
    let reply = ask(side, &["KEYS", "*"])?;
    let elements = reply.elements().with_context(|| format!("KEYS *: {reply:?}"))?;
    let mut keys: Vec<Vec<u8>> = elements
        .iter()
        .filter_map(|key| key.bytes())
        .map(<[u8]>::to_vec)
        .collect();
    keys.sort();
    Ok(keys)
}

fn compare_keys(
    database: u64,
    keys: &[Vec<u8>],
    subject: &mut Side<'_>,
    oracle: &mut Side<'_>,
    usage: &mut Usage,
) -> Result<Option<Found>> {
    let questions: Vec<Args> = keys
        .iter()
        .flat_map(|key| {
            [
                cmd("TYPE").arg(key.clone()).0,
                cmd("OBJECT").arg("ENCODING").arg(key.clone()).0,
                cmd("PTTL").arg(key.clone()).0,
            ]
        })
        .collect();
    let (left, right) = (ask_all(subject, &questions)?, ask_all(oracle, &questions)?);
    let mut in_order = Vec::new();
    for ((key, left), right) in keys
        .iter()
        .zip(left.chunks(QUESTIONS))
        .zip(right.chunks(QUESTIONS))
    {
        let encodings = compare_encodings(&left[1], &right[1]);
        if let Some(Same::Explained(reason)) = encodings {
            usage.add(reason);
        }
        if left[0] != right[0] || encodings.is_none() || !compare_ttls(&left[2], &right[2]) {
            let kind = if left[0] != right[0] {
                "type"
            } else if encodings.is_none() {
                "encoding"
            } else {
                "ttl"
            };
            let text = format!(
                "database {database}, key {}: TYPE, OBJECT ENCODING, PTTL\n  subject {left:?}\n  oracle  {right:?}",
                quote(key)
            );
            let kind = format!("STATE {kind} {:?} {:?} / {:?}", left[0], left[1], right[1]);
            return Ok(Some(Found {
                kind,
                text,
                keys: vec![key.clone()],
            }));
        }
        if let Some(Same::Explained(reason)) = encodings
            && let Some(text) = too_big_for_listpack(key, reason, subject)?
        {
            let text = format!(
                "database {database}, key {}: a listpack, though {text}",
                quote(key)
            );
            return Ok(Some(Found {
                kind: format!("STATE {reason:?}"),
                text,
                keys: vec![key.clone()],
            }));
        }
        in_order.extend(ordered_dump(key, &left[0], &left[1], &right[1]));
    }
    compare_orders(database, &in_order, subject, oracle)
}

/// A listpack in place of the oracle's hashtable or quicklist is right only within Redis's default limits.
fn too_big_for_listpack(key: &[u8], reason: Reason, subject: &mut Side<'_>) -> Result<Option<String>> {
    const SET_ENTRIES: usize = 128;
    const SET_VALUE_BYTES: usize = 64;
    const LIST_BYTES: usize = 8192;
    let (question, entries, value_bytes, bytes) = match reason {
        Reason::SetListpack => (cmd("SMEMBERS").arg(key), SET_ENTRIES, SET_VALUE_BYTES, usize::MAX),
        Reason::ListListpack => (
            cmd("LRANGE").arg(key).arg("0").arg("-1"),
            usize::MAX,
            usize::MAX,
            LIST_BYTES,
        ),
        Reason::SetRebuilt
        | Reason::SortTies
        | Reason::RankWithScore
        | Reason::KeyCount
        | Reason::AclRules
        | Reason::AclKeys
        | Reason::ZeroByteInError
        | Reason::ScriptText => {
            return Ok(None);
        }
    };
    let reply = side_value(subject, &question.0)?;
    let lengths: Vec<usize> = reply
        .elements()
        .unwrap_or_default()
        .iter()
        .filter_map(|element| element.bytes())
        .map(<[u8]>::len)
        .collect();
    let longest = lengths.iter().copied().max().unwrap_or_default();
    // Integers take less in a listpack than as text.
    let total: usize = lengths.iter().filter(|length| **length > 20).sum();
    let fits = lengths.len() <= entries && longest <= value_bytes && total <= bytes;
    Ok((!fits).then(|| {
        format!(
            "it has {} elements, the longest of {longest} bytes",
            lengths.len()
        )
    }))
}

/// Collections that both servers keep in an encoding with an order of its own must be in the same order.
fn ordered_dump(key: &[u8], kind: &Reply, subject: &Reply, oracle: &Reply) -> Option<Args> {
    if subject != oracle {
        return None;
    }
    match (kind.text()?, subject.text()?) {
        ("hash", "listpack") => Some(cmd("HGETALL").arg(key).0),
        ("set", "intset") => Some(cmd("SMEMBERS").arg(key).0),
        _ => None,
    }
}

fn compare_orders(
    database: u64,
    commands: &[Args],
    subject: &mut Side<'_>,
    oracle: &mut Side<'_>,
) -> Result<Option<Found>> {
    let (left, right) = (ask_all(subject, commands)?, ask_all(oracle, commands)?);
    let differing = commands
        .iter()
        .zip(left.iter().zip(&right))
        .find(|(_, (left, right))| left != right);
    Ok(differing.map(|(args, (left, right))| Found {
        kind: format!("STATE order {}", String::from_utf8_lossy(&args[0])),
        text: format!(
            "database {database}: {} (packed, so the order counts)\n  subject {left:?}\n  oracle  {right:?}",
            crate::words::join_short(args)
        ),
        keys: vec![args[1].clone()],
    }))
}

fn compare_digests(
    database: u64,
    keys: &[Vec<u8>],
    subject: &mut Side<'_>,
    oracle: &mut Side<'_>,
) -> Result<Option<Found>> {
    let questions: Vec<Args> = keys
        .iter()
        .map(|key| cmd("DEBUG").arg("DIGEST-VALUE").arg(key.clone()).0)
        .collect();
    let (left, right) = (ask_all(subject, &questions)?, ask_all(oracle, &questions)?);
    let Some((key, _)) = keys
        .iter()
        .zip(left.iter().zip(&right))
        .find(|(_, (left, right))| left != right)
    else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(key).into_owned();
    let kind = side_value(subject, &cmd("TYPE").arg(key.clone()).0)?;
    let dump = match kind.text().unwrap_or_default() {
        "string" => cmd("GET").arg(key.clone()),
        "list" => cmd("LRANGE").arg(key.clone()).arg("0").arg("-1"),
        "hash" => cmd("HGETALL").arg(key.clone()),
        "set" => cmd("SORT").arg(key.clone()).arg("ALPHA"),
        _ => cmd("ZRANGE")
            .arg(key.clone())
            .arg("0")
            .arg("-1")
            .arg("WITHSCORES"),
    };
    let values = (side_value(subject, &dump.0)?, side_value(oracle, &dump.0)?);
    let text = format!(
        "database {database}: DEBUG DIGEST-VALUE of {name} ({kind:?}) differs; its value\n  subject {:?}\n  oracle  {:?}",
        values.0, values.1
    );
    Ok(Some(Found {
        kind: format!("STATE value {kind:?}"),
        text,
        keys: vec![key.clone()],
    }))
}

fn side_value(side: &mut Side<'_>, args: &Args) -> Result<Reply> {
    ask_all(side, std::slice::from_ref(args))?
        .pop()
        .context("one question has one answer")
}
