//! The short form of the simulation; the long one: `cargo run --release -p holdfast-cluster --example
//! simulate -- --seeds 10000`.

#[path = "../simulation/mod.rs"]
#[allow(dead_code)]
mod simulation;

#[test]
fn clusters_survive_what_happens_to_them() {
    for seed in 1..=12 {
        if let Err(what) = simulation::story::run(seed) {
            panic!("seed {seed}: {what}");
        }
    }
}

/// Seeds that found mistakes which were mended since.
#[test]
fn what_once_failed_fails_no_more() {
    // A node joins, dies before it has anything of the log, is made to leave, and comes back knowing no voter.
    // A primary comes back empty, and takes a replica for empty that is still reading its files.
    // A new leader's snapshots reach its voters, and their answers do not reach it.
    // All voters that a node knows leave while it is away, and it is made to leave, too.
    for seed in [796, 5777, 6837, 7722, 9640] {
        if let Err(what) = simulation::story::run(seed) {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn a_failover_is_done_within_a_second() {
    let figures = simulation::scale::run(12, 1).unwrap();
    assert!(
        figures.failover_ms <= 1000 && figures.both_ms <= 1500,
        "{figures:?}"
    );
}

#[test]
fn one_node_can_be_made_the_truth_when_a_majority_is_lost() {
    simulation::scenes::lose_the_majority(1).unwrap();
}

#[test]
fn a_leader_that_comes_back_empty_does_not_serve_what_its_replica_has() {
    for seed in 1..=6 {
        simulation::scenes::lose_the_data_of_the_leader(seed).unwrap();
    }
}

#[test]
fn a_full_disk_under_the_leader_costs_a_failover_and_no_more() {
    for seed in 1..=3 {
        simulation::scenes::fill_the_leaders_disk(seed).unwrap();
    }
}
