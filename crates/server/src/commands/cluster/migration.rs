//! CLUSTER subcommands about slots that travel with their keys: Valkey's MIGRATESLOTS, GETSLOTMIGRATIONS and
//! CANCELSLOTMIGRATIONS (<https://valkey.io/topics/atomic-slot-migration>), Redis's MIGRATION
//! (<https://redis.io/commands/cluster-migration>), and SYNCSLOTS, which nodes say to each other.
//!
//! Must not know: how slots travel.

mod report;
mod sync;

pub use report::get_slot_migrations;

use std::sync::Arc;

use holdfast_cluster::state::{Entry, Fence, Migration, Phase, Shard};
use holdfast_cluster::{MigrationId, NodeId, SlotSet};
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::parse_i64;
use rand::Rng;

use super::super::{ServerCommand, ServerError};
use super::RUN;
use super::job::{Ask, Then};
use crate::cluster::migration::{BY_OPERATOR, comes_here, goes_from_here};
use crate::cluster::plane::PlaneError;
use crate::server::Server;

use report::status;
use sync::CLUSTER_SYNCSLOTS;

type Outcome = Result<Then, ServerError>;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CLUSTER_CANCELSLOTMIGRATIONS,
    &CLUSTER_GETSLOTMIGRATIONS,
    &CLUSTER_MIGRATESLOTS,
    &CLUSTER_MIGRATION,
    &CLUSTER_SYNCSLOTS,
];

const CLUSTER_CANCELSLOTMIGRATIONS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|cancelslotmigrations",
        arity: 2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "9.0.0",
        summary: "Gives up all migrations of slots from this node.",
        complexity: "O(N), N: migrations given up",
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_GETSLOTMIGRATIONS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|getslotmigrations",
        arity: 2,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "9.0.0",
        summary: "Tells how migrations of slots from and to this node stand.",
        complexity: "O(N), N: migrations",
        tips: &["nondeterministic_output"],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_MIGRATESLOTS: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|migrateslots",
        arity: -7,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "9.0.0",
        summary: "Begins to move hash slots of this node with their keys to other nodes.",
        complexity: "O(N), N: slots",
        args: &[Arg::block(
            "migration",
            &[
                Arg::block(
                    "slotsrange",
                    &[Arg::integer("start-slot"), Arg::integer("end-slot")],
                )
                .token("SLOTSRANGE")
                .multi(),
                Arg::string("node-id").token("NODE"),
            ],
        )
        .multi()],
        ..Spec::DEFAULT
    },
    run: RUN,
};

const CLUSTER_MIGRATION: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "cluster|migration",
        arity: -4,
        flags: flags!(Flags: ADMIN, STALE, NO_ASYNC_LOADING),
        group: Group::Cluster,
        since: "8.4.0",
        summary: "Begins to move hash slots with their keys to this node, gives it up, or tells how it stands.",
        complexity: "O(N), N: slots",
        args: &[Arg::one_of(
            "subcommand",
            &[
                Arg::block("import", &[Arg::integer("start-slot"), Arg::integer("end-slot")])
                    .token("IMPORT")
                    .multi(),
                Arg::one_of(
                    "cancel",
                    &[Arg::string("task-id").token("ID"), Arg::word("all", "ALL")],
                )
                .token("CANCEL"),
                Arg::one_of(
                    "status",
                    &[Arg::string("task-id").token("ID"), Arg::word("all", "ALL")],
                )
                .token("STATUS"),
            ],
        )],
        ..Spec::DEFAULT
    },
    run: RUN,
};

fn error(text: impl std::fmt::Display) -> ServerError {
    ServerError(format!("ERR {text}"))
}

fn number(word: &[u8]) -> Result<u16, ServerError> {
    let slot = parse_i64(word).and_then(|slot| u16::try_from(slot).ok());
    slot.filter(|slot| *slot < holdfast_cluster::SLOTS)
        .ok_or_else(|| ServerError::new("ERR Invalid or out of range slot"))
}

/// Adds a range to a set that has none of it.
fn add_range(slots: &mut SlotSet, first: &[u8], last: &[u8]) -> Result<(), ServerError> {
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(error(format_args!(
            "start slot number {first} is greater than end slot number {last}"
        )));
    }
    for slot in first..=last {
        if slots.contains(slot) {
            return Err(error(format_args!("Slot {slot} specified multiple times")));
        }
        slots.insert(slot);
    }
    Ok(())
}

fn fence(shard: &Shard) -> Fence {
    Fence {
        shard: shard.id,
        epoch: shard.epoch,
    }
}

fn new_id() -> MigrationId {
    MigrationId::from_bytes(rand::rng().random())
}

/// This node's shard, of which it must be the primary.
fn as_primary<'a>(ask: &'a Ask<'_, '_>) -> Result<&'a Shard, ServerError> {
    let shard = ask.view.my_shard().filter(|_| ask.view.is_primary());
    shard.ok_or_else(|| ServerError::new("ERR Slot migration can only be used on primary nodes."))
}

/// Every slot has this owner and does not travel yet.
fn may_travel(ask: &Ask<'_, '_>, slots: &SlotSet, owner: &Shard) -> Result<(), ServerError> {
    let state = &ask.view.state;
    let other = slots
        .iter()
        .find(|slot| state.owner(*slot).map(|s| s.id) != Some(owner.id));
    if let Some(slot) = other {
        return Err(error(format_args!(
            "Slot {slot} is not owned by the source of the migration"
        )));
    }
    let travels = |slot: &u16| {
        state.open_slots.contains_key(slot) || state.migrations.values().any(|m| m.slots.contains(*slot))
    };
    match slots.iter().find(travels) {
        Some(slot) => Err(error(format_args!("Slot {slot} is being migrated already"))),
        None => Ok(()),
    }
}

/// CLUSTER MIGRATESLOTS SLOTSRANGE start end [start end ...] NODE id [SLOTSRANGE ...]
pub fn migrate_slots(ask: &mut Ask<'_, '_>) -> Outcome {
    let from = as_primary(ask)?;
    let mut words = ask.args.from(2).peekable();
    let (mut entries, mut all) = (Vec::new(), SlotSet::new());
    while words.peek().is_some() {
        let is = |word: Option<&[u8]>, token: &str| {
            word.is_some_and(|word| word.eq_ignore_ascii_case(token.as_bytes()))
        };
        let mut slots = SlotSet::new();
        if !is(words.next(), "SLOTSRANGE") {
            return Err(ServerError::new("ERR syntax error"));
        }
        while !is(words.peek().copied(), "NODE") {
            let (Some(first), Some(last)) = (words.next(), words.next()) else {
                return Err(ServerError::new("ERR syntax error"));
            };
            add_range(&mut slots, first, last)?;
        }
        words.next();
        let name = words
            .next()
            .filter(|_| !slots.is_empty())
            .ok_or_else(|| ServerError::new("ERR syntax error"))?;
        let to = target(ask, name)?;
        if to.id == from.id {
            return Err(ServerError::new("ERR Target node can not be this node"));
        }
        if let Some(slot) = slots.common(&all) {
            return Err(error(format_args!("Slot {slot} specified multiple times")));
        }
        all.extend_from(&slots);
        may_travel(ask, &slots, from)?;
        entries.push(Entry::MigrationBegin {
            id: new_id(),
            from: fence(from),
            to: fence(to),
            slots,
        });
    }
    let server = Arc::clone(ask.server);
    Ok(Then::Later(Box::pin(async move {
        begin_all(&server, entries).await?;
        Ok("OK".to_owned())
    })))
}

/// The shard of a node that may be a target.
fn target<'a>(ask: &'a Ask<'_, '_>, name: &[u8]) -> Result<&'a Shard, ServerError> {
    let shown = String::from_utf8_lossy(name).into_owned();
    let id = NodeId::parse(&shown).filter(|id| ask.view.state.nodes.contains_key(id));
    let id = id.ok_or_else(|| error(format_args!("Unknown node {shown}")))?;
    let shard = ask.view.state.shard_of(id).filter(|shard| shard.primary == id);
    shard.ok_or_else(|| error(format_args!("Node {shown} is not a primary")))
}

/// All of these begin, or none goes on.
async fn begin_all(server: &Arc<Server>, entries: Vec<Entry>) -> Result<(), PlaneError> {
    let mut begun = Vec::new();
    for entry in entries {
        let Some(cluster) = server.cluster.get() else {
            break;
        };
        let Entry::MigrationBegin { id, .. } = &entry else {
            continue;
        };
        let id = *id;
        if let Err(error) = cluster.plane().propose(entry).await {
            // One whose fate is not known is given up, too.
            begun.push(id);
            let reason = "another one of the same command could not begin";
            for id in begun {
                let cancel = Entry::MigrationCancel {
                    id,
                    reason: reason.to_owned(),
                };
                if let Err(error) = cluster.plane().propose(cancel).await {
                    tracing::debug!("migration {id} was not given up: {error}");
                }
            }
            return Err(error);
        }
        begun.push(id);
    }
    Ok(())
}

/// Gives these up. Returns how many were running still.
async fn cancel_all(server: &Arc<Server>, ids: Vec<MigrationId>) -> Result<usize, PlaneError> {
    let mut count = 0;
    for id in ids {
        let Some(cluster) = server.cluster.get() else {
            break;
        };
        let cancel = Entry::MigrationCancel {
            id,
            reason: BY_OPERATOR.to_owned(),
        };
        match cluster.plane().propose(cancel).await {
            Ok(_) => count += 1,
            Err(PlaneError::Rejected(_)) => {} // it has just come to its end
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// CLUSTER CANCELSLOTMIGRATIONS
pub fn cancel_slot_migrations(ask: &mut Ask<'_, '_>) -> Outcome {
    as_primary(ask)?;
    let running = ask.view.state.migrations.values();
    let ids = running
        .filter(|m| goes_from_here(&ask.view, m))
        .map(|m| m.id)
        .collect();
    let server = Arc::clone(ask.server);
    Ok(Then::Later(Box::pin(async move {
        cancel_all(&server, ids).await?;
        Ok("OK".to_owned())
    })))
}

/// CLUSTER MIGRATION IMPORT | STATUS | CANCEL
pub fn migration(ask: &mut Ask<'_, '_>) -> Outcome {
    match ask.args.get(2).to_ascii_uppercase().as_slice() {
        b"IMPORT" => import(ask),
        b"STATUS" => status(ask),
        b"CANCEL" => cancel(ask),
        _ => Err(ServerError::new("ERR syntax error")),
    }
}

fn import(ask: &mut Ask<'_, '_>) -> Outcome {
    let to = as_primary(ask)?;
    let words: Vec<&[u8]> = ask.args.from(3).collect();
    if !words.len().is_multiple_of(2) {
        return Err(ServerError::new("ERR syntax error"));
    }
    let mut slots = SlotSet::new();
    for pair in words.chunks_exact(2) {
        add_range(&mut slots, pair[0], pair[1])?;
    }
    let Some(first) = slots.iter().next() else {
        return Err(ServerError::new("ERR syntax error"));
    };
    let owner = ask.view.state.owner(first);
    let from = owner.ok_or_else(|| error(format_args!("Slot {first} has no owner")))?;
    if let Some(slot) = slots
        .iter()
        .find(|slot| ask.view.state.owner(*slot).map(|s| s.id) == Some(to.id))
    {
        return Err(error(format_args!(
            "this node is already the owner of slot {slot}"
        )));
    }
    if slots
        .iter()
        .any(|slot| ask.view.state.owner(slot).map(|s| s.id) != Some(from.id))
    {
        return Err(ServerError::new("ERR slots belong to different source nodes"));
    }
    may_travel(ask, &slots, from)?;
    let id = new_id();
    let entry = Entry::MigrationBegin {
        id,
        from: fence(from),
        to: fence(to),
        slots,
    };
    let server = Arc::clone(ask.server);
    Ok(Then::LaterReply(Box::pin(async move {
        begin_all(&server, vec![entry]).await?;
        Ok(format!("${}\r\n{id}\r\n", id.as_str().len()).into_bytes())
    })))
}

/// What `ID id` or `ALL` names, of migrations that this node has a part in.
fn named(ask: &Ask<'_, '_>) -> Result<Vec<Migration>, ServerError> {
    let state = &ask.view.state;
    let all = state.migrations.values().chain(&state.finished_migrations);
    let here = all.filter(|m| goes_from_here(&ask.view, m) || comes_here(&ask.view, m));
    match (ask.args.get(3).to_ascii_uppercase().as_slice(), ask.args.len()) {
        (b"ALL", 4) => Ok(here.cloned().collect()),
        (b"ID", 5) => {
            let name = String::from_utf8_lossy(ask.args.get(4)).into_owned();
            Ok(here.filter(|m| m.id.as_str() == name).cloned().collect())
        }
        _ => Err(ServerError::new("ERR syntax error")),
    }
}

fn cancel(ask: &mut Ask<'_, '_>) -> Outcome {
    let running = |m: &&Migration| m.phase == Phase::Running;
    let ids = named(ask)?.iter().filter(running).map(|m| m.id).collect();
    let server = Arc::clone(ask.server);
    Ok(Then::LaterReply(Box::pin(async move {
        let count = cancel_all(&server, ids).await?;
        Ok(format!(":{count}\r\n").into_bytes())
    })))
}
