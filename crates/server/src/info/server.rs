//! `# Server`.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Part, Row, Snapshot};
use crate::config::Param;
use crate::server::{REDIS_VERSION, VERSION};

pub(super) const PARTS: &[Part] = &[Part::Rows(ROWS), Part::Lines(ending)];

const ROWS: &[Row] = &[
    ("redis_version", |_| REDIS_VERSION.to_owned()),
    ("holdfast_version", |_| VERSION.to_owned()),
    // No commit is compiled in: Redis says the same when it was built without a repository.
    ("redis_git_sha1", |_| "00000000".to_owned()),
    ("redis_git_dirty", |_| "0".to_owned()),
    ("redis_build_id", |_| build_id()),
    ("redis_mode", |s| {
        let clustered = s.server.cluster.get().is_some();
        if clustered { "cluster" } else { "standalone" }.to_owned()
    }),
    ("os", |_| os()),
    ("arch_bits", |_| usize::BITS.to_string()),
    ("monotonic_clock", |_| "POSIX clock_gettime".to_owned()),
    ("multiplexing_api", |_| "epoll".to_owned()),
    ("atomicvar_api", |_| "rust-core".to_owned()),
    // What Redis says when another compiler built it.
    ("gcc_version", |_| "0.0.0".to_owned()),
    ("process_id", |_| std::process::id().to_string()),
    ("process_supervised", |s| {
        String::from_utf8_lossy(&s.server.config.print(Param::Supervised)).into_owned()
    }),
    ("run_id", |s| s.server.run_id.clone()),
    ("tcp_port", |s| {
        s.server.tcp_port.load(Ordering::Relaxed).to_string()
    }),
    ("server_time_usec", |_| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros())
            .to_string()
    }),
    ("uptime_in_seconds", |s| uptime(s).to_string()),
    ("uptime_in_days", |s| (uptime(s) / 86_400).to_string()),
    ("hz", hz),
    ("configured_hz", hz),
    ("lru_clock", |s| {
        holdfast_storage::access::lru_clock(s.now_ms).to_string()
    }),
    ("executable", |_| {
        std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string())
    }),
    ("config_file", |s| {
        s.server
            .config
            .file()
            .map_or_else(String::new, |path| path.display().to_string())
    }),
    ("io_threads_active", |s| super::bit(s.server.threads > 1)),
    ("threads", |s| s.server.threads.to_string()),
];

/// While the server waits for its replicas before it ends.
fn ending(s: &Snapshot<'_>, out: &mut String) {
    if let Some(left) = s.server.ending.time_left() {
        let _always = write!(out, "shutdown_in_milliseconds:{}\r\n", left.as_millis());
    }
}

fn uptime(s: &Snapshot<'_>) -> u64 {
    s.server.started.elapsed().as_secs()
}

fn hz(s: &Snapshot<'_>) -> String {
    s.server.config.int(Param::Hz).to_string()
}

/// 16 hex digits that tell builds of different versions apart.
fn build_id() -> String {
    // FNV-1a
    let hash = VERSION.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Name, release and machine, as `uname` prints them.
fn os() -> String {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/sys/kernel/{file}"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    format!(
        "{} {} {}",
        read("ostype"),
        read("osrelease"),
        std::env::consts::ARCH
    )
}
