//! The byte layouts of values in memory. The only folder that may hold `unsafe`; it knows nothing of commands or replies.

pub mod big_zset;
pub mod block_map;
mod chunked;
pub mod entry;
pub mod integer;
pub mod intset;
pub mod listpack;
mod member_index;
mod member_slab;
pub mod packed_table;
pub(crate) mod prefetch;
pub mod quicklist;
pub mod sample;
mod score_tree;
pub mod table;
pub mod tagged;
mod thin;
pub(crate) mod undo;
pub(crate) mod walked_str;
