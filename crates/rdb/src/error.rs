//! Why bytes are not what they should be.

use holdfast_storage::encoding::intset::IntsetError;
use holdfast_storage::encoding::listpack::ListpackError;
use holdfast_storage::types::stream::Damaged;
use holdfast_storage::types::zset::ZsetError;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    /// The input ends in the middle of something.
    #[error("unexpected end of the data")]
    Truncated,
    /// The medium failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A byte that begins no length, or a special encoding where only a length may stand.
    #[error("invalid length encoding")]
    Length,
    /// A special string encoding that does not exist.
    #[error("unknown string encoding {0}")]
    StringEncoding(u8),
    /// A compressed string that does not unfold to the announced length.
    #[error("invalid LZF compressed string")]
    Lzf,
    /// Text in the place of a score that is no number, or NaN.
    #[error("invalid score")]
    Score,
    /// A type byte that is not known.
    #[error("unknown object type {0}")]
    Type(u8),
    /// A value of a module.
    #[error("data of the module type '{0}', and there are no modules")]
    Module(String),
    /// A collection without elements, which no key can hold. Redis skips such keys when it loads a file.
    #[error("a collection without elements")]
    Empty,
    /// A member or field that occurs twice.
    #[error("duplicate elements")]
    Duplicate,
    /// A part of a list that is neither packed nor plain.
    #[error("unknown list node container {0}")]
    Container(u64),
    /// A hash whose last field has no value.
    #[error("a field without a value")]
    OddPairs,
    /// A time at which no field can expire.
    #[error("invalid expiry of a field")]
    FieldExpiry,
    /// A damaged listpack.
    #[error("{0}")]
    Listpack(#[from] ListpackError),
    /// A damaged intset.
    #[error("{0}")]
    Intset(#[from] IntsetError),
    /// A damaged ziplist, at this byte.
    #[error("ziplist is damaged at byte {0}")]
    Ziplist(usize),
    /// A damaged zipmap, at this byte.
    #[error("zipmap is damaged at byte {0}")]
    Zipmap(usize),
    /// A damaged stream.
    #[error("{0}")]
    Stream(#[from] Damaged),
    /// Pending entries of a stream without an owner, or an owner's that are not pending.
    #[error("pending entries do not match their consumers")]
    Pending,
    /// Something larger than we hold.
    #[error("a value of more than {0} bytes")]
    TooLarge(usize),
}

impl From<ZsetError> for RdbError {
    fn from(error: ZsetError) -> Self {
        match error {
            ZsetError::OddLength => Self::OddPairs,
            ZsetError::Score => Self::Score,
            ZsetError::Duplicate => Self::Duplicate,
        }
    }
}
