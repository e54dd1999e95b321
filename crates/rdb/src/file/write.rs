//! Writing a whole RDB into memory, from where its maker takes it piece by piece: the sink of a snapshot may not wait for a
//! disk.

use holdfast_storage::access;
use holdfast_storage::snapshot::{Element, Meta, Sink};
use holdfast_storage::value::{Kind, ValueRef};

use super::op;
use super::stage::{Body, Stage};
use crate::crc64::Crc64;
use crate::hash::NEVER;
use crate::list;
use crate::types::{Dialect, Type};
use crate::value::{type_of, write_value};
use crate::write::Writer;

/// How the access clock is understood, and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// It counts accesses (an LFU policy).
    pub lfu: bool,
    /// `lfu-decay-time` in minutes.
    pub lfu_decay_minutes: u32,
    /// It notes times that are of use (an LRU policy).
    pub lru: bool,
}

/// The version of a file that needs none newer (docs/adr/0008).
const OLDEST_WRITTEN: u16 = 10;

/// See the module's documentation.
#[derive(Debug)]
pub struct FileWriter {
    w: Writer<Vec<u8>>,
    crc: Option<Crc64>,
    clocks: Clocks,
    /// Fields of hashes expire somewhere, so the file needs a version that knows this: this family's.
    timed: Option<Dialect>,
    db: Option<u32>,
    taken: usize,
    keys: u64,
    /// Found, and not encoded yet. Empty while a collection is written element by element.
    stage: Stage,
}

impl FileWriter {
    /// Begins a file. `timed`: there may be hashes whose fields expire, and whose form they are written in. `checked`: it
    /// ends with a checksum.
    pub fn new(compress: bool, checked: bool, timed: Option<Dialect>, clocks: Clocks) -> Self {
        let magic = match timed {
            None => format!("REDIS{OLDEST_WRITTEN:04}"),
            Some(Dialect::Redis) => format!("REDIS{:04}", Dialect::Redis.timed_version()),
            Some(Dialect::Valkey) => format!("VALKEY{:03}", Dialect::Valkey.timed_version()),
        };
        Self {
            w: Writer::new(magic.into_bytes(), compress),
            crc: checked.then(Crc64::new),
            clocks,
            timed,
            db: None,
            taken: 0,
            keys: 0,
            stage: Stage::default(),
        }
    }

    /// True if only servers can read it that know hashes whose fields expire.
    pub fn is_timed(&self) -> bool {
        self.timed.is_some()
    }

    /// Adds a note.
    pub fn aux(&mut self, name: &str, value: &[u8]) {
        self.put(|w| {
            w.byte(op::AUX)?;
            w.string(name.as_bytes())?;
            w.string(value)
        });
    }

    /// Adds a library of functions.
    pub fn function(&mut self, code: &[u8]) {
        self.put(|w| {
            w.byte(op::FUNCTION)?;
            w.string(code)
        });
    }

    /// Selects a database and tells how many keys it has, and how many of them expire.
    pub fn resize(&mut self, db: u32, keys: u64, expiring: u64) {
        self.select(db);
        self.put(|w| {
            w.byte(op::RESIZE_DB)?;
            w.len(keys)?;
            w.len(expiring)
        });
    }

    /// Ends the file.
    pub fn finish(&mut self) {
        self.settle();
        self.put(|w| w.byte(op::END));
        let sum = match &mut self.crc {
            Some(crc) => {
                crc.update(&self.w.get_ref()[..]);
                crc.get()
            }
            None => 0,
        };
        self.crc = None;
        self.put(|w| w.raw(&sum.to_le_bytes()));
    }

    /// Lends what was written since the last call to `f`, and forgets it.
    pub fn drain<R>(&mut self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.settle();
        if let Some(crc) = &mut self.crc {
            crc.update(self.w.get_ref());
        }
        let result = f(self.w.get_ref());
        self.taken += self.w.get_ref().len();
        let buffer = self.w.get_mut();
        buffer.clear();
        buffer.shrink_to(1 << 20);
        result
    }

    /// Bytes that [`FileWriter::drain`] would lend; what will be compressed counts as it is.
    pub fn pending(&self) -> usize {
        self.w.get_ref().len() + self.stage.len()
    }

    /// Number of keys so far.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Encodes what was only copied. Here, that is: after the locks.
    fn settle(&mut self) {
        if self.stage.is_empty() {
            return;
        }
        let mut stage = std::mem::take(&mut self.stage);
        stage.each(|meta, body| {
            let (ty, text) = match body {
                Body::Int(int) => {
                    self.key(meta, Type::String);
                    return self.put(|w| w.int(int));
                }
                Body::Node(pack) => {
                    self.key(meta, Type::ListQuicklist2);
                    return self.put(|w| list::write_packed(w, pack));
                }
                Body::Text(text) => (Type::String, text),
                Body::Intset(text) => (Type::SetIntset, text),
                Body::HashListpack(text) => (Type::HashListpack, text),
                Body::ZsetListpack(text) => (Type::ZsetListpack, text),
            };
            self.key(meta, ty);
            self.put(|w| w.string(text));
        });
        stage.clear();
        self.stage = stage;
    }

    fn put(&mut self, write: impl FnOnce(&mut Writer<Vec<u8>>) -> std::io::Result<()>) {
        write(&mut self.w).expect("memory takes what is written to it");
    }

    fn select(&mut self, db: u32) {
        if self.db.replace(db) != Some(db) {
            self.put(|w| {
                w.byte(op::SELECT_DB)?;
                w.len(u64::from(db))
            });
        }
    }

    fn key(&mut self, meta: &Meta<'_>, ty: Type) {
        self.select(meta.db);
        let clocks = self.clocks;
        self.put(|w| {
            if let Some(at) = meta.expire_at_ms {
                w.byte(op::EXPIRE_MS)?;
                w.millis(at)?;
            }
            if clocks.lfu {
                let counter = access::lfu_counter(meta.access, clocks.now_ms, clocks.lfu_decay_minutes);
                w.raw(&[op::FREQ, counter])?;
            } else if clocks.lru {
                w.byte(op::IDLE)?;
                w.len(access::lru_idle_ms(meta.access, clocks.now_ms) / 1000)?;
            }
            w.byte(ty.code())?;
            w.string(meta.key)
        });
    }
}

impl Sink for FileWriter {
    fn value(&mut self, meta: &Meta<'_>, value: ValueRef<'_>) {
        self.keys += 1;
        if self.stage.add(meta, value) {
            return;
        }
        let dialect = self.timed.unwrap_or_default();
        self.key(meta, type_of(value, dialect));
        self.put(|w| write_value(w, value, dialect));
    }

    fn begin(&mut self, meta: &Meta<'_>, kind: Kind, len: usize) {
        self.settle();
        self.keys += 1;
        let ty = match kind {
            Kind::Set => Type::Set,
            Kind::Zset => Type::Zset2,
            Kind::Hash => self.timed.map_or(Type::Hash, Dialect::timed_hash),
            // As it is: to compress it, all of it would have to be there at once.
            Kind::String => Type::String,
            Kind::List | Kind::Stream => {
                unreachable!("lists and streams do not come in elements")
            }
        };
        self.key(meta, ty);
        self.put(|w| {
            if ty == Type::HashMetadata {
                // The earliest time is not known yet; times are then counted from this one.
                w.millis(1)?;
            }
            w.len(len as u64)
        });
    }

    fn element(&mut self, element: Element<'_>) {
        let timed = self.timed;
        self.put(|w| match element {
            Element::Member(member) => w.string(member),
            Element::Field(field, value, at_ms) => {
                if timed == Some(Dialect::Redis) {
                    w.len(at_ms.and_then(|at| u64::try_from(at).ok()).unwrap_or(0))?;
                }
                w.string(field)?;
                w.string(value)?;
                if timed == Some(Dialect::Valkey) {
                    w.millis(at_ms.unwrap_or(NEVER))?;
                }
                Ok(())
            }
            Element::Bytes(bytes) => w.raw(bytes),
            Element::Scored(member, score) => {
                w.string(member)?;
                w.double(score)
            }
        });
    }

    fn end(&mut self) {}

    fn written(&self) -> usize {
        self.taken + self.pending()
    }
}
