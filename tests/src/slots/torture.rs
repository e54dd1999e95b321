//! Migrations under load, of which one side is killed at a random moment, round after round. Nothing that was acknowledged
//! may be lost or done twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::writers::{self, Seen};
use super::{Nodes, SLOTS, has_ended, migration};
use crate::wait::look_for;

/// What is killed in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The node that sends.
    Source,
    /// The node that receives.
    Target,
    /// Nobody; the migration is given up by an operator, if it is not over before.
    Nobody,
}

/// What happened.
#[derive(Debug)]
pub struct Report {
    /// For each round: who was killed, and how the migration ended.
    pub rounds: Vec<(Victim, String)>,
    /// What the writers saw.
    pub seen: Seen,
}

/// Every write is in the file before it is acknowledged, so that a kill loses none.
const SAFE: &[(&str, &str)] = &[
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("cluster-slot-migration-max-rate", "1mb"),
];

/// Runs `rounds` rounds with numbers from `seed`.
///
/// # Errors
/// A key that is not what it must be, or something that never comes to its end.
pub fn run(rounds: usize, seed: u64) -> Result<Report> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut nodes = Nodes::start(3, SAFE)?;
    fill(&nodes)?;
    let seeds: Vec<_> = nodes.nodes.iter().map(|node| node.address).collect();
    let writers = writers::start(&seeds, 2, 40);
    let mut report = Vec::new();
    let mut owner = 0;
    for round in 0..rounds {
        let other = 1 - owner;
        let victim = [Victim::Source, Victim::Target, Victim::Nobody][(round + rng.random_range(0..2)) % 3];
        let name = nodes.migrate(owner, other, 0, SLOTS / 2)?;
        // Anything from the first connection to the moment after the end.
        let wait = Duration::from_millis(rng.random_range(0..1500));
        let mut client = nodes.nodes[owner].connect()?;
        look_for(wait, || Ok(migration(&mut client, &name)?.filter(has_ended)))?;
        match victim {
            Victim::Source => bounce(&mut nodes, owner)?,
            Victim::Target => bounce(&mut nodes, other)?,
            Victim::Nobody => {
                nodes.nodes[owner]
                    .connect()?
                    .command("CLUSTER CANCELSLOTMIGRATIONS")?;
            }
        }
        let end = nodes
            .wait_for_end(owner, &name)
            .with_context(|| format!("round {round}, {victim:?}"))?;
        ensure!(
            end == "success" || victim == Victim::Nobody,
            "round {round}: the migration ended as {end} after {victim:?} was killed"
        );
        if end == "success" {
            owner = other;
        }
        writers.wait_for(50)?;
        report.push((victim, end));
    }
    let seen = writers.finish()?;
    Ok(Report { rounds: report, seen })
}

/// Kill -9, and a start with the files that are there.
fn bounce(nodes: &mut Nodes, node: usize) -> Result<()> {
    nodes.nodes[node].kill();
    nodes.nodes[node].restart()?;
    nodes.wait_until_ok()
}

/// Data that make a migration last for a while.
fn fill(nodes: &Nodes) -> Result<()> {
    let mut client = nodes.client();
    let value = vec![b'x'; 4000];
    for i in 0..600 {
        client.one(&[b"SET".to_vec(), format!("filler:{i}").into_bytes(), value.clone()])?;
    }
    Ok(())
}
