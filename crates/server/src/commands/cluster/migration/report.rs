//! What is told of migrations of slots: CLUSTER MIGRATION STATUS, CLUSTER GETSLOTMIGRATIONS.
//!
//! Must not know: how slots travel.

use std::sync::Arc;

use holdfast_cluster::SlotSet;
use holdfast_cluster::state::Phase;
use holdfast_resp::Reply;

use super::{Ask, Outcome, Then, named};
use crate::cluster::migration::{BY_OPERATOR, comes_here, goes_from_here, table};

pub(super) fn status(ask: &mut Ask<'_, '_>) -> Outcome {
    let migrations = named(ask)?;
    let rows: Vec<_> = migrations
        .iter()
        .map(|m| {
            (
                m,
                ask.cluster.migrations.table.get(m.id),
                primary(ask, m.from),
                primary(ask, m.to),
            )
        })
        .collect();
    let view = Arc::clone(&ask.view);
    let reply = &mut *ask.reply;
    reply.array(rows.len());
    for (m, told, from, to) in rows {
        let operation = if goes_from_here(&view, m) {
            "migrate"
        } else {
            "import"
        };
        let (state, why) = match &m.phase {
            Phase::Running => ("in_progress", told.last_error.as_str()),
            Phase::Committed => ("completed", ""),
            Phase::Cancelled(why) if why == BY_OPERATOR => ("canceled", why.as_str()),
            Phase::Cancelled(why) => ("failed", why.as_str()),
        };
        reply.map(12);
        text(reply, "id", m.id.as_str());
        text(reply, "slots", &ranges(&m.slots));
        text(reply, "source", &from);
        text(reply, "dest", &to);
        text(reply, "operation", operation);
        text(reply, "state", state);
        text(reply, "last_error", why);
        int(reply, "retries", told.retries as i64);
        int(reply, "create_time", told.created_ms);
        int(reply, "start_time", told.started_ms);
        int(reply, "end_time", told.ended_ms);
        int(reply, "write_pause_ms", told.pause_ms as i64);
    }
    Ok(Then::Answered)
}

/// CLUSTER GETSLOTMIGRATIONS
pub fn get_slot_migrations(ask: &mut Ask<'_, '_>) -> Outcome {
    let state = &ask.view.state;
    // The newest first, as they are looked for.
    let all = state
        .migrations
        .values()
        .rev()
        .chain(state.finished_migrations.iter().rev());
    let rows: Vec<_> = all
        .filter(|m| goes_from_here(&ask.view, m) || comes_here(&ask.view, m))
        .map(|m| {
            (
                m,
                ask.cluster.migrations.table.get(m.id),
                primary(ask, m.from),
                primary(ask, m.to),
            )
        })
        .collect();
    let reply = &mut *ask.reply;
    reply.array(rows.len());
    for (m, told, from, to) in rows {
        let operation = if goes_from_here(&ask.view, m) {
            "EXPORT"
        } else {
            "IMPORT"
        };
        let (state, message) = table::ended(m).unwrap_or((told.stage.name(), &told.last_error));
        reply.map(11);
        text(reply, "name", m.id.as_str());
        text(reply, "operation", operation);
        text(reply, "slot_ranges", &ranges(&m.slots));
        text(reply, "target_node", &to);
        text(reply, "source_node", &from);
        int(reply, "create_time", told.created_ms / 1000);
        int(reply, "last_update_time", told.updated_ms / 1000);
        int(reply, "last_ack_time", told.ack_ms / 1000);
        text(reply, "state", state);
        text(reply, "message", message);
        int(reply, "cow_size", told.images as i64);
    }
    Ok(Then::Answered)
}

fn ranges(slots: &SlotSet) -> String {
    let ranges = slots.ranges().into_iter();
    let text: Vec<String> = ranges.map(|(first, last)| format!("{first}-{last}")).collect();
    text.join(" ")
}

fn primary(ask: &Ask<'_, '_>, shard: holdfast_cluster::ShardId) -> String {
    let shard = ask.view.state.shards.get(&shard);
    shard.map(|shard| shard.primary.to_string()).unwrap_or_default()
}

fn text(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn int(reply: &mut Reply, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.int(value);
}
