//! How far others have followed the replication log, and the clients that wait for it (WAIT, WAITAOF).
//!
//! Replication notes what each replica acknowledges, the append-only file what it has synced; while there is neither, a
//! wait ends with its time. Must not know: replies' forms beyond numbers, sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_resp::{Proto, Reply};
use parking_lot::Mutex;

use crate::blocking::{self, Waiter};
use crate::server::Server;

/// The reply to who waits for an append-only file that there is not.
pub const NO_AOF: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// What one replica has acknowledged, as offsets of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// It has received everything before this.
    pub received: u64,
    /// It has synced everything before this to its append-only file.
    pub synced: u64,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The end of what it has written.
    pub offset: u64,
    /// So many replicas.
    pub replicas: i64,
    /// WAITAOF: synced to append-only files, and so many of this server's (0 or 1). None: received by replicas.
    pub local: Option<i64>,
}

/// Those who have what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    local: i64,
    replicas: i64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Acks {
    replicas: Mutex<BTreeMap<u64, Acked>>,
    /// This server's append-only file has everything before this offset; 0: there is none.
    local: AtomicU64,
    waiters: Mutex<Vec<Arc<Waiter>>>,
}

impl Need {
    /// True if it is there.
    pub fn is_met(&self, count: Count) -> bool {
        count.replicas >= self.replicas && self.local.is_none_or(|local| count.local >= local)
    }

    /// The reply to the client, whether it is met or not.
    pub fn reply(&self, reply: &mut Reply, count: Count) {
        if self.local.is_some() {
            reply.array(2);
            reply.int(count.local);
        }
        reply.int(count.replicas);
    }
}

impl Acks {
    /// Who has what is needed.
    pub fn count(&self, need: &Need) -> Count {
        let has = |acked: &&Acked| match need.local {
            None => acked.received >= need.offset,
            Some(_) => acked.synced >= need.offset,
        };
        let local = self.local.load(Ordering::Acquire);
        Count {
            local: i64::from(local > 0 && local >= need.offset),
            replicas: self.replicas.lock().values().filter(has).count() as i64,
        }
    }

    /// Has the waiter answered as soon as its need is met.
    pub fn enter(&self, server: &Server, waiter: Arc<Waiter>) {
        let mut waiters = self.waiters.lock();
        waiters.retain(|w| !w.is_done());
        waiters.push(waiter);
        drop(waiters);
        // What came between the client's look and this is not announced again.
        self.serve(server);
    }

    /// A replica has acknowledged. `id`: its client's.
    pub fn acknowledged(&self, server: &Server, id: u64, acked: Acked) {
        self.replicas.lock().insert(id, acked);
        self.serve(server);
    }

    /// A replica is gone.
    pub fn forget(&self, id: u64) {
        self.replicas.lock().remove(&id);
    }

    /// Up to which offset this server's append-only file is synced; 0: there is none.
    pub fn local_synced(&self) -> u64 {
        self.local.load(Ordering::Acquire)
    }

    /// The append-only file has been synced up to an offset.
    pub fn synced(&self, server: &Server, offset: u64) {
        self.local.fetch_max(offset, Ordering::Release);
        self.serve(server);
    }

    /// There is no append-only file any more: who waits for it waits in vain.
    pub fn no_local(&self, server: &Server) {
        self.local.store(0, Ordering::Release);
        let waiting = self.waiters.lock().clone();
        for waiter in waiting.iter().filter(|w| !w.is_done()) {
            if waiter.need.is_some_and(|need| need.local.is_some_and(|n| n > 0)) {
                let mut reply = Reply::new(Vec::new(), waiter.proto);
                reply.error(NO_AOF);
                blocking::unblock(server, None, waiter, reply.as_bytes());
            }
        }
        self.waiters.lock().retain(|w| !w.is_done());
    }

    fn serve(&self, server: &Server) {
        if self.waiters.lock().is_empty() {
            return;
        }
        let waiting = self.waiters.lock().clone();
        for waiter in waiting.iter().filter(|w| !w.is_done()) {
            let Some(need) = &waiter.need else { continue };
            let count = self.count(need);
            if need.is_met(count) {
                let mut reply = Reply::new(Vec::new(), waiter.proto);
                need.reply(&mut reply, count);
                blocking::unblock(server, None, waiter, reply.as_bytes());
            }
        }
        self.waiters.lock().retain(|w| !w.is_done());
    }
}

/// The reply to a client whose time is over: what there is.
pub fn reply_now(acks: &Acks, need: &Need, proto: Proto) -> Vec<u8> {
    let mut reply = Reply::new(Vec::new(), proto);
    need.reply(&mut reply, acks.count(need));
    reply.into_inner()
}
