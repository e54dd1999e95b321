//! CLUSTER FAILOVER without FORCE: a primary gives way to a replica that has everything, and nothing is lost.
//!
//! ```text
//! replica                                     primary
//! asks, with the offset of its log       ->   holds writes back, as CLIENT PAUSE WRITE does
//! asks again, until it knows the outcome ->   the replica has all: sealed, so that nothing is written any more
//!                                             has the failover agreed on
//! is the primary                              is a replica; who was held back is sent to the new primary
//! ```
//!
//! A replica that asks no more has given up, and the primary goes on. Whether an agreement that got no answer will come
//! is not known: then the primary stays sealed until another one has an answer. Must not know: how nodes agree, how replicas
//! are fed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_cluster::NodeId;
use holdfast_cluster::state::{Entry, FailoverKind, Fence, View};
use holdfast_storage::keyspace::ShardSet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::plane::{Pending, PlaneError};
use crate::server::{Hold, Server};

/// How long a replica asks.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks.
const EVERY: Duration = Duration::from_millis(10);
/// A replica that has not asked for so long has given up.
const GIVEN_UP: Duration = Duration::from_secs(1);
/// Between two tries to find out what became of an agreement.
const AGAIN: Duration = Duration::from_millis(100);

/// What a replica asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The replica.
    pub to: NodeId,
    /// Its shard's epoch.
    pub epoch: u64,
    /// The offset of the log that it has.
    pub offset: u64,
}

/// A primary's giving way. See the module's documentation.
#[derive(Debug, Default)]
pub struct HandOver {
    came: Mutex<Option<Wish>>,
    /// Told of a wish.
    pub changed: Notify,
    running: Mutex<Option<Running>>,
    sealed: AtomicBool,
}

#[derive(Debug)]
struct Running {
    to: NodeId,
    epoch: u64,
    heard: Instant,
    /// It is being agreed on.
    is_sealed: bool,
}

impl HandOver {
    /// A replica asks. It does so again, so one that is overwritten is not lost.
    pub fn asked(&self, wish: Wish) {
        *self.came.lock() = Some(wish);
        self.changed.notify_one();
    }

    /// Whether nothing may be written any more, though this node is the primary. It is set while every shard is locked.
    #[inline]
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }
}

/// The replica's side: done when this node is the primary.
pub fn take_over(server: &Arc<Server>, fence: Fence) -> Pending<()> {
    let server = Arc::clone(server);
    Box::pin(async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(cluster) = server.cluster.get() else {
                return Ok(());
            };
            let view = cluster.view();
            let shard = view.my_shard().filter(|shard| shard.id == fence.shard);
            let Some(shard) = shard else {
                return Err(failed("this node has left its shard meanwhile"));
            };
            if shard.primary == view.me {
                return Ok(());
            }
            if shard.epoch != fence.epoch {
                return Err(failed("another node has taken over meanwhile"));
            }
            if Instant::now() >= deadline {
                return Err(failed("Manual failover timed out: the primary goes on"));
            }
            cluster.plane().hand_over(fence.epoch, server.log.end_offset());
            tokio::time::sleep(EVERY).await;
        }
    })
}

fn failed(why: &str) -> PlaneError {
    PlaneError::Failed(why.to_owned())
}

/// The primary's side: takes the next step, whenever a wish or a new view has come, and several times a second. Inside a
/// runtime; no lock may be held.
pub fn look(server: &Arc<Server>) {
    let Some(cluster) = server.cluster.get() else {
        return;
    };
    let hand_over = &cluster.hand_over;
    let wish = hand_over.came.lock().take();
    let mut running = hand_over.running.lock();
    let view = cluster.view();
    if let Some(now) = &*running {
        let is_decided = !is_its(&view, now.epoch);
        let has_given_up = !now.is_sealed && now.heard.elapsed() > GIVEN_UP;
        if is_decided || has_given_up {
            if has_given_up {
                tracing::warn!("Manual failover: the replica asks no more, I stay the primary");
            }
            *running = None;
            release(server);
        }
    }
    let Some(wish) = wish.filter(|wish| is_its(&view, wish.epoch) && !server.shutdown.is_cancelled()) else {
        return;
    };
    let now = running.get_or_insert_with(|| {
        tracing::warn!("Manual failover requested by replica {}.", wish.to);
        server.replication.failover.hold_log(true);
        server.hold_writes(Hold::HandOver, true);
        Running {
            to: wish.to,
            epoch: wish.epoch,
            heard: Instant::now(),
            is_sealed: false,
        }
    });
    if now.to != wish.to || now.is_sealed {
        return;
    }
    now.heard = Instant::now();
    if seal(server, wish.offset) {
        now.is_sealed = true;
        agree(server, &view, wish);
    }
}

/// Whether this node is the primary of its shard in this epoch.
fn is_its(view: &View, epoch: u64) -> bool {
    view.is_primary() && view.my_shard().is_some_and(|shard| shard.epoch == epoch)
}

/// Has nothing written any more, if the log ends at this offset.
fn seal(server: &Server, offset: u64) -> bool {
    let Some(cluster) = server.cluster.get() else {
        return false;
    };
    let _all = server.keyspace.lock(&ShardSet::All);
    // Functions are logged without shards being locked.
    let _functions = server.scripts.libraries.change();
    let has_all = server.log.end_offset() == offset;
    if has_all {
        cluster.hand_over.sealed.store(true, Ordering::Release);
    }
    has_all
}

fn release(server: &Server) {
    if let Some(cluster) = server.cluster.get() {
        cluster.hand_over.sealed.store(false, Ordering::Release);
    }
    server.replication.failover.hold_log(false);
    server.hold_writes(Hold::HandOver, false);
}

/// Has it agreed on. The view tells if it was; if not, this node goes on.
fn agree(server: &Arc<Server>, view: &View, wish: Wish) {
    let (Some(cluster), Some(shard)) = (server.cluster.get(), view.my_shard()) else {
        return;
    };
    let fence = Fence {
        shard: shard.id,
        epoch: shard.epoch,
    };
    tracing::info!(
        "Manual failover: replica {} has everything, it takes over",
        wish.to
    );
    // It has shown that it has everything, whoever said before that it lags.
    let in_sync = (!shard.in_sync.contains(&wish.to)).then(|| {
        let (add, remove) = (vec![wish.to], Vec::new());
        cluster.plane().propose(Entry::InSync { fence, add, remove })
    });
    let server = Arc::clone(server);
    tokio::spawn(async move {
        let Some(cluster) = server.cluster.get() else {
            return;
        };
        let agreed = async {
            if let Some(in_sync) = in_sync {
                in_sync.await?;
            }
            let (to, kind, life) = (wish.to, FailoverKind::Manual, 0);
            cluster
                .plane()
                .propose(Entry::Failover {
                    fence,
                    to,
                    kind,
                    life,
                })
                .await
        };
        let error = match agreed.await {
            Ok(_) => return look(&server),
            Err(error) => error,
        };
        tracing::warn!("Manual failover: {error}");
        if matches!(error, PlaneError::Unknown(_)) {
            while is_its(&cluster.view(), wish.epoch) && !server.shutdown.is_cancelled() {
                if cluster.plane().propose(Entry::Barrier).await.is_ok() {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
        *cluster.hand_over.running.lock() = None;
        release(&server);
    });
}
