//! A primary is killed under writes, again and again: how long some slot is not writable, and what is lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::load::{PROBES, check, wait_until_writable, write_to_every_slot, writers};
use super::{Cluster, Setup};

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    /// The node that led the control plane was killed, too, or was the primary.
    pub leader: bool,
    /// From the kill until every slot took a write.
    pub outage: Duration,
}

/// What a campaign found.
#[derive(Debug)]
pub struct Report {
    /// For each kill.
    pub rounds: Vec<Round>,
    /// Writes that were acknowledged with WAIT 1.
    pub acked: usize,
    /// Keys of those that are gone.
    pub lost: Vec<String>,
}

/// Runs so many rounds on a new cluster.
///
/// # Errors
/// The cluster does not form, does not go on, or is not whole again after a round.
pub fn campaign(setup: Setup, rounds: usize) -> Result<Report> {
    let mut cluster = Cluster::start(setup)?;
    let writers = writers(&cluster);
    let mut found = Vec::new();
    for round in 0..rounds {
        writers
            .iter()
            .try_for_each(|writer| writer.wait_for(20))
            .with_context(|| format!("before round {round}\n{}", cluster.logs()))?;
        let victims = victims(&cluster, round)?;
        let leader = cluster.leader().is_some_and(|leader| victims.contains(&leader));
        let begin = Instant::now();
        victims.iter().for_each(|victim| cluster.kill(*victim));
        let outage = wait_until_writable(&cluster, &PROBES, begin)
            .with_context(|| format!("round {round}: nodes {victims:?} were killed"))?;
        found.push(Round { leader, outage });
        for victim in victims {
            cluster.start_again(victim)?;
        }
        cluster
            .wait_until_whole()
            .with_context(|| format!("round {round}"))?;
    }
    write_to_every_slot(&cluster)?;
    let (acked, lost) = check(&cluster, writers)?;
    Ok(Report {
        rounds: found,
        acked,
        lost,
    })
}

/// Primaries in turn; in every third round the leader of the control plane, with a primary of another shard if it is none
/// itself.
fn victims(cluster: &Cluster, round: usize) -> Result<Vec<usize>> {
    let primaries = cluster.primaries();
    let next = *primaries
        .get(round % primaries.len().max(1))
        .context("a primary")?;
    let leader = cluster.leader().filter(|_| round % 3 == 2);
    let Some(leader) = leader else {
        return Ok(vec![next]);
    };
    if primaries.contains(&leader) {
        return Ok(vec![leader]);
    }
    let follows = cluster.primary_of(leader)?;
    let other = primaries.into_iter().find(|primary| Some(*primary) != follows);
    Ok([Some(leader), other].into_iter().flatten().collect())
}
