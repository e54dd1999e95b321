//! Entries of the log.

use super::{
    Malformed, decode_endpoint, decode_fence, decode_newcomer, decode_slots, encode_endpoint, encode_fence,
    encode_newcomer, encode_slots, migration_id, node_id, node_ids, optional, shard_id, slot, text,
};
use crate::ids::NodeId;
use crate::proto::{self, Pair, entry as message, entry::Kind};
use crate::state::{Entry, FailoverKind};

fn texts(ids: &[NodeId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// The message of an entry.
pub(crate) fn encode_entry(entry: &Entry) -> proto::Entry {
    let kind = match entry {
        Entry::Barrier => Kind::Barrier(message::Barrier {}),
        Entry::NodeJoin(newcomer) => Kind::NodeJoin(encode_newcomer(newcomer)),
        Entry::NodeLeave { node } => Kind::NodeLeave(message::NodeLeave {
            node: node.to_string(),
        }),
        Entry::NodeInfo { node, endpoint } => Kind::NodeInfo(message::NodeInfo {
            node: node.to_string(),
            endpoint: Some(encode_endpoint(endpoint)),
        }),
        Entry::SetVoters { voters } => Kind::SetVoters(message::SetVoters {
            voters: texts(voters),
        }),
        Entry::AssignSlots { node, slots } => Kind::AssignSlots(message::AssignSlots {
            node: node.to_string(),
            slots: encode_slots(slots),
        }),
        Entry::RemoveSlots { slots, node } => Kind::RemoveSlots(message::RemoveSlots {
            node: text(*node),
            slots: encode_slots(slots),
        }),
        Entry::MoveSlots { to, slots, fences } => Kind::MoveSlots(message::MoveSlots {
            to: to.to_string(),
            slots: encode_slots(slots),
            fences: fences.iter().copied().map(encode_fence).collect(),
        }),
        Entry::MarkMigrating { slot, to } => Kind::MarkMigrating(message::Mark {
            slot: (*slot).into(),
            node: text(*to),
        }),
        Entry::MarkImporting { slot, importer } => Kind::MarkImporting(message::Mark {
            slot: (*slot).into(),
            node: text(*importer),
        }),
        Entry::Layout { shards } => Kind::Layout(message::Layout {
            shards: shards
                .iter()
                .map(|(primary, replicas)| message::LaidOut {
                    primary: primary.to_string(),
                    replicas: texts(replicas),
                })
                .collect(),
        }),
        Entry::SetReplica { node, primary } => Kind::SetReplica(message::SetReplica {
            node: node.to_string(),
            primary: primary.to_string(),
        }),
        Entry::Detach { node, shard } => Kind::Detach(message::Detach {
            node: node.to_string(),
            shard: shard.to_string(),
        }),
        Entry::InSync { fence, add, remove } => Kind::InSync(message::InSync {
            fence: Some(encode_fence(*fence)),
            add: texts(add),
            remove: texts(remove),
        }),
        Entry::Failover {
            fence,
            to,
            kind,
            life,
        } => Kind::Failover(message::Failover {
            fence: Some(encode_fence(*fence)),
            to: to.to_string(),
            kind: match kind {
                FailoverKind::Automatic => 0,
                FailoverKind::Manual => 1,
                FailoverKind::Forced => 2,
            },
            life: *life,
        }),
        Entry::MigrationBegin { id, from, to, slots } => Kind::MigrationBegin(message::MigrationBegin {
            id: id.to_string(),
            from: Some(encode_fence(*from)),
            to: Some(encode_fence(*to)),
            slots: encode_slots(slots),
        }),
        Entry::MigrationCommit { id } => {
            Kind::MigrationCommit(message::MigrationCommit { id: id.to_string() })
        }
        Entry::MigrationCancel { id, reason } => Kind::MigrationCancel(message::MigrationCancel {
            id: id.to_string(),
            reason: reason.clone(),
        }),
        Entry::Acl { user, rules } => Kind::Acl(message::Named {
            name: user.clone(),
            value: rules.clone(),
        }),
        Entry::Function { library, code } => Kind::Function(message::Named {
            name: library.clone(),
            value: code.clone(),
        }),
        Entry::ReplaceFunctions { libraries } => Kind::ReplaceFunctions(message::ReplaceFunctions {
            libraries: libraries
                .iter()
                .map(|(name, code)| Pair {
                    name: name.clone(),
                    value: code.clone(),
                })
                .collect(),
        }),
        Entry::Setting { name, value } => Kind::Setting(message::Named {
            name: name.clone().into_bytes().into(),
            value: value.clone(),
        }),
    };
    proto::Entry { kind: Some(kind) }
}

/// The entry of a message. One of a kind that this version does not know is malformed.
pub(crate) fn decode_entry(entry: &proto::Entry) -> Result<Entry, Malformed> {
    Ok(
        match entry.kind.as_ref().ok_or(Malformed("unknown kind of entry"))? {
            Kind::Barrier(_) => Entry::Barrier,
            Kind::NodeJoin(m) => Entry::NodeJoin(decode_newcomer(m)?),
            Kind::NodeLeave(m) => Entry::NodeLeave {
                node: node_id(&m.node)?,
            },
            Kind::NodeInfo(m) => Entry::NodeInfo {
                node: node_id(&m.node)?,
                endpoint: decode_endpoint(m.endpoint.as_ref())?,
            },
            Kind::SetVoters(m) => Entry::SetVoters {
                voters: node_ids(&m.voters)?,
            },
            Kind::AssignSlots(m) => Entry::AssignSlots {
                node: node_id(&m.node)?,
                slots: decode_slots(&m.slots)?,
            },
            Kind::RemoveSlots(m) => Entry::RemoveSlots {
                slots: decode_slots(&m.slots)?,
                node: optional(&m.node, node_id)?,
            },
            Kind::MoveSlots(m) => Entry::MoveSlots {
                to: node_id(&m.to)?,
                slots: decode_slots(&m.slots)?,
                fences: m
                    .fences
                    .iter()
                    .map(|fence| decode_fence(Some(fence)))
                    .collect::<Result<_, _>>()?,
            },
            Kind::MarkMigrating(m) => Entry::MarkMigrating {
                slot: slot(m.slot)?,
                to: optional(&m.node, node_id)?,
            },
            Kind::MarkImporting(m) => Entry::MarkImporting {
                slot: slot(m.slot)?,
                importer: optional(&m.node, node_id)?,
            },
            Kind::Layout(m) => Entry::Layout {
                shards: m
                    .shards
                    .iter()
                    .map(|shard| Ok((node_id(&shard.primary)?, node_ids(&shard.replicas)?)))
                    .collect::<Result<_, Malformed>>()?,
            },
            Kind::SetReplica(m) => Entry::SetReplica {
                node: node_id(&m.node)?,
                primary: node_id(&m.primary)?,
            },
            Kind::Detach(m) => Entry::Detach {
                node: node_id(&m.node)?,
                shard: shard_id(&m.shard)?,
            },
            Kind::InSync(m) => Entry::InSync {
                fence: decode_fence(m.fence.as_ref())?,
                add: node_ids(&m.add)?,
                remove: node_ids(&m.remove)?,
            },
            Kind::Failover(m) => Entry::Failover {
                fence: decode_fence(m.fence.as_ref())?,
                to: node_id(&m.to)?,
                kind: match m.kind {
                    0 => FailoverKind::Automatic,
                    1 => FailoverKind::Manual,
                    2 => FailoverKind::Forced,
                    3.. => return Err(Malformed("kind of failover")),
                },
                life: m.life,
            },
            Kind::MigrationBegin(m) => Entry::MigrationBegin {
                id: migration_id(&m.id)?,
                from: decode_fence(m.from.as_ref())?,
                to: decode_fence(m.to.as_ref())?,
                slots: decode_slots(&m.slots)?,
            },
            Kind::MigrationCommit(m) => Entry::MigrationCommit {
                id: migration_id(&m.id)?,
            },
            Kind::MigrationCancel(m) => Entry::MigrationCancel {
                id: migration_id(&m.id)?,
                reason: m.reason.clone(),
            },
            Kind::Acl(m) => Entry::Acl {
                user: m.name.clone(),
                rules: m.value.clone(),
            },
            Kind::Function(m) => Entry::Function {
                library: m.name.clone(),
                code: m.value.clone(),
            },
            Kind::ReplaceFunctions(m) => Entry::ReplaceFunctions {
                libraries: m
                    .libraries
                    .iter()
                    .map(|pair| (pair.name.clone(), pair.value.clone()))
                    .collect(),
            },
            Kind::Setting(m) => Entry::Setting {
                name: std::str::from_utf8(&m.name)
                    .map_err(|_| Malformed("name of a setting"))?
                    .to_owned(),
                value: m.value.clone(),
            },
        },
    )
}
