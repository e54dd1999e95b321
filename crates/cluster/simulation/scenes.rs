//! Clusters to which one certain thing happens.

use bytes::Bytes;
use holdfast_cluster::SlotSet;
use holdfast_cluster::state::Entry;
use rand::Rng;

use super::checks::PROBES;
use super::story::all_served;
use super::world::World;

const SECOND: u64 = 1_000_000;

/// Two of three voters are lost with their disks; an operator makes the third one the truth, and the cluster goes on.
///
/// # Errors
/// What did not hold.
pub fn lose_the_majority(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    (0..3).for_each(|_| {
        world.add();
    });
    world.run(SECOND);
    world.meet(1, 0);
    world.meet(2, 0);
    world.until(20 * SECOND, "three voters", |world| {
        (0..3).all(|n| {
            world
                .engine(n)
                .is_some_and(|engine| engine.state().voters().count() == 3)
        })
    })?;
    let id = world.id(2);
    world.propose(
        2,
        Entry::AssignSlots {
            node: id,
            slots: SlotSet::all(),
        },
    );
    world.until(5 * SECOND, "the slots served", |world| world.serves(2, 7))?;
    world.kill(0);
    world.kill(1);
    world.until(5 * SECOND, "no lease without a majority", |world| {
        !world.serves(2, 7)
    })?;
    world.kill(2);
    world.recover(2);
    world.start(2);
    world.until(10 * SECOND, "the slots served again", |world| world.serves(2, 7))?;
    // One of the lost comes back after all, and follows.
    world.start(1);
    world.until(10 * SECOND, "the one that came back follows", |world| {
        world.engine(1).is_some_and(|engine| engine.leader() == Some(id))
    })?;
    world.checks.violation.clone().map_or(Ok(()), Err)
}

/// A cluster of five in which two nodes have a shard each, the others being replicas of theirs; everything well.
fn two_shards(seed: u64) -> Result<World, String> {
    let mut world = World::new(seed);
    (0..5).for_each(|_| {
        world.add();
    });
    world.run(SECOND);
    for (node, range) in [(0, (0, 8000)), (1, (8001, 16383))] {
        let slots = SlotSet::from_ranges([range]).expect("a range");
        let id = world.id(node);
        world.propose(node, Entry::AssignSlots { node: id, slots });
    }
    world.run(SECOND / 2);
    (1..5).for_each(|node| world.meet(node, 0));
    let voting = |world: &World| {
        world
            .engine(0)
            .is_some_and(|engine| engine.state().voters().count() == 5)
    };
    world.until(60 * SECOND, "five voters", voting)?;
    for (node, primary) in [(2, 0), (3, 0), (4, 1)] {
        let (id, primary) = (world.id(node), world.id(primary));
        world.propose(node, Entry::SetReplica { node: id, primary });
    }
    let in_sync = |world: &World| {
        let replicas = |engine: &holdfast_cluster::engine::Engine| -> usize {
            engine
                .state()
                .shards
                .values()
                .map(|shard| shard.in_sync.len())
                .sum()
        };
        (0..5).all(|n| world.engine(n).is_some_and(|engine| replicas(engine) == 3))
    };
    world.until(60 * SECOND, "all replicas in sync", in_sync)?;
    world.until(10 * SECOND, "all slots served", all_served)?;
    Ok(world)
}

/// The node that leads and serves a shard is killed, and comes back with nothing before another leads: a replica that has
/// everything takes over, and nobody serves an empty data set. Where nobody has kept anything, the shard begins anew.
///
/// # Errors
/// What did not hold.
pub fn lose_the_data_of_the_leader(seed: u64) -> Result<(), String> {
    let mut world = two_shards(seed)?;
    for machine in &mut world.machines {
        machine.persists = false;
    }
    while world.leader() != Some(0) {
        let leader = world.leader().ok_or("somebody leads")?;
        world.kill(leader);
        world.until(5 * SECOND, "another one leads", |world| {
            world.leader().is_some_and(|now| now != leader)
        })?;
        world.start(leader);
        world.until(20 * SECOND, "all well again", |world| {
            all_served(world) && is_whole(world)
        })?;
    }
    let (leader, slot) = (0, PROBES.into_iter().find(|slot| world.serves(0, *slot)));
    let Some(slot) = slot else {
        return Ok(()); // it leads and serves nothing, since it was away
    };
    world.kill(leader);
    let away = world.random.random_range(0..500_000);
    world.run(away);
    world.start(leader);
    world.until(5 * SECOND, "a replica serves", |world| {
        world.server_of(slot).is_some_and(|node| node != leader)
    })?;
    world.checks.violation.clone().map_or(Ok(()), Err)?;
    world.until(20 * SECOND, "all in sync again", |world| {
        all_served(world) && is_whole(world)
    })?;
    (0..5).for_each(|node| world.kill(node));
    (0..5).for_each(|node| world.start(node));
    world.until(
        10 * SECOND,
        "all slots served by nodes that begin anew",
        all_served,
    )?;
    world.checks.violation.clone().map_or(Ok(()), Err)
}

/// Whether every replica is in sync.
fn is_whole(world: &World) -> bool {
    let whole = |engine: &holdfast_cluster::engine::Engine| {
        let mut shards = engine.state().shards.values();
        shards.all(|shard| shard.in_sync == shard.replicas)
    };
    (0..5).all(|n| world.engine(n).is_some_and(whole))
}

/// The disk under the leader's log is full: another one leads, primaries are replaced as ever, and a primary with such a disk
/// gives its slots to a replica. When there is room again, all have one log.
///
/// # Errors
/// What did not hold.
pub fn fill_the_leaders_disk(seed: u64) -> Result<(), String> {
    let mut world = two_shards(seed)?;
    let leader = world.leader().ok_or("somebody leads")?;
    world.fill_disk(leader);
    // Something to write, without which nobody would notice.
    let entry = Entry::Setting {
        name: "a".into(),
        value: Some(Bytes::from_static(b"1")),
    };
    world.propose(leader, entry);
    world.until(5 * SECOND, "another one leads", |world| {
        world.leader().is_some_and(|now| now != leader)
    })?;
    let other = (0..2).find(|node| *node != leader).ok_or("another primary")?;
    let slot = [0, 16383][other];
    world.kill(other);
    world.until(5 * SECOND, "the dead primary is replaced", |world| {
        world.server_of(slot).is_some_and(|now| now != other)
    })?;
    world.until(15 * SECOND, "no slot is served over a full disk", |world| {
        all_served(world) && PROBES.iter().all(|slot| world.server_of(*slot) != Some(leader))
    })?;
    world.free_disk(leader);
    world.start(other);
    world.until(20 * SECOND, "one log", |world| {
        let index = |n| world.engine(n).map(|engine| engine.status().applied_index);
        index(0) == index(leader) && (1..5).all(|n| index(n) == index(0)) && all_served(world)
    })?;
    world.checks.violation.clone().map_or(Ok(()), Err)
}
