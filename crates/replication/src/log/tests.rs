use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

const SELECT_0: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

fn append(log: &ReplicationLog, commands: &[u8]) -> u64 {
    log.append(Record { db: 0, commands })
}

#[test]
fn keeps_the_newest_bytes_in_order() {
    let log = ReplicationLog::new(32 << 10);
    let mut all = SELECT_0.to_vec();
    for i in 0..20_000u32 {
        let text = format!("<{i}>");
        all.extend_from_slice(text.as_bytes());
        assert_eq!(append(&log, text.as_bytes()), all.len() as u64);
    }
    let extent = log.extent();
    assert_eq!(
        (extent.end, extent.keep, extent.held),
        (all.len() as u64, 32 << 10, 0)
    );
    let kept = extent.end - extent.first;
    assert!((32 << 10..=(32 << 10) + BLOCK as u64).contains(&kept), "{kept}");
    let first = extent.first;
    for at in [first, first + 1, first + 999, first + 17_000, extent.end] {
        let want = &all[at as usize..];
        assert_eq!(log.read(at, usize::MAX).unwrap(), want);
        assert_eq!(log.read(at, 10).unwrap(), &want[..want.len().min(10)]);
    }
    assert_eq!(log.read(first - 1, 1), None);
    assert_eq!(log.read(extent.end + 1, 1), None);
    log.resize(64 << 10);
    append(&log, b"more");
    all.extend_from_slice(b"more");
    assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
    log.resize(0);
    let first = log.extent().first;
    assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
    assert!(log.extent().end - first <= 2 * BLOCK as u64);
}

#[test]
fn a_large_append_is_a_block_and_its_neighbours_stay() {
    let log = ReplicationLog::new(1 << 20);
    let mut all = SELECT_0.to_vec();
    for size in [10, OWN_BLOCK, 3, OWN_BLOCK * 3 + 1, BLOCK - 1, BLOCK, 1] {
        let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        append(&log, &bytes);
        all.extend_from_slice(&bytes);
    }
    assert_eq!(log.read(0, usize::MAX).unwrap(), all);
    assert_eq!(log.read(40, 100_000).unwrap(), &all[40..100_040]);
}

#[test]
fn of_a_large_append_that_nobody_reads_only_the_end_is_kept() {
    let log = Arc::new(ReplicationLog::new(0));
    let mut all = SELECT_0.to_vec();
    append(&log, b"before");
    all.extend_from_slice(b"before");
    for round in 0..3 {
        let reader = (round == 1).then(|| log.reader(log.end_offset()).unwrap());
        let bytes: Vec<u8> = (0..1_000_000).map(|i| (i % 251) as u8).collect();
        let end = append(&log, &bytes);
        all.extend_from_slice(&bytes);
        assert_eq!(end, all.len() as u64);
        append(&log, b"behind");
        all.extend_from_slice(b"behind");
        let extent = log.extent();
        assert_eq!(extent.end, all.len() as u64);
        let kept = extent.end - extent.first;
        match reader {
            Some(reader) => {
                let read = reader.read(usize::MAX).unwrap().pieces.concat();
                assert_eq!(read, all[all.len() - 1_000_006..]);
            }
            None => assert!(kept >= BLOCK as u64 && kept <= 3 * BLOCK as u64, "{kept}"),
        }
        let first = log.extent().first;
        assert_eq!(log.read(first, usize::MAX).unwrap(), &all[first as usize..]);
    }
}

#[test]
fn selects_the_database_once_and_again_when_told() {
    let log = ReplicationLog::new(0);
    for db in [0, 0, 12, 0] {
        log.append(Record { db, commands: b"x" });
    }
    log.select_again();
    append(&log, b"y");
    log.append_block(0, 3, b"z");
    log.append(Record {
        db: 3,
        commands: b"3",
    });
    log.append_mirrored(3, b"theirs");
    log.append(Record {
        db: 3,
        commands: b"4",
    });
    let select = |db: &str| format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len());
    let (s0, s3, s12) = (select("0"), select("3"), select("12"));
    let want = format!("{s0}xx{s12}x{s0}x{s0}yz3theirs{s3}4");
    assert_eq!(log.read(0, usize::MAX).unwrap(), want.as_bytes());
}

#[test]
fn a_cut_knows_the_database_of_a_mirrored_stream() {
    let log = ReplicationLog::new(0);
    assert_eq!(log.cut(), (0, None));
    let end = log.append_mirrored(7, b"SELECT 7 SET");
    assert_eq!(log.cut(), (end, Some(7)));
    append(&log, b"own");
    let (end, db) = log.cut();
    assert_eq!((end, db), (12 + SELECT_0.len() as u64 + 3, None));
    append(&log, b"again");
    let want = [SELECT_0, b"again"].concat();
    assert_eq!(log.read(end, usize::MAX).unwrap(), want);
}

#[test]
fn the_database_is_known_at_every_record() {
    let log = Arc::new(ReplicationLog::new(0));
    let mut reader = log.reader(0).unwrap();
    assert_eq!(log.selected_at(0), None);
    let mut wanted = vec![(0, None)];
    let db = |i: u32| (i * 7 / 3) % 5;
    for i in 0..3000u32 {
        let (end, db) = match i % 4 {
            0 | 1 => (
                log.append(Record {
                    db: db(i),
                    commands: b"x",
                }),
                Some(db(i)),
            ),
            2 => (log.append_block(db(i), db(i + 1), b"block"), Some(db(i + 1))),
            _ => (log.append_mirrored(9, b"mirrored"), Some(9)),
        };
        wanted.push((end, db));
    }
    for (end, db) in &wanted {
        assert_eq!(log.selected_at(*end), *db, "at {end}");
    }
    reader.advance_to(log.end_offset());
    let first = log.extent().first;
    assert!(log.inner.lock().selections.len() < 3000);
    for (end, db) in wanted.iter().filter(|(end, _)| *end >= first) {
        assert_eq!(log.selected_at(*end), *db, "at {end}");
    }
}

#[test]
fn a_reader_holds_what_it_has_not_read() {
    let log = Arc::new(ReplicationLog::new(0));
    append(&log, b"first");
    let start = log.end_offset();
    let mut slow = log.reader(start).unwrap();
    let mut quick = log.reader(start).unwrap();
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for i in 0..50_000u32 {
        let text = format!("<{i}>");
        append(&log, text.as_bytes());
        all.extend_from_slice(text.as_bytes());
        if i % 7 == 0 {
            let chunk = quick.read(5000).unwrap();
            seen.extend_from_slice(&chunk.pieces.concat());
            quick.advance_to(chunk.end);
        }
    }
    assert_eq!(seen, all[..seen.len()]);
    assert!(log.extent().held > 200_000);
    assert_eq!(slow.behind(), all.len() as u64);
    let mut seen = Vec::new();
    loop {
        let chunk = slow.read(10_000).unwrap();
        if chunk.pieces.is_empty() {
            break;
        }
        seen.extend_from_slice(&chunk.pieces.concat());
        slow.advance_to(chunk.end);
    }
    assert_eq!(seen, all);
    drop(quick);
    assert_eq!(log.extent().held, 0);
    assert_eq!(log.readers(), 1);
    assert!(log.reader(0).is_none(), "the beginning is gone");
}

#[test]
fn asides_can_be_left_out() {
    let log = Arc::new(ReplicationLog::new(1 << 20));
    let mut changes = SELECT_0.to_vec();
    let reader = log.reader(0).unwrap();
    for i in 0..20_000u32 {
        if i % 5 < 2 {
            log.append_aside(format!("({i})").as_bytes());
        } else {
            let text = format!("<{i}>");
            append(&log, text.as_bytes());
            changes.extend_from_slice(text.as_bytes());
        }
    }
    for step in [1, 7, 1000, 16 << 10, 1 << 20] {
        let (mut seen, mut whole, mut at) = (Vec::new(), 0, 0);
        // Single bytes of all would take long.
        while at < log.end_offset().min(step as u64 * 3000) {
            let chunk = reader.read_changes(at, step).unwrap();
            seen.extend_from_slice(&chunk.pieces.concat());
            whole += chunk.end - at;
            at = chunk.end;
        }
        assert_eq!(whole, at);
        assert_eq!(seen, changes[..seen.len()], "in steps of {step}");
        assert!(at < log.end_offset() || seen.len() == changes.len());
    }
}

#[test]
fn a_log_that_begins_anew_has_no_place_for_old_readers() {
    let log = Arc::new(ReplicationLog::new(0));
    append(&log, b"old");
    let mut reader = log.reader(0).unwrap();
    log.start_at(1000);
    assert_eq!(reader.read(10).unwrap_err(), Gone);
    reader.advance_to(2000);
    assert_eq!(
        log.extent(),
        Extent {
            first: 1000,
            end: 1000,
            keep: BLOCK,
            held: 0
        }
    );
    assert!(log.reader(999).is_none());
    let fresh = log.reader(1000).unwrap();
    log.append_mirrored(0, b"new");
    assert_eq!(fresh.read(10).unwrap().pieces.concat(), b"new");
    drop(reader);
    assert_eq!(log.readers(), 1);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn wakes_once_for_each_time_that_somebody_waits() {
    let log = Arc::new(ReplicationLog::new(0));
    let reader = log.reader(0).unwrap();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    assert!(!reader.register(0, &waker));
    assert!(!reader.register(0, &waker));
    let end = append(&log, b"a");
    assert_eq!(count.0.load(Ordering::SeqCst), 0, "only a notice wakes");
    log.notify();
    log.notify();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(reader.register(0, &waker), "there is something already");
    assert!(!reader.register(end, &waker));
}

struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_thread_that_waits_misses_nothing() {
    let log = Arc::new(ReplicationLog::new(0));
    let writer = Arc::clone(&log);
    let mut reader = log.reader(0).unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..20_000 {
            writer.append_mirrored(0, b"x");
            writer.notify();
        }
    });
    let far = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    while reader.place() < 20_000 {
        while !reader.register(reader.place(), &waker) {
            assert!(std::time::Instant::now() < far);
            std::thread::park_timeout(std::time::Duration::from_secs(1));
        }
        let chunk = reader.read(1 << 20).unwrap();
        reader.advance_to(chunk.end);
    }
    writing.join().unwrap();
}
