//! The data types: what a key can hold, each with its encodings and the rules for moving between them.

pub mod hash;
pub mod set;
pub mod zset;
