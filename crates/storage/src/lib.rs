//! The keyspace, its types and encodings, expiry and eviction.
//!
//! No I/O, no clock, no RESP: time and randomness are passed in, changes come out as [`effects::Effects`].

pub mod access;
pub mod bitfield;
pub mod bitops;
pub mod data;
pub mod digest;
pub mod effects;
pub mod encoding;
pub mod evict;
pub mod field_expiry;
mod floattext;
pub mod geo;
pub mod geosearch;
pub mod glob;
pub mod hll;
mod hllsparse;
pub mod keyspace;
pub mod longdouble;
pub mod numeric;
pub mod slot;
pub mod snapshot;
pub mod types;
pub mod value;
