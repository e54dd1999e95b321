//! How much memory is in use, cheaply enough to ask before every write: each thread publishes what it has allocated
//! and freed (jemalloc counts that per thread), and the sum of all is `used_memory`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use parking_lot::Mutex;
use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats, stats_print, thread};

/// Rows: one for each worker and background thread.
const ROWS: usize = 256;

static USED: [Padded; ROWS] = [const { Padded(AtomicI64::new(0)) }; ROWS];

#[repr(align(128))]
struct Padded(AtomicI64);

struct Mine {
    allocated: thread::ThreadLocal<u64>,
    freed: thread::ThreadLocal<u64>,
}

thread_local! {
    static MINE: RefCell<Option<Mine>> = const { RefCell::new(None) };
}

/// Publishes this thread's figures as row `row` (modulo the number of rows; a row belongs to one thread).
pub fn publish(row: usize) {
    if let Some(bytes) = mine() {
        USED[row % ROWS].0.store(bytes, Ordering::Relaxed);
    }
}

/// What this thread has allocated and not freed, or freed and not allocated.
fn mine() -> Option<i64> {
    MINE.with_borrow_mut(|mine| {
        if mine.is_none() {
            let read = || -> Result<Mine, tikv_jemalloc_ctl::Error> {
                Ok(Mine {
                    allocated: thread::allocatedp::read()?,
                    freed: thread::deallocatedp::read()?,
                })
            };
            *mine = read().ok();
        }
        mine.as_ref()
            .map(|m| m.allocated.get() as i64 - m.freed.get() as i64)
    })
}

/// What threads that have ended have allocated and not freed, or freed and not allocated.
static RETIRED: AtomicI64 = AtomicI64::new(0);

/// Publishes this thread's figures for good: it ends, and another one may use the row.
pub fn retire(row: usize) {
    publish(row);
    RETIRED.fetch_add(USED[row % ROWS].0.swap(0, Ordering::Relaxed), Ordering::Relaxed);
}

/// Rows that threads may have which come and go: the last ones.
const GUESTS: usize = 32;
/// Which of them are taken, a bit each.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The figures of a thread that comes and goes. Belongs to the thread that made it.
#[derive(Debug)]
pub struct Guest {
    /// None: all rows are taken, and the figures are published when it is dropped.
    row: Option<usize>,
    /// Not to be sent: the figures are those of a thread.
    _of_thread: PhantomData<*const ()>,
}

impl Guest {
    /// Takes a row.
    pub fn new() -> Self {
        let taken = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
            (taken != u32::MAX).then(|| taken | 1 << taken.trailing_ones())
        });
        let row = taken
            .ok()
            .map(|taken| ROWS - GUESTS + taken.trailing_ones() as usize);
        Self {
            row,
            _of_thread: PhantomData,
        }
    }

    /// Publishes the figures.
    pub fn publish(&self) {
        if let Some(row) = self.row {
            publish(row);
        }
    }
}

impl Default for Guest {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        match self.row {
            Some(row) => {
                retire(row);
                TAKEN.fetch_and(!(1 << (row + GUESTS - ROWS)), Ordering::AcqRel);
            }
            None => {
                if let Some(mine) = mine() {
                    RETIRED.fetch_add(mine, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Bytes allocated by all threads that publish.
pub fn used() -> u64 {
    let rows = USED.iter().map(|p| p.0.load(Ordering::Relaxed)).sum::<i64>();
    (rows + RETIRED.load(Ordering::Relaxed)).max(0) as u64
}

/// The allocator's own figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Bytes in allocations of the program.
    pub allocated: u64,
    /// Bytes in pages with such allocations.
    pub active: u64,
    /// Bytes in physical pages.
    pub resident: u64,
    /// Bytes mapped.
    pub mapped: u64,
    /// Bytes kept by the allocator for later.
    pub retained: u64,
    /// Bytes of the allocator's own structures.
    pub metadata: u64,
}

/// Asks the allocator; costs some microseconds.
pub fn figures() -> Figures {
    let _advanced = epoch::advance();
    Figures {
        allocated: stats::allocated::read().unwrap_or(0) as u64,
        active: stats::active::read().unwrap_or(0) as u64,
        resident: stats::resident::read().unwrap_or(0) as u64,
        mapped: stats::mapped::read().unwrap_or(0) as u64,
        retained: stats::retained::read().unwrap_or(0) as u64,
        metadata: stats::metadata::read().unwrap_or(0) as u64,
    }
}

/// Gives unused pages back to the system at once, all of them.
///
/// The allocator gives them back by itself when they have not been needed for `dirty_decay_ms`; setting that time to 0
/// makes it do so now, by a call that is safe. False: it refused.
pub fn purge() -> bool {
    /// Two at once would take each other's 0 for the time to go back to.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let Ok(arenas) = arenas::narenas::read() else {
        return false;
    };
    let mut done = false;
    for name in [
        b"arena.0.dirty_decay_ms\0".name(),
        b"arena.0.muzzy_decay_ms\0".name(),
    ] {
        let Ok(mut mib) = name.mib::<[usize; 3]>() else {
            continue;
        };
        for arena in 0..arenas as usize {
            mib[1] = arena;
            // An arena that nobody has used yet is refused: it has nothing to give.
            if let Ok(before) = Access::<isize>::update(&mib, 0) {
                done |= mib.write(before).is_ok();
            }
        }
    }
    done
}

/// The allocator's own report.
pub fn report() -> String {
    let mut text = Vec::new();
    let options = stats_print::Options::default();
    match stats_print::stats_print(&mut text, options) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(e) => format!("The allocator gave no report: {e}\n"),
    }
}

/// Resident set of the process in bytes, from the kernel.
pub fn rss() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|p| p.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

/// The allocator and its version.
pub const ALLOCATOR: &str = "jemalloc-5.3.0";

/// Memory of the machine in bytes.
pub fn of_machine() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    kilobytes * 1024
}
