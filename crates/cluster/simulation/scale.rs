//! Many nodes: how long a failover takes, and what goes over the network.

use holdfast_cluster::SlotSet;
use holdfast_cluster::state::Entry;

use super::world::World;

const SECOND: u64 = 1_000_000;

/// The figures of a run.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub nodes: usize,
    /// From the death of a primary until its slots are served again, in milliseconds.
    pub failover_ms: u64,
    /// The same when the leader and a primary die at once.
    pub both_ms: u64,
    /// In a second without faults, all nodes together.
    pub messages_per_second: u64,
    pub bytes_per_second: u64,
}

/// A cluster of so many nodes, half of them replicas.
///
/// # Errors
/// It did not form, or did not recover.
pub fn run(nodes: usize, seed: u64) -> Result<Figures, String> {
    let mut world = World::new(seed);
    world.checks.off = true;
    for _ in 0..nodes {
        world.add();
    }
    world.run(SECOND);
    let primaries = nodes / 2;
    let share = 16384 / primaries;
    for node in 0..primaries {
        let last = if node + 1 == primaries {
            16383
        } else {
            (node + 1) * share - 1
        };
        let slots = SlotSet::from_ranges([((node * share) as u16, last as u16)]).expect("a range");
        let id = world.id(node);
        world.propose(node, Entry::AssignSlots { node: id, slots });
    }
    world.run(SECOND);
    for node in 1..nodes {
        world.meet(node, 0);
    }
    let formed = |world: &World| {
        world
            .engine(0)
            .is_some_and(|engine| engine.state().nodes.len() == nodes)
    };
    world.until(300 * SECOND, "all nodes joined", formed)?;
    world.run(3 * SECOND);
    for node in primaries..nodes {
        let (id, primary) = (world.id(node), world.id(node - primaries));
        world.propose(node, Entry::SetReplica { node: id, primary });
    }
    let in_sync = |world: &World| {
        world.engine(0).is_some_and(|engine| {
            let served = engine.state().shards.values();
            served
                .filter(|shard| !shard.replicas.is_empty())
                .filter(|s| !s.in_sync.is_empty())
                .count()
                >= nodes - primaries
        })
    };
    world.until(300 * SECOND, "all replicas in sync", in_sync)?;
    world.run(2 * SECOND);

    world.count_bytes = true;
    world.traffic = Default::default();
    world.run(2 * SECOND);
    let traffic = world.traffic;
    world.count_bytes = false;

    let leader = world.leader().ok_or("somebody leads")?;
    let victim = (0..primaries).rev().find(|n| *n != leader).ok_or("a primary")?;
    let served =
        |slot: u16, dead: usize| move |world: &World| world.server_of(slot).is_some_and(|n| n != dead);
    let slot = (victim * share) as u16;
    world.kill(victim);
    let failover_us = world.until(
        20 * SECOND,
        "the slots of the dead primary served",
        served(slot, victim),
    )?;
    world.run(2 * SECOND);
    let leader = world.leader().ok_or("somebody leads")?;
    // Not one whose replica leads: nobody would be left. Nor one that votes: with the first victim it would be three of five.
    let votes = |world: &World, node: usize| {
        let engine = world.engine(node);
        engine.is_some_and(|engine| engine.state().voters().any(|voter| voter.id == engine.node_id()))
    };
    let victim = (0..primaries)
        .rev()
        .find(|n| world.alive(*n) && *n != leader && *n + primaries != leader && !votes(&world, *n))
        .ok_or("a primary")?;
    let slot = (victim * share) as u16;
    world.kill(leader);
    world.kill(victim);
    let both_us = world.until(
        20 * SECOND,
        "the slots served after losing both",
        served(slot, victim),
    )?;
    Ok(Figures {
        nodes,
        failover_ms: failover_us / 1000,
        both_ms: both_us / 1000,
        messages_per_second: traffic.messages / 2,
        bytes_per_second: traffic.bytes / 2,
    })
}
