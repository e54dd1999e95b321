//! The names of nodes, shards, migrations and clusters: 40 lower-case hex digits each, as Redis Cluster has them.
//! Must not know: what they name.

use std::fmt;

/// Digits of an identifier (CLUSTER MYID, CLUSTER MYSHARDID).
pub const ID_LEN: usize = 40;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// The identifier that this text is, if it is one: 40 lower-case hex digits.
            pub fn parse(text: &str) -> Option<Self> {
                let digits: [u8; ID_LEN] = text.as_bytes().try_into().ok()?;
                digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
            }

            /// The identifier of 20 bytes (random ones, for a new one).
            pub fn from_bytes(bytes: [u8; ID_LEN / 2]) -> Self {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let mut digits = [0; ID_LEN];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                Self(digits)
            }

            /// The 40 digits.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).expect("hex digits are ASCII")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.as_str()[..8])
            }
        }
    };
}

hex_id! {
    /// A node's name (CLUSTER MYID). It survives restarts and changed addresses.
    NodeId
}
hex_id! {
    /// A shard's name (CLUSTER MYSHARDID): one primary and its replicas.
    ShardId
}
hex_id! {
    /// The name of an atomic migration of slots (CLUSTER GETSLOTMIGRATIONS).
    MigrationId
}
hex_id! {
    /// The name of a cluster. A node belongs to one; it is never shown to clients.
    ClusterId
}

/// A member of the Raft group. Drawn anew whenever a node starts an empty log, so that a node which lost its log
/// is never taken for the voter that it was. Never 0.
pub type RaftId = u64;

#[cfg(test)]
mod tests {
    use super::NodeId;

    #[test]
    fn names_are_forty_hex_digits() {
        let name = "07c37dfeb235213a872192d90877d0cd55635b91";
        assert_eq!(NodeId::parse(name).map(|n| n.to_string()).as_deref(), Some(name));
        assert_eq!(NodeId::parse(&name[1..]), None);
        assert_eq!(NodeId::parse(&name.to_uppercase()), None);
    }

    #[test]
    fn bytes_become_digits() {
        let mut bytes = [0; 20];
        bytes[0] = 0x0f;
        bytes[19] = 0xa1;
        assert_eq!(
            NodeId::from_bytes(bytes).as_str(),
            "0f000000000000000000000000000000000000a1"
        );
    }
}
