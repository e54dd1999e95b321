//! What is measured: the rows of the table of figures to beat.

use anyhow::Result;

use crate::client::Client;

/// Keys that the commands choose from.
pub const KEYS: u64 = 100_000;
/// Bytes of a value.
pub const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// What must be there before the load starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Nothing.
    Empty,
    /// [`KEYS`] strings.
    Strings,
    /// One list, as long as there will be commands.
    LongList,
    /// One list of 1,000 elements.
    List,
    /// [`KEYS`] strings of 4 KB.
    BigStrings,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, for people and for `--rows`.
    pub name: &'static str,
    /// The command.
    pub command: &'static [&'static str],
    /// Commands sent at once.
    pub pipeline: u64,
    /// How many commands a round sends.
    pub commands: u64,
    /// What must be there before.
    pub ground: Ground,
    /// The ratio of CPU per command to reach, ours to Redis's.
    pub target: f64,
}

const KEY: &str = "key:__rand_int__";

const fn row(
    name: &'static str,
    command: &'static [&'static str],
    pipeline: u64,
    commands: u64,
    ground: Ground,
    target: f64,
) -> Row {
    Row {
        name,
        command,
        pipeline,
        commands,
        ground,
        target,
    }
}

/// Every row.
pub const ROWS: &[Row] = &[
    row(
        "GET, no pipeline",
        &["GET", KEY],
        1,
        200_000,
        Ground::Strings,
        0.85,
    ),
    row(
        "SET, no pipeline",
        &["SET", KEY, VALUE],
        1,
        200_000,
        Ground::Strings,
        0.85,
    ),
    row(
        "GET, pipeline 16",
        &["GET", KEY],
        16,
        1_500_000,
        Ground::Strings,
        0.60,
    ),
    row(
        "SET, pipeline 16",
        &["SET", KEY, VALUE],
        16,
        1_500_000,
        Ground::Strings,
        0.55,
    ),
    row(
        "GET, pipeline 64",
        &["GET", KEY],
        64,
        2_000_000,
        Ground::Strings,
        0.50,
    ),
    row(
        "SET, pipeline 64",
        &["SET", KEY, VALUE],
        64,
        2_000_000,
        Ground::Strings,
        0.45,
    ),
    row(
        "INCR, pipeline 16",
        &["INCR", "counter:__rand_int__"],
        16,
        1_000_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "LPUSH, pipeline 16",
        &["LPUSH", "mylist", VALUE],
        16,
        1_000_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "RPOP, pipeline 16",
        &["RPOP", "mylist"],
        16,
        1_000_000,
        Ground::LongList,
        0.65,
    ),
    row(
        "SADD, pipeline 16",
        &["SADD", "myset", "element:__rand_int__"],
        16,
        1_000_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "HSET, pipeline 16",
        &["HSET", "myhash", "element:__rand_int__", VALUE],
        16,
        1_000_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "ZADD, pipeline 16",
        &["ZADD", "myzset", "__rand_int__", "element:__rand_int__"],
        16,
        500_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "LRANGE 100, pipeline 16",
        &["LRANGE", "mylist", "0", "99"],
        16,
        100_000,
        Ground::List,
        0.65,
    ),
    row(
        "MSET 10, pipeline 16",
        &[
            "MSET", KEY, VALUE, KEY, VALUE, KEY, VALUE, KEY, VALUE, KEY, VALUE, KEY, VALUE, KEY, VALUE, KEY,
            VALUE, KEY, VALUE, KEY, VALUE,
        ],
        16,
        200_000,
        Ground::Strings,
        0.65,
    ),
    row(
        "XADD, pipeline 16",
        &["XADD", "mystream", "*", "field", VALUE],
        16,
        500_000,
        Ground::Empty,
        0.65,
    ),
    row(
        "EVAL of one line, pipeline 16",
        &["EVAL", "return redis.call('GET', KEYS[1])", "1", KEY],
        16,
        200_000,
        Ground::Strings,
        0.65,
    ),
];

/// Empties the server and lays the ground.
///
/// # Errors
/// A server that breaks off.
pub fn prepare(client: &mut Client, ground: Ground, commands: u64) -> Result<()> {
    client.command("FLUSHALL")?;
    match ground {
        Ground::Empty => Ok(()),
        Ground::Strings => fill(client, KEYS, |n| {
            vec![b"SET".to_vec(), format!("key:{n:012}").into(), VALUE.into()]
        }),
        Ground::LongList => fill(client, commands, |_| {
            vec![b"LPUSH".to_vec(), b"mylist".to_vec(), VALUE.into()]
        }),
        Ground::List => fill(client, 1000, |_| {
            vec![b"LPUSH".to_vec(), b"mylist".to_vec(), VALUE.into()]
        }),
        Ground::BigStrings => fill(client, KEYS / 10, |n| {
            vec![b"SET".to_vec(), format!("key:{n:012}").into(), vec![b'x'; 4096]]
        }),
    }
}

/// Sends `count` commands in batches.
///
/// # Errors
/// A server that breaks off or refuses one.
pub fn fill(client: &mut Client, count: u64, command: impl Fn(u64) -> Vec<Vec<u8>>) -> Result<()> {
    const BATCH_BYTES: usize = 64 * 1024;
    let mut batch: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for number in 0..count {
        let args = command(number);
        bytes += args.iter().map(|arg| arg.len() + 8).sum::<usize>();
        batch.push(args);
        if bytes > BATCH_BYTES || number + 1 == count {
            for reply in client.pipeline(&batch)? {
                anyhow::ensure!(!reply.is_error(), "refused: {reply:?}");
            }
            batch.clear();
            bytes = 0;
        }
    }
    Ok(())
}
