//! A base of commands (`aof-use-rdb-preamble no`): those that would make the data as they were at the cut.
//!
//! Streams are the exception: their groups, owners and counters have no commands that would restore all of them, so they
//! are written with RESTORE.
//!
//! Must not know: when a base is written.

use std::path::Path;

use holdfast_rdb::Dialect;
use holdfast_rdb::payload::dump;
use holdfast_resp::{encode_command, format_double};
use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::snapshot::{Element, Meta, Progress, Sink, Walker};
use holdfast_storage::value::{Kind, ValueRef};

use crate::fs::{Fs, replace};
use crate::rdb::{SaveError, Watcher};

/// Elements of one command, as in Redis.
const ELEMENTS: usize = 64;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 256 << 10;

/// Writes what makes the data of a walk into a new file at `path`, as [`crate::rdb::save`] does. `libraries`: the code of the
/// functions.
///
/// # Errors
/// See [`SaveError`].
pub fn write_commands(
    fs: &dyn Fs,
    path: &Path,
    temporary: &Path,
    mut walker: Walker<'_>,
    libraries: &[Vec<u8>],
    watcher: &dyn Watcher,
) -> Result<(), SaveError> {
    let mut failed = None;
    let mut commands = Commands::default();
    for code in libraries {
        commands.put(&[b"FUNCTION", b"LOAD", code]);
    }
    let written = replace(fs, path, temporary, |out| {
        loop {
            let progress = match walker.step(&mut commands) {
                Ok(progress) => progress,
                Err(error) => {
                    failed = Some(SaveError::Snapshot(error));
                    return Err(std::io::Error::other("the save ended early"));
                }
            };
            if !watcher.keys(commands.keys) {
                failed = Some(SaveError::Cancelled);
                return Err(std::io::Error::other("the save ended early"));
            }
            if commands.out.len() >= GATHERED || progress == Progress::Done {
                out.write_all(&commands.out)?;
                commands.taken += commands.out.len();
                commands.out.clear();
                out.write_behind();
            }
            if progress == Progress::Done {
                return Ok(());
            }
        }
    });
    match (written, failed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(SaveError::Io(error)),
    }
}

/// Commands that make keys, with the database selected before: a [`Sink`] that gathers them.
#[derive(Debug, Default)]
pub struct Commands {
    out: Vec<u8>,
    taken: usize,
    db: Option<u32>,
    keys: u64,
    /// The collection that is being written in elements.
    open: Option<Open>,
    /// Words of its next command.
    words: Vec<Vec<u8>>,
    /// When its fields expire.
    times: Vec<(Vec<u8>, i64)>,
}

#[derive(Debug)]
struct Open {
    key: Vec<u8>,
    command: &'static [u8],
    expire_at_ms: Option<i64>,
}

impl Commands {
    /// Bytes that wait to be taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// What was gathered since it was taken last. It may end within a command, see [`Self::is_whole`].
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len();
        std::mem::take(&mut self.out)
    }

    /// Whether what was gathered ends with a whole command: the bytes of a long string come in pieces.
    pub fn is_whole(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.command != b"SET")
    }

    fn put(&mut self, argv: &[&[u8]]) {
        encode_command(&mut self.out, argv);
    }

    fn key(&mut self, meta: &Meta<'_>) {
        self.keys += 1;
        if self.db.replace(meta.db) != Some(meta.db) {
            self.put(&[b"SELECT", meta.db.to_string().as_bytes()]);
        }
    }

    fn expire(&mut self, key: &[u8], at_ms: Option<i64>) {
        if let Some(at) = at_ms {
            self.put(&[b"PEXPIREAT", key, at.to_string().as_bytes()]);
        }
    }

    fn open(&mut self, meta: &Meta<'_>, command: &'static [u8]) {
        self.key(meta);
        self.open = Some(Open {
            key: meta.key.to_vec(),
            command,
            expire_at_ms: meta.expire_at_ms,
        });
    }

    fn add(&mut self, words: [Option<Vec<u8>>; 2]) {
        self.words.extend(words.into_iter().flatten());
        let pairs = self
            .open
            .as_ref()
            .is_some_and(|open| matches!(open.command, b"HSET" | b"ZADD"));
        if self.words.len() >= ELEMENTS * (1 + usize::from(pairs)) {
            self.send();
        }
    }

    fn send(&mut self) {
        let Some(open) = self.open.take() else { return };
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            let mut argv: Vec<&[u8]> = vec![open.command, &open.key];
            argv.extend(words.iter().map(Vec::as_slice));
            self.put(&argv);
        }
        for (field, at) in std::mem::take(&mut self.times) {
            let at = at.to_string();
            self.put(&[b"HPEXPIREAT", &open.key, at.as_bytes(), b"FIELDS", b"1", &field]);
        }
        self.open = Some(open);
    }

    fn close(&mut self) {
        self.send();
        if let Some(open) = self.open.take() {
            self.expire(&open.key, open.expire_at_ms);
        }
    }
}

fn text(item: Item<'_>) -> Vec<u8> {
    match item {
        Item::Int(int) => int.to_string().into_bytes(),
        Item::Bytes(bytes) => bytes.to_vec(),
    }
}

fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::new();
    format_double(score, &mut text);
    text
}

impl Sink for Commands {
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>) {
        let string = |this: &mut Self, bytes: &[u8]| {
            this.key(meta);
            this.put(&[b"SET", meta.key, bytes]);
            this.expire(meta.key, meta.expire_at_ms);
        };
        match value {
            ValueRef::Int(int) => string(self, int.to_string().as_bytes()),
            ValueRef::Str { bytes, .. } => string(self, bytes),
            ValueRef::Heap(heap) => string(self, heap.as_slice()),
            ValueRef::List(list) => {
                self.open(meta, b"RPUSH");
                list.iter().for_each(|item| self.add([Some(text(item)), None]));
                self.close();
            }
            ValueRef::Set(set) => {
                self.open(meta, b"SADD");
                set.iter().for_each(|item| self.add([Some(text(item)), None]));
                self.close();
            }
            ValueRef::Hash(hash) => {
                self.open(meta, b"HSET");
                for (field, value, at_ms) in hash.iter_all() {
                    let field = text(field);
                    self.times.extend(at_ms.map(|at| (field.clone(), at)));
                    self.add([Some(field), Some(text(value))]);
                }
                self.close();
            }
            ValueRef::Zset(zset) => {
                self.open(meta, b"ZADD");
                zset.iter()
                    .for_each(|(member, score)| self.add([Some(score_text(score)), Some(text(member))]));
                self.close();
            }
            ValueRef::Stream(_) => {
                self.key(meta);
                let payload = dump(value, false, Dialect::Redis);
                self.put(&[b"RESTORE", meta.key, b"0", &payload]);
                self.expire(meta.key, meta.expire_at_ms);
            }
        }
    }

    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize) {
        let command: &[u8] = match kind {
            Kind::Set => b"SADD",
            Kind::Hash => b"HSET",
            Kind::Zset => b"ZADD",
            Kind::String => b"SET",
            Kind::List | Kind::Stream => unreachable!("lists and streams do not come in elements"),
        };
        self.open(meta, command);
        if kind == Kind::String {
            // Its bytes follow as they come.
            let header = format!("*3\r\n$3\r\nSET\r\n${}\r\n", meta.key.len());
            self.out.extend_from_slice(header.as_bytes());
            self.out.extend_from_slice(meta.key);
            self.out.extend_from_slice(format!("\r\n${len}\r\n").as_bytes());
        }
    }

    fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Member(member) => self.add([Some(member.to_vec()), None]),
            Element::Field(field, value, at_ms) => {
                self.times.extend(at_ms.map(|at| (field.to_vec(), at)));
                self.add([Some(field.to_vec()), Some(value.to_vec())]);
            }
            Element::Bytes(bytes) => self.out.extend_from_slice(bytes),
            Element::Scored(member, score) => self.add([Some(score_text(score)), Some(member.to_vec())]),
        }
    }

    fn end(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.command == b"SET") {
            self.out.extend_from_slice(b"\r\n");
        }
        self.close();
    }

    fn written(&self) -> usize {
        self.taken + self.out.len()
    }
}
