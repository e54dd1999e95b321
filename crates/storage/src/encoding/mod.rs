//! The byte layouts of values in memory. The only folder that may hold `unsafe`; it knows nothing of keys,
//! commands or replies.

pub mod integer;
pub mod intset;
pub mod listpack;
pub mod packed_table;
pub mod tagged;
mod thin;
