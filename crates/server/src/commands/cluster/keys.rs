//! The subcommands about keys and what they cost: KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT, SLOT-STATS.

use holdfast_cluster::SLOTS;
use holdfast_cluster::state::Route;

use super::super::ServerError;
use super::job::{Ask, Then};
use crate::cluster::slots;
use crate::config::Param;

type Outcome = Result<Then, ServerError>;

/// CLUSTER KEYSLOT key
pub fn key_slot(ask: &mut Ask<'_, '_>) -> Outcome {
    let slot = holdfast_storage::slot::key_slot(ask.args.get(2));
    ask.reply.int(i64::from(slot));
    Ok(Then::Answered)
}

fn slot(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOTS)
}

/// CLUSTER COUNTKEYSINSLOT slot
pub fn count_keys(ask: &mut Ask<'_, '_>) -> Outcome {
    let slot = slot(ask.args.int(2)?).ok_or_else(|| ServerError::new("ERR Invalid slot"))?;
    let keyspace = &ask.server.keyspace;
    let count = match ask.locked {
        Some(locked) => slots::count(keyspace, locked, slot),
        None => slots::count(keyspace, &keyspace.lock_one(keyspace.shard_of(slot)), slot),
    };
    ask.reply.int(count as i64);
    Ok(Then::Answered)
}

/// CLUSTER GETKEYSINSLOT slot count
pub fn get_keys(ask: &mut Ask<'_, '_>) -> Outcome {
    let (number, most) = (ask.args.int(2)?, ask.args.int(3)?);
    let (Some(slot), Ok(most)) = (slot(number), usize::try_from(most)) else {
        return Err(ServerError::new("ERR Invalid slot or number of keys"));
    };
    let keyspace = &ask.server.keyspace;
    let keys = match ask.locked {
        Some(locked) => slots::keys(keyspace, locked, ask.db, slot, most),
        None => {
            let locked = keyspace.lock_one(keyspace.shard_of(slot));
            slots::keys(keyspace, &locked, ask.db, slot, most)
        }
    };
    ask.reply.array(keys.len());
    for key in keys {
        ask.reply.bulk(&key);
    }
    Ok(Then::Answered)
}

/// One figure of SLOT-STATS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metric {
    Keys,
    Cpu,
    In,
    Out,
}

const METRICS: [(&str, Metric); 4] = [
    ("key-count", Metric::Keys),
    ("cpu-usec", Metric::Cpu),
    ("network-bytes-in", Metric::In),
    ("network-bytes-out", Metric::Out),
];

/// The figures of one slot, in the order of [`METRICS`].
type Figures = (u16, [u64; 4]);

/// CLUSTER SLOT-STATS SLOTSRANGE first last, or ORDERBY metric [LIMIT n] [ASC|DESC]: as Valkey 8 and Redis 8.2 document
/// it.
pub fn slot_stats(ask: &mut Ask<'_, '_>) -> Outcome {
    let counted = ask.server.config.flag(Param::ClusterSlotStatsEnabled);
    let mut rest = ask.args.cursor(2);
    let chosen = if rest.accept("SLOTSRANGE") {
        let invalid = || ServerError::new("ERR Invalid or out of range slot");
        let first = slot(rest.int().map_err(|_| invalid())?).ok_or_else(invalid)?;
        let last = slot(rest.int().map_err(|_| invalid())?).ok_or_else(invalid)?;
        if first > last {
            return Err(ServerError(format!(
                "ERR start slot number {first} is greater than end slot number {last}"
            )));
        }
        if rest.left() > 0 {
            return Err(ServerError::new("ERR syntax error"));
        }
        figures(ask, first..=last)
    } else if rest.accept("ORDERBY") {
        let word = rest.word()?.to_ascii_lowercase();
        let metric = METRICS.iter().position(|(name, _)| name.as_bytes() == &word[..]);
        let metric = metric
            .filter(|metric| *metric == 0 || counted)
            .ok_or_else(|| ServerError::new("ERR Unrecognized sort metric for ORDERBY."))?;
        let (mut limit, mut ascending) = (usize::from(SLOTS), false);
        while rest.left() > 0 {
            if rest.accept("ASC") {
                ascending = true;
            } else if rest.accept("DESC") {
                ascending = false;
            } else if rest.left() >= 2 && rest.accept("LIMIT") {
                limit = match usize::try_from(rest.int()?) {
                    Ok(limit @ 1..=16384) => limit,
                    Ok(_) | Err(_) => {
                        return Err(ServerError::new(
                            "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
                        ));
                    }
                };
            } else {
                return Err(ServerError::new("ERR syntax error"));
            }
        }
        let mut all = figures(ask, 0..=SLOTS - 1);
        // Slots of equal cost by their numbers.
        all.sort_by(|(_, a), (_, b)| {
            let order = a[metric].cmp(&b[metric]);
            if ascending { order } else { order.reverse() }
        });
        all.truncate(limit);
        all
    } else {
        return Err(ServerError::new("ERR syntax error"));
    };
    let shown = if counted { METRICS.len() } else { 1 };
    ask.reply.array(chosen.len());
    for (slot, values) in chosen {
        ask.reply.array(2);
        ask.reply.int(i64::from(slot));
        ask.reply.map(shown);
        for ((name, _), value) in METRICS.iter().zip(values).take(shown) {
            ask.reply.bulk(name.as_bytes());
            ask.reply.int(value as i64);
        }
    }
    Ok(Then::Answered)
}

/// The figures of those of the slots that this node's shard has.
fn figures(ask: &Ask<'_, '_>, range: std::ops::RangeInclusive<u16>) -> Vec<Figures> {
    let keyspace = &ask.server.keyspace;
    let counts = match ask.locked {
        Some(locked) => slots::count_locked(keyspace, locked),
        None => slots::count_all(keyspace),
    };
    range
        .filter(|slot| matches!(ask.view.route(*slot), Route::Mine { .. }))
        .map(|slot| {
            let cost = ask.server.observe.slot_stats.of(slot);
            let values = METRICS.map(|(_, metric)| match metric {
                Metric::Keys => counts[usize::from(slot)],
                Metric::Cpu => cost.cpu_usec,
                Metric::In => cost.network_bytes_in,
                Metric::Out => cost.network_bytes_out,
            });
            (slot, values)
        })
        .collect()
}
