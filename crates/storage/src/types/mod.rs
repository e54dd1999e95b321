//! The data types. Each is one word that owns its encoding; a type knows nothing of keys, commands or replies.

pub mod hash;
pub mod list;
pub mod set;
pub mod stream;
pub mod zset;
