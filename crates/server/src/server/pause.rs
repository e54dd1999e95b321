//! Who has to wait at the door: CLIENT PAUSE (<https://redis.io/commands/client-pause>), writes that are held back for a
//! while, and the throttle.
//!
//! Must not know: how a connection waits.

use std::sync::atomic::Ordering;

use holdfast_commands::spec::Flags;

use super::Server;
use crate::registry::Entry;
use crate::session::Multi;

/// Which commands CLIENT PAUSE holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseMode {
    /// Those that may change data.
    Write,
    /// Every one.
    All,
}

/// Why writes are held back, beside CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hold {
    /// FAILOVER.
    Failover = 1,
    /// The server waits for its replicas before it ends.
    End = 2,
    /// This primary gives way to a replica, as the cluster wants it.
    HandOver = 4,
}

impl Server {
    /// Holds commands back until a Unix time in ms. A running pause is only made longer and stricter.
    pub fn pause(&self, until_ms: i64, mode: PauseMode) {
        if !self.is_paused_by_client() {
            self.pause_all.store(false, Ordering::Relaxed);
        }
        if mode == PauseMode::All {
            self.pause_all.store(true, Ordering::Relaxed);
        }
        self.pause_until_ms.fetch_max(until_ms, Ordering::Release);
    }

    /// Ends the pause.
    pub fn unpause(&self) {
        self.pause_until_ms.store(0, Ordering::Release);
        self.wake_all();
    }

    /// Holds writes back, or lets them go on. CLIENT UNPAUSE has nothing to say to that.
    pub fn hold_writes(&self, why: Hold, on: bool) {
        if on {
            self.holds.fetch_or(why as u8, Ordering::AcqRel);
        } else {
            self.holds.fetch_and(!(why as u8), Ordering::AcqRel);
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        for client in self.clients.all() {
            client.waker.wake();
        }
    }

    /// True while a pause lasts.
    pub fn is_paused(&self) -> bool {
        self.holds_writes() || self.is_paused_by_client()
    }

    fn holds_writes(&self) -> bool {
        self.holds.load(Ordering::Acquire) != 0
    }

    fn is_paused_by_client(&self) -> bool {
        let until = self.pause_until_ms.load(Ordering::Acquire);
        until > 0 && self.now_ms() < until
    }

    /// The same at a time that is known already (Unix ms).
    #[inline]
    pub fn is_paused_at(&self, now_ms: i64) -> bool {
        now_ms < self.pause_until_ms.load(Ordering::Acquire) || self.holds_writes()
    }

    /// True while commands may have to wait at the door.
    pub fn is_holding(&self) -> bool {
        self.is_paused() || self.throttle.is_on()
    }

    /// Milliseconds until the pause ends; 0 if there is none.
    pub fn pause_left_ms(&self) -> u64 {
        /// Who is held back like this is woken at its end; he looks by himself, too.
        const LOOK_MS: u64 = 100;
        if self.holds_writes() {
            return LOOK_MS;
        }
        match self.pause_until_ms.load(Ordering::Acquire) {
            0 => 0,
            until => (until - self.now_ms()).max(0) as u64,
        }
    }

    /// True if the command has to wait now. `waited`: its client has waited for a moment just before.
    #[inline]
    pub fn pauses(&self, entry: &Entry, multi: Option<&Multi>, waited: bool) -> bool {
        let paused = self.holds_writes()
            || (self.pause_until_ms.load(Ordering::Acquire) != 0 && self.is_paused_by_client());
        if !paused && (!self.throttle.is_on() || (waited && !self.throttle.stops())) {
            return false;
        }
        self.holds_back(paused, entry, multi)
    }

    #[cold]
    fn holds_back(&self, paused: bool, entry: &Entry, multi: Option<&Multi>) -> bool {
        let writes = |e: &Entry| e.spec.flags.any(Flags::WRITE.or(Flags::MAY_REPLICATE));
        if self.pause_all.load(Ordering::Relaxed) && self.is_paused_by_client() {
            return !matches!(entry.spec.name, "client|unpause" | "client|pause");
        }
        // Who only queues takes no part of what is scarce.
        (writes(entry) && (paused || multi.is_none()))
            || (entry.spec.name == "exec" && multi.is_some_and(|m| m.queue.iter().any(|(e, _)| writes(e))))
    }
}
