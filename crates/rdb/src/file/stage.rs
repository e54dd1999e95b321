//! Values on their way into a file, as they were found: they are copied while a shard is locked, and encoded afterwards.
//! Copying a string costs a tenth of compressing it.
//!
//! Must not know: the file.

use holdfast_storage::snapshot::Meta;
use holdfast_storage::types::list::NodeRef;
use holdfast_storage::value::ValueRef;

/// Keys with values that are one string, or a number.
#[derive(Debug, Default)]
pub(super) struct Stage {
    bytes: Vec<u8>,
    keys: Vec<Staged>,
}

/// A key whose bytes, and those of its value, are in the stage.
#[derive(Debug)]
struct Staged {
    db: u32,
    expire_at_ms: Option<i64>,
    access: u32,
    key_len: usize,
    form: Form,
}

/// How the value is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Int(i64),
    Text(usize),
    Intset(usize),
    HashListpack(usize),
    ZsetListpack(usize),
    /// A list of one packed node.
    Node(usize),
}

/// What is to be written, behind the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'s> {
    Int(i64),
    Text(&'s [u8]),
    Intset(&'s [u8]),
    HashListpack(&'s [u8]),
    ZsetListpack(&'s [u8]),
    Node(&'s [u8]),
}

impl Stage {
    /// Copies a key and its value. False: it is of another kind, and nothing was copied.
    pub(super) fn add(&mut self, meta: &Meta<'_>, value: ValueRef<'_>) -> bool {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(meta.key);
        let Some(form) = self.copy(value) else {
            self.bytes.truncate(begin);
            return false;
        };
        self.keys.push(Staged {
            db: meta.db,
            expire_at_ms: meta.expire_at_ms,
            access: meta.access,
            key_len: meta.key.len(),
            form,
        });
        true
    }

    fn copy(&mut self, value: ValueRef<'_>) -> Option<Form> {
        let mut text = |bytes: &[u8]| {
            self.bytes.extend_from_slice(bytes);
            bytes.len()
        };
        Some(match value {
            ValueRef::Int(int) => Form::Int(int),
            ValueRef::Str { bytes, .. } => Form::Text(text(bytes)),
            ValueRef::Heap(heap) => Form::Text(text(heap.as_slice())),
            ValueRef::Set(set) => Form::Intset(text(set.as_intset()?.as_bytes())),
            ValueRef::Hash(hash) => Form::HashListpack(text(hash.as_listpack()?.as_bytes())),
            ValueRef::Zset(zset) => Form::ZsetListpack(text(zset.as_listpack()?.as_bytes())),
            ValueRef::List(list) if list.node_count() == 1 => match list.nodes().next()? {
                NodeRef::Packed(pack) => Form::Node(text(pack.as_bytes())),
                NodeRef::Plain(_) => return None,
            },
            ValueRef::List(_) | ValueRef::Stream(_) => return None,
        })
    }

    /// Bytes in the stage.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Hands out what was copied, in order.
    pub(super) fn each(&self, mut each: impl FnMut(&Meta<'_>, Body<'_>)) {
        let mut rest = &self.bytes[..];
        for staged in &self.keys {
            let (key, behind) = rest.split_at(staged.key_len);
            rest = behind;
            let mut text = |len: usize| {
                let (text, behind) = rest.split_at(len);
                rest = behind;
                text
            };
            let body = match staged.form {
                Form::Int(int) => Body::Int(int),
                Form::Text(len) => Body::Text(text(len)),
                Form::Intset(len) => Body::Intset(text(len)),
                Form::HashListpack(len) => Body::HashListpack(text(len)),
                Form::ZsetListpack(len) => Body::ZsetListpack(text(len)),
                Form::Node(len) => Body::Node(text(len)),
            };
            let meta = Meta {
                db: staged.db,
                key,
                expire_at_ms: staged.expire_at_ms,
                access: staged.access,
            };
            each(&meta, body);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        /// Memory that is kept.
        const KEEP: usize = 1 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.keys.clear();
        self.keys.shrink_to(KEEP / size_of::<Staged>());
    }
}
