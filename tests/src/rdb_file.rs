//! RDB files of any version, byte by byte, after the description of the format: what old Redis versions wrote, and what
//! none ever writes. Written apart from the server's own code, so that it cannot share a mistake with it.

/// Kinds of values by their number in the file.
pub mod kind {
    /// Text.
    pub const STRING: u8 = 0;
    /// Strings in a row.
    pub const LIST: u8 = 1;
    /// The same without order.
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET: u8 = 3;
    /// Fields and values.
    pub const HASH: u8 = 4;
    /// Scores in 8 bytes.
    pub const ZSET_2: u8 = 5;
    /// A module's value.
    pub const MODULE_2: u8 = 7;
    /// See [`super::zipmap`].
    pub const HASH_ZIPMAP: u8 = 9;
    /// See [`super::ziplist`].
    pub const LIST_ZIPLIST: u8 = 10;
    /// See [`super::intset`].
    pub const SET_INTSET: u8 = 11;
    /// Members and scores in a ziplist.
    pub const ZSET_ZIPLIST: u8 = 12;
    /// Fields and values in a ziplist.
    pub const HASH_ZIPLIST: u8 = 13;
    /// Ziplists in a row.
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream of Redis 5.
    pub const STREAM: u8 = 15;
    /// Fields and values in a listpack.
    pub const HASH_LISTPACK: u8 = 16;
    /// Members and scores in a listpack.
    pub const ZSET_LISTPACK: u8 = 17;
    /// Listpacks in a row.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// A stream of Redis 7.0.
    pub const STREAM_2: u8 = 19;
    /// See [`super::listpack`].
    pub const SET_LISTPACK: u8 = 20;
    /// A stream of Redis 7.2.
    pub const STREAM_3: u8 = 21;
    /// Valkey 9: field, value, 8 bytes of time.
    pub const HASH_VALKEY: u8 = 22;
    /// Redis 7.4: fields with times, relative to the earliest.
    pub const HASH_METADATA: u8 = 24;
    /// Redis 7.4: the same in a listpack.
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// A file that is being put together.
#[derive(Debug, Clone)]
pub struct RdbFile {
    bytes: Vec<u8>,
    version: u16,
}

impl RdbFile {
    /// Begins a file of Redis's version, or of Valkey's from 80 on.
    pub fn new(version: u16) -> RdbFile {
        let magic = if version < 80 {
            format!("REDIS{version:04}")
        } else {
            format!("VALKEY{version:03}")
        };
        RdbFile {
            bytes: magic.into_bytes(),
            version,
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut RdbFile {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A note about the file (since version 7).
    pub fn aux(&mut self, name: &str, value: &str) -> &mut RdbFile {
        self.raw(&[0xFA])
            .raw(&string(name.as_bytes()))
            .raw(&string(value.as_bytes()))
    }

    /// What follows belongs to this database.
    pub fn select(&mut self, db: u8) -> &mut RdbFile {
        self.raw(&[0xFE]).raw(&length(u64::from(db)))
    }

    /// A key with a value of this kind.
    pub fn key(&mut self, kind: u8, key: &str, value: &[u8]) -> &mut RdbFile {
        self.raw(&[kind]).raw(&string(key.as_bytes())).raw(value)
    }

    /// The file, ended as its version asks for.
    pub fn finish(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.push(0xFF);
        if self.version >= 5 {
            let sum = crc64(&bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        bytes
    }
}

/// A number in front of something.
pub fn length(n: u64) -> Vec<u8> {
    match n {
        0..0x40 => vec![n as u8],
        0x40..0x4000 => vec![0x40 | (n >> 8) as u8, n as u8],
        0x4000..=0xFFFF_FFFF => [&[0x80], &(n as u32).to_be_bytes()[..]].concat(),
        _ => [&[0x81], &n.to_be_bytes()[..]].concat(),
    }
}

/// A string as it is.
pub fn string(text: &[u8]) -> Vec<u8> {
    [length(text.len() as u64), text.to_vec()].concat()
}

/// A string that is a number, in the smallest form for it.
pub fn integer(n: i32) -> Vec<u8> {
    if let Ok(n) = i8::try_from(n) {
        vec![0xC0, n as u8]
    } else if let Ok(n) = i16::try_from(n) {
        [&[0xC1], &n.to_le_bytes()[..]].concat()
    } else {
        [&[0xC2], &n.to_le_bytes()[..]].concat()
    }
}

/// A string of `count` times the same byte, compressed: a literal, then references to what stands one byte before.
pub fn compressed(byte: u8, count: usize) -> Vec<u8> {
    const LONGEST: usize = 264;
    let (mut packed, mut left) = (vec![0, byte], count - 1);
    while left > 0 {
        let run = left.min(LONGEST);
        match run {
            1 | 2 => packed.extend([vec![run as u8 - 1], vec![byte; run]].concat()),
            3..=8 => packed.extend([((run - 2) << 5) as u8, 0]),
            _ => packed.extend([7 << 5, (run - 9) as u8, 0]),
        }
        left -= run;
    }
    [
        vec![0xC3],
        length(packed.len() as u64),
        length(count as u64),
        packed,
    ]
    .concat()
}

/// Strings with their number in front.
pub fn strings(items: &[&str]) -> Vec<u8> {
    let items_bytes: Vec<u8> = items.iter().flat_map(|i| string(i.as_bytes())).collect();
    [length(items.len() as u64), items_bytes].concat()
}

/// A hash of few fields, as Redis 2.4 and older had it, with `free` unused bytes behind each value.
pub fn zipmap(pairs: &[(&str, &str)], free: u8) -> Vec<u8> {
    let len = |text: &str| match u8::try_from(text.len()) {
        Ok(n) if n < 254 => vec![n],
        _ => [&[254], &(text.len() as u32).to_le_bytes()[..]].concat(),
    };
    let mut bytes = vec![pairs.len().min(254) as u8];
    for (field, value) in pairs {
        bytes.extend([len(field), field.as_bytes().to_vec(), len(value), vec![free]].concat());
        bytes.extend([value.as_bytes().to_vec(), vec![b'?'; usize::from(free)]].concat());
    }
    bytes.push(255);
    string(&bytes)
}

/// Elements one after the other, each with the length of the one before, as Redis up to 6.2 had them.
pub fn ziplist(items: &[&str]) -> Vec<u8> {
    let (mut body, mut previous, mut tail) = (Vec::new(), 0_usize, 10);
    for item in items {
        let mut entry = match u8::try_from(previous) {
            Ok(n) if n < 254 => vec![n],
            _ => [&[254], &(previous as u32).to_le_bytes()[..]].concat(),
        };
        entry.extend(ziplist_entry(item));
        (tail, previous) = (10 + body.len(), entry.len());
        body.extend(entry);
    }
    let total = 10 + body.len() + 1;
    let count = u16::try_from(items.len()).unwrap_or(u16::MAX);
    let mut bytes = [(total as u32).to_le_bytes(), (tail as u32).to_le_bytes()].concat();
    bytes.extend(count.to_le_bytes());
    bytes.extend(body);
    bytes.push(255);
    string(&bytes)
}

fn ziplist_entry(item: &str) -> Vec<u8> {
    // Only what reads the same when it is written again is a number.
    if let Some(n) = item.parse::<i64>().ok().filter(|n| n.to_string() == item) {
        let le = n.to_le_bytes();
        return match n {
            0..=12 => vec![0xF1 + n as u8],
            -0x80..=0x7F => vec![0xFE, le[0]],
            -0x8000..=0x7FFF => [&[0xC0], &le[..2]].concat(),
            -0x80_0000..=0x7F_FFFF => [&[0xF0], &le[..3]].concat(),
            -0x8000_0000..=0x7FFF_FFFF => [&[0xD0], &le[..4]].concat(),
            _ => [&[0xE0], &le[..]].concat(),
        };
    }
    let text = item.as_bytes();
    let head = match text.len() {
        n @ 0..=63 => vec![n as u8],
        n @ 64..=16383 => vec![0x40 | (n >> 8) as u8, n as u8],
        n => [&[0x80], &(n as u32).to_be_bytes()[..]].concat(),
    };
    [head, text.to_vec()].concat()
}

/// Sorted integers of 2, 4 or 8 bytes.
pub fn intset(width: u32, items: &[i64]) -> Vec<u8> {
    let mut bytes = [width.to_le_bytes(), (items.len() as u32).to_le_bytes()].concat();
    for item in items {
        bytes.extend(&item.to_le_bytes()[..width as usize]);
    }
    string(&bytes)
}

/// Elements one after the other, each with its own length behind it, as Redis 7 has them. Texts of at most 63 bytes;
/// numbers are kept as such.
pub fn listpack(items: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        let entry = match item.parse::<i64>().ok().filter(|n| n.to_string() == *item) {
            Some(n @ 0..=127) => vec![n as u8],
            Some(n) => [&[0xF4], &n.to_le_bytes()[..]].concat(),
            None => {
                assert!(item.len() < 64, "longer texts have another form");
                [&[0x80 | item.len() as u8], item.as_bytes()].concat()
            }
        };
        let back = entry.len() as u8;
        body.extend(entry);
        body.push(back);
    }
    let mut bytes = (6 + body.len() as u32 + 1).to_le_bytes().to_vec();
    bytes.extend((items.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(255);
    string(&bytes)
}

/// An id as 16 bytes.
pub fn id(ms: u64, seq: u64) -> Vec<u8> {
    [ms.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// A stream with the entries 1-1 (`f` `a`) and 1-2 (`f` `b`), and a group `g` of which consumer `c` has both pending.
/// `kind` is one of the three kinds of streams.
pub fn stream(kind: u8) -> Vec<u8> {
    // The head: entries, deleted ones, number of the shared fields, these, an end. Entries: flags (2: the shared fields),
    // offset of the id, values, number of elements.
    let pack = listpack(&[
        "2", "0", "1", "f", "0", "2", "0", "0", "a", "4", "2", "0", "1", "b", "4",
    ]);
    let mut bytes = [
        length(1),
        string(&id(1, 1)),
        pack,
        length(2),
        length(1),
        length(2),
    ]
    .concat();
    if kind != kind::STREAM {
        bytes.extend([1, 1, 0, 0, 2].iter().flat_map(|n| length(*n))); // first id, deleted id, entries added
    }
    bytes.extend([length(1), string(b"g"), length(1), length(2)].concat());
    if kind != kind::STREAM {
        bytes.extend(length(2)); // entries read
    }
    bytes.extend(length(2));
    for (seq, deliveries) in [(1, 1), (2, 5)] {
        bytes.extend(
            [
                id(1, seq),
                1_600_000_000_123_i64.to_le_bytes().to_vec(),
                length(deliveries),
            ]
            .concat(),
        );
    }
    bytes.extend(
        [
            length(1),
            string(b"c"),
            1_600_000_000_456_i64.to_le_bytes().to_vec(),
        ]
        .concat(),
    );
    if kind == kind::STREAM_3 {
        bytes.extend(1_600_000_000_400_i64.to_le_bytes()); // when it was active
    }
    bytes.extend([length(2), id(1, 1), id(1, 2)].concat());
    bytes
}

/// CRC-64 of Jones, bit by bit.
pub fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}
