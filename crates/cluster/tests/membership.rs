//! Nodes that come and go at awkward moments, in the simulation. What happened here once does not happen again.

#[path = "../simulation/mod.rs"]
#[allow(dead_code)]
mod simulation;

use holdfast_cluster::SlotSet;
use holdfast_cluster::state::Entry;
use simulation::world::World;

/// Microseconds.
const SECOND: u64 = 1_000_000;

fn known(world: &World, node: usize) -> usize {
    world.engine(node).map_or(0, |engine| engine.state().nodes.len())
}

/// A cluster of so many nodes without slots.
fn formed(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    for _ in 0..count {
        world.add();
    }
    world.run(SECOND);
    (1..count).for_each(|node| world.meet(node, 0));
    let voters = match count {
        0..3 => 1,
        3 | 4 => 3,
        _ => 5,
    };
    world
        .until(60 * SECOND, "the cluster is formed", |world| {
            (0..count).all(|node| known(world, node) == count)
                && world
                    .engine(0)
                    .is_some_and(|engine| engine.state().voters().count() == voters)
        })
        .expect("nodes that meet form a cluster");
    world.run(2 * SECOND);
    world
}

fn part(world: &mut World, these: &[usize], count: usize) {
    for here in these {
        for there in (0..count).filter(|node| !these.contains(node)) {
            world.network.cut.insert((*here, there));
            world.network.cut.insert((there, *here));
        }
    }
}

#[test]
fn the_only_voter_can_be_forgotten() {
    let mut world = formed(1, 2);
    let leader = world.leader().unwrap();
    let node = world.id(leader);
    let asked = world.propose(1 - leader, Entry::NodeLeave { node });
    world.run(8 * SECOND);
    assert!(world.answers[&asked].is_ok(), "{:?}", world.answers[&asked]);
    assert_eq!(known(&world, 1 - leader), 1);
}

#[test]
fn a_leader_that_is_forgotten_hands_over_to_who_lives() {
    for seed in 1..=5 {
        for dies in 0..2 {
            let mut world = formed(seed, 3);
            let leader = world.leader().unwrap();
            let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
            world.kill(others[dies]);
            world.run(3 * SECOND);
            let node = world.id(leader);
            let asked = world.propose(others[1 - dies], Entry::NodeLeave { node });
            world.run(8 * SECOND);
            let answer = world.answers.get(&asked);
            assert!(matches!(answer, Some(Ok(_))), "seed {seed}, {dies}: {answer:?}");
        }
    }
}

#[test]
fn what_a_deposed_leader_did_not_get_agreed_is_not_proposed_when_it_leads_again() {
    let mut world = formed(2, 5);
    let leader = world.leader().unwrap();
    let asks = (leader + 1) % 5;
    let stays = (leader + 2) % 5;
    part(&mut world, &[leader, asks], 5);
    let node = world.id(stays);
    let asked = world.propose(asks, Entry::NodeLeave { node });
    world.run(10 * SECOND);
    assert!(
        world.answers[&asked].is_err(),
        "who asked was told that nobody knows"
    );
    world.network.cut.clear();
    world.run(10 * SECOND);
    // The others stand still in turn until it leads again.
    for _ in 0..60 {
        let now = world.leader().unwrap_or(asks);
        if now == leader {
            break;
        }
        world.pause(now, 2 * SECOND);
        world.run(4 * SECOND);
    }
    assert_eq!(world.leader(), Some(leader));
    world.run(10 * SECOND);
    assert_eq!((known(&world, asks), known(&world, stays)), (5, 5));
}

#[test]
fn who_loses_slots_and_is_forgotten_serves_them_no_longer_than_its_lease() {
    for seed in 1..=5 {
        let mut world = formed(seed, 7);
        let votes =
            |world: &World, node: usize| world.engine(0).unwrap().state().nodes[&world.id(node)].voter;
        let loses = (0..7).find(|node| !votes(&world, *node)).unwrap();
        let gains = (0..7)
            .find(|node| *node != loses && Some(*node) != world.leader())
            .unwrap();
        let (node, to) = (world.id(loses), world.id(gains));
        let slots = SlotSet::all;
        world.propose(loses, Entry::AssignSlots { node, slots: slots() });
        world
            .until(10 * SECOND, "they are served", |world| world.serves(loses, 5))
            .unwrap();
        world.run(SECOND);
        part(&mut world, &[loses], 7);
        let moved = Entry::MoveSlots {
            to,
            slots: slots(),
            fences: Vec::new(),
        };
        let moved = world.propose(gains, moved);
        world
            .until(SECOND, "they have moved", |world| {
                world.answers.contains_key(&moved)
            })
            .unwrap();
        world.propose(gains, Entry::NodeLeave { node });
        for _ in 0..800 {
            world.run(1_000);
            assert!(!(world.serves(loses, 5) && world.serves(gains, 5)), "seed {seed}");
        }
        world
            .until(10 * SECOND, "who has gained them serves", |world| {
                world.serves(gains, 5)
            })
            .unwrap();
    }
}

#[test]
fn who_is_being_joined_joins_nobody() {
    for seed in 1..=20 {
        let mut world = World::new(seed);
        for _ in 0..3 {
            world.add();
            world.run(SECOND / 3);
        }
        world.run(SECOND);
        world.meet(2, 1);
        while world.engine(1).unwrap().status().pending == 0 {
            world.step();
        }
        world.meet(1, 0);
        world.run(30 * SECOND);
        let cluster = |node: usize| world.engine(node).unwrap().cluster_id();
        assert!((0..3).all(|node| cluster(node) == cluster(0)), "seed {seed}");
        assert_eq!(known(&world, 2), 3, "seed {seed}");
    }
}
