//! When replies may leave. A reply depends on a place in the replication log, the end of what its client has written or
//! may have seen; it leaves when everybody who counts has the log up to there: the append-only file under `appendfsync
//! always`, later the replicas that are in sync.
//!
//! While nobody counts this costs one look at a flag for each batch of commands. Who waits does not block a thread: its
//! connection is woken when the gate has opened for it, and all that wait for the same fsync with it. Each thread has a
//! lane of its own, where its connections wait.
//!
//! Must not know: sockets, files, who the replicas are.

mod round;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::client::Client;
use round::Round;

/// Who has to have the log before a reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This server's append-only file, synced.
    AppendOnlyFile,
    /// The replicas that are in sync.
    InSyncReplicas,
}

const SOURCES: usize = 2;

/// See the module's documentation.
#[derive(Debug)]
pub struct Gate {
    /// Bits of the sources that count.
    on: AtomicU8,
    has: [AtomicU64; SOURCES],
    /// The disk fails: nobody knows when the gate will open.
    stuck: AtomicBool,
    /// One for each thread that serves connections: to open the gate costs one wake for each of them, whatever the number
    /// of clients that wait. The thread wakes its own clients, for which it need not call the system.
    lanes: Vec<Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Who waits, and for which offset.
    waiting: Mutex<Vec<(u64, Arc<Client>)>>,
    /// Those who were let go last.
    round: Mutex<Round>,
    /// The thread looks at its sockets once more instead of going to sleep.
    lingers: AtomicBool,
    /// The highest offset that was asked for since [`Gate::take_asked`], and how often; 0: none.
    asked: AtomicU64,
    times: AtomicU32,
    /// Wakes the thread's task that lets clients go.
    waker: AtomicWaker,
}

impl Gate {
    /// A gate that nobody counts for. `lanes`: number of threads that may serve connections.
    pub fn new(lanes: usize) -> Self {
        Self {
            on: AtomicU8::new(0),
            has: Default::default(),
            stuck: AtomicBool::new(false),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
        }
    }

    /// Whether replies may have to wait at all.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire) != 0
    }

    /// What depends on no more than this offset may leave.
    pub fn open_to(&self) -> u64 {
        let on = self.on.load(Ordering::Acquire);
        let counting = self.has.iter().enumerate().filter(|(i, _)| on & (1 << i) != 0);
        let least = counting.map(|(_, has)| has.load(Ordering::Acquire)).min();
        least.unwrap_or(u64::MAX)
    }

    /// From now on a source counts; it has the log up to `offset`.
    pub fn turn_on(&self, source: Source, offset: u64) {
        self.has[source as usize].store(offset, Ordering::Release);
        self.on.fetch_or(1 << source as u8, Ordering::AcqRel);
    }

    /// A source does not count any more.
    pub fn turn_off(&self, source: Source) {
        self.on.fetch_and(!(1 << source as u8), Ordering::AcqRel);
        if source == Source::AppendOnlyFile {
            self.stuck.store(false, Ordering::Release);
        }
        self.wake();
    }

    /// A source has the log up to `offset`.
    pub fn advance(&self, source: Source, offset: u64) {
        if self.on.load(Ordering::Acquire) & (1 << source as u8) != 0 {
            self.has[source as usize].fetch_max(offset, Ordering::AcqRel);
            self.wake();
        }
    }

    /// The append-only file cannot be written for now. What was written waits; what only reads does not, and who waits
    /// with such a reply already is woken to see it.
    pub fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Release);
        self.wake();
    }

    /// See [`Self::set_stuck`].
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Has a client of a thread woken when the gate is open for `offset`, or is stuck; it asks once. False: so it is
    /// already.
    pub fn wait(&self, lane: usize, offset: u64, client: &Arc<Client>) -> bool {
        let lane = &self.lanes[lane];
        lane.waiting.lock().push((offset, Arc::clone(client)));
        let let_go_in = client.let_go_in.swap(0, Ordering::Relaxed);
        if let_go_in != 0 {
            lane.round.lock().came(let_go_in);
        }
        lane.asked.fetch_max(offset, Ordering::Relaxed);
        lane.times.fetch_add(1, Ordering::Relaxed);
        // What came in between is not told again: whoever opens looks at the list afterwards.
        self.open_to() < offset && !self.is_stuck()
    }

    /// How often a thread's clients have asked since [`Self::take_asked`].
    pub fn times_asked(&self, lane: usize) -> u32 {
        self.lanes[lane].times.load(Ordering::Relaxed)
    }

    /// The highest offset that a thread's clients have asked for since this was called last.
    pub fn take_asked(&self, lane: usize) -> Option<u64> {
        let lane = &self.lanes[lane];
        lane.times.store(0, Ordering::Relaxed);
        match lane.asked.swap(0, Ordering::Relaxed) {
            0 => None,
            offset => Some(offset),
        }
    }

    /// Called when a thread is about to sleep: whether what its clients ask for can wait until more of them ask, `longest`
    /// after some were let go. The thread looks for them and comes again, soon.
    pub fn lingers(&self, lane: usize, longest: Duration) -> bool {
        let lane = &self.lanes[lane];
        if lane.times.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let lingers = lane.round.lock().waits(Instant::now(), longest);
        if lingers {
            lane.lingers.store(true, Ordering::Relaxed);
            lane.waker.wake();
        }
        lingers
    }

    /// Number of replies that wait, one for each connection or a few more.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.lock().len()).sum()
    }

    /// Lets a thread's clients go, for as long as the thread lives. It is the thread's own task.
    pub async fn serve(&self, lane: usize) {
        std::future::poll_fn(|cx| {
            self.lanes[lane].waker.register(cx.waker());
            self.let_go(lane);
            if self.lanes[lane].lingers.swap(false, Ordering::Relaxed) {
                // The runtime looks for events before it runs this task again, and does not wait for any.
                let _pending = pin!(tokio::task::yield_now()).poll(cx);
            }
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        for lane in &self.lanes {
            if !lane.waiting.lock().is_empty() {
                lane.waker.wake();
            }
        }
    }

    fn let_go(&self, lane: usize) {
        let open = self.open_to();
        let free: Vec<Arc<Client>> = {
            let mut waiting = self.lanes[lane].waiting.lock();
            let free = waiting.extract_if(.., |(offset, _)| *offset <= open);
            let mut free: Vec<Arc<Client>> = free.map(|(_, client)| client).collect();
            if !free.is_empty() {
                let number = self.lanes[lane].round.lock().begin(free.len(), Instant::now());
                for client in &free {
                    client.let_go_in.store(number, Ordering::Relaxed);
                }
            }
            if self.is_stuck() {
                // They stay in the list: what they have written waits on.
                free.extend(waiting.iter().map(|(_, client)| Arc::clone(client)));
            }
            free
        };
        for client in free {
            client.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u64) -> Arc<Client> {
        Arc::new(Client::new(id, String::new(), String::new(), -1, 0, false))
    }

    #[test]
    fn opens_as_far_as_the_slowest_who_counts() {
        let gate = Gate::new(2);
        assert!(!gate.is_on());
        assert_eq!(gate.open_to(), u64::MAX);
        gate.turn_on(Source::AppendOnlyFile, 10);
        gate.turn_on(Source::InSyncReplicas, 20);
        assert_eq!(gate.open_to(), 10);
        gate.advance(Source::AppendOnlyFile, 30);
        gate.advance(Source::AppendOnlyFile, 25);
        assert_eq!(gate.open_to(), 20);
        gate.turn_off(Source::InSyncReplicas);
        assert_eq!(gate.open_to(), 30);
        gate.advance(Source::InSyncReplicas, 5);
        gate.turn_off(Source::AppendOnlyFile);
        assert_eq!(gate.open_to(), u64::MAX);
    }

    #[test]
    fn who_waits_is_let_go_in_time_and_once() {
        let gate = Gate::new(2);
        gate.turn_on(Source::AppendOnlyFile, 0);
        let (a, b) = (client(1), client(2));
        assert!(gate.wait(0, 5, &a));
        assert!(gate.wait(0, 9, &b));
        assert!(gate.wait(1, 7, &a));
        assert_eq!(gate.waiting(), 3);
        gate.advance(Source::AppendOnlyFile, 5);
        gate.let_go(0);
        gate.let_go(1);
        assert_eq!(gate.waiting(), 2);
        assert!(!gate.wait(0, 5, &a), "it is open already");
        gate.set_stuck(true);
        gate.let_go(0);
        assert_eq!(gate.waiting(), 2, "who is woken to look stays in the list");
        assert!(!gate.wait(0, 9, &a), "a reply that only reads does not wait");
        gate.turn_off(Source::AppendOnlyFile);
        gate.let_go(0);
        assert_eq!(gate.waiting(), 1, "each thread lets go its own");
        gate.let_go(1);
        assert_eq!(gate.waiting(), 0);
    }

    #[test]
    fn a_lane_knows_what_it_was_asked_for() {
        let gate = Gate::new(2);
        gate.turn_on(Source::AppendOnlyFile, 0);
        assert_eq!(gate.take_asked(0), None);
        for offset in [5, 9, 7] {
            assert!(gate.wait(0, offset, &client(1)));
        }
        assert_eq!((gate.times_asked(0), gate.times_asked(1)), (3, 0));
        assert_eq!(gate.take_asked(0), Some(9));
        assert_eq!((gate.times_asked(0), gate.take_asked(0)), (0, None));
    }

    #[tokio::test]
    async fn a_lane_is_woken_once_for_all_and_misses_nothing() {
        let gate = Arc::new(Gate::new(1));
        gate.turn_on(Source::AppendOnlyFile, 0);
        let lane = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.serve(0).await }
        });
        for offset in 1..=1000 {
            let waits = gate.wait(0, offset, &client(offset));
            assert!(waits);
            let opener = std::thread::spawn({
                let gate = Arc::clone(&gate);
                move || gate.advance(Source::AppendOnlyFile, offset)
            });
            while gate.waiting() > 0 {
                tokio::task::yield_now().await;
            }
            opener.join().unwrap();
        }
        lane.abort();
    }
}
