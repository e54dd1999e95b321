//! The RDB format: values become bytes and bytes become values, as `DUMP` payloads, files and full synchronisation
//! carry them.
//!
//! Pure: no files, no clock, no sockets. Bytes of any origin may be given to the reading half: every structure is
//! checked, nothing is allocated that the input does not justify, and nothing panics. Sources of the facts: the public
//! descriptions of the format (rdb.fnordig.de, the wikis of redis-rdb-tools and redis-replicator), and what
//! redis-server 7.0.15 writes and accepts.

#![forbid(unsafe_code)]

// The bytes below the objects.
pub mod crc64;
mod error;
pub mod input;
mod lzf;
pub mod read;
pub mod write;

// Files.
pub mod file;

// Objects.
mod hash;
mod list;
pub mod payload;
mod set;
mod skim;
mod stream;
mod types;
mod value;
mod ziplist;
mod zipmap;
mod zset;

pub use error::RdbError;
pub use types::{Dialect, Type};
pub use value::{Limits, read_value, type_of, version_of, write_value};
