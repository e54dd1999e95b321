//! Names and random entries for tests.

use proptest::prelude::*;

use super::*;

pub(crate) fn node(n: u8) -> NodeId {
    NodeId::from_bytes([n; 20])
}

pub(crate) fn shard(n: u8) -> ShardId {
    ShardId::from_bytes([n; 20])
}

pub(crate) fn newcomer(n: u8, slots: &[(u16, u16)]) -> Newcomer {
    Newcomer {
        id: node(n),
        raft_id: u64::from(n),
        endpoint: Endpoint {
            ip: "10.0.0.1".into(),
            port: 7000,
            bus_port: 17000,
            ..Endpoint::default()
        },
        shard: shard(n),
        slots: SlotSet::from_ranges(slots.iter().copied()).unwrap(),
    }
}

/// A cluster of node 1 alone.
pub(crate) fn founded() -> ClusterState {
    ClusterState::founded(ClusterId::from_bytes([9; 20]), newcomer(1, &[])).unwrap()
}

fn any_slots() -> impl Strategy<Value = SlotSet> {
    prop_oneof![
        (0u16..8, 0u16..3).prop_map(|(first, n)| (first..=first + n).collect()),
        Just(SlotSet::all()),
        Just(SlotSet::new()),
    ]
}

pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
    let n = || (1u8..7).prop_map(node);
    let option = || proptest::option::of((1u8..7).prop_map(node));
    let fences = || {
        (1u8..7, 0u64..12).prop_map(|(n, epoch)| Fence {
            shard: shard(n),
            epoch,
        })
    };
    let migration = || (1u8..5).prop_map(|n| MigrationId::from_bytes([n; 20]));
    let kind = prop_oneof![
        Just(FailoverKind::Automatic),
        Just(FailoverKind::Manual),
        Just(FailoverKind::Forced)
    ];
    prop_oneof![
        (1u8..7, 1u64..9, any_slots()).prop_map(|(id, raft_id, slots)| {
            Entry::NodeJoin(Newcomer {
                raft_id,
                slots,
                ..newcomer(id, &[])
            })
        }),
        n().prop_map(|node| Entry::NodeLeave { node }),
        proptest::collection::vec(n(), 0..4).prop_map(|voters| Entry::SetVoters { voters }),
        (n(), any_slots()).prop_map(|(node, slots)| Entry::AssignSlots { node, slots }),
        (any_slots(), option()).prop_map(|(slots, node)| Entry::RemoveSlots { slots, node }),
        (n(), any_slots(), proptest::collection::vec(fences(), 0..2))
            .prop_map(|(to, slots, fences)| Entry::MoveSlots { to, slots, fences }),
        (0u16..9, option()).prop_map(|(slot, to)| Entry::MarkMigrating { slot, to }),
        (0u16..9, option()).prop_map(|(slot, importer)| Entry::MarkImporting { slot, importer }),
        (n(), n()).prop_map(|(node, primary)| Entry::SetReplica { node, primary }),
        (n(), 1u8..9).prop_map(|(node, n)| Entry::Detach {
            node,
            shard: shard(n)
        }),
        (fences(), n(), option()).prop_map(|(fence, add, remove)| Entry::InSync {
            fence,
            add: vec![add],
            remove: remove.into_iter().collect()
        }),
        (fences(), n(), kind, 0u64..3).prop_map(|(fence, to, kind, life)| Entry::Failover {
            fence,
            to,
            kind,
            life
        }),
        (migration(), fences(), fences(), any_slots())
            .prop_map(|(id, from, to, slots)| Entry::MigrationBegin { id, from, to, slots }),
        (n(), n(), option()).prop_map(|(one, other, replica)| Entry::Layout {
            shards: vec![(one, Vec::new()), (other, replica.into_iter().collect())]
        }),
        migration().prop_map(|id| Entry::MigrationCommit { id }),
        migration().prop_map(|id| Entry::MigrationCancel {
            id,
            reason: "asked".into()
        }),
    ]
}
