//! The whole state, for snapshots.

use std::collections::BTreeMap;

use super::{
    Malformed, cluster_id, decode_endpoint, decode_slots, encode_endpoint, encode_slots, migration_id,
    node_id, node_ids, optional, shard_id, slot, text,
};
use crate::proto::{self, Pair, state as message};
use crate::state::{ClusterState, Migration, Node, OpenSlot, Phase, Shard, Window};

/// The message of a state.
pub(crate) fn encode_state(state: &ClusterState) -> proto::State {
    let mut slots = state.slots_by_shard();
    let pairs = |map: &BTreeMap<bytes::Bytes, bytes::Bytes>| {
        map.iter()
            .map(|(name, value)| Pair {
                name: name.clone(),
                value: value.clone(),
            })
            .collect()
    };
    proto::State {
        cluster: state.cluster.to_string(),
        index: state.index,
        epoch: state.epoch,
        nodes: state
            .nodes
            .values()
            .map(|node| message::Node {
                id: node.id.to_string(),
                raft_id: node.raft_id,
                endpoint: Some(encode_endpoint(&node.endpoint)),
                shard: node.shard.to_string(),
                voter: node.voter,
            })
            .collect(),
        shards: state
            .shards
            .values()
            .map(|shard| message::Shard {
                id: shard.id.to_string(),
                number: shard.number.into(),
                primary: shard.primary.to_string(),
                replicas: shard.replicas.iter().map(ToString::to_string).collect(),
                in_sync: shard.in_sync.iter().map(ToString::to_string).collect(),
                epoch: shard.epoch,
                slots: encode_slots(&slots.remove(&shard.id).unwrap_or_default()),
                life: shard.life,
            })
            .collect(),
        open_slots: state
            .open_slots
            .iter()
            .map(|(slot, mark)| message::OpenSlot {
                slot: (*slot).into(),
                migrating_to: text(mark.migrating_to),
                importing: text(mark.importing),
            })
            .collect(),
        migrations: state.migrations.values().map(encode_migration).collect(),
        finished_migrations: state.finished_migrations.iter().map(encode_migration).collect(),
        acl: pairs(&state.acl),
        functions: pairs(&state.functions),
        functions_index: state.functions_index,
        settings: state
            .settings
            .iter()
            .map(|(name, value)| Pair {
                name: name.clone().into_bytes().into(),
                value: value.clone(),
            })
            .collect(),
        windows: state
            .windows
            .iter()
            .map(|(raft_id, window)| message::Window {
                raft_id: *raft_id,
                last: window.last,
                bits: window.bits,
            })
            .collect(),
    }
}

/// The state of a message.
pub(crate) fn decode_state(state: &proto::State) -> Result<ClusterState, Malformed> {
    let mut decoded = ClusterState::empty(cluster_id(&state.cluster)?);
    decoded.index = state.index;
    decoded.epoch = state.epoch;
    for m in &state.nodes {
        let node = Node {
            id: node_id(&m.id)?,
            raft_id: m.raft_id,
            endpoint: decode_endpoint(m.endpoint.as_ref())?,
            shard: shard_id(&m.shard)?,
            voter: m.voter,
        };
        decoded.put_node(node);
    }
    for m in &state.shards {
        let shard = Shard {
            id: shard_id(&m.id)?,
            number: u16::try_from(m.number).map_err(|_| Malformed("number of a shard"))?,
            primary: node_id(&m.primary)?,
            replicas: node_ids(&m.replicas)?.into_iter().collect(),
            in_sync: node_ids(&m.in_sync)?.into_iter().collect(),
            epoch: m.epoch,
            life: m.life,
        };
        decoded.put_shard(shard, &decode_slots(&m.slots)?);
    }
    for m in &state.open_slots {
        let mark = OpenSlot {
            migrating_to: optional(&m.migrating_to, shard_id)?,
            importing: optional(&m.importing, shard_id)?,
        };
        decoded.open_slots.insert(slot(m.slot)?, mark);
    }
    for m in &state.migrations {
        let migration = decode_migration(m)?;
        decoded.migrations.insert(migration.id, migration);
    }
    decoded.finished_migrations = state
        .finished_migrations
        .iter()
        .map(decode_migration)
        .collect::<Result<_, _>>()?;
    let pairs = |pairs: &[Pair]| {
        pairs
            .iter()
            .map(|pair| (pair.name.clone(), pair.value.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    decoded.acl = pairs(&state.acl);
    decoded.functions = pairs(&state.functions);
    decoded.functions_index = state.functions_index;
    for pair in &state.settings {
        let name = std::str::from_utf8(&pair.name).map_err(|_| Malformed("name of a setting"))?;
        decoded.settings.insert(name.to_owned(), pair.value.clone());
    }
    decoded.windows = state
        .windows
        .iter()
        .map(|m| {
            (
                m.raft_id,
                Window {
                    last: m.last,
                    bits: m.bits,
                },
            )
        })
        .collect();
    decoded.check().map_err(|_| Malformed("state"))?;
    Ok(decoded)
}

fn encode_migration(migration: &Migration) -> message::Migration {
    let (phase, reason) = match &migration.phase {
        Phase::Running => (0, String::new()),
        Phase::Committed => (1, String::new()),
        Phase::Cancelled(reason) => (2, reason.clone()),
    };
    message::Migration {
        id: migration.id.to_string(),
        from: migration.from.to_string(),
        to: migration.to.to_string(),
        slots: encode_slots(&migration.slots),
        phase,
        reason,
        begun: migration.begun,
    }
}

fn decode_migration(m: &message::Migration) -> Result<Migration, Malformed> {
    Ok(Migration {
        id: migration_id(&m.id)?,
        from: shard_id(&m.from)?,
        to: shard_id(&m.to)?,
        slots: decode_slots(&m.slots)?,
        phase: match m.phase {
            0 => Phase::Running,
            1 => Phase::Committed,
            2 => Phase::Cancelled(m.reason.clone()),
            3.. => return Err(Malformed("phase of a migration")),
        },
        begun: m.begun,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_entry, encode_entry};
    use crate::state::testing::{any_entry, founded};
    use proptest::prelude::*;
    use prost::Message;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn entries_and_states_come_back(entries in proptest::collection::vec(any_entry(), 1..40)) {
            let mut state = founded();
            for (number, entry) in (1..).zip(&entries) {
                let bytes = encode_entry(entry).encode_to_vec();
                let back = decode_entry(&proto::Entry::decode(&bytes[..]).unwrap());
                prop_assert_eq!(back.as_ref(), Ok(entry));
                let _ = state.apply_proposal(state.index + 1, 1, number, entry);
            }
            let bytes = encode_state(&state).encode_to_vec();
            prop_assert_eq!(decode_state(&proto::State::decode(&bytes[..]).unwrap()), Ok(state));
        }
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        let mut state = encode_state(&founded());
        state.shards[0].primary = "x".into();
        assert_eq!(decode_state(&state), Err(Malformed("node id")));
        let mut state = encode_state(&founded());
        state.nodes[0].raft_id = 0;
        assert_eq!(decode_state(&state), Err(Malformed("state")));
        assert!(decode_entry(&proto::Entry { kind: None }).is_err());
    }
}
