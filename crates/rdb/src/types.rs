//! The type byte in front of every value.

use crate::error::RdbError;

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a value's bytes are. The numbers are those of the format; [`Type::HashValkey`] shares its number with
        /// [`Type::HashMetadataEarly`], and the version of the file tells them apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Type {
            $($(#[$doc])* $name,)*
        }

        impl Type {
            /// The byte.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            fn of_code(code: u8) -> Option<Self> {
                #[allow(unreachable_patterns, reason = "22 is there twice, and the first one is meant")]
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    /// A string.
    String = 0,
    /// A list: strings.
    List = 1,
    /// A set: strings.
    Set = 2,
    /// A sorted set: strings and scores as text.
    Zset = 3,
    /// A hash: fields and values.
    Hash = 4,
    /// A sorted set: strings and scores of 8 bytes.
    Zset2 = 5,
    /// A module's value, of the time before values could be skipped.
    Module = 6,
    /// A module's value.
    Module2 = 7,
    /// A hash in a zipmap.
    HashZipmap = 9,
    /// A list in a ziplist.
    ListZiplist = 10,
    /// A set in an intset.
    SetIntset = 11,
    /// A sorted set in a ziplist.
    ZsetZiplist = 12,
    /// A hash in a ziplist.
    HashZiplist = 13,
    /// A list in many ziplists.
    ListQuicklist = 14,
    /// A stream.
    StreamListpacks = 15,
    /// A hash in a listpack.
    HashListpack = 16,
    /// A sorted set in a listpack.
    ZsetListpack = 17,
    /// A list in many listpacks, or large elements.
    ListQuicklist2 = 18,
    /// A stream with the counters of Redis 7.0.
    StreamListpacks2 = 19,
    /// A set in a listpack.
    SetListpack = 20,
    /// A stream with the consumers' times of Redis 7.2.
    StreamListpacks3 = 21,
    /// A hash whose fields may expire, in the form of release candidates of Redis 7.4.
    HashMetadataEarly = 22,
    /// The same in a listpack.
    HashListpackExEarly = 23,
    /// A hash whose fields may expire (Redis 7.4).
    HashMetadata = 24,
    /// The same in a listpack.
    HashListpackEx = 25,
    /// A hash whose fields may expire (Valkey 9).
    HashValkey = 22,
}

/// Whose form is written where the oldest one will not do: hashes whose fields expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Redis 7.4, version 12.
    #[default]
    Redis,
    /// Valkey 9, version 80.
    Valkey,
}

impl Dialect {
    /// The version that a reader must know to read a hash whose fields expire.
    pub const fn timed_version(self) -> u16 {
        match self {
            Self::Redis => 12,
            Self::Valkey => 80,
        }
    }

    /// The type that such a hash is written as.
    pub const fn timed_hash(self) -> Type {
        match self {
            Self::Redis => Type::HashMetadata,
            Self::Valkey => Type::HashValkey,
        }
    }
}

/// RDB versions from this on are Valkey's.
pub(crate) const FIRST_VALKEY_VERSION: u16 = 80;

impl Type {
    /// The type with this number in data of this version.
    ///
    /// # Errors
    /// There is none.
    pub fn new(code: u8, version: u16) -> Result<Self, RdbError> {
        match Self::of_code(code) {
            Some(Self::HashMetadataEarly) if version >= FIRST_VALKEY_VERSION => Ok(Self::HashValkey),
            Some(ty) => Ok(ty),
            None => Err(RdbError::Type(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_types_of_one_number_apart() {
        for code in 0..=u8::MAX {
            match (Type::new(code, 12), Type::new(code, 80)) {
                (Ok(redis), Ok(valkey)) => {
                    assert_eq!((redis.code(), valkey.code()), (code, code));
                    assert_eq!(redis == valkey, code != 22);
                }
                (Err(_), Err(_)) => assert!(code == 8 || code > 25),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
