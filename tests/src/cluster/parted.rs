//! Clusters whose links are cut or slow, and whose processes stand still: who serves meanwhile, who does not, and what is
//! lost.
//!
//! In each story a third of the slots has one primary that gets into trouble. Clients on the others' side write with WAIT 1
//! all the time. What matters is told in [`Outcome`].

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::load::{PROBES, check, stubborn_writer, wait_until_writable, writers};
use super::{Cluster, Setup, tags};

/// A slot of the primary that gets into trouble.
const SLOT: u16 = 8000;
/// A slot of the same primary that a client on its side writes to.
const BESIDE: u16 = 8001;
/// Writes that a process which stands still finds when it goes on.
const QUEUED: u64 = 100;

/// What came of a story.
#[derive(Debug)]
pub struct Outcome {
    /// From the trouble until every slot took a write; none if no slot was to be without a primary.
    pub outage: Option<Duration>,
    /// Writes that were acknowledged with WAIT 1.
    pub acked: usize,
    /// Keys of those that are gone.
    pub lost: Vec<String>,
    /// Writes that the old primary acknowledged, though they were sent to it after another one served the slot. It has to be
    /// none, as they are lost.
    pub late: usize,
    /// How long after the trouble began the old primary was sent the last write that it acknowledged.
    pub last_ack: Option<Duration>,
}

/// What goes wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes.
    Both,
    /// The primary hears nothing, and is heard.
    Deaf,
    /// The primary hears, and is not heard.
    Mute,
}

/// The primary of a slot, by the word of the cluster.
fn owner(cluster: &Cluster, slot: u16) -> Result<usize> {
    let address: SocketAddr = super::load::client(cluster).owner(slot)?;
    let node = cluster.addresses().iter().position(|own| *own == address);
    node.context("it is one of ours")
}

/// A primary is cut off from all other nodes. The clients on the others' side do not reach it either; one client stays with it,
/// and writes to it as long as it takes writes. Then the links heal.
///
/// # Errors
/// The others do not go on, or not all are together again in the end.
pub fn cut_off(setup: Setup, cut: Cut) -> Result<Outcome> {
    let cluster = Cluster::start(setup.on_hosts())?;
    let network = cluster.network()?;
    let old = owner(&cluster, SLOT)?;
    let writers = writers(&cluster);
    let stubborn = stubborn_writer(&cluster, BESIDE, old);
    writers.iter().try_for_each(|writer| writer.wait_for(20))?;
    let (mine, his) = (cluster.clients(), cluster.clients() + 1);
    let begin = Instant::now();
    for other in (0..cluster.count()).filter(|node| *node != old) {
        if cut != Cut::Deaf {
            network.cut_way(old, other);
        }
        if cut != Cut::Mute {
            network.cut_way(other, old);
        }
        network.cut(his, other);
    }
    network.cut(mine, old);
    let outage = wait_until_writable(&cluster, &PROBES, begin)?;
    let served = Instant::now();
    // The new primary's only replica is the one that is cut off: WAIT succeeds in the other shards alone.
    for writer in [&writers[0], &writers[2]] {
        writer.wait_for(20)?;
    }
    let acked = stubborn.finish();
    network.heal_all();
    cluster.wait_until_whole()?;
    let late = acked.writes.iter().filter(|write| write.sent > served).count();
    let last = acked.writes.last().map(|write| write.sent);
    let (acked, lost) = check(&cluster, writers)?;
    Ok(Outcome {
        outage: Some(outage),
        acked,
        lost,
        late,
        last_ack: last.and_then(|last| last.checked_duration_since(begin)),
    })
}

/// A primary's process stands still until another one serves its slots; meanwhile its socket takes writes, which it finds
/// when it goes on.
///
/// # Errors
/// The others do not go on, or not all are together again in the end.
pub fn stand_still(setup: Setup) -> Result<Outcome> {
    let mut cluster = Cluster::start(setup)?;
    let old = owner(&cluster, SLOT)?;
    let writers = writers(&cluster);
    writers.iter().try_for_each(|writer| writer.wait_for(20))?;
    let tag = &tags()[usize::from(BESIDE)];
    let mut beside = cluster.connect(old)?;
    beside.set_timeout(crate::client::REPLY_TIMEOUT);
    let first = beside.call(&["SET", &format!("{{{tag}}}first"), "1"])?;
    ensure!(first.text() == Some("OK"), "{first:?}");
    let begin = Instant::now();
    cluster.stop(old)?;
    let outage = wait_until_writable(&cluster, &PROBES, begin)?;
    for number in 0..QUEUED {
        beside.send(&["SET", &format!("{{{tag}}}{number}"), "1"])?;
    }
    cluster.resume(old)?;
    let mut late = 0;
    for _ in 0..QUEUED {
        // A connection that it closes instead acknowledges nothing, too.
        let Ok(reply) = beside.receive() else { break };
        late += usize::from(reply.text() == Some("OK"));
    }
    writers.iter().try_for_each(|writer| writer.wait_for(20))?;
    cluster.wait_until_whole()?;
    let (acked, lost) = check(&cluster, writers)?;
    Ok(Outcome {
        outage: Some(outage),
        acked,
        lost,
        late,
        last_ack: None,
    })
}

/// Every packet between two nodes is late. Nobody is to lose a role by that.
///
/// # Errors
/// A role changed, or the writes do not go on.
pub fn slow_links(setup: Setup, delay: Duration) -> Result<Outcome> {
    let cluster = Cluster::start(setup.on_hosts())?;
    let network = cluster.network()?;
    let before = cluster.primaries();
    let writers = writers(&cluster);
    writers.iter().try_for_each(|writer| writer.wait_for(20))?;
    (0..cluster.count()).for_each(|node| network.slow(node, delay));
    writers.iter().try_for_each(|writer| writer.wait_for(50))?;
    (0..cluster.count()).for_each(|node| network.slow(node, Duration::ZERO));
    cluster.wait_until_whole()?;
    let after = cluster.primaries();
    ensure!(
        before == after,
        "primaries were {before:?} and are {after:?}\n{}",
        cluster.logs()
    );
    let (acked, lost) = check(&cluster, writers)?;
    Ok(Outcome {
        outage: None,
        acked,
        lost,
        late: 0,
        last_ack: None,
    })
}
