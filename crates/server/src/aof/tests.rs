//! The server's own sequence of file operations, stopped and made to fail at each of them, on disks in memory.

use std::sync::Arc;
use std::time::Duration;

use holdfast_persistence::fs::{FailingFs, Fault, Fs, MemoryFs, Survives};
use holdfast_storage::keyspace::ShardSet;

use super::*;
use crate::aof::load;
use crate::session::Session;
use crate::session::tests::Desk;
use crate::snapshots::Purpose;

/// Nothing takes longer.
const LONG: Duration = Duration::from_secs(60);

/// A server whose files are on this disk, with what it has loaded.
struct Run {
    desk: Desk,
    session: Session,
    /// Next number to be written.
    next: u32,
    /// Every number below was acknowledged.
    acknowledged: u32,
}

impl Run {
    fn start(fs: Arc<dyn Fs>, words: &[&str]) -> Result<Self, load::StartError> {
        let mut desk = Desk::with_files(fs, words);
        load::at_start(&desk.server)?;
        let session = desk.session();
        let next = desk.run(&mut desk.session(), "LLEN l");
        let next = next.trim().trim_start_matches(':').parse().expect("a number");
        Ok(Self {
            desk,
            session,
            next,
            acknowledged: next,
        })
    }

    fn run(&mut self, lines: &str) -> String {
        self.desk.run(&mut self.session, lines)
    }

    fn numbers(&mut self) -> Vec<u32> {
        let reply = self.run("LRANGE l 0 -1");
        let words = reply.split(' ').filter(|word| !word.starts_with(['*', '$']));
        words.filter_map(|word| word.parse().ok()).collect()
    }

    /// Waits until what was written may be acknowledged. False: the disk fails.
    fn synced(&self) -> bool {
        let server = &self.desk.server;
        let end = server.log.end_offset();
        loop {
            if server.gate.open_to() >= end {
                return true;
            }
            if server.aof.write_error().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Writes numbers, one after the other, in transactions that say each twice. False: the disk fails.
    fn write(&mut self, count: u32) -> bool {
        (0..count).all(|_| {
            let n = self.next;
            let reply = self.run(&format!(
                "SELECT {}\nMULTI\nSET last {n}\nSELECT 0\nRPUSH l {n}\nEXEC",
                n % 3
            ));
            if reply.contains("MISCONF") {
                return false;
            }
            self.next += 1;
            let synced = self.synced();
            if synced {
                self.acknowledged = self.next;
            }
            synced
        })
    }

    fn rewrite(&self) -> bool {
        let server = &self.desk.server;
        let claim = server.snapshots.claim_in_turn(Purpose::Rewrite, false);
        let begun = rewrite::begin_in_background(server, claim).is_ok();
        while server.snapshots.running().is_some() {
            std::thread::yield_now();
        }
        begun && !server.aof.rewriting.last_failed()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.desk.server.snapshots.cancel();
        let _disk_may_fail = self.desk.server.aof.stop(&self.desk.server);
    }
}

const ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
const COMMANDS: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--aof-use-rdb-preamble",
    "no",
];

/// Starts, writes, rewrites, writes, and starts again: until the disk fails. How many numbers were acknowledged, and how
/// many were written.
fn campaign(fs: &Arc<dyn Fs>, words: &[&str]) -> (u32, u32) {
    let mut counts = (0, 0);
    for _ in 0..2 {
        let Ok(mut run) = Run::start(Arc::clone(fs), words) else {
            return counts;
        };
        run.acknowledged = counts.0;
        let done = run.write(3) && run.rewrite() && run.write(3);
        counts = (run.acknowledged, run.next);
        if !done {
            return counts;
        }
    }
    counts
}

fn found(fs: MemoryFs) -> Vec<u32> {
    let mut run =
        Run::start(Arc::new(fs), ALWAYS).unwrap_or_else(|e| panic!("what is there can be loaded: {e}"));
    run.numbers()
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_machine_stops() {
    for words in [ALWAYS, COMMANDS] {
        let counter = FailingFs::new(MemoryFs::new(), u64::MAX, Fault::Stop);
        let fs: Arc<dyn Fs> = Arc::new(counter.clone());
        assert_eq!(campaign(&fs, words), (12, 12));
        let operations = counter.operations();
        assert!(operations > 50, "{operations}");
        for stop in 0..operations {
            let disk = MemoryFs::new();
            let fs: Arc<dyn Fs> = Arc::new(FailingFs::new(disk.clone(), stop, Fault::Stop));
            let (acknowledged, written) = campaign(&fs, words);
            for survives in [Survives::Everything, Survives::Synced, Survives::HalfOfTheRest] {
                let numbers = found(disk.after_crash(survives));
                let count = numbers.len() as u32;
                assert_eq!(
                    numbers,
                    (0..count).collect::<Vec<_>>(),
                    "operation {stop}, {survives:?}"
                );
                assert!(
                    (acknowledged..=written).contains(&count),
                    "operation {stop}, {survives:?}: {count} of {acknowledged} to {written}"
                );
            }
        }
    }
}

#[test]
fn a_disk_that_fails_and_comes_back_loses_and_tears_nothing() {
    let faults = [
        Fault::Full,
        Fault::Error(std::io::ErrorKind::Other),
        Fault::Error(std::io::ErrorKind::StorageFull),
    ];
    for fault in faults {
        for at in 0..60 {
            let disk = MemoryFs::new();
            let failing = FailingFs::new(disk.clone(), at, fault);
            let Ok(mut run) = Run::start(Arc::new(failing.clone()), ALWAYS) else {
                // It says so and does not start; what is there is no worse than before.
                assert_eq!(found(disk.after_crash(Survives::Synced)), []);
                continue;
            };
            let mut done = run.write(3);
            let _may_fail = run.rewrite();
            done = done && run.write(3);
            if !done {
                let wrote = run.next;
                assert!(run.desk.server.gate.open_to() < u64::MAX);
                assert_eq!(run.run("LLEN l"), format!(":{wrote} "), "reads go on");
            }
            failing.heal();
            let server = Arc::clone(&run.desk.server);
            while server.aof.write_error().is_some() || server.gate.open_to() < server.log.end_offset() {
                std::thread::yield_now();
            }
            assert!(run.write(2), "operation {at}, {fault:?}");
            assert!(run.rewrite(), "operation {at}, {fault:?}");
            assert!(run.write(1), "operation {at}, {fault:?}");
            let expected: Vec<u32> = (0..run.next).collect();
            for survives in [Survives::Everything, Survives::Synced] {
                assert_eq!(
                    found(disk.after_crash(survives)),
                    expected,
                    "operation {at}, {fault:?}, {survives:?}"
                );
            }
        }
    }
}

#[test]
fn while_the_disk_fails_writes_are_refused_and_reads_are_not() {
    let disk = MemoryFs::new();
    // Everything up to the first write works.
    let counter = FailingFs::new(MemoryFs::new(), u64::MAX, Fault::Full);
    drop(Run::start(Arc::new(counter.clone()), ALWAYS).expect("it starts"));
    let failing = FailingFs::new(disk, counter.operations() - 1, Fault::Full);
    let mut run = Run::start(Arc::new(failing.clone()), ALWAYS).expect("it starts");
    let server = Arc::clone(&run.desk.server);
    run.run("SET a 1");
    while server.aof.write_error().is_none() {
        std::thread::yield_now();
    }
    let refused = run.run("SET b 1\nGET a\nPING");
    assert!(
        refused.starts_with("-MISCONF Errors writing to the AOF file: ") && refused.contains("$1 1 "),
        "{refused}"
    );
    assert!(server.gate.is_stuck());
    failing.heal();
    while server.aof.write_error().is_some() {
        std::thread::yield_now();
    }
    assert_eq!(run.run("SET b 1\nPING"), "+OK +PONG ");
    assert!(run.synced());
}

#[test]
fn a_log_that_begins_anew_is_followed_by_a_new_base() {
    let disk = MemoryFs::new();
    let mut run = Run::start(Arc::new(disk.clone()), ALWAYS).expect("it starts");
    assert!(run.write(3));
    let server = Arc::clone(&run.desk.server);
    run.run("FLUSHALL");
    server.log.start_at(10_000_000);
    run.next = 0;
    run.run("SET other 1");
    while server.aof.state() != State::Off {
        std::thread::yield_now();
    }
    assert_eq!(
        server.gate.open_to(),
        u64::MAX,
        "nobody waits for what cannot come"
    );
    assert!(run.rewrite());
    assert_eq!(server.aof.state(), State::On);
    assert!(run.write(2));
    let mut again = Run::start(Arc::new(disk.after_crash(Survives::Synced)), ALWAYS).expect("it starts");
    assert_eq!(again.numbers(), [0, 1]);
    assert_eq!(again.run("EXISTS other"), ":1 ");
}

#[test]
fn a_rotation_that_is_asked_for_after_the_end_is_refused() {
    let run = Run::start(Arc::new(MemoryFs::new()), ALWAYS).expect("it starts");
    let server = &run.desk.server;
    server.aof.stop(server).expect("it stops");
    let (reply, rotated) = channel();
    server.aof.ask_for_rotation(Rotation {
        at: server.log.end_offset(),
        selected: None,
        reply,
    });
    server.aof.begin_rotation();
    assert!(matches!(rotated.recv_timeout(LONG), Ok(Err(_))), "nobody answers");
}

/// Who changes the role holds all shards, and writes the configuration.
#[test]
fn a_file_that_is_turned_on_does_not_hold_the_configuration_while_it_waits_for_shards() {
    let run = Run::start(Arc::new(MemoryFs::new()), &[]).expect("it starts");
    let server = Arc::clone(&run.desk.server);
    let all = server.keyspace.lock(&ShardSet::All);
    let (done, set) = channel();
    let setter = std::thread::spawn({
        let server = Arc::clone(&server);
        move || {
            let pairs: &[(&[u8], &[u8])] = &[(b"appendonly", b"yes")];
            let changed = server.config.set_and_apply(pairs, true, |_| {
                let applied = server.aof.apply_wanted(&server, true);
                applied.map_err(|error| (Param::Appendonly, error))
            });
            done.send(changed.is_ok()).expect("somebody waits");
            server.aof.wait_for_begin()
        }
    });
    assert_eq!(set.recv_timeout(LONG), Ok(true), "it keeps the configuration");
    server
        .config
        .store(Param::Masteruser, &[b"somebody"])
        .expect("it is set");
    drop(all);
    setter.join().expect("no panic").expect("it begins");
    assert!(server.aof.state() != State::Off);
}

/// EXEC holds shards that the other's cut needs.
#[test]
fn who_sets_something_else_does_not_wait_for_a_file_that_another_turns_on() {
    let mut run = Run::start(Arc::new(MemoryFs::new()), &[]).expect("it starts");
    let server = Arc::clone(&run.desk.server);
    let all = server.keyspace.lock(&ShardSet::All);
    let pairs: &[(&[u8], &[u8])] = &[(b"appendonly", b"yes")];
    let changed = server.config.set_and_apply(pairs, true, |_| {
        let applied = server.aof.apply_wanted(&server, true);
        applied.map_err(|error| (Param::Appendonly, error))
    });
    assert!(changed.is_ok());
    assert_eq!(run.run("CONFIG SET hz 11"), "+OK ");
    drop(all);
    server.aof.wait_for_begin().expect("it begins");
}
