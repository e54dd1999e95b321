//! What is noted of each command as it ends: its time and outcome for INFO, and more where somebody wants to know it
//! (SLOWLOG and COMMANDLOG, LATENCY, MONITOR, HOTKEYS, CLUSTER SLOT-STATS).
//!
//! ```text
//! Meter::begin -> the command -> end ---- counters, histogram            every command
//!                                  `---- notice, tell ...                a command over a threshold, or while
//!                                                                       somebody looks at all of them
//! ```
//!
//! A command's time begins where the one before it ended, so that one reading of the clock each is enough; what belongs
//! to no command (decoding, waiting for locks, eviction) is left out by [`Meter::skip`].

pub mod clock;
pub mod command_log;
pub mod histogram;
pub mod hot_keys;
pub mod latency;
pub mod monitor;
mod redact;
pub mod slot_stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use holdfast_commands::args::Args;
use holdfast_commands::key_positions::{KeyRefs, find_keys};
use holdfast_commands::spec::Flags;
use holdfast_resp::Frame;
use holdfast_storage::slot::key_slot;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use smallvec::SmallVec;

pub use self::redact::REDACTED;

use self::clock::Clock;
use self::command_log::{CommandLogs, LogKind, Sender};
use self::hot_keys::{Cost, HotKeys};
use self::latency::{Event, LatencyMonitor};
use self::monitor::{Monitors, Source};
use self::redact::Secrets;
use self::slot_stats::SlotStats;
use crate::client::Client;
use crate::config::{Config, Param};
use crate::registry::Entry;
use crate::server::Server;
use crate::worker::Worker;

/// What all threads share.
#[derive(Debug)]
pub struct Observe {
    /// SLOWLOG and COMMANDLOG.
    pub logs: CommandLogs,
    /// LATENCY.
    pub latency: LatencyMonitor,
    /// MONITOR.
    pub monitors: Monitors,
    /// HOTKEYS.
    pub hot_keys: HotKeys,
    /// Costs of slots.
    pub slot_stats: SlotStats,
    version: AtomicU64,
}

impl Observe {
    /// For a server of `rows` threads.
    pub fn new(rows: usize) -> Self {
        Self {
            logs: CommandLogs::default(),
            latency: LatencyMonitor::default(),
            monitors: Monitors::default(),
            hot_keys: HotKeys::default(),
            slot_stats: SlotStats::new(rows),
            version: AtomicU64::new(0),
        }
    }

    /// Changes whenever workers have to look anew who wants to know what.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes the workers look anew, each before its next commands.
    pub fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Begins an event that is no command. None: nobody wants to know how long it takes.
    pub fn begin_event(&self, config: &Config) -> Option<BeganEvent> {
        let least_ms = u64::try_from(config.int(Param::LatencyMonitorThreshold)).ok()?;
        (least_ms > 0).then(|| BeganEvent {
            at: Instant::now(),
            least_ms,
        })
    }

    /// Notes that it has ended, if it took long enough.
    pub fn end_event(&self, event: Event, began: Option<BeganEvent>, now_ms: i64) {
        let Some(BeganEvent { at, least_ms }) = began else {
            return;
        };
        let ms = at.elapsed().as_millis() as u64;
        if ms >= least_ms {
            self.latency.add(event, now_ms / 1000, ms);
        }
    }
}

/// The begin of an event.
#[derive(Clone, Copy, Debug)]
pub struct BeganEvent {
    at: Instant,
    least_ms: u64,
}

/// A worker's clock, and from what on a command is worth a note.
#[derive(Debug)]
pub struct Meter {
    clock: Clock,
    /// Ticks at the end of the last command.
    mark: u64,
    /// Ticks at the begin of the batch; 0: nothing has run in it.
    batch: u64,
    /// From these on, [`notice`] is called: times in ns, sizes in bytes.
    notice_ns: u64,
    notice_request: usize,
    notice_reply: usize,
    /// Histograms are kept (`latency-tracking`).
    tracking: bool,
    /// Somebody wants to know of every command.
    watched: bool,
    /// Costs of slots are counted.
    slots: bool,
    /// The commands that run now are those of a script.
    pub in_script: bool,
    /// The command that runs now is one that had to wait.
    pub resumed: bool,
}

/// The begin of a command.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    ticks: u64,
    /// Bytes in the reply buffer.
    reply: usize,
}

/// What has come of a command.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Which it was.
    pub entry: &'static Entry,
    /// With its arguments.
    pub args: Args<'a>,
    /// On which database it ran.
    pub db: u32,
    /// It answered with an error.
    pub failed: bool,
}

impl Default for Meter {
    fn default() -> Self {
        let clock = Clock::new();
        let mark = clock.ticks();
        Self {
            clock,
            mark,
            batch: 0,
            notice_ns: u64::MAX,
            notice_request: usize::MAX,
            notice_reply: usize::MAX,
            tracking: false,
            watched: false,
            slots: false,
            in_script: false,
            resumed: false,
        }
    }
}

impl Meter {
    /// Reads the thresholds.
    pub fn configure(&mut self, server: &Server) {
        let c = &server.config;
        // -1 logs nothing, 0 everything.
        let threshold = |param: Param| u64::try_from(c.int(param)).ok();
        let slow = threshold(Param::SlowlogLogSlowerThan).map(|us| us.saturating_mul(1000));
        let latency = threshold(Param::LatencyMonitorThreshold).filter(|ms| *ms > 0);
        let latency = latency.map(|ms| ms.saturating_mul(1_000_000));
        let bytes = |param| threshold(param).map_or(usize::MAX, |bytes| bytes as usize);
        self.notice_ns = slow.into_iter().chain(latency).min().unwrap_or(u64::MAX);
        self.notice_request = bytes(Param::CommandlogRequestLargerThan);
        self.notice_reply = bytes(Param::CommandlogReplyLargerThan);
        self.tracking = c.flag(Param::LatencyTracking);
        let observe = &server.observe;
        self.slots = c.flag(Param::ClusterSlotStatsEnabled);
        self.watched = self.slots || observe.monitors.any() || observe.hot_keys.is_running();
    }

    /// What has passed until now is no command's time.
    #[inline]
    pub fn skip(&mut self) {
        self.mark = self.clock.ticks();
        if self.batch == 0 {
            self.batch = self.mark;
        }
    }

    /// Begins a batch of commands.
    pub fn begin_batch(&mut self) {
        self.batch = 0;
    }

    /// The time since the batch's first command began, in ns; none if there was none.
    pub fn end_batch(&mut self) -> Option<u64> {
        (self.batch != 0).then(|| self.clock.nanos(self.batch, self.clock.ticks()))
    }
}

/// Begins a command.
#[inline]
pub fn begin(w: &Worker) -> Began {
    Began {
        ticks: w.meter.mark,
        reply: w.reply.len(),
    }
}

/// Notes that a command has ended. Its reply is the last in the buffer.
#[inline]
pub fn end(w: &mut Worker, began: Began, ended: &Ended<'_>) {
    let now = w.meter.clock.ticks();
    let nanos = w.meter.clock.nanos(began.ticks, now);
    w.meter.mark = now;
    let row = w.server.stats.command(w.id, ended.entry.id);
    row.call(ended.failed, nanos, w.meter.tracking);
    let reply = w.reply.len().saturating_sub(began.reply);
    if nanos >= w.meter.notice_ns
        || reply >= w.meter.notice_reply
        || ended.args.frame().size_bound() >= w.meter.notice_request
        || w.meter.watched
    {
        notice(w, ended, nanos, reply);
    }
}

/// Notes that a command has to wait: it has not ended, but who watches sees it now.
pub fn suspend(w: &mut Worker, ended: &Ended<'_>) {
    if w.meter.watched && !w.meter.resumed {
        tell(w, ended);
    }
}

/// Commands that run others are told before those; all others when they have run, as in Redis.
pub fn tell_before(w: &mut Worker, ended: &Ended<'_>) {
    if w.meter.watched && runs_others(ended.entry) {
        show(w, ended);
    }
}

/// EVAL and its like. EXEC is shown behind the commands that it ran.
pub fn runs_others(entry: &Entry) -> bool {
    entry.is(Flags::SKIP_MONITOR) && entry.spec.name != "exec"
}

#[cold]
fn notice(w: &mut Worker, ended: &Ended<'_>, nanos: u64, reply: usize) {
    if w.meter.watched {
        if !w.meter.resumed {
            tell(w, ended);
        }
        count_cost(w, ended, nanos, reply);
    }
    let config = &w.server.config;
    let observe = &w.server.observe;
    let time = w.now_ms / 1000;
    let ms = nanos / 1_000_000;
    let threshold = config.int(Param::LatencyMonitorThreshold);
    if threshold > 0 && ms >= threshold as u64 {
        let event = match () {
            () if w.meter.resumed => Event::CommandUnblocking,
            () if ended.entry.is(Flags::FAST) => Event::FastCommand,
            () => Event::Command,
        };
        observe.latency.add(event, time, ms);
    }
    if ended.entry.is(Flags::SKIP_SLOWLOG) {
        return;
    }
    let frame = ended.args.frame();
    let over = |param: Param, value: u64| u64::try_from(config.int(param)).is_ok_and(|least| value >= least);
    let request = request_bytes(&frame);
    let micros = nanos / 1000;
    for (kind, param, most, value) in [
        (
            LogKind::Slow,
            Param::SlowlogLogSlowerThan,
            Param::SlowlogMaxLen,
            micros,
        ),
        (
            LogKind::LargeRequest,
            Param::CommandlogRequestLargerThan,
            Param::CommandlogLargeRequestMaxLen,
            request as u64,
        ),
        (
            LogKind::LargeReply,
            Param::CommandlogReplyLargerThan,
            Param::CommandlogLargeReplyMaxLen,
            reply as u64,
        ),
    ] {
        if over(param, value) {
            let most = config.int(most).max(0) as usize;
            let secrets = Secrets::of(ended.entry, &frame);
            observe
                .logs
                .of(kind)
                .push(&frame, secrets, &sender(w), time, value, most);
        }
    }
}

/// Adds a command to what its keys and their slot have cost. Those that run others are left out: the others are added.
fn count_cost(w: &Worker, ended: &Ended<'_>, nanos: u64, reply: usize) {
    if ended.entry.spec.name == "exec" || runs_others(ended.entry) {
        return;
    }
    let frame = ended.args.frame();
    let mut found = KeyRefs::new();
    // What does not fit has been answered with an error; its keys cost nothing.
    let _misfit = find_keys(ended.entry.spec, &frame, &mut found);
    let keys: SmallVec<[(&[u8], u16); 8]> = found
        .iter()
        .filter_map(|key| frame.get(key.index as usize))
        .map(|key| (key, key_slot(key)))
        .collect();
    let observe = &w.server.observe;
    let request = request_bytes(&frame);
    let bytes = (request + reply) as u64;
    if observe.hot_keys.is_running() && !observe.hot_keys.add(Cost { nanos, bytes }, &keys, cpu_ms) {
        observe.changed();
    }
    if w.meter.slots
        && let Some((_, slot)) = keys.first()
        && keys.iter().all(|(_, other)| other == slot)
    {
        observe.slot_stats.add(w.id, *slot, nanos, request, reply);
    }
}

/// CPU time of the process so far: user and system, in ms.
pub fn cpu_ms() -> (u64, u64) {
    let ms = |time: TimeVal| (time.tv_sec() as u64) * 1000 + (time.tv_usec() as u64) / 1000;
    getrusage(UsageWho::RUSAGE_SELF).map_or((0, 0), |usage| (ms(usage.user_time()), ms(usage.system_time())))
}

/// A script's commands are sent by nobody, as in Redis.
fn sender(w: &Worker) -> Sender {
    match &w.client {
        Some(client) if !w.meter.in_script => Sender {
            addr: client.addr.clone(),
            name: client.names.lock().name.clone(),
        },
        Some(_) | None => Sender {
            addr: "?:0".to_owned(),
            name: String::new(),
        },
    }
}

fn tell(w: &Worker, ended: &Ended<'_>) {
    if !runs_others(ended.entry) {
        show(w, ended);
    }
}

/// Commands of administrators are not for everyone's eyes.
fn show(w: &Worker, ended: &Ended<'_>) {
    let monitors = &w.server.observe.monitors;
    if !monitors.any() || ended.entry.is(Flags::ADMIN) {
        return;
    }
    let source = match &w.client {
        Some(client) if !w.meter.in_script => Source::Client(client),
        Some(_) | None => Source::Script,
    };
    let frame = ended.args.frame();
    monitors.tell(source, ended.db, &frame, Secrets::of(ended.entry, &frame));
}

/// Bytes of a command as it was sent.
fn request_bytes(frame: &Frame<'_>) -> usize {
    let digits = |n: usize| n.checked_ilog10().unwrap_or(0) as usize + 1;
    let header = |n: usize| digits(n) + 3;
    let args = frame.iter().map(|arg| header(arg.len()) + arg.len() + 2);
    header(frame.len()) + args.sum::<usize>()
}

impl Worker {
    /// From now on commands are this client's.
    #[inline]
    pub fn serve(&mut self, client: &Arc<Client>) {
        if self.client.as_ref().is_none_or(|c| !Arc::ptr_eq(c, client)) {
            self.client = Some(Arc::clone(client));
        }
    }
}

#[cfg(test)]
mod tests;
