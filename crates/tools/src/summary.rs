//! What is in a snapshot: keys and bytes by type and encoding, and the biggest keys.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Write};

use holdfast_rdb::file::Record;
use holdfast_storage::value::ValueRef;

/// Keys that are listed.
const BIGGEST: usize = 10;
/// Bytes of a key that are shown.
const KEY_SHOWN: usize = 64;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Summary {
    /// Keys, those whose time is over among them.
    pub keys: u64,
    /// Keys that expire.
    pub expiring: u64,
    /// Keys whose time is over.
    pub expired: u64,
    /// Libraries of functions.
    pub functions: u64,
    groups: BTreeMap<(&'static str, &'static str), Group>,
    biggest: BinaryHeap<Reverse<Big>>,
}

#[derive(Debug, Default)]
struct Group {
    keys: u64,
    elements: u64,
    bytes: u64,
}

/// Ordered by bytes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Big {
    bytes: u64,
    db: u32,
    key: Vec<u8>,
    key_len: usize,
    kind: &'static str,
    elements: u64,
}

impl Summary {
    /// Counts a key that takes so many bytes in the file.
    pub fn add(&mut self, record: &Record, bytes: u64, now_ms: i64) {
        self.keys += 1;
        if let Some(at_ms) = record.expire_at_ms {
            self.expiring += 1;
            self.expired += u64::from(at_ms < now_ms);
        }
        let (kind, encoding, elements) = match &record.value {
            Some(value) => {
                let value = value.as_ref();
                (value.kind().name(), value.encoding(), elements(value))
            }
            None => ("none", "empty", 0),
        };
        let group = self.groups.entry((kind, encoding)).or_default();
        group.keys += 1;
        group.elements += elements;
        group.bytes += bytes;
        if self.biggest.len() == BIGGEST {
            if self
                .biggest
                .peek()
                .is_some_and(|Reverse(least)| least.bytes >= bytes)
            {
                return;
            }
            self.biggest.pop();
        }
        self.biggest.push(Reverse(Big {
            bytes,
            db: record.db,
            key: record.key[..record.key.len().min(KEY_SHOWN)].to_vec(),
            key_len: record.key.len(),
            kind,
            elements,
        }));
    }

    /// The tables.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.functions > 0 {
            writeln!(out, "[info] {} libraries of functions", self.functions)?;
        }
        if self.keys == 0 {
            return Ok(());
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| Reverse(group.bytes));
        let bytes: u64 = groups.iter().map(|(_, group)| group.bytes).sum();
        writeln!(out)?;
        writeln!(
            out,
            "{:<8} {:<12} {:>12} {:>14} {:>16} {:>7}",
            "type", "encoding", "keys", "elements", "bytes", "share"
        )?;
        for ((kind, encoding), group) in groups {
            let share = 100.0 * group.bytes as f64 / bytes.max(1) as f64;
            writeln!(
                out,
                "{kind:<8} {encoding:<12} {:>12} {:>14} {:>16} {share:>5.1} %",
                group.keys, group.elements, group.bytes
            )?;
        }
        let mut biggest: Vec<&Big> = self.biggest.iter().map(|Reverse(big)| big).collect();
        biggest.sort_by(|a, b| b.cmp(a));
        writeln!(out)?;
        writeln!(out, "the biggest keys")?;
        writeln!(
            out,
            "{:>16} {:>14} {:<8} {:>4} key",
            "bytes", "elements", "type", "db"
        )?;
        for big in biggest {
            let more = if big.key_len > big.key.len() { "..." } else { "" };
            writeln!(
                out,
                "{:>16} {:>14} {:<8} {:>4} {}{more}",
                big.bytes,
                big.elements,
                big.kind,
                big.db,
                big.key.escape_ascii()
            )?;
        }
        Ok(())
    }
}

/// Elements of a collection; 1 for a string.
fn elements(value: ValueRef<'_>) -> u64 {
    let elements = match value {
        ValueRef::Int(_) | ValueRef::Str { .. } | ValueRef::Heap(_) => 1,
        ValueRef::List(list) => list.len(),
        ValueRef::Set(set) => set.len(),
        ValueRef::Hash(hash) => hash.len(),
        ValueRef::Zset(zset) => zset.len(),
        ValueRef::Stream(stream) => stream.len() as usize,
    };
    elements as u64
}
