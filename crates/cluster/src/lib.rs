//! Slots, the Raft control plane, the bus, failover and migration: to come. Until then this crate holds the names that
//! others agree on.

#![forbid(unsafe_code)]

/// Number of hash slots of a cluster (Redis Cluster specification).
pub const SLOTS: u16 = 16384;

/// A node's name: 40 hex digits, as Redis Cluster has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(String);

impl NodeId {
    /// A name, if it is one: 40 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::NodeId;

    #[test]
    fn names_are_forty_hex_digits() {
        let name = "07c37dfeb235213a872192d90877d0cd55635b91";
        assert_eq!(
            NodeId::parse(name).map(|n| n.as_str().to_owned()).as_deref(),
            Some(name)
        );
        assert_eq!(NodeId::parse(&name[1..]), None);
        assert_eq!(NodeId::parse(&name.to_uppercase()), None);
    }
}
