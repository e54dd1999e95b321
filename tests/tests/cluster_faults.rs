//! Clusters of six processes that lose primaries under writes: killed, cut off, standing still, on slow links.
//! The long form: `cargo run --release -p holdfast-tests --bin cluster -- --rounds 20`, and `-- --parted`.
//!
//! Nothing here depends on how soon anything happens: what is checked is who may acknowledge a write, and that none is lost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use holdfast_tests::cluster::kills::campaign;
use holdfast_tests::cluster::parted::{Cut, Outcome, cut_off, slow_links, stand_still};
use holdfast_tests::cluster::{Cluster, Setup, load};
use holdfast_tests::server::Role;

/// One cluster at a time: six processes and their clients are enough for a small machine.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On a machine that is busy with other things a node may not run for a while: it is not to be taken for dead at once.
fn setup() -> Setup {
    Setup::new(Role::Subject).directive("cluster-failover-time", "3000")
}

fn nothing_lost(outcome: Outcome) -> Result<()> {
    ensure!(outcome.acked > 60, "{outcome:?}");
    ensure!(outcome.lost.is_empty(), "{outcome:?}");
    ensure!(outcome.late == 0, "{outcome:?}");
    Ok(())
}

#[test]
fn killed_primaries_are_replaced_and_nothing_acknowledged_is_lost() -> Result<()> {
    let _one = alone();
    let report = campaign(setup(), 3)?;
    ensure!(report.rounds.iter().any(|round| round.leader), "{report:?}");
    ensure!(report.acked > 60 && report.lost.is_empty(), "{report:?}");
    Ok(())
}

/// Back before anybody has missed it: nobody has taken its place, and it has no files.
#[test]
fn a_primary_that_comes_back_with_nothing_gives_way_to_who_has_the_data() -> Result<()> {
    let _one = alone();
    let mut cluster = Cluster::start(setup())?;
    let writers = load::writers(&cluster);
    for leads in [true, false] {
        for writer in &writers {
            writer.wait_for(30)?;
        }
        let leader = cluster.leader();
        let primaries = cluster.primaries();
        let one = primaries.iter().find(|node| (Some(**node) == leader) == leads);
        // The leader may be a replica.
        let Some(&primary) = one.or(primaries.first()) else {
            bail!("no primaries");
        };
        cluster.kill(primary);
        cluster.start_again(primary)?;
        load::wait_until_writable(&cluster, &load::PROBES, Instant::now())?;
        cluster.wait_until_whole()?;
    }
    let (count, lost) = load::check(&cluster, writers)?;
    ensure!(count > 100 && lost.is_empty(), "{count} writes, lost: {lost:?}");
    Ok(())
}

#[test]
fn a_primary_that_is_cut_off_acknowledges_nothing_once_another_serves() -> Result<()> {
    let _one = alone();
    nothing_lost(cut_off(setup(), Cut::Both)?)
}

#[test]
fn a_primary_that_hears_nothing_or_is_not_heard_is_replaced() -> Result<()> {
    let _one = alone();
    nothing_lost(cut_off(setup(), Cut::Deaf)?)?;
    nothing_lost(cut_off(setup(), Cut::Mute)?)
}

#[test]
fn a_primary_that_stood_still_takes_no_write_that_waited_for_it() -> Result<()> {
    let _one = alone();
    nothing_lost(stand_still(setup())?)
}

#[test]
fn slow_links_cost_nobody_his_role() -> Result<()> {
    let _one = alone();
    let patient = Setup::new(Role::Subject).directive("cluster-failover-time", "20000");
    nothing_lost(slow_links(patient, Duration::from_millis(20))?)
}
