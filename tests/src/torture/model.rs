//! What a writer's keys must hold after its first `n` steps. Steps follow from seed, writer and number alone, so the
//! state after any number of them can be told, and a server's data be compared with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Accounts that all writers share; what is in them adds up to nothing.
pub const ACCOUNTS: u64 = 16;
/// Databases that writers use.
pub const DATABASES: usize = 3;
/// Expiries lie this far away, in Unix milliseconds: nothing expires while the test runs.
const FAR_MS: u64 = 9_000_000_000_000;
/// Elements that a list keeps, and entries that a stream keeps.
const KEPT: usize = 30;

/// One command.
pub type Words = Vec<Vec<u8>>;

/// How the commands of a step are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One command.
    Plain,
    /// Between MULTI and EXEC.
    Transaction,
    /// In a script.
    Script,
}

/// What a writer does at once: all of it, or nothing.
#[derive(Debug)]
pub struct Step {
    /// How it is sent.
    pub form: Form,
    /// Commands on the writer's own keys.
    pub commands: Vec<Words>,
    /// From one account to the other, so much. Only in a transaction.
    pub transfer: Option<(u64, u64, i64)>,
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string, a counter too.
    Text(Vec<u8>),
    /// A list.
    List(VecDeque<Vec<u8>>),
    /// A hash.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// A set.
    Set(BTreeSet<Vec<u8>>),
    /// A sorted set, scores as text.
    Zset(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Ids and the value of the one field.
    Stream(VecDeque<(Vec<u8>, Vec<u8>)>),
}

/// A key's value and expiry (-1: none).
pub type Keys = BTreeMap<Vec<u8>, (Value, i64)>;

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Number of steps done.
    pub steps: u64,
    /// The writer's keys.
    pub keys: Keys,
    /// What the writer has moved into each account.
    pub accounts: BTreeMap<u64, i64>,
}

/// The database of a writer.
pub fn database(writer: usize) -> usize {
    writer % DATABASES
}

/// Step `number` (from 1) of a writer.
pub fn step(seed: u64, writer: usize, number: u64) -> Step {
    let mut rng =
        SmallRng::seed_from_u64(seed ^ (writer as u64) << 48 ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut maker = Maker {
        writer,
        number,
        rng: &mut rng,
    };
    match maker.rng.random_range(0..10) {
        0 => maker.transfer(),
        1 => maker.several(Form::Transaction),
        2 => maker.several(Form::Script),
        _ => Step {
            form: Form::Plain,
            commands: vec![maker.command()],
            transfer: None,
        },
    }
}

struct Maker<'a> {
    writer: usize,
    number: u64,
    rng: &'a mut SmallRng,
}

impl Maker<'_> {
    fn several(&mut self, form: Form) -> Step {
        let commands = (0..self.rng.random_range(2..8)).map(|_| self.command()).collect();
        Step {
            form,
            commands,
            transfer: None,
        }
    }

    fn transfer(&mut self) -> Step {
        let from = self.rng.random_range(0..ACCOUNTS);
        let to = (from + self.rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = self.rng.random_range(1..1000);
        let ledger = self.key("list", 1);
        let entry = format!("{}: {amount} from {from} to {to}", self.number);
        let commands = vec![
            words(&[b"RPUSH", &ledger, entry.as_bytes()]),
            self.trim_list(&ledger),
            self.command(),
        ];
        Step {
            form: Form::Transaction,
            commands,
            transfer: Some((from, to, amount)),
        }
    }

    fn key(&mut self, kind: &str, slots: u32) -> Vec<u8> {
        let slot = self.rng.random_range(0..slots);
        format!("{kind}:{}:{slot}", self.writer).into_bytes()
    }

    fn text(&mut self) -> Vec<u8> {
        let len = match self.rng.random_range(0..100) {
            0 => self.rng.random_range(10_000..60_000),
            1..10 => self.rng.random_range(100..4000),
            _ => self.rng.random_range(0..60),
        };
        let repeated = self.rng.random_bool(0.5);
        let start: u8 = self.rng.random();
        (0..len)
            .map(|_| if repeated { start } else { self.rng.random() })
            .collect()
    }

    fn small(&mut self) -> Vec<u8> {
        self.rng.random_range(0..20).to_string().into_bytes()
    }

    fn trim_list(&self, key: &[u8]) -> Words {
        words(&[b"LTRIM", key, format!("-{KEPT}").as_bytes(), b"-1"])
    }

    fn command(&mut self) -> Words {
        let number = self.number.to_string().into_bytes();
        match self.rng.random_range(0..20) {
            0..4 => {
                let (key, text) = (self.key("text", 12), self.text());
                words(&[b"SET", &key, &text])
            }
            4 => {
                let (key, text) = (self.key("text", 12), self.small());
                words(&[b"APPEND", &key, &text])
            }
            5 => {
                let mut all = vec![b"MSET".to_vec()];
                for _ in 0..4 {
                    all.extend([self.key("text", 12), self.text()]);
                }
                all
            }
            6 | 7 => {
                let (key, by) = (self.key("counter", 6), self.small());
                words(&[b"INCRBY", &key, &by])
            }
            8 => {
                let (key, text) = (self.key("list", 6), self.text());
                words(&[b"LPUSH", &key, &number, &text])
            }
            9 => {
                let key = self.key("list", 6);
                self.trim_list(&key)
            }
            10 => {
                let (key, field, text) = (self.key("hash", 6), self.small(), self.text());
                words(&[b"HSET", &key, &field, &text, b"last", &number])
            }
            11 => {
                let (key, field) = (self.key("hash", 6), self.small());
                words(&[b"HDEL", &key, &field])
            }
            12 => {
                let (key, member) = (self.key("set", 6), self.small());
                words(&[b"SADD", &key, &member, &number])
            }
            13 => {
                let (key, a, b) = (self.key("set", 6), self.small(), self.small());
                words(&[b"SREM", &key, &a, &b])
            }
            14 => {
                let (key, member) = (self.key("zset", 6), self.small());
                words(&[b"ZADD", &key, &number, &member])
            }
            15 => {
                let (key, member) = (self.key("zset", 6), self.small());
                words(&[b"ZREM", &key, &member])
            }
            16 => {
                let (key, text) = (self.key("stream", 3), self.text());
                let (id, kept) = (format!("{}-1", self.number), KEPT.to_string());
                // A second entry of the same step has the same id in another key, or fails in both: see `Model`.
                words(&[
                    b"XADD",
                    &key,
                    b"MAXLEN",
                    b"=",
                    kept.as_bytes(),
                    id.as_bytes(),
                    b"f",
                    &text,
                ])
            }
            17 => {
                let key = self.key("text", 12);
                let at = (FAR_MS + self.rng.random_range(0..1_000_000)).to_string();
                words(&[b"PEXPIREAT", &key, at.as_bytes()])
            }
            18 => {
                let (key, other) = (self.key("text", 12), self.key("list", 6));
                words(&[b"DEL", &key, &other])
            }
            _ => {
                let (from, to) = (self.key("counter", 6), self.key("text", 12));
                words(&[b"COPY", &from, &to, b"REPLACE"])
            }
        }
    }
}

fn words(all: &[&[u8]]) -> Words {
    all.iter().map(|w| w.to_vec()).collect()
}

impl Model {
    /// Does the next step.
    ///
    /// # Errors
    /// A mistake of this test: a command that is not known here.
    pub fn apply(&mut self, step: &Step) -> Result<()> {
        self.steps += 1;
        if let Some((from, to, amount)) = step.transfer {
            *self.accounts.entry(from).or_default() -= amount;
            *self.accounts.entry(to).or_default() += amount;
        }
        step.commands.iter().try_for_each(|c| self.command(c))
    }

    fn command(&mut self, words: &Words) -> Result<()> {
        let (name, args) = words.split_first().context("a name")?;
        let key = args.first().context("a key")?.clone();
        match &name[..] {
            b"SET" => self.put(key, Value::Text(args[1].clone())),
            b"MSET" => {
                for pair in args.chunks(2) {
                    self.put(pair[0].clone(), Value::Text(pair[1].clone()));
                }
            }
            b"APPEND" => self.with(key, Value::Text(Vec::new()), |value| match value {
                Value::Text(text) => text.extend(&args[1]),
                other => unreachable!("{other:?}"),
            }),
            b"INCRBY" => self.with(key, Value::Text(b"0".to_vec()), |value| match value {
                Value::Text(text) => {
                    let number = |t: &[u8]| String::from_utf8_lossy(t).parse::<i64>().unwrap_or(0);
                    *text = (number(text) + number(&args[1])).to_string().into_bytes();
                }
                other => unreachable!("{other:?}"),
            }),
            b"LPUSH" | b"RPUSH" => self.with(key, Value::List(VecDeque::new()), |value| match value {
                Value::List(list) if name == b"LPUSH" => {
                    args[1..].iter().for_each(|e| list.push_front(e.clone()))
                }
                Value::List(list) => list.extend(args[1..].iter().cloned()),
                other => unreachable!("{other:?}"),
            }),
            b"LTRIM" => self.with(key, Value::List(VecDeque::new()), |value| match value {
                Value::List(list) => drop(list.drain(..list.len().saturating_sub(KEPT))),
                other => unreachable!("{other:?}"),
            }),
            b"HSET" => self.with(key, Value::Hash(BTreeMap::new()), |value| match value {
                Value::Hash(hash) => hash.extend(args[1..].chunks(2).map(|p| (p[0].clone(), p[1].clone()))),
                other => unreachable!("{other:?}"),
            }),
            b"HDEL" => self.with(key, Value::Hash(BTreeMap::new()), |value| match value {
                Value::Hash(hash) => drop(hash.remove(&args[1])),
                other => unreachable!("{other:?}"),
            }),
            b"SADD" => self.with(key, Value::Set(BTreeSet::new()), |value| match value {
                Value::Set(set) => set.extend(args[1..].iter().cloned()),
                other => unreachable!("{other:?}"),
            }),
            b"SREM" => self.with(key, Value::Set(BTreeSet::new()), |value| match value {
                Value::Set(set) => args[1..].iter().for_each(|m| drop(set.take(m))),
                other => unreachable!("{other:?}"),
            }),
            b"ZADD" => self.with(key, Value::Zset(BTreeMap::new()), |value| match value {
                Value::Zset(zset) => drop(zset.insert(args[2].clone(), args[1].clone())),
                other => unreachable!("{other:?}"),
            }),
            b"ZREM" => self.with(key, Value::Zset(BTreeMap::new()), |value| match value {
                Value::Zset(zset) => drop(zset.remove(&args[1])),
                other => unreachable!("{other:?}"),
            }),
            b"XADD" => self.with(key, Value::Stream(VecDeque::new()), |value| match value {
                Value::Stream(entries) => {
                    // The same id again is an error in the server, and changes nothing.
                    if entries.back().is_none_or(|(id, _)| *id != args[4]) {
                        entries.push_back((args[4].clone(), args[6].clone()));
                        entries.drain(..entries.len().saturating_sub(KEPT));
                    }
                }
                other => unreachable!("{other:?}"),
            }),
            b"PEXPIREAT" => {
                if let Some((_, expiry)) = self.keys.get_mut(&key) {
                    *expiry = String::from_utf8_lossy(&args[1]).parse()?;
                }
            }
            b"DEL" => args.iter().for_each(|k| drop(self.keys.remove(k))),
            b"COPY" => {
                if let Some(value) = self.keys.get(&key).cloned() {
                    self.keys.insert(args[1].clone(), value);
                }
            }
            other => bail!("the model does not know {}", other.escape_ascii()),
        }
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, value: Value) {
        self.keys.insert(key, (value, -1));
    }

    /// Changes a value, which is there or is made from `empty`; a collection without elements goes away.
    fn with(&mut self, key: Vec<u8>, empty: Value, change: impl FnOnce(&mut Value)) {
        let value = &mut self.keys.entry(key.clone()).or_insert((empty, -1)).0;
        change(value);
        let gone = match value {
            Value::Text(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Zset(zset) => zset.is_empty(),
        };
        if gone {
            self.keys.remove(&key);
        }
    }
}
