//! The data types that keys hold.

pub mod zset;
