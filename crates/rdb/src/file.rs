//! A whole RDB: what stands around the values in files and in full synchronisation.
//!
//! ```text
//!   "REDIS" + 4 digits, or "VALKEY" + 3      version
//!   0xFA name value                          a note about the file
//!   0xF5 code                                a library of functions
//!   0xFE db                                  database of what follows
//!   0xFB keys expiring                       how many follow
//!   [0xFC ms | 0xFD s] [0xF8 idle] [0xF9 freq] type key value
//!   0xFF + checksum of all before, 8 bytes   since version 5; 0 means that none was computed
//! ```

mod raw;
mod read;
mod stage;
#[cfg(test)]
mod tests;
mod write;

pub use raw::{Decoded, Raw, RawBatch, RawValue};
pub use read::{FileError, FileReader, Item, Record};
pub use write::{Clocks, FileWriter};

mod op {
    /// Valkey: slots that were being imported.
    pub const SLOT_IMPORT: u8 = 0xF3;
    /// Slot, keys, expiring keys: a hint.
    pub const SLOT_INFO: u8 = 0xF4;
    pub const FUNCTION: u8 = 0xF5;
    /// Functions of release candidates of 7.0.
    pub const FUNCTION_EARLY: u8 = 0xF6;
    pub const MODULE_AUX: u8 = 0xF7;
    pub const IDLE: u8 = 0xF8;
    pub const FREQ: u8 = 0xF9;
    pub const AUX: u8 = 0xFA;
    pub const RESIZE_DB: u8 = 0xFB;
    pub const EXPIRE_MS: u8 = 0xFC;
    pub const EXPIRE_S: u8 = 0xFD;
    pub const SELECT_DB: u8 = 0xFE;
    pub const END: u8 = 0xFF;
}
