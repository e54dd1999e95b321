//! Memory: growth of the resident set per item, for the shapes of the table of figures to beat.

use anyhow::Result;

use super::rows::fill;
use super::{Effort, start};
use crate::server::Role;

/// Items of each shape.
const ITEMS: u64 = 1_000_000;

type Command = fn(u64) -> Vec<Vec<u8>>;

/// What is stored.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// The command that stores the n-th item, or group of items.
    command: Command,
    /// Items per command.
    per_command: u64,
    /// Bytes per item to reach.
    pub target: f64,
}

/// What a shape takes.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The shape.
    pub shape: Shape,
    /// Bytes per item in the server under test, or why it cannot hold the shape.
    pub subject: Result<f64, String>,
    /// Bytes per item in `redis-server`.
    pub oracle: f64,
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn string(n: u64, length: usize) -> Vec<Vec<u8>> {
    words(&["SET", &format!("key:{n:012}"), &"v".repeat(length)])
}

fn hundred_integers(n: u64) -> Vec<Vec<u8>> {
    let mut command = words(&["SADD", &format!("ints:{n}")]);
    command.extend((0..100).map(|i| (100_000 + n * 100 + i).to_string().into_bytes()));
    command
}

/// Every shape.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "`key:%012d` -> 8 bytes",
        command: |n| string(n, 8),
        per_command: 1,
        target: 60.0,
    },
    Shape {
        name: "-> 32 bytes",
        command: |n| string(n, 32),
        per_command: 1,
        target: 84.0,
    },
    Shape {
        name: "-> 64 bytes",
        command: |n| string(n, 64),
        per_command: 1,
        target: 116.0,
    },
    Shape {
        name: "-> 32 bytes with a TTL",
        command: |n| {
            let mut command = string(n, 32);
            command.extend(words(&["EX", "1000000"]));
            command
        },
        per_command: 1,
        target: 96.0,
    },
    Shape {
        name: "hash of 5 small fields (about 80 bytes)",
        command: |n| {
            let mut command = words(&["HSET", &format!("key:{n:012}")]);
            for field in 0..5 {
                command.extend(words(&[
                    &format!("field{field}"),
                    &format!("val{:04}", n % 10_000),
                ]));
            }
            command
        },
        per_command: 1,
        target: 150.0,
    },
    Shape {
        name: "one sorted set, 17-byte members",
        command: |n| words(&["ZADD", "zset", &n.to_string(), &format!("member:{n:010}")]),
        per_command: 1,
        target: 72.0,
    },
    Shape {
        name: "one set, 17-byte members",
        command: |n| words(&["SADD", "set", &format!("member:{n:010}")]),
        per_command: 1,
        target: 34.0,
    },
    Shape {
        name: "one hash, 16-byte fields, 13-byte values",
        command: |n| {
            words(&[
                "HSET",
                "hash",
                &format!("field:{n:010}"),
                &format!("value:{n:07}"),
            ])
        },
        per_command: 1,
        target: 58.0,
    },
    Shape {
        name: "one list, 18-byte elements",
        command: |n| words(&["RPUSH", "list", &format!("element:{n:010}")]),
        per_command: 1,
        target: 20.0,
    },
    Shape {
        name: "sets of 100 integers, per member",
        command: hundred_integers,
        per_command: 100,
        target: 5.0,
    },
    Shape {
        name: "100 streams, two small fields per entry",
        command: |n| {
            words(&[
                "XADD",
                &format!("stream:{}", n % 100),
                "*",
                "f1",
                &(n % 100).to_string(),
                "f2",
                &(n % 77).to_string(),
            ])
        },
        per_command: 1,
        target: 14.0,
    },
];

/// Measures one shape, on a fresh server each.
///
/// # Errors
/// A server that fails.
pub fn measure(shape: &Shape, effort: Effort) -> Result<Measured> {
    Ok(Measured {
        shape: *shape,
        subject: bytes_per_item(Role::Subject, shape, effort)?,
        oracle: bytes_per_item(Role::Oracle, shape, effort)?.unwrap_or_default(),
    })
}

fn bytes_per_item(role: Role, shape: &Shape, effort: Effort) -> Result<Result<f64, String>> {
    let server = start(role, None, 1)?;
    let mut client = server.connect()?;
    let reply = client.call(&(shape.command)(0))?;
    if reply.is_error() {
        return Ok(Err(format!("{reply:?}")));
    }
    let items = effort.scale(ITEMS);
    let before = server.resident_bytes()?;
    fill(&mut client, items / shape.per_command, shape.command)?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    Ok(Ok(grown as f64 / items as f64))
}
